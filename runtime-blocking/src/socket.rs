//! The socket that a transport connects: TCP, or Unix if the system has Unix sockets.
//!
//! Knows which of the two it is. No other module needs to know.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::Stream;
use crate::stream::pass_on;

/// A connected socket.
#[derive(Debug)]
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

impl fmt::Debug for dyn Stream + Send + Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Socket {
    fn stream(&mut self) -> &mut dyn Stream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Other(stream) => stream,
        }
    }

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
        let Self::Tcp(stream) = self else {
            return None;
        };
        stream.local_addr().ok().map(|address| address.ip())
    }

    /// Reads by this handle while another handle writes.
    pub(crate) fn read_apart(&self, into: &mut [u8]) -> io::Result<usize> {
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
        self.stream().read(into)
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream().write(octets)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream().write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream().flush()
    }
}

impl Stream for Socket {
    pass_on!(self => self.stream());
}
