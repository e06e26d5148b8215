//! The session: greeting, EHLO, STARTTLS, AUTH, then one transaction after the
//! other, and how it ends (RFC 5321 §3, RFC 3207, RFC 4954).
//!
//! The one place that changes the session's state. The reader (`reader.rs`)
//! tells it what was answered, the writer (`writer.rs`) asks it what may be
//! written.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::authentication::Authentication;
use super::commands::Commands;
use super::conclusions::Conclusions;
use super::events::EventQueue;
use super::expectation::{Awaited, Expectation};
use super::limits::Used;
use super::open::OpenTransaction;
use super::output::OutputQueue;
use super::redaction::Redaction;
use super::timers::{Timer, Timers};
use super::trace::{Speaker, TraceLine};
use super::transaction::{Answer, Bdat, Progress, Transaction};
use crate::{
    Capabilities, ClientConfig, Credentials, Error, ErrorKind, Event, HelloName, Instant,
    Mechanism, Pipelining, Protocol, Reply, ReplyError, ReplyRef, Security, Stage, TlsInfo,
    Violation, command,
};

pub(crate) struct Session {
    pub(super) config: Arc<ClientConfig>,
    pub(super) state: State,
    pub(super) output: OutputQueue,
    pub(super) expectations: VecDeque<Expectation>,
    /// How many waits were ever over: for replies, handshakes and credentials.
    pub(super) waits_over: u64,
    pub(super) transactions: VecDeque<Transaction>,
    /// Only the oldest transaction is ever answered: they use this in turn.
    pub(super) spare_answers: Vec<Answer>,
    /// The position in `transactions` of the one being written.
    pub(super) writing: usize,
    pub(super) conclusions: Conclusions,
    /// What is asked beside sending.
    pub(super) commands: Commands,
    /// What was used of the limits that the server declares.
    pub(super) used: Used,
    pub(super) next_id: u64,
    /// The transaction that may be open at the server.
    pub(super) open: OpenTransaction,
    /// How far to run ahead: as configured, or less where the server did not bear it.
    pub(super) pipelining: Pipelining,
    /// What is known of the server's `BDAT`.
    pub(super) bdat: Bdat,
    /// A first `BDAT` was refused: nobody knows whether its octet was read.
    pub(super) needs_resync: bool,
    /// Octets of content in doubt as yet: written before their recipients were
    /// known, and not answered.
    pub(super) speculated: u64,
    /// The last reply to `RCPT` that was kept: those that equal it share it.
    pub(super) last_rcpt_reply: Option<Reply>,
    /// Since when there is nothing to do, if the time was told since.
    pub(super) idle_since: Option<Instant>,
    /// The session was idle for long, and the server was not heard since.
    pub(super) silent_after_idleness: bool,
    /// What the server says is no reply; the rest of its line is still to come.
    pub(super) garbled: Option<Garbled>,
    /// Why `EHLO` was refused.
    ehlo_refusal: Option<Reply>,
    pub(super) quit_wanted: bool,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) greeting: Option<Reply>,
    /// The address of this end, as `EHLO` says it.
    pub(super) local_name: Option<HelloName>,
    pub(super) tls: Option<TlsInfo>,
    /// The mechanism by which the client is authenticated.
    pub(super) mechanism: Option<Mechanism>,
    /// The server does not know this way of binding to TLS.
    pub(super) binding_failed: bool,
    /// Who logs in; the first are the configuration's.
    pub(super) credentials: Option<Credentials>,
    /// Whether others may still be asked for when these were refused.
    pub(super) renewable: bool,
    /// Random octets from outside; none if there are none.
    pub(super) nonce: Vec<u8>,
    pub(super) events: EventQueue,
    pub(super) timers: Timers,
    pub(super) redaction: Redaction,
}

/// Leaves out what the server said: it may have repeated a secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("transactions", &self.transactions.len())
            .field("expectations", &self.expectations.len())
            .field("timers", &self.timers)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) enum State {
    /// TLS is being established by whoever drives this.
    Handshake,
    /// Plaintext came where TLS was to begin: what it says, as far as it has come. The rest of
    /// that line is waited for, and nothing is written or believed any more.
    Injected(Vec<u8>),
    Greeting,
    Ehlo,
    StartTls,
    /// The program is asked who logs in.
    CredentialsWanted,
    Authenticating(Authentication),
    /// Messages may go out.
    Ready,
    /// `QUIT` was written; why, unless the caller wanted it.
    Leaving(Option<Error>),
    Closed,
}

/// How much of what broke the protocol is quoted.
const QUOTED: usize = 100;

/// Text that is no reply, shown as replies are.
pub(super) struct Garbled {
    error: ReplyError,
    quote: String,
}

impl Session {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        let redaction = Redaction::of(config.credentials.as_ref());
        let credentials = config.credentials.clone();
        let renewable = config.late_credentials;
        let mut session = Self {
            state: State::Greeting,
            output: OutputQueue::default(),
            expectations: VecDeque::new(),
            waits_over: 0,
            transactions: VecDeque::new(),
            spare_answers: Vec::new(),
            writing: 0,
            conclusions: Conclusions::default(),
            commands: Commands::default(),
            used: Used::default(),
            next_id: 0,
            open: OpenTransaction::default(),
            pipelining: config.pipelining,
            bdat: Bdat::default(),
            needs_resync: false,
            speculated: 0,
            last_rcpt_reply: None,
            idle_since: None,
            silent_after_idleness: false,
            garbled: None,
            ehlo_refusal: None,
            quit_wanted: false,
            capabilities: None,
            greeting: None,
            local_name: None,
            tls: None,
            mechanism: None,
            binding_failed: false,
            credentials,
            renewable,
            nonce: Vec::new(),
            events: EventQueue::default(),
            timers: Timers::default(),
            redaction,
            config,
        };
        if session.config.security == Security::Wrapper {
            session.begin_handshake();
        } else {
            session.expect(Awaited::Greeting);
        }
        session
    }

    // ---- greeting → EHLO → STARTTLS → AUTH → ready

    pub(super) fn greeted(&mut self, greeting: Reply) {
        self.greeting = Some(greeting);
        self.say_hello();
    }

    fn say_hello(&mut self) {
        self.state = State::Ehlo;
        let verb = match self.config.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let name = self.hello_name();
        self.write_command(Awaited::Ehlo, |out| command::ehlo(out, verb, &name));
    }

    fn hello_name(&self) -> HelloName {
        let name = self.config.hello_name.as_ref().or(self.local_name.as_ref());
        name.cloned().unwrap_or_else(HelloName::localhost)
    }

    pub(super) fn hello_refused(&mut self, reply: Reply) {
        let plaintext_may_go_on = self.tls.is_some() || self.config.security != Security::Required;
        // RFC 5321 §4.1.4: HELO is for servers that do not know EHLO, not for those that do
        // not want this client.
        if matches!(reply.code().get(), 500 | 501 | 502 | 504)
            && self.config.protocol == Protocol::Smtp
            && plaintext_may_go_on
        {
            self.ehlo_refusal = Some(reply);
            let name = self.hello_name();
            self.write_command(Awaited::Helo, |out| command::ehlo(out, "HELO", &name));
        } else {
            self.refuse(Stage::Ehlo, ErrorKind::Refused(reply));
        }
    }

    pub(super) fn helo_refused(&mut self, reply: Reply) {
        let before = self.ehlo_refusal.take();
        let before = before.map(|reply| alloc::format!("to EHLO: {reply}"));
        let error = Error::new(Stage::Ehlo, ErrorKind::Refused(reply));
        self.refuse_because(error.with_detail(before));
    }

    pub(super) fn hello_accepted(&mut self, capabilities: Capabilities) {
        let offered = capabilities.starttls();
        self.capabilities = Some(capabilities);
        match self.config.security {
            _ if self.tls.is_some() => self.authenticate(),
            Security::Required | Security::Opportunistic if offered => {
                self.state = State::StartTls;
                self.write_command(Awaited::StartTls, |out| {
                    out.extend_from_slice(b"STARTTLS\r\n");
                });
            }
            Security::Required => self.refuse(Stage::StartTls, ErrorKind::StartTlsNotOffered),
            _ => self.authenticate(),
        }
    }

    pub(super) fn starttls_accepted(&mut self) {
        // Everything learnt so far was said by nobody in particular.
        self.capabilities = None;
        self.greeting = None;
        self.begin_handshake();
    }

    pub(super) fn starttls_refused(&mut self, reply: Reply) {
        if self.config.security == Security::Opportunistic {
            self.authenticate();
        } else {
            self.refuse(Stage::StartTls, ErrorKind::Refused(reply));
        }
    }

    fn begin_handshake(&mut self) {
        self.state = State::Handshake;
        self.events.push_back(Event::StartTls);
    }

    pub(super) fn tls_established(&mut self, info: TlsInfo) {
        self.tls = Some(info);
        self.waits_over += 1;
        if self.config.security == Security::Wrapper {
            self.state = State::Greeting;
            self.expect(Awaited::Greeting);
        } else {
            self.say_hello();
        }
    }

    fn authenticate(&mut self) {
        match self.credentials {
            Some(_) => self.begin_authentication(0),
            None if self.config.late_credentials => self.want_credentials(None),
            None => self.become_ready(),
        }
    }

    pub(super) fn become_ready(&mut self) {
        self.state = State::Ready;
        self.events.push_back(Event::Ready);
    }

    // ---- what is written

    /// Writes a command and expects its reply.
    pub(super) fn write_command(&mut self, command: Awaited, write: impl FnOnce(&mut Vec<u8>)) {
        let written = self.output.write_text(write);
        if self.config.trace {
            let line = TraceLine::new(Speaker::Client, command::line(written));
            self.trace(line);
        }
        self.expect(command);
    }

    /// Expects a reply to what was written last.
    pub(super) fn expect(&mut self, command: Awaited) {
        let complete_at = self.output.queued();
        let sent_ahead = !self.expectations.is_empty();
        self.expectations.push_back(Expectation {
            command,
            complete_at,
            sent_ahead,
        });
    }

    pub(super) fn trace(&mut self, line: TraceLine) {
        if !self.config.trace {
            return;
        }
        self.events.trace(line, self.config.limits.trace_lines);
    }

    // ---- how it ends

    /// The session cannot go on, though the server keeps to the protocol: say
    /// goodbye. Nothing else is outstanding at such a point.
    pub(super) fn refuse(&mut self, stage: Stage, kind: ErrorKind) {
        self.refuse_because(Error::new(stage, kind));
    }

    pub(super) fn refuse_because(&mut self, error: Error) {
        self.report_all(&error, self.output.taken());
        self.write_quit(Some(error));
    }

    pub(super) fn write_quit(&mut self, why: Option<Error>) {
        self.state = State::Leaving(why);
        self.write_command(Awaited::Quit, |out| out.extend_from_slice(b"QUIT\r\n"));
    }

    /// Ends at once, where the server may have begun a reply: what came of it is said with
    /// the error.
    pub(super) fn end_midway(&mut self, kind: ErrorKind, begun: &[u8]) {
        let begun = begun.trim_ascii_end();
        if begun.is_empty() {
            return self.end(kind);
        }
        let quote = self.redaction.shown(begun);
        self.trace(TraceLine::new(Speaker::Server, quote.clone()));
        let error = self.error_at_end(kind).with_quote(quote);
        self.end_having(self.output.taken(), error);
    }

    /// Ends at once: nothing more is written or understood. Once every message
    /// has its verdict and `QUIT` is under way, nothing can go wrong any more.
    pub(super) fn end(&mut self, kind: ErrorKind) {
        if !matches!(kind, ErrorKind::Aborted) {
            if self.garbled.is_some() {
                return self.end_garbled();
            }
            if let State::Injected(said) = &mut self.state {
                let said = core::mem::take(said);
                return self.end_injected(&said);
            }
        }
        let error = self.error_at_end(kind);
        self.end_having(self.output.taken(), error);
    }

    fn error_at_end(&mut self, kind: ErrorKind) -> Error {
        let head = self.expectations.front();
        let at_helo = head.is_some_and(|head| head.command == Awaited::Helo);
        match self.ehlo_refusal.take_if(|_| at_helo) {
            // The end of a server that has refused EHLO.
            Some(refusal) if matches!(kind, ErrorKind::ConnectionClosed) => {
                Error::new(Stage::Ehlo, ErrorKind::Refused(refusal))
            }
            _ => Error::new(self.stage(), kind),
        }
    }

    /// The server says what is no reply, and perhaps more of that line: what it says is
    /// the same however it comes in pieces.
    pub(super) fn garble(&mut self, error: ReplyError, said: &[u8], is_whole: bool) {
        if self.garbled.is_none() {
            self.waits_over += 1;
        }
        let quote = self.redaction.shown(said);
        self.garbled = Some(Garbled { error, quote });
        if is_whole {
            self.end_garbled();
        }
    }

    fn end_garbled(&mut self) {
        let Some(Garbled { error, quote }) = self.garbled.take() else {
            return;
        };
        self.trace(TraceLine::new(Speaker::Server, quote.clone()));
        let kind = ErrorKind::Violation(Violation::Reply(error));
        let error = Error::new(self.stage(), kind).with_quote(quote);
        self.end_having(self.output.taken(), error);
    }

    /// Plaintext came where TLS was to begin: what is said of it is the same however it
    /// comes in pieces.
    pub(super) fn injected(&mut self, input: &[u8]) {
        let mut said = match &mut self.state {
            State::Injected(said) => core::mem::take(said),
            State::Handshake => {
                self.waits_over += 1;
                Vec::new()
            }
            _ => return,
        };
        let end = input.iter().position(|octet| *octet == b'\n');
        let line = &input[..end.unwrap_or(input.len())];
        said.extend_from_slice(&line[..line.len().min(QUOTED - said.len())]);
        if end.is_some() || said.len() == QUOTED {
            self.end_injected(&said);
        } else {
            self.state = State::Injected(said);
        }
    }

    fn end_injected(&mut self, said: &[u8]) {
        let quote = self.redaction.shown(said.trim_ascii_end());
        self.trace(TraceLine::new(Speaker::Server, quote.clone()));
        let kind = ErrorKind::Violation(Violation::StartTlsInjection);
        let error = Error::new(Stage::StartTls, kind).with_quote(quote);
        self.end_having(self.output.taken(), error);
    }

    /// Ends with a violation that only the server's own words explain.
    pub(super) fn end_quoting(&mut self, stage: Stage, violation: Violation, said: ReplyRef<'_>) {
        let said = said.as_bytes();
        let said = said.get(..QUOTED).unwrap_or(said).trim_ascii_end();
        let quote = self.redaction.shown(said);
        let error = Error::new(stage, ErrorKind::Violation(violation));
        self.end_having(self.output.taken(), error.with_quote(quote));
    }

    pub(super) fn end_at(&mut self, stage: Stage, kind: ErrorKind) {
        self.end_having(self.output.taken(), Error::new(stage, kind));
    }

    /// Ends with the server's own word that it does nothing more: what it was
    /// given and has not answered it has not taken.
    pub(super) fn end_refused(&mut self, reply: Reply) {
        let error = Error::new(self.stage(), ErrorKind::Refused(reply));
        self.end_having(0, error);
    }

    /// Ends at once, with so many octets that the server may have acted on.
    fn end_having(&mut self, taken: u64, error: Error) {
        match &mut self.state {
            State::Closed => {}
            State::Leaving(why) if self.transactions.is_empty() && self.commands.is_empty() => {
                let why = why.take();
                self.close(why);
            }
            _ => {
                self.report_all(&error, taken);
                self.close(Some(error));
            }
        }
    }

    /// Ends at once for the sake of one message, which has its verdict: the
    /// others have only lost their session.
    pub(super) fn end_because(&mut self, error: Error) {
        let over = Error::new(error.stage(), ErrorKind::SessionOver);
        self.report_all(&over, self.output.taken());
        self.close(Some(error));
    }

    pub(super) fn close(&mut self, error: Option<Error>) {
        self.state = State::Closed;
        self.output.discard();
        self.expectations.clear();
        self.events.push_back(Event::Closed(error));
    }

    /// Gives every message and command that has no verdict yet its own. The server may have
    /// acted on what lies before `taken` in the output.
    fn report_all(&mut self, error: &Error, taken: u64) {
        self.writing = 0;
        self.speculated = 0;
        for mut transaction in core::mem::take(&mut self.transactions) {
            transaction.refuse_what_is_due();
            let concluded = transaction.conclude_at_end(error, taken);
            self.conclude(concluded, false);
        }
        self.give_up_commands(error);
        self.timers.overall = Timer::Off;
    }

    // ---- where it is

    /// The stage that an error at this moment belongs to.
    pub(super) fn stage(&self) -> Stage {
        let in_content = matches!(
            self.transactions.get(self.writing),
            Some(Transaction {
                progress: Progress::Content(_),
                ..
            })
        );
        match (&self.state, self.expectations.front()) {
            (State::Handshake, _) => Stage::Tls,
            (State::Injected(_), _) => Stage::StartTls,
            (State::CredentialsWanted, _) => Stage::Auth,
            (_, Some(expectation)) => expectation.command.stage(),
            (State::Ready, None) if in_content => Stage::Body,
            (State::Leaving(_) | State::Closed, None) => Stage::Quit,
            _ => Stage::Mail,
        }
    }

    /// Whether the content of the oldest message is on its way out: begun, and
    /// not all taken.
    pub(super) fn front_is_midway(&self) -> bool {
        self.transactions.front().is_some_and(|front| {
            let taken = self.output.taken();
            let written = matches!(front.progress, Progress::Content(_));
            let unfinished = written || front.content_end.is_some_and(|end| end > taken);
            unfinished && front.content_begin.is_none_or(|begin| begin <= taken)
        })
    }

    pub(super) fn owned(&self, reply: ReplyRef<'_>) -> Reply {
        self.redaction.reply(reply)
    }
}
