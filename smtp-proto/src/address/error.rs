//! Why a text is no address.
//!
//! Knows the faults and how they read. Must never hold the text itself: errors are logged, and
//! what was refused is not fit to be shown.

use core::fmt;

use super::{MAX_ADDRESS, MAX_DOMAIN, MAX_LABEL, MAX_LOCAL_PART};

/// Why a text is no address, or no name for EHLO. Positions are octets from its start.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
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
    /// A character that may not stand here.
    InvalidCharacter {
        /// Where it is.
        position: usize,
    },
    /// A dot at the start or the end of the local part, or two in a row.
    EmptyAtom {
        /// Where an atom should start.
        position: usize,
    },
    /// The local part opens with a quote that does not close.
    UnterminatedQuote,
    /// A dot at the start or the end of the domain, or two in a row.
    EmptyLabel {
        /// Where a label should start.
        position: usize,
    },
    /// A label of the domain is longer than 63 characters (RFC 1035 §2.3.4).
    LabelTooLong {
        /// Where the label starts.
        position: usize,
    },
    /// A label of the domain starts or ends with a hyphen.
    MisplacedHyphen {
        /// Where the hyphen is.
        position: usize,
    },
    /// What starts with `[` is no address literal (RFC 5321 §4.1.3).
    InvalidAddressLiteral {
        /// Where the bracket opens.
        position: usize,
    },
    /// A character beyond ASCII where only ASCII is allowed.
    NotAscii {
        /// Where it is.
        position: usize,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
                    "the character at position {position} is not ascii"
                )
            }
        }
    }
}

impl core::error::Error for AddressError {}
