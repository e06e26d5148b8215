//! Credentials: the identity of the client and its proof.
//!
//! Knows names and secrets, and how to keep a secret from being shown. Must never know the
//! messages of a mechanism.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{SaslError, decode, encode};

/// Octets that must not be shown: a password, a token, or a response that contains one.
///
/// They are wiped from memory when dropped; `Debug` shows only that there is a secret. Two
/// secrets of the same length are compared in constant time. The caller must wipe copies made
/// before the octets are moved here.
#[derive(Clone, Default)]
pub struct Secret(pub(super) Zeroizing<Vec<u8>>);

impl Secret {
    /// The octets. A caller that copies them must wipe the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encodes the octets in base64 with padding (RFC 4648 §4). The result is secret too.
    ///
    /// ```
    /// use postwire_proto::Secret;
    ///
    /// let encoded = Secret::from("correct horse").to_base64();
    /// assert_eq!(encoded.expose(), b"Y29ycmVjdCBob3JzZQ==");
    /// assert_eq!(Secret::from_base64(encoded.expose())?, "correct horse".into());
    /// # Ok::<(), postwire_proto::SaslError>(())
    /// ```
    #[must_use]
    pub fn to_base64(&self) -> Self {
        encode(&self.0)
    }

    /// Decodes octets from base64 (RFC 4648 §4).
    ///
    /// # Errors
    ///
    /// Returns [`SaslError::InvalidChallenge`] if the text is not base64 or has no padding.
    pub fn from_base64(encoded: &[u8]) -> Result<Self, SaslError> {
        decode(encoded).map(Self)
    }

    /// Joins parts without a reallocation, which would leave a copy in memory.
    pub(super) fn concat(parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut octets = Zeroizing::new(Vec::with_capacity(length));
        for part in parts {
            octets.extend_from_slice(part);
        }
        Self(octets)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret.into_bytes()))
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(Zeroizing::new(secret.as_bytes().to_vec()))
    }
}

impl From<Vec<u8>> for Secret {
    fn from(secret: Vec<u8>) -> Self {
        Self(Zeroizing::new(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// The kind of credentials, which decides the usable mechanisms.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum CredentialKind {
    Password,
    Token,
    /// Proved below SASL: a client certificate.
    External,
    Nothing,
}

/// The identity that a client logs in with, and its proof: a password, a token, the client
/// certificate of the TLS session, or nothing.
///
/// ```
/// use postwire_proto::{Credentials, Mechanism};
///
/// let alice = Credentials::new("alice", "correct horse");
/// let app = Credentials::token("alice@example.org", "ya29.token");
/// let relay = Credentials::external();
/// let as_bob = alice.clone().with_authorization_identity("bob");
/// assert_eq!(as_bob.authorization_identity(), "bob");
/// assert_eq!(Mechanism::preference_for(&relay), [Mechanism::EXTERNAL]);
/// # let _ = app;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) user: String,
    pub(super) secret: Secret,
    pub(super) authorization_identity: String,
    pub(super) kind: CredentialKind,
}

impl Credentials {
    /// A user and their password. If a mechanism that takes a token is configured by name, the
    /// secret is that token.
    pub fn new(user: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self {
            user: user.into(),
            secret: secret.into(),
            authorization_identity: String::new(),
            kind: CredentialKind::Password,
        }
    }

    /// A user and an OAuth 2.0 bearer token (RFC 6750), which is never sent as a password.
    pub fn token(user: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self {
            kind: CredentialKind::Token,
            ..Self::new(user, token)
        }
    }

    /// No credentials in SASL itself: the server takes the identity from the client certificate
    /// of the TLS session (RFC 4422 appendix A).
    pub fn external() -> Self {
        Self {
            kind: CredentialKind::External,
            ..Self::new("", Secret::default())
        }
    }

    /// No identity. The server may log `trace`: an address, an opaque token, or nothing (RFC
    /// 4505).
    pub fn anonymous(trace: impl Into<String>) -> Self {
        Self {
            kind: CredentialKind::Nothing,
            ..Self::new(trace, Secret::default())
        }
    }

    /// Sets the SASL authorization identity: the identity to act as, if it differs from the one
    /// that is proved. The server decides whether this is allowed.
    #[must_use]
    pub fn with_authorization_identity(mut self, identity: impl Into<String>) -> Self {
        self.authorization_identity = identity.into();
        self
    }

    /// The name of the user, the SASL authentication identity.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password or token; empty if there is none.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The SASL authorization identity; empty if the server derives it from the authentication
    /// identity.
    pub fn authorization_identity(&self) -> &str {
        &self.authorization_identity
    }

    /// Returns an error if any part contains the mechanism's separator or a NUL.
    pub(super) fn check_free_of(&self, separator: u8) -> Result<(), SaslError> {
        for part in [
            self.user.as_bytes(),
            self.secret.expose(),
            self.authorization_identity.as_bytes(),
        ] {
            if memchr::memchr(0, part).is_some() {
                return Err(SaslError::NulInCredentials);
            }
            if memchr::memchr(separator, part).is_some() {
                return Err(SaslError::SeparatorInCredentials);
            }
        }
        Ok(())
    }
}

/// Shows neither the user nor the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(..)")
    }
}
