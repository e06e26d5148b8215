//! The public interface of a server session.
//!
//! Knows the input that waits and passes it to [`Session`]. Must never know what a command
//! means.

use alloc::sync::Arc;
use core::fmt;

use bytes::Buf;
use postwire_proto::{Endpoint, Instant, Reply, Secret, TlsInfo, TransportError};

use crate::config::ServerConfig;
use crate::default_reply;
use crate::event::{ServerEvent, ServerMisuse, ServerViolation};
use crate::line::WaitingInput;
use crate::output::ReplyOutput;
use crate::session::Session;

#[cfg(test)]
mod tests;

/// An SMTP or LMTP server session, without a socket.
///
/// Bytes and the time are passed as with every [`Endpoint`]. The session asks the application
/// with a [`ServerEvent`] for each decision; until the question is [answered](Self::respond) it
/// reads no further command, so pipelined input waits.
///
/// It is strict where attacks happen: a command ends only in CRLF, and the content only in CRLF
/// "." CRLF; content with a lone CR or LF is refused; a bare LF in a command, a `BDAT` of
/// unknown size and bytes after STARTTLS end the session.
///
/// Memory is bounded by [`ServerConfig::size`] for content, by
/// [`ServerConfig::max_waiting_input`] (or the longest single input) for input that waits, and
/// by 1 MiB for replies that the client does not read.
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
    waiting: WaitingInput,
    /// The client closed its side. Input that arrived before still counts.
    at_eof: bool,
}

impl Server {
    /// Creates a session with a client that has just connected, and greets it at once.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self::from_session(Session::greeting(config, None))
    }

    /// Creates a session in which TLS is already established (RFC 8314 §3), and greets at once.
    pub fn new_tls(config: Arc<ServerConfig>, info: TlsInfo) -> Self {
        Self::from_session(Session::greeting(config, Some(info)))
    }

    /// Creates a session that begins with the TLS handshake: its first event is
    /// [`ServerEvent::StartTls`], and the greeting follows
    /// [`handle_tls_established`](Self::handle_tls_established).
    pub fn wrapped(config: Arc<ServerConfig>) -> Self {
        Self::from_session(Session::wrapped(config))
    }

    fn from_session(session: Session) -> Self {
        Self {
            session,
            waiting: WaitingInput::default(),
            at_eof: false,
        }
    }

    /// Continues the session under TLS, after the handshake is complete. Everything that was
    /// learnt before is discarded (RFC 3207 §4.2).
    ///
    /// # Errors
    ///
    /// Returns [`ServerMisuse::NoHandshake`] if the session did not ask for TLS. If the session
    /// ended meanwhile, this is not an error.
    pub fn handle_tls_established(
        &mut self,
        now: Instant,
        info: TlsInfo,
    ) -> Result<(), ServerMisuse> {
        self.session.advance_clock(now);
        self.session.tls_established(info)
    }

    /// Whether TLS is to be established now: [`ServerEvent::StartTls`] was or will be reported.
    /// Input passed to the session before the handshake is complete counts as injected
    /// plaintext.
    pub fn is_awaiting_tls(&self) -> bool {
        self.session.is_awaiting_tls()
    }

    /// The TLS session, once it is established.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.session.tls()
    }

    /// Whether a question is open. A driver that cannot answer it at once should not read until
    /// it is answered.
    pub fn is_awaiting_answer(&self) -> bool {
        self.session.is_awaiting_answer()
    }

    /// Answers the open question with this reply, which is sent unchanged: 2xx (3xx for
    /// [`ServerEvent::Data`]) accepts, 4xx and 5xx refuse, and `421` also ends the session.
    ///
    /// After the session has ended an answer is accepted and ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if no question is open, or if this reply does not answer it.
    pub fn respond(&mut self, reply: Reply) -> Result<(), ServerMisuse> {
        self.answer(Some(reply))
    }

    /// Ends the session with `421`, because the server ends (RFC 5321 §3.8). A message whose
    /// content is incomplete, or for which the application has not answered, is not accepted.
    pub fn shut_down(&mut self) {
        self.session.shut_down();
    }

    /// Sets random octets, at least 16 and fresh for this session, for the mechanisms that need
    /// them (SCRAM, CRAM-MD5). Without them these mechanisms are not offered. Call this before
    /// the client sends its first command.
    pub fn set_nonce(&mut self, nonce: &[u8]) {
        self.session.nonce = nonce.to_vec();
    }

    /// Answers [`ServerEvent::PasswordWanted`] with the user's password. The exchange then
    /// shows whether the client knows it too.
    ///
    /// # Errors
    ///
    /// Returns an error if no such question is open.
    pub fn password(&mut self, password: &Secret) -> Result<(), ServerMisuse> {
        self.session.answer_password(password)?;
        self.read_waiting();
        self.session.restart_idle_timer();
        Ok(())
    }

    /// Accepts the open question with the server's default reply.
    ///
    /// # Errors
    ///
    /// Returns an error if no question is open.
    pub fn accept(&mut self) -> Result<(), ServerMisuse> {
        self.answer(None)
    }

    fn answer(&mut self, reply: Option<Reply>) -> Result<(), ServerMisuse> {
        self.session.answer(reply)?;
        self.read_waiting();
        self.session.restart_idle_timer();
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
        self.session.advance_clock(now);
        let limit = self.session.config.max_waiting_input;
        let waiting = self.waiting.as_slice().len();
        // Input that arrived in one piece with the command in question is in memory already,
        // and the cut of the input must not change the result.
        if self.session.is_awaiting_answer() && waiting.saturating_add(input.len()) > limit {
            let violation = ServerViolation::TooMuchInput { limit };
            self.session
                .close_with_reply(default_reply::TOO_MUCH_INPUT, violation);
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
        self.session.advance_clock(now);
        self.at_eof = true;
        self.read_waiting();
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.session.advance_clock(now);
        self.session.close(Some(ServerViolation::Transport(error)));
    }

    fn output(&mut self) -> impl Buf + Send {
        ReplyOutput(&mut self.session.replies)
    }

    fn output_chunk(&mut self) -> &[u8] {
        self.session.replies.first_chunk()
    }

    fn advance_output(&mut self, octets: usize) {
        ReplyOutput(&mut self.session.replies).advance(octets);
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.session.advance_clock(now);
        self.session.replies.mark_written(octets);
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.session.next_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.advance_clock(now);
        self.session.check_deadline();
    }

    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }
}

/// Shows neither the waiting input nor the authenticated user.
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
