//! Parsers of the server's two messages (RFC 5802 §7).
//!
//! Knows their grammar and accepts nothing else. Must never know a key.

use crate::sasl::decode;
use crate::{SaslError, Secret};
use alloc::vec::Vec;

/// `server-first-message`
pub(super) enum ServerFirst<'a> {
    Parameters(Parameters<'a>),
    Refusal(&'a [u8]),
}

pub(super) struct Parameters<'a> {
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, SaslError> {
        if let Some(reason) = message.strip_prefix(b"e=") {
            return Ok(Self::Refusal(reason));
        }
        let text = core::str::from_utf8(message).map_err(|_| SaslError::InvalidChallenge)?;
        let mut attributes = text.split(',');
        let mut value_of = |name: &str| {
            let attribute = attributes.next().unwrap_or_default();
            match attribute.strip_prefix(name) {
                Some(value) => Ok(value),
                None if attribute.starts_with("m=") => Err(SaslError::UnknownExtension),
                None => Err(SaslError::InvalidChallenge),
            }
        };
        let nonce = value_of("r=")?;
        let salt = decode(value_of("s=")?.as_bytes())?.to_vec();
        let iterations = parse_iterations(value_of("i=")?)?;
        let printable = nonce.bytes().all(|octet| octet.is_ascii_graphic());
        if nonce.is_empty() || !printable || salt.is_empty() {
            return Err(SaslError::InvalidChallenge);
        }
        if !attributes.all(is_extension) {
            return Err(SaslError::InvalidChallenge);
        }
        Ok(Self::Parameters(Parameters {
            nonce,
            salt,
            iterations,
        }))
    }
}

/// Reads a `posit-number`; a number that is too large becomes `u32::MAX`.
fn parse_iterations(digits: &str) -> Result<u32, SaslError> {
    let begins_well = digits.starts_with(|first: char| matches!(first, '1'..='9'));
    if !begins_well || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(SaslError::InvalidChallenge);
    }
    Ok(digits.parse().unwrap_or(u32::MAX))
}

/// `attr-val`: a letter, `=`, and a value. Clients may ignore extensions.
fn is_extension(attribute: &str) -> bool {
    let mut characters = attribute.chars();
    characters
        .next()
        .is_some_and(|name| name.is_ascii_alphabetic())
        && characters.next() == Some('=')
        && characters.next().is_some()
}

/// `server-final-message`
pub(super) enum ServerFinal<'a> {
    Signature(Secret),
    Refusal(&'a [u8]),
}

impl<'a> ServerFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, SaslError> {
        if let Some(reason) = message.strip_prefix(b"e=") {
            return Ok(Self::Refusal(reason));
        }
        // A message that is not UTF-8 is not a proof.
        let text = core::str::from_utf8(message).map_err(|_| SaslError::ServerNotAuthenticated)?;
        let mut attributes = text.split(',');
        let verifier = attributes.next().unwrap_or_default();
        let signature = verifier
            .strip_prefix("v=")
            .and_then(|signature| Secret::from_base64(signature.as_bytes()).ok())
            .ok_or(SaslError::ServerNotAuthenticated)?;
        if !attributes.all(is_extension) {
            return Err(SaslError::InvalidChallenge);
        }
        Ok(Self::Signature(signature))
    }
}
