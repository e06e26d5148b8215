//! Parameters of `MAIL` and `RCPT` (RFC 5321 §4.1.2) that a program may add to an envelope.
//!
//! Knows their syntax, which extension each belongs to, and what happens where the server does
//! not offer that extension. The rules of each extension are in its own file below; a new
//! extension is another such file. Must never know the transaction that a parameter is written
//! in, or the parameters that follow from the message itself (`SIZE`, `BODY`, `SMTPUTF8`).

mod deliver_by;
mod dsn;
mod error;
mod future_release;
mod mt_priority;
mod of_envelope;
mod require_tls;
mod xtext;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

pub use self::deliver_by::DeliverBy;
pub use self::dsn::{EnvelopeId, Notify, OriginalRecipient, Return};
pub use self::error::ParameterError;
pub use self::future_release::FutureRelease;
pub use self::mt_priority::MtPriority;
pub(crate) use self::of_envelope::EnvelopeParameters;
pub use self::require_tls::RequireTls;
use crate::{Capabilities, ErrorKind, TlsInfo};

/// Parameters that the client itself adds to `MAIL`, from the message and the capabilities.
const RESERVED: [&str; 3] = ["SIZE", "BODY", "SMTPUTF8"];

/// No extension lengthens a command line by more than about 500 octets for one parameter.
const MAX_PARAMETER: usize = 1_024;

/// A parameter for which this library has no type, such as `XFOO=bar`. At most 1,024 octets.
///
/// It is sent where the server offers its extension, which by default has the parameter's own
/// keyword. Where the server does not offer the extension, the message is not sent, unless the
/// parameter may be [left out](Self::optional). Cheap to clone.
///
/// ```
/// use postwire_proto::Parameter;
///
/// let parameter: Parameter = "XFOO=bar".parse()?;
/// assert_eq!((parameter.keyword(), parameter.value()), ("XFOO", Some("bar")));
/// // RFC 3865 §4: the parameter is not called as its extension is.
/// let soliciting: Parameter = "SOLICIT=org.example:ADV".parse()?;
/// let soliciting = soliciting.with_extension("NO-SOLICITING")?;
/// assert!("XFOO=two words".parse::<Parameter>().is_err());
/// # Ok::<(), postwire_proto::ParameterError>(())
/// ```
#[derive(Clone)]
pub struct Parameter {
    text: Arc<str>,
    /// The length of the keyword.
    keyword: usize,
    extension: Extension,
    /// Whether the message is sent without the parameter where the extension is not offered.
    optional: bool,
}

/// The extension that a server must offer.
#[derive(Clone)]
enum Extension {
    /// The extension with the parameter's own keyword.
    SameKeyword,
    Named(Arc<str>),
    Known(&'static ParameterRule),
}

type Check = fn(value: &str, server: ServerProperties<'_>) -> Result<(), ErrorKind>;

/// The properties of a supported extension.
pub(crate) struct ParameterRule {
    /// The keyword of the extension in the reply to `EHLO`.
    pub(crate) extension: &'static str,
    /// What else the RFC requires, if anything, before the parameter may be sent with this
    /// value.
    pub(crate) check: Option<Check>,
}

/// The server that a parameter is to be sent to.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ServerProperties<'a> {
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) tls: Option<&'a TlsInfo>,
}

impl Parameter {
    /// Creates a parameter of a supported extension, whose type has checked the syntax.
    fn known(
        rule: &'static ParameterRule,
        optional: bool,
        keyword: &str,
        value: Option<fmt::Arguments<'_>>,
    ) -> Self {
        Self {
            text: match value {
                Some(value) => format!("{keyword}={value}").into(),
                None => keyword.into(),
            },
            keyword: keyword.len(),
            extension: Extension::Known(rule),
            optional,
        }
    }

    /// Parses a parameter of a supported extension as its type does, and any other as it is.
    #[cfg(feature = "serde")]
    pub(crate) fn of_any_extension(text: &str) -> Result<Self, ParameterError> {
        let (keyword, value) = split(text);
        let given = value.unwrap_or_default();
        Ok(match keyword {
            "RET" => MailParameter::from(given.parse::<Return>()?).0,
            "ENVID" => MailParameter::from(given.parse::<EnvelopeId>()?).0,
            "NOTIFY" => RcptParameter::from(given.parse::<Notify>()?).0,
            "ORCPT" => RcptParameter::from(given.parse::<OriginalRecipient>()?).0,
            "BY" => MailParameter::from(given.parse::<DeliverBy>()?).0,
            "HOLDFOR" | "HOLDUNTIL" => MailParameter::from(text.parse::<FutureRelease>()?).0,
            "MT-PRIORITY" => MailParameter::from(given.parse::<MtPriority>()?).0,
            "REQUIRETLS" if value.is_none() => MailParameter::from(RequireTls).0,
            _ => text.parse()?,
        })
    }

    /// Whether the message is sent without the parameter where the extension is not offered.
    #[cfg(feature = "serde")]
    pub(crate) fn is_optional(&self) -> bool {
        self.optional
    }

    /// Whether a text is an `esmtp-keyword` (RFC 5321 §4.1.2): letters, digits and hyphens, not
    /// beginning with a hyphen.
    pub fn is_keyword(text: &str) -> bool {
        text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    }

    /// The keyword (`esmtp-keyword`), as given.
    pub fn keyword(&self) -> &str {
        self.text.get(..self.keyword).unwrap_or_default()
    }

    /// The value (`esmtp-value`), if there is one.
    pub fn value(&self) -> Option<&str> {
        self.text.get(self.keyword + 1..)
    }

    /// The parameter as on the wire.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The keyword of the extension that a server must offer.
    pub fn extension(&self) -> &str {
        match &self.extension {
            Extension::SameKeyword => self.keyword(),
            Extension::Named(extension) => extension,
            Extension::Known(rule) => rule.extension,
        }
    }

    /// Sets the extension that the parameter belongs to, if it has another keyword.
    ///
    /// # Errors
    ///
    /// Returns [`ParameterError::InvalidKeyword`] if `keyword` is not a valid keyword.
    pub fn with_extension(self, keyword: &str) -> Result<Self, ParameterError> {
        if !Parameter::is_keyword(keyword) {
            return Err(ParameterError::InvalidKeyword);
        }
        Ok(Self {
            extension: Extension::Named(keyword.into()),
            ..self
        })
    }

    /// Allows the message to be sent without this parameter where the server does not offer its
    /// extension.
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    /// Forbids the message to be sent without this parameter.
    #[must_use]
    pub fn required(self) -> Self {
        Self {
            optional: false,
            ..self
        }
    }

    /// Checks that the parameter may be sent to this server, or left out.
    pub(crate) fn check(&self, server: ServerProperties<'_>) -> Result<(), ErrorKind> {
        let offered = self.is_offered(server.capabilities);
        match &self.extension {
            Extension::Known(ParameterRule {
                check: Some(check), ..
            }) if offered => check(self.value().unwrap_or_default(), server),
            _ if offered || self.optional => Ok(()),
            Extension::Known(rule) => Err(ErrorKind::ExtensionNotOffered(rule.extension)),
            _ => Err(ErrorKind::ParameterNotOffered(self.clone())),
        }
    }

    fn is_offered(&self, capabilities: &Capabilities) -> bool {
        capabilities.has(self.extension())
    }

    /// Appends the parameter to a command if the server offers its extension.
    pub(crate) fn write(&self, out: &mut Vec<u8>, capabilities: &Capabilities) {
        if self.is_offered(capabilities) {
            out.push(b' ');
            out.extend_from_slice(self.text.as_bytes());
        }
    }
}

impl FromStr for Parameter {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        if text.len() > MAX_PARAMETER {
            return Err(ParameterError::TooLong {
                limit: MAX_PARAMETER,
            });
        }
        let (keyword, value) = split(text);
        if !Parameter::is_keyword(keyword) {
            return Err(ParameterError::InvalidKeyword);
        }
        if value.is_some_and(|value| !is_value(value)) {
            return Err(ParameterError::InvalidValue);
        }
        if RESERVED
            .iter()
            .any(|reserved| keyword.eq_ignore_ascii_case(reserved))
        {
            return Err(ParameterError::Reserved);
        }
        Ok(Self {
            text: text.into(),
            keyword: keyword.len(),
            extension: Extension::SameKeyword,
            optional: false,
        })
    }
}

impl TryFrom<&str> for Parameter {
    type Error = ParameterError;

    fn try_from(text: &str) -> Result<Self, ParameterError> {
        text.parse()
    }
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
            && self.extension() == other.extension()
            && self.optional == other.optional
    }
}

impl Eq for Parameter {}

impl fmt::Display for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

macro_rules! parameter_of {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Parameter);

        impl $name {
            /// Allows the message to be sent without this parameter where the server does not
            /// offer its extension.
            #[must_use]
            pub fn optional(self) -> Self {
                Self(self.0.optional())
            }

            /// Forbids the message to be sent without this parameter.
            #[must_use]
            pub fn required(self) -> Self {
                Self(self.0.required())
            }

            pub(crate) fn into_parameter(self) -> Parameter {
                self.0
            }
        }

        impl From<Parameter> for $name {
            fn from(parameter: Parameter) -> Self {
                Self(parameter)
            }
        }
    };
}

parameter_of! {
    /// A parameter of `MAIL`, for
    /// [`Envelope::with_parameter`](crate::Envelope::with_parameter).
    MailParameter
}

parameter_of! {
    /// A parameter of `RCPT`, for
    /// [`Envelope::with_recipient_parameter`](crate::Envelope::with_recipient_parameter).
    RcptParameter
}

/// Splits a parameter into keyword and value.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (text, None),
    }
}

/// Whether the text is an `esmtp-value`.
fn is_value(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'=')
}

/// Reads a number as the RFCs write it: one to nine digits.
fn digits(text: &str) -> Option<u32> {
    let is_number =
        (1..=9).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_raw_parameter_has_the_syntax_of_a_parameter() {
        for text in ["XFOO", "X-FOO=bar", "8X=a<b>c;~!"] {
            let parameter: Parameter = text.parse().expect(text);
            assert_eq!(parameter.to_string(), text);
            assert_eq!(parameter.extension(), parameter.keyword());
        }
        for (text, error) in [
            ("", ParameterError::InvalidKeyword),
            ("=x", ParameterError::InvalidKeyword),
            ("-X", ParameterError::InvalidKeyword),
            ("X_Y=1", ParameterError::InvalidKeyword),
            ("X Y", ParameterError::InvalidKeyword),
            ("X\r\nRSET", ParameterError::InvalidKeyword),
            ("X=", ParameterError::InvalidValue),
            ("X=a=b", ParameterError::InvalidValue),
            ("X=a b", ParameterError::InvalidValue),
            ("X=a\r\nRSET", ParameterError::InvalidValue),
            ("X=\u{e9}", ParameterError::InvalidValue),
            ("size=1", ParameterError::Reserved),
            ("SMTPUTF8", ParameterError::Reserved),
            (
                &alloc::format!("X={}", "y".repeat(MAX_PARAMETER - 1)),
                ParameterError::TooLong {
                    limit: MAX_PARAMETER,
                },
            ),
        ] {
            assert_eq!(text.parse::<Parameter>(), Err(error), "{text:?}");
        }
        let longest = alloc::format!("X={}", "y".repeat(MAX_PARAMETER - 2));
        assert!(longest.parse::<Parameter>().is_ok());
    }

    #[test]
    fn parameters_are_equal_only_as_a_whole() {
        let parameter: Parameter = "X=1".parse().expect("valid");
        assert_eq!(parameter, parameter.clone());
        assert_ne!(parameter, "X=2".parse().expect("valid"));
        let renamed = parameter.clone().with_extension("Y").expect("a keyword");
        assert_ne!(parameter, renamed);
        assert_ne!(parameter, parameter.clone().optional());
    }

    #[test]
    fn an_extension_may_have_another_keyword() {
        let parameter: Parameter = "SOLICIT=a:b".parse().expect("valid");
        let named = parameter.clone().with_extension("NO-SOLICITING");
        assert_eq!(named.expect("valid").extension(), "NO-SOLICITING");
        assert!(parameter.with_extension("NO SOLICITING").is_err());
    }
}
