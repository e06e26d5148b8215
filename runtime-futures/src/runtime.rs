//! The runtime that the driver needs: a resolver, sockets and a timer.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_transport::SocketOptions;
use postwire_transport::proto::Instant;

/// A runtime for sending mail: a resolver, sockets and a timer, without an executor.
///
/// A new adapter implements these items.
pub trait Runtime: Clone + Send + Sync + Unpin + 'static {
    /// A connected socket: TCP, or a [`Socket`](crate::Socket) if the runtime has Unix sockets as
    /// well.
    type Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static;

    /// A timer that is running.
    type Sleep: Future<Output = ()> + Send + Sync + Unpin + 'static;

    /// Resolves the addresses of a host.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects to an address, with these options and `TCP_NODELAY`, because a flight is one write.
    fn connect(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Connects to the Unix socket at this path. A runtime without Unix sockets need not implement
    /// this method.
    fn connect_unix(&self, path: &Path) -> impl Future<Output = io::Result<Self::Stream>> + Send {
        let _ = path;
        std::future::ready(Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "there are no Unix sockets here",
        )))
    }

    /// The local IP address of a connected socket, which `EHLO` uses if the client has no name;
    /// `None` if it is unknown.
    fn local_address(&self, stream: &Self::Stream) -> Option<IpAddr> {
        let _ = stream;
        None
    }

    /// Acknowledges at once what was read from a socket, without waiting for octets to send with
    /// the acknowledgement: the peer may send more only after that.
    ///
    /// Called only for a stream of this type, not for one that the program has wrapped. A runtime
    /// need not implement this method. Without it, a TCP peer that uses Nagle's algorithm
    /// may answer some 40 ms later. On Linux, the option `TCP_QUICKACK` does what is needed.
    fn acknowledge(&self, stream: &Self::Stream) {
        let _ = stream;
    }

    /// Starts a timer that ends after `duration`. Called only while a future is polled, never when
    /// one is dropped.
    fn sleep(&self, duration: Duration) -> Self::Sleep;
}

/// The longest duration that every timer accepts: some timers panic if the end is beyond the range
/// of their clock. A longer wait is woken once a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Starts a timer that ends after `duration`, at most after a year.
pub(crate) fn sleep<R: Runtime>(runtime: &R, duration: Duration) -> R::Sleep {
    runtime.sleep(duration.min(LONGEST))
}

/// A timer that is replaced only if it would end too late.
pub(crate) struct Timer<R: Runtime>(Option<(Instant, R::Sleep)>);

impl<R: Runtime> Default for Timer<R> {
    fn default() -> Self {
        Self(None)
    }
}

impl<R: Runtime> Timer<R> {
    /// Waits until `until`, which is `left` from now. May end earlier; the caller then checks its
    /// condition again.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        runtime: &R,
        until: Instant,
        left: Duration,
    ) -> Poll<()> {
        let kept = self.0.take().filter(|(end, _)| *end <= until);
        let kept = kept.unwrap_or_else(|| (until, sleep(runtime, left)));
        let (_, timer) = self.0.insert(kept);
        ready!(Pin::new(timer).poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}
