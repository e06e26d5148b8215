//! `probe`: what a server says of itself, as far as it lets one in.

use postwire_blocking::Connection;
use postwire_blocking::proto::{Capabilities, Error, Event, LimitsParameters, Reply, SizeLimit};
use serde::Serialize;

use crate::arguments::{ProbeArguments, UsageError};
use crate::certificate::Certificate;
use crate::exit::Exit;
use crate::hints::{self, Seen};
use crate::json::{ReplyObject, Tls};
use crate::output::{complain, note, say, say_object};
use crate::secrets::hide;
use crate::server_options;
use crate::text::{Plain, lossless};

/// Looks at the server that the arguments name.
pub(crate) fn run(arguments: &ProbeArguments) -> Result<Exit, UsageError> {
    let options = &arguments.server_options;
    let builder = server_options::parse(("URL", &arguments.server), options)?;
    // The greeting is forgotten under STARTTLS; the trace tells when to look at it.
    let config = server_options::build(builder.trace(true))?;
    let connection = config.and_then(|config| Connection::connect(&config));
    let (mut connection, failure) = match connection {
        Ok(connection) => (Some(connection), None),
        Err(error) => (None, Some(error)),
    };
    let mut look = Look::default();
    let failure = match &mut connection {
        Some(connection) => look.converse(connection, options.trace).err(),
        None => failure,
    };
    look.tell(connection.as_ref(), failure.as_ref(), options.json);
    let asked = server_options::asked(&arguments.server, options)?;
    let seen = Seen {
        tls: connection.as_ref().and_then(Connection::tls).is_some(),
        greeting: look.greeting.as_ref(),
        capabilities: look.capabilities.as_ref(),
    };
    if failure.is_none()
        && let Some(news) = hints::of_session(&asked, seen)
    {
        note(format_args!("note: {news}"));
    }
    let hint = failure
        .as_ref()
        .and_then(|failure| hints::of_error(failure, &asked, seen));
    if let Some(hint) = hint.filter(|_| !options.json) {
        note(format_args!("hint: {hint}"));
    }
    if let Some(connection) = connection
        && failure.is_none()
    {
        // All is known; how the farewell goes concerns nobody.
        let _ = connection.quit();
    }
    Ok(failure.map_or(Exit::Accepted, |error| Exit::of_error(&error)))
}

/// What is seen on the way, and would be forgotten.
#[derive(Default)]
struct Look {
    greeting: Option<Reply>,
    capabilities: Option<Capabilities>,
}

impl Look {
    /// Goes on until messages could be sent.
    fn converse(&mut self, connection: &mut Connection, trace: bool) -> Result<(), Error> {
        loop {
            let event = connection.next_event();
            if self.greeting.is_none() {
                self.greeting = connection.greeting().cloned();
            }
            if let Some(capabilities) = connection.capabilities() {
                self.capabilities = Some(capabilities.clone());
            }
            match event {
                Some(Event::Ready) => return Ok(()),
                Some(Event::Trace(line)) if trace => note(Plain(&line.to_string())),
                Some(Event::Closed(Some(error))) => return Err(error),
                Some(_) => {}
                None => return connection.ready(),
            }
        }
    }

    fn tell(&self, connection: Option<&Connection>, failure: Option<&Error>, json: bool) {
        let tls = connection.and_then(Connection::tls);
        let chain = connection.and_then(Connection::peer_certificates);
        let certificate = chain
            .and_then(<[_]>::first)
            .and_then(|der| Certificate::parse(der));
        let findings = Findings {
            reached: failure.is_none(),
            stage: failure.map(|error| error.stage().as_str()),
            reply: failure.and_then(Error::reply).map(ReplyObject::new),
            error: failure.map(ToString::to_string),
            greeting: self.greeting.as_ref().map(ReplyObject::new),
            tls: tls.map(Tls::new),
            login: connection
                .and_then(Connection::mechanism)
                .map(|mechanism| mechanism.name()),
            certificate,
            capabilities: self.capabilities.as_ref().map(CapabilitiesObject::new),
        };
        if json {
            say_object(&findings);
        } else {
            self.tell_people(&findings, tls.map(|tls| (tls.version(), tls.cipher())));
            if let Some(error) = failure {
                complain(error);
            }
        }
    }

    fn tell_people(&self, findings: &Findings<'_>, tls: Option<(&str, &str)>) {
        if let Some(greeting) = &self.greeting {
            row("greeting", &greeting.to_string());
        }
        if let Some(capabilities) = &self.capabilities {
            row("server", &lossless(capabilities.greeting_line()));
        }
        match tls {
            Some((version, cipher)) => row("tls", &format!("{version}, {cipher}")),
            None if findings.reached => row("tls", "none"),
            None => {}
        }
        if let Some(mechanism) = findings.login {
            row("logged in by", mechanism);
        }
        if let Some(certificate) = &findings.certificate {
            row("certificate", &certificate.subject);
            row("issued by", &certificate.issuer);
            let (from, until) = (&certificate.not_before, &certificate.not_after);
            row("valid", &format!("from {from} until {until}"));
            row("valid for", &certificate.names.join(", "));
        }
        if let Some(capabilities) = &findings.capabilities {
            capabilities.tell_people();
        }
    }
}

/// A line of the table.
fn row(name: &str, value: &str) {
    say(format_args!("{name:<13} {}", Plain(value)));
}

#[derive(Serialize)]
struct Findings<'a> {
    /// Whether messages could be sent now.
    reached: bool,
    stage: Option<&'static str>,
    reply: Option<ReplyObject>,
    error: Option<String>,
    greeting: Option<ReplyObject>,
    tls: Option<Tls<'a>>,
    /// The mechanism that it was logged in by.
    login: Option<&'static str>,
    certificate: Option<Certificate>,
    capabilities: Option<CapabilitiesObject>,
}

/// What the server offers, in its words and as they are understood.
#[derive(Serialize)]
struct CapabilitiesObject {
    offered: Vec<String>,
    malformed: usize,
    auth: Vec<String>,
    starttls: bool,
    size: Option<Size>,
    limits: Limits,
}

/// RFC 1870.
#[derive(Serialize)]
struct Size {
    /// Nothing where there is no fixed maximum.
    octets: Option<u64>,
}

/// RFC 9422.
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
    fn new(capabilities: &Capabilities) -> Self {
        let line = |capability: postwire_blocking::proto::Capability<'_>| {
            let mut line = capability.keyword().to_owned();
            for parameter in capability.parameters() {
                line.push(' ');
                line.push_str(parameter);
            }
            hide(&line)
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
            auth: capabilities.auth().map(hide).collect(),
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

    fn tell_people(&self) {
        let mut name = "offers";
        for line in &self.offered {
            row(name, line);
            name = "";
        }
        if self.malformed > 0 {
            row(
                "",
                &format!("and {} lines that are not understood", self.malformed),
            );
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
            (messages, "messages a connection"),
            (recipients, "recipients a message"),
            (domains, "domains of recipients a message"),
        ] {
            if let Some(most) = most {
                row("at most", &format!("{most} {of}"));
            }
        }
    }
}
