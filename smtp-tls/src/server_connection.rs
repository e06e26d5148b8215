//! The server connection: the SMTP server session with TLS around it.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use postwire_proto::{Endpoint, Instant, Reply, Secret, TlsInfo, TransportError};
use postwire_server::{Server, ServerConfig, ServerEvent, ServerMisuse};
use rustls::Side;
use rustls::pki_types::CertificateDer;

use crate::connection::nonce;
use crate::layer::{PlaintextMachine, TlsLayer};
use crate::{ServerTlsParameters, TlsFailure};

/// When a [`ServerConnection`] uses TLS.
#[derive(Clone, Debug, Default)]
pub enum ServerTls {
    /// Never: STARTTLS is not offered.
    #[default]
    None,
    /// STARTTLS is offered.
    StartTls(ServerTlsParameters),
    /// From the first byte.
    Wrapper(ServerTlsParameters),
}

/// A server connection without a socket, for embedded test servers.
///
/// It implements [`Endpoint`]; [`ServerEvent::StartTls`] is never reported, since the
/// connection establishes TLS itself.
#[derive(Debug)]
pub struct ServerConnection {
    layer: TlsLayer<Server>,
    parameters: Option<ServerTlsParameters>,
    after_plaintext: bool,
}

impl PlaintextMachine for Server {
    const ROLE: Side = Side::Server;

    fn is_awaiting_tls(&self) -> bool {
        Server::is_awaiting_tls(self)
    }

    fn tls_established(&mut self, now: Instant, info: TlsInfo) {
        // This fails only if the session ended in the meantime.
        let _ = self.handle_tls_established(now, info);
    }

    fn tls_failed(&mut self, now: Instant, failure: TlsFailure) {
        self.handle_transport_error(now, Arc::new(failure.with_a_client()));
    }

    fn quoted(&self, octets: &[u8]) -> String {
        octets.escape_ascii().to_string()
    }

    fn handle_injection(&mut self, now: Instant, _said: &[u8]) {
        // The session treats any input where TLS should begin as an injection.
        self.handle_input(now, b"\0");
    }

    fn output_for_tls(&mut self) -> impl Buf + Send {
        self.output()
    }

    fn handed_over(&mut self, _octets: usize) {
        // A server has no messages in doubt.
    }

    fn tls_progress(&mut self, _octets: usize, _waits: bool) {}
}

impl ServerConnection {
    /// Creates a connection with a client that has just connected.
    pub fn new(config: &Arc<ServerConfig>, tls: &ServerTls) -> Self {
        let offered = matches!(tls, ServerTls::StartTls(_));
        let config = Arc::new((**config).clone().starttls(offered));
        let (mut server, parameters) = match tls {
            ServerTls::None => (Server::new(config), None),
            ServerTls::StartTls(parameters) => (Server::new(config), Some(parameters.clone())),
            ServerTls::Wrapper(parameters) => (Server::wrapped(config), Some(parameters.clone())),
        };
        let provider = parameters.as_ref().map(ServerTlsParameters::rustls_config);
        if let Some(nonce) = nonce(provider.map(|config| config.crypto_provider())) {
            server.set_nonce(&nonce);
        }
        let mut connection = Self {
            layer: TlsLayer::new(server),
            parameters,
            after_plaintext: offered,
        };
        connection.start_tls_if_needed(Instant::EPOCH);
        connection
    }

    fn start_tls_if_needed(&mut self, now: Instant) {
        // The 220 reply to STARTTLS must be sent in plaintext first.
        if !self.layer.wants_session() || self.layer.machine.output().has_remaining() {
            return;
        }
        let Some(parameters) = &self.parameters else {
            return;
        };
        let config = Arc::clone(parameters.rustls_config());
        let max_fragment = config.max_fragment_size;
        match rustls::ServerConnection::new(config) {
            Ok(session) => {
                let certificate = parameters.certificate().cloned();
                self.layer
                    .start_tls(session, self.after_plaintext, max_fragment);
                self.layer.set_own_certificate(certificate);
            }
            Err(error) => {
                self.layer.machine.tls_failed(now, error.into());
            }
        }
    }

    /// Answers the oldest open question; see [`Server::respond`].
    pub fn respond(&mut self, reply: Reply) -> Result<(), ServerMisuse> {
        self.layer.machine.respond(reply)
    }

    /// Accepts the oldest open question; see [`Server::accept`].
    pub fn accept(&mut self) -> Result<(), ServerMisuse> {
        self.layer.machine.accept()
    }

    /// Answers the oldest open question with a user's password; see [`Server::password`].
    pub fn password(&mut self, password: &Secret) -> Result<(), ServerMisuse> {
        self.layer.machine.password(password)
    }

    /// Ends the session with `421`, because the server ends; see [`Server::shut_down`].
    pub fn shut_down(&mut self) {
        self.layer.machine.shut_down();
    }

    /// The TLS session, once it is established.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.layer.machine.tls()
    }

    /// The client's certificate chain, with its own certificate first; `None` if the client
    /// presented none or the handshake is not complete. The chain is verified: see
    /// [`ServerTlsParameters::with_client_authorities`].
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.tls()?;
        self.layer.session()?.peer_certificates()
    }
}

impl Endpoint for ServerConnection {
    type Event = ServerEvent;

    fn handle_input(&mut self, now: Instant, input: &[u8]) {
        self.start_tls_if_needed(now);
        self.layer.handle_input(now, input);
        self.start_tls_if_needed(now);
    }

    fn handle_eof(&mut self, now: Instant) {
        self.layer.handle_eof(now);
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.layer.handle_transport_error(now, error);
    }

    fn output_chunk(&mut self) -> &[u8] {
        self.start_tls_if_needed(Instant::EPOCH);
        self.layer.output_chunk()
    }

    fn advance_output(&mut self, octets: usize) {
        self.layer.output().advance(octets);
    }

    fn next_chunk(&mut self, most: usize) -> Bytes {
        self.start_tls_if_needed(Instant::EPOCH);
        self.layer.next_chunk(most)
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.layer.handle_written(now, octets);
    }

    fn output(&mut self) -> impl Buf + Send {
        self.start_tls_if_needed(Instant::EPOCH);
        self.layer.output()
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        loop {
            match self.layer.machine.poll_event()? {
                ServerEvent::StartTls => {}
                event => return Some(event),
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.layer.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
    }

    fn is_closed(&self) -> bool {
        self.layer.machine.is_closed()
    }
}
