//! SCRAM with channel binding (RFC 5802 §6), with and without an attacker who terminates TLS on
//! both sides and relays the dialogue.
//!
//! The attacker's certificate is as valid as the server's: only the channel binding exposes the
//! attack.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(all(feature = "server", any(feature = "aws-lc-rs", feature = "ring")))]

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Buf;
use postwire_tls::proto::{
    ClientConfig, Credentials, Endpoint, ErrorKind, Event, HelloName, Instant, Mechanism, Security,
};
use postwire_tls::rustls::pki_types::ServerName;
use postwire_tls::rustls::{self, RootCertStore, SupportedProtocolVersion, version};
use postwire_tls::server::{ServerConfig, ServerEvent};
use postwire_tls::{
    Connection, Identity, ServerConnection, ServerTls, ServerTlsParameters, Tls, TlsParameters,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const PASSWORD: &str = "correct horse";

/// Both TLS versions; the type of channel binding differs between them.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A certificate authority that everyone trusts.
struct World {
    authority: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

impl World {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut roots = RootCertStore::empty();
        let certificate = parameters.self_signed(&key).unwrap();
        roots.add(certificate.der().clone()).unwrap();
        Self {
            authority: Issuer::new(parameters, key),
            roots: Arc::new(roots),
        }
    }

    /// A certificate for `localhost`, a new one at each call.
    fn certified(&self) -> ServerTlsParameters {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.authority).unwrap();
        let (chain, key) = (certificate.pem(), key.serialize_pem());
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        ServerTlsParameters::new(identity).unwrap()
    }

    fn trusting(&self, version: &'static SupportedProtocolVersion) -> Arc<rustls::ClientConfig> {
        // The parameters of any client know the compiled-in provider.
        let provider = TlsParameters::builder("localhost")
            .dangerous_accept_invalid_certs(true)
            .build()
            .unwrap()
            .rustls_config()
            .crypto_provider()
            .clone();
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        Arc::new(config)
    }

    fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        mechanisms: &[Mechanism],
    ) -> Connection {
        let config = ClientConfig::new(HelloName::localhost(), Security::Wrapper)
            .credentials(Credentials::new("alice", PASSWORD))
            .mechanisms(mechanisms.to_vec());
        let parameters = TlsParameters::from_rustls("localhost", self.trusting(version)).unwrap();
        Connection::new(&Arc::new(config), &Tls::Wrapper(parameters))
    }

    fn server(&self) -> ServerConnection {
        let config = ServerConfig::new(HelloName::localhost())
            .auth([Mechanism::SCRAM_SHA_256_PLUS, Mechanism::SCRAM_SHA_256]);
        ServerConnection::new(&Arc::new(config), &ServerTls::Wrapper(self.certified()))
    }

    fn in_the_middle(&self, version: &'static SupportedProtocolVersion) -> Middle {
        let config = Arc::clone(self.certified().rustls_config());
        let name = ServerName::try_from("localhost").unwrap();
        Middle {
            to_client: rustls::ServerConnection::new(config).unwrap().into(),
            to_server: rustls::ClientConnection::new(self.trusting(version), name)
                .unwrap()
                .into(),
            strikes_out: "",
        }
    }
}

/// An attacker with a TLS session to either side.
struct Middle {
    to_client: rustls::Connection,
    to_server: rustls::Connection,
    /// The text that the attacker removes from the server's replies.
    strikes_out: &'static str,
}

impl Middle {
    /// Relays octets from one side to the other.
    fn pass_on(&mut self) {
        let said = decrypted(&mut self.to_client);
        self.to_server.writer().write_all(&said).unwrap();
        let said = String::from_utf8(decrypted(&mut self.to_server)).unwrap();
        let said = match self.strikes_out {
            "" => said,
            words => said.replace(words, ""),
        };
        self.to_client.writer().write_all(said.as_bytes()).unwrap();
    }
}

fn decrypted(session: &mut rustls::Connection) -> Vec<u8> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(octets) = session.reader().read(&mut piece) {
        if octets == 0 {
            break;
        }
        text.extend_from_slice(&piece[..octets]);
    }
    text
}

fn give(session: &mut rustls::Connection, mut octets: &[u8]) {
    while !octets.is_empty() {
        session.read_tls(&mut octets).unwrap();
        session.process_new_packets().unwrap();
    }
}

fn take(session: &mut rustls::Connection) -> Vec<u8> {
    let mut octets = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut octets).unwrap();
    }
    octets
}

fn output(endpoint: &mut impl Endpoint) -> Vec<u8> {
    let mut output = endpoint.output();
    let mut octets = Vec::new();
    while output.has_remaining() {
        let chunk = output.chunk();
        octets.extend_from_slice(chunk);
        let taken = chunk.len();
        output.advance(taken);
    }
    octets
}

/// The result of a login, and its mechanism.
#[derive(Debug)]
struct Login {
    mechanism: Option<Mechanism>,
    version: String,
    result: Result<(), ErrorKind>,
}

fn log_in(
    mut client: Connection,
    mut server: ServerConnection,
    mut middle: Option<Middle>,
) -> Login {
    let now = Instant::EPOCH;
    let mut mechanism_seen = None;
    for _ in 0..100 {
        let from_client = output(&mut client);
        let from_server = output(&mut server);
        let (to_server, to_client) = match &mut middle {
            None => (from_client, from_server),
            Some(middle) => {
                give(&mut middle.to_client, &from_client);
                give(&mut middle.to_server, &from_server);
                middle.pass_on();
                (take(&mut middle.to_server), take(&mut middle.to_client))
            }
        };
        server.handle_input(now, &to_server);
        while let Some(event) = server.poll_event() {
            if let ServerEvent::PasswordWanted { mechanism, user } = event {
                assert_eq!(user, "alice");
                mechanism_seen = Some(mechanism);
                server.password(&PASSWORD.into()).unwrap();
            }
        }
        client.handle_input(now, &to_client);
        while let Some(event) = client.poll_event() {
            let result = match event {
                Event::Ready => Ok(()),
                Event::Closed(why) => Err(why.unwrap().kind().clone()),
                _ => continue,
            };
            assert_eq!(client.is_authenticated(), result.is_ok());
            return Login {
                mechanism: mechanism_seen,
                version: client.tls().unwrap().version().to_owned(),
                result,
            };
        }
    }
    panic!("no progress and no event");
}

fn refusal(login: &Login) -> String {
    match &login.result {
        Err(ErrorKind::Refused(reply)) => reply.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn name(version: &SupportedProtocolVersion) -> &'static str {
    if version.version == rustls::ProtocolVersion::TLSv1_2 {
        "TLSv1.2"
    } else {
        "TLSv1.3"
    }
}

#[test]
fn a_direct_connection_binds_the_channel() {
    let world = World::new();
    for version in VERSIONS {
        let client = world.client(version, &Mechanism::default_preference());
        let login = log_in(client, world.server(), None);
        assert!(login.result.is_ok(), "{login:?}");
        assert_eq!(login.mechanism, Some(Mechanism::SCRAM_SHA_256_PLUS));
        assert_eq!(login.version, name(version));
    }
}

#[test]
fn an_attacker_in_between_is_detected() {
    let world = World::new();
    for version in VERSIONS {
        let client = world.client(version, &Mechanism::default_preference());
        let middle = world.in_the_middle(version);
        let login = log_in(client, world.server(), Some(middle));
        assert_eq!(login.mechanism, Some(Mechanism::SCRAM_SHA_256_PLUS));
        assert_eq!(login.version, name(version));
        assert_eq!(refusal(&login), "535 5.7.8 authentication failed");
    }
}

/// RFC 5802 §6: the client's `y` reaches a server that did offer channel binding.
#[test]
fn an_attacker_who_removes_the_offer_is_detected() {
    let world = World::new();
    for version in VERSIONS {
        let client = world.client(version, &Mechanism::default_preference());
        let mut middle = world.in_the_middle(version);
        middle.strikes_out = "SCRAM-SHA-256-PLUS ";
        let login = log_in(client, world.server(), Some(middle));
        assert_eq!(login.version, name(version));
        assert_eq!(refusal(&login), "535 5.7.8 authentication failed");
    }
}

/// The result of these attacks without channel binding.
#[test]
fn without_channel_binding_no_attack_is_detected() {
    let world = World::new();
    for version in VERSIONS {
        let client = world.client(version, &[Mechanism::SCRAM_SHA_256]);
        let middle = world.in_the_middle(version);
        let login = log_in(client, world.server(), Some(middle));
        assert!(login.result.is_ok(), "{login:?}");
        assert_eq!(login.mechanism, Some(Mechanism::SCRAM_SHA_256));
    }
}
