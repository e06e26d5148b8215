//! Your own event loop: 1,000 sessions in one thread over `mio`, with the embedded server.
//! Prints the memory of a session.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use bytes::Buf;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use postwire_scenarios::server::{Embedded, config_with_all_extensions};
use postwire_tls::proto::{
    Client, ClientConfig, Clock, Endpoint, Envelope, Event, HelloName, Instant, Security,
};

const SESSIONS: usize = 1_000;

/// The number of connections that are opened at once.
const CONNECTING: usize = 64;

struct Session {
    client: Client,
    stream: TcpStream,
}

impl Session {
    /// Moves everything that can be moved without waiting. Returns the number of accepted
    /// messages.
    fn advance(&mut self, clock: &Clock) -> usize {
        let mut accepted = 0;
        let mut input = [0; 4_096];
        while !self.client.is_closed() {
            self.write();
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
        accepted
    }

    fn write(&mut self) {
        loop {
            let mut output = self.client.output();
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = output.chunks_vectored(&mut slices);
            if filled == 0 {
                return;
            }
            match self.stream.write_vectored(&slices[..filled]) {
                Ok(taken) => output.advance(taken),
                // The socket is full or broken: the read shows which, after the octets that the
                // server sent before it closed.
                Err(_) => return,
            }
        }
    }
}

/// Resident memory of this process in octets, if the system provides it.
fn resident() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Embedded::start(
        config_with_all_extensions(),
        postwire_scenarios::plaintext(),
    );
    let address = format!("127.0.0.1:{}", server.port()).parse()?;
    let config = Arc::new(ClientConfig::new(HelloName::localhost(), Security::None));
    let envelope = Envelope::new(
        Some("alice@example.org".parse()?),
        vec!["bob@example.net".parse()?],
    )?;
    let clock = Clock::new();

    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut sessions: Vec<Session> = Vec::with_capacity(SESSIONS);

    // All sessions are greeted and idle; a few at a time, since a listener's queue is short.
    let ready = |sessions: &[Session]| sessions.iter().filter(|s| s.client.is_ready()).count();
    while ready(&sessions) < SESSIONS {
        let under_way = sessions.len() - ready(&sessions);
        for number in sessions.len()..SESSIONS.min(sessions.len() + CONNECTING - under_way) {
            let mut stream = TcpStream::connect(address)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut stream, Token(number), interest)?;
            let client = Client::new(Arc::clone(&config));
            sessions.push(Session { client, stream });
        }
        turn(&mut poll, &mut events, &mut sessions, &clock)?;
    }
    println!("{SESSIONS} sessions stand idle in one thread");
    println!("{} octets each, in place", size_of::<Client>());
    println!("{} octets each, all told", octets_a_client(&config));

    for (number, session) in sessions.iter_mut().enumerate() {
        let message = format!("Subject: {number}\n\nhello\n");
        session.client.enqueue(envelope.clone(), message);
        session.client.quit();
        session.write();
    }
    let mut accepted = 0;
    while !sessions.iter().all(|session| session.client.is_closed()) {
        accepted += turn(&mut poll, &mut events, &mut sessions, &clock)?;
    }
    let stored = server.recording().stored.len();
    println!("{accepted} of {SESSIONS} messages accepted, {stored} stored");
    assert_eq!((accepted, stored), (SESSIONS, SESSIONS));
    Ok(())
}

/// Waits for the sockets or the next deadline. Returns the number of accepted messages.
fn turn(
    poll: &mut Poll,
    events: &mut Events,
    sessions: &mut [Session],
    clock: &Clock,
) -> io::Result<usize> {
    let deadlines = sessions.iter().filter_map(|s| s.client.poll_timeout());
    let wait = deadlines
        .min()
        .map(|at| at.saturating_duration_since(clock.now()));
    poll.poll(events, wait)?;
    let mut accepted = 0;
    for event in &*events {
        accepted += sessions[event.token().0].advance(clock);
    }
    let now = clock.now();
    for Session { client, .. } in sessions {
        if client
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            client.handle_timeout(now);
        }
    }
    Ok(accepted)
}

/// The memory of a greeted and idle session, including its share of the heap.
fn octets_a_client(config: &Arc<ClientConfig>) -> usize {
    let idle = |_| {
        let mut client = Client::new(Arc::clone(config));
        client.handle_input(Instant::EPOCH, b"220 mail.example.net ESMTP\r\n");
        let flight = client.output().remaining();
        client.output().advance(flight);
        client.handle_input(
            Instant::EPOCH,
            b"250-mail.example.net\r\n250-SIZE 52428800\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        );
        client
    };
    let before = resident().unwrap_or_default();
    let many: Vec<Client> = (0..10 * SESSIONS).map(idle).collect();
    let after = resident().unwrap_or_default();
    assert!(many.iter().all(Client::is_idle));
    after.saturating_sub(before) / many.len()
}
