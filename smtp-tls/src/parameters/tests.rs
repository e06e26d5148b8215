//! Handshakes in memory: which certificates are accepted, and what is negotiated.

use std::error::Error as _;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection,
};

use super::*;

struct Generated {
    certificate: Certificate,
    identity: Identity,
    key: PrivateKeyDer<'static>,
}

fn self_signed(name: &str) -> Generated {
    let generated = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (chain, key) = (generated.cert.pem(), generated.signing_key.serialize_pem());
    let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    Generated {
        certificate: Certificate::from_pem(chain.as_bytes()).unwrap(),
        key: identity.clone().into_parts().1,
        identity,
    }
}

fn server_of(identity: &Identity) -> Arc<ServerConfig> {
    let (chain, key) = identity.clone().into_parts();
    let config = ServerConfig::builder_with_provider(default_crypto_provider().unwrap())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

fn trusting_only(certificate: &Certificate) -> TlsParametersBuilder {
    TlsParameters::builder("mail.example.org")
        .certificate_store(CertificateStore::None)
        .add_root_certificate(certificate.clone())
}

fn handshake(
    parameters: &TlsParameters,
    server: &Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut client = ClientConnection::new(
        Arc::clone(parameters.rustls_config()),
        parameters.server_name(),
    )?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        wire.clear();
        client.write_tls(&mut wire).unwrap();
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
        }
        // The client's own error explains more than the alert that the server receives.
        let at_server = server.process_new_packets();
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
        }
        client.process_new_packets()?;
        at_server?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

#[test]
fn certificates_and_names_are_verified() {
    let (own, other) = (
        self_signed("mail.example.org"),
        self_signed("mail.example.org"),
    );
    let elsewhere = self_signed("mail.example.net");
    let parameters = trusting_only(&own.certificate)
        .add_root_certificate(elsewhere.certificate.clone())
        .build()
        .unwrap();
    let (client, server) = handshake(&parameters, &server_of(&own.identity)).unwrap();
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(client.alpn_protocol(), None);
    assert_eq!(server.server_name(), Some("mail.example.org"));
    assert!(handshake(&parameters, &server_of(&other.identity)).is_err());
    assert!(handshake(&parameters, &server_of(&elsewhere.identity)).is_err());
    assert!(
        handshake(
            &parameters.for_domain("mail.example.net").unwrap(),
            &server_of(&elsewhere.identity)
        )
        .is_ok()
    );
}

#[test]
fn the_default_store_trusts_no_unknown_certificate() {
    let own = self_signed("mail.example.org");
    // A machine without certificates has no default store.
    if let Ok(parameters) = TlsParameters::new("mail.example.org") {
        assert!(handshake(&parameters, &server_of(&own.identity)).is_err());
    }
    let parameters = TlsParameters::builder("mail.example.org")
        .add_root_certificate(own.certificate.clone())
        .build()
        .unwrap();
    assert!(handshake(&parameters, &server_of(&own.identity)).is_ok());
}

#[test]
fn an_address_is_not_sent_as_a_name() {
    for (address, shown) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("::1", "::1")] {
        let own = self_signed(shown);
        let parameters = TlsParameters::builder(address)
            .certificate_store(CertificateStore::None)
            .add_root_certificate(own.certificate.clone())
            .build()
            .unwrap();
        assert_eq!(parameters.domain(), shown);
        let (_, server) = handshake(&parameters, &server_of(&own.identity)).unwrap();
        assert_eq!(server.server_name(), None);
    }
}

#[test]
fn a_second_connection_of_any_clone_resumes() {
    let own = self_signed("mail.example.org");
    let parameters = trusting_only(&own.certificate).build().unwrap();
    let server = server_of(&own.identity);
    let (first, _) = handshake(&parameters, &server).unwrap();
    assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
    let (second, _) = handshake(&parameters.clone(), &server).unwrap();
    assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn the_minimum_version_is_enforced() {
    let own = self_signed("mail.example.org");
    let (chain, key) = own.identity.clone().into_parts();
    let old = ServerConfig::builder_with_provider(default_crypto_provider().unwrap())
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let old = Arc::new(old);
    let (client, _) = handshake(&trusting_only(&own.certificate).build().unwrap(), &old).unwrap();
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let strict = trusting_only(&own.certificate)
        .min_tls_version(TlsVersion::Tls13)
        .build()
        .unwrap();
    assert!(handshake(&strict, &old).is_err());
}

#[test]
fn any_hostname_is_dangerous_but_not_any_certificate() {
    let (own, other) = (
        self_signed("mail.example.net"),
        self_signed("mail.example.net"),
    );
    let parameters = trusting_only(&own.certificate)
        .dangerous_accept_invalid_hostnames(true)
        .build()
        .unwrap();
    assert!(handshake(&parameters, &server_of(&own.identity)).is_ok());
    assert!(handshake(&parameters, &server_of(&other.identity)).is_err());
}

/// A server that presents a certificate and has the key of another.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn any_certificate_still_needs_the_key_of_the_peer() {
    let (own, other) = (
        self_signed("mail.example.net"),
        self_signed("mail.example.net"),
    );
    let parameters = TlsParameters::builder("mail.example.org")
        .dangerous_accept_invalid_certs(true)
        .build()
        .unwrap();
    assert!(handshake(&parameters, &server_of(&own.identity)).is_ok());

    let provider = default_crypto_provider().unwrap();
    let key = provider.key_provider.load_private_key(other.key).unwrap();
    let shown = CertifiedKey::new(own.identity.into_parts().0, key);
    for versions in [&[&version::TLS12][..], &[&version::TLS13][..]] {
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Impostor(Arc::new(shown.clone()))));
        let error = handshake(&parameters, &Arc::new(server)).unwrap_err();
        assert!(
            matches!(
                error,
                rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature)
            ),
            "{error:?}"
        );
    }
}

#[test]
fn the_client_identifies_itself() {
    let (own, client) = (
        self_signed("mail.example.org"),
        self_signed("client.example.org"),
    );
    let mut clients = RootCertStore::empty();
    clients.add(client.certificate.der()).unwrap();
    let provider = default_crypto_provider().unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider))
            .build()
            .unwrap();
    let (chain, key) = own.identity.clone().into_parts();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let server = Arc::new(server);
    assert!(handshake(&trusting_only(&own.certificate).build().unwrap(), &server).is_err());
    let identified = trusting_only(&own.certificate)
        .identify_with(client.identity)
        .build()
        .unwrap();
    let (_, server) = handshake(&identified, &server).unwrap();
    assert!(server.peer_certificates().is_some());
}

#[test]
fn configuration_errors_are_found_before_connecting() {
    let own = self_signed("mail.example.org");
    for domain in [
        "",
        "mail example org",
        "mail.exämple.org",
        "[mail.example.org]",
        "1.2.3",
        "a\r\nb",
    ] {
        let built = trusting_only(&own.certificate).build().unwrap();
        assert!(
            matches!(built.for_domain(domain), Err(TlsError::InvalidDomain)),
            "{domain:?}"
        );
    }
    assert!(matches!(
        TlsParameters::builder("mail.example.org")
            .certificate_store(CertificateStore::None)
            .build(),
        Err(TlsError::NoRootCertificates)
    ));
    let stray_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let chain = rcgen::generate_simple_self_signed(["client.example.org".to_owned()]).unwrap();
    let mismatched = Identity::from_pem(chain.cert.pem().as_bytes(), stray_key.as_bytes()).unwrap();
    let error = trusting_only(&own.certificate)
        .identify_with(mismatched)
        .build()
        .unwrap_err();
    assert!(matches!(error, TlsError::InvalidIdentity(_)));
    // The reason is shown only once.
    assert!(error.source().is_none());
}

#[test]
fn a_provider_without_the_version_is_refused() {
    let mut provider = (*default_crypto_provider().unwrap()).clone();
    provider
        .cipher_suites
        .retain(|suite| suite.tls13().is_none());
    let error = TlsParameters::builder("mail.example.org")
        .dangerous_accept_invalid_certs(true)
        .min_tls_version(TlsVersion::Tls13)
        .crypto_provider(Arc::new(provider))
        .build()
        .unwrap_err();
    assert!(matches!(error, TlsError::UnusableCryptoProvider(_)));
}

#[test]
fn debug_shows_neither_key_nor_certificate() {
    let own = self_signed("mail.example.org");
    let builder = trusting_only(&own.certificate).identify_with(own.identity);
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(shown.contains("mail.example.org"));
    assert!(shown.len() < 600, "{shown}");
}

/// A server that presents `chain`, whatever the chain contains, over one TLS version.
fn showing(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ServerConfig> {
    let provider = default_crypto_provider().unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Impostor(Arc::new(CertifiedKey::new(chain, key)))));
    Arc::new(config)
}

/// The kind of certificate that `openssl req -x509` makes: self-signed, with `CA:TRUE`.
fn authority(name: &str, years: [i32; 2]) -> (Certificate, PrivateKeyDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.not_before = rcgen::date_time_ymd(years[0], 1, 1);
    parameters.not_after = rcgen::date_time_ymd(years[1], 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    let certificate = Certificate::from_der(certificate.der().to_vec()).unwrap();
    (certificate, key.serialize_der().try_into().unwrap())
}

fn version_1() -> (Certificate, PrivateKeyDer<'static>) {
    let pem = include_bytes!("version_1.pem");
    let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
    (Certificate::from_pem(pem).unwrap(), key)
}

#[test]
fn an_added_certificate_needs_no_issuer_and_no_purpose() {
    let valid = [2020, 2120];
    let stranger = authority("mail.example.org", valid);
    for (own, key) in [authority("mail.example.org", valid), version_1()] {
        for version in [&version::TLS12, &version::TLS13] {
            for store in [CertificateStore::None, CertificateStore::Default] {
                let builder = TlsParameters::builder("mail.example.org")
                    .certificate_store(store)
                    .add_root_certificate(own.clone());
                let parameters = builder.clone().build().unwrap();
                let server = showing(vec![own.der()], key.clone_key(), version);
                handshake(&parameters, &server).unwrap();
                // Accepted under another name only if names are not verified.
                let elsewhere = parameters.for_domain("mail.example.net").unwrap();
                let error = handshake(&elsewhere, &server).unwrap_err();
                assert!(error.to_string().contains("mail.example.org"), "{error}");
                let any_name = builder.dangerous_accept_invalid_hostnames(true);
                let any_name = any_name.build().unwrap();
                let elsewhere = any_name.for_domain("mail.example.net").unwrap();
                handshake(&elsewhere, &server).unwrap();
                // Another certificate, and the key of another.
                let (shown, strange_key) = &stranger;
                let server = showing(vec![shown.der()], strange_key.clone_key(), version);
                assert!(handshake(&parameters, &server).is_err());
                let server = showing(vec![own.der()], strange_key.clone_key(), version);
                assert!(handshake(&parameters, &server).is_err());
            }
        }
    }
}

#[test]
fn the_dates_of_an_added_certificate_are_checked() {
    for (years, expected) in [([2000, 2010], "expired"), ([2110, 2120], "not valid yet")] {
        let (own, key) = authority("mail.example.org", years);
        let parameters = trusting_only(&own).build().unwrap();
        let server = showing(vec![own.der()], key, &version::TLS13);
        let error = handshake(&parameters, &server).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn an_added_server_certificate_vouches_for_nobody_else() {
    let key = rcgen::KeyPair::generate().unwrap();
    let host = rcgen::CertificateParams::new(["mail.example.org".to_owned()]).unwrap();
    let added = host.self_signed(&key).unwrap();
    let added = Certificate::from_der(added.der().to_vec()).unwrap();
    let issuer = rcgen::Issuer::new(host, key);
    let other_key = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::CertificateParams::new(["bank.example".to_owned()]).unwrap();
    let other = other.signed_by(&other_key, &issuer).unwrap();
    for store in [CertificateStore::None, CertificateStore::Default] {
        let parameters = TlsParameters::builder("bank.example")
            .certificate_store(store)
            .add_root_certificate(added.clone())
            .build()
            .unwrap();
        let key = other_key.serialize_der().try_into().unwrap();
        let chain = vec![other.der().clone(), added.der().clone()];
        let server = showing(chain, key, &version::TLS13);
        assert!(handshake(&parameters, &server).is_err(), "{store:?}");
    }
}

#[test]
fn chains_that_prove_nothing_are_refused() {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
        NameConstraints,
    };
    type Change = fn(&mut CertificateParams);
    const NO_CHANGE: Change = |_| {};
    const EXPIRED: Change = |middle| middle.not_after = rcgen::date_time_ymd(2001, 1, 1);
    const NO_AUTHORITY: Change = |middle| middle.is_ca = IsCa::NoCa;
    const FOR_OTHERS: Change = |middle| {
        let other = vec![GeneralSubtree::DnsName("example.net".to_owned())];
        middle.name_constraints = Some(NameConstraints {
            permitted_subtrees: other,
            excluded_subtrees: vec![],
        });
    };
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let trusted = root.self_signed(&root_key).unwrap().der().to_vec();
    let trusted = Certificate::from_der(trusted).unwrap();
    let root = Issuer::new(root, root_key);
    let name = "mail.example.org";
    for (flaw, of_leaf, of_middle, shows_middle, is_accepted) in [
        ("none", Some(name), NO_CHANGE, true, true),
        ("a wildcard", Some("*.example.org"), NO_CHANGE, true, true),
        (
            "a wildcard for two labels",
            Some("*.org"),
            NO_CHANGE,
            true,
            false,
        ),
        (
            "a wildcard in a label",
            Some("m*.example.org"),
            NO_CHANGE,
            true,
            false,
        ),
        ("a common name only", None, NO_CHANGE, true, false),
        (
            "an address as a name",
            Some("192.0.2.1"),
            NO_CHANGE,
            true,
            false,
        ),
        ("no intermediate", Some(name), NO_CHANGE, false, false),
        (
            "an intermediate that is no authority",
            Some(name),
            NO_AUTHORITY,
            true,
            false,
        ),
        (
            "beyond the name constraints",
            Some(name),
            FOR_OTHERS,
            true,
            false,
        ),
        ("an expired intermediate", Some(name), EXPIRED, true, false),
    ] {
        let mut middle = CertificateParams::default();
        middle.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        middle.distinguished_name.push(DnType::CommonName, "middle");
        of_middle(&mut middle);
        let middle_key = KeyPair::generate().unwrap();
        let shown_middle = middle.signed_by(&middle_key, &root).unwrap().der().clone();
        let middle = Issuer::new(middle, middle_key);
        let names: Vec<String> = of_leaf.map(str::to_owned).into_iter().collect();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let mut chain = vec![leaf.signed_by(&key, &middle).unwrap().der().clone()];
        chain.extend(shows_middle.then_some(shown_middle));
        let key = key.serialize_der().try_into().unwrap();
        let server = showing(chain, key, &version::TLS13);
        let parameters = trusting_only(&trusted).build().unwrap();
        let is_ok = handshake(&parameters, &server).is_ok();
        assert_eq!(is_ok, is_accepted, "{flaw}");
    }
}

#[test]
fn another_domain_is_verified_like_the_first() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let root = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    for accepts_invalid in [false, true] {
        let first = TlsParameters::builder("a.example")
            .certificate_store(CertificateStore::None)
            .add_root_certificate(root.clone())
            .dangerous_accept_invalid_certs(accepts_invalid)
            .build()
            .unwrap();
        let other = first.for_domain("b.example").unwrap();
        assert_eq!(first.verifies(), !accepts_invalid);
        assert_eq!(other.verifies(), !accepts_invalid);
    }
}
