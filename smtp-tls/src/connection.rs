//! The client connection: the SMTP client session with TLS around it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use postwire_proto::{
    BodySource, Capabilities, Client, ClientConfig, Command, CommandId, Credentials, Endpoint,
    Envelope, Error, Event, Instant, Mechanism, Misuse, Reply, Security, TlsInfo, TransactionId,
    TransportError,
};
use rustls::Side;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use crate::layer::{PlaintextMachine, TlsLayer};
use crate::parameters::default_crypto_provider;
use crate::{Tls, TlsFailure, TlsParameters};

/// A client connection without a socket: the SMTP client session and, depending on the [`Tls`]
/// mode, the TLS session around it.
///
/// It implements [`Endpoint`], so a loop written for the plaintext [`Client`] drives it
/// unchanged. [`Event::StartTls`] is never reported: the connection establishes TLS itself.
#[derive(Debug)]
pub struct Connection {
    layer: TlsLayer<Client>,
    parameters: Option<TlsParameters>,
    after_plaintext: bool,
}

impl PlaintextMachine for Client {
    const ROLE: Side = Side::Client;

    fn is_awaiting_tls(&self) -> bool {
        Client::is_awaiting_tls(self)
    }

    fn tls_established(&mut self, now: Instant, info: TlsInfo) {
        // This fails only if the session ended in the meantime.
        let _ = self.handle_tls_established(now, info);
    }

    fn tls_failed(&mut self, now: Instant, failure: TlsFailure) {
        let failure = failure.with_names(|name| self.quoted(name.as_bytes()));
        self.handle_tls_failed(now, Arc::new(failure));
    }

    fn quoted(&self, octets: &[u8]) -> String {
        Client::quoted(self, octets)
    }

    fn handle_injection(&mut self, now: Instant, received: &[u8]) {
        self.handle_starttls_injection(now, received);
    }

    fn output_for_tls(&mut self) -> impl Buf + Send {
        Client::output_for_tls(self)
    }

    fn handed_over(&mut self, octets: usize) {
        self.handle_handed_over(octets);
    }

    fn tls_progress(&mut self, octets: usize, waits: bool) {
        self.handle_tls_progress(octets, waits);
    }
}

impl Connection {
    /// Creates the connection. The TLS mode is that of `tls`, whatever mode `config` contains.
    pub fn new(config: &Arc<ClientConfig>, tls: &Tls) -> Self {
        let config = if config.security == tls.security() {
            Arc::clone(config)
        } else {
            Arc::new((**config).clone().security(tls.security()))
        };
        let logs_in = config.logs_in();
        let mut client = Client::new(config);
        let provider = tls.parameters().map(TlsParameters::rustls_config);
        // A provider may take tens of milliseconds to seed its generator.
        if logs_in && let Some(nonce) = nonce(provider.map(|config| config.crypto_provider())) {
            client.set_nonce(&nonce);
        }
        let mut connection = Self {
            layer: TlsLayer::new(client),
            parameters: tls.parameters().cloned(),
            after_plaintext: tls.security() != Security::Wrapper,
        };
        connection.start_tls_if_needed(Instant::EPOCH);
        connection
    }

    fn start_tls_if_needed(&mut self, now: Instant) {
        if !self.layer.wants_session() {
            return;
        }
        let Some(parameters) = &self.parameters else {
            return;
        };
        let config = Arc::clone(parameters.rustls_config());
        let max_fragment = config.max_fragment_size;
        match rustls::ClientConnection::new(config, parameters.server_name()) {
            Ok(session) => {
                self.layer
                    .start_tls(session, self.after_plaintext, max_fragment);
                if parameters.verifies() {
                    self.layer.set_certificate_verified();
                }
            }
            Err(error) => {
                self.layer.machine.tls_failed(now, error.into());
            }
        }
    }

    /// Sets the address of this end of the connection; see [`Client::set_local_address`].
    pub fn set_local_address(&mut self, address: IpAddr) {
        self.layer.machine.set_local_address(address);
    }

    /// Gives back the memory that a large flight needed, if nothing is to be written; see
    /// [`Client::release_memory`].
    pub fn release_memory(&mut self) {
        self.layer.machine.release_memory();
        self.layer.release_memory();
    }

    /// Queues a message; see [`Client::enqueue`].
    pub fn enqueue(&mut self, envelope: Envelope, body: impl Into<BodySource>) -> TransactionId {
        self.layer.machine.enqueue(envelope, body)
    }

    /// Queues a command that is not part of a message; see [`Client::command`].
    pub fn command(&mut self, command: Command) -> CommandId {
        self.layer.machine.command(command)
    }

    /// Passes the next piece of a streamed body; see [`Client::body_chunk`].
    ///
    /// # Errors
    ///
    /// As [`Client::body_chunk`].
    pub fn body_chunk(&mut self, id: TransactionId, chunk: Bytes) -> Result<(), Misuse> {
        self.layer.machine.body_chunk(id, chunk)
    }

    /// Ends a streamed body; see [`Client::body_end`].
    ///
    /// # Errors
    ///
    /// As [`Client::body_end`].
    pub fn body_end(&mut self, id: TransactionId) -> Result<(), Misuse> {
        self.layer.machine.body_end(id)
    }

    /// Reports that the source of a streamed body failed; see [`Client::body_failed`].
    ///
    /// # Errors
    ///
    /// As [`Client::body_failed`].
    pub fn body_failed(&mut self, id: TransactionId, error: TransportError) -> Result<(), Misuse> {
        self.layer.machine.body_failed(id, error)
    }

    /// Passes the next item of a streamed body, as an iterator or stream returns it; `None` ends
    /// the body.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchTransaction`] or [`Misuse::NotStreaming`] if the content is no longer wanted,
    /// because the message has its verdict.
    pub fn body_next(
        &mut self,
        id: TransactionId,
        next: Option<io::Result<Bytes>>,
    ) -> Result<(), Misuse> {
        match next {
            Some(Ok(chunk)) => self.body_chunk(id, chunk),
            Some(Err(error)) => self.body_failed(id, Arc::new(error)),
            None => self.body_end(id),
        }
    }

    /// Passes the credentials that the session asked for; see [`Client::credentials`].
    ///
    /// # Errors
    ///
    /// [`Misuse::NoCredentialsWanted`] if the session does not wait for credentials.
    pub fn credentials(&mut self, credentials: Credentials) -> Result<(), Misuse> {
        self.layer.machine.credentials(credentials)
    }

    /// Reports that there are no credentials; see [`Client::credentials_failed`].
    ///
    /// # Errors
    ///
    /// [`Misuse::NoCredentialsWanted`] if the session does not wait for credentials.
    pub fn credentials_failed(&mut self, error: TransportError) -> Result<(), Misuse> {
        self.layer.machine.credentials_failed(error)
    }

    /// Passes the result of fetching the credentials that the session asked for.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoCredentialsWanted`] if the credentials are no longer wanted, because the session
    /// has ended.
    pub fn credentials_fetched(
        &mut self,
        fetched: Result<Credentials, TransportError>,
    ) -> Result<(), Misuse> {
        match fetched {
            Ok(credentials) => self.credentials(credentials),
            Err(error) => self.credentials_failed(error),
        }
    }

    /// Ends the session after everything that is queued; see [`Client::quit`].
    pub fn quit(&mut self) {
        self.layer.machine.quit();
    }

    /// Ends the session at once; see [`Client::abort`].
    pub fn abort(&mut self) {
        self.layer.machine.abort();
    }

    /// The current capabilities of the server; see [`Client::capabilities`].
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.layer.machine.capabilities()
    }

    /// The server's greeting; see [`Client::greeting`].
    pub fn greeting(&self) -> Option<&Reply> {
        self.layer.machine.greeting()
    }

    /// The TLS session, once it is established.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.layer.machine.tls()
    }

    /// The server's certificate chain, with its own certificate first, once TLS is established.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.layer.session()?.peer_certificates()
    }

    /// Whether `AUTH` succeeded.
    pub fn is_authenticated(&self) -> bool {
        self.layer.machine.is_authenticated()
    }

    /// The mechanism with which the client authenticated; see [`Client::mechanism`].
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.layer.machine.mechanism()
    }

    /// The reason why the session is ending; see [`Client::failure`].
    pub fn failure(&self) -> Option<&Error> {
        self.layer.machine.failure()
    }

    /// Whether the session is ready for messages; see [`Client::is_ready`].
    pub fn is_ready(&self) -> bool {
        self.layer.machine.is_ready()
    }

    /// Whether the session is ready and nothing is in progress; see [`Client::is_idle`].
    pub fn is_idle(&self) -> bool {
        self.layer.machine.is_idle()
    }
}

/// Random octets for SASL from the crypto provider; `None` without a provider.
pub(crate) fn nonce(provider: Option<&Arc<CryptoProvider>>) -> Option<[u8; 24]> {
    let provider = match provider {
        Some(provider) => Arc::clone(provider),
        None => default_crypto_provider().ok()?,
    };
    let mut nonce = [0; 24];
    provider.secure_random.fill(&mut nonce).ok()?;
    Some(nonce)
}

impl Endpoint for Connection {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, input: &[u8]) {
        self.layer.handle_input(now, input);
        self.start_tls_if_needed(now);
    }

    fn handle_eof(&mut self, now: Instant) {
        self.layer.handle_eof(now);
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.layer.handle_transport_error(now, error);
    }

    fn output(&mut self) -> impl Buf + Send {
        self.layer.output()
    }

    fn output_chunk(&mut self) -> &[u8] {
        self.layer.output_chunk()
    }

    fn advance_output(&mut self, octets: usize) {
        self.layer.output().advance(octets);
    }

    fn next_chunk(&mut self, most: usize) -> Bytes {
        self.layer.next_chunk(most)
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.layer.handle_written(now, octets);
    }

    fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.layer.machine.poll_event()? {
                Event::StartTls => {}
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

    fn is_idle(&self) -> bool {
        self.layer.machine.is_idle()
    }
}
