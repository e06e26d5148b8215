//! Connections that are killed at random, and futures that are dropped at any point, with the
//! tokio example.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod executor;

use executor::OverTokio;
use postwire_testing::futures::FuturesAdapter;
use postwire_testing::{cancellation, chaos};

#[test]
fn every_message_has_one_true_verdict() {
    chaos::run(&FuturesAdapter(OverTokio), chaos::messages(), 42);
}

#[test]
fn dropping_a_send_leaves_nothing_out_of_step() {
    cancellation::run::<OverTokio>(cancellation::futures());
}

#[test]
fn a_partly_accepted_message_is_reported() {
    cancellation::leaves_a_trace::<OverTokio>();
}
