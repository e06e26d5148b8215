//! A verifier for server certificates that the program added as roots.
//!
//! For such a certificate, its purpose (authority or server) and its version do not matter: the
//! program named exactly this certificate. Its dates, its name and the signature of the
//! handshake are checked as usual. Every other certificate is left to the inner verifier.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved,
    SignatureScheme,
};

use crate::Certificate;
use crate::der::{Fields, OBJECT_IDENTIFIER, element, rsa_bits};
use crate::failure::{KeyTooShort, SelfSigned};

/// The shortest RSA key with which webpki verifies a signature.
const SHORTEST_RSA: usize = 2048;

/// Accepts the added certificates; asks `inner` about all others.
#[derive(Debug)]
pub(crate) struct AddedCertificateVerifier {
    certificates: Vec<Certificate>,
    algorithms: WebPkiSupportedAlgorithms,
    any_name: bool,
    inner: Arc<dyn ServerCertVerifier>,
}

impl AddedCertificateVerifier {
    pub(crate) fn new(
        certificates: &[Certificate],
        provider: &CryptoProvider,
        any_name: bool,
        inner: Arc<dyn ServerCertVerifier>,
    ) -> Self {
        Self {
            certificates: certificates.to_vec(),
            algorithms: provider.signature_verification_algorithms,
            any_name,
            inner,
        }
    }

    fn has(&self, shown: &CertificateDer<'_>) -> bool {
        let mut added = self.certificates.iter();
        added.any(|certificate| certificate.as_der() == shown.as_ref())
    }

    /// The fields of an added certificate that `webpki` cannot read, because it has version 1.
    fn version_1_fields<'a>(&self, shown: &'a CertificateDer<'_>) -> Option<Fields<'a>> {
        let read = webpki::EndEntityCert::try_from(shown).is_ok();
        if read || !self.has(shown) {
            return None;
        }
        Fields::of(shown)
    }
}

impl ServerCertVerifier for AddedCertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.has(end_entity) {
            let verified = self.inner.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            );
            return verified.map_err(|error| {
                let shown = || core::iter::once(end_entity).chain(intermediates);
                with_precise_cause(with_short_key(error, shown()), shown())
            });
        }
        let fields = Fields::of(end_entity).ok_or(CertificateError::BadEncoding)?;
        let Fields {
            not_before,
            not_after,
            ..
        } = fields;
        if now < not_before {
            let time = now;
            return Err(CertificateError::NotValidYetContext { time, not_before }.into());
        }
        if now > not_after {
            let time = now;
            return Err(CertificateError::ExpiredContext { time, not_after }.into());
        }
        if !self.any_name {
            check_name(end_entity, &fields, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(fields) = self.version_1_fields(cert) else {
            let verified = self.inner.verify_tls12_signature(message, cert, dss);
            return verified.map_err(|error| with_short_key(error, [cert]));
        };
        let key = webpki::RawPublicKeyEntity::try_from(&fields.public_key)
            .map_err(|_| CertificateError::BadEncoding)?;
        let mut mapped = self.algorithms.mapping.iter();
        let (_, candidates) = mapped
            .find(|(scheme, _)| *scheme == dss.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let valid = |candidate: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            key.verify_signature(*candidate, message, dss.signature())
                .is_ok()
        };
        if candidates.iter().any(valid) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(fields) = self.version_1_fields(cert) else {
            let verified = self.inner.verify_tls13_signature(message, cert, dss);
            return verified.map_err(|error| with_short_key(error, [cert]));
        };
        verify_tls13_signature_with_raw_key(message, &fields.public_key, dss, &self.algorithms)
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

/// With a short key every signature counts as wrong: the error is then the key's length.
fn with_short_key<'a, 'b: 'a>(
    error: Error,
    shown: impl IntoIterator<Item = &'a CertificateDer<'b>>,
) -> Error {
    if error != Error::InvalidCertificate(CertificateError::BadSignature) {
        return error;
    }
    let keys = shown.into_iter().filter_map(|shown| {
        let fields = Fields::of(shown)?;
        rsa_bits(&fields.public_key)
    });
    match keys.min().filter(|bits| *bits < SHORTEST_RSA) {
        Some(bits) => {
            let short = OtherError(Arc::new(KeyTooShort { bits }));
            CertificateError::Other(short).into()
        }
        None => error,
    }
}

/// Returns a more precise reason why a chain is not trusted, where the verifier gives another
/// or none.
///
/// An untrusted self-signed certificate may have the name of a trusted root. A verifier then
/// tries the key of the root and reports a wrong signature.
fn with_precise_cause<'a, 'b: 'a>(
    error: Error,
    mut shown: impl Iterator<Item = &'a CertificateDer<'b>> + Clone,
) -> Error {
    let Error::InvalidCertificate(cause) = &error else {
        return error;
    };
    let is_self_issued =
        |shown: &CertificateDer<'_>| Fields::of(shown).is_some_and(|fields| fields.is_self_issued);
    match cause {
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id,
        } if is_rsa(signature_algorithm_id) != is_rsa(public_key_algorithm_id) => {
            CertificateError::UnknownIssuer.into()
        }
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
            if shown.clone().any(is_self_issued) =>
        {
            CertificateError::UnknownIssuer.into()
        }
        // The platform's verifier does not report the purpose as the reason.
        CertificateError::Other(other) if !other.0.is::<KeyTooShort>() => {
            let fields = shown.next().and_then(|end_entity| Fields::of(end_entity));
            let is_authority = matches!(
                other.0.downcast_ref(),
                Some(webpki::Error::CaUsedAsEndEntity)
            );
            match fields {
                Some(fields) if !fields.allows_server_auth => {
                    CertificateError::InvalidPurpose.into()
                }
                Some(fields) if is_authority && fields.is_self_issued => {
                    CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
                }
                _ => error,
            }
        }
        _ => error,
    }
}

/// Whether the identifier is that of a PKCS #1 algorithm.
fn is_rsa(algorithm: &[u8]) -> bool {
    const PKCS_1: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
    let identifier = element(OBJECT_IDENTIFIER, algorithm);
    identifier.is_some_and(|(identifier, _)| identifier.starts_with(PKCS_1))
}

/// Checks the alternative names of the certificate, or its common name if it has none, as with
/// version 1 (RFC 2818 §3.1).
fn check_name(
    end_entity: &CertificateDer<'_>,
    fields: &Fields<'_>,
    server_name: &ServerName<'_>,
) -> Result<(), Error> {
    if fields.has_alternative_names {
        let certificate = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| CertificateError::BadEncoding)?;
        return match certificate.verify_is_valid_for_subject_name(server_name) {
            Ok(()) => Ok(()),
            Err(webpki::Error::CertNotValidForName(context)) => {
                Err(CertificateError::NotValidForNameContext {
                    expected: context.expected,
                    presented: context.presented,
                }
                .into())
            }
            Err(_) => Err(CertificateError::NotValidForName.into()),
        };
    }
    let common_name = fields.common_name.unwrap_or_default();
    if is_named(common_name, &server_name.to_str()) {
        return Ok(());
    }
    Err(CertificateError::NotValidForNameContext {
        expected: server_name.to_owned(),
        presented: vec![common_name.to_owned()],
    }
    .into())
}

fn is_named(common_name: &str, name: &str) -> bool {
    // An address has no labels.
    let is_address = name.parse::<IpAddr>().is_ok();
    let wildcard = common_name.strip_prefix("*.").filter(|_| !is_address);
    let parent = name.split_once('.').map(|(_, parent)| parent);
    match (wildcard, parent) {
        (Some(wildcard), Some(parent)) => wildcard.eq_ignore_ascii_case(parent),
        _ => common_name.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::tests::der;

    #[test]
    fn a_common_name_matches_whole_labels() {
        for (common_name, name, matches) in [
            ("localhost", "LOCALHOST", true),
            ("*.example.org", "mail.example.org", true),
            ("*.example.org", "a.mail.example.org", false),
            ("*.example.org", "example.org", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("*.0.2.1", "192.0.2.1", false),
            ("", "localhost", false),
        ] {
            assert_eq!(is_named(common_name, name), matches, "{common_name} {name}");
        }
    }

    #[test]
    fn a_short_key_explains_a_wrong_signature() {
        let short = include_bytes!("parameters/rsa_1024.pem");
        let short = Certificate::from_pem(short).unwrap().der();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = other.cert.der();
        let wrong = || Error::from(CertificateError::BadSignature);
        assert_eq!(with_short_key(wrong(), [other]), wrong());
        let explanation = with_short_key(wrong(), [other, &short]);
        let failure = crate::TlsFailure::from(explanation);
        assert_eq!(
            *failure.kind(),
            crate::TlsFailureKind::KeyTooShort { bits: 1024 }
        );
        let unknown = Error::from(CertificateError::UnknownIssuer);
        assert_eq!(with_short_key(unknown.clone(), [&short]), unknown);
    }

    #[cfg(feature = "aws-lc-rs")]
    #[test]
    fn a_key_of_2048_bits_is_long_enough() {
        use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let names = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let enough = names.self_signed(&key).unwrap();
        let wrong = || Error::from(CertificateError::BadSignature);
        assert_eq!(with_short_key(wrong(), [enough.der()]), wrong());
    }

    /// A certificate that signed itself, and one that another signed.
    fn own_and_foreign() -> [CertificateDer<'static>; 2] {
        use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

        let key = || KeyPair::generate().unwrap();
        let named = |name: &str| {
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let own = named("localhost").self_signed(&key()).unwrap();
        let issuer = Issuer::new(named("authority"), key());
        let foreign = named("localhost").signed_by(&key(), &issuer).unwrap();
        [own.der().clone(), foreign.der().clone()]
    }

    #[test]
    fn a_root_of_the_same_name_is_not_blamed() {
        let [own, foreign] = own_and_foreign();
        let unknown = || Error::from(CertificateError::UnknownIssuer);
        let algorithm = |identifier: &[u8]| der(OBJECT_IDENTIFIER, identifier);
        let rsa = algorithm(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b");
        let rsa_key = algorithm(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01");
        let ecdsa = algorithm(b"\x2a\x86\x48\xce\x3d\x04\x03\x02");
        let ec_key = algorithm(b"\x2a\x86\x48\xce\x3d\x02\x01");
        let mismatch = |signature: &[u8], key: &[u8]| {
            Error::from(
                CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                    signature_algorithm_id: signature.to_vec(),
                    public_key_algorithm_id: key.to_vec(),
                },
            )
        };
        let wrong = || Error::from(CertificateError::BadSignature);
        for (error, shown, precise) in [
            // A signature of another kind than the key is not from this issuer.
            (mismatch(&rsa, &ec_key), &foreign, unknown()),
            (mismatch(&ecdsa, &rsa_key), &foreign, unknown()),
            // The same kind: the algorithm is what is not accepted.
            (mismatch(&rsa, &rsa_key), &foreign, mismatch(&rsa, &rsa_key)),
            (
                mismatch(&ecdsa, &ec_key),
                &foreign,
                mismatch(&ecdsa, &ec_key),
            ),
            (mismatch(&rsa, &rsa_key), &own, unknown()),
            (wrong(), &own, unknown()),
            (wrong(), &foreign, wrong()),
        ] {
            let found = with_precise_cause(error.clone(), core::iter::once(shown));
            assert_eq!(found, precise, "{error:?}");
        }
    }

    #[test]
    fn a_short_key_remains_the_cause() {
        use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};

        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let of_a_client = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let shown = || core::iter::once(of_a_client.der());
        let short = OtherError(Arc::new(KeyTooShort { bits: 1024 }));
        let short = Error::from(CertificateError::Other(short));
        let crate::TlsFailureKind::KeyTooShort { bits } =
            *crate::TlsFailure::from(with_precise_cause(short, shown())).kind()
        else {
            panic!("another cause");
        };
        assert_eq!(bits, 1024);
        let platform = OtherError(Arc::new(std::fmt::Error));
        let platform = Error::from(CertificateError::Other(platform));
        assert_eq!(
            with_precise_cause(platform, shown()),
            Error::from(CertificateError::InvalidPurpose)
        );
    }

    #[test]
    fn an_added_certificate_is_valid_from_its_first_second_to_its_last() {
        let [own, _] = own_and_foreign();
        let fields = Fields::of(&own).unwrap();
        let provider = crate::parameters::default_crypto_provider().unwrap();
        let added = Certificate::from_der(own.to_vec()).unwrap();
        let verifier = AddedCertificateVerifier::new(
            &[added],
            &provider,
            false,
            Arc::new(crate::verifier::AnyCertificate::new(&provider)),
        );
        let name = ServerName::try_from("localhost").unwrap();
        let ask = |now| verifier.verify_server_cert(&own, &[], &name, &[], now);
        let at = |seconds| UnixTime::since_unix_epoch(core::time::Duration::from_secs(seconds));
        let (from, to) = (fields.not_before.as_secs(), fields.not_after.as_secs());
        assert!(ask(at(from)).is_ok() && ask(at(to)).is_ok());
        assert!(matches!(
            ask(at(from - 1)),
            Err(Error::InvalidCertificate(
                CertificateError::NotValidYetContext { .. }
            ))
        ));
        assert!(matches!(
            ask(at(to + 1)),
            Err(Error::InvalidCertificate(
                CertificateError::ExpiredContext { .. }
            ))
        ));
    }
}
