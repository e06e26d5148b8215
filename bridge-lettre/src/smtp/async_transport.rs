//! The async transport.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use postwire_blocking::tls::Tls;
use postwire_blocking::transport::{TransportBuilder, TransportConfig};
use postwire_futures::Runtime;

use super::authentication::{Credentials, Mechanism};
use super::builder::{Settings, builder_methods, transport_constructors};
use super::extension::ClientId;
use super::response::Response;
use super::{Error, PoolConfig};

/// The runtime of a transport: lettre's `Tokio1Executor` (feature `tokio1`) or `AsyncStd1Executor`
/// (feature `async-std1`), with the adapter of postwire for it.
pub trait Executor: lettre::Executor {
    /// The runtime as postwire's adapters have it.
    type Runtime: Runtime + Default;
}

#[cfg(feature = "tokio1")]
impl Executor for lettre::Tokio1Executor {
    type Runtime = postwire_tokio::Tokio;
}

#[cfg(feature = "async-std1")]
impl Executor for lettre::AsyncStd1Executor {
    type Runtime = postwire_async_std::AsyncStd;
}

/// The transport of postwire below an [`AsyncSmtpTransport`].
type Inner<E> = postwire_futures::Transport<<E as Executor>::Runtime>;

/// An async SMTP transport with lettre's names: over `postwire_tokio::Transport` or
/// `postwire_async_std::Transport`.
///
/// Cheap to clone; clones share the pool.
#[cfg_attr(
    feature = "tokio1",
    doc = r#"
```no_run
use postwire_lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

# #[tokio::main]
# async fn main() -> Result<(), Box<dyn std::error::Error>> {
let mailer: AsyncSmtpTransport<Tokio1Executor> =
    AsyncSmtpTransport::<Tokio1Executor>::relay("mail.example.org")?
        .credentials(("alice", "secret").into())
        .build();
let email = Message::builder()
    .from("Alice <alice@example.org>".parse()?)
    .to("Bob <bob@example.net>".parse()?)
    .body(String::from("Hello, Bob."))?;
mailer.send(email).await?;
# Ok(())
# }
```
"#
)]
pub struct AsyncSmtpTransport<E: Executor>(Result<Inner<E>, Error>);

impl<E: Executor> AsyncSmtpTransport<E> {
    transport_constructors!(AsyncSmtpTransportBuilder);

    /// Opens a session as configured, and ends it: true if that succeeds.
    ///
    /// # Errors
    ///
    /// Why no session can be opened. The value is never `false`.
    pub async fn test_connection(&self) -> Result<bool, Error> {
        self.postwire()?.test_connection().await?;
        Ok(true)
    }

    /// The transport of postwire below this one. It has more methods, for example for many messages
    /// and for messages of any size, and sends to the recipients that the server accepts.
    ///
    /// # Errors
    ///
    /// The error of the configuration that the builder could not return.
    pub fn postwire(&self) -> Result<&postwire_futures::Transport<E::Runtime>, Error> {
        self.0.as_ref().map_err(Clone::clone)
    }
}

/// Gives lettre's trait to a transport of postwire.
#[cfg(feature = "tokio1")]
impl From<postwire_tokio::Transport> for AsyncSmtpTransport<lettre::Tokio1Executor> {
    fn from(transport: postwire_tokio::Transport) -> Self {
        Self(Ok(transport))
    }
}

/// Gives lettre's trait to a transport of postwire.
#[cfg(feature = "async-std1")]
impl From<postwire_async_std::Transport> for AsyncSmtpTransport<lettre::AsyncStd1Executor> {
    fn from(transport: postwire_async_std::Transport) -> Self {
        Self(Ok(transport))
    }
}

// An implementation for each runtime, as in lettre: where there is one, a program need not name it.
macro_rules! transport_with {
    ($feature:literal, $executor:ty) => {
        #[cfg(feature = $feature)]
        #[async_trait]
        impl lettre::AsyncTransport for AsyncSmtpTransport<$executor> {
            type Ok = Response;
            type Error = Error;

            async fn send_raw(
                &self,
                envelope: &lettre::address::Envelope,
                email: &[u8],
            ) -> Result<Response, Error> {
                let message = super::outgoing(envelope, email)?;
                let sent = self.postwire()?.send(&message.envelope, message.body);
                super::response(sent.await)
            }

            async fn shutdown(&self) {
                if let Ok(transport) = &self.0 {
                    transport.shutdown().await;
                }
            }
        }
    };
}

transport_with!("tokio1", lettre::Tokio1Executor);
transport_with!("async-std1", lettre::AsyncStd1Executor);

impl<E: Executor> Clone for AsyncSmtpTransport<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Executor> fmt::Debug for AsyncSmtpTransport<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncSmtpTransport").field(&self.0).finish()
    }
}

/// Configures an [`AsyncSmtpTransport`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AsyncSmtpTransportBuilder(Settings);

impl AsyncSmtpTransportBuilder {
    builder_methods!();

    /// Creates the transport without connecting. It may read the system's certificates.
    ///
    /// If the configuration is invalid, each send returns the error. [`try_build`](Self::try_build)
    /// returns it at once.
    pub fn build<E: Executor>(self) -> AsyncSmtpTransport<E> {
        AsyncSmtpTransport(self.0.build().map(Into::into))
    }

    /// Creates the transport without connecting.
    ///
    /// # Errors
    ///
    /// Why the configuration is invalid: the host, the port, the hello name or TLS.
    pub fn try_build<E: Executor>(self) -> Result<AsyncSmtpTransport<E>, Error> {
        Ok(AsyncSmtpTransport(Ok(self.0.build()?.into())))
    }
}
