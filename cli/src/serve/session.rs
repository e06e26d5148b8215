//! The driving of one session: the socket that other threads can close, and the end of the
//! server in the middle of a session.
//!
//! Knows how a session ends early. Must never know what is asked and answered.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_blocking::proto::{Endpoint, Instant, TransportError};
use postwire_blocking::tls::ServerConnection;
use postwire_blocking::{Socket, Stream};
use postwire_server::ServerEvent;

/// Whether the server ends. Clones are the same end.
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<(Mutex<bool>, Condvar)>);

impl Ending {
    fn lock(&self) -> MutexGuard<'_, bool> {
        // A boolean cannot be half changed by a panic.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.lock()
    }

    /// Waits for this time, or until the server ends.
    pub(crate) fn wait(&self, time: Duration) {
        let waits = |has_begun: &mut bool| !*has_begun;
        drop(self.0.1.wait_timeout_while(self.lock(), time, waits));
    }
}

/// A server connection that says `421` when the server ends. The thread that reads learns of it
/// when its socket is [interrupted](SharedSocket::interrupt).
pub(crate) struct Session {
    pub(crate) connection: ServerConnection,
    pub(crate) ending: Ending,
}

impl Session {
    /// Ends the session if the server ends.
    fn end_with_server(&mut self) -> bool {
        let ends = self.ending.has_begun();
        if ends {
            self.connection.shut_down();
        }
        ends
    }
}

impl Endpoint for Session {
    type Event = ServerEvent;

    fn handle_input(&mut self, now: Instant, input: &[u8]) {
        // On some systems what arrives after the interruption can still be read.
        if !self.end_with_server() {
            self.connection.handle_input(now, input);
        }
    }

    fn handle_eof(&mut self, now: Instant) {
        if !self.end_with_server() {
            self.connection.handle_eof(now);
        }
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        if !self.end_with_server() {
            self.connection.handle_transport_error(now, error);
        }
    }

    fn output(&mut self) -> impl Buf + Send {
        self.connection.output()
    }

    fn output_chunk(&mut self) -> &[u8] {
        self.connection.output_chunk()
    }

    fn advance_output(&mut self, octets: usize) {
        self.connection.advance_output(octets);
    }

    fn next_chunk(&mut self, most: usize) -> Bytes {
        self.connection.next_chunk(most)
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.connection.handle_written(now, octets);
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.connection.poll_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

/// A socket that two threads share without a second descriptor.
#[derive(Clone)]
pub(crate) struct SharedSocket(pub(crate) Arc<Socket>);

/// Calls the same method on either kind of socket.
macro_rules! on_socket {
    ($self:ident, $socket:ident => $call:expr) => {
        match &*$self.0 {
            Socket::Tcp($socket) => $call,
            #[cfg(unix)]
            Socket::Unix($socket) => $call,
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    };
}

impl SharedSocket {
    /// Ends the reads of the socket; what is written still reaches the client.
    pub(crate) fn interrupt(&self) {
        // The client may have closed the connection already.
        let _ = self.0.shutdown(Shutdown::Read);
    }
}

impl Read for SharedSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        on_socket!(self, socket => (&mut &*socket).read(into))
    }
}

impl Write for SharedSocket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        on_socket!(self, socket => (&mut &*socket).write(octets))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        on_socket!(self, socket => (&mut &*socket).write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        on_socket!(self, socket => (&mut &*socket).flush())
    }
}

impl Stream for SharedSocket {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        on_socket!(self, socket => socket.set_read_timeout(timeout))
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        on_socket!(self, socket => socket.set_write_timeout(timeout))
    }
}
