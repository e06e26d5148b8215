//! Hints about a failure: advice in terms of this command's options, from what must change
//! ([`Flaw`]), the kind and stage of the error, and the code and words of the reply.
//!
//! Knows the requested options and the facts about the session. Must never decide anything: a hint
//! is text for people.

use postwire_blocking::proto::{
    Capabilities, Error, ErrorKind, Flaw, Mechanism, Outcome, Protocol, Reply, Report, Security,
    Stage,
};
use postwire_blocking::tls::{TlsFailure, TlsFailureKind};
use postwire_blocking::transport::ConnectError;

use crate::print::facts::SessionFacts;

/// The requested options that hints depend on.
#[derive(Clone, Debug)]
pub(crate) struct RequestedOptions {
    pub(crate) protocol: Protocol,
    pub(crate) mode: Security,
    pub(crate) port: u16,
    /// Whether `--ca` was given.
    pub(crate) authority: bool,
    pub(crate) logs_in: bool,
    /// The values of `--auth`.
    pub(crate) mechanisms: Vec<String>,
    pub(crate) pipelining: bool,
}

impl SessionFacts {
    fn offers(&self, extension: fn(&Capabilities) -> bool) -> bool {
        self.capabilities.as_ref().is_some_and(extension)
    }

    fn starttls_was_left_out(&self) -> bool {
        self.tls.is_none() && self.offers(Capabilities::starttls)
    }

    fn greets_as_lmtp(&self) -> bool {
        let greeting = self.greeting.as_ref().map(Reply::to_string);
        greeting.is_some_and(|greeting| greeting.to_ascii_uppercase().contains("LMTP"))
    }

    fn pipelining(&self) -> bool {
        self.offers(Capabilities::pipelining)
    }
}

/// A hint before a connection is made.
pub(crate) fn beforehand(asked: &RequestedOptions) -> Option<&'static str> {
    let starttls_on_465 = asked.port == 465 && asked.mode != Security::Wrapper;
    starttls_on_465.then_some("port 465 uses TLS from the first octet: use smtps://, not smtp://")
}

/// A note about a session that is ready for messages.
pub(crate) fn of_session(asked: &RequestedOptions, facts: &SessionFacts) -> Option<&'static str> {
    let went_on = asked.mode == Security::Opportunistic && facts.starttls_was_left_out();
    went_on.then_some("the server refused STARTTLS; the session continues in plaintext")
}

/// A hint for a message that was not accepted for every recipient.
pub(crate) fn of_report(
    report: &Report,
    asked: &RequestedOptions,
    facts: &SessionFacts,
) -> Option<String> {
    match report.outcome() {
        Outcome::NotSent(error) => of_error(error, asked, facts),
        Outcome::Rejected { stage, reply } => of_refusal(*stage, reply, asked, facts),
        Outcome::InDoubt(error) => Some(match of_time(error, asked, facts) {
            Some(more) => format!("{IN_DOUBT_HINT}; {more}"),
            None => IN_DOUBT_HINT.to_owned(),
        }),
        Outcome::Accepted(_) => of_error(report.error()?, asked, facts),
    }
}

const IN_DOUBT_HINT: &str = "ask the recipient whether it arrived before sending it again";

/// A hint for a failed session.
pub(crate) fn of_error(
    error: &Error,
    asked: &RequestedOptions,
    facts: &SessionFacts,
) -> Option<String> {
    let stage = error.stage();
    match (error.flaw(), error.kind()) {
        (Some(Flaw::HelloName), _) => Some("set the name with --hello NAME".to_owned()),
        (_, ErrorKind::Refused(reply)) => of_refusal(stage, reply, asked, facts),
        (Some(flaw), kind) => of_flaw(flaw, kind, asked),
        (None, ErrorKind::Transport(cause)) => {
            let cause: &ConnectError = cause.downcast_ref()?;
            of_connecting(cause.is_timeout(), asked)
        }
        (None, ErrorKind::TimedOut) if stage == Stage::Connect => of_connecting(true, asked),
        (None, ErrorKind::TimedOut) => of_time(error, asked, facts),
        (None, _) => None,
    }
}

/// A hint about what must change before another attempt.
fn of_flaw(flaw: Flaw, kind: &ErrorKind, asked: &RequestedOptions) -> Option<String> {
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
                withheld,
                not_allowed,
                ..
            },
        ) => of_mechanisms(*withheld, not_allowed, asked),
        (Flaw::Requirement, ErrorKind::ExtensionNotOffered("8BITMIME")) => {
            Some("a test server often accepts it anyway: use --allow-8bit".to_owned())
        }
        (Flaw::Content, _) => Some("nothing was sent; see --line-ends and --max-line".to_owned()),
        _ => None,
    }
}

/// A hint if no mechanism can be used. `withheld` is set if one would reveal the password in
/// plaintext; `not_allowed` are the offered mechanisms that must be configured.
fn of_mechanisms(
    withheld: bool,
    not_allowed: &[Mechanism],
    asked: &RequestedOptions,
) -> Option<String> {
    let options: Vec<String> = not_allowed
        .iter()
        .map(|mechanism| format!("--auth {mechanism}"))
        .collect();
    if withheld && !asked.mechanisms.is_empty() {
        let names = asked.mechanisms.join(", ");
        let others = options.iter().map(|option| format!(", or {option}"));
        let others = others.collect::<String>();
        Some(format!(
            "--auth allows only {names}; a password is not sent in plaintext: use TLS, or \
             --allow-plaintext-auth{others}"
        ))
    } else if !options.is_empty() {
        Some(format!("allow the mechanism with {}", options.join(" or ")))
    } else {
        withheld.then(|| {
            "use TLS (smtps://, or ?tls=required), or --allow-plaintext-auth on a \
             trusted network"
                .to_owned()
        })
    }
}

fn of_connecting(timed_out: bool, asked: &RequestedOptions) -> Option<String> {
    (timed_out && asked.port == 25).then(|| {
        "many networks block port 25: use port 587 (smtp://HOST:587) or 465 (smtps://HOST) of \
         the provider's server"
            .to_owned()
    })
}

fn of_time(error: &Error, asked: &RequestedOptions, facts: &SessionFacts) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::TimedOut) {
        return None;
    }
    match error.stage() {
        // At the final reply everything that was sent ahead is answered.
        Stage::Mail | Stage::Rcpt | Stage::Data if asked.pipelining && facts.pipelining() => {
            Some("if the server loses pipelined commands, use --pipelining off".to_owned())
        }
        _ => None,
    }
}

fn of_tls(failure: &TlsFailure, asked: &RequestedOptions) -> Option<&'static str> {
    Some(match failure.kind() {
        TlsFailureKind::Plaintext(_) => {
            "use smtp:// if the server offers STARTTLS on this port, or smtps:// with its port for TLS \
             (465)"
        }
        TlsFailureKind::Version => "the server must support TLS 1.2 or later",
        TlsFailureKind::Cipher => "the server must support current cipher suites",
        TlsFailureKind::Expired { .. } => {
            "the server needs a new certificate, or this machine's clock is wrong"
        }
        TlsFailureKind::NotYetValid { .. } => "this machine's clock may be wrong",
        TlsFailureKind::WrongName { .. } => {
            "if this is the right server, use the name of its certificate in the URL"
        }
        TlsFailureKind::UnknownIssuer if asked.authority => {
            "the file given with --ca contains neither this certificate nor its authority"
        }
        TlsFailureKind::UntrustedAuthority { .. } if asked.authority => {
            "the file given with --ca does not contain this certificate; to trust exactly this \
             certificate, use --ca FILE"
        }
        TlsFailureKind::UntrustedAuthority { .. } => {
            "to trust exactly this certificate, use --ca FILE"
        }
        TlsFailureKind::UnknownIssuer => {
            "to trust a private authority, or the server's own certificate, use --ca FILE"
        }
        TlsFailureKind::NotForServers => {
            "the extended key usage of the server's certificate must allow server authentication; to \
             trust exactly this certificate, use --ca FILE"
        }
        TlsFailureKind::ClientCertificateRequired => {
            "present a client certificate with --client-cert FILE"
        }
        TlsFailureKind::KeyTooShort { .. } => {
            "the server needs a certificate with a key of 2048 bits or more"
        }
        _ => return None,
    })
}

fn of_refusal(
    stage: Stage,
    reply: &Reply,
    asked: &RequestedOptions,
    facts: &SessionFacts,
) -> Option<String> {
    let code = reply.code().get();
    // Reads the code from the text: Exchange sends 451 5.7.3, whose classes disagree.
    let about_policy = reply
        .raw_lines()
        .next()
        .is_some_and(|line| line.starts_with(b"5.7.") || line.starts_with(b"4.7."));
    let text = reply.to_string().to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let advice = if let Some(advice) = of_protocol(stage, reply, asked, facts) {
        advice
    } else if facts.starttls_was_left_out() && (code == 530 || (code == 451 && about_policy)) {
        if code == 530 && !asked.logs_in && !says(&["starttls"]) {
            "the server offers STARTTLS: use it with ?tls=required; if it requires a login, add \
             --user and --password-env"
        } else {
            "the server offers STARTTLS: use it with ?tls=required"
        }
    } else if code == 530 && !asked.logs_in {
        "the server requires a login: add --user and --password-env"
    } else if is_about_hello(code, &text) {
        "the name that this client gives is set with --hello"
    } else if stage == Stage::Body && matches!(code, 500 | 502 | 503) {
        "if the server offers CHUNKING without supporting it, use --chunking off"
    } else if reply.code().is_transient() {
        "the server may accept it later"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

/// A server of the other protocol does not support the greeting command of this one.
fn of_protocol(
    stage: Stage,
    reply: &Reply,
    asked: &RequestedOptions,
    facts: &SessionFacts,
) -> Option<&'static str> {
    if stage != Stage::Ehlo || !matches!(reply.code().get(), 500 | 502) {
        return None;
    }
    Some(match asked.protocol {
        Protocol::Lmtp => "this server speaks SMTP: use smtp://, not lmtp:// or --lmtp",
        Protocol::Smtp if facts.greets_as_lmtp() || reply.to_string().contains("LHLO") => {
            "this server speaks LMTP: use lmtp://, not smtp://"
        }
        Protocol::Smtp => {
            "a server that supports neither EHLO nor HELO may speak LMTP: use lmtp://"
        }
    })
}

/// Whether a refusal after `EHLO` may be about the client's name, as of servers that refuse it with
/// the first recipient. `text` must be in lower case.
fn is_about_hello(code: u16, text: &str) -> bool {
    let words = ["helo", "ehlo", "lhlo"];
    // These codes are about commands, not about their arguments.
    !matches!(code, 500 | 502 | 503) && words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
