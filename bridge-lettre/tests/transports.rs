//! The transports of this crate: the constructors, both runtimes, TLS, and the report behind an
//! error.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::error::Error as _;

use postwire_lettre::postwire::proto::{RecipientStatus, Retry};
use postwire_lettre::transport::smtp::client::{Tls, TlsParameters};
use postwire_lettre::transport::smtp::extension::ClientId;
use postwire_lettre::{Message, SmtpTransport, Transport};
use postwire_scenarios::certificates::{Authority, Flaw};
use postwire_scenarios::server::{Embedded, PASSWORD, USER, config_with_all_extensions};

fn message(to: &[&str]) -> Message {
    let mut builder = Message::builder()
        .from("Alice <alice@example.org>".parse().unwrap())
        .subject("moved");
    for to in to {
        builder = builder.to(to.parse().unwrap());
    }
    builder.body("Hello, Bob.".to_owned()).unwrap()
}

fn server() -> Embedded {
    Embedded::start(
        config_with_all_extensions(),
        postwire_scenarios::plaintext(),
    )
}

fn url(server: &Embedded) -> String {
    format!("smtp://127.0.0.1:{}?tls=none", server.port())
}

#[test]
fn a_message_arrives_over_each_runtime() {
    let server = server();
    let message = message(&["Bob <bob@example.net>"]);
    let mailer = SmtpTransport::from_url(&url(&server)).unwrap().build();
    let response = mailer.send(&message).unwrap();
    assert!(response.is_positive() && response.has_code(250));
    #[cfg(feature = "tokio1")]
    {
        use postwire_lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url(&server)).unwrap();
            let mailer: AsyncSmtpTransport<Tokio1Executor> = builder.build();
            assert!(mailer.test_connection().await.unwrap());
            let response = mailer.send(message.clone()).await.unwrap();
            assert!(response.is_positive());
            mailer.shutdown().await;
            let error = mailer.send(message.clone()).await.unwrap_err();
            assert!(error.is_transport_shutdown());
        });
    }
    #[cfg(feature = "async-std1")]
    {
        use postwire_lettre::{AsyncSmtpTransport, AsyncStd1Executor, AsyncTransport};
        let sent = async {
            let builder = AsyncSmtpTransport::<AsyncStd1Executor>::from_url(&url(&server)).unwrap();
            let mailer: AsyncSmtpTransport<AsyncStd1Executor> = builder.build();
            let response = mailer.send(message.clone()).await.unwrap();
            mailer.shutdown().await;
            response
        };
        assert!(async_std::task::block_on(sent).is_positive());
    }
    let stored = server.recording().stored;
    let runtimes = [true, cfg!(feature = "tokio1"), cfg!(feature = "async-std1")];
    assert_eq!(stored.len(), runtimes.iter().filter(|has| **has).count());
    assert!(
        stored
            .iter()
            .all(|stored| stored.content == message.formatted())
    );
}

#[test]
fn a_message_goes_to_all_or_none() {
    let server = server();
    let message = message(&["Bob <bob@example.net>", "Nobody <no@example.net>"]);
    let mailer = SmtpTransport::from_url(&url(&server)).unwrap().build();
    let error = mailer.send(&message).unwrap_err();
    assert!(error.to_string().contains("550"), "{error}");
    assert!(server.recording().stored.is_empty());
    // What lettre does not know.
    let report = error.report().unwrap();
    assert_eq!(report.recipients()[1].status(), RecipientStatus::Refused);
    assert!(matches!(report.retry(), Retry::Never | Retry::AtOnce(_)));
}

#[test]
fn a_transport_of_postwire_gets_the_trait_of_lettre() {
    let server = server();
    let transport = postwire_lettre::postwire::Transport::from_url(url(&server)).unwrap();
    let mailer = SmtpTransport::from(transport.build().unwrap());
    let message = message(&["Bob <bob@example.net>"]);
    assert!(mailer.send(&message).unwrap().is_positive());
    assert_eq!(mailer.postwire().unwrap().counters().opened, 1);
}

#[test]
fn tls_with_a_private_authority_and_a_login() {
    let authority = Authority::new();
    let parameters = authority.server(Flaw::None);
    let tls = postwire_lettre::postwire::tls::ServerTls::Wrapper(parameters);
    let server = Embedded::start(config_with_all_extensions(), tls);
    let trusting = TlsParameters::builder("localhost".to_owned())
        .add_root_certificate(authority.certificate())
        .build()
        .unwrap();
    let relay = || {
        let builder = SmtpTransport::relay("localhost").unwrap();
        builder
            .port(server.port())
            .credentials((USER, PASSWORD).into())
    };
    let mailer = relay().tls(Tls::Wrapper(trusting)).build();
    assert!(mailer.test_connection().unwrap());
    let message = message(&["Bob <bob@example.net>"]);
    assert!(mailer.send(&message).unwrap().is_positive());

    let error = relay().build().send(&message).unwrap_err();
    assert!(error.is_tls() && !error.is_client(), "{error:?}");
    assert!(error.status().is_none());
}

#[test]
fn a_url_names_port_and_mode() {
    for (url, port, mode) in [
        ("smtps://mail.example.org", 465, "wrapper"),
        ("smtp://mail.example.org", 587, "required"),
        ("smtp://mail.example.org?tls=required", 587, "required"),
        (
            "smtp://mail.example.org?tls=opportunistic",
            587,
            "opportunistic",
        ),
        (
            "smtp://mail.example.org:26?tls=opportunistic",
            26,
            "opportunistic",
        ),
        ("smtp://mail.example.org?tls=none", 25, "none"),
    ] {
        let mailer = SmtpTransport::from_url(url).unwrap().build();
        let config = mailer.postwire().unwrap().config();
        assert_eq!(config.port(), port, "{url}");
        assert_eq!(config.tls().security().to_string(), mode, "{url}");
    }
    let error = SmtpTransport::from_url("smtp://mail.example.org?tls=maybe").unwrap_err();
    assert!(!error.is_client() && error.report().is_none());
    assert!(SmtpTransport::from_url("smtps://alice@mail.example.org").is_err());
}

#[test]
fn an_invalid_configuration_is_the_error_of_each_send() {
    let message = message(&["Bob <bob@example.net>"]);
    for builder in [
        SmtpTransport::builder_dangerous("not a host"),
        SmtpTransport::builder_dangerous("localhost").port(0),
        SmtpTransport::builder_dangerous("localhost")
            .hello_name(ClientId::Domain("not a name".to_owned())),
    ] {
        let early = builder.clone().try_build().unwrap_err();
        let mailer = builder.build();
        let error = mailer.send(&message).unwrap_err();
        assert_eq!(early.to_string(), error.to_string());
        assert!(!error.is_transient() && !error.is_timeout());
        assert!(mailer.test_connection().is_err() && mailer.postwire().is_err());
        assert!(error.source().is_none());
        mailer.shutdown();
    }
}
