//! Why something is no parameter. Knows words, and no parameter.

use core::fmt;

/// Why a parameter, or its value, was not taken.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ParameterError {
    /// The keyword is not of letters, digits and hyphens, or begins with a hyphen.
    InvalidKeyword,
    /// The value is empty, or holds a blank, `=`, a control character or one beyond ASCII.
    InvalidValue,
    /// `SIZE`, `BODY` and `SMTPUTF8` follow from the message: the client says them itself.
    Reserved,
    /// The value has no meaning for this parameter.
    Malformed {
        /// What would have one.
        expected: &'static str,
    },
    /// The value is longer than its RFC allows.
    TooLong {
        /// What is allowed, in octets on the wire.
        limit: usize,
    },
}

impl fmt::Display for ParameterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidKeyword => formatter.write_str(
                "a parameter's keyword is of letters, digits and hyphens and begins with no hyphen",
            ),
            Self::InvalidValue => formatter.write_str(
                "a parameter's value is of printable ascii characters other than a blank and \"=\"",
            ),
            Self::Reserved => formatter.write_str(
                "size, body and smtputf8 follow from the message and are not given as parameters",
            ),
            Self::Malformed { expected } => write!(formatter, "not {expected}"),
            Self::TooLong { limit } => {
                write!(formatter, "the value is longer than {limit} octets")
            }
        }
    }
}

impl core::error::Error for ParameterError {}
