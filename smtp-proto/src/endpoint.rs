//! The one shape of every state machine here: client and server, in plaintext
//! and (in `postwire-tls`) under TLS.
//!
//! A driver is written once, generic over [`Endpoint`]; so are the in-memory
//! pair of the tests and the fuzzers.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use bytes::Buf;

use crate::Instant;

/// What the operating system said when the transport failed, kept as a source.
pub type TransportError = Arc<dyn core::error::Error + Send + Sync + 'static>;

/// One end of a connection, without the connection.
///
/// Bytes and the time go in; bytes, events and a deadline come out. Any order
/// of calls is right: there is no "drain this before that". Nothing here fails
/// or panics, whatever the peer sent; a fault becomes an event.
pub trait Endpoint {
    /// What this end reports to whoever drives it.
    type Event;

    /// Takes bytes from the peer, cut anywhere. All of them are consumed.
    fn handle_input(&mut self, now: Instant, input: &[u8]);

    /// The peer closed its side: nothing more will come.
    fn handle_eof(&mut self, now: Instant);

    /// Reading failed, or nothing more can be read after a failed write.
    ///
    /// A failed write alone is no reason to call this: read first what the peer
    /// said before it closed, until end of file or an error.
    fn handle_transport_error(&mut self, now: Instant, error: TransportError);

    /// What is to be written now. `advance` it by as much as is *handed over*: to a
    /// socket, to an operation that completes later, to a thread that writes.
    ///
    /// From the moment of `advance` the peer may have these octets: a reply may answer
    /// them, and a message whose last octet is among them is in doubt until it is
    /// answered. So `advance` before or with the write, never after its completion was
    /// awaited.
    ///
    /// Empty when there is nothing to write for the moment. Dropping it without
    /// an `advance` loses nothing. Making it may bring an event (more content is
    /// wanted): poll for those after writing, before waiting.
    fn output(&mut self) -> impl Buf + Send;

    /// So many more of the octets that were handed over are written.
    ///
    /// Optional: for drivers where writing ends later than handing over (completion
    /// I/O, a writer thread). A driver that never calls this says that what it hands
    /// over is written. A driver that calls it does so for all octets from the first,
    /// in any portions. The write deadline then counts from the last octets written,
    /// and a reply's deadline from when its command was.
    fn handle_written(&mut self, now: Instant, octets: usize);

    /// The next thing that happened, in order; `None` when there is no more.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted.
    ///
    /// May lie in the past: a command was handed over and its deadline is
    /// counted from the next time that is told.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Tells the time. Safe to call at any moment, early or late.
    fn handle_timeout(&mut self, now: Instant);

    /// The caller's time is up: ends at once, as if every deadline had passed.
    ///
    /// What was being waited for decides what is reported, as with any other time-out.
    fn time_out(&mut self) {
        const END: Instant = Instant::from_epoch(Duration::MAX);
        // The first call counts the deadlines that nobody has counted yet.
        self.handle_timeout(END);
        self.handle_timeout(END);
        if !self.is_closed() {
            self.handle_transport_error(END, Arc::new(TimeIsUp));
        }
    }

    /// Whether the session is over: what [`output`](Self::output) still holds is
    /// to be written if that can be done at once, then the connection closed.
    fn is_closed(&self) -> bool;
}

/// The end of a session that waited for nothing.
#[derive(Debug)]
struct TimeIsUp;

impl fmt::Display for TimeIsUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl core::error::Error for TimeIsUp {}
