//! Sends that share a connection: whichever of them is polled drives it, and delivers the reports of
//! the others.
//!
//! Must never decide who joins a connection, nor open or read one. Writes only what the stream takes
//! without waiting, by `Line::flush`.

use std::mem;
use std::task::Waker;

use postwire_proto::{Event, Instant, Report};

use super::contained;
use super::sending::{AnySending, Hold};
use crate::pool::{QueuedMessage, SharedConnection, UnderWay, WhenBlocked};

impl AnySending {
    /// Queues the messages that joined the connection which this send drives. If its own message is turned
    /// away, this send waits again and leaves the connection to others.
    pub(super) fn queue_joined(&mut self) {
        let now = self.now;
        let Hold::Shared(own, shared) = &mut self.hold else {
            return;
        };
        let (own, id) = (*own, shared.id);
        let is_ready = shared.connection.session().is_ready();
        let limit = shared.deadline();
        let mut turned_away = Vec::new();
        loop {
            let next = self.dispatch.lock().next_joining(id);
            let Some(joined) = next else {
                break;
            };
            if !is_ready || shared.connection.session().is_full() {
                turned_away.push(joined);
                continue;
            }
            let QueuedMessage { envelope, body } = joined.message;
            let transaction = shared.connection.session().enqueue(envelope, body);
            shared.queued(UnderWay {
                transaction,
                ticket: joined.ticket,
                octets: joined.waiting.octets(),
                is_reused: joined.is_reused,
                deadline: joined.deadline,
            });
        }
        self.limit_shared(limit);
        if turned_away.is_empty() {
            return;
        }
        let is_turned_away = turned_away.iter().any(|joined| joined.ticket == own);
        self.dispatch
            .with_shelf(|shelf| shelf.turn_away(now, id, turned_away));
        if is_turned_away {
            self.put_down();
            self.hold = Hold::Place(own);
        }
    }

    /// Limits the session to the earliest time limit of its sends, unless that is `limit` already.
    fn limit_shared(&mut self, limit: Option<Instant>) {
        let now = self.now;
        if let Hold::Shared(_, shared) = &mut self.hold {
            let deadline = shared.deadline();
            if deadline != limit {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
                shared.connection.limit_time(left);
            }
        }
    }

    /// Takes an event of the connection that this send drives; `None` if the session is over.
    pub(super) fn on_shared_event(&mut self, event: Option<Event>) {
        let Some(event) = event else {
            return self.lose_shared();
        };
        let Event::Report(report) = event else {
            return;
        };
        if let Some((report, is_reused)) = self.deliver(report) {
            self.hand_over();
            self.settle(report, is_reused);
        }
    }

    /// Delivers a report to its send. Returns the report of this send, and whether the connection
    /// had been used before.
    fn deliver(&mut self, report: Report) -> Option<(Report, bool)> {
        let now = self.now;
        let Hold::Shared(own, shared) = &mut self.hold else {
            return None;
        };
        let limit = shared.deadline();
        let Some(message) = shared.reported(report.transaction()) else {
            debug_assert!(false, "a report on a message that was not queued");
            return None;
        };
        let session = shared.connection.session();
        let is_usable = session.is_ready() && !session.is_full() && !report.session_was_lost();
        let (own, shared) = (*own, (shared.id, is_usable));
        let delivered = self
            .dispatch
            .with_shelf(|shelf| shelf.reported(now, shared, own, message, report));
        self.limit_shared(limit);
        delivered.map(|report| (report, message.is_reused))
    }

    /// Lets another send drive the connection, after everything is written.
    fn hand_over(&mut self) {
        // What the last replies allow is written now, and not when the other send is polled.
        self.queue_joined();
        self.put_down();
    }

    /// Writes what can be written without waiting, and leaves the connection to another send whose
    /// message is on it; without one, to the pool.
    fn put_down(&mut self) {
        while let Hold::Shared(_, shared) = &mut self.hold
            && let Some(event) = contained(|| shared.connection.flush()).flatten()
        {
            if let Event::Report(report) = event {
                self.deliver(report);
            }
        }
        if let Hold::Shared(_, mut shared) = mem::replace(&mut self.hold, Hold::Nothing) {
            let flights = shared.connection.take_flights();
            self.dispatch.totals.flown(flights);
            let unused = self.dispatch.with_shelf(|shelf| shelf.hand_over(shared));
            if let Some(SharedConnection { id, connection, .. }) = unused {
                self.dispatch.give_back(self.now, id, connection, 0);
            }
        }
    }

    /// Puts the shared connection down, because this send waits for its stream. The waker is woken
    /// when another send drives the connection and takes the report.
    pub(super) fn park(&mut self, waker: &Waker) {
        match mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Shared(ticket, shared) => {
                self.dispatch
                    .with_shelf(|shelf| shelf.park(shared, ticket, waker));
                self.hold = Hold::Place(ticket);
            }
            hold => self.hold = hold,
        }
    }

    /// Puts the shared connection down, because this thread waits for its stream, or for another
    /// thread that does. `until` is the deadline of the session. Returns whether this thread is to
    /// wait for the stream.
    pub(super) fn park_to_read(&mut self, waker: &Waker, until: Option<Instant>) -> bool {
        let (ticket, shared) = match mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Shared(ticket, shared) => (ticket, shared),
            hold => {
                self.hold = hold;
                return false;
            }
        };
        let parked = self
            .dispatch
            .with_shelf(|shelf| shelf.park_to_read(shared, ticket, waker, until));
        let (hold, reads) = match parked {
            Ok(reads) => (Hold::Place(ticket), reads),
            Err(shared) => (Hold::Shared(ticket, shared), false),
        };
        self.hold = hold;
        reads
    }

    /// What this thread does if the stream of the connection takes no more output.
    pub(super) fn when_blocked(&self) -> WhenBlocked {
        match &self.hold {
            Hold::Shared(ticket, shared) => self.dispatch.lock().when_blocked(shared.id, *ticket),
            _ => WhenBlocked::Read,
        }
    }

    fn lose_shared(&mut self) {
        let now = self.now;
        if let Hold::Shared(ticket, shared) = mem::replace(&mut self.hold, Hold::Nothing) {
            // The stream is closed before another connection may be opened in its place.
            let (id, without_report) = shared.close();
            self.dispatch
                .with_shelf(|shelf| shelf.shared_is_over(now, id, without_report));
            // The next step shows whether this send waits again.
            self.hold = Hold::Place(ticket);
        }
    }
}
