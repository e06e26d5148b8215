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
//! For a server with the certificate of a private authority, add
//! `.tls_parameters(|tls| tls.add_root_certificate(root))` before `.build()`, where `root` is
//! `tls::Certificate::from_pem(&std::fs::read("ca.pem")?)?`, and `.port(…)` unless the port is 465.
//!
//! [`Transport::shutdown`] ends each connection by `QUIT`, as the protocol asks for. A program that
//! drops its transport instead loses no message that has its report.
//!
//! [`TransportBuilder`](transport::TransportBuilder) has the settings. The
//! [guides](https://docs.rs/postwire-guide) say which TLS mode to choose, what to do with a message that
//! was not accepted, how to test an application, and what each error means.
//!
//! This crate does not know what a reply means or when TLS begins. That is decided in
//! `postwire-proto` and `postwire-tls`, which all adapters share.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;
mod connection;
mod driver;
mod mailer;
mod park;
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
