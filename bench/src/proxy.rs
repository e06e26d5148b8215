//! A line with a long round trip, in user space.
//!
//! Knows octets and when they may go on: each chunk is held for half the round
//! trip, however many follow it, so latency limits nobody's throughput. It also
//! counts the client's flights, which is the one method that fits every client.
//! Must never know what the octets say.
//!
//! A connection is accepted at once: the round trip that TCP itself takes to
//! connect, the same for everyone, is not part of it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::sink::{Behaviour, Counters};

const READ: usize = 256 * 1024;

/// What is on its way, and when it arrives. Empty: the end.
type Chunk = (Instant, Vec<u8>);

/// Opens a port whose connections go on to `server`, as far away as `behaviour`
/// says.
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
            // A session that fails is seen by its client.
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
    // Whether the client was told something since it last wrote.
    let told = Arc::new(AtomicBool::new(true));
    let (up, going_up) = channel();
    let (down, going_down) = channel();
    let from_client = client.try_clone()?;
    let from_server = server.try_clone()?;
    let (counters, heard) = (Arc::clone(counters), Arc::clone(&told));
    thread::spawn(move || {
        read(from_client, delay, quick_ack, &up, || {
            // A flight is whatever is written after something was heard.
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
