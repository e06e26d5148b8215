//! The drive loop: moves bytes between a state machine and a stream, and passes the time to the
//! machine. Must never know about SMTP or TLS.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use postwire_transport::adapter::{Flow, Move};
use postwire_transport::proto::{Clock, Endpoint};

use crate::Stream;
use crate::park::{park_until, unpark_this_thread};

/// The time limit of one write, after which the driver reads: the peer may have sent the reason why
/// it no longer reads, or may not read before its own output is read.
const PATIENCE: Duration = Duration::from_millis(100);

/// The shortest wait that every stream accepts.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest wait that every stream accepts: one day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A state machine (client or server, plaintext or TLS) and its stream.
#[derive(Debug)]
pub struct Driver<E, S> {
    flow: Flow<E>,
    stream: S,
    clock: Clock,
    /// The last argument of `set_read_timeout`.
    read_timeout: Option<Duration>,
    write_timeout_is_set: bool,
}

impl<E: Endpoint, S: Stream> Driver<E, S> {
    /// Creates a driver of `machine` over `stream`.
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

    /// The state machine, mutably.
    pub fn machine_mut(&mut self) -> &mut E {
        self.flow.machine_mut()
    }

    /// The stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Ends the session after this time like a time-out of the machine, even if its own deadlines
    /// are later. `None` removes the limit.
    pub fn limit_time(&mut self, left: Option<Duration>) {
        self.flow
            .limit_time(left.map(|left| self.clock.now() + left));
    }

    /// Moves bytes until there is an event, and returns it.
    ///
    /// Returns `None` when the session is over and everything that could be written is written.
    /// The machine then has no more events.
    pub fn next_event(&mut self) -> Option<E::Event> {
        self.next_event_unless(|_| false)
    }

    /// Returns the next event. Returns `None` as well when `enough` is true and everything is
    /// written.
    pub(crate) fn next_event_unless(&mut self, enough: impl Fn(&E) -> bool) -> Option<E::Event> {
        loop {
            match self.next_wait() {
                Move::Event(event) => return Some(event),
                Move::Close => return None,
                Move::Read(_) | Move::Write(_) if enough(self.machine()) => return None,
                Move::Read(_) => self.read(S::read),
                Move::Write(_) => self.look_around(),
            }
        }
    }

    /// Moves octets until there is an event or the driver has to wait for the peer. The stream then
    /// has the read timeout for that wait, and what was read is acknowledged if the peer may wait
    /// for that.
    pub(crate) fn next_wait(&mut self) -> Move<E::Event> {
        loop {
            let next = self.next_move();
            let (Move::Read(until) | Move::Write(until)) = next else {
                return next;
            };
            let now = self.clock.now();
            let wait = until.map(|until| until.saturating_duration_since(now));
            if wait.is_some_and(|wait| wait.is_zero()) {
                self.advance_clock();
            } else if let (Move::Read(_), Err(error)) = (&next, self.limit_reads(wait)) {
                self.flow.failed(error, now);
            } else {
                if matches!(next, Move::Read(_)) && self.flow.owes_acknowledgement() {
                    self.stream.acknowledge();
                }
                return next;
            }
        }
    }

    pub(crate) fn take_flights(&mut self) -> u64 {
        self.flow.take_flights()
    }

    /// Writes what the stream takes, and returns the event if that causes one.
    pub(crate) fn flush(&mut self) -> Option<E::Event> {
        self.next_move().event()
    }

    /// Writes all output, and waits for nothing else.
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

    /// Reads what is available while the stream takes no output.
    pub(crate) fn look_around(&mut self) {
        self.glance();
        self.advance_clock();
    }

    /// Polls something other than the stream, until it is ready, a deadline of the machine passes,
    /// or the session is over.
    pub(crate) fn wait_for(&mut self, poll: impl Fn(&mut E, &mut Context<'_>) -> Poll<()>) {
        let waker = unpark_this_thread();
        while poll(self.machine_mut(), &mut Context::from_waker(&waker)).is_pending() {
            self.advance_clock();
            if self.machine().is_closed() {
                return;
            }
            park_until(self.clock, self.flow.poll_timeout());
        }
    }

    /// Reads what the peer has sent already, without waiting: the peer may have ended an idle
    /// session.
    pub fn glance(&mut self) {
        if !self.machine().is_closed() {
            // The read timeout that the stream has now is unknown.
            self.read_timeout = Some(Duration::ZERO);
            self.read(S::read_now);
        }
    }

    /// Takes what another handle of the stream has read: `read` copies it.
    pub(crate) fn take_read(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) {
        self.read(|_, input| read(input));
    }

    fn read(&mut self, read: impl FnOnce(&mut S, &mut [u8]) -> io::Result<usize>) {
        let (stream, clock) = (&mut self.stream, self.clock);
        let read = |input: &mut [u8]| ended(read(stream, input));
        if self.flow.poll_read(read, || clock.now()).is_pending() {
            self.advance_clock();
        }
    }

    /// Limits the wait of a read to `wait`, usually without a system call, because a wait that ends
    /// early is harmless.
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

    fn advance_clock(&mut self) {
        self.flow.handle_timeout(self.clock.now());
    }
}

/// The result of a call with a timeout: pending if the call timed out.
fn ended(result: io::Result<usize>) -> Poll<io::Result<usize>> {
    use io::ErrorKind::{TimedOut, WouldBlock};
    match result {
        Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => Poll::Pending,
        result => Poll::Ready(result),
    }
}
