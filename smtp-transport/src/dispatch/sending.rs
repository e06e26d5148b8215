//! One send of one or many messages: its messages, and the connection that it holds, waits for or
//! opens.
//!
//! A send of one small message may share a connection with others ([`sharing`](super::sharing)).
//!
//! The adapter executes one [`Step`] after the other. Each step borrows the send, so no other call
//! is possible before the step is answered or dropped. If a step is dropped without an answer, the
//! send returns it again. Must never open, read or write a connection, read a clock or sleep.

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use postwire_proto::{
    Body, BodySource, Envelope, Error, ErrorKind, Event, Instant, Report, SendError, Stage,
    TransactionId,
};

use super::{Dispatch, Line};
use crate::batch::{Batch, BatchStep};
use crate::pool::{
    PoolConnectionId, PoolGrant, PoolShelf, PoolTicket, QueuedMessage, SHARED_OCTETS,
    SharedConnection,
};

/// A send of one or many messages through a transport, reported in order.
///
/// An adapter that stops executing steps calls [`pause`](Self::pause) if it may continue later, and
/// [`leave`](Self::leave) otherwise. Both release what the send holds of the pool, so that no other
/// send waits for an unused connection.
pub struct Sending<L: Line> {
    pub(super) dispatch: Arc<Dispatch<L>>,
    batch: Batch,
    pub(super) hold: Hold<L>,
    /// The size of the message, if it may share a connection.
    shares: Option<u64>,
    /// The deadline of the next report; `None` before the caller waits for it.
    wait: Option<Deadline>,
    /// The message that needs the next piece of content.
    wanted: Option<TransactionId>,
    pub(super) now: Instant,
}

/// The deadline of a send; `None` if there is no limit.
type Deadline = Option<Instant>;

/// What a send holds of the pool.
pub(super) enum Hold<L> {
    Nothing,
    /// A place in the queue for a connection, or on a connection that another send drives.
    Place(PoolTicket),
    /// A connection that was idle, and that the server may have closed.
    Unseen(PoolTicket, PoolConnectionId, L),
    /// The right to open a connection.
    Right(PoolTicket, PoolConnectionId),
    Lease(Lease<L>),
    /// A connection with messages of several sends, one of them of this send.
    Shared(PoolTicket, SharedConnection<L>),
}

/// A connection in use.
pub(super) struct Lease<L> {
    id: PoolConnectionId,
    line: L,
    messages: u64,
}

/// The next step of a send.
#[derive(Debug)]
#[must_use = "nothing is sent unless each step is carried out"]
pub enum Step<'a, L: Line> {
    /// Take the next message to send.
    Message(Message<'a, L>),
    /// Wait for a connection: until woken, or until a time.
    Wait(Wait<'a, L>),
    /// Check whether the server has closed this idle connection.
    Glance(Glance<'a, L>),
    /// Open a connection.
    Open(Open<'a, L>),
    /// Move the octets of this connection until an event occurs.
    Drive(Drive<'a, L>),
    /// Return this report to the caller.
    Report(Report),
    /// Every message has its report.
    Done,
}

/// The step of taking the next message.
pub struct Message<'a, L: Line>(&'a mut Sending<L>);

/// The step of waiting for a connection.
pub struct Wait<'a, L: Line>(&'a mut Sending<L>);

/// The step of checking an idle connection.
pub struct Glance<'a, L: Line> {
    sending: &'a mut Sending<L>,
}

/// The step of opening a connection.
pub struct Open<'a, L: Line> {
    sending: &'a mut Sending<L>,
    id: PoolConnectionId,
}

/// The step of moving the octets of a connection.
///
/// A future that waits for the stream answers it with [`park`](Self::park), and another send may
/// drive a shared connection meanwhile. A thread that waits in a read keeps it.
pub struct Drive<'a, L: Line> {
    sending: &'a mut Sending<L>,
    line: Driven,
}

/// Whether an event of the driven connection arrived.
#[derive(PartialEq)]
enum Driven {
    Waits,
    HadEvent,
}

impl<L: Line> Sending<L> {
    pub(super) fn new(dispatch: &Arc<Dispatch<L>>) -> Self {
        Self {
            dispatch: Arc::clone(dispatch),
            batch: Batch::new(dispatch.config.pool().max_messages),
            hold: Hold::Nothing,
            shares: None,
            wait: None,
            wanted: None,
            now: Instant::EPOCH,
        }
    }

    /// Lets a message at hand share a connection, unless it is large.
    pub(super) fn share_if_small(&mut self, body: &BodySource) {
        let octets = body.facts().map(|facts| facts.octets);
        self.shares = octets.filter(|octets| !body.is_stream() && *octets <= SHARED_OCTETS);
    }

    /// Adds a message. A message that no server can accept is refused without a connection.
    pub(super) fn add(&mut self, envelope: Envelope, body: BodySource) {
        let config = self.dispatch.config.client_config();
        match config.not_sent_report(&envelope, &body) {
            Some(report) => self.batch.add_settled(envelope, body, report),
            None => self.batch.add(envelope, body),
        }
    }

    /// Marks the end of the messages.
    pub(super) fn end(&mut self) {
        self.batch.end();
    }

    /// Returns the next step. The time limit for the next report counts from the first call after
    /// the last report.
    pub fn next_step(&mut self, now: Instant) -> Step<'_, L> {
        self.now = now;
        if self.wait.is_none() {
            let timeout = self.dispatch.config.timeout();
            self.wait = Some(timeout.map(|timeout| now + timeout));
            self.limit_time();
        }
        loop {
            match self.hold {
                Hold::Place(_) => return Step::Wait(Wait(self)),
                Hold::Unseen(..) => return Step::Glance(Glance { sending: self }),
                Hold::Right(_, id) => return Step::Open(Open { sending: self, id }),
                Hold::Shared(..) => {
                    self.queue_joined();
                    return self.drive();
                }
                Hold::Nothing | Hold::Lease(_) => {}
            }
            if self.batch.wants_more() {
                return Step::Message(Message(self));
            }
            match self.batch.next_step() {
                BatchStep::Connect => self.queue_up(),
                BatchStep::Enqueue { envelope, body, .. } => self.enqueue(envelope, body),
                BatchStep::Await if matches!(self.hold, Hold::Lease(_)) => return self.drive(),
                BatchStep::Await => self.batch.disconnected(),
                BatchStep::Report(report) => {
                    self.count(&report);
                    if self.batch.is_empty() {
                        self.give_back();
                    }
                    self.wait = None;
                    return Step::Report(report);
                }
                BatchStep::Done => {
                    self.give_back();
                    self.wait = None;
                    return Step::Done;
                }
            }
        }
    }

    fn drive(&mut self) -> Step<'_, L> {
        Step::Drive(Drive {
            sending: self,
            line: Driven::Waits,
        })
    }

    fn count(&mut self, report: &Report) {
        let totals = &self.dispatch.totals;
        totals.reported(report);
        totals.retried(self.batch.take_retries());
        if let Hold::Lease(lease) = &mut self.hold {
            totals.flown(lease.line.take_flights());
        }
    }

    /// Pauses the send. Its place in the queue, or its right to open a connection, goes to another
    /// send. A connection in use is kept, because messages may be under way on it.
    pub fn pause(&mut self, now: Instant) {
        self.now = now;
        self.wait = None;
        match self.hold {
            Hold::Lease(_) => {}
            _ => self.give_back(),
        }
    }

    /// Ends the send. Its remaining reports are kept as abandoned ones.
    pub fn leave(&mut self, now: Instant) {
        self.now = now;
        self.park(Waker::noop());
        if let Hold::Lease(lease) = &mut self.hold {
            for report in lease.line.session().end() {
                self.batch.reported(report);
            }
        }
        self.give_back();
        self.dispatch.abandon(self.batch.abandon());
    }

    fn deadline(&self) -> Deadline {
        self.wait.flatten()
    }

    pub(super) fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_duration_since(self.now))
    }

    /// Limits the session that is in use to the deadline of the send.
    fn limit_time(&mut self) {
        let left = self.time_left();
        if let Hold::Lease(lease) = &mut self.hold {
            lease.line.limit_time(left);
        }
    }

    /// Releases what the send holds and waits for a connection.
    fn queue_up(&mut self) {
        self.give_back();
        let (now, deadline) = (self.now, self.deadline());
        let fresh = self.batch.wants_fresh();
        let ticket = match (self.shares, self.batch.peek()) {
            (Some(octets), Some((envelope, body))) => {
                let message = QueuedMessage {
                    envelope: envelope.clone(),
                    body: body.clone(),
                };
                self.dispatch
                    .tell(|shelf| shelf.request_place(now, fresh, deadline, octets, message))
            }
            _ => self
                .dispatch
                .tell(|shelf| shelf.request(now, fresh, deadline)),
        };
        self.hold = Hold::Place(ticket);
    }

    fn enqueue(&mut self, envelope: Envelope, body: BodySource) {
        if let Hold::Lease(lease) = &mut self.hold {
            lease.messages += 1;
            lease.line.session().enqueue(envelope, body);
        } else {
            debug_assert!(false, "a message for no connection");
        }
    }

    /// Begins to use a connection.
    fn lease(&mut self, ticket: PoolTicket, id: PoolConnectionId, line: L, is_reused: bool) {
        let now = self.now;
        if self.shares.is_some() {
            let share = |shelf: &mut PoolShelf<L>| shelf.share(now, id, ticket, line, is_reused);
            self.hold = Hold::Shared(ticket, self.dispatch.tell(share));
            return;
        }
        if !is_reused {
            self.dispatch.tell(|shelf| shelf.opened(now, id));
        }
        self.hold = Hold::Lease(Lease {
            id,
            line,
            messages: 0,
        });
        self.limit_time();
        self.batch.connected(is_reused);
    }

    /// Takes the report on the message of a send that shares a connection.
    pub(super) fn settle(&mut self, report: Report, is_reused: bool) {
        self.begin_unheld(is_reused);
        self.batch.reported(report);
    }

    /// Records that a session that another send drives has the message of this one.
    fn begin_unheld(&mut self, is_reused: bool) {
        self.hold = Hold::Nothing;
        self.batch.connected(is_reused);
        let step = self.batch.next_step();
        debug_assert!(
            matches!(step, BatchStep::Enqueue { .. }),
            "the only message is not the next one"
        );
    }

    /// Takes the end of a session that shared the message of this send and did not report on it.
    pub(super) fn session_is_over(&mut self) {
        self.begin_unheld(true);
        self.batch.disconnected();
    }

    /// Releases what the send holds.
    fn give_back(&mut self) {
        self.park(Waker::noop());
        let now = self.now;
        self.wanted = None;
        match mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Nothing | Hold::Shared(..) => {}
            Hold::Place(ticket) => self.dispatch.tell(|shelf| shelf.cancel(now, ticket)),
            Hold::Unseen(ticket, id, line) => {
                self.dispatch.tell(|shelf| {
                    shelf.cancel(now, ticket);
                    shelf.put_back(now, id, line, 0);
                });
            }
            Hold::Right(ticket, id) => self.dispatch.tell(|shelf| {
                shelf.cancel(now, ticket);
                shelf.lost(now, id);
            }),
            Hold::Lease(lease) => {
                let (id, messages) = (lease.id, lease.messages);
                self.dispatch.give_back(now, id, lease.line, messages);
            }
        }
    }
}

/// Converts the report of a send of one message into its result.
///
/// # Errors
///
/// [`SendError`] if the message is not accepted, or not for every recipient.
pub fn verdict(report: Option<Report>, envelope: &Envelope) -> Result<Report, SendError> {
    // A message always has a report.
    let over = || Report::not_sent(envelope, Error::new(Stage::Mail, ErrorKind::SessionOver));
    report.unwrap_or_else(over).into_result()
}

impl<L: Line> Drop for Sending<L> {
    /// Ends the send like [`leave`](Self::leave), at the last known time.
    fn drop(&mut self) {
        self.leave(self.now);
    }
}

impl<L: Line> Message<'_, L> {
    /// Takes the next message; `None` if there are no more.
    pub fn give(self, message: Option<(Envelope, Body)>) {
        match message {
            Some((envelope, body)) => self.0.add(envelope, body.into()),
            None => self.0.end(),
        }
    }
}

impl<L: Line> Wait<'_, L> {
    /// Returns `Ok` if the wait is over. The next step of the send then shows its result.
    ///
    /// # Errors
    ///
    /// The time at which to poll again, unless the waker is woken earlier; `None` if only the waker
    /// ends the wait. The waker is also woken if that time changes.
    pub fn poll(&mut self, now: Instant, waker: &Waker) -> Result<(), Option<Instant>> {
        let sending = &mut *self.0;
        sending.now = now;
        let Hold::Place(ticket) = sending.hold else {
            return Ok(());
        };
        let look = |shelf: &mut PoolShelf<L>| shelf.poll_grant(now, ticket, waker);
        let failed = |kind| Error::new(Stage::Connect, kind);
        sending.hold = match sending.dispatch.tell(look)? {
            PoolGrant::Use(id, line) => Hold::Unseen(ticket, id, line),
            PoolGrant::Open(id) => Hold::Right(ticket, id),
            PoolGrant::Drive(shared) => Hold::Shared(ticket, shared),
            PoolGrant::Report(report, is_reused) => {
                sending.settle(*report, is_reused);
                Hold::Nothing
            }
            PoolGrant::Over => {
                sending.session_is_over();
                Hold::Nothing
            }
            PoolGrant::Refuse => {
                sending.batch.failed(failed(ErrorKind::ShutDown));
                Hold::Nothing
            }
            PoolGrant::TimedOut => {
                sending.batch.failed(failed(ErrorKind::TimedOut));
                Hold::Nothing
            }
        };
        Ok(())
    }
}

impl<L: Line> Glance<'_, L> {
    /// Checks the connection by `glance`, which reads what the server has sent already, without
    /// waiting.
    pub fn look(self, glance: impl FnOnce(&mut L)) {
        let sending = self.sending;
        let (now, deadline) = (sending.now, sending.deadline());
        match mem::replace(&mut sending.hold, Hold::Nothing) {
            Hold::Unseen(ticket, id, mut line) => {
                glance(&mut line);
                if line.session().is_idle() {
                    return sending.lease(ticket, id, line, true);
                }
                sending
                    .dispatch
                    .tell(|shelf| shelf.found_dead(now, id, ticket, deadline));
                sending.hold = Hold::Place(ticket);
            }
            hold => sending.hold = hold,
        }
    }
}

impl<L: Line> Open<'_, L> {
    /// The time limit for opening the connection.
    pub fn time_left(&self) -> Option<Duration> {
        self.sending.time_left()
    }

    /// Takes the connection with a ready session, or the error if there is none.
    pub fn opened(self, now: Instant, opened: Result<L, Error>) {
        let (sending, id) = (self.sending, self.id);
        sending.now = now;
        let Hold::Right(ticket, _) = mem::replace(&mut sending.hold, Hold::Nothing) else {
            debug_assert!(
                false,
                "a connection was opened without the right to open one"
            );
            return;
        };
        match opened {
            Ok(line) => sending.lease(ticket, id, line, false),
            Err(error) => {
                let no_room = error.server_has_no_room();
                sending.dispatch.tell(|shelf| {
                    shelf.cancel(now, ticket);
                    shelf.open_failed(now, id, no_room);
                });
                sending.batch.failed(error);
            }
        }
    }
}

impl<L: Line> Drive<'_, L> {
    /// The connection.
    ///
    /// # Panics
    ///
    /// Never: a send that drives has a connection.
    pub fn line(&mut self) -> &mut L {
        match &mut self.sending.hold {
            Hold::Lease(lease) => &mut lease.line,
            Hold::Shared(_, shared) => &mut shared.connection,
            _ => unreachable!("a send drives the connection that it holds"),
        }
    }

    /// Whether the session needs the next piece of streamed content. An adapter that can do both
    /// continues to read from the server while it waits for the piece.
    pub fn wants_chunk(&self) -> bool {
        self.sending.wanted.is_some()
    }

    /// Takes the next piece of streamed content; `None` ends the content.
    pub fn give_chunk(&mut self, next: Option<io::Result<Bytes>>) {
        if let Some(id) = self.sending.wanted.take() {
            self.sending.batch.stream_was_touched();
            self.line().session().body_next(id, next);
        }
    }

    /// Puts the connection down while the future waits for its stream, which wakes the same waker.
    pub fn park(mut self, waker: &Waker) {
        self.line = Driven::HadEvent;
        self.sending.park(waker);
    }

    /// Takes the next event of the session at the time `now`; `None` if the session is over.
    pub fn on_event(mut self, now: Instant, event: Option<Event>) {
        self.line = Driven::HadEvent;
        let sending = &mut *self.sending;
        sending.now = now;
        if let Hold::Shared(..) = sending.hold {
            return sending.on_shared_event(event);
        }
        match event {
            Some(Event::Report(report)) => {
                sending.wanted = None;
                sending.batch.reported(report);
            }
            Some(Event::BodyWanted(id)) => sending.wanted = Some(id),
            Some(_) => {}
            None => sending.batch.disconnected(),
        }
    }
}

#[cfg(test)]
impl<L: Line> Drive<'_, L> {
    /// Keeps the connection, like a thread that waits in a read.
    pub(super) fn keep(mut self) {
        self.line = Driven::HadEvent;
    }
}

impl<L: Line> Drop for Drive<'_, L> {
    fn drop(&mut self) {
        if self.line == Driven::Waits {
            self.sending.park(Waker::noop());
        }
    }
}

impl<L: Line> fmt::Debug for Sending<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

macro_rules! opaque {
    ($($step:ident)*) => {$(
        impl<L: Line> fmt::Debug for $step<'_, L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($step))
            }
        }
    )*};
}

opaque!(Message Wait Glance Open Drive);
