//! The facts about a session that are printed, and that hints depend on.
//!
//! Must never know how they are shown.

use postwire_blocking::proto::{Capabilities, Mechanism, Reply, TlsInfo};
use postwire_blocking::transport;

/// The facts about a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionFacts {
    /// The TLS session, once it is established.
    pub(crate) tls: Option<TlsInfo>,
    /// The server's greeting.
    pub(crate) greeting: Option<Reply>,
    /// The capabilities of the server.
    pub(crate) capabilities: Option<Capabilities>,
    /// The mechanism of the login, once it succeeded.
    pub(crate) login: Option<Mechanism>,
}

impl SessionFacts {
    /// The current facts about a session.
    pub(crate) fn of(session: &transport::Session) -> Self {
        Self {
            tls: session.tls().cloned(),
            greeting: session.greeting().cloned(),
            capabilities: session.capabilities().cloned(),
            login: session.mechanism(),
        }
    }
}
