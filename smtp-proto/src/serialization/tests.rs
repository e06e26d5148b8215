//! What is written, and what is read again or refused.

use alloc::string::{String, ToString as _};
use alloc::vec;

use serde_json::{Value, json};

use crate::{
    Address, ClientConfig, Credentials, DeliverBy, Envelope, EnvelopeId, Error, ErrorKind,
    FutureRelease, HelloName, Limits, Mechanism, MtPriority, Notify, OriginalRecipient, Parameter,
    Pipelining, Recipients, Report, RequireTls, Return, Security, Stage, Timeouts,
};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn envelope() -> Envelope {
    let recipients = vec![address("bob@example.net"), address("\u{fc}@example.net")];
    Envelope::new(Some(address("alice@example.org")), recipients).unwrap()
}

#[test]
fn envelopes_in_both_directions() {
    let soliciting: Parameter = "SOLICIT=org.example:ADV".parse().unwrap();
    let lookalike: Parameter = "RET=FULL".parse().unwrap();
    let with_value: Parameter = "REQUIRETLS=yes".parse().unwrap();
    for (envelope, written) in [
        (
            envelope(),
            json!({
                "reverse_path": "alice@example.org",
                "forward_paths": ["bob@example.net", "\u{fc}@example.net"],
                "recipients": "any",
            }),
        ),
        (
            Envelope::new(None, vec![address("bob@example.net")])
                .unwrap()
                .with_recipients(Recipients::All)
                .with_parameter(Return::Headers),
            json!({
                "reverse_path": null,
                "forward_paths": ["bob@example.net"],
                "recipients": "all",
                "parameters": [{"text": "RET=HDRS", "extension": "DSN", "optional": true}],
            }),
        ),
    ] {
        assert_eq!(serde_json::to_value(&envelope).unwrap(), written);
        assert_eq!(
            serde_json::from_value::<Envelope>(written).unwrap(),
            envelope
        );
    }
    let rich = envelope()
        .with_parameter(Return::Full)
        .with_parameter(EnvelopeId::new("a + b=").unwrap())
        .with_parameter(DeliverBy::or_notify(-5).unwrap())
        .with_parameter(FutureRelease::hold_for(60).unwrap())
        .with_parameter(MtPriority::new(-3).unwrap())
        .with_parameter(RequireTls)
        .with_parameter(
            soliciting
                .with_extension("NO-SOLICITING")
                .unwrap()
                .optional(),
        )
        .with_parameter_for_all(Notify::FAILURE | Notify::DELAY)
        .with_recipient_parameter(1, Notify::NEVER)
        .unwrap()
        .with_recipient_parameter(1, OriginalRecipient::mailbox(&address("c@d")).unwrap())
        .unwrap();
    let raw = [lookalike, with_value].map(|raw| envelope().with_parameter(raw));
    for envelope in raw.into_iter().chain([rich]) {
        let written = serde_json::to_string(&envelope).unwrap();
        assert_eq!(
            serde_json::from_str::<Envelope>(&written).unwrap(),
            envelope
        );
    }
}

#[test]
fn nothing_is_read_that_could_not_be_built() {
    let hostile = "bob@example.net>\r\nRCPT TO:<eve@example.net";
    for text in [hostile, "bob@example.net\r\n", "bob", "", "a b@example.net"] {
        let error = serde_json::from_value::<Address>(json!(text)).unwrap_err();
        assert!(!error.to_string().contains("eve"), "{error}");
    }
    let good = || serde_json::to_value(envelope()).unwrap();
    let with = |key: &str, value: Value| {
        let mut envelope = good();
        envelope[key] = value;
        envelope
    };
    let without_sender = json!({"forward_paths": ["bob@example.net"]});
    let injected = json!([{"text": "X=1\r\nDATA", "extension": "X", "optional": true}]);
    let reserved = json!([{"text": "SIZE=1", "extension": "SIZE", "optional": true}]);
    let wrong_value = json!([{"text": "RET=SOME THING", "extension": "DSN", "optional": true}]);
    let of_extension = |text: &str, extension: &str| {
        let parameter = json!({"text": text, "extension": extension, "optional": true});
        with("parameters", json!([parameter]))
    };
    for (text, extension) in [
        ("RET=HALF", "DSN"),
        ("ENVID=+zz", "DSN"),
        ("BY=5;X", "DELIVERBY"),
        ("HOLDFOR=0", "FUTURERELEASE"),
        ("HOLDUNTIL=tomorrow", "FUTURERELEASE"),
        ("MT-PRIORITY=10", "MT-PRIORITY"),
    ] {
        let envelope = of_extension(text, extension);
        assert!(
            serde_json::from_value::<Envelope>(envelope).is_err(),
            "{text}"
        );
    }
    for text in ["NOTIFY=SOMETIMES", "ORCPT=nobody"] {
        let parameter = json!({"text": text, "extension": "DSN", "optional": true});
        let recipients = json!([{"recipient": 0, "parameter": parameter}]);
        let envelope = with("recipient_parameters", recipients);
        assert!(
            serde_json::from_value::<Envelope>(envelope).is_err(),
            "{text}"
        );
    }
    let nobody = json!([{
        "recipient": 2,
        "parameter": {"text": "NOTIFY=NEVER", "extension": "DSN", "optional": false},
    }]);
    for envelope in [
        with("reverse_path", json!(hostile)),
        with("forward_paths", json!([hostile])),
        with("forward_paths", json!([])),
        with("recipients", json!("most")),
        with("parameters", injected),
        with("parameters", reserved),
        with("parameters", wrong_value),
        with("recipient_parameters", nobody),
        with("bcc", json!([])),
        without_sender,
    ] {
        assert!(
            serde_json::from_value::<Envelope>(envelope.clone()).is_err(),
            "{envelope}"
        );
    }
    assert!(serde_json::from_value::<HelloName>(json!("a\r\nb")).is_err());
    assert!(serde_json::from_value::<Mechanism>(json!("NONE")).is_err());
}

#[test]
fn reports() {
    let reply = "550 5.1.1 no such user".parse().unwrap();
    let report = Report::rejected(&envelope(), Stage::Rcpt, reply);
    let reply = json!({"code": 550, "enhanced": "5.1.1", "text": ["no such user"]});
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({
            "transaction": 0,
            "outcome": "rejected",
            "partial": false,
            "retry": "never",
            "stage": "rcpt",
            "reply": reply,
            "error": null,
            "recipients": [
                {"address": "bob@example.net", "status": "refused", "reply": reply},
                {"address": "\u{fc}@example.net", "status": "refused", "reply": reply},
            ],
        })
    );
    assert_eq!(
        serde_json::to_value(report.outcome()).unwrap(),
        json!({"outcome": "rejected", "stage": "rcpt", "reply": reply})
    );

    // The error alone would say `retry_at_once`, but the message may have arrived.
    let lost = Error::new(Stage::Body, ErrorKind::ConnectionClosed);
    let written = serde_json::to_value(Report::in_doubt(&envelope(), lost)).unwrap();
    assert_eq!(written["retry"], "in_doubt");
    assert_eq!(written["error"]["disposition"], "retry_at_once");

    let refused = "535 5.7.8 no".parse().unwrap();
    let error = Error::new(Stage::Auth, ErrorKind::Refused(refused));
    let report = Report::not_sent(&envelope(), error);
    let written = serde_json::to_value(&report).unwrap();
    assert_eq!(written["outcome"], "not_sent");
    assert_eq!(written["recipients"][0]["status"], "not_sent");
    assert_eq!(
        written["error"],
        json!({
            "stage": "auth",
            "kind": "refused",
            "disposition": "fix",
            "flaw": "login",
            "reply": {"code": 535, "enhanced": "5.7.8", "text": ["no"]},
            "text": "auth: the server refused: 535 5.7.8 no",
        })
    );
}

/// The name of a kind is that of its variant.
#[test]
fn kinds_are_called_as_their_variants() {
    for (kind, name) in [
        (ErrorKind::TimedOut, "timed_out"),
        (ErrorKind::StartTlsNotOffered, "starttls_not_offered"),
        (
            ErrorKind::ExtensionNotOffered("DSN"),
            "extension_not_offered",
        ),
        (ErrorKind::SessionFull, "session_full"),
    ] {
        assert_eq!(serde_json::to_value(&kind).unwrap(), name);
    }
}

#[test]
fn the_configuration() {
    let config = ClientConfig::new(HelloName::localhost(), Security::Required)
        .credentials(Credentials::new("alice", "correct horse"))
        .mechanisms(vec![Mechanism::PLAIN])
        .pipelining(Pipelining::Bold);
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(written["hello_name"], "[127.0.0.1]");
    assert_eq!(written["security"], "required");
    assert_eq!(written["mechanisms"], json!(["PLAIN"]));
    assert_eq!(written["timeouts"]["greeting"], 300);
    assert_eq!(written["timeouts"]["overall"], Value::Null);
    let text: String = written.to_string();
    assert!(!text.contains("alice") && !text.contains("horse"), "{text}");

    let written = serde_json::to_string(&Limits::default()).unwrap();
    assert_eq!(
        serde_json::from_str::<Limits>(&written).unwrap(),
        Limits::default()
    );
    let interactive = Timeouts::interactive();
    let written = serde_json::to_string(&interactive).unwrap();
    assert_eq!(
        serde_json::from_str::<Timeouts>(&written).unwrap(),
        interactive
    );
    let some: Timeouts = serde_json::from_str(r#"{"quit": 1.25}"#).unwrap();
    assert_eq!(some.quit, core::time::Duration::from_millis(1_250));
    assert_eq!(some.connect, Timeouts::default().connect);
    for wrong in [r#"{"quits": 1}"#, r#"{"quit": -1}"#, r#"{"quit": "1"}"#] {
        assert!(serde_json::from_str::<Timeouts>(wrong).is_err(), "{wrong}");
    }
}
