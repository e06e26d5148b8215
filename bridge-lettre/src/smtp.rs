//! lettre's SMTP side: its names, each translated to postwire's.
//!
//! Knows both vocabularies. Must never know a rule of the protocol, or how octets are moved.

#[cfg(any(feature = "tokio1", feature = "async-std1"))]
mod async_transport;
pub mod authentication;
mod blocking;
mod builder;
pub mod client;
mod error;
pub mod extension;
mod pool;
pub mod response;

#[cfg(any(feature = "tokio1", feature = "async-std1"))]
pub use async_transport::{AsyncSmtpTransport, AsyncSmtpTransportBuilder, Executor};
pub use blocking::{SmtpTransport, SmtpTransportBuilder};
pub use error::Error;
pub use pool::PoolConfig;

use postwire_blocking::proto::{Recipients, Report, SendError};
use postwire_blocking::transport::Outgoing;

use response::Response;

/// The port of [`SmtpTransport::unencrypted_localhost`].
pub const SMTP_PORT: u16 = 25;
/// The port of [`SmtpTransport::starttls_relay`].
pub const SUBMISSION_PORT: u16 = 587;
/// The port of [`SmtpTransport::relay`].
pub const SUBMISSIONS_PORT: u16 = 465;

/// The message as a transport of postwire sends it. lettre has no result for a message that is
/// accepted for some recipients only: all or none.
fn outgoing(envelope: &lettre::address::Envelope, email: &[u8]) -> Result<Outgoing, Error> {
    let outgoing = Outgoing::from_lettre_envelope(envelope, email.to_vec())?;
    Ok(Outgoing {
        envelope: outgoing.envelope.with_recipients(Recipients::All),
        ..outgoing
    })
}

fn response(sent: Result<Report, SendError>) -> Result<Response, Error> {
    Ok(Response::of(&sent?))
}
