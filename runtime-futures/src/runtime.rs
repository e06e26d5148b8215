//! What the driver needs of a runtime: names, sockets and a timer.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_tls::SocketOptions;

/// A runtime, as far as sending mail needs one. No executor, no spawning: a new
/// adapter is these four items.
pub trait Runtime: Clone + Send + Sync + Unpin + 'static {
    /// A connected TCP socket.
    type Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static;

    /// A timer that is running.
    type Sleep: Future<Output = ()> + Send + Sync + Unpin + 'static;

    /// The addresses of a host.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects, with these options and `TCP_NODELAY` set: a flight is one write.
    fn connect(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// A timer that ends after `duration`.
    fn sleep(&self, duration: Duration) -> Self::Sleep;
}
