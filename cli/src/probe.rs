//! `probe`: what a server says of itself, as far as it lets one in.

use std::ops::ControlFlow;

use postwire_blocking::Connection;
use postwire_blocking::proto::{
    Capabilities, Error, Event, LimitsParameters, Mechanism, Reply, SizeLimit, TlsInfo,
};
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
    let config = server_options::build(builder.client(|client| client.trace(true)))?;
    let mut look = Look::default();
    let opened = config.and_then(|config| {
        let happened = |session: &Connection, event| {
            look.see(session, event, options.trace);
            ControlFlow::Continue(())
        };
        Connection::open_with(&config, |socket| socket, happened)
    });
    let failure = match opened {
        Ok(mut connection) => {
            while let Some(event) = connection.next_event() {
                let is_ready = matches!(event, Event::Ready);
                look.see(&connection, event, options.trace);
                if is_ready {
                    break;
                }
            }
            // All is known; how the farewell goes concerns nobody.
            let _ = connection.quit();
            None
        }
        Err(failure) => Some(failure),
    };
    look.tell(failure.as_ref(), options.json);
    let asked = server_options::asked(&arguments.server, options)?;
    let seen = Seen {
        tls: look.tls.is_some(),
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
    Ok(failure.map_or(Exit::Accepted, |error| Exit::of_error(&error)))
}

/// What is seen on the way, and would be forgotten.
#[derive(Default)]
struct Look {
    greeting: Option<Reply>,
    capabilities: Option<Capabilities>,
    tls: Option<TlsInfo>,
    certificate: Option<Certificate>,
    login: Option<Mechanism>,
    /// That session is over: the next one has another address.
    is_over: bool,
}

impl Look {
    fn see(&mut self, session: &Connection, event: Event, trace: bool) {
        if self.is_over {
            *self = Self::default();
        }
        if self.greeting.is_none() {
            self.greeting = session.greeting().cloned();
        }
        if let Some(capabilities) = session.capabilities() {
            self.capabilities = Some(capabilities.clone());
        }
        if self.tls.is_none() {
            self.tls = session.tls().cloned();
            let own = session.peer_certificates().and_then(<[_]>::first);
            self.certificate = own.and_then(|der| Certificate::parse(der));
        }
        self.login = session.mechanism();
        match event {
            Event::Trace(line) if trace => note(Plain(&line.to_string())),
            Event::Closed(_) => self.is_over = true,
            _ => {}
        }
    }

    fn tell(&self, failure: Option<&Error>, json: bool) {
        let tls = self.tls.as_ref();
        let findings = Findings {
            reached: failure.is_none(),
            stage: failure.map(|error| error.stage().as_str()),
            reply: failure.and_then(Error::reply).map(ReplyObject::new),
            error: failure.map(ToString::to_string),
            greeting: self.greeting.as_ref().map(ReplyObject::new),
            tls: tls.map(Tls::new),
            login: self.login.as_ref().map(Mechanism::name),
            certificate: self.certificate.as_ref(),
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
        if let Some(certificate) = findings.certificate {
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
    certificate: Option<&'a Certificate>,
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
