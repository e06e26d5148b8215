//! Send mail with [smol](https://docs.rs/smol).
//!
//! ```no_run
//! use postwire_smol::{Transport, proto::{Credentials, Envelope}};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     smol::block_on(async {
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
use std::task::{Context, Poll};
use std::time::Duration;

pub use postwire_futures::{
    AsyncMailer, Chunks, Driver, Runtime, SendFuture, SocketOptions, StreamBody, bytes, chunks,
    proto, tls, transport,
};
use smol::net::TcpStream;
#[cfg(unix)]
use smol::net::unix::UnixStream;
use socket2::{Domain, SockRef, TcpKeepalive, Type};

/// The runtime of smol: its sockets and timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smol;

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
pub type Transport = postwire_futures::Transport<Smol>;

/// A session with a server; its methods are on the page of [`postwire_futures::Connection`].
pub type Connection<S = Socket> = postwire_futures::Connection<S, Smol>;

/// The reports of [`Transport::send_all`](postwire_futures::Transport::send_all).
pub type SendAll<I> = postwire_futures::SendAll<Smol, I>;

impl Runtime for Smol {
    type Stream = Socket;
    type Sleep = Sleep;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::net::resolve((host, port)).await
    }

    async fn connect(&self, address: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
        let stream = match options.local_address {
            None => TcpStream::connect(address).await?,
            Some(local) => connect_from(local, address).await?,
        };
        stream.set_nodelay(true)?;
        if let Some(idle) = options.keep_alive {
            let keep_alive = TcpKeepalive::new().with_time(idle);
            SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
        }
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
            let _ = SockRef::from(stream).set_tcp_quickack(true);
        }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep(smol::Timer::after(duration))
    }
}

async fn connect_from(local: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(local, 0).into())?;
    socket.set_nonblocking(true)?;
    // Connecting is in progress or has failed at once; the socket reports which.
    let begun = socket.connect(&address.into());
    let stream = smol::Async::<std::net::TcpStream>::new(socket.into())?;
    stream.writable().await?;
    if let Some(error) = stream.get_ref().take_error()? {
        return Err(error);
    }
    if stream.get_ref().peer_addr().is_err() {
        begun?;
    }
    Ok(stream.into())
}

/// A timer of smol.
#[derive(Debug)]
pub struct Sleep(smol::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
