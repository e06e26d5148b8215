//! TLS handshakes for what they show: the version, the cipher suite, the certificates.
//!
//! A certificate that is not accepted can only be read in a handshake that accepts it. Such a
//! handshake is made here and nowhere else: the TLS session lives within one function, which reads
//! its properties and ends it. No command, no password and no message can reach it, since the
//! SMTP session that led to it is never told that TLS is established.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postwire_blocking::Driver;
use postwire_blocking::proto::{Client, Error, ErrorKind, Event, Security, Stage};
use postwire_blocking::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use postwire_blocking::tls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use postwire_blocking::tls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use postwire_blocking::tls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    SupportedProtocolVersion,
};
use postwire_blocking::tls::{TlsFailure, TlsParameters};
use postwire_blocking::transport::TransportConfig;

/// What a handshake showed.
pub(super) struct Shown {
    pub(super) cipher: String,
    pub(super) key_exchange: Option<String>,
    /// The certificates of the server, its own first. Nothing about them is verified.
    pub(super) chain: Vec<CertificateDer<'static>>,
}

/// Makes a handshake with this version only, in the mode of the configuration.
///
/// Accepts every certificate, and sends nothing over the session.
pub(super) fn show(
    config: &TransportConfig,
    address: SocketAddr,
    version: &'static SupportedProtocolVersion,
    limit: Duration,
) -> Result<Shown, Error> {
    let Some(parameters) = config.tls().parameters() else {
        return Err(Error::new(Stage::Tls, ErrorKind::Aborted));
    };
    let inspecting = inspecting(parameters, version).map_err(tls_error)?;
    let mut socket = until_tls(config, address, limit)?;
    socket.begin(limit);
    let mut session =
        ClientConnection::new(inspecting, parameters.server_name()).map_err(tls_error)?;
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut socket) {
            return Err(socket_error(Stage::Tls, error));
        }
    }
    let shown = Shown {
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown")
            .to_owned(),
        key_exchange: session
            .negotiated_key_exchange_group()
            .and_then(|group| group.name().as_str())
            .map(str::to_owned),
        chain: session
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect(),
    };
    session.send_close_notify();
    // The server may be gone already, and nothing else is to be learnt from it.
    let _ = session.write_tls(&mut socket);
    Ok(shown)
}

/// Connects, and goes on to the point at which the mode of the configuration begins TLS.
pub(super) fn until_tls(
    config: &TransportConfig,
    address: SocketAddr,
    limit: Duration,
) -> Result<TimedSocket, Error> {
    let failed = |error| socket_error(Stage::Connect, error);
    let socket = TcpStream::connect_timeout(&address, limit).map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    let clone = socket.try_clone().map_err(failed)?;
    if matches!(
        config.tls().security(),
        Security::Opportunistic | Security::Required
    ) {
        let mut client = Client::new(config.client_config());
        if let Ok(local) = socket.local_addr() {
            client.set_local_address(local.ip());
        }
        let mut driver = Driver::new(client, clone);
        loop {
            match driver.next_event() {
                Some(Event::StartTls) => break,
                Some(Event::Closed(Some(error))) => return Err(error),
                Some(Event::Ready) | None => {
                    return Err(Error::new(Stage::StartTls, ErrorKind::StartTlsNotOffered));
                }
                Some(_) => {}
            }
        }
    }
    Ok(TimedSocket {
        socket,
        until: Instant::now() + limit,
    })
}

/// A socket whose reads and writes together have a time limit, so that a peer that sends an octet
/// now and then does not prolong it.
pub(super) struct TimedSocket {
    socket: TcpStream,
    until: Instant,
}

impl TimedSocket {
    /// Starts the limit of the next step.
    pub(super) fn begin(&mut self, limit: Duration) {
        self.until = Instant::now() + limit;
    }

    pub(super) fn local_address(&self) -> Option<IpAddr> {
        Some(self.socket.local_addr().ok()?.ip())
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for TimedSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(into)
    }
}

impl Write for TimedSocket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// The error of a socket, or of the TLS session on it.
pub(super) fn socket_error(stage: Stage, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Error::new(stage, ErrorKind::TimedOut)
        }
        io::ErrorKind::UnexpectedEof => Error::new(stage, ErrorKind::ConnectionClosed),
        _ => match error.downcast::<rustls::Error>() {
            Ok(error) => tls_error(error),
            Err(error) => Error::new(stage, ErrorKind::Transport(Arc::new(error))),
        },
    }
}

fn tls_error(error: rustls::Error) -> Error {
    Error::new(
        Stage::Tls,
        ErrorKind::Tls(Arc::new(TlsFailure::from(error))),
    )
}

/// A configuration that accepts every certificate, with the provider and the client certificate
/// of these parameters.
fn inspecting(
    parameters: &TlsParameters,
    version: &'static SupportedProtocolVersion,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let real = parameters.rustls_config();
    let provider = Arc::clone(real.crypto_provider());
    let verifier = CertificateReader {
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.client_auth_cert_resolver = Arc::clone(&real.client_auth_cert_resolver);
    Ok(Arc::new(config))
}

/// Accepts every certificate, so that it can be read. Only [`show`] may use it.
#[derive(Debug)]
struct CertificateReader {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for CertificateReader {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
