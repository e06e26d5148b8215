//! One connection: what it knows, what it keeps while a call waits for something else, and how
//! its content is read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{self, Cursor, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postwire_blocking::proto::{
    Address, Command, Credentials, Envelope, ErrorKind, Event, Mechanism, StreamFacts,
};
use postwire_blocking::tls::{ServerTls, Tls};
use postwire_blocking::transport::{CredentialsSource, TransportBuilder, TransportConfig};
use postwire_blocking::{Connection, StreamBody, chunks};
use postwire_scenarios::certificates::{Authority, Flaw};
use postwire_scenarios::server::{
    Embedded, PASSWORD, Scripted, USER, config_with_all_extensions, exchange,
};

const BODY: &str = "Subject: hello\r\n\r\n";

fn envelope(to: &str) -> Envelope {
    let address: Address = to.parse().unwrap();
    Envelope::new(None, vec![address]).unwrap()
}

fn to_port(port: u16) -> TransportBuilder<TransportConfig> {
    let builder = TransportBuilder::builder_dangerous("127.0.0.1");
    builder.port(port).tls(Tls::None)
}

/// A connection in plaintext, without a login.
fn connected(server: &Embedded) -> Connection {
    Connection::connect(&to_port(server.port()).build().unwrap()).unwrap()
}

fn embedded() -> Embedded {
    Embedded::start(config_with_all_extensions(), ServerTls::None)
}

#[test]
fn a_connection_tells_what_it_knows_of_its_session() {
    let authority = Authority::new();
    let tls = ServerTls::Wrapper(authority.server(Flaw::None));
    let server = Embedded::start(config_with_all_extensions(), tls);
    let config: TransportConfig = TransportBuilder::relay("localhost")
        .unwrap()
        .port(server.port())
        .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
        .credentials(Credentials::new(USER, PASSWORD))
        .client(|client| client.mechanisms(vec![Mechanism::LOGIN]))
        .build()
        .unwrap();
    let mut connection = Connection::connect(&config).unwrap();
    assert!(connection.greeting().is_none() && connection.tls().is_none());
    assert!(connection.mechanism().is_none());
    assert!(connection.peer_certificates().is_none());
    connection.ready().unwrap();
    assert!(connection.greeting().unwrap().code() == 220);
    assert!(connection.tls().unwrap().is_certificate_verified());
    assert_eq!(connection.mechanism(), Some(Mechanism::LOGIN));
    assert_eq!(connection.peer_certificates().unwrap().len(), 1);
    assert!(connection.is_idle() && !connection.is_closed());
    connection.begin_quit();
    while connection.next_event().is_some() {}
    assert!(connection.is_closed());
}

#[test]
fn what_arrives_while_a_call_waits_is_kept() {
    let server = embedded();
    let mut connection = connected(&server);
    connection.ready().unwrap();
    let first = connection.enqueue(envelope("bob@r.example"), BODY);
    let second = connection.enqueue(envelope("no@r.example"), BODY);
    let asked = connection.enqueue_command(Command::raw("NOOP").unwrap());
    // The call waits for its own reply, behind the others.
    assert!(connection.command(Command::raw("NOOP").unwrap()).is_ok());
    let third = connection.send(&envelope("bob@r.example"), BODY).unwrap();
    assert!(third.transaction() != first && third.transaction() != second);
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(match connection.next_event() {
            Some(Event::Report(report)) => (Some(report.transaction()), report.is_accepted()),
            Some(Event::Reply(id, reply)) => (None, id == asked && reply.is_ok()),
            other => panic!("{other:?}"),
        });
    }
    let expected = [(Some(first), true), (Some(second), false), (None, true)];
    assert_eq!(kept, expected);
    connection.quit().unwrap();
}

#[test]
fn a_stream_is_read_to_its_end() {
    let server = embedded();
    let mut connection = connected(&server);
    let content = format!("{BODY}{}", "a line of text\r\n".repeat(20_000));
    let body = StreamBody::new(chunks(Cursor::new(content.clone())));
    let report = connection.send_stream(&envelope("bob@r.example"), body);
    assert!(report.unwrap().is_accepted());
    assert_eq!(server.recording().stored[0].content, content.as_bytes());
    // A source that fails: the message is not sent, and the reason is its own.
    let pieces = vec![
        Ok("Subject: x\r\n".into()),
        Err(io::Error::other("no disk")),
    ];
    let broken = StreamBody::new(pieces);
    let error = connection
        .send_stream(&envelope("bob@r.example"), broken)
        .unwrap_err();
    assert!(error.to_string().contains("no disk"), "{error}");
    assert_eq!(server.recording().stored.len(), 1);
}

/// Nothing can provide the content of a stream that was queued on its own, so that another call
/// must not wait for it.
#[test]
fn a_stream_that_nothing_provides_blocks_no_other_call() {
    let server = embedded();
    let mut connection = connected(&server);
    connection.ready().unwrap();
    let orphan = connection.enqueue(envelope("bob@r.example"), StreamFacts::default());
    let _ = connection.send(&envelope("bob@r.example"), BODY);
    let report = std::iter::from_fn(|| connection.next_event()).find_map(|event| match event {
        Event::Report(report) if report.transaction() == orphan => Some(report),
        _ => None,
    });
    let error = report.unwrap().into_result().unwrap_err().to_string();
    assert!(error.contains("nothing provides its content"), "{error}");
}

#[test]
fn credentials_are_fetched_when_they_are_asked_for() {
    let server = Embedded::start(
        config_with_all_extensions().auth_in_plaintext(true),
        ServerTls::None,
    );
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let source = CredentialsSource::new(move |refused| {
        // The first password is an old one.
        counted.fetch_add(1, Ordering::Relaxed);
        let password = if refused.is_none() { "old" } else { PASSWORD };
        Ok::<_, io::Error>(Credentials::new(USER, password))
    });
    let config = to_port(server.port())
        .client(|client| client.allow_plaintext_auth(true))
        .late_credentials(source)
        .build()
        .unwrap();
    let mut connection = Connection::connect(&config).unwrap();
    connection.ready().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(connection.mechanism(), Some(Mechanism::PLAIN));
}

/// The last words of a server that ends the session are the error of whatever waits for it.
#[test]
fn a_session_that_ends_answers_each_call() {
    let server = Scripted::start(|mut stream| {
        exchange(&mut stream, "220 hi\r\n", "EHLO");
        exchange(&mut stream, "250 hi\r\n", "NOOP");
        stream.write_all(b"421 bye\r\n").unwrap();
    });
    let config = to_port(server.port()).build().unwrap();
    let mut connection = Connection::connect(&config).unwrap();
    connection.ready().unwrap();
    let reply = connection.command(Command::raw("NOOP").unwrap());
    assert!(reply.is_err() || reply.is_ok_and(|reply| reply.code() == 421));
    let late = connection
        .send(&envelope("bob@r.example"), BODY)
        .unwrap_err();
    assert!(late.to_string().starts_with("not sent"), "{late}");
    let again = connection
        .command(Command::raw("NOOP").unwrap())
        .unwrap_err();
    assert!(!matches!(again.kind(), ErrorKind::TimedOut), "{again}");
    server.finish();
}
