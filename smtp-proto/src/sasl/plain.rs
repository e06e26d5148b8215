//! PLAIN (RFC 4616): one message from the client, `[authzid] NUL user NUL password`.
//!
//! Knows this message. Must never decide whether the channel is secure enough: the session
//! decides that.

use alloc::boxed::Box;

use super::{CredentialKind, Exchange, OneMessage, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    reveals_secret: true,
    ..Specification::new("PLAIN", CredentialKind::Password, start)
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    // The server derives an empty authorization identity (RFC 4616 §2).
    Ok(Box::new(OneMessage::new(Secret::concat(&[
        credentials.authorization_identity().as_bytes(),
        b"\0",
        credentials.user().as_bytes(),
        b"\0",
        credentials.secret().expose(),
    ]))))
}
