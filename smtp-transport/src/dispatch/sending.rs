//! One send of one or many messages: its messages, and the connection that it holds, waits for or
//! opens.
//!
//! A send of one small message may share a connection with others ([`sharing`](super::sharing)).
//!
//! The adapter executes one [`Step`] after the other. Each step borrows the send, so no other call
//! is possible before the step is answered or dropped. If a step is dropped without an answer, the
//! send returns it again. Must never open, read or write a connection, read a clock or sleep.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use postwire_proto::{
    BodySource, Envelope, Error, ErrorKind, Instant, Report, SendError, Stage, TransactionId,
};

use super::step::Step;
use super::{AnyDispatch, AnyLine, Line};
use crate::batch::{Batch, BatchStep};
use crate::observe;
use crate::pool::{
    PoolConnectionId, PoolShelf, PoolTicket, QueuedMessage, SHARED_OCTETS, SharedConnection,
};

/// A send of one or many messages through a transport, reported in order.
///
/// An adapter that stops executing steps calls [`pause`](Self::pause) if it may continue later, and
/// [`leave`](Self::leave) otherwise. Both release what the send holds of the pool, so that no other
/// send waits for an unused connection.
pub struct Sending<L: Line> {
    any: AnySending,
    line: PhantomData<fn() -> L>,
}

impl<L: Line> Sending<L> {
    pub(super) fn new(any: AnySending) -> Self {
        Self {
            any,
            line: PhantomData,
        }
    }

    /// Returns the next step. The time limit for the next report counts from the first call after
    /// the last report.
    pub fn next_step(&mut self, now: Instant) -> Step<'_, L> {
        let next = self.any.next_step(now);
        Step::new(next, &mut self.any)
    }

    /// Pauses the send. Its place in the queue, or its right to open a connection, goes to another
    /// send. A connection in use is kept, because messages may be under way on it; if other sends
    /// share it, they drive it meanwhile.
    pub fn pause(&mut self, now: Instant) {
        self.any.pause(now);
    }

    /// Ends the send. Its remaining reports are kept as abandoned ones.
    pub fn leave(&mut self, now: Instant) {
        self.any.leave(now);
    }
}

impl<L: Line> fmt::Debug for Sending<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending")
            .field("batch", &self.any.batch)
            .finish_non_exhaustive()
    }
}

/// A [`Sending`] over connections of any type.
pub(super) struct AnySending {
    pub(super) dispatch: Arc<AnyDispatch>,
    pub(super) batch: Batch,
    pub(super) hold: Hold,
    /// The size of the message, if it may share a connection.
    shares: Option<u64>,
    /// The deadline of the next report; `None` before the caller waits for it.
    wait: Option<Deadline>,
    /// The message that needs the next piece of content.
    pub(super) wanted: Option<TransactionId>,
    pub(super) now: Instant,
}

/// The deadline of a send; `None` if there is no limit.
type Deadline = Option<Instant>;

/// What a send holds of the pool.
pub(super) enum Hold {
    Nothing,
    /// A place in the queue for a connection, or on a connection that another send drives.
    Place(PoolTicket),
    /// A connection that was idle, and that the server may have closed.
    Unseen(PoolTicket, PoolConnectionId, AnyLine),
    /// The right to open a connection.
    Right(PoolTicket, PoolConnectionId),
    Lease(Lease),
    /// A connection with messages of several sends, one of them of this send.
    Shared(PoolTicket, SharedConnection<AnyLine>),
}

/// A connection in use.
pub(super) struct Lease {
    id: PoolConnectionId,
    pub(super) line: AnyLine,
    messages: u64,
}

/// The next step of a send, without what it borrows.
pub(super) enum Next {
    Message,
    Wait,
    Glance,
    Open(PoolConnectionId),
    Drive,
    Report(Report),
    Done,
}

impl AnySending {
    pub(super) fn new(dispatch: &Arc<AnyDispatch>) -> Self {
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

    fn next_step(&mut self, now: Instant) -> Next {
        self.now = now;
        if self.wait.is_none() {
            let timeout = self.dispatch.config.timeout();
            self.wait = Some(timeout.map(|timeout| now + timeout));
            self.limit_time();
        }
        loop {
            match self.hold {
                Hold::Place(_) => return Next::Wait,
                Hold::Unseen(..) => return Next::Glance,
                Hold::Right(_, id) => return Next::Open(id),
                Hold::Shared(..) => {
                    self.queue_joined();
                    if matches!(self.hold, Hold::Shared(..)) {
                        return Next::Drive;
                    }
                    continue;
                }
                Hold::Nothing | Hold::Lease(_) => {}
            }
            if self.batch.wants_more() {
                return Next::Message;
            }
            if let Hold::Lease(lease) = &mut self.hold
                && lease.line.session().is_full()
            {
                self.batch.takes_no_more();
            }
            match self.batch.next_step() {
                BatchStep::Connect => self.queue_up(),
                BatchStep::Enqueue { envelope, body, .. } => self.enqueue(envelope, body),
                BatchStep::Await if matches!(self.hold, Hold::Lease(_)) => return Next::Drive,
                BatchStep::Await => self.batch.disconnected(),
                BatchStep::Report(report) => {
                    self.count(&report);
                    if self.batch.is_empty() {
                        self.give_back();
                    }
                    self.wait = None;
                    return Next::Report(report);
                }
                BatchStep::Done => {
                    self.give_back();
                    self.wait = None;
                    return Next::Done;
                }
            }
        }
    }

    fn count(&mut self, report: &Report) {
        let totals = &self.dispatch.totals;
        totals.reported(report);
        observe::reported(report);
        totals.retried(self.batch.take_retries());
        if let Hold::Lease(lease) = &mut self.hold {
            totals.flown(lease.line.take_flights());
        }
    }

    fn pause(&mut self, now: Instant) {
        self.now = now;
        self.wait = None;
        self.park(Waker::noop());
        match self.hold {
            Hold::Lease(_) => {}
            Hold::Place(ticket) if self.dispatch.with_shelf(|shelf| shelf.step_aside(ticket)) => {}
            _ => self.give_back(),
        }
    }

    fn leave(&mut self, now: Instant) {
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

    pub(super) fn deadline(&self) -> Deadline {
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
        if fresh {
            observe::sent_again();
        }
        // A message that was lost together with others is sent again alone, so that a refusal of
        // another message cannot end its session once more.
        let attempt = self.batch.first_attempt().filter(|_| !fresh);
        let message = attempt.map(|(envelope, body)| QueuedMessage {
            envelope: envelope.clone(),
            body: body.clone(),
        });
        let ticket = if let Some((octets, message)) = self.shares.zip(message) {
            self.dispatch
                .with_shelf(|shelf| shelf.request_place(now, deadline, octets, message))
        } else {
            self.shares = None;
            self.dispatch
                .with_shelf(|shelf| shelf.request(now, fresh, deadline))
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
    pub(super) fn lease(
        &mut self,
        ticket: PoolTicket,
        id: PoolConnectionId,
        line: AnyLine,
        is_reused: bool,
    ) {
        let now = self.now;
        if self.shares.is_some() {
            let share =
                |shelf: &mut PoolShelf<AnyLine>| shelf.share(now, id, ticket, line, is_reused);
            self.hold = Hold::Shared(ticket, self.dispatch.with_shelf(share));
            return;
        }
        if !is_reused {
            self.dispatch.with_shelf(|shelf| shelf.opened(now, id));
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
        let given = self.batch.given_next();
        debug_assert!(given.is_some(), "the only message is not the next one");
    }

    /// Takes the end of a session that shared the message of this send and did not report on it,
    /// which no session does. What became of the message is not known then.
    pub(super) fn session_is_over(&mut self) {
        debug_assert!(false, "a session ended without a report");
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
            Hold::Place(ticket) => self.dispatch.with_shelf(|shelf| shelf.cancel(now, ticket)),
            Hold::Unseen(ticket, id, line) => {
                self.dispatch.with_shelf(|shelf| {
                    shelf.cancel(now, ticket);
                    shelf.put_back(now, id, line, 0);
                });
            }
            Hold::Right(ticket, id) => self.dispatch.with_shelf(|shelf| {
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

impl Drop for AnySending {
    /// Ends the send, at the last known time.
    fn drop(&mut self) {
        self.leave(self.now);
    }
}
