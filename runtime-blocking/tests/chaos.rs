//! A server that kills connections at random: every message gets one true verdict.

use postwire_scenarios::blocking::Blocking;
use postwire_scenarios::chaos;

#[test]
fn every_message_has_one_true_verdict() {
    chaos::run(&Blocking, chaos::messages(), 42);
}
