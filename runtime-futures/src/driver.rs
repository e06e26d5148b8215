//! The drive loop: moves bytes between a state machine and a stream, both ways
//! at once, and tells it the time. Knows nothing of SMTP or TLS.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use futures_io::{AsyncRead, AsyncWrite};
use postwire_transport::proto::{Clock, Endpoint, Instant};

use crate::Runtime;
use crate::runtime::sleep;

/// How much is read at once at first: more than most replies, and held by each
/// session.
const READ: usize = 4 * 1024;

/// How much at most, by a session to which more is said than that: to hundreds of
/// messages at once, for one.
const READ_MOST: usize = 32 * 1024;

/// How many slices go into one `writev`.
const SLICES: usize = 256;

/// How many rounds are made before others get their turn.
const ROUNDS: usize = 64;

/// A state machine (client or server, plaintext or TLS) and its stream.
pub struct Driver<E, S, R: Runtime> {
    machine: E,
    stream: S,
    runtime: R,
    clock: Clock,
    /// When the caller's time is up, whatever the machine may still wait for.
    limit: Option<Instant>,
    input: Vec<u8>,
    /// The timer that runs, and when it ends: never later than the machine's
    /// deadline, so that it seldom has to be made anew.
    sleep: Option<(Instant, R::Sleep)>,
    /// Something was written and not flushed.
    unflushed: bool,
    /// A write failed: nothing more is written, but the peer is heard to its end.
    write_error: Option<io::Error>,
}

impl<E: fmt::Debug, S, R: Runtime> fmt::Debug for Driver<E, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

impl<E: Endpoint, S: AsyncRead + AsyncWrite + Unpin, R: Runtime> Driver<E, S, R> {
    /// Drives `machine` over `stream`.
    pub fn new(machine: E, stream: S, runtime: R) -> Self {
        Self {
            machine,
            stream,
            runtime,
            clock: Clock::new(),
            limit: None,
            input: vec![0; READ],
            sleep: None,
            unflushed: false,
            write_error: None,
        }
    }

    /// The state machine.
    pub fn machine(&self) -> &E {
        &self.machine
    }

    /// The state machine, to be told things.
    pub fn machine_mut(&mut self) -> &mut E {
        &mut self.machine
    }

    /// Ends the session after this time as if the machine had timed out then, whatever its own
    /// deadlines are. `None` takes the limit back.
    pub fn limit_time(&mut self, left: Option<Duration>) {
        self.limit = left.map(|left| self.clock.now() + left);
    }

    /// Moves bytes until something happens. `None` once the session is over and
    /// all that was to be written has been, if it could be at once; the machine holds no event
    /// then.
    ///
    /// Nothing is lost where the caller stops polling: the state is all in the
    /// driver.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<E::Event>> {
        for _ in 0..ROUNDS {
            if let Some(event) = self.machine.poll_event() {
                return Poll::Ready(Some(event));
            }
            let mut moved = self.poll_write(cx);
            // Writing takes time and makes room: either may bring an event, the end for one.
            if let Some(event) = self.machine.poll_event() {
                return Poll::Ready(Some(event));
            }
            if self.machine.is_closed() {
                // What is left is a courtesy (an alert, a close_notify).
                let _ = Pin::new(&mut self.stream).poll_close(cx);
                debug_assert!(self.machine.poll_event().is_none(), "an event is lost");
                return Poll::Ready(None);
            }
            moved |= self.poll_read(cx);
            moved |= self.poll_deadline(cx);
            if !moved {
                return match self.machine.poll_event() {
                    Some(event) => Poll::Ready(Some(event)),
                    None => Poll::Pending,
                };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes in what the peer has said already, without waiting for more: an
    /// idle session may have ended meanwhile.
    pub fn glance(&mut self, cx: &mut Context<'_>) {
        while !self.machine.is_closed() && self.poll_read(cx) {}
    }

    /// Whether anything was written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while self.write_error.is_none() {
            let mut output = self.machine.output();
            if !output.has_remaining() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = output.chunks_vectored(&mut slices);
            let stream = Pin::new(&mut self.stream);
            match stream.poll_write_vectored(cx, &slices[..filled]) {
                Poll::Pending => return moved,
                Poll::Ready(Ok(0)) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(octets)) => {
                    output.advance(octets);
                    drop(output);
                    moved = true;
                    self.unflushed = true;
                    self.tell_time();
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => self.write_error = Some(error),
            }
        }
        if self.unflushed && self.write_error.is_none() {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.write_error = Some(error),
            }
        }
        moved
    }

    /// Whether anything was heard.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut self.input);
        let Poll::Ready(read) = read else {
            return false;
        };
        let now = self.clock.now();
        match read {
            Ok(0) => self.machine.handle_eof(now),
            Ok(octets) => {
                self.machine.handle_input(now, &self.input[..octets]);
                if octets == self.input.len() && octets < READ_MOST {
                    self.input.resize(2 * octets, 0);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // The write that failed first says more than the read after it.
                let error = self.write_error.take().unwrap_or(error);
                self.machine.handle_transport_error(now, Arc::new(error));
            }
        }
        true
    }

    /// When time is next to be told.
    fn deadline(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| !self.machine.is_closed());
        self.machine.poll_timeout().into_iter().chain(limit).min()
    }

    fn tell_time(&mut self) {
        let now = self.clock.now();
        self.machine.handle_timeout(now);
        if self.limit.is_some_and(|limit| limit <= now) {
            self.limit = None;
            self.machine.time_out();
        }
    }

    /// Whether a deadline had passed, or time had to be told.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline() else {
            self.sleep = None;
            return false;
        };
        let now = self.clock.now();
        if deadline <= now {
            self.tell_time();
            return true;
        }
        if self.sleep.as_ref().is_none_or(|(end, _)| *end > deadline) {
            let timer = sleep(&self.runtime, deadline.saturating_duration_since(now));
            self.sleep = Some((deadline, timer));
        }
        let Some((_, sleep)) = &mut self.sleep else {
            return false;
        };
        if Pin::new(sleep).poll(cx).is_pending() {
            return false;
        }
        self.sleep = None;
        self.tell_time();
        true
    }
}
