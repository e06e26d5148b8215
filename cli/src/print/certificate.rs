//! The fields of a server's certificate, for people to read.
//!
//! Validates nothing: the handshake decides whether the certificate is trusted.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

use postwire_blocking::proto::Redaction;

/// The fields that a person needs (RFC 5280 §4.1.2, §4.2.1.6).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    /// In the format of RFC 3339.
    pub(crate) not_before: String,
    pub(crate) not_after: String,
    /// The whole days until it expires; below 0 if it has expired.
    pub(crate) days_left: i64,
    /// The names and addresses that it is valid for.
    pub(crate) names: Vec<String>,
    /// The kind and length of its key, such as `RSA 2048`.
    pub(crate) key: String,
    /// The SHA-256 fingerprint, as `openssl x509 -fingerprint -sha256` shows it.
    pub(crate) sha256: String,
}

impl Certificate {
    /// Parses DER; `None` if it is not a certificate. The fields may contain a secret, so they
    /// are redacted.
    pub(crate) fn parse(der: &[u8], redaction: &Redaction) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        Some(Self {
            subject: redaction.text(&certificate.subject().to_string()),
            issuer: redaction.text(&certificate.issuer().to_string()),
            not_before: rfc3339(certificate.validity().not_before),
            not_after: rfc3339(certificate.validity().not_after),
            days_left: days_until(certificate.validity().not_after),
            names: names.map(|each| redaction.text(&name(each))).collect(),
            key: key(certificate.public_key()),
            sha256: fingerprint(der),
        })
    }
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(key)) => format!("EC {}", key.key_size()),
        _ if key.algorithm.algorithm.to_id_string() == ED25519 => "Ed25519".to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// The identifier of Ed25519 keys (RFC 8410 §3).
const ED25519: &str = "1.3.101.112";

fn fingerprint(der: &[u8]) -> String {
    let octets = Sha256::digest(der);
    let octets: Vec<_> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    octets.join(":")
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(octets) => address(octets).unwrap_or_else(|| name.to_string()),
        other => other.to_string(),
    }
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).to_string());
    let v6 = <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).to_string());
    v4.or(v6).ok()
}

fn days_until(time: ASN1Time) -> i64 {
    (time.timestamp() - ASN1Time::now().timestamp()).div_euclid(24 * 60 * 60)
}

fn rfc3339(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_fields_that_a_person_needs() {
        let names = ["mail.example.org", "127.0.0.1", "::1"].map(str::to_owned);
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_before = date_time_ymd(2025, 2, 3);
        parameters.not_after = date_time_ymd(2035, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let read = Certificate::parse(certificate.der(), &Redaction::default()).unwrap();
        assert_eq!(read.subject, "CN=rcgen self signed cert");
        assert_eq!(read.issuer, read.subject);
        assert_eq!(read.not_before, "2025-02-03T00:00:00Z");
        assert_eq!(read.not_after, "2035-12-31T00:00:00Z");
        assert_eq!(read.key, "EC 256");
        assert_eq!(read.sha256.len(), 32 * 3 - 1);
        assert!((1_000..4_000).contains(&read.days_left), "{read:?}");
        assert_eq!(read.names, ["mail.example.org", "127.0.0.1", "::1"]);
        assert!(Certificate::parse(b"no certificate", &Redaction::default()).is_none());
    }
}
