//! The server's side of an authentication (RFC 4954 §4): which challenges it
//! takes, and what the responses say.
//!
//! Knows the messages of each mechanism; a new one is a variant here. Must never
//! know who may log in: that is asked of the application.

use alloc::string::String;

use super::answer::{self, Answer};
use crate::sasl::{decode, encode};
use crate::{Mechanism, Reply, Secret};

/// What the next response is to be.
#[derive(Debug)]
pub(super) enum Dialogue {
    /// The one message of PLAIN (RFC 4616 §2).
    Plain,
    /// LOGIN's user.
    LoginUser,
    /// LOGIN's password.
    LoginPassword { user: String },
    /// The one message of XOAUTH2.
    Xoauth2,
    /// XOAUTH2's empty response to the reason of its failure, after which this
    /// is said.
    Xoauth2Failure { verdict: Reply },
}

/// Where a response leads.
#[derive(Debug)]
pub(super) enum Next {
    Challenge(Dialogue),
    Credentials {
        mechanism: Mechanism,
        user: String,
        secret: Secret,
    },
    Failed(Answer),
    Refused(Reply),
}

impl Dialogue {
    /// The first step of a mechanism; none if its server side is not known.
    pub(super) fn begin(mechanism: Mechanism) -> Option<Self> {
        [
            (Mechanism::PLAIN, Self::Plain),
            (Mechanism::LOGIN, Self::LoginUser),
            (Mechanism::XOAUTH2, Self::Xoauth2),
        ]
        .into_iter()
        .find_map(|(known, dialogue)| (known == mechanism).then_some(dialogue))
    }

    /// The challenge that asks for the next response, in base64.
    pub(super) fn challenge(&self) -> Secret {
        encode(match self {
            Self::Plain | Self::Xoauth2 => b"",
            Self::LoginUser => b"Username:",
            Self::LoginPassword { .. } => b"Password:",
            Self::Xoauth2Failure { .. } => br#"{"status":"401","schemes":"bearer"}"#,
        })
    }

    /// Takes the response on a line, or an initial one, which is `=` if empty.
    pub(super) fn take(self, encoded: &[u8], initial: bool) -> Next {
        if let Self::Xoauth2Failure { verdict } = self {
            return Next::Refused(verdict);
        }
        let encoded = if initial && encoded == b"=" {
            b""
        } else {
            encoded
        };
        match encoded {
            b"*" => Next::Failed(answer::AUTH_CANCELLED),
            _ => match decode(encoded) {
                Ok(response) => self.respond(&response),
                Err(_) => Next::Failed(answer::INVALID_RESPONSE),
            },
        }
    }

    fn respond(self, response: &[u8]) -> Next {
        match self {
            Self::Plain => plain(response),
            Self::LoginUser => match text(response) {
                Ok(user) => Next::Challenge(Self::LoginPassword { user }),
                Err(answer) => Next::Failed(answer),
            },
            Self::LoginPassword { user } => Next::Credentials {
                mechanism: Mechanism::LOGIN,
                user,
                secret: Secret::from(response.to_vec()),
            },
            Self::Xoauth2 => xoauth2(response),
            Self::Xoauth2Failure { verdict } => Next::Refused(verdict),
        }
    }
}

fn text(octets: &[u8]) -> Result<String, Answer> {
    let text = core::str::from_utf8(octets).map_err(|_| answer::INVALID_RESPONSE)?;
    Ok(String::from(text))
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(message: &[u8]) -> Next {
    let mut parts = message.split(|&octet| octet == 0);
    let (Some(authorization), Some(user), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Next::Failed(answer::INVALID_RESPONSE);
    };
    if !authorization.is_empty() && authorization != user {
        return Next::Failed(answer::AUTHORIZATION_REFUSED);
    }
    credentials(Mechanism::PLAIN, user, secret)
}

/// `user=` user ^A `auth=Bearer ` token ^A ^A.
fn xoauth2(message: &[u8]) -> Next {
    let fields = message
        .strip_prefix(b"user=")
        .and_then(|rest| rest.strip_suffix(b"\x01\x01"));
    let mut fields = fields.unwrap_or_default().split(|&octet| octet == 1);
    let (Some(user), Some(authorization), None) = (fields.next(), fields.next(), fields.next())
    else {
        return Next::Failed(answer::INVALID_RESPONSE);
    };
    match authorization.split_at_checked(b"auth=Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"auth=Bearer ") => {
            credentials(Mechanism::XOAUTH2, user, token)
        }
        _ => Next::Failed(answer::INVALID_RESPONSE),
    }
}

fn credentials(mechanism: Mechanism, user: &[u8], secret: &[u8]) -> Next {
    match text(user) {
        Ok(user) => Next::Credentials {
            mechanism,
            user,
            secret: Secret::from(secret.to_vec()),
        },
        Err(answer) => Next::Failed(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credentials, SaslContext};

    /// The other half of every mechanism must be understood here.
    #[test]
    fn understands_the_client_side() {
        for mechanism in [Mechanism::PLAIN, Mechanism::LOGIN, Mechanism::XOAUTH2] {
            let credentials = Credentials::new("j\u{fc}rgen", "p w=");
            let mut exchange = mechanism
                .start(&credentials, &SaslContext::default())
                .expect("credentials that fit");
            let mut dialogue = Dialogue::begin(mechanism).expect("a server side");
            let mut response = exchange.initial_response().expect("a response");
            let (user, secret) = loop {
                let response = response.take().unwrap_or_else(|| {
                    let challenge = decode(dialogue.challenge().expose()).expect("base64");
                    exchange.respond(&challenge).expect("a response")
                });
                match dialogue.take(encode(response.expose()).expose(), false) {
                    Next::Challenge(next) => dialogue = next,
                    Next::Credentials { user, secret, .. } => break (user, secret),
                    next => panic!("{mechanism}: {next:?}"),
                }
            };
            assert_eq!(user, credentials.user());
            assert_eq!(&secret, credentials.secret());
        }
    }

    fn failure(mechanism: Mechanism, message: &[u8]) -> Option<Answer> {
        let encoded = encode(message);
        let dialogue = Dialogue::begin(mechanism).expect("a server side");
        match dialogue.take(encoded.expose(), true) {
            Next::Failed(answer) => Some(answer),
            _ => None,
        }
    }

    #[test]
    fn refuses_what_is_malformed() {
        let invalid = Some(answer::INVALID_RESPONSE);
        for message in [&b""[..], b"u", b"\0u", b"\0u\0p\0", b"\0\xff\0p"] {
            assert_eq!(failure(Mechanism::PLAIN, message), invalid);
        }
        for message in [
            &b""[..],
            b"user=u",
            b"user=u\x01auth=Basic x\x01\x01",
            b"user=u\x01auth=Bearer x\x01",
            b"user=u\x01a\x01auth=Bearer x\x01\x01",
        ] {
            assert_eq!(failure(Mechanism::XOAUTH2, message), invalid);
        }
        assert_eq!(failure(Mechanism::LOGIN, b"\xff"), invalid);
        assert_eq!(
            failure(Mechanism::PLAIN, b"root\0u\0p"),
            Some(answer::AUTHORIZATION_REFUSED)
        );
        assert_eq!(failure(Mechanism::PLAIN, b"u\0u\0p"), None);
    }

    #[test]
    fn an_equals_sign_is_an_empty_initial_response_only() {
        let taken = Dialogue::LoginUser.take(b"=", true);
        assert!(matches!(
            taken,
            Next::Challenge(Dialogue::LoginPassword { user }) if user.is_empty()
        ));
        let taken = Dialogue::LoginUser.take(b"=", false);
        assert!(matches!(taken, Next::Failed(answer::INVALID_RESPONSE)));
    }
}
