//! The scenarios of every adapter, with tokio.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod executor;

use executor::{CurrentThread, MultiThread};
use postwire_scenarios::futures::FuturesAdapter;
use postwire_scenarios::scenarios;

#[test]
fn every_scenario() {
    scenarios::run_all(&FuturesAdapter(MultiThread));
}

#[test]
fn every_scenario_on_one_thread() {
    scenarios::run_all(&FuturesAdapter(CurrentThread));
}
