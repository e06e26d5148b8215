//! The calls that wait for events of a session: which event answers each call, and what happens to
//! other events.
//!
//! Must never know how an adapter waits: the adapter passes every event to the call until the
//! call has its answer.

use std::io;

use bytes::Bytes;
use postwire_proto::{
    BodySource, Command, CommandId, Envelope, Error, Event, Reply, Report, TransactionId,
};

use super::Session;

/// A call that waits for an answer from a session.
///
/// An adapter calls [`begin`](Self::begin), and then passes each event of the session to
/// [`on_event`](Self::on_event), until one of them returns the answer. While
/// [`wants_chunk`](Self::wants_chunk) is true, the adapter passes pieces of content as well.
pub trait Call {
    /// The answer of the call.
    type Answer;

    /// Returns the answer if it is available without waiting.
    fn begin(&mut self, session: &mut Session) -> Option<Self::Answer> {
        let _ = session;
        None
    }

    /// Takes an event, or `None` when the session is over. Returns the answer if there is one.
    fn on_event(&mut self, session: &mut Session, event: Option<Event>) -> Option<Self::Answer>;

    /// Whether the session needs the next piece of content.
    fn wants_chunk(&self) -> bool {
        false
    }

    /// Takes the next piece of content; `None` ends the content.
    fn give_chunk(&mut self, session: &mut Session, next: Option<io::Result<Bytes>>) {
        let _ = (session, next);
    }
}

/// Waits until the opening is complete: greeting, TLS and authentication as configured.
#[derive(Debug)]
#[must_use]
pub struct Ready;

impl Call for Ready {
    type Answer = Result<(), Error>;

    fn begin(&mut self, session: &mut Session) -> Option<Self::Answer> {
        session.is_ready().then_some(Ok(()))
    }

    fn on_event(&mut self, session: &mut Session, event: Option<Event>) -> Option<Self::Answer> {
        let Some(event) = event else {
            return Some(Err(session.error()));
        };
        session.keep(event);
        self.begin(session)
    }
}

/// Waits for the report on one message.
#[derive(Debug)]
#[must_use]
pub struct Verdict<'a> {
    envelope: &'a Envelope,
    id: TransactionId,
    wants_chunk: bool,
}

impl<'a> Verdict<'a> {
    /// Queues a message and waits for its verdict.
    pub fn on(session: &mut Session, envelope: &'a Envelope, body: impl Into<BodySource>) -> Self {
        Self {
            envelope,
            id: session.enqueue(envelope.clone(), body),
            wants_chunk: false,
        }
    }
}

impl Call for Verdict<'_> {
    type Answer = Report;

    fn on_event(&mut self, session: &mut Session, event: Option<Event>) -> Option<Report> {
        match event {
            Some(Event::Report(report)) if report.transaction() == self.id => return Some(report),
            Some(Event::BodyWanted(id)) if id == self.id => self.wants_chunk = true,
            Some(event) => session.keep(event),
            // Every message has its report before the session ends.
            None => return Some(Report::not_sent(self.envelope, session.error())),
        }
        None
    }

    fn wants_chunk(&self) -> bool {
        self.wants_chunk
    }

    fn give_chunk(&mut self, session: &mut Session, next: Option<io::Result<Bytes>>) {
        self.wants_chunk = false;
        session.body_next(self.id, next);
    }
}

/// Waits for the reply to one command.
#[derive(Debug)]
#[must_use]
pub struct Answered(CommandId);

impl Answered {
    /// Queues a command and waits for its reply.
    pub fn on(session: &mut Session, command: Command) -> Self {
        Self(session.enqueue_command(command))
    }
}

impl Call for Answered {
    type Answer = Result<Reply, Error>;

    fn on_event(&mut self, session: &mut Session, event: Option<Event>) -> Option<Self::Answer> {
        match event {
            Some(Event::Reply(id, reply)) if id == self.0 => return Some(reply),
            Some(event) => session.keep(event),
            // Every command has its reply before the session ends.
            None => return Some(Err(session.error())),
        }
        None
    }
}

/// Waits for the next event; the answer is `None` when the session is over.
#[derive(Debug)]
#[must_use]
pub struct NextEvent;

impl Call for NextEvent {
    type Answer = Option<Event>;

    fn begin(&mut self, session: &mut Session) -> Option<Self::Answer> {
        session.kept.take().map(Some)
    }

    fn on_event(&mut self, _: &mut Session, event: Option<Event>) -> Option<Self::Answer> {
        Some(event)
    }
}

/// Waits for the end of a session after `QUIT`; the answer is an error if it ended otherwise.
#[derive(Debug)]
#[must_use]
pub struct Farewell;

impl Call for Farewell {
    type Answer = Result<(), Error>;

    fn begin(&mut self, session: &mut Session) -> Option<Self::Answer> {
        session.begin_quit();
        None
    }

    fn on_event(&mut self, session: &mut Session, event: Option<Event>) -> Option<Self::Answer> {
        if event.is_some() {
            return None;
        }
        Some(session.ended_by.take().map_or(Ok(()), Err))
    }
}
