//! The server's side of SCRAM: reads the client's two messages (RFC 5802 §7) and verifies their
//! claims.
//!
//! Knows their grammar and the proofs. Must never know who may log in; the caller passes the
//! password.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use postwire_proto::{ChannelBinding, Mechanism, SaslContext, ScramKeys, Secret};

/// RFC 7677 §4.
const ITERATIONS: u32 = 4_096;

/// Whether a mechanism belongs to the SCRAM family.
pub(crate) fn is_scram(mechanism: Mechanism) -> bool {
    mechanism.name().starts_with("SCRAM-")
}

/// A valid `client-first-message`.
#[derive(Debug)]
pub(crate) struct ClientFirst {
    mechanism: Mechanism,
    user: String,
    bare: String,
    nonce: String,
    /// The channel data that the client must repeat under its proof, so that nobody between the
    /// two can have another channel or change the flag. `None` if the client's flag is false:
    /// no proof is accepted then.
    channel: Option<Vec<u8>>,
}

impl ClientFirst {
    /// Parses the message; `None` if it is malformed.
    pub(crate) fn parse(
        mechanism: Mechanism,
        message: &[u8],
        context: &SaslContext<'_>,
    ) -> Option<Self> {
        let message = core::str::from_utf8(message).ok()?;
        let (flag, rest) = message.split_once(',')?;
        let (identity, bare) = rest.split_once(',')?;
        let bound = bound_octets(flag, mechanism.binds_channel(), context);
        let (user, rest) = bare.strip_prefix("n=")?.split_once(',')?;
        let user = from_saslname(user)?;
        let nonce = rest.strip_prefix("r=")?.split(',').next()?;
        let acts_for_own_identity = match identity.strip_prefix("a=") {
            Some(identity) => from_saslname(identity)? == user,
            None => identity.is_empty(),
        };
        let printable = nonce.bytes().all(|octet| octet.is_ascii_graphic());
        if !acts_for_own_identity || user.is_empty() || nonce.is_empty() || !printable {
            return None;
        }
        let header = format!("{flag},{identity},");
        Some(Self {
            mechanism,
            user,
            bare: String::from(bare),
            nonce: String::from(nonce),
            channel: bound.map(|bound| [header.as_bytes(), bound].concat()),
        })
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Computes the challenge from the user's password; `nonce` must be fresh and random.
    /// `None` if the password cannot be prepared.
    pub(crate) fn challenge(self, password: &Secret, nonce: &[u8]) -> Option<ClientFinal> {
        let keys = ScramKeys::derive(self.mechanism, password, nonce, ITERATIONS).ok()?;
        let encoded = Secret::from(nonce.to_vec()).to_base64();
        let encoded = core::str::from_utf8(encoded.expose()).ok()?;
        let nonce_of_both = format!("{}{encoded}", self.nonce);
        Some(ClientFinal {
            server_first: format!("r={nonce_of_both},s={encoded},i={ITERATIONS}"),
            keys,
            nonce: nonce_of_both,
            first: self,
        })
    }
}

/// The channel data for the client's flag; `None` if the flag is not allowed.
fn bound_octets<'a>(flag: &str, plus: bool, context: &SaslContext<'a>) -> Option<&'a [u8]> {
    let offered = context.offered.iter().any(|name| name.ends_with("-PLUS"));
    match flag.split_once('=') {
        None if flag == "n" && !plus => Some(b""),
        // The client saw no offer: an attacker removed it.
        None if flag == "y" && !plus && !offered => Some(b""),
        Some(("p", name)) if plus => context
            .channel_binding
            .filter(|binding| binding.name() == name)
            .map(ChannelBinding::octets),
        _ => None,
    }
}

/// Decodes the name in a `saslname`.
pub(crate) fn from_saslname(name: &str) -> Option<String> {
    let mut plain = String::new();
    let mut pieces = name.split('=');
    plain.push_str(pieces.next()?);
    for piece in pieces {
        let (character, rest) = match piece.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        plain.push(character);
        plain.push_str(rest);
    }
    Some(plain)
}

/// The state that waits for the `client-final-message`.
pub(crate) struct ClientFinal {
    first: ClientFirst,
    keys: ScramKeys,
    nonce: String,
    server_first: String,
}

impl ClientFinal {
    pub(crate) fn user(&self) -> &str {
        &self.first.user
    }

    /// The `server-first-message`.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// The `server-final-message`, if the client's proof is valid.
    pub(crate) fn verify(&self, message: &[u8]) -> Option<String> {
        let message = core::str::from_utf8(message).ok()?;
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let channel =
            Secret::from_base64(attributes.next()?.strip_prefix("c=")?.as_bytes()).ok()?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        if Some(channel.expose()) != self.first.channel.as_deref() || nonce != self.nonce {
            return None;
        }
        let proof = Secret::from_base64(proof.as_bytes()).ok()?;
        let signed = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        if proof != self.keys.client_proof(signed.as_bytes()) {
            return None;
        }
        let signature = self.keys.server_signature(signed.as_bytes()).to_base64();
        Some(format!(
            "v={}",
            core::str::from_utf8(signature.expose()).ok()?
        ))
    }
}

/// Leaves out the keys.
impl core::fmt::Debug for ClientFinal {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("ClientFinal")
            .field("server_first", &self.server_first)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postwire_proto::{ChannelBinding, Credentials};

    const NONCE: &[u8] = b"sixteen octets!!";

    fn context<'a>(binding: Option<&'a ChannelBinding>, offered: &'a [&'a str]) -> SaslContext<'a> {
        SaslContext::default()
            .channel_binding(binding)
            .nonce(NONCE)
            .offered(offered)
    }

    /// Runs both sides, each with its own view of the channel; returns whether both succeed.
    fn authenticate(
        mechanism: Mechanism,
        client: &SaslContext<'_>,
        server: &SaslContext<'_>,
        passwords: [&str; 2],
    ) -> bool {
        let credentials = Credentials::new("al,i=ce", passwords[0]);
        let mut exchange = mechanism.start(&credentials, client).expect("a start");
        let first = exchange.initial_response().expect("a message");
        let first = first.expect("the client speaks first");
        let Some(first) = ClientFirst::parse(mechanism, first.expose(), server) else {
            return false;
        };
        assert_eq!(first.user(), "al,i=ce");
        let proof = first.challenge(&passwords[1].into(), NONCE).expect("fit");
        let answer = exchange.respond(proof.server_first().as_bytes());
        let Some(last) = proof.verify(answer.expect("an answer").expose()) else {
            return false;
        };
        exchange.finish(Some(last.as_bytes())).is_ok()
    }

    #[test]
    fn both_sides_agree_if_password_and_channel_match() {
        const PLAIN: &[Mechanism] = &[
            Mechanism::SCRAM_SHA_1,
            Mechanism::SCRAM_SHA_256,
            Mechanism::SCRAM_SHA_512,
        ];
        const PLUS: &[Mechanism] = &[
            Mechanism::SCRAM_SHA_1_PLUS,
            Mechanism::SCRAM_SHA_256_PLUS,
            Mechanism::SCRAM_SHA_512_PLUS,
        ];
        let right = ["pencil"; 2];
        let one = ChannelBinding::TlsExporter(alloc::vec![1; 32]);
        let other = ChannelBinding::TlsExporter(alloc::vec![2; 32]);
        let end_point = ChannelBinding::TlsServerEndPoint(alloc::vec![1; 32]);
        let bound = |binding| context(Some(binding), &["SCRAM-SHA-256-PLUS"]);
        let unbound = context(None, &["SCRAM-SHA-256"]);
        for mechanism in PLAIN {
            assert!(authenticate(*mechanism, &unbound, &unbound, right));
            assert!(!authenticate(
                *mechanism,
                &unbound,
                &unbound,
                ["pencil", "crayon"]
            ));
            // The client saw no offer although there was one.
            let hidden = context(Some(&one), &["SCRAM-SHA-256"]);
            assert!(!authenticate(*mechanism, &hidden, &bound(&one), right));
            assert!(authenticate(*mechanism, &hidden, &hidden, right));
        }
        for mechanism in PLUS {
            assert!(authenticate(*mechanism, &bound(&one), &bound(&one), right));
            assert!(!authenticate(
                *mechanism,
                &bound(&one),
                &bound(&other),
                right
            ));
            assert!(!authenticate(
                *mechanism,
                &bound(&one),
                &bound(&end_point),
                right
            ));
            assert!(!authenticate(*mechanism, &bound(&one), &unbound, right));
        }
    }

    #[test]
    fn malformed_messages_are_not_answered() {
        let context = context(None, &[]);
        let parse = |message: &[u8]| {
            let first = ClientFirst::parse(Mechanism::SCRAM_SHA_256, message, &context);
            first.map(|first| first.user)
        };
        assert_eq!(parse(b"n,,n=user,r=abc").as_deref(), Some("user"));
        for message in [&b"x,,n=user,r=abc"[..], b"p=tls-exporter,,n=user,r=abc"] {
            let first = ClientFirst::parse(Mechanism::SCRAM_SHA_256, message, &context);
            assert_eq!(first.and_then(|first| first.channel), None);
        }
        assert_eq!(parse(b"n,a=user,n=user,r=abc,x=y").as_deref(), Some("user"));
        for message in [
            &b""[..],
            b"n",
            b"n,,",
            b"n,,n=user",
            b"n,,n=user,r=",
            b"n,,n=,r=abc",
            b"n,,n=us=er,r=abc",
            b"n,,n=us=2c,r=abc",
            b"n,,m=x,n=user,r=abc",
            b"n,,n=user,r=a\x7fc",
            b"n,a=root,n=user,r=abc",
            b"n,root,n=user,r=abc",
            b"n,,n=\xff,r=abc",
        ] {
            assert_eq!(parse(message), None, "{}", message.escape_ascii());
        }
    }
}
