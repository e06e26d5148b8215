//! EXTERNAL (RFC 4422 appendix A): the server knows the client from its certificate; the
//! message contains at most the authorization identity.
//!
//! Knows this message. Must never know whether a certificate was sent.

use alloc::boxed::Box;

use super::{CredentialKind, Exchange, OneMessage, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification =
    Specification::new("EXTERNAL", CredentialKind::External, start);

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    let identity = credentials.authorization_identity();
    Ok(Box::new(OneMessage::new(Secret::from(identity))))
}
