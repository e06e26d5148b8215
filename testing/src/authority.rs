//! A certificate authority that is generated when a server starts, and trusted only by the test.
//!
//! Knows certificates. Its key is never stored.

use postwire_tls::{Certificate, ServerTlsParameters};

/// The certificate of an authority.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) certificate: Certificate,
}

/// Generates an authority, and the parameters of a server on this machine.
///
/// # Panics
///
/// Panics if the crate has neither the feature `aws-lc-rs` nor `ring`.
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
pub(crate) fn generate() -> (Authority, ServerTlsParameters) {
    match try_generate() {
        Ok(generated) => generated,
        Err(error) => panic!("no certificate can be generated: {error}"),
    }
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
pub(crate) fn generate() -> (Authority, ServerTlsParameters) {
    panic!("TLS needs the feature aws-lc-rs or ring of postwire-testing");
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
fn try_generate() -> Result<(Authority, ServerTlsParameters), Box<dyn std::error::Error>> {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
        KeyPair, KeyUsagePurpose,
    };

    let mut authority = CertificateParams::default();
    // A name of its own: some TLS libraries take a certificate whose issuer has the same name for
    // self-signed.
    let name = "postwire authority of one test";
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let pem = authority.self_signed(&authority_key)?.pem();

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut server = CertificateParams::new(names)?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(authority, authority_key);
    let chain = server.signed_by(&key, &issuer)?.pem();
    let parameters =
        ServerTlsParameters::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes())?;
    let certificate = Certificate::from_pem(pem.as_bytes())?;
    Ok((Authority { pem, certificate }, parameters))
}
