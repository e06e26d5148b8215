//! The socket that a transport connects: TCP, or Unix if the system has Unix sockets.
//!
//! Knows which of the two it is. No other module needs to know.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Stream;

/// The most octets that are read at once by a second handle: no more than a connection takes.
const INPUT: usize = 1024;

/// A connected socket.
#[non_exhaustive]
pub enum Socket {
    /// A TCP socket, connected to a host and a port.
    Tcp(TcpStream),
    /// A Unix socket, connected to a path on this machine.
    #[cfg(unix)]
    Unix(UnixStream),
    /// A stream that a function of the program made:
    /// [`Transport::with_connector`](crate::Transport::with_connector).
    Other(Box<dyn Stream + Send + Sync>),
}

/// A second handle of a socket, by which one thread waits for input while others write.
#[derive(Debug)]
pub(crate) struct Watcher {
    socket: Socket,
    /// What was read, until the connection takes it. Only one thread reads at a time.
    input: Mutex<Box<[u8]>>,
}

impl Watcher {
    /// Creates another handle of a socket; `None` if the system has none, or if the stream is one of
    /// the program.
    pub(crate) fn of(socket: &Socket) -> Option<Self> {
        Some(Self {
            socket: socket.try_clone().ok()?,
            input: Mutex::new(vec![0; INPUT].into()),
        })
    }

    /// Reads, at most until the read timeout of the socket.
    pub(crate) fn read(&self) -> io::Result<usize> {
        self.socket.read_apart(&mut self.input())
    }

    /// Copies what was read.
    pub(crate) fn take(&self, octets: usize, into: &mut [u8]) {
        into[..octets].copy_from_slice(&self.input()[..octets]);
    }

    /// Ends the wait of the thread that reads.
    pub(crate) fn wake(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn input(&self) -> MutexGuard<'_, Box<[u8]>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => f.debug_tuple("Tcp").field(stream).finish(),
            #[cfg(unix)]
            Self::Unix(stream) => f.debug_tuple("Unix").field(stream).finish(),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

/// Evaluates an expression for either socket.
macro_rules! either {
    ($socket:expr, $stream:ident => $of_it:expr) => {
        match $socket {
            Socket::Tcp($stream) => $of_it,
            #[cfg(unix)]
            Socket::Unix($stream) => $of_it,
            Socket::Other($stream) => $of_it,
        }
    };
}

impl Socket {
    /// Creates another handle of the socket.
    ///
    /// # Errors
    ///
    /// An error of the system, for example because too many files are open. `Unsupported` for a
    /// stream of the program.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            #[cfg(unix)]
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Other(_) => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// The local IP address; `None` for a Unix socket or a stream of the program.
    pub fn local_address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok().map(|address| address.ip()),
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Other(_) => None,
        }
    }

    /// Reads by this handle while another handle writes.
    fn read_apart(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Read::read(&mut &*stream, into),
            #[cfg(unix)]
            Self::Unix(stream) => Read::read(&mut &*stream, into),
            Self::Other(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Shuts down one direction or both, for all handles of the socket. A waiting read returns.
    ///
    /// # Errors
    ///
    /// An error of the system, for example because the peer has closed the connection already.
    /// `Unsupported` for a stream of the program.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(how),
            Self::Other(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(into))
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(octets))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        either!(self, stream => stream.flush())
    }
}

impl Stream for Socket {
    fn read_now(&mut self, into: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read_now(into))
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        either!(self, stream => Stream::set_read_timeout(stream, timeout))
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        either!(self, stream => Stream::set_write_timeout(stream, timeout))
    }
}
