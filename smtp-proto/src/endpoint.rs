//! The interface that every state machine shares: client and server, in plaintext and (in
//! `postwire-tls`) under TLS.
//!
//! A driver is written once, generic over [`Endpoint`]; so are the in-memory
//! pair of the tests and the fuzzers.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use bytes::{Buf, Bytes};

use crate::Instant;

/// The operating system's error when the transport failed, kept as the source of the report's
/// error.
pub type TransportError = Arc<dyn core::error::Error + Send + Sync + 'static>;

/// One end of an SMTP connection, without the socket.
///
/// Bytes and the time go in; bytes, events and a deadline come out. Any order of calls is
/// right: no call has to wait until another is drained. Nothing fails or panics, whatever the
/// peer sends; a fault becomes an event.
pub trait Endpoint {
    /// The events that this end reports to its driver.
    type Event;

    /// Takes bytes from the peer, cut anywhere. All of them are consumed.
    fn handle_input(&mut self, now: Instant, input: &[u8]);

    /// Records that the peer closed its side of the connection.
    fn handle_eof(&mut self, now: Instant);

    /// Records that reading failed, or that nothing can be read after a failed write.
    ///
    /// Do not call this for a failed write alone: first read what the peer sent before it
    /// closed the connection, until end of file or a read error.
    fn handle_transport_error(&mut self, now: Instant, error: TransportError);

    /// The octets to write now. Call `advance` on the buffer for as many as are *handed over*:
    /// to a socket, to an operation that completes later, or to a thread that writes.
    ///
    /// After `advance` the peer may have these octets: a reply may answer them, and a message
    /// whose last octet is among them is in doubt until it is answered. Call `advance` before
    /// the write or together with it, never after waiting for its completion.
    ///
    /// The buffer is empty when there is nothing to write. Dropping it without `advance` loses
    /// nothing. A call of this method may produce an event (such as a request for more
    /// content): poll for events after writing and before waiting.
    ///
    /// A trait object has [`output_chunk`](Self::output_chunk) and
    /// [`advance_output`](Self::advance_output) instead.
    fn output(&mut self) -> impl Buf + Send
    where
        Self: Sized;

    /// The first chunk of the [`output`](Self::output); empty when there is nothing to write.
    ///
    /// For trait objects, and for drivers in other languages.
    fn output_chunk(&mut self) -> &[u8];

    /// Records that `octets` from the front of the output are handed over, as `advance` on the
    /// [`output`](Self::output) does. More than there are count as all.
    fn advance_output(&mut self, octets: usize);

    /// Takes the first chunk of the output, at most `most` octets of it, as octets that the
    /// caller owns; empty when there is nothing to write. They count as handed over.
    ///
    /// For operations that complete later and need memory of their own until then. Where
    /// possible the octets are not copied: in plaintext, content is a slice of the caller's own
    /// [`Body`](crate::Body), counted by reference; under TLS it is the encrypted flight, if
    /// `most` covers all of it.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use postwire_proto::{Client, ClientConfig, Endpoint, Event, HelloName, Instant, Security};
    ///
    /// let config = ClientConfig::new(HelloName::localhost(), Security::None);
    /// let mut session: Box<dyn Endpoint<Event = Event>> =
    ///     Box::new(Client::new(Arc::new(config)));
    /// session.handle_input(Instant::EPOCH, b"220 mx.example ESMTP\r\n");
    /// assert_eq!(session.next_chunk(usize::MAX), "EHLO [127.0.0.1]\r\n");
    /// assert!(session.output_chunk().is_empty());
    /// ```
    fn next_chunk(&mut self, most: usize) -> Bytes {
        let chunk = self.output_chunk();
        let chunk = Bytes::copy_from_slice(chunk.get(..most).unwrap_or(chunk));
        self.advance_output(chunk.len());
        chunk
    }

    /// Records that `octets` more of the octets that were handed over are written.
    ///
    /// Optional: for drivers whose writes complete later than the hand-over (completion I/O, a
    /// writer thread). If a driver never calls this method, octets count as written when they
    /// are handed over. A driver that calls it must report every octet from the first, in
    /// portions of any size. The write deadline then counts from the last octets written, and a
    /// reply's deadline from the time at which its command was written.
    fn handle_written(&mut self, now: Instant, octets: usize);

    /// The next event, in order; `None` when there is no more.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// The time at which [`handle_timeout`](Self::handle_timeout) is next needed.
    ///
    /// It may lie in the past: the deadline of a command that was just handed over starts at
    /// the next call that passes the time.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Passes the current time to the session. Safe to call at any moment, early or late.
    fn handle_timeout(&mut self, now: Instant);

    /// Ends the session at once, as if every deadline had passed: for a caller whose own time
    /// limit is over.
    ///
    /// The report is that of an ordinary time-out of the stage in progress.
    fn expire(&mut self) {
        const END: Instant = Instant::from_epoch(Duration::MAX);
        // The first call starts the deadlines that have not been started yet.
        self.handle_timeout(END);
        self.handle_timeout(END);
        if !self.is_closed() {
            self.handle_transport_error(END, Arc::new(TimeIsUp));
        }
    }

    /// Whether the session is over. Write what [`output`](Self::output) still holds if that is
    /// possible without waiting, then close the connection.
    fn is_closed(&self) -> bool;

    /// Whether the session waits for nothing and has nothing to write, so that its driver may
    /// release the memory of its buffers. `false` if the session does not know.
    fn is_idle(&self) -> bool {
        false
    }
}

/// The error source for a session that ends by `expire` while no deadline is running.
#[derive(Debug)]
struct TimeIsUp;

impl fmt::Display for TimeIsUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl core::error::Error for TimeIsUp {}
