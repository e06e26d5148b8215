//! Guarantees that the type system gives.

use postwire_blocking::{Connection, Transport};

fn shared_by_threads<T: Send + Sync>() {}

#[test]
fn types_are_send_and_sync() {
    shared_by_threads::<Transport>();
    shared_by_threads::<Connection>();
    shared_by_threads::<postwire_blocking::tls::Connection>();
    shared_by_threads::<postwire_blocking::proto::Client>();
    shared_by_threads::<postwire_blocking::proto::SendError>();
}
