//! The scenarios of every adapter, with smol.

mod executor;

use executor::Smol;
use postwire_testing::futures::FuturesAdapter;
use postwire_testing::scenarios;

#[test]
fn every_scenario() {
    scenarios::run_all(&FuturesAdapter(Smol));
}
