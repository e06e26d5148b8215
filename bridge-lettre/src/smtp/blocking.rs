//! The blocking transport.

use std::fmt;
use std::time::Duration;

use postwire_blocking::tls::Tls;
use postwire_blocking::transport::{TransportBuilder, TransportConfig};

use super::authentication::{Credentials, Mechanism};
use super::builder::{Settings, builder_methods, transport_constructors};
use super::extension::ClientId;
use super::response::Response;
use super::{Error, PoolConfig};

/// A blocking SMTP transport with lettre's names: over [`postwire_blocking::Transport`].
///
/// Cheap to clone; clones share the pool.
///
/// ```no_run
/// use postwire_lettre::{Message, SmtpTransport, Transport};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mailer = SmtpTransport::from_url("smtps://alice:secret@mail.example.org")?.build();
/// let email = Message::builder()
///     .from("Alice <alice@example.org>".parse()?)
///     .to("Bob <bob@example.net>".parse()?)
///     .body(String::from("Hello, Bob."))?;
/// match mailer.send(&email) {
///     Ok(response) => println!("{}", response.code()),
///     Err(error) if error.is_transient() => println!("later: {error}"),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SmtpTransport(Result<postwire_blocking::Transport, Error>);

impl SmtpTransport {
    transport_constructors!(SmtpTransportBuilder);

    /// Opens a session as configured, and ends it: true if that succeeds.
    ///
    /// # Errors
    ///
    /// Why no session can be opened. The value is never `false`.
    pub fn test_connection(&self) -> Result<bool, Error> {
        self.postwire()?.test_connection()?;
        Ok(true)
    }

    /// The transport of postwire below this one. It has more methods, for example for many messages
    /// and for messages of any size, and sends to the recipients that the server accepts.
    ///
    /// # Errors
    ///
    /// The error of the configuration that the builder could not return.
    pub fn postwire(&self) -> Result<&postwire_blocking::Transport, Error> {
        self.0.as_ref().map_err(Clone::clone)
    }
}

/// Gives lettre's trait to a transport of postwire.
impl From<postwire_blocking::Transport> for SmtpTransport {
    fn from(transport: postwire_blocking::Transport) -> Self {
        Self(Ok(transport))
    }
}

impl lettre::Transport for SmtpTransport {
    type Ok = Response;
    type Error = Error;

    fn send_raw(
        &self,
        envelope: &lettre::address::Envelope,
        email: &[u8],
    ) -> Result<Response, Error> {
        let message = super::outgoing(envelope, email)?;
        super::response(self.postwire()?.send(&message.envelope, message.body))
    }

    fn shutdown(&self) {
        if let Ok(transport) = &self.0 {
            transport.shutdown();
        }
    }
}

impl fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SmtpTransport").field(&self.0).finish()
    }
}

/// Configures an [`SmtpTransport`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SmtpTransportBuilder(Settings);

impl SmtpTransportBuilder {
    builder_methods!();

    /// Creates the transport without connecting. It may read the system's certificates.
    ///
    /// If the configuration is invalid, each send returns the error. [`try_build`](Self::try_build)
    /// returns it at once.
    pub fn build(self) -> SmtpTransport {
        SmtpTransport(self.0.build().map(Into::into))
    }

    /// Creates the transport without connecting.
    ///
    /// # Errors
    ///
    /// Why the configuration is invalid: the host, the port, the hello name or TLS.
    pub fn try_build(self) -> Result<SmtpTransport, Error> {
        Ok(SmtpTransport(Ok(self.0.build()?.into())))
    }
}
