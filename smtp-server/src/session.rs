//! The session (RFC 5321 §3): what it waits for, and the effect of each line, octet and answer.
//!
//! The only place that changes state: everything that is read or answered produces the next
//! [`Phase`]. Reading ([`LineReader`], [`DotDecoder`]), deciding (`commands`, `delivery`,
//! `question`) and writing ([`Replies`]) are in other modules.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use postwire_proto::{Instant, Protocol, TlsInfo};

use crate::authentication::Dialogue;
use crate::command::HelloKind;
use crate::config::ServerConfig;
use crate::content::DotDecoder;
use crate::default_reply::{self, DefaultReply};
use crate::event::{ServerEvent, ServerMisuse, ServerViolation};
use crate::line::LineReader;
use crate::output::Replies;
use crate::question::Question;
use crate::transaction::Transaction;

/// The longest response within AUTH (RFC 4954 §4), with its CRLF.
const MAX_RESPONSE: usize = 12_288 + 2;

/// A client that leaves this many octets of replies unread does not read them at all.
const MAX_REPLIES: usize = 1024 * 1024;

/// The first octet of a TLS handshake, with which no command begins.
const TLS_RECORD: u8 = 0x16;

/// The number of events that may be unpolled before trace lines are dropped.
const MAX_TRACE: usize = 1_024;

pub(crate) struct Session {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) replies: Replies,
    pub(crate) events: VecDeque<ServerEvent>,
    pub(crate) phase: Phase,
    pub(crate) client: Client,
    /// Random octets from the driver; empty if there are none.
    pub(crate) nonce: Vec<u8>,
    lines: LineReader,
    now: Instant,
    /// The time since which the server waits for the client; unknown until the next call that
    /// passes the time.
    waiting_since: Option<Instant>,
}

/// What the session waits for.
#[derive(Debug)]
pub(crate) enum Phase {
    /// A command.
    Command(Option<Transaction>),
    /// A response within AUTH.
    Response(Dialogue),
    /// The content after `354`.
    Content(Transaction, Box<DotDecoder>),
    /// The octets of a chunk.
    Chunk(Chunk),
    /// The application's answer.
    AwaitingAnswer(Question),
    /// The end of the TLS handshake, which happens outside the session.
    Handshake { greeted: bool },
    /// Nothing: the session is over.
    Closed,
}

/// Whether there may be more input to process.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Step {
    Taken,
    Blocked,
}

/// The octets of a `BDAT` (RFC 3030 §2). They also follow a refused one.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) transaction: Option<Transaction>,
    pub(crate) remaining: u64,
    pub(crate) last: bool,
    pub(crate) refusal: Option<DefaultReply>,
}

/// The known facts about the client.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) hello: Option<(HelloKind, String)>,
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) user: Option<String>,
    /// The number of transactions that the client has begun.
    pub(crate) messages: u32,
}

impl Session {
    /// Creates a session that waits for TLS before it sends anything.
    pub(crate) fn wrapped(config: Arc<ServerConfig>) -> Self {
        let mut session = Self {
            replies: Replies::new(config.enhanced_status_codes, config.trace_replies),
            config,
            events: VecDeque::new(),
            phase: Phase::Handshake { greeted: false },
            client: Client::default(),
            nonce: Vec::new(),
            lines: LineReader::new(),
            now: Instant::EPOCH,
            waiting_since: None,
        };
        session.events.push_back(ServerEvent::StartTls);
        session
    }

    /// Creates a session that greets at once.
    pub(crate) fn greeting(config: Arc<ServerConfig>, tls: Option<TlsInfo>) -> Self {
        let mut session = Self::wrapped(config);
        session.events.clear();
        session.client.tls = tls;
        session.phase = session.begin();
        session
    }

    /// Greets the client, or asks whether to.
    fn begin(&mut self) -> Phase {
        if self.config.ask_at_opening {
            return self.ask(Question::Greeting, ServerEvent::Greeting);
        }
        self.greet();
        Phase::Command(None)
    }

    pub(crate) fn greet(&mut self) {
        let config = &self.config;
        let protocol = match config.protocol {
            Protocol::Smtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        };
        let line = format_args!("{} {protocol} {}", config.hostname, config.greeting);
        self.replies.write_lines(220, &[line]);
    }

    pub(crate) fn tls(&self) -> Option<&TlsInfo> {
        self.client.tls.as_ref()
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    pub(crate) fn is_awaiting_answer(&self) -> bool {
        matches!(self.phase, Phase::AwaitingAnswer(_))
    }

    pub(crate) fn is_awaiting_tls(&self) -> bool {
        matches!(self.phase, Phase::Handshake { .. })
    }

    /// RFC 3207 §4.2: everything learnt before TLS is discarded.
    pub(crate) fn tls_established(&mut self, info: TlsInfo) -> Result<(), ServerMisuse> {
        let greeted = match self.phase {
            Phase::Handshake { greeted } => greeted,
            Phase::Closed => return Ok(()),
            _ => return Err(ServerMisuse::NoHandshake),
        };
        self.client = Client {
            tls: Some(info),
            ..Client::default()
        };
        self.phase = if greeted {
            Phase::Command(None)
        } else {
            self.begin()
        };
        self.waiting_since = Some(self.now);
        Ok(())
    }

    /// Ends the session, once.
    pub(crate) fn close(&mut self, violation: Option<ServerViolation>) {
        if !self.is_closed() {
            self.phase = self.closed(violation);
        }
    }

    pub(crate) fn closed(&mut self, violation: Option<ServerViolation>) -> Phase {
        self.report(ServerEvent::Closed(violation));
        Phase::Closed
    }

    /// Queues an event, after the replies that were written before it.
    pub(crate) fn report(&mut self, event: ServerEvent) {
        while let Some(reply) = self.replies.next_traced() {
            if self.events.len() < MAX_TRACE {
                self.events.push_back(ServerEvent::Reply(reply));
            }
        }
        self.events.push_back(event);
    }

    pub(crate) fn next_event(&mut self) -> Option<ServerEvent> {
        let event = self.events.pop_front();
        event.or_else(|| self.replies.next_traced().map(ServerEvent::Reply))
    }

    /// Ends the session because the server ends.
    pub(crate) fn shut_down(&mut self) {
        if !self.is_closed() {
            if !self.is_awaiting_tls() {
                self.replies.write(default_reply::SHUTTING_DOWN);
            }
            self.phase = self.closed(None);
        }
    }

    /// Sends the reason and ends the session.
    pub(crate) fn close_with_reply(&mut self, reply: DefaultReply, violation: ServerViolation) {
        if !self.is_closed() {
            // A client that waits for TLS cannot read a reply.
            if !self.is_awaiting_tls() {
                self.replies.write(reply);
            }
            self.phase = self.closed(Some(violation));
        }
    }
}

/// Time limits.
impl Session {
    pub(crate) fn advance_clock(&mut self, now: Instant) {
        self.now = now;
        self.waiting_since.get_or_insert(now);
    }

    /// Records progress by the client: a whole line, or some content. A partial line does not
    /// count, since one octet now and then would keep a session open forever.
    fn on_progress(&mut self) {
        self.waiting_since = Some(self.now);
    }

    /// Restarts the client's time after an answer, which comes without a time: it counts from
    /// the next call that passes the time.
    pub(crate) fn restart_idle_timer(&mut self) {
        self.waiting_since = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            // The application must answer; but the client must read the replies sent before.
            Phase::AwaitingAnswer(_) if !self.replies.is_waiting() => None,
            _ => Some(match self.waiting_since {
                Some(since) => since + self.config.idle_timeout,
                None => Instant::EPOCH,
            }),
        }
    }

    pub(crate) fn check_deadline(&mut self) {
        if self.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.close_with_reply(default_reply::IDLE_TOO_LONG, ServerViolation::IdleTimeout);
        }
    }
}

/// Input.
impl Session {
    /// Processes as much of the front of `input` as possible now.
    pub(crate) fn read(&mut self, input: &mut &[u8]) {
        loop {
            if self.replies.pending() > MAX_REPLIES {
                self.close_with_reply(
                    default_reply::TOO_MUCH_INPUT,
                    ServerViolation::RepliesNotRead,
                );
            }
            let phase = core::mem::replace(&mut self.phase, Phase::Closed);
            let (phase, step) = self.step(phase, input);
            self.phase = phase;
            if step == Step::Blocked {
                return;
            }
        }
    }

    /// Processes one line or run of octets, if there is one.
    fn step(&mut self, phase: Phase, input: &mut &[u8]) -> (Phase, Step) {
        let phase = match phase {
            Phase::Command(_) if self.lines.is_at_start() && input.first() == Some(&TLS_RECORD) => {
                self.not_smtp(ServerViolation::TlsInPlaintext)
            }
            Phase::Command(transaction) => {
                let Some(line) = self.lines.read(input, self.config.max_line) else {
                    return (Phase::Command(transaction), Step::Blocked);
                };
                self.on_progress();
                self.command_line(transaction, line)
            }
            Phase::Response(dialogue) => {
                let Some(line) = self.lines.read(input, MAX_RESPONSE) else {
                    return (Phase::Response(dialogue), Step::Blocked);
                };
                self.on_progress();
                self.response_line(dialogue, line)
            }
            Phase::Chunk(chunk) if chunk.remaining == 0 => self.chunk_ended(chunk),
            Phase::Closed => {
                *input = &[];
                return (Phase::Closed, Step::Blocked);
            }
            Phase::AwaitingAnswer(question) => {
                return (Phase::AwaitingAnswer(question), Step::Blocked);
            }
            phase if input.is_empty() => return (phase, Step::Blocked),
            Phase::Content(transaction, mut decoder) => {
                self.on_progress();
                if decoder.read(input) {
                    self.content_ended(transaction, decoder.into_content())
                } else {
                    Phase::Content(transaction, decoder)
                }
            }
            Phase::Chunk(mut chunk) => {
                self.on_progress();
                chunk.read(&self.config, input);
                Phase::Chunk(chunk)
            }
            Phase::Handshake { .. } => self.closed(Some(ServerViolation::StartTlsInjection)),
        };
        (phase, Step::Taken)
    }

    pub(crate) fn trace(&mut self, line: &[u8]) {
        if self.config.trace && self.events.len() < MAX_TRACE {
            let line = Bytes::copy_from_slice(line);
            self.report(ServerEvent::Command(line));
        }
    }
}

impl Chunk {
    /// Reads octets of the chunk from the front of `input`.
    fn read(&mut self, config: &ServerConfig, input: &mut &[u8]) {
        let length = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let (octets, rest) = input.split_at(input.len().min(length));
        *input = rest;
        self.remaining -= octets.len() as u64;
        if let (None, Some(transaction)) = (self.refusal, &mut self.transaction) {
            transaction.append(config, octets);
        }
    }
}
