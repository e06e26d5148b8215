//! The result of a probe as a table, for people to read.

use postwire_blocking::proto::escape_non_utf8;

use super::result::{
    CapabilitiesObject, Learnt, Limits, ModeObject, ProbeResult, Size, VersionObject,
};
use crate::print::certificate::Certificate;
use crate::print::output::print_result;
use crate::print::text::SafeText;

/// Prints the table.
pub(super) fn print(result: &ProbeResult<'_>, learnt: &Learnt) {
    let facts = &learnt.first.facts;
    print_addresses(learnt);
    if let Some(greeting) = &facts.greeting {
        row("greeting", &greeting.to_string());
    }
    if let Some(capabilities) = &facts.capabilities {
        row("server", &escape_non_utf8(capabilities.greeting_line()));
    }
    match &result.tls {
        Some(tls) => row("tls", &format!("{}, {}", tls.version, tls.cipher)),
        None if result.reached => row("tls", "none"),
        None => {}
    }
    if let Some(mechanism) = result.login {
        row("login", mechanism);
    }
    print_certificates(result);
    if let (Some(before), Some(_)) = (&result.before_tls, &result.tls) {
        row("before tls", &before.offered.join(", "));
    }
    if let Some(capabilities) = &result.capabilities {
        print_capabilities(capabilities);
    }
    let would = &result.mechanisms;
    let kinds = [
        ("password", would.with_password),
        ("token", would.with_token),
    ];
    for (kind, mechanism) in kinds {
        if let Some(mechanism) = mechanism {
            row("would take", &format!("{mechanism} with a {kind}"));
        }
    }
    for version in &result.tls_versions {
        row(version.version, &describe_version(version));
    }
    let mut name = "tls modes";
    for mode in &result.modes {
        row(name, &format!("{:<14}{}", mode.mode, describe_mode(mode)));
        name = "";
    }
    if !result.round_trips.is_empty() {
        let times = result.round_trips.iter();
        let times: Vec<_> = times.map(|it| format!("{} {} ms", it.of, it.ms)).collect();
        row("took", &times.join(", "));
    }
    if let Some(finding) = result.behind_data {
        row("behind data", &finding.text);
    }
    if let Some(finding) = result.refused_bdat {
        row("refused bdat", &finding.text);
    }
    let mut name = "advice";
    for sentence in &result.advice {
        row(name, sentence);
        name = "";
    }
}

/// Prints a line of the table.
fn row(name: &str, value: &str) {
    print_result(format_args!("{name:<13} {}", SafeText(value)));
}

fn print_addresses(learnt: &Learnt) {
    let mut name = "addresses";
    for (address, inspection) in &learnt.survey.addresses {
        let what = match (&inspection.failure, &inspection.facts.greeting) {
            (Some(failure), _) => failure.to_string(),
            (None, Some(greeting)) => greeting.to_string(),
            (None, None) => "a session is possible".to_owned(),
        };
        row(name, &format!("{address}  {what}"));
        name = "";
    }
}

fn print_certificates(result: &ProbeResult<'_>) {
    let (own, others) = match (result.chain, result.certificate) {
        ([own, others @ ..], _) => (own, others),
        ([], Some(own)) => (own, &[][..]),
        ([], None) => return,
    };
    row("certificate", &own.subject);
    row("issued by", &own.issuer);
    row("valid", &validity(own));
    row("valid for", &own.names.join(", "));
    row("key", &own.key);
    row("sha-256", &own.sha256);
    if let Some(why) = &result.certificate_error {
        row("not accepted", why);
    }
    let mut name = "sent with it";
    for other in others {
        let (subject, issuer) = (&other.subject, &other.issuer);
        let text = format!("{subject}, issued by {issuer}, valid {}", validity(other));
        row(name, &text);
        name = "";
    }
}

fn validity(certificate: &Certificate) -> String {
    let (from, until) = (&certificate.not_before, &certificate.not_after);
    format!("from {from} until {until}")
}

fn describe_version(version: &VersionObject<'_>) -> String {
    match (version.cipher, version.key_exchange, &version.error) {
        (Some(cipher), Some(exchange), _) => format!("{cipher}, {exchange}"),
        (Some(cipher), None, _) => cipher.to_owned(),
        (None, _, Some(error)) => format!("not available: {error}"),
        (None, _, None) => "not available".to_owned(),
    }
}

fn describe_mode(mode: &ModeObject<'_>) -> String {
    match (&mode.error, &mode.tls) {
        (Some(error), _) => format!("fails: {error}"),
        (None, Some(tls)) => format!("works, {}", tls.version),
        (None, None) => "works, in plaintext".to_owned(),
    }
}

fn print_capabilities(capabilities: &CapabilitiesObject) {
    let mut name = "offers";
    for line in &capabilities.offered {
        row(name, line);
        name = "";
    }
    if capabilities.malformed > 0 {
        row(
            "",
            &format!("and {} malformed lines", capabilities.malformed),
        );
    }
    match capabilities.auth.as_slice() {
        [] => row("auth", "none"),
        mechanisms => row("auth", &mechanisms.join(" ")),
    }
    match &capabilities.size {
        Some(Size {
            octets: Some(octets),
        }) => row("largest", &format!("{octets} octets")),
        Some(Size { octets: None }) => row("largest", "no fixed maximum"),
        None => {}
    }
    let Limits {
        messages,
        recipients,
        domains,
    } = capabilities.limits;
    for (most, of) in [
        (messages, "messages per connection"),
        (recipients, "recipients per message"),
        (domains, "recipient domains per connection"),
    ] {
        if let Some(most) = most {
            row("at most", &format!("{most} {of}"));
        }
    }
}
