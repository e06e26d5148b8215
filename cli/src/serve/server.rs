//! The embedded server of `serve` and `demo`: the library's server session over sockets, with
//! one thread per connection.
//!
//! Accepts connections and ends them. Must never know what is said on one: the
//! [`Conversation`] does.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use postwire_blocking::Socket;
use postwire_blocking::proto::{
    Address, Credentials, EnhancedCode, Protocol, Reply, ReplyCode, Secret,
};
use postwire_blocking::tls::ServerTls;
use postwire_server::ServerConfig;

use crate::print::output::print_error;
use crate::serve::conversation::{Conversation, Sink, authentication_failed};
use crate::serve::faults::Faults;
use crate::serve::journal::{Journal, Log};
use crate::serve::listener::Listener;
use crate::serve::session::{Ending, SharedSocket};

/// The wait after an error of `accept` that lasts, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The shortest time between two lines about errors of `accept`.
const ACCEPT_REPORTS: Duration = Duration::from_secs(1);

const TOO_MANY_CONNECTIONS: &str = "421 4.3.2 too many connections, try later";
const SHUTTING_DOWN: &str = "421 4.3.2 shutting down, try later";

/// How clients are served.
pub(crate) struct Settings {
    /// The journal needs both traces of it.
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) protocol: Protocol,
    pub(crate) tls: ServerTls,
    pub(crate) users: Vec<Credentials>,
    /// Recipients that are refused, each with the reply.
    pub(crate) refusals: Vec<(Address, Reply)>,
    pub(crate) faults: Faults,
    pub(crate) max_connections: usize,
    pub(crate) log: Log,
}

/// A listening server, which serves clients once it [runs](Self::run).
pub(crate) struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

/// What the connections share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) ending: Ending,
    accepted: AtomicU64,
    open: Mutex<HashMap<u64, SharedSocket>>,
    closed: Condvar,
}

impl Server {
    /// Creates a server for this listener.
    pub(crate) fn new(listener: Listener, settings: Settings, sink: Arc<dyn Sink>) -> Self {
        let shared = Shared {
            settings,
            sink,
            ending: Ending::default(),
            accepted: AtomicU64::new(0),
            open: Mutex::default(),
            closed: Condvar::new(),
        };
        Self {
            listener,
            shared: Arc::new(shared),
        }
    }

    /// What ends the server while it runs.
    pub(crate) fn ender(&self) -> Ender {
        Ender(Arc::clone(&self.shared))
    }

    /// Serves until the process ends.
    pub(crate) fn run(&self) -> ! {
        // One descriptor in reserve, so that a client can be told when there are no more.
        let mut spare = open_spare();
        let mut reported: Option<Instant> = None;
        loop {
            let error = match self.listener.accept() {
                Ok((socket, peer)) => {
                    self.admit(socket, peer);
                    continue;
                }
                Err(error) => error,
            };
            if self.shared.settings.log.failures
                && reported.is_none_or(|at| at.elapsed() > ACCEPT_REPORTS)
            {
                print_error(format_args!("cannot accept a connection: {error}"));
                reported = Some(Instant::now());
            }
            if is_out_of_descriptors(&error) {
                // Without the reserve nothing can be accepted either.
                if spare.take().is_some()
                    && let Ok((socket, peer)) = self.listener.accept()
                {
                    spare = open_spare();
                    match spare {
                        Some(_) => self.admit(socket, peer),
                        None => self.refuse(socket, &peer, TOO_MANY_CONNECTIONS),
                    }
                }
                spare = spare.or_else(open_spare);
                if spare.is_none() {
                    thread::sleep(ACCEPT_PAUSE);
                }
            } else if !is_of_one_client(&error) {
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }

    fn admit(&self, socket: Socket, peer: String) {
        let number = self.shared.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let socket = SharedSocket(Arc::new(socket));
        let Some(place) = Place::take(&self.shared, number, &socket) else {
            return self.refuse_shared(&socket, &peer, TOO_MANY_CONNECTIONS);
        };
        if self.shared.ending.has_begun() {
            return self.refuse_shared(&socket, &peer, SHUTTING_DOWN);
        }
        let journal = Journal::new(self.shared.settings.log, number, peer);
        let started = thread::Builder::new().spawn(move || {
            Conversation::new(&place.shared, journal, &socket.0).run();
        });
        if let Err(error) = started
            && self.shared.settings.log.failures
        {
            // The socket is closed; the client can try later.
            print_error(format_args!(
                "cannot start a thread for connection {number}: {error}"
            ));
        }
    }

    fn refuse(&self, socket: Socket, peer: &str, reply: &str) {
        self.refuse_shared(&SharedSocket(Arc::new(socket)), peer, reply);
    }

    fn refuse_shared(&self, socket: &SharedSocket, peer: &str, reply: &str) {
        if self.shared.settings.log.failures {
            print_error(format_args!("connection from {peer} refused: {reply}"));
        }
        if !matches!(self.shared.settings.tls, ServerTls::Wrapper(_)) {
            // A new socket has room for a line; an error here does not matter.
            let _ = socket.clone().write_all(format!("{reply}\r\n").as_bytes());
        }
    }
}

fn open_spare() -> Option<File> {
    cfg!(unix).then(|| File::open("/dev/null").ok()).flatten()
}

/// Whether the process or the system has no descriptor left: `EMFILE`, `ENFILE`.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// Whether only the connection that was to be accepted has failed.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Ends a running server.
pub(crate) struct Ender(Arc<Shared>);

impl Ender {
    /// Says `421` to every open session, accepts no more, and waits until the sessions are over,
    /// at most for this time.
    pub(crate) fn end(&self, most: Duration) {
        self.0.ending.begin();
        let open = self.0.open();
        for socket in open.values() {
            socket.interrupt();
        }
        let are_open = |open: &mut HashMap<_, _>| !open.is_empty();
        drop(self.0.closed.wait_timeout_while(open, most, are_open));
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, SharedSocket>> {
        // A map is whole after each call.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the allowed concurrent connections.
struct Place {
    shared: Arc<Shared>,
    number: u64,
}

impl Place {
    fn take(shared: &Arc<Shared>, number: u64, socket: &SharedSocket) -> Option<Self> {
        let mut open = shared.open();
        if open.len() >= shared.settings.max_connections {
            return None;
        }
        open.insert(number, socket.clone());
        Some(Self {
            shared: Arc::clone(shared),
            number,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open().remove(&self.number);
        self.shared.closed.notify_all();
    }
}

impl Settings {
    pub(crate) fn authenticate(&self, user: &str, secret: &Secret) -> Option<Reply> {
        let known = |known: &Credentials| known.user() == user && known.secret() == secret;
        (!self.users.iter().any(known)).then(authentication_failed)
    }

    /// The password, for a mechanism that does not reveal it.
    pub(crate) fn password(&self, user: &str) -> Result<&Secret, Reply> {
        let mut users = self.users.iter();
        let known = users.find(|known| known.user() == user);
        known
            .map(Credentials::secret)
            .ok_or_else(authentication_failed)
    }

    pub(crate) fn refusal(&self, recipient: &Address) -> Option<Reply> {
        let of_this = |(refused, _): &&(Address, Reply)| refused.is_same_mailbox(recipient);
        let refusal = self.refusals.iter().find(of_this);
        refusal.map(|(_, reply)| reply.clone())
    }
}

/// A reply code that is known to be valid.
pub(crate) const fn code(number: u16) -> ReplyCode {
    match ReplyCode::new(number) {
        Some(code) => code,
        None => panic!("no reply code"),
    }
}

/// A reply of one line.
pub(crate) fn reply(code: ReplyCode, enhanced: (u8, u16, u16), text: &str) -> Reply {
    let (class, subject, detail) = enhanced;
    Reply::new(code, EnhancedCode::new(class, subject, detail), &[text])
}
