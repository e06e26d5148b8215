//! The parameters of a TLS session with one server, built once and shared.
//!
//! Knows whom to expect and whom to trust; nothing of SMTP, and no socket.
//! Certificates are verified unless a method whose name begins with
//! `dangerous_` says otherwise.

use std::sync::Arc;

use core::fmt;
use core::net::IpAddr;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion, version};

use crate::verifier::{AnyCertificate, trusting};
use crate::{Certificate, CertificateStore, Identity, TlsError};

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => const { &[&version::TLS13, &version::TLS12] },
            Self::Tls13 => const { &[&version::TLS13] },
        }
    }
}

/// What a TLS session with one server needs.
///
/// Cheap to clone; the clones share one [`rustls::ClientConfig`] and with it
/// the memory of earlier sessions, so that a second connection resumes the first
/// one's session. Keep one value for each server rather than make a new one for
/// each connection: making one may read the system's certificates.
///
/// Defaults: certificates are verified against [`CertificateStore::Default`] and
/// the name; TLS 1.2 or 1.3; SNI (RFC 6066 §3) for names, not for IP addresses;
/// no ALPN; no client certificate.
///
/// ```no_run
/// use postwire_tls::{Certificate, TlsParameters, TlsVersion};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let parameters = TlsParameters::builder("mail.example.org")
///     .add_root_certificate(Certificate::from_pem(&std::fs::read("ca.pem")?)?)
///     .min_tls_version(TlsVersion::Tls13)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsParameters {
    domain: Arc<str>,
    server_name: ServerName<'static>,
    rustls: Arc<ClientConfig>,
    /// Chain and name are verified.
    verifies: bool,
}

impl TlsParameters {
    /// The defaults, for the server with this name.
    ///
    /// # Errors
    ///
    /// Those of [`TlsParametersBuilder::build`].
    pub fn new(domain: impl Into<String>) -> Result<Self, TlsError> {
        Self::builder(domain).build()
    }

    /// A builder, for the server with this name (or IP address): what its
    /// certificate must be valid for.
    pub fn builder(domain: impl Into<String>) -> TlsParametersBuilder {
        TlsParametersBuilder {
            domain: domain.into(),
            store: CertificateStore::default(),
            roots: Vec::new(),
            identity: None,
            accept_invalid_certs: false,
            accept_invalid_hostnames: false,
            min_tls_version: TlsVersion::default(),
            crypto_provider: None,
        }
    }

    /// A finished configuration, taken as it is, for the server with this name.
    ///
    /// What the defaults promise (verification, no ALPN, …) is then the
    /// caller's to keep, so REQUIRETLS (RFC 8689) is not asked for over it.
    ///
    /// # Errors
    ///
    /// [`TlsError::InvalidDomain`]
    pub fn from_rustls(
        domain: impl Into<String>,
        config: Arc<ClientConfig>,
    ) -> Result<Self, TlsError> {
        let domain = domain.into();
        let server_name = server_name(&domain).ok_or(TlsError::InvalidDomain)?;
        Ok(Self {
            domain: Arc::from(without_brackets(&domain)),
            server_name,
            rustls: config,
            verifies: false,
        })
    }

    /// Whether chain and name are known to be verified.
    pub(crate) fn verifies(&self) -> bool {
        self.verifies
    }

    /// The same parameters for another server, with the same shared
    /// configuration: one set of certificates for many hosts.
    ///
    /// # Errors
    ///
    /// [`TlsError::InvalidDomain`]
    pub fn for_domain(&self, domain: impl Into<String>) -> Result<Self, TlsError> {
        Ok(Self {
            verifies: self.verifies,
            ..Self::from_rustls(domain, Arc::clone(&self.rustls))?
        })
    }

    /// The name or IP address (without brackets) that the server's certificate
    /// must be valid for.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The same, as `rustls` takes it.
    pub fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// The configuration that each connection is made from.
    pub fn rustls_config(&self) -> &Arc<ClientConfig> {
        &self.rustls
    }
}

impl fmt::Debug for TlsParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsParameters")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Collects what differs from the defaults of [`TlsParameters`].
#[derive(Clone)]
#[must_use]
pub struct TlsParametersBuilder {
    domain: String,
    store: CertificateStore,
    roots: Vec<Certificate>,
    identity: Option<Identity>,
    accept_invalid_certs: bool,
    accept_invalid_hostnames: bool,
    min_tls_version: TlsVersion,
    crypto_provider: Option<Arc<CryptoProvider>>,
}

impl TlsParametersBuilder {
    /// Trusts this certificate in addition to the store. May be called again.
    pub fn add_root_certificate(mut self, certificate: Certificate) -> Self {
        self.roots.push(certificate);
        self
    }

    /// Whom to trust before any root certificate is added.
    /// [`CertificateStore::Default`] by default.
    pub fn certificate_store(mut self, store: CertificateStore) -> Self {
        self.store = store;
        self
    }

    /// Shows this certificate to a server that asks for one.
    pub fn identify_with(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Accepts every certificate: self-signed, expired, another server's.
    ///
    /// **Danger**: an attacker on the way can pose as the server. The trust
    /// store and the name count for nothing then; only that the peer holds the
    /// key of the certificate it shows is still checked. For a server with a
    /// self-signed certificate use
    /// [`add_root_certificate`](Self::add_root_certificate).
    pub fn dangerous_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.accept_invalid_certs = accept;
        self
    }

    /// Accepts a trusted certificate that is valid for another name.
    ///
    /// **Danger**: whoever has a certificate for any name can pose as the
    /// server. Chain and dates are still checked. For a server that is reached
    /// under another name than its certificate's, rather give that name to
    /// [`TlsParameters::builder`].
    ///
    /// On Windows, Apple's systems and Android, a certificate that has no DNS
    /// name at all is still refused.
    pub fn dangerous_accept_invalid_hostnames(mut self, accept: bool) -> Self {
        self.accept_invalid_hostnames = accept;
        self
    }

    /// The lowest version to accept. [`TlsVersion::Tls12`] by default; lower
    /// ones are forbidden (RFC 8996).
    pub fn min_tls_version(mut self, version: TlsVersion) -> Self {
        self.min_tls_version = version;
        self
    }

    /// Does the cryptography with this provider.
    ///
    /// Without it: the one that the process has installed
    /// ([`CryptoProvider::install_default`]), else the one of the feature
    /// `aws-lc-rs`, else of `ring`.
    pub fn crypto_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.crypto_provider = Some(provider);
        self
    }

    /// The parameters.
    ///
    /// May read the system's certificates from disk: not for an async task's
    /// hot path.
    ///
    /// # Errors
    ///
    /// [`TlsError::InvalidDomain`]; [`TlsError::NoCryptoProvider`],
    /// [`TlsError::UnusableCryptoProvider`];
    /// [`TlsError::StoreNotAvailable`], [`TlsError::PlatformStore`],
    /// [`TlsError::NoRootCertificates`], [`TlsError::InvalidCertificate`];
    /// [`TlsError::InvalidIdentity`].
    pub fn build(self) -> Result<TlsParameters, TlsError> {
        let provider = match self.crypto_provider {
            Some(provider) => provider,
            None => default_crypto_provider()?,
        };
        let verifier = if self.accept_invalid_certs {
            Arc::new(AnyCertificate::new(&provider))
        } else {
            let trusting = trusting(self.store, &self.roots, &provider)?;
            if self.accept_invalid_hostnames {
                trusting.for_any_name()
            } else {
                trusting.fully()
            }
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.min_tls_version.and_later())
            .map_err(TlsError::UnusableCryptoProvider)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match self.identity.map(Identity::into_parts) {
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(TlsError::InvalidIdentity)?,
            None => config.with_no_client_auth(),
        };
        let parameters = TlsParameters::from_rustls(self.domain, Arc::new(config))?;
        Ok(TlsParameters {
            verifies: !self.accept_invalid_certs && !self.accept_invalid_hostnames,
            ..parameters
        })
    }
}

impl fmt::Debug for TlsParametersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsParametersBuilder")
            .field("domain", &self.domain)
            .field("store", &self.store)
            .field("roots", &self.roots)
            .field("identity", &self.identity)
            .field("accept_invalid_certs", &self.accept_invalid_certs)
            .field("accept_invalid_hostnames", &self.accept_invalid_hostnames)
            .field("min_tls_version", &self.min_tls_version)
            .finish_non_exhaustive()
    }
}

/// The provider that the process installed, else the one of a feature.
pub(crate) fn default_crypto_provider() -> Result<Arc<CryptoProvider>, TlsError> {
    CryptoProvider::get_default()
        .cloned()
        .or_else(compiled_crypto_provider)
        .ok_or(TlsError::NoCryptoProvider)
}

#[cfg(feature = "aws-lc-rs")]
#[allow(clippy::unnecessary_wraps)]
fn compiled_crypto_provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
#[allow(clippy::unnecessary_wraps)]
fn compiled_crypto_provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
fn compiled_crypto_provider() -> Option<Arc<CryptoProvider>> {
    None
}

/// The name that a certificate must bear for this host; `None` where it is no host.
///
/// The one rule for what is a host: a DNS name in ASCII (RFC 1035, underscores allowed) or
/// an IP address, an IPv6 one with or without brackets.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    let host = without_brackets(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(ServerName::from(address));
    }
    ServerName::try_from(host.to_owned()).ok()
}

/// An IPv6 address without its brackets, `::1` for `[::1]`; anything else as it is.
pub fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|address| address.contains(':'))
        .unwrap_or(host)
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod tests;

#[cfg(test)]
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
#[test]
fn without_a_provider_nothing_is_guessed() {
    assert!(matches!(
        TlsParameters::new("mail.example.org"),
        Err(TlsError::NoCryptoProvider)
    ));
}
