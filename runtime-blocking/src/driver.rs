//! The drive loop: moves bytes between a state machine and a stream, and tells
//! it the time. Knows nothing of SMTP or TLS.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use bytes::Buf;
use postwire_transport::proto::{Clock, Endpoint, Instant};

use crate::Stream;

/// How much is read at once at first: more than most replies, and held by each
/// session.
const READ: usize = 4 * 1024;

/// How much at most, by a session to which more is said than that: to hundreds of
/// messages at once, for one.
const READ_MOST: usize = 32 * 1024;

/// How many slices go into one `writev`.
const SLICES: usize = 256;

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
    machine: E,
    stream: S,
    clock: Clock,
    /// When the caller's time is up, whatever the machine may still wait for.
    limit: Option<Instant>,
    input: Vec<u8>,
    /// What `set_read_timeout` was last given.
    read_timeout: Option<Duration>,
    write_timeout_is_set: bool,
    /// A write failed: nothing more is written, but the peer is heard to its end.
    write_error: Option<io::Error>,
}

impl<E: Endpoint, S: Stream> Driver<E, S> {
    /// Drives `machine` over `stream`.
    pub fn new(machine: E, stream: S) -> Self {
        Self {
            machine,
            stream,
            clock: Clock::new(),
            limit: None,
            input: vec![0; READ],
            read_timeout: None,
            write_timeout_is_set: false,
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

    /// The stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Ends the session after this time as if the machine had timed out then, whatever its own
    /// deadlines are. `None` takes the limit back.
    pub fn limit_time(&mut self, left: Option<Duration>) {
        self.limit = left.map(|left| self.clock.now() + left);
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
            if let Some(event) = self.machine.poll_event() {
                return Some(event);
            }
            let was_closed = self.machine.is_closed();
            self.write();
            // Room in the output may be what it waited for: it wants more content.
            if let Some(event) = self.machine.poll_event() {
                return Some(event);
            }
            if was_closed {
                debug_assert!(self.machine.poll_event().is_none(), "an event is lost");
                return None;
            }
            if enough(&self.machine) {
                return None;
            }
            self.wait();
        }
    }

    /// Waits for a future, as long as the machine may wait and is not over.
    pub fn wait_for<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let waker = unpark_this_thread();
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            self.tell_time();
            if self.machine.is_closed() {
                return None;
            }
            match self.deadline() {
                Some(deadline) => {
                    thread::park_timeout(deadline.saturating_duration_since(self.clock.now()));
                }
                None => thread::park(),
            }
        }
    }

    /// Takes in what the peer has said already: an idle session may have ended
    /// meanwhile.
    pub fn glance(&mut self) {
        if !self.machine.is_closed() {
            // What limits a read now is for the stream to know.
            self.read_timeout = Some(Duration::ZERO);
            let read = self.stream.read_now(&mut self.input);
            self.take(read);
        }
    }

    /// Writes what is to be written, but waits for nothing.
    pub fn write_out(&mut self) {
        self.write();
    }

    /// Waits for the peer or a deadline.
    fn wait(&mut self) {
        let now = self.clock.now();
        let wait = match self.deadline() {
            None => None,
            Some(deadline) if deadline <= now => return self.tell_time(),
            Some(deadline) => Some(deadline.saturating_duration_since(now)),
        };
        if self.machine.is_closed() {
            return;
        }
        if let Err(error) = self.limit_reads(wait) {
            return self.failed(error);
        }
        self.read();
    }

    fn read(&mut self) {
        let read = self.stream.read(&mut self.input);
        self.take(read);
    }

    fn take(&mut self, read: io::Result<usize>) {
        let now = self.clock.now();
        match read {
            Ok(0) => self.machine.handle_eof(now),
            Ok(octets) => {
                self.machine.handle_input(now, &self.input[..octets]);
                if octets == self.input.len() && octets < READ_MOST {
                    self.input.resize(2 * octets, 0);
                }
            }
            Err(error) if is_wait(&error) => self.tell_time(),
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: io::Error) {
        // The write that failed first says more than the read that follows it.
        let error = self.write_error.take().unwrap_or(error);
        let now = self.clock.now();
        self.machine.handle_transport_error(now, Arc::new(error));
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

    /// Writes until nothing is left, the stream fails or the session ends.
    fn write(&mut self) {
        while self.write_error.is_none() {
            let mut output = self.machine.output();
            if !output.has_remaining() {
                return;
            }
            if !self.write_timeout_is_set {
                self.write_timeout_is_set = true;
                if let Err(error) = self.stream.set_write_timeout(Some(PATIENCE)) {
                    self.write_error = Some(error);
                    return;
                }
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = output.chunks_vectored(&mut slices);
            match self.stream.write_vectored(&slices[..filled]) {
                Ok(0) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Ok(octets) => {
                    output.advance(octets);
                    drop(output);
                    self.tell_time();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_wait(&error) => {
                    drop(output);
                    if self.machine.is_closed() {
                        return;
                    }
                    // What is there is read, while the stream takes nothing.
                    self.glance();
                    self.tell_time();
                }
                Err(error) => self.write_error = Some(error),
            }
        }
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

fn is_wait(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
