//! The keys of SCRAM and their signatures (RFC 5802 §3), for each hash function.
//!
//! Knows the calculations. Must never know the format of a message.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::prepare;
use crate::sasl::Secret;
use crate::{Mechanism, SaslError};

/// The octets of a key, or of something equally secret.
type SecretOctets = Zeroizing<Vec<u8>>;

/// A hash function that SCRAM is defined with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Hash {
    /// The hash function of a mechanism of the SCRAM family.
    fn of(mechanism: Mechanism) -> Option<Self> {
        let name = mechanism.name();
        match name.strip_suffix("-PLUS").unwrap_or(name) {
            "SCRAM-SHA-1" => Some(Self::Sha1),
            "SCRAM-SHA-256" => Some(Self::Sha256),
            "SCRAM-SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn digest(self, octets: &[u8]) -> SecretOctets {
        Zeroizing::new(match self {
            Self::Sha1 => Sha1::digest(octets).to_vec(),
            Self::Sha256 => Sha256::digest(octets).to_vec(),
            Self::Sha512 => Sha512::digest(octets).to_vec(),
        })
    }

    fn hmac(self, key: &[u8], message: &[u8]) -> SecretOctets {
        match self {
            Self::Sha1 => hmac::<Hmac<Sha1>>(key, message),
            Self::Sha256 => hmac::<Hmac<Sha256>>(key, message),
            Self::Sha512 => hmac::<Hmac<Sha512>>(key, message),
        }
    }

    /// `Hi` (RFC 5802 §2.2), which is PBKDF2 (RFC 8018 §5.2) with one block.
    fn pbkdf2(self, password: &[u8], salt: &[u8], iterations: u32) -> SecretOctets {
        let mut key = Zeroizing::new(vec![0; self.length()]);
        match self {
            Self::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut key),
            Self::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut key),
            Self::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut key),
        }
        key
    }

    fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

fn hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> SecretOctets {
    // HMAC accepts a key of any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return SecretOctets::default();
    };
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

/// The keys of one SCRAM authentication (RFC 5802 §3), derived from a password, a salt and a
/// number of iterations.
///
/// Both sides derive them: the client to prove its identity, the server to verify the proof.
/// They are wiped from memory when dropped. `Debug` shows only the hash function.
///
/// ```
/// use postwire_proto::{Mechanism, ScramKeys};
///
/// let keys = ScramKeys::derive(Mechanism::SCRAM_SHA_256, &"pencil".into(), b"salt", 4096)?;
/// let messages = b"n=user,r=abc,r=abcdef,s=c2FsdA==,i=4096,c=biws,r=abcdef";
/// assert_eq!(keys.client_proof(messages).expose().len(), 32);
/// assert_ne!(keys.client_proof(messages), keys.server_signature(messages));
/// # Ok::<(), postwire_proto::SaslError>(())
/// ```
pub struct ScramKeys {
    hash: Hash,
    client: SecretOctets,
    stored: SecretOctets,
    server: SecretOctets,
}

impl ScramKeys {
    /// Derives the keys from a password, which is prepared first (`SASLprep`, RFC 4013). The
    /// time is proportional to `iterations`.
    ///
    /// # Errors
    ///
    /// * [`SaslError::WrongCredentialKind`] if the mechanism is not a SCRAM mechanism.
    /// * [`SaslError::ProhibitedCharacters`] if the password is not UTF-8, or contains
    ///   characters that `SASLprep` prohibits.
    pub fn derive(
        mechanism: Mechanism,
        password: &Secret,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, SaslError> {
        let hash = Hash::of(mechanism).ok_or(SaslError::WrongCredentialKind)?;
        let password =
            core::str::from_utf8(password.expose()).map_err(|_| SaslError::ProhibitedCharacters)?;
        let password = prepare::saslprep(password)?;
        Ok(Self::from_prepared(
            hash,
            password.as_bytes(),
            salt,
            iterations,
        ))
    }

    pub(super) fn from_prepared(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = hash.pbkdf2(password, salt, iterations);
        let client = hash.hmac(&salted, b"Client Key");
        Self {
            hash,
            stored: hash.digest(&client),
            server: hash.hmac(&salted, b"Server Key"),
            client,
        }
    }

    /// Computes `ClientProof` over the `AuthMessage` of the exchange.
    pub fn client_proof(&self, auth_message: &[u8]) -> Secret {
        let mut proof = self.hash.hmac(&self.stored, auth_message);
        for (octet, key) in proof.iter_mut().zip(self.client.iter()) {
            *octet ^= key;
        }
        Secret(proof)
    }

    /// Computes `ServerSignature` over the `AuthMessage` of the exchange.
    pub fn server_signature(&self, auth_message: &[u8]) -> Secret {
        Secret(self.hash.hmac(&self.server, auth_message))
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ScramKeys")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}
