//! The scenarios of every adapter, and the chaos test: a server that kills connections at random,
//! where every message gets one true verdict.

use postwire_scenarios::futures::FuturesAdapter;
use postwire_scenarios::{chaos, scenarios};

use crate::executor::{Chosen, Polling, SeveralThreads};

#[test]
fn every_scenario() {
    scenarios::run_all(&FuturesAdapter(Chosen));
}

#[test]
fn every_scenario_by_readiness() {
    scenarios::run_all(&FuturesAdapter(Polling));
}

#[test]
fn every_message_has_one_true_verdict() {
    chaos::run(&FuturesAdapter(Chosen), chaos::messages(), 44);
}

#[test]
fn every_message_has_one_true_verdict_by_readiness() {
    chaos::run(&FuturesAdapter(Polling), chaos::messages(), 45);
}

#[test]
fn every_message_has_one_true_verdict_on_several_threads() {
    chaos::run(&FuturesAdapter(SeveralThreads), chaos::messages(), 46);
}
