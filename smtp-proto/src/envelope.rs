//! The envelope: from whom, to whom, and whether some recipients are enough.
//!
//! Knows what RFC 5321 §2.3.1 calls the envelope. Must never know the message's content or
//! headers, nor take an address from them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::{Address, AddressError};

/// To whom a message goes when the server refuses some of its recipients.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Recipients {
    /// To whoever was accepted, if anyone was.
    #[default]
    Any,
    /// To all or to nobody: one refusal and the message is not sent.
    All,
}

/// The reverse-path and the forward-paths of one message (RFC 5321 §2.3.1). Cheap to clone.
///
/// Recipients keep their order and are not de-duplicated: each entry gets its own `RCPT` and
/// its own place in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    reverse_path: Option<Address>,
    forward_paths: Arc<[Address]>,
    recipients: Recipients,
}

impl Envelope {
    /// An envelope to whoever is accepted. No reverse-path is the null one, `<>`, as delivery
    /// reports have (RFC 5321 §4.5.5).
    ///
    /// # Errors
    ///
    /// There is no recipient.
    pub fn new(
        reverse_path: Option<Address>,
        forward_paths: Vec<Address>,
    ) -> Result<Self, EnvelopeError> {
        if forward_paths.is_empty() {
            return Err(EnvelopeError::NoRecipients);
        }
        Ok(Self {
            reverse_path,
            forward_paths: forward_paths.into(),
            recipients: Recipients::default(),
        })
    }

    /// Reads a reverse-path as users write it: an address, or `<>` or nothing for the null one.
    ///
    /// # Errors
    ///
    /// The text is neither of these.
    pub fn parse_reverse_path(text: &str) -> Result<Option<Address>, AddressError> {
        match text {
            "" | "<>" => Ok(None),
            address => address.parse().map(Some),
        }
    }

    /// The same envelope with this rule for refused recipients.
    #[must_use]
    pub fn with_recipients(self, recipients: Recipients) -> Self {
        Self { recipients, ..self }
    }

    /// Where failures are reported to; `None` is the null reverse-path.
    pub fn reverse_path(&self) -> Option<&Address> {
        self.reverse_path.as_ref()
    }

    /// The recipients, at least one.
    pub fn forward_paths(&self) -> &[Address] {
        &self.forward_paths
    }

    /// What happens when the server refuses some of the recipients.
    pub fn recipients(&self) -> Recipients {
        self.recipients
    }

    /// Whether all addresses can be sent to a server without SMTPUTF8 (RFC 6531 §3.3).
    pub fn is_ascii(&self) -> bool {
        self.reverse_path
            .iter()
            .chain(self.forward_paths.iter())
            .all(Address::is_ascii)
    }
}

/// Why paths make no envelope.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// There is nobody to send to.
    NoRecipients,
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecipients => formatter.write_str("the envelope has no recipients"),
        }
    }
}

impl core::error::Error for EnvelopeError {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect(text)
    }

    #[test]
    fn has_a_recipient_and_keeps_the_order() {
        assert_eq!(
            Envelope::new(None, vec![]),
            Err(EnvelopeError::NoRecipients)
        );
        let paths = vec![address("b@c"), address("a@c"), address("b@c")];
        let envelope = Envelope::new(Some(address("s@c")), paths.clone()).expect("recipients");
        assert_eq!(envelope.forward_paths(), paths);
        assert_eq!(envelope.recipients(), Recipients::Any);
        assert_eq!(
            envelope.with_recipients(Recipients::All).recipients(),
            Recipients::All
        );
    }

    #[test]
    fn one_address_beyond_ascii_is_enough() {
        let plain = Envelope::new(None, vec![address("a@b")]).expect("recipients");
        assert!(plain.is_ascii());
        let sender = Envelope::new(Some(address("\u{e9}@b")), vec![address("a@b")]);
        assert!(!sender.expect("recipients").is_ascii());
        let recipient = Envelope::new(None, vec![address("a@b"), address("a@\u{e9}.b")]);
        assert!(!recipient.expect("recipients").is_ascii());
    }

    #[test]
    fn reads_the_null_reverse_path() {
        assert_eq!(Envelope::parse_reverse_path(""), Ok(None));
        assert_eq!(Envelope::parse_reverse_path("<>"), Ok(None));
        assert_eq!(
            Envelope::parse_reverse_path("a@b"),
            Ok(Some(address("a@b")))
        );
        assert!(Envelope::parse_reverse_path("<a@b>").is_err());
    }
}
