//! CRAM-MD5 (RFC 2195): the server's challenge, keyed with the password.
//!
//! Knows the digest and its format. Used only where it is configured: it does not authenticate
//! the server, and makes passwords easy to guess for anyone who reads the exchange
//! (draft-ietf-sasl-crammd5-to-historic).

use alloc::boxed::Box;
use alloc::string::String;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;

use super::{CredentialKind, Exchange, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    is_default: false,
    carries_authorization_identity: false,
    ..Specification::new("CRAM-MD5", CredentialKind::Password, start)
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    Ok(Box::new(CramMd5(Some(credentials.clone()))))
}

/// The digest in hexadecimal (RFC 2195 §2).
fn digest(password: &Secret, challenge: &[u8]) -> Result<Secret, SaslError> {
    let key = password.expose();
    let mut mac = Hmac::<Md5>::new_from_slice(key).map_err(|_| SaslError::WrongCredentialKind)?;
    mac.update(challenge);
    let mut digest = String::new();
    for octet in mac.finalize().into_bytes() {
        for half in [octet >> 4, octet & 15] {
            digest.extend(char::from_digit(u32::from(half), 16));
        }
    }
    Ok(Secret::from(digest))
}

struct CramMd5(Option<Credentials>);

impl super::sealed::Sealed for CramMd5 {}

impl Exchange for CramMd5 {
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError> {
        Ok(None)
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        let credentials = self.0.take().ok_or(SaslError::UnexpectedChallenge)?;
        // The response to an empty challenge would be the same each time.
        if challenge.is_empty() {
            return Err(SaslError::InvalidChallenge);
        }
        let digest = digest(credentials.secret(), challenge)?;
        let user = credentials.user().as_bytes();
        Ok(Secret::concat(&[user, b" ", digest.expose()]))
    }

    fn finish(&mut self, _server_final: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }
}
