//! A connection with a long round trip, in user space.
//!
//! Knows octets and when to forward them: each chunk is delayed by half the round trip, however
//! many chunks follow, so the latency does not limit the throughput. It also counts the
//! client's flights, which works for every client. Must never know the meaning of the octets.
//!
//! A connection is accepted at once: the round trip of the TCP handshake, the same for every
//! client, is not included.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::sink::{Behaviour, Counters};

const READ: usize = 256 * 1024;

/// A chunk in transit with its time of arrival. An empty chunk is the end.
type Chunk = (Instant, Vec<u8>);

/// Opens a port whose connections are forwarded to `server`, with the delay that `behaviour`
/// defines.
pub(crate) fn open(
    server: SocketAddr,
    behaviour: Behaviour,
    counters: Arc<Counters>,
) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let delay = Duration::from_micros(behaviour.round_trip * 500);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // The client notices a failed session.
            let _ = join(client, server, delay, behaviour.quick_ack, &counters);
        }
    });
    Ok(port)
}

fn join(
    client: TcpStream,
    server: SocketAddr,
    delay: Duration,
    quick_ack: bool,
    counters: &Arc<Counters>,
) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // Whether the client received anything since its last write.
    let told = Arc::new(AtomicBool::new(true));
    let (up, going_up) = channel();
    let (down, going_down) = channel();
    let from_client = client.try_clone()?;
    let from_server = server.try_clone()?;
    let (counters, heard) = (Arc::clone(counters), Arc::clone(&told));
    thread::spawn(move || {
        read(from_client, delay, quick_ack, &up, || {
            // A flight begins with the first write after something was received.
            if heard.swap(false, Ordering::AcqRel) {
                counters.flight();
            }
        });
    });
    thread::spawn(move || read(from_server, delay, false, &down, || {}));
    thread::spawn(move || write(server, &going_up, || {}));
    thread::spawn(move || {
        write(client, &going_down, || told.store(true, Ordering::Release));
    });
    Ok(())
}

fn read(
    mut from: TcpStream,
    delay: Duration,
    quick_ack: bool,
    to: &Sender<Chunk>,
    mut seen: impl FnMut(),
) {
    let mut buffer = vec![0; READ];
    loop {
        if quick_ack {
            let _ = socket2::SockRef::from(&from).set_tcp_quickack(true);
        }
        let octets = from.read(&mut buffer).unwrap_or(0);
        if octets > 0 {
            seen();
        }
        let chunk = buffer[..octets].to_vec();
        if to.send((Instant::now() + delay, chunk)).is_err() || octets == 0 {
            return;
        }
    }
}

fn write(mut to: TcpStream, chunks: &Receiver<Chunk>, mut about_to: impl FnMut()) {
    for (at, chunk) in chunks {
        if let Some(left) = at.checked_duration_since(Instant::now()) {
            thread::sleep(left);
        }
        if chunk.is_empty() {
            break;
        }
        about_to();
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
