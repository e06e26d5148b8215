//! Errors of TLS parameters, found before a connection is made.
//!
//! Knows nothing about a running handshake: the connection reports its failure. No message
//! contains a secret or a key.

use core::error::Error;
use core::fmt;

use rustls::pki_types::pem;

use crate::CertificateStore;

/// Why TLS parameters, a certificate or a key cannot be used.
///
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The server's name is neither a DNS name (in ASCII; an internationalised name as `xn--…`)
    /// nor an IP address.
    InvalidDomain,
    /// There is no crypto provider: the features `aws-lc-rs` and `ring` are off, none is
    /// installed in the process and none was given to the builder.
    NoCryptoProvider,
    /// The crypto provider has no cipher suite or no key exchange for the allowed TLS versions.
    UnusableCryptoProvider(rustls::Error),
    /// The certificate store needs a feature of this crate that is off, or does not support the
    /// setting on this operating system.
    StoreNotAvailable(CertificateStore),
    /// No server could be trusted: [`CertificateStore::None`] without an added root
    /// certificate.
    NoRootCertificates,
    /// The operating system's trust store cannot be used; on Linux and the BSDs usually because
    /// no certificates are installed.
    PlatformStore(rustls::Error),
    /// The text is not PEM (RFC 7468).
    InvalidPem(pem::Error),
    /// The PEM text contains no certificate.
    NoCertificate,
    /// The PEM text contains several certificates where one was expected.
    SeveralCertificates,
    /// The PEM text contains no private key.
    NoPrivateKey,
    /// The certificate cannot be parsed or used as a root (RFC 5280).
    InvalidCertificate(rustls::Error),
    /// The certificate chain or key of the client or the server cannot be used, usually because
    /// they do not belong together.
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
                "the crypto provider does not support the allowed TLS versions: {error}"
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
            Self::NoCertificate => f.write_str("the PEM text contains no certificate"),
            Self::SeveralCertificates => {
                f.write_str("the PEM text contains several certificates where one was expected")
            }
            Self::NoPrivateKey => f.write_str("the PEM text contains no private key"),
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

/// `Display` shows the inner error completely, so the source is the source of the inner error.
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
