//! Each common failure of TLS names its cause, however the octets are cut.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(all(feature = "server", any(feature = "aws-lc-rs", feature = "ring")))]

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use postwire_tls::proto::{
    ClientConfig, Credentials, Endpoint, Error, ErrorKind, Event, HelloName, Instant, Security,
    Stage, Violation,
};
use postwire_tls::server::ServerConfig;
use postwire_tls::{
    Certificate, CertificateStore, Connection, Identity, ServerConnection, ServerTls,
    ServerTlsParameters, Tls, TlsFailure, TlsFailureKind, TlsParameters, TlsParametersBuilder,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

fn client(parameters: TlsParametersBuilder) -> Connection {
    let config = ClientConfig::new(HelloName::localhost(), Security::Wrapper);
    let tls = Tls::Wrapper(parameters.build().unwrap());
    Connection::new(&Arc::new(config), &tls)
}

fn anyone() -> TlsParametersBuilder {
    TlsParameters::builder("localhost").dangerous_accept_invalid_certs(true)
}

fn end(client: &mut Connection) -> Option<Error> {
    std::iter::from_fn(|| client.poll_event()).find_map(|event| match event {
        Event::Closed(error) => error,
        _ => None,
    })
}

fn failure(error: &Error) -> &TlsFailure {
    let ErrorKind::Tls(cause) = error.kind() else {
        panic!("{error}");
    };
    cause.downcast_ref().unwrap()
}

#[test]
fn a_server_that_speaks_plaintext_is_quoted() {
    let line = "220 mx.example.org ESMTP\r\n";
    let long = "x".repeat(300);
    for (said, quote) in [
        (line, "220 mx.example.org ESMTP"),
        ("220-mx\r\n220 mx\r\n", "220-mx"),
        ("500 \u{1b}[2J\u{202e}\r\n", r"500 \x1b[2J\xe2\x80\xae"),
        (&long, &long[..100]),
    ] {
        for cut in [1, 3, said.len()] {
            let mut client = client(anyone());
            for piece in said.as_bytes().chunks(cut) {
                client.handle_input(Instant::EPOCH, piece);
            }
            let error = end(&mut client).unwrap();
            let plaintext = TlsFailureKind::Plaintext(quote.to_owned());
            assert_eq!(*failure(&error).kind(), plaintext, "{cut}");
            let hint = if quote.starts_with("220") {
                ", where TLS can only begin with STARTTLS"
            } else {
                ""
            };
            let text = format!("tls: the server speaks plaintext on this port{hint}: {quote}");
            assert_eq!(error.to_string(), text);
        }
    }
}

#[test]
fn of_a_client_that_speaks_plaintext_only_the_command_is_quoted() {
    let (parameters, _) = certificate("localhost", [2020, 2100]);
    let config = Arc::new(ServerConfig::new(HelloName::localhost()));
    let mut server = ServerConnection::new(&config, &ServerTls::Wrapper(parameters));
    server.handle_input(Instant::EPOCH, b"AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n");
    let events: Vec<_> = std::iter::from_fn(|| server.poll_event()).collect();
    let shown = format!("{events:?}");
    assert!(shown.contains("AUTH"), "{shown}");
    assert!(
        !shown.contains("PLAIN") && !shown.contains("AGJv"),
        "{shown}"
    );
}

#[test]
fn an_endless_plaintext_line_is_not_awaited() {
    for ends in [Instant::EPOCH, Instant::from_epoch(Duration::from_secs(5))] {
        let mut client = client(anyone());
        client.handle_input(Instant::EPOCH, b"220 mx");
        assert!(!client.is_closed());
        if ends == Instant::EPOCH {
            client.handle_eof(ends);
        } else {
            assert!(client.poll_timeout().unwrap() <= ends);
            client.handle_timeout(ends);
        }
        let error = end(&mut client).unwrap();
        let plaintext = TlsFailureKind::Plaintext("220 mx".to_owned());
        assert_eq!(*failure(&error).kind(), plaintext);
    }
}

/// After STARTTLS the plaintext is found by the client or by the TLS layer around it.
#[test]
fn plaintext_after_starttls_is_quoted_however_it_is_cut() {
    let tls = Tls::Required(anyone().build().unwrap());
    let line = "250 injected\r\n";
    let long = "x".repeat(300);
    for (said, quote) in [(line, "250 injected"), (&long, &long[..100])] {
        for (same_segment, cut) in [(true, 1), (true, 400), (false, 1), (false, 400)] {
            let config = ClientConfig::new(HelloName::localhost(), Security::Required);
            let mut client = Connection::new(&Arc::new(config), &tls);
            let mut receive = |text: &str, cut: usize| {
                for piece in text.as_bytes().chunks(cut) {
                    client.handle_input(Instant::EPOCH, piece);
                    let mut output = client.output();
                    output.advance(output.remaining());
                }
            };
            receive("220 mx\r\n", cut);
            receive("250-mx\r\n250 STARTTLS\r\n", cut);
            if same_segment {
                receive(&format!("220 go\r\n{said}"), cut);
            } else {
                receive("220 go\r\n", cut);
                receive(said, cut);
            }
            let error = end(&mut client).unwrap();
            let injection = ErrorKind::Violation(Violation::StartTlsInjection);
            assert_eq!(format!("{:?}", error.kind()), format!("{injection:?}"));
            assert_eq!(
                (error.stage(), error.quote()),
                (Stage::StartTls, Some(quote))
            );
        }
    }
}

#[test]
fn each_setting_that_cannot_be_used_is_described() {
    let name = || vec!["mail.example.org".to_owned()];
    let made = rcgen::generate_simple_self_signed(name()).unwrap();
    let other = rcgen::generate_simple_self_signed(name()).unwrap();
    let (chain, key) = (made.cert.pem(), other.signing_key.serialize_pem());
    let identity =
        |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).map(|_| ());
    let trusting = |store| {
        let parameters = TlsParameters::builder("mail.example.org").certificate_store(store);
        parameters.build().map(|_| ())
    };
    let pem = |text: &str| Certificate::from_pem(text.as_bytes()).map(|_| ());
    for (refused, description) in [
        (
            TlsParameters::builder("two words").build().map(|_| ()),
            "the server's name is neither a DNS name in ASCII nor an IP address",
        ),
        (
            trusting(CertificateStore::None),
            "no certificate store and no root certificate: no server could be trusted",
        ),
        (pem("hello"), "the PEM text contains no certificate"),
        (
            pem(&format!("{chain}{chain}")),
            "the PEM text contains several certificates where one was expected",
        ),
        (
            pem("-----BEGIN CERTIFICATE-----\n!\n"),
            "the text is not valid PEM: ",
        ),
        (
            Certificate::from_der(vec![0x30, 0]).map(|_| ()),
            "the certificate cannot be used: ",
        ),
        (identity("", &key), "the PEM text contains no certificate"),
        (identity(&chain, ""), "the PEM text contains no private key"),
        (
            ServerTlsParameters::from_pem(chain.as_bytes(), key.as_bytes()).map(|_| ()),
            "the certificate chain and the private key cannot be used together: ",
        ),
    ] {
        let said = refused.unwrap_err().to_string();
        assert!(said.starts_with(description), "{said}");
        assert!(!description.ends_with(": ") || said.len() > description.len());
    }
}

/// A server's certificate, and the root that makes it trusted.
fn certificate(name: &str, years: [i32; 2]) -> (ServerTlsParameters, Certificate) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(years[0], 1, 1);
    parameters.not_after = date_time_ymd(years[1], 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    let (chain, key) = (certificate.pem(), key.serialize_pem());
    let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let server = ServerTlsParameters::new(identity).unwrap();
    (server, Certificate::from_pem(chain.as_bytes()).unwrap())
}

fn exchange(from: &mut impl Endpoint, to: &mut impl Endpoint) -> bool {
    let mut output = from.output();
    let octets = output.copy_to_bytes(output.remaining());
    drop(output);
    to.handle_input(Instant::EPOCH, &octets);
    !octets.is_empty()
}

fn handshake(server: ServerTlsParameters, parameters: TlsParametersBuilder) -> String {
    let mut client = client(parameters);
    let config = Arc::new(ServerConfig::new(HelloName::localhost()));
    let mut server = ServerConnection::new(&config, &ServerTls::Wrapper(server));
    while exchange(&mut client, &mut server) | exchange(&mut server, &mut client) {}
    let error = end(&mut client).unwrap();
    failure(&error).to_string()
}

#[test]
fn certificate_errors_name_their_cause() {
    let good = [2020, 2100];
    let (_, stranger) = certificate("localhost", good);
    let trusting = |root: Certificate| {
        TlsParameters::builder("localhost")
            .certificate_store(CertificateStore::None)
            .add_root_certificate(root)
    };
    let (server, _) = certificate("localhost", good);
    assert_eq!(
        handshake(server, trusting(stranger)),
        "the server's certificate is not signed by a trusted authority; to trust a private authority, add its certificate as a root"
    );
    let (server, _) = certificate("localhost", good);
    let key = KeyPair::generate().unwrap();
    let mut other = CertificateParams::new([]).unwrap();
    other.distinguished_name.push(DnType::CommonName, "another");
    let other = Certificate::from_der(other.self_signed(&key).unwrap().der().to_vec()).unwrap();
    assert_eq!(
        handshake(server, trusting(other)),
        "the server's certificate is not signed by a trusted authority; to trust a private authority, add its certificate as a root"
    );
    let (server, root) = certificate("mail.example.org", good);
    assert_eq!(
        handshake(server, trusting(root)),
        "the server's certificate is for mail.example.org, not for localhost"
    );
    let (server, root) = certificate("localhost", [2000, 2010]);
    let text = handshake(server, trusting(root));
    let start = "the server's certificate expired on 2010-01-01, and this machine's clock says 20";
    assert!(text.starts_with(start), "{text}");
    let (server, root) = certificate("localhost", [2090, 2100]);
    let text = handshake(server, trusting(root));
    let start = "the server's certificate is valid from 2090-01-01, and this machine's clock";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn a_self_signed_certificate_of_a_trusted_name_has_an_unknown_issuer() {
    let make = |algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "localhost");
        (parameters.self_signed(&key).unwrap().pem(), key)
    };
    for algorithms in [
        [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
        ],
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519],
        [&rcgen::PKCS_ECDSA_P256_SHA256; 2],
    ] {
        let [(shown, key), (root, _)] = algorithms.map(make);
        let identity = Identity::from_pem(shown.as_bytes(), key.serialize_pem().as_bytes());
        let server = ServerTlsParameters::new(identity.unwrap()).unwrap();
        let client = TlsParameters::builder("localhost")
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(root.as_bytes()).unwrap());
        let said = "the server's certificate is not signed by a trusted authority; to trust a private authority, add its certificate as a root";
        assert_eq!(handshake(server, client), said);
    }
}

#[test]
fn the_certificate_of_an_untrusted_authority_is_not_trusted() {
    let authority = |name: &str| {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters
    };
    let key = KeyPair::generate().unwrap();
    let self_signed = authority("self").self_signed(&key).unwrap();
    let upper_key = KeyPair::generate().unwrap();
    let upper = Issuer::new(authority("upper"), upper_key);
    let lower = authority("lower").signed_by(&key, &upper).unwrap();
    let stores = [
        cfg!(feature = "platform-verifier").then_some(CertificateStore::Platform),
        Some(CertificateStore::None),
    ];
    for (shown, reason) in [
        (self_signed.pem(), "it is self-signed"),
        (lower.pem(), "it belongs to an authority, not to a server"),
    ] {
        for store in stores.into_iter().flatten() {
            let (_, root) = certificate("another.example", [2020, 2100]);
            let client = TlsParameters::builder("localhost")
                .certificate_store(store)
                .add_root_certificate(root);
            let identity = Identity::from_pem(shown.as_bytes(), key.serialize_pem().as_bytes());
            let server = ServerTlsParameters::new(identity.unwrap()).unwrap();
            let text = handshake(server, client);
            let start = format!("the server's certificate is not trusted: {reason}; ");
            assert!(text.starts_with(&start), "{store:?}: {text}");
        }
    }
}

#[test]
fn a_client_certificate_is_rejected_by_every_verifier() {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let shown = parameters.self_signed(&key).unwrap().pem();
    let stores = [
        cfg!(feature = "platform-verifier").then_some(CertificateStore::Platform),
        Some(CertificateStore::None),
    ];
    for store in stores.into_iter().flatten() {
        let (_, root) = certificate("another.example", [2020, 2100]);
        let client = TlsParameters::builder("localhost")
            .certificate_store(store)
            .add_root_certificate(root);
        let identity = Identity::from_pem(shown.as_bytes(), key.serialize_pem().as_bytes());
        let server = ServerTlsParameters::new(identity.unwrap()).unwrap();
        let text = handshake(server, client);
        let start = "the server's certificate is not for servers: its extended key usage";
        assert!(text.starts_with(start), "{store:?}: {text}");
    }
}

#[test]
fn plaintext_that_repeats_the_password_is_not_quoted() {
    let config = ClientConfig::new(HelloName::localhost(), Security::Wrapper)
        .credentials(Credentials::new("alice", "correct horse"));
    let tls = Tls::Wrapper(anyone().build().unwrap());
    let mut client = Connection::new(&Arc::new(config), &tls);
    let said = b"220 correct horse, Y29ycmVjdCBob3JzZQ==\r\n";
    client.handle_input(Instant::EPOCH, said);
    let error = end(&mut client).unwrap();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("<redacted>"), "{shown}");
    assert!(
        !shown.contains("correct horse") && !shown.contains("Y29ycm"),
        "{shown}"
    );
}

#[test]
fn a_connection_that_is_cut_is_not_one_that_is_closed() {
    let (server, root) = certificate("localhost", [2020, 2100]);
    for says_goodbye in [false, true] {
        let parameters = TlsParameters::builder("localhost")
            .certificate_store(CertificateStore::None)
            .add_root_certificate(root.clone());
        let mut client = client(parameters);
        let config = Arc::new(ServerConfig::new(HelloName::localhost()));
        let mut server = ServerConnection::new(&config, &ServerTls::Wrapper(server.clone()));
        while exchange(&mut client, &mut server) | exchange(&mut server, &mut client) {}
        assert!(client.is_ready() && client.is_idle());
        if says_goodbye {
            // It ends the session, with the end of TLS.
            server.handle_eof(Instant::EPOCH);
            exchange(&mut server, &mut client);
        }
        client.handle_eof(Instant::EPOCH);
        let error = end(&mut client).unwrap();
        let is_truncated = matches!(
            error.kind(),
            ErrorKind::Transport(cause) if cause.is::<postwire_tls::Truncated>()
        );
        assert_eq!(is_truncated, !says_goodbye, "{error}");
        let words = "closed before the end of its TLS session (close_notify)";
        assert_eq!(error.to_string().contains(words), is_truncated, "{error}");
    }
}

#[test]
fn a_handshake_that_drips_does_not_move_its_deadline() {
    let (server, root) = certificate("localhost", [2020, 2100]);
    let parameters = TlsParameters::builder("localhost")
        .certificate_store(CertificateStore::None)
        .add_root_certificate(root);
    let mut client = client(parameters);
    let config = Arc::new(ServerConfig::new(HelloName::localhost()));
    let mut server = ServerConnection::new(&config, &ServerTls::Wrapper(server));
    client.handle_timeout(Instant::EPOCH);
    exchange(&mut client, &mut server);
    client.handle_timeout(Instant::EPOCH);
    let due = client.poll_timeout().unwrap();
    let flight = server.output().copy_to_bytes(100);
    for (minute, octet) in flight.chunks(1).enumerate().take(3) {
        let now = Instant::from_epoch(Duration::from_secs(10 * minute as u64));
        client.handle_input(now, octet);
        assert_eq!(client.poll_timeout(), Some(due));
    }
    client.handle_timeout(due);
    let error = end(&mut client).unwrap();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
}
