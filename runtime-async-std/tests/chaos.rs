//! A server that kills connections at random: every message gets one true verdict.

mod executor;

use executor::AsyncStd;
use postwire_scenarios::chaos;
use postwire_scenarios::futures::FuturesAdapter;

#[test]
fn every_message_has_one_true_verdict() {
    chaos::run(&FuturesAdapter(AsyncStd), chaos::messages(), 42);
}
