//! Parameters of `MAIL` and `RCPT`, with servers that offer their extensions, that do not offer
//! them, or that have a lower limit.
//!
//! The results are checked by what the server stored, and by the octets that it received. Must
//! never know which adapter is used.

use postwire_server::BodyDeclaration;
use postwire_tls::ServerTls;
use postwire_tls::proto::{
    Body, DeliverBy, Envelope, EnvelopeId, ErrorKind, FutureRelease, MtPriority, Notify,
    OriginalRecipient, Parameter, Return, Stage,
};

use super::{assert_accepted, bob, config_with_all_extensions, envelope, error, message, url};
use crate::Adapter;
use crate::server::Embedded;

/// A required parameter: its extension, its text, and the envelope with it.
type Needed = (&'static str, &'static str, fn(Envelope) -> Envelope);

const NEEDED: [Needed; 4] = [
    ("DSN", "NOTIFY=NEVER", |envelope| {
        envelope.with_parameter_for_all(Notify::NEVER)
    }),
    ("DELIVERBY", "BY=60;R", |envelope| {
        envelope.with_parameter(DeliverBy::or_return(60).unwrap())
    }),
    ("FUTURERELEASE", "HOLDFOR=60", |envelope| {
        envelope.with_parameter(FutureRelease::hold_for(60).unwrap())
    }),
    ("XFOO", "XFOO=bar", |envelope| {
        envelope.with_parameter("XFOO=bar".parse::<Parameter>().unwrap())
    }),
];

/// An envelope with optional parameters, which a server without their extensions does not
/// receive.
fn with_what_may_be_left_out() -> Envelope {
    let original = OriginalRecipient::mailbox(&"b@before.example".parse().unwrap()).unwrap();
    bob()
        .with_parameter(Return::Headers)
        .with_parameter(EnvelopeId::new("QQ 1").unwrap())
        .with_parameter(MtPriority::new(-3).unwrap())
        .with_recipient_parameter(0, original)
        .unwrap()
}

/// A server that accepts every parameter, and one that accepts none.
pub(super) fn parameters(adapter: &dyn Adapter) {
    let accepting = config_with_all_extensions()
        .deliver_by(Some(60))
        .future_release(Some(60))
        .mt_priority(true)
        .extension("XFOO");
    for (extension, text, with) in NEEDED {
        let server = Embedded::start(accepting.clone(), ServerTls::None);
        let client = url("none", server.port()).build().unwrap();
        let envelope = with(with_what_may_be_left_out());
        assert_accepted(&adapter.send(client, &envelope, message().into()));
        let parameters = server.recording().stored.remove(0).parameters;
        let of_mail = parameters.mail.iter();
        let all: Vec<_> = of_mail
            .chain(parameters.recipients.iter().flatten())
            .collect();
        for parameter in [
            "RET=HDRS",
            "ENVID=QQ+201",
            "MT-PRIORITY=-3",
            "ORCPT=rfc822;b@before.example",
            text,
        ] {
            assert!(
                all.iter().any(|given| *given == parameter),
                "{parameter}: {all:?}"
            );
        }

        let server = Embedded::start(config_with_all_extensions().dsn(false), ServerTls::None);
        let client = || url("none", server.port()).build().unwrap();
        let report = adapter.send(client(), &with(bob()), message().into());
        let missing = match error(&report) {
            (Stage::Mail, ErrorKind::ExtensionNotOffered(missing)) => missing,
            (Stage::Mail, ErrorKind::ParameterNotOffered(missing)) => missing.extension(),
            other => panic!("{extension}: {other:?}"),
        };
        assert_eq!(missing, extension);
        let left_out = with_what_may_be_left_out();
        assert_accepted(&adapter.send(client(), &left_out, message().into()));
        let seen = server.recording();
        assert_eq!(seen.stored[0].parameters.recipients, [[""; 0]]);
        let words = String::from_utf8(seen.wire.concat()).unwrap();
        assert_eq!(words.matches("MAIL FROM:").count(), 1, "{words}");
    }
    let server = Embedded::start(
        config_with_all_extensions().future_release(Some(59)),
        ServerTls::None,
    );
    let held = bob().with_parameter(FutureRelease::hold_for(60).unwrap());
    let client = url("none", server.port()).build().unwrap();
    let report = adapter.send(client, &held, message().into());
    assert!(matches!(
        error(&report),
        (Stage::Mail, ErrorKind::BeyondLimit { .. })
    ));
}

/// Parameters that follow from the message itself, with every way to transfer it.
pub(super) fn content(adapter: &dyn Adapter) {
    let beyond_ascii = || envelope(&["j\u{f6}rg@recipient.example"]);
    let binary: &[u8] = b"a\0\xff\r\n";
    for (pipelining, chunking) in [(true, true), (true, false), (false, true), (false, false)] {
        let config = || {
            config_with_all_extensions()
                .pipelining(pipelining)
                .chunking(chunking)
                .size(Some(1_000))
        };
        let server = Embedded::start(config(), ServerTls::None);
        let client = |server: &Embedded| url("none", server.port()).build().unwrap();
        let eight_bit = Body::from(b"Subject: a\r\n\r\n\xfc\r\n".to_vec());
        assert_accepted(&adapter.send(client(&server), &bob(), eight_bit.clone()));
        assert_accepted(&adapter.send(client(&server), &beyond_ascii(), message().into()));
        let report = adapter.send(client(&server), &bob(), binary.to_vec().into());
        if chunking {
            assert_accepted(&report);
            let stored = server.recording().stored.remove(2);
            assert_eq!(
                (stored.body, &stored.content[..]),
                (BodyDeclaration::BinaryMime, binary)
            );
        } else {
            assert_not_offered(error(&report), "BINARYMIME");
        }
        let large = vec![b'x'; 1_001];
        let report = adapter.send(client(&server), &bob(), large.into());
        let (stage, kind) = error(&report);
        assert!(
            matches!(
                (stage, kind),
                (Stage::Mail, ErrorKind::TooLarge { limit: 1_000, .. })
            ),
            "{kind:?}"
        );
        let seen = server.recording();
        assert_eq!(seen.stored[0].body, BodyDeclaration::EightBitMime);
        assert!(!seen.stored[0].smtp_utf8 && seen.stored[1].smtp_utf8);
        let words: Vec<String> = seen
            .wire
            .iter()
            .map(|wire| String::from_utf8_lossy(wire).into_owned())
            .collect();
        let way = if chunking {
            "\r\nBDAT "
        } else {
            "\r\nDATA\r\n"
        };
        assert!(
            words[0].contains(way) && words[0].contains(" SIZE="),
            "{words:?}"
        );
        assert!(!words.last().unwrap().contains("MAIL"), "{words:?}");

        let poor = config()
            .eight_bit_mime(false)
            .binary_mime(false)
            .smtp_utf8(false);
        let server = Embedded::start(poor, ServerTls::None);
        let report = adapter.send(client(&server), &bob(), eight_bit);
        assert_not_offered(error(&report), "8BITMIME");
        let report = adapter.send(client(&server), &beyond_ascii(), message().into());
        assert_not_offered(error(&report), "SMTPUTF8");
        assert!(server.recording().questions.is_empty());
    }
}

fn assert_not_offered((stage, kind): (Stage, &ErrorKind), extension: &str) {
    let is_it = matches!(kind, ErrorKind::ExtensionNotOffered(missing) if *missing == extension);
    assert!(
        stage == Stage::Mail && is_it,
        "{extension}: {stage}, {kind:?}"
    );
}

/// The server declares its limits (LIMITS, RFC 9422) or only enforces them (RFC 5321
/// §4.5.3.1.10): every recipient gets the message.
pub(super) fn limits(adapter: &dyn Adapter) {
    let addresses: Vec<String> = (0..250)
        .map(|n| format!("r{n}@recipient.example"))
        .collect();
    let many = envelope(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let config = || config_with_all_extensions().max_recipients(100);
    for (server, declared) in [(config(), false), (config().declare_limits(true), true)] {
        let server = Embedded::start(server, ServerTls::None);
        let client = url("none", server.port()).build().unwrap();
        assert_accepted(&adapter.send(client, &many, message().into()));
        let seen = server.recording();
        let parts: Vec<usize> = seen
            .stored
            .iter()
            .map(|part| part.recipients.len())
            .collect();
        assert_eq!(parts, [100, 100, 50]);
        let asked = String::from_utf8(seen.wire.concat()).unwrap();
        let asked = asked.matches("RCPT TO:").count();
        assert_eq!(asked == addresses.len(), declared, "{asked}");
    }
    // No more messages per connection than the server accepts.
    let config = config_with_all_extensions()
        .declare_limits(true)
        .max_messages(Some(2));
    let server = Embedded::start(config, ServerTls::None);
    let client = url("none", server.port()).build().unwrap();
    let messages = (0..5).map(|_| (bob(), message().into())).collect();
    let reports = adapter.send_all(client, messages);
    assert_eq!(reports.len(), 5);
    reports.iter().for_each(assert_accepted);
    assert_eq!(server.recording().wire.len(), 3, "connections");
}
