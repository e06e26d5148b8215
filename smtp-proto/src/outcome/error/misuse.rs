//! Wrong calls by the program. Must never know about the peer.

use core::fmt;

/// A call by the program that is not allowed in the present state. The call changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A body chunk for a message that has its report already or does not exist.
    NoSuchTransaction,
    /// A body chunk for a message whose body is not a stream or needs no more content.
    NotStreaming,
    /// TLS was reported as established while the session did not wait for a handshake.
    NoHandshake,
    /// Credentials, or their absence, were reported while the session did not wait for them.
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
