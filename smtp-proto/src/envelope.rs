//! The envelope: from whom, to whom, whether some recipients are enough, and what else the
//! server is asked for.
//!
//! Knows what RFC 5321 §2.3.1 calls the envelope. Must never know the message's content or
//! headers, nor take an address from them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::parameters::Attached;
use crate::{Address, AddressError, MailParameter, Parameter, RcptParameter};

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
    /// Whether all addresses are, asked once for each transaction of the message.
    is_ascii: bool,
    recipients: Recipients,
    /// None for most: they share nothing then.
    parameters: Option<Arc<Attached>>,
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
            is_ascii: all_ascii(reverse_path.as_ref(), &forward_paths),
            reverse_path,
            forward_paths: forward_paths.into(),
            recipients: Recipients::default(),
            parameters: None,
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

    /// The same envelope with a parameter of `MAIL`, in the place of one with its keyword.
    ///
    /// Each type says what becomes of it where the server does not offer its extension: the
    /// message is not sent
    /// ([`ExtensionNotOffered`](crate::ErrorKind::ExtensionNotOffered)), or the parameter is
    /// left out. [`or_left_out`](MailParameter::or_left_out) and
    /// [`or_not_sent`](MailParameter::or_not_sent) say otherwise.
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
        self.attached_mut().add(parameter);
        self
    }

    /// The same envelope with a parameter of each recipient's `RCPT`, in the place of one with
    /// its keyword.
    #[must_use]
    pub fn with_parameter_for_all(mut self, parameter: impl Into<RcptParameter>) -> Self {
        let parameter = parameter.into().into_parameter();
        self.attached_mut().add_for_all(parameter);
        self
    }

    /// The same envelope with a parameter of the `RCPT` of one recipient, named by his position
    /// among the forward-paths. It takes precedence over one
    /// [for all](Self::with_parameter_for_all).
    ///
    /// # Errors
    ///
    /// There is no such recipient.
    pub fn with_recipient_parameter(
        mut self,
        recipient: usize,
        parameter: impl Into<RcptParameter>,
    ) -> Result<Self, EnvelopeError> {
        if recipient >= self.forward_paths.len() {
            return Err(EnvelopeError::NoSuchRecipient { recipient });
        }
        let parameter = parameter.into().into_parameter();
        self.attached_mut().add_for(recipient, parameter);
        Ok(self)
    }

    fn attached_mut(&mut self) -> &mut Attached {
        Arc::make_mut(self.parameters.get_or_insert_default())
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

    /// The parameters of `MAIL` that were added.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.attached().into_iter().flat_map(Attached::of_mail)
    }

    /// The parameters that were added for this recipient's `RCPT`.
    pub fn recipient_parameters(&self, recipient: usize) -> impl Iterator<Item = &Parameter> {
        let attached = self.attached().into_iter();
        attached.flat_map(move |attached| attached.of_rcpt(recipient))
    }

    /// This envelope with only the recipients at these positions, and their parameters.
    #[must_use]
    pub fn only(&self, recipients: &[usize]) -> Self {
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
                .attached()
                .map(|attached| Arc::new(attached.only(recipients))),
        }
    }

    /// The same envelope with other forms of the same addresses.
    pub(crate) fn with_paths(
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

    pub(crate) fn attached(&self) -> Option<&Attached> {
        self.parameters.as_deref()
    }

    /// Whether all addresses can be sent as they are to a server without SMTPUTF8 (RFC 6531 §3.3).
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

/// Why paths make no envelope.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// There is nobody to send to.
    NoRecipients,
    /// A parameter is for a recipient that there is not.
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
    fn one_address_beyond_ascii_is_enough() {
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
