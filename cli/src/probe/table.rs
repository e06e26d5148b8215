//! The result of a probe as a table, for people to read.

use postwire_blocking::proto::{Redaction, escape_non_utf8};

use super::result::{
    CapabilitiesObject, Learnt, Limits, ModeObject, ProbeResult, Size, VersionObject,
};
use crate::print::certificate::Certificate;
use crate::print::output::print_result;
use crate::print::text::SafeText;

/// Prints the table.
pub(super) fn print(result: &ProbeResult<'_>, learnt: &Learnt) {
    let table = Table {
        redaction: &learnt.first.redaction,
    };
    table.print(result, learnt);
}

/// The table. A server that knows the password may repeat it anywhere, also in a later session.
struct Table<'a> {
    redaction: &'a Redaction,
}

impl Table<'_> {
    fn print(&self, result: &ProbeResult<'_>, learnt: &Learnt) {
        let facts = &learnt.first.facts;
        self.print_addresses(learnt);
        if let Some(greeting) = &facts.greeting {
            self.row("greeting", &greeting.to_string());
        }
        if let Some(capabilities) = &facts.capabilities {
            self.row("server", &escape_non_utf8(capabilities.greeting_line()));
        }
        match &result.tls {
            Some(tls) => self.row("tls", &format!("{}, {}", tls.version, tls.cipher)),
            None if result.reached => self.row("tls", "none"),
            None => {}
        }
        if let Some(mechanism) = result.login {
            self.row("login", mechanism);
        }
        self.print_certificates(result);
        if let (Some(before), Some(_)) = (&result.before_tls, &result.tls) {
            self.row("before tls", &before.offered.join(", "));
        }
        if let Some(capabilities) = &result.capabilities {
            self.print_capabilities(capabilities);
        }
        let would = &result.mechanisms;
        let kinds = [
            ("password", would.with_password),
            ("token", would.with_token),
        ];
        for (kind, mechanism) in kinds {
            if let Some(mechanism) = mechanism {
                self.row("would take", &format!("{mechanism} with a {kind}"));
            }
        }
        for version in &result.tls_versions {
            self.row(version.version, &describe_version(version));
        }
        let mut name = "tls modes";
        for mode in &result.modes {
            self.row(name, &format!("{:<14}{}", mode.mode, describe_mode(mode)));
            name = "";
        }
        if !result.round_trips.is_empty() {
            let times = result.round_trips.iter();
            let times: Vec<_> = times.map(|it| format!("{} {} ms", it.of, it.ms)).collect();
            self.row("took", &times.join(", "));
        }
        if let Some(finding) = result.behind_data {
            self.row("behind data", &finding.text);
        }
        if let Some(finding) = result.refused_bdat {
            self.row("refused bdat", &finding.text);
        }
        let mut name = "advice";
        for sentence in &result.advice {
            self.row(name, sentence);
            name = "";
        }
    }

    /// Prints a line of the table.
    fn row(&self, name: &str, value: &str) {
        let value = self.redaction.text(value);
        print_result(format_args!("{name:<13} {}", SafeText(&value)));
    }

    fn print_addresses(&self, learnt: &Learnt) {
        let mut name = "addresses";
        for (address, inspection) in &learnt.survey.addresses {
            let what = match (&inspection.failure, &inspection.facts.greeting) {
                (Some(failure), _) => failure.to_string(),
                (None, Some(greeting)) => greeting.to_string(),
                (None, None) => "a session is possible".to_owned(),
            };
            self.row(name, &format!("{address}  {what}"));
            name = "";
        }
    }

    fn print_certificates(&self, result: &ProbeResult<'_>) {
        let (own, others) = match (result.chain, result.certificate) {
            ([own, others @ ..], _) => (own, others),
            ([], Some(own)) => (own, &[][..]),
            ([], None) => return,
        };
        self.row("certificate", &own.subject);
        self.row("issued by", &own.issuer);
        self.row("valid", &validity(own));
        self.row("valid for", &own.names.join(", "));
        self.row("key", &own.key);
        self.row("sha-256", &own.sha256);
        if let Some(why) = &result.certificate_error {
            self.row("not accepted", why);
        }
        let mut name = "sent with it";
        for other in others {
            let (subject, issuer) = (&other.subject, &other.issuer);
            let text = format!("{subject}, issued by {issuer}, valid {}", validity(other));
            self.row(name, &text);
            name = "";
        }
    }

    fn print_capabilities(&self, capabilities: &CapabilitiesObject) {
        let mut name = "offers";
        for line in &capabilities.offered {
            self.row(name, line);
            name = "";
        }
        if capabilities.malformed > 0 {
            let lines = match capabilities.malformed {
                1 => "and 1 malformed line".to_owned(),
                malformed => format!("and {malformed} malformed lines"),
            };
            self.row("", &lines);
        }
        match capabilities.auth.as_slice() {
            [] => self.row("auth", "none"),
            mechanisms => self.row("auth", &mechanisms.join(" ")),
        }
        match &capabilities.size {
            Some(Size {
                octets: Some(octets),
            }) => self.row("largest", &format!("{octets} octets")),
            Some(Size { octets: None }) => self.row("largest", "no fixed maximum"),
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
                self.row("at most", &format!("{most} {of}"));
            }
        }
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
