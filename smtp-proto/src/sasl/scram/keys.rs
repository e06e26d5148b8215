//! The keys of SCRAM and their signatures (RFC 5802 §3), for each hash function.
//!
//! Knows the calculations. Must never know the format of a message.

use alloc::vec;
use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The octets of a key, or of something equally secret.
pub(crate) type Octets = Zeroizing<Vec<u8>>;

/// A hash function that SCRAM is defined with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Hash {
    fn digest(self, octets: &[u8]) -> Octets {
        Zeroizing::new(match self {
            Self::Sha1 => Sha1::digest(octets).to_vec(),
            Self::Sha256 => Sha256::digest(octets).to_vec(),
            Self::Sha512 => Sha512::digest(octets).to_vec(),
        })
    }

    fn hmac(self, key: &[u8], message: &[u8]) -> Octets {
        match self {
            Self::Sha1 => hmac::<Hmac<Sha1>>(key, message),
            Self::Sha256 => hmac::<Hmac<Sha256>>(key, message),
            Self::Sha512 => hmac::<Hmac<Sha512>>(key, message),
        }
    }

    /// `Hi` (RFC 5802 §2.2), which is PBKDF2 (RFC 8018 §5.2) with one block.
    fn stretch(self, password: &[u8], salt: &[u8], iterations: u32) -> Octets {
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

fn hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Octets {
    // HMAC accepts a key of any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Octets::default();
    };
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

/// The keys derived from a password, a salt and a number of iterations.
pub(crate) struct Keys {
    hash: Hash,
    client: Octets,
    stored: Octets,
    server: Octets,
}

impl Keys {
    pub(crate) fn derive(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = hash.stretch(password, salt, iterations);
        let client = hash.hmac(&salted, b"Client Key");
        Self {
            hash,
            stored: hash.digest(&client),
            server: hash.hmac(&salted, b"Server Key"),
            client,
        }
    }

    /// `ClientProof` over `AuthMessage`.
    pub(crate) fn client_proof(&self, signed: &[u8]) -> Octets {
        let mut proof = self.hash.hmac(&self.stored, signed);
        for (octet, key) in proof.iter_mut().zip(self.client.iter()) {
            *octet ^= key;
        }
        proof
    }

    /// `ServerSignature` over `AuthMessage`.
    pub(crate) fn server_signature(&self, signed: &[u8]) -> Octets {
        self.hash.hmac(&self.server, signed)
    }
}

/// Whether both are equal, compared in constant time.
pub(crate) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
