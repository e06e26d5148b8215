//! Connections that share parameters resume each other's TLS sessions: the second handshake has
//! fewer octets, in as many flights. No octet is ever sent before the handshake.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(all(feature = "server", any(feature = "aws-lc-rs", feature = "ring")))]

use std::sync::Arc;

use bytes::Buf;
use postwire_tls::proto::{ClientConfig, Endpoint, HelloName, Instant, Security};
use postwire_tls::rustls::{self, SupportedProtocolVersion, version};
use postwire_tls::server::ServerConfig;
use postwire_tls::{
    Certificate, CertificateStore, Connection, Identity, ServerConnection, ServerTls,
    ServerTlsParameters, Tls, TlsParameters, TlsParametersBuilder,
};

/// The content type of a TLS record with application data (RFC 8446 §5.1).
const APPLICATION_DATA: u8 = 23;

/// A server, and the parameters to connect to it.
struct World {
    server: rustls::ServerConfig,
    root: Certificate,
}

impl World {
    /// A server that speaks this version of TLS only.
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let names = ["localhost".to_owned(), "other.example".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).unwrap();
        let chain = own.cert.pem();
        let key = own.signing_key.serialize_pem();
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        // The parameters of any server know the compiled-in provider, the chain and the key.
        let made = ServerTlsParameters::new(identity).unwrap();
        let made = made.rustls_config();
        let server = rustls::ServerConfig::builder_with_provider(made.crypto_provider().clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(made.cert_resolver.clone());
        Self {
            server,
            root: Certificate::from_pem(chain.as_bytes()).unwrap(),
        }
    }

    fn builder(&self) -> TlsParametersBuilder {
        TlsParameters::builder("localhost")
            .certificate_store(CertificateStore::None)
            .add_root_certificate(self.root.clone())
    }

    fn parameters(&self) -> TlsParameters {
        self.builder().build().unwrap()
    }

    fn into_server(self) -> ServerTlsParameters {
        ServerTlsParameters::from_rustls(Arc::new(self.server))
    }
}

/// A session that is ready, and what it took to open it.
struct Opened {
    client: Connection,
    /// The octets in both directions.
    octets: usize,
    /// The flights of the client.
    flights: usize,
    /// The first flight of the client.
    first: Vec<u8>,
}

impl Opened {
    fn is_resumed(&self) -> bool {
        self.client.tls().unwrap().is_resumed()
    }
}

fn output(endpoint: &mut impl Endpoint) -> Vec<u8> {
    let mut output = endpoint.output();
    let mut octets = vec![0; output.remaining()];
    output.copy_to_slice(&mut octets);
    octets
}

/// A client and a server before the handshake.
struct Pair {
    client: Connection,
    server: ServerConnection,
}

impl Pair {
    fn new(parameters: &TlsParameters, server: &ServerTls) -> Self {
        let (security, tls) = match server {
            ServerTls::StartTls(_) => (Security::Required, Tls::Required(parameters.clone())),
            _ => (Security::Wrapper, Tls::Wrapper(parameters.clone())),
        };
        let config = Arc::new(ClientConfig::new(HelloName::localhost(), security));
        let config_of_server = Arc::new(ServerConfig::new(HelloName::localhost()));
        Self {
            client: Connection::new(&config, &tls),
            server: ServerConnection::new(&config_of_server, server),
        }
    }

    fn open(mut self) -> Opened {
        let now = Instant::EPOCH;
        let (mut octets, mut flights, mut first) = (0, 0, Vec::new());
        loop {
            let flight = output(&mut self.client);
            self.server.handle_input(now, &flight);
            while self.server.poll_event().is_some() {}
            let answer = output(&mut self.server);
            if flight.is_empty() && answer.is_empty() {
                break;
            }
            self.client.handle_input(now, &answer);
            while self.client.poll_event().is_some() {}
            octets += flight.len() + answer.len();
            if !flight.is_empty() {
                flights += 1;
            }
            if first.is_empty() {
                first = flight;
            }
        }
        assert!(self.client.is_ready());
        assert_eq!(
            self.server.tls().unwrap().is_resumed(),
            self.client.tls().unwrap().is_resumed()
        );
        Opened {
            client: self.client,
            octets,
            flights,
            first,
        }
    }
}

fn open(parameters: &TlsParameters, server: &ServerTls) -> Opened {
    Pair::new(parameters, server).open()
}

/// Opens two connections, and asserts that the second one resumes the session of the first and
/// takes at most this percentage of its octets.
fn assert_second_is_resumed(world: World, percent: usize) {
    let parameters = world.parameters();
    let server = ServerTls::Wrapper(world.into_server());
    let first = open(&parameters, &server);
    let second = open(&parameters.clone(), &server);
    assert_eq!([first.is_resumed(), second.is_resumed()], [false, true]);
    let (once, again) = (first.octets, second.octets);
    assert!(again * 100 <= once * percent, "{once} octets, then {again}");
    for opened in [&first, &second] {
        // The certificate of the first session counts for both.
        let tls = opened.client.tls().unwrap();
        assert!(tls.is_certificate_verified() && tls.channel_binding().is_some());
        assert_eq!(opened.client.peer_certificates().unwrap().len(), 1);
    }
    // The hello, the end of the handshake, EHLO. In TLS 1.2, the handshake of a resumed session has
    // a flight less, but the greeting follows the client's Finished instead of the server's.
    assert_eq!([first.flights, second.flights], [3, 3]);
}

#[test]
fn tls_13_resumes_with_fewer_octets() {
    assert_second_is_resumed(World::new(&version::TLS13), 90);
}

#[test]
fn tls_12_resumes_with_fewer_octets() {
    assert_second_is_resumed(World::new(&version::TLS12), 70);
}

#[test]
#[cfg(feature = "aws-lc-rs")]
fn tls_12_resumes_with_a_ticket() {
    let mut world = World::new(&version::TLS12);
    world.server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    world.server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    assert_second_is_resumed(world, 80);
}

#[test]
fn a_session_after_starttls_is_resumed() {
    for version in [&version::TLS12, &version::TLS13] {
        let world = World::new(version);
        let parameters = world.parameters();
        let server = ServerTls::StartTls(world.into_server());
        let resumed = [(); 2].map(|()| open(&parameters, &server).is_resumed());
        assert_eq!(resumed, [false, true]);
    }
}

#[test]
fn sessions_belong_to_the_parameters_and_to_the_name() {
    let world = World::new(&version::TLS13);
    let (parameters, others) = (world.parameters(), world.parameters());
    let server = ServerTls::Wrapper(world.into_server());
    assert!(!open(&parameters, &server).is_resumed());
    let other_name = parameters.for_domain("other.example").unwrap();
    assert!(!open(&other_name, &server).is_resumed(), "another name");
    assert!(!open(&others, &server).is_resumed(), "other parameters");
    let same_name = other_name.for_domain("localhost").unwrap();
    assert!(open(&same_name, &server).is_resumed());
}

/// RFC 8446 §C.4: a client uses each ticket once, so that its connections cannot be linked. Of
/// many connections that open at the same time, only as many resume as there are tickets.
#[test]
fn a_ticket_of_tls_13_is_used_once() {
    let mut world = World::new(&version::TLS13);
    world.server.send_tls13_tickets = 2;
    let parameters = world.parameters();
    let server = ServerTls::Wrapper(world.into_server());
    open(&parameters, &server);
    let together: Vec<_> = (0..3).map(|_| Pair::new(&parameters, &server)).collect();
    let resumed: Vec<_> = together
        .into_iter()
        .map(|it| it.open().is_resumed())
        .collect();
    assert_eq!(resumed, [true, true, false]);
    // Each of them received new tickets.
    assert!((0..3).all(|_| open(&parameters, &server).is_resumed()));
}

/// 0-RTT data can be replayed (RFC 8446 §8), so a message could be delivered twice.
#[test]
fn nothing_is_sent_before_the_handshake() {
    let mut world = World::new(&version::TLS13);
    world.server.max_early_data_size = 16 * 1024;
    let ours = world.parameters();
    assert!(!ours.rustls_config().enable_early_data);
    let mut config = (**ours.rustls_config()).clone();
    config.enable_early_data = true;
    // Not even with the configuration of a program that allows it.
    let theirs = TlsParameters::from_rustls("localhost", Arc::new(config)).unwrap();
    let server = ServerTls::Wrapper(world.into_server());
    for parameters in [ours, theirs] {
        assert!(!types_of_records(&open(&parameters, &server).first).contains(&APPLICATION_DATA));
        let second = open(&parameters, &server);
        assert!(second.is_resumed());
        assert!(!types_of_records(&second.first).contains(&APPLICATION_DATA));
    }
}

/// The content types of the records in a flight.
fn types_of_records(mut flight: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = flight {
        types.push(*kind);
        let octets = usize::from(u16::from_be_bytes([*high, *low]));
        flight = &rest[octets..];
    }
    assert!(!types.is_empty() && flight.is_empty());
    types
}
