//! The reference server behind the server's side of TLS, which is rustls' own. It moves octets of
//! the wire on one side, and those of the session on the other.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, OnceLock};

use postwire_reference::{Dialect, Recorder};
use postwire_tls::{Certificate, CertificateStore, TlsParameters};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, version};

/// The crypto provider of both sides.
#[cfg(feature = "aws-lc-rs")]
pub use rustls::crypto::aws_lc_rs as provider;
#[cfg(not(feature = "aws-lc-rs"))]
pub use rustls::crypto::ring as provider;

/// The certificate of every server of this process, and its configurations.
struct Keys {
    certificate: Certificate,
    tls13: Arc<ServerConfig>,
    tls12: Arc<ServerConfig>,
}

/// The name that the certificate is for.
pub const HOST: &str = "localhost";

#[expect(
    clippy::unwrap_used,
    reason = "a certificate for a fixed name can be made"
)]
fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        // Signatures of one length, so that each octet of a world has its place in every run.
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let config = |versions| {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let config =
                ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                    .with_protocol_versions(versions)
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], key);
            Arc::new(config.unwrap())
        };
        Keys {
            tls13: config(&[&version::TLS13]),
            tls12: config(&[&version::TLS12]),
            certificate: Certificate::from_pem(certificate.pem().as_bytes()).unwrap(),
        }
    })
}

/// The parameters of a client that trusts every [`Peer`], or none. Each call begins with an empty
/// cache of sessions.
///
/// # Panics
///
/// Never: the name is valid.
#[expect(clippy::unwrap_used, reason = "the parameters are valid")]
pub fn client_parameters(trusts: bool) -> TlsParameters {
    let parameters = TlsParameters::builder(HOST).certificate_store(CertificateStore::None);
    // The stranger's certificate is for the same name.
    let root = if trusts { certificate() } else { stranger() };
    let parameters = parameters.add_root_certificate(root);
    parameters.build().unwrap()
}

/// The certificate that every [`Peer`] presents.
pub fn certificate() -> Certificate {
    keys().certificate.clone()
}

#[expect(
    clippy::unwrap_used,
    reason = "a certificate for a fixed name can be made"
)]
fn stranger() -> Certificate {
    static STRANGER: OnceLock<Certificate> = OnceLock::new();
    let made = STRANGER.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
    });
    made.clone()
}

/// How a server uses TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// TLS begins with the first octet, and not after `STARTTLS`.
    pub wrapper: bool,
    /// TLS 1.2 instead of 1.3.
    pub old: bool,
    /// The server closes without `close_notify`.
    pub truncates: bool,
}

/// The reference server of one connection, with TLS around it once the client asks for that.
#[derive(Debug)]
pub struct Peer {
    recorder: Recorder,
    how: ServerTls,
    tls: Option<Box<ServerConnection>>,
    is_established: bool,
    tls_error: Option<rustls::Error>,
    said_goodbye: bool,
    heard: Vec<u8>,
}

impl Peer {
    /// Starts a connection.
    pub fn new(dialect: Dialect, how: ServerTls) -> Self {
        let mut peer = Self {
            recorder: Recorder::new(dialect),
            how,
            tls: None,
            is_established: false,
            tls_error: None,
            said_goodbye: false,
            heard: Vec::new(),
        };
        if how.wrapper {
            peer.start_tls();
        }
        peer
    }

    /// The server inside.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Whether a handshake was complete.
    pub fn is_established(&self) -> bool {
        self.is_established
    }

    /// The error that ended TLS.
    pub fn tls_error(&self) -> Option<&rustls::Error> {
        self.tls_error.as_ref()
    }

    /// All octets of the session that the client wrote, without TLS.
    pub fn heard(&self) -> &[u8] {
        &self.heard
    }

    fn start_tls(&mut self) {
        let config = if self.how.old {
            &keys().tls12
        } else {
            &keys().tls13
        };
        match ServerConnection::new(Arc::clone(config)) {
            Ok(mut tls) => {
                tls.set_buffer_limit(None);
                self.tls = Some(Box::new(tls));
            }
            Err(error) => self.tls_error = Some(error),
        }
    }

    /// Takes octets of the wire.
    pub fn receive(&mut self, octets: &[u8]) {
        self.take_in(octets, true);
    }

    /// Records octets that were lost on the wire, as if they had arrived, in
    /// [`heard`](Self::heard) only.
    pub fn overhear(&mut self, octets: &[u8]) {
        self.take_in(octets, false);
    }

    fn take_in(&mut self, mut octets: &[u8], arrives: bool) {
        let Some(tls) = &mut self.tls else {
            self.heard.extend_from_slice(octets);
            if arrives {
                self.recorder.receive(octets);
            }
            return;
        };
        while !octets.is_empty() && self.tls_error.is_none() {
            // What is read of this is in memory, and what is decrypted is taken at once.
            if tls.read_tls(&mut octets).is_err() {
                return;
            }
            let processed = tls.process_new_packets();
            if !self.is_established && processed.is_ok() && !tls.is_handshaking() {
                self.is_established = true;
                self.recorder.tls_established();
            }
            let mut text = Vec::new();
            // Fails if there is no more for now.
            let _ = tls.reader().read_to_end(&mut text);
            self.heard.extend_from_slice(&text);
            if arrives && !text.is_empty() {
                self.recorder.receive(&text);
            }
            match processed {
                Ok(state) if state.peer_has_closed() && arrives => self.recorder.receive_eof(),
                Ok(_) => {}
                Err(error) => self.tls_error = Some(error),
            }
        }
    }

    /// The client closed its side of the connection.
    pub fn receive_eof(&mut self) {
        self.recorder.receive_eof();
    }

    /// Takes out the octets of the wire that the server writes now. An empty result means that
    /// there is nothing for now.
    pub fn say(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        if let Some(tls) = &mut self.tls {
            if self.is_established {
                let said = self.recorder.say();
                // Writing to memory never fails.
                let _ = tls.writer().write_all(&said);
                if self.recorder.has_hung_up() || self.recorder.has_stopped_writing() {
                    if !self.said_goodbye && !self.how.truncates {
                        tls.send_close_notify();
                    }
                    self.said_goodbye = true;
                }
            }
            while tls.wants_write() && tls.write_tls(&mut octets).is_ok() {}
        } else {
            octets = self.recorder.say();
            if self.recorder.tls_wanted() {
                self.start_tls();
            }
        }
        octets
    }

    /// Makes a slow server answer.
    pub fn nudge(&mut self) {
        self.recorder.nudge();
    }

    /// Whether the server closes its side of the connection: it has written all.
    pub fn has_closed(&self) -> bool {
        let is_over = self.recorder.has_hung_up() || self.recorder.has_stopped_writing();
        let has_said_all = self.tls.is_none() || !self.is_established || self.said_goodbye;
        (is_over && has_said_all) || self.tls_error.is_some()
    }
}
