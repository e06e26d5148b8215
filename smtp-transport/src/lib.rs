//! The decisions above one connection, without a socket: where the server is, how it is
//! reached, which connection takes which message, and what is retried.
//!
//! A [`TransportBuilder`] creates a [`TransportConfig`], or any transport that is created from
//! one. The adapters (`postwire-blocking`, `postwire-futures` and those for a runtime) are such
//! transports: they open sockets, move bytes and wait, and decide nothing. What they carry out is
//! the module [`adapter`].
//!
//! ```
//! use postwire_transport::{TransportBuilder, TransportConfig};
//!
//! let config: TransportConfig = TransportBuilder::from_url("smtp://localhost?tls=none")?.build()?;
//! assert_eq!((config.host(), config.port()), ("localhost", 25));
//! # Ok::<(), postwire_transport::ConfigError>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod adapter;
mod batch;
mod builder;
mod chunk_buffer;
mod config;
mod constructors;
mod credentials;
mod dispatch;
mod error;
mod flow;
mod mailer;
mod observe;
#[cfg(any(feature = "lettre", feature = "mail-builder"))]
mod outgoing;
mod pool;
mod reach;
#[cfg(feature = "serde")]
mod serialization;
mod session;
mod source;
mod stream_body;
mod sync;
mod url;

pub use builder::TransportBuilder;
pub use config::{SocketOptions, TransportConfig};
pub use credentials::CredentialsSource;
pub use error::ConfigError;
pub use mailer::{AsyncMailer, Mailer, SendFuture};
#[cfg(any(feature = "lettre", feature = "mail-builder"))]
pub use outgoing::{Outgoing, OutgoingError};
pub use pool::{Counters, PoolConfig};
/// The TLS layer: modes, parameters, certificates, and client and server connections.
pub use postwire_tls as tls;
/// The protocol itself: envelopes, bodies, reports, the session.
pub use postwire_tls::proto;
pub use reach::ConnectError;
pub use session::Session;
pub use stream_body::StreamBody;
pub use url::{ServerUrl, UrlError, UrlPart};
