//! Certificates and keys: PEM or DER in, checked values out.
//!
//! Knows no file and no server name: the caller reads files, and the verifier decides whether a
//! server's certificate is valid.

use core::fmt;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;

use crate::TlsError;

/// The trusted roots, apart from the root certificates that are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateStore {
    /// [`Platform`](Self::Platform) if that feature is on; otherwise
    /// [`WebpkiRoots`](Self::WebpkiRoots) if that feature is on; otherwise
    /// [`None`](Self::None).
    #[default]
    Default,
    /// The operating system's verifier and trust store. Needs the feature
    /// `platform-verifier` (on by default).
    Platform,
    /// Mozilla's list of root certificates, compiled in. Needs the feature `webpki-roots`.
    WebpkiRoots,
    /// No roots other than the root certificates that are added.
    None,
}

/// A certificate to trust: a private certificate authority, or a server's own certificate.
///
/// A server that presents exactly this certificate is trusted, whatever purpose the certificate
/// states; its name and dates are checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// Reads the only certificate in a PEM text (RFC 7468 §5).
    ///
    /// Text outside the PEM sections and sections of other kinds are skipped.
    ///
    /// # Errors
    ///
    /// - [`TlsError::NoCertificate`] if the text contains no certificate.
    /// - [`TlsError::SeveralCertificates`] if it contains several; use
    ///   [`from_pem_bundle`](Self::from_pem_bundle).
    /// - [`TlsError::InvalidPem`] if it is not valid PEM.
    /// - [`TlsError::InvalidCertificate`] if the certificate cannot be used as a root.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let mut bundle = Self::from_pem_bundle(pem)?;
        match (bundle.pop(), bundle.is_empty()) {
            (Some(certificate), true) => Ok(certificate),
            (Some(_), false) => Err(TlsError::SeveralCertificates),
            (None, _) => Err(TlsError::NoCertificate),
        }
    }

    /// Reads every certificate in a PEM text, in order; at least one.
    ///
    /// # Errors
    ///
    /// - [`TlsError::NoCertificate`] if the text contains no certificate.
    /// - [`TlsError::InvalidPem`] if it is not valid PEM.
    /// - [`TlsError::InvalidCertificate`] if any of the certificates cannot be used as a root.
    pub fn from_pem_bundle(pem: &[u8]) -> Result<Vec<Self>, TlsError> {
        certificates(pem)?.into_iter().map(Self::check).collect()
    }

    /// Reads a certificate in DER (RFC 5280 §4.1).
    ///
    /// # Errors
    ///
    /// Returns [`TlsError::InvalidCertificate`] if the certificate cannot be used as a root.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, TlsError> {
        Self::check(CertificateDer::from(der.into()))
    }

    /// The certificate in DER.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// An invalid root is found here, not when a server is connected to.
    fn check(der: CertificateDer<'static>) -> Result<Self, TlsError> {
        RootCertStore::empty()
            .add(der.clone())
            .map_err(TlsError::InvalidCertificate)?;
        Ok(Self(der))
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.clone()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} octets)", self.0.len())
    }
}

/// A certificate chain and its private key, with which a client or server proves its identity.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the chain, with the identity's own certificate first, and the first private key
    /// (PKCS #8, PKCS #1 or SEC 1, not encrypted) from two PEM texts, which may be the same.
    ///
    /// Whether the key belongs to the certificate is checked when the parameters are built:
    /// [`TlsError::InvalidIdentity`].
    ///
    /// # Errors
    ///
    /// - [`TlsError::NoCertificate`] if the first text contains no certificate.
    /// - [`TlsError::NoPrivateKey`] if the second text contains no private key.
    /// - [`TlsError::InvalidPem`] if a text is not valid PEM.
    /// - [`TlsError::InvalidCertificate`] if a certificate cannot be parsed.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoPrivateKey,
            error => TlsError::InvalidPem(error),
        })?;
        for certificate in &chain {
            ParsedCertificate::try_from(certificate).map_err(TlsError::InvalidCertificate)?;
        }
        Ok(Self { chain, key })
    }

    pub(crate) fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates, a key)", self.chain.len())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::InvalidPem)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated() -> (String, String) {
        let generated =
            rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
        (generated.cert.pem(), generated.signing_key.serialize_pem())
    }

    #[test]
    fn one_or_many_certificates() {
        let (first, _) = generated();
        let (second, _) = generated();
        assert!(Certificate::from_pem(first.as_bytes()).is_ok());
        let both = format!("# comment\n{first}\nin between\n{second}");
        assert!(matches!(
            Certificate::from_pem(both.as_bytes()),
            Err(TlsError::SeveralCertificates)
        ));
        let bundle = Certificate::from_pem_bundle(both.as_bytes()).unwrap();
        assert_eq!(bundle.len(), 2);
        assert_eq!(
            Certificate::from_der(bundle[0].as_der()).unwrap(),
            bundle[0]
        );
    }

    #[test]
    fn invalid_certificates_are_refused() {
        let (_, key) = generated();
        for text in ["", "hello", key.as_str()] {
            assert!(
                matches!(
                    Certificate::from_pem(text.as_bytes()),
                    Err(TlsError::NoCertificate)
                ),
                "{text:?}"
            );
        }
        let begin = "-----BEGIN CERTIFICATE-----\n";
        for text in [
            begin.to_owned(),
            format!("{begin}!!\n-----END CERTIFICATE-----\n"),
        ] {
            assert!(matches!(
                Certificate::from_pem(text.as_bytes()),
                Err(TlsError::InvalidPem(_))
            ));
        }
        let not_x509 = format!("{begin}aGVsbG8=\n-----END CERTIFICATE-----\n");
        assert!(matches!(
            Certificate::from_pem(not_x509.as_bytes()),
            Err(TlsError::InvalidCertificate(_))
        ));
        assert!(matches!(
            Certificate::from_der(*b"hello"),
            Err(TlsError::InvalidCertificate(_))
        ));
    }

    #[test]
    fn an_identity_needs_chain_and_key_and_shows_neither() {
        let (certificate, key) = generated();
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(format!("{identity:?}"), "Identity(1 certificates, a key)");
        let together = format!("{key}{certificate}");
        assert!(Identity::from_pem(together.as_bytes(), together.as_bytes()).is_ok());
        assert!(matches!(
            Identity::from_pem(key.as_bytes(), key.as_bytes()),
            Err(TlsError::NoCertificate)
        ));
        assert!(matches!(
            Identity::from_pem(certificate.as_bytes(), certificate.as_bytes()),
            Err(TlsError::NoPrivateKey)
        ));
    }
}
