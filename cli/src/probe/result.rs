//! The result of an inspection, as a table for people and as an object for programs.
//!
//! Knows the server's properties. Must never know how they were obtained.

use postwire_blocking::proto::{
    Capabilities, Capability, Error, LimitsParameters, Mechanism, Redaction, SizeLimit,
};
use serde::Serialize;

use super::inspection::Inspection;
use crate::print::certificate::Certificate;
use crate::print::json::{ReplyObject, Tls};
use crate::print::output::{print_error, print_json, print_result};
use crate::print::text::{SafeText, escape_non_utf8};

impl Inspection {
    /// Prints the properties, and the reason of a failure.
    pub(super) fn print(&self, failure: Option<&Error>, json: bool) {
        let tls = self.facts.tls.as_ref();
        let capabilities = self.facts.capabilities.as_ref();
        let result = ProbeResult {
            reached: failure.is_none(),
            stage: failure.map(|error| error.stage().as_str()),
            reply: failure.and_then(Error::reply).map(ReplyObject::new),
            error: failure.map(ToString::to_string),
            greeting: self.facts.greeting.as_ref().map(ReplyObject::new),
            tls: tls.map(Tls::new),
            login: self.facts.login.as_ref().map(Mechanism::name),
            certificate: self.certificate.as_ref(),
            capabilities: capabilities.map(|it| CapabilitiesObject::new(it, &self.redaction)),
        };
        if json {
            print_json(&result);
        } else {
            self.print_table(&result, tls.map(|tls| (tls.version(), tls.cipher())));
            if let Some(error) = failure {
                print_error(error);
            }
        }
    }

    fn print_table(&self, result: &ProbeResult<'_>, tls: Option<(&str, &str)>) {
        if let Some(greeting) = &self.facts.greeting {
            row("greeting", &greeting.to_string());
        }
        if let Some(capabilities) = &self.facts.capabilities {
            row("server", &escape_non_utf8(capabilities.greeting_line()));
        }
        match tls {
            Some((version, cipher)) => row("tls", &format!("{version}, {cipher}")),
            None if result.reached => row("tls", "none"),
            None => {}
        }
        if let Some(mechanism) = result.login {
            row("login", mechanism);
        }
        if let Some(certificate) = result.certificate {
            row("certificate", &certificate.subject);
            row("issued by", &certificate.issuer);
            let (from, until) = (&certificate.not_before, &certificate.not_after);
            row("valid", &format!("from {from} until {until}"));
            row("valid for", &certificate.names.join(", "));
        }
        if let Some(capabilities) = &result.capabilities {
            capabilities.print_table();
        }
    }
}

/// Prints a line of the table.
fn row(name: &str, value: &str) {
    print_result(format_args!("{name:<13} {}", SafeText(value)));
}

#[derive(Serialize)]
struct ProbeResult<'a> {
    /// Whether a message could be sent now.
    reached: bool,
    stage: Option<&'static str>,
    reply: Option<ReplyObject>,
    error: Option<String>,
    greeting: Option<ReplyObject>,
    tls: Option<Tls<'a>>,
    /// The mechanism of the login.
    login: Option<&'static str>,
    certificate: Option<&'a Certificate>,
    capabilities: Option<CapabilitiesObject>,
}

/// The server's capabilities, as lines and as parsed values.
#[derive(Serialize)]
struct CapabilitiesObject {
    offered: Vec<String>,
    malformed: usize,
    auth: Vec<String>,
    starttls: bool,
    size: Option<Size>,
    limits: Limits,
}

/// The limit of `SIZE` (RFC 1870).
#[derive(Serialize)]
struct Size {
    /// `None` without a fixed maximum.
    octets: Option<u64>,
}

/// The limits of `LIMITS` (RFC 9422).
#[derive(Serialize)]
struct Limits {
    #[serde(rename = "mail_max")]
    messages: Option<u32>,
    #[serde(rename = "rcpt_max")]
    recipients: Option<u32>,
    #[serde(rename = "rcpt_domain_max")]
    domains: Option<u32>,
}

impl CapabilitiesObject {
    fn new(capabilities: &Capabilities, redaction: &Redaction) -> Self {
        let line = |capability: Capability<'_>| {
            let mut line = capability.keyword().to_owned();
            for parameter in capability.parameters() {
                line.push(' ');
                line.push_str(parameter);
            }
            redaction.text(&line)
        };
        let LimitsParameters {
            mail_max,
            rcpt_max,
            rcpt_domain_max,
            ..
        } = capabilities.limits();
        Self {
            offered: capabilities.iter().map(line).collect(),
            malformed: capabilities.malformed(),
            auth: capabilities
                .auth()
                .map(|name| redaction.text(name))
                .collect(),
            starttls: capabilities.starttls(),
            size: capabilities.size().map(|size| Size {
                octets: match size {
                    SizeLimit::Octets(octets) => Some(octets),
                    SizeLimit::Unlimited => None,
                },
            }),
            limits: Limits {
                messages: mail_max,
                recipients: rcpt_max,
                domains: rcpt_domain_max,
            },
        }
    }

    fn print_table(&self) {
        let mut name = "offers";
        for line in &self.offered {
            row(name, line);
            name = "";
        }
        if self.malformed > 0 {
            row("", &format!("and {} malformed lines", self.malformed));
        }
        match self.auth.as_slice() {
            [] => row("auth", "none"),
            mechanisms => row("auth", &mechanisms.join(" ")),
        }
        match &self.size {
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
        } = self.limits;
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
}
