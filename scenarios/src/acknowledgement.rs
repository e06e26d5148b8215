//! When a driver asks for an acknowledgement: where the peer may wait for one, and nowhere else.
//!
//! [`Wire`] is a stream in memory with a server at its other end. It records reads, writes and
//! acknowledgements, and is counted, not timed.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_lite::{AsyncRead, AsyncWrite};
use postwire_server::ServerEvent;
use postwire_tls::proto::{Body, Endpoint, Envelope, Instant};
use postwire_tls::{ServerConnection, ServerTls};
use postwire_transport::{TransportBuilder, TransportConfig};

use crate::certificates::{Authority, Flaw};
use crate::server::config_with_all_extensions;

/// The client's end of a connection. Clones are the same end.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<Ends>>);

struct Ends {
    server: ServerConnection,
    /// Whether the server has to be asked before it goes on: the greeting, and the reply to
    /// `EHLO`, are segments of their own.
    asks: bool,
    /// Whether each flight of the server is cut into two segments.
    in_halves: bool,
    /// The segments that have not been read.
    segments: VecDeque<Bytes>,
    /// Whether the last poll has found that nothing can be read yet.
    was_pending: bool,
    /// `r` for each segment that was read, `w` for each write, `a` for each acknowledgement.
    record: String,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.ends().record).finish()
    }
}

impl Wire {
    fn new(tls: &ServerTls, in_halves: bool) -> Self {
        let config = Arc::new(config_with_all_extensions().ask_at_opening(true));
        let mut ends = Ends {
            server: ServerConnection::new(&config, tls),
            asks: false,
            in_halves,
            segments: VecDeque::new(),
            was_pending: false,
            record: String::new(),
        };
        ends.serve();
        Self(Arc::new(Mutex::new(ends)))
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap()
    }

    /// Records that the driver asked for an acknowledgement.
    pub fn acknowledge(&self) {
        self.ends().record.push('a');
    }
}

impl Ends {
    /// Accepts everything, up to a question at the opening.
    fn serve(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Greeting | ServerEvent::Hello { .. } => {
                    self.asks = true;
                    return;
                }
                ServerEvent::MailFrom { .. }
                | ServerEvent::RcptTo { .. }
                | ServerEvent::Data
                | ServerEvent::Message(_) => self.server.accept().unwrap(),
                _ => {}
            }
        }
    }

    fn take_output(&mut self) {
        let mut output = self.server.output();
        let mut flight = output.copy_to_bytes(output.remaining());
        drop(output);
        if self.in_halves {
            self.segments.push_back(flight.split_to(flight.len() / 2));
        }
        self.segments.push_back(flight);
        self.segments.retain(|segment| !segment.is_empty());
    }

    fn write(&mut self, octets: &[u8]) -> usize {
        self.record.push('w');
        self.server.handle_input(Instant::EPOCH, octets);
        self.serve();
        octets.len()
    }

    /// The next segment; nothing at the end of the session.
    fn read(&mut self, into: &mut [u8]) -> usize {
        if self.segments.is_empty() {
            self.take_output();
        }
        if self.segments.is_empty() && std::mem::take(&mut self.asks) {
            self.server.accept().unwrap();
            self.serve();
            self.take_output();
        }
        let Some(segment) = self.segments.pop_front() else {
            assert!(self.server.is_closed(), "the client waits for nothing");
            return 0;
        };
        self.record.push('r');
        into[..segment.len()].copy_from_slice(&segment);
        segment.len()
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.ends().read(into))
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Ok(self.ends().write(octets))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.write(
            &slices
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect::<Vec<_>>(),
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl postwire_blocking::Stream for Wire {
    fn acknowledge(&mut self) {
        Self::acknowledge(self);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.ends();
        // Each segment is late, so that the driver waits for it.
        ends.was_pending = !ends.was_pending;
        if ends.was_pending {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(ends.read(into)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(octets))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write_vectored(slices))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Checks each case with `send_twice`, which opens a session over the stream, sends the message
/// twice, and quits.
pub fn check(send_twice: impl Fn(&TransportConfig, Wire, &Envelope, Body)) {
    let authority = Authority::new();
    let tls = |wrap: fn(_) -> ServerTls| wrap(authority.server(Flaw::None));
    let plaintext = "smtp://localhost?tls=none";
    let cases = [
        // Each flight of the server in one segment: it needs no acknowledgement of its own.
        (plaintext, ServerTls::None, false, "rwrwrwrwrwrwr"),
        // A flight in two segments.
        (
            plaintext,
            ServerTls::None,
            true,
            "rarwrarwrarwrarwrarwrarwrar",
        ),
        // The tickets come before the greeting.
        (
            "smtps://localhost",
            tls(ServerTls::Wrapper),
            false,
            "wrwrarwrwrwrwrwrwrw",
        ),
        // The tickets come before the reply to EHLO.
        (
            "smtp://localhost",
            tls(ServerTls::StartTls),
            false,
            "rwrwrwrwrarwrwrwrwrwrw",
        ),
    ];
    let envelope = Envelope::new(None, vec!["bob@r.example".parse().unwrap()]).unwrap();
    for (url, tls, in_halves, expected) in cases {
        let config: TransportConfig = TransportBuilder::from_url(url)
            .unwrap()
            .addresses(["127.0.0.1:1".parse().unwrap()])
            .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
            .build()
            .unwrap();
        let wire = Wire::new(&tls, in_halves);
        let body = Body::from("Subject: hello\r\n\r\n");
        send_twice(&config, wire.clone(), &envelope, body);
        assert_eq!(
            wire.ends().record,
            expected,
            "{url}, in halves: {in_halves}"
        );
    }
}

/// The option of real sockets, on systems that have it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub mod option {
    use std::net::TcpListener;

    use postwire_futures::{Runtime, SocketOptions};
    use socket2::SockRef;

    use crate::futures::Executor;

    /// Checks that a runtime sets the option of its TCP sockets.
    pub fn check<E: Executor>(
        socket: for<'a> fn(&'a <E::Runtime as Runtime>::Stream) -> SockRef<'a>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (runtime, options) = (E::Runtime::default(), SocketOptions::default());
        E::block_on(async {
            let stream = runtime.connect(address, &options).await.unwrap();
            socket(&stream).set_tcp_quickack(false).unwrap();
            assert!(!socket(&stream).tcp_quickack().unwrap());
            runtime.acknowledge(&stream);
            assert!(socket(&stream).tcp_quickack().unwrap());
        });
    }
}
