//! A transport and a connection over tokio streams of the program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io;

use postwire_scenarios::server::{Embedded, config_with_all_extensions};
use postwire_tokio::proto::{Body, Envelope};
use postwire_tokio::tls::ServerTls;
use postwire_tokio::transport::{TransportBuilder, TransportConfig};
use postwire_tokio::{Connection, Tokio, TokioIo, Transport};
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::net::TcpStream;

fn config() -> TransportConfig {
    let builder = TransportBuilder::builder_dangerous("mail.invalid");
    builder.build().unwrap()
}

fn envelope() -> Envelope {
    Envelope::new(None, vec!["bob@r.example".parse().unwrap()]).unwrap()
}

/// A pipe of a few octets in this process, which a task connects to the server.
async fn pipe(port: u16) -> io::Result<TokioIo<DuplexStream>> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    let (near, mut far) = duplex(64);
    tokio::spawn(async move { copy_bidirectional(&mut far, &mut server).await });
    Ok(TokioIo::new(near))
}

#[tokio::test]
async fn the_pool_works_over_sockets_of_the_program() {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let port = server.port();
    let connect = move || async move {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        Ok(TokioIo::new(stream))
    };
    send_three(&Transport::with_connector(config(), connect)).await;
    assert_eq!(server.recording().stored.len(), 3);
}

#[tokio::test]
async fn the_pool_works_over_pipes_of_the_program() {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let port = server.port();
    send_three(&Transport::with_connector(config(), move || pipe(port))).await;
    assert_eq!(server.recording().stored.len(), 3);
}

async fn send_three<R: postwire_tokio::Runtime>(transport: &postwire_futures::Transport<R>) {
    for _ in 0..3 {
        let body = Body::from("Subject: hello\r\n\r\n".to_owned() + &"text\r\n".repeat(10_000));
        let report = transport.send(&envelope(), body).await.unwrap();
        assert!(report.is_accepted());
    }
    transport.shutdown().await;
    let counters = transport.counters();
    assert_eq!((counters.opened, counters.accepted), (1, 3));
}

#[tokio::test]
async fn a_connection_over_a_pipe() {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let stream = pipe(server.port()).await.unwrap();
    let mut connection: Connection<_> = Connection::over(stream, Tokio, &config());
    let envelope = envelope();
    let sent = connection.send(&envelope, "Subject: hello\r\n\r\n");
    assert!(sent.await.unwrap().is_accepted());
    connection.quit().await.unwrap();
    assert_eq!(server.recording().stored.len(), 1);
}

#[tokio::test]
async fn a_connector_that_fails_is_quoted() {
    let connect = || async {
        let why = io::Error::other("the proxy refuses");
        Err::<TokioIo<TcpStream>, _>(why)
    };
    let transport = Transport::with_connector(config(), connect);
    let failed = transport.test_connection().await.unwrap_err();
    let said = failed.to_string();
    assert!(
        said.contains("mail.invalid") && said.contains("the proxy refuses"),
        "{said}"
    );
    assert!(!said.contains("0.0.0.0"), "{said}");
}
