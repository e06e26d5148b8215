//! The builder of a server.
//!
//! Knows the defaults. Must never listen.

use std::fmt;
use std::sync::Arc;

use postwire_server::ServerConfig;
use postwire_tls::ServerTls;
use postwire_tls::proto::{Credentials, HelloName, Mechanism, Protocol};

use crate::connections::Connections;
use crate::rules::Rules;
use crate::server::Shared;
use crate::{TestServer, authority};

/// Configures a [`TestServer`].
///
/// ```
/// use postwire_testing::TestServer;
///
/// let server = TestServer::builder()
///     .starttls()
///     .user("alice", "correct horse")
///     .config(|config| config.chunking(false).smtp_utf8(false))
///     .start();
/// assert!(server.url().ends_with("?tls=required"));
/// ```
#[must_use = "the server starts with `start`"]
pub struct TestServerBuilder {
    protocol: Protocol,
    mode: Mode,
    users: Vec<Credentials>,
    changes: Vec<Box<dyn FnOnce(ServerConfig) -> ServerConfig>>,
}

/// When the server uses TLS.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Plaintext,
    StartTls,
    Wrapper,
}

impl TestServerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            protocol: Protocol::Smtp,
            mode: Mode::Plaintext,
            users: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Offers STARTTLS, with a certificate of an authority that is generated at the start:
    /// [`TestServer::root_certificate`].
    pub fn starttls(mut self) -> Self {
        self.mode = Mode::StartTls;
        self
    }

    /// Uses TLS from the first octet, with a certificate of an authority that is generated at the
    /// start: [`TestServer::root_certificate`].
    pub fn wrapper(mut self) -> Self {
        self.mode = Mode::Wrapper;
        self
    }

    /// Speaks LMTP instead of SMTP.
    pub fn lmtp(mut self) -> Self {
        self.protocol = Protocol::Lmtp;
        self
    }

    /// Adds a user. The server then requires AUTH before `MAIL`, and offers SCRAM-SHA-256, PLAIN
    /// and LOGIN, in plaintext as well. [`config`](Self::config) can change that.
    pub fn user(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let password: String = password.into();
        self.users.push(Credentials::new(user, password));
        self
    }

    /// Changes the settings of the session: which extensions and mechanisms are offered, limits,
    /// the text of the greeting.
    ///
    /// The protocol, STARTTLS and the questions at the opening are set by the server afterwards.
    pub fn config(mut self, change: impl FnOnce(ServerConfig) -> ServerConfig + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// Panics if the system has no port or no thread left, or if the server has TLS and the crate
    /// has neither the feature `aws-lc-rs` nor `ring`.
    #[track_caller]
    pub fn start(self) -> TestServer {
        let mut config = ServerConfig::new(HelloName::localhost());
        if !self.users.is_empty() {
            config = config
                .auth([Mechanism::SCRAM_SHA_256, Mechanism::PLAIN, Mechanism::LOGIN])
                .auth_in_plaintext(true)
                .require_auth(true);
        }
        for change in self.changes {
            config = change(config);
        }
        config = config.protocol(self.protocol).ask_at_opening(true);
        let (tls, authority) = match self.mode {
            Mode::Plaintext => (ServerTls::None, None),
            Mode::StartTls => {
                let (authority, parameters) = authority::generate();
                (ServerTls::StartTls(parameters), Some(authority))
            }
            Mode::Wrapper => {
                let (authority, parameters) = authority::generate();
                (ServerTls::Wrapper(parameters), Some(authority))
            }
        };
        let shared = Shared {
            config: Arc::new(config),
            protocol: self.protocol,
            tls,
            users: self.users,
            rules: Rules::default(),
            mailbox: Arc::default(),
            connections: Connections::default(),
        };
        TestServer::listen(shared, authority)
    }
}

/// Shows no password.
impl fmt::Debug for TestServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServerBuilder")
            .field("protocol", &self.protocol)
            .field("mode", &self.mode)
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}
