//! ANONYMOUS (RFC 4505): one message from the client, which proves nothing and contains a text
//! that the server may log.
//!
//! Knows this message and its maximum length.

use alloc::boxed::Box;

use super::{CredentialKind, Exchange, OneMessage, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

/// RFC 4505 §2, in characters.
const MAX_TRACE: usize = 255;

pub(super) static SPECIFICATION: Specification = Specification {
    carries_authorization_identity: false,
    ..Specification::new("ANONYMOUS", CredentialKind::Nothing, start)
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    if credentials.user().chars().count() > MAX_TRACE {
        return Err(SaslError::WrongCredentialKind);
    }
    Ok(Box::new(OneMessage::new(Secret::from(credentials.user()))))
}
