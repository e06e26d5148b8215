//! Drivers that write later than they hand over, with calls in any order: the reports are
//! compared with the messages that a reference server received, in plaintext and under TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(all(feature = "server", any(feature = "aws-lc-rs", feature = "ring")))]

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_tls::proto::{
    BodySource, ClientConfig, Endpoint, Envelope, ErrorKind, Event, HelloName, Instant, Outcome,
    Report, Security, StreamFacts, Timeouts, TransactionId,
};
use postwire_tls::server::{ServerConfig, ServerEvent};
use postwire_tls::{
    Certificate, CertificateStore, Connection, Identity, ServerConnection, ServerTls,
    ServerTlsParameters, Tls, TlsParameters,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plaintext,
    StartTls,
    Wrapper,
}

const MODES: [Mode; 3] = [Mode::Plaintext, Mode::StartTls, Mode::Wrapper];

/// The server's certificate and the trust in it.
struct World {
    server: ServerTlsParameters,
    client: TlsParameters,
}

impl World {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let root = Certificate::from_pem(chain.as_bytes()).unwrap();
        Self {
            server: ServerTlsParameters::new(identity).unwrap(),
            client: TlsParameters::builder("localhost")
                .certificate_store(CertificateStore::None)
                .add_root_certificate(root)
                .build()
                .unwrap(),
        }
    }

    fn ends(&self, mode: Mode, config: ClientConfig, chunking: bool) -> (Connection, Peer) {
        let client = self.client.clone();
        let server = self.server.clone();
        let (tls, server_tls) = match mode {
            Mode::Plaintext => (Tls::None, ServerTls::None),
            Mode::StartTls => (Tls::Required(client), ServerTls::StartTls(server)),
            Mode::Wrapper => (Tls::Wrapper(client), ServerTls::Wrapper(server)),
        };
        let server = ServerConfig::new(HelloName::localhost()).chunking(chunking);
        let peer = Peer {
            connection: ServerConnection::new(&Arc::new(server), &server_tls),
            stored: Vec::new(),
        };
        (Connection::new(&Arc::new(config), &tls), peer)
    }
}

fn config() -> ClientConfig {
    ClientConfig::new(HelloName::localhost(), Security::None)
}

/// A server that accepts everything.
struct Peer {
    connection: ServerConnection,
    /// The numbers of the messages that it received completely.
    stored: Vec<u64>,
}

impl Peer {
    fn receive(&mut self, now: Instant, octets: &[u8]) {
        self.connection.handle_input(now, octets);
        while let Some(event) = self.connection.poll_event() {
            match event {
                ServerEvent::Message(received) => {
                    let number = received.recipients[0].to_string();
                    let number = number.split('@').next().unwrap()[1..].parse().unwrap();
                    self.stored.push(number);
                    self.connection.accept().unwrap();
                }
                ServerEvent::MailFrom { .. } | ServerEvent::RcptTo { .. } | ServerEvent::Data => {
                    self.connection.accept().unwrap();
                }
                _ => {}
            }
        }
    }

    fn output(&mut self, most: usize) -> Vec<u8> {
        take(&mut self.connection, 0, most)
    }
}

/// Takes at most `most` octets of the output in one of the ways that a driver has.
fn take(endpoint: &mut impl Endpoint, way: u64, most: usize) -> Vec<u8> {
    match way {
        0 => {
            let mut output = endpoint.output();
            let octets = output.remaining().min(most);
            output.copy_to_bytes(octets).to_vec()
        }
        1 => {
            let mut output = endpoint.output();
            let mut taken = vec![0; output.remaining().min(most)];
            output.copy_to_slice(&mut taken);
            taken
        }
        2 => {
            let chunk = endpoint.output_chunk();
            let taken = chunk[..chunk.len().min(most)].to_vec();
            endpoint.advance_output(taken.len());
            taken
        }
        _ => endpoint.next_chunk(most).to_vec(),
    }
}

fn envelope(number: u64) -> Envelope {
    let recipient = format!("r{number}@y.example").parse().unwrap();
    Envelope::new(Some("a@x.example".parse().unwrap()), vec![recipient]).unwrap()
}

/// xorshift, so that a failure can be reproduced from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn octets(&mut self) -> usize {
        let most = [3, 40, 700, 20_000][self.below(4) as usize];
        1 + self.below(most) as usize
    }
}

fn at(milliseconds: u64) -> Instant {
    Instant::from_epoch(Duration::from_millis(milliseconds))
}

/// A session with random calls.
struct Run {
    client: Connection,
    peer: Peer,
    random: Random,
    /// Whether the driver reports writes separately from the hand-over.
    reports_writes: bool,
    /// Handed over, and not written yet.
    held: VecDeque<u8>,
    /// Written; the driver may have reported less.
    on_its_way: VecDeque<u8>,
    handed_over: usize,
    sent: usize,
    reported: usize,
    back: VecDeque<u8>,
    streamed: Option<TransactionId>,
    pieces: u64,
    reports: Vec<Report>,
    closed: bool,
    now: u64,
}

fn some(queue: &mut VecDeque<u8>, most: usize) -> Vec<u8> {
    let octets = queue.len().min(most);
    queue.drain(..octets).collect()
}

impl Run {
    fn hand_over(&mut self) {
        let (way, most) = (self.random.below(4), self.random.octets());
        let taken = take(&mut self.client, way, most);
        self.handed_over += taken.len();
        self.held.extend(taken);
    }

    /// Writes octets, as the operating system does at some later time.
    fn write(&mut self, most: usize) {
        let octets = some(&mut self.held, most);
        self.sent += octets.len();
        self.on_its_way.extend(octets);
    }

    fn complete(&mut self) {
        let octets = self.random.octets().min(self.sent - self.reported);
        if self.reports_writes && octets > 0 {
            self.reported += octets;
            self.client.handle_written(at(self.now), octets);
        }
    }

    fn arrive(&mut self, most: usize) {
        let octets = some(&mut self.on_its_way, most);
        self.peer.receive(at(self.now), &octets);
    }

    fn step(&mut self) {
        self.now += 1;
        match self.random.below(9) {
            0 | 1 => self.hand_over(),
            2 => {
                let most = self.random.octets();
                self.write(most);
            }
            3 => self.complete(),
            4 => {
                let most = self.random.octets();
                self.arrive(most);
            }
            5 => {
                let (way, most) = (self.random.below(4), self.random.octets());
                let octets = take(&mut self.peer.connection, way, most);
                self.back.extend(octets);
            }
            6 => {
                let most = self.random.octets();
                let octets = some(&mut self.back, most);
                if !octets.is_empty() {
                    self.client.handle_input(at(self.now), &octets);
                }
            }
            7 => self.client.handle_timeout(at(self.now)),
            _ => self.stream(),
        }
        self.poll_client();
        let waits = self.client.output().has_remaining();
        let unwritten =
            self.reports_writes && self.reported > 0 && self.reported < self.handed_over;
        if (waits || unwritten) && !self.client.is_closed() {
            let deadline = self.client.poll_timeout();
            assert!(deadline.is_some(), "output waits without a deadline");
        }
    }

    fn stream(&mut self) {
        let Some(id) = self.streamed.take() else {
            return;
        };
        self.pieces += 1;
        // This fails if the message has its verdict.
        let _ = if self.pieces > 3 {
            self.client.body_end(id)
        } else {
            let piece = Bytes::from(vec![b'x'; 9_000]);
            self.client.body_chunk(id, piece)
        };
    }

    fn poll_client(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Report(report) => self.reports.push(report),
                Event::BodyWanted(id) => self.streamed = Some(id),
                Event::Closed(_) => {
                    assert!(!self.closed, "closed twice");
                    self.closed = true;
                }
                _ => {}
            }
        }
    }

    /// Ends the session at this moment.
    fn break_off(&mut self) {
        let now = at(self.now);
        match self.random.below(4) {
            0 => self.client.abort(),
            1 => self.client.handle_eof(now),
            2 => {
                let error = io::Error::from(io::ErrorKind::ConnectionReset);
                self.client.handle_transport_error(now, Arc::new(error));
            }
            _ => {
                // Every deadline has passed.
                self.now += 3_600_000;
                self.client.handle_timeout(at(self.now));
            }
        }
    }
}

/// Sends messages, ends the session, and compares the reports with the messages that the server
/// received completely once everything that was handed over has arrived.
fn run(world: &World, mode: Mode, seed: u64) -> (usize, usize) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..9 {
        random.below(2);
    }
    let (mut client, peer) = world.ends(mode, config(), random.below(2) == 0);
    let messages: u64 = 3;
    for number in 0..messages {
        let body = match random.below(3) {
            0 => StreamFacts::default().into(),
            1 => BodySource::from("Subject: x\n\nhi\n.dot\n"),
            _ => BodySource::from("long\n".repeat(8_000)),
        };
        client.enqueue(envelope(number), body);
    }
    client.quit();
    let ends_at = match random.below(4) {
        0 => u64::MAX,
        _ => random.below([100, 600, 3_000][seed as usize % 3]),
    };
    let reports_writes = random.below(3) > 0;
    let mut run = Run {
        client,
        peer,
        random,
        reports_writes,
        held: VecDeque::new(),
        on_its_way: VecDeque::new(),
        handed_over: 0,
        sent: 0,
        reported: 0,
        back: VecDeque::new(),
        streamed: None,
        pieces: 0,
        reports: Vec::new(),
        closed: false,
        now: 0,
    };
    for step in 0.. {
        assert!(step < 2_000_000, "no end");
        if step == ends_at {
            run.break_off();
            run.poll_client();
        }
        if run.closed {
            break;
        }
        run.step();
    }
    // The rest of the output is sent too: it must contain nothing of a message.
    run.hand_over();
    run.write(usize::MAX);
    run.arrive(usize::MAX);
    assert_eq!(run.reports.len(), messages as usize);
    for (number, report) in (0..).zip(&run.reports) {
        let stored = run.peer.stored.contains(&number);
        match report.outcome() {
            Outcome::NotSent(_) => assert!(!stored, "the server received it completely: {report}"),
            Outcome::InDoubt(_) => assert!(stored, "its end was not handed over: {report}"),
            Outcome::Accepted(_) => assert!(stored, "{report}"),
            Outcome::Rejected { .. } => panic!("{report}"),
        }
        if ends_at == u64::MAX {
            assert!(matches!(report.outcome(), Outcome::Accepted(_)), "{report}");
        }
    }
    let count = |wanted: fn(&Outcome) -> bool| {
        let reports = run.reports.iter();
        reports.filter(|report| wanted(report.outcome())).count()
    };
    (
        count(|outcome| matches!(outcome, Outcome::InDoubt(_))),
        count(|outcome| matches!(outcome, Outcome::NotSent(_))),
    )
}

#[test]
fn reports_are_true_whenever_octets_are_written() {
    let world = World::new();
    for mode in MODES {
        let (mut in_doubt, mut not_sent) = (0, 0);
        for seed in 1..=400 {
            let (doubts, unsent) =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&world, mode, seed)))
                    .unwrap_or_else(|_| panic!("{mode:?}, seed {seed}"));
            in_doubt += doubts;
            not_sent += unsent;
        }
        assert!(in_doubt > 5 && not_sent > 50, "{mode:?} ends too late");
    }
}

/// A session with this content queued, whose server has asked for it.
fn about_to_write(world: &World, mode: Mode, content: usize) -> (Connection, Peer) {
    let timeouts = Timeouts::default().body(Duration::from_secs(2));
    let (mut client, mut peer) = world.ends(mode, config().timeouts(timeouts), false);
    let id = client.enqueue(envelope(0), StreamFacts::default());
    loop {
        let mut output = client.output();
        let octets = output.copy_to_bytes(output.remaining());
        let said = {
            drop(output);
            peer.receive(at(0), &octets);
            peer.output(usize::MAX)
        };
        client.handle_input(at(0), &said);
        let mut events = std::iter::from_fn(|| client.poll_event());
        if events.any(|event| matches!(event, Event::BodyWanted(_))) {
            break;
        }
    }
    let piece = Bytes::from(vec![b'x'; content]);
    client.body_chunk(id, piece).unwrap();
    client.body_end(id).unwrap();
    (client, peer)
}

fn report(client: &mut Connection) -> Report {
    let mut events = std::iter::from_fn(|| client.poll_event());
    let report = events.find_map(|event| match event {
        Event::Report(report) => Some(report),
        _ => None,
    });
    report.unwrap()
}

#[test]
fn a_server_that_stops_reading_is_not_awaited() {
    let world = World::new();
    for mode in MODES {
        for content in [10, 20_000, 200_000] {
            let (mut client, _peer) = about_to_write(&world, mode, content);
            assert!(client.output().has_remaining());
            client.handle_timeout(at(0));
            let deadline = client.poll_timeout().unwrap();
            assert!(deadline <= at(2_000), "{mode:?} {content}");
            client.handle_timeout(deadline);
            let report = report(&mut client);
            assert!(matches!(report.outcome(), Outcome::NotSent(error)
                if matches!(error.kind(), ErrorKind::TimedOut)));
            assert!(client.is_closed());
            let mut output = client.output();
            let rest = output.copy_to_bytes(output.remaining());
            assert!(rest.len() < 100, "content that is reported as not sent");
        }
    }
}

#[test]
fn a_slow_but_steady_link_meets_the_deadline() {
    let world = World::new();
    for mode in MODES {
        for reports_writes in [false, true] {
            let (mut client, mut peer) = about_to_write(&world, mode, 30_000);
            let mut now = 0;
            let mut held = VecDeque::new();
            loop {
                let mut output = client.output();
                let waits = output.remaining();
                let octets = output.copy_to_bytes(if reports_writes {
                    waits
                } else {
                    waits.min(500)
                });
                drop(output);
                held.extend(octets);
                if held.is_empty() {
                    break;
                }
                now += 1_900;
                let octets = some(&mut held, 500);
                peer.receive(at(now), &octets);
                if reports_writes {
                    client.handle_written(at(now), octets.len());
                }
                client.handle_timeout(at(now));
                assert!(!client.is_closed(), "{mode:?} {}", report(&mut client));
            }
            client.handle_input(at(now), &peer.output(usize::MAX));
            let report = report(&mut client);
            assert!(matches!(report.outcome(), Outcome::Accepted(_)), "{report}");
        }
    }
}

#[test]
fn a_message_is_in_doubt_once_the_last_octet_of_its_last_record_is_handed_over() {
    let world = World::new();
    for (missing, in_doubt) in [(usize::MAX, false), (1, false), (0, true)] {
        let (mut client, mut peer) = about_to_write(&world, Mode::Wrapper, 20_000);
        let mut output = client.output();
        let octets = output.remaining().saturating_sub(missing);
        let octets = output.copy_to_bytes(octets);
        drop(output);
        peer.receive(at(0), &octets);
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        client.handle_transport_error(at(0), Arc::new(error));
        let report = report(&mut client);
        let doubt = matches!(report.outcome(), Outcome::InDoubt(_));
        assert_eq!(doubt, in_doubt, "{report}");
        assert_eq!(peer.stored.len(), usize::from(in_doubt));
    }
}
