//! A stream in memory whose other end is the sink's session, in plaintext or under TLS.
//!
//! Counts the reads, writes and acknowledgements of the client, which are system calls over a
//! socket, and its flights. The peer answers within the client's own calls, so that every count is the same in
//! each run.

use std::io::{self, Cursor, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postwire_blocking::Stream;
use rustls::{ServerConfig, ServerConnection};

use crate::sink::{Behaviour, Counters, Session};

/// The counts of all streams of a job.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) flights: AtomicU64,
    pub(super) calls: AtomicU64,
}

/// The client's end.
#[derive(Debug)]
pub(super) struct Wire {
    tally: Arc<Tally>,
    session: Session<'static>,
    tls: Option<ServerConnection>,
    /// What the client has not read.
    said: Cursor<Vec<u8>>,
    /// Whether the client has written since it read.
    writes: bool,
}

impl Wire {
    pub(super) fn new(
        behaviour: Behaviour,
        tls: Option<Arc<ServerConfig>>,
        counters: &'static Counters,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        let tls = tls.map(ServerConnection::new).transpose();
        let mut wire = Self {
            tally,
            session: Session::new(behaviour, counters),
            tls: tls.map_err(io::Error::other)?,
            said: Cursor::default(),
            writes: false,
        };
        wire.say()?;
        Ok(wire)
    }

    /// Passes the session's replies to the client.
    fn say(&mut self) -> io::Result<()> {
        let said = self.said.get_mut();
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(self.session.replies())?;
            while tls.wants_write() {
                tls.write_tls(said)?;
            }
        } else {
            said.extend_from_slice(self.session.replies());
        }
        self.session.clear();
        Ok(())
    }

    /// Passes octets of the client to the session.
    fn hear(&mut self, mut octets: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.session.take(octets);
            return Ok(());
        };
        let mut buffer = [0; 16 * 1024];
        while !octets.is_empty() {
            tls.read_tls(&mut octets)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let read = tls.reader().read(&mut buffer)?;
                self.session.take(&buffer[..read]);
                left -= read.min(left);
            }
        }
        Ok(())
    }

    fn count(&mut self, is_write: bool) {
        self.tally.calls.fetch_add(1, Ordering::Relaxed);
        if is_write && !self.writes {
            self.tally.flights.fetch_add(1, Ordering::Relaxed);
        }
        self.writes = is_write;
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.count(false);
        let read = self.said.read(into)?;
        if self.said.position() == self.said.get_ref().len() as u64 {
            self.said.set_position(0);
            self.said.get_mut().clear();
        }
        if read == 0 {
            // The peer has answered all that it was sent: nothing more will come.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(read)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.count(true);
        for slice in slices {
            self.hear(slice)?;
        }
        self.say()?;
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Wire {
    fn acknowledge(&mut self) {
        self.tally.calls.fetch_add(1, Ordering::Relaxed);
    }
}
