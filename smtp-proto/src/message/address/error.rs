//! Errors of addresses and of names for EHLO.
//!
//! Knows the faults and their descriptions. Must never contain the text itself: errors are
//! logged, and a refused text may be unsafe to show.

use core::fmt;

use super::{MAX_ADDRESS, MAX_DOMAIN, MAX_LABEL, MAX_LOCAL_PART};

/// Why a text is not a valid address or name for EHLO. Positions are octet offsets from its
/// start.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The text is an address in angle brackets, perhaps with a name before it.
    NotBare,
    /// Nothing stands before the `@`.
    MissingLocalPart,
    /// There is no `@` after the local part.
    MissingAtSign,
    /// Nothing stands after the `@`, or the name is empty.
    MissingDomain,
    /// The local part is longer than 64 octets (RFC 5321 §4.5.3.1.1).
    LocalPartTooLong,
    /// The domain is longer than 255 octets (RFC 5321 §4.5.3.1.2).
    DomainTooLong,
    /// The address is longer than 254 octets (RFC 5321 §4.5.3.1.3).
    TooLong,
    /// A character is not allowed at its position.
    InvalidCharacter {
        /// The position of the character.
        position: usize,
    },
    /// The local part starts or ends with a dot, or has two dots in a row.
    EmptyAtom {
        /// The position at which an atom is missing.
        position: usize,
    },
    /// The local part opens with a quote that is not closed.
    UnterminatedQuote,
    /// The domain starts or ends with a dot, or has two dots in a row.
    EmptyLabel {
        /// The position at which a label is missing.
        position: usize,
    },
    /// A label of the domain is longer than 63 characters (RFC 1035 §2.3.4).
    LabelTooLong {
        /// The position at which the label starts.
        position: usize,
    },
    /// A label of the domain starts or ends with a hyphen.
    MisplacedHyphen {
        /// The position of the hyphen.
        position: usize,
    },
    /// The text starts with `[` but is not a valid address literal (RFC 5321 §4.1.3).
    InvalidAddressLiteral {
        /// The position of the opening bracket.
        position: usize,
    },
    /// The text contains a character beyond ASCII where only ASCII is allowed.
    NotAscii {
        /// The position of the character.
        position: usize,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBare => formatter
                .write_str("only the address itself is wanted, without a name or angle brackets"),
            Self::MissingLocalPart => formatter.write_str("nothing stands before the @"),
            Self::MissingAtSign => formatter.write_str("there is no @ after the local part"),
            Self::MissingDomain => formatter.write_str("the domain is missing"),
            Self::LocalPartTooLong => {
                write!(
                    formatter,
                    "the local part is longer than {MAX_LOCAL_PART} octets"
                )
            }
            Self::DomainTooLong => {
                write!(formatter, "the domain is longer than {MAX_DOMAIN} octets")
            }
            Self::TooLong => write!(formatter, "the address is longer than {MAX_ADDRESS} octets"),
            Self::InvalidCharacter { position } => {
                write!(
                    formatter,
                    "the character at position {position} is not allowed there"
                )
            }
            Self::EmptyAtom { position } => {
                write!(
                    formatter,
                    "the local part has a misplaced dot near position {position}"
                )
            }
            Self::UnterminatedQuote => formatter.write_str("the quoted local part does not end"),
            Self::EmptyLabel { position } => {
                write!(
                    formatter,
                    "the domain has an empty label at position {position}"
                )
            }
            Self::LabelTooLong { position } => write!(
                formatter,
                "the label at position {position} is longer than {MAX_LABEL} characters"
            ),
            Self::MisplacedHyphen { position } => {
                write!(
                    formatter,
                    "a label starts or ends with the hyphen at position {position}"
                )
            }
            Self::InvalidAddressLiteral { position } => {
                write!(
                    formatter,
                    "the address literal at position {position} is not valid"
                )
            }
            Self::NotAscii { position } => {
                write!(
                    formatter,
                    "the character at position {position} is not ASCII"
                )
            }
        }
    }
}

impl core::error::Error for AddressError {}
