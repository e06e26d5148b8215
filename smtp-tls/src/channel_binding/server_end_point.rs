//! `tls-server-end-point` (RFC 5929 §4): the hash of the server's certificate.
//!
//! Knows the position of the signature algorithm in a certificate.

use postwire_proto::ChannelBinding;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::der::{OBJECT_IDENTIFIER, SEQUENCE, element};

/// The certificate, hashed with the hash function of its own signature (RFC 5929 §4.1). `None` if
/// the signature has no hash function, or several.
pub(super) fn server_end_point(certificate: &CertificateDer<'_>) -> Option<ChannelBinding> {
    let hash = match signature_algorithm(certificate)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    Some(ChannelBinding::TlsServerEndPoint(hash))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha224,
    /// SHA-256, which also replaces MD5 and SHA-1.
    Sha256,
    Sha384,
    Sha512,
}

/// The hash function of a certificate's signature (RFC 5280 §4.1.1.2).
fn signature_algorithm(certificate: &[u8]) -> Option<Hash> {
    let (certificate, _) = element(SEQUENCE, certificate)?;
    let (_to_be_signed, rest) = element(SEQUENCE, certificate)?;
    let (algorithm, _) = element(SEQUENCE, rest)?;
    let (identifier, parameters) = element(OBJECT_IDENTIFIER, algorithm)?;
    // pkcs-1 (RFC 8017 appendix A.2) and ansi-X9-62 signatures (RFC 5758 §3.2).
    let (family, kind) = identifier.split_at_checked(identifier.len().checked_sub(1)?)?;
    match (family, kind[0]) {
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01", 10) => pss_hash(parameters),
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01", 4 | 5 | 11)
        | (b"\x2a\x86\x48\xce\x3d\x04", 1)
        | (b"\x2a\x86\x48\xce\x3d\x04\x03", 2) => Some(Hash::Sha256),
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01", 12) | (b"\x2a\x86\x48\xce\x3d\x04\x03", 3) => {
            Some(Hash::Sha384)
        }
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01", 13) | (b"\x2a\x86\x48\xce\x3d\x04\x03", 4) => {
            Some(Hash::Sha512)
        }
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01", 14) | (b"\x2a\x86\x48\xce\x3d\x04\x03", 1) => {
            Some(Hash::Sha224)
        }
        _ => None,
    }
}

/// The hash function in the parameters of RSASSA-PSS (RFC 8017 appendix A.2.3); the default is
/// SHA-1.
fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    const HASH_ALGORITHM: u8 = 0xa0;
    let (parameters, _) = element(SEQUENCE, parameters)?;
    let Some((algorithm, _)) = element(HASH_ALGORITHM, parameters) else {
        return Some(Hash::Sha256);
    };
    let (algorithm, _) = element(SEQUENCE, algorithm)?;
    let (identifier, _) = element(OBJECT_IDENTIFIER, algorithm)?;
    match identifier {
        b"\x2b\x0e\x03\x02\x1a" | b"\x60\x86\x48\x01\x65\x03\x04\x02\x01" => Some(Hash::Sha256),
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x02" => Some(Hash::Sha384),
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x03" => Some(Hash::Sha512),
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x04" => Some(Hash::Sha224),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512, SignatureAlgorithm,
    };

    use super::*;
    use crate::der::tests::der;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> CertificateDer<'static> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_is_hashed_as_it_is_signed() {
        let sha_256 = |octets: &[u8]| Sha256::digest(octets).to_vec();
        let sha_384 = |octets: &[u8]| Sha384::digest(octets).to_vec();
        let sha_512 = |octets: &[u8]| Sha512::digest(octets).to_vec();
        for (algorithm, hash) in [
            (&PKCS_ECDSA_P256_SHA256, sha_256 as fn(&[u8]) -> Vec<u8>),
            (&PKCS_ECDSA_P384_SHA384, sha_384),
            (&PKCS_RSA_SHA256, sha_256),
            (&PKCS_RSA_SHA384, sha_384),
            (&PKCS_RSA_SHA512, sha_512),
        ] {
            let certificate = certificate(algorithm);
            let expected = ChannelBinding::TlsServerEndPoint(hash(&certificate));
            assert_eq!(server_end_point(&certificate), Some(expected));
        }
        // Ed25519 signs in two passes, so there is no hash function to use (RFC 5929 §4.1).
        assert_eq!(server_end_point(&certificate(&PKCS_ED25519)), None);
    }

    /// `SEQUENCE { SEQUENCE {} SEQUENCE { OID … } }`: the part of a certificate that is read.
    fn signed_by(algorithm: &[u8]) -> Option<Hash> {
        let algorithm = der(SEQUENCE, algorithm);
        let certificate = [der(SEQUENCE, b""), algorithm].concat();
        signature_algorithm(&der(SEQUENCE, &certificate))
    }

    #[test]
    fn old_hashes_are_replaced_and_pss_has_its_own() {
        let md5_rsa = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04\x05\x00";
        assert_eq!(signed_by(md5_rsa), Some(Hash::Sha256));
        let sha_1_rsa = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00";
        assert_eq!(signed_by(sha_1_rsa), Some(Hash::Sha256));
        let sha_1_ecdsa = b"\x06\x07\x2a\x86\x48\xce\x3d\x04\x01";
        assert_eq!(signed_by(sha_1_ecdsa), Some(Hash::Sha256));
        let pss = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
        let by_default = [&pss[..], b"\x30\x00"].concat();
        assert_eq!(signed_by(&by_default), Some(Hash::Sha256));
        let sha_512 = b"\x30\x0f\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03";
        for (last, hash) in [
            (1, Some(Hash::Sha256)),
            (2, Some(Hash::Sha384)),
            (3, Some(Hash::Sha512)),
            (4, Some(Hash::Sha224)),
            (5, None),
        ] {
            let mut named = [&pss[..], sha_512].concat();
            *named.last_mut().unwrap() = last;
            assert_eq!(signed_by(&named), hash, "{last}");
        }
        let sha_1 = b"\x30\x0b\xa0\x09\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a";
        let with_sha_1 = [&pss[..], sha_1].concat();
        assert_eq!(signed_by(&with_sha_1), Some(Hash::Sha256));
        for sha_224 in [
            &b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e\x05\x00"[..],
            b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01",
        ] {
            assert_eq!(signed_by(sha_224), Some(Hash::Sha224));
        }
    }

    #[test]
    fn an_invalid_certificate_has_no_channel_binding() {
        let whole = certificate(&PKCS_ECDSA_P256_SHA256);
        for cut in 0..whole.len() {
            assert_eq!(signature_algorithm(&whole[..cut]), None);
        }
        assert_eq!(signature_algorithm(&[0x30, 0x80, 0, 0]), None);
        assert_eq!(
            signature_algorithm(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            None
        );
        assert_eq!(signed_by(b""), None);
        assert_eq!(signed_by(b"\x06\x00"), None);
    }
}
