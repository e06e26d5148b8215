//! One session of an adapter: the protocol state machine, and the methods that do not wait.
//!
//! Knows which events are kept for a later call, why the session ended, and the source of
//! credentials. Must never know about a stream, a clock or how an adapter waits.

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
use crate::observe::SessionSpan;
use crate::{CredentialsSource, TransportConfig};

/// A session with a server: its capabilities, and the messages and commands queued on it.
///
/// The connection of every adapter is a session with a stream, and has these methods.
#[derive(Debug)]
pub struct Session {
    machine: Connection,
    credentials: Option<CredentialsSource>,
    /// Credentials that are being fetched.
    fetching: Option<CredentialsFuture>,
    kept: KeptEvents,
    /// The error that ended the session, unless it ended by `QUIT`.
    ended_by: Option<Error>,
    /// The number of messages that were queued.
    messages: u32,
    /// Whether a message was not sent because the session was full.
    was_full: bool,
    span: SessionSpan,
}

impl Session {
    fn new(config: &TransportConfig) -> Self {
        let (span, client) = SessionSpan::new(config);
        Self {
            machine: Connection::new(&client, config.tls()),
            credentials: config.late_credentials().cloned(),
            fetching: None,
            kept: KeptEvents::default(),
            ended_by: None,
            messages: 0,
            was_full: false,
            span,
        }
    }

    /// Sets the local IP address of the connection, which `EHLO` uses if the client has no name.
    /// Has no effect after the greeting.
    pub fn set_local_address(&mut self, address: IpAddr) {
        self.machine.set_local_address(address);
    }

    /// Queues a message without waiting.
    ///
    /// The `next_event` of the connection returns its report, even if the report arrived while
    /// another call was waiting (the last 1,024 are kept). Messages that are queued together are
    /// pipelined.
    pub fn enqueue(&mut self, envelope: Envelope, body: impl Into<BodySource>) -> TransactionId {
        self.messages = self.messages.saturating_add(1);
        self.machine.enqueue(envelope, body)
    }

    /// Queues a command without waiting. The `next_event` of the connection returns its reply.
    pub fn enqueue_command(&mut self, command: Command) -> CommandId {
        self.machine.command(command)
    }

    /// Passes the next piece of a streamed body after [`Event::BodyWanted`]; `None` ends the body.
    /// Ignored if the message has its verdict already.
    pub fn body_next(&mut self, id: TransactionId, next: Option<io::Result<Bytes>>) {
        let _ = self.machine.body_next(id, next);
    }

    /// Ends the session by `QUIT` after everything that is queued, without waiting. The
    /// `next_event` of the connection returns the remaining events.
    pub fn begin_quit(&mut self) {
        self.machine.quit();
    }

    /// Ends the session at once, without `QUIT`.
    pub fn abort(&mut self) {
        self.machine.abort();
    }

    /// The server's present capabilities, if `EHLO` is answered.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.machine.capabilities()
    }

    /// The server's greeting. `None` before it arrives, and from STARTTLS on.
    pub fn greeting(&self) -> Option<&Reply> {
        self.machine.greeting()
    }

    /// The mechanism that authenticated the client, once `AUTH` succeeded.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.machine.mechanism()
    }

    /// Facts about the TLS session, once the handshake is complete.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.machine.tls()
    }

    /// The certificate chain of the server, with its own certificate first, once the TLS
    /// handshake is complete.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.machine.peer_certificates()
    }

    /// Whether the opening is complete: greeting, TLS and authentication as configured.
    pub fn is_ready(&self) -> bool {
        self.machine.is_ready()
    }

    /// Whether the session is ready and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.machine.is_idle()
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.machine.is_closed()
    }
}

/// Methods for the calls that wait, and for the pool.
impl Session {
    /// The next event. A request for credentials is handled here, too.
    fn next_event(&mut self) -> Option<Event> {
        let mut event = self.machine.poll_event()?;
        while !self.span.record(&event, &self.machine) {
            event = self.machine.poll_event()?;
        }
        match &event {
            Event::CredentialsWanted(refused) => {
                // The event occurs only if there is a source of credentials.
                let source = self.credentials.as_ref();
                self.fetching = source.map(|source| source.fetch(refused.clone()));
            }
            Event::Report(report) => {
                let error = report.error().map(Error::kind);
                self.was_full |= matches!(error, Some(ErrorKind::SessionFull));
            }
            Event::Closed(why) => {
                self.fetching = None;
                self.ended_by.clone_from(why);
            }
            _ => {}
        }
        Some(event)
    }

    /// Whether the server takes no message after those that were queued (`MAILMAX`, RFC 9422 §4.1).
    ///
    /// A message that is divided counts as one here and as several at the server. The limit is then
    /// seen when a message is not sent. With `RCPTDOMAINMAX`, that may be about the domains of this
    /// message, and the session remains useful for others.
    pub(crate) fn is_full(&self) -> bool {
        if self.messages == 0 {
            return false;
        }
        let Some(limits) = self.capabilities().map(Capabilities::limits) else {
            return false;
        };
        let has_all = limits.mail_max.is_some_and(|most| self.messages >= most);
        has_all || (self.was_full && limits.rcpt_domain_max.is_none())
    }

    /// Ends the session unless it is idle, and returns the reports that no call has taken. An
    /// idle session may have such reports as well.
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

    /// Keeps an event that no call waits for.
    fn keep(&mut self, event: Event) {
        self.kept.keep(event, &mut self.machine);
    }

    /// The error that ended the session.
    fn error(&self) -> Error {
        let by_quit = || Error::new(Stage::Quit, ErrorKind::SessionOver);
        self.ended_by.clone().unwrap_or_else(by_quit)
    }
}
