//! Send mail over blocking sockets: TCP, Unix, or any `Read + Write`.
//!
//! ```no_run
//! use postwire_blocking::{Transport, proto::Credentials, proto::Envelope};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Transport::relay("mail.example.org")?
//!     .credentials(Credentials::new("alice", "correct horse"))
//!     .build()?;
//! let envelope = Envelope::new(
//!     Some("alice@example.org".parse()?),
//!     vec!["bob@example.net".parse()?],
//! )?;
//! if let Err(error) = transport.send(&envelope, "Subject: hello\r\n\r\nHello, Bob.\r\n") {
//!     eprintln!("{error}");
//!     for recipient in error.retry().recipients() {
//!         eprintln!("{recipient} is worth another try");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! This crate does not know what a reply means or when TLS begins. That is decided in
//! `postwire-proto` and `postwire-tls`, which all adapters share.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;
mod connection;
mod driver;
mod mailer;
mod send;
mod socket;
mod stream;

/// The buffers in which content is given without a copy.
pub use bytes;
pub use connection::Connection;
pub use driver::Driver;
pub use postwire_transport::adapter::{Chunks, chunks};
pub use postwire_transport::{self as transport, proto, tls};
pub use postwire_transport::{ConnectError, Mailer, StreamBody};
pub use send::{SendAll, Transport};
pub use socket::Socket;
pub use stream::Stream;
