//! A transport over connections that the program makes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io;

use postwire_scenarios::server::{Embedded, config_with_all_extensions};
use postwire_smol::Transport;
use postwire_smol::proto::{Body, Envelope};
use postwire_smol::tls::ServerTls;
use postwire_smol::transport::{TransportBuilder, TransportConfig};

fn config() -> TransportConfig {
    let builder = TransportBuilder::builder_dangerous("mail.invalid");
    builder.build().unwrap()
}

fn envelope() -> Envelope {
    Envelope::new(None, vec!["bob@r.example".parse().unwrap()]).unwrap()
}

#[test]
fn the_pool_works_over_streams_of_the_program() {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let port = server.port();
    let connect = move || smol::net::TcpStream::connect(("127.0.0.1", port));
    let transport = Transport::with_connector(config(), connect);
    smol::block_on(async {
        for _ in 0..3 {
            let body = Body::from("Subject: hello\r\n\r\n");
            let report = transport.send(&envelope(), body).await.unwrap();
            assert!(report.is_accepted());
        }
        transport.shutdown().await;
    });
    let counters = transport.counters();
    assert_eq!((counters.opened, counters.accepted), (1, 3));
    assert_eq!(server.recording().stored.len(), 3);
}

#[test]
fn a_connector_that_fails_is_quoted() {
    let connect = || async {
        let why = io::Error::other("the proxy refuses");
        Err::<smol::net::TcpStream, _>(why)
    };
    let transport = Transport::with_connector(config(), connect);
    let failed = smol::block_on(transport.test_connection()).unwrap_err();
    let said = failed.to_string();
    assert!(
        said.contains("mail.invalid") && said.contains("the proxy refuses"),
        "{said}"
    );
    assert!(!said.contains("0.0.0.0"), "{said}");
}
