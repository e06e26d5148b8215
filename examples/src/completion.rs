//! A whole transport by completions: the [`Runtime`] of [compio](https://docs.rs/compio), which
//! uses `io_uring` on Linux, and readiness if the system forbids it.
//!
//! The pool, retries, the race of addresses, TLS, time limits and streaming are those of
//! [`postwire_futures::Transport`]. A program copies this file and `completion/stream.rs`.
//!
//! compio has a runtime for each thread, and its futures stay on that thread. Those of [`Runtime`]
//! are `Send`, so each attempt to connect, each resolution and each timer is a task of the current
//! thread; the [`JoinHandle`] that waits for it is `Send` and `Sync`. So are compio's sockets, with
//! its feature `sync`.
//!
//! A connection needs the runtime in which it was opened. If that runtime has ended, the connection
//! is lost, and the transport opens another. Threads may share a [`Transport`]; with one for each
//! thread, they do not wake each other. Drop a runtime that does not run any more: other threads
//! may wait until it notices that they dropped its connections.

mod stream;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use compio::net::{TcpSocket, ToSocketAddrsAsync, UnixStream};
use compio::runtime::{JoinHandle, spawn};
use compio::time::sleep_until;
use postwire_futures::{Runtime, SocketOptions};
use socket2::{SockRef, TcpKeepalive};

pub use self::stream::{CompioStream, Socket};

/// The runtime of compio: its sockets and timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compio;

/// Sends mail through one server, with a pool of connections.
///
/// ```
/// use postwire_examples::completion::Transport;
/// use postwire_futures::proto::Envelope;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = postwire_testing::TestServer::start();
/// let runtime = compio::runtime::Runtime::new()?;
/// let transport: Transport = Transport::from_url(server.url())?.build()?;
/// let envelope = Envelope::new(None, vec!["bob@example.net".parse()?])?;
/// runtime.block_on(async {
///     transport.send(&envelope, "Subject: hello\r\n\r\n").await?;
///     transport.shutdown().await;
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// assert_eq!(server.wait_for(1).len(), 1);
/// # Ok(())
/// # }
/// ```
pub type Transport = postwire_futures::Transport<Compio>;

/// A session with a server.
pub type Connection<S = CompioStream> = postwire_futures::Connection<S, Compio>;

/// Runs a future on this thread, and waits for it from any thread. Dropping the returned future
/// cancels it.
fn on_this_thread<T: Send + 'static>(
    future: impl Future<Output = io::Result<T>> + 'static,
) -> impl Future<Output = io::Result<T>> + Send {
    let task = spawn(future);
    async { task.await? }
}

impl Runtime for Compio {
    type Stream = CompioStream;
    type Sleep = Sleep;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        let resolving = async move {
            let addresses = (host.as_str(), port).to_socket_addrs_async().await?;
            Ok(addresses.collect())
        };
        on_this_thread(resolving).await
    }

    fn connect(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> impl Future<Output = io::Result<CompioStream>> + Send {
        let (local, keep_alive) = (options.local_address, options.keep_alive);
        on_this_thread(async move {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4().await?,
                SocketAddr::V6(_) => TcpSocket::new_v6().await?,
            };
            if let Some(local) = local {
                socket.bind(SocketAddr::new(local, 0)).await?;
            }
            if let Some(idle) = keep_alive {
                let keep_alive = TcpKeepalive::new().with_time(idle);
                SockRef::from(&socket).set_tcp_keepalive(&keep_alive)?;
            }
            socket.set_nodelay(true)?;
            let stream = socket.connect(address).await?;
            Ok(CompioStream::new(Socket::Tcp(stream)))
        })
    }

    fn connect_unix(&self, path: &Path) -> impl Future<Output = io::Result<CompioStream>> + Send {
        let path = path.to_owned();
        on_this_thread(async move {
            let stream = UnixStream::connect(path).await?;
            Ok(CompioStream::new(Socket::Unix(stream)))
        })
    }

    fn local_address(&self, stream: &CompioStream) -> Option<IpAddr> {
        match stream.socket() {
            Socket::Tcp(stream) => Some(stream.local_addr().ok()?.ip()),
            Socket::Unix(_) => None,
        }
    }

    // The option only saves time. If the socket has failed, the next read returns the error.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn acknowledge(&self, stream: &CompioStream) {
        if let Socket::Tcp(stream) = stream.socket() {
            let _ = stream.set_quickack(true);
        }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::until(Instant::now() + duration)
    }
}

/// A timer of compio.
#[derive(Debug)]
pub struct Sleep {
    end: Instant,
    thread: ThreadId,
    timer: JoinHandle<()>,
}

impl Sleep {
    fn until(end: Instant) -> Self {
        Self {
            end,
            thread: thread::current().id(),
            timer: spawn(sleep_until(end)),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The runtime of another thread may be one that nobody runs.
        if self.thread != thread::current().id() {
            *self = Self::until(self.end);
        }
        while ready!(Pin::new(&mut self.timer).poll(cx)).is_err() {
            // The runtime of the timer has ended.
            *self = Self::until(self.end);
        }
        Poll::Ready(())
    }
}
