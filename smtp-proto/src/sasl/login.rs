//! LOGIN (draft-murchison-sasl-login): the server asks for the user, then for the password.
//!
//! Knows the order of the two questions. Must never read their wording: servers differ in it,
//! and the draft (§2.2) says to ignore it.

use alloc::boxed::Box;

use super::{Exchange, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    name: "LOGIN",
    reveals_secret: true,
    start,
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    Ok(Box::new(Login::User(credentials.clone())))
}

enum Login {
    User(Credentials),
    Password(Secret),
    Done,
}

impl Exchange for Login {
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError> {
        Ok(None)
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Secret, SaslError> {
        match core::mem::replace(self, Self::Done) {
            Self::User(Credentials { user, secret }) => {
                *self = Self::Password(secret);
                Ok(user.into())
            }
            Self::Password(secret) => Ok(secret),
            Self::Done => Err(SaslError::UnexpectedChallenge),
        }
    }

    fn finish(&mut self, _server_final: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }
}
