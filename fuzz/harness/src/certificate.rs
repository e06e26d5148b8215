//! The certificate of a server, which may be any octets: what is checked of it during the handshake,
//! what an error tells of it, and its channel binding.
//!
//! ```text
//! input  = flags, then the whole certificate, or changes to a real one
//! change = two octets of a position and the new octet
//! ```
//!
//! The private key is public: it is for this test only.

use std::sync::Arc;

use bytes::Buf as _;
use postwire_proto::{
    ChannelBinding, ClientConfig, Endpoint as _, Error, Event, HelloName, Instant, Security,
    TlsInfo, is_safe_to_show,
};
use postwire_tls::{Certificate, CertificateStore, Connection, Tls, TlsParameters};
use postwire_worlds::peer::provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, version};

use crate::input::Input;

const CERTIFICATE: &[u8] = include_bytes!("certificate/certificate.der");
const KEY: &[u8] = include_bytes!("certificate/key.der");

/// A handshake with a server that presents this certificate.
pub fn certificate(octets: &[u8]) {
    let mut input = Input::new(octets);
    let [is_whole, is_old, accepts_any, is_root] = input.flags();
    let presented = if is_whole {
        input.rest().to_vec()
    } else {
        changed(input.rest())
    };
    if is_root {
        add_root(&presented);
    }
    let trusted = Certificate::from_der(CERTIFICATE).expect("it is a certificate");
    let parameters = TlsParameters::builder("localhost")
        .certificate_store(CertificateStore::None)
        .add_root_certificate(trusted)
        .dangerous_accept_invalid_certs(accepts_any)
        .build()
        .expect("the parameters are valid");
    let handshake = handshake(parameters, server(presented.clone(), is_old));
    match handshake {
        Err(failure) => {
            let shown = format!("{failure} {failure:?}");
            assert!(shown.chars().all(is_safe_to_show), "{shown:?}");
            assert_ne!(presented, CERTIFICATE, "{shown}");
        }
        Ok(tls) => {
            assert!(accepts_any || presented == CERTIFICATE, "it is trusted");
            assert_eq!(tls.is_certificate_verified(), !accepts_any);
            if presented == CERTIFICATE {
                let name = tls.channel_binding().map(ChannelBinding::name);
                let expected = if is_old {
                    "tls-server-end-point"
                } else {
                    "tls-exporter"
                };
                assert_eq!(name, Some(expected));
            }
        }
    }
}

/// The certificate with these changes.
fn changed(changes: &[u8]) -> Vec<u8> {
    let mut certificate = CERTIFICATE.to_vec();
    for change in changes.chunks_exact(3) {
        let position = usize::from(u16::from_be_bytes([change[0], change[1]]));
        if let Some(octet) = certificate.get_mut(position) {
            *octet = change[2];
        }
    }
    certificate
}

/// Adds the certificate to those that are trusted.
fn add_root(der: &[u8]) {
    let added = Certificate::from_der(der).and_then(|root| {
        TlsParameters::builder("localhost")
            .certificate_store(CertificateStore::None)
            .add_root_certificate(root)
            .build()
    });
    if let Err(error) = added {
        let shown = format!("{error} {error:?}");
        assert!(shown.chars().all(is_safe_to_show), "{shown:?}");
    }
}

/// Presents its certificate whatever it is.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesServerCert for Presents {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn server(certificate: Vec<u8>, is_old: bool) -> ServerConnection {
    let key = PrivateKeyDer::try_from(KEY).expect("it is a key");
    let key = provider::sign::any_supported_type(&key).expect("the provider knows it");
    let chain = vec![CertificateDer::from(certificate)];
    let presents = Presents(Arc::new(CertifiedKey::new(chain, key)));
    let versions = if is_old {
        [&version::TLS12]
    } else {
        [&version::TLS13]
    };
    let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_protocol_versions(&versions)
        .expect("the provider supports it")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(presents));
    ServerConnection::new(Arc::new(config)).expect("the configuration is valid")
}

/// Moves the octets of both sides until TLS is established or has failed.
fn handshake(parameters: TlsParameters, mut server: ServerConnection) -> Result<TlsInfo, Error> {
    let config = ClientConfig::new(HelloName::localhost(), Security::Wrapper);
    let mut client = Connection::new(&Arc::new(config), &Tls::Wrapper(parameters));
    let now = Instant::EPOCH;
    loop {
        let mut output = client.output();
        let length = output.remaining();
        let written = output.copy_to_bytes(length);
        drop(output);
        let mut written = &written[..];
        while !written.is_empty() && server.read_tls(&mut written).is_ok() {
            // The server's own errors show as alerts, or as the end of the connection.
            let _ = server.process_new_packets();
        }
        let mut said = Vec::new();
        while server.wants_write() && server.write_tls(&mut said).is_ok() {}
        client.handle_input(now, &said);
        if said.is_empty() {
            client.handle_eof(now);
        }
        if let Some(tls) = client.tls() {
            return Ok(tls.clone());
        }
        while let Some(event) = client.poll_event() {
            if let Event::Closed(why) = event {
                return Err(why.expect("it did not end by QUIT"));
            }
        }
    }
}
