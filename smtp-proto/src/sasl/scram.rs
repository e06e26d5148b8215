//! SCRAM (RFC 5802, RFC 7677): each side proves that it knows the password without revealing
//! it.
//!
//! Knows the order of the four messages and what each side's proof covers. Must never report
//! success before the server's signature is verified, and must never know TLS: the caller
//! passes the channel binding.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::gs2::saslname;
use super::{
    ChannelBinding, CredentialKind, Exchange, SaslContext, SaslError, Secret, Specification, Start,
    encode,
};
use crate::Credentials;
use keys::Hash;
pub use keys::ScramKeys;
use messages::{ServerFinal, ServerFirst};

mod keys;
mod messages;
mod prepare;

pub(super) static SHA_1: Specification = scram("SCRAM-SHA-1", false, |credentials, context| {
    start(Hash::Sha1, false, credentials, context)
});
pub(super) static SHA_1_PLUS: Specification =
    scram("SCRAM-SHA-1-PLUS", true, |credentials, context| {
        start(Hash::Sha1, true, credentials, context)
    });
pub(super) static SHA_256: Specification = scram("SCRAM-SHA-256", false, |credentials, context| {
    start(Hash::Sha256, false, credentials, context)
});
pub(super) static SHA_256_PLUS: Specification =
    scram("SCRAM-SHA-256-PLUS", true, |credentials, context| {
        start(Hash::Sha256, true, credentials, context)
    });
pub(super) static SHA_512: Specification = scram("SCRAM-SHA-512", false, |credentials, context| {
    start(Hash::Sha512, false, credentials, context)
});
pub(super) static SHA_512_PLUS: Specification =
    scram("SCRAM-SHA-512-PLUS", true, |credentials, context| {
        start(Hash::Sha512, true, credentials, context)
    });

const fn scram(name: &'static str, plus: bool, start: Start) -> Specification {
    Specification {
        needs_nonce: true,
        binds_channel: plus,
        ..Specification::new(name, CredentialKind::Password, start)
    }
}

fn start(
    hash: Hash,
    plus: bool,
    credentials: &Credentials,
    context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(0)?;
    if context.nonce.is_empty() {
        return Err(SaslError::MissingContext("random nonce"));
    }
    let nonce = encode(context.nonce);
    let nonce = String::from_utf8_lossy(nonce.expose()).into_owned();
    let user = prepare::saslprep(credentials.user())?;
    let password = core::str::from_utf8(credentials.secret().expose())
        .map_err(|_| SaslError::ProhibitedCharacters)?;
    let password = prepare::saslprep(password)?;
    let binding = Binding::choose(plus, context)?;
    let identity = match credentials.authorization_identity() {
        "" => String::new(),
        identity => alloc::format!("a={}", saslname(identity)),
    };
    let header = alloc::format!("{},{identity},", binding.flag());
    Ok(Box::new(Scram {
        hash,
        client_first_bare: alloc::format!("n={},r={nonce}", saslname(&user)),
        channel: [header.as_bytes(), binding.octets()].concat(),
        header,
        nonce,
        iterations: context.min_iterations..=context.max_iterations,
        step: Step::First {
            password: Secret::from(password.as_str()),
        },
        failure: None,
    }))
}

/// The channel binding flag (RFC 5802 §6).
enum Binding<'a> {
    /// `n`: channel binding is not used, and nothing is claimed about the server.
    Unused,
    /// `y`: the client supports channel binding, but the server did not offer it. A server that
    /// did offer it then detects that an attacker removed the offer.
    NotOffered,
    /// `p`
    Used(&'a ChannelBinding),
}

impl<'a> Binding<'a> {
    fn choose(plus: bool, context: &SaslContext<'a>) -> Result<Self, SaslError> {
        let offered = |name: &&str| {
            name.len() > 5 && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b"-PLUS")
        };
        match context.channel_binding {
            Some(binding) if plus => Ok(Self::Used(binding)),
            None if plus => Err(SaslError::MissingContext("channel binding")),
            Some(_) if !context.offered.iter().any(offered) => Ok(Self::NotOffered),
            _ => Ok(Self::Unused),
        }
    }

    fn flag(&self) -> String {
        match self {
            Self::Unused => String::from("n"),
            Self::NotOffered => String::from("y"),
            Self::Used(binding) => alloc::format!("p={}", binding.name()),
        }
    }

    fn octets(&self) -> &'a [u8] {
        match self {
            Self::Unused | Self::NotOffered => b"",
            Self::Used(binding) => binding.octets(),
        }
    }
}

struct Scram {
    hash: Hash,
    /// `client-first-message-bare`
    client_first_bare: String,
    /// `gs2-header`
    header: String,
    /// `gs2-header` and the channel binding data: the value that `c=` repeats.
    channel: Vec<u8>,
    nonce: String,
    /// The allowed numbers of hash iterations.
    iterations: RangeInclusive<u32>,
    step: Step,
    /// The server's description of its refusal.
    failure: Option<Vec<u8>>,
}

/// The message expected from the server.
enum Step {
    First {
        password: Secret,
    },
    Final {
        signature: Secret,
    },
    /// Waits for the reply to `AUTH`; the server has proved its identity.
    Verified,
    /// Waits for the reply to `AUTH`; the server has already sent its refusal (`e=`).
    Refused,
    Nothing,
}

impl super::sealed::Sealed for Scram {}

impl Exchange for Scram {
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError> {
        let message = [self.header.as_bytes(), self.client_first_bare.as_bytes()].concat();
        Ok(Some(Secret::from(message)))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        match core::mem::replace(&mut self.step, Step::Nothing) {
            Step::First { password } => self.client_final(&password, challenge),
            Step::Final { signature } => {
                self.verify(&signature, challenge)?;
                Ok(Secret::default())
            }
            Step::Verified | Step::Refused | Step::Nothing => Err(SaslError::UnexpectedChallenge),
        }
    }

    fn finish(&mut self, server_final: Option<&[u8]>) -> Result<(), SaslError> {
        match (
            core::mem::replace(&mut self.step, Step::Nothing),
            server_final,
        ) {
            (Step::Verified, _) => Ok(()),
            (Step::Final { signature }, Some(message)) => {
                self.verify(&signature, message)?;
                match self.step {
                    Step::Verified => Ok(()),
                    _ => Err(SaslError::ServerNotAuthenticated),
                }
            }
            _ => Err(SaslError::ServerNotAuthenticated),
        }
    }

    fn failure_detail(&self) -> Option<&[u8]> {
        self.failure.as_deref()
    }
}

impl Scram {
    /// Reads the server's first message and proves that the client knows the password.
    fn client_final(&mut self, password: &Secret, challenge: &[u8]) -> Result<Secret, SaslError> {
        let first = match ServerFirst::parse(challenge)? {
            ServerFirst::Parameters(first) => first,
            ServerFirst::Refusal(reason) => return Ok(self.refused(reason)),
        };
        let fresh = first.nonce.strip_prefix(self.nonce.as_str());
        if fresh.is_none_or(str::is_empty) {
            return Err(SaslError::WrongNonce);
        }
        let asked = first.iterations;
        if asked > *self.iterations.end() {
            let limit = *self.iterations.end();
            return Err(SaslError::TooManyIterations { asked, limit });
        }
        if asked < *self.iterations.start() {
            let least = *self.iterations.start();
            return Err(SaslError::TooFewIterations { asked, least });
        }
        let channel = encode(&self.channel);
        let without_proof = [b"c=", channel.expose(), b",r=", first.nonce.as_bytes()].concat();
        let signed = [
            self.client_first_bare.as_bytes(),
            b",",
            challenge,
            b",",
            &without_proof,
        ]
        .concat();
        let keys =
            ScramKeys::from_prepared(self.hash, password.expose(), &first.salt, first.iterations);
        let proof = keys.client_proof(&signed).to_base64();
        self.step = Step::Final {
            signature: keys.server_signature(&signed),
        };
        Ok(Secret::concat(&[&without_proof, b",p=", proof.expose()]))
    }

    /// Reads the server's final message and verifies its signature.
    fn verify(&mut self, signature: &Secret, message: &[u8]) -> Result<(), SaslError> {
        self.step = match ServerFinal::parse(message)? {
            ServerFinal::Signature(claimed) if claimed == *signature => Step::Verified,
            ServerFinal::Signature(_) => return Err(SaslError::ServerNotAuthenticated),
            ServerFinal::Refusal(reason) => {
                self.refused(reason);
                Step::Refused
            }
        };
        Ok(())
    }

    /// The server describes its refusal and waits for an empty response before it refuses.
    fn refused(&mut self, reason: &[u8]) -> Secret {
        self.failure = Some(reason.to_vec());
        self.step = Step::Refused;
        Secret::default()
    }
}

#[cfg(test)]
mod tests;
