//! The server's side of an authentication (RFC 4954 §4): the challenges, and the content of the
//! responses.
//!
//! Knows the messages of each mechanism; a new mechanism is a variant here. Must never know
//! which users may log in: the application decides.

use alloc::boxed::Box;
use alloc::string::String;

#[cfg(feature = "cram-md5")]
use postwire_proto::Credentials;
use postwire_proto::{Mechanism, Reply, SaslContext, Secret};

use crate::default_reply::{self, DefaultReply};
use crate::scram::{self, ClientFinal, ClientFirst};

/// The response that is expected next.
#[derive(Debug)]
pub(crate) enum Dialogue {
    /// The only message of PLAIN (RFC 4616 §2).
    Plain,
    /// The user in LOGIN.
    LoginUser,
    /// The password in LOGIN.
    LoginPassword { user: String },
    /// The only message of XOAUTH2.
    Xoauth2,
    /// The only message of OAUTHBEARER (RFC 7628 §3.1).
    Oauthbearer,
    /// The acknowledgement of a token's failure, which is followed by this reply.
    TokenFailure { verdict: Reply },
    /// The only message of EXTERNAL (RFC 4422 appendix A) or ANONYMOUS (RFC 4505), which is a
    /// name.
    Name(Mechanism),
    /// The user and the digest of CRAM-MD5 (RFC 2195 §2).
    #[cfg(feature = "cram-md5")]
    CramMd5 { challenge: String },
    /// The first message of SCRAM (RFC 5802 §7).
    ScramFirst(Mechanism),
    /// The final message of SCRAM.
    ScramFinal(Box<ClientFinal>),
    /// The empty response after the server's own proof.
    ScramProved { user: String, server_final: String },
}

/// The result of a response.
#[derive(Debug)]
pub(crate) enum Next {
    Challenge(Dialogue),
    Credentials {
        mechanism: Mechanism,
        user: String,
        secret: Secret,
    },
    /// The client claims to know a password, which must be compared.
    Password {
        mechanism: Mechanism,
        user: String,
        claim: Claim,
    },
    Authenticated {
        user: String,
    },
    Failed(DefaultReply),
    Refused(Reply),
}

/// The claim that is compared with the user's password.
#[derive(Debug)]
pub(crate) enum Claim {
    #[cfg(feature = "cram-md5")]
    CramMd5 {
        user: String,
        response: Secret,
        challenge: String,
    },
    Scram(Box<ClientFirst>),
}

impl Dialogue {
    /// Whether the server side of the mechanism is implemented.
    pub(crate) fn is_known(mechanism: Mechanism) -> bool {
        let context = SaslContext::default().nonce(&[0]);
        Self::begin(mechanism, &context).is_some()
    }

    /// The first step of a mechanism; `None` if its server side is not implemented, or if it
    /// needs randomness and there is none.
    pub(crate) fn begin(mechanism: Mechanism, context: &SaslContext<'_>) -> Option<Self> {
        if scram::is_scram(mechanism) {
            return (!context.nonce.is_empty()).then_some(Self::ScramFirst(mechanism));
        }
        #[cfg(feature = "cram-md5")]
        if mechanism == Mechanism::CRAM_MD5 {
            return cram_md5_challenge(context).map(|challenge| Self::CramMd5 { challenge });
        }
        [
            (Mechanism::PLAIN, Self::Plain),
            (Mechanism::LOGIN, Self::LoginUser),
            (Mechanism::XOAUTH2, Self::Xoauth2),
            (Mechanism::OAUTHBEARER, Self::Oauthbearer),
            (Mechanism::EXTERNAL, Self::Name(mechanism)),
            (Mechanism::ANONYMOUS, Self::Name(mechanism)),
        ]
        .into_iter()
        .find_map(|(known, dialogue)| (known == mechanism).then_some(dialogue))
    }

    /// The challenge that requests the next response, in base64.
    pub(crate) fn challenge(&self) -> Secret {
        let challenge: &[u8] = match self {
            Self::Plain
            | Self::Xoauth2
            | Self::Oauthbearer
            | Self::Name(_)
            | Self::ScramFirst(_) => b"",
            Self::LoginUser => b"Username:",
            Self::LoginPassword { .. } => b"Password:",
            Self::TokenFailure { .. } => br#"{"status":"401","schemes":"bearer"}"#,
            #[cfg(feature = "cram-md5")]
            Self::CramMd5 { challenge } => challenge.as_bytes(),
            Self::ScramFinal(awaited) => awaited.server_first().as_bytes(),
            Self::ScramProved { server_final, .. } => server_final.as_bytes(),
        };
        Secret::from(challenge.to_vec()).to_base64()
    }

    /// Processes the response on a line, or an initial response, where `=` means empty.
    pub(crate) fn take(self, encoded: &[u8], initial: bool, context: &SaslContext<'_>) -> Next {
        if let Self::TokenFailure { verdict } = self {
            return Next::Refused(verdict);
        }
        let encoded = if initial && encoded == b"=" {
            b""
        } else {
            encoded
        };
        match encoded {
            b"*" => Next::Failed(default_reply::AUTH_CANCELLED),
            _ => match Secret::from_base64(encoded) {
                Ok(response) => self.respond(response.expose(), context),
                Err(_) => Next::Failed(default_reply::INVALID_RESPONSE),
            },
        }
    }

    fn respond(self, response: &[u8], context: &SaslContext<'_>) -> Next {
        match self {
            Self::Plain => plain(response),
            Self::LoginUser => match text(response) {
                Ok(user) => Next::Challenge(Self::LoginPassword { user }),
                Err(reply) => Next::Failed(reply),
            },
            Self::LoginPassword { user } => Next::Credentials {
                mechanism: Mechanism::LOGIN,
                user,
                secret: Secret::from(response.to_vec()),
            },
            Self::Xoauth2 => xoauth2(response),
            Self::Oauthbearer => oauthbearer(response),
            Self::Name(mechanism) => credentials(mechanism, response, b""),
            Self::TokenFailure { verdict } => Next::Refused(verdict),
            #[cfg(feature = "cram-md5")]
            Self::CramMd5 { challenge } => cram_md5_claim(challenge, response),
            Self::ScramFirst(mechanism) => match ClientFirst::parse(mechanism, response, context) {
                Some(first) => Next::Password {
                    mechanism,
                    user: String::from(first.user()),
                    claim: Claim::Scram(Box::new(first)),
                },
                None => Next::Failed(default_reply::INVALID_RESPONSE),
            },
            Self::ScramFinal(awaited) => match awaited.verify(response) {
                Some(server_final) => Next::Challenge(Self::ScramProved {
                    user: String::from(awaited.user()),
                    server_final,
                }),
                None => Next::Failed(default_reply::AUTHENTICATION_FAILED),
            },
            Self::ScramProved { user, .. } if response.is_empty() => Next::Authenticated { user },
            Self::ScramProved { .. } => Next::Failed(default_reply::INVALID_RESPONSE),
        }
    }
}

impl Claim {
    /// Compares the claim with the user's password; `nonce` must be fresh and random.
    pub(crate) fn compare(self, password: &Secret, nonce: &[u8]) -> Next {
        match self {
            #[cfg(feature = "cram-md5")]
            Self::CramMd5 {
                user,
                response,
                challenge,
            } => {
                if cram_md5_response(&user, password, &challenge) == Some(response) {
                    Next::Authenticated { user }
                } else {
                    Next::Failed(default_reply::AUTHENTICATION_FAILED)
                }
            }
            Self::Scram(first) => match first.challenge(password, nonce) {
                Some(awaited) => Next::Challenge(Dialogue::ScramFinal(Box::new(awaited))),
                None => Next::Failed(default_reply::AUTHENTICATION_FAILED),
            },
        }
    }
}

fn text(octets: &[u8]) -> Result<String, DefaultReply> {
    let text = core::str::from_utf8(octets).map_err(|_| default_reply::INVALID_RESPONSE)?;
    Ok(String::from(text))
}

/// Reads `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(message: &[u8]) -> Next {
    let mut parts = message.split(|&octet| octet == 0);
    let (Some(authorization), Some(user), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Next::Failed(default_reply::INVALID_RESPONSE);
    };
    if !authorization.is_empty() && authorization != user {
        return Next::Failed(default_reply::AUTHORIZATION_REFUSED);
    }
    credentials(Mechanism::PLAIN, user, secret)
}

/// Reads `user=` user ^A `auth=Bearer ` token ^A ^A.
fn xoauth2(message: &[u8]) -> Next {
    let fields = message
        .strip_prefix(b"user=")
        .and_then(|rest| rest.strip_suffix(b"\x01\x01"));
    let mut fields = fields.unwrap_or_default().split(|&octet| octet == 1);
    let (Some(user), Some(authorization), None) = (fields.next(), fields.next(), fields.next())
    else {
        return Next::Failed(default_reply::INVALID_RESPONSE);
    };
    match authorization.split_at_checked(b"auth=Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"auth=Bearer ") => {
            credentials(Mechanism::XOAUTH2, user, token)
        }
        _ => Next::Failed(default_reply::INVALID_RESPONSE),
    }
}

/// Reads `n,` [`a=` identity] `,` ^A fields ^A ^A; of the fields only `auth=Bearer ` token is
/// used.
fn oauthbearer(message: &[u8]) -> Next {
    let Ok(message) = core::str::from_utf8(message) else {
        return Next::Failed(default_reply::INVALID_RESPONSE);
    };
    let parts = message
        .strip_suffix("\x01\x01")
        .and_then(|message| message.strip_prefix("n,"))
        .and_then(|message| message.split_once(",\x01"));
    let Some((identity, fields)) = parts else {
        return Next::Failed(default_reply::INVALID_RESPONSE);
    };
    let user = match identity.strip_prefix("a=") {
        Some(user) => scram::from_saslname(user),
        None => identity.is_empty().then(String::new),
    };
    let token = fields.split('\x01').find_map(|field| {
        let (scheme, token) = field.split_at_checked("auth=Bearer ".len())?;
        scheme.eq_ignore_ascii_case("auth=Bearer ").then_some(token)
    });
    match (user, token) {
        (Some(user), Some(token)) => Next::Credentials {
            mechanism: Mechanism::OAUTHBEARER,
            user,
            secret: Secret::from(token),
        },
        _ => Next::Failed(default_reply::INVALID_RESPONSE),
    }
}

/// Reads the user, a blank, and the digest in hexadecimal.
#[cfg(feature = "cram-md5")]
fn cram_md5_claim(challenge: String, response: &[u8]) -> Next {
    let response = core::str::from_utf8(response).unwrap_or_default();
    match response.rsplit_once(' ') {
        Some((user, _digest)) => Next::Password {
            mechanism: Mechanism::CRAM_MD5,
            user: String::from(user),
            claim: Claim::CramMd5 {
                user: String::from(user),
                response: Secret::from(response),
                challenge,
            },
        },
        None => Next::Failed(default_reply::INVALID_RESPONSE),
    }
}

/// The server's only challenge (RFC 2195 §2); `None` without a nonce.
#[cfg(feature = "cram-md5")]
fn cram_md5_challenge(context: &SaslContext<'_>) -> Option<String> {
    let nonce = Secret::from(context.nonce.to_vec()).to_base64();
    let nonce = core::str::from_utf8(nonce.expose()).ok()?;
    (!nonce.is_empty()).then(|| alloc::format!("<{nonce}@{}>", context.host))
}

/// The response of a client with this password to the challenge.
#[cfg(feature = "cram-md5")]
fn cram_md5_response(user: &str, password: &Secret, challenge: &str) -> Option<Secret> {
    let credentials = Credentials::new(user, password.clone());
    let exchange = Mechanism::CRAM_MD5.start(&credentials, &SaslContext::default());
    exchange.ok()?.respond(challenge.as_bytes()).ok()
}

fn credentials(mechanism: Mechanism, user: &[u8], secret: &[u8]) -> Next {
    match text(user) {
        Ok(user) => Next::Credentials {
            mechanism,
            user,
            secret: Secret::from(secret.to_vec()),
        },
        Err(reply) => Next::Failed(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postwire_proto::{Credentials, SaslContext};

    const NONCE: &[u8] = b"sixteen octets!!";

    fn context() -> SaslContext<'static> {
        SaslContext::default().nonce(NONCE).host("mail.example.org")
    }

    /// Runs both sides. Returns the user who is logged in if `password` is right, and the
    /// secret that was transmitted.
    fn authenticate(
        mechanism: Mechanism,
        credentials: &Credentials,
        password: &str,
    ) -> Result<(String, Secret), DefaultReply> {
        let context = context();
        let mut exchange = mechanism
            .start(credentials, &context)
            .expect("credentials that fit");
        let mut dialogue = Dialogue::begin(mechanism, &context).expect("a server side");
        let mut response = exchange.initial_response().expect("a response");
        loop {
            let response = response.take().unwrap_or_else(|| {
                let challenge = Secret::from_base64(dialogue.challenge().expose()).expect("base64");
                exchange.respond(challenge.expose()).expect("a response")
            });
            let encoded = response.to_base64();
            let mut next = dialogue.take(encoded.expose(), false, &context);
            if let Next::Password { claim, user, .. } = next {
                assert_eq!(user, credentials.user());
                next = claim.compare(&password.into(), NONCE);
            }
            match next {
                Next::Challenge(next) => dialogue = next,
                Next::Credentials { user, secret, .. } => return Ok((user, secret)),
                Next::Authenticated { user } => {
                    assert_eq!(exchange.finish(None), Ok(()));
                    return Ok((user, Secret::default()));
                }
                Next::Failed(reply) => return Err(reply),
                next => panic!("{mechanism}: {next:?}"),
            }
        }
    }

    /// The server side of every mechanism must understand the client side.
    #[test]
    fn understands_the_client_side() {
        for (mechanism, told) in [
            (Mechanism::PLAIN, "p w="),
            (Mechanism::LOGIN, "p w="),
            (Mechanism::XOAUTH2, "p w="),
            (Mechanism::OAUTHBEARER, "p w="),
            (Mechanism::SCRAM_SHA_1, ""),
            (Mechanism::SCRAM_SHA_256, ""),
            (Mechanism::SCRAM_SHA_512, ""),
            #[cfg(feature = "cram-md5")]
            (Mechanism::CRAM_MD5, ""),
        ] {
            let credentials = Credentials::new("jane,=doe", "p w=");
            let (user, secret) = authenticate(mechanism, &credentials, "p w=").expect("let in");
            assert_eq!(user, credentials.user());
            assert_eq!(secret, told.into(), "{mechanism}");
            let let_in = authenticate(mechanism, &credentials, "another");
            if told.is_empty() {
                assert_eq!(let_in, Err(default_reply::AUTHENTICATION_FAILED));
            }
        }
        for (mechanism, credentials, name) in [
            (Mechanism::EXTERNAL, Credentials::external(), ""),
            (
                Mechanism::EXTERNAL,
                Credentials::external().with_authorization_identity("relay"),
                "relay",
            ),
            (Mechanism::ANONYMOUS, Credentials::anonymous("who"), "who"),
        ] {
            let (user, secret) = authenticate(mechanism, &credentials, "").expect("let in");
            assert_eq!((user.as_str(), secret), (name, Secret::default()));
        }
    }

    #[test]
    fn mechanisms_that_need_randomness_do_not_begin_without_it() {
        let context = SaslContext::default();
        assert!(Dialogue::begin(Mechanism::PLAIN, &context).is_some());
        assert!(Dialogue::begin(Mechanism::SCRAM_SHA_256, &context).is_none());
        #[cfg(feature = "cram-md5")]
        assert!(Dialogue::begin(Mechanism::CRAM_MD5, &context).is_none());
    }

    fn failure(mechanism: Mechanism, message: &[u8]) -> Option<DefaultReply> {
        let encoded = Secret::from(message.to_vec()).to_base64();
        let dialogue = Dialogue::begin(mechanism, &context()).expect("a server side");
        match dialogue.take(encoded.expose(), true, &context()) {
            Next::Failed(reply) => Some(reply),
            _ => None,
        }
    }

    #[test]
    fn malformed_responses_are_refused() {
        let invalid = Some(default_reply::INVALID_RESPONSE);
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
        for message in [
            &b""[..],
            b"n,,\x01auth=Bearer x",
            b"y,,\x01auth=Bearer x\x01\x01",
            b"n,u,\x01auth=Bearer x\x01\x01",
            b"n,a=u=,\x01auth=Bearer x\x01\x01",
            b"n,a=u,\x01auth=Basic x\x01\x01",
            b"n,a=\xff,\x01auth=Bearer x\x01\x01",
        ] {
            assert_eq!(failure(Mechanism::OAUTHBEARER, message), invalid);
        }
        assert_eq!(failure(Mechanism::LOGIN, b"\xff"), invalid);
        assert_eq!(failure(Mechanism::SCRAM_SHA_256, b"n,,"), invalid);
        #[cfg(feature = "cram-md5")]
        assert_eq!(failure(Mechanism::CRAM_MD5, b"jane"), invalid);
        assert_eq!(
            failure(Mechanism::PLAIN, b"root\0u\0p"),
            Some(default_reply::AUTHORIZATION_REFUSED)
        );
        assert_eq!(failure(Mechanism::PLAIN, b"u\0u\0p"), None);
    }

    #[test]
    fn an_equals_sign_is_an_empty_initial_response_only() {
        let taken = Dialogue::LoginUser.take(b"=", true, &context());
        assert!(matches!(
            taken,
            Next::Challenge(Dialogue::LoginPassword { user }) if user.is_empty()
        ));
        let taken = Dialogue::LoginUser.take(b"=", false, &context());
        assert!(matches!(
            taken,
            Next::Failed(default_reply::INVALID_RESPONSE)
        ));
    }
}
