//! A client session with a server that may send anything, at any time.
//!
//! ```text
//! input    = 8 octets of configuration (the last says how many messages are
//!            queued at first), an octet for each of these messages, and then the
//!            server's bytes and calls
//! call     = 0xFF and an octet, see `Run::call`; 0xFF 0xFF is an octet of the server's
//! ```
//!
//! Each line of the server is given to the client as soon as it is complete, after the client's
//! output is taken; calls change that.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_proto::{
    Client, ClientConfig, Command, Endpoint, Event, HelloName, Instant, LineEnds, Mechanism,
    Outcome, Pipelining, Protocol, Security, Timeouts, TlsInfo, TransactionId, TransportError,
};

use crate::input::Input;
use crate::messages::{self, Content};
use crate::plaintext::{self, Written};

/// The most octets that may wait to be written: a window, and the last addition to it.
const MAX_OUTPUT: usize = 256 * 1024 + 16 * 1024;

/// The number of messages that a run may queue.
const MAX_MESSAGES: usize = 24;

/// The client session, whatever its server sends and its program does.
pub fn client_session(octets: &[u8]) {
    let mut input = Input::new(octets);
    let setup = Setup::read(&mut input);
    let script = input.rest();
    let as_cut = Run::new(&setup).play(script, usize::MAX);
    let cut_finely = Run::new(&setup).play(script, 1);
    assert_eq!(as_cut, cut_finely, "the cuts made a difference");
}

/// The configuration, chosen by the first octets.
#[derive(Debug)]
struct Setup {
    config: Arc<ClientConfig>,
    with_credentials: bool,
    plaintext_auth: bool,
    first_messages: Vec<u8>,
    end: End,
}

/// How a session ends that is still open at the end of the script.
#[derive(Clone, Copy, Debug)]
enum End {
    Eof,
    Abort,
    Error,
    Time,
}

impl Setup {
    fn read(input: &mut Input<'_>) -> Self {
        let security = input.one_of([
            Security::None,
            Security::Opportunistic,
            Security::Required,
            Security::Wrapper,
        ]);
        let [pipelining, chunking, refuse_lone, lmtp] = input.flags();
        let [with_credentials, plaintext_auth, prefer_login, trace] = input.flags();
        let (ahead, speculation) = input.one_of([
            (Pipelining::Bold, 256 * 1024),
            (Pipelining::Bold, 0),
            (Pipelining::Bold, 20),
            (Pipelining::Careful, 0),
        ]);
        let outstanding = input.one_of([1_000, 1, 2, 5]);
        let (overall, late) = input.one_of([
            (None, false),
            (Some(Duration::from_secs(600)), false),
            (None, true),
            (Some(Duration::from_secs(600)), true),
        ]);
        let end = input.one_of([End::Eof, End::Abort, End::Error, End::Time]);
        let queued = input.one_of([1, 0, 2, 3, 8]);
        let first_messages = input.take(queued).collect();

        let mut limits = postwire_proto::Limits::default();
        limits.outstanding_replies = outstanding;
        limits.speculation = speculation;
        limits.trace_lines = 16;
        (limits.least_auth_iterations, limits.auth_iterations) = (1, 16);
        let timeouts = Timeouts::default().overall(overall);
        let mut config = ClientConfig::new(HelloName::localhost(), security)
            .pipelining(if pipelining { ahead } else { Pipelining::Off })
            .chunking(chunking)
            .allow_plaintext_auth(plaintext_auth)
            .limits(limits)
            .timeouts(timeouts)
            .trace(trace);
        if refuse_lone {
            config = config.line_ends(LineEnds::Refuse);
        }
        if lmtp {
            config = config.protocol(Protocol::Lmtp);
        }
        if late {
            config = config.late_credentials(true);
        } else if with_credentials {
            config = config.credentials(plaintext::credentials());
        }
        if prefer_login {
            config = config.mechanisms(vec![
                Mechanism::LOGIN,
                Mechanism::OAUTHBEARER,
                Mechanism::XOAUTH2,
                Mechanism::CRAM_MD5,
                Mechanism::EXTERNAL,
                Mechanism::ANONYMOUS,
                Mechanism::PLAIN,
            ]);
        }
        Self {
            config: Arc::new(config),
            with_credentials: with_credentials && !late,
            plaintext_auth,
            first_messages,
            end,
        }
    }
}

/// Everything that is visible of a run from outside.
#[derive(Debug, PartialEq)]
struct Observed {
    events: Vec<String>,
    written: Written,
}

struct Run<'a> {
    setup: &'a Setup,
    client: Client,
    now: Instant,
    /// The server's bytes that the client has not received yet.
    held: Vec<u8>,
    /// Give lines as soon as they are complete, and take output before each.
    by_line: bool,
    written: Written,
    events: Vec<String>,
    contents: Vec<Content>,
    /// The messages, as the client calls them.
    ids: Vec<TransactionId>,
    verdicts: Vec<Outcome>,
    /// The number of commands that were queued, and that were answered.
    asked: u64,
    answered: u64,
    /// The streamed body that the client asks content for.
    wanted: Option<TransactionId>,
    closed: bool,
    /// Everything that the server sent so far.
    received: Vec<u8>,
    /// Nothing that is shown may hold the secret.
    has_secret: bool,
}

impl<'a> Run<'a> {
    fn new(setup: &'a Setup) -> Self {
        let mut client = Client::new(Arc::clone(&setup.config));
        client.set_nonce(b"sixteen octets!!");
        Self {
            setup,
            client,
            now: Instant::EPOCH,
            held: Vec::new(),
            by_line: true,
            written: Written::default(),
            events: Vec::new(),
            contents: Vec::new(),
            ids: Vec::new(),
            verdicts: Vec::new(),
            asked: 0,
            answered: 0,
            wanted: None,
            closed: false,
            received: Vec::new(),
            has_secret: setup.with_credentials,
        }
    }

    fn play(mut self, script: &[u8], cut: usize) -> Observed {
        for choice in &self.setup.first_messages {
            self.send(*choice);
        }
        let mut script = Input::new(script);
        while let Some(octet) = script.next() {
            match octet {
                0xFF => match script.octet() {
                    0xFF => self.held.push(0xFF),
                    call => self.call(call, &mut script, cut),
                },
                octet => self.held.push(octet),
            }
            if octet == b'\n' && self.by_line {
                self.settle();
                self.give(cut);
            }
        }
        self.settle();
        self.give(cut);
        self.finish();
        self.check();
        Observed {
            events: self.events,
            written: self.written,
        }
    }

    /// An action of the program or its environment, at any moment.
    fn call(&mut self, call: u8, script: &mut Input<'_>, cut: usize) {
        match call {
            // The client receives the server's bytes so far.
            b'g' => self.give(cut),
            // From now on the client receives bytes only with `g`, or no longer so.
            b'l' => self.by_line = !self.by_line,
            // Take all output, or a part of it.
            b'w' => self.take(usize::MAX),
            b'b' => {
                let octets = usize::from(script.octet());
                self.take(octets);
            }
            b'p' => self.poll(),
            b't' => {
                let wait = script.one_of([1, 1_000, 60_000, 120_000, 299_999, 300_000, 600_001]);
                self.pass(self.now + Duration::from_millis(wait));
            }
            // The next deadline, and not a moment later.
            b'd' => {
                if let Some(deadline) = self.client.poll_timeout() {
                    self.pass(deadline.max(self.now));
                }
            }
            b'e' => self.client.handle_eof(self.now),
            b'x' => {
                let error: TransportError = Arc::new(std::fmt::Error);
                self.client.handle_transport_error(self.now, error);
            }
            b's' => self.establish_tls(),
            b'f' => {
                let error: TransportError = Arc::new(std::fmt::Error);
                self.client.handle_tls_failed(self.now, error);
            }
            b'i' => self
                .client
                .handle_starttls_injection(self.now, b"250 injected\r\n"),
            b'm' => {
                let choice = script.octet();
                self.send(choice);
            }
            b'o' => {
                let choice = script.octet();
                self.ask(choice);
            }
            b'q' => self.client.quit(),
            b'a' => self.client.abort(),
            // More of a streamed body, its end, or its failure.
            b'c' => {
                let octets = usize::from(script.octet()) * 16;
                self.feed(|client, id, content| {
                    let chunk = content.octets.iter().copied().cycle().take(octets);
                    client.body_chunk(id, chunk.collect::<Bytes>())
                });
            }
            // The same for any message, whether it is wanted or not.
            b'C' => {
                let id = self.any_message(script.octet());
                self.misuse(id, |client, id| {
                    client.body_chunk(id, Bytes::from_static(b"x"))
                });
            }
            b'N' => {
                let id = self.any_message(script.octet());
                self.misuse(id, Client::body_end);
            }
            b'K' => {
                let id = self.any_message(script.octet());
                self.misuse(id, |client, id| {
                    client.body_failed(id, Arc::new(std::fmt::Error))
                });
            }
            // Credentials that come late, or do not come; an error if none are wanted.
            b'u' => {
                if self.client.credentials(plaintext::credentials()).is_ok() {
                    // What the server said before is not a secret that it learnt.
                    self.has_secret = !plaintext::has_secret(&self.received);
                }
            }
            b'U' => drop(self.client.credentials_failed(Arc::new(std::fmt::Error))),
            // Reports of a driver, which may be wrong.
            b'h' => self.client.handle_handed_over(script.octet().into()),
            b'W' => {
                let octets = script.octet().into();
                self.client.handle_written(self.now, octets);
            }
            b'M' => self.client.release_memory(),
            b'X' => self.client.expire(),
            b'n' => self.feed(|client, id, _| client.body_end(id)),
            b'k' => self.feed(|client, id, _| client.body_failed(id, Arc::new(std::fmt::Error))),
            _ => self.settle(),
        }
        assert!(self.client.output().remaining() <= MAX_OUTPUT);
    }

    fn send(&mut self, choice: u8) {
        if self.contents.len() == MAX_MESSAGES {
            return;
        }
        let (envelope, content) = messages::message(choice, self.contents.len());
        let id = self.client.enqueue(envelope, content.body());
        assert_eq!(id.index(), self.contents.len() as u64);
        self.contents.push(content);
        self.ids.push(id);
    }

    fn ask(&mut self, choice: u8) {
        if self.asked >= MAX_MESSAGES as u64 {
            return;
        }
        let id = self.client.command(messages::command(choice));
        assert_eq!(id.index(), self.asked);
        self.asked += 1;
    }

    fn feed<M>(&mut self, feed: impl FnOnce(&mut Client, TransactionId, Content) -> Result<(), M>) {
        let Some(id) = self.wanted else {
            return;
        };
        let content = self.contents[usize::try_from(id.index()).expect("a small number")];
        if feed(&mut self.client, id, content).is_err() {
            // The message has its verdict, or is complete.
            self.wanted = None;
        }
    }

    fn any_message(&self, choice: u8) -> Option<TransactionId> {
        self.ids
            .get(usize::from(choice) % self.ids.len().max(1))
            .copied()
    }

    /// A call for a message, which may have its verdict, or wait for its turn.
    fn misuse<M>(
        &mut self,
        id: Option<TransactionId>,
        call: impl FnOnce(&mut Client, TransactionId) -> Result<(), M>,
    ) {
        let Some(id) = id else {
            return;
        };
        if call(&mut self.client, id).is_err() && self.wanted == Some(id) {
            self.wanted = None;
        }
    }

    fn establish_tls(&mut self) {
        let awaited = self.client.is_awaiting_tls();
        if awaited {
            assert!(!self.client.output().has_remaining(), "output beside TLS");
            self.written.tls_begins();
        }
        let info = TlsInfo::new("TLSv1.3", "TLS13_AES_256_GCM_SHA384");
        let established = self.client.handle_tls_established(self.now, info);
        assert_eq!(established.is_ok(), awaited);
    }

    /// Gives the client the server's bytes.
    fn give(&mut self, cut: usize) {
        self.received.extend_from_slice(&self.held);
        for piece in self.held.chunks(cut) {
            self.client.handle_input(self.now, piece);
        }
        self.held.clear();
        assert!(self.client.output().remaining() <= MAX_OUTPUT);
    }

    fn pass(&mut self, now: Instant) {
        self.now = now;
        self.client.handle_timeout(now);
        let next = self.client.poll_timeout();
        assert!(
            next.is_none_or(|next| next > now),
            "the deadline is still in the past"
        );
    }

    /// The actions of a driver between two waits.
    fn settle(&mut self) {
        loop {
            self.poll();
            self.take(usize::MAX);
            self.pass(self.now);
            if !self.client.output().has_remaining() {
                break;
            }
        }
        self.poll();
    }

    fn take(&mut self, octets: usize) {
        let mut left = octets;
        loop {
            let mut output = self.client.output();
            let remaining = output.remaining();
            let chunk = output.chunk();
            assert_eq!(chunk.is_empty(), remaining == 0);
            let taken = chunk.len().min(left);
            if taken == 0 {
                return;
            }
            self.written.add(&chunk[..taken]);
            output.advance(taken);
            left -= taken;
        }
    }

    fn poll(&mut self) {
        while let Some(event) = self.client.poll_event() {
            assert!(
                !self.closed || is_late(&event),
                "an event after the last: {event:?}"
            );
            let shown = match &event {
                Event::Report(report) => {
                    let index = report.transaction().index();
                    assert_eq!(index, self.verdicts.len() as u64, "out of order");
                    self.verdicts.push(report.outcome().clone());
                    format!("{report} {report:?}")
                }
                Event::Reply(id, reply) => {
                    assert_eq!(id.index(), self.answered, "out of order");
                    self.answered += 1;
                    match reply {
                        Ok(reply) => assert!(reply.code().get() / 100 != 3),
                        Err(error) => self.events.push(error.to_string()),
                    }
                    format!("{event:?}")
                }
                Event::BodyWanted(id) => {
                    self.wanted = Some(*id);
                    format!("{event:?}")
                }
                Event::Closed(why) => {
                    self.closed = true;
                    why.as_ref()
                        .map_or(String::new(), |why| format!("{why} {why:?}"))
                }
                Event::Trace(line) => line.to_string(),
                event => format!("{event:?}"),
            };
            if self.has_secret {
                plaintext::assert_no_secret(shown.as_bytes());
            }
            self.events.push(shown);
        }
    }

    /// Ends the session, whatever its state.
    fn finish(&mut self) {
        if let End::Time = self.setup.end {
            // The server sends nothing more: every wait has a deadline. Only an idle session,
            // or one that waits for its own program, has none.
            for _ in 0..64 {
                self.settle();
                match self.client.poll_timeout() {
                    Some(deadline) => self.pass(deadline.max(self.now)),
                    None => break,
                }
            }
            assert_eq!(self.client.poll_timeout(), None, "the deadlines never end");
        }
        match self.setup.end {
            End::Abort => self.client.abort(),
            End::Error => {
                let error: TransportError = Arc::new(std::fmt::Error);
                self.client.handle_transport_error(self.now, error);
            }
            End::Eof | End::Time => self.client.handle_eof(self.now),
        }
        self.settle();
    }

    fn check(&mut self) {
        assert!(self.closed && self.client.is_closed());
        assert_eq!(self.client.poll_timeout(), None);
        assert!(!self.client.output().has_remaining());
        assert_eq!(self.verdicts.len(), self.contents.len(), "verdicts missing");
        assert_eq!(self.answered, self.asked, "answers missing");
        // A message that is given to a closed session has a verdict too.
        let sent = self.contents.len();
        let (envelope, content) = messages::message(0, 0);
        self.client.enqueue(envelope, content.body());
        self.poll();
        assert_eq!(self.verdicts.len(), sent + 1, "no verdict after the end");
        assert!(matches!(self.verdicts.last(), Some(Outcome::NotSent(_))));
        self.client.command(Command::noop());
        self.poll();
        assert_eq!(self.answered, self.asked + 1, "no answer after the end");
        assert!(!self.client.output().has_remaining());

        let setup = self.setup;
        self.written
            .check(setup.config.security, setup.plaintext_auth);
        let written = [
            &self.written.before_tls[..],
            self.written.under_tls.as_deref().unwrap_or_default(),
        ]
        .concat();
        if !self.contents.iter().any(|content| content.is_binary()) {
            assert_lines_end_in_crlf(&written);
        }
        // No report claims more than the number of ends that were written.
        let ended = written
            .split(|octet| *octet == b'\n')
            .filter(|line| *line == b".\r" || is_last_chunk(line))
            .count();
        let delivered = self
            .verdicts
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Accepted(_) | Outcome::InDoubt(_)));
        assert!(delivered.count() <= ended, "more messages than ends");
    }
}

/// A message or command that was given to a session that had ended.
fn is_late(event: &Event) -> bool {
    match event {
        Event::Report(report) => matches!(report.outcome(), Outcome::NotSent(_)),
        Event::Reply(_, reply) => reply.is_err(),
        _ => false,
    }
}

fn is_last_chunk(line: &[u8]) -> bool {
    // The command may follow content that does not end its line.
    let mut words = line.rsplit(|octet| *octet == b' ');
    words.next() == Some(b"LAST\r")
}

fn assert_lines_end_in_crlf(octets: &[u8]) {
    let mut before = 0;
    for (position, octet) in octets.iter().enumerate() {
        match octet {
            b'\n' => assert_eq!(before, b'\r', "a lone LF at {position}"),
            _ if before == b'\r' => panic!("a lone CR at {position}"),
            _ => {}
        }
        before = *octet;
    }
}
