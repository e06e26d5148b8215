//! The builder of a [`TransportConfig`], or of any transport that is created from one.
//!
//! Generic in what it builds, so that the transports of all adapters have the same builder. Knows
//! the safe defaults. Must never connect to anything.

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

/// Configures a transport `T`: any type that can be created from a [`TransportConfig`], or
/// [`TransportConfig`] itself.
///
/// [`build`](Self::build) creates the TLS parameters, so root certificates and other settings can
/// be added after any constructor.
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
    /// Uses TLS from the first byte ([`Tls::Wrapper`]) on port 465 (RFC 8314): the best choice
    /// for a server on a network.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHost`] if `host` is neither a DNS name in ASCII nor an IP address.
    pub fn relay(host: impl Into<String>) -> Result<Self, ConfigError> {
        Self::checked(host.into(), Security::Wrapper)
    }

    /// Requires STARTTLS ([`Tls::Required`]) on port 587 (RFC 6409): for a server without
    /// implicit TLS.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHost`] if `host` is neither a DNS name in ASCII nor an IP address.
    pub fn starttls_relay(host: impl Into<String>) -> Result<Self, ConfigError> {
        Self::checked(host.into(), Security::Required)
    }

    /// Uses plaintext to `localhost` on port 25: for a relay on this machine.
    pub fn unencrypted_localhost() -> Self {
        Self::builder_dangerous("localhost")
    }

    /// Reads the settings from a URL; [`ServerUrl`] describes its form. With `smtp://`, TLS is
    /// required unless the URL says otherwise.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL is invalid.
    pub fn from_url(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let url = ServerUrl::parse(url.as_ref())?;
        if url.user().is_some() && url.credentials().is_none() {
            return Err(UrlError::MissingPassword.into());
        }
        Ok(Self::from_server_url(&url))
    }

    /// Takes the settings from a parsed URL.
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

    /// Uses plaintext ([`Tls::None`]) on port 25, unless [`tls`](Self::tls) changes that.
    ///
    /// **Danger**: without TLS, anyone on the network path can read and change the mail. Prefer
    /// [`relay`](Self::relay).
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
                client: ClientConfig::without_hello_name(mode),
                late_credentials: None,
                timeout: None,
                pool: PoolConfig::default(),
            },
            target: PhantomData,
        }
    }

    /// Sets the port, which must not be 0.
    ///
    /// The default depends on the final TLS mode: 25 (plaintext, opportunistic), 587 (required)
    /// or 465 (wrapper). For LMTP it is 24.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = Some(port);
        self
    }

    /// Connects to the Unix socket at this path instead of to host and port.
    ///
    /// The host is then only a name, for example the one that a certificate must contain.
    /// Connecting fails if the operating system has no Unix sockets.
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

    /// Connects to these addresses instead of resolving the name of the host: for a program with
    /// its own resolver.
    ///
    /// The host is still the name that a certificate must contain. Each address has its own port.
    /// IPv6 and IPv4 addresses are tried alternately, beginning with the family of the first
    /// address; within a family the order is kept.
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

    /// Sets the TLS mode with finished parameters, instead of those of the constructor. The
    /// default port follows the mode.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.settings.finished_tls = Some(tls);
        self
    }

    /// Changes the TLS mode, and keeps the TLS parameters. The default port follows the mode.
    ///
    /// Has no effect together with finished parameters ([`tls`](Self::tls)), which have a mode.
    ///
    /// ```
    /// # use postwire_transport::{ConfigError, TransportBuilder, TransportConfig};
    /// use postwire_transport::proto::Security;
    ///
    /// let builder = TransportBuilder::<TransportConfig>::from_url("smtp://mail.example.org")?
    ///     .security(Security::Wrapper);
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn security(mut self, mode: Security) -> Self {
        self.settings.mode = mode;
        self
    }

    /// Changes the TLS parameters: trusted certificates, a client certificate, TLS versions.
    ///
    /// Has no effect in plaintext. Together with finished parameters ([`tls`](Self::tls)),
    /// [`build`](Self::build) fails.
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

    /// Sets the protocol: SMTP (the default) or LMTP.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.client = self.settings.client.protocol(protocol);
        self
    }

    /// Sets the name that the client sends in `EHLO` (RFC 5321 §4.1.1.1). The default is the local
    /// address of the connection as a literal, or `[127.0.0.1]` if it is unknown.
    pub fn hello_name(mut self, name: HelloName) -> Self {
        self.settings.client = self.settings.client.hello_name(name);
        self
    }

    /// Authenticates with these credentials, or sends nothing. By default the client does not
    /// authenticate.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.settings.client = self.settings.client.credentials(credentials);
        self
    }

    /// Fetches credentials from this source on each connection, when the client is about to
    /// authenticate: for tokens, which expire. There is no source by default.
    ///
    /// Together with [`credentials`](Self::credentials), the source is used only for a
    /// replacement after the server refused those.
    pub fn late_credentials(mut self, source: CredentialsSource) -> Self {
        self.settings.client = self.settings.client.late_credentials(true);
        self.settings.late_credentials = Some(source);
        self
    }

    /// Sets the allowed mechanisms in order of preference. The default is
    /// [`Mechanism::preference_for`] the credentials.
    pub fn authentication(mut self, mechanisms: Vec<Mechanism>) -> Self {
        self.settings.client = self.settings.client.mechanisms(mechanisms);
        self
    }

    /// Sets the time limits of the stages, including that of connecting. The defaults for replies
    /// are those of RFC 5321 §4.5.3.2.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.client = self.settings.client.timeouts(timeouts);
        self
    }

    /// Limits the total time of one `send`, from the call to the report. There is no limit by
    /// default.
    ///
    /// The limit includes waiting for a connection, connecting, authentication, and sending over
    /// as many connections as necessary. It applies to `send` and `send_stream` as a whole, and
    /// in `send_all` to each wait for the next report. It also limits each stage of a session,
    /// even if [`timeouts`](Self::timeouts) allows more.
    ///
    /// A message without a connection at the end of its time is not sent, with the error
    /// [`TimedOut`](postwire_proto::ErrorKind::TimedOut) at
    /// [`Stage::Connect`](postwire_proto::Stage::Connect). The report on a message that is under
    /// way is that of an ordinary time-out of its stage.
    ///
    /// [`PoolConfig`] lists all timers and what each of them limits.
    pub fn timeout(mut self, cap: Option<Duration>) -> Self {
        self.settings.timeout = cap;
        self
    }

    /// Changes the settings of the protocol, which are those of [`ClientConfig`].
    ///
    /// The builder has methods of its own for the most common settings, and for the TLS mode, the
    /// host and the port.
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

    /// Changes the socket options: the local address and keep-alive.
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

    /// Changes the settings of the pool: the number and lifetime of connections.
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

    /// Sets the whole configuration of the pool.
    pub fn pool_config(mut self, pool: PoolConfig) -> Self {
        self.settings.pool = pool;
        self
    }

    /// Creates the transport without connecting.
    ///
    /// May read the system's certificates from disk.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::InvalidHost`] if the host is neither a DNS name in ASCII nor an IP
    ///   address.
    /// - [`ConfigError::InvalidPort`] if the port is 0.
    /// - [`ConfigError::Tls`] if the TLS parameters cannot be built.
    /// - [`ConfigError::TlsAlreadyFinished`] if [`tls_parameters`](Self::tls_parameters) was used
    ///   together with [`tls`](Self::tls).
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

/// Shows neither the user name nor a secret.
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
