//! Delivery status notifications (RFC 3461): which reports a sender wants, and what they name.
//!
//! Where the server lacks DSN, [`Notify`] is an error before `MAIL`: a program that asks for a
//! report would wait for one that never comes, or get one that it forbade. The others only say
//! what a report looks like: they are left out (RFC 3461 §5.2.2).

use alloc::string::String;
use core::fmt;
use core::ops::BitOr;
use core::str::FromStr;

use super::{MailParameter, Parameter, ParameterError, RcptParameter, Rule, xtext};
use crate::Address;

static DSN: Rule = Rule {
    extension: "DSN",
    check: None,
};

/// RFC 3461 §4.4, in octets on the wire.
const MAX_ENVELOPE_ID: usize = 100;
/// RFC 3461 §4.2, in octets on the wire.
const MAX_ORIGINAL_RECIPIENT: usize = 500;

/// `RET=`: how much of the message a report of failure brings back (RFC 3461 §4.3).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// `FULL`: all of it.
    Full,
    /// `HDRS`: its headers.
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

/// `ENVID=`: what reports name the message by (RFC 3461 §4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// An identifier of printable ASCII characters and blanks.
    ///
    /// # Errors
    ///
    /// There is another character in it, or none; or its encoded form, in which `+`, `=` and
    /// blanks take three octets, is longer than 100.
    pub fn new(identifier: &str) -> Result<Self, ParameterError> {
        let printable = |octet: u8| octet.is_ascii_graphic() || octet == b' ';
        if identifier.is_empty() || !identifier.bytes().all(printable) {
            return Err(ParameterError::Malformed {
                expected: "an envelope identifier of printable ascii characters",
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

    /// The identifier itself, not encoded.
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

/// As on the wire, in xtext.
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

/// `NOTIFY=`: what a recipient's reports are about (RFC 3461 §4.1).
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
    /// The message was delivered.
    pub const SUCCESS: Self = Self(1);
    /// It could not be.
    pub const FAILURE: Self = Self(2);
    /// It takes unusually long.
    pub const DELAY: Self = Self(4);

    /// Whether all of `other` is among it.
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

/// `ORCPT=`: the recipient as the sender first knew him, by whom reports name him (RFC 3461 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(String);

impl OriginalRecipient {
    /// A mailbox: of the type `rfc822`, or `utf-8` where it is beyond ASCII (RFC 6533 §3).
    ///
    /// # Errors
    ///
    /// The encoded form is longer than 500 octets.
    pub fn mailbox(address: &Address) -> Result<Self, ParameterError> {
        if address.is_ascii() {
            return Self::new("rfc822", address.as_str());
        }
        let mut value = String::from("utf-8;");
        for character in address.as_str().chars() {
            // RFC 6533 §3, utf-8-addr-xtext: what stands in a value without SMTPUTF8.
            if character.is_ascii_graphic() && !matches!(character, '+' | '=' | '\\') {
                value.push(character);
            } else {
                let code = alloc::format!("{:02X}", u32::from(character));
                value.extend(["\\x{", &code, "}"]);
            }
        }
        Self::bounded(value)
    }

    /// An address of another type, of printable ASCII characters and blanks.
    ///
    /// # Errors
    ///
    /// The type is no word, the address is empty or holds another character, or the encoded form
    /// is longer than 500 octets.
    pub fn new(address_type: &str, address: &str) -> Result<Self, ParameterError> {
        let printable = |octet: u8| octet.is_ascii_graphic() || octet == b' ';
        if !Parameter::is_keyword(address_type)
            || address.is_empty()
            || !address.bytes().all(printable)
        {
            return Err(ParameterError::Malformed {
                expected: "an address of printable ascii characters, and its type",
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

/// As on the wire.
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
        // RFC 6533 §3: the type `utf-8` has an encoding of its own, over xtext's characters.
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
    fn reasons_are_a_set() {
        let all = Notify::DELAY | Notify::FAILURE | Notify::SUCCESS;
        assert_eq!(all.to_string(), "SUCCESS,FAILURE,DELAY");
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
    }
}
