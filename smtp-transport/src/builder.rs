//! From the few things that differ between one user and the next to a whole
//! [`TransportConfig`].
//!
//! Generic in what it builds, so that each adapter's transport has the same
//! builder. Knows the safe defaults; connects to nothing.

mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use core::fmt;
use core::marker::PhantomData;
use core::net::SocketAddr;
use core::time::Duration;

use postwire_proto::{
    ClientConfig, Credentials, HelloName, Mechanism, Protocol, Security, Timeouts,
};
use postwire_tls::{Tls, TlsParameters, TlsParametersBuilder};

use self::settings::Settings;
use crate::{
    ConfigError, CredentialsSource, PoolConfig, ServerUrl, SocketOptions, TransportConfig, UrlError,
};
use postwire_tls::server_name;

/// Configures a transport `T`: any type that can be made from a
/// [`TransportConfig`], as is that type itself.
///
/// TLS parameters are made in [`build`](Self::build), so that root certificates
/// and the like can be added to whatever [`relay`](Self::relay) or
/// [`from_url`](Self::from_url) began.
///
/// ```no_run
/// use postwire_proto::Credentials;
/// use postwire_transport::tls::Certificate;
/// use postwire_transport::{TransportBuilder, TransportConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let authority = Certificate::from_pem(&std::fs::read("ca.pem")?)?;
/// let config: TransportConfig = TransportBuilder::relay("mail.example.org")?
///     .credentials(Credentials::new("alice", "correct horse"))
///     .tls_parameters(|tls| tls.add_root_certificate(authority))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct TransportBuilder<T> {
    settings: Settings,
    target: PhantomData<fn() -> T>,
}

impl<T> TransportBuilder<T> {
    /// TLS from the first byte ([`Tls::Wrapper`]) on port 465 (RFC 8314): the
    /// best choice for a server on a network.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHost`]
    pub fn relay(host: impl Into<String>) -> Result<Self, ConfigError> {
        Self::checked(host.into(), Security::Wrapper)
    }

    /// STARTTLS, or the attempt fails ([`Tls::Required`]), on port 587 (RFC
    /// 6409): for a server that does not wrap the session in TLS.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHost`]
    pub fn starttls_relay(host: impl Into<String>) -> Result<Self, ConfigError> {
        Self::checked(host.into(), Security::Required)
    }

    /// Plaintext to `localhost` on port 25: for a relay on this machine.
    pub fn unencrypted_localhost() -> Self {
        Self::builder_dangerous("localhost")
    }

    /// What a URL says; see [`ServerUrl`] for its form. `smtp://` means that TLS
    /// is required unless it says otherwise.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`]
    pub fn from_url(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let url = ServerUrl::parse(url.as_ref())?;
        if url.user().is_some() && url.credentials().is_none() {
            return Err(UrlError::MissingPassword.into());
        }
        Ok(Self::from_server_url(&url))
    }

    /// What a parsed URL says.
    pub fn from_server_url(url: &ServerUrl) -> Self {
        let mut builder = Self::new(url.host().to_owned(), url.mode()).protocol(url.protocol());
        builder.settings.port = url.explicit_port();
        builder.settings.unix_socket = url.unix_socket().map(Arc::from);
        if let Some(credentials) = url.credentials() {
            builder = builder.credentials(credentials.clone());
        }
        if let Some(name) = url.hello_name() {
            builder = builder.hello_name(name.clone());
        }
        builder
    }

    /// Plaintext ([`Tls::None`]) on port 25, until [`tls`](Self::tls) says
    /// otherwise.
    ///
    /// **Danger**: as it stands, anyone on the way reads the mail and can alter
    /// it. Prefer [`relay`](Self::relay).
    pub fn builder_dangerous(host: impl Into<String>) -> Self {
        Self::new(host.into(), Security::None)
    }

    fn checked(host: String, mode: Security) -> Result<Self, ConfigError> {
        if server_name(&host).is_none() {
            return Err(ConfigError::InvalidHost);
        }
        Ok(Self::new(host, mode))
    }

    fn new(host: String, mode: Security) -> Self {
        Self {
            settings: Settings {
                mode,
                tls_parameters: TlsParameters::builder(host.clone()),
                tls_parameters_were_set: false,
                finished_tls: None,
                host,
                port: None,
                unix_socket: None,
                addresses: None,
                socket: SocketOptions::default(),
                client: ClientConfig::unnamed(mode),
                late_credentials: None,
                timeout: None,
                pool: PoolConfig::default(),
            },
            target: PhantomData,
        }
    }

    /// The port; never 0. By default 25 (plaintext, opportunistic), 587
    /// (required) or 465 (wrapper) after the mode that holds in the end, and 24
    /// for LMTP.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = Some(port);
        self
    }

    /// Connects to the Unix socket at this path instead of to host and port, which
    /// remain names: the one that a certificate must bear, for one.
    ///
    /// Connecting fails where the operating system has no Unix sockets.
    ///
    /// ```
    /// use postwire_proto::Protocol;
    /// use postwire_transport::{TransportBuilder, TransportConfig};
    ///
    /// let config: TransportConfig = TransportBuilder::unencrypted_localhost()
    ///     .unix_socket("/var/run/dovecot/lmtp")
    ///     .protocol(Protocol::Lmtp)
    ///     .build()?;
    /// # Ok::<(), postwire_transport::ConfigError>(())
    /// ```
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.unix_socket = Some(Arc::from(path.into()));
        self
    }

    /// Connects to these addresses instead of those that the host's name resolves to: for a
    /// program that has its own resolver. The host remains the name that a certificate must
    /// bear; each address has its own port.
    ///
    /// They are tried in this order, with the two families in turn.
    ///
    /// ```
    /// use postwire_transport::{TransportBuilder, TransportConfig};
    ///
    /// let config: TransportConfig = TransportBuilder::builder_dangerous("mail.example.org")
    ///     .addresses(["192.0.2.1:25".parse()?, "[2001:db8::1]:25".parse()?])
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.settings.addresses = Some(addresses.into_iter().collect());
        self
    }

    /// TLS mode and finished parameters. Replaces what the constructor chose;
    /// the default port follows the mode.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.settings.finished_tls = Some(tls);
        self
    }

    /// Changes the TLS parameters: whom to trust, a certificate of the client's own, versions.
    ///
    /// Without effect in plaintext; together with finished parameters
    /// ([`tls`](Self::tls)), [`build`](Self::build) fails.
    ///
    /// ```
    /// # use postwire_transport::{ConfigError, TransportBuilder, TransportConfig};
    /// use postwire_transport::tls::TlsVersion;
    ///
    /// let builder = TransportBuilder::<TransportConfig>::relay("mail.example.org")?
    ///     .tls_parameters(|parameters| parameters.min_tls_version(TlsVersion::Tls13));
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn tls_parameters(
        mut self,
        set: impl FnOnce(TlsParametersBuilder) -> TlsParametersBuilder,
    ) -> Self {
        self.settings.tls_parameters = set(self.settings.tls_parameters);
        self.settings.tls_parameters_were_set = true;
        self
    }

    /// SMTP (default) or LMTP.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.client = self.settings.client.protocol(protocol);
        self
    }

    /// The name given to `EHLO` (RFC 5321 §4.1.1.1). `[127.0.0.1]` by default.
    pub fn hello_name(mut self, name: HelloName) -> Self {
        self.settings.client = self.settings.client.hello_name(name);
        self
    }

    /// Authenticates with these, or sends nothing. None by default.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.settings.client = self.settings.client.credentials(credentials);
        self
    }

    /// Asks for credentials on each connection, when the server is about to be logged in
    /// to: for tokens, which expire. Nobody is asked by default.
    ///
    /// Together with [`credentials`](Self::credentials) it is asked only for what takes
    /// their place once a server has refused them.
    pub fn late_credentials(mut self, source: CredentialsSource) -> Self {
        self.settings.client = self.settings.client.late_credentials(true);
        self.settings.late_credentials = Some(source);
        self
    }

    /// The mechanisms that may be used, the preferred one first.
    /// [`Mechanism::preference_for`] the credentials by default.
    pub fn authentication(mut self, mechanisms: Vec<Mechanism>) -> Self {
        self.settings.client = self.settings.client.mechanisms(mechanisms);
        self
    }

    /// How long each stage may take, connecting included. The defaults are
    /// those of RFC 5321 §4.5.3.2.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.client = self.settings.client.timeouts(timeouts);
        self
    }

    /// How long one `send` may take in all, from the call to the report: waiting for a
    /// connection, connecting, logging in, and sending over as many connections as it takes.
    /// No limit by default.
    ///
    /// It bounds `send` and `send_stream` as a whole, and in `send_all` each wait for the next
    /// report. No stage of a session takes longer either, whatever
    /// [`timeouts`](Self::timeouts) says. A message whose time is up before it had a connection
    /// was not sent: [`TimedOut`](postwire_proto::ErrorKind::TimedOut) at
    /// [`Stage::Connect`](postwire_proto::Stage::Connect). One that is under way by then is
    /// reported as at any other time-out, at its stage.
    ///
    /// [`PoolConfig`] lists all timers and what each of them bounds.
    pub fn timeout(mut self, cap: Option<Duration>) -> Self {
        self.settings.timeout = cap;
        self
    }

    /// Changes how the protocol is spoken: anything in [`ClientConfig`], of which the common
    /// settings are methods here as well. The mode, the host and the port are the builder's.
    ///
    /// ```
    /// # use postwire_transport::{TransportBuilder, TransportConfig};
    /// use postwire_transport::proto::Pipelining;
    ///
    /// let builder = TransportBuilder::<TransportConfig>::unencrypted_localhost()
    ///     .client(|client| client.pipelining(Pipelining::Off).chunking(false));
    /// ```
    pub fn client(mut self, set: impl FnOnce(ClientConfig) -> ClientConfig) -> Self {
        self.settings.client = set(self.settings.client);
        self
    }

    /// Changes what is set on sockets: the address to connect from, keep-alives.
    ///
    /// ```
    /// # use postwire_transport::{TransportBuilder, TransportConfig};
    /// # use std::time::Duration;
    /// let builder = TransportBuilder::<TransportConfig>::unencrypted_localhost()
    ///     .socket(|socket| socket.keep_alive(Some(Duration::from_secs(60))));
    /// ```
    pub fn socket(mut self, set: impl FnOnce(SocketOptions) -> SocketOptions) -> Self {
        self.settings.socket = set(self.settings.socket);
        self
    }

    /// Changes how many connections there may be, and for how long.
    ///
    /// ```
    /// # use postwire_transport::{TransportBuilder, TransportConfig};
    /// let builder = TransportBuilder::<TransportConfig>::unencrypted_localhost()
    ///     .pool(|pool| pool.max_connections(2));
    /// ```
    pub fn pool(mut self, set: impl FnOnce(PoolConfig) -> PoolConfig) -> Self {
        self.settings.pool = set(self.settings.pool);
        self
    }

    /// How many connections there may be, and for how long, all of it.
    pub fn pool_config(mut self, pool: PoolConfig) -> Self {
        self.settings.pool = pool;
        self
    }

    /// The transport, without connecting.
    ///
    /// May read the system's certificates from disk.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHost`], [`ConfigError::InvalidPort`],
    /// [`ConfigError::Tls`], [`ConfigError::TlsAlreadyFinished`].
    pub fn build(self) -> Result<T, ConfigError>
    where
        T: From<TransportConfig>,
    {
        self.settings.finish().map(T::from)
    }
}

impl<T> Clone for TransportBuilder<T> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            target: PhantomData,
        }
    }
}

/// Shows neither user nor secret.
impl<T> fmt::Debug for TransportBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransportBuilder")
            .field(&self.settings)
            .finish()
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod tests;
