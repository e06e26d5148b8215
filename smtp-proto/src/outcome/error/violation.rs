//! Faults of the peer: the ways in which a server violates the protocol. Must never know what
//! follows from a violation.

use core::fmt;

use crate::{CapabilitiesError, Reply, ReplyError};

/// A violation of the protocol by the server. The session ends at once and never tries to
/// resynchronise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Text that is not a valid reply.
    Reply(ReplyError),
    /// A reply whose code has no meaning at this point.
    UnexpectedReply(Reply),
    /// A reply without a command, or a reply that arrived before its command was sent.
    SurplusReply(Reply),
    /// Plaintext after the `220` reply to STARTTLS: possibly an injection, which a vulnerable
    /// client would treat as if the server had sent it under TLS (CVE-2011-0411).
    StartTlsInjection,
    /// An `EHLO` reply that exceeds a limit.
    Capabilities(CapabilitiesError),
    /// An authentication challenge after the last step of the mechanism, or more challenges than
    /// any mechanism needs.
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

/// `Display` includes the text of the inner error, so `source` returns that error's source.
impl core::error::Error for Violation {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Reply(error) => error.source(),
            Self::Capabilities(error) => error.source(),
            _ => None,
        }
    }
}
