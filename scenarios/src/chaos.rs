//! A server that kills connections at random, and the conditions that every message must meet
//! nevertheless. Seeded, so that a run can be reproduced.

use std::collections::HashSet;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use postwire_blocking::Driver;
use postwire_server::{ChunksRead, ServerConfig, ServerEvent};
use postwire_tls::proto::{Body, EnhancedCode, Envelope, Outcome, Reply, ReplyCode, Timeouts};
use postwire_tls::{ServerConnection, ServerTls};
use postwire_transport::{PoolConfig, TransportBuilder, TransportConfig};
use socket2::SockRef;

use crate::Adapter;

/// About one command in this many is answered by a kill.
const COMMANDS_PER_KILL: u64 = 50;

/// One recipient in this many is refused.
const REFUSED_RECIPIENTS: u64 = 40;

/// The time for which a silent server keeps its connection open.
const SILENCE: Duration = Duration::from_millis(700);

/// Pseudo-random numbers, the same for each seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Clone, Copy, Debug)]
enum Kill {
    Reset,
    Close,
    Announce,
    Silence,
}

struct Server {
    port: u16,
    stored: Arc<Mutex<Vec<usize>>>,
    kills: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Server {
    fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            stored: Arc::default(),
            kills: Arc::default(),
            most_at_once: Arc::default(),
        };
        let (stored, kills) = (Arc::clone(&server.stored), Arc::clone(&server.kills));
        let most_at_once = Arc::clone(&server.most_at_once);
        let at_once = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (stored, kills) = (Arc::clone(&stored), Arc::clone(&kills));
                let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most_at_once));
                let random = Random(seed.wrapping_mul(number as u64 * 2 + 1) | 1);
                thread::spawn(move || {
                    let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    serve(stream, random, &stored, &kills);
                    at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }
}

fn serve(stream: TcpStream, mut random: Random, stored: &Mutex<Vec<usize>>, kills: &AtomicUsize) {
    stream.set_nodelay(true).unwrap();
    // Some servers execute the octets of a refused BDAT as commands, and some proxies those of
    // every BDAT.
    let read = match random.below(4) {
        0 => ChunksRead::Accepted,
        1 => ChunksRead::None,
        _ => ChunksRead::All,
    };
    let config = ServerConfig::new("localhost".parse().unwrap()).chunks_read(read);
    let config = Arc::new(config);
    let mut driver = Driver::new(ServerConnection::new(&config, &ServerTls::None), stream);
    while let Some(event) = driver.next_event() {
        if matches!(event, ServerEvent::RcptTo { .. }) && random.below(REFUSED_RECIPIENTS) == 0 {
            let code = ReplyCode::new(550).unwrap();
            let reply = Reply::new(code, EnhancedCode::new(5, 1, 1), &["no such user"]);
            driver.machine_mut().respond(reply).unwrap();
            continue;
        }
        let number = match event {
            ServerEvent::Message(received) => Some(number_of(&received.content)),
            ServerEvent::MailFrom { .. } | ServerEvent::RcptTo { .. } | ServerEvent::Data => None,
            _ => continue,
        };
        let kill = (random.below(COMMANDS_PER_KILL) == 0).then(|| random.kill());
        // A server may die before it has stored a message, or just after.
        let announced = matches!(kill, Some(Kill::Announce));
        if let Some(number) = number
            && !announced
            && (kill.is_none() || random.below(2) == 0)
        {
            stored.lock().unwrap().push(number);
        }
        let Some(kill) = kill else {
            driver.machine_mut().accept().unwrap();
            continue;
        };
        kills.fetch_add(1, Ordering::SeqCst);
        match kill {
            Kill::Announce => {
                let code = ReplyCode::new(421).unwrap();
                let enhanced = EnhancedCode::new(4, 3, 2);
                let reply = Reply::new(code, enhanced, &["shutting down"]);
                driver.machine_mut().respond(reply).unwrap();
                continue;
            }
            Kill::Reset => SockRef::from(driver.stream())
                .set_linger(Some(Duration::ZERO))
                .unwrap(),
            Kill::Close => {}
            Kill::Silence => thread::sleep(SILENCE),
        }
        return;
    }
}

impl Random {
    fn kill(&mut self) -> Kill {
        match self.below(8) {
            0..=2 => Kill::Reset,
            3 | 4 => Kill::Close,
            5 | 6 => Kill::Announce,
            _ => Kill::Silence,
        }
    }
}

fn number_of(content: &[u8]) -> usize {
    let text = std::str::from_utf8(content).unwrap();
    let line = text.lines().next().unwrap();
    let number = line.strip_prefix("Subject: ");
    number.unwrap().parse().expect("a message that was sent")
}

/// Sends `messages` messages from 50 senders over a pool of 8 connections to such a server, and
/// compares the reports with the stored messages.
pub fn run(adapter: &dyn Adapter, messages: usize, seed: u64) {
    const CONNECTIONS: usize = 8;
    let server = Server::start(seed);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let config = TransportBuilder::<TransportConfig>::from_url(url)
        .unwrap()
        .timeouts(Timeouts::default().capped(Duration::from_millis(500)))
        .pool_config(PoolConfig::default().max_connections(CONNECTIONS))
        .build()
        .unwrap();
    let envelope = Envelope::new(
        Some("sender@sender.example".parse().unwrap()),
        vec!["recipient@recipient.example".parse().unwrap()],
    )
    .unwrap();
    let numbered = |number: usize| {
        // Executed as commands, the content would be another message.
        let content = format!(
            "Subject: {number}\r\n\r\nmessage {number}\r\n\
             RSET\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<x@recipient.example>\r\n\
             BDAT 17 LAST\r\nSubject: forged\r\n"
        );
        (envelope.clone(), Body::from(content))
    };
    let all = (0..messages).map(numbered).collect();
    let reports = adapter.send_concurrently(config, all, 50);
    // Everything that the last connections delivered is stored by now.
    thread::sleep(SILENCE);

    let stored = server.stored.lock().unwrap().clone();
    let kills = server.kills.load(Ordering::SeqCst);
    let once: HashSet<usize> = stored.iter().copied().collect();
    assert_eq!(reports.len(), messages, "one report each");
    let reported: HashSet<usize> = reports.iter().map(|(number, _)| *number).collect();
    assert_eq!(reported.len(), messages, "one report each");
    let (mut accepted, mut in_doubt, mut other) = (0, 0, 0);
    let mut doubtful = HashSet::new();
    for (number, report) in &reports {
        match report.outcome() {
            Outcome::Accepted(_) => {
                accepted += 1;
                assert!(once.contains(number), "{number}: accepted, not stored");
            }
            Outcome::InDoubt(_) => {
                in_doubt += 1;
                doubtful.insert(*number);
            }
            Outcome::NotSent(_) | Outcome::Rejected { .. } => {
                other += 1;
                assert!(!once.contains(number), "{number}: {report}, but stored");
            }
        }
    }
    assert_eq!(stored.len(), once.len(), "a message was stored twice");
    assert!(in_doubt <= kills, "{in_doubt} in doubt after {kills} kills");
    assert!(
        accepted > messages * 9 / 10,
        "{accepted} of {messages} accepted"
    );
    assert!(
        once.iter().filter(|n| !doubtful.contains(n)).count() == accepted,
        "accepted is what was stored"
    );
    let most = server.most_at_once.load(Ordering::SeqCst);
    println!(
        "{messages} messages, {kills} kills: {accepted} accepted, {in_doubt} in doubt, \
         {other} not sent or rejected; at most {most} connections at once"
    );
}

/// The number of messages that a test sends: 10,000 if `POSTWIRE_CHAOS_MESSAGES` is set, fewer
/// by default.
pub fn messages() -> usize {
    let asked = std::env::var("POSTWIRE_CHAOS_MESSAGES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(2_000)
}
