//! A server session with a client that may send anything, at any time.
//!
//! ```text
//! input    = 8 octets of configuration, then the client's bytes and calls
//! call     = 0xFF and an octet, see `Run::call`; 0xFF 0xFF is an octet of the client's
//! ```
//!
//! Each line of the client is given to the server as soon as it is complete, after its
//! questions are answered and its replies are taken. Calls change that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use postwire_proto::{
    Address, Endpoint, HelloName, Instant, Mechanism, Protocol, Reply, ReplyCode, ReplyLimits,
    ReplyReader, TlsInfo, TransportError,
};
use postwire_server::{BodyDeclaration, Received, Server, ServerConfig, ServerEvent, ServerMisuse};

use crate::input::Input;
use crate::plaintext::{SECRET, USER};

/// The content limit of a server that announces one.
const SMALL: usize = 200;

/// The most octets of replies that may wait: the server's limit, and a margin.
const MAX_OUTPUT: usize = 1024 * 1024 + 64 * 1024;

/// The server session, whatever its client sends and its program answers.
pub fn server_session(octets: &[u8]) {
    let mut input = Input::new(octets);
    let setup = Setup::read(&mut input);
    let script = input.rest();
    let as_cut = Run::new(&setup).play(script, usize::MAX);
    let cut_finely = Run::new(&setup).play(script, 1);
    // Input in one piece with a command is never too much, so only this limit depends on the
    // cuts.
    if !as_cut.is_flooded() && !cut_finely.is_flooded() {
        assert_eq!(as_cut, cut_finely, "the cuts made a difference");
    }
}

/// The configuration, chosen by the first octets.
#[derive(Debug)]
struct Setup {
    config: Arc<ServerConfig>,
    start: Start,
    end: End,
    lmtp: bool,
    small: bool,
    require_tls: bool,
    require_auth: bool,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Plaintext,
    Wrapped,
    Tls,
}

/// How a session ends that is still open at the end of the script.
#[derive(Clone, Copy, Debug)]
enum End {
    Eof,
    Error,
    Time,
}

impl Setup {
    fn read(input: &mut Input<'_>) -> Self {
        let [starttls, require_tls, auth, require_auth] = input.flags();
        let [auth_in_plaintext, lmtp, data_without_recipients, small] = input.flags();
        let [
            no_pipelining,
            no_chunking,
            no_eight_bit_mime,
            no_binary_mime,
        ] = input.flags();
        let [no_smtp_utf8, no_dsn, no_enhanced_status_codes, trace] = input.flags();
        let max_line = input.one_of([2_048, 64, 20]);
        let max_waiting_input = input.one_of([1024 * 1024, 100]);
        let start = input.one_of([Start::Plaintext, Start::Wrapped, Start::Tls]);
        let end = input.one_of([End::Eof, End::Error, End::Time]);
        let mut config = ServerConfig::new(HelloName::localhost())
            .starttls(starttls)
            .require_tls(require_tls)
            .require_auth(require_auth)
            .auth_in_plaintext(auth_in_plaintext)
            .data_without_recipients(data_without_recipients)
            .pipelining(!no_pipelining)
            .chunking(!no_chunking)
            .eight_bit_mime(!no_eight_bit_mime)
            .binary_mime(!no_binary_mime)
            .smtp_utf8(!no_smtp_utf8)
            .dsn(!no_dsn)
            .deliver_by(Some(60))
            .future_release(Some(3_600))
            .mt_priority(true)
            .requiretls(true)
            .extension("XFOO")
            .declare_limits(!no_dsn)
            .max_messages(Some(9))
            .enhanced_status_codes(!no_enhanced_status_codes)
            .max_line(max_line)
            .max_waiting_input(max_waiting_input)
            .max_recipients(3)
            .trace(trace);
        if auth {
            config = config.auth([
                Mechanism::PLAIN,
                Mechanism::LOGIN,
                Mechanism::XOAUTH2,
                Mechanism::OAUTHBEARER,
                Mechanism::CRAM_MD5,
                Mechanism::SCRAM_SHA_1,
                Mechanism::SCRAM_SHA_256,
                Mechanism::SCRAM_SHA_512,
                Mechanism::SCRAM_SHA_256_PLUS,
                Mechanism::EXTERNAL,
                Mechanism::ANONYMOUS,
            ]);
        }
        if lmtp {
            config = config.protocol(Protocol::Lmtp);
        }
        if small {
            config = config.size(Some(SMALL as u64));
        }
        Self {
            config: Arc::new(config),
            start,
            end,
            lmtp,
            small,
            require_tls,
            require_auth,
        }
    }
}

/// Everything that is visible of a run from outside.
#[derive(Debug, PartialEq)]
struct Observed {
    events: Vec<String>,
    replies: Vec<u8>,
}

impl Observed {
    fn is_flooded(&self) -> bool {
        let last = self.events.last();
        last.is_some_and(|event| event.contains("TooMuchInput"))
    }
}

/// A question that the program has not answered.
#[derive(Clone, Copy, Debug)]
struct Open {
    default: Decision,
    /// The missing answers, one per recipient with LMTP.
    answers: usize,
    /// The question is answered with a password.
    password: bool,
}

#[derive(Clone, Copy, Debug)]
enum Decision {
    Yes,
    No(u16),
}

struct Run<'a> {
    setup: &'a Setup,
    server: Server,
    now: Instant,
    /// The client's bytes that the server has not received yet.
    held: Vec<u8>,
    /// Give lines as soon as they are complete, and settle before each.
    by_line: bool,
    /// Answer each question at once.
    answers_at_once: bool,
    open: Option<Open>,
    /// The accepted part of the transaction.
    reverse_path: Option<Address>,
    recipients: Vec<Address>,
    /// The recipient of the last question.
    asked: Option<Address>,
    events: Vec<String>,
    replies: Vec<u8>,
    closed: bool,
}

impl<'a> Run<'a> {
    fn new(setup: &'a Setup) -> Self {
        let config = Arc::clone(&setup.config);
        let mut server = match setup.start {
            Start::Plaintext => Server::new(config),
            Start::Wrapped => Server::wrapped(config),
            Start::Tls => Server::new_tls(config, tls()),
        };
        server.set_nonce(b"sixteen octets!!");
        Self {
            setup,
            server,
            now: Instant::EPOCH,
            held: Vec::new(),
            by_line: true,
            answers_at_once: true,
            open: None,
            reverse_path: None,
            recipients: Vec::new(),
            asked: None,
            events: Vec::new(),
            replies: Vec::new(),
            closed: false,
        }
    }

    fn play(mut self, script: &[u8], cut: usize) -> Observed {
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
        self.answers_at_once = true;
        self.settle();
        self.finish();
        check_replies(&self.replies);
        Observed {
            events: self.events,
            replies: self.replies,
        }
    }

    /// An action of the program or its environment, at any moment.
    fn call(&mut self, call: u8, script: &mut Input<'_>, cut: usize) {
        match call {
            // The server receives the client's bytes so far.
            b'g' => self.give(cut),
            // From now on the server receives bytes only with `g`, or no longer so.
            b'l' => self.by_line = !self.by_line,
            // Questions wait for an answer, or no longer so.
            b'h' => self.answers_at_once = !self.answers_at_once,
            b'y' => self.answer(Decision::Yes),
            b'n' => self.answer(Decision::No(550)),
            b'o' => self.answer(Decision::No(421)),
            b'u' => self.answer_with_wrong_code(),
            // Take all replies, or a part of them.
            b'w' => self.take(usize::MAX),
            b'b' => {
                let octets = usize::from(script.octet());
                self.take(octets);
            }
            b'p' => self.poll(),
            b't' => {
                let wait = script.one_of([1, 1_000, 299_999, 300_000]);
                self.pass(self.now + Duration::from_millis(wait));
            }
            b'd' => {
                if let Some(deadline) = self.server.poll_timeout() {
                    self.pass(deadline.max(self.now));
                }
            }
            b'e' => self.server.handle_eof(self.now),
            b'x' => {
                let error: TransportError = Arc::new(std::fmt::Error);
                self.server.handle_transport_error(self.now, error);
            }
            b's' => self.establish_tls(),
            _ => self.settle(),
        }
        assert!(self.server.output().remaining() <= MAX_OUTPUT);
    }

    fn establish_tls(&mut self) {
        let awaited = self.server.is_awaiting_tls();
        if awaited {
            // The waiting output belongs before TLS.
            self.take(usize::MAX);
        }
        let ended = self.server.is_closed();
        let established = self.server.handle_tls_established(self.now, tls());
        assert_eq!(established.is_ok(), awaited || ended);
    }

    fn give(&mut self, cut: usize) {
        for piece in self.held.chunks(cut) {
            self.server.handle_input(self.now, piece);
        }
        self.held.clear();
        assert!(self.server.output().remaining() <= MAX_OUTPUT);
    }

    fn pass(&mut self, now: Instant) {
        self.now = now;
        self.server.handle_timeout(now);
        let next = self.server.poll_timeout();
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
            if self.open.is_none() || !self.answers_at_once {
                break;
            }
            if let Some(open) = self.open {
                self.answer(open.default);
            }
        }
        self.poll();
    }

    fn take(&mut self, octets: usize) {
        let mut left = octets;
        loop {
            let mut output = self.server.output();
            let remaining = output.remaining();
            let chunk = output.chunk();
            assert_eq!(chunk.is_empty(), remaining == 0);
            let taken = chunk.len().min(left);
            if taken == 0 {
                return;
            }
            self.replies.extend_from_slice(&chunk[..taken]);
            output.advance(taken);
            left -= taken;
        }
    }

    fn answer(&mut self, decision: Decision) {
        // A program may only answer an open question.
        let Some(open) = &mut self.open else {
            let not_allowed = self.server.is_awaiting_answer() || self.server.is_closed();
            if !not_allowed {
                assert_eq!(self.server.accept(), Err(ServerMisuse::NoQuestion));
            }
            return;
        };
        let password = open.password;
        open.answers -= 1;
        if open.answers == 0 {
            self.open = None;
        }
        let answered = match decision {
            Decision::Yes if password => {
                assert_eq!(self.server.accept(), Err(ServerMisuse::PasswordWanted));
                self.server.password(&SECRET.into())
            }
            Decision::Yes => {
                self.recipients.extend(self.asked.take());
                self.server.accept()
            }
            Decision::No(code) => {
                self.asked = None;
                if code == 421 {
                    // The session ends, and with it the open question.
                    self.open = None;
                }
                self.server.respond(reply(code))
            }
        };
        assert_eq!(answered, Ok(()));
    }

    /// A reply with this code does not answer any question.
    fn answer_with_wrong_code(&mut self) {
        if self.open.is_some() && !self.server.is_closed() {
            let unfit = self.server.respond(reply(399));
            // 3xx answers DATA.
            let asked_for_content = unfit.is_ok();
            if asked_for_content {
                self.open = None;
            }
        }
    }

    fn poll(&mut self) {
        while let Some(event) = self.server.poll_event() {
            assert!(!self.closed, "an event after the last: {event:?}");
            self.events.push(format!("{event:?}"));
            let default = match event {
                ServerEvent::Authenticate { secret, .. } => {
                    if secret.expose() == SECRET.as_bytes() {
                        Decision::Yes
                    } else {
                        Decision::No(535)
                    }
                }
                ServerEvent::PasswordWanted { user, .. } => {
                    let known = user == USER;
                    let default = if known {
                        Decision::Yes
                    } else {
                        Decision::No(535)
                    };
                    self.ask(default, 1);
                    if let Some(open) = &mut self.open {
                        open.password = true;
                    }
                    continue;
                }
                ServerEvent::MailFrom { reverse_path, .. } => {
                    let decision = decide(reverse_path.as_ref());
                    self.reverse_path = reverse_path;
                    self.recipients.clear();
                    decision
                }
                ServerEvent::RcptTo { forward_path, .. } => {
                    let decision = decide(Some(&forward_path));
                    self.asked = Some(forward_path);
                    decision
                }
                ServerEvent::Data => {
                    assert!(!self.recipients.is_empty());
                    Decision::Yes
                }
                ServerEvent::Message(received) => {
                    self.check_message(&received);
                    let answers = if self.setup.lmtp {
                        received.recipients.len()
                    } else {
                        1
                    };
                    self.ask(Decision::Yes, answers);
                    continue;
                }
                ServerEvent::Closed(_) => {
                    self.closed = true;
                    self.open = None;
                    continue;
                }
                _ => continue,
            };
            self.ask(default, 1);
        }
    }

    fn ask(&mut self, default: Decision, answers: usize) {
        assert!(self.open.is_none(), "asked before the last answer");
        self.open = Some(Open {
            default,
            answers,
            password: false,
        });
    }

    fn check_message(&mut self, received: &Received) {
        let setup = self.setup;
        assert!(!received.recipients.is_empty());
        assert_eq!(received.recipients, self.recipients);
        assert_eq!(received.reverse_path, self.reverse_path);
        assert!(received.tls.is_some() || !setup.require_tls);
        assert!(received.authenticated.is_some() || !setup.require_auth);
        assert!(received.content.len() <= SMALL || !setup.small);
        if received.body != BodyDeclaration::BinaryMime {
            let mut before = 0;
            for octet in &received.content {
                assert_eq!(*octet == b'\n', before == b'\r' && *octet == b'\n');
                assert!(before != b'\r' || *octet == b'\n', "a lone CR was stored");
                before = *octet;
            }
            assert_ne!(before, b'\r', "a lone CR was stored");
        }
        self.recipients.clear();
    }

    /// Ends the session, whatever its state.
    fn finish(&mut self) {
        match self.setup.end {
            End::Eof => self.server.handle_eof(self.now),
            End::Error => {
                let error: TransportError = Arc::new(std::fmt::Error);
                self.server.handle_transport_error(self.now, error);
            }
            // The server does not wait forever for a silent client.
            End::Time => {
                for _ in 0..8 {
                    if let Some(deadline) = self.server.poll_timeout() {
                        self.pass(deadline.max(self.now));
                        self.settle();
                    }
                }
            }
        }
        self.settle();
        assert!(self.closed && self.server.is_closed());
        assert_eq!(self.server.poll_timeout(), None);
        self.server.handle_input(self.now, b"NOOP\r\n");
        assert!(self.server.poll_event().is_none());
        assert!(!self.server.output().has_remaining());
    }
}

fn tls() -> TlsInfo {
    TlsInfo::new("TLSv1.3", "TLS13_AES_256_GCM_SHA384")
}

/// The decision of the server's program about an address.
fn decide(address: Option<&Address>) -> Decision {
    match address.map_or("", Address::user) {
        "no" => Decision::No(550),
        "later" => Decision::No(450),
        "bye" => Decision::No(421),
        _ => Decision::Yes,
    }
}

fn reply(code: u16) -> Reply {
    let code = ReplyCode::new(code).expect("a valid code");
    Reply::new(code, None, &["as decided"])
}

/// Checks that everything a server writes is a reply.
fn check_replies(mut octets: &[u8]) {
    let mut reader = ReplyReader::new(ReplyLimits::default());
    while !octets.is_empty() {
        match reader.read(&mut octets) {
            Ok(Some(reply)) => {
                let raw = reply.as_bytes();
                let bare = |line: &[u8]| !line.ends_with(b"\r\n");
                assert!(!raw.split_inclusive(|octet| *octet == b'\n').any(bare));
            }
            // A part of it was taken, and the session ended.
            Ok(None) => {}
            Err(error) => panic!("{error} in what the server wrote"),
        }
    }
}
