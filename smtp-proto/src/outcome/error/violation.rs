//! Faults of the peer: how a server breaks the protocol. Knows nothing of what comes of it.

use core::fmt;

use crate::{CapabilitiesError, Reply, ReplyError};

/// How the server broke the protocol. The session ends at once; nothing is
/// resynchronised by guess.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Something that is no reply.
    Reply(ReplyError),
    /// A reply whose code has no meaning at this point.
    UnexpectedReply(Reply),
    /// A reply to nothing, or one that came before its command.
    SurplusReply(Reply),
    /// Bytes in plaintext after the `220` to STARTTLS: an injection that a
    /// careless client would take for the server's protected words
    /// (CVE-2011-0411 and its kin).
    StartTlsInjection,
    /// Too much in an `EHLO` reply.
    Capabilities(CapabilitiesError),
    /// More challenges than any mechanism needs, or one where there can be none.
    UnexpectedChallenge,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(error) => write!(f, "{error}"),
            Self::UnexpectedReply(reply) => write!(f, "unexpected reply: {reply}"),
            Self::SurplusReply(reply) => write!(f, "a reply without a command: {reply}"),
            Self::StartTlsInjection => {
                f.write_str("plaintext after the 220 reply to STARTTLS (possibly an injection)")
            }
            Self::Capabilities(error) => write!(f, "{error}"),
            Self::UnexpectedChallenge => f.write_str("an unexpected authentication challenge"),
        }
    }
}

/// `Display` says all that the error within says.
impl core::error::Error for Violation {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Reply(error) => error.source(),
            Self::Capabilities(error) => error.source(),
            _ => None,
        }
    }
}
