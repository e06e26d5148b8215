//! The client: give it messages and the server's bytes, write what it puts out.
//!
//! ```text
//! greeting → EHLO (→ HELO on 5xx) → [STARTTLS → TLS → EHLO] → [AUTH] → ready ⇄ transactions → QUIT
//! transaction: MAIL → RCPT… → (DATA → content . | BDAT n LAST content) → verdict
//! ```
//!
//! Two cursors over one list of messages. The *writer* decides the next command
//! from what is queued and known and leaves an *expectation* for each; the
//! *reader* gives each reply to the expectation at the head. Pipelining is how
//! far the writer may run ahead of the reader, so there is one path with it and
//! without.

mod authentication;
mod commands;
mod conclusions;
mod deadlines;
mod events;
mod expectation;
mod limits;
mod open;
mod output;
mod part;
mod plan;
mod reader;
pub(crate) mod redaction;
mod session;
mod timers;
mod trace;
mod transaction;
mod verdict;
mod writer;

use alloc::sync::Arc;
use core::net::IpAddr;

use bytes::{Buf, Bytes};

pub use self::commands::CommandId;
pub use self::output::Output;
use self::session::{Session, State};
pub use self::trace::{Speaker, TraceLine};
use self::transaction::{Content, Progress, Transaction};
use crate::{
    BodySource, Capabilities, ClientConfig, Command, Credentials, Endpoint, Envelope, Error,
    ErrorKind, HelloName, Instant, Mechanism, Misuse, Reply, ReplyReader, Report, Stage, TlsInfo,
    TransactionId, TransportError,
};

/// What a client session reports to whoever drives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The verdict on a message: one for each [`Client::enqueue`], in order.
    Report(Report),
    /// The answer to a command beside sending, whatever it says; or why none came. One for
    /// each [`Client::command`], in order.
    Reply(CommandId, Result<Reply, Error>),
    /// Greeted, under TLS and authenticated as configured: messages go out.
    Ready,
    /// Establish TLS now, as the client, then call
    /// [`Client::handle_tls_established`]. Until then nothing is written, and
    /// input is a violation: give what comes to the TLS session.
    StartTls,
    /// Wants the credentials to log in with: [`Client::credentials`]. Asked if
    /// [`ClientConfig::late_credentials`] is on; with the error, if the server refused those
    /// that it was given last, and once only.
    CredentialsWanted(Option<Error>),
    /// Wants content of a streamed body: [`Client::body_chunk`].
    BodyWanted(TransactionId),
    /// A line of the dialogue, if [`ClientConfig::trace`] is on.
    Trace(TraceLine),
    /// The session is over, by `QUIT` or by this error. Close the connection.
    Closed(Option<Error>),
}

/// An SMTP or LMTP client session, without a socket.
///
/// See the [crate's page](crate) for the drive loop, and [`Endpoint`] for the
/// methods that move bytes and time.
#[derive(Debug)]
pub struct Client {
    reader: ReplyReader,
    session: Session,
}

impl Client {
    /// A session that waits for the server's greeting (or, under
    /// [`Security::Wrapper`](crate::Security::Wrapper), for TLS).
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            reader: ReplyReader::new(config.limits.reply.clone()),
            session: Session::new(config),
        }
    }

    /// Queues a message. Allowed at any time, also before the greeting; many may
    /// be queued. There will be exactly one [`Event::Report`] for it.
    pub fn enqueue(&mut self, envelope: Envelope, body: impl Into<BodySource>) -> TransactionId {
        let body = body.into();
        let session = &mut self.session;
        let id = TransactionId(session.next_id);
        session.next_id += 1;
        let unsendable = session.config.check(&envelope, &body).err();
        let over =
            session.quit_wanted || matches!(session.state, State::Leaving(_) | State::Closed);
        let refused = match unsendable {
            Some(why) => Some(ErrorKind::Unsendable(why)),
            None => over.then_some(ErrorKind::SessionOver),
        };
        let transaction = Transaction::new(id, envelope, body);
        session.transactions.push_back(transaction);
        if let Some(kind) = refused
            && let Some(transaction) = session.transactions.back_mut()
        {
            transaction.give_up(Error::new(Stage::Mail, kind));
        }
        session.pump();
        id
    }

    /// Queues a command beside sending, behind everything that is queued already. Allowed
    /// at any time, also before the greeting. There will be exactly one [`Event::Reply`] for
    /// it; a refusal is an answer as well.
    ///
    /// Where the server does PIPELINING it goes out in the flight of what stands before it,
    /// and what stands behind it waits for its answer (RFC 2920 §3.1).
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

    /// Gives the next piece of a streamed body. An empty one is ignored.
    pub fn body_chunk(&mut self, id: TransactionId, chunk: Bytes) -> Result<(), Misuse> {
        let stream = self.open_stream(id)?;
        stream.stream.asked = false;
        if !chunk.is_empty() {
            stream.stream.chunks.push_back(chunk);
        }
        self.session.pump();
        Ok(())
    }

    /// A streamed body is complete.
    pub fn body_end(&mut self, id: TransactionId) -> Result<(), Misuse> {
        self.open_stream(id)?.stream.ended = true;
        self.session.pump();
        Ok(())
    }

    /// The source of a streamed body failed: the message is not sent. Where
    /// content was written already after `DATA`, the session ends, since only
    /// that keeps the server from taking the part for the whole.
    pub fn body_failed(&mut self, id: TransactionId, error: TransportError) -> Result<(), Misuse> {
        let transaction = self.open_stream(id)?;
        let kind = ErrorKind::Source(error);
        let error = Error::new(Stage::Body, kind);
        match &transaction.progress {
            // Earlier messages may still await their verdict, and the server may
            // refuse this one: only its 354 leaves no other way out.
            Progress::AwaitingGoAhead => transaction.lose_source(error),
            Progress::Content(Content::Dotted { .. }) => {
                transaction.give_up(error.clone());
                self.session.end_because(error);
            }
            _ => {
                let begun = transaction.serial;
                transaction.give_up(error);
                if let Some(begun) = begun {
                    self.session.open.left(begun);
                }
            }
        }
        self.session.pump();
        Ok(())
    }

    fn open_stream(&mut self, id: TransactionId) -> Result<&mut Transaction, Misuse> {
        let transaction = self
            .session
            .transactions
            .iter_mut()
            .find(|transaction| transaction.id == id)
            .ok_or(Misuse::NoSuchTransaction)?;
        let done = matches!(transaction.progress, Progress::Done);
        if done || !transaction.body.is_stream() || transaction.stream.ended {
            return Err(Misuse::NotStreaming);
        }
        Ok(transaction)
    }

    /// Gives random octets, 16 or more and fresh for this session, for the mechanisms that need
    /// them (SCRAM). Without them those are not used. To be given before the server's answer to
    /// `EHLO` is.
    pub fn set_nonce(&mut self, nonce: &[u8]) {
        self.session.nonce = nonce.to_vec();
    }

    /// Tells the address of this end of the connection, for a client without a name
    /// ([`ClientConfig::unnamed`]). To be told before the greeting comes.
    pub fn set_local_address(&mut self, address: IpAddr) {
        // What is IPv4 in truth is so to the server (RFC 4291 §2.5.5.2).
        self.session.local_name = Some(HelloName::from(address.to_canonical()));
    }

    /// Gives the credentials that [`Event::CredentialsWanted`] asked for.
    pub fn credentials(&mut self, credentials: Credentials) -> Result<(), Misuse> {
        if !matches!(self.session.state, State::CredentialsWanted) {
            return Err(Misuse::NoCredentialsWanted);
        }
        self.session.log_in(credentials);
        self.session.pump();
        Ok(())
    }

    /// There are no credentials: the session ends politely, with nothing sent.
    pub fn credentials_failed(&mut self, error: TransportError) -> Result<(), Misuse> {
        if !matches!(self.session.state, State::CredentialsWanted) {
            return Err(Misuse::NoCredentialsWanted);
        }
        let kind = ErrorKind::Credentials(error);
        self.session.refuse(Stage::Auth, kind);
        self.session.pump();
        Ok(())
    }

    /// Leaves politely after everything that is queued. Messages given later are
    /// not sent.
    pub fn quit(&mut self) {
        self.session.quit_wanted = true;
        self.session.pump();
    }

    /// Ends at once, without a word to the server. Every message without a
    /// verdict gets one.
    pub fn abort(&mut self) {
        self.session.end(ErrorKind::Aborted);
    }

    /// TLS stands: goes on under its protection. Everything learnt before is
    /// forgotten.
    pub fn handle_tls_established(&mut self, now: Instant, info: TlsInfo) -> Result<(), Misuse> {
        if !matches!(self.session.state, State::Handshake) {
            return Err(Misuse::NoHandshake);
        }
        self.reader.reset();
        self.session.tls_established(info);
        self.session.pump();
        self.session.tell_time(now);
        Ok(())
    }

    /// The handshake failed, or TLS broke later: ends the session.
    pub fn handle_tls_failed(&mut self, now: Instant, error: TransportError) {
        self.session.end_at(Stage::Tls, ErrorKind::Tls(error));
        self.session.tell_time(now);
    }

    /// Whether TLS is to be established now: [`Event::StartTls`] was or will be
    /// reported.
    pub fn is_awaiting_tls(&self) -> bool {
        matches!(self.session.state, State::Handshake)
    }

    /// What is to be encrypted: [`Endpoint::output`] for a TLS layer.
    ///
    /// `advance` takes octets out without handing them over. They count as handed over
    /// once the layer says so with [`handle_handed_over`](Self::handle_handed_over): when
    /// the driver took the last octet of the record that holds them. A layer that uses
    /// `output` instead is right as well, but reports a message in doubt, and a write as
    /// done, as soon as it is encrypted.
    ///
    /// When the session is over, a layer drops what it has encrypted and not handed over:
    /// those messages are reported as not sent.
    pub fn output_for_tls(&mut self) -> impl Buf + Send {
        self.session.pump();
        Output::for_tls(&mut self.session.output)
    }

    /// So many more of the octets from [`output_for_tls`](Self::output_for_tls) are
    /// handed over to whoever writes.
    pub fn handle_handed_over(&mut self, octets: usize) {
        self.session.output.hand_over(octets);
    }

    /// How writing gets on below a TLS layer: `progress` more octets of its own were
    /// written, and whether some wait. Progress restarts the write deadline, though the
    /// record is not complete.
    pub fn handle_tls_progress(&mut self, progress: usize, waits: bool) {
        self.session.output.mark_tls(progress as u64, waits);
    }

    /// This came in plaintext where TLS was to begin: the session ends, with the beginning of
    /// that line in its error. Until the line ends, or a deadline does, more of it may be told.
    pub fn handle_starttls_injection(&mut self, now: Instant, said: &[u8]) {
        self.session.injected(said);
        self.session.tell_time(now);
    }

    /// What the server offers; none before `EHLO` was answered, or between
    /// STARTTLS and the second `EHLO`.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.session.capabilities.as_ref()
    }

    /// The server's greeting; forgotten when STARTTLS begins.
    pub fn greeting(&self) -> Option<&Reply> {
        self.session.greeting.as_ref()
    }

    /// The TLS session, once it stands.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.session.tls.as_ref()
    }

    /// Whether `AUTH` succeeded.
    pub fn is_authenticated(&self) -> bool {
        self.session.mechanism.is_some()
    }

    /// The mechanism by which the client is authenticated, once `AUTH` succeeded.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.session.mechanism
    }

    /// Why the session is being left, once that is certain: `QUIT` is on its way, and nothing
    /// but its reply is waited for.
    pub fn failure(&self) -> Option<&Error> {
        match &self.session.state {
            State::Leaving(why) => why.as_ref(),
            _ => None,
        }
    }

    /// Whether the session stands, with or without messages under way.
    pub fn is_ready(&self) -> bool {
        matches!(self.session.state, State::Ready)
    }

    /// Whether the session stands and nothing at all is under way: the moment to
    /// keep it for later.
    pub fn is_idle(&self) -> bool {
        self.is_ready()
            && self.session.transactions.is_empty()
            && self.session.commands.is_empty()
            && self.session.expectations.is_empty()
            && self.session.output.pending() == 0
            && self.session.garbled.is_none()
            && !self.reader.is_midway()
    }
}

impl Endpoint for Client {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, mut input: &[u8]) {
        let Self { reader, session } = self;
        while !input.is_empty() && !matches!(session.state, State::Closed) {
            if matches!(session.state, State::Handshake | State::Injected(_)) {
                session.injected(input);
                break;
            }
            match reader.read(&mut input) {
                Ok(Some(reply)) => session.handle_reply(reply),
                Ok(None) => break,
                Err(error) => {
                    session.garble(error, reader.quote(), reader.quote_is_whole());
                    break;
                }
            }
            session.pump();
        }
        session.tell_time(now);
    }

    fn handle_eof(&mut self, now: Instant) {
        self.session.end(ErrorKind::ConnectionClosed);
        self.session.tell_time(now);
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.session.end(ErrorKind::Transport(error));
        self.session.tell_time(now);
    }

    fn output(&mut self) -> impl Buf + Send {
        self.session.pump();
        Output::direct(&mut self.session.output)
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.session.output.mark_written(octets);
        self.session.tell_time(now);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.session.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.current_timers().next()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.tell_time(now);
    }

    fn is_closed(&self) -> bool {
        matches!(self.session.state, State::Closed)
    }
}
