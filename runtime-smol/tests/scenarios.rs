//! The scenarios of every adapter, with smol.

mod executor;

use executor::Smol;
use postwire_scenarios::futures::FuturesAdapter;
use postwire_scenarios::scenarios;

#[test]
fn every_scenario() {
    scenarios::run_all(&FuturesAdapter(Smol));
}
