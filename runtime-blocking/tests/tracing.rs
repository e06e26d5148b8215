//! What a subscriber of the `tracing` crate sees of a transport.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use postwire_blocking::proto::{Credentials, Envelope};
use postwire_blocking::tls::ServerTls;
use postwire_blocking::transport::{TransportBuilder, TransportConfig};
use postwire_blocking::{Connection, Transport};
use postwire_scenarios::server::{Embedded, PASSWORD, USER, config_with_all_extensions};
use tracing::Level;
use tracing::subscriber::with_default;

/// Output that is kept in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The events at this level, one line each, of a program that sends two messages: one that is
/// accepted, and one with a recipient that is refused.
fn events(level: Level) -> String {
    events_of(level, || {
        let config = config_with_all_extensions().auth_in_plaintext(true);
        let server = Embedded::start(config, ServerTls::None);
        let transport: Transport = TransportBuilder::builder_dangerous("127.0.0.1")
            .port(server.port())
            .tls(postwire_blocking::tls::Tls::None)
            .client(|client| client.allow_plaintext_auth(true))
            .credentials(Credentials::new(USER, PASSWORD))
            .build()
            .unwrap();
        for to in ["bob@r.example", "no@r.example"] {
            let envelope = Envelope::new(None, vec![to.parse().unwrap()]).unwrap();
            let _ = transport.send(&envelope, "Subject: hello\r\n\r\n");
        }
        transport.test_connection().unwrap();
        transport.shutdown();
    })
}

/// The events of this program at this level, one line each.
fn events_of(level: Level, program: impl FnOnce()) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    with_default(subscriber, program);
    let kept = kept.0.lock().unwrap();
    String::from_utf8(kept.clone()).unwrap()
}

#[test]
fn a_subscriber_sees_connections_sessions_and_messages() {
    let events = events(Level::DEBUG);
    let mut rest = events.as_str();
    for expected in [
        "connected network.peer.address=127.0.0.1 network.peer.port=",
        "server.address=\"127.0.0.1\"",
        "session ready smtp.mechanism=PLAIN",
        "message concluded smtp.outcome=\"accepted\"",
        "message accepted recipients=1 smtp.reply.code=250",
        "message concluded smtp.outcome=\"rejected\"",
        "WARN postwire: message not accepted for every recipient recipients=1 refused=1 \
         smtp.outcome=\"rejected\" smtp.reply.code=550 smtp.stage=rcpt",
        "session closed",
    ] {
        let found = rest.find(expected);
        let found = found.unwrap_or_else(|| panic!("{expected} is missing:\n{events}"));
        rest = &rest[found + expected.len()..];
    }
    assert!(!events.contains("EHLO"), "{events}");
    assert!(!events.contains("bob@r.example"), "{events}");
}

#[test]
fn the_dialogue_is_at_the_finest_level_and_without_secrets() {
    let events = events(Level::TRACE);
    for expected in [
        "C: EHLO",
        "C: AUTH PLAIN",
        "S: 235",
        "C: RCPT TO:<bob@r.example>",
    ] {
        let line = events.lines().find(|line| line.contains(expected));
        let line = line.unwrap_or_else(|| panic!("{expected} is missing:\n{events}"));
        assert!(line.contains("TRACE") && line.contains("postwire::dialogue"));
    }
    assert!(!events.contains(PASSWORD), "{events}");
    let response = base64(format!("\0{USER}\0{PASSWORD}").as_bytes());
    assert!(!events.contains(&response), "{events}");
}

#[test]
fn a_subscriber_sees_why_a_session_was_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"554 not today\r\n").unwrap();
    });
    let events = events_of(Level::DEBUG, || {
        let config: TransportConfig = TransportBuilder::builder_dangerous("127.0.0.1")
            .port(port)
            .tls(postwire_blocking::tls::Tls::None)
            .build()
            .unwrap();
        let mut connection = Connection::connect(&config).unwrap();
        while connection.next_event().is_some() {}
    });
    server.join().unwrap();
    let lost = "session lost error=greeting: the server refused: 554 not today";
    assert!(events.contains(lost), "{events}");
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(octets)
}
