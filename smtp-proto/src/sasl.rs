//! Authentication mechanisms behind one interface.
//!
//! Knows credentials and the exchange of challenges and responses (RFC 4422). Must never know
//! SMTP commands, replies or whether the connection is secure: the session frames the exchange
//! and decides which mechanism may be used.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

mod anonymous;
#[cfg(feature = "cram-md5")]
mod cram_md5;
mod credentials;
mod error;
mod external;
mod gs2;
mod login;
mod oauthbearer;
mod one_message;
mod plain;
#[cfg(feature = "scram")]
mod scram;
#[cfg(test)]
mod tests;
mod xoauth2;

pub use credentials::{Credentials, Secret};
pub use error::SaslError;
#[cfg(feature = "scram")]
pub use scram::ScramKeys;

use credentials::CredentialKind;
use one_message::OneMessage;

/// An authentication mechanism (RFC 4422 §3.1).
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

/// The properties of a mechanism, as its file declares them.
struct Specification {
    /// The registered name, in capitals.
    name: &'static str,
    /// The kind of credentials that it uses.
    kind: CredentialKind,
    /// Whether the server, or anyone who reads the exchange, can use the secret themselves.
    reveals_secret: bool,
    /// Whether it is tried without being configured.
    is_default: bool,
    needs_nonce: bool,
    binds_channel: bool,
    /// Whether it can carry an authorization identity.
    carries_authorization_identity: bool,
    start: Start,
}

type Start = fn(&Credentials, &SaslContext<'_>) -> Result<Box<dyn Exchange>, SaslError>;

impl Specification {
    /// Creates a specification with the properties of most mechanisms.
    const fn new(name: &'static str, kind: CredentialKind, start: Start) -> Self {
        Self {
            name,
            kind,
            reveals_secret: false,
            is_default: true,
            needs_nonce: false,
            binds_channel: false,
            carries_authorization_identity: true,
            start,
        }
    }

    fn accepts(&self, credentials: &Credentials) -> bool {
        let kind = credentials.kind;
        // A user who names a mechanism that takes a token may give the token as a password.
        let kind_fits = self.kind == kind
            || (self.kind == CredentialKind::Token && kind == CredentialKind::Password);
        let acts_for_own_identity = credentials.authorization_identity().is_empty();
        kind_fits && (self.carries_authorization_identity || acts_for_own_identity)
    }
}

macro_rules! mechanisms {
    ($($(#[doc = $doc:literal])+ $(#[cfg($cfg:meta)])? $name:ident = $file:path;)+) => {
        impl Mechanism {
            $(
                $(#[doc = $doc])+
                $(#[cfg($cfg)])?
                pub const $name: Self = Self(&$file);
            )+
        }

        const MECHANISMS: &[Mechanism] = &[$($(#[cfg($cfg)])? Mechanism::$name),+];
    };
}

// Every mechanism, the preferred one first; a new mechanism is a file and a line here.
mechanisms! {
    /// `SCRAM-SHA-512-PLUS` (draft-melnikov-scram-sha-512): bound to the TLS session.
    #[cfg(feature = "scram")]
    SCRAM_SHA_512_PLUS = scram::SHA_512_PLUS;
    /// `SCRAM-SHA-256-PLUS` (RFC 7677): bound to the TLS session.
    #[cfg(feature = "scram")]
    SCRAM_SHA_256_PLUS = scram::SHA_256_PLUS;
    /// `SCRAM-SHA-1-PLUS` (RFC 5802): bound to the TLS session.
    #[cfg(feature = "scram")]
    SCRAM_SHA_1_PLUS = scram::SHA_1_PLUS;
    /// `SCRAM-SHA-512` (draft-melnikov-scram-sha-512): both sides prove that they know the
    /// password, and neither reveals it.
    #[cfg(feature = "scram")]
    SCRAM_SHA_512 = scram::SHA_512;
    /// `SCRAM-SHA-256` (RFC 7677): both sides prove that they know the password, and neither
    /// reveals it.
    #[cfg(feature = "scram")]
    SCRAM_SHA_256 = scram::SHA_256;
    /// `SCRAM-SHA-1` (RFC 5802): both sides prove that they know the password, and neither
    /// reveals it.
    #[cfg(feature = "scram")]
    SCRAM_SHA_1 = scram::SHA_1;
    /// `CRAM-MD5` (RFC 2195): only the client proves that it knows the password, in a way that
    /// makes the password easier to guess. Used only where it is configured.
    #[cfg(feature = "cram-md5")]
    CRAM_MD5 = cram_md5::SPECIFICATION;
    /// `PLAIN` (RFC 4616): user and password in one message.
    PLAIN = plain::SPECIFICATION;
    /// `LOGIN` (draft-murchison-sasl-login): user, then password; for servers that offer
    /// nothing better.
    LOGIN = login::SPECIFICATION;
    /// `OAUTHBEARER` (RFC 7628): an OAuth 2.0 bearer token.
    OAUTHBEARER = oauthbearer::SPECIFICATION;
    /// `XOAUTH2`: an OAuth 2.0 bearer token in the format of Google and Microsoft.
    XOAUTH2 = xoauth2::SPECIFICATION;
    /// `EXTERNAL` (RFC 4422 appendix A): the identity comes from the client certificate of the
    /// TLS session.
    EXTERNAL = external::SPECIFICATION;
    /// `ANONYMOUS` (RFC 4505): no identity.
    ANONYMOUS = anonymous::SPECIFICATION;
}

impl Mechanism {
    /// The registered name in capitals, as sent after AUTH (RFC 4954 §4).
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Whether the server, and anyone who reads the exchange, learns the secret. Such a
    /// mechanism must only be used over TLS (RFC 4954 §4).
    pub fn reveals_secret(&self) -> bool {
        self.0.reveals_secret
    }

    /// Whether it binds the authentication to the TLS session: a `-PLUS` variant.
    pub fn binds_channel(&self) -> bool {
        self.0.binds_channel
    }

    /// Starts an authentication with these credentials.
    ///
    /// # Errors
    ///
    /// Returns an error if the mechanism cannot carry the credentials or needs something that
    /// the context lacks.
    pub fn start(
        &self,
        credentials: &Credentials,
        context: &SaslContext<'_>,
    ) -> Result<Box<dyn Exchange>, SaslError> {
        if !self.0.accepts(credentials) {
            return Err(SaslError::WrongCredentialKind);
        }
        if self.has_secret() && credentials.secret().is_empty() {
            return Err(SaslError::EmptySecret);
        }
        (self.0.start)(credentials, context)
    }

    /// Whether an authentication with these credentials can start.
    pub(crate) fn is_possible(self, credentials: &Credentials, context: &SaslContext<'_>) -> bool {
        self.0.accepts(credentials) && self.is_possible_with(context)
    }

    /// Whether the context has everything that the mechanism needs: a nonce, a channel binding.
    pub fn is_possible_with(self, context: &SaslContext<'_>) -> bool {
        (!self.0.needs_nonce || !context.nonce.is_empty())
            && (!self.0.binds_channel || context.channel_binding.is_some())
    }

    /// Every mechanism that this build supports (see the features `scram` and `cram-md5`), the
    /// preferred one first.
    pub const fn all() -> &'static [Self] {
        MECHANISMS
    }

    /// Whether it authenticates a user with a password or a token, rather than with a certificate
    /// or not at all.
    pub fn has_secret(&self) -> bool {
        matches!(
            self.0.kind,
            CredentialKind::Password | CredentialKind::Token
        )
    }

    /// The mechanisms that are tried with a user and a password by default, the preferred one
    /// first.
    ///
    /// First SCRAM bound to the TLS session, then SCRAM, both with the longest hash first; then
    /// the mechanisms that reveal the password, which are only used over TLS.
    pub fn default_preference() -> Vec<Self> {
        Self::with_kind(CredentialKind::Password)
    }

    /// The mechanisms that are tried with these credentials by default, the preferred one
    /// first. A mechanism that takes a token is not tried with a password.
    pub fn preference_for(credentials: &Credentials) -> Vec<Self> {
        Self::with_kind(credentials.kind)
    }

    /// Whether it is tried with a password without being configured.
    pub(crate) fn is_default_for_password(self) -> bool {
        Self::with_kind(CredentialKind::Password).contains(&self)
    }

    fn with_kind(kind: CredentialKind) -> Vec<Self> {
        let fits = |mechanism: &&Self| mechanism.0.is_default && mechanism.0.kind == kind;
        MECHANISMS.iter().filter(fits).copied().collect()
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

/// The error for a name that is not the name of a supported [`Mechanism`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct UnknownMechanism;

impl fmt::Display for UnknownMechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the authentication mechanism is not supported")
    }
}

impl core::error::Error for UnknownMechanism {}

/// The values that a mechanism may use in addition to the credentials. Values that it does not
/// need keep their defaults.
#[non_exhaustive]
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct SaslContext<'a> {
    /// The data that binds the authentication to the TLS session (RFC 5056).
    pub channel_binding: Option<&'a ChannelBinding>,
    /// Fresh random octets from the caller, since the core has no source of randomness; at
    /// least 16.
    pub nonce: &'a [u8],
    /// The server's host name.
    pub host: &'a str,
    /// The port that the server listens on.
    pub port: Option<u16>,
    /// The names of the mechanisms that the server offers.
    pub offered: &'a [&'a str],
    /// The number of hash iterations that a server may demand for a password, which bounds the
    /// time that it can make a client spend. 200,000.
    pub max_iterations: u32,
    /// The number of hash iterations that a server must demand at least. 4,096 (RFC 7677 §4).
    pub min_iterations: u32,
}

impl Default for SaslContext<'_> {
    fn default() -> Self {
        Self {
            channel_binding: None,
            nonce: &[],
            host: "",
            port: None,
            offered: &[],
            max_iterations: 200_000,
            min_iterations: 4_096,
        }
    }
}

impl<'a> SaslContext<'a> {
    /// Sets the channel binding of the TLS session.
    #[must_use]
    pub fn channel_binding(mut self, binding: impl Into<Option<&'a ChannelBinding>>) -> Self {
        self.channel_binding = binding.into();
        self
    }

    /// Sets the fresh random octets.
    #[must_use]
    pub fn nonce(mut self, nonce: &'a [u8]) -> Self {
        self.nonce = nonce;
        self
    }

    /// Sets the server's host name.
    #[must_use]
    pub fn host(mut self, host: &'a str) -> Self {
        self.host = host;
        self
    }

    /// Sets the port that the server listens on.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the names of the mechanisms that the server offers.
    #[must_use]
    pub fn offered(mut self, offered: &'a [&'a str]) -> Self {
        self.offered = offered;
        self
    }

    /// Sets the number of hash iterations that a server may demand for a password.
    #[must_use]
    pub fn max_iterations(mut self, iterations: u32) -> Self {
        self.max_iterations = iterations;
        self
    }

    /// Sets the number of hash iterations that a server must demand at least.
    #[must_use]
    pub fn min_iterations(mut self, iterations: u32) -> Self {
        self.min_iterations = iterations;
        self
    }
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

/// Octets that only the two ends of a TLS session know (RFC 5929, RFC 9266).
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub enum ChannelBinding {
    /// `tls-exporter` (RFC 9266): exported keying material of this session.
    TlsExporter(Vec<u8>),
    /// `tls-server-end-point` (RFC 5929 §4): the hash of the server's certificate.
    TlsServerEndPoint(Vec<u8>),
}

impl ChannelBinding {
    /// The name of the type as registered with IANA (RFC 5056 §7), such as `tls-exporter`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TlsExporter(_) => "tls-exporter",
            Self::TlsServerEndPoint(_) => "tls-server-end-point",
        }
    }

    /// The octets of the channel binding.
    pub fn octets(&self) -> &[u8] {
        match self {
            Self::TlsExporter(octets) | Self::TlsServerEndPoint(octets) => octets,
        }
    }
}

/// Shows the type of the binding, not its octets.
impl fmt::Debug for ChannelBinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TlsExporter(_) => "TlsExporter(..)",
            Self::TlsServerEndPoint(_) => "TlsServerEndPoint(..)",
        })
    }
}

/// The client's side of one authentication in progress.
///
/// All octets are those before base64 encoding, which belongs to SMTP. If the client sends the
/// first message, the [initial response](Self::initial_response) is requested once, before any
/// challenge. If it does not fit on the AUTH line, the session sends it as the response to an
/// empty first challenge, without involving the mechanism.
///
/// Only this library implements the trait; [`Mechanism::start`] creates an exchange.
pub trait Exchange: sealed::Sealed + Send + Sync {
    /// The client's initial response; `None` if the server sends the first message.
    ///
    /// # Errors
    ///
    /// Returns an error if the mechanism cannot build the response from the credentials.
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError>;

    /// Whether the mechanism interprets the server's challenges. If not, a challenge that is
    /// not base64 is passed to it undecoded.
    fn reads_challenges(&self) -> bool {
        true
    }

    /// Returns the response to a decoded challenge, which may be empty.
    ///
    /// # Errors
    ///
    /// Returns an error if the challenge is not valid for the mechanism or came when none was
    /// expected. The session then cancels the exchange (RFC 4954 §4).
    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, SaslError>;

    /// Ends the exchange after the server's success reply, with the final message that it may
    /// contain.
    ///
    /// # Errors
    ///
    /// Returns an error if the mechanism requires the server to prove its identity and the
    /// server did not.
    fn finish(&mut self, server_final: Option<&[u8]>) -> Result<(), SaslError>;

    /// The server's description of a failure within the exchange, to be shown escaped. `None`
    /// if there is none, or if the mechanism has no such message.
    fn failure_detail(&self) -> Option<&[u8]> {
        None
    }
}

mod sealed {
    /// Seals [`Exchange`](super::Exchange), so that methods can be added to it later.
    pub trait Sealed {}
}

impl fmt::Debug for dyn Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Exchange(..)")
    }
}

/// Encodes base64 with padding (RFC 4648 §4), as RFC 4954 §4 requires; the buffer is never
/// reallocated.
pub(crate) fn encode(octets: &[u8]) -> Secret {
    // The length only overflows above three quarters of the address space.
    let length = base64::encoded_len(octets.len(), true).unwrap_or(0);
    let mut encoded = Zeroizing::new(vec![0; length]);
    let written = STANDARD.encode_slice(octets, &mut encoded).unwrap_or(0);
    encoded.truncate(written);
    Secret(encoded)
}

/// Decodes base64 strictly: padding is required and nothing else is tolerated.
pub(crate) fn decode(encoded: &[u8]) -> Result<Zeroizing<Vec<u8>>, SaslError> {
    let mut octets = Zeroizing::new(vec![0; base64::decoded_len_estimate(encoded.len())]);
    let written = STANDARD
        .decode_slice(encoded, &mut octets)
        .map_err(|_| SaslError::InvalidChallenge)?;
    octets.truncate(written);
    Ok(octets)
}
