//! Reasons why a message cannot be sent to any server. Must never know about a server.

use core::fmt;

/// Why a message cannot be sent to any server, under the given configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsendable {
    /// The content has CR or LF outside a CRLF, which the configuration refuses.
    LoneLineEnd {
        /// The number of lone CRs.
        carriage_returns: u64,
        /// The number of lone LFs.
        line_feeds: u64,
    },
    /// The content has a line that is longer than the configuration allows.
    LineTooLong {
        /// The length of the longest line in octets, without its CRLF.
        octets: u64,
        /// The longest length that is allowed.
        limit: u64,
    },
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoneLineEnd {
                carriage_returns,
                line_feeds,
            } => write!(
                f,
                "the message holds {carriage_returns} lone CR and {line_feeds} lone LF; lines must end in CRLF"
            ),
            Self::LineTooLong { octets, limit } => write!(
                f,
                "the message has a line of {octets} octets; at most {limit} are allowed"
            ),
        }
    }
}

impl core::error::Error for Unsendable {}
