use std::path::Path;

use super::*;
use std::net::IpAddr;

use postwire_tls::{Certificate, CertificateStore, TlsError};

use crate::UrlError;

type Builder = TransportBuilder<TransportConfig>;

fn root() -> Certificate {
    let generated = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    Certificate::from_pem(generated.cert.pem().as_bytes()).unwrap()
}

fn rooted(builder: Builder) -> TransportConfig {
    builder
        .tls_parameters(|tls| tls.add_root_certificate(root()))
        .build()
        .unwrap()
}

#[test]
fn hosts_ports_and_modes() {
    let host = "mail.example.org";
    for (config, security, port) in [
        (
            rooted(Builder::relay(host).unwrap()),
            Security::Wrapper,
            465,
        ),
        (
            rooted(Builder::starttls_relay(host).unwrap()),
            Security::Required,
            587,
        ),
        (rooted(Builder::builder_dangerous(host)), Security::None, 25),
        (
            rooted(Builder::from_url("smtp://mail.example.org").unwrap()),
            Security::Required,
            587,
        ),
        (
            rooted(Builder::from_url("smtps://mail.example.org:1").unwrap()),
            Security::Wrapper,
            1,
        ),
        (
            rooted(Builder::from_url("smtp://mail.example.org?tls=opportunistic").unwrap()),
            Security::Opportunistic,
            25,
        ),
        (
            rooted(Builder::builder_dangerous(host).security(Security::Required)),
            Security::Required,
            587,
        ),
        (
            rooted(Builder::relay(host).unwrap().port(2465)),
            Security::Wrapper,
            2465,
        ),
        (
            rooted(Builder::relay(host).unwrap().protocol(Protocol::Lmtp)),
            Security::Wrapper,
            24,
        ),
    ] {
        assert_eq!(config.host(), host);
        assert_eq!(config.tls().security(), security);
        assert_eq!(config.client_config().security, security);
        assert_eq!(config.port(), port);
        let domain = config.tls().parameters().map(TlsParameters::domain);
        assert_eq!(domain, (security != Security::None).then_some(host));
    }
    let local = Builder::unencrypted_localhost().build().unwrap();
    assert_eq!((local.host(), local.port()), ("localhost", 25));
}

#[test]
fn a_unix_socket_takes_the_place_of_host_and_port() {
    let lmtp = Builder::from_url("lmtp+unix:///run/lmtp").unwrap();
    let built = Builder::unencrypted_localhost()
        .unix_socket("/run/lmtp")
        .protocol(Protocol::Lmtp);
    for config in [lmtp.build().unwrap(), built.build().unwrap()] {
        assert_eq!(config.unix_socket(), Some(Path::new("/run/lmtp")));
        assert_eq!((config.host(), config.port()), ("localhost", 24));
        assert_eq!(config.tls().security(), Security::None);
    }
    let config = Builder::unencrypted_localhost().build().unwrap();
    assert_eq!(config.unix_socket(), None);
}

#[test]
fn given_addresses_are_not_resolved() {
    let given = [
        "192.0.2.1:25".parse().unwrap(),
        "[2001:db8::1]:25".parse().unwrap(),
    ];
    let builder = Builder::builder_dangerous("mail.example.org");
    assert_eq!(builder.clone().build().unwrap().addresses(), None);
    let config = builder.addresses(given).build().unwrap();
    assert_eq!(config.addresses(), Some(&given[..]));
}

#[test]
fn a_source_of_credentials_shows_only_its_name() {
    let credentials = || Ok::<_, std::io::Error>(Credentials::new("alice", "hunter2"));
    let source = CredentialsSource::new(move |_| credentials());
    assert_eq!(format!("{source:?}"), "CredentialsSource");
    let builder = || Builder::builder_dangerous("mail.example.org");
    assert!(builder().build().unwrap().late_credentials().is_none());
    let config = builder().late_credentials(source).build().unwrap();
    assert!(config.late_credentials().is_some());
}

#[test]
fn socket_options_are_kept() {
    let idle = std::time::Duration::from_secs(30);
    let local = "192.0.2.7".parse().unwrap();
    let builder = Builder::builder_dangerous("mail.example.org");
    let config = builder
        .socket(|socket| socket.local_address(Some(local)).keep_alive(Some(idle)))
        .build()
        .unwrap();
    let socket = config.socket_options();
    assert_eq!(socket.local_address, Some(local));
    assert_eq!(socket.keep_alive, Some(idle));
}

#[test]
fn an_address_loses_its_brackets() {
    let config = Builder::builder_dangerous("[::1]").build().unwrap();
    assert_eq!(config.host(), "::1");
}

#[test]
fn finished_parameters_replace_and_take_nothing_more() {
    let parameters = TlsParameters::builder("mail.example.org")
        .certificate_store(CertificateStore::None)
        .add_root_certificate(root())
        .build()
        .unwrap();
    let finished = || Builder::builder_dangerous("192.0.2.1").tls(Tls::Wrapper(parameters.clone()));
    let config = finished().build().unwrap();
    assert_eq!((config.host(), config.port()), ("192.0.2.1", 465));
    for confused in [
        finished().tls_parameters(|tls| tls.add_root_certificate(root())),
        Builder::relay("192.0.2.1")
            .unwrap()
            .tls_parameters(|tls| tls.add_root_certificate(root()))
            .tls(Tls::Required(parameters.clone())),
    ] {
        assert!(matches!(
            confused.build(),
            Err(ConfigError::TlsAlreadyFinished)
        ));
    }
    assert!(
        finished()
            .tls(Tls::None)
            .tls_parameters(|tls| tls.add_root_certificate(root()))
            .build()
            .is_ok()
    );
}

#[test]
fn what_a_url_says_can_be_overruled() {
    let url = "smtp://alice:hunter2@mail.example.org/client.example?tls=none";
    let config = Builder::from_url(url)
        .unwrap()
        .hello_name(HelloName::localhost())
        .timeout(Some(Duration::from_secs(7)))
        .timeouts(Timeouts::default())
        .socket(|socket| socket.local_address(Some(IpAddr::from([127, 0, 0, 1]))))
        .build()
        .unwrap();
    assert_eq!(config.timeouts().connect, Duration::from_secs(7));
    let local = config.socket_options().local_address;
    assert_eq!(local, Some(IpAddr::from([127, 0, 0, 1])));
    let shown = format!("{config:?}");
    assert!(shown.contains("[127.0.0.1]") && !shown.contains("client.example"));
    assert!(!shown.contains("hunter2") && !shown.contains("alice"));
    let shown = format!("{:?}", Builder::from_url(url).unwrap().clone());
    assert!(shown.contains("client.example"));
    assert!(!shown.contains("hunter2") && !shown.contains("alice"));
}

#[test]
fn what_cannot_be_built() {
    assert!(matches!(
        Builder::relay("a b"),
        Err(ConfigError::InvalidHost)
    ));
    assert!(matches!(
        Builder::starttls_relay(""),
        Err(ConfigError::InvalidHost)
    ));
    assert!(matches!(
        Builder::from_url("smtp://h?tls=maybe"),
        Err(ConfigError::Url(UrlError::UnknownTlsMode))
    ));
    assert!(matches!(
        Builder::builder_dangerous("a\r\nb").build(),
        Err(ConfigError::InvalidHost)
    ));
    assert!(matches!(
        Builder::unencrypted_localhost().port(0).build(),
        Err(ConfigError::InvalidPort)
    ));
    assert!(matches!(
        Builder::relay("h")
            .unwrap()
            .tls_parameters(|parameters| parameters.certificate_store(CertificateStore::None))
            .build(),
        Err(ConfigError::Tls(TlsError::NoRootCertificates))
    ));
}
