//! Send mail with [tokio](https://docs.rs/tokio).
//!
//! ```no_run
//! use postwire_tokio::{Transport, proto::{Credentials, Envelope}};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let transport = Transport::relay("mail.example.org")?
//!         .credentials(Credentials::new("alice", "correct horse"))
//!         .build()?;
//!     let envelope = Envelope::new(
//!         Some("alice@example.org".parse()?),
//!         vec!["bob@example.net".parse()?],
//!     )?;
//!     match transport.send(&envelope, "Subject: hello\r\n\r\nHello, Bob.\r\n").await {
//!         Ok(report) => println!("{report}"),
//!         // `{error}` is a sentence for people: the stage, the server's words, advice.
//!         Err(error) => eprintln!("{error}"),
//!     }
//!     transport.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! For a server with the certificate of a private authority, add two lines before `.build()`: the
//! certificate, and the port unless it is 465.
//!
//! ```no_run
//! # use postwire_tokio::{Transport, tls::Certificate};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = Certificate::from_pem(&std::fs::read("ca.pem")?)?;
//! let transport = Transport::relay("mail.example.org")?
//!     .port(4465)
//!     .tls_parameters(|tls| tls.add_root_certificate(root))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! `shutdown` ends each connection by `QUIT`, as the protocol asks for. A program that drops its
//! transport instead loses no message that has its report.
//!
//! The runtime needs I/O and time (`#[tokio::main]` has both, and so has a `Builder` after
//! `enable_all`), on one thread or on many. As everywhere in tokio, a future that is polled outside
//! of a runtime panics; one that is dropped there does not. A connection works only as long as the
//! runtime in which it was opened: programs with several runtimes have a [`Transport`] for each.
//!
//! [`TransportBuilder`](transport::TransportBuilder) has the settings. The
//! [guides](https://docs.rs/postwire-guide) say which TLS mode to choose, what to do with a message that
//! was not accepted, how to test an application, and what each error means. To send through a proxy, or over another stream of the program, wrap the
//! stream in a [`TokioIo`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod io;

use std::future::Future;
use std::io::Result;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub use io::TokioIo;
pub use postwire_futures::{
    AsyncMailer, Chunks, Driver, Runtime, SendFuture, SocketOptions, StreamBody, bytes, chunks,
    proto, tls, transport,
};
use socket2::{SockRef, TcpKeepalive};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::runtime::{Handle, Id};
use tokio::time;

/// The runtime of tokio: its sockets and timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

/// A TCP or Unix socket.
pub type Socket = postwire_futures::Socket<TokioIo<TcpStream>, TokioIo<UnixStream>>;

// Other systems have no Unix sockets; this type is never constructed there.
#[cfg(not(unix))]
type UnixStream = TcpStream;

/// Sends mail through one server, with a pool of connections.
///
/// Created with [`relay`](postwire_futures::Transport::relay) (TLS from the first octet),
/// [`starttls_relay`](postwire_futures::Transport::starttls_relay),
/// [`unencrypted_localhost`](postwire_futures::Transport::unencrypted_localhost),
/// [`from_url`](postwire_futures::Transport::from_url) or
/// [`builder_dangerous`](postwire_futures::Transport::builder_dangerous), whose
/// [builder](transport::TransportBuilder) has the settings. Sends with
/// [`send`](postwire_futures::Transport::send), [`send_all`](postwire_futures::Transport::send_all)
/// and [`send_stream`](postwire_futures::Transport::send_stream); all methods are on the page of
/// [`postwire_futures::Transport`].
pub type Transport = postwire_futures::Transport<Tokio>;

/// A session with a server; its methods are on the page of [`postwire_futures::Connection`].
pub type Connection<S = Socket> = postwire_futures::Connection<S, Tokio>;

/// The reports of [`Transport::send_all`](postwire_futures::Transport::send_all).
pub type SendAll<I> = postwire_futures::SendAll<Tokio, I>;

impl Runtime for Tokio {
    type Stream = Socket;
    type Sleep = Sleep;

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr, options: &SocketOptions) -> Result<Socket> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(local) = options.local_address {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        if let Some(idle) = options.keep_alive {
            let keep_alive = TcpKeepalive::new().with_time(idle);
            SockRef::from(&socket).set_tcp_keepalive(&keep_alive)?;
        }
        socket.set_nodelay(true)?;
        let stream = socket.connect(address).await?;
        Ok(Socket::Tcp(TokioIo::new(stream)))
    }

    #[cfg(unix)]
    async fn connect_unix(&self, path: &Path) -> Result<Socket> {
        let stream = UnixStream::connect(path).await?;
        Ok(Socket::Unix(TokioIo::new(stream)))
    }

    fn local_address(&self, stream: &Socket) -> Option<IpAddr> {
        match stream {
            Socket::Tcp(stream) => Some(stream.get_ref().local_addr().ok()?.ip()),
            Socket::Unix(_) => None,
        }
    }

    // The option only saves time. If the socket has failed, the next read returns the error.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn acknowledge(&self, stream: &Socket) {
        if let Socket::Tcp(stream) = stream {
            let _ = SockRef::from(stream.get_ref()).set_tcp_quickack(true);
        }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep {
            runtime: Handle::current().id(),
            timer: Box::pin(time::sleep(duration)),
        }
    }
}

/// A timer of tokio.
#[derive(Debug)]
pub struct Sleep {
    runtime: Id,
    timer: Pin<Box<time::Sleep>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let runtime = Handle::current().id();
        if self.runtime != runtime {
            // The timer of a runtime that has ended panics, and that of a runtime which nobody
            // runs never ends.
            let deadline = self.timer.deadline();
            *self = Self {
                runtime,
                timer: Box::pin(time::sleep_until(deadline)),
            };
        }
        self.timer.as_mut().poll(cx)
    }
}
