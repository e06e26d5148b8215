//! A certificate authority that is generated when the program starts.
//!
//! For test servers: trusting it means trusting this run only, since its key is never stored.

use std::net::IpAddr;

use postwire_blocking::tls::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The authority, and the server's certificate.
#[derive(Debug)]
pub(crate) struct Generated {
    /// The certificate of the authority.
    pub(crate) ca_pem: String,
    /// A certificate for the server, signed by the authority, with its key.
    pub(crate) server: Identity,
}

/// Generates an authority, and a certificate for this machine with `hostname` and the loopback
/// names.
pub(crate) fn generate(hostname: &str) -> Result<Generated, Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::default();
    let name = "postwire authority of this run";
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let ca_pem = authority.self_signed(&authority_key)?.pem();

    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    if !names.iter().any(|name| name == hostname) && !hostname.starts_with('[') {
        names.push(hostname.to_owned());
    }
    let mut server = CertificateParams::new(names)?;
    let common_name = hostname.parse::<IpAddr>().map_or(hostname, |_| "localhost");
    server
        .distinguished_name
        .push(DnType::CommonName, common_name);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server_key = KeyPair::generate()?;
    let issuer = Issuer::new(authority, authority_key);
    let certificate = server.signed_by(&server_key, &issuer)?;
    let key_pem = server_key.serialize_pem();
    let server = Identity::from_pem(certificate.pem().as_bytes(), key_pem.as_bytes())?;
    Ok(Generated { ca_pem, server })
}

#[cfg(test)]
mod tests {
    use postwire_blocking::tls::{Certificate, CertificateStore, TlsParameters};

    use super::*;

    #[test]
    fn the_authority_can_be_trusted() {
        for hostname in ["localhost", "mail.example.org", "[127.0.0.1]"] {
            let generated = generate(hostname).unwrap();
            let authority = Certificate::from_pem(generated.ca_pem.as_bytes()).unwrap();
            let trusting = TlsParameters::builder("localhost")
                .certificate_store(CertificateStore::None)
                .add_root_certificate(authority);
            assert!(trusting.build().is_ok());
        }
    }
}
