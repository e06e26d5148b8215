//! The stream of the driver: reading and writing with timeouts.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A byte stream that blocks.
///
/// Both timeouts are optional to implement. Without them, no timeout of the session has an effect
/// while the stream blocks:
///
/// ```
/// use std::io::{self, Read, Write};
///
/// struct Pipe<R, W>(R, W);
///
/// impl<R: Read, W> Read for Pipe<R, W> {
///     fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
///         self.0.read(into)
///     }
/// }
///
/// impl<R, W: Write> Write for Pipe<R, W> {
///     fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
///         self.1.write(octets)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         self.1.flush()
///     }
/// }
///
/// impl<R: Read, W: Write> postwire_blocking::Stream for Pipe<R, W> {}
/// ```
pub trait Stream: Read + Write {
    /// Sets the time after which a waiting read fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut). `None`
    /// is no limit. The time is never zero.
    ///
    /// # Errors
    ///
    /// The error of the system. The session ends with it.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Ok(())
    }

    /// Reads the octets that are available, with as little waiting as possible.
    ///
    /// Fails with [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut) if there are none. May change the read timeout.
    fn read_now(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.set_read_timeout(Some(Duration::from_millis(1)))?;
        self.read(into)
    }

    /// Sets the time after which a waiting write fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut). `None`
    /// is no limit. The time is never zero.
    ///
    /// # Errors
    ///
    /// The error of the system. The session ends with it.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Ok(())
    }

    /// Acknowledges at once what was read, without waiting for octets to send with the
    /// acknowledgement: the peer may send more only after that.
    ///
    /// Optional to implement. Without it, a TCP peer that uses Nagle's algorithm may answer some
    /// 40 ms later. A `TcpStream` uses the option `TCP_QUICKACK` of Linux.
    fn acknowledge(&mut self) {}
}

/// Implements what a stream passes on to the stream within it.
macro_rules! pass_on {
    ($self:ident => $stream:expr) => {
        fn read_now(&mut $self, into: &mut [u8]) -> io::Result<usize> {
            $stream.read_now(into)
        }

        fn set_read_timeout(&mut $self, timeout: Option<Duration>) -> io::Result<()> {
            $stream.set_read_timeout(timeout)
        }

        fn set_write_timeout(&mut $self, timeout: Option<Duration>) -> io::Result<()> {
            $stream.set_write_timeout(timeout)
        }

        fn acknowledge(&mut $self) {
            $stream.acknowledge();
        }
    };
}
pub(crate) use pass_on;

/// A socket of the standard library.
macro_rules! socket {
    ($socket:ty, $($acknowledge:tt)*) => {
        impl Stream for $socket {
            fn read_now(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.set_nonblocking(true)?;
                let read = self.read(into);
                self.set_nonblocking(false)?;
                read
            }

            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_write_timeout(self, timeout)
            }

            $($acknowledge)*
        }
    };
}

socket! { TcpStream,
    fn acknowledge(&mut self) {
        // The option only saves time. If the socket has failed, the next read returns the error.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket2::SockRef::from(&*self).set_tcp_quickack(true);
    }
}
#[cfg(unix)]
socket!(std::os::unix::net::UnixStream,);

impl<S: Stream + ?Sized> Stream for Box<S> {
    pass_on!(self => (**self));
}
