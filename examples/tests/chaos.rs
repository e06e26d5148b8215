//! Connections killed at random, and futures dropped at any point, over the
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
fn a_message_that_was_taken_in_part_leaves_a_trace() {
    cancellation::leaves_a_trace::<OverTokio>();
}
