//! Delivery status notifications (RFC 3461): which reports a sender wants, and what they
//! contain.
//!
//! Without DSN at the server, [`Notify`] fails before `MAIL`: a program that requests a report
//! would wait for one that never comes, or get one that it did not want. The other parameters
//! only affect what a report contains: they are left out (RFC 3461 §5.2.2).

use alloc::string::String;
use core::fmt;
use core::ops::BitOr;
use core::str::FromStr;

use super::{MailParameter, Parameter, ParameterError, ParameterRule, RcptParameter, xtext};
use crate::Address;

static DSN: ParameterRule = ParameterRule {
    extension: "DSN",
    check: None,
};

/// RFC 3461 §4.4, in octets on the wire.
const MAX_ENVELOPE_ID: usize = 100;
/// RFC 3461 §4.2, in octets on the wire.
const MAX_ORIGINAL_RECIPIENT: usize = 500;

/// `RET=`: how much of the message a failure report returns (RFC 3461 §4.3).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// `FULL`: the whole message.
    Full,
    /// `HDRS`: only the header section.
    Headers,
}

impl From<Return> for MailParameter {
    fn from(value: Return) -> Self {
        Parameter::known(&DSN, true, "RET", Some(format_args!("{value}"))).into()
    }
}

impl fmt::Display for Return {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl FromStr for Return {
    type Err = ParameterError;

    fn from_str(value: &str) -> Result<Self, ParameterError> {
        match value {
            _ if value.eq_ignore_ascii_case("FULL") => Ok(Self::Full),
            _ if value.eq_ignore_ascii_case("HDRS") => Ok(Self::Headers),
            _ => Err(ParameterError::Malformed {
                expected: "FULL or HDRS",
            }),
        }
    }
}

/// `ENVID=`: the identifier of the message in reports (RFC 3461 §4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// Creates an identifier from printable ASCII characters and blanks.
    ///
    /// # Errors
    ///
    /// Returns an error if the identifier is empty or contains another character, or if its
    /// encoded form, in which `+`, `=` and blanks take three octets, is longer than 100 octets.
    pub fn new(identifier: &str) -> Result<Self, ParameterError> {
        let printable = |octet: u8| octet.is_ascii_graphic() || octet == b' ';
        if identifier.is_empty() || !identifier.bytes().all(printable) {
            return Err(ParameterError::Malformed {
                expected: "an envelope identifier of printable ASCII characters",
            });
        }
        let encoded = xtext::encode(identifier);
        if encoded.len() > MAX_ENVELOPE_ID {
            return Err(ParameterError::TooLong {
                limit: MAX_ENVELOPE_ID,
            });
        }
        Ok(Self(encoded))
    }

    /// The identifier in its decoded form.
    pub fn decoded(&self) -> String {
        let octets = xtext::decode(&self.0).unwrap_or_default();
        String::from_utf8(octets).unwrap_or_default()
    }
}

impl From<EnvelopeId> for MailParameter {
    fn from(value: EnvelopeId) -> Self {
        Parameter::known(&DSN, true, "ENVID", Some(format_args!("{value}"))).into()
    }
}

/// Shows the value as on the wire, in xtext.
impl fmt::Display for EnvelopeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads the value as on the wire, in xtext.
impl FromStr for EnvelopeId {
    type Err = ParameterError;

    fn from_str(value: &str) -> Result<Self, ParameterError> {
        let decoded = xtext::decode(value).and_then(|octets| String::from_utf8(octets).ok());
        Self::new(&decoded.unwrap_or_default())
    }
}

/// `NOTIFY=`: the events that a recipient's reports cover (RFC 3461 §4.1).
///
/// ```
/// use postwire_proto::Notify;
///
/// assert_eq!((Notify::SUCCESS | Notify::DELAY).to_string(), "SUCCESS,DELAY");
/// assert_eq!(Notify::NEVER.to_string(), "NEVER");
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notify(u8);

impl Notify {
    /// No reports at all.
    pub const NEVER: Self = Self(0);
    /// Report that the message was delivered.
    pub const SUCCESS: Self = Self(1);
    /// Report that the message could not be delivered.
    pub const FAILURE: Self = Self(2);
    /// Report that the delivery takes unusually long.
    pub const DELAY: Self = Self(4);

    /// Whether all events of `other` are included.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

const REASONS: [(Notify, &str); 3] = [
    (Notify::SUCCESS, "SUCCESS"),
    (Notify::FAILURE, "FAILURE"),
    (Notify::DELAY, "DELAY"),
];

impl BitOr for Notify {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<Notify> for RcptParameter {
    fn from(value: Notify) -> Self {
        Parameter::known(&DSN, false, "NOTIFY", Some(format_args!("{value}"))).into()
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return formatter.write_str("NEVER");
        }
        let reasons = REASONS.iter().filter(|(reason, _)| self.contains(*reason));
        for (position, (_, name)) in reasons.enumerate() {
            formatter.write_str(if position == 0 { "" } else { "," })?;
            formatter.write_str(name)?;
        }
        Ok(())
    }
}

impl FromStr for Notify {
    type Err = ParameterError;

    fn from_str(value: &str) -> Result<Self, ParameterError> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::NEVER);
        }
        value.split(',').try_fold(Self::NEVER, |before, word| {
            let mut reasons = REASONS.iter();
            match reasons.find(|(_, name)| word.eq_ignore_ascii_case(name)) {
                Some((reason, _)) => Ok(before | *reason),
                None => Err(ParameterError::Malformed {
                    expected: "NEVER, or some of SUCCESS, FAILURE and DELAY",
                }),
            }
        })
    }
}

/// `ORCPT=`: the recipient that the sender originally specified, named in reports (RFC 3461
/// §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(String);

impl OriginalRecipient {
    /// Creates the value from a mailbox, with the type `rfc822`, or `utf-8` if it is not ASCII
    /// (RFC 6533 §3).
    ///
    /// # Errors
    ///
    /// Returns an error if the encoded form is longer than 500 octets.
    pub fn mailbox(address: &Address) -> Result<Self, ParameterError> {
        if address.is_ascii() {
            return Self::new("rfc822", address.as_str());
        }
        let mut value = String::from("utf-8;");
        for character in address.as_str().chars() {
            // RFC 6533 §3, utf-8-addr-xtext: the characters allowed in a value without
            // SMTPUTF8.
            if character.is_ascii_graphic() && !matches!(character, '+' | '=' | '\\') {
                value.push(character);
            } else {
                let code = alloc::format!("{:02X}", u32::from(character));
                value.extend(["\\x{", &code, "}"]);
            }
        }
        Self::bounded(value)
    }

    /// Creates the value from an address of another type, in printable ASCII characters and
    /// blanks.
    ///
    /// # Errors
    ///
    /// Returns an error if the type is not a word, if the address is empty or contains another
    /// character, or if the encoded form is longer than 500 octets.
    pub fn new(address_type: &str, address: &str) -> Result<Self, ParameterError> {
        let printable = |octet: u8| octet.is_ascii_graphic() || octet == b' ';
        if !Parameter::is_keyword(address_type)
            || address.is_empty()
            || !address.bytes().all(printable)
        {
            return Err(ParameterError::Malformed {
                expected: "an address of printable ASCII characters, and its type",
            });
        }
        Self::bounded(alloc::format!("{address_type};{}", xtext::encode(address)))
    }

    fn bounded(value: String) -> Result<Self, ParameterError> {
        if value.len() > MAX_ORIGINAL_RECIPIENT {
            return Err(ParameterError::TooLong {
                limit: MAX_ORIGINAL_RECIPIENT,
            });
        }
        Ok(Self(value))
    }

    /// The type of the address, such as `rfc822`.
    pub fn address_type(&self) -> &str {
        self.0.split_once(';').map_or("", |(kind, _)| kind)
    }
}

impl From<OriginalRecipient> for RcptParameter {
    fn from(value: OriginalRecipient) -> Self {
        Parameter::known(&DSN, true, "ORCPT", Some(format_args!("{value}"))).into()
    }
}

/// Shows the value as on the wire.
impl fmt::Display for OriginalRecipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads the value as on the wire.
impl FromStr for OriginalRecipient {
    type Err = ParameterError;

    fn from_str(value: &str) -> Result<Self, ParameterError> {
        let malformed = ParameterError::Malformed {
            expected: "a type, a semicolon and an address in xtext",
        };
        let (kind, address) = value.split_once(';').ok_or(malformed)?;
        // RFC 6533 §3: the type `utf-8` has an encoding of its own, using the characters of
        // xtext.
        let is_address = if kind.eq_ignore_ascii_case("utf-8") {
            !address.is_empty() && address.bytes().all(|o| o.is_ascii_graphic() && o != b'=')
        } else {
            xtext::decode(address).is_some_and(|decoded| !decoded.is_empty())
        };
        if !Parameter::is_keyword(kind) || !is_address {
            return Err(malformed);
        }
        Self::bounded(String::from(value))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_envelope_identifier_is_bounded_and_encoded() {
        let identifier = EnvelopeId::new("a+b c").expect("printable");
        assert_eq!(identifier.to_string(), "a+2Bb+20c");
        assert_eq!("a+2Bb+20c".parse(), Ok(identifier.clone()));
        assert_eq!(identifier.decoded(), "a+b c");
        assert!(EnvelopeId::new(&"x".repeat(100)).is_ok());
        for wrong in ["", "a\r\nb", "\u{e9}", &"x".repeat(101), &"+".repeat(34)] {
            assert!(EnvelopeId::new(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "+0D+0A", "+", "+C3+A9"] {
            assert!(wrong.parse::<EnvelopeId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn notify_reasons_are_a_set() {
        let all = Notify::DELAY | Notify::FAILURE | Notify::SUCCESS;
        assert_eq!(all.to_string(), "SUCCESS,FAILURE,DELAY");
        assert_eq!(all | Notify::DELAY, all);
        assert_eq!("delay,SUCCESS,Failure".parse(), Ok(all));
        assert_eq!("never".parse(), Ok(Notify::NEVER));
        for wrong in ["", ",", "NEVER,DELAY", "SUCCESS,", "ALWAYS"] {
            assert!(wrong.parse::<Notify>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_original_recipient_has_a_type() {
        let address: Address = "a+b@example.org".parse().expect("an address");
        let recipient = OriginalRecipient::mailbox(&address).expect("short");
        assert_eq!(recipient.to_string(), "rfc822;a+2Bb@example.org");
        assert_eq!(recipient.to_string().parse(), Ok(recipient));
        let address: Address = "b\u{fc}@example.org".parse().expect("an address");
        let recipient = OriginalRecipient::mailbox(&address).expect("short");
        assert_eq!(recipient.to_string(), "utf-8;b\\x{FC}@example.org");
        assert_eq!(recipient.address_type(), "utf-8");
        assert_eq!(recipient.to_string().parse(), Ok(recipient));
        for wrong in ["", "x", ";x", "rfc822;", "rfc822;+zz", "a b;x", "utf-8;"] {
            assert!(wrong.parse::<OriginalRecipient>().is_err(), "{wrong:?}");
        }
        assert!(OriginalRecipient::new("x", &"y".repeat(500)).is_err());
        assert!(OriginalRecipient::new("x", "a\r\nb").is_err());
        assert!(OriginalRecipient::new("x", &"y".repeat(498)).is_ok());
        assert!(OriginalRecipient::new("x", &"y".repeat(499)).is_err());
        assert!("utf-8;a=b".parse::<OriginalRecipient>().is_err());
    }
}
