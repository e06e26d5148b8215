//! Many sends over several connections to reference servers.

use postwire_worlds::dispatch::World;
use postwire_worlds::runs::run_worlds;

#[test]
fn all_reports_match_what_all_servers_took() {
    run_worlds(4_000, |choices| World::new(choices).run());
}
