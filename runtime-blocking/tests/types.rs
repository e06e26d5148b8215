//! The promises that are kept by types alone.

use postwire_blocking::{Connection, Transport};

fn shared_by_threads<T: Send + Sync>() {}

#[test]
fn types_go_where_a_program_needs_them() {
    shared_by_threads::<Transport>();
    shared_by_threads::<Connection>();
    shared_by_threads::<postwire_blocking::tls::Connection>();
    shared_by_threads::<postwire_blocking::proto::Client>();
    shared_by_threads::<postwire_blocking::proto::SendError>();
}
