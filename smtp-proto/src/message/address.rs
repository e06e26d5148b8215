//! Email addresses that are safe to write in a command.
//!
//! Knows the grammar of a mailbox (RFC 5321 §4.1.2, extended to UTF-8 by RFC 6531 §3.3). Must
//! never know about message headers, display names or what a server accepts. An [`Address`] is
//! the proof that its text cannot end the command line or the path early.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

mod a_labels;
mod equivalence;
mod error;

pub use error::AddressError;

use crate::shown::is_safe_in_a_command;

/// RFC 5321 §4.5.3.1.1, in octets.
const MAX_LOCAL_PART: usize = 64;
/// RFC 5321 §4.5.3.1.2, in octets.
const MAX_DOMAIN: usize = 255;
/// RFC 1035 §2.3.4. Counted in characters, which for ASCII are octets: the UTF-8 form of an
/// internationalized label may be longer (RFC 5890 §4.2).
const MAX_LABEL: usize = 63;
/// RFC 5321 §4.5.3.1.3 allows a path of 256 octets, two of which are `<` and `>`.
const MAX_ADDRESS: usize = 254;

/// A mailbox, `local-part@domain` or `local-part@[address literal]` (RFC 5321 §4.1.2).
///
/// The text is checked once, in the constructor; an address is cheap to clone. At most 254
/// octets, with at most 64 in the local part, 255 in the domain and 63 in each of its labels.
/// An address never contains CR, LF, NUL or another control character, no character that reorders or
/// hides text (such as U+202E), and no blank, `<` or `>` outside a quoted local part. UTF-8 is allowed (RFC 6531 §3.3); [`is_ascii`](Self::is_ascii)
/// tells whether the address contains any. For a server without SMTPUTF8 a non-ASCII domain is
/// converted to A-labels if the feature `idna` is on.
///
/// Comparison is octet for octet: local parts are case-sensitive (RFC 5321 §2.4), and domains
/// are not case-folded either. [`is_same_mailbox`](Self::is_same_mailbox) compares what the
/// addresses mean.
///
/// ```
/// use postwire_proto::Address;
///
/// let address: Address = "jane.doe@example.org".parse()?;
/// assert_eq!((address.user(), address.domain()), ("jane.doe", "example.org"));
/// assert!("jane@example.org>\r\nDATA".parse::<Address>().is_err());
/// # Ok::<(), postwire_proto::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: Arc<str>,
    /// Position of the `@` between local part and domain.
    at: usize,
}

impl Address {
    /// Creates the address `user@domain`.
    ///
    /// `user` is the local part as on the wire: a local part that needs quotes must include
    /// them.
    ///
    /// # Errors
    ///
    /// Returns an error if either part violates its grammar or its length limit. Positions
    /// count from the start of `user@domain`.
    pub fn new(user: impl AsRef<str>, domain: impl AsRef<str>) -> Result<Self, AddressError> {
        let (user, domain) = (user.as_ref(), domain.as_ref());
        let mut text = String::with_capacity(user.len() + 1 + domain.len());
        text.push_str(user);
        text.push('@');
        text.push_str(domain);
        if check(&text)? != user.len() {
            // A quote that opens in one part and closes in the other, or an `@` in `user`.
            return Err(AddressError::InvalidCharacter {
                position: user.len(),
            });
        }
        Ok(Self {
            at: user.len(),
            text: text.into(),
        })
    }

    /// The local part as on the wire, including its quotes.
    pub fn user(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The domain or the bracketed address literal.
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }

    /// The whole address, without angle brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the address can be sent unchanged to a server without SMTPUTF8 (RFC 6531 §3.3).
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let at = check(text).map_err(|error| {
            let is_in_brackets = text.ends_with('>') && text.contains('<');
            if is_in_brackets {
                AddressError::NotBare
            } else {
                error
            }
        })?;
        Ok(Self {
            text: text.into(),
            at,
        })
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, formatter)
    }
}

/// Checks a whole address and returns the position of its `@`.
fn check(text: &str) -> Result<usize, AddressError> {
    let at = check_local_part(text)?;
    let domain = match text.get(at..).and_then(|rest| rest.strip_prefix('@')) {
        Some(domain) => domain,
        None if at == text.len() => return Err(AddressError::MissingAtSign),
        None => return Err(AddressError::InvalidCharacter { position: at }),
    };
    if at > MAX_LOCAL_PART {
        return Err(AddressError::LocalPartTooLong);
    }
    check_domain(domain, at + 1)?;
    if text.len() > MAX_ADDRESS {
        return Err(AddressError::TooLong);
    }
    Ok(at)
}

/// Where the local part at the start of `text` ends.
fn check_local_part(text: &str) -> Result<usize, AddressError> {
    match text.strip_prefix('"') {
        Some(quoted) => check_quoted_string(quoted).map(|length| length + 1),
        None => check_dot_string(text),
    }
}

/// `Dot-string` (RFC 5321 §4.1.2): atoms between dots, up to the `@` or the end.
fn check_dot_string(text: &str) -> Result<usize, AddressError> {
    let mut atom_start = 0;
    for (position, character) in text.char_indices() {
        match character {
            '@' if position == 0 => return Err(AddressError::MissingLocalPart),
            '.' | '@' if position == atom_start => {
                return Err(AddressError::EmptyAtom { position });
            }
            '@' => return Ok(position),
            '.' => atom_start = position + 1,
            _ if is_atext(character) => {}
            _ => return Err(AddressError::InvalidCharacter { position }),
        }
    }
    match text.len() {
        0 => Err(AddressError::MissingLocalPart),
        length if length == atom_start => Err(AddressError::EmptyAtom { position: length }),
        length => Ok(length),
    }
}

/// `Quoted-string` (RFC 5321 §4.1.2) after its opening quote; returns the position after the
/// closing quote.
fn check_quoted_string(text: &str) -> Result<usize, AddressError> {
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Ok(position + 1),
            '\\' => match characters.next() {
                Some((_, ' '..='~')) => {}
                Some((position, _)) => {
                    return Err(AddressError::InvalidCharacter {
                        position: position + 1,
                    });
                }
                None => return Err(AddressError::UnterminatedQuote),
            },
            _ if is_safe_in_a_command(character) => {}
            _ => {
                return Err(AddressError::InvalidCharacter {
                    position: position + 1,
                });
            }
        }
    }
    Err(AddressError::UnterminatedQuote)
}

/// `atext` (RFC 5322 §3.2.3), with UTF-8 (RFC 6531 §3.3).
fn is_atext(character: char) -> bool {
    match character {
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^' | '_'
        | '`' | '{' | '|' | '}' | '~' => true,
        _ if character.is_ascii() => character.is_ascii_alphanumeric(),
        _ => is_bare_text(character),
    }
}

/// Whether the character is beyond ASCII, not whitespace of any script, and safe.
fn is_bare_text(character: char) -> bool {
    !character.is_ascii() && !character.is_whitespace() && is_safe_in_a_command(character)
}

/// Checks a domain or address literal (RFC 5321 §4.1.2, §4.1.3; U-labels by RFC 6531 §3.3).
/// `start` is the domain's position in the text that error positions refer to.
pub(crate) fn check_domain(domain: &str, start: usize) -> Result<(), AddressError> {
    if domain.is_empty() {
        return Err(AddressError::MissingDomain);
    }
    if domain.len() > MAX_DOMAIN {
        return Err(AddressError::DomainTooLong);
    }
    if domain.starts_with('[') {
        return if is_address_literal(domain) {
            Ok(())
        } else {
            Err(AddressError::InvalidAddressLiteral { position: start })
        };
    }
    let mut position = start;
    for label in domain.split('.') {
        check_label(label, position)?;
        position += label.len() + 1;
    }
    Ok(())
}

fn check_label(label: &str, start: usize) -> Result<(), AddressError> {
    if label.is_empty() {
        return Err(AddressError::EmptyLabel { position: start });
    }
    let invalid = label
        .char_indices()
        .find(|&(_, character)| !is_label_text(character));
    if let Some((position, _)) = invalid {
        return Err(AddressError::InvalidCharacter {
            position: start + position,
        });
    }
    if label.starts_with('-') {
        return Err(AddressError::MisplacedHyphen { position: start });
    }
    if label.ends_with('-') {
        return Err(AddressError::MisplacedHyphen {
            position: start + label.len() - 1,
        });
    }
    if label.chars().count() > MAX_LABEL {
        return Err(AddressError::LabelTooLong { position: start });
    }
    Ok(())
}

fn is_label_text(character: char) -> bool {
    match character {
        // Not allowed in host names, but mail domains with an underscore exist.
        '-' | '_' => true,
        _ if character.is_ascii() => character.is_ascii_alphanumeric(),
        // UTS 46 maps these to a dot: they would silently make two labels of one.
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => false,
        _ => is_bare_text(character),
    }
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]`. No other tag is registered (RFC 5321 §4.1.3).
fn is_address_literal(literal: &str) -> bool {
    let content = literal
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    content.is_some_and(|content| match content.split_once(':') {
        None => content.parse::<Ipv4Addr>().is_ok(),
        Some((tag, address)) => {
            tag.eq_ignore_ascii_case("IPv6") && address.parse::<Ipv6Addr>().is_ok()
        }
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> AddressError {
        text.parse::<Address>().expect_err(text)
    }

    #[test]
    fn accepts_what_the_rfcs_allow() {
        for (text, user, domain) in [
            ("jane.doe@example.org", "jane.doe", "example.org"),
            (
                "o'neil+tag=x/y@a-b.example",
                "o'neil+tag=x/y",
                "a-b.example",
            ),
            ("root@localhost", "root", "localhost"),
            ("a@_spf.example", "a", "_spf.example"),
            (
                r#""a b@<c>\"\\"@example.org"#,
                r#""a b@<c>\"\\""#,
                "example.org",
            ),
            (r#"""@example.org"#, r#""""#, "example.org"),
            ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
            ("a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"),
            ("a@[ipv6:::ffff:192.0.2.1]", "a", "[ipv6:::ffff:192.0.2.1]"),
            ("жанна@почта.example", "жанна", "почта.example"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.user(), address.domain()), (user, domain));
            assert_eq!(address, Address::new(user, domain).expect(text));
            assert_eq!(
                (address.as_str(), address.to_string().as_str()),
                (text, text)
            );
            assert_eq!(address.is_ascii(), text.is_ascii());
        }
    }

    #[test]
    fn errors_name_the_fault_and_its_position() {
        assert_eq!(error(""), AddressError::MissingLocalPart);
        assert_eq!(error("@example.org"), AddressError::MissingLocalPart);
        assert_eq!(error("jane"), AddressError::MissingAtSign);
        assert_eq!(error("jane@"), AddressError::MissingDomain);
        assert_eq!(error("a..b@c"), AddressError::EmptyAtom { position: 2 });
        assert_eq!(error(".a@c"), AddressError::EmptyAtom { position: 0 });
        assert_eq!(error("a.@c"), AddressError::EmptyAtom { position: 2 });
        assert_eq!(
            error("a b@c"),
            AddressError::InvalidCharacter { position: 1 }
        );
        assert_eq!(error("<a@b>"), AddressError::NotBare);
        assert_eq!(error("Jane Doe <a@b>"), AddressError::NotBare);
        assert_eq!(
            error("a@b>"),
            AddressError::InvalidCharacter { position: 3 }
        );
        assert_eq!(
            error("a@b\r\nDATA"),
            AddressError::InvalidCharacter { position: 3 }
        );
        assert_eq!(
            error("a@b@c"),
            AddressError::InvalidCharacter { position: 3 }
        );
        assert_eq!(
            error("\"a\"b@c"),
            AddressError::InvalidCharacter { position: 3 }
        );
        assert_eq!(
            error("\"a\nb\"@c"),
            AddressError::InvalidCharacter { position: 2 }
        );
        assert_eq!(
            error("\"a\\\n\"@c"),
            AddressError::InvalidCharacter { position: 3 }
        );
        assert_eq!(error("\"a@c"), AddressError::UnterminatedQuote);
        assert_eq!(error("\"a\\"), AddressError::UnterminatedQuote);
        assert_eq!(error("a@b..c"), AddressError::EmptyLabel { position: 4 });
        assert_eq!(error("a@b."), AddressError::EmptyLabel { position: 4 });
        assert_eq!(error("a@-b"), AddressError::MisplacedHyphen { position: 2 });
        assert_eq!(
            error("a@b-.c"),
            AddressError::MisplacedHyphen { position: 3 }
        );
        assert_eq!(
            error("a@b\u{3002}c"),
            AddressError::InvalidCharacter { position: 3 }
        );
        assert_eq!(
            error("a\u{85}@b"),
            AddressError::InvalidCharacter { position: 1 }
        );
        for literal in [
            "[",
            "[]",
            "[1.2.3]",
            "[IPv6:1]",
            "[x:]",
            "[:y]",
            "[x:<]",
            "[x:y]",
            "[2001:db8::1]",
            "[anything:x]",
            "[1.2.3.4]x",
        ] {
            let expected = AddressError::InvalidAddressLiteral { position: 2 };
            assert_eq!(error(&format!("a@{literal}")), expected, "{literal}");
        }
    }

    #[test]
    fn nothing_changes_how_the_text_around_it_looks() {
        for unsafe_to_show in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{ad}', '\u{feff}'] {
            for text in [
                format!("a{unsafe_to_show}b@c"),
                format!("\"a{unsafe_to_show}b\"@c"),
                format!("a@b{unsafe_to_show}c"),
            ] {
                let found = error(&text);
                assert!(
                    matches!(found, AddressError::InvalidCharacter { .. }),
                    "{text:?}"
                );
            }
        }
        // A name in Persian, with a non-joiner.
        assert!("\u{645}\u{6cc}\u{200c}\u{62e}@b".parse::<Address>().is_ok());
    }

    #[test]
    fn keeps_to_the_limits() {
        let label = "l".repeat(63);
        assert!(Address::new("u".repeat(64), &label).is_ok());
        assert_eq!(
            Address::new("u".repeat(65), "b"),
            Err(AddressError::LocalPartTooLong)
        );
        let long = AddressError::LabelTooLong { position: 2 };
        assert_eq!(Address::new("a", "l".repeat(64)), Err(long));
        let domain = format!("{label}.{label}.{label}.{}", "l".repeat(60));
        assert!(Address::new("a", &domain).is_ok());
        assert_eq!(Address::new("aa", &domain), Err(AddressError::TooLong));
        assert_eq!(
            Address::new("a", format!("{domain}lll.l")),
            Err(AddressError::DomainTooLong)
        );
    }

    #[test]
    fn parts_cannot_move_the_at_sign() {
        let expected = AddressError::InvalidCharacter { position: 2 };
        assert_eq!(Address::new("\"a", "b\"@c"), Err(expected));
        assert!(Address::new("a@b", "c").is_err());
        assert!(Address::new("a", "").is_err());
    }

    proptest! {
        #[test]
        fn an_address_never_ends_its_path_early(
            text in prop_oneof![
                any::<String>(),
                "[a\"\\\\@.<>\\[\\] \\r\\n\\x00é\u{85}:-]{0,12}",
                "(\"[ -~\\x00-\\x1f]{0,5}\"|[ -~]{1,5})@([ -~]{1,5}|\\[[ -~]{1,9}\\])",
            ],
        ) {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert!(!address.as_str().chars().any(char::is_control));
                let bare = if address.user().starts_with('"') { "" } else { address.user() };
                for part in [bare, address.domain()] {
                    prop_assert!(!part.contains([' ', '<', '>']));
                }
                prop_assert_eq!(address.as_str(), &text);
                let again = Address::new(address.user(), address.domain());
                prop_assert_eq!(again, Ok(address));
            }
        }
    }
}
