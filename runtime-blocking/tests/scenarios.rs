//! The scenarios of every adapter, over `std::net`.

use postwire_testing::blocking::Blocking;
use postwire_testing::scenarios;

#[test]
fn every_scenario() {
    scenarios::run_all(&Blocking);
}
