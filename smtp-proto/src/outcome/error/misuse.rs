//! Wrong calls by the program. Knows nothing of the peer.

use core::fmt;

/// A call that makes no sense at this point. A mistake of the program, not of
/// the peer; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A body chunk for a transaction that has ended or does not exist.
    NoSuchTransaction,
    /// A body chunk for a message whose body is not a stream, or has ended.
    NotStreaming,
    /// TLS was reported as established, or failed, while nobody asked for it.
    NoHandshake,
    /// Credentials were given, or said to be missing, while nobody asked for them.
    NoCredentialsWanted,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchTransaction => "there is no such transaction, or it has ended",
            Self::NotStreaming => "this message's body is not a stream, or has ended",
            Self::NoHandshake => "no TLS handshake was asked for",
            Self::NoCredentialsWanted => "no credentials were asked for",
        })
    }
}

impl core::error::Error for Misuse {}
