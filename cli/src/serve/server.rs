//! The embedded server of `serve` and `demo`: the library's server session over sockets, with
//! one thread per connection.
//!
//! Knows which users may log in and which recipients are refused. Must never know what happens
//! to a message: the [`Sink`] does.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postwire_blocking::proto::{
    Address, Credentials, EnhancedCode, Mechanism, Protocol, Redaction, Reply, ReplyCode, Secret,
};
use postwire_blocking::tls::{ServerConnection, ServerTls};
use postwire_blocking::{Driver, Socket};
use postwire_server::{Received, ServerConfig, ServerEvent};

use crate::print::certificate::Certificate;
use crate::serve::listener::Listener;

/// The destination of messages.
pub(crate) trait Sink: Send + Sync {
    /// Takes responsibility for a message, or returns the reply that refuses it. `client` is
    /// the client's certificate, if it presented one.
    fn take(&self, message: &Received, client: Option<&Certificate>) -> Result<(), Reply>;
}

/// How clients are served.
pub(crate) struct Settings {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) protocol: Protocol,
    pub(crate) tls: ServerTls,
    pub(crate) users: Vec<Credentials>,
    /// Recipients that are refused, each with the reply.
    pub(crate) refusals: Vec<(Address, Reply)>,
    pub(crate) max_connections: usize,
}

/// A listening server, which serves clients once it [runs](Self::run).
pub(crate) struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    sink: Arc<dyn Sink>,
    connections: AtomicUsize,
}

impl Server {
    /// Creates a server for this listener.
    pub(crate) fn new(listener: Listener, settings: Settings, sink: Arc<dyn Sink>) -> Self {
        let shared = Shared {
            settings,
            sink,
            connections: AtomicUsize::new(0),
        };
        Self {
            listener,
            shared: Arc::new(shared),
        }
    }

    /// Serves until the process ends.
    pub(crate) fn run(&self) -> ! {
        loop {
            match self.listener.accept() {
                Ok(socket) => self.admit(socket),
                // Too many files are open, or the client has already closed.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn admit(&self, socket: Socket) {
        let Some(slot) = ConnectionSlot::take(&self.shared) else {
            return refuse_connection(socket, &self.shared.settings.tls);
        };
        // Without a thread the socket is closed; the client can try later.
        let _ = thread::Builder::new().spawn(move || converse(socket, &slot.0));
    }
}

/// One of the allowed concurrent connections.
struct ConnectionSlot(Arc<Shared>);

impl ConnectionSlot {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.connections.fetch_add(1, Ordering::AcqRel);
        // Released at once if the limit is exceeded.
        let slot = Self(Arc::clone(shared));
        (taken < shared.settings.max_connections).then_some(slot)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

fn refuse_connection(mut socket: Socket, tls: &ServerTls) {
    if !matches!(tls, ServerTls::Wrapper(_)) {
        // A new socket has room for a line; an error here does not matter.
        let _ = socket.write_all(b"421 4.3.2 too many connections, try later\r\n");
    }
}

fn converse(socket: Socket, shared: &Shared) {
    let settings = &shared.settings;
    let connection = ServerConnection::new(&settings.config, &settings.tls);
    let mut driver = Driver::new(connection, socket);
    while let Some(event) = driver.next_event() {
        let (answers, refusal) = match event {
            ServerEvent::Authenticate { mechanism, .. } if mechanism == Mechanism::EXTERNAL => {
                let is_known = client_certificate(&mut driver).is_some();
                (1, (!is_known).then(authentication_failed))
            }
            ServerEvent::Authenticate { user, secret, .. } => {
                (1, settings.authenticate(&user, &secret))
            }
            ServerEvent::PasswordWanted { user, .. } => match settings.password(&user) {
                Ok(password) => {
                    if driver.machine_mut().password(password).is_err() {
                        return;
                    }
                    (0, None)
                }
                Err(refusal) => (1, Some(refusal)),
            },
            ServerEvent::RcptTo { forward_path, .. } => (1, settings.refusal(&forward_path)),
            ServerEvent::Message(message) => {
                let answers = match settings.protocol {
                    Protocol::Smtp => 1,
                    Protocol::Lmtp => message.recipients.len(),
                };
                let client = client_certificate(&mut driver);
                (answers, shared.sink.take(&message, client.as_ref()).err())
            }
            ServerEvent::MailFrom { .. } | ServerEvent::Data => (1, None),
            _ => (0, None),
        };
        for _ in 0..answers {
            let connection = driver.machine_mut();
            let answered = match refusal.clone() {
                Some(reply) => connection.respond(reply),
                None => connection.accept(),
            };
            if answered.is_err() {
                // The answer does not match the question: end the session instead of waiting
                // forever.
                return;
            }
        }
    }
}

/// The client certificate from a completed handshake.
fn client_certificate(driver: &mut Driver<ServerConnection, Socket>) -> Option<Certificate> {
    let chain = driver.machine_mut().peer_certificates()?;
    Certificate::parse(chain.first()?, &Redaction::default())
}

impl Settings {
    fn authenticate(&self, user: &str, secret: &Secret) -> Option<Reply> {
        let known = |known: &Credentials| known.user() == user && known.secret() == secret;
        (!self.users.iter().any(known)).then(authentication_failed)
    }

    /// The password, for a mechanism that does not reveal it.
    fn password(&self, user: &str) -> Result<&Secret, Reply> {
        let mut users = self.users.iter();
        let known = users.find(|known| known.user() == user);
        known
            .map(Credentials::secret)
            .ok_or_else(authentication_failed)
    }

    fn refusal(&self, recipient: &Address) -> Option<Reply> {
        let of_this = |(refused, _): &&(Address, Reply)| refused == recipient;
        let refusal = self.refusals.iter().find(of_this);
        refusal.map(|(_, reply)| reply.clone())
    }
}

fn authentication_failed() -> Reply {
    reply(const { code(535) }, (5, 7, 8), "authentication failed")
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
