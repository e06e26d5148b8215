//! What can go wrong with an authentication on the client's own side.
//!
//! Knows reasons. Must never hold an octet of a credential or of a challenge.

use core::fmt;

/// Why an authentication cannot go on, apart from the server's refusal.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// The server asked once more than the mechanism has answers.
    UnexpectedChallenge,
    /// The challenge is not base64, or not one of this mechanism.
    InvalidChallenge,
    /// The user or the secret contains a NUL.
    NulInCredentials,
    /// The user or the secret contains the octet that separates them in this mechanism.
    SeparatorInCredentials,
    /// The user or the password is empty, or holds what `SASLprep` (RFC 4013) prohibits;
    /// without the feature `saslprep`, anything but ASCII.
    UnpreparableCredentials,
    /// The server's nonce does not begin with the client's (RFC 5802 §5.1): a message that was
    /// made for another authentication.
    WrongNonce,
    /// The server asks for more rounds of hashing than are allowed.
    TooManyIterations {
        /// What the server asks for, or the largest number there is.
        asked: u32,
        /// What is allowed.
        limit: u32,
    },
    /// The server demands an extension of the mechanism that is not known (RFC 5802 §5.1, `m`).
    UnknownExtension,
    /// The server did not prove that it knows the user: its signature is missing or wrong.
    ServerNotAuthenticated,
    /// The mechanism needs what the context lacks, by its name.
    MissingContext(&'static str),
    /// The mechanism takes another kind of credentials.
    UnfitCredentials,
    /// The password or the token is empty: mostly a setting that was forgotten.
    EmptySecret,
}

impl fmt::Display for SaslError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnexpectedChallenge => "the server sent a challenge when none was due",
            Self::InvalidChallenge => "the server's challenge is not valid",
            Self::NulInCredentials => "the credentials contain a nul",
            Self::SeparatorInCredentials => {
                "the credentials contain an octet that the mechanism cannot carry"
            }
            Self::UnpreparableCredentials => {
                "the user or the password is empty or has characters that the mechanism prohibits"
            }
            Self::WrongNonce => "the server's nonce does not continue the client's",
            Self::TooManyIterations { asked, limit } => {
                return write!(
                    formatter,
                    "the server asks for {asked} iterations and {limit} are allowed"
                );
            }
            Self::UnknownExtension => "the server demands an extension that is not known",
            Self::ServerNotAuthenticated => "the server did not prove its identity",
            Self::MissingContext(what) => {
                return write!(
                    formatter,
                    "the mechanism needs the {what}, which is not known"
                );
            }
            Self::UnfitCredentials => "the mechanism takes another kind of credentials",
            Self::EmptySecret => "the password or the token is empty",
        })
    }
}

impl core::error::Error for SaslError {}
