//! The server, over blocking, smol and tokio clients.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use postwire_blocking::transport::{TransportBuilder, TransportConfig};
use postwire_testing::proto::{
    Body, Credentials, Envelope, Error, ErrorKind, Outcome, Pipelining, RecipientReport,
    RecipientStatus, Report, SendError, Stage, TransactionId,
};
use postwire_testing::{AsyncMailer, Mailer, TestServer, TestServerBuilder, Trigger, Trigger::*};

const MESSAGE: &str = "Subject: hello\r\n\r\nHello, Bob.\r\n";

fn envelope(recipients: &[&str]) -> Envelope {
    let sender = Some("alice@example.org".parse().unwrap());
    let recipients = recipients.iter().map(|text| text.parse().unwrap());
    Envelope::new(sender, recipients.collect()).unwrap()
}

fn to_bob() -> Envelope {
    envelope(&["bob@example.net"])
}

type Send = dyn Fn(&Envelope) -> Result<Report, SendError>;

/// A transport of each runtime.
struct Client {
    name: &'static str,
    send: Box<Send>,
    test: Box<dyn Fn() -> Result<(), Error>>,
}

/// A transport of each runtime for this server, with the same settings. The traits send, so that
/// they are tested too.
fn clients(server: &TestServer, set: impl Fn(Settings) -> Settings) -> Vec<Client> {
    let config = set(server.transport()).build().unwrap();
    let blocking = postwire_blocking::Transport::from(config.clone());
    let smol = postwire_smol::Transport::from(config.clone());
    let tokio = postwire_tokio::Transport::from(config);
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap()
    };
    let body = || Body::from(MESSAGE);
    let of_tokio = runtime();
    let (blocking_, smol_, tokio_) = (blocking.clone(), smol.clone(), tokio.clone());
    vec![
        Client {
            name: "blocking",
            send: Box::new(move |envelope| Mailer::send(&blocking, envelope, body())),
            test: Box::new(move || blocking_.test_connection()),
        },
        Client {
            name: "smol",
            send: Box::new(move |envelope| {
                smol::block_on(AsyncMailer::send(&smol, envelope, body()))
            }),
            test: Box::new(move || smol::block_on(smol_.test_connection())),
        },
        Client {
            name: "tokio",
            send: Box::new(move |envelope| {
                of_tokio.block_on(AsyncMailer::send(&tokio, envelope, body()))
            }),
            test: Box::new(move || runtime().block_on(tokio_.test_connection())),
        },
    ]
}

type Settings = TransportBuilder<TransportConfig>;

fn as_given(settings: Settings) -> Settings {
    settings
}

fn login(user: &'static str, password: &'static str) -> impl Fn(Settings) -> Settings {
    move |builder| builder.credentials(Credentials::new(user, password))
}

fn modes() -> [TestServerBuilder; 3] {
    [
        TestServer::builder(),
        TestServer::builder().starttls(),
        TestServer::builder().wrapper(),
    ]
}

#[test]
fn every_mode_and_runtime_delivers() {
    for (builder, scheme) in modes().into_iter().zip(["smtp", "smtp", "smtps"]) {
        let server = builder.start();
        assert!(server.url().starts_with(&format!("{scheme}://127.0.0.1:")));
        for (number, client) in clients(&server, as_given).iter().enumerate() {
            let report = (client.send)(&to_bob()).unwrap();
            assert!(report.is_accepted(), "{}", client.name);
            let messages = server.messages();
            assert_eq!(messages.len(), number + 1, "{}", client.name);
            let message = &messages[number];
            assert_eq!(message.text(), MESSAGE);
            assert_eq!(message.content, MESSAGE);
            let sender = message.reverse_path.as_ref().unwrap();
            assert_eq!(sender.to_string(), "alice@example.org");
            assert_eq!(message.recipients, to_bob().forward_paths());
            assert_eq!(message.parameters.recipients, [Vec::<String>::new()]);
            assert_eq!(message.tls.is_some(), !server.url().contains("tls=none"));
            assert_eq!(message.authenticated, None);
        }
        assert_eq!(server.connections(), 3);
    }
}

#[test]
fn a_client_that_does_not_trust_the_authority_fails() {
    let server = TestServer::builder().wrapper().start();
    let other = TestServer::builder().wrapper().start();
    assert_ne!(server.root_pem(), other.root_pem());
    let transport = |root: &TestServer| {
        let pem = root.root_pem().as_bytes();
        let certificate = postwire_testing::tls::Certificate::from_pem(pem).unwrap();
        assert_eq!(certificate.as_der(), root.root_certificate().as_der());
        postwire_blocking::Transport::from_url(server.url())
            .unwrap()
            .tls_parameters(|tls| tls.add_root_certificate(certificate))
            .build()
            .unwrap()
    };
    assert!(transport(&server).test_connection().is_ok());
    let error = transport(&other).test_connection().unwrap_err();
    assert_eq!(error.stage(), Stage::Tls);
}

#[test]
fn only_known_users_log_in() {
    for builder in modes() {
        let server = builder
            .user("alice", "correct horse")
            .user("bob", "battery staple")
            .start();
        for client in clients(&server, login("bob", "battery staple")) {
            assert!((client.send)(&to_bob()).is_ok());
            let message = server.messages().pop().unwrap();
            assert_eq!(message.authenticated.as_deref(), Some("bob"));
        }
        for wrong in [login("alice", "wrong"), login("carol", "correct horse")] {
            for client in clients(&server, wrong) {
                let error = (client.test)().unwrap_err();
                assert_eq!(error.stage(), Stage::Auth, "{}", client.name);
                assert_eq!(error.reply().unwrap().code().get(), 535);
            }
        }
        for client in clients(&server, as_given) {
            let error = (client.send)(&to_bob()).unwrap_err();
            assert_eq!(error.report().reply().unwrap().code().get(), 530);
        }
        assert_eq!(server.messages().len(), 3);
    }
}

#[test]
fn mechanisms_that_show_the_password_compare_it() {
    let server = TestServer::builder()
        .starttls()
        .user("alice", "correct horse")
        .config(|config| config.auth([postwire_testing::proto::Mechanism::PLAIN]))
        .start();
    for client in clients(&server, login("alice", "correct horse")) {
        assert_eq!((client.test)(), Ok(()), "{}", client.name);
    }
    for client in clients(&server, login("alice", "wrong")) {
        let error = (client.test)().unwrap_err();
        assert_eq!(error.reply().unwrap().code().get(), 535);
    }
}

/// The report without what only a session knows: the mechanism of a failed login, TLS.
fn summary(result: Result<Report, SendError>) -> String {
    let report = result.unwrap_or_else(SendError::into_report);
    let outcome = match report.outcome() {
        Outcome::NotSent(error) => format!("not sent: {} {:?}", error.stage(), error.kind()),
        Outcome::InDoubt(error) => format!("in doubt: {} {:?}", error.stage(), error.kind()),
        _ => report.to_string(),
    };
    let recipients = report.recipients().iter().map(|recipient| {
        let reply = recipient.reply().map(ToString::to_string);
        format!("{:?} {}", recipient.status(), reply.unwrap_or_default())
    });
    let recipients: Vec<_> = recipients.collect();
    // Under TLS, a connection that is closed without a farewell of TLS is a cut one.
    let outcome = outcome.replace("Transport(Truncated)", "ConnectionClosed");
    format!("{outcome}; {}", recipients.join(", "))
}

/// Every fault gives the same report over every runtime, and through the transport that only
/// records.
#[test]
fn each_fault_is_what_clients_see() {
    let bob = "bob@example.net";
    for builder in modes() {
        let server = builder.user("alice", "correct horse").start();
        let recording = postwire_testing::RecordingTransport::new();
        let envelope = envelope(&[bob, "carol@example.net"]);
        for (trigger, code) in [
            (Greeting, "554 5.3.2 no service"),
            (Greeting, "421 4.3.2 later"),
            (Hello, "550 5.7.1 not you"),
            (Auth, "535 5.7.8 wrong"),
            (Auth, "454 4.7.0 later"),
            (Mail, "550 5.7.1 not from you"),
            (Mail, "451 4.3.0 later"),
            (Mail, "421 4.3.2 closing"),
            (Rcpt(bob), "550 5.1.1 no such user"),
            (Rcpt(bob), "450 4.2.1 later"),
            (AnyRcpt, "550 5.1.1 no such user"),
            (AnyRcpt, "421 4.3.2 closing"),
            (Content, "554 5.6.0 not this"),
            (Content, "452 4.3.1 full"),
            (Content, "250 2.0.0 queued as 12345"),
        ] {
            let expected = {
                recording.on(trigger).reply(code);
                summary(recording.send(&envelope, MESSAGE))
            };
            server.on(trigger).reply(code);
            compare(
                &server,
                &envelope,
                &expected,
                &format!("{trigger:?} {code}"),
            );
            server.clear_rules();
            recording.clear_rules();
        }
        for trigger in [Greeting, Hello, Auth, Mail, AnyRcpt, Content] {
            recording.on(trigger).hang_up();
            let expected = summary(recording.send(&envelope, MESSAGE));
            server.on(trigger).hang_up();
            compare(
                &server,
                &envelope,
                &expected,
                &format!("{trigger:?} hang up"),
            );
            server.clear_rules();
            recording.clear_rules();
        }
    }
}

fn compare(server: &TestServer, envelope: &Envelope, expected: &str, fault: &str) {
    for client in clients(server, login("alice", "correct horse")) {
        let summary = summary((client.send)(envelope));
        let fault = format!("{fault}, {}, {}", client.name, server.url());
        assert_eq!(
            summary,
            expected,
            "{fault}, {}, {}",
            client.name,
            server.url()
        );
    }
}

#[test]
fn a_message_in_doubt_is_not_stored() {
    let server = TestServer::start();
    server.on(Content).once().hang_up();
    for client in clients(&server, as_given) {
        let first = (client.send)(&to_bob());
        match first {
            Err(error) => {
                assert!(matches!(error.report().outcome(), Outcome::InDoubt(_)));
                assert_eq!(server.messages(), []);
            }
            Ok(_) => assert_ne!(client.name, "blocking"),
        }
    }
    assert_eq!(server.messages().len(), 2);
}

#[test]
fn a_delay_is_waited_and_a_client_can_give_up() {
    let server = TestServer::start();
    server.on(Mail).delay(Duration::from_millis(50));
    for client in clients(&server, as_given) {
        let began = Instant::now();
        assert!((client.send)(&to_bob()).is_ok());
        assert!(began.elapsed() >= Duration::from_millis(50));
    }
    server.on(Content).delay(Duration::from_secs(3600));
    let impatient = |builder: Settings| builder.timeout(Some(Duration::from_millis(300)));
    for client in clients(&server, impatient) {
        let error = (client.send)(&to_bob()).unwrap_err();
        let Outcome::InDoubt(error) = error.report().outcome() else {
            panic!("{}: {error}", client.name);
        };
        assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    }
}

#[test]
fn rules_apply_to_open_sessions() {
    let server = TestServer::start();
    let transport: postwire_blocking::Transport = server.transport().build().unwrap();
    assert!(transport.send(&to_bob(), MESSAGE).is_ok());
    server
        .on(Rcpt("bob@example.net"))
        .once()
        .reply("450 4.2.1 later");
    let error = transport.send(&to_bob(), MESSAGE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rejected at rcpt for bob@example.net: 450 4.2.1 later"
    );
    assert!(transport.send(&to_bob(), MESSAGE).is_ok());
    assert_eq!(server.connections(), 1);
    server.clear_messages();
    assert_eq!(server.messages(), []);
}

#[test]
fn extensions_can_be_turned_off() {
    let server = TestServer::builder()
        .config(|config| config.chunking(false).pipelining(false).size(Some(10)))
        .config(|config| config.dsn(false))
        .start();
    for client in clients(&server, as_given) {
        let error = (client.send)(&to_bob()).unwrap_err();
        assert!(error.to_string().contains("accepts at most 10"), "{error}");
    }
    let server = TestServer::builder()
        .config(|config| config.chunking(false).pipelining(false))
        .start();
    for client in clients(&server, |builder| {
        builder.client(|client| client.pipelining(Pipelining::Careful))
    }) {
        assert!((client.send)(&to_bob()).is_ok());
    }
    assert_eq!(server.wait_for(3)[2].text(), MESSAGE);
}

#[test]
fn lmtp_has_a_verdict_for_each_recipient() {
    for builder in modes() {
        let server = builder.lmtp().start();
        server
            .on(Delivery("full@example.net"))
            .reply("552 5.2.2 the mailbox is full");
        let envelope = envelope(&["bob@example.net", "full@example.net"]);
        for client in clients(&server, as_given) {
            let report = (client.send)(&envelope).unwrap_err().into_report();
            let status: Vec<_> = report
                .recipients()
                .iter()
                .map(RecipientReport::status)
                .collect();
            assert_eq!(
                status,
                [RecipientStatus::Accepted, RecipientStatus::Refused]
            );
            let message = server.messages().pop().unwrap();
            assert_eq!(message.recipients, to_bob().forward_paths());
        }
        server.on(Delivery("full@example.net")).once().hang_up();
        let transport: postwire_blocking::Transport = server.transport().build().unwrap();
        let report = transport
            .send(&envelope, MESSAGE)
            .unwrap_err()
            .into_report();
        assert!(matches!(report.outcome(), Outcome::InDoubt(_)), "{report}");
        server.on(Content).reply("451 4.3.0 later");
        server
            .on(Delivery("full@example.net"))
            .reply("250 2.0.0 yes");
        let report = transport
            .send(&envelope, MESSAGE)
            .unwrap_err()
            .into_report();
        let status: Vec<_> = report
            .recipients()
            .iter()
            .map(RecipientReport::status)
            .collect();
        assert_eq!(
            status,
            [RecipientStatus::Refused, RecipientStatus::Accepted]
        );
    }
}

#[test]
#[should_panic(expected = "never happens in SMTP")]
fn a_rule_that_cannot_apply_is_refused() {
    TestServer::start()
        .on(Delivery("bob@example.net"))
        .hang_up();
}

#[test]
fn servers_do_not_know_each_other() {
    let servers: Vec<_> = (0..8).map(|_| TestServer::start()).collect();
    servers[3].on(Mail).reply("550 no");
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(move || {
                let transport: postwire_blocking::Transport = server.transport().build().unwrap();
                let _ = transport.send(&to_bob(), MESSAGE);
            });
        }
    });
    let counts: Vec<_> = servers
        .iter()
        .map(|server| server.messages().len())
        .collect();
    assert_eq!(counts, [1, 1, 1, 0, 1, 1, 1, 1]);
}

#[test]
fn dropping_a_server_closes_its_connections() {
    for builder in modes() {
        let server = builder.start();
        let address = server.address();
        let transport: postwire_blocking::Transport = server.transport().build().unwrap();
        assert!(transport.send(&to_bob(), MESSAGE).is_ok());
        // A connection that says nothing, and one within a delay.
        let silent = std::net::TcpStream::connect(address).unwrap();
        server.on(Mail).delay(Duration::from_secs(3600));
        let waiting = transport.clone();
        let (sent, result) = mpsc::channel();
        let thread = thread::spawn(move || {
            sent.send(waiting.send(&to_bob(), MESSAGE)).unwrap();
        });
        while server.connections() < 2 {
            thread::yield_now();
        }
        let began = Instant::now();
        drop(server);
        assert!(began.elapsed() < Duration::from_secs(3));
        let error = result
            .recv_timeout(Duration::from_secs(10))
            .unwrap()
            .unwrap_err();
        assert!(
            matches!(error.report().outcome(), Outcome::NotSent(_)),
            "{error}"
        );
        thread.join().unwrap();
        drop(silent);
        assert!(std::net::TcpStream::connect(address).is_err());
        assert!(transport.send(&to_bob(), MESSAGE).is_err());
    }
}

#[test]
fn a_test_can_wait_for_messages() {
    let server = TestServer::start();
    let transport: postwire_tokio::Transport = server.transport().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    runtime.block_on(async {
        // The application sends in a task of this same thread.
        let of_task = transport.clone();
        let task = tokio::spawn(async move { of_task.send(&to_bob(), MESSAGE).await });
        assert_eq!(server.wait_for_async(1).await.len(), 1);
        let report = task.await.unwrap().unwrap();
        assert_eq!(report.transaction(), TransactionId::default());
    });
    assert_eq!(server.wait_for(1).len(), 1);
}

#[test]
#[should_panic(expected = "0 of 1 messages arrived within 10ms")]
fn waiting_has_a_limit() {
    let _ = TestServer::start().wait_for_within(1, Duration::from_millis(10));
}

#[test]
#[should_panic(expected = "a server without TLS has no certificate")]
fn a_server_in_plaintext_has_no_certificate() {
    let _ = TestServer::start().root_certificate();
}

#[test]
fn triggers_can_be_named() {
    let once: Trigger<'_> = Trigger::Rcpt("bob@example.net");
    let server = TestServer::start();
    server.on(once).once().reply("550 5.1.1 no");
    for (number, client) in clients(&server, as_given).iter().enumerate() {
        assert_eq!((client.send)(&to_bob()).is_ok(), number > 0);
    }
}
