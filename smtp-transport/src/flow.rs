//! A state machine and the state of its driver: the read buffer, the error of a write, the deadline
//! of the caller, whether the peer may wait for an acknowledgement.
//!
//! Knows what each result of a read or a write means for the machine. Must never read, write or
//! wait itself, nor know SMTP or TLS.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Buf;
use postwire_proto::{Endpoint, Instant};

/// The size of the read buffer on the stack: larger than most replies, so that a session that
/// receives no more at once has no buffer of its own.
const READ: usize = 4 * 1024;

/// The maximum size of the read buffer, for a session that receives long input, such as the replies
/// to hundreds of messages at once.
const READ_MOST: usize = 32 * 1024;

/// The maximum number of slices for one `writev`.
const SLICES: usize = 256;

/// A state machine (client or server, plaintext or TLS) whose stream a driver holds.
#[derive(Debug)]
pub struct Flow<E> {
    machine: E,
    /// The deadline of the caller, which applies in addition to those of the machine.
    limit: Option<Instant>,
    /// The read buffer of a session that receives long input; empty for any other session.
    input: Vec<u8>,
    flights: u64,
    /// Whether nothing was written since the last read.
    has_read: bool,
    /// Whether the last octets that were read may still have to be acknowledged: nothing was
    /// written since then, and no acknowledgement was asked for.
    unacknowledged: bool,
    /// The error of a failed write. Nothing more is written, but reading continues to its end.
    write_error: Option<io::Error>,
}

/// The next move of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Move<V> {
    /// Return this event to the caller.
    Event(V),
    /// Close the stream: the session is over, and everything that could be written is written.
    Close,
    /// Wait for the peer, at most until this time. Everything is written.
    Read(Option<Instant>),
    /// Wait for the peer, at most until this time, or until the stream takes more octets.
    Write(Option<Instant>),
}

impl<V> Move<V> {
    /// The event, if there is one.
    pub fn event(self) -> Option<V> {
        match self {
            Self::Event(event) => Some(event),
            _ => None,
        }
    }
}

impl<E: Endpoint> Flow<E> {
    /// Creates a flow for a machine at the start of its stream.
    pub fn new(machine: E) -> Self {
        Self {
            machine,
            limit: None,
            input: Vec::new(),
            flights: 0,
            has_read: true,
            unacknowledged: false,
            write_error: None,
        }
    }

    /// The state machine.
    pub fn machine(&self) -> &E {
        &self.machine
    }

    /// The state machine, mutably.
    pub fn machine_mut(&mut self) -> &mut E {
        &mut self.machine
    }

    /// Ends the session at this time like a time-out of the machine, even if its own deadlines are
    /// later. `None` removes the limit.
    pub fn limit_time(&mut self, until: Option<Instant>) {
        self.limit = until;
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is next needed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| !self.machine.is_closed());
        self.machine.poll_timeout().into_iter().chain(limit).min()
    }

    /// Passes the current time to the machine.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
        if self.limit.is_some_and(|limit| limit <= now) {
            self.limit = None;
            self.machine.expire();
        }
    }

    /// Reads once and passes the octets to the machine. `now` is called after the read. Ready if
    /// octets, the end of the stream or an error were read.
    pub fn poll_read(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
        now: impl FnOnce() -> Instant,
    ) -> Poll<()> {
        let mut on_stack;
        let input = if self.input.is_empty() {
            on_stack = [0; READ];
            &mut on_stack[..]
        } else {
            &mut self.input[..]
        };
        let Poll::Ready(read) = read(input) else {
            return Poll::Pending;
        };
        let now = now();
        match read {
            Ok(0) => self.machine.handle_eof(now),
            Ok(octets) => {
                self.has_read = true;
                // After a full buffer the next read usually finds more octets at once.
                self.unacknowledged = octets < input.len();
                self.machine.handle_input(now, &input[..octets]);
                if self.machine.is_idle() {
                    self.input = Vec::new();
                } else if octets == input.len() && octets < READ_MOST {
                    self.input.resize(2 * octets, 0);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.failed(error, now),
        }
        Poll::Ready(())
    }

    /// Records that nothing more can be read.
    pub fn failed(&mut self, error: io::Error, now: Instant) {
        // The error of an earlier write explains more than that of the read after it.
        let error = self.write_error.take().unwrap_or(error);
        self.machine.handle_transport_error(now, Arc::new(error));
    }

    /// Writes everything that can be written without waiting, and returns the next move. `now` is
    /// called after each write.
    pub fn next_move(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
        now: impl Fn() -> Instant,
    ) -> Move<E::Event> {
        if let Some(event) = self.machine.poll_event() {
            return Move::Event(event);
        }
        let blocks = self.write(&mut write, now).is_pending();
        // A write takes time and frees space in the output. Either may cause an event.
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

    /// Writes until nothing is left or the stream fails. Pending if the stream takes no more.
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
                    self.flights += u64::from(std::mem::take(&mut self.has_read));
                    self.unacknowledged = false;
                    self.handle_timeout(now());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.write_error = Some(error),
            }
        }
        Poll::Ready(())
    }

    /// Whether the driver, before it waits to read, must have the system acknowledge at once what
    /// was read. True at most once for each read.
    ///
    /// A peer with Nagle's algorithm (RFC 896) sends a second small segment only after the first
    /// is acknowledged. A system delays its acknowledgement, usually by 40 ms, to send it with
    /// octets of its own. If the session waits for the rest of a reply, or for a reply behind the
    /// tickets of TLS 1.3, it has no such octets, and both ends wait. A write since the last read
    /// carries the acknowledgement, and an idle session waits for nothing: `false` for both.
    pub fn owes_acknowledgement(&mut self) -> bool {
        std::mem::take(&mut self.unacknowledged) && !self.machine.is_idle()
    }

    /// Takes the number of flights since the last call: of first writes after a read.
    pub fn take_flights(&mut self) -> u64 {
        std::mem::take(&mut self.flights)
    }

    /// Whether no write has failed.
    pub fn can_write(&self) -> bool {
        self.write_error.is_none()
    }

    /// Records that a flush failed, so that nothing more is written.
    pub fn write_failed(&mut self, error: io::Error) {
        self.write_error.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests;
