//! What a connection passes on to the plaintext client takes effect there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use allocation_counter::measure;
use bytes::Buf;
use postwire_tls::proto::{
    ClientConfig, Credentials, Endpoint, Envelope, HelloName, Instant, Misuse, Security,
    TransportError,
};
use postwire_tls::{Connection, Tls};

fn output(connection: &mut Connection) -> Vec<u8> {
    let mut output = connection.output();
    let octets = output.remaining();
    output.copy_to_bytes(octets).to_vec()
}

#[test]
fn without_a_name_the_local_address_is_the_name() {
    let config = ClientConfig::without_hello_name(Security::None);
    let mut connection = Connection::new(&Arc::new(config), &Tls::None);
    connection.set_local_address("192.0.2.1".parse().unwrap());
    connection.handle_input(Instant::EPOCH, b"220 hi\r\n");
    assert_eq!(output(&mut connection), b"EHLO [192.0.2.1]\r\n");
}

#[test]
fn the_memory_of_many_messages_is_released() {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let mut connection = Connection::new(&Arc::new(config), &Tls::None);
    let recipient: Vec<_> = vec!["b@y.example".parse().unwrap()];
    for _ in 0..100 {
        connection.enqueue(Envelope::new(None, recipient.clone()).unwrap(), "x\r\n");
    }
    connection.handle_eof(Instant::EPOCH);
    while connection.poll_event().is_some() {}
    let released = measure(|| connection.release_memory());
    assert!(released.bytes_current < 0, "{released:?}");
}

#[test]
fn a_session_is_idle_only_when_it_is_ready() {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let mut connection = Connection::new(&Arc::new(config), &Tls::None);
    assert!(!Endpoint::is_idle(&connection));
    connection.handle_input(Instant::EPOCH, b"220 hi\r\n");
    output(&mut connection);
    assert!(!Endpoint::is_idle(&connection));
    connection.handle_input(Instant::EPOCH, b"250 hi\r\n");
    assert!(Endpoint::is_idle(&connection));
}

#[test]
fn credentials_that_nobody_wants_are_refused() {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let mut connection = Connection::new(&Arc::new(config), &Tls::None);
    for fetched in [
        Ok(Credentials::new("alice", "secret")),
        Err(Arc::new(std::fmt::Error) as TransportError),
    ] {
        let refused = connection.credentials_fetched(fetched);
        assert_eq!(refused, Err(Misuse::NoCredentialsWanted));
    }
}

#[cfg(all(feature = "scram", any(feature = "aws-lc-rs", feature = "ring")))]
#[test]
fn each_login_has_its_own_nonce() {
    let config = ClientConfig::new(HelloName::localhost(), Security::None)
        .credentials(Credentials::new("alice", "secret"));
    let config = Arc::new(config);
    let [first, second] = [(), ()].map(|()| {
        let mut connection = Connection::new(&config, &Tls::None);
        connection.handle_input(Instant::EPOCH, b"220 hi\r\n");
        output(&mut connection);
        connection.handle_input(Instant::EPOCH, b"250-hi\r\n250 AUTH SCRAM-SHA-256\r\n");
        output(&mut connection)
    });
    assert!(first.starts_with(b"AUTH SCRAM-SHA-256 "));
    assert_ne!(first, second);
}
