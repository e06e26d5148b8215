//! The socket that a transport connects: TCP, or Unix if the system has Unix sockets.
//!
//! Knows which of the two it is. No other module needs to know.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;

use crate::Stream;

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

    /// The local IP address; `None` for a Unix socket.
    pub fn local_address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok().map(|address| address.ip()),
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Other(_) => None,
        }
    }

    /// Waits until the socket can be read, or until its read timeout. Returns whether a read would
    /// not wait.
    pub(crate) fn can_read(&self) -> bool {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        let octet = &mut [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(octet),
            #[cfg(unix)]
            Self::Unix(stream) => SockRef::from(stream).peek(octet),
            Self::Other(_) => Ok(0),
        };
        let times_out =
            |error: io::Error| matches!(error.kind(), WouldBlock | TimedOut | Interrupted);
        !peeked.is_err_and(times_out)
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
