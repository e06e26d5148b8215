//! Authentication mechanisms, as values behind one interface.
//!
//! Knows credentials and the exchange of challenges and responses (RFC 4422). Must never know
//! SMTP commands, replies or whether the connection is secure: the session frames what is
//! exchanged here and decides which mechanism may be used.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

mod login;
mod plain;
mod xoauth2;

/// Octets that must not be seen: a password, a token, a response that contains one.
///
/// Wiped from memory when dropped; `Debug` shows only that there is one. Copies that were made
/// before the octets came here are the caller's to wipe.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The octets. Whoever copies them has a secret to wipe.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gathers parts without a reallocation, which would leave a copy behind.
    fn concat(parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut octets = Zeroizing::new(Vec::with_capacity(length));
        for part in parts {
            octets.extend_from_slice(part);
        }
        Self(octets)
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret.into_bytes()))
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(Zeroizing::new(secret.as_bytes().to_vec()))
    }
}

impl From<Vec<u8>> for Secret {
    fn from(secret: Vec<u8>) -> Self {
        Self(Zeroizing::new(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// A user and the secret that proves to be him: a password, or a token for XOAUTH2.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    secret: Secret,
}

impl Credentials {
    /// Credentials of this user.
    pub fn new(user: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self {
            user: user.into(),
            secret: secret.into(),
        }
    }

    /// The user's name, the SASL authentication identity.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password or token.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Fails if the mechanism's separator, or a NUL, is in either part.
    fn check_free_of(&self, separator: u8) -> Result<(), SaslError> {
        for part in [self.user.as_bytes(), self.secret.expose()] {
            if memchr::memchr(0, part).is_some() {
                return Err(SaslError::NulInCredentials);
            }
            if memchr::memchr(separator, part).is_some() {
                return Err(SaslError::SeparatorInCredentials);
            }
        }
        Ok(())
    }
}

/// Shows neither the user nor the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(..)")
    }
}

/// An authentication mechanism (RFC 4422 §3.1), as a value.
///
/// ```
/// use postwire_proto::Mechanism;
///
/// assert_eq!("plain".parse::<Mechanism>()?, Mechanism::PLAIN);
/// assert_eq!(Mechanism::LOGIN.name(), "LOGIN");
/// # Ok::<(), postwire_proto::UnknownMechanism>(())
/// ```
#[derive(Copy, Clone)]
pub struct Mechanism(&'static Specification);

/// What a mechanism's file says of it.
struct Specification {
    /// The registered name, in capitals.
    name: &'static str,
    /// Whether who reads or receives the exchange can use the secret himself.
    reveals_secret: bool,
    start: Start,
}

type Start = fn(&Credentials, &SaslContext<'_>) -> Result<Box<dyn Exchange>, SaslError>;

/// Every mechanism there is; a new one is a file and a line here.
const MECHANISMS: &[Mechanism] = &[Mechanism::PLAIN, Mechanism::LOGIN, Mechanism::XOAUTH2];

impl Mechanism {
    /// `PLAIN` (RFC 4616): user and password in one message.
    pub const PLAIN: Self = Self(&plain::SPECIFICATION);

    /// `LOGIN` (draft-murchison-sasl-login): user, then password; for servers that know no
    /// other.
    pub const LOGIN: Self = Self(&login::SPECIFICATION);

    /// `XOAUTH2`: an OAuth 2.0 bearer token as the secret, in the form that Google and
    /// Microsoft made.
    pub const XOAUTH2: Self = Self(&xoauth2::SPECIFICATION);

    /// The registered name, in capitals, as after AUTH (RFC 4954 §4).
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Whether the server, and anyone who reads along, learns the secret: such a mechanism
    /// is only for a connection with TLS (RFC 4954 §4).
    pub fn reveals_secret(&self) -> bool {
        self.0.reveals_secret
    }

    /// Begins an authentication with these credentials.
    ///
    /// # Errors
    ///
    /// The mechanism cannot carry the credentials, or needs what the context lacks.
    pub fn start(
        &self,
        credentials: &Credentials,
        context: &SaslContext<'_>,
    ) -> Result<Box<dyn Exchange>, SaslError> {
        (self.0.start)(credentials, context)
    }

    /// What is tried without further configuration, the most wanted first: those that take a
    /// password. `XOAUTH2` has to be asked for, as its secret is a token.
    pub fn default_preference() -> &'static [Self] {
        const { &[Self::PLAIN, Self::LOGIN] }
    }
}

impl PartialEq for Mechanism {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Mechanism {}

impl Hash for Mechanism {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        MECHANISMS
            .iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
            .copied()
            .ok_or(UnknownMechanism)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.0.name)
    }
}

impl fmt::Debug for Mechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.name)
    }
}

/// A name is not that of a [`Mechanism`] that this library knows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct UnknownMechanism;

impl fmt::Display for UnknownMechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the authentication mechanism is not known")
    }
}

impl core::error::Error for UnknownMechanism {}

/// What a mechanism may use besides the credentials. What it does not need stays at its
/// default.
#[non_exhaustive]
#[derive(Copy, Clone, Default)]
pub struct SaslContext<'a> {
    /// What binds the authentication to the TLS session (RFC 5056).
    pub channel_binding: Option<&'a ChannelBinding>,
    /// Fresh random octets from the caller, as the core has no source of its own.
    pub nonce: &'a [u8],
    /// The server's host name.
    pub host: &'a str,
    /// The names of the mechanisms that the server offers.
    pub offered: &'a [&'a str],
}

impl fmt::Debug for SaslContext<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SaslContext")
            .field("channel_binding", &self.channel_binding)
            .field("host", &self.host)
            .field("offered", &self.offered)
            .finish_non_exhaustive()
    }
}

/// Octets that both ends of a TLS session, and nobody between them, know (RFC 5929, RFC 9266).
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub enum ChannelBinding {
    /// `tls-exporter` (RFC 9266): exported keying material of this session.
    TlsExporter(Vec<u8>),
    /// `tls-server-end-point` (RFC 5929 §4): the hash of the server's certificate.
    TlsServerEndPoint(Vec<u8>),
}

/// Shows the type, not the octets.
impl fmt::Debug for ChannelBinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TlsExporter(_) => "TlsExporter(..)",
            Self::TlsServerEndPoint(_) => "TlsServerEndPoint(..)",
        })
    }
}

/// One authentication in progress, from the client's side.
///
/// All octets are those before base64, which is SMTP's affair. A mechanism whose client
/// speaks first is asked for its [initial response](Self::initial_response) once, before any
/// challenge; if that does not fit on the AUTH line, the session sends it in answer to the
/// first, empty, challenge, and the mechanism need not know.
pub trait Exchange: Send + Sync {
    /// What the client says first, unasked; `None` if the server speaks first.
    ///
    /// # Errors
    ///
    /// The mechanism's own reasons.
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError>;

    /// The response to a decoded challenge, which is empty if the server's was.
    ///
    /// # Errors
    ///
    /// The challenge makes no sense to the mechanism, or came when none was due. The session
    /// cancels the exchange (RFC 4954 §4).
    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, SaslError>;

    /// The server says that the client is authenticated, with this final message if it sent
    /// one.
    ///
    /// # Errors
    ///
    /// The server did not prove who it is, with a mechanism that has it do so.
    fn finish(&mut self, server_final: Option<&[u8]>) -> Result<(), SaslError>;

    /// What the server said of a failure within the exchange: foreign octets, to be shown
    /// escaped. `None` if it said nothing, or the mechanism has no such message.
    fn failure_detail(&self) -> Option<&[u8]> {
        None
    }
}

impl fmt::Debug for dyn Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Exchange(..)")
    }
}

/// Why an authentication cannot go on, apart from the server's refusal.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// The server asked once more than the mechanism has answers.
    UnexpectedChallenge,
    /// The challenge is not base64, or not one of this mechanism.
    InvalidChallenge,
    /// The user or the secret contains a NUL.
    NulInCredentials,
    /// The user or the secret contains the octet that separates them in this mechanism.
    SeparatorInCredentials,
    /// The server did not prove that it knows the user.
    ServerNotAuthenticated,
    /// The mechanism needs what the context lacks, by its name.
    MissingContext(&'static str),
}

impl fmt::Display for SaslError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnexpectedChallenge => "the server sent a challenge when none was due",
            Self::InvalidChallenge => "the server's challenge is not valid",
            Self::NulInCredentials => "the credentials contain a nul",
            Self::SeparatorInCredentials => {
                "the credentials contain an octet that the mechanism cannot carry"
            }
            Self::ServerNotAuthenticated => "the server did not prove its identity",
            Self::MissingContext(what) => {
                return write!(
                    formatter,
                    "the mechanism needs the {what}, which is not known"
                );
            }
        })
    }
}

impl core::error::Error for SaslError {}

/// Base64 with padding (RFC 4648 §4), as RFC 4954 §4 has it; the buffer never moves.
pub(crate) fn encode(octets: &[u8]) -> Secret {
    // Only above three quarters of the address space is there no length.
    let length = base64::encoded_len(octets.len(), true).unwrap_or(0);
    let mut encoded = Zeroizing::new(vec![0; length]);
    let written = STANDARD.encode_slice(octets, &mut encoded).unwrap_or(0);
    encoded.truncate(written);
    Secret(encoded)
}

/// The reverse, strict: padding is required and nothing else is tolerated.
pub(crate) fn decode(encoded: &[u8]) -> Result<Zeroizing<Vec<u8>>, SaslError> {
    let mut octets = Zeroizing::new(vec![0; base64::decoded_len_estimate(encoded.len())]);
    let written = STANDARD
        .decode_slice(encoded, &mut octets)
        .map_err(|_| SaslError::InvalidChallenge)?;
    octets.truncate(written);
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    fn start(mechanism: Mechanism, user: &str, secret: &str) -> Box<dyn Exchange> {
        let credentials = Credentials::new(user, secret);
        mechanism
            .start(&credentials, &SaslContext::default())
            .expect("fit for the mechanism")
    }

    fn initial(exchange: &mut dyn Exchange) -> Vec<u8> {
        let response = exchange.initial_response().expect("a response");
        response.expect("the client speaks first").expose().to_vec()
    }

    #[test]
    fn plain_is_one_message() {
        let mut exchange = start(Mechanism::PLAIN, "jane", "p w");
        assert_eq!(initial(&mut *exchange), b"\0jane\0p w");
        assert_eq!(exchange.respond(b""), Err(SaslError::UnexpectedChallenge));
        assert_eq!(exchange.finish(None), Ok(()));
    }

    #[test]
    fn login_answers_by_order() {
        let mut exchange = start(Mechanism::LOGIN, "jane", "pw");
        assert_eq!(exchange.initial_response(), Ok(None));
        assert_eq!(exchange.respond(b"Password:"), Ok("jane".into()));
        assert_eq!(exchange.respond(b""), Ok("pw".into()));
        assert_eq!(
            exchange.respond(b"Again:"),
            Err(SaslError::UnexpectedChallenge)
        );
    }

    #[test]
    fn xoauth2_keeps_the_servers_reason() {
        let mut exchange = start(Mechanism::XOAUTH2, "jane@example.org", "token");
        assert_eq!(
            initial(&mut *exchange),
            b"user=jane@example.org\x01auth=Bearer token\x01\x01"
        );
        assert_eq!(exchange.failure_detail(), None);
        assert_eq!(
            exchange.respond(b"{\"status\":\"401\"}"),
            Ok(Secret::default())
        );
        assert_eq!(
            exchange.failure_detail(),
            Some(&b"{\"status\":\"401\"}"[..])
        );
        assert_eq!(exchange.respond(b""), Err(SaslError::UnexpectedChallenge));
    }

    #[test]
    fn credentials_cannot_forge_the_message() {
        for (user, secret) in [("a\0b", "c"), ("a", "b\0c")] {
            let credentials = Credentials::new(user, secret);
            for mechanism in MECHANISMS {
                let started = mechanism.start(&credentials, &SaslContext::default());
                assert_eq!(started.err(), Some(SaslError::NulInCredentials));
            }
        }
        let credentials = Credentials::new("a\x01auth=Bearer x", "t");
        let started = Mechanism::XOAUTH2.start(&credentials, &SaslContext::default());
        assert_eq!(started.err(), Some(SaslError::SeparatorInCredentials));
    }

    #[test]
    fn mechanisms_are_found_by_name() {
        for mechanism in MECHANISMS {
            assert_eq!(
                mechanism.name().to_ascii_lowercase().parse(),
                Ok(*mechanism)
            );
            assert!(mechanism.reveals_secret());
        }
        assert_eq!("NTLM".parse::<Mechanism>(), Err(UnknownMechanism));
        assert!(!Mechanism::default_preference().contains(&Mechanism::XOAUTH2));
    }

    #[test]
    fn nothing_shows_a_secret() {
        let credentials = Credentials::new("jane", "hunter2");
        let binding = ChannelBinding::TlsExporter(b"hunter2".to_vec());
        let context = SaslContext {
            channel_binding: Some(&binding),
            nonce: b"hunter2",
            ..SaslContext::default()
        };
        let exchange = start(Mechanism::LOGIN, "jane", "hunter2");
        let shown = format!(
            "{credentials:?} {:?} {context:?} {exchange:?}",
            credentials.secret()
        );
        // "hunter2" as a list of octets would contain its first one.
        assert!(
            !["jane", "hunter2", "104"]
                .iter()
                .any(|word| shown.contains(word)),
            "{shown}"
        );
        assert_eq!(Mechanism::PLAIN.to_string(), "PLAIN");
    }

    #[test]
    fn base64_is_strict() {
        for (octets, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("foobar", "Zm9vYmFy"),
            ("fo", "Zm8="),
        ] {
            assert_eq!(encode(octets.as_bytes()).expose(), encoded.as_bytes());
            assert_eq!(
                decode(encoded.as_bytes()).expect(encoded).as_slice(),
                octets.as_bytes()
            );
        }
        for encoded in ["Zg", "Zg=", "Zg==\r", "Zh==", " ", "=", "Z", "_w=="] {
            assert_eq!(
                decode(encoded.as_bytes()),
                Err(SaslError::InvalidChallenge),
                "{encoded}"
            );
        }
    }
}
