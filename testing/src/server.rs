//! Servers on loopback: the embedded one, which records what it saw, and
//! scripted ones that misbehave.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use postwire_blocking::{Driver, Stream};
use postwire_tls::proto::{
    EnhancedCode, Mechanism, Received, Reply, ReplyCode, ServerConfig, ServerEvent,
};
use postwire_tls::{ServerConnection, ServerTls};

/// The user that the embedded server knows.
pub const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "correct horse battery";

/// How long connections may take to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// An embedded server, listening on a port of its own until the test ends.
pub struct Embedded {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the connections of a server share.
struct Shared {
    config: Arc<ServerConfig>,
    tls: ServerTls,
    seen: Mutex<Seen>,
    forgets: bool,
    open: AtomicUsize,
}

/// What a server saw.
#[derive(Clone, Default)]
pub struct Seen {
    /// The octets of each connection, as they came over the wire.
    pub wire: Vec<Vec<u8>>,
    /// Where each connection came from.
    pub peers: Vec<String>,
    /// The messages that it accepted.
    pub stored: Vec<Received>,
    /// What was asked of it, a word each: `auth`, `mail`, `rcpt`, `data`.
    pub questions: Vec<&'static str>,
}

/// A configuration that offers everything.
pub fn everything() -> ServerConfig {
    ServerConfig::new("localhost".parse().unwrap()).auth([Mechanism::PLAIN, Mechanism::LOGIN])
}

impl Embedded {
    /// Starts one. Users but [`USER`] are refused, recipients whose local part
    /// is `no` for good and `later` for now, content that starts with `refuse`
    /// for good.
    pub fn start(config: ServerConfig, tls: ServerTls) -> Self {
        Self::new(config, tls, false)
    }

    /// Starts one that keeps nothing of what it sees, for tests that count
    /// memory.
    pub fn forgetting(config: ServerConfig, tls: ServerTls) -> Self {
        Self::new(config, tls, true)
    }

    fn new(config: ServerConfig, tls: ServerTls, forgets: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            tls,
            seen: Mutex::default(),
            forgets,
            open: AtomicUsize::new(0),
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let open = Open::new(&server);
                thread::spawn(move || serve(stream, &open.0));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen().clone()
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Waits until only this many are open. Panics where that takes too long.
    pub fn wait_for_open_connections(&self, expected: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.open_connections() != expected {
            let open = self.open_connections();
            assert!(Instant::now() < deadline, "{open} connections are open");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The octets of its only connection.
    pub fn wire(&self) -> Vec<u8> {
        let wire = self.seen().wire;
        assert_eq!(wire.len(), 1, "connections");
        wire.concat()
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        if !self.forgets {
            note(&mut self.seen());
        }
    }
}

/// A connection that counts as open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let mut connection = 0;
    shared.note(|seen| {
        connection = seen.wire.len();
        seen.wire.push(Vec::new());
        let peer = stream.peer_addr().unwrap().ip().to_string();
        seen.peers.push(peer);
    });
    stream.set_nodelay(true).unwrap();
    let recorded = Recorded {
        stream,
        connection,
        shared: Arc::clone(shared),
    };
    let machine = ServerConnection::new(&shared.config, &shared.tls);
    let mut driver = Driver::new(machine, recorded);
    while let Some(event) = driver.next_event() {
        let server = driver.machine_mut();
        let answer = match event {
            ServerEvent::Authenticate { user, secret, .. } => {
                shared.note(|seen| seen.questions.push("auth"));
                let known = user == USER && secret.expose() == PASSWORD.as_bytes();
                (!known).then(|| reply(535, (5, 7, 8), "who are you?"))
            }
            ServerEvent::MailFrom { .. } => {
                shared.note(|seen| seen.questions.push("mail"));
                None
            }
            ServerEvent::RcptTo { forward_path, .. } => {
                shared.note(|seen| seen.questions.push("rcpt"));
                match forward_path.user() {
                    "no" => Some(reply(550, (5, 1, 1), "no such user")),
                    "later" => Some(reply(450, (4, 2, 1), "come back later")),
                    _ => None,
                }
            }
            ServerEvent::Data => {
                shared.note(|seen| seen.questions.push("data"));
                None
            }
            ServerEvent::Message(received) => {
                if received.content.starts_with(b"refuse") {
                    Some(reply(554, (5, 6, 0), "not this"))
                } else {
                    shared.note(|seen| seen.stored.push(received));
                    None
                }
            }
            _ => continue,
        };
        let answered = match answer {
            Some(reply) => server.respond(reply),
            None => server.accept(),
        };
        answered.unwrap();
    }
}

fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: &str) -> Reply {
    let enhanced = EnhancedCode::new(class, subject, detail);
    Reply::new(ReplyCode::new(code).unwrap(), enhanced, &[text])
}

/// A stream whose incoming octets are kept.
struct Recorded {
    stream: TcpStream,
    connection: usize,
    shared: Arc<Shared>,
}

impl Read for Recorded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let octets = self.stream.read(into)?;
        self.shared
            .note(|seen| seen.wire[self.connection].extend_from_slice(&into[..octets]));
        Ok(octets)
    }
}

impl Write for Recorded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.write(octets)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Recorded {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Stream::set_read_timeout(&mut self.stream, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Stream::set_write_timeout(&mut self.stream, timeout)
    }
}

/// A server that does what `script` does, once, and gives back what that says.
pub struct Scripted<T> {
    port: u16,
    thread: thread::JoinHandle<T>,
}

impl<T: Send + 'static> Scripted<T> {
    /// Starts one.
    pub fn start(script: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let limit = Some(Duration::from_secs(20));
            stream.set_read_timeout(limit).unwrap();
            stream.set_write_timeout(limit).unwrap();
            script(stream)
        });
        Self { port, thread }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the script said in the end.
    pub fn finish(self) -> T {
        self.thread.join().unwrap()
    }
}

/// Says `words` and reads until the client has said `until`, or left. Gives what
/// was read.
pub fn exchange(stream: &mut TcpStream, words: &str, until: &str) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 4_096];
    if stream.write_all(words.as_bytes()).is_err() {
        return String::new();
    }
    while !String::from_utf8_lossy(&heard).contains(until) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(octets) => heard.extend_from_slice(&buffer[..octets]),
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}
