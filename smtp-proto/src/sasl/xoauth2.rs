//! XOAUTH2: an OAuth 2.0 bearer token in one message from the client.
//!
//! Knows the format of the message, and that a challenge after it reports a failure. Must never
//! obtain or refresh a token, or read the server's JSON.

use alloc::boxed::Box;

use super::{CredentialKind, Exchange, OneMessage, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    reveals_secret: true,
    carries_authorization_identity: false,
    ..Specification::new("XOAUTH2", CredentialKind::Token, start)
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(1)?;
    let user = credentials.user().as_bytes();
    let token = credentials.secret().expose();
    let message = Secret::concat(&[b"user=", user, b"\x01auth=Bearer ", token, b"\x01\x01"]);
    // The server waits for an empty response before it refuses with its reply code.
    Ok(Box::new(
        OneMessage::new(message).acknowledging_failure(b""),
    ))
}
