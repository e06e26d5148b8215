//! The parameters of a TLS session with one server, built once and shared.
//!
//! Knows the expected name and the trusted roots. Must never know SMTP or a socket.
//! Certificates are verified unless a method whose name begins with `dangerous_` disables this.

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
    fn versions_from(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => const { &[&version::TLS13, &version::TLS12] },
            Self::Tls13 => const { &[&version::TLS13] },
        }
    }
}

/// The parameters of a TLS session with one server.
///
/// Cheap to clone; the clones share one [`rustls::ClientConfig`] and its cache of sessions, so
/// that a second connection resumes the session of the first. Keep one value per server instead
/// of building one per connection: building may read the system's certificates.
///
/// # Resumption
///
/// A resumed handshake verifies no certificate and moves fewer octets
/// ([`TlsInfo::is_resumed`](crate::proto::TlsInfo::is_resumed)). The cache holds the sessions of
/// 32 servers, in memory only. With TLS 1.3, a server sends tickets after the handshake, and each
/// ticket serves for one connection (RFC 8446 §C.4). The cache holds eight tickets of a server: of
/// many connections that open at the same time, as many resume as there are tickets.
///
/// Nothing is ever sent as early data (0-RTT), even if a configuration of rustls allows it. An
/// attacker can replay early data (RFC 8446 §8), and the server would accept the same message
/// twice. The gain would be small: a client waits for the greeting before it sends anything.
///
/// # Defaults
///
/// Certificates are verified against [`CertificateStore::Default`] and the name; TLS
/// 1.2 or 1.3; SNI (RFC 6066 §3) for names, not for IP addresses; no ALPN; no client
/// certificate.
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
    /// Whether chain and name are verified.
    verifies: bool,
}

impl TlsParameters {
    /// Builds the default parameters for the server with this name.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`TlsParametersBuilder::build`].
    pub fn new(domain: impl Into<String>) -> Result<Self, TlsError> {
        Self::builder(domain).build()
    }

    /// Creates a builder for the server with this name or IP address, which its certificate
    /// must be valid for.
    pub fn builder(domain: impl Into<String>) -> TlsParametersBuilder {
        TlsParametersBuilder::new(domain)
    }

    /// Uses a finished rustls configuration unchanged, for the server with this name.
    ///
    /// The caller is then responsible for everything that the defaults ensure (verification, no
    /// ALPN and so on). REQUIRETLS (RFC 8689) is never requested over such a session.
    ///
    /// # Errors
    ///
    /// Returns [`TlsError::InvalidDomain`] if `domain` is neither a DNS name nor an IP address.
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

    /// Returns the parameters for another server, with the same shared configuration: one set
    /// of certificates for many hosts.
    ///
    /// # Errors
    ///
    /// Returns [`TlsError::InvalidDomain`] if `domain` is neither a DNS name nor an IP address.
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

    /// The name or IP address that the certificate must be valid for, as a `rustls` type.
    pub fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// The configuration that every connection uses.
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

/// Builds [`TlsParameters`] that differ from the defaults.
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
    /// The same as [`TlsParameters::builder`].
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
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

    /// Trusts this certificate in addition to the store. May be called several times.
    pub fn add_root_certificate(mut self, certificate: Certificate) -> Self {
        self.roots.push(certificate);
        self
    }

    /// Sets the certificate store that is trusted in addition to the root certificates.
    /// [`CertificateStore::Default`] by default.
    pub fn certificate_store(mut self, store: CertificateStore) -> Self {
        self.store = store;
        self
    }

    /// Presents this client certificate to a server that asks for one.
    pub fn identify_with(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Accepts every certificate: self-signed, expired, or for another server.
    ///
    /// **Danger**: an attacker on the network path can impersonate the server. The trust store
    /// and the name are ignored; only the proof that the peer has the key of its certificate is
    /// still checked. For a server with a self-signed certificate use
    /// [`add_root_certificate`](Self::add_root_certificate).
    pub fn dangerous_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.accept_invalid_certs = accept;
        self
    }

    /// Accepts a trusted certificate that is valid for another name.
    ///
    /// **Danger**: anyone who has a certificate for any name can impersonate the server. Chain
    /// and dates are still checked. For a server whose certificate has another name than its
    /// host, give the certificate's name to [`TlsParameters::builder`] instead.
    ///
    /// On Windows, Apple's systems and Android, a certificate without any DNS name is still
    /// rejected.
    pub fn dangerous_accept_invalid_hostnames(mut self, accept: bool) -> Self {
        self.accept_invalid_hostnames = accept;
        self
    }

    /// Sets the lowest TLS version to accept. [`TlsVersion::Tls12`] by default; lower versions
    /// are forbidden (RFC 8996).
    pub fn min_tls_version(mut self, version: TlsVersion) -> Self {
        self.min_tls_version = version;
        self
    }

    /// Sets the crypto provider.
    ///
    /// By default it is the provider that is installed in the process
    /// ([`CryptoProvider::install_default`]); otherwise that of the feature `aws-lc-rs`;
    /// otherwise that of `ring`.
    pub fn crypto_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.crypto_provider = Some(provider);
        self
    }

    /// Builds the parameters.
    ///
    /// It may read the system's certificates from disk: do not call it on the hot path of an
    /// async task.
    ///
    /// # Errors
    ///
    /// - [`TlsError::InvalidDomain`] if the name is neither a DNS name nor an IP address.
    /// - [`TlsError::NoCryptoProvider`] if there is no crypto provider.
    /// - [`TlsError::UnusableCryptoProvider`] if the provider does not support the allowed TLS
    ///   versions.
    /// - [`TlsError::StoreNotAvailable`] if the store is not available in this build or on this
    ///   platform.
    /// - [`TlsError::PlatformStore`] if the system's trust store cannot be used.
    /// - [`TlsError::NoRootCertificates`] if there is neither a store nor a root certificate.
    /// - [`TlsError::InvalidCertificate`] if a root certificate cannot be used.
    /// - [`TlsError::InvalidIdentity`] if the client certificate cannot be used with its key.
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
                trusting.into_verifier_for_any_name()
            } else {
                trusting.into_verifier()
            }
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.min_tls_version.versions_from())
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

/// The provider that is installed in the process, otherwise that of a feature.
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

/// Parses the name that the certificate of this host must be valid for; `None` if the text is
/// not a host.
///
/// This is the only definition of a host: a DNS name in ASCII (RFC 1035, underscores allowed)
/// or an IP address, where an IPv6 address may be in brackets.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    let host = without_brackets(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(ServerName::from(address));
    }
    ServerName::try_from(host.to_owned()).ok()
}

/// Returns an IPv6 address without its brackets (`::1` for `[::1]`), and any other text
/// unchanged.
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
fn without_a_provider_building_fails() {
    assert!(matches!(
        TlsParameters::new("mail.example.org"),
        Err(TlsError::NoCryptoProvider)
    ));
}
