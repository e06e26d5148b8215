//! How a server's session ends, in plaintext and under TLS, and what it knows of its client.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(all(feature = "server", any(feature = "aws-lc-rs", feature = "ring")))]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use postwire_tls::proto::{
    ClientConfig, Endpoint, Envelope, Event, HelloName, Instant, Security, StreamFacts,
};
use postwire_tls::server::{ServerConfig, ServerEvent};
use postwire_tls::{
    Certificate, CertificateStore, Connection, Identity, ServerConnection, ServerTls,
    ServerTlsParameters, Tls, TlsParameters, TlsParametersBuilder,
};
use rcgen::{CertificateParams, KeyPair};

/// A certificate, as the identity of one end and as the root that the other trusts.
fn certificate(name: &str) -> (Identity, Certificate) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let (chain, key) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    (identity, Certificate::from_pem(chain.as_bytes()).unwrap())
}

fn at(seconds: u64) -> Instant {
    Instant::from_epoch(Duration::from_secs(seconds))
}

const IDLE: u64 = 100;

/// Both ends under TLS after the greeting and `EHLO`; the client shows a certificate if the
/// server asks for one.
fn under_tls(asks: bool) -> (Connection, ServerConnection) {
    let (server, server_root) = certificate("localhost");
    let (client, client_root) = certificate("client.example");
    let server = if asks {
        ServerTlsParameters::with_client_authorities(server, &[client_root])
    } else {
        ServerTlsParameters::new(server)
    };
    let parameters = trusting(server_root).identify_with(client).build().unwrap();
    let config = ClientConfig::new(HelloName::localhost(), Security::Wrapper);
    let mut client = Connection::new(&Arc::new(config), &Tls::Wrapper(parameters));
    let mut server = ServerConnection::new(&server_config(), &ServerTls::Wrapper(server.unwrap()));
    while exchange_both(&mut client, &mut server) {}
    assert!(client.is_ready());
    (client, server)
}

/// The parameters of a client that trusts nothing else.
fn trusting(root: Certificate) -> TlsParametersBuilder {
    let builder = TlsParameters::builder("localhost").certificate_store(CertificateStore::None);
    builder.add_root_certificate(root)
}

fn server_config() -> Arc<ServerConfig> {
    let config = ServerConfig::new(HelloName::localhost());
    Arc::new(config.idle_timeout(Duration::from_secs(IDLE)))
}

fn exchange(from: &mut impl Endpoint, to: &mut impl Endpoint) -> bool {
    let octets = from.next_chunk(usize::MAX);
    to.handle_input(at(0), &octets);
    !octets.is_empty()
}

/// Exchanges octets in both directions. Returns whether there were any.
fn exchange_both(client: &mut Connection, server: &mut ServerConnection) -> bool {
    exchange(client, server) | exchange(server, client)
}

fn in_plaintext() -> ServerConnection {
    let mut server = ServerConnection::new(&server_config(), &ServerTls::None);
    server.handle_input(at(0), b"");
    server
}

fn written(server: &mut ServerConnection) -> String {
    let mut output = server.output();
    let octets = output.copy_to_bytes(output.remaining());
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn a_silent_client_is_not_awaited() {
    let mut server = in_plaintext();
    assert!(written(&mut server).starts_with("220 "));
    server.handle_timeout(at(1));
    let due = server.poll_timeout().unwrap();
    assert!(at(IDLE) <= due && due <= at(IDLE + 1));
    server.handle_timeout(at(IDLE - 1));
    assert!(!server.is_closed());
    server.handle_timeout(due);
    assert!(server.is_closed());
    assert!(written(&mut server).starts_with("421 "));

    let (_client, mut server) = under_tls(false);
    server.handle_timeout(at(1));
    let due = server.poll_timeout().unwrap();
    server.handle_timeout(due);
    assert!(server.is_closed() && !server.output_chunk().is_empty());
}

/// While the program has to answer, a client is only awaited that has not read what was said
/// before: handed over is not written.
#[test]
fn a_client_that_does_not_read_is_not_awaited() {
    let mut server = in_plaintext();
    let greeting = server.next_chunk(usize::MAX);
    server.handle_written(at(0), 1);
    server.handle_input(at(0), b"EHLO client.example\r\n");
    let capabilities = server.next_chunk(usize::MAX);
    server.handle_input(at(0), b"MAIL FROM:<alice@a.example>\r\n");
    let mut events = std::iter::from_fn(|| server.poll_event());
    assert!(events.any(|event| matches!(event, ServerEvent::MailFrom { .. })));
    assert!(server.poll_timeout().is_some());
    server.handle_written(at(1), greeting.len() - 1 + capabilities.len());
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn a_server_that_ends_says_goodbye() {
    let mut server = in_plaintext();
    written(&mut server);
    server.shut_down();
    assert!(written(&mut server).starts_with("421 "));
    assert!(server.is_closed());

    let (mut client, mut server) = under_tls(false);
    server.shut_down();
    while exchange(&mut server, &mut client) {}
    assert!(server.is_closed() && client.is_closed());
}

#[test]
fn a_session_ends_with_quit_and_with_its_connection() {
    let mut server = in_plaintext();
    written(&mut server);
    assert!(!server.is_closed());
    server.handle_input(at(0), b"QUIT\r\n");
    assert!(written(&mut server).starts_with("221 "));
    assert!(server.is_closed());

    let mut server = in_plaintext();
    let reset = Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
    server.handle_transport_error(at(0), reset);
    assert!(server.is_closed());
}

#[test]
fn a_client_certificate_is_known_once_it_is_verified() {
    let (_, server) = under_tls(true);
    let chain = server.peer_certificates().unwrap();
    assert_eq!(chain.len(), 1);
    let (client, server) = under_tls(false);
    assert!(server.peer_certificates().is_none());
    assert!(
        client
            .greeting()
            .is_some_and(|greeting| greeting.code() == 220)
    );
    assert!(in_plaintext().peer_certificates().is_none());
}

/// The content of a stream, as an iterator gives it: pieces, and the end or an error.
#[test]
fn a_stream_is_given_piece_by_piece() {
    for fails in [false, true] {
        let (mut client, mut server) = under_tls(false);
        let recipient = "bob@b.example".parse().unwrap();
        let envelope = Envelope::new(None, vec![recipient]).unwrap();
        let id = client.enqueue(envelope, StreamFacts::default());
        let broken = || io::Error::other("no disk");
        let mut pieces = if fails {
            vec![Some(Err(broken())), Some(Ok("one\r\n".into()))]
        } else {
            vec![None, Some(Ok("two\r\n".into())), Some(Ok("one\r\n".into()))]
        };
        let (mut report, mut taken) = (None, Vec::new());
        while exchange_both(&mut client, &mut server) {
            while let Some(event) = server.poll_event() {
                if let ServerEvent::Message(message) = &event {
                    taken.push(message.content.clone());
                }
                let _ = server.accept();
            }
            while let Some(event) = client.poll_event() {
                match event {
                    Event::BodyWanted(_) => client.body_next(id, pieces.pop().unwrap()).unwrap(),
                    Event::Report(told) => report = Some(told),
                    _ => {}
                }
            }
        }
        let report = report.unwrap();
        assert_eq!(report.is_accepted(), !fails, "{report}");
        assert_eq!(taken.len(), usize::from(!fails));
        if fails {
            assert!(report.to_string().contains("no disk"), "{report}");
        } else {
            assert_eq!(taken[0], "one\r\ntwo\r\n");
        }
        assert!(client.body_next(id, None).is_err());
        assert!(client.body_failed(id, Arc::new(broken())).is_err());
    }
}

/// The configuration of the client names a mode as well; that of TLS must win, so that nothing is
/// sent in plaintext by mistake.
#[test]
fn the_mode_of_tls_counts_whatever_the_client_is_told() {
    for told in [
        Security::None,
        Security::Opportunistic,
        Security::Required,
        Security::Wrapper,
    ] {
        let (identity, root) = certificate("localhost");
        let server = ServerTlsParameters::new(identity).unwrap();
        let parameters = trusting(root).build().unwrap();
        for (tls, server_tls) in [
            (
                Tls::Required(parameters.clone()),
                ServerTls::StartTls(server.clone()),
            ),
            (Tls::Wrapper(parameters), ServerTls::Wrapper(server)),
        ] {
            let config = Arc::new(ClientConfig::new(HelloName::localhost(), told));
            let mut client = Connection::new(&config, &tls);
            let mut server = ServerConnection::new(&server_config(), &server_tls);
            while exchange_both(&mut client, &mut server) {}
            assert!(client.is_ready() && server.tls().is_some(), "{told:?}");
        }
        // A server that does not offer STARTTLS gets nothing.
        let (_, root) = certificate("localhost");
        let parameters = trusting(root).build().unwrap();
        let config = Arc::new(ClientConfig::new(HelloName::localhost(), told));
        let mut client = Connection::new(&config, &Tls::Required(parameters));
        let mut server = in_plaintext();
        while exchange_both(&mut client, &mut server) {}
        assert!(!client.is_ready() && client.is_closed(), "{told:?}");
    }
}

/// What follows the command STARTTLS in plaintext could be from someone else (CVE-2011-0411).
#[test]
fn plaintext_behind_starttls_ends_the_session() {
    let (identity, _) = certificate("localhost");
    let tls = ServerTls::StartTls(ServerTlsParameters::new(identity).unwrap());
    let mut server = ServerConnection::new(&server_config(), &tls);
    server.handle_input(at(0), b"EHLO client.example\r\n");
    written(&mut server);
    server.handle_input(at(0), b"STARTTLS\r\nMAIL FROM:<eve@x.example>\r\n");
    let mut events = std::iter::from_fn(|| server.poll_event());
    assert!(!events.any(|event| matches!(event, ServerEvent::MailFrom { .. })));
    let said = String::from_utf8_lossy(&server.next_chunk(usize::MAX)).into_owned();
    assert!(server.is_closed(), "{said}");
}
