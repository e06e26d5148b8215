//! Shared connections: who waits for one, for how long, and what happens at a shutdown.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postwire_tls::ServerTls;
use postwire_tls::proto::{Body, ErrorKind, Outcome, Report, Stage, Timeouts};
use postwire_transport::PoolConfig;

use super::{assert_accepted, bob, error, message, url, within_patience};
use crate::Adapter;
use crate::server::{Embedded, config_with_all_extensions, exchange};

/// A server that runs a script with the number of each connection, and counts connections.
struct NumberedServer {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl NumberedServer {
    fn start(script: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (script, counted) = (Arc::new(script), Arc::clone(&connections));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                counted.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                thread::spawn(move || script(number, stream));
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Accepts every message until the client closes.
fn serve(mut stream: TcpStream) {
    let mut received = exchange(&mut stream, "220 hi\r\n", "EHLO");
    while !received.is_empty() {
        received = exchange(&mut stream, "250 ok\r\n", "\r\n");
        if received.starts_with("DATA") {
            received = exchange(&mut stream, "354 go\r\n", "\r\n.\r\n");
        } else if received.starts_with("QUIT") {
            let _ = stream.write_all(b"221 bye\r\n");
            return;
        }
    }
}

/// The server refuses the first connection for lack of room, after a moment in which other
/// senders start to wait. They are served after the pause.
pub(super) fn no_room_at_first(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let server = NumberedServer::start(|number, mut stream| {
        if number == 0 {
            thread::sleep(Duration::from_millis(100));
            let _ = stream.write_all(b"421 4.3.2 too many connections\r\n");
        } else {
            serve(stream);
        }
    });
    let pool = PoolConfig::default().max_connections(1);
    let config = url("none", server.port).pool_config(pool).build().unwrap();
    let messages = vec![(bob(), Body::from(message())); 4];
    let reports = adapter.send_concurrently(config, messages, 4);
    let accepted = reports.iter().filter(|(_, report)| report.is_accepted());
    assert_eq!((reports.len(), accepted.count()), (4, 3));
    assert_eq!(server.connections(), 2);
    within_patience(begun);
}

/// A server without room for any connection: each message has an answer, and so does the
/// shutdown.
pub(super) fn no_room_at_all(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let server = NumberedServer::start(|_, mut stream| {
        let _ = stream.write_all(b"421 4.3.2 too many connections\r\n");
    });
    let mut pool = PoolConfig::default().max_connections(1);
    pool.longest_pause = Duration::from_millis(50);
    let config = url("none", server.port).pool_config(pool).build().unwrap();
    let messages = vec![(bob(), Body::from(message())); 5];
    let reports = adapter.send_concurrently(config, messages, 5);
    assert_eq!((reports.len(), server.connections()), (5, 5));
    for (_, report) in &reports {
        assert_eq!(report.reply().unwrap().code().get(), 421, "{report}");
    }
    within_patience(begun);
}

/// `timeout` bounds the whole send: senders that wait behind others that time out do not wait
/// longer.
pub(super) fn waiting_is_bounded(adapter: &dyn Adapter) {
    let server = NumberedServer::start(|_, stream| {
        thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    let pool = PoolConfig::default().max_connections(2);
    let config = url("none", server.port)
        .pool_config(pool)
        .timeout(Some(Duration::from_millis(400)))
        .build()
        .unwrap();
    let messages = vec![(bob(), Body::from(message())); 12];
    let reports = adapter.send_concurrently(config, messages, 12);
    assert_eq!(reports.len(), 12);
    for (_, report) in &reports {
        assert!(matches!(error(report).1, ErrorKind::TimedOut), "{report}");
    }
    // Without the timeout each sender has its turn, two at a time.
    let waited = |report: &Report| report.stage() == Some(Stage::Connect);
    assert!(reports.iter().any(|(_, report)| waited(report)));
}

/// The wait for a connection has its own limit.
pub(super) fn acquire_timeout(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let server = NumberedServer::start(|_, mut stream| {
        thread::sleep(Duration::from_secs(1));
        let _ = stream.write_all(b"554 no\r\n");
    });
    let pool = PoolConfig::default()
        .max_connections(1)
        .acquire_timeout(Some(Duration::from_millis(100)));
    let config = url("none", server.port).pool_config(pool).build().unwrap();
    let messages = vec![(bob(), Body::from(message())); 3];
    let reports = adapter.send_concurrently(config, messages, 3);
    let (mut in_time, mut refused) = (0, 0);
    for (_, report) in &reports {
        match error(report) {
            (Stage::Connect, ErrorKind::TimedOut) => in_time += 1,
            (Stage::Greeting, ErrorKind::Refused(_)) => refused += 1,
            _ => panic!("{report}"),
        }
    }
    assert_eq!((in_time, refused), (2, 1));
    within_patience(begun);
}

/// After all reports were received, the source of reports holds nothing, also after a message
/// larger than the buffers.
pub(super) fn shutdown_after_the_last(adapter: &dyn Adapter) {
    let begun = Instant::now();
    for octets in [10, 3 << 20] {
        let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
        let config = url("none", server.port()).build().unwrap();
        let text = "x\r\n".repeat(octets / 3);
        let shutdown = adapter.shut_down_midway(config, vec![(bob(), text.into())], 1);
        assert_accepted(&shutdown.before[0]);
        let (stage, kind) = error(&shutdown.after);
        assert_eq!(stage, Stage::Connect);
        assert!(matches!(kind, ErrorKind::ShutDown), "{}", shutdown.after);
        assert!(!shutdown.after.error().unwrap().is_transient());
        assert!(shutdown.left.is_empty());
        server.wait_for_open_connections(0);
    }
    within_patience(begun);
}

/// Messages are in progress, and nobody polls for their reports: a shutdown ends nevertheless,
/// and the reports are available afterwards.
pub(super) fn shutdown_midway(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let pool = PoolConfig::default().shutdown_timeout(Duration::from_millis(100));
    let config = url("none", server.port())
        .pool_config(pool)
        .build()
        .unwrap();
    let messages = vec![(bob(), Body::from(message())); 5];
    let shutdown = adapter.shut_down_midway(config, messages, 1);
    assert_accepted(&shutdown.before[0]);
    let (_, kind) = error(&shutdown.after);
    assert!(matches!(kind, ErrorKind::ShutDown), "{}", shutdown.after);
    server.wait_for_open_connections(0);
    let stored = server.recording().stored.len();
    let accepted = shutdown.left.iter().filter(|report| report.is_accepted());
    let in_doubt = |report: &&Report| matches!(report.outcome(), Outcome::InDoubt(_));
    let in_doubt = shutdown.left.iter().filter(in_doubt);
    let sure = 1 + accepted.count();
    assert!(
        (sure..=sure + in_doubt.count()).contains(&stored),
        "{shutdown:?}"
    );
    within_patience(begun);
}

/// A pooled connection whose other end is gone without a close: the first message over it is
/// not answered, and is sent over a new connection.
pub(super) fn dead_without_a_word(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let server = NumberedServer::start(|number, mut stream| {
        if number > 0 {
            return serve(stream);
        }
        exchange(&mut stream, "220 hi\r\n", "EHLO");
        exchange(&mut stream, "250 hi\r\n", "MAIL");
        exchange(&mut stream, "250 ok\r\n", "RCPT");
        exchange(&mut stream, "250 ok\r\n", "DATA");
        exchange(&mut stream, "354 go\r\n", "\r\n.\r\n");
        exchange(&mut stream, "250 taken\r\n", "never");
    });
    let timeouts = Timeouts::default().after_idle(Duration::from_millis(300));
    let config = url("none", server.port).timeouts(timeouts).build().unwrap();
    // A connection counts as idle after a second.
    let wait = || thread::sleep(Duration::from_millis(1_200));
    let reports = adapter.send_twice(config, &bob(), message().into(), &wait);
    reports.iter().for_each(assert_accepted);
    assert_eq!(server.connections(), 2);
    within_patience(begun);
}

/// If an address accepts the connection and the session fails, the next address is tried.
pub(super) fn the_next_address(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let good = NumberedServer::start(|_, stream| serve(stream));
    for (words, until) in [
        ("421 busy\r\n", "QUIT"),
        ("554 no\r\n", "QUIT"),
        // The client does not wait for a server that refuses and does not read QUIT.
        ("554 no\r\n", "nothing else"),
        ("", "QUIT"),
        ("hang up", ""),
    ] {
        let bad = NumberedServer::start(move |_, mut stream| {
            if words != "hang up" {
                exchange(&mut stream, words, until);
            }
        });
        let asked = Instant::now();
        let timeouts = Timeouts::default().greeting(Duration::from_millis(300));
        let addresses = |ports: [u16; 2]| {
            let builder = url("none", 25).timeouts(timeouts.clone());
            let ports = ports.map(|port| ([127, 0, 0, 1], port).into());
            builder.addresses(ports).build().unwrap()
        };
        let config = addresses([bad.port, good.port]);
        assert_accepted(&adapter.send(config, &bob(), message().into()));
        assert_eq!(bad.connections(), 1);

        // If no address is left, the error is that of the last one.
        let none = adapter.send(addresses([bad.port; 2]), &bob(), message().into());
        assert_eq!(error(&none).0, Stage::Greeting, "{none}");
        assert_eq!(bad.connections(), 3);
        let took = asked.elapsed();
        assert!(
            took < Timeouts::default().quit,
            "{words:?} {until:?}: {took:?}"
        );
    }
    within_patience(begun);
}

/// `Duration::MAX` means forever, and causes no error.
pub(super) fn durations_without_end(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let timeouts = Timeouts::default()
        .connect(Duration::MAX)
        .tls(Duration::MAX)
        .greeting(Duration::MAX)
        .ehlo(Duration::MAX)
        .starttls(Duration::MAX)
        .auth(Duration::MAX)
        .mail(Duration::MAX)
        .rcpt(Duration::MAX)
        .data(Duration::MAX)
        .body(Duration::MAX)
        .end_of_data(Duration::MAX)
        .quit(Duration::MAX)
        .after_idle(Duration::MAX)
        .overall(Some(Duration::MAX));
    let mut pool = PoolConfig::default()
        .idle_timeout(Duration::MAX)
        .max_lifetime(Duration::MAX)
        .acquire_timeout(Some(Duration::MAX))
        .shutdown_timeout(Duration::MAX)
        .max_connections(1);
    pool.first_pause = Duration::MAX;
    pool.longest_pause = Duration::MAX;
    let server = NumberedServer::start(|_, stream| serve(stream));
    let config = url("none", server.port)
        .timeouts(timeouts)
        .timeout(Some(Duration::MAX))
        .pool_config(pool)
        .build()
        .unwrap();
    let reports = adapter.send_twice(config.clone(), &bob(), message().into(), &|| {});
    reports.iter().for_each(assert_accepted);
    let messages = vec![(bob(), Body::from(message())); 4];
    let reports = adapter.send_concurrently(config, messages, 4);
    assert!(reports.iter().all(|(_, report)| report.is_accepted()));
    within_patience(begun);
}
