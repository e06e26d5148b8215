//! A stream that counts its octets, for every runtime.
//!
//! Knows octets and flights; updates the progress bar of a terminal if there is one. Must never
//! know the meaning of the octets.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use indicatif::ProgressBar;
use postwire_blocking::Stream;
use postwire_blocking::transport::SocketOptions;
use postwire_futures::Runtime;

/// The counters of a stream. Clones share the counters.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    counts: Arc<Counts>,
    bar: ProgressBar,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    read: AtomicU64,
    flights: AtomicU64,
    /// Whether a flight is in progress: it ends with the next read.
    writing: AtomicBool,
    /// Whether the stream accepted nothing in the last write: a read in this state did not wait
    /// for the peer, and does not end the flight.
    full: AtomicBool,
    /// Whether reads return nothing more, as if the peer had closed.
    cut: AtomicBool,
}

impl Meter {
    /// Creates counters at zero. `bar`, which may be hidden, shows the progress.
    pub(crate) fn new(bar: ProgressBar) -> Self {
        Self {
            counts: Arc::default(),
            bar,
        }
    }

    /// Octets written.
    pub(crate) fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Octets read.
    pub(crate) fn read(&self) -> u64 {
        self.counts.read.load(Ordering::Relaxed)
    }

    /// The number of flights. The writes between two reads are one flight; so are those before
    /// the first read.
    pub(crate) fn flights(&self) -> u64 {
        self.counts.flights.load(Ordering::Relaxed)
    }

    /// Makes reads return nothing more, as if the peer had closed.
    pub(crate) fn cut(&self) {
        self.counts.cut.store(true, Ordering::Relaxed);
    }

    fn is_cut(&self) -> bool {
        self.counts.cut.load(Ordering::Relaxed)
    }

    fn wrote(&self, result: &io::Result<usize>) {
        match result {
            Ok(0) => {}
            Ok(octets) => {
                let counts = &self.counts;
                counts.full.store(false, Ordering::Relaxed);
                if !counts.writing.swap(true, Ordering::Relaxed) {
                    counts.flights.fetch_add(1, Ordering::Relaxed);
                }
                counts.written.fetch_add(*octets as u64, Ordering::Relaxed);
                // Commands around the content are not part of the bar's length.
                let shown = self.written().min(self.bar.length().unwrap_or(0));
                self.bar.set_position(shown);
            }
            Err(error) => {
                use io::ErrorKind::{TimedOut, WouldBlock};
                if matches!(error.kind(), TimedOut | WouldBlock) {
                    self.was_full();
                }
            }
        }
    }

    fn was_full(&self) {
        self.counts.full.store(true, Ordering::Relaxed);
    }

    fn did_read(&self, result: &io::Result<usize>) {
        if let Ok(octets @ 1..) = result {
            let counts = &self.counts;
            counts.read.fetch_add(*octets as u64, Ordering::Relaxed);
            if !counts.full.load(Ordering::Relaxed) {
                counts.writing.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// A stream with a [`Meter`].
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// Counts the octets of `stream`.
    pub(crate) fn new(stream: S, meter: Meter) -> Self {
        Self { stream, meter }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(result) => self.meter.wrote(result),
            Poll::Pending => self.meter.was_full(),
        }
        result
    }
}

impl<S: Read> Read for Metered<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.read(into);
        self.meter.did_read(&result);
        result
    }
}

impl<S: Write> Write for Metered<S> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let result = self.stream.write(octets);
        self.meter.wrote(&result);
        result
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.stream.write_vectored(slices);
        self.meter.wrote(&result);
        result
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

    fn acknowledge(&mut self) {
        self.stream.acknowledge();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.meter.is_cut() {
            return Poll::Ready(Ok(0));
        }
        let result = Pin::new(&mut self.stream).poll_read(cx, into);
        if let Poll::Ready(result) = &result {
            self.meter.did_read(result);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// A runtime whose sockets have a [`Meter`], all of them the same one.
#[derive(Clone, Debug)]
pub(crate) struct MeteredRuntime<R> {
    runtime: R,
    meter: Meter,
}

impl<R> MeteredRuntime<R> {
    /// Counts the octets of all sockets of `runtime`.
    pub(crate) fn new(runtime: R, meter: Meter) -> Self {
        Self { runtime, meter }
    }
}

impl<R: Runtime> Runtime for MeteredRuntime<R> {
    type Stream = Metered<R::Stream>;
    type Sleep = R::Sleep;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.runtime.resolve(host, port).await
    }

    async fn connect(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> io::Result<Self::Stream> {
        let socket = self.runtime.connect(address, options).await?;
        Ok(Metered::new(socket, self.meter.clone()))
    }

    async fn connect_unix(&self, path: &Path) -> io::Result<Self::Stream> {
        let socket = self.runtime.connect_unix(path).await?;
        Ok(Metered::new(socket, self.meter.clone()))
    }

    fn local_address(&self, socket: &Self::Stream) -> Option<IpAddr> {
        self.runtime.local_address(&socket.stream)
    }

    fn acknowledge(&self, socket: &Self::Stream) {
        self.runtime.acknowledge(&socket.stream);
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.runtime.sleep(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_what_is_written_between_two_reads() {
        let meter = Meter::new(ProgressBar::hidden());
        let stream = io::Cursor::new(vec![0; 8]);
        let mut stream = Metered::new(stream, meter.clone());
        stream.write_all(b"ab").unwrap();
        stream.write_all(b"c").unwrap();
        let mut buffer = [0; 2];
        stream.read_exact(&mut buffer).unwrap();
        stream.read_exact(&mut buffer).unwrap();
        stream.write_all(b"d").unwrap();
        assert_eq!((meter.flights(), meter.written(), meter.read()), (2, 4, 4));
    }

    /// Accepts every second write.
    struct EverySecondWrite(bool);

    impl Read for EverySecondWrite {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            Ok(into.len())
        }
    }

    impl Write for EverySecondWrite {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0 = !self.0;
            if self.0 {
                Ok(octets.len())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_stream_does_not_end_a_flight() {
        let meter = Meter::new(ProgressBar::hidden());
        let mut stream = Metered::new(EverySecondWrite(false), meter.clone());
        let mut buffer = [0; 2];
        for _ in 0..3 {
            assert_eq!(stream.write(b"ab").unwrap(), 2);
            stream.write(b"cd").unwrap_err();
            stream.read_exact(&mut buffer).unwrap();
        }
        assert_eq!((meter.flights(), meter.written(), meter.read()), (1, 6, 6));
        stream.write_all(b"ab").unwrap();
        stream.read_exact(&mut buffer).unwrap();
        stream.write(b"cd").unwrap_err();
        stream.write_all(b"cd").unwrap();
        assert_eq!(meter.flights(), 2);
    }
}
