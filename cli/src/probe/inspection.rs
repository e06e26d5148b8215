//! The properties of a server that are only visible during the session.
//!
//! Knows the events of a session. Must never know how the properties are shown.

use postwire_blocking::Connection;
use postwire_blocking::proto::{Event, Redaction};

use crate::print::certificate::Certificate;
use crate::print::facts::SessionFacts;
use crate::print::output::print_note;
use crate::print::text::SafeText;

/// The properties that are only visible during the session.
#[derive(Default)]
pub(super) struct Inspection {
    pub(super) redaction: Redaction,
    pub(super) facts: SessionFacts,
    pub(super) certificate: Option<Certificate>,
    /// Whether the session is over: the next one uses another address.
    is_over: bool,
}

impl Inspection {
    /// Starts without properties. The fields of a certificate and the capabilities are
    /// redacted.
    pub(super) fn new(redaction: Redaction) -> Self {
        Self {
            redaction,
            ..Self::default()
        }
    }

    /// Reads the properties of the session after this event.
    pub(super) fn update(&mut self, session: &Connection, event: Event, trace: bool) {
        if self.is_over {
            *self = Self::new(core::mem::take(&mut self.redaction));
        }
        if self.facts.greeting.is_none() {
            self.facts.greeting = session.greeting().cloned();
        }
        if let Some(capabilities) = session.capabilities() {
            self.facts.capabilities = Some(capabilities.clone());
        }
        if self.facts.tls.is_none() {
            self.facts.tls = session.tls().cloned();
            let own = session.peer_certificates().and_then(<[_]>::first);
            self.certificate = own.and_then(|der| Certificate::parse(der, &self.redaction));
        }
        self.facts.login = session.mechanism();
        match event {
            Event::Trace(line) if trace => print_note(SafeText(&line.to_string())),
            Event::Closed(_) => self.is_over = true,
            _ => {}
        }
    }
}
