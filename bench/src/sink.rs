//! A fast SMTP server that discards everything, in a separate process, so that its time, memory
//! and allocations are not counted for the client.
//!
//! Knows sockets, threads and TLS; the dialogue is in `session`. Must never share code with the
//! clients that are measured: it is written for this folder alone.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use serde::{Deserialize, Serialize};

use crate::{Failure, proxy};

mod control;
mod many;
mod session;

pub(crate) use control::{Port, Sink, serve, server_config};
use session::After;
pub(crate) use session::Session;

/// The number of octets that are read at once.
const READ: usize = 256 * 1024;

/// The behaviour of a port of the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Behaviour {
    /// TLS from the first byte.
    pub(crate) wrapper: bool,
    /// Does not offer CHUNKING.
    pub(crate) no_chunking: bool,
    /// Acknowledges each segment at once, so that no client waits for a delayed ACK.
    pub(crate) quick_ack: bool,
    /// The round trip of the connection to it, in milliseconds.
    pub(crate) round_trip: u64,
    /// Speaks TLS 1.2 only.
    pub(crate) tls12: bool,
    /// Gives tickets, with which a client can resume a TLS session.
    pub(crate) resumes: bool,
    /// Serves all connections on one thread, for thousands of them.
    pub(crate) many: bool,
}

/// The counters of a port.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    messages: AtomicU64,
    recipients: AtomicU64,
    /// Octets of content as on the wire, without the line of the final dot.
    content: AtomicU64,
    /// Plaintext octets: commands and content.
    octets: AtomicU64,
    flights: AtomicU64,
    encrypted: AtomicU64,
    resumed: AtomicU64,
}

/// The counts since the last call.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) connections: u64,
    pub(crate) messages: u64,
    pub(crate) recipients: u64,
    pub(crate) content: u64,
    pub(crate) octets: u64,
    /// The flights that the delay proxy counted; 0 without a proxy.
    pub(crate) flights: u64,
    /// Octets of TLS in both directions.
    pub(crate) encrypted: u64,
    /// TLS sessions that resumed an earlier one.
    pub(crate) resumed: u64,
}

impl Counters {
    fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Counts one more flight of the client.
    pub(crate) fn flight(&self) {
        Self::add(&self.flights, 1);
    }

    /// Takes the counts since the last call.
    pub(crate) fn take(&self) -> Counts {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Counts {
            connections: take(&self.connections),
            messages: take(&self.messages),
            recipients: take(&self.recipients),
            content: take(&self.content),
            octets: take(&self.octets),
            flights: take(&self.flights),
            encrypted: take(&self.encrypted),
            resumed: take(&self.resumed),
        }
    }
}

/// Opens a port and serves it until the process ends.
fn open(behaviour: Behaviour, tls: Arc<ServerConfig>) -> Result<(u16, Arc<Counters>), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let counters = Arc::<Counters>::default();
    let counted = Arc::clone(&counters);
    thread::spawn(move || {
        if behaviour.many {
            // The client notices a server that has ended.
            let _ = many::serve(listener, behaviour, &tls, &counted);
            return;
        }
        for stream in listener.incoming().flatten() {
            let (tls, counters) = (Arc::clone(&tls), Arc::clone(&counted));
            let builder = thread::Builder::new().stack_size(256 * 1024);
            // A client that closes early is not an error of the sink; the counts show whether
            // everything arrived.
            let _ = builder.spawn(move || serve_one(&stream, behaviour, tls, &counters));
        }
    });
    let port = match behaviour.round_trip {
        0 => address.port(),
        _ => proxy::open(address, behaviour, Arc::clone(&counters))?,
    };
    Ok((port, counters))
}

fn serve_one(
    stream: &TcpStream,
    behaviour: Behaviour,
    tls: Arc<ServerConfig>,
    counters: &Counters,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    Counters::add(&counters.connections, 1);
    let mut session = Session::new(behaviour, counters);
    if !behaviour.wrapper {
        let mut buffer = vec![0; READ];
        (&*stream).write_all(session.replies())?;
        loop {
            session.clear();
            if behaviour.quick_ack {
                socket2::SockRef::from(stream).set_tcp_quickack(true)?;
            }
            let octets = (&*stream).read(&mut buffer)?;
            if octets == 0 {
                return Ok(());
            }
            let after = session.take(&buffer[..octets]);
            (&*stream).write_all(session.replies())?;
            match after {
                After::Go => {}
                After::Quit => return Ok(()),
                After::StartTls => break,
            }
        }
        session.secured();
    }
    serve_secured(stream, behaviour, tls, session, counters)
}

fn serve_secured(
    stream: &TcpStream,
    behaviour: Behaviour,
    tls: Arc<ServerConfig>,
    mut session: Session<'_>,
    counters: &Counters,
) -> io::Result<()> {
    let mut tls = ServerConnection::new(tls).map_err(io::Error::other)?;
    // rustls reads 4 KiB at a time: from this buffer, not from the kernel.
    let mut input = BufReader::with_capacity(READ, stream);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        tls.writer().write_all(session.replies())?;
        session.clear();
        while tls.wants_write() {
            let octets = tls.write_tls(&mut &*stream)?;
            Counters::add(&counters.encrypted, octets as u64);
        }
        if behaviour.quick_ack {
            socket2::SockRef::from(stream).set_tcp_quickack(true)?;
        }
        let mut after = After::Go;
        loop {
            let octets = tls.read_tls(&mut input)?;
            if octets == 0 {
                return Ok(());
            }
            Counters::add(&counters.encrypted, octets as u64);
            let shook_hands = !tls.is_handshaking();
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            if !shook_hands && tls.handshake_kind() == Some(HandshakeKind::Resumed) {
                // The kind is known before the handshake is complete.
                Counters::add(&counters.resumed, u64::from(!tls.is_handshaking()));
            }
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let octets = tls.reader().read(&mut buffer)?;
                after = session.take(&buffer[..octets]);
                left -= octets.min(left);
            }
            if state.peer_has_closed() {
                return Ok(());
            }
            if input.buffer().is_empty() {
                break;
            }
        }
        if matches!(after, After::Quit) {
            tls.writer().write_all(session.replies())?;
            tls.send_close_notify();
            tls.write_tls(&mut &*stream)?;
            return Ok(());
        }
    }
}
