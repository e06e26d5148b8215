//! What can be wrong with TLS parameters, found before anything is connected.
//!
//! Knows nothing of a running handshake: that failure is the session's, and the
//! connection reports it. No text here repeats a secret or a key.

use core::error::Error;
use core::fmt;

use rustls::pki_types::pem;

use crate::CertificateStore;

/// Why TLS parameters, a certificate or a key cannot be used.
///
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The server's name is neither a DNS name (ASCII; an internationalised one
    /// as `xn--…`) nor an IP address.
    InvalidDomain,
    /// No crypto provider: neither the feature `aws-lc-rs` nor `ring` is on, the
    /// process has installed none and the builder was given none.
    NoCryptoProvider,
    /// The crypto provider has no cipher suite or no key exchange for the TLS
    /// versions that are allowed.
    UnusableCryptoProvider(rustls::Error),
    /// The store needs a feature of this crate that is off, or cannot do on this
    /// operating system what is asked of it.
    StoreNotAvailable(CertificateStore),
    /// Nobody is trusted: [`CertificateStore::None`] and no root certificate added.
    NoRootCertificates,
    /// The operating system's trust store cannot be used; on Linux and the BSDs
    /// mostly because no certificates are installed.
    PlatformStore(rustls::Error),
    /// The text is not PEM (RFC 7468).
    InvalidPem(pem::Error),
    /// The PEM text holds no certificate.
    NoCertificate,
    /// The PEM text holds several certificates where one was expected.
    SeveralCertificates,
    /// The PEM text holds no private key.
    NoPrivateKey,
    /// The certificate cannot be parsed or used as a root (RFC 5280).
    InvalidCertificate(rustls::Error),
    /// The certificate chain or key of the client or the server cannot be used;
    /// mostly because one does not belong to the other.
    InvalidIdentity(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidDomain => f.write_str(
                "the server's name is neither a DNS name in ASCII nor an IP address",
            ),
            Self::NoCryptoProvider => f.write_str(
                "no crypto provider: turn on the feature `aws-lc-rs` or `ring`, install one for the process, or give one to the builder",
            ),
            Self::UnusableCryptoProvider(error) => write!(
                f,
                "the crypto provider cannot do the allowed TLS versions: {error}"
            ),
            Self::StoreNotAvailable(store) => write!(
                f,
                "the certificate store `{store:?}` is not available in this build or on this platform"
            ),
            Self::NoRootCertificates => f.write_str(
                "no certificate store and no root certificate: no server could be trusted",
            ),
            Self::PlatformStore(error) => write!(
                f,
                "the operating system's certificate store cannot be used: {error}"
            ),
            Self::InvalidPem(error) => write!(f, "the text is not valid PEM: {error}"),
            Self::NoCertificate => f.write_str("the PEM text holds no certificate"),
            Self::SeveralCertificates => {
                f.write_str("the PEM text holds several certificates where one was expected")
            }
            Self::NoPrivateKey => f.write_str("the PEM text holds no private key"),
            Self::InvalidCertificate(error) => {
                write!(f, "the certificate cannot be used: {error}")
            }
            Self::InvalidIdentity(error) => write!(
                f,
                "the certificate chain and the private key cannot be used together: {error}"
            ),
        }
    }
}

/// `Display` says all that the error within says, so the source is what lies behind that one.
impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::UnusableCryptoProvider(error)
            | Self::PlatformStore(error)
            | Self::InvalidCertificate(error)
            | Self::InvalidIdentity(error) => error.source(),
            Self::InvalidPem(error) => error.source(),
            Self::InvalidDomain
            | Self::NoCryptoProvider
            | Self::StoreNotAvailable(_)
            | Self::NoRootCertificates
            | Self::NoCertificate
            | Self::SeveralCertificates
            | Self::NoPrivateKey => None,
        }
    }
}
