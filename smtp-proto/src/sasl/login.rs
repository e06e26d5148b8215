//! LOGIN (draft-murchison-sasl-login): the server asks for the user, then for the password.
//!
//! Knows the order of the two challenges. Must never read their text: servers differ in it, and
//! the draft (§2.2) says to ignore it.

use alloc::boxed::Box;

use super::{CredentialKind, Exchange, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    reveals_secret: true,
    carries_authorization_identity: false,
    ..Specification::new("LOGIN", CredentialKind::Password, start)
};

fn start(
    credentials: &Credentials,
    _context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    Ok(Box::new(Login::User {
        user: Secret::from(credentials.user()),
        password: credentials.secret().clone(),
    }))
}

enum Login {
    User { user: Secret, password: Secret },
    Password(Secret),
    Done,
}

impl super::sealed::Sealed for Login {}

impl Exchange for Login {
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError> {
        Ok(None)
    }

    fn reads_challenges(&self) -> bool {
        false
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Secret, SaslError> {
        match core::mem::replace(self, Self::Done) {
            Self::User { user, password } => {
                *self = Self::Password(password);
                Ok(user)
            }
            Self::Password(password) => Ok(password),
            Self::Done => Err(SaslError::UnexpectedChallenge),
        }
    }

    fn finish(&mut self, _server_final: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }
}
