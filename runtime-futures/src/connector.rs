//! Connections that a function of the program makes: through a proxy, over a pipe, to a test.
//!
//! Knows that the function replaces resolver and sockets. Must never know what is sent.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_transport::SocketOptions;

use crate::Runtime;

/// A runtime whose connections are made by a function of the program.
///
/// [`Transport::with_connector`](crate::Transport::with_connector) creates it.
#[derive(Clone)]
pub struct WithConnector<R, C> {
    runtime: R,
    connector: C,
}

impl<R, C> WithConnector<R, C> {
    pub(crate) fn new(runtime: R, connector: C) -> Self {
        Self { runtime, connector }
    }
}

impl<R: fmt::Debug, C> fmt::Debug for WithConnector<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithConnector")
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}

impl<R, C, F, S> Runtime for WithConnector<R, C>
where
    R: Runtime,
    C: Fn() -> F + Clone + Send + Sync + Unpin + 'static,
    F: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
{
    type Stream = S;
    type Sleep = R::Sleep;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, _: SocketAddr, _: &SocketOptions) -> io::Result<S> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect_unix(&self, _: &Path) -> io::Result<S> {
        (self.connector)().await
    }

    fn sleep(&self, duration: Duration) -> R::Sleep {
        self.runtime.sleep(duration)
    }
}
