//! Futures that are dropped at any point, and guarantees that the type system gives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod executor;

use executor::AsyncStd;
use postwire_async_std::{Connection, Transport};
use postwire_scenarios::cancellation;

#[test]
fn dropping_a_send_leaves_nothing_out_of_step() {
    cancellation::run::<AsyncStd>(cancellation::futures());
}

#[test]
fn a_partly_accepted_message_is_reported() {
    cancellation::leaves_a_trace::<AsyncStd>();
}

fn shared_by_threads<T: Send + Sync>() {}
fn moved_to_a_thread<T: Send>(_: &T) {}

#[test]
fn types_are_send_and_sync() {
    shared_by_threads::<Transport>();
    shared_by_threads::<Connection>();
    let transport: Transport =
        postwire_async_std::transport::TransportBuilder::unencrypted_localhost()
            .build()
            .unwrap();
    let envelope =
        postwire_async_std::proto::Envelope::new(None, vec!["a@b.example".parse().unwrap()]);
    let envelope = envelope.unwrap();
    moved_to_a_thread(&transport.send(&envelope, "text"));
    moved_to_a_thread(&transport.shutdown());
    moved_to_a_thread(&transport.send_all(Vec::new()).next());
}
