//! A session for a driver, which moves its octets. Must never read or write itself.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use postwire_proto::{Endpoint, Error, Event, Instant, TransportError};

use super::Session;
use crate::TransportConfig;

/// A [`Session`] for a driver: an [`Endpoint`], with the decisions about it while it is opened.
///
/// After [`Event::CredentialsWanted`] the driver must call
/// [`poll_credentials`](Self::poll_credentials) before it continues.
#[derive(Debug)]
pub struct SessionMachine {
    session: Session,
    waited_for: WaitedFor,
}

/// What a caller of a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitedFor {
    /// The end of the opening. If the opening fails, the session is given up without waiting for
    /// the reply to `QUIT`.
    Opening,
    /// Nothing, because the session was given up.
    Nothing,
    /// The end of the session.
    End,
}

impl SessionMachine {
    /// Creates a session over a connected stream with this local address.
    pub fn new(config: &TransportConfig, local: Option<IpAddr>) -> Self {
        let mut session = Session::new(config);
        if let Some(address) = local {
            session.set_local_address(address);
        }
        Self {
            session,
            waited_for: WaitedFor::End,
        }
    }

    /// Creates a session whose opening a caller waits for. If the opening fails, the session is
    /// given up without waiting for the reply to `QUIT`.
    pub(crate) fn opening(config: &TransportConfig, local: Option<IpAddr>) -> Self {
        Self {
            waited_for: WaitedFor::Opening,
            ..Self::new(config, local)
        }
    }

    /// The session, with the methods for a caller.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session, with the methods for a caller, mutably.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether the session is ready. If it is, the opening is over.
    pub fn stands(&mut self) -> bool {
        let stands = self.session.is_ready();
        if stands {
            self.waited_for = WaitedFor::End;
        }
        stands
    }

    /// Whether the opening has failed, so that there is nothing to wait for except what can be
    /// written at once.
    pub fn is_given_up(&self) -> bool {
        self.waited_for != WaitedFor::End && self.session.machine.failure().is_some()
    }

    /// Returns the last event of a session that is given up; `None` after that, and for any other
    /// session.
    pub fn give_up(&mut self) -> Option<Event> {
        if !self.is_given_up() || self.waited_for == WaitedFor::Nothing {
            return None;
        }
        self.waited_for = WaitedFor::Nothing;
        let failure = self.session.machine.failure().cloned();
        self.session.ended_by.clone_from(&failure);
        Some(Event::Closed(failure))
    }

    /// The error that ended the session.
    pub(crate) fn error(&self) -> Error {
        self.session.error()
    }

    /// Continues to fetch the credentials that the session needs. Ready if none are being
    /// fetched, or if the fetch is complete.
    pub fn poll_credentials(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(fetching) = &mut self.session.fetching {
            let Poll::Ready(fetched) = Pin::new(fetching).poll(cx) else {
                return Poll::Pending;
            };
            self.session.fetching = None;
            // This fails only if the session has ended.
            let _ = self.session.machine.credentials_fetched(fetched);
        }
        Poll::Ready(())
    }
}

impl Endpoint for SessionMachine {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, input: &[u8]) {
        self.session.machine.handle_input(now, input);
        if self.is_idle() {
            self.session.machine.release_memory();
        }
    }

    fn handle_eof(&mut self, now: Instant) {
        self.session.machine.handle_eof(now);
    }

    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.session.machine.handle_transport_error(now, error);
    }

    fn output(&mut self) -> impl Buf + Send {
        self.session.machine.output()
    }

    fn output_chunk(&mut self) -> &[u8] {
        self.session.machine.output_chunk()
    }

    fn advance_output(&mut self, octets: usize) {
        self.session.machine.advance_output(octets);
    }

    fn next_chunk(&mut self, most: usize) -> Bytes {
        self.session.machine.next_chunk(most)
    }

    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.session.machine.handle_written(now, octets);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.session.next_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.machine.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.machine.handle_timeout(now);
    }

    fn is_closed(&self) -> bool {
        self.session.machine.is_closed()
    }

    fn is_idle(&self) -> bool {
        self.session.is_idle()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::TransportBuilder;

    fn at(seconds: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(seconds))
    }

    fn greeted(local: Option<IpAddr>) -> SessionMachine {
        let builder = TransportBuilder::<TransportConfig>::builder_dangerous("mail.example");
        let mut machine = SessionMachine::new(&builder.build().unwrap(), local);
        machine.handle_input(at(0), b"220 mail.example\r\n");
        machine
    }

    #[test]
    fn a_driver_that_writes_later_reports_what_is_written() {
        let mut machine = greeted(Some("192.0.2.7".parse().unwrap()));
        let hello = machine.next_chunk(usize::MAX);
        assert_eq!(hello, "EHLO [192.0.2.7]\r\n");
        machine.handle_written(at(1), 1);
        let unwritten = machine.poll_timeout().unwrap();
        machine.handle_written(at(5), hello.len() - 1);
        assert!(machine.poll_timeout().unwrap() > unwritten);
        assert!(!machine.is_idle());
        machine.handle_input(at(5), b"250 mail.example\r\n");
        assert!(machine.stands() && machine.is_idle());
    }

    #[test]
    fn a_connection_that_fails_is_the_error_of_the_session() {
        let mut machine = greeted(None);
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        machine.handle_transport_error(at(1), Arc::new(reset));
        assert!(machine.is_closed());
        while machine.poll_event().is_some() {}
        let said = machine.error().to_string();
        assert!(said.contains("connection reset"), "{said}");
    }
}
