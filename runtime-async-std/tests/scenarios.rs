//! The scenarios of every adapter, with async-std.

mod executor;

use executor::AsyncStd;
use postwire_scenarios::futures::FuturesAdapter;
use postwire_scenarios::scenarios;

#[test]
fn every_scenario() {
    scenarios::run_all(&FuturesAdapter(AsyncStd));
}
