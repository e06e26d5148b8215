//! tokio: its stream and its timer, and nothing of SMTP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use postwire_futures::{Runtime, SocketOptions};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// tokio's sockets and timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = Compat<TcpStream>;
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
        Ok(socket.connect(address).await?.compat())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}
