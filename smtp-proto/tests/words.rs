//! What logs, metrics and users read: the names that must not change between versions, and the
//! description of each mistake in an address or a command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::sync::Arc;

use postwire_proto::{
    Address, CapabilitiesError, Command, Disposition, Envelope, EnvelopeId, Error, ErrorKind, Flaw,
    HelloName, Mechanism, Misuse, MtPriority, Notify, Outcome, Parameter, Pipelining,
    RecipientReport, RecipientStatus, Reply, ReplyCode, Report, SaslError, Security, Stage,
    TransactionId, Unsendable, Violation,
};

fn reply(code: u16, text: &str) -> Reply {
    Reply::new(ReplyCode::new(code).unwrap(), None, &[text])
}

fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|r| r.parse().unwrap()).collect();
    Envelope::new(Some("alice@sender.example".parse().unwrap()), recipients).unwrap()
}

#[test]
fn each_mode_is_read_from_its_own_name() {
    for (mode, name) in [
        (Security::None, "none"),
        (Security::Opportunistic, "opportunistic"),
        (Security::Required, "required"),
        (Security::Wrapper, "wrapper"),
    ] {
        assert_eq!(mode.to_string(), name);
        assert_eq!(name.parse(), Ok(mode));
    }
    for unknown in ["", "None", "REQUIRED", "starttls", "required "] {
        let refused = unknown.parse::<Security>().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the TLS mode must be none, opportunistic, required or wrapper",
            "{unknown:?}"
        );
    }
}

/// Each kind with the name and the disposition that it has during `MAIL`.
fn kinds() -> Vec<(ErrorKind, &'static str, Disposition)> {
    use Disposition::{Fix, PeerBroken, Permanent, RetryAtOnce, RetryLater, ShutDown};
    let source = || -> Arc<dyn std::error::Error + Send + Sync> {
        Arc::new(std::io::Error::other("a cause"))
    };
    let no_mechanism = ErrorKind::NoUsableMechanism {
        offered: String::new(),
        withheld: false,
        not_allowed: Vec::new(),
    };
    let limit = ErrorKind::BeyondLimit {
        limit: "RCPTMAX",
        wanted: 3,
        allowed: 2,
    };
    let too_large = ErrorKind::TooLarge {
        octets: 11,
        limit: 10,
    };
    let parameter = ErrorKind::ParameterNotOffered("XID=7".parse().unwrap());
    vec![
        (
            ErrorKind::Refused(reply(450, "later")),
            "refused",
            RetryLater,
        ),
        (
            ErrorKind::Refused(reply(550, "never")),
            "refused",
            Permanent,
        ),
        (
            ErrorKind::EndedByServer(reply(221, "bye")),
            "ended_by_server",
            RetryAtOnce,
        ),
        (
            ErrorKind::ResetRefused(reply(500, "no")),
            "reset_refused",
            RetryAtOnce,
        ),
        (
            ErrorKind::OutOfSequence(reply(503, "no")),
            "out_of_sequence",
            RetryAtOnce,
        ),
        (
            ErrorKind::Violation(Violation::UnexpectedChallenge),
            "violation",
            PeerBroken,
        ),
        (
            ErrorKind::ConnectionClosed,
            "connection_closed",
            RetryAtOnce,
        ),
        (ErrorKind::Transport(source()), "transport", RetryAtOnce),
        (ErrorKind::TimedOut, "timed_out", RetryLater),
        (
            ErrorKind::StartTlsNotOffered,
            "starttls_not_offered",
            Fix(Flaw::Tls),
        ),
        (ErrorKind::Tls(source()), "tls", Fix(Flaw::Tls)),
        (no_mechanism, "no_usable_mechanism", Fix(Flaw::Mechanism)),
        (
            ErrorKind::Sasl(SaslError::InvalidChallenge),
            "sasl",
            PeerBroken,
        ),
        (
            ErrorKind::Credentials(source()),
            "credentials",
            Fix(Flaw::CredentialsSource),
        ),
        (
            ErrorKind::ExtensionNotOffered("SMTPUTF8"),
            "extension_not_offered",
            Fix(Flaw::Requirement),
        ),
        (parameter, "parameter_not_offered", Fix(Flaw::Requirement)),
        (
            ErrorKind::VerifiedTlsRequired,
            "verified_tls_required",
            Fix(Flaw::Unprotected),
        ),
        (limit, "beyond_limit", Fix(Flaw::Requirement)),
        (too_large, "too_large", Fix(Flaw::Requirement)),
        (
            ErrorKind::Unsendable(Unsendable::LineTooLong {
                octets: 1001,
                limit: 998,
            }),
            "unsendable",
            Fix(Flaw::Content),
        ),
        (ErrorKind::Source(source()), "source", Fix(Flaw::Source)),
        (ErrorKind::Aborted, "aborted", RetryAtOnce),
        (ErrorKind::SessionOver, "session_over", RetryAtOnce),
        (ErrorKind::SessionFull, "session_full", RetryAtOnce),
        (ErrorKind::ShutDown, "shut_down", ShutDown),
    ]
}

#[test]
fn each_kind_of_error_has_a_name_and_says_what_to_do() {
    for (kind, name, disposition) in kinds() {
        assert_eq!(kind.as_str(), name);
        assert_eq!(kind, kind.clone());
        let error = Error::new(Stage::Mail, kind);
        assert_eq!(error.disposition(), disposition, "{name}");
        assert!(error.to_string().len() > 10, "{name}: {error}");
    }
    // A kind equals no other kind.
    let all = kinds();
    for (index, (one, ..)) in all.iter().enumerate() {
        for (other_index, (other, ..)) in all.iter().enumerate() {
            assert_eq!(one == other, index == other_index, "{one:?}, {other:?}");
        }
    }
}

#[test]
fn names_are_unique_and_safe_for_a_log() {
    use Disposition::{Fix, PeerBroken, Permanent, RetryAtOnce, RetryLater, ShutDown};
    let flaws = [
        Flaw::Content,
        Flaw::Source,
        Flaw::Requirement,
        Flaw::HelloName,
        Flaw::CredentialsSource,
        Flaw::Login,
        Flaw::Mechanism,
        Flaw::Unprotected,
        Flaw::Tls,
    ];
    let dispositions = [
        RetryLater,
        RetryAtOnce,
        ShutDown,
        Fix(Flaw::Tls),
        Permanent,
        PeerBroken,
    ];
    for (names, expected) in [
        (flaws.map(Flaw::as_str).to_vec(), flaws.len()),
        (
            dispositions.map(Disposition::as_str).to_vec(),
            dispositions.len(),
        ),
    ] {
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), expected, "{names:?}");
        let is_snake_case = |name: &&str| name.bytes().all(|o| o == b'_' || o.is_ascii_lowercase());
        assert!(names.iter().all(is_snake_case), "{names:?}");
    }
}

#[test]
fn a_mistake_in_an_address_is_described() {
    let long = "x".repeat(65);
    let labels = |count: usize| vec!["a".repeat(60); count].join(".");
    for (text, description) in [
        ("@b.example".to_owned(), "nothing stands before the @"),
        ("alice".to_owned(), "there is no @ after the local part"),
        ("alice@".to_owned(), "the domain is missing"),
        (
            format!("{long}@b.example"),
            "the local part is longer than 64 octets",
        ),
        (
            format!("a@{}", labels(5)),
            "the domain is longer than 255 octets",
        ),
        (
            format!("{}@{}", "x".repeat(60), labels(4)),
            "the address is longer than 254 octets",
        ),
        (
            "al ice@b.example".to_owned(),
            "the character at position 2 is not allowed there",
        ),
        (
            "a..b@c.example".to_owned(),
            "the local part has a misplaced dot near position 2",
        ),
        ("\"ab".to_owned(), "the quoted local part does not end"),
        (
            "a@b..example".to_owned(),
            "the domain has an empty label at position 4",
        ),
        (
            format!("a@{}.example", "y".repeat(64)),
            "the label at position 2 is longer than 63 characters",
        ),
        (
            "a@-b.example".to_owned(),
            "a label starts or ends with the hyphen at position 2",
        ),
        (
            "a@[1.2.3]".to_owned(),
            "the address literal at position 2 is not valid",
        ),
    ] {
        let refused = text.parse::<Address>().unwrap_err();
        assert_eq!(refused.to_string(), description, "{text}");
    }
    let refused = "h\u{f6}st".parse::<HelloName>().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the character at position 1 is not ASCII"
    );
}

#[test]
fn a_mistake_in_a_command_is_described() {
    for (refused, description) in [
        (
            Command::raw(" NOOP"),
            "a command must begin with a word of ASCII letters and digits",
        ),
        (Command::vrfy(""), "the command needs an argument"),
        (
            Command::raw("XFOO a\r\nMAIL"),
            "the character at position 6 is not allowed in a command",
        ),
        (
            Command::raw(format!("XFOO {}", "a".repeat(600))),
            "the command has 607 octets; at most 512 are allowed",
        ),
    ] {
        assert_eq!(refused.unwrap_err().to_string(), description);
    }
    for verb in ["MAIL", "data", "Rset", "QUIT", "STARTTLS", "auth", "BDAT 3"] {
        let refused = Command::raw(verb).unwrap_err().to_string();
        assert!(
            refused.contains("cannot be sent as a separate command: "),
            "{verb}: {refused}"
        );
    }
}

/// What the other errors say, and that an error that shows another one continues its chain.
#[test]
fn each_other_mistake_is_described() {
    let parameter = |text: &str| text.parse::<Parameter>().unwrap_err();
    for (refused, description) in [
        (
            parameter("-X"),
            "a keyword must consist of letters, digits and hyphens and must not begin with a hyphen",
        ),
        (
            parameter("X="),
            "a value must consist of printable ASCII characters other than a space and \"=\"",
        ),
        (
            parameter("SIZE=1"),
            "size, body and smtputf8 follow from the message and cannot be given as parameters",
        ),
        (
            MtPriority::new(10).unwrap_err(),
            "not a priority from -9 to 9",
        ),
        (
            EnvelopeId::new(&"x".repeat(101)).unwrap_err(),
            "the value is longer than 100 octets",
        ),
    ] {
        assert_eq!(refused.to_string(), description);
    }
    let nobody = Envelope::new(None, Vec::new()).unwrap_err();
    assert_eq!(nobody.to_string(), "the envelope has no recipients");
    let second = envelope(&["bob@b.example"]).with_recipient_parameter(1, Notify::NEVER);
    assert_eq!(
        second.unwrap_err().to_string(),
        "the envelope has no recipient at position 1"
    );
    let unknown = "NTLM".parse::<Mechanism>().unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "the authentication mechanism is not supported"
    );
    for (misuse, description) in [
        (
            Misuse::NoSuchTransaction,
            "there is no such transaction, or it has ended",
        ),
        (
            Misuse::NotStreaming,
            "this message's body is not a stream, or has ended",
        ),
        (Misuse::NoHandshake, "no TLS handshake was asked for"),
        (Misuse::NoCredentialsWanted, "no credentials were asked for"),
    ] {
        assert_eq!(misuse.to_string(), description);
    }
    let many = CapabilitiesError::TooMany { limit: 128 };
    assert_eq!(
        many.to_string(),
        "the server lists more than 128 capabilities"
    );
    let names = [Pipelining::Off, Pipelining::Careful, Pipelining::Bold];
    assert_eq!(
        names.map(|name| name.to_string()),
        ["off", "careful", "bold"]
    );
}

#[test]
fn the_cause_of_a_cause_is_kept() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the store is closed")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let outer = || Arc::new(Outer(std::io::Error::other("the disk is gone")));
    for kind in [
        ErrorKind::Transport(outer()),
        ErrorKind::Tls(outer()),
        ErrorKind::Credentials(outer()),
        ErrorKind::Source(outer()),
    ] {
        let error = Error::new(Stage::Body, kind);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the disk is gone");
        // The error of a send shows that of the session, too.
        let not_sent = Report::not_sent(&envelope(&["bob@b.example"]), error);
        let error = not_sent.into_result().unwrap_err();
        assert!(error.to_string().starts_with("not sent"), "{error}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the disk is gone");
    }
    let closed = Error::new(Stage::Body, ErrorKind::ConnectionClosed);
    assert!(std::error::Error::source(&closed).is_none());
}

/// A report about recipients with these statuses, in this order.
fn report(outcome: Outcome, statuses: &[RecipientStatus]) -> Report {
    let recipients = statuses.iter().enumerate().map(|(number, status)| {
        let address = format!("r{number}@b.example").parse().unwrap();
        RecipientReport::new(address, *status, None)
    });
    Report::new(TransactionId::default(), outcome, recipients.collect())
}

#[test]
fn only_recipients_who_were_not_asked_for_are_left_for_another_session() {
    use RecipientStatus::{Accepted, InDoubt, NotSent, Refused};
    let statuses = [Accepted, NotSent, Refused, NotSent, InDoubt];
    let accepted = Outcome::Accepted(reply(250, "ok"));
    assert_eq!(
        report(accepted, &statuses).left_for_another_session(),
        [1, 3]
    );
    let rejected = |stage| Outcome::Rejected {
        stage,
        reply: reply(550, "no"),
    };
    assert_eq!(
        report(rejected(Stage::Rcpt), &[Refused, NotSent]).left_for_another_session(),
        [1]
    );
    // The server refused the message itself, or the sender.
    for stage in [Stage::Mail, Stage::Data, Stage::Body] {
        let refused = report(rejected(stage), &[NotSent, NotSent]);
        assert!(refused.left_for_another_session().is_empty(), "{stage:?}");
    }
    let lost = Error::new(Stage::Mail, ErrorKind::ConnectionClosed);
    let not_sent = report(Outcome::NotSent(lost), &[NotSent, NotSent]);
    assert!(not_sent.left_for_another_session().is_empty());
}

#[test]
fn a_partial_result_names_who_did_not_get_the_message() {
    let names: Vec<String> = (0..8)
        .map(|number| format!("r{number}@b.example"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ok = Report::accepted(&envelope(&names), reply(250, "queued"));
    assert_eq!(ok.reply().map(|reply| reply.code().get()), Some(250));
    assert!(ok.clone().into_result().is_ok());

    use RecipientStatus::{Accepted, InDoubt, NotSent};
    let statuses = [
        Accepted, NotSent, InDoubt, NotSent, NotSent, NotSent, NotSent, Accepted,
    ];
    let partial = report(Outcome::Accepted(reply(250, "queued")), &statuses);
    let error = partial.clone().into_result().unwrap_err();
    assert_eq!(
        error.to_string(),
        "accepted, but not for r1@b.example: not sent; r2@b.example: in doubt; \
         r3@b.example: not sent; r4@b.example: not sent; r5@b.example: not sent; and 1 more"
    );
    assert_eq!(error.into_report(), partial);
}
