//! The TLS parameters of the server role.
//!
//! Knows the certificate chain, the key, and the authorities of client certificates, if any.
//! Everything else needs a finished `rustls` configuration.

use std::sync::Arc;

use core::fmt;

use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::parameters::default_crypto_provider;
use crate::{Certificate, Identity, TlsError};

/// The TLS parameters of a server: its certificate chain and key.
///
/// Cheap to clone; the clones share one configuration and its cache of sessions.
#[derive(Clone)]
pub struct ServerTlsParameters {
    rustls: Arc<ServerConfig>,
    certificate: Option<CertificateDer<'static>>,
}

impl ServerTlsParameters {
    /// Builds parameters from the PEM texts of the chain and the key (see
    /// [`Identity::from_pem`]): TLS 1.2 and 1.3, no client certificates, no ALPN.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Identity::from_pem`] and [`new`](Self::new).
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        Self::new(Identity::from_pem(chain_pem, key_pem)?)
    }

    /// Builds parameters from this identity: TLS 1.2 and 1.3, no client certificates, no ALPN.
    ///
    /// # Errors
    ///
    /// - [`TlsError::NoCryptoProvider`] if there is no crypto provider.
    /// - [`TlsError::UnusableCryptoProvider`] if the provider does not support these TLS
    ///   versions.
    /// - [`TlsError::InvalidIdentity`] if the certificate and the key cannot be used together.
    pub fn new(identity: Identity) -> Result<Self, TlsError> {
        Self::verifying(WebPkiClientVerifier::no_client_auth(), identity)
    }

    /// Builds parameters from this identity that require a client certificate signed by one of
    /// these authorities: without it the handshake fails. Revocation is not checked.
    ///
    /// # Errors
    ///
    /// - The errors of [`new`](Self::new).
    /// - [`TlsError::NoRootCertificates`] if there is no authority.
    /// - [`TlsError::InvalidCertificate`] if the certificate of an authority cannot be used.
    pub fn with_client_authorities(
        identity: Identity,
        authorities: &[Certificate],
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority.der())
                .map_err(TlsError::InvalidCertificate)?;
        }
        let provider = default_crypto_provider()?;
        // The only possible error is a missing root, since there are no revocation lists.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| TlsError::NoRootCertificates)?;
        Self::verifying(verifier, identity)
    }

    fn verifying(
        clients: Arc<dyn ClientCertVerifier>,
        identity: Identity,
    ) -> Result<Self, TlsError> {
        let (chain, key) = identity.into_parts();
        let certificate = chain.first().cloned();
        let config = ServerConfig::builder_with_provider(default_crypto_provider()?)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(TlsError::UnusableCryptoProvider)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(TlsError::InvalidIdentity)?;
        Ok(Self {
            rustls: Arc::new(config),
            certificate,
        })
    }

    /// Uses a finished rustls configuration unchanged. With TLS 1.2 such a server has no
    /// channel binding.
    pub fn from_rustls(config: Arc<ServerConfig>) -> Self {
        Self {
            rustls: config,
            certificate: None,
        }
    }

    /// The certificate that clients see, if it is the same for all of them.
    #[cfg_attr(not(feature = "server"), allow(dead_code))]
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_ref()
    }

    /// The configuration that every connection uses.
    pub fn rustls_config(&self) -> &Arc<ServerConfig> {
        &self.rustls
    }
}

impl fmt::Debug for ServerTlsParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTlsParameters")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod tests {
    use super::*;

    #[test]
    fn clients_need_an_authority() {
        let own = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
        let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let demanding = |authorities: &[Certificate]| {
            let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
            ServerTlsParameters::with_client_authorities(identity, authorities)
        };
        assert!(matches!(demanding(&[]), Err(TlsError::NoRootCertificates)));
        let authority = Certificate::from_pem(chain.as_bytes()).unwrap();
        assert!(demanding(&[authority]).is_ok());
    }

    #[test]
    fn the_key_must_belong_to_the_certificate() {
        let name = || ["mail.example.org".to_owned()];
        let own = rcgen::generate_simple_self_signed(name()).unwrap();
        let other = rcgen::generate_simple_self_signed(name()).unwrap();
        let chain = own.cert.pem();
        assert!(
            ServerTlsParameters::from_pem(
                chain.as_bytes(),
                own.signing_key.serialize_pem().as_bytes()
            )
            .is_ok()
        );
        assert!(matches!(
            ServerTlsParameters::from_pem(
                chain.as_bytes(),
                other.signing_key.serialize_pem().as_bytes()
            ),
            Err(TlsError::InvalidIdentity(_))
        ));
    }
}
