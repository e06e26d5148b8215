//! The server of a test: listens on a thread of its own, and ends with its handle.
//!
//! Knows the listening socket and what a test asks of the server. Must never know SMTP.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postwire_blocking::Socket;
use postwire_blocking::transport::TransportBuilder;
use postwire_server::{Received, ServerConfig};
use postwire_tls::proto::{Credentials, Protocol};
use postwire_tls::{Certificate, ServerTls};

use crate::authority::Authority;
use crate::connections::Connections;
use crate::mailbox::{self, Mailbox};
use crate::rules::{Rule, Rules, Trigger};
use crate::{TestServerBuilder, session};

/// An SMTP or LMTP server in the process of a test.
///
/// It listens on `127.0.0.1`, on a port that the system chooses, with blocking sockets on threads
/// of its own, so that clients of any runtime can talk to it. It accepts every message that no
/// [rule](Self::on) refuses, and stores it.
///
/// When it is dropped, it closes all connections, and no thread of it is left.
///
/// ```
/// use postwire_blocking::{Transport, proto::Envelope};
/// use postwire_testing::{TestServer, Trigger::*};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TestServer::start();
/// server.on(Rcpt("bob@example.net")).once().reply("450 4.2.1 come back later");
///
/// let transport = Transport::from_url(server.url())?.build()?;
/// let envelope = Envelope::new(None, vec!["bob@example.net".parse()?])?;
/// assert!(transport.send(&envelope, "Subject: hello\r\n\r\n").is_err());
/// assert!(transport.send(&envelope, "Subject: hello\r\n\r\n").is_ok());
/// assert_eq!(server.messages().len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct TestServer {
    address: SocketAddr,
    authority: Option<Authority>,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) protocol: Protocol,
    pub(crate) tls: ServerTls,
    pub(crate) users: Vec<Credentials>,
    pub(crate) rules: Rules,
    pub(crate) mailbox: Arc<Mailbox<Received>>,
    pub(crate) connections: Connections,
}

impl TestServer {
    /// Starts a server in plaintext, without users, with every extension that has no further
    /// requirements.
    ///
    /// # Panics
    ///
    /// Panics if the system has no port or no thread left.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Configures a server: TLS, users, LMTP, extensions.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::new()
    }

    #[track_caller]
    pub(crate) fn listen(shared: Shared, authority: Option<Authority>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = match listener {
            Ok(listening) => listening,
            Err(error) => panic!("the server cannot listen: {error}"),
        };
        let shared = Arc::new(shared);
        let of_thread = Arc::clone(&shared);
        let listening = thread::spawn(move || accept_all(&listener, &of_thread));
        Self {
            address,
            authority,
            shared,
            listening: Some(listening),
        }
    }

    /// The address, with the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL, without user and password, for `Transport::from_url` or the configuration of an
    /// application.
    pub fn url(&self) -> String {
        let address = self.address;
        match (self.shared.protocol, &self.shared.tls) {
            (Protocol::Smtp, ServerTls::None) => format!("smtp://{address}?tls=none"),
            (Protocol::Smtp, ServerTls::StartTls(_)) => format!("smtp://{address}?tls=required"),
            (Protocol::Smtp, ServerTls::Wrapper(_)) => format!("smtps://{address}"),
            (Protocol::Lmtp, ServerTls::None) => format!("lmtp://{address}?tls=none"),
            (Protocol::Lmtp, ServerTls::StartTls(_)) => format!("lmtp://{address}?tls=required"),
            (Protocol::Lmtp, ServerTls::Wrapper(_)) => format!("lmtp://{address}?tls=wrapper"),
        }
    }

    /// Configures a transport of any adapter for this server: its URL, and trust in its
    /// certificate.
    ///
    /// ```
    /// use postwire_blocking::Transport;
    /// use postwire_testing::TestServer;
    ///
    /// let server = TestServer::builder().starttls().start();
    /// let transport: Transport = server.transport().build()?;
    /// transport.test_connection()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "the URL of a server is valid")]
    pub fn transport<T>(&self) -> TransportBuilder<T> {
        let builder = match TransportBuilder::from_url(self.url()) {
            Ok(builder) => builder,
            Err(error) => panic!("{} is not a URL: {error}", self.url()),
        };
        match &self.authority {
            None => builder,
            Some(authority) => {
                let certificate = authority.certificate.clone();
                builder.tls_parameters(|tls| tls.add_root_certificate(certificate))
            }
        }
    }

    /// The certificate of the authority that signed the server's certificate, for clients to
    /// trust. Generated when the server started.
    ///
    /// # Panics
    ///
    /// Panics if the server has no TLS.
    #[track_caller]
    pub fn root_certificate(&self) -> Certificate {
        self.authority().certificate.clone()
    }

    /// The same certificate as [`root_certificate`](Self::root_certificate), as PEM text.
    ///
    /// # Panics
    ///
    /// Panics if the server has no TLS.
    #[track_caller]
    pub fn root_pem(&self) -> &str {
        &self.authority().pem
    }

    #[track_caller]
    fn authority(&self) -> &Authority {
        match &self.authority {
            Some(authority) => authority,
            None => panic!("a server without TLS has no certificate"),
        }
    }

    /// Begins a rule for what the server does at this moment, instead of accepting. Rules may be
    /// added at any time, and apply to open sessions as well.
    ///
    /// # Panics
    ///
    /// Panics if the address of the trigger is not an address, or if the trigger is only for LMTP
    /// and the server is not.
    #[track_caller]
    pub fn on(&self, trigger: Trigger<'_>) -> Rule<'_, Self> {
        assert!(
            self.shared.protocol == Protocol::Lmtp || !trigger.is_only_for_lmtp(),
            "{trigger:?} never happens in SMTP"
        );
        self.shared.rules.on(trigger)
    }

    /// Removes all rules: the server accepts everything again.
    pub fn clear_rules(&self) {
        self.shared.rules.clear();
    }

    /// The messages that the server accepted, in order, each with its envelope, its user (`authenticated`) and its
    /// TLS session.
    pub fn messages(&self) -> Vec<Received> {
        self.shared.mailbox.messages()
    }

    /// Forgets the messages so far.
    pub fn clear_messages(&self) {
        self.shared.mailbox.clear();
    }

    /// Waits until the server has accepted this many messages, and returns all of them.
    ///
    /// The thread blocks. In an async test whose application sends in a task of the same thread, use
    /// [`wait_for_async`](Self::wait_for_async).
    ///
    /// # Panics
    ///
    /// Panics if they do not arrive within 10 seconds.
    #[track_caller]
    pub fn wait_for(&self, messages: usize) -> Vec<Received> {
        self.wait_for_within(messages, mailbox::PATIENCE)
    }

    /// Waits like [`wait_for`](Self::wait_for), with another limit.
    ///
    /// # Panics
    ///
    /// Panics if they do not arrive within `limit`.
    #[track_caller]
    pub fn wait_for_within(&self, messages: usize, limit: Duration) -> Vec<Received> {
        self.shared.mailbox.wait_for(messages, limit)
    }

    /// Waits like [`wait_for`](Self::wait_for) without blocking the thread, on any runtime.
    ///
    /// # Panics
    ///
    /// The future panics if they do not arrive within 10 seconds.
    pub fn wait_for_async(
        &self,
        messages: usize,
    ) -> impl Future<Output = Vec<Received>> + Send + use<> {
        let mailbox = Arc::clone(&self.shared.mailbox);
        mailbox::wait_for_async(mailbox, messages, mailbox::PATIENCE)
    }

    /// The number of connections that clients have opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.accepted()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        const WAKING: Duration = Duration::from_secs(1);

        self.shared.connections.stop();
        // A connection wakes the listening thread. Without one (no descriptor is left) the thread
        // is left behind.
        let is_woken = TcpStream::connect_timeout(&self.address, WAKING).is_ok();
        if let Some(listening) = self.listening.take().filter(|_| is_woken) {
            let _ = listening.join();
        }
        self.shared.connections.join();
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

/// Serves each connection on a thread of its own, until the server stops.
fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.connections.stops() {
        if let Ok((stream, _)) = listener.accept() {
            // Without a second handle or a thread, the client sees a closed connection.
            let _ = stream.set_nodelay(true);
            begin(stream, shared);
        } else {
            // Too many files are open, or the client has gone.
            shared.connections.sleep(Duration::from_millis(10));
        }
    }
}

fn begin(stream: TcpStream, shared: &Arc<Shared>) {
    let Ok(handle) = stream.try_clone() else {
        return;
    };
    let Some(number) = shared.connections.add(Socket::Tcp(handle)) else {
        return;
    };
    let of_thread = Arc::clone(shared);
    let thread = thread::Builder::new().spawn(move || {
        session::serve(Socket::Tcp(stream), &of_thread);
        of_thread.connections.remove(number);
    });
    match thread {
        Ok(thread) => shared.connections.add_thread(thread),
        Err(_) => shared.connections.remove(number),
    }
}
