//! What the user may want to do about a failure: a table from what has to change ([`Flaw`]) to
//! advice, in terms of this command's options.
//!
//! Knows what was asked for and what the session was like. Must never decide anything.

use postwire_blocking::proto::{
    Capabilities, Disposition, Error, ErrorKind, Flaw, Mechanism, Outcome, Protocol, Reply, Report,
    Security, Stage, Violation,
};
use postwire_blocking::tls::{TlsFailure, TlsFailureKind};
use postwire_blocking::transport::ConnectError;

/// What the command was told, as far as advice depends on it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    pub(crate) mode: Security,
    pub(crate) port: u16,
    /// `--ca` was given.
    pub(crate) authority: bool,
    pub(crate) logs_in: bool,
    /// What was given with `--auth`.
    pub(crate) mechanisms: Vec<String>,
    pub(crate) pipelining: bool,
}

/// What the session turned out to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen<'a> {
    pub(crate) tls: bool,
    pub(crate) greeting: Option<&'a Reply>,
    pub(crate) capabilities: Option<&'a Capabilities>,
}

impl Seen<'_> {
    fn starttls_was_left_out(self) -> bool {
        !self.tls && self.capabilities.is_some_and(Capabilities::starttls)
    }

    fn greets_as_lmtp(self) -> bool {
        let greeting = self.greeting.map(Reply::to_string);
        greeting.is_some_and(|greeting| greeting.to_ascii_uppercase().contains("LMTP"))
    }

    fn pipelining(self) -> bool {
        self.capabilities.is_some_and(Capabilities::pipelining)
    }
}

/// Before anything is connected.
pub(crate) fn beforehand(asked: &Asked) -> Option<&'static str> {
    let starttls_on_465 = asked.port == 465 && asked.mode != Security::Wrapper;
    starttls_on_465.then_some("port 465 is for TLS from the first octet: smtps://, not smtp://")
}

/// What is worth knowing of a session that messages can go over.
pub(crate) fn of_session(asked: &Asked, seen: Seen<'_>) -> Option<&'static str> {
    let went_on = asked.mode == Security::Opportunistic && seen.starttls_was_left_out();
    went_on.then_some("the server refused STARTTLS; the session goes on in plaintext")
}

/// For a message that was not simply accepted.
pub(crate) fn of_report(report: &Report, asked: &Asked, seen: Seen<'_>) -> Option<String> {
    match report.outcome() {
        Outcome::NotSent(error) => of_error(error, asked, seen),
        Outcome::Rejected { stage, reply } => of_refusal(*stage, reply, asked, seen),
        Outcome::InDoubt(error) => Some(match of_time(error, asked, seen) {
            Some(more) => format!("{LOOK_FIRST}; {more}"),
            None => LOOK_FIRST.to_owned(),
        }),
        Outcome::Accepted(_) => None,
    }
}

const LOOK_FIRST: &str = "look for it at the recipient before sending it again";

/// For a session that failed.
pub(crate) fn of_error(error: &Error, asked: &Asked, seen: Seen<'_>) -> Option<String> {
    let stage = error.stage();
    match (error.flaw(), error.kind()) {
        (Some(Flaw::HelloName), _) => Some("that is --hello NAME".to_owned()),
        (Some(Flaw::Login), ErrorKind::Refused(reply)) if is_wrong_login(reply) => {
            of_login(error.mechanism()).map(str::to_owned)
        }
        (_, ErrorKind::Refused(reply)) => of_refusal(stage, reply, asked, seen),
        (Some(flaw), kind) => of_flaw(flaw, kind, asked),
        (None, kind) => match (error.disposition(), kind) {
            (Disposition::PeerBroken, ErrorKind::Violation(Violation::Reply(_)))
                if speaks_tls(error) =>
            {
                Some("this port speaks TLS from the first octet: smtps://".to_owned())
            }
            (_, ErrorKind::Transport(cause)) => {
                let cause: &ConnectError = cause.downcast_ref()?;
                of_connecting(cause.is_timeout(), asked)
            }
            (_, ErrorKind::TimedOut) if stage == Stage::Connect => of_connecting(true, asked),
            (_, ErrorKind::TimedOut) => of_time(error, asked, seen),
            _ => None,
        },
    }
}

/// For what has to change before another attempt.
fn of_flaw(flaw: Flaw, kind: &ErrorKind, asked: &Asked) -> Option<String> {
    match (flaw, kind) {
        (Flaw::Tls, ErrorKind::Tls(cause)) => {
            of_tls(cause.downcast_ref()?, asked).map(str::to_owned)
        }
        (Flaw::Tls, ErrorKind::StartTlsNotOffered) => Some(
            "use smtps:// if the server has a port for that; a trusted local server can be \
             reached in plaintext with ?tls=none"
                .to_owned(),
        ),
        (
            Flaw::Mechanism,
            ErrorKind::NoUsableMechanism {
                withheld, unasked, ..
            },
        ) => of_mechanisms(*withheld, unasked, asked),
        (Flaw::Requirement, ErrorKind::ExtensionNotOffered("8BITMIME")) => {
            Some("a test server often takes it all the same: --allow-8bit".to_owned())
        }
        (Flaw::Content, _) => Some("nothing was sent; see --line-ends and --max-line".to_owned()),
        _ => None,
    }
}

/// Where no mechanism can be used: `withheld` if one would reveal the password in plaintext;
/// `unasked` are offered and have to be asked for.
fn of_mechanisms(withheld: bool, unasked: &[Mechanism], asked: &Asked) -> Option<String> {
    let options: Vec<String> = unasked
        .iter()
        .map(|mechanism| format!("--auth {mechanism}"))
        .collect();
    if withheld && !asked.mechanisms.is_empty() {
        let names = asked.mechanisms.join(", ");
        let others = options.iter().map(|option| format!(", or {option}"));
        let others = others.collect::<String>();
        Some(format!(
            "--auth names {names} only; a password is not sent in plaintext: use TLS, or \
             --allow-plaintext-auth{others}"
        ))
    } else if !options.is_empty() {
        Some(options.join(" or "))
    } else {
        withheld.then(|| {
            "use TLS (smtps://, or ?tls=required), or --allow-plaintext-auth on a network that \
             nobody listens to"
                .to_owned()
        })
    }
}

/// RFC 4954 §6.
fn is_wrong_login(reply: &Reply) -> bool {
    let enhanced = reply.enhanced().map(|enhanced| enhanced.to_string());
    reply.code().get() == 535 && enhanced.is_none_or(|enhanced| enhanced == "5.7.8")
}

fn of_login(mechanism: Option<Mechanism>) -> Option<&'static str> {
    let mechanism = mechanism?;
    let is_one_of = |others: [Mechanism; 2]| others.contains(&mechanism);
    if is_one_of([Mechanism::EXTERNAL, Mechanism::ANONYMOUS]) {
        None
    } else if is_one_of([Mechanism::OAUTHBEARER, Mechanism::XOAUTH2]) {
        Some("the token is wrong or has expired, most likely")
    } else {
        Some("the user name or the password is wrong, most likely")
    }
}

/// An alert or a handshake, where a greeting was due.
fn speaks_tls(error: &Error) -> bool {
    let quote = error.quote().unwrap_or_default();
    quote.starts_with("\\x15\\x03") || quote.starts_with("\\x16\\x03")
}

fn of_connecting(timed_out: bool, asked: &Asked) -> Option<String> {
    (timed_out && asked.port == 25).then(|| {
        "many networks block port 25: to send by a provider's server use its port 587 \
         (smtp://HOST:587) or 465 (smtps://HOST)"
            .to_owned()
    })
}

fn of_time(error: &Error, asked: &Asked, seen: Seen<'_>) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::TimedOut) {
        return None;
    }
    match error.stage() {
        Stage::Greeting if asked.mode != Security::Wrapper && error.quote().is_none() => {
            Some("a server that says nothing may wait for TLS: smtps:// (port 465)".to_owned())
        }
        Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Body
            if asked.pipelining && seen.pipelining() =>
        {
            Some(
                "a server that loses commands sent ahead can be used with --pipelining off"
                    .to_owned(),
            )
        }
        _ => None,
    }
}

fn of_tls(failure: &TlsFailure, asked: &Asked) -> Option<&'static str> {
    Some(match failure.kind() {
        TlsFailureKind::Plaintext(_) => {
            "use smtp:// on this port (it begins TLS by STARTTLS), or smtps:// on port 465"
        }
        TlsFailureKind::Version => "the server has to learn TLS 1.2 or later",
        TlsFailureKind::Cipher => "the server has to learn ciphers of this decade",
        TlsFailureKind::Expired { .. } => {
            "the server needs a new certificate, or this machine's clock is wrong"
        }
        TlsFailureKind::NotYetValid { .. } => "this machine's clock may be wrong",
        TlsFailureKind::WrongName { .. } => {
            "name the server in the URL as its certificate does, if it is the right one"
        }
        TlsFailureKind::UnknownIssuer if asked.authority => {
            "the file given with --ca holds neither this certificate nor its authority"
        }
        TlsFailureKind::UnknownIssuer => {
            "a private authority, or the server's own certificate, is trusted with --ca FILE"
        }
        TlsFailureKind::NotForServers => {
            "the server needs a certificate for servers, or one that does not limit its use; \
             exactly this one is trusted with --ca FILE"
        }
        TlsFailureKind::ClientCertificateRequired => {
            "show the server a certificate with --client-cert FILE"
        }
        TlsFailureKind::KeyTooShort { .. } => {
            "the server needs a certificate with a key of 2048 bits or more"
        }
        _ => return None,
    })
}

fn of_refusal(stage: Stage, reply: &Reply, asked: &Asked, seen: Seen<'_>) -> Option<String> {
    let code = reply.code().get();
    // Read from the text: Exchange says 451 5.7.3, whose classes disagree.
    let about_policy = reply
        .raw_lines()
        .next()
        .is_some_and(|line| line.starts_with(b"5.7.") || line.starts_with(b"4.7."));
    let text = reply.to_string().to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let advice = if let Some(advice) = of_protocol(stage, reply, asked, seen) {
        advice
    } else if seen.starttls_was_left_out() && (code == 530 || (code == 451 && about_policy)) {
        if code == 530 && !asked.logs_in && !says(&["starttls"]) {
            "the server offers STARTTLS: use it with ?tls=required; if it wants a login: --user \
             and --password-env"
        } else {
            "the server offers STARTTLS: use it with ?tls=required"
        }
    } else if code == 530 && !asked.logs_in {
        "the server wants a login: --user and --password-env"
    } else if is_about_hello(stage, code, &text) {
        "the name that this client says is set by --hello"
    } else if stage == Stage::Body && matches!(code, 500 | 502 | 503) {
        "a server that offers CHUNKING and does not do it can be used with --chunking off"
    } else if reply.code().is_transient() {
        "the server may take it later"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

/// A server that speaks the other protocol knows no greeting of this one.
fn of_protocol(stage: Stage, reply: &Reply, asked: &Asked, seen: Seen<'_>) -> Option<&'static str> {
    if stage != Stage::Ehlo || !matches!(reply.code().get(), 500 | 502) {
        return None;
    }
    Some(match asked.protocol {
        Protocol::Lmtp => "this server speaks SMTP: smtp://, not lmtp:// or --lmtp",
        Protocol::Smtp if seen.greets_as_lmtp() || reply.to_string().contains("LHLO") => {
            "this server speaks LMTP: lmtp://, not smtp://"
        }
        Protocol::Smtp => "a server that knows neither EHLO nor HELO may speak LMTP: lmtp://",
    })
}

/// Whether a refusal may be one of the client's name. `text` is in lower case.
fn is_about_hello(stage: Stage, code: u16, text: &str) -> bool {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match code {
        501 | 504 if stage == Stage::Ehlo => true,
        // What is said of commands, not of their arguments.
        500 | 502 | 503 => false,
        _ if says(&["helo", "ehlo", "lhlo"]) => true,
        // Later on it may be anybody's name.
        _ => stage == Stage::Ehlo && says(&["host name", "hostname"]),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postwire_blocking::proto::ReplyCode;
    use postwire_blocking::tls::rustls;

    use super::*;

    fn asked() -> Asked {
        Asked {
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
        of_error(&error, &asked(), Seen::default()).unwrap_or_default()
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
            (Stage::Greeting, ErrorKind::TimedOut, "smtps://"),
            (Stage::Connect, ErrorKind::TimedOut, "block port 25"),
            (Stage::Mail, ErrorKind::TimedOut, ""),
            (
                Stage::Mail,
                refused(550, "your HELO name does not match"),
                "--hello",
            ),
            (Stage::Ehlo, refused(550, "Helo?"), "that is --hello NAME"),
            (Stage::Mail, refused(503, "say EHLO first"), ""),
            (Stage::Rcpt, refused(550, "no host name found"), ""),
            (Stage::Ehlo, refused(550, "no"), ""),
            (
                Stage::Ehlo,
                refused(550, "invalid host name"),
                "set by --hello",
            ),
            (Stage::Ehlo, refused(501, "no"), "set by --hello"),
            (Stage::Ehlo, refused(504, "no"), "set by --hello"),
            (Stage::Ehlo, refused(500, "what?"), "lmtp://"),
            (Stage::Ehlo, refused(500, "say LHLO"), "speaks LMTP"),
            (
                Stage::Tls,
                tls(rustls::CertificateError::InvalidPurpose),
                "for servers",
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
        let authority = Asked {
            authority: true,
            ..asked()
        };
        let error = Error::new(Stage::Tls, tls(rustls::CertificateError::UnknownIssuer));
        let hint = of_error(&error, &authority, Seen::default()).unwrap();
        assert!(!hint.contains("--ca FILE"), "{hint}");
    }

    #[test]
    fn every_other_kind_has_advice_or_none() {
        use ErrorKind as Kind;
        use postwire_blocking::proto::{SaslError, Unsendable};

        let foreign = || Arc::new(std::io::Error::other("hm"));
        let reply = |code| Reply::new(ReplyCode::new(code).unwrap(), None, &["hm"]);
        let no_mechanism = |withheld, unasked| Kind::NoUsableMechanism {
            offered: String::new(),
            withheld,
            unasked,
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
                "--auth XOAUTH2",
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
            (Stage::Mail, Kind::Goodbye(reply(221)), ""),
            (Stage::Mail, Kind::ResetRefused(reply(502)), ""),
            (Stage::Mail, Kind::OutOfStep(reply(503)), ""),
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
        let seen = Seen {
            greeting: Some(&greeting),
            ..Seen::default()
        };
        let error = Error::new(Stage::Ehlo, refused(502, "what?"));
        let hint = of_error(&error, &asked(), seen).unwrap();
        assert!(hint.contains("speaks LMTP: lmtp://"), "{hint}");
        let asked = Asked {
            protocol: Protocol::Lmtp,
            ..asked()
        };
        let hint = of_error(&error, &asked, Seen::default()).unwrap();
        assert!(hint.contains("speaks SMTP: smtp://"), "{hint}");
    }

    #[test]
    fn port_465_is_told_of_at_once() {
        let at = |mode, port| {
            beforehand(&Asked {
                mode,
                port,
                ..asked()
            })
        };
        assert!(at(Security::Required, 465).is_some());
        assert!(at(Security::Wrapper, 465).is_none());
        assert!(at(Security::Required, 587).is_none());
    }
}
