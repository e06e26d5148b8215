//! SMTP over TLS, without a socket.
//!
//! [`Connection`] is the client session of `postwire-proto` inside the rustls session that the
//! [`Tls`] mode requires: bytes as on the wire go in and out. An adapter moves these bytes
//! between the connection and a socket; your own event loop can do so in a dozen lines.
//!
//! ```
//! use std::sync::Arc;
//!
//! use postwire_tls::proto::{ClientConfig, Clock, Endpoint, HelloName, Security};
//! use postwire_tls::{Connection, Tls};
//!
//! let config = ClientConfig::new(HelloName::localhost(), Security::None);
//! let mut connection = Connection::new(&Arc::new(config), &Tls::None);
//! let clock = Clock::new();
//!
//! // What a socket would bring; then what it would be given.
//! connection.handle_input(clock.now(), b"220 mail.example.org ESMTP\r\n");
//! assert_eq!(bytes::Buf::chunk(&connection.output()), b"EHLO [127.0.0.1]\r\n");
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod added_certificate;
mod certificate;
mod channel_binding;
mod connection;
mod der;
mod error;
mod failure;
mod layer;
mod parameters;
#[cfg(feature = "server")]
mod server_connection;
mod server_parameters;
mod tls;
mod verifier;

pub use certificate::{Certificate, CertificateStore, Identity};
pub use connection::Connection;
pub use error::TlsError;
pub use failure::{TlsFailure, TlsFailureKind};
pub use layer::Truncated;
pub use parameters::{
    TlsParameters, TlsParametersBuilder, TlsVersion, server_name, without_brackets,
};
/// The protocol core: envelopes, bodies, reports and sessions.
pub use postwire_proto as proto;
/// The server session inside [`ServerConnection`].
#[cfg(feature = "server")]
pub use postwire_server as server;
/// The TLS library, for finished configurations and certificate types.
pub use rustls;
#[cfg(feature = "server")]
pub use server_connection::{ServerConnection, ServerTls};
pub use server_parameters::ServerTlsParameters;
pub use tls::Tls;
