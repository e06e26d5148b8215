//! The settings of both builders, as methods of lettre's, over the builder of postwire.

use std::time::Duration;

use postwire_blocking::proto::{HelloName, Security, Timeouts};
use postwire_blocking::tls::Tls;
use postwire_blocking::transport::{
    ConfigError, ServerUrl, TransportBuilder, TransportConfig, UrlError,
};

use super::authentication::{Credentials, Mechanism};
use super::extension::ClientId;
use super::{Error, PoolConfig, SUBMISSION_PORT};

/// lettre's time limit of each stage.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of a builder. lettre's builders cannot fail, so an invalid hello name is kept, and
/// is the error of each send.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    builder: TransportBuilder<TransportConfig>,
    invalid_hello_name: Option<Error>,
}

impl From<TransportBuilder<TransportConfig>> for Settings {
    fn from(builder: TransportBuilder<TransportConfig>) -> Self {
        let settings = Self {
            builder,
            invalid_hello_name: None,
        };
        settings
            .timeout(Some(DEFAULT_TIMEOUT))
            .pool_config(PoolConfig::default())
    }
}

impl Settings {
    pub(super) fn from_url(url: &str) -> Result<Self, Error> {
        let url = ServerUrl::parse(url).map_err(ConfigError::from)?;
        if url.user().is_some() && url.credentials().is_none() {
            return Err(ConfigError::from(UrlError::MissingPassword).into());
        }
        let mut builder = TransportBuilder::from_server_url(&url);
        if url.mode() == Security::Opportunistic && url.explicit_port().is_none() {
            builder = builder.port(SUBMISSION_PORT);
        }
        Ok(builder.into())
    }

    pub(super) fn hello_name(mut self, name: ClientId) -> Self {
        match HelloName::try_from(name) {
            Ok(name) => {
                self.invalid_hello_name = None;
                self.configure(|builder| builder.hello_name(name))
            }
            Err(error) => {
                self.invalid_hello_name = Some(error.into());
                self
            }
        }
    }

    pub(super) fn credentials(self, credentials: Credentials) -> Self {
        self.configure(|builder| builder.credentials(credentials.into()))
    }

    pub(super) fn authentication(self, mechanisms: Vec<Mechanism>) -> Self {
        let mechanisms = mechanisms.into_iter().map(Into::into).collect();
        self.configure(|builder| builder.authentication(mechanisms))
    }

    pub(super) fn timeout(self, timeout: Option<Duration>) -> Self {
        let timeouts = match timeout {
            Some(cap) => Timeouts::default().capped(cap),
            None => Timeouts::default(),
        };
        self.configure(|builder| builder.timeouts(timeouts))
    }

    pub(super) fn port(self, port: u16) -> Self {
        self.configure(|builder| builder.port(port))
    }

    pub(super) fn tls(self, tls: Tls) -> Self {
        self.configure(|builder| builder.tls(tls))
    }

    pub(super) fn pool_config(self, config: PoolConfig) -> Self {
        self.configure(|builder| builder.pool_config(config.into()))
    }

    pub(super) fn configure(
        mut self,
        set: impl FnOnce(TransportBuilder<TransportConfig>) -> TransportBuilder<TransportConfig>,
    ) -> Self {
        self.builder = set(self.builder);
        self
    }

    pub(super) fn build(self) -> Result<TransportConfig, Error> {
        match self.invalid_hello_name {
            Some(error) => Err(error),
            None => Ok(self.builder.build()?),
        }
    }
}

/// The methods of both builders.
macro_rules! builder_methods {
    () => {
        /// Sets the name that the client sends in `EHLO`. The default is the local address of the
        /// connection. An invalid name is the error of each send.
        pub fn hello_name(self, name: ClientId) -> Self {
            Self(self.0.hello_name(name))
        }

        /// Authenticates with these credentials, or sends nothing.
        ///
        /// They are not sent in plaintext; [`configure`](Self::configure) can allow it.
        pub fn credentials(self, credentials: Credentials) -> Self {
            Self(self.0.credentials(credentials))
        }

        /// Sets the allowed mechanisms in order of preference. The default is every mechanism that
        /// postwire has for the credentials, the strongest first.
        pub fn authentication(self, mechanisms: Vec<Mechanism>) -> Self {
            Self(self.0.authentication(mechanisms))
        }

        /// Limits each stage to this time: connecting, and the wait for each reply. Default 60
        /// seconds. With `None`, the limits are those of RFC 5321 §4.5.3.2, which are minutes.
        ///
        /// To limit a whole send, see [`configure`](Self::configure).
        pub fn timeout(self, timeout: Option<Duration>) -> Self {
            Self(self.0.timeout(timeout))
        }

        /// Sets the port, which must not be 0. By default the port follows the TLS mode: 465, 587
        /// or 25.
        pub fn port(self, port: u16) -> Self {
            Self(self.0.port(port))
        }

        /// Sets the TLS mode with finished parameters.
        pub fn tls(self, tls: Tls) -> Self {
            Self(self.0.tls(tls))
        }

        /// Sets the configuration of the pool.
        pub fn pool_config(self, pool_config: PoolConfig) -> Self {
            Self(self.0.pool_config(pool_config))
        }

        /// Changes any setting of postwire, most of which lettre does not have.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// use postwire_lettre::SmtpTransport;
        ///
        /// let mailer = SmtpTransport::builder_dangerous("localhost")
        ///     .configure(|builder| {
        ///         builder
        ///             .timeout(Some(Duration::from_secs(30))) // of a whole send
        ///             .client(|client| client.allow_plaintext_auth(true))
        ///     })
        ///     .build();
        /// ```
        pub fn configure(
            self,
            set: impl FnOnce(TransportBuilder<TransportConfig>) -> TransportBuilder<TransportConfig>,
        ) -> Self {
            Self(self.0.configure(set))
        }
    };
}

/// The constructors of both transports, whose builder is the argument.
macro_rules! transport_constructors {
    ($builder:ident) => {
        /// Configures TLS from the first byte, on port 465.
        ///
        /// # Errors
        ///
        /// An error of the connection if `relay` is not a host.
        pub fn relay(relay: &str) -> Result<$builder, Error> {
            Ok($builder(TransportBuilder::relay(relay)?.into()))
        }

        /// Configures mandatory STARTTLS on port 587.
        ///
        /// # Errors
        ///
        /// An error of the connection if `relay` is not a host.
        pub fn starttls_relay(relay: &str) -> Result<$builder, Error> {
            Ok($builder(TransportBuilder::starttls_relay(relay)?.into()))
        }

        /// Creates a transport in plaintext to port 25 of this machine.
        pub fn unencrypted_localhost() -> Self {
            Self::builder_dangerous("localhost").build()
        }

        /// Configures plaintext on port 25, unless the builder's settings change that.
        ///
        /// **Danger**: without TLS, anyone on the network path can read and change the mail.
        pub fn builder_dangerous<T: Into<String>>(server: T) -> $builder {
            $builder(TransportBuilder::builder_dangerous(server).into())
        }

        /// Configures the server that a URL names: `scheme://user:pass@host:port/ehlo-name?tls=TLS`.
        ///
        /// | URL | meaning |
        /// |---|---|
        /// | `smtps://host` | TLS from the first byte, port 465 |
        /// | `smtp://host`, `smtp://host?tls=required` | STARTTLS required, port 587 |
        /// | `smtp://host?tls=opportunistic` | STARTTLS if it is offered, port 587 |
        /// | `smtp://host?tls=none` | plaintext, port 25 |
        ///
        /// **`smtp://host` without `?tls=` is plaintext in lettre**, and requires TLS here.
        ///
        /// # Errors
        ///
        /// An error of the connection if the URL is invalid.
        pub fn from_url(connection_url: &str) -> Result<$builder, Error> {
            Ok($builder(Settings::from_url(connection_url)?))
        }
    };
}

pub(super) use {builder_methods, transport_constructors};
