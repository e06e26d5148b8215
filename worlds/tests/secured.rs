//! Sessions under TLS, and the TLS layer's promises, with the reference server.

use postwire_worlds::runs::run_worlds;
use postwire_worlds::secured::World;

#[test]
fn reports_match_what_the_reference_server_took_behind_tls() {
    run_worlds(6_000, |choices| World::new(choices).run());
}
