//! A state machine and what its driver has to remember about the stream: the buffer that is
//! read into, the error of a write, the caller's own deadline.
//!
//! Knows what each result of a read or a write means to the machine. Must never read, write or
//! wait itself, nor know SMTP or TLS.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Buf;
use postwire_proto::{Endpoint, Instant};

/// How much is read at once at first: more than most replies, and held by each
/// session.
const READ: usize = 4 * 1024;

/// How much at most, by a session to which more is said than that: to hundreds of
/// messages at once, for one.
const READ_MOST: usize = 32 * 1024;

/// How many slices go into one `writev`.
const SLICES: usize = 256;

/// A state machine (client or server, plaintext or TLS) whose stream a driver holds.
#[derive(Debug)]
pub struct Flow<E> {
    machine: E,
    /// When the caller's time is up, whatever the machine may still wait for.
    limit: Option<Instant>,
    input: Vec<u8>,
    /// A write failed: nothing more is written, but the peer is heard to its end.
    write_error: Option<io::Error>,
}

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Move<V> {
    /// Gives this event to whoever waits for one.
    Event(V),
    /// Closes the stream: the session is over, and what could be written has been.
    Close,
    /// Waits for the peer, no longer than until this time. All is written.
    Read(Option<Instant>),
    /// Waits for the peer, no longer than until this time, or until the stream takes more.
    Write(Option<Instant>),
}

impl<E: Endpoint> Flow<E> {
    /// A machine at the start of its stream.
    pub fn new(machine: E) -> Self {
        Self {
            machine,
            limit: None,
            input: vec![0; READ],
            write_error: None,
        }
    }

    /// The state machine.
    pub fn machine(&self) -> &E {
        &self.machine
    }

    /// The state machine, to be given input of its own.
    pub fn machine_mut(&mut self) -> &mut E {
        &mut self.machine
    }

    /// Ends the session at this time as if the machine had timed out then, whatever its own
    /// deadlines are. `None` takes the limit back.
    pub fn limit_time(&mut self, until: Option<Instant>) {
        self.limit = until;
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| !self.machine.is_closed());
        self.machine.poll_timeout().into_iter().chain(limit).min()
    }

    /// Tells the time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
        if self.limit.is_some_and(|limit| limit <= now) {
            self.limit = None;
            self.machine.time_out();
        }
    }

    /// Reads once, and gives what was read to the machine. `now` is asked after the read.
    /// Ready where something was read, also the end or an error.
    pub fn poll_read(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
        now: impl FnOnce() -> Instant,
    ) -> Poll<()> {
        let Poll::Ready(read) = read(&mut self.input) else {
            return Poll::Pending;
        };
        let now = now();
        match read {
            Ok(0) => self.machine.handle_eof(now),
            Ok(octets) => {
                self.machine.handle_input(now, &self.input[..octets]);
                if octets == self.input.len() && octets < READ_MOST {
                    self.input.resize(2 * octets, 0);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.failed(error, now),
        }
        Poll::Ready(())
    }

    /// Nothing more can be read.
    pub fn failed(&mut self, error: io::Error, now: Instant) {
        // The write that failed first says more than the read that follows it.
        let error = self.write_error.take().unwrap_or(error);
        self.machine.handle_transport_error(now, Arc::new(error));
    }

    /// Goes on as far as that can be without waiting for the peer, and writes what there is to
    /// write. `now` is asked after each write.
    pub fn next_move(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
        now: impl Fn() -> Instant,
    ) -> Move<E::Event> {
        if let Some(event) = self.machine.poll_event() {
            return Move::Event(event);
        }
        let blocks = self.write(&mut write, now).is_pending();
        // Writing takes time and makes room: either may bring an event, the end for one.
        if let Some(event) = self.machine.poll_event() {
            return Move::Event(event);
        }
        if self.machine.is_closed() {
            Move::Close
        } else if blocks {
            Move::Write(self.poll_timeout())
        } else {
            Move::Read(self.poll_timeout())
        }
    }

    /// Writes until nothing is left or the stream fails; pending where it takes no more.
    fn write(
        &mut self,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
        now: impl Fn() -> Instant,
    ) -> Poll<()> {
        while self.write_error.is_none() {
            let mut output = self.machine.output();
            if !output.has_remaining() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = output.chunks_vectored(&mut slices);
            match ready!(write(&slices[..filled])) {
                Ok(0) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Ok(octets) => {
                    output.advance(octets);
                    drop(output);
                    self.handle_timeout(now());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.write_error = Some(error),
            }
        }
        Poll::Ready(())
    }

    /// Whether no write has failed.
    pub fn can_write(&self) -> bool {
        self.write_error.is_none()
    }

    /// A flush or the like failed: nothing more is written.
    pub fn write_failed(&mut self, error: io::Error) {
        self.write_error.get_or_insert(error);
    }
}
