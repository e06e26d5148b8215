//! Why a TLS session failed, a cause each, in words that say what to do.
//!
//! Knows which of the TLS library's errors are the same to a user. Repeats none of its
//! debug output.

use std::error::Error;
use std::fmt;

use postwire_proto::is_safe_to_show;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::der::date;

/// Why TLS could not be established, or broke: the source of
/// [`ErrorKind::Tls`](postwire_proto::ErrorKind::Tls).
///
/// ```
/// use postwire_tls::{TlsFailure, TlsFailureKind, rustls};
///
/// let failure = TlsFailure::from(rustls::Error::InvalidCertificate(
///     rustls::CertificateError::UnknownIssuer,
/// ));
/// assert_eq!(*failure.kind(), TlsFailureKind::UnknownIssuer);
/// assert_eq!(failure.to_string(), "nobody who is trusted has signed the server's certificate");
/// ```
#[derive(Clone, Debug)]
pub struct TlsFailure {
    kind: TlsFailureKind,
    source: Option<rustls::Error>,
}

/// The cause of a [`TlsFailure`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFailureKind {
    /// The server speaks plaintext where TLS was to begin: a port for STARTTLS, mostly.
    /// What it said first, escaped.
    Plaintext(String),
    /// Client and server have no version of TLS in common.
    Version,
    /// Client and server have no cipher suite, key exchange or signature in common.
    Cipher,
    /// The certificate has expired.
    Expired {
        /// When it did, as `2026-11-26`.
        on: String,
        /// The date by this machine's clock.
        today: String,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// From when it is, as `2026-11-26`.
        from: String,
        /// The date by this machine's clock.
        today: String,
    },
    /// The certificate is another server's.
    WrongName {
        /// The name that was looked for.
        expected: String,
        /// The names that the certificate has.
        names: Vec<String>,
    },
    /// Nobody who is trusted has signed the certificate.
    UnknownIssuer,
    /// The certificate's key, or an authority's, is shorter than is accepted.
    KeyTooShort {
        /// How many bits an RSA key has.
        bits: usize,
    },
    /// The certificate is not one that servers may use (RFC 5280 §4.2.1.12), but a client's,
    /// for example.
    NotForServers,
    /// The server demands a certificate of the client, and was shown none.
    ClientCertificateRequired,
    /// The certificate is wrong in another way.
    Certificate(&'static str),
    /// The server ended the handshake for this reason.
    Alert(&'static str),
    /// Anything else.
    Other(&'static str),
}

impl TlsFailure {
    /// The server speaks plaintext.
    pub(crate) fn plaintext(said: String) -> Self {
        Self {
            kind: TlsFailureKind::Plaintext(said),
            source: None,
        }
    }

    /// The cause.
    pub fn kind(&self) -> &TlsFailureKind {
        &self.kind
    }
}

impl From<rustls::Error> for TlsFailure {
    fn from(error: rustls::Error) -> Self {
        Self {
            kind: kind(&error),
            source: Some(error),
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use TlsFailureKind as Kind;
        match &self.kind {
            Kind::Plaintext(said) if said.is_empty() => {
                f.write_str("the server speaks plaintext on this port")
            }
            Kind::Plaintext(said) => {
                write!(f, "the server speaks plaintext on this port: {said}")
            }
            Kind::Version => f.write_str("no version of TLS is common to both sides"),
            Kind::Cipher => {
                f.write_str("no cipher suite, key exchange or signature is common to both sides")
            }
            Kind::Expired { on, today } => write!(
                f,
                "the server's certificate expired on {on}, and this machine's clock says {today}"
            ),
            Kind::NotYetValid { from, today } => write!(
                f,
                "the server's certificate is valid from {from}, and this machine's clock says \
                 {today}"
            ),
            Kind::WrongName { expected, names } if names.is_empty() => {
                write!(f, "the server's certificate is not for {expected}")
            }
            Kind::WrongName { expected, names } => write!(
                f,
                "the server's certificate is for {}, not for {expected}",
                names.join(", ")
            ),
            Kind::UnknownIssuer => {
                f.write_str("nobody who is trusted has signed the server's certificate")
            }
            Kind::KeyTooShort { bits } => write!(
                f,
                "a key of the server's certificates has {bits} bits, and 2048 are required"
            ),
            Kind::NotForServers => f.write_str(
                "the server's certificate is not for servers: its extended key usage does not \
                 include them",
            ),
            Kind::ClientCertificateRequired => f.write_str(
                "the server ended the handshake: it requires a certificate of the client",
            ),
            Kind::Certificate(what) => write!(f, "the server's certificate {what}"),
            Kind::Alert(what) => write!(f, "the server ended the handshake: {what}"),
            Kind::Other(what) => f.write_str(what),
        }
    }
}

impl Error for TlsFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

/// An RSA key that the verifier does not accept for its length.
#[derive(Debug)]
pub(crate) struct KeyTooShort {
    pub(crate) bits: usize,
}

impl fmt::Display for KeyTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of {} bits is too short", self.bits)
    }
}

impl Error for KeyTooShort {}

fn kind(error: &rustls::Error) -> TlsFailureKind {
    use TlsFailureKind as Kind;
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(error) => certificate(error),
        Tls::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        )
        | Tls::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::InappropriateFallback,
        ) => Kind::Version,
        Tls::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon,
        )
        | Tls::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        ) => Kind::Cipher,
        Tls::PeerIncompatible(_) => Kind::Other("the server lacks a feature of TLS that is needed"),
        Tls::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate,
        ) => Kind::ClientCertificateRequired,
        Tls::AlertReceived(alert) => Kind::Alert(alert_text(*alert)),
        Tls::NoCertificatesPresented => Kind::Other("the server has shown no certificate"),
        Tls::DecryptError => Kind::Other("a record of the server's cannot be decrypted"),
        Tls::InvalidMessage(_)
        | Tls::InappropriateMessage { .. }
        | Tls::InappropriateHandshakeMessage { .. }
        | Tls::PeerMisbehaved(_)
        | Tls::PeerSentOversizedRecord => Kind::Other("the server broke the TLS protocol"),
        Tls::FailedToGetCurrentTime => Kind::Other("the time is not known"),
        Tls::FailedToGetRandomBytes => Kind::Other("the system has no random octets"),
        _ => Kind::Other("the TLS session failed"),
    }
}

fn certificate(error: &CertificateError) -> TlsFailureKind {
    use TlsFailureKind as Kind;
    match error {
        CertificateError::Expired => Kind::Certificate("has expired"),
        CertificateError::ExpiredContext { time, not_after } => Kind::Expired {
            on: date(*not_after),
            today: date(*time),
        },
        CertificateError::NotValidYet => Kind::Certificate("is not valid yet"),
        CertificateError::NotValidYetContext { time, not_before } => Kind::NotYetValid {
            from: date(*not_before),
            today: date(*time),
        },
        CertificateError::NotValidForName => Kind::Certificate("is for another name"),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => Kind::WrongName {
            expected: expected.to_str().into_owned(),
            names: presented.iter().map(|name| plain_name(name)).collect(),
        },
        CertificateError::UnknownIssuer => Kind::UnknownIssuer,
        CertificateError::Revoked => Kind::Certificate("is revoked"),
        CertificateError::BadEncoding => Kind::Certificate("cannot be read"),
        CertificateError::BadSignature => Kind::Certificate(
            "has a signature that does not fit the key of who should have made it",
        ),
        CertificateError::UnhandledCriticalExtension => {
            Kind::Certificate("has a critical extension that is not known")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Kind::NotForServers
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            Kind::Certificate("is signed by an algorithm that is not accepted (SHA-1, for one)")
        }
        CertificateError::Other(other) => other_certificate(&*other.0),
        _ => Kind::Certificate("is not accepted"),
    }
}

fn other_certificate(error: &(dyn Error + 'static)) -> TlsFailureKind {
    use TlsFailureKind as Kind;
    if let Some(KeyTooShort { bits }) = error.downcast_ref() {
        return Kind::KeyTooShort { bits: *bits };
    }
    match error.downcast_ref() {
        Some(webpki::Error::CaUsedAsEndEntity) => Kind::Certificate(
            "is an authority's; trust it by adding exactly this certificate as a root",
        ),
        Some(webpki::Error::UnsupportedCertVersion) => Kind::Certificate("is not of version 3"),
        Some(webpki::Error::EndEntityUsedAsCa) => {
            Kind::Certificate("is signed by one that is no authority's")
        }
        _ => Kind::Certificate("is not accepted"),
    }
}

/// `mail.example.org` for `DnsName("mail.example.org")`, as webpki writes it.
fn plain_name(presented: &str) -> String {
    let inner = presented
        .split_once("(\"")
        .and_then(|(_, rest)| rest.strip_suffix("\")"));
    let inner = inner.or_else(|| {
        let (_, rest) = presented.split_once('(')?;
        rest.strip_suffix(')')
    });
    let name = inner.unwrap_or(presented);
    name.chars().filter(|c| is_safe_to_show(*c)).collect()
}

fn alert_text(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => "it does not know the authority of the client's certificate",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown => "it does not accept the client's certificate",
        AlertDescription::AccessDenied => "access is denied",
        AlertDescription::UnrecognisedName => "it does not know the name that it was asked for",
        AlertDescription::NoApplicationProtocol => "no application protocol is common",
        AlertDescription::InternalError => "an internal error of its own",
        AlertDescription::UserCanceled => "it was cancelled",
        _ => "it found a fault in what the client sent",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    #[test]
    fn each_cause_says_what_is_wrong() {
        let time = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400));
        let expected = ServerName::try_from("localhost").unwrap();
        for (error, text) in [
            (
                rustls::Error::from(CertificateError::ExpiredContext {
                    time: time(20_000),
                    not_after: time(19_000),
                }),
                "the server's certificate expired on 2022-01-08, and this machine's clock says \
                 2024-10-04",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected,
                    presented: vec![
                        "DnsName(\"a.example.org\")".to_owned(),
                        "IpAddress(192.0.2.1)".to_owned(),
                        "localhost.example".to_owned(),
                    ],
                }
                .into(),
                "the server's certificate is for a.example.org, 192.0.2.1, localhost.example, \
                 not for localhost",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
                "no version of TLS is common to both sides",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                "the server ended the handshake: it requires a certificate of the client",
            ),
        ] {
            assert_eq!(TlsFailure::from(error).to_string(), text);
        }
    }
}
