//! Futures that are dropped at any point, and guarantees that the type system gives.

use postwire_examples::completion::{Connection, Transport};
use postwire_futures::proto::Envelope;
use postwire_futures::transport::TransportBuilder;
use postwire_scenarios::cancellation;

use crate::executor::{Chosen, Polling};

/// Some messages are sent in fewer polls: a send is dropped at every point, or after the end.
const POLLS: usize = 16;

#[test]
fn dropping_a_send_leaves_nothing_out_of_step() {
    cancellation::run_within::<Chosen>(cancellation::futures(), POLLS);
}

#[test]
fn a_partly_accepted_message_is_reported() {
    cancellation::leaves_a_trace::<Chosen>();
}

#[test]
fn dropping_a_send_leaves_nothing_out_of_step_by_readiness() {
    cancellation::run_within::<Polling>(cancellation::futures(), POLLS);
}

#[test]
fn a_partly_accepted_message_is_reported_by_readiness() {
    cancellation::leaves_a_trace::<Polling>();
}

fn shared_by_threads<T: Send + Sync>() {}
fn moved_to_a_thread<T: Send>(_: &T) {}

#[test]
fn types_are_send_and_sync() {
    shared_by_threads::<Transport>();
    shared_by_threads::<Connection>();
    let builder = TransportBuilder::unencrypted_localhost();
    let transport: Transport = builder.build().unwrap();
    let envelope = Envelope::new(None, vec!["a@b.example".parse().unwrap()]).unwrap();
    moved_to_a_thread(&transport.send(&envelope, "text"));
    moved_to_a_thread(&transport.shutdown());
    moved_to_a_thread(&transport.send_all(Vec::new()).next());
}
