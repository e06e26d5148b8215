//! The decisions above one connection, without a socket: where the server is, how it is
//! reached, which connection takes which message, and what is retried.
//!
//! A [`TransportBuilder`] creates a [`TransportConfig`], or any transport that is created from
//! one. The adapters (`postwire-blocking`, `postwire-futures` and those for a runtime) are such
//! transports: they open sockets, move bytes and wait, and decide nothing.
//!
//! ```
//! use postwire_transport::{TransportBuilder, TransportConfig};
//!
//! let config: TransportConfig = TransportBuilder::from_url("smtp://localhost?tls=none")?.build()?;
//! assert_eq!((config.host(), config.port()), ("localhost", 25));
//! # Ok::<(), postwire_transport::ConfigError>(())
//! ```

mod batch;
mod builder;
mod chunk_buffer;
mod config;
mod credentials;
mod error;
mod kept_events;
mod pool;
mod reach;
mod url;

pub use batch::{Batch, BatchStep};
pub use builder::TransportBuilder;
pub use chunk_buffer::ChunkBuffer;
pub use config::{SocketOptions, TransportConfig};
pub use credentials::{CredentialsFuture, CredentialsSource};
pub use error::ConfigError;
pub use kept_events::KeptEvents;
pub use pool::{
    Pool, PoolAction, PoolConfig, PoolConnectionId, PoolEffects, PoolGrant, PoolShelf, PoolTicket,
    deserves_a_fresh_connection, server_has_no_room,
};
/// The TLS layer: modes, parameters, certificates, and client and server connections.
pub use postwire_tls as tls;
pub use postwire_tls::proto;
pub use reach::{ATTEMPT_DELAY, AddressRace, ConnectError, RaceStep, connection_order};
pub use url::{ServerUrl, UrlError, UrlPart};
