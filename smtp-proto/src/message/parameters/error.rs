//! Errors of parameters. Knows their descriptions, and no parameter.

use core::fmt;

/// Why a parameter or its value is invalid.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ParameterError {
    /// The keyword contains something other than letters, digits and hyphens, or begins with a
    /// hyphen.
    InvalidKeyword,
    /// The value is empty, or contains a blank, `=`, a control character or a character beyond
    /// ASCII.
    InvalidValue,
    /// `SIZE`, `BODY` and `SMTPUTF8` follow from the message: the client adds them itself.
    Reserved,
    /// The value is not valid for this parameter.
    Malformed {
        /// A description of valid values.
        expected: &'static str,
    },
    /// The value is longer than its RFC allows.
    TooLong {
        /// The highest length allowed, in octets on the wire.
        limit: usize,
    },
}

impl fmt::Display for ParameterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidKeyword => formatter.write_str(
                "a keyword must consist of letters, digits and hyphens and must not begin with a hyphen",
            ),
            Self::InvalidValue => formatter.write_str(
                "a value must consist of printable ASCII characters other than a space and \"=\"",
            ),
            Self::Reserved => formatter.write_str(
                "size, body and smtputf8 follow from the message and cannot be given as parameters",
            ),
            Self::Malformed { expected } => write!(formatter, "not {expected}"),
            Self::TooLong { limit } => {
                write!(formatter, "the value is longer than {limit} octets")
            }
        }
    }
}

impl core::error::Error for ParameterError {}
