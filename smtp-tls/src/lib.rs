//! SMTP over TLS, without a socket.
//!
//! [`Connection`] is the client session of `postwire-proto` inside the rustls session that the
//! [`Tls`] mode requires: bytes as on the wire go in and out. An adapter moves these bytes
//! between the connection and a socket; your own event loop can do so in a dozen lines. The guide
//! [`embedding`](https://docs.rs/postwire-guide/latest/postwire_guide/embedding/) has a whole program that
//! connects, logs in and sends.
//!
//! ```
//! use std::sync::Arc;
//!
//! use postwire_tls::proto::{ClientConfig, Clock, Credentials, Endpoint, Security};
//! use postwire_tls::{Connection, Tls, TlsParameters};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // With `add_root_certificate(Certificate::from_pem(pem)?)` for an authority of your own.
//! let parameters = TlsParameters::builder("mail.example.org").build()?;
//! // The mode of a connection is that of its `Tls`; without one the configuration's would count.
//! let config = ClientConfig::without_hello_name(Security::Wrapper)
//!     .credentials(Credentials::new("alice", "correct horse"));
//! let mut connection = Connection::new(&Arc::new(config), &Tls::Wrapper(parameters));
//! // EHLO has this end's address of the socket: `stream.local_addr()?.ip()`.
//! connection.set_local_address("192.0.2.1".parse()?);
//!
//! // What the socket is given first: the beginning of a TLS handshake.
//! let mut octets = [0; 3];
//! bytes::Buf::copy_to_slice(&mut connection.output(), &mut octets);
//! assert_eq!(octets, [22, 3, 1]);
//! // What it brings then goes to `handle_input`, with the time.
//! let clock = Clock::new();
//! connection.handle_eof(clock.now());
//! assert!(connection.is_closed());
//! # Ok(())
//! # }
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
mod session;
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
