//! Credentials and mechanisms.

use std::fmt;

use postwire_blocking::proto;

/// The mechanisms of lettre's default. Without
/// [`authentication`](super::SmtpTransportBuilder::authentication) the strongest mechanism that the
/// server offers is used, SCRAM among them.
pub const DEFAULT_MECHANISMS: &[Mechanism] = &[Mechanism::Plain, Mechanism::Login];

/// A user name and a password, or a token for [`Mechanism::Xoauth2`].
///
/// The secret is wiped from memory when it is dropped, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(proto::Credentials);

impl Credentials {
    /// Creates credentials from a user name and a password.
    pub fn new(username: String, password: String) -> Self {
        Self(proto::Credentials::new(username, password))
    }
}

impl<S: Into<String>, T: Into<String>> From<(S, T)> for Credentials {
    fn from((username, password): (S, T)) -> Self {
        Self::new(username.into(), password.into())
    }
}

/// Takes credentials that lettre's type does not have, such as a token for any mechanism.
impl From<proto::Credentials> for Credentials {
    fn from(credentials: proto::Credentials) -> Self {
        Self(credentials)
    }
}

impl From<Credentials> for proto::Credentials {
    fn from(credentials: Credentials) -> Self {
        credentials.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish()
    }
}

/// A mechanism that lettre has. postwire has more:
/// [`configure`](super::SmtpTransportBuilder::configure).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// `PLAIN` (RFC 4616).
    Plain,
    /// `LOGIN`, an older mechanism without a standard.
    Login,
    /// `XOAUTH2`: the password of the credentials is a token.
    Xoauth2,
}

impl From<Mechanism> for proto::Mechanism {
    fn from(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Self::PLAIN,
            Mechanism::Login => Self::LOGIN,
            Mechanism::Xoauth2 => Self::XOAUTH2,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(proto::Mechanism::from(*self).name())
    }
}
