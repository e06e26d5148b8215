//! A transport over connections that the program makes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::TcpStream;

use postwire_blocking::Transport;
use postwire_blocking::proto::{Body, Envelope};
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
