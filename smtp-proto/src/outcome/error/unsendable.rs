//! Messages that no server can be sent. Knows nothing of servers.

use core::fmt;

/// Why a message cannot be sent to any server, under the given configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsendable {
    /// CR or LF that does not stand in a CRLF, and the configuration refuses it.
    LoneLineEnd {
        /// How many lone CRs.
        carriage_returns: u64,
        /// How many lone LFs.
        line_feeds: u64,
    },
    /// A line longer than the configuration allows.
    LineTooLong {
        /// The longest line, in octets without its CRLF.
        octets: u64,
        /// What is allowed.
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
