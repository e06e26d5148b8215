//! What a program that has a subscriber of the [`tracing`](https://docs.rs/tracing) crate sees:
//! events about connections, sessions and messages. Without the feature `tracing`, nothing here has
//! an effect.
//!
//! Fields have the names of OpenTelemetry where it has one (`server.address`, `network.peer.address`,
//! `tls.protocol.version`). Secrets never appear. Addresses of senders and recipients appear with
//! the dialogue, and where the server repeats them in a reply. Must never decide anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tracing")]
use postwire_proto::Outcome;
use postwire_proto::{ClientConfig, Error, Event, Report};
use postwire_tls::Connection;

use crate::TransportConfig;

/// The target of all events except the dialogue.
#[cfg(feature = "tracing")]
const TARGET: &str = "postwire";

/// The target of the dialogue, which is recorded only if a subscriber wants this target at the
/// level `TRACE`.
#[cfg(feature = "tracing")]
const DIALOGUE: &str = "postwire::dialogue";

/// The span of a session.
#[derive(Debug)]
pub(crate) struct SessionSpan {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    /// Whether the subscriber wants the dialogue and the program does not.
    hides_dialogue: bool,
}

#[cfg(feature = "tracing")]
impl SessionSpan {
    /// Begins a session, and returns the configuration for it.
    pub(crate) fn new(config: &TransportConfig) -> (Self, Arc<ClientConfig>) {
        let span = tracing::debug_span!(
            target: TARGET,
            "smtp.session",
            server.address = config.host(),
            server.port = config.port(),
            tls.protocol.version = tracing::field::Empty,
            tls.cipher = tracing::field::Empty,
        );
        let client = config.client_config();
        let wanted = tracing::enabled!(target: DIALOGUE, tracing::Level::TRACE);
        let hides_dialogue = wanted && !client.trace;
        let client = if hides_dialogue {
            Arc::new(ClientConfig::clone(&client).trace(true))
        } else {
            client
        };
        let begun = Self {
            span,
            hides_dialogue,
        };
        (begun, client)
    }

    /// Records an event of the session. Returns whether the program is to have it.
    pub(crate) fn record(&self, event: &Event, session: &Connection) -> bool {
        let _entered = self.span.enter();
        match event {
            Event::Trace(line) => {
                tracing::trace!(target: DIALOGUE, "{line}");
                return !self.hides_dialogue;
            }
            Event::Ready => {
                if let Some(tls) = session.tls() {
                    let version = tls.version().trim_start_matches("TLSv");
                    self.span.record("tls.protocol.version", version);
                    self.span.record("tls.cipher", tls.cipher());
                }
                let mechanism = session.mechanism();
                let mechanism = mechanism.as_ref().map(tracing::field::display);
                tracing::debug!(target: TARGET, { smtp.mechanism = mechanism }, "session ready");
            }
            Event::Report(report) => {
                tracing::debug!(target: TARGET, { smtp.outcome = outcome(report) }, "message concluded");
            }
            Event::Closed(Some(error)) => {
                tracing::debug!(target: TARGET, error = %error, "session lost");
            }
            Event::Closed(None) => tracing::debug!(target: TARGET, "session closed"),
            _ => {}
        }
        true
    }
}

#[cfg(not(feature = "tracing"))]
impl SessionSpan {
    /// Begins a session, and returns the configuration for it.
    pub(crate) fn new(config: &TransportConfig) -> (Self, Arc<ClientConfig>) {
        let begun = Self {
            hides_dialogue: false,
        };
        (begun, config.client_config())
    }

    /// Records an event of the session. Returns whether the program is to have it.
    pub(crate) fn record(&self, _: &Event, _: &Connection) -> bool {
        !self.hides_dialogue
    }
}

#[cfg(feature = "tracing")]
fn outcome(report: &Report) -> &'static str {
    match report.outcome() {
        Outcome::Accepted(_) => "accepted",
        Outcome::Rejected { .. } => "rejected",
        Outcome::NotSent(_) => "not sent",
        Outcome::InDoubt(_) => "in doubt",
    }
}

macro_rules! observe {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($field:ident: $type:ty),*) { $($event:tt)* }
    )*) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($field: $type),*) {
            #[cfg(feature = "tracing")]
            { $($event)* }
            #[cfg(not(feature = "tracing"))]
            { $(let _ = $field;)* }
        }
    )*};
}

observe! {
    /// Records that an attempt to connect succeeded.
    fn connected(address: SocketAddr) {
        tracing::debug!(
            target: TARGET,
            { network.peer.address = %address.ip(), network.peer.port = address.port() },
            "connected"
        );
    }

    /// Records that an attempt to connect failed. Others may succeed.
    fn attempt_failed(address: SocketAddr, error: &std::io::Error) {
        tracing::debug!(
            target: TARGET,
            {
                network.peer.address = %address.ip(),
                network.peer.port = address.port(),
                error = %error,
            },
            "cannot connect"
        );
    }

    /// Records that a session over one address failed, and another address is tried.
    fn next_address(error: &Error) {
        tracing::debug!(target: TARGET, error = %error, "trying the next address");
    }

    /// Records that no session could be opened.
    fn not_opened(error: &Error) {
        tracing::warn!(target: TARGET, error = %error, smtp.stage = %error.stage(), "no session opened");
    }

    /// Records that the server accepts no more sessions, and that the pool opens none meanwhile.
    fn paused(pause: Duration) {
        tracing::info!(target: TARGET, pause = ?pause, "the server accepts no more sessions; opening none");
    }

    /// Records that what one session could not send is sent over a new one.
    fn sent_again() {
        tracing::info!(target: TARGET, "sending again over a new connection");
    }

    /// Records the verdict on a message that a send returns.
    fn reported(report: &Report) {
        let recipients = report.recipients().len();
        let refused = report.refused().count();
        let code = report.reply().map(|reply| reply.code().get());
        match report.error() {
            None if report.is_accepted() && refused == 0 => tracing::debug!(
                target: TARGET, recipients, smtp.reply.code = code, "message accepted"
            ),
            error => tracing::warn!(
                target: TARGET,
                recipients,
                refused,
                smtp.outcome = outcome(report),
                smtp.reply.code = code,
                smtp.stage = report.stage().as_ref().map(tracing::field::display),
                error = error.map(tracing::field::display),
                "message not accepted for every recipient"
            ),
        }
    }
}
