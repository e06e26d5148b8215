//! Messages of other crates, with the envelope that their own fields give: `lettre` and
//! `mail-builder`, each behind the feature of its name.
//!
//! Knows which fields name the sender and the recipients, and that Bcc is not sent. Must never
//! build or change any other field.

#[cfg(feature = "lettre")]
mod by_lettre;
#[cfg(feature = "mail-builder")]
mod by_mail_builder;

use core::error::Error;
use core::fmt;

use postwire_proto::{AddressError, Body, Envelope, EnvelopeError};

/// A message of another crate, ready to be sent: its envelope and its content.
///
/// Created from a `&lettre::Message` (feature `lettre`) or from a `mail_builder::MessageBuilder`
/// (feature `mail-builder`). The envelope comes from the fields of the message: the reverse-path
/// from Sender, or else from From, and the recipients from To, Cc and Bcc. The content has no Bcc
/// field.
///
/// Like everywhere, the message goes to each recipient that the server accepts
/// ([`Recipients::Any`](postwire_proto::Recipients::Any)), unless the program changes the
/// envelope.
#[cfg_attr(
    feature = "mail-builder",
    doc = r#"
```
use mail_builder::MessageBuilder;
use postwire_transport::Outgoing;

let message = MessageBuilder::new()
    .from(("Alice", "alice@example.org"))
    .to("bob@example.net")
    .bcc("carol@example.com")
    .subject("hello")
    .text_body("Hello, Bob.");
let outgoing = Outgoing::try_from(message)?;
assert_eq!(outgoing.envelope.forward_paths().len(), 2);
// transport.send(&outgoing.envelope, outgoing.body)
# Ok::<(), postwire_transport::OutgoingError>(())
```
"#
)]
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The sender and the recipients.
    pub envelope: Envelope,
    /// The content, without a Bcc field.
    pub body: Body,
}

/// Why a message of another crate has no valid envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutgoingError {
    /// An address is invalid. The first value is the address.
    Address(String, AddressError),
    /// The message has no recipients.
    Envelope(EnvelopeError),
    /// The field From has several addresses, and there is no field Sender (RFC 5322 §3.6.2).
    SeveralSenders,
    /// The field of this name does not consist of addresses, for example because the program
    /// gave it as text.
    NotAddresses(String),
    /// The message cannot be written. The value is the reason.
    Write(String),
}

impl fmt::Display for OutgoingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address, error) => write!(f, "the address {address:?}: {error}"),
            Self::Envelope(error) => error.fmt(f),
            Self::SeveralSenders => {
                f.write_str("the message has several addresses in From and no field Sender")
            }
            Self::NotAddresses(field) => {
                write!(f, "the field {field} does not consist of addresses")
            }
            Self::Write(reason) => write!(f, "the message cannot be written: {reason}"),
        }
    }
}

/// `Display` shows the inner error completely, so there is no source.
impl Error for OutgoingError {}

fn address(text: &str) -> Result<postwire_proto::Address, OutgoingError> {
    text.parse()
        .map_err(|error| OutgoingError::Address(text.to_owned(), error))
}

fn is_bcc(field: &str) -> bool {
    field.eq_ignore_ascii_case("bcc")
}
