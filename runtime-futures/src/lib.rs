//! The async adapter of postwire, which reads and writes concurrently over any `futures-io` stream
//! and with any [`Runtime`].
//!
//! Most programs use `postwire-tokio`, `postwire-smol` or `postwire-async-std`, which define aliases
//! of these types for their runtime. For another runtime, implement [`Runtime`]. For a single connection over a
//! stream of the program, use [`Connection::over`].
//!
//! This crate does not know what a reply means, when TLS begins or which connection sends which
//! message. That is decided in `postwire-proto`, `postwire-tls` and `postwire-transport`, which
//! all adapters share.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;
mod connection;
mod connector;
mod driver;
mod mailer;
mod runtime;
mod send;
mod socket;
mod source;

/// The buffers in which content is given without a copy.
pub use bytes;
pub use connection::Connection;
pub use connector::WithConnector;
pub use driver::Driver;
pub use postwire_transport::{self as transport, proto, tls};
pub use postwire_transport::{AsyncMailer, SendFuture, SocketOptions, StreamBody};
pub use runtime::Runtime;
pub use send::{SendAll, Transport};
pub use socket::Socket;
pub use source::{Chunks, chunks};
