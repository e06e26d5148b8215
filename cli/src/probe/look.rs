//! The properties of a server that are only visible during the session.
//!
//! Knows the events of a session. Must never know how the properties are shown.

use postwire_blocking::Connection;
use postwire_blocking::proto::{Capabilities, Event, Mechanism, Redaction, Reply, TlsInfo};

use crate::print::certificate::Certificate;
use crate::print::output::note;
use crate::print::text::Plain;

/// The properties that are only visible during the session.
#[derive(Default)]
pub(super) struct Look {
    pub(super) redaction: Redaction,
    pub(super) greeting: Option<Reply>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) tls: Option<TlsInfo>,
    pub(super) certificate: Option<Certificate>,
    pub(super) login: Option<Mechanism>,
    /// Whether the session is over: the next one uses another address.
    is_over: bool,
}

impl Look {
    /// Starts without properties. The fields of a certificate and the capabilities are
    /// redacted.
    pub(super) fn new(redaction: Redaction) -> Self {
        Self {
            redaction,
            ..Self::default()
        }
    }

    /// Reads the properties of the session after this event.
    pub(super) fn see(&mut self, session: &Connection, event: Event, trace: bool) {
        if self.is_over {
            *self = Self::new(core::mem::take(&mut self.redaction));
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
            self.certificate = own.and_then(|der| Certificate::parse(der, &self.redaction));
        }
        self.login = session.mechanism();
        match event {
            Event::Trace(line) if trace => note(Plain(&line.to_string())),
            Event::Closed(_) => self.is_over = true,
            _ => {}
        }
    }
}
