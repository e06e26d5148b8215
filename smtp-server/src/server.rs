//! The public face of a server session.
//!
//! Knows what waits to be read and hands it to [`Session`]. Must never know what a command means.

use alloc::sync::Arc;
use core::fmt;

use bytes::Buf;
use postwire_proto::{Endpoint, Instant, Reply, Secret, TlsInfo, TransportError};

use crate::answer;
use crate::config::ServerConfig;
use crate::event::{ServerEvent, ServerMisuse, ServerViolation};
use crate::line::Waiting;
use crate::output::ReplyOutput;
use crate::session::Session;

#[cfg(test)]
mod tests;

/// An SMTP or LMTP server session, without a socket.
///
/// Bytes and the time move as with every [`Endpoint`]. Whoever is to be let in
/// is asked with a [`ServerEvent`]; until it is [answered](Self::respond) no
/// further command is read, so that what a client has pipelined waits.
///
/// It is strict where attacks live: a command ends in CRLF and the content in
/// CRLF "." CRLF only; content with a CR or LF by itself is refused; a bare LF in
/// a command, a `BDAT` of unknown size and bytes behind STARTTLS end the session.
///
/// Memory is bounded by [`ServerConfig::size`] for content, by
/// [`ServerConfig::max_waiting_input`] (or the longest piece given at once) for
/// input that waits, and by 1 MiB for replies that nobody reads.
///
/// ```
/// use std::sync::Arc;
///
/// use bytes::Buf;
/// use postwire_proto::{Endpoint, HelloName, Instant};
/// use postwire_server::{Server, ServerConfig, ServerEvent};
///
/// let config = ServerConfig::new(HelloName::localhost());
/// let mut server = Server::new(Arc::new(config));
/// server.handle_input(Instant::EPOCH, b"HELO me\r\nMAIL FROM:<a@b.example>\r\n");
/// let Some(ServerEvent::MailFrom { reverse_path, .. }) = server.poll_event() else {
///     panic!("asked about the sender");
/// };
/// assert_eq!(reverse_path.as_ref().map(|path| path.domain()), Some("b.example"));
/// server.accept()?;
///
/// let mut output = server.output();
/// let octets = output.copy_to_bytes(output.remaining());
/// let replies = "220 [127.0.0.1] ESMTP postwire\r\n\
///     250 [127.0.0.1] greets me\r\n\
///     250 2.1.0 sender ok\r\n";
/// assert_eq!(octets, replies);
/// # Ok::<(), postwire_server::ServerMisuse>(())
/// ```
pub struct Server {
    session: Session,
    waiting: Waiting,
    /// The client closed its side. What it has said before still counts.
    at_eof: bool,
}

impl Server {
    /// A session with a client that has just connected, greeted at once.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self::from_session(Session::greeting(config, None))
    }

    /// A session in which TLS already stands (RFC 8314 §3), greeted at once.
    pub fn new_tls(config: Arc<ServerConfig>, info: TlsInfo) -> Self {
        Self::from_session(Session::greeting(config, Some(info)))
    }

    /// A session that begins with TLS: its first event is
    /// [`ServerEvent::StartTls`], and the greeting follows
    /// [`handle_tls_established`](Self::handle_tls_established).
    pub fn wrapped(config: Arc<ServerConfig>) -> Self {
        Self::from_session(Session::wrapped(config))
    }

    fn from_session(session: Session) -> Self {
        Self {
            session,
            waiting: Waiting::default(),
            at_eof: false,
        }
    }

    /// TLS stands: goes on under its protection. What was learnt before is
    /// forgotten (RFC 3207 §4.2).
    ///
    /// # Errors
    ///
    /// Nobody asked for TLS. A session that has ended meanwhile is no error.
    pub fn handle_tls_established(
        &mut self,
        now: Instant,
        info: TlsInfo,
    ) -> Result<(), ServerMisuse> {
        self.session.tell_time(now);
        self.session.tls_established(info)
    }

    /// Whether TLS is to be established now: [`ServerEvent::StartTls`] was or
    /// will be reported. Any input that comes here until then counts as injected
    /// plaintext.
    pub fn is_awaiting_tls(&self) -> bool {
        self.session.is_awaiting_tls()
    }

    /// The TLS session, once it stands.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.session.tls()
    }

    /// Whether a question is open. A driver that cannot have it answered at once
    /// should read no more until it is.
    pub fn is_awaiting_answer(&self) -> bool {
        self.session.is_awaiting_answer()
    }

    /// Answers the open question with this reply: 2xx (3xx to
    /// [`ServerEvent::Data`]) is yes, 4xx and 5xx are no, and `421` ends the
    /// session as well. It is sent as it is.
    ///
    /// After the session has ended an answer is taken, and nothing comes of it.
    ///
    /// # Errors
    ///
    /// No question is open, or this reply does not answer it.
    pub fn respond(&mut self, reply: Reply) -> Result<(), ServerMisuse> {
        self.answer(Some(reply))
    }

    /// Gives random octets, 16 or more and fresh for this session, for the mechanisms
    /// that need them (SCRAM, CRAM-MD5); without them those are not offered. To be given
    /// before the client greets.
    pub fn set_nonce(&mut self, nonce: &[u8]) {
        self.session.nonce = nonce.to_vec();
    }

    /// Answers [`ServerEvent::PasswordWanted`] with the user's password; whether the
    /// client has it as well is then seen.
    ///
    /// # Errors
    ///
    /// No such question is open.
    pub fn password(&mut self, password: &Secret) -> Result<(), ServerMisuse> {
        self.session.answer_password(password)?;
        self.read_waiting();
        self.session.restart_clock();
        Ok(())
    }

    /// Answers the open question with yes, in the server's own words.
    ///
    /// # Errors
    ///
    /// No question is open.
    pub fn accept(&mut self) -> Result<(), ServerMisuse> {
        self.answer(None)
    }

    fn answer(&mut self, reply: Option<Reply>) -> Result<(), ServerMisuse> {
        self.session.answer(reply)?;
        self.read_waiting();
        self.session.restart_clock();
        Ok(())
    }

    fn read_waiting(&mut self) {
        let mut rest = self.waiting.as_slice();
        self.session.read(&mut rest);
        let left = rest.len();
        self.waiting.retain_last(left);
        if self.at_eof && !self.session.is_awaiting_answer() {
            self.session.close(Some(ServerViolation::ConnectionClosed));
        }
    }
}

impl Endpoint for Server {
    type Event = ServerEvent;

    fn handle_input(&mut self, now: Instant, input: &[u8]) {
        self.session.tell_time(now);
        let limit = self.session.config.max_waiting_input;
        let waiting = self.waiting.as_slice().len();
        // What came in one piece with the command that is asked about was at
        // hand anyway: how input is cut must make no difference.
        if self.session.is_awaiting_answer() && waiting.saturating_add(input.len()) > limit {
            let violation = ServerViolation::TooMuchInput { limit };
            self.session.expel(answer::TOO_MUCH_INPUT, violation);
            self.waiting.retain_last(0);
        } else if waiting == 0 {
            let mut rest = input;
            self.session.read(&mut rest);
            self.waiting.append(rest);
        } else {
            self.waiting.append(input);
            self.read_waiting();
        }
    }

    fn handle_eof(&mut self, now: Instant) {
        self.session.tell_time(now);
        self.at_eof = true;
        self.read_waiting();
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.session.tell_time(now);
        self.session.close(Some(ServerViolation::Transport(error)));
    }

    fn output(&mut self) -> impl Buf + Send {
        ReplyOutput(&mut self.session.replies)
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.session.tell_time(now);
        self.session.replies.mark_written(octets);
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.session.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.tell_time(now);
        self.session.check_deadline();
    }

    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }
}

/// Shows neither the input that waits nor who authenticated.
impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("awaiting_answer", &self.is_awaiting_answer())
            .field("awaiting_tls", &self.is_awaiting_tls())
            .field("closed", &self.is_closed())
            .field("tls", &self.tls())
            .finish_non_exhaustive()
    }
}
