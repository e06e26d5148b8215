//! The drive loop: moves bytes between a state machine and a stream, and tells
//! it the time. Knows nothing of SMTP or TLS.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use postwire_transport::adapter::{Flow, Move};
use postwire_transport::proto::{Clock, Endpoint, Instant};

use crate::Stream;

/// How long a write may wait before the other direction is looked at: the peer
/// may have said why it no longer reads, or be unable to read until it is heard.
const PATIENCE: Duration = Duration::from_millis(100);

/// The shortest wait that every stream accepts.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest that every stream accepts: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A state machine (client or server, plaintext or TLS) and its stream.
#[derive(Debug)]
pub struct Driver<E, S> {
    flow: Flow<E>,
    stream: S,
    clock: Clock,
    /// What `set_read_timeout` was last given.
    read_timeout: Option<Duration>,
    write_timeout_is_set: bool,
}

impl<E: Endpoint, S: Stream> Driver<E, S> {
    /// Drives `machine` over `stream`.
    pub fn new(machine: E, stream: S) -> Self {
        Self {
            flow: Flow::new(machine),
            stream,
            clock: Clock::new(),
            read_timeout: None,
            write_timeout_is_set: false,
        }
    }

    /// The state machine.
    pub fn machine(&self) -> &E {
        self.flow.machine()
    }

    /// The state machine, to be given input of its own.
    pub fn machine_mut(&mut self) -> &mut E {
        self.flow.machine_mut()
    }

    /// The stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Ends the session after this time as if the machine had timed out then, whatever its own
    /// deadlines are. `None` takes the limit back.
    pub fn limit_time(&mut self, left: Option<Duration>) {
        self.flow
            .limit_time(left.map(|left| self.clock.now() + left));
    }

    /// Waits until something happens, moving bytes meanwhile. `None` once the
    /// session is over and all that was to be written has been, if it could be; the machine
    /// holds no event then.
    pub fn next_event(&mut self) -> Option<E::Event> {
        self.next_event_unless(|_| false)
    }

    /// The next event; `None` as well where nothing more is to be waited for, once what is to
    /// be written has been.
    pub(crate) fn next_event_unless(&mut self, enough: impl Fn(&E) -> bool) -> Option<E::Event> {
        loop {
            match self.next_move() {
                Move::Event(event) => return Some(event),
                Move::Close => return None,
                Move::Read(_) | Move::Write(_) if enough(self.machine()) => return None,
                Move::Read(until) => self.wait(until),
                Move::Write(_) => self.look_around(),
            }
        }
    }

    /// Writes what is to be written, and waits for nothing else.
    pub fn write_out(&mut self) {
        loop {
            match self.next_move() {
                Move::Event(_) => {}
                Move::Write(_) => self.look_around(),
                Move::Read(_) | Move::Close => return,
            }
        }
    }

    fn next_move(&mut self) -> Move<E::Event> {
        let (stream, clock) = (&mut self.stream, self.clock);
        let is_set = &mut self.write_timeout_is_set;
        let write = |slices: &[IoSlice<'_>]| {
            if !std::mem::replace(is_set, true) {
                stream.set_write_timeout(Some(PATIENCE))?;
            }
            ended(stream.write_vectored(slices))
        };
        self.flow.next_move(write, || clock.now())
    }

    /// Takes in what is there, while the stream takes nothing.
    fn look_around(&mut self) {
        self.glance();
        self.tell_time();
    }

    /// Waits for something beside the stream, as long as the machine may wait and is not over.
    pub(crate) fn wait_for(&mut self, poll: impl Fn(&mut E, &mut Context<'_>) -> Poll<()>) {
        let waker = unpark_this_thread();
        while poll(self.machine_mut(), &mut Context::from_waker(&waker)).is_pending() {
            self.tell_time();
            if self.machine().is_closed() {
                return;
            }
            park_until(self.clock, self.flow.poll_timeout());
        }
    }

    /// Takes in what the peer has said already: an idle session may have ended
    /// meanwhile.
    pub fn glance(&mut self) {
        if !self.machine().is_closed() {
            // What limits a read now is for the stream to know.
            self.read_timeout = Some(Duration::ZERO);
            self.read(S::read_now);
        }
    }

    /// Waits for the peer or a deadline.
    fn wait(&mut self, until: Option<Instant>) {
        let now = self.clock.now();
        let wait = until.map(|until| until.saturating_duration_since(now));
        if wait.is_some_and(|wait| wait.is_zero()) {
            return self.tell_time();
        }
        match self.limit_reads(wait) {
            Err(error) => self.flow.failed(error, now),
            Ok(()) => self.read(S::read),
        }
    }

    fn read(&mut self, read: impl FnOnce(&mut S, &mut [u8]) -> io::Result<usize>) {
        let (stream, clock) = (&mut self.stream, self.clock);
        let read = self
            .flow
            .poll_read(|input| ended(read(stream, input)), || clock.now());
        if read.is_pending() {
            self.tell_time();
        }
    }

    /// Makes a read wait no longer than `wait`, mostly without a system call: a
    /// wait that ends early does no harm.
    fn limit_reads(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let fits = match (self.read_timeout, wait) {
            (None, None) => true,
            (Some(set), Some(wait)) => set <= wait && set.saturating_mul(4) > wait,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        let wait = wait.map(|wait| (wait / 2).clamp(SHORTEST, LONGEST));
        self.read_timeout = wait;
        self.stream.set_read_timeout(wait)
    }

    fn tell_time(&mut self) {
        self.flow.handle_timeout(self.clock.now());
    }
}

/// Sleeps until this thread is woken, or until then.
pub(crate) fn park_until(clock: Clock, until: Option<Instant>) {
    match until {
        Some(until) => thread::park_timeout(until.saturating_duration_since(clock.now())),
        None => thread::park(),
    }
}

/// Wakes this thread where it is parked.
pub(crate) fn unpark_this_thread() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What came of a call that waits no longer than its timeout.
fn ended(result: io::Result<usize>) -> Poll<io::Result<usize>> {
    use io::ErrorKind::{TimedOut, WouldBlock};
    match result {
        Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => Poll::Pending,
        result => Poll::Ready(result),
    }
}
