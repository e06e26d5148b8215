//! The requirements on every adapter. The guarantees of the modes are checked by what the
//! server received, not by what the client reports.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use bytes::Bytes;
use postwire_tls::proto::{
    Body, Command, Credentials, Envelope, ErrorKind, Mechanism, Outcome, RecipientStatus, Report,
    RequireTls, Stage, StreamFacts, Timeouts, Violation,
};
use postwire_tls::{ServerTls, Tls, TlsParameters};
use postwire_transport::{PoolConfig, TransportBuilder, TransportConfig};

mod commands;
mod credentials;
mod extensions;
mod limits;
mod lmtp;
mod nonconforming_servers;
mod pool;
mod resumption;
mod sharing;

use crate::Adapter;
use crate::certificates::{Authority, Flaw};
use crate::server::{Embedded, PASSWORD, Scripted, USER, config_with_all_extensions, exchange};

type Builder = TransportBuilder<TransportConfig>;
/// A scenario and its name.
pub type Scenario = (&'static str, fn(&dyn Adapter));

/// Every scenario. An adapter's test runs them all.
pub const ALL: &[Scenario] = &[
    ("four modes deliver the same octets", four_modes),
    ("none is plaintext without passwords", plaintext_mode),
    ("opportunistic uses TLS if it is offered", opportunistic),
    ("required sends nothing before TLS", required),
    ("wrapper sends nothing in plaintext", wrapper),
    (
        "a further connection resumes the TLS session",
        resumption::further_connection,
    ),
    ("REQUIRETLS needs a verified certificate", require_tls),
    ("a flawed certificate ends the attempt", certificates),
    ("plaintext after the 220 ends the session", injection),
    ("authentication", authentication),
    ("recipients are reported one by one", recipients),
    (
        "parameters of the envelope arrive, or the message is not sent",
        extensions::parameters,
    ),
    (
        "declarations of the content arrive, or the message is not sent",
        extensions::content,
    ),
    ("the limits of a server are respected", extensions::limits),
    ("many messages over one connection", many_messages),
    (
        "concurrent sends share few connections",
        sharing::few_connections,
    ),
    ("a large message arrives whole", large),
    ("streamed content arrives whole", streamed),
    ("a failing source delivers nothing", source_fails),
    (
        "the limit of messages per connection is respected",
        message_limit,
    ),
    ("from a chosen local address", from_an_address),
    ("a pooled connection is used again", pooled_connection),
    ("a stale connection is noticed in time", dead_connection),
    ("nobody listens", nobody_listens),
    ("a silent server does not block others", silence),
    (
        "a server that stops reading does not block others",
        no_reading,
    ),
    ("a refusal within the content is reported", refusal_midway),
    ("a server that sends endless replies", endless_talk),
    ("a server that sends and does not read", flood),
    ("the connection breaks", breaks),
    (
        "content is not executed where BDAT is not read",
        nonconforming_servers::unread_chunks,
    ),
    (
        "a goodbye as the reply to the content is no acceptance",
        nonconforming_servers::goodbye_to_the_content,
    ),
    (
        "nothing follows the end of the content",
        nonconforming_servers::nothing_behind_the_dot,
    ),
    (
        "a refused RSET affects no other message",
        nonconforming_servers::reset_refused,
    ),
    ("commands between messages", commands::asked),
    (
        "a command behind a stream without content",
        commands::behind_a_stream,
    ),
    (
        "credentials are fetched, and renewed once",
        credentials::renewed,
    ),
    (
        "credentials that do not arrive in time",
        credentials::not_had,
    ),
    (
        "recipients beyond the limits of one session",
        limits::domains,
    ),
    (
        "waiting senders are served after a pause",
        pool::no_room_at_first,
    ),
    (
        "a server without room gives every message an answer",
        pool::no_room_at_all,
    ),
    ("the timeout bounds a whole send", pool::waiting_is_bounded),
    ("waiting for a connection is bounded", pool::acquire_timeout),
    (
        "a finished send_all does not delay a shutdown",
        pool::shutdown_after_the_last,
    ),
    ("a shutdown has a time limit", pool::shutdown_midway),
    (
        "endless durations mean forever",
        pool::durations_without_end,
    ),
    (
        "a pooled connection that died silently",
        pool::dead_without_a_word,
    ),
    (
        "an address without a session leads to the next",
        pool::the_next_address,
    ),
    ("LMTP: a verdict for each recipient", lmtp::over_tcp),
    ("LMTP: the connection breaks between verdicts", lmtp::breaks),
    #[cfg(unix)]
    (
        "LMTP: a verdict for each recipient over a Unix socket",
        lmtp::over_a_unix_socket,
    ),
    #[cfg(unix)]
    ("SMTP over a Unix socket", lmtp::smtp_over_a_unix_socket),
    #[cfg(unix)]
    ("nobody listens on a Unix socket", lmtp::no_unix_socket),
];

/// Runs every scenario, and names the one that fails.
pub fn run_all(adapter: &dyn Adapter) {
    for (name, scenario) in ALL {
        let begun = Instant::now();
        scenario(adapter);
        println!("{name}: ok ({:.1?})", begun.elapsed());
    }
}

fn message() -> String {
    "From: alice@sender.example\r\nSubject: a secret plan\r\n\r\nLine one.\r\n.\r\n..dots\r\n"
        .to_owned()
}

fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|r| r.parse().unwrap()).collect();
    Envelope::new(Some("alice@sender.example".parse().unwrap()), recipients).unwrap()
}

fn bob() -> Envelope {
    envelope(&["bob@recipient.example"])
}

fn url(tls: &str, port: u16) -> Builder {
    let url = match tls {
        "wrapper" => format!("smtps://localhost:{port}"),
        mode => format!("smtp://localhost:{port}?tls={mode}"),
    };
    // Nothing listens on ::1; the client uses the first address that answers.
    Builder::from_url(url).unwrap()
}

fn credentials() -> Credentials {
    Credentials::new(USER, PASSWORD)
}

fn quick() -> Timeouts {
    Timeouts::default().capped(Duration::from_millis(500))
}

fn error(report: &Report) -> (Stage, &ErrorKind) {
    match report.outcome() {
        Outcome::NotSent(error) => (error.stage(), error.kind()),
        other => panic!("not a message that was not sent: {other:?}"),
    }
}

fn assert_accepted(report: &Report) {
    assert!(report.is_accepted() && !report.is_partial(), "{report}");
}

/// The plaintext at the start of the octets on the wire, and whether TLS follows it.
fn plaintext(wire: &[u8]) -> (String, bool) {
    const HANDSHAKE: u8 = 22;
    let start = wire.windows(2).position(|pair| pair == [HANDSHAKE, 3]);
    let words = String::from_utf8_lossy(&wire[..start.unwrap_or(wire.len())]);
    (words.into_owned(), start.is_some())
}

fn four_modes(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let tls = authority.server(Flaw::None);
    let mut contents = Vec::new();
    for (mode, server_tls) in [
        ("none", ServerTls::None),
        ("opportunistic", ServerTls::StartTls(tls.clone())),
        ("required", ServerTls::StartTls(tls.clone())),
        ("wrapper", ServerTls::Wrapper(tls)),
    ] {
        let server = Embedded::start(config_with_all_extensions(), server_tls);
        let builder = url(mode, server.port())
            .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()));
        let config = builder.build().unwrap();
        assert_accepted(&adapter.send(config, &bob(), message().into()));
        let stored = server.recording().stored;
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].tls.is_some(), mode != "none", "{mode}");
        contents.push(stored[0].content.clone());
    }
    assert!(contents.iter().all(|content| *content == message()));
}

/// Asserts that nothing else was sent over this connection. The client does not wait for the
/// reply to QUIT, so QUIT may still be in transit.
fn assert_only_greeted(server: &Embedded, connection: usize) {
    let text = b"EHLO [127.0.0.1]\r\nQUIT\r\n";
    let begun = Instant::now();
    let wire = || server.recording().wire[connection].clone();
    while wire().len() < text.len() && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(wire(), text);
    assert_eq!(server.recording().wire.len(), connection + 1);
}

fn plaintext_mode(adapter: &dyn Adapter) {
    let server = Embedded::start(
        config_with_all_extensions().auth_in_plaintext(true),
        ServerTls::None,
    );
    let config = || url("none", server.port());
    let withheld = adapter.send(
        config().credentials(credentials()).build().unwrap(),
        &bob(),
        message().into(),
    );
    let (stage, kind) = error(&withheld);
    assert_eq!(stage, Stage::Auth);
    assert!(matches!(
        kind,
        ErrorKind::NoUsableMechanism { withheld: true, .. }
    ));
    // Neither the message nor the password was sent.
    assert_only_greeted(&server, 0);
    let allowed = config()
        .credentials(credentials())
        .client(|client| client.allow_plaintext_auth(true));
    assert_accepted(&adapter.send(allowed.build().unwrap(), &bob(), message().into()));
    assert_eq!(
        server.recording().stored[0].authenticated.as_deref(),
        Some(USER)
    );
}

fn opportunistic(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let builder = |port| {
        url("opportunistic", port)
            .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
            .timeouts(quick())
    };
    // Offered: TLS is used, and only two commands precede it.
    let tls = ServerTls::StartTls(authority.server(Flaw::None));
    let server = Embedded::start(config_with_all_extensions(), tls);
    let config = builder(server.port()).build().unwrap();
    assert_accepted(&adapter.send(config, &bob(), message().into()));
    let begun = "EHLO [127.0.0.1]\r\nSTARTTLS\r\n".to_owned();
    assert_eq!(plaintext(&server.wire()), (begun.clone(), true));

    // Not offered: plaintext, without passwords.
    let server = Embedded::start(
        config_with_all_extensions().auth_in_plaintext(true),
        ServerTls::None,
    );
    let config = builder(server.port()).build().unwrap();
    assert_accepted(&adapter.send(config, &bob(), message().into()));
    assert!(!plaintext(&server.wire()).1);
    let config = builder(server.port()).credentials(credentials());
    let withheld = adapter.send(config.build().unwrap(), &bob(), message().into());
    assert_eq!(error(&withheld).0, Stage::Auth);
    assert_only_greeted(&server, 1);

    // Refused by a reply: plaintext.
    let server = Scripted::start(|mut stream| {
        exchange(&mut stream, "220 hi\r\n", "EHLO");
        exchange(&mut stream, "250-hi\r\n250 STARTTLS\r\n", "STARTTLS");
        exchange(&mut stream, "454 not now\r\n", "MAIL");
        exchange(&mut stream, "550 enough\r\n", "QUIT")
    });
    let config = builder(server.port()).build().unwrap();
    let report = adapter.send(config, &bob(), message().into());
    assert_eq!(report.stage(), Some(Stage::Mail), "{report}");
    assert_eq!(server.finish(), "QUIT\r\n");

    // An invalid certificate is not a downgrade to plaintext.
    let tls = ServerTls::StartTls(authority.server(Flaw::SelfSigned));
    let server = Embedded::start(config_with_all_extensions(), tls);
    let config = builder(server.port()).build().unwrap();
    let report = adapter.send(config, &bob(), message().into());
    assert_eq!(error(&report).0, Stage::Tls);
    assert_eq!(plaintext(&server.wire()).0, begun);
    assert!(server.recording().questions.is_empty());
}

fn required(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let builder = |port| {
        url("required", port)
            .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
            .credentials(credentials())
            .timeouts(quick())
    };
    let tls = ServerTls::StartTls(authority.server(Flaw::None));
    let server = Embedded::start(config_with_all_extensions(), tls);
    let config = builder(server.port()).build().unwrap();
    assert_accepted(&adapter.send(config, &bob(), message().into()));
    let begun = "EHLO [127.0.0.1]\r\nSTARTTLS\r\n".to_owned();
    assert_eq!(plaintext(&server.wire()), (begun, true));

    // The offer is removed: two commands, and QUIT.
    let server = Embedded::start(
        config_with_all_extensions().auth_in_plaintext(true),
        ServerTls::None,
    );
    let config = builder(server.port()).build().unwrap();
    let report = adapter.send(config, &bob(), message().into());
    assert!(matches!(
        error(&report),
        (Stage::StartTls, ErrorKind::StartTlsNotOffered)
    ));
    assert_only_greeted(&server, 0);

    // Refused.
    let server = Scripted::start(|mut stream| {
        let mut received = exchange(&mut stream, "220 hi\r\n", "EHLO");
        received += &exchange(&mut stream, "250-hi\r\n250 STARTTLS\r\n", "STARTTLS");
        received += &exchange(&mut stream, "454 not now\r\n", "QUIT");
        received
    });
    let config = builder(server.port()).build().unwrap();
    let report = adapter.send(config, &bob(), message().into());
    assert!(matches!(
        error(&report),
        (Stage::StartTls, ErrorKind::Refused(reply)) if reply.code().get() == 454
    ));
    assert_eq!(server.finish(), "EHLO [127.0.0.1]\r\nSTARTTLS\r\nQUIT\r\n");
}

fn require_tls(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let tls = || ServerTls::Wrapper(authority.server(Flaw::None));
    let envelope = bob().with_parameter(RequireTls);
    let server = Embedded::start(config_with_all_extensions().requiretls(true), tls());
    let verified = url("wrapper", server.port())
        .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()));
    let report = adapter.send(verified.build().unwrap(), &envelope, message().into());
    assert_accepted(&report);

    let unverified = TlsParameters::builder("localhost")
        .dangerous_accept_invalid_certs(true)
        .build()
        .unwrap();
    let server = Embedded::start(config_with_all_extensions().requiretls(true), tls());
    let config = url("wrapper", server.port()).tls(Tls::Wrapper(unverified));
    let report = adapter.send(config.build().unwrap(), &envelope, message().into());
    assert!(matches!(
        error(&report),
        (Stage::Mail, ErrorKind::VerifiedTlsRequired)
    ));
    assert!(server.recording().stored.is_empty());
}

fn wrapper(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let tls = ServerTls::Wrapper(authority.server(Flaw::None));
    let server = Embedded::start(config_with_all_extensions(), tls);
    let builder = |port| {
        url("wrapper", port)
            .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
            .credentials(credentials())
            .timeouts(quick())
    };
    let config = builder(server.port()).build().unwrap();
    assert_accepted(&adapter.send(config, &bob(), message().into()));
    let wire = server.wire();
    assert_eq!(plaintext(&wire), (String::new(), true));
    for words in ["EHLO", "MAIL", "bob@", "secret plan", PASSWORD] {
        let words = words.as_bytes();
        assert!(!wire.windows(words.len()).any(|window| window == words));
    }
    // A plaintext server receives nothing.
    let server = Scripted::start(|mut stream| {
        let mut received = Vec::new();
        let _ = stream.write_all(b"220 plain mail.example\r\n");
        let _ = stream.read_to_end(&mut received);
        received
    });
    let config = builder(server.port()).build().unwrap();
    let report = adapter.send(config, &bob(), message().into());
    assert!(matches!(error(&report), (Stage::Tls, ErrorKind::Tls(_))));
    assert_eq!(plaintext(&server.finish()), (String::new(), true));
}

fn certificates(adapter: &dyn Adapter) {
    let authority = Authority::new();
    for flaw in [Flaw::Expired, Flaw::WrongHost, Flaw::SelfSigned] {
        for mode in ["opportunistic", "required", "wrapper"] {
            let parameters = authority.server(flaw);
            let tls = match mode {
                "wrapper" => ServerTls::Wrapper(parameters),
                _ => ServerTls::StartTls(parameters),
            };
            let server = Embedded::start(config_with_all_extensions(), tls);
            let builder = url(mode, server.port())
                .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()));
            let report = adapter.send(builder.build().unwrap(), &bob(), message().into());
            assert!(
                matches!(error(&report), (Stage::Tls, ErrorKind::Tls(_))),
                "{flaw:?} {mode}: {report}"
            );
            assert!(server.recording().questions.is_empty());
        }
    }
}

fn injection(adapter: &dyn Adapter) {
    let authority = Authority::new();
    for mode in ["opportunistic", "required"] {
        for pause in [Duration::ZERO, Duration::from_millis(50)] {
            let server = Scripted::start(move |mut stream| {
                exchange(&mut stream, "220 hi\r\n", "EHLO");
                exchange(&mut stream, "250-hi\r\n250 STARTTLS\r\n", "STARTTLS");
                if pause.is_zero() {
                    exchange(&mut stream, "220 go\r\n250 injected\r\n", "never")
                } else {
                    stream.write_all(b"220 go\r\n").unwrap();
                    std::thread::sleep(pause);
                    exchange(&mut stream, "250 injected\r\n", "never")
                }
            });
            let builder = url(mode, server.port())
                .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
                .timeouts(quick());
            let report = adapter.send(builder.build().unwrap(), &bob(), message().into());
            assert!(
                matches!(
                    error(&report),
                    (_, ErrorKind::Violation(Violation::StartTlsInjection))
                ),
                "{mode}: {report}"
            );
            assert!(report.to_string().ends_with(": 250 injected"), "{report}");
            assert!(!server.finish().contains("MAIL"));
        }
    }
}

fn credentials_for(mechanism: Mechanism, secret: &str) -> Credentials {
    // A mechanism without a secret has a right or a wrong name instead.
    let name = if secret == PASSWORD { USER } else { "eve" };
    if mechanism == Mechanism::EXTERNAL {
        Credentials::external().with_authorization_identity(name)
    } else if mechanism == Mechanism::ANONYMOUS {
        Credentials::anonymous(name)
    } else if [Mechanism::OAUTHBEARER, Mechanism::XOAUTH2].contains(&mechanism) {
        Credentials::token(USER, secret)
    } else {
        Credentials::new(USER, secret)
    }
}

/// Each mechanism, with right and with wrong credentials.
fn authentication(adapter: &dyn Adapter) {
    let authority = Authority::new();
    for &mechanism in Mechanism::all() {
        let tls = ServerTls::Wrapper(authority.server(Flaw::None));
        let config = config_with_all_extensions()
            .auth([mechanism])
            .require_auth(true);
        let server = Embedded::start(config, tls);
        let builder = |credentials| {
            url("wrapper", server.port())
                .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
                .authentication(vec![mechanism])
                .credentials(credentials)
                .build()
                .unwrap()
        };
        let right = builder(credentials_for(mechanism, PASSWORD));
        assert_accepted(&adapter.send(right, &bob(), message().into()));
        let wrong = credentials_for(mechanism, "a wrong guess");
        let report = adapter.send(builder(wrong), &bob(), message().into());
        assert!(matches!(
            error(&report),
            (Stage::Auth, ErrorKind::Refused(reply)) if reply.code().get() == 535
        ));
        let shown = format!("{report} {report:?}");
        assert!(!shown.contains("wrong guess"));
    }
}

fn recipients(adapter: &dyn Adapter) {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let config = || url("none", server.port()).build().unwrap();
    let mixed = envelope(&["no@r.example", "bob@r.example", "later@r.example"]);
    let report = adapter.send(config(), &mixed, message().into());
    assert!(report.is_partial());
    let reported: Vec<_> = report
        .recipients()
        .iter()
        .map(|r| {
            let reply = r.reply().unwrap();
            let enhanced = reply.enhanced().map(|code| code.to_string());
            (r.status(), reply.code().get(), enhanced.unwrap())
        })
        .collect();
    assert_eq!(
        reported,
        [
            (RecipientStatus::Refused, 550, "5.1.1".to_owned()),
            (RecipientStatus::Accepted, 250, "2.1.5".to_owned()),
            (RecipientStatus::Refused, 450, "4.2.1".to_owned()),
        ]
    );
    let nobody = envelope(&["later@r.example", "no@r.example"]);
    let report = adapter.send(config(), &nobody, message().into());
    assert!(matches!(
        report.outcome(),
        Outcome::Rejected { stage: Stage::Rcpt, reply } if reply.code().get() == 550
    ));
    let report = adapter.send(config(), &bob(), "refuse this".into());
    assert!(matches!(
        report.outcome(),
        Outcome::Rejected {
            stage: Stage::Body,
            ..
        }
    ));
    assert_eq!(server.recording().stored.len(), 1);
}

fn many_messages(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let tls = ServerTls::Wrapper(authority.server(Flaw::None));
    let server = Embedded::start(config_with_all_extensions(), tls);
    let builder = url("wrapper", server.port())
        .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()));
    let content = |n: usize| format!("Subject: {n}\r\n\r\n{}\r\n", "x".repeat(n * 10));
    let messages = (0..100)
        .map(|n| {
            let to = if n % 10 == 3 {
                "no@r.example"
            } else {
                "bob@r.example"
            };
            (envelope(&[to]), Body::from(content(n)))
        })
        .collect();
    let reports = adapter.send_all(builder.build().unwrap(), messages);
    assert_eq!(reports.len(), 100);
    for (n, report) in reports.iter().enumerate() {
        assert_eq!(report.is_accepted(), n % 10 != 3, "{n}: {report}");
    }
    let seen = server.recording();
    assert_eq!(seen.wire.len(), 1, "connections");
    let stored: Vec<_> = seen.stored.iter().map(|s| s.content.clone()).collect();
    let sent: Vec<_> = (0..100).filter(|n| n % 10 != 3).map(content).collect();
    assert!(stored == sent);
}

fn large(adapter: &dyn Adapter) {
    let mut text = "Subject: large\r\n\r\n".to_owned();
    for line in 0..150_000 {
        let dot = if line % 7 == 0 { "." } else { "" };
        let _ = write!(
            text,
            "{dot}{line} quite a long line, so that there is much of it\r\n"
        );
    }
    let authority = Authority::new();
    for chunking in [true, false] {
        for mode in ["none", "wrapper"] {
            let tls = match mode {
                "wrapper" => ServerTls::Wrapper(authority.server(Flaw::None)),
                _ => ServerTls::None,
            };
            let server = Embedded::start(config_with_all_extensions().chunking(chunking), tls);
            let builder = url(mode, server.port())
                .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()));
            let report = adapter.send(builder.build().unwrap(), &bob(), text.clone().into());
            assert_accepted(&report);
            assert!(server.recording().stored[0].content == text);
        }
    }
}

/// Pieces of every size, cut within line ends and before dots, larger in total than any buffer.
fn pieces_of(text: &str) -> impl Iterator<Item = io::Result<Bytes>> + Send + use<> {
    let mut rest = Bytes::from(text.to_owned());
    let mut size = 1;
    std::iter::from_fn(move || {
        size = size * 7 % 99_991;
        let piece = rest.split_to(rest.len().min(size));
        (!piece.is_empty()).then_some(Ok(piece))
    })
}

fn long_text(line_end: &str) -> String {
    let mut text = format!("Subject: long{line_end}{line_end}");
    for line in 0..100_000 {
        let dot = if line % 3 == 0 { "." } else { "" };
        let _ = write!(text, "{dot}{line} and some more of it{line_end}");
    }
    text
}

fn streamed(adapter: &dyn Adapter) {
    let authority = Authority::new();
    for (mode, line_end, chunking) in [
        ("none", "\n", true),
        ("none", "\r\n", false),
        ("wrapper", "\n", false),
    ] {
        let tls = match mode {
            "wrapper" => ServerTls::Wrapper(authority.server(Flaw::None)),
            _ => ServerTls::None,
        };
        let server = Embedded::start(config_with_all_extensions().chunking(chunking), tls);
        let builder = url(mode, server.port())
            .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()));
        let text = long_text(line_end);
        let facts = StreamFacts::default().size_hint(text.len() as u64);
        let pieces = Box::new(pieces_of(&text));
        let report = adapter.send_stream(builder.build().unwrap(), &bob(), &facts, pieces);
        assert_accepted(&report);
        assert!(server.recording().stored[0].content == long_text("\r\n"));
    }
    // Content that is not text is sent unchanged with BDAT.
    let server = Embedded::start(
        config_with_all_extensions().binary_mime(true),
        ServerTls::None,
    );
    let octets: String = (0..300_000_u32)
        .map(|n| char::from((n % 128) as u8))
        .collect();
    let facts = StreamFacts::default().binary(true);
    let config = url("none", server.port()).build().unwrap();
    let pieces = Box::new(pieces_of(&octets));
    assert_accepted(&adapter.send_stream(config, &bob(), &facts, pieces));
    assert!(server.recording().stored[0].content == octets);
}

fn source_fails(adapter: &dyn Adapter) {
    // The client does not wait for a stream whose content nobody gives.
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let config = url("none", server.port()).build().unwrap();
    let messages = vec![(bob(), StreamFacts::default().into())];
    let (reports, _) = adapter.ask(config, messages, vec![Command::noop()]);
    assert!(matches!(
        error(&reports[0]),
        (Stage::Body, ErrorKind::Source(_))
    ));
    assert!(server.recording().stored.is_empty());
    for after in [0, 2_000_000] {
        let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
        let text = long_text("\n");
        let failure = io::Error::other("the disk is gone");
        let pieces = pieces_of(&text[..after]).chain([Err(failure)]);
        let config = url("none", server.port()).build().unwrap();
        let facts = StreamFacts::default();
        let report = adapter.send_stream(config, &bob(), &facts, Box::new(pieces));
        let (stage, kind) = error(&report);
        assert_eq!(stage, Stage::Body);
        assert!(matches!(kind, ErrorKind::Source(_)), "{report}");
        assert!(report.to_string().contains("the disk is gone"), "{report}");
        assert!(server.recording().stored.is_empty());
    }
}

/// With a limit of messages per connection, many messages are sent over several connections, in
/// order.
fn message_limit(adapter: &dyn Adapter) {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let pool = PoolConfig::default().max_messages(3);
    let config = url("none", server.port())
        .pool_config(pool)
        .build()
        .unwrap();
    let content = |n: usize| format!("Subject: {n}\r\n\r\n");
    let messages = (0..10).map(|n| (bob(), content(n).into())).collect();
    let reports = adapter.send_all(config, messages);
    assert_eq!(reports.len(), 10);
    reports.iter().for_each(assert_accepted);
    let seen = server.recording();
    assert_eq!(seen.wire.len(), 4, "connections");
    let stored: Vec<_> = seen.stored.iter().map(|s| s.content.clone()).collect();
    assert_eq!(stored, (0..10).map(content).collect::<Vec<_>>());
}

/// 127.0.0.2 is this machine too; the system refuses an address of another machine.
fn from_an_address(adapter: &dyn Adapter) {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let config = |local: [u8; 4]| {
        Builder::from_url(format!("smtp://127.0.0.1:{}?tls=none", server.port()))
            .unwrap()
            .socket(|socket| {
                socket
                    .local_address(Some(local.into()))
                    .keep_alive(Some(Duration::from_secs(60)))
            })
            .build()
            .unwrap()
    };
    let report = adapter.send(config([127, 0, 0, 2]), &bob(), message().into());
    assert_accepted(&report);
    assert_eq!(server.recording().peers, ["127.0.0.2"]);
    // A client without a name gives its address (RFC 5321 §4.1.4).
    assert!(server.wire().starts_with(b"EHLO [127.0.0.2]\r\n"));
    let report = adapter.send(config([192, 0, 2, 1]), &bob(), message().into());
    assert_eq!(error(&report).0, Stage::Connect);
}

fn pooled_connection(adapter: &dyn Adapter) {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let config = url("none", server.port()).build().unwrap();
    let reports = adapter.send_twice(config, &bob(), message().into(), &|| {});
    reports.iter().for_each(assert_accepted);
    assert_eq!(server.recording().wire.len(), 1, "connections");
    assert_eq!(server.recording().stored.len(), 2);
}

/// The server sends 421 and closes while the connection is idle.
fn dead_connection(adapter: &dyn Adapter) {
    let limit = Duration::from_millis(200);
    let server = Embedded::start(
        config_with_all_extensions().idle_timeout(limit),
        ServerTls::None,
    );
    let config = url("none", server.port()).build().unwrap();
    let wait = || std::thread::sleep(limit * 4);
    let reports = adapter.send_twice(config, &bob(), message().into(), &wait);
    reports.iter().for_each(assert_accepted);
    let seen = server.recording();
    assert_eq!(seen.wire.len(), 2, "connections");
    let first = String::from_utf8_lossy(&seen.wire[0]).into_owned();
    assert_eq!(first.matches("MAIL").count(), 1, "nothing is risked on it");
    assert_eq!(seen.stored.len(), 2);
}

fn nobody_listens(adapter: &dyn Adapter) {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let config = url("none", port).build().unwrap();
    let reports = adapter.send_all(config, vec![(bob(), message().into()); 3]);
    assert_eq!(reports.len(), 3);
    for report in &reports {
        assert!(matches!(
            error(report),
            (Stage::Connect, ErrorKind::Transport(_))
        ));
        assert_eq!(report.recipients()[0].status(), RecipientStatus::NotSent);
    }
}

/// Asserts that the scenario did not take as long as one that hangs.
fn within_patience(begun: Instant) {
    assert!(begun.elapsed() < Duration::from_secs(30), "it hangs");
}

fn silence(adapter: &dyn Adapter) {
    for words in ["", "220 hi\r\n", "220 hi\r\n250 hi\r\n250 ok\r\n"] {
        let begun = Instant::now();
        let server = Scripted::start(move |mut stream| exchange(&mut stream, words, "never"));
        let builder = url("none", server.port()).timeouts(quick());
        let report = adapter.send(builder.build().unwrap(), &bob(), message().into());
        let (_, kind) = error(&report);
        let surplus = words.len() > 20;
        assert!(
            matches!(kind, ErrorKind::TimedOut) || surplus,
            "{words:?}: {report}"
        );
        server.finish();
        within_patience(begun);
    }
}

fn no_reading(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let server = Scripted::start(|mut stream| {
        exchange(&mut stream, "220 hi\r\n", "EHLO");
        exchange(&mut stream, "250 hi\r\n", "MAIL");
        exchange(&mut stream, "250 ok\r\n", "RCPT");
        exchange(&mut stream, "250 ok\r\n", "DATA");
        stream.write_all(b"354 go\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(2));
    });
    let builder = url("none", server.port()).timeouts(quick());
    let body = Body::from(vec![b'x'; 64 << 20]);
    let report = adapter.send(builder.build().unwrap(), &bob(), body);
    assert!(
        matches!(error(&report), (Stage::Body, ErrorKind::TimedOut)),
        "{report}"
    );
    server.finish();
    within_patience(begun);
}

fn refusal_midway(adapter: &dyn Adapter) {
    for close in [true, false] {
        let begun = Instant::now();
        let server = Scripted::start(move |mut stream| {
            exchange(&mut stream, "220 hi\r\n", "EHLO");
            exchange(&mut stream, "250 hi\r\n", "MAIL");
            exchange(&mut stream, "250 ok\r\n", "RCPT");
            exchange(&mut stream, "250 ok\r\n", "DATA");
            exchange(&mut stream, "354 go\r\n", "xxxx");
            stream.write_all(b"552 5.3.4 too big\r\n").unwrap();
            if !close {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let timeouts = Timeouts::default().capped(Duration::from_secs(5));
        let builder = url("none", server.port()).timeouts(timeouts);
        let body = Body::from(vec![b'x'; 64 << 20]);
        let report = adapter.send(builder.build().unwrap(), &bob(), body);
        assert!(
            matches!(
                report.outcome(),
                Outcome::Rejected { stage: Stage::Body, reply } if reply.code().get() == 552
            ),
            "{report}"
        );
        server.finish();
        within_patience(begun);
    }
}

fn endless_talk(adapter: &dyn Adapter) {
    for piece in ["x".repeat(8_192), "220-more\r\n".repeat(1_000)] {
        let begun = Instant::now();
        let server = Scripted::start(move |mut stream| {
            let _ = stream.write_all(b"220-");
            while stream.write_all(piece.as_bytes()).is_ok() {}
        });
        let config = url("none", server.port()).build().unwrap();
        let report = adapter.send(config, &bob(), message().into());
        assert!(
            matches!(
                error(&report),
                (Stage::Greeting, ErrorKind::Violation(Violation::Reply(_)))
            ),
            "{report}"
        );
        server.finish();
        within_patience(begun);
    }
}

/// The server sends replies without end while the client writes content: neither side may wait
/// for the other.
fn flood(adapter: &dyn Adapter) {
    let begun = Instant::now();
    let server = Scripted::start(|mut stream| {
        exchange(&mut stream, "220 hi\r\n", "EHLO");
        exchange(&mut stream, "250 hi\r\n", "MAIL");
        exchange(&mut stream, "250 ok\r\n", "RCPT");
        exchange(&mut stream, "250 ok\r\n", "DATA");
        stream.write_all(b"354 go\r\n").unwrap();
        let talk = "250 surplus\r\n".repeat(1_000);
        for _ in 0..1_000 {
            if stream.write_all(talk.as_bytes()).is_err() {
                break;
            }
        }
    });
    let timeouts = Timeouts::default().capped(Duration::from_secs(10));
    let builder = url("none", server.port()).timeouts(timeouts);
    let body = Body::from(vec![b'x'; 64 << 20]);
    let report = adapter.send(builder.build().unwrap(), &bob(), body);
    assert!(
        matches!(
            error(&report),
            (
                Stage::Body,
                ErrorKind::Violation(Violation::SurplusReply(_))
            )
        ),
        "{report}"
    );
    server.finish();
    within_patience(begun);
}

fn breaks(adapter: &dyn Adapter) {
    let script: &[(&str, &str)] = &[
        ("220 hi\r\n", "EHLO"),
        ("250 hi\r\n", "MAIL"),
        ("250 ok\r\n", "RCPT"),
        ("250 ok\r\n", "DATA"),
        ("354 go\r\n", "\r\n.\r\n"),
    ];
    for answered in 0..=script.len() {
        let server = Scripted::start(move |mut stream| {
            for (words, until) in &script[..answered] {
                exchange(&mut stream, words, until);
            }
        });
        let builder = url("none", server.port()).timeouts(quick());
        let reports = adapter.send_all(
            builder.build().unwrap(),
            vec![(bob(), message().into()), (bob(), message().into())],
        );
        let in_doubt = matches!(reports[0].outcome(), Outcome::InDoubt(_));
        assert_eq!(in_doubt, answered == script.len(), "{}", reports[0]);
        error(&reports[1]);
        server.finish();
    }
}
