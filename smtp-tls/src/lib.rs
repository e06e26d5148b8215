//! SMTP over TLS, without a socket.
//!
//! [`Connection`] is the client session of `postwire-proto` inside the rustls session that the
//! [`Tls`] mode requires: bytes as on the wire go in and out. An adapter moves these bytes
//! between the connection and a socket; your own event loop can do so in a dozen lines.
//!
//! ```
//! use postwire_tls::proto::{Clock, Endpoint, Event};
//! use postwire_tls::{Connection, TransportBuilder, TransportConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config: TransportConfig = TransportBuilder::unencrypted_localhost().build()?;
//! let mut connection = Connection::new(&config.client_config(), config.tls());
//! let clock = Clock::new();
//!
//! // What a socket would bring; then what it would be given.
//! connection.handle_input(clock.now(), b"220 mail.example.org ESMTP\r\n");
//! assert_eq!(bytes::Buf::chunk(&connection.output()), b"EHLO [127.0.0.1]\r\n");
//! # Ok(())
//! # }
//! ```

mod addresses;
mod builder;
mod certificate;
mod channel_binding;
mod chunk_buffer;
mod config;
mod connection;
mod credentials_source;
mod der;
mod error;
mod failure;
mod given;
mod kept_events;
mod parameters;
mod secured;
#[cfg(feature = "server")]
mod server_connection;
mod server_parameters;
mod tls;
mod url;
mod verifier;

pub use addresses::{ATTEMPT_DELAY, AddressRace, ConnectError, RaceStep, connection_order};
pub use builder::TransportBuilder;
pub use certificate::{Certificate, CertificateStore, Identity};
pub use chunk_buffer::ChunkBuffer;
pub use config::{SocketOptions, TransportConfig};
pub use connection::Connection;
pub use credentials_source::{CredentialsFuture, CredentialsSource};
pub use error::{ConfigError, TlsError};
pub use failure::{TlsFailure, TlsFailureKind};
pub use kept_events::KeptEvents;
pub use parameters::{TlsParameters, TlsParametersBuilder, TlsVersion};
/// The protocol core: envelopes, bodies, reports and sessions.
pub use postwire_proto as proto;
/// The TLS library, for finished configurations and certificate types.
pub use rustls;
pub use secured::Truncated;
#[cfg(feature = "server")]
pub use server_connection::{ServerConnection, ServerTls};
pub use server_parameters::ServerTlsParameters;
pub use tls::Tls;
pub use url::{ServerUrl, UrlError, UrlPart};
