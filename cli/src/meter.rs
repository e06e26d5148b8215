//! A stream that counts what goes over it.
//!
//! Knows octets and turns; moves the bar of a terminal if there is one. Must
//! never know what the octets say.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use postwire_blocking::Stream;

/// What went over a stream so far.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    written: AtomicU64,
    read: AtomicU64,
    flights: AtomicU64,
    /// Whether the last thing that happened was a write.
    writing: AtomicBool,
}

impl Meter {
    /// Octets written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Octets read.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// How often something was written after something had been read, or first
    /// of all: the writes between two reads are one flight.
    pub(crate) fn flights(&self) -> u64 {
        self.flights.load(Ordering::Relaxed)
    }

    fn count_write(&self, octets: usize) {
        self.written.fetch_add(octets as u64, Ordering::Relaxed);
        if octets > 0 && !self.writing.swap(true, Ordering::Relaxed) {
            self.flights.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_read(&self, octets: usize) {
        self.read.fetch_add(octets as u64, Ordering::Relaxed);
        if octets > 0 {
            self.writing.store(false, Ordering::Relaxed);
        }
    }
}

/// A stream with a [`Meter`].
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
    bar: ProgressBar,
}

impl<S> Metered<S> {
    /// Counts what goes over `stream`, and shows it on `bar`, which may be hidden.
    pub(crate) fn new(stream: S, meter: Arc<Meter>, bar: ProgressBar) -> Self {
        Self { stream, meter, bar }
    }

    fn wrote(&self, octets: usize) {
        self.meter.count_write(octets);
        // What is said around the content is not part of the bar's length.
        let shown = self.meter.written().min(self.bar.length().unwrap_or(0));
        self.bar.set_position(shown);
    }
}

impl<S: Read> Read for Metered<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let octets = self.stream.read(into)?;
        self.meter.count_read(octets);
        Ok(octets)
    }
}

impl<S: Write> Write for Metered<S> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(octets)?;
        self.wrote(written);
        Ok(written)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.stream.write_vectored(slices)?;
        self.wrote(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Stream> Stream for Metered<S> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_what_is_written_between_two_reads() {
        let meter = Arc::new(Meter::default());
        let stream = io::Cursor::new(vec![0; 8]);
        let mut stream = Metered::new(stream, Arc::clone(&meter), ProgressBar::hidden());
        stream.write_all(b"ab").unwrap();
        stream.write_all(b"c").unwrap();
        let mut buffer = [0; 2];
        stream.read_exact(&mut buffer).unwrap();
        stream.read_exact(&mut buffer).unwrap();
        stream.write_all(b"d").unwrap();
        assert_eq!((meter.flights(), meter.written(), meter.read()), (2, 4, 4));
    }
}
