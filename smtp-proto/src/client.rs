//! The client session: takes messages and the server's bytes, returns bytes to write and events.
//!
//! ```text
//! greeting → EHLO (→ HELO on 5xx) → [STARTTLS → TLS → EHLO] → [AUTH] → ready ⇄ transactions → QUIT
//! transaction: MAIL → RCPT… → (DATA → content . | BDAT n LAST content) → verdict
//! ```
//!
//! Two cursors move over one list of messages. The *writer* chooses the next command from the
//! queue and from what is known of the server, and adds an *expectation* for the reply. The
//! *reader* matches each reply with the first expectation. Pipelining is the distance by which
//! the writer may run ahead of the reader, so the code path is the same with and without it.

mod authentication;
mod commands;
mod deadlines;
mod dialogue;
mod division;
mod ending;
mod events;
mod expectation;
mod message;
mod open;
mod opening;
mod output;
mod pipeline;
mod reader;
mod reports;
mod requests;
mod sending;
mod session;
mod timers;
mod trace;
mod writer;

use alloc::string::String;
use alloc::sync::Arc;
use core::net::IpAddr;

use bytes::{Buf, Bytes};

pub use self::commands::CommandId;
use self::ending::Ending;
use self::message::Source;
pub use self::output::Output;
use self::session::{Phase, Session};
pub use self::trace::{Speaker, TraceLine};
use crate::{
    BodySource, Capabilities, ClientConfig, Command, Credentials, Endpoint, Envelope, Error,
    ErrorKind, HelloName, Instant, Mechanism, Misuse, Reply, ReplyReader, Report, Stage, TlsInfo,
    TransactionId, TransportError,
};

/// An event that a client session reports to its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The verdict on a message: exactly one for each [`Client::enqueue`], in order.
    Report(Report),
    /// The reply to a command that is not part of a message, positive or negative; or the reason
    /// why there is no reply. Exactly one for each [`Client::command`], in order.
    Reply(CommandId, Result<Reply, Error>),
    /// The opening is complete (greeting, TLS and authentication as configured), and messages
    /// are sent from now on.
    Ready,
    /// The session needs TLS now. Perform the handshake as the TLS client, then call
    /// [`Client::handle_tls_established`].
    ///
    /// Until then the session writes nothing. Bytes from the server belong to the TLS
    /// handshake; passing them to the session is a protocol violation.
    StartTls,
    /// The session needs credentials: call [`Client::credentials`] or
    /// [`Client::credentials_failed`].
    ///
    /// Occurs only if [`ClientConfig::late_credentials`] is on. If the server refuses these
    /// credentials, the event occurs once more, with the error.
    CredentialsWanted(Option<Error>),
    /// A streamed body needs more content: call [`Client::body_chunk`] or [`Client::body_end`].
    BodyWanted(TransactionId),
    /// A line of the dialogue. Occurs only if [`ClientConfig::trace`] is on.
    Trace(TraceLine),
    /// The session is over: after `QUIT`, or because of this error. Close the connection.
    Closed(Option<Error>),
}

/// An SMTP or LMTP client session, without a socket.
///
/// The [crate page](crate) shows the loop that drives a session. The methods that pass bytes and
/// the time are those of [`Endpoint`].
#[derive(Debug)]
pub struct Client {
    reader: ReplyReader,
    session: Session,
}

impl Client {
    /// Creates a session that waits for the server's greeting, or for TLS under
    /// [`Security::Wrapper`](crate::Security::Wrapper).
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            reader: ReplyReader::new(config.limits.reply.clone()),
            session: Session::new(config),
        }
    }

    /// Queues a message.
    ///
    /// Allowed at any time, even before the greeting, and any number of times. Each message gets
    /// exactly one [`Event::Report`].
    pub fn enqueue(&mut self, envelope: Envelope, body: impl Into<BodySource>) -> TransactionId {
        let body = body.into();
        let session = &mut self.session;
        let refused = match session.dialogue.config.check(&body) {
            Err(why) => Some(ErrorKind::Unsendable(why)),
            Ok(()) => session.is_over().then_some(ErrorKind::SessionOver),
        };
        let refused = refused.map(|kind| Error::new(Stage::Mail, kind));
        let id = session.requests.add_message(envelope, body, refused);
        session.pump();
        id
    }

    /// Queues a command that is not part of a message (`VRFY`, `NOOP`, …), after everything
    /// already queued.
    ///
    /// Allowed at any time, even before the greeting. Each command gets exactly one
    /// [`Event::Reply`]; a negative reply counts as a reply.
    ///
    /// If the server offers PIPELINING, the command is sent together with what is queued before
    /// it. What is queued after it waits for its reply (RFC 2920 §3.1).
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use bytes::Buf;
    /// use postwire_proto::{
    ///     Client, ClientConfig, Command, Endpoint, Event, HelloName, Instant, Security,
    /// };
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = ClientConfig::new(HelloName::localhost(), Security::None);
    /// let mut client = Client::new(Arc::new(config));
    /// let asked = client.command(Command::vrfy("alice")?);
    /// for words in ["220 mx\r\n", "250 mx\r\n", "252 2.5.0 try it\r\n"] {
    ///     client.handle_input(Instant::EPOCH, words.as_bytes());
    ///     let mut output = client.output();
    ///     output.advance(output.remaining());
    /// }
    /// let answer = std::iter::from_fn(|| client.poll_event()).find_map(|event| match event {
    ///     Event::Reply(id, answer) if id == asked => Some(answer),
    ///     _ => None,
    /// });
    /// assert_eq!(answer.ok_or("none")??.code().get(), 252);
    /// # Ok(())
    /// # }
    /// ```
    pub fn command(&mut self, command: Command) -> CommandId {
        let id = self.session.add_command(command);
        self.session.pump();
        id
    }

    /// Passes the next piece of a streamed body. An empty piece is ignored.
    ///
    /// # Errors
    ///
    /// - [`Misuse::NoSuchTransaction`] if the message has its report already, or `id` was never
    ///   given out.
    /// - [`Misuse::NotStreaming`] if the body is not a stream, is complete, or is no longer
    ///   needed.
    pub fn body_chunk(&mut self, id: TransactionId, chunk: Bytes) -> Result<(), Misuse> {
        let source = self.open_source(id)?;
        source.asked = false;
        if !chunk.is_empty() {
            source.chunks.push_back(chunk);
        }
        self.session.pump();
        Ok(())
    }

    /// Marks a streamed body as complete.
    ///
    /// # Errors
    ///
    /// - [`Misuse::NoSuchTransaction`] if the message has its report already, or `id` was never
    ///   given out.
    /// - [`Misuse::NotStreaming`] if the body is not a stream, is complete already, or is no
    ///   longer needed.
    pub fn body_end(&mut self, id: TransactionId) -> Result<(), Misuse> {
        self.open_source(id)?.ended = true;
        self.session.pump();
        Ok(())
    }

    /// Reports that the source of a streamed body failed; the message is not sent.
    ///
    /// If part of the content was already written after `DATA`, the session ends: otherwise the
    /// server would accept the part as the whole message.
    ///
    /// # Errors
    ///
    /// - [`Misuse::NoSuchTransaction`] if the message has its report already, or `id` was never
    ///   given out.
    /// - [`Misuse::NotStreaming`] if the body is not a stream, is complete, or is no longer
    ///   needed.
    pub fn body_failed(&mut self, id: TransactionId, error: TransportError) -> Result<(), Misuse> {
        self.open_source(id)?;
        let kind = ErrorKind::Source(error);
        let error = Error::new(Stage::Body, kind);
        let session = &mut self.session;
        if session.requests.message_mut(id).is_some() {
            session.requests.refuse(id, error);
        } else if let Some(pipeline) = session.phase.pipeline_mut()
            && let Some(error) = pipeline.source_failed(error)
        {
            session.finish(Ending::ForOneMessage(error));
        }
        session.pump();
        Ok(())
    }

    /// The source of a streamed body that still takes content.
    fn open_source(&mut self, id: TransactionId) -> Result<&mut Source, Misuse> {
        let Session {
            phase, requests, ..
        } = &mut self.session;
        if requests.is_refused(id) {
            return Err(Misuse::NotStreaming);
        }
        let message = match requests.message_mut(id) {
            Some(message) => Some(message),
            None => match phase.pipeline_mut() {
                Some(pipeline) => pipeline.message_mut(id)?,
                None => None,
            },
        };
        let message = message.ok_or(Misuse::NoSuchTransaction)?;
        if !message.body.is_stream() || message.source.ended {
            return Err(Misuse::NotStreaming);
        }
        Ok(&mut message.source)
    }

    /// Sets the random octets for the mechanisms that need them (SCRAM): at least 16, generated
    /// for this session alone.
    ///
    /// Without a nonce the session does not use these mechanisms. Call this method before the
    /// session receives the reply to `EHLO`; later it has no effect.
    pub fn set_nonce(&mut self, nonce: &[u8]) {
        if let Phase::Opening(opening) = &mut self.session.phase {
            opening.login.nonce = nonce.to_vec();
        }
    }

    /// Sets the local IP address of the connection, which `EHLO` uses if the client has no name
    /// ([`ClientConfig::without_hello_name`]).
    ///
    /// Call this method before the session receives the greeting; later it has no effect.
    pub fn set_local_address(&mut self, address: IpAddr) {
        if let Phase::Opening(opening) = &mut self.session.phase {
            // For the server, an IPv4-mapped address is IPv4 (RFC 4291 §2.5.5.2).
            opening.local_name = Some(HelloName::from(address.to_canonical()));
        }
    }

    /// Passes the credentials that [`Event::CredentialsWanted`] asks for.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoCredentialsWanted`] if the session does not wait for credentials.
    pub fn credentials(&mut self, credentials: Credentials) -> Result<(), Misuse> {
        self.log_in(Ok(credentials))
    }

    /// Reports that the program has no credentials for [`Event::CredentialsWanted`].
    ///
    /// The session ends with `QUIT` and sends no message.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoCredentialsWanted`] if the session does not wait for credentials.
    pub fn credentials_failed(&mut self, error: TransportError) -> Result<(), Misuse> {
        let kind = ErrorKind::Credentials(error);
        self.log_in(Err(Error::new(Stage::Auth, kind)))
    }

    fn log_in(&mut self, credentials: Result<Credentials, Error>) -> Result<(), Misuse> {
        if !self.session.log_in(credentials) {
            return Err(Misuse::NoCredentialsWanted);
        }
        self.session.pump();
        Ok(())
    }

    /// Ends the session with `QUIT` after everything that is queued. Messages and commands added
    /// later are not sent.
    pub fn quit(&mut self) {
        self.session.requests.quit_wanted = true;
        self.session.pump();
    }

    /// Ends the session at once, without `QUIT`. Every message without a verdict gets one.
    pub fn abort(&mut self) {
        self.session.end(ErrorKind::Aborted);
    }

    /// Reports that the TLS handshake is complete, and continues the session under TLS.
    ///
    /// The session discards everything that the server said before the handshake
    /// (RFC 3207 §4.2).
    ///
    /// # Errors
    ///
    /// [`Misuse::NoHandshake`] if the session does not wait for a handshake.
    pub fn handle_tls_established(&mut self, now: Instant, info: TlsInfo) -> Result<(), Misuse> {
        if !self.is_awaiting_tls() {
            return Err(Misuse::NoHandshake);
        }
        self.reader.reset();
        self.session.tls_established(info);
        self.session.pump();
        self.advance_clock(now);
        Ok(())
    }

    /// The beginning of what the server sent, as an error may quote it: escaped, and without the secrets
    /// of this session. For a TLS layer.
    pub fn quoted(&self, octets: &[u8]) -> String {
        self.session.dialogue.redaction.shown(octets)
    }

    /// Reports that the TLS handshake failed, or that TLS failed later, and ends the session.
    pub fn handle_tls_failed(&mut self, now: Instant, error: TransportError) {
        let error = Error::new(Stage::Tls, ErrorKind::Tls(error));
        self.session.finish(Ending::AtOnce(error));
        self.advance_clock(now);
    }

    /// Whether the session waits for the TLS handshake. [`Event::StartTls`] was reported or is
    /// next to be polled.
    pub fn is_awaiting_tls(&self) -> bool {
        self.session.is_handshake_due() && self.session.failing.is_none()
    }

    /// The octets to encrypt: [`Endpoint::output`] for a TLS layer.
    ///
    /// `advance` removes octets without handing them over. They count as handed over when the
    /// layer calls [`handle_handed_over`](Self::handle_handed_over), which it does when the
    /// driver takes the last octet of the record that contains them. A layer may use `output`
    /// instead, but then a message is in doubt, and a write counts as done, as soon as the
    /// octets are encrypted.
    ///
    /// When the session is over, the layer must drop the records that it has encrypted and not
    /// handed over: the session reports their messages as not sent.
    pub fn output_for_tls(&mut self) -> impl Buf + Send {
        self.session.pump();
        Output::for_tls(&mut self.session.dialogue.output)
    }

    /// Reports that `octets` more of the octets from [`output_for_tls`](Self::output_for_tls) are
    /// handed over to the driver.
    pub fn handle_handed_over(&mut self, octets: usize) {
        self.session.dialogue.output.hand_over(octets);
    }

    /// Reports the progress of writing below a TLS layer: `progress` more encrypted octets are
    /// written, and `waits` says whether more of them wait.
    ///
    /// Progress restarts the write deadline, even if the record is not complete.
    pub fn handle_tls_progress(&mut self, progress: usize, waits: bool) {
        self.session
            .dialogue
            .output
            .mark_tls(progress as u64, waits);
    }

    /// Reports plaintext that arrived where the TLS handshake was due, and ends the session with
    /// a [`StartTlsInjection`](crate::Violation::StartTlsInjection).
    ///
    /// The error quotes the beginning of the line. Call this method again with the rest of the
    /// line if it arrives in pieces; the session ends when the line ends or a deadline passes.
    pub fn handle_starttls_injection(&mut self, now: Instant, injected: &[u8]) {
        self.session.injected(injected);
        self.advance_clock(now);
    }

    /// The server's capabilities. `None` before the reply to `EHLO`, and between STARTTLS and the
    /// reply to the second `EHLO`.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.session.dialogue.learnt.capabilities.as_deref()
    }

    /// The server's greeting. `None` before it arrives, and from STARTTLS on.
    pub fn greeting(&self) -> Option<&Reply> {
        self.session.dialogue.learnt.greeting.as_ref()
    }

    /// Facts about the TLS session, once the handshake is complete.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.session.dialogue.learnt.tls.as_ref()
    }

    /// Whether `AUTH` succeeded.
    pub fn is_authenticated(&self) -> bool {
        self.session.dialogue.learnt.mechanism.is_some()
    }

    /// The mechanism that authenticated the client, once `AUTH` succeeded.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.session.dialogue.learnt.mechanism
    }

    /// The error because of which the session ends, while `QUIT` is sent and the session waits
    /// for its reply only.
    pub fn failure(&self) -> Option<&Error> {
        match &self.session.phase {
            Phase::Leaving(leaving) => leaving.why.as_ref(),
            _ => None,
        }
    }

    /// Whether the opening is complete and the session is not ending. Messages may be under way.
    pub fn is_ready(&self) -> bool {
        matches!(self.session.phase, Phase::Ready(_)) && self.session.failing.is_none()
    }

    /// Releases the memory that only a session with several messages under way needs. Memory for
    /// one message is kept.
    ///
    /// For a pool of idle sessions. If a driver waits for the deadlines of the session, the session
    /// releases the memory of a large flight itself after an idle second.
    pub fn release_memory(&mut self) {
        self.session.release_memory();
    }

    fn advance_clock(&mut self, now: Instant) {
        self.session.advance_clock(now, self.reader.partial_reply());
    }

    /// Whether the session is ready and nothing is under way, so that a pool may keep it.
    pub fn is_idle(&self) -> bool {
        self.is_ready()
            && self.session.is_nothing_asked()
            && self.session.dialogue.is_nothing_awaited()
            && self.session.dialogue.output.pending() == 0
            && !self.reader.is_within_reply()
    }
}

impl Endpoint for Client {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, mut input: &[u8]) {
        let Self { reader, session } = self;
        while !input.is_empty() && !matches!(session.phase, Phase::Closed) {
            if session.is_handshake_due() {
                session.injected(input);
                break;
            }
            match reader.read(&mut input) {
                Ok(Some(reply)) => session.handle_reply(reply),
                Ok(None) => break,
                Err(error) => {
                    session.on_malformed_line(error, reader.quote(), reader.is_quote_complete());
                    break;
                }
            }
            session.pump();
        }
        self.advance_clock(now);
    }

    fn handle_eof(&mut self, now: Instant) {
        self.session
            .end_quoting_partial_reply(ErrorKind::ConnectionClosed, self.reader.partial_reply());
        self.advance_clock(now);
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.session
            .end_quoting_partial_reply(ErrorKind::Transport(error), self.reader.partial_reply());
        self.advance_clock(now);
    }

    fn output(&mut self) -> impl Buf + Send {
        self.session.pump();
        Output::direct(&mut self.session.dialogue.output)
    }

    fn output_chunk(&mut self) -> &[u8] {
        self.session.pump();
        self.session.dialogue.output.first_chunk()
    }

    fn advance_output(&mut self, octets: usize) {
        Output::direct(&mut self.session.dialogue.output).advance(octets);
    }

    fn next_chunk(&mut self, most: usize) -> Bytes {
        self.session.pump();
        let mut output = Output::direct(&mut self.session.dialogue.output);
        let octets = output.chunk().len().min(most);
        output.copy_to_bytes(octets)
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.session.dialogue.output.mark_written(octets);
        self.advance_clock(now);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.session.dialogue.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.current_timers().next()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
    }

    fn is_closed(&self) -> bool {
        matches!(self.session.phase, Phase::Closed)
    }

    fn is_idle(&self) -> bool {
        Client::is_idle(self)
    }
}
