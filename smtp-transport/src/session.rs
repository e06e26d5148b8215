//! One session as an adapter holds it: the machine on the wire, and all that a caller may ask
//! of it without waiting.
//!
//! Knows which event answers which call, what is kept for a later one, why the session ended
//! and whom to ask for credentials. Must never know a stream, a clock or how anybody waits.

mod call;
mod kept_events;
mod machine;

use std::io;
use std::net::IpAddr;

use bytes::Bytes;
use postwire_proto::{
    BodySource, Capabilities, Command, CommandId, Endpoint, Envelope, Error, ErrorKind, Event,
    Mechanism, Reply, Report, Stage, TlsInfo, TransactionId,
};
use postwire_tls::Connection;
use postwire_tls::rustls::pki_types::CertificateDer;

pub use self::call::{Answered, Call, Farewell, NextEvent, Ready, Verdict};
use self::kept_events::KeptEvents;
pub use self::machine::SessionMachine;
use crate::credentials::CredentialsFuture;
use crate::{CredentialsSource, TransportConfig};

/// A session with a server: what it offers, and what is queued on it.
///
/// Every adapter's connection is a session with a stream around it, and gives these methods
/// as its own.
#[derive(Debug)]
pub struct Session {
    machine: Connection,
    credentials: Option<CredentialsSource>,
    /// Credentials on their way.
    fetching: Option<CredentialsFuture>,
    kept: KeptEvents,
    /// Why the session ended, if not by `QUIT`.
    ended_by: Option<Error>,
}

impl Session {
    fn new(config: &TransportConfig) -> Self {
        Self {
            machine: Connection::new(&config.client_config(), config.tls()),
            credentials: config.late_credentials().cloned(),
            fetching: None,
            kept: KeptEvents::default(),
            ended_by: None,
        }
    }

    /// Sets the address of this end of the connection, which a client without a name says at
    /// `EHLO`. Has no effect after the greeting.
    pub fn set_local_address(&mut self, address: IpAddr) {
        self.machine.set_local_address(address);
    }

    /// Queues a message without waiting. The connection's `next_event` brings its report, also
    /// where the report came while another call waited (the last 1,024 are kept). Messages
    /// that are queued together are pipelined.
    pub fn enqueue(&mut self, envelope: Envelope, body: impl Into<BodySource>) -> TransactionId {
        self.machine.enqueue(envelope, body)
    }

    /// Queues a command without waiting. The connection's `next_event` brings its answer.
    pub fn enqueue_command(&mut self, command: Command) -> CommandId {
        self.machine.command(command)
    }

    /// Gives the next piece of a streamed body, which [`Event::BodyWanted`] asked for; `None`
    /// is its end. Ignored where the message has its verdict already.
    pub fn body_next(&mut self, id: TransactionId, next: Option<io::Result<Bytes>>) {
        let _ = self.machine.body_next(id, next);
    }

    /// Asks to leave once everything queued is done. The connection's `next_event` brings the
    /// rest.
    pub fn begin_quit(&mut self) {
        self.machine.quit();
    }

    /// Ends the session at once, without a word to the server.
    pub fn abort(&mut self) {
        self.machine.abort();
    }

    /// What the server offers now.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.machine.capabilities()
    }

    /// The server's greeting; forgotten when STARTTLS begins.
    pub fn greeting(&self) -> Option<&Reply> {
        self.machine.greeting()
    }

    /// The mechanism by which the client is logged in, once it is.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.machine.mechanism()
    }

    /// The TLS session, once it stands.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.machine.tls()
    }

    /// The server's certificate chain, its own first, once TLS stands.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.machine.peer_certificates()
    }

    /// Whether the session stands: greeted, under TLS and authenticated as configured.
    pub fn is_ready(&self) -> bool {
        self.machine.is_ready()
    }

    /// Whether the session stands and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.machine.is_idle()
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.machine.is_closed()
    }
}

/// What the calls and the pool ask.
impl Session {
    /// The next event, answered already where it asks for credentials.
    fn next_event(&mut self) -> Option<Event> {
        let event = self.machine.poll_event()?;
        match &event {
            Event::CredentialsWanted(refused) => {
                // Wanted only where there is somebody to ask.
                let source = self.credentials.as_ref();
                self.fetching = source.map(|source| source.fetch(refused.clone()));
            }
            Event::Closed(why) => {
                self.fetching = None;
                self.ended_by.clone_from(why);
            }
            _ => {}
        }
        Some(event)
    }

    /// Ends the session unless it is idle, and gives the reports that nobody has taken: also of
    /// an idle one, whose last reports may have come unnoticed.
    pub(crate) fn end(&mut self) -> Vec<Report> {
        if !self.is_idle() {
            self.abort();
        }
        let mut reports = Vec::new();
        while let Some(event) = self.kept.take().or_else(|| self.next_event()) {
            if let Event::Report(report) = event {
                reports.push(report);
            }
        }
        reports
    }

    /// Keeps an event that nobody waits for.
    fn keep(&mut self, event: Event) {
        self.kept.keep(event, &mut self.machine);
    }

    /// Why nothing more comes of this session.
    fn error(&self) -> Error {
        let by_quit = || Error::new(Stage::Quit, ErrorKind::SessionOver);
        self.ended_by.clone().unwrap_or_else(by_quit)
    }
}
