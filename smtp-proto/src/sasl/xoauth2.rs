//! XOAUTH2: an OAuth 2.0 bearer token in one message from the client.
//!
//! Knows the message's form and that a challenge after it tells of a failure. Must never
//! obtain or refresh a token, nor read the server's JSON.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Exchange, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    name: "XOAUTH2",
    reveals_secret: true,
    start,
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(1)?;
    let user = credentials.user().as_bytes();
    let token = credentials.secret().expose();
    let message = Secret::concat(&[b"user=", user, b"\x01auth=Bearer ", token, b"\x01\x01"]);
    Ok(Box::new(Xoauth2 {
        message,
        failure: None,
    }))
}

struct Xoauth2 {
    message: Secret,
    /// The server's JSON, kept for the report of the refusal that follows it.
    failure: Option<Vec<u8>>,
}

impl Exchange for Xoauth2 {
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError> {
        Ok(Some(core::mem::take(&mut self.message)))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        if self.failure.is_some() {
            return Err(SaslError::UnexpectedChallenge);
        }
        self.failure = Some(challenge.to_vec());
        // The server waits for an empty answer before it refuses with its reply code.
        Ok(Secret::default())
    }

    fn finish(&mut self, _server_final: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }

    fn failure_detail(&self) -> Option<&[u8]> {
        self.failure.as_deref()
    }
}
