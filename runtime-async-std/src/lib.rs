//! Send mail with [async-std](https://docs.rs/async-std).
//!
//! **async-std is no longer maintained** (RUSTSEC-2025-0052). This crate is for programs that
//! use it in production; new programs use `postwire-tokio` or `postwire-smol`, which have the same
//! types and names.
//!
//! ```no_run
//! use postwire_async_std::{Transport, proto::{Credentials, Envelope}};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     async_std::task::block_on(async {
//!         let transport = Transport::relay("mail.example.org")?
//!             .credentials(Credentials::new("alice", "correct horse"))
//!             .build()?;
//!         let envelope = Envelope::new(
//!             Some("alice@example.org".parse()?),
//!             vec!["bob@example.net".parse()?],
//!         )?;
//!         match transport.send(&envelope, "Subject: hello\r\n\r\nHello, Bob.\r\n").await {
//!             Ok(report) => println!("{report}"),
//!             // `{error}` is a sentence for people: the stage, the server's words, advice.
//!             Err(error) => eprintln!("{error}"),
//!         }
//!         transport.shutdown().await;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! For a server with the certificate of a private authority, add
//! `.tls_parameters(|tls| tls.add_root_certificate(root))` before `.build()`, where `root` is
//! `tls::Certificate::from_pem(&std::fs::read("ca.pem")?)?`, and `.port(…)` unless the port is 465.
//!
//! `shutdown` ends each connection by `QUIT`, as the protocol asks for. A program that drops its
//! transport instead loses no message that has its report.
//!
//! [`TransportBuilder`](transport::TransportBuilder) has the settings. The
//! [guides](https://docs.rs/postwire-guide) say which TLS mode to choose, what to do with a message that
//! was not accepted, how to test an application, and what each error means.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use async_std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use async_std::os::unix::net::UnixStream;
use async_std::task;
pub use postwire_futures::{
    AsyncMailer, Chunks, Driver, Runtime, SendFuture, SocketOptions, StreamBody, bytes, chunks,
    proto, tls, transport,
};
use socket2::{Domain, TcpKeepalive, Type};

/// The runtime of async-std: its sockets and timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

/// A TCP or Unix socket.
pub type Socket = postwire_futures::Socket<TcpStream, UnixStream>;

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
pub type Transport = postwire_futures::Transport<AsyncStd>;

/// A session with a server; its methods are on the page of [`postwire_futures::Connection`].
pub type Connection<S = Socket> = postwire_futures::Connection<S, AsyncStd>;

/// The reports of [`Transport::send_all`](postwire_futures::Transport::send_all).
pub type SendAll<I> = postwire_futures::SendAll<AsyncStd, I>;

impl Runtime for AsyncStd {
    type Stream = Socket;
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs().await?.collect())
    }

    async fn connect(&self, address: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
        let options = *options;
        let stream = if options == SocketOptions::default() {
            TcpStream::connect(address).await?
        } else {
            task::spawn_blocking(move || connect_with(&options, address)).await?
        };
        stream.set_nodelay(true)?;
        Ok(Socket::Tcp(stream))
    }

    #[cfg(unix)]
    async fn connect_unix(&self, path: &Path) -> io::Result<Socket> {
        UnixStream::connect(path).await.map(Socket::Unix)
    }

    fn local_address(&self, stream: &Socket) -> Option<IpAddr> {
        match stream {
            Socket::Tcp(stream) => stream.local_addr().ok().map(|address| address.ip()),
            Socket::Unix(_) => None,
        }
    }

    // The option only saves time. If the socket has failed, the next read returns the error.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn acknowledge(&self, stream: &Socket) {
        if let Socket::Tcp(stream) = stream {
            let _ = socket2::SockRef::from(stream).set_tcp_quickack(true);
        }
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        Box::pin(task::sleep(duration))
    }
}

/// Connects on a thread of async-std's pool, since async-std's own sockets have no options.
fn connect_with(options: &SocketOptions, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(local) = options.local_address {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    if let Some(idle) = options.keep_alive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
    }
    socket.connect(&address.into())?;
    Ok(std::net::TcpStream::from(socket).into())
}
