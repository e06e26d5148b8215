//! An event loop of one's own: 1,000 sessions in one thread over `mio`, against
//! the embedded server. Prints what a session costs in memory.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use postwire_testing::server::{Embedded, everything};
use postwire_tls::proto::{
    Client, ClientConfig, Clock, Endpoint, Envelope, Event, HelloName, Security,
};

const SESSIONS: usize = 1_000;

struct Session {
    client: Client,
    stream: TcpStream,
}

impl Session {
    /// Moves what can be moved without waiting. Says how many messages were
    /// accepted.
    fn advance(&mut self, clock: &Clock) -> io::Result<usize> {
        let mut accepted = 0;
        let mut input = [0; 4_096];
        while !self.client.is_closed() {
            self.write()?;
            match self.stream.read(&mut input) {
                Ok(0) => self.client.handle_eof(clock.now()),
                Ok(n) => self.client.handle_input(clock.now(), &input[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self
                    .client
                    .handle_transport_error(clock.now(), Arc::new(error)),
            }
        }
        while let Some(event) = self.client.poll_event() {
            if let Event::Report(report) = event {
                accepted += usize::from(report.is_accepted());
            }
        }
        Ok(accepted)
    }

    fn write(&mut self) -> io::Result<()> {
        loop {
            let mut output = self.client.output();
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = output.chunks_vectored(&mut slices);
            if filled == 0 {
                return Ok(());
            }
            match self.stream.write_vectored(&slices[..filled]) {
                Ok(taken) => output.advance(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Resident memory of this process, in octets, where the system tells.
fn resident() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Embedded::start(everything(), postwire_testing::plaintext());
    let address = format!("127.0.0.1:{}", server.port()).parse()?;
    let config = Arc::new(ClientConfig::new(HelloName::localhost(), Security::None));
    let envelope = Envelope::new(
        Some("alice@example.org".parse()?),
        vec!["bob@example.net".parse()?],
    )?;
    let clock = Clock::new();

    let before = resident();
    let idle: Vec<Client> = (0..SESSIONS)
        .map(|_| Client::new(Arc::clone(&config)))
        .collect();
    if let (Some(before), Some(after)) = (before, resident()) {
        println!(
            "{} octets a session before its greeting",
            after.saturating_sub(before) / SESSIONS
        );
    }
    println!("{} octets of it in place", size_of::<Client>());

    let mut poll = Poll::new()?;
    let mut sessions = Vec::with_capacity(SESSIONS);
    for (number, mut client) in idle.into_iter().enumerate() {
        let mut stream = TcpStream::connect(address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut stream, Token(number), interest)?;
        client.send(
            envelope.clone(),
            format!("Subject: {number}\n\nhello\n").into(),
        );
        client.quit();
        sessions.push(Session { client, stream });
    }

    let mut accepted = 0;
    let mut events = Events::with_capacity(1_024);
    while !sessions.iter().all(|session| session.client.is_closed()) {
        let next = sessions
            .iter()
            .filter_map(|session| session.client.poll_timeout())
            .min();
        let wait = next.map(|at| at.saturating_duration_since(clock.now()));
        poll.poll(
            &mut events,
            wait.map(|wait| wait.min(Duration::from_secs(1))),
        )?;
        for event in &events {
            accepted += sessions[event.token().0].advance(&clock)?;
        }
        let now = clock.now();
        for session in &mut sessions {
            if session
                .client
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                session.client.handle_timeout(now);
            }
        }
    }
    println!(
        "{accepted} of {SESSIONS} accepted, {} stored",
        server.seen().stored.len()
    );
    assert_eq!((accepted, server.seen().stored.len()), (SESSIONS, SESSIONS));
    Ok(())
}
