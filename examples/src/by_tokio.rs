//! The tokio runtime: its stream and its timer. Must never know SMTP.

use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use postwire_futures::{Runtime, Socket, SocketOptions};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// The runtime of tokio: its sockets and timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

// Other systems have no Unix sockets; this type is never constructed there.
#[cfg(not(unix))]
type UnixStream = TcpStream;

impl Runtime for Tokio {
    type Stream = Socket<Compat<TcpStream>, Compat<UnixStream>>;
    type Sleep = Pin<Box<tokio::time::Sleep>>;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> io::Result<Self::Stream> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(local) = options.local_address {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        socket.set_keepalive(options.keep_alive.is_some())?;
        socket.set_nodelay(true)?;
        Ok(Socket::Tcp(socket.connect(address).await?.compat()))
    }

    #[cfg(unix)]
    async fn connect_unix(&self, path: &Path) -> io::Result<Self::Stream> {
        Ok(Socket::Unix(UnixStream::connect(path).await?.compat()))
    }

    fn local_address(&self, stream: &Self::Stream) -> Option<IpAddr> {
        let Socket::Tcp(stream) = stream else {
            return None;
        };
        stream
            .get_ref()
            .local_addr()
            .ok()
            .map(|address| address.ip())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}
