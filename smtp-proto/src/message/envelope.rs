//! The envelope: the sender, the recipients, whether some recipients are enough, and parameters
//! for the server.
//!
//! Knows what RFC 5321 §2.3.1 calls the envelope. Must never know the message's content or
//! headers, or take an address from them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::message::parameters::EnvelopeParameters;
use crate::{Address, AddressError, MailParameter, Parameter, RcptParameter};

/// What happens to a message when the server refuses some of its recipients.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Recipients {
    /// The message goes to every recipient that is accepted, if there is any.
    #[default]
    Any,
    /// The message goes to all recipients or to none: after one refusal it is not sent.
    ///
    /// In LMTP this holds for refusals before the content only: the server then decides for each
    /// recipient (RFC 2033 §4.2), and the report may be partial.
    All,
}

/// The sender and the recipients of one message: its reverse-path and forward-paths (RFC 5321
/// §2.3.1). Cheap to clone.
///
/// Recipients keep their order and are not de-duplicated: each entry gets its own `RCPT` and
/// its own entry in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    reverse_path: Option<Address>,
    forward_paths: Arc<[Address]>,
    /// Whether all addresses are ASCII, which each transaction of the message needs to know.
    is_ascii: bool,
    recipients: Recipients,
    /// `None` for most envelopes, which then share no allocation.
    parameters: Option<Arc<EnvelopeParameters>>,
}

impl Envelope {
    /// Creates an envelope with the rule [`Recipients::Any`]. Without a reverse-path it is the
    /// null path, `<>`, which delivery reports use (RFC 5321 §4.5.5).
    ///
    /// # Errors
    ///
    /// Returns [`EnvelopeError::NoRecipients`] if there is no recipient.
    pub fn new(
        reverse_path: Option<Address>,
        forward_paths: Vec<Address>,
    ) -> Result<Self, EnvelopeError> {
        if forward_paths.is_empty() {
            return Err(EnvelopeError::NoRecipients);
        }
        Ok(Self {
            is_ascii: all_ascii(reverse_path.as_ref(), &forward_paths),
            reverse_path,
            forward_paths: forward_paths.into(),
            recipients: Recipients::default(),
            parameters: None,
        })
    }

    /// Reads a reverse-path as users write it: an address, or `<>` or an empty text for the
    /// null path.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is neither.
    pub fn parse_reverse_path(text: &str) -> Result<Option<Address>, AddressError> {
        match text {
            "" | "<>" => Ok(None),
            address => address.parse().map(Some),
        }
    }

    /// Sets what happens when the server refuses some recipients.
    #[must_use]
    pub fn with_recipients(self, recipients: Recipients) -> Self {
        Self { recipients, ..self }
    }

    /// Adds a parameter to `MAIL`, replacing one with the same keyword.
    ///
    /// The type of the parameter decides what happens if the server does not offer its
    /// extension: the message is not sent
    /// ([`ExtensionNotOffered`](crate::ErrorKind::ExtensionNotOffered)), or the parameter is
    /// left out. [`optional`](MailParameter::optional) and
    /// [`required`](MailParameter::required) override this.
    ///
    /// ```
    /// use postwire_proto::{EnvelopeId, Envelope, MtPriority, Notify, Parameter, Return};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let envelope = Envelope::new(Some("a@example.org".parse()?), vec!["b@example.net".parse()?])?
    ///     .with_parameter(Return::Headers)
    ///     .with_parameter(EnvelopeId::new("QQ314159")?)
    ///     .with_parameter(MtPriority::new(3)?)
    ///     .with_parameter("XFOO=bar".parse::<Parameter>()?)
    ///     .with_parameter_for_all(Notify::FAILURE)
    ///     .with_recipient_parameter(0, Notify::FAILURE | Notify::DELAY)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_parameter(mut self, parameter: impl Into<MailParameter>) -> Self {
        let parameter = parameter.into().into_parameter();
        self.added_parameters_mut().add(parameter);
        self
    }

    /// Adds a parameter to the `RCPT` of every recipient, replacing one with the same keyword.
    #[must_use]
    pub fn with_parameter_for_all(mut self, parameter: impl Into<RcptParameter>) -> Self {
        let parameter = parameter.into().into_parameter();
        self.added_parameters_mut().add_for_all(parameter);
        self
    }

    /// Adds a parameter to the `RCPT` of one recipient, given by its position among the
    /// forward-paths. It takes precedence over a parameter [for
    /// all](Self::with_parameter_for_all).
    ///
    /// # Errors
    ///
    /// Returns [`EnvelopeError::NoSuchRecipient`] if there is no recipient at this position.
    pub fn with_recipient_parameter(
        mut self,
        recipient: usize,
        parameter: impl Into<RcptParameter>,
    ) -> Result<Self, EnvelopeError> {
        if recipient >= self.forward_paths.len() {
            return Err(EnvelopeError::NoSuchRecipient { recipient });
        }
        let parameter = parameter.into().into_parameter();
        self.added_parameters_mut().add_for(recipient, parameter);
        Ok(self)
    }

    fn added_parameters_mut(&mut self) -> &mut EnvelopeParameters {
        Arc::make_mut(self.parameters.get_or_insert_default())
    }

    /// The address to which failures are reported; `None` is the null reverse-path.
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

    /// The parameters that were added to `MAIL`.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.added_parameters()
            .into_iter()
            .flat_map(EnvelopeParameters::of_mail)
    }

    /// The parameters that were added to the `RCPT` of this recipient.
    pub fn recipient_parameters(&self, recipient: usize) -> impl Iterator<Item = &Parameter> {
        let parameters = self.added_parameters().into_iter();
        parameters.flat_map(move |parameters| parameters.of_rcpt(recipient))
    }

    /// Returns the envelope with only the recipients at these positions, and their parameters.
    #[must_use]
    pub fn with_recipients_at(&self, recipients: &[usize]) -> Self {
        let paths = recipients
            .iter()
            .filter_map(|at| self.forward_paths.get(*at));
        let forward_paths: Arc<[Address]> = paths.cloned().collect();
        Self {
            is_ascii: all_ascii(self.reverse_path.as_ref(), &forward_paths),
            reverse_path: self.reverse_path.clone(),
            forward_paths,
            recipients: self.recipients,
            parameters: self
                .added_parameters()
                .map(|parameters| Arc::new(parameters.with_recipients_at(recipients))),
        }
    }

    /// The envelope with other forms of its addresses, in the same order.
    pub(crate) fn with_addresses(
        self,
        reverse_path: Option<Address>,
        forward_paths: Vec<Address>,
    ) -> Self {
        Self {
            is_ascii: all_ascii(reverse_path.as_ref(), &forward_paths),
            reverse_path,
            forward_paths: forward_paths.into(),
            ..self
        }
    }

    pub(crate) fn added_parameters(&self) -> Option<&EnvelopeParameters> {
        self.parameters.as_deref()
    }

    /// Whether all addresses can be sent unchanged to a server without SMTPUTF8 (RFC 6531
    /// §3.3).
    pub fn is_ascii(&self) -> bool {
        self.is_ascii
    }
}

fn all_ascii(reverse_path: Option<&Address>, forward_paths: &[Address]) -> bool {
    reverse_path
        .into_iter()
        .chain(forward_paths)
        .all(Address::is_ascii)
}

/// Why an envelope is not valid.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The envelope has no recipient.
    NoRecipients,
    /// A parameter was added to a recipient that does not exist.
    NoSuchRecipient {
        /// The position that was given.
        recipient: usize,
    },
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecipients => formatter.write_str("the envelope has no recipients"),
            Self::NoSuchRecipient { recipient } => {
                write!(
                    formatter,
                    "the envelope has no recipient at position {recipient}"
                )
            }
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
    fn one_non_ascii_address_makes_the_envelope_non_ascii() {
        let plain = Envelope::new(None, vec![address("a@b")]).expect("recipients");
        assert!(plain.is_ascii());
        let sender = Envelope::new(Some(address("\u{e9}@b")), vec![address("a@b")]);
        assert!(!sender.expect("recipients").is_ascii());
        let recipient = Envelope::new(None, vec![address("a@b"), address("a@\u{e9}.b")]);
        assert!(!recipient.expect("recipients").is_ascii());
    }

    #[test]
    fn a_parameter_belongs_to_a_recipient_that_exists() {
        let envelope = Envelope::new(None, vec![address("a@b"), address("c@d")]).expect("valid");
        assert_eq!(envelope.parameters().count(), 0);
        let asked = envelope
            .clone()
            .with_parameter_for_all(crate::Notify::FAILURE)
            .with_recipient_parameter(1, crate::Notify::NEVER)
            .expect("the second recipient");
        let of = |recipient| asked.recipient_parameters(recipient).map(Parameter::as_str);
        assert_eq!(of(0).collect::<Vec<_>>(), ["NOTIFY=FAILURE"]);
        assert_eq!(of(1).collect::<Vec<_>>(), ["NOTIFY=NEVER"]);
        assert_eq!(
            envelope.with_recipient_parameter(2, crate::Notify::NEVER),
            Err(EnvelopeError::NoSuchRecipient { recipient: 2 })
        );
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
