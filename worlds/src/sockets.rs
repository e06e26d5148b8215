//! Reference servers on loopback sockets, a thread for each connection, for clients with sockets
//! of their own. The only file of the crate that opens one.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postwire_reference::Dialect;

use crate::choices::Choices;
use crate::peer::{Peer, ServerTls};

/// How long a server waits for input before a slow one answers.
const PATIENCE: Duration = Duration::from_millis(10);

/// How the servers behave.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The dialects of the connections, which take turns.
    pub dialects: Vec<Dialect>,
    /// How the servers use TLS.
    pub tls: ServerTls,
    /// One connection in this many breaks at some octet; 0 if none does.
    pub breaks: usize,
}

/// A listening socket, and the servers of all its connections.
#[derive(Debug)]
pub struct Servers {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    serving: Arc<Mutex<Vec<JoinHandle<Peer>>>>,
    listening: JoinHandle<()>,
}

impl Servers {
    /// Listens on a free port.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn start(habits: Habits, mut choices: Choices) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let serving = Arc::default();
        let all = Arc::clone(&serving);
        let listening = thread::spawn(move || {
            let mut dialects = habits.dialects.iter().cycle();
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let Some(dialect) = dialects.next() else {
                    break;
                };
                let peer = Peer::new(dialect.clone(), habits.tls);
                let breaks = habits.breaks > 0 && choices.once_in(habits.breaks);
                // Octets of both directions together.
                let left = if breaks {
                    choices.below(6_000)
                } else {
                    usize::MAX
                };
                let ends = Arc::clone(&ends);
                let server = thread::spawn(move || serve(stream, peer, left, &ends));
                lock(&all).push(server);
            }
        });
        Ok(Self {
            address,
            is_over,
            serving,
            listening,
        })
    }

    /// Where the servers listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        let serving = lock(&self.serving);
        serving
            .iter()
            .filter(|server| !server.is_finished())
            .count()
    }

    /// The servers of the connections that are over, each of them once.
    ///
    /// # Panics
    ///
    /// If a server panicked.
    pub fn take_ended(&self) -> Vec<Peer> {
        let mut serving = lock(&self.serving);
        let ended = serving.extract_if(.., |server| server.is_finished());
        ended.map(join).collect()
    }

    /// Waits until every connection is over, and returns the servers that nobody took.
    ///
    /// # Panics
    ///
    /// If a server panicked.
    pub fn stop(self) -> Vec<Peer> {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that listens.
        drop(TcpStream::connect(self.address));
        assert!(
            self.listening.join().is_ok(),
            "the thread that listens panicked"
        );
        lock(&self.serving).drain(..).map(join).collect()
    }
}

fn lock(serving: &Mutex<Vec<JoinHandle<Peer>>>) -> MutexGuard<'_, Vec<JoinHandle<Peer>>> {
    serving.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join(server: JoinHandle<Peer>) -> Peer {
    server
        .join()
        .unwrap_or_else(|why| panic::resume_unwind(why))
}

/// Serves one connection, which breaks when `left` octets have passed.
fn serve(mut stream: TcpStream, mut peer: Peer, mut left: usize, is_over: &AtomicBool) -> Peer {
    // An error of the socket ends the connection like any other end.
    let _ = converse(&mut stream, &mut peer, &mut left, is_over);
    peer.receive_eof();
    peer
}

fn converse(
    stream: &mut TcpStream,
    peer: &mut Peer,
    left: &mut usize,
    is_over: &AtomicBool,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut input = [0; 2_048];
    loop {
        loop {
            let said = peer.say();
            if said.is_empty() {
                break;
            }
            let passes = said.len().min(*left);
            stream.write_all(&said[..passes])?;
            *left -= passes;
        }
        if peer.has_closed() || *left == 0 {
            return Ok(());
        }
        match stream.read(&mut input) {
            Ok(0) => return Ok(()),
            Ok(octets) => {
                let passes = octets.min(*left);
                peer.receive(&input[..passes]);
                *left -= passes;
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                if is_over.load(Ordering::SeqCst) {
                    return Ok(());
                }
                peer.nudge();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
