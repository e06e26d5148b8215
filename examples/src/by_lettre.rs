//! `lettre`'s transport traits over postwire: a program that sends through a
//! `lettre::Transport` can use one of these instead of its `SmtpTransport`.

use async_trait::async_trait;
use bytes::Bytes;
use postwire_blocking::proto::{
    AddressError, Envelope, EnvelopeError, Recipients, Report, SendError,
};
use postwire_futures::Runtime;

/// A blocking postwire transport with lettre's trait.
#[derive(Clone, Debug)]
pub struct Blocking(pub postwire_blocking::Transport);

/// An async postwire transport with lettre's trait, on any runtime.
#[derive(Clone, Debug)]
pub struct Async<R: Runtime>(pub postwire_futures::Transport<R>);

/// Why a message was not accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address of the envelope is invalid.
    Address(AddressError),
    /// The envelope has no recipients.
    Envelope(EnvelopeError),
    /// The server did not accept the message.
    Send(Box<SendError>),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Envelope(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

fn envelope(envelope: &lettre::address::Envelope) -> Result<Envelope, Error> {
    let parse = |address: &lettre::Address| address.to_string().parse().map_err(Error::Address);
    let from = envelope.from().map(parse).transpose()?;
    let to = envelope.to().iter().map(parse);
    let to = to.collect::<Result<Vec<_>, _>>()?;
    let envelope = Envelope::new(from, to).map_err(Error::Envelope)?;
    // lettre has no result for a message that is accepted for some recipients only: all or
    // none.
    Ok(envelope.with_recipients(Recipients::All))
}

impl lettre::Transport for Blocking {
    type Ok = Report;
    type Error = Error;

    fn send_raw(&self, to: &lettre::address::Envelope, email: &[u8]) -> Result<Report, Error> {
        let sent = self.0.send(&envelope(to)?, Bytes::copy_from_slice(email));
        sent.map_err(|error| Error::Send(Box::new(error)))
    }
}

#[async_trait]
impl<R: Runtime> lettre::AsyncTransport for Async<R> {
    type Ok = Report;
    type Error = Error;

    async fn send_raw(
        &self,
        to: &lettre::address::Envelope,
        email: &[u8],
    ) -> Result<Report, Error> {
        let envelope = envelope(to)?;
        let sent = self.0.send(&envelope, Bytes::copy_from_slice(email));
        sent.await.map_err(|error| Error::Send(Box::new(error)))
    }
}
