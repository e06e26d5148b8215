//! Which advice follows from which cause: tables, walked.

use std::sync::Arc;

use postwire_blocking::proto::ReplyCode;
use postwire_blocking::tls::rustls;

use super::*;

fn asked() -> RequestedOptions {
    RequestedOptions {
        protocol: Protocol::Smtp,
        mode: Security::Required,
        port: 25,
        authority: false,
        logs_in: false,
        mechanisms: Vec::new(),
        pipelining: true,
    }
}

fn hint(stage: Stage, kind: ErrorKind) -> String {
    let error = Error::new(stage, kind);
    of_error(&error, &asked(), &SessionFacts::default()).unwrap_or_default()
}

fn refused(code: u16, text: &str) -> ErrorKind {
    let code = ReplyCode::new(code).unwrap();
    ErrorKind::Refused(Reply::new(code, None, &[text]))
}

#[test]
fn each_cause_has_its_own_advice() {
    let tls = |error: rustls::CertificateError| {
        let failure = TlsFailure::from(rustls::Error::InvalidCertificate(error));
        ErrorKind::Tls(Arc::new(failure))
    };
    let required = rustls::AlertDescription::CertificateRequired;
    let required = TlsFailure::from(rustls::Error::AlertReceived(required));
    let required = ErrorKind::Tls(Arc::new(required));
    for (stage, kind, words) in [
        (
            Stage::Tls,
            tls(rustls::CertificateError::UnknownIssuer),
            "--ca FILE",
        ),
        (Stage::Tls, tls(rustls::CertificateError::Expired), ""),
        // The error itself advises.
        (Stage::Greeting, ErrorKind::TimedOut, ""),
        (Stage::Connect, ErrorKind::TimedOut, "block port 25"),
        (Stage::Mail, ErrorKind::TimedOut, ""),
        (
            Stage::Mail,
            refused(550, "your HELO name does not match"),
            "--hello",
        ),
        (
            Stage::Ehlo,
            refused(550, "Helo?"),
            "set the name with --hello NAME",
        ),
        (Stage::Mail, refused(503, "say EHLO first"), ""),
        (Stage::Rcpt, refused(550, "no host name found"), ""),
        (Stage::Ehlo, refused(550, "no"), ""),
        (
            Stage::Ehlo,
            refused(550, "invalid host name"),
            "set the name with --hello NAME",
        ),
        (Stage::Ehlo, refused(501, "no"), "--hello NAME"),
        (Stage::Ehlo, refused(504, "no"), "--hello NAME"),
        (Stage::Ehlo, refused(500, "what?"), "lmtp://"),
        (Stage::Ehlo, refused(500, "say LHLO"), "speaks LMTP"),
        (
            Stage::Tls,
            tls(rustls::CertificateError::InvalidPurpose),
            "server authentication",
        ),
        (Stage::Tls, required, "--client-cert"),
        (Stage::Mail, refused(530, "log in"), "--user"),
        (Stage::Body, refused(502, "what?"), "--chunking off"),
        (Stage::Rcpt, refused(450, "later"), "later"),
        (Stage::Rcpt, refused(550, "no"), ""),
    ] {
        let shown = format!("{stage} {kind:?}");
        let hint = hint(stage, kind);
        assert!(hint.contains(words), "{shown}: {hint:?}");
        assert_eq!(hint.is_empty(), words.is_empty(), "{shown}: {hint:?}");
    }
    let authority = RequestedOptions {
        authority: true,
        ..asked()
    };
    let error = Error::new(Stage::Tls, tls(rustls::CertificateError::UnknownIssuer));
    let hint = of_error(&error, &authority, &SessionFacts::default()).unwrap();
    assert!(!hint.contains("--ca FILE"), "{hint}");
}

#[test]
fn every_other_kind_has_advice_or_none() {
    use ErrorKind as Kind;
    use postwire_blocking::proto::{SaslError, Unsendable, Violation};

    let foreign = || Arc::new(std::io::Error::other("hm"));
    let reply = |code| Reply::new(ReplyCode::new(code).unwrap(), None, &["hm"]);
    let no_mechanism = |withheld, not_allowed| Kind::NoUsableMechanism {
        offered: String::new(),
        withheld,
        not_allowed,
    };
    let too_large = Kind::TooLarge {
        octets: 2,
        limit: 1,
    };
    let beyond = Kind::BeyondLimit {
        limit: "RCPTMAX",
        wanted: 2,
        allowed: 1,
    };
    let long = Unsendable::LineTooLong {
        octets: 2_000,
        limit: 998,
    };
    for (stage, kind, words) in [
        (Stage::Auth, refused(535, "no"), ""),
        (Stage::Auth, refused(534, "no"), ""),
        (Stage::Auth, refused(432, "no"), "later"),
        (Stage::StartTls, refused(502, "no"), ""),
        (Stage::StartTls, Kind::StartTlsNotOffered, "smtps://"),
        (Stage::Tls, Kind::Tls(foreign()), ""),
        (Stage::Auth, no_mechanism(false, Vec::new()), ""),
        (Stage::Auth, no_mechanism(true, Vec::new()), "use TLS"),
        (
            Stage::Auth,
            no_mechanism(true, vec![Mechanism::XOAUTH2]),
            "allow the mechanism with --auth XOAUTH2",
        ),
        (Stage::Auth, Kind::Sasl(SaslError::WrongNonce), ""),
        (Stage::Auth, Kind::Credentials(foreign()), ""),
        (
            Stage::Mail,
            Kind::ExtensionNotOffered("8BITMIME"),
            "--allow-8bit",
        ),
        (Stage::Mail, Kind::ExtensionNotOffered("SMTPUTF8"), ""),
        (
            Stage::Mail,
            Kind::ParameterNotOffered("X=1".parse().unwrap()),
            "",
        ),
        (Stage::Mail, Kind::VerifiedTlsRequired, ""),
        (Stage::Mail, beyond, ""),
        (Stage::Mail, too_large, ""),
        (Stage::Mail, Kind::Unsendable(long), "--line-ends"),
        (Stage::Body, Kind::Source(foreign()), ""),
        (
            Stage::Auth,
            Kind::Violation(Violation::UnexpectedChallenge),
            "",
        ),
        (Stage::Mail, Kind::EndedByServer(reply(221)), ""),
        (Stage::Mail, Kind::ResetRefused(reply(502)), ""),
        (Stage::Mail, Kind::OutOfSequence(reply(503)), ""),
        (Stage::Mail, Kind::ConnectionClosed, ""),
        (Stage::Mail, Kind::Transport(foreign()), ""),
        (Stage::Mail, Kind::Aborted, ""),
        (Stage::Mail, Kind::SessionOver, ""),
        (Stage::Mail, Kind::SessionFull, ""),
        (Stage::Mail, Kind::ShutDown, ""),
    ] {
        let shown = format!("{stage} {kind:?}");
        let hint = hint(stage, kind);
        assert!(hint.contains(words), "{shown}: {hint:?}");
        assert_eq!(hint.is_empty(), words.is_empty(), "{shown}: {hint:?}");
    }
}

#[test]
fn the_other_protocol_is_named() {
    let greeting = Reply::new(ReplyCode::new(220).unwrap(), None, &["mx LMTP ready"]);
    let facts = SessionFacts {
        greeting: Some(greeting),
        ..SessionFacts::default()
    };
    let error = Error::new(Stage::Ehlo, refused(502, "what?"));
    let hint = of_error(&error, &asked(), &facts).unwrap();
    assert!(hint.contains("speaks LMTP: use lmtp://"), "{hint}");
    let asked = RequestedOptions {
        protocol: Protocol::Lmtp,
        ..asked()
    };
    let hint = of_error(&error, &asked, &SessionFacts::default()).unwrap();
    assert!(hint.contains("speaks SMTP: use smtp://"), "{hint}");
}

#[test]
fn port_465_has_a_hint_before_connecting() {
    let at = |mode, port| {
        beforehand(&RequestedOptions {
            mode,
            port,
            ..asked()
        })
    };
    assert!(at(Security::Required, 465).is_some());
    assert!(at(Security::Wrapper, 465).is_none());
    assert!(at(Security::Required, 587).is_none());
}
