//! Local servers: the embedded one, which records what it receives, and scripted ones that
//! misbehave.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use postwire_blocking::{Driver, Socket, Stream};
use postwire_server::{Received, ServerConfig, ServerEvent};
use postwire_tls::proto::{EnhancedCode, Mechanism, Protocol, Reply, ReplyCode, TlsInfo};
use postwire_tls::{ServerConnection, ServerTls};
use tempfile::TempDir;

/// The user that may log in to the embedded server.
pub const USER: &str = "alice";
/// The password of that user.
pub const PASSWORD: &str = "correct horse battery";

/// The longest time to wait for connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// An embedded server, listening on its own port or socket until the test ends.
pub struct Embedded {
    address: ListenAddress,
    shared: Arc<Shared>,
}

/// The address where a server listens.
enum ListenAddress {
    Port(u16),
    /// The folder of a Unix socket.
    Folder(TempDir),
}

/// The state that a server's connections share.
struct Shared {
    config: Arc<ServerConfig>,
    protocol: Protocol,
    tls: ServerTls,
    recording: Mutex<Recording>,
    keeps_no_recording: bool,
    open: AtomicUsize,
}

/// Everything that a server received.
#[derive(Clone, Default)]
pub struct Recording {
    /// The octets of each connection, as on the wire.
    pub wire: Vec<Vec<u8>>,
    /// The address of each client; empty for a Unix socket.
    pub peers: Vec<String>,
    /// The messages that it accepted.
    pub stored: Vec<Received>,
    /// The questions of the session, one word each: `auth`, `mail`, `rcpt`, `data`.
    pub questions: Vec<&'static str>,
    /// For each message, whether the TLS session of its connection resumes an earlier one.
    pub resumed: Vec<bool>,
}

/// A configuration that offers every extension.
pub fn config_with_all_extensions() -> ServerConfig {
    ServerConfig::new("localhost".parse().unwrap()).auth([Mechanism::PLAIN, Mechanism::LOGIN])
}

impl Embedded {
    /// Starts a server on a port. It refuses users other than [`USER`], recipients with the
    /// local part `no` permanently and `later` temporarily, and content that starts with
    /// `refuse` permanently.
    pub fn start(config: ServerConfig, tls: ServerTls) -> Self {
        Self::on_a_port(Shared::new(Protocol::Smtp, config, tls, false))
    }

    /// Starts an LMTP server in plaintext. After the content it refuses the recipient `full`
    /// permanently and `busy` temporarily.
    pub fn start_lmtp(config: ServerConfig) -> Self {
        let shared = Shared::new(Protocol::Lmtp, config, ServerTls::None, false);
        Self::on_a_port(shared)
    }

    /// Starts a server for either protocol on a Unix socket, in plaintext.
    #[cfg(unix)]
    pub fn on_a_unix_socket(protocol: Protocol, config: ServerConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let shared = Shared::new(protocol, config, ServerTls::None, false);
        listen(&shared, move || Ok(Socket::Unix(listener.accept()?.0)));
        Self {
            address: ListenAddress::Folder(folder),
            shared,
        }
    }

    /// Starts a server that stores nothing, for tests that count memory.
    pub fn start_without_recording(config: ServerConfig, tls: ServerTls) -> Self {
        Self::on_a_port(Shared::new(Protocol::Smtp, config, tls, true))
    }

    fn on_a_port(shared: Arc<Shared>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listen(&shared, move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            Ok(Socket::Tcp(stream))
        });
        Self {
            address: ListenAddress::Port(port),
            shared,
        }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        match self.address {
            ListenAddress::Port(port) => port,
            ListenAddress::Folder(_) => panic!("it has no port"),
        }
    }

    /// The path of its Unix socket.
    pub fn path(&self) -> PathBuf {
        match &self.address {
            ListenAddress::Port(_) => panic!("it has a port"),
            ListenAddress::Folder(folder) => folder.path().join(SOCKET),
        }
    }

    /// Everything that it received so far.
    pub fn recording(&self) -> Recording {
        self.shared.recording().clone()
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Waits until this many connections are open. Panics if that takes too long.
    pub fn wait_for_open_connections(&self, expected: usize) {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while self.open_connections() != expected {
            let open = self.open_connections();
            assert!(Instant::now() < deadline, "{open} connections are open");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The octets of its only connection.
    pub fn wire(&self) -> Vec<u8> {
        let wire = self.recording().wire;
        assert_eq!(wire.len(), 1, "connections");
        wire.concat()
    }
}

/// The name of a Unix socket in its folder.
const SOCKET: &str = "socket";

/// Serves each connection on its own thread.
fn listen(shared: &Arc<Shared>, accept: impl Fn() -> io::Result<Socket> + Send + 'static) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        loop {
            if let Ok(socket) = accept() {
                let open = Open::new(&shared);
                thread::spawn(move || serve(socket, &open.0));
            }
        }
    });
}

impl Shared {
    fn new(
        protocol: Protocol,
        config: ServerConfig,
        tls: ServerTls,
        keeps_no_recording: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            config: Arc::new(config.protocol(protocol)),
            protocol,
            tls,
            recording: Mutex::default(),
            keeps_no_recording,
            open: AtomicUsize::new(0),
        })
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, record: impl FnOnce(&mut Recording)) {
        if !self.keeps_no_recording {
            record(&mut self.recording());
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

fn serve(stream: Socket, shared: &Arc<Shared>) {
    let mut connection = 0;
    shared.record(|seen| {
        connection = seen.wire.len();
        seen.wire.push(Vec::new());
        seen.peers.push(match &stream {
            Socket::Tcp(stream) => stream.peer_addr().unwrap().ip().to_string(),
            _ => String::new(),
        });
    });
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
            ServerEvent::Authenticate {
                mechanism,
                user,
                secret,
            } => {
                shared.record(|seen| seen.questions.push("auth"));
                let proves_nothing = [Mechanism::EXTERNAL, Mechanism::ANONYMOUS];
                let proved = secret.expose() == PASSWORD.as_bytes();
                let known = user == USER && (proved || proves_nothing.contains(&mechanism));
                (!known).then(|| reply(535, (5, 7, 8), "who are you?"))
            }
            ServerEvent::PasswordWanted { .. } => {
                shared.record(|seen| seen.questions.push("auth"));
                server.password(&PASSWORD.into()).unwrap();
                continue;
            }
            ServerEvent::MailFrom { .. } => {
                let resumed = server.tls().is_some_and(TlsInfo::is_resumed);
                shared.record(|seen| {
                    seen.questions.push("mail");
                    seen.resumed.push(resumed);
                });
                None
            }
            ServerEvent::RcptTo { forward_path, .. } => {
                shared.record(|seen| seen.questions.push("rcpt"));
                match forward_path.user() {
                    "no" => Some(reply(550, (5, 1, 1), "no such user")),
                    "later" => Some(reply(450, (4, 2, 1), "come back later")),
                    _ => None,
                }
            }
            ServerEvent::Data => {
                shared.record(|seen| seen.questions.push("data"));
                None
            }
            ServerEvent::Message(received) if shared.protocol == Protocol::Lmtp => {
                for refusal in deliver_to_each(received, shared) {
                    answer_with(server, refusal);
                }
                continue;
            }
            ServerEvent::Message(received) => {
                if received.content.starts_with(b"refuse") {
                    Some(reply(554, (5, 6, 0), "not this"))
                } else {
                    shared.record(|seen| seen.stored.push(received));
                    None
                }
            }
            _ => continue,
        };
        answer_with(server, answer);
    }
}

fn answer_with(server: &mut ServerConnection, refusal: Option<Reply>) {
    let answered = match refusal {
        Some(reply) => server.respond(reply),
        None => server.accept(),
    };
    answered.unwrap();
}

/// The replies for each recipient of an LMTP message after the content; the stored message has
/// the accepted recipients.
fn deliver_to_each(mut received: Received, shared: &Shared) -> Vec<Option<Reply>> {
    let recipients = std::mem::take(&mut received.recipients);
    let mut refusals = Vec::new();
    for recipient in recipients {
        let refusal = match recipient.user() {
            "full" => Some(reply(552, (5, 2, 2), "the mailbox is full")),
            "busy" => Some(reply(452, (4, 2, 2), "the mailbox is full just now")),
            _ => None,
        };
        if refusal.is_none() {
            received.recipients.push(recipient);
        }
        refusals.push(refusal);
    }
    if !received.recipients.is_empty() {
        shared.record(|seen| seen.stored.push(received));
    }
    refusals
}

fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: &str) -> Reply {
    let enhanced = EnhancedCode::new(class, subject, detail);
    Reply::new(ReplyCode::new(code).unwrap(), enhanced, &[text])
}

/// A stream that records the octets it reads.
struct Recorded {
    stream: Socket,
    connection: usize,
    shared: Arc<Shared>,
}

impl Read for Recorded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let octets = self.stream.read(into)?;
        self.shared
            .record(|seen| seen.wire[self.connection].extend_from_slice(&into[..octets]));
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

    fn acknowledge(&mut self) {
        self.stream.acknowledge();
    }
}

/// A server that runs `script` for one connection, and returns its result.
pub struct Scripted<T> {
    port: u16,
    thread: thread::JoinHandle<T>,
}

impl<T: Send + 'static> Scripted<T> {
    /// Starts the server.
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

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The result of the script.
    pub fn finish(self) -> T {
        self.thread.join().unwrap()
    }
}

/// Sends `words` and reads until the client has sent `until` or closed. Returns the octets that
/// were read.
pub fn exchange(stream: &mut TcpStream, words: &str, until: &str) -> String {
    let mut received = Vec::new();
    let mut buffer = [0; 4_096];
    if stream.write_all(words.as_bytes()).is_err() {
        return String::new();
    }
    while !String::from_utf8_lossy(&received).contains(until) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(octets) => received.extend_from_slice(&buffer[..octets]),
        }
    }
    String::from_utf8_lossy(&received).into_owned()
}
