//! A certificate authority for tests.

use postwire_tls::{Certificate, ServerTlsParameters};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// A certificate authority and the certificates that it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A flaw of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The certificate is valid.
    None,
    /// It has expired.
    Expired,
    /// It is for another host.
    WrongHost,
    /// It is self-signed.
    SelfSigned,
}

impl Authority {
    /// Creates an authority, which nobody trusts yet.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: OpenSSL takes a certificate whose issuer has its own name for
        // self-signed.
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "postwire test authority");
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(parameters, key).unwrap(),
        }
    }

    /// The authority's own certificate, to be trusted.
    pub fn certificate(&self) -> Certificate {
        Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap()
    }

    /// A server's certificate for `localhost` and `127.0.0.1`, with a flaw.
    pub fn server(&self, flaw: Flaw) -> ServerTlsParameters {
        let hosts = match flaw {
            Flaw::WrongHost => vec!["elsewhere.example".to_owned()],
            _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let mut parameters = CertificateParams::new(hosts).unwrap();
        if flaw == Flaw::Expired {
            parameters.not_before = date_time_ymd(2001, 1, 1);
            parameters.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = if flaw == Flaw::SelfSigned {
            parameters.self_signed(&key)
        } else {
            parameters.signed_by(&key, &self.issuer)
        };
        let chain = certificate.unwrap().pem();
        ServerTlsParameters::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
