//! PLAIN (RFC 4616): one message from the client, `NUL user NUL password`.
//!
//! Knows that message. Must never send it on its own: whether the channel is fit for it is
//! the session's decision.

use alloc::boxed::Box;

use super::{Exchange, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    name: "PLAIN",
    reveals_secret: true,
    start,
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    let user = credentials.user().as_bytes();
    // The authorization identity is left empty: the server derives it (RFC 4616 §2).
    let message = Secret::concat(&[b"\0", user, b"\0", credentials.secret().expose()]);
    Ok(Box::new(Plain { message }))
}

struct Plain {
    message: Secret,
}

impl Exchange for Plain {
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError> {
        Ok(Some(core::mem::take(&mut self.message)))
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Secret, SaslError> {
        Err(SaslError::UnexpectedChallenge)
    }

    fn finish(&mut self, _server_final: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }
}
