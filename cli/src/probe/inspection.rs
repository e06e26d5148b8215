//! One session with the server: its properties, and the times of its flights.
//!
//! Knows the events of a session. Must never know how the properties are shown.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use postwire_blocking::proto::{
    Capabilities, Error, Event, Redaction, Security, Speaker, TraceLine,
};
use postwire_blocking::transport::{Session, TransportConfig};
use postwire_blocking::{Connection, Socket, tls};

use crate::print::certificate::Certificate;
use crate::print::facts::SessionFacts;
use crate::print::output::print_note;
use crate::print::text::SafeText;

/// The first step of a session; also the resolving of the name, if there is one.
pub(super) const CONNECT: &str = "resolve and connect";

/// The properties that are only visible during the session.
#[derive(Clone, Debug, Default)]
pub(super) struct Inspection {
    pub(super) redaction: Redaction,
    pub(super) facts: SessionFacts,
    /// The capabilities before STARTTLS, or of a session in plaintext.
    pub(super) in_plaintext: Option<Capabilities>,
    /// The server's own certificate, which was accepted.
    pub(super) certificate: Option<Certificate>,
    pub(super) flights: Vec<Flight>,
    /// The reason why the session could not be opened.
    pub(super) failure: Option<Error>,
    /// The beginning of the flight that is under way.
    flying: Option<(&'static str, Instant)>,
    /// Whether the session is over: the next one uses another address.
    is_over: bool,
}

/// The time from a command to its reply, or a step of the opening without a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// The step or the verb, such as [`CONNECT`], `greeting` or `EHLO`.
    pub(super) of: &'static str,
    pub(super) took: Duration,
}

impl Inspection {
    /// Opens a session, watches it, and ends it. With `trace`, the dialogue is printed.
    ///
    /// The configuration must report the dialogue: its lines tell when a flight begins and ends.
    pub(super) fn of(config: &TransportConfig, trace: bool) -> Self {
        let redaction = config.client_config().redaction();
        let mut inspection = Self::with(&redaction);
        // The first random octets of a process take the cryptography a tenth of a second, which is
        // not a time of the server.
        drop(tls::Connection::new(&config.client_config(), config.tls()));
        let begun = Instant::now();
        let connected = Cell::new(None);
        let around = |socket: Socket| {
            connected.set(Some(Instant::now()));
            socket
        };
        let happened = |session: &Connection, event: Event| {
            if inspection.is_over {
                inspection = Self::with(&redaction);
            }
            if inspection.flights.is_empty()
                && let Some(connected) = connected.get()
            {
                inspection.land(CONNECT, connected.saturating_duration_since(begun));
                let first = match config.tls().security() {
                    Security::Wrapper => "handshake and greeting",
                    _ => "greeting",
                };
                inspection.flying = Some((first, connected));
            }
            inspection.update(session, event, trace);
            ControlFlow::Continue(())
        };
        match Connection::open_with(config, around, happened) {
            Ok(mut session) => {
                while let Some(event) = session.next_event() {
                    let is_ready = matches!(event, Event::Ready);
                    inspection.update(&session, event, trace);
                    if is_ready {
                        break;
                    }
                }
                // Everything is known, so an error of QUIT does not matter.
                let _ = session.quit();
            }
            Err(failure) => inspection.failure = Some(failure),
        }
        inspection
    }

    /// The inspection of a session that could not be configured.
    pub(super) fn failed(failure: Error) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }

    fn with(redaction: &Redaction) -> Self {
        Self {
            redaction: redaction.clone(),
            ..Self::default()
        }
    }

    /// Reads the properties of the session after this event.
    fn update(&mut self, session: &Session, event: Event, trace: bool) {
        let now = Instant::now();
        if self.facts.greeting.is_none() {
            self.facts.greeting = session.greeting().cloned();
        }
        if self.facts.tls.is_none() && session.tls().is_some() {
            self.facts.tls = session.tls().cloned();
            let own = session.peer_certificates().and_then(<[_]>::first);
            self.certificate = own.and_then(|der| Certificate::parse(der, &self.redaction));
            self.landed_as("handshake", now);
        }
        if let Some(capabilities) = session.capabilities() {
            if self.facts.tls.is_none() {
                self.in_plaintext = Some(capabilities.clone());
            }
            self.facts.capabilities = Some(capabilities.clone());
        }
        self.facts.login = session.mechanism();
        match event {
            Event::Trace(line) => {
                self.time(&line, now);
                if trace {
                    print_note(SafeText(&line.to_string()));
                }
            }
            Event::Closed(_) => self.is_over = true,
            _ => {}
        }
    }

    /// Begins a flight with a command, and ends it with the first line of its reply.
    fn time(&mut self, line: &TraceLine, now: Instant) {
        match line.speaker {
            Speaker::Client => self.flying = verb(&line.text).map(|verb| (verb, now)),
            Speaker::Server => {
                if let Some((of, begun)) = self.flying.take() {
                    self.land(of, now.saturating_duration_since(begun));
                    if of == "STARTTLS" && line.text.starts_with('2') {
                        self.flying = Some(("handshake", now));
                    }
                }
            }
        }
    }

    /// Ends the flight that is under way, if it is this one.
    fn landed_as(&mut self, of: &'static str, now: Instant) {
        if let Some((flying, begun)) = self.flying
            && flying == of
        {
            self.land(of, now.saturating_duration_since(begun));
            self.flying = None;
        }
    }

    fn land(&mut self, of: &'static str, took: Duration) {
        self.flights.push(Flight { of, took });
    }

    /// How long this step took, if it was completed.
    pub(super) fn took(&self, of: &str) -> Option<Duration> {
        let flight = self.flights.iter().find(|flight| flight.of == of);
        flight.map(|flight| flight.took)
    }
}

/// The verb of a command of the opening; a response of a login counts as `AUTH`.
fn verb(line: &str) -> Option<&'static str> {
    let first = line.split(' ').next().unwrap_or_default();
    if first.starts_with(['<', '*']) {
        return Some("AUTH");
    }
    let verbs = ["EHLO", "HELO", "LHLO", "STARTTLS", "AUTH"];
    verbs.into_iter().find(|verb| *verb == first)
}
