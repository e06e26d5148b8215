//! Preparation of names and passwords, so that both sides hash the same octets (`SASLprep`, RFC
//! 4013).
//!
//! Knows which library does it. Without that library (feature `saslprep`, which needs `std`)
//! only ASCII is accepted, which preparation does not change.

use alloc::string::String;

use zeroize::Zeroizing;

use crate::SaslError;

/// An empty or prohibited text ends the authentication (RFC 5802 §5.1).
pub(super) fn saslprep(text: &str) -> Result<Zeroizing<String>, SaslError> {
    let prepared = prepare(text).ok_or(SaslError::ProhibitedCharacters)?;
    if prepared.is_empty() {
        return Err(SaslError::ProhibitedCharacters);
    }
    Ok(prepared)
}

#[cfg(feature = "saslprep")]
fn prepare(text: &str) -> Option<Zeroizing<String>> {
    let prepared = stringprep::saslprep(text).ok()?;
    Some(Zeroizing::new(prepared.into_owned()))
}

#[cfg(not(feature = "saslprep"))]
fn prepare(text: &str) -> Option<Zeroizing<String>> {
    let is_itself = |octet: u8| octet == b' ' || octet.is_ascii_graphic();
    let prepared = text.bytes().all(is_itself).then_some(text)?;
    Some(Zeroizing::new(String::from(prepared)))
}
