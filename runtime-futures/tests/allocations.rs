//! The cost of a wake-up: once a session is in progress, no memory. Only this thread is
//! counted, over a stream in memory that accepts and returns octets as the test sets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::VecDeque;
use std::future::{Future, Pending, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_futures::proto::{Body, Envelope, Event};
use postwire_futures::transport::{SocketOptions, TransportBuilder, TransportConfig};
use postwire_futures::{Connection, Runtime};

/// The number of wake-ups that are counted.
const WAKE_UPS: usize = 200;

/// The octets that the stream accepts at each wake-up.
const PIECE: usize = 4 * 1024;

/// The stream, for both sides.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The octets that the stream still accepts.
    room: usize,
    written: usize,
    /// The last octets that were written.
    tail: VecDeque<u8>,
    /// The octets from the server that the client has not read.
    said: VecDeque<u8>,
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn say(&self, words: &str) {
        self.lock().said.extend(words.as_bytes());
    }

    fn make_room(&self, octets: usize) {
        self.lock().room = octets;
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match io::Read::read(&mut self.lock().said, into) {
            Ok(0) => Poll::Pending,
            read => Poll::Ready(read),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        const TAIL: usize = 64;
        let mut state = self.lock();
        let taken = octets.len().min(state.room);
        if taken == 0 {
            return Poll::Pending;
        }
        state.room -= taken;
        state.written += taken;
        for octet in &octets[taken.saturating_sub(TAIL)..taken] {
            if state.tail.len() == TAIL {
                state.tail.pop_front();
            }
            state.tail.push_back(*octet);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A runtime whose timers never end.
#[derive(Clone)]
struct Timeless;

impl Runtime for Timeless {
    type Stream = Wire;
    type Sleep = Pending<()>;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, _: SocketAddr, _: &SocketOptions) -> io::Result<Wire> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, _: Duration) -> Pending<()> {
        pending()
    }
}

/// A session that the test drives.
struct Session {
    wire: Wire,
    connection: Connection<Wire, Timeless>,
}

impl Session {
    /// A session that is ready, with a server that offers `extensions`.
    fn ready(extensions: &str) -> Self {
        let config = TransportBuilder::<TransportConfig>::unencrypted_localhost();
        let config = config.build().unwrap();
        let wire = Wire::default();
        wire.make_room(usize::MAX);
        let connection = Connection::over(wire.clone(), Timeless, &config);
        let mut session = Self { wire, connection };
        session.hears("220 mail.example\r\n");
        session.hears(&format!("250-mail.example\r\n250 {extensions}\r\n"));
        assert!(session.connection.is_idle());
        session
    }

    /// Passes octets from the server to the client.
    fn hears(&mut self, words: &str) {
        self.wire.say(words);
        self.wakes();
    }

    fn has_said(&self, words: &str) -> bool {
        let tail = self.wire.lock().tail.clone();
        tail.into_iter()
            .collect::<Vec<_>>()
            .ends_with(words.as_bytes())
    }

    fn enqueue(&mut self, body: impl Into<Body>) {
        let sender = Some("sender@sender.example".parse().unwrap());
        let recipient = "recipient@recipient.example".parse().unwrap();
        let envelope = Envelope::new(sender, vec![recipient]).unwrap();
        self.connection.enqueue(envelope, body);
        self.wakes();
    }

    /// Runs one wake-up; returns the event, if there was one.
    fn wake(&mut self) -> Option<Event> {
        let next = pin!(self.connection.next_event());
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// Runs wake-ups until there is no more event.
    fn wakes(&mut self) {
        while self.wake().is_some() {}
    }

    /// The number of allocations in `wake_ups` wake-ups, each with `room` octets of space for
    /// output.
    fn allocations(&mut self, wake_ups: usize, room: usize) -> u64 {
        let counted = allocation_counter::measure(|| {
            for _ in 0..wake_ups {
                self.wire.make_room(room);
                assert!(self.wake().is_none());
            }
        });
        counted.count_total
    }
}

/// The contents: canonical, with a dot at the start of every line, and with line ends that must
/// be normalised.
fn contents() -> [(&'static str, String); 3] {
    let line = "0123456789".repeat(7);
    let times = 2 * WAKE_UPS * PIECE / line.len();
    [
        ("lines", format!("{line}\r\n").repeat(times)),
        ("dots", format!(".{line}\r\n").repeat(times)),
        ("LF line ends", format!("{line}\n").repeat(times)),
    ]
}

#[test]
fn a_wake_up_that_moves_nothing_allocates_nothing() {
    let mut session = Session::ready("SIZE");
    assert_eq!(session.allocations(WAKE_UPS, usize::MAX), 0, "idle");
    let new_message = || session.enqueue("Subject: hello\r\n\r\nHello.\r\n");
    let counted = allocation_counter::measure(new_message);
    assert!(counted.count_total > 0, "nothing is counted");
    assert_eq!(session.allocations(WAKE_UPS, usize::MAX), 0, "after MAIL");
    session.hears("250 ok\r\n");
    assert_eq!(session.allocations(WAKE_UPS, usize::MAX), 0, "after RCPT");
    session.hears("250 ok\r\n");
    session.hears("354 go\r\n");
    assert!(session.has_said("Hello.\r\n.\r\n"));
    assert_eq!(session.allocations(WAKE_UPS, usize::MAX), 0, "at the end");
}

#[test]
fn a_stream_that_accepts_nothing_allocates_nothing() {
    for (name, content) in contents() {
        let mut session = Session::ready("SIZE");
        session.enqueue(content);
        session.hears("250 ok\r\n");
        session.hears("250 ok\r\n");
        session.wire.make_room(PIECE);
        session.hears("354 go\r\n");
        assert_eq!(session.allocations(WAKE_UPS, 0), 0, "{name}");
    }
}

#[test]
fn a_piece_of_a_message_allocates_nothing() {
    for (name, content) in contents() {
        let mut session = Session::ready("SIZE");
        session.enqueue(content);
        session.hears("250 ok\r\n");
        session.hears("250 ok\r\n");
        session.wire.make_room(PIECE);
        session.hears("354 go\r\n");
        // After this, every buffer has its final size.
        session.allocations(WAKE_UPS / 2, PIECE);

        let before = session.wire.lock().written;
        assert_eq!(session.allocations(WAKE_UPS, PIECE), 0, "{name}, DATA");
        let carried = session.wire.lock().written - before;
        assert_eq!(carried, WAKE_UPS * PIECE, "{name}");
    }
}

#[test]
fn a_piece_of_a_chunk_allocates_nothing() {
    for (name, content) in contents() {
        let mut session = Session::ready("CHUNKING");
        session.enqueue(content);
        session.hears("250 ok\r\n");
        session.hears("250 ok\r\n");
        // The first octet is sent alone.
        session.wire.make_room(PIECE);
        session.hears("250 ok\r\n");
        session.allocations(WAKE_UPS / 2, PIECE);

        let before = session.wire.lock().written;
        assert_eq!(session.allocations(WAKE_UPS, PIECE), 0, "{name}, BDAT");
        let carried = session.wire.lock().written - before;
        assert_eq!(carried, WAKE_UPS * PIECE, "{name}");
    }
}
