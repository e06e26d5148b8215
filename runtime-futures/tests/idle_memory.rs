//! The memory of an idle session: what it needed for its messages is released. Only this thread
//! is counted, over a stream in memory with a server at its other end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::future::{Future, Pending, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Buf;
use futures_io::{AsyncRead, AsyncWrite};
use postwire_futures::proto::{Endpoint, Envelope, HelloName, Instant};
use postwire_futures::transport::{SocketOptions, TransportBuilder, TransportConfig};
use postwire_futures::{Connection, Runtime};
use postwire_scenarios::certificates::{Authority, Flaw};
use postwire_server::{ServerConfig, ServerEvent};
use postwire_tls::{ServerConnection, ServerTls};

/// The sessions that are counted, after a first one that fills the cache of TLS sessions.
const SESSIONS: usize = 20;

/// The most that an idle session may hold, in plaintext and under TLS, in octets. lettre holds
/// 9.5 and 15.3 KiB, rustls alone 6.7 KiB of the latter (`bench`, case `idle`).
const PLAINTEXT: usize = 5 * 1024;
const TLS: usize = 13 * 1024;

/// The client's end of a connection; the server is at the other end.
struct Wire(Arc<Mutex<Option<ServerConnection>>>);

/// Accepts everything.
fn serve(server: &mut ServerConnection) {
    while let Some(event) = server.poll_event() {
        if let ServerEvent::MailFrom { .. }
        | ServerEvent::RcptTo { .. }
        | ServerEvent::Data
        | ServerEvent::Message(_) = event
        {
            server.accept().unwrap();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut server = self.0.lock().unwrap();
        let mut output = server.as_mut().unwrap().output();
        let octets = output.remaining().min(into.len());
        if octets == 0 {
            return Poll::Pending;
        }
        output.copy_to_slice(&mut into[..octets]);
        Poll::Ready(Ok(octets))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut server = self.0.lock().unwrap();
        let server = server.as_mut().unwrap();
        server.handle_input(Instant::EPOCH, octets);
        serve(server);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A runtime whose timers never end.
#[derive(Clone)]
struct Timeless;

impl Runtime for Timeless {
    type Stream = Wire;
    type Sleep = Pending<()>;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, _: SocketAddr, _: &SocketOptions) -> io::Result<Wire> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, _: Duration) -> Pending<()> {
        pending()
    }
}

/// Polls a future that always finds the server's answer.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return done;
        }
    }
    panic!("the future waits");
}

/// The octets that each of [`SESSIONS`] idle sessions holds, which have sent `content`.
fn held(config: &TransportConfig, tls: &ServerTls, content: &str) -> usize {
    let server_config = Arc::new(ServerConfig::new(HelloName::localhost()));
    let sender = Some("sender@sender.example".parse().unwrap());
    let recipient = "recipient@recipient.example".parse().unwrap();
    let envelope = Envelope::new(sender, vec![recipient]).unwrap();
    let open = || {
        let mut server = ServerConnection::new(&server_config, tls);
        serve(&mut server);
        let shared = Arc::new(Mutex::new(Some(server)));
        let mut connection = Connection::over(Wire(Arc::clone(&shared)), Timeless, config);
        for _ in 0..3 {
            let body = content.to_owned();
            let report = finish(connection.send(&envelope, body)).unwrap();
            assert!(report.is_accepted());
        }
        assert!(connection.is_idle());
        // Only the client is counted.
        shared.lock().unwrap().take();
        connection
    };
    let first = open();
    let mut sessions = Vec::new();
    let counted = allocation_counter::measure(|| sessions.extend((0..SESSIONS).map(|_| open())));
    assert_eq!(first.tls().is_some(), sessions[0].tls().is_some());
    usize::try_from(counted.bytes_current).unwrap() / SESSIONS
}

/// Contents that need much memory while they are sent: in slices, as text, and many replies.
fn contents() -> [String; 3] {
    let line = "0123456789".repeat(7);
    [
        "Subject: hello\r\n\r\nHello.\r\n".to_owned(),
        format!("{line}\r\n").repeat(2_000),
        format!(".{line}\n").repeat(2_000),
    ]
}

#[test]
fn an_idle_session_in_plaintext_is_small() {
    let config = TransportBuilder::<TransportConfig>::unencrypted_localhost();
    let config = config.build().unwrap();
    for content in contents() {
        let octets = held(&config, &ServerTls::None, &content);
        println!("{octets} octets");
        assert!(octets <= PLAINTEXT, "{octets} octets");
    }
}

#[test]
fn an_idle_session_under_tls_is_smaller_than_others() {
    let authority = Authority::new();
    let server = ServerTls::Wrapper(authority.server(Flaw::None));
    let config: TransportConfig = TransportBuilder::from_url("smtps://localhost")
        .unwrap()
        .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
        .build()
        .unwrap();
    for content in contents() {
        let octets = held(&config, &server, &content);
        println!("{octets} octets");
        assert!(octets <= TLS, "{octets} octets");
    }
}
