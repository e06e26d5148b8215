//! A server that kills connections at random: every message gets one true verdict.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod executor;

use executor::{CurrentThread, MultiThread};
use postwire_scenarios::chaos;
use postwire_scenarios::futures::FuturesAdapter;

#[test]
fn every_message_has_one_true_verdict() {
    chaos::run(&FuturesAdapter(MultiThread), chaos::messages(), 42);
}

#[test]
fn every_message_has_one_true_verdict_on_one_thread() {
    chaos::run(&FuturesAdapter(CurrentThread), chaos::messages(), 43);
}
