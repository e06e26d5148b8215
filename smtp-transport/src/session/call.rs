//! The calls that wait for something a session brings: which event answers each, and what
//! becomes of the others meanwhile.
//!
//! Must never know how an adapter waits: it gives every event to the call until there is an
//! answer.

use std::io;

use bytes::Bytes;
use postwire_proto::{
    BodySource, Command, CommandId, Envelope, Error, Event, Reply, Report, TransactionId,
};

use super::Session;

/// A call that waits for an answer.
///
/// An adapter asks [`begin`](Self::begin), and then gives each event of the session to
/// [`on_event`](Self::on_event), until one of them has the answer. Where
/// [`wants_chunk`](Self::wants_chunk) says so it gives a piece of content as well.
pub trait Call {
    /// What comes of it.
    type Answer;

    /// The answer that is there without waiting.
    fn begin(&mut self, session: &mut Session) -> Option<Self::Answer> {
        let _ = session;
        None
    }

    /// Takes an event; `None` once the session is over. Gives the answer where there is one.
    fn on_event(&mut self, session: &mut Session, event: Option<Event>) -> Option<Self::Answer>;

    /// Whether the next piece of the content is wanted.
    fn wants_chunk(&self) -> bool {
        false
    }

    /// Takes the next piece of the content; `None` is its end.
    fn give_chunk(&mut self, session: &mut Session, next: Option<io::Result<Bytes>>) {
        let _ = (session, next);
    }
}

/// Waits until the session stands: greeted, under TLS and authenticated as configured.
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
    /// Queues a message, whose verdict is waited for.
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

/// Waits for the answer to one command.
#[derive(Debug)]
#[must_use]
pub struct Answered(CommandId);

impl Answered {
    /// Queues a command, whose answer is waited for.
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
            // Every command has its answer before the session ends.
            None => return Some(Err(session.error())),
        }
        None
    }
}

/// Waits for whatever happens next; `None` once the session is over.
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

/// Waits for the end of a session that leaves; an error where it ended for another reason.
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
