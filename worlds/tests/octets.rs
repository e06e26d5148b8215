//! A fault at every octet of a session, in each direction, over real sockets: each adapter, each TLS
//! mode, each way to send, with a login and three messages.
//!
//! A run takes a sample. `EVERY_OCTET=1` takes every octet, and `EVERY_OCTET=7` every seventh;
//! `AT_A_TIME=40` shortens the run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use postwire_proto::{Credentials, Pipelining, Report, Timeouts};
use postwire_reference::{Dialect, Mechanism, Reported, Sent, Taken, Verdict, judge};
use postwire_tls::CertificateStore;
use postwire_transport::{TransportBuilder, TransportConfig};
use postwire_worlds::choices::Choices;
use postwire_worlds::messages::{Message, message, paired};
use postwire_worlds::oracle::{check_offences, describe_reports, describe_server};
use postwire_worlds::peer::{Peer, ServerTls, certificate};
use postwire_worlds::runs::run_side_by_side;
use socket2::SockRef;

/// Without `EVERY_OCTET`, one octet in this many.
const SAMPLE: usize = 251;

/// The time limit of each stage of the client: the length of each silence.
const LIMIT: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Plaintext,
    Opportunistic,
    Required,
    Wrapper,
}

const MODES: [Mode; 4] = [
    Mode::Plaintext,
    Mode::Opportunistic,
    Mode::Required,
    Mode::Wrapper,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Adapter {
    Blocking,
    Tokio,
    Smol,
    AsyncStd,
}

const ADAPTERS: [Adapter; 4] = [
    Adapter::Blocking,
    Adapter::Tokio,
    Adapter::Smol,
    Adapter::AsyncStd,
];

/// What happens at the octet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The server closes in an orderly way.
    End,
    /// The connection is reset.
    Reset,
    /// Nothing passes any more, in either direction.
    Silence,
    /// A 421 that the server never said, and then the end.
    Closing,
    /// Octets that the server never said.
    Garbage,
    /// The last octets again.
    Again,
}

const FAULTS: [Fault; 6] = [
    Fault::End,
    Fault::Reset,
    Fault::Silence,
    Fault::Closing,
    Fault::Garbage,
    Fault::Again,
];

impl Fault {
    /// What somebody between client and server adds to what the server says, whose last octets
    /// are these.
    fn addition(self, last: &[u8]) -> &[u8] {
        match self {
            Self::End | Self::Reset | Self::Silence => b"",
            Self::Closing => b"421 4.3.2 closing\r\n",
            Self::Garbage => b"\xff\x00 garbage\r\n",
            Self::Again => &last[last.len().saturating_sub(40)..],
        }
    }

    fn ends(self) -> bool {
        matches!(self, Self::End | Self::Reset | Self::Closing)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    ToServer,
    ToClient,
}

/// A session: how the client sends, and what is sent.
#[derive(Clone, Copy, Debug)]
struct Setting {
    adapter: Adapter,
    mode: Mode,
    pipelining: Pipelining,
    chunking: bool,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    setting: Setting,
    fault: Fault,
    direction: Direction,
    at: usize,
}

impl Setting {
    fn dialect(self) -> Dialect {
        let mut dialect = Dialect {
            auth_demanded: true,
            tls_demanded: self.mode != Mode::Plaintext,
            ..Dialect::default()
        };
        dialect.keywords.chunking = self.chunking;
        dialect.keywords.auth = vec![Mechanism::Plain];
        dialect.keywords.starttls = matches!(self.mode, Mode::Opportunistic | Mode::Required);
        dialect
    }

    fn config(self, port: u16) -> TransportConfig {
        let url = match self.mode {
            Mode::Plaintext => format!("smtp://localhost:{port}?tls=none"),
            Mode::Opportunistic => format!("smtp://localhost:{port}?tls=opportunistic"),
            Mode::Required => format!("smtp://localhost:{port}"),
            Mode::Wrapper => format!("smtps://localhost:{port}"),
        };
        let in_plaintext = self.mode == Mode::Plaintext;
        TransportBuilder::<TransportConfig>::from_url(url)
            .unwrap()
            .addresses([([127, 0, 0, 1], port).into()])
            .credentials(Credentials::new("user", "password"))
            .tls_parameters(|tls| {
                if in_plaintext {
                    tls
                } else {
                    tls.certificate_store(CertificateStore::None)
                        .add_root_certificate(certificate())
                }
            })
            .timeouts(Timeouts::default().capped(LIMIT))
            .client(|client| {
                let client = client.pipelining(self.pipelining);
                client.allow_plaintext_auth(in_plaintext)
            })
            .pool(|pool| pool.max_connections(1))
            .build()
            .unwrap()
    }
}

/// Serves connections; the first has the fault. Counts the octets of the first, for each direction.
struct Server {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    /// The servers, and the octets of the first connection.
    serving: thread::JoinHandle<(Vec<Peer>, [usize; 2])>,
}

impl Server {
    fn start(setting: Setting, case: Option<Case>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let serving = thread::spawn(move || {
            let (mut peers, mut octets) = (Vec::new(), [0; 2]);
            let mut case = case;
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let tls = ServerTls {
                    wrapper: setting.mode == Mode::Wrapper,
                    old: false,
                    truncates: false,
                };
                let mut line = Line {
                    stream,
                    peer: Peer::new(setting.dialect(), tls),
                    case: case.take(),
                    passed: [0; 2],
                    said: Vec::new(),
                };
                // An error of the socket ends the connection like any other end.
                let _ = line.converse();
                line.peer.receive_eof();
                if peers.is_empty() {
                    octets = line.passed;
                }
                peers.push(line.peer);
            }
            (peers, octets)
        });
        Self {
            address,
            is_over,
            serving,
        }
    }

    fn stop(self) -> (Vec<Peer>, [usize; 2]) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that listens.
        drop(TcpStream::connect(self.address));
        self.serving.join().unwrap()
    }
}

/// A connection, with what lies between client and server.
struct Line {
    stream: TcpStream,
    peer: Peer,
    case: Option<Case>,
    /// The octets that passed to the server, and to the client.
    passed: [usize; 2],
    said: Vec<u8>,
}

impl Line {
    fn converse(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        self.stream
            .set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut input = [0; 4096];
        loop {
            let said = self.peer.say();
            if !said.is_empty() && self.pass_to_client(&said)? {
                return Ok(());
            }
            if self.peer.has_closed() {
                return Ok(());
            }
            let octets = self.stream.read(&mut input)?;
            if octets == 0 || self.pass_to_server(&input[..octets])? {
                return Ok(());
            }
        }
    }

    /// How many of these octets pass before the fault, if it is among or behind them.
    fn until_fault(&self, direction: Direction, octets: usize) -> Option<(usize, Fault)> {
        let case = self.case.filter(|case| case.direction == direction)?;
        let left = case.at.checked_sub(self.passed[direction as usize])?;
        (left < octets).then_some((left, case.fault))
    }

    /// Returns whether the connection is over.
    fn pass_to_client(&mut self, said: &[u8]) -> io::Result<bool> {
        let fault = self.until_fault(Direction::ToClient, said.len());
        let passes = fault.map_or(said.len(), |(left, _)| left);
        self.stream.write_all(&said[..passes])?;
        self.passed[Direction::ToClient as usize] += passes;
        self.said.extend_from_slice(&said[..passes]);
        let Some((_, fault)) = fault else {
            return Ok(false);
        };
        self.case = None;
        if self.break_with(fault)? {
            return Ok(true);
        }
        self.pass_to_client(&said[passes..])
    }

    fn pass_to_server(&mut self, heard: &[u8]) -> io::Result<bool> {
        let fault = self.until_fault(Direction::ToServer, heard.len());
        let passes = fault.map_or(heard.len(), |(left, _)| left);
        self.peer.receive(&heard[..passes]);
        self.passed[Direction::ToServer as usize] += passes;
        let Some((_, fault)) = fault else {
            return Ok(false);
        };
        self.case = None;
        // What the server says to what it has heard comes before the fault.
        let said = self.peer.say();
        if self.pass_to_client(&said)? || self.break_with(fault)? {
            return Ok(true);
        }
        self.pass_to_server(&heard[passes..])
    }

    /// Returns whether the connection is over.
    fn break_with(&mut self, fault: Fault) -> io::Result<bool> {
        self.stream.write_all(fault.addition(&self.said))?;
        match fault {
            Fault::Reset => {
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
            }
            Fault::Silence => {
                let mut rest = Vec::new();
                self.stream.read_to_end(&mut rest)?;
                return Ok(true);
            }
            Fault::End | Fault::Closing | Fault::Garbage | Fault::Again => {}
        }
        Ok(fault.ends())
    }
}

macro_rules! send_async {
    ($adapter:ident, $config:expr, $messages:expr) => {{
        let transport = $adapter::Transport::from($config);
        let all: Vec<_> = $messages.iter().map(Message::parts).collect();
        let mut sending = transport.send_all(all);
        let mut reports = Vec::new();
        while let Some(report) = sending.next().await {
            reports.push(report);
        }
        drop(sending);
        transport.shutdown().await;
        reports
    }};
}

fn send(adapter: Adapter, config: TransportConfig, messages: &[Message]) -> Vec<Report> {
    match adapter {
        Adapter::Blocking => {
            let transport = postwire_blocking::Transport::from(config);
            let reports = transport
                .send_all(messages.iter().map(Message::parts))
                .collect();
            transport.shutdown();
            reports
        }
        Adapter::Tokio => {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async { send_async!(postwire_tokio, config, messages) })
        }
        Adapter::Smol => smol::block_on(async { send_async!(postwire_smol, config, messages) }),
        Adapter::AsyncStd => {
            async_std::task::block_on(async { send_async!(postwire_async_std, config, messages) })
        }
    }
}

/// Runs a session, and returns the octets of each direction.
fn run(setting: Setting, case: Option<Case>, messages: &[Message]) -> Result<[usize; 2], String> {
    let server = Server::start(setting, case);
    let config = setting.config(server.address.port());
    let reports = send(setting.adapter, config, messages);
    let reports = paired(messages, &reports);
    let (peers, octets) = server.stop();
    let sent: Vec<Sent> = messages
        .iter()
        .map(|message| message.sent.clone())
        .collect();
    let verdict = || {
        if reports.len() != messages.len() {
            return Err(format!("{} reports", reports.len()));
        }
        // In plaintext, what was added to the replies may mean anything.
        let is_lie = case.is_some_and(|case| !case.fault.addition(b"x").is_empty());
        if is_lie && setting.mode == Mode::Plaintext {
            return Ok(());
        }
        let taken: Vec<&Taken> = peers
            .iter()
            .flat_map(|peer| peer.recorder().taken())
            .collect();
        judge(&sent, &reports, &taken)?;
        let is_sure =
            |report: &Reported| matches!(report.verdict, Verdict::Accepted | Verdict::Rejected);
        if case.is_none() && (taken.is_empty() || !reports.iter().all(is_sure)) {
            return Err("without a fault a message has no clear verdict".to_owned());
        }
        if setting.mode != Mode::Plaintext && taken.iter().any(|taken| !taken.under_tls) {
            return Err("a message was sent in plaintext".to_owned());
        }
        peers
            .iter()
            .try_for_each(|peer| check_offences(peer.recorder()))
    };
    verdict().map_err(|why| {
        let mut text = format!("{why}\n{setting:?} {case:?}\n");
        text += &describe_reports(&reports);
        for peer in &peers {
            text += &describe_server(peer.recorder());
        }
        text
    })?;
    Ok(octets)
}

fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    for adapter in ADAPTERS {
        for mode in MODES {
            for pipelining in [Pipelining::Careful, Pipelining::Bold] {
                for chunking in [false, true] {
                    settings.push(Setting {
                        adapter,
                        mode,
                        pipelining,
                        chunking,
                    });
                }
            }
        }
    }
    settings
}

#[test]
fn a_fault_at_any_octet_leaves_every_report_true() {
    let every = std::env::var("EVERY_OCTET").ok();
    let step: usize = every.map_or(SAMPLE, |every| every.parse().unwrap());
    let mut choices = Choices::from_seed(11);
    let messages: Vec<Message> = (0..3).map(|id| message(id, &mut choices)).collect();
    let mut cases = Vec::new();
    for setting in settings() {
        let octets = run(setting, None, &messages).unwrap_or_else(|why| panic!("{why}"));
        for (direction, octets) in [Direction::ToServer, Direction::ToClient]
            .into_iter()
            .zip(octets)
        {
            assert!(octets > 500, "{setting:?} {octets}");
            for fault in FAULTS {
                // The offsets of a sample differ from setting to setting.
                for at in (cases.len() * 7 % step..octets).step_by(step) {
                    cases.push(Case {
                        setting,
                        fault,
                        direction,
                        at,
                    });
                }
            }
        }
    }
    let all = cases.len();
    let failures = run_side_by_side(cases.into_iter(), |case| {
        run(case.setting, Some(case), &messages).map(drop)
    });
    println!("{all} faults");
    assert_eq!(failures, 0);
}
