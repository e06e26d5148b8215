//! A session as a driver moves its octets.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use postwire_proto::{Endpoint, Error, Event, Instant, TransportError};

use super::Session;
use crate::TransportConfig;

/// A [`Session`] for a driver: an [`Endpoint`], and what is decided about it while it is being
/// opened.
///
/// [`Event::CredentialsWanted`] comes out so that the driver returns, and is to be answered by
/// [`poll_credentials`](Self::poll_credentials) before it goes on.
#[derive(Debug)]
pub struct SessionMachine {
    session: Session,
    waited_for: WaitedFor,
}

/// What of a session a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitedFor {
    /// That it stands. It is given up where it fails, without waiting for the answer to its
    /// `QUIT`.
    Opening,
    /// Nothing any more: it was given up.
    Nothing,
    /// Its end.
    End,
}

impl SessionMachine {
    /// A session that is about to begin over a connected stream, whose own end has this
    /// address.
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

    /// The session to which a caller waits to be connected. It is given up where it fails: how
    /// its farewell goes concerns nobody.
    pub(crate) fn opening(config: &TransportConfig, local: Option<IpAddr>) -> Self {
        Self {
            waited_for: WaitedFor::Opening,
            ..Self::new(config, local)
        }
    }

    /// What a caller may ask of it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What a caller may ask of it.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether the session stands, and opening is over.
    pub fn stands(&mut self) -> bool {
        let stands = self.session.is_ready();
        if stands {
            self.waited_for = WaitedFor::End;
        }
        stands
    }

    /// Whether there is nothing left to wait for, once what can be written at once is: the
    /// session fails while it is being opened.
    pub fn is_given_up(&self) -> bool {
        self.waited_for != WaitedFor::End && self.session.machine.failure().is_some()
    }

    /// The end of a session that is given up, as its last event; `None` after that, and where
    /// it is not given up.
    pub fn give_up(&mut self) -> Option<Event> {
        if !self.is_given_up() || self.waited_for == WaitedFor::Nothing {
            return None;
        }
        self.waited_for = WaitedFor::Nothing;
        let failure = self.session.machine.failure().cloned();
        self.session.ended_by.clone_from(&failure);
        Some(Event::Closed(failure))
    }

    /// Why nothing more comes of the session.
    pub(crate) fn error(&self) -> Error {
        self.session.error()
    }

    /// Goes on to fetch the credentials that the server wants. Ready where none are on their
    /// way, or none any more.
    pub fn poll_credentials(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(fetching) = &mut self.session.fetching {
            let Poll::Ready(fetched) = Pin::new(fetching).poll(cx) else {
                return Poll::Pending;
            };
            self.session.fetching = None;
            // It fails only where the session has ended.
            let _ = self.session.machine.credentials_fetched(fetched);
        }
        Poll::Ready(())
    }
}

impl Endpoint for SessionMachine {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, input: &[u8]) {
        self.session.machine.handle_input(now, input);
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
}
