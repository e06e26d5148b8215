//! Sessions of the core with the reference server.

use postwire_worlds::runs::run_worlds;
use postwire_worlds::session::World;

#[test]
fn reports_match_what_the_reference_server_took() {
    run_worlds(20_000, |choices| World::new(choices).run());
}
