//! The drive loop of README.md and of the crate's page, word for word: it returns every
//! verdict, however the session ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::VecDeque;
use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use postwire_proto::{
    Client, ClientConfig, Clock, Endpoint, Envelope, Event, HelloName, Outcome, Report, Security,
    Timeouts,
};

#[rustfmt::skip]
fn drive(client: &mut Client, stream: &mut Socket) -> io::Result<Vec<Report>> {
    let clock = Clock::new();
    let mut input = [0; 16 * 1024];
    let mut reports = Vec::new();
    // the loop begins
    loop {
        let now = clock.now();
        client.handle_timeout(now);                       // starts the deadline of what was handed over
        let wait = client.poll_timeout().map(|at| at.saturating_duration_since(now));
        stream.set_write_timeout(wait.map(|wait| wait.max(SHORTEST)))?; // a server that does not read
        loop {
            let mut output = client.output();             // slices of the message itself, not copies
            let mut slices = [IoSlice::new(&[]); 16];
            let n = output.chunks_vectored(&mut slices);
            if n == 0 { break }
            match stream.write_vectored(&slices[..n]) {
                Ok(taken) => output.advance(taken),
                Err(e) if e.kind() == Interrupted => {}
                Err(_) => break,                          // what the server said before is read first
            }
        }
        while let Some(event) = client.poll_event() {     // also the last ones: Report, then Closed
            if let Event::Report(report) = event { reports.push(report) }
        }
        if client.is_closed() { break }
        let now = clock.now();
        let wait = client.poll_timeout().map(|at| at.saturating_duration_since(now));
        if wait == Some(Duration::ZERO) { client.handle_timeout(now); continue }
        stream.set_read_timeout(wait)?;
        match stream.read(&mut input) {
            Ok(0) => client.handle_eof(clock.now()),
            Ok(n) => client.handle_input(clock.now(), &input[..n]),
            Err(e) => match e.kind() {
                WouldBlock | TimedOut => client.handle_timeout(clock.now()),
                Interrupted => {}
                _ => client.handle_transport_error(clock.now(), Arc::new(e)),
            },
        }
    }
    // the loop ends
    Ok(reports)
}

/// The shortest time limit that a socket takes.
const SHORTEST: Duration = Duration::from_millis(1);

/// The results of successive reads, followed by the end of the stream.
struct Socket {
    reads: VecDeque<Found>,
    timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    refuses_writes: bool,
    /// The server reads nothing after the envelope.
    is_full: bool,
    interruptions: usize,
}

#[derive(Clone, Copy)]
enum Found {
    Words(&'static str),
    Fault(io::ErrorKind),
    /// Nothing until the read timeout is over.
    Silence(io::ErrorKind),
}

impl Socket {
    #[expect(clippy::unnecessary_wraps, reason = "as a socket's own")]
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        assert_ne!(timeout, Some(Duration::ZERO), "no socket takes that");
        self.timeout = timeout;
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a socket's own")]
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        assert_ne!(timeout, Some(Duration::ZERO), "no socket takes that");
        self.write_timeout = timeout;
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.reads.pop_front() {
            None => Ok(0),
            Some(Found::Fault(kind)) => Err(kind.into()),
            Some(silence @ Found::Silence(kind)) => {
                self.reads.push_front(silence);
                std::thread::sleep(self.timeout.expect("a deadline"));
                Err(kind.into())
            }
            Some(Found::Words(words)) => {
                into[..words.len()].copy_from_slice(words.as_bytes());
                Ok(words.len())
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.refuses_writes && octets.starts_with(b"MAIL") {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.interruptions > 0 {
            self.interruptions -= 1;
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.is_full && octets.starts_with(b"x\r\n") {
            std::thread::sleep(self.write_timeout.expect("a deadline"));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn socket(last: &[Found]) -> Socket {
    let first = [
        "220 mx\r\n",
        "250-mx\r\n250 PIPELINING\r\n",
        "250 ok\r\n250 ok\r\n354 go on\r\n",
    ];
    let reads = first.map(Found::Words).into_iter();
    Socket {
        reads: reads.chain(last.iter().copied()).collect(),
        timeout: None,
        write_timeout: None,
        refuses_writes: false,
        is_full: false,
        interruptions: 0,
    }
}

fn run(socket: &mut Socket) -> Report {
    let timeouts = Timeouts::default().capped(Duration::from_millis(100));
    let config = ClientConfig::new(HelloName::localhost(), Security::None).timeouts(timeouts);
    let mut client = Client::new(Arc::new(config));
    let envelope = Envelope::new(None, vec!["b@example.org".parse().unwrap()]).unwrap();
    client.enqueue(envelope, "x\r\n");
    client.quit();
    let mut reports = drive(&mut client, socket).unwrap();
    assert_eq!(reports.len(), 1);
    assert!(client.poll_event().is_none(), "an event was left behind");
    reports.remove(0)
}

#[test]
fn a_goodbye_in_the_segment_of_the_verdict() {
    let report = run(&mut socket(&[Found::Words("250 queued\r\n221 bye\r\n")]));
    assert!(report.is_accepted(), "{report}");
    let report = run(&mut socket(&[Found::Words("250 queued\r\n421 bye\r\n")]));
    assert!(report.is_accepted(), "{report}");
}

#[test]
fn the_server_closes_the_connection() {
    let report = run(&mut socket(&[]));
    assert!(matches!(report.outcome(), Outcome::InDoubt(_)), "{report}");
    let report = run(&mut socket(&[Found::Fault(io::ErrorKind::ConnectionReset)]));
    assert!(matches!(report.outcome(), Outcome::InDoubt(_)), "{report}");
}

#[test]
fn the_server_stops_reading() {
    let mut stalled = socket(&[Found::Silence(WouldBlock)]);
    stalled.is_full = true;
    let report = run(&mut stalled);
    assert!(matches!(report.outcome(), Outcome::NotSent(_)), "{report}");
}

#[test]
fn a_signal_interrupts_a_write() {
    let mut interrupted = socket(&[Found::Words("250 queued\r\n221 bye\r\n")]);
    interrupted.interruptions = 2;
    let report = run(&mut interrupted);
    assert!(report.is_accepted(), "{report}");
}

#[test]
fn the_server_falls_silent() {
    // Unix returns the former, Windows the latter.
    for kind in [WouldBlock, TimedOut] {
        let report = run(&mut socket(&[
            Found::Fault(Interrupted),
            Found::Silence(kind),
        ]));
        assert!(matches!(report.outcome(), Outcome::InDoubt(_)), "{report}");
    }
}

#[test]
fn the_last_reply_before_the_close_is_the_reason() {
    let mut socket = socket(&[]);
    socket.refuses_writes = true;
    socket.reads.truncate(2);
    socket
        .reads
        .push_back(Found::Words("421 4.3.2 going down\r\n"));
    let report = run(&mut socket);
    assert!(
        report.to_string().contains("421 4.3.2 going down"),
        "{report}"
    );
}

fn lines(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches("//!").trim());
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_pages_show_this_loop() {
    let own = include_str!("drive_loop.rs");
    let own = own.split("    // the loop begins\n").nth(1).unwrap();
    let own = lines(own.split("    // the loop ends\n").next().unwrap());
    for (name, page) in [
        ("README.md", include_str!("../../README.md")),
        ("src/lib.rs", include_str!("../src/lib.rs")),
    ] {
        let page = lines(page);
        let shown = page.windows(own.len()).any(|window| window == own);
        assert!(shown, "{name} shows another loop");
    }
}
