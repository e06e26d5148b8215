//! The verification of a server's certificate: by a trust store, or with one of the two
//! dangerous exceptions.
//!
//! Must never know SMTP. The signatures of the handshake are always checked, whatever the
//! exception: the peer has the key of the certificate that it presents.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, Der, ServerName, TrustAnchor, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::added_certificate::AddedCertificateVerifier;
use crate::der::Fields;
use crate::{Certificate, CertificateStore, TlsError};

/// Creates the verifier that trusts `store` and, in addition, `roots`.
pub(crate) fn trusting(
    store: CertificateStore,
    roots: &[Certificate],
    provider: &Arc<CryptoProvider>,
) -> Result<Trusting, TlsError> {
    match store {
        CertificateStore::Default if cfg!(feature = "platform-verifier") => {
            trusting(CertificateStore::Platform, roots, provider)
        }
        CertificateStore::Default if cfg!(feature = "webpki-roots") => {
            trusting(CertificateStore::WebpkiRoots, roots, provider)
        }
        CertificateStore::Default | CertificateStore::None => {
            trusting_only(RootCertStore::empty(), roots, provider)
        }
        CertificateStore::Platform => trusting_platform(roots, provider),
        CertificateStore::WebpkiRoots => trusting_only(webpki_roots()?, roots, provider),
    }
}

/// A verifier, and what an exception needs to know about it.
pub(crate) struct Trusting {
    verifier: Arc<dyn ServerCertVerifier>,
    name_is_checked_last: bool,
    added: Vec<Certificate>,
    provider: Arc<CryptoProvider>,
}

impl Trusting {
    /// Verifies chain and name.
    pub(crate) fn into_verifier(self) -> Arc<dyn ServerCertVerifier> {
        let inner = self.verifier;
        Arc::new(AddedCertificateVerifier::new(
            &self.added,
            &self.provider,
            false,
            inner,
        ))
    }

    /// Verifies the chain, but not the name.
    pub(crate) fn into_verifier_for_any_name(self) -> Arc<dyn ServerCertVerifier> {
        let inner = Arc::new(AnyName {
            inner: self.verifier,
            name_is_checked_last: self.name_is_checked_last,
        });
        Arc::new(AddedCertificateVerifier::new(
            &self.added,
            &self.provider,
            true,
            inner,
        ))
    }
}

fn trusting_only(
    mut anchors: RootCertStore,
    roots: &[Certificate],
    provider: &Arc<CryptoProvider>,
) -> Result<Trusting, TlsError> {
    for root in roots.iter().filter(|root| is_authority(root)) {
        anchors
            .add(root.der())
            .map_err(TlsError::InvalidCertificate)?;
    }
    if anchors.is_empty() && !roots.is_empty() {
        anchors.roots.push(nobody());
    }
    // Without revocation lists there is no other possible error.
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(provider))
            .build()
            .map_err(|_| TlsError::NoRootCertificates)?;
    Ok(Trusting {
        verifier,
        name_is_checked_last: true,
        added: roots.to_vec(),
        provider: Arc::clone(provider),
    })
}

/// Whether an added certificate vouches for others. One of a server is trusted as it is, by
/// [`AddedCertificateVerifier`]: whoever has its key must not be able to speak for other names.
fn is_authority(root: &Certificate) -> bool {
    Fields::of(&root.der()).is_none_or(|fields| fields.is_authority)
}

/// An authority that no certificate can name as its issuer: its name is not DER, and it has no key. With
/// it, certificates that were added as they are need no authority, and errors keep their causes.
fn nobody() -> TrustAnchor<'static> {
    TrustAnchor {
        subject: Der::from_slice(b"\xff"),
        subject_public_key_info: Der::from_slice(b""),
        name_constraints: None,
    }
}

#[cfg(feature = "webpki-roots")]
#[allow(clippy::unnecessary_wraps)]
fn webpki_roots() -> Result<RootCertStore, TlsError> {
    Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
}

#[cfg(not(feature = "webpki-roots"))]
fn webpki_roots() -> Result<RootCertStore, TlsError> {
    Err(TlsError::StoreNotAvailable(CertificateStore::WebpkiRoots))
}

#[cfg(feature = "platform-verifier")]
fn trusting_platform(
    roots: &[Certificate],
    provider: &Arc<CryptoProvider>,
) -> Result<Trusting, TlsError> {
    let verifier = platform_verifier(roots, Arc::clone(provider))?;
    Ok(Trusting {
        verifier: Arc::new(verifier),
        // On other systems it is rustls's own verifier with the system's certificates.
        name_is_checked_last: cfg!(not(any(
            windows,
            target_vendor = "apple",
            target_os = "android"
        ))),
        added: roots.to_vec(),
        provider: Arc::clone(provider),
    })
}

#[cfg(not(feature = "platform-verifier"))]
fn trusting_platform(
    _roots: &[Certificate],
    _provider: &Arc<CryptoProvider>,
) -> Result<Trusting, TlsError> {
    Err(TlsError::StoreNotAvailable(CertificateStore::Platform))
}

#[cfg(all(feature = "platform-verifier", not(target_os = "android")))]
fn platform_verifier(
    roots: &[Certificate],
    provider: Arc<CryptoProvider>,
) -> Result<rustls_platform_verifier::Verifier, TlsError> {
    rustls_platform_verifier::Verifier::new_with_extra_roots(
        roots
            .iter()
            .filter(|root| is_authority(root))
            .map(Certificate::der),
        provider,
    )
    .map_err(TlsError::PlatformStore)
}

/// Android's verifier accepts no roots in addition to the system's.
#[cfg(all(feature = "platform-verifier", target_os = "android"))]
fn platform_verifier(
    roots: &[Certificate],
    provider: Arc<CryptoProvider>,
) -> Result<rustls_platform_verifier::Verifier, TlsError> {
    if !roots.is_empty() {
        return Err(TlsError::StoreNotAvailable(CertificateStore::Platform));
    }
    rustls_platform_verifier::Verifier::new(provider).map_err(TlsError::PlatformStore)
}

/// Accepts every certificate.
#[derive(Debug)]
pub(crate) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    pub(crate) fn new(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies the chain and accepts any name.
#[derive(Debug)]
struct AnyName {
    inner: Arc<dyn ServerCertVerifier>,
    /// Whether "not valid for this name" means that everything else is valid.
    name_is_checked_last: bool,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ask = |name: &ServerName<'_>| {
            self.inner
                .verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        match ask(server_name) {
            Err(
                error @ Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                ),
            ) => {
                if self.name_is_checked_last {
                    return Ok(ServerCertVerified::assertion());
                }
                // An operating system may report the wrong name first and never the untrusted
                // chain: ask again with a name that matches.
                own_name(end_entity).map_or(Err(error), |name| ask(&name))
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.inner.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

/// A DNS name that the certificate is valid for.
#[cfg(feature = "platform-verifier")]
fn own_name(end_entity: &CertificateDer<'_>) -> Option<ServerName<'static>> {
    let certificate = webpki::EndEntityCert::try_from(end_entity).ok()?;
    certificate.valid_dns_names().find_map(|name| {
        let name = match name.strip_prefix("*.") {
            Some(parent) => format!("any.{parent}"),
            None => name.to_owned(),
        };
        ServerName::try_from(name).ok()
    })
}

/// Without the platform's verifier the name is always checked last.
#[cfg(not(feature = "platform-verifier"))]
fn own_name(_end_entity: &CertificateDer<'_>) -> Option<ServerName<'static>> {
    None
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod tests {
    use core::slice;

    use super::*;
    use crate::parameters::default_crypto_provider;

    fn self_signed(name: &str) -> Certificate {
        let generated = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Certificate::from_der(generated.cert.der().to_vec()).unwrap()
    }

    /// An authority, and a certificate for this name that it signed.
    #[cfg(feature = "platform-verifier")]
    fn authority_and(name: &str) -> (Certificate, Certificate) {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

        let (key, own) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&key).unwrap().der().to_vec();
        let issuer = Issuer::new(authority, key);
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let leaf = params.signed_by(&own, &issuer).unwrap().der().to_vec();
        let parse = |der| Certificate::from_der(der).unwrap();
        (parse(root), parse(leaf))
    }

    fn ask(verifier: &dyn ServerCertVerifier, shown: &Certificate, name: &str) -> bool {
        verifier
            .verify_server_cert(
                &shown.der(),
                &[],
                &ServerName::try_from(name).unwrap(),
                &[],
                UnixTime::now(),
            )
            .is_ok()
    }

    #[test]
    fn without_a_store_only_added_roots_are_trusted() {
        let provider = default_crypto_provider().unwrap();
        let (known, stranger) = (
            self_signed("mail.example.org"),
            self_signed("mail.example.org"),
        );
        let verifier = trusting(CertificateStore::None, slice::from_ref(&known), &provider)
            .unwrap()
            .into_verifier();
        assert!(ask(&*verifier, &known, "mail.example.org"));
        assert!(!ask(&*verifier, &known, "mail.example.net"));
        assert!(!ask(&*verifier, &stranger, "mail.example.org"));
        assert!(matches!(
            trusting(CertificateStore::None, &[], &provider),
            Err(TlsError::NoRootCertificates)
        ));
    }

    #[test]
    fn any_name_still_needs_a_chain() {
        let provider = default_crypto_provider().unwrap();
        for name in ["mail.example.org", "*.example.org"] {
            let (known, stranger) = (self_signed(name), self_signed(name));
            for name_is_checked_last in [true, false] {
                let verifier = Trusting {
                    name_is_checked_last,
                    ..trusting(CertificateStore::None, slice::from_ref(&known), &provider).unwrap()
                }
                .into_verifier_for_any_name();
                assert!(ask(&*verifier, &known, "mail.example.org"));
                assert!(ask(&*verifier, &known, "192.0.2.1"));
                assert!(!ask(&*verifier, &stranger, "mail.example.org"));
                assert!(!ask(&*verifier, &stranger, "192.0.2.1"));
            }
        }
    }

    /// A verifier that, like some operating systems, checks the name before the chain.
    #[cfg(feature = "platform-verifier")]
    #[derive(Debug)]
    struct NameFirst(Arc<dyn ServerCertVerifier>);

    #[cfg(feature = "platform-verifier")]
    impl ServerCertVerifier for NameFirst {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            server_name: &ServerName<'_>,
            ocsp_response: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            if *server_name != ServerName::try_from("mail.example.org").unwrap() {
                return Err(CertificateError::NotValidForName.into());
            }
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls12_signature(message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls13_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_verify_schemes()
        }
    }

    #[test]
    #[cfg(feature = "platform-verifier")]
    fn a_wrong_name_does_not_hide_an_untrusted_chain() {
        let provider = default_crypto_provider().unwrap();
        let [(_, stranger), (root, known)] = [0; 2].map(|_| authority_and("mail.example.org"));
        let inner = trusting(CertificateStore::None, slice::from_ref(&root), &provider).unwrap();
        let verifier = Trusting {
            verifier: Arc::new(NameFirst(inner.verifier)),
            name_is_checked_last: false,
            added: Vec::new(),
            provider,
        }
        .into_verifier_for_any_name();
        assert!(ask(&*verifier, &known, "mail.example.net"));
        assert!(!ask(&*verifier, &stranger, "mail.example.net"));
    }

    #[test]
    fn a_store_that_is_not_compiled_in_is_an_error() {
        let provider = default_crypto_provider().unwrap();
        assert_eq!(
            matches!(
                trusting(CertificateStore::WebpkiRoots, &[], &provider),
                Err(TlsError::StoreNotAvailable(CertificateStore::WebpkiRoots))
            ),
            cfg!(not(feature = "webpki-roots"))
        );
        assert_eq!(
            matches!(
                trusting(CertificateStore::Platform, &[], &provider),
                Err(TlsError::StoreNotAvailable(CertificateStore::Platform))
            ),
            cfg!(not(feature = "platform-verifier"))
        );
    }

    #[test]
    fn roots_are_added_to_the_default_store() {
        let provider = default_crypto_provider().unwrap();
        let root = self_signed("mail.example.org");
        let verifier = trusting(CertificateStore::Default, slice::from_ref(&root), &provider)
            .unwrap()
            .into_verifier();
        assert!(ask(&*verifier, &root, "mail.example.org"));
    }
}
