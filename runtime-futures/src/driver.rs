//! The drive loop: moves bytes between a state machine and a stream, in both directions
//! concurrently, and passes the time to the machine. Must never know about SMTP or TLS.

use std::any::Any;
use std::fmt;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_transport::adapter::{Flow, Move};
use postwire_transport::proto::{Clock, Endpoint};

use crate::Runtime;
use crate::runtime::Timer;

/// The number of rounds before the driver yields to other tasks.
const ROUNDS: usize = 64;

/// A state machine (client or server, plaintext or TLS) and its stream.
pub struct Driver<E, S, R: Runtime> {
    flow: Flow<E>,
    stream: S,
    runtime: R,
    clock: Clock,
    timer: Timer<R>,
    /// Whether octets were written and not flushed.
    unflushed: bool,
}

impl<E: fmt::Debug, S, R: Runtime> fmt::Debug for Driver<E, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}

impl<E: Endpoint, S: AsyncRead + AsyncWrite + Unpin + 'static, R: Runtime> Driver<E, S, R> {
    /// Creates a driver of `machine` over `stream`.
    pub fn new(machine: E, stream: S, runtime: R) -> Self {
        Self {
            flow: Flow::new(machine),
            stream,
            runtime,
            clock: Clock::new(),
            timer: Timer::default(),
            unflushed: false,
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

    /// Ends the session after this time like a time-out of the machine, even if its own deadlines
    /// are later. `None` removes the limit.
    pub fn limit_time(&mut self, left: Option<Duration>) {
        self.flow
            .limit_time(left.map(|left| self.clock.now() + left));
    }

    /// Moves bytes until there is an event, and returns it.
    ///
    /// Returns `None` when the session is over and everything that could be written at once is
    /// written. The machine then has no more events. The caller may stop polling at any point
    /// without a loss, because the driver holds all state.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<E::Event>> {
        for _ in 0..ROUNDS {
            match self.next_move(cx) {
                Move::Event(event) => return Poll::Ready(Some(event)),
                Move::Close => {
                    // The remaining output is optional (an alert, a close_notify).
                    let _ = Pin::new(&mut self.stream).poll_close(cx);
                    return Poll::Ready(None);
                }
                next @ (Move::Read(_) | Move::Write(_)) => {
                    // A read may change the time until which to wait.
                    if !(self.poll_read(cx) | self.poll_deadline(cx)) {
                        if matches!(next, Move::Read(_))
                            && self.flow.owes_acknowledgement()
                            && let Some(socket) = (&self.stream as &dyn Any).downcast_ref()
                        {
                            self.runtime.acknowledge(socket);
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(crate) fn take_flights(&mut self) -> u64 {
        self.flow.take_flights()
    }

    /// Writes what the stream takes, and returns the event if that causes one.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Option<E::Event> {
        self.next_move(cx).event()
    }

    /// Moves bytes as far as that is possible without waiting. No timer is started, because the
    /// runtime may have ended.
    pub(crate) fn depart(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..ROUNDS {
            match self.next_move(&mut cx) {
                Move::Event(_) => {}
                Move::Close => {
                    let _ = Pin::new(&mut self.stream).poll_close(&mut cx);
                    return;
                }
                Move::Read(_) | Move::Write(_) => {
                    if !self.poll_read(&mut cx) {
                        return;
                    }
                }
            }
        }
    }

    /// Reads what the peer has sent already, without waiting: the peer may have ended an idle
    /// session.
    pub fn glance(&mut self, cx: &mut Context<'_>) {
        // A peer that sends without end is left to those who wait for it.
        let mut rounds = 0..ROUNDS;
        while rounds.next().is_some() && !self.machine().is_closed() && self.poll_read(cx) {}
    }

    fn next_move(&mut self, cx: &mut Context<'_>) -> Move<E::Event> {
        let (mut stream, clock) = (Pin::new(&mut self.stream), self.clock);
        let (unflushed, mut blocks) = (&mut self.unflushed, false);
        let write = |slices: &[IoSlice<'_>]| {
            let written = stream.as_mut().poll_write_vectored(cx, slices);
            blocks = written.is_pending();
            *unflushed |= written.is_ready();
            written
        };
        let next = self.flow.next_move(write, || clock.now());
        // In some streams, a flush replaces the waker of a pending write.
        if self.unflushed && !blocks && self.flow.can_write() {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.flow.write_failed(error),
            }
        }
        next
    }

    /// Reads, and returns whether anything was read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let (stream, clock) = (Pin::new(&mut self.stream), self.clock);
        let read = |input: &mut [u8]| stream.poll_read(cx, input);
        self.flow.poll_read(read, || clock.now()).is_ready()
    }

    /// Returns whether a deadline has passed, or the machine needed the time.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.flow.poll_timeout() else {
            self.timer = Timer::default();
            return false;
        };
        let left = deadline.saturating_duration_since(self.clock.now());
        let (timer, runtime) = (&mut self.timer, &self.runtime);
        let is_due = left.is_zero() || timer.poll(cx, runtime, deadline, left).is_ready();
        if is_due {
            self.flow.handle_timeout(self.clock.now());
        }
        is_due
    }
}
