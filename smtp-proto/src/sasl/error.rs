//! The client's own errors in an authentication.
//!
//! Knows reasons. Must never contain an octet of a credential or of a challenge.

use core::fmt;

/// Why an authentication cannot continue, other than a refusal by the server.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// The server sent a challenge when the mechanism had no response left.
    UnexpectedChallenge,
    /// The challenge is not base64, or not valid for the mechanism.
    InvalidChallenge,
    /// The user or the secret contains a NUL.
    NulInCredentials,
    /// The user or the secret contains the octet that separates them in this mechanism.
    SeparatorInCredentials,
    /// The user or the password is empty or contains characters that `SASLprep` (RFC 4013)
    /// prohibits; without the feature `saslprep`, anything but ASCII.
    ProhibitedCharacters,
    /// The server's nonce does not begin with the client's (RFC 5802 §5.1): the message belongs
    /// to another authentication.
    WrongNonce,
    /// The server demands more hash iterations than the limit allows.
    TooManyIterations {
        /// The number that the server demands, or `u32::MAX` if it is larger.
        asked: u32,
        /// The highest number allowed.
        limit: u32,
    },
    /// The server demands fewer hash iterations than the client accepts, which would make it
    /// easier to find the password.
    TooFewIterations {
        /// The number that the server demands.
        asked: u32,
        /// The lowest number accepted.
        least: u32,
    },
    /// The server demands an unsupported extension of the mechanism (RFC 5802 §5.1, `m`).
    UnknownExtension,
    /// The server did not prove that it knows the password: its signature is missing or wrong.
    ServerNotAuthenticated,
    /// The context lacks a value that the mechanism needs; the name of the value.
    MissingContext(&'static str),
    /// The mechanism takes another kind of credentials.
    WrongCredentialKind,
    /// The password or the token is empty, usually because a setting is missing.
    EmptySecret,
}

impl fmt::Display for SaslError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnexpectedChallenge => "the server sent an unexpected challenge",
            Self::InvalidChallenge => "the server's challenge is not valid",
            Self::NulInCredentials => "the credentials contain a nul",
            Self::SeparatorInCredentials => {
                "the credentials contain an octet that the mechanism cannot carry"
            }
            Self::ProhibitedCharacters => {
                "the user or the password is empty or contains characters that the mechanism prohibits"
            }
            Self::WrongNonce => "the server's nonce does not continue the client's",
            Self::TooManyIterations { asked, limit } => {
                return write!(
                    formatter,
                    "the server demands {asked} hash iterations; at most {limit} are allowed"
                );
            }
            Self::TooFewIterations { asked, least } => {
                return write!(
                    formatter,
                    "the server demands only {asked} hash iterations; at least {least} are required"
                );
            }
            Self::UnknownExtension => "the server demands an unsupported extension of the mechanism",
            Self::ServerNotAuthenticated => "the server did not prove its identity",
            Self::MissingContext(what) => {
                return write!(
                    formatter,
                    "the mechanism needs the {what}, which is not known"
                );
            }
            Self::WrongCredentialKind => "the mechanism takes another kind of credentials",
            Self::EmptySecret => "the password or the token is empty",
        })
    }
}

impl core::error::Error for SaslError {}
