//! The causes of failed TLS sessions, in words that help to fix them.
//!
//! Knows which errors of the TLS library mean the same to a user. Must never show the TLS
//! library's debug output.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use postwire_proto::is_safe_to_show;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::der::date;

/// Why TLS could not be established, or failed later: the source of
/// [`ErrorKind::Tls`](postwire_proto::ErrorKind::Tls).
///
/// ```
/// use postwire_tls::{TlsFailure, TlsFailureKind, rustls};
///
/// let failure = TlsFailure::from(rustls::Error::InvalidCertificate(
///     rustls::CertificateError::UnknownIssuer,
/// ));
/// assert_eq!(*failure.kind(), TlsFailureKind::UnknownIssuer);
/// assert_eq!(
///     failure.to_string(),
///     "the server's certificate is not signed by a trusted authority; to trust a private \
///      authority, add its certificate as a root",
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFailure {
    kind: TlsFailureKind,
    source: Option<rustls::Error>,
    /// Whether the peer is a client: the failure is one of a server.
    with_a_client: bool,
}

/// The cause of a [`TlsFailure`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFailureKind {
    /// The server sends plaintext where TLS should begin, usually because the port expects
    /// STARTTLS. The value is the escaped beginning of what it sent.
    Plaintext(String),
    /// Client and server have no version of TLS in common.
    Version,
    /// Client and server have no cipher suite, key exchange or signature in common.
    Cipher,
    /// The certificate has expired.
    Expired {
        /// The date of expiry, such as `2026-11-26`.
        on: String,
        /// The date of this machine's clock.
        today: String,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// The first day of validity, such as `2026-11-26`.
        from: String,
        /// The date of this machine's clock.
        today: String,
    },
    /// The certificate is valid for other names only.
    WrongName {
        /// The expected name.
        expected: String,
        /// The names in the certificate.
        names: Vec<String>,
    },
    /// The certificate is not signed by a trusted authority.
    UnknownIssuer,
    /// The certificate belongs to an authority, not to a server, and is not trusted. It is
    /// trusted once exactly this certificate is added as a root.
    UntrustedAuthority {
        /// Whether it is self-signed, as is what `openssl req -x509` makes.
        self_signed: bool,
    },
    /// The key of the certificate, or of an authority, is too short.
    KeyTooShort {
        /// The number of bits of the RSA key.
        bits: usize,
    },
    /// The certificate is not for servers (RFC 5280 §4.2.1.12), but for clients, for example.
    NotForServers,
    /// The server requires a client certificate, and none was presented.
    ClientCertificateRequired,
    /// The certificate is invalid for another reason.
    Certificate(&'static str),
    /// The server ended the handshake for this reason.
    Alert(&'static str),
    /// Any other cause.
    Other(&'static str),
}

impl TlsFailure {
    /// The failure for a server that sends plaintext.
    pub(crate) fn plaintext(text: String) -> Self {
        Self {
            kind: TlsFailureKind::Plaintext(text),
            source: None,
            with_a_client: false,
        }
    }

    /// The failure of a server, whose peer is a client.
    #[cfg(feature = "server")]
    pub(crate) fn with_a_client(self) -> Self {
        Self {
            with_a_client: true,
            ..self
        }
    }

    /// The failure with the names of the peer's certificate as `shown` says.
    pub(crate) fn with_names(mut self, shown: impl FnMut(&String) -> String) -> Self {
        if let TlsFailureKind::WrongName { names, .. } = &mut self.kind {
            *names = names.iter().map(shown).collect();
        }
        self
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
            with_a_client: false,
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use TlsFailureKind as Kind;
        let (peer, this) = if self.with_a_client {
            ("client", "server")
        } else {
            ("server", "client")
        };
        match &self.kind {
            Kind::Plaintext(text) if text.is_empty() => {
                write!(f, "the {peer} speaks plaintext on this port")
            }
            Kind::Plaintext(text) if text.starts_with("220") => write!(
                f,
                "the {peer} speaks plaintext on this port, where TLS can only begin with STARTTLS: {text}"
            ),
            Kind::Plaintext(text) => {
                write!(f, "the {peer} speaks plaintext on this port: {text}")
            }
            Kind::Version => f.write_str("client and server have no TLS version in common"),
            Kind::Cipher => f.write_str(
                "client and server have no cipher suite, key exchange or signature in common",
            ),
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
            Kind::UnknownIssuer => f.write_str(
                "the server's certificate is not signed by a trusted authority; to trust a private \
                 authority, add its certificate as a root",
            ),
            Kind::UntrustedAuthority { self_signed } => {
                let reason = if *self_signed {
                    "it is self-signed"
                } else {
                    "it belongs to an authority, not to a server"
                };
                write!(
                    f,
                    "the server's certificate is not trusted: {reason}; to trust it, add exactly \
                     this certificate as a root"
                )
            }
            Kind::KeyTooShort { bits } => write!(
                f,
                "a key of the server's certificates has {bits} bits; at least 2048 are required"
            ),
            Kind::NotForServers => f.write_str(
                "the server's certificate is not for servers: its extended key usage does not \
                 include them",
            ),
            Kind::ClientCertificateRequired => {
                f.write_str("the server ended the handshake: it requires a client certificate")
            }
            Kind::Certificate(what) => write!(f, "the server's certificate {what}"),
            Kind::Alert(what) => {
                let what = what.replace("client's", &format!("{this}'s"));
                write!(f, "the {peer} ended the handshake: {what}")
            }
            Kind::Other(what) => f.write_str(&what.replace("server", peer)),
        }
    }
}

impl Error for TlsFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

/// An RSA key that the verifier rejects because of its length.
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

/// A self-signed certificate of an authority that a server presents as its own.
#[derive(Debug)]
pub(crate) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a self-signed certificate is not trusted")
    }
}

impl Error for SelfSigned {}

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
        Tls::PeerIncompatible(_) => Kind::Other("the server lacks a required feature of TLS"),
        Tls::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate,
        ) => Kind::ClientCertificateRequired,
        Tls::AlertReceived(alert) => Kind::Alert(alert_text(*alert)),
        Tls::NoCertificatesPresented => Kind::Other("the server presented no certificate"),
        Tls::DecryptError => Kind::Other("a record from the server cannot be decrypted"),
        Tls::InvalidMessage(_)
        | Tls::InappropriateMessage { .. }
        | Tls::InappropriateHandshakeMessage { .. }
        | Tls::PeerMisbehaved(_)
        | Tls::PeerSentOversizedRecord => Kind::Other("the server broke the TLS protocol"),
        Tls::FailedToGetCurrentTime => Kind::Other("the current time is not available"),
        Tls::FailedToGetRandomBytes => Kind::Other("the system provides no random octets"),
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
        CertificateError::BadSignature => {
            Kind::Certificate("has a signature that does not match the key of its issuer")
        }
        CertificateError::UnhandledCriticalExtension => {
            Kind::Certificate("has an unknown critical extension")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Kind::NotForServers
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            Kind::Certificate("is signed with an algorithm that is not accepted, such as SHA-1")
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
    if error.is::<SelfSigned>() {
        return Kind::UntrustedAuthority { self_signed: true };
    }
    match error.downcast_ref() {
        Some(webpki::Error::CaUsedAsEndEntity) => Kind::UntrustedAuthority { self_signed: false },
        Some(webpki::Error::UnsupportedCertVersion) => Kind::Certificate("does not have version 3"),
        Some(webpki::Error::EndEntityUsedAsCa) => {
            Kind::Certificate("is signed with a certificate that does not belong to an authority")
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
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.to_string();
    }
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
        AlertDescription::UnrecognisedName => "it does not know the requested name",
        AlertDescription::NoApplicationProtocol => {
            "client and server have no application protocol in common"
        }
        AlertDescription::InternalError => "it has an internal error",
        AlertDescription::UserCanceled => "it was cancelled",
        _ => "it found an error in the client's messages",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::OtherError;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    #[test]
    fn each_cause_has_a_message() {
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
                        "IpAddress(0::1)".to_owned(),
                        "localhost.example".to_owned(),
                    ],
                }
                .into(),
                "the server's certificate is for a.example.org, ::1, localhost.example, \
                 not for localhost",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("localhost").unwrap(),
                    presented: vec!["DnsName(\"a\0\u{1b}[2J\u{202e}b\")".to_owned()],
                }
                .into(),
                "the server's certificate is for a[2Jb, not for localhost",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
                "client and server have no TLS version in common",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                "the server ended the handshake: it requires a client certificate",
            ),
            (
                CertificateError::Revoked.into(),
                "the server's certificate is revoked",
            ),
            (
                rustls::Error::PeerSentOversizedRecord,
                "the server broke the TLS protocol",
            ),
        ] {
            assert_eq!(TlsFailure::from(error).to_string(), text);
        }
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_words() {
        use CertificateError as Cause;
        let other = |error: Arc<dyn Error + Send + Sync>| Cause::Other(OtherError(error));
        for (cause, words) in [
            (Cause::Expired, "has expired"),
            (Cause::NotValidYet, "is not valid yet"),
            (Cause::NotValidForName, "is for another name"),
            (Cause::BadEncoding, "cannot be read"),
            (
                Cause::BadSignature,
                "has a signature that does not match the key of its issuer",
            ),
            (
                Cause::UnhandledCriticalExtension,
                "has an unknown critical extension",
            ),
            (
                Cause::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: Vec::new(),
                    supported_algorithms: Vec::new(),
                },
                "is signed with an algorithm that is not accepted, such as SHA-1",
            ),
            (
                other(Arc::new(webpki::Error::UnsupportedCertVersion)),
                "does not have version 3",
            ),
            (
                other(Arc::new(webpki::Error::EndEntityUsedAsCa)),
                "is signed with a certificate that does not belong to an authority",
            ),
            (other(Arc::new(fmt::Error)), "is not accepted"),
            (Cause::ApplicationVerificationFailure, "is not accepted"),
            (
                Cause::NotValidForNameContext {
                    expected: ServerName::try_from("localhost").unwrap(),
                    presented: Vec::new(),
                },
                "is not for localhost",
            ),
            (
                other(Arc::new(webpki::Error::CaUsedAsEndEntity)),
                "is not trusted: it belongs to an authority, not to a server; to trust it, add \
                 exactly this certificate as a root",
            ),
        ] {
            let failure = TlsFailure::from(rustls::Error::from(cause));
            let said = format!("the server's certificate {words}");
            assert_eq!(failure.to_string(), said);
            assert!(failure.source().is_some());
        }
        assert_eq!(
            KeyTooShort { bits: 512 }.to_string(),
            "a key of 512 bits is too short"
        );
        assert_eq!(
            SelfSigned.to_string(),
            "a self-signed certificate is not trusted"
        );
    }

    #[test]
    fn each_end_of_a_handshake_has_its_words() {
        use AlertDescription as Alert;
        use rustls::Error as Tls;
        for (alert, words) in [
            (
                Alert::UnknownCA,
                "it does not know the authority of the client's certificate",
            ),
            (
                Alert::CertificateExpired,
                "it does not accept the client's certificate",
            ),
            (Alert::AccessDenied, "access is denied"),
            (
                Alert::UnrecognisedName,
                "it does not know the requested name",
            ),
            (
                Alert::NoApplicationProtocol,
                "client and server have no application protocol in common",
            ),
            (Alert::InternalError, "it has an internal error"),
            (Alert::UserCanceled, "it was cancelled"),
            (
                Alert::DecodeError,
                "it found an error in the client's messages",
            ),
        ] {
            let failure = TlsFailure::from(Tls::AlertReceived(alert));
            let said = format!("the server ended the handshake: {words}");
            assert_eq!(failure.to_string(), said);
        }
        let no_cipher = "client and server have no cipher suite, key exchange or signature in \
                         common";
        for (error, words) in [
            (PeerIncompatible::NoCipherSuitesInCommon.into(), no_cipher),
            (Tls::AlertReceived(Alert::HandshakeFailure), no_cipher),
            (
                PeerIncompatible::ExtendedMasterSecretExtensionRequired.into(),
                "the server lacks a required feature of TLS",
            ),
            (
                Tls::NoCertificatesPresented,
                "the server presented no certificate",
            ),
            (
                Tls::DecryptError,
                "a record from the server cannot be decrypted",
            ),
            (
                Tls::FailedToGetCurrentTime,
                "the current time is not available",
            ),
            (
                Tls::FailedToGetRandomBytes,
                "the system provides no random octets",
            ),
            (Tls::HandshakeNotComplete, "the TLS session failed"),
        ] {
            assert_eq!(TlsFailure::from(error).to_string(), words);
        }
    }

    #[cfg(feature = "server")]
    #[test]
    fn a_server_blames_the_client() {
        let failure = TlsFailure::plaintext(String::new());
        assert_eq!(
            failure.with_a_client().to_string(),
            "the client speaks plaintext on this port"
        );
        let failure = TlsFailure::from(rustls::Error::PeerSentOversizedRecord);
        let said = failure.with_a_client().to_string();
        assert_eq!(said, "the client broke the TLS protocol");
    }
}
