//! TLS of your own: the SMTP client with OpenSSL, and a login that is bound to the TLS session
//! (SCRAM-SHA-256-PLUS). The embedded server, with rustls, stores the message.
//!
//! Knows what is sent, whom OpenSSL trusts and what must be stored; the loop is in `session`.

mod session;

use std::error::Error;
use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use openssl::rand::rand_bytes;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use postwire_proto::{Client, ClientConfig, Credentials, Envelope, HelloName, Mechanism, Security};
use postwire_scenarios::certificates::{Authority, Flaw};
use postwire_scenarios::server::{Embedded, PASSWORD, USER};
use postwire_server::ServerConfig;
use postwire_tls::ServerTls;

use crate::session::Session;

fn main() -> Result<(), Box<dyn Error>> {
    let authority = Authority::new();
    let server = Embedded::start(
        ServerConfig::new(HelloName::localhost()).auth([Mechanism::SCRAM_SHA_256_PLUS]),
        ServerTls::StartTls(authority.server(Flaw::None)),
    );

    // Nothing but the authority made here is trusted.
    let mut roots = X509StoreBuilder::new()?;
    roots.add_cert(X509::from_der(authority.certificate().as_der())?)?;
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_cert_store(roots.build());
    // The binding of the session is that of TLS 1.3.
    connector.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    let ssl = connector.build().configure()?.into_ssl("localhost")?;

    let config = ClientConfig::new(HelloName::localhost(), Security::Required)
        .credentials(Credentials::new(USER, PASSWORD));
    let mut client = Client::new(Arc::new(config));
    let mut nonce = [0; 24];
    rand_bytes(&mut nonce)?;
    client.set_nonce(&nonce);
    let message = Bytes::from("Subject: openssl\r\n\r\n".to_owned() + &"octets\r\n".repeat(50_000));
    let envelope = Envelope::new(
        Some("alice@example.org".parse()?),
        vec!["bob@example.net".parse()?],
    )?;
    client.enqueue(envelope, message.clone());
    client.quit();

    let mut session = Session::new(client, ssl)?;
    let mut socket = TcpStream::connect(("127.0.0.1", server.port()))?;
    let report = session.drive(&mut socket)?.ok_or("no report")?;
    println!("{report}");
    let client = session.client();
    let tls = client.tls().ok_or("no TLS")?;
    println!("over {} {}", tls.version(), tls.cipher());
    assert!(report.is_accepted() && tls.is_certificate_verified());
    assert_eq!(client.mechanism(), Some(Mechanism::SCRAM_SHA_256_PLUS));
    let stored = server.recording().stored;
    assert_eq!(stored.len(), 1);
    assert!(stored[0].content == message, "other octets are stored");
    Ok(())
}
