//! A transport over connections that the program makes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postwire_blocking::Transport;
use postwire_blocking::proto::{Body, Envelope, ErrorKind};
use postwire_blocking::tls::ServerTls;
use postwire_blocking::transport::{TransportBuilder, TransportConfig};
use postwire_scenarios::server::{Embedded, config_with_all_extensions};

fn config() -> TransportConfig {
    let builder = TransportBuilder::builder_dangerous("mail.invalid");
    builder.build().unwrap()
}

#[test]
fn the_pool_works_over_streams_of_the_program() {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let port = server.port();
    let connect = move || TcpStream::connect(("127.0.0.1", port));
    let transport = Transport::with_connector(config(), connect);
    transport.test_connection().unwrap();
    for _ in 0..3 {
        let envelope = Envelope::new(None, vec!["bob@r.example".parse().unwrap()]).unwrap();
        let body = Body::from("Subject: hello\r\n\r\n");
        assert!(transport.send(&envelope, body).unwrap().is_accepted());
    }
    transport.shutdown();
    let counters = transport.counters();
    assert_eq!((counters.opened, counters.accepted), (1, 3));
    assert_eq!(server.recording().stored.len(), 3);
}

#[test]
fn the_function_is_called_once_whatever_the_configuration_says_of_addresses() {
    let addresses = ["127.0.0.1:1", "[::1]:1"].map(|address| address.parse().unwrap());
    let config = TransportBuilder::builder_dangerous("mail.invalid")
        .addresses(addresses)
        .unix_socket("/does/not/exist")
        .socket(|socket| socket.local_address(Some("::1".parse().unwrap())))
        .timeout(Some(Duration::from_millis(300)))
        .build()
        .unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let transport = Transport::with_connector(config, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        // Longer than the time limit.
        thread::sleep(Duration::from_secs(5));
        TcpStream::connect("127.0.0.1:1")
    });
    let error = transport.test_connection().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn the_error_of_the_function_is_the_error_of_the_connection() {
    let refused = || Err::<TcpStream, _>(io::Error::other("the proxy says no"));
    let transport = Transport::with_connector(config(), refused);
    let error = transport.test_connection().unwrap_err().to_string();
    let expected = "connect: cannot connect to mail.invalid port 25: the proxy says no";
    assert_eq!(error, expected);
}
