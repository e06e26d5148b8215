//! A client and a server of this project, joined in memory.
//!
//! ```text
//! input    = 10 octets of configuration, an octet for each message, then steps
//! ```
//!
//! The steps tell how the octets in transit are cut and in which order events happen; after the
//! last step everything that can move moves. If the configuration says so, the connection
//! breaks, or goes silent, after a number of octets in one direction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_proto::{
    Client, ClientConfig, Endpoint, Envelope, ErrorKind, Event, HelloName, Instant, Mechanism,
    Outcome, Pipelining, Protocol, RecipientStatus, Reply, ReplyCode, Report, Security, Stage,
    TlsInfo,
};
use postwire_server::{ChunksRead, Server, ServerConfig, ServerEvent, ServerViolation};

use crate::input::Input;
use crate::messages::{self, Content};
use crate::plaintext::{self, SECRET, Written};

/// The number of rounds after which a dialogue counts as a livelock.
const MAX_ROUNDS: usize = 20_000;

/// The messages that the client reports as accepted are those that the server stored.
pub fn pair(octets: &[u8]) {
    let mut input = Input::new(octets);
    let mut pair = Pair::read(&mut input);
    pair.play(input);
    pair.check();
}

/// A fault of the connection, after this many octets.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// The server gets no more octets, and then the end of the stream.
    CutToServer(u64),
    /// The client gets no more octets, and then the end of the stream.
    CutToClient(u64),
    /// The client gets no more octets, and no end of the stream.
    Silence(u64),
    /// The program aborts after this many octets from the server.
    Abort(u64),
}

/// The part of a message that the server's program accepted.
#[derive(Debug)]
struct Stored {
    /// The recipients; with LMTP those that were finally accepted.
    recipients: Vec<String>,
    content: Bytes,
}

struct Pair {
    client: Client,
    server: Server,
    now: Instant,
    to_server: Direction,
    to_client: Direction,
    fault: Fault,
    /// An intended fault occurred.
    fault_occurred: bool,
    /// The client closed without QUIT: a `BDAT` was refused and may not have been read, or the
    /// server closed while QUIT was waiting to be written.
    closed_without_quit: bool,
    lmtp: bool,
    security: Security,
    plaintext_auth: bool,
    messages: Vec<(Envelope, Content)>,
    /// The number of messages that the client has.
    sent: usize,
    /// The streamed body that is asked for, and how much of it was given.
    wanted: Option<usize>,
    given: HashMap<usize, usize>,
    reports: Vec<Report>,
    stored: HashMap<usize, Stored>,
    /// The number of commands that the client has, and has answered.
    asked: u64,
    answered: u64,
    written: Written,
}

/// One direction of the connection.
#[derive(Debug, Default)]
struct Direction {
    octets: Vec<u8>,
    delivered: u64,
    ended: bool,
}

impl Pair {
    fn read(input: &mut Input<'_>) -> Self {
        let [pipelining, chunking, eight_bit_mime, binary_mime] = input.flags();
        let [smtp_utf8, small, data_without_recipients, lmtp] = input.flags();
        let [use_pipelining, use_chunking, with_credentials, prefer_login] = input.flags();
        let [starttls, auth, plaintext_auth, all_at_once] = input.flags();
        let security = input.one_of([
            Security::None,
            Security::Opportunistic,
            Security::Required,
            Security::Wrapper,
        ]);
        let (ahead, speculation) = input.one_of([
            (Pipelining::Bold, 256 * 1024),
            (Pipelining::Bold, 0),
            (Pipelining::Bold, 20),
            (Pipelining::Careful, 0),
        ]);
        let outstanding_replies = input.one_of([1_000, 1, 2, 5]);
        let fault = input.octet();
        let after = u64::from(input.octet()) * 4;
        let fault = match fault.wrapping_sub(b'0') % 5 {
            0 => Fault::None,
            1 => Fault::CutToServer(after),
            2 => Fault::CutToClient(after),
            3 => Fault::Silence(after),
            _ => Fault::Abort(after),
        };
        let count = input.one_of([1, 0, 2, 3, 8, 20]);
        let messages: Vec<(Envelope, Content)> = input
            .take(count)
            .enumerate()
            .map(|(number, choice)| {
                let (envelope, content) = messages::message(choice, number);
                (numbered(&envelope, number), content)
            })
            .collect();

        let protocol = if lmtp { Protocol::Lmtp } else { Protocol::Smtp };
        let mut limits = postwire_proto::Limits::default();
        limits.outstanding_replies = outstanding_replies;
        limits.speculation = speculation;
        let mut client = ClientConfig::new(HelloName::localhost(), security)
            .protocol(protocol)
            .pipelining(if use_pipelining {
                ahead
            } else {
                Pipelining::Off
            })
            .chunking(use_chunking)
            .allow_plaintext_auth(plaintext_auth)
            .limits(limits);
        if with_credentials {
            client = client.credentials(plaintext::credentials());
        }
        if prefer_login {
            client = client.mechanisms(vec![
                Mechanism::CRAM_MD5,
                Mechanism::LOGIN,
                Mechanism::PLAIN,
            ]);
        }
        // Only a bold client relies on a server that reads content it refuses.
        let bold = use_pipelining && ahead == Pipelining::Bold;
        let chunks_read = match (bold, data_without_recipients, eight_bit_mime) {
            (true, ..) | (_, false, _) => ChunksRead::All,
            (_, true, true) => ChunksRead::Accepted,
            (_, true, false) => ChunksRead::None,
        };
        let mut server = ServerConfig::new(HelloName::localhost())
            .protocol(protocol)
            .chunks_read(chunks_read)
            .starttls(starttls)
            .pipelining(pipelining)
            .chunking(chunking)
            .eight_bit_mime(eight_bit_mime)
            .binary_mime(binary_mime)
            .smtp_utf8(smtp_utf8)
            .data_without_recipients(data_without_recipients)
            .auth_in_plaintext(plaintext_auth)
            .size(Some(if small { 100 } else { 100_000 }))
            .dsn(smtp_utf8)
            .deliver_by(eight_bit_mime.then_some(60))
            .future_release(chunking.then_some(3_600))
            .mt_priority(pipelining)
            .requiretls(binary_mime)
            .max_recipients(if small { 2 } else { 1_000 })
            .declare_limits(small && lmtp);
        if auth {
            let mut mechanisms = vec![Mechanism::PLAIN, Mechanism::LOGIN, Mechanism::CRAM_MD5];
            // This mechanism takes time.
            mechanisms.extend(small.then_some(Mechanism::SCRAM_SHA_256));
            server = server.auth(mechanisms);
        }
        let server = Arc::new(server);
        let mut pair = Self {
            client: {
                let mut client = Client::new(Arc::new(client));
                client.set_nonce(b"sixteen octets!!");
                client
            },
            server: match security {
                Security::Wrapper => Server::wrapped(server),
                _ => Server::new(server),
            },
            now: Instant::EPOCH,
            to_server: Direction::default(),
            to_client: Direction::default(),
            fault,
            fault_occurred: false,
            closed_without_quit: false,
            lmtp,
            security,
            plaintext_auth,
            messages,
            sent: 0,
            wanted: None,
            given: HashMap::new(),
            reports: Vec::new(),
            stored: HashMap::new(),
            asked: 0,
            answered: 0,
            written: Written::default(),
        };
        pair.server.set_nonce(b"another 16 octets");
        while all_at_once && pair.sent < pair.messages.len() {
            pair.send_next();
        }
        pair
    }

    fn play(&mut self, mut steps: Input<'_>) {
        self.poll(&mut steps);
        while let Some(step) = steps.next() {
            let octets = match step >> 3 {
                0 => usize::MAX,
                octets => usize::from(octets),
            };
            match step & 7 {
                0 | 1 => self.take_from_client(octets),
                2 | 3 => self.deliver_to_server(octets),
                4 => self.take_from_server(octets),
                5 => self.deliver_to_client(octets),
                6 if self.sent < self.messages.len() => self.send_next(),
                _ => {
                    // Time passes, but not enough for any deadline.
                    self.now = self.now + Duration::from_millis(10);
                    self.client.handle_timeout(self.now);
                    self.server.handle_timeout(self.now);
                }
            }
            self.poll(&mut steps);
        }
        self.run_out(&mut steps);
    }

    /// Moves everything that can move until both sides are done.
    fn run_out(&mut self, steps: &mut Input<'_>) {
        while self.sent < self.messages.len() {
            self.send_next();
        }
        self.client.quit();
        for _ in 0..MAX_ROUNDS {
            let before = self.progress();
            self.take_from_client(usize::MAX);
            self.deliver_to_server(usize::MAX);
            self.poll(steps);
            self.take_from_server(usize::MAX);
            self.deliver_to_client(usize::MAX);
            self.poll(steps);
            if self.client.is_closed() && self.server.is_closed() {
                return;
            }
            if before == self.progress() {
                self.wait();
            }
        }
        panic!("the dialogue does not end");
    }

    fn progress(&self) -> (u64, u64, usize, usize, bool, bool) {
        (
            self.to_server.delivered,
            self.to_client.delivered,
            self.reports.len(),
            self.given.values().sum(),
            self.client.is_closed() || self.client.is_awaiting_tls(),
            self.server.is_closed() || self.server.is_awaiting_tls(),
        )
    }

    /// Nothing moves. Without a fault, that is a deadlock.
    fn wait(&mut self) {
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        let deadlines = [self.client.poll_timeout(), self.server.poll_timeout()];
        let next = deadlines.into_iter().flatten().min();
        assert!(self.fault_occurred, "a deadlock");
        let next = next.expect("whoever waits has a deadline");
        self.now = next.max(self.now);
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
    }

    // ---- the connection

    fn take_from_client(&mut self, octets: usize) {
        let taken = take(&mut self.client, octets);
        self.written.add(&taken);
        self.to_server.octets.extend(taken);
    }

    fn take_from_server(&mut self, octets: usize) {
        let taken = take(&mut self.server, octets);
        self.to_client.octets.extend(taken);
    }

    fn deliver_to_server(&mut self, octets: usize) {
        let limit = match self.fault {
            Fault::CutToServer(limit) => Some(limit),
            _ => None,
        };
        let cut = self.to_server.deliver(octets, limit, |piece| {
            self.server.handle_input(self.now, piece);
        });
        let hung_up = self.client.is_closed() && self.to_server.octets.is_empty();
        if (cut || hung_up) && !self.to_server.ended {
            self.fault_occurred |= cut;
            self.to_server.ended = true;
            self.server.handle_eof(self.now);
        }
    }

    fn deliver_to_client(&mut self, octets: usize) {
        let limit = match self.fault {
            Fault::CutToClient(limit) | Fault::Silence(limit) | Fault::Abort(limit) => Some(limit),
            _ => None,
        };
        let cut = self.to_client.deliver(octets, limit, |piece| {
            self.client.handle_input(self.now, piece);
        });
        let hung_up = self.server.is_closed()
            && self.to_client.octets.is_empty()
            && !self.server.output().has_remaining();
        if (cut || hung_up) && !self.to_client.ended {
            self.fault_occurred |= cut;
            match self.fault {
                Fault::Silence(_) if cut => return,
                Fault::Abort(_) if cut => self.client.abort(),
                _ => self.client.handle_eof(self.now),
            }
            self.to_client.ended = true;
        }
    }

    // ---- the programs

    fn poll(&mut self, steps: &mut Input<'_>) {
        loop {
            let asked = self.poll_server(steps);
            let has_event = self.poll_client(steps);
            if !asked && !has_event {
                break;
            }
        }
        let on_the_way = self.to_server.octets.len() + self.to_client.octets.len();
        if self.client.is_awaiting_tls()
            && self.server.is_awaiting_tls()
            && on_the_way == 0
            && !self.server.output().has_remaining()
        {
            self.written.tls_begins();
            let tls = || TlsInfo::new("TLSv1.3", "TLS13_AES_256_GCM_SHA384");
            self.client
                .handle_tls_established(self.now, tls())
                .expect("it waits for TLS");
            self.server
                .handle_tls_established(self.now, tls())
                .expect("it waits for TLS");
            self.poll(steps);
        }
    }

    fn send_next(&mut self) {
        let (envelope, content) = self.messages[self.sent].clone();
        self.client.enqueue(envelope, content.body());
        self.sent += 1;
        // Sometimes a command goes between the messages.
        if self.sent.is_multiple_of(3) {
            let choice = content.octets.len() as u8;
            self.client.command(messages::command(choice));
            self.asked += 1;
        }
    }

    fn poll_client(&mut self, steps: &mut Input<'_>) -> bool {
        let mut has_event = false;
        while let Some(event) = self.client.poll_event() {
            has_event = true;
            match event {
                Event::Report(report) => {
                    assert_eq!(report.transaction().index(), self.reports.len() as u64);
                    self.assert_no_violation(report.error());
                    self.reports.push(report);
                }
                Event::Reply(id, reply) => {
                    assert_eq!(id.index(), self.answered);
                    self.answered += 1;
                    self.assert_no_violation(reply.as_ref().err());
                }
                Event::BodyWanted(id) => {
                    self.wanted = usize::try_from(id.index()).ok();
                    self.feed(id, steps.octet());
                }
                Event::Closed(why) => {
                    self.assert_no_violation(why.as_ref());
                    self.closed_without_quit = why.is_none_or(|why| {
                        why.stage() == Stage::Body && matches!(why.kind(), ErrorKind::Refused(_))
                    });
                }
                _ => {}
            }
        }
        has_event
    }

    /// Gives a piece of a streamed body, its end, or (rarely) its failure.
    fn feed(&mut self, id: postwire_proto::TransactionId, step: u8) {
        let Some(number) = self.wanted.take() else {
            return;
        };
        let content = self.messages[number].1.octets;
        let given = self.given.entry(number).or_default();
        let left = &content[(*given).min(content.len())..];
        let fed = if step == 0xEE {
            self.fault_occurred = true;
            self.client.body_failed(id, Arc::new(std::fmt::Error))
        } else if left.is_empty() {
            self.client.body_end(id)
        } else {
            let octets = usize::from(step).clamp(1, left.len());
            let octets = if step == 0 { left.len() } else { octets };
            *given += octets;
            self.client
                .body_chunk(id, Bytes::copy_from_slice(&left[..octets]))
        };
        assert!(fed.is_ok() || self.client.is_closed() || self.reports.len() > number);
    }

    fn poll_server(&mut self, steps: &mut Input<'_>) -> bool {
        let mut asked = false;
        while let Some(event) = self.server.poll_event() {
            asked = true;
            match event {
                ServerEvent::Authenticate { secret, .. } => {
                    assert_eq!(secret.expose(), SECRET.as_bytes());
                    self.answer(None);
                }
                ServerEvent::PasswordWanted { .. } => {
                    assert_eq!(self.server.password(&SECRET.into()), Ok(()));
                }
                ServerEvent::MailFrom { reverse_path, .. } => {
                    assert!(reverse_path.is_some());
                    let refused = steps.octet() == 0xED;
                    self.answer(refused.then_some(451));
                }
                ServerEvent::RcptTo { forward_path, .. } => {
                    let refusal = match forward_path.user() {
                        "no" => Some(550),
                        "later" => Some(450),
                        _ => None,
                    };
                    self.answer(refusal);
                }
                ServerEvent::Data => {
                    let refused = steps.octet() == 0xED;
                    self.answer(refused.then_some(452));
                }
                ServerEvent::Message(received) => {
                    let from = received.reverse_path.as_ref();
                    let number = from.and_then(|path| path.user().parse().ok());
                    let number: usize = number.expect("the client's own reverse-path");
                    let names = received.recipients.iter().map(ToString::to_string);
                    let answers: Vec<Vec<String>> = if self.lmtp {
                        names.map(|name| vec![name]).collect()
                    } else {
                        vec![names.collect()]
                    };
                    let mut recipients = Vec::new();
                    for names in answers {
                        let refused = names[0].starts_with("late@") || steps.octet() == 0xED;
                        self.answer(refused.then_some(552));
                        if !refused {
                            recipients.extend(names);
                        }
                    }
                    if recipients.is_empty() {
                        continue;
                    }
                    let content = received.content;
                    // A further transaction has further recipients.
                    let stored = self.stored.entry(number).or_insert_with(|| Stored {
                        recipients: Vec::new(),
                        content: content.clone(),
                    });
                    assert_eq!(stored.content, content);
                    stored.recipients.extend(recipients);
                }
                ServerEvent::Closed(Some(violation)) => assert!(
                    (self.fault_occurred || self.closed_without_quit)
                        && matches!(
                            violation,
                            ServerViolation::ConnectionClosed | ServerViolation::IdleTimeout
                        ),
                    "the server complains: {violation}"
                ),
                _ => {}
            }
        }
        asked
    }

    fn answer(&mut self, refusal: Option<u16>) {
        let answered = match refusal {
            None => self.server.accept(),
            Some(code) => {
                let code = ReplyCode::new(code).expect("a valid code");
                self.server.respond(Reply::new(code, None, &["no"]))
            }
        };
        assert_eq!(answered, Ok(()));
    }

    // ---- guarantees

    /// The server follows the protocol, so the client must report no violation.
    fn assert_no_violation(&self, error: Option<&postwire_proto::Error>) {
        let Some(error) = error else {
            return;
        };
        match error.kind() {
            ErrorKind::Violation(violation) => panic!("the client complains: {violation}"),
            ErrorKind::ConnectionClosed | ErrorKind::TimedOut | ErrorKind::Aborted => {
                assert!(self.fault_occurred, "{error}");
            }
            _ => {}
        }
    }

    fn check(&self) {
        assert_eq!(self.reports.len(), self.messages.len(), "verdicts missing");
        assert_eq!(self.answered, self.asked, "answers missing");
        self.written.check(self.security, self.plaintext_auth);
        let mut stored: Vec<&usize> = self.stored.keys().collect();
        stored.sort_unstable();
        for (number, report) in self.reports.iter().enumerate() {
            self.check_report(number, report);
        }
        assert!(stored.iter().all(|number| **number < self.reports.len()));
    }

    fn check_report(&self, number: usize, report: &Report) {
        let stored = self.stored.get(&number);
        let with = |status| {
            let recipients = report.recipients().iter();
            recipients
                .filter(move |recipient| recipient.status() == status)
                .map(|recipient| recipient.address().to_string())
        };
        let accepted: Vec<String> = with(RecipientStatus::Accepted).collect();
        match (report.outcome(), stored) {
            (Outcome::Accepted(_), Some(stored)) => {
                assert_eq!(sorted(&accepted), sorted(&stored.recipients));
                assert_eq!(with(RecipientStatus::InDoubt).count(), 0);
            }
            (Outcome::Accepted(_), None) => panic!("{report}, and nothing was stored"),
            (Outcome::Rejected { .. } | Outcome::NotSent(_), Some(stored)) => {
                panic!("{report}, and stored was {stored:?}")
            }
            (Outcome::Rejected { .. } | Outcome::NotSent(_), None) => {
                assert_eq!(accepted, <[String; 0]>::default());
            }
            (Outcome::InDoubt(_), stored) => {
                assert!(self.fault_occurred, "{report}");
                let stored = stored.map_or(&[][..], |stored| &stored.recipients);
                assert!(accepted.iter().all(|address| stored.contains(address)));
            }
        }
        if let Some(stored) = stored {
            let (envelope, content) = &self.messages[number];
            let all = envelope.recipients() == postwire_proto::Recipients::All;
            assert!(!all || self.lmtp || stored.recipients.len() == envelope.forward_paths().len());
            check_content(*content, &stored.content);
        }
    }
}

fn sorted(recipients: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = recipients.iter().collect();
    sorted.sort_unstable();
    sorted
}

impl Direction {
    /// Delivers this many octets, but not beyond `limit` in total; returns whether the limit
    /// was reached.
    fn deliver(
        &mut self,
        octets: usize,
        limit: Option<u64>,
        mut hand_on: impl FnMut(&[u8]),
    ) -> bool {
        if self.ended {
            self.octets.clear();
            return false;
        }
        let allowed = limit.map_or(u64::MAX, |limit| limit - self.delivered);
        let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
        let octets = octets.min(self.octets.len()).min(allowed);
        if octets > 0 {
            hand_on(&self.octets[..octets]);
            self.octets.drain(..octets);
            self.delivered += octets as u64;
        }
        limit == Some(self.delivered)
    }
}

fn take<E: Endpoint>(end: &mut E, octets: usize) -> Vec<u8> {
    let mut output = end.output();
    let octets = octets.min(output.remaining());
    output.copy_to_bytes(octets).into()
}

/// The message with its number as the name of the sender.
fn numbered(envelope: &Envelope, number: usize) -> Envelope {
    let sender = format!("{number}@s.example").parse();
    Envelope::new(sender.ok(), envelope.forward_paths().to_vec())
        .expect("there are recipients")
        .with_recipients(envelope.recipients())
}

/// A server stores the content as given, except that `DATA` adds the last line end; binary
/// content is unchanged.
fn check_content(content: Content, stored: &[u8]) {
    if content.is_binary() {
        assert_eq!(stored, content.octets);
        return;
    }
    let canonical = content.canonical();
    let added = stored.strip_prefix(&canonical[..]);
    assert!(
        added.is_some_and(|added| matches!(added, b"" | b"\r\n")
            && (added.is_empty() || !canonical.ends_with(b"\r\n"))),
        "stored: {:?}",
        String::from_utf8_lossy(stored)
    );
}
