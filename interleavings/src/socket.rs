//! The socket of a connection, in the place of `socket.rs` of the adapter: one end of a wire in memory.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;

use crate::network::Wire;
use crate::{Stream, upset};

/// A connected socket. Its handles share one end of a wire, which is closed with the last of them.
#[derive(Clone, Debug)]
pub struct Socket(Arc<Wire>);

impl Socket {
    pub(crate) fn new(wire: Wire) -> Self {
        Self(Arc::new(wire))
    }

    #[expect(clippy::unused_self, reason = "as the adapter's own socket")]
    pub(crate) fn local_address(&self) -> Option<IpAddr> {
        None
    }

    /// Creates another handle of the socket, if this one can be cloned.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        if self.0.can_be_cloned() {
            Ok(self.clone())
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Reads by this handle while another handle writes.
    pub(crate) fn read_apart(&self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into);
        upset::has_read(read.is_ok());
        read
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the adapter's own socket")]
    pub(crate) fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.0.close();
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        upset::has_read(false);
        self.0.write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Socket {
    fn read_now(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_now(into)
    }
}
