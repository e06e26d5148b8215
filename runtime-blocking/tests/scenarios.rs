//! The scenarios of every adapter, over `std::net`.

use postwire_scenarios::blocking::Blocking;
use postwire_scenarios::scenarios;

#[test]
fn every_scenario() {
    scenarios::run_all(&Blocking);
}
