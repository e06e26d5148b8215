//! The connections that several sends share: who drives one, which messages join it, and to whom
//! each report goes.
//!
//! Must never use a session: the send that drives a connection queues the messages and takes the
//! reports.

use std::collections::VecDeque;
use std::task::Waker;

use postwire_proto::{Instant, Outcome, Report};

use super::{PoolGrant, PoolShelf, Queues, Shared, State, Watch};
use crate::pool::queue::take_at;
use crate::pool::shared::{Joining, QueuedMessage, SharedConnection, UnderWay};
use crate::pool::{PoolConnectionId, PoolTicket};

/// What a thread does with a shared connection whose stream takes no more output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenBlocked {
    /// Read what is available, and write again.
    Read,
    /// Write again. Another thread waits for the stream, and nobody else may read.
    Write,
    /// Park the connection: the thread that waited for the stream needs it in order to read.
    Park,
}

#[cfg(test)]
impl<C> PoolShelf<C> {
    /// Checks the shared connections that nobody drives. All that joined them is queued.
    pub(crate) fn check_parked(&mut self, mut check: impl FnMut(&mut C)) {
        for shared in self.shared.values_mut() {
            if let Some(parked) = &mut shared.parked {
                assert!(shared.joining.is_empty(), "a message is not queued");
                check(&mut parked.connection);
            }
        }
    }
}

impl<C> PoolShelf<C> {
    /// Begins to share a connection that this waiter has opened, or found alive. The waiter drives
    /// it.
    pub(crate) fn share(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        ticket: PoolTicket,
        connection: C,
        is_reused: bool,
    ) -> SharedConnection<C> {
        let Queues {
            mut joining,
            under_way,
        } = self.spare.pop().unwrap_or_default();
        joining.push_back(ticket);
        let shared = Shared {
            parked: None,
            joining,
            watch: Watch::Nobody,
        };
        self.shared.insert(id, shared);
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.state = State::Joined(id);
            waiter.gives_up = waiter.deadline;
            waiter.is_reused = is_reused;
        }
        if is_reused {
            self.pool.found_alive(now, id);
        } else {
            self.pool.opened(now, id);
        }
        self.carry_out();
        SharedConnection::new(id, connection, under_way)
    }

    /// Takes a shared connection that nobody drives, if this waiter is the one to drive it, or if it
    /// is too late to wait for that one.
    ///
    /// While a thread waits for the stream, another one may take the connection in order to queue
    /// its own message.
    pub(super) fn take(
        &mut self,
        id: PoolConnectionId,
        ticket: PoolTicket,
        is_late: bool,
    ) -> Option<SharedConnection<C>> {
        let shared = self.shared.get_mut(id)?;
        if shared.watch == Watch::Reading(ticket) {
            shared.watch = Watch::Readable(ticket);
        }
        let takes = match shared.watch {
            Watch::Nobody => true,
            Watch::Woken(watch) | Watch::Readable(watch) => watch == ticket,
            Watch::Reading(_) => shared.joining.contains(&ticket),
        };
        if !takes && !is_late {
            return None;
        }
        let taken = shared.parked.take()?;
        if shared.watch.reader().is_none_or(|reader| reader == ticket) {
            shared.watch = Watch::Nobody;
        }
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.session_deadline = None;
        }
        Some(taken)
    }

    /// What the thread that drives a shared connection does if the stream takes no more output.
    pub(crate) fn when_blocked(&self, id: PoolConnectionId, driver: PoolTicket) -> WhenBlocked {
        let watch = self.shared.get(id).map(|shared| shared.watch);
        match watch {
            Some(Watch::Reading(ticket)) if ticket != driver => WhenBlocked::Write,
            Some(Watch::Readable(ticket)) if ticket != driver => WhenBlocked::Park,
            _ => WhenBlocked::Read,
        }
    }

    /// Takes the next message that is to be queued on the session of a shared connection.
    pub(crate) fn next_joining(&mut self, id: PoolConnectionId) -> Option<Joining> {
        let joining = &mut self.shared.get_mut(id)?.joining;
        while let Some(ticket) = joining.pop_front() {
            if let Some(waiter) = self.waiters.get_mut(&ticket)
                && let Some(message) = waiter.message.take()
            {
                waiter.patience = None;
                return Some(Joining {
                    ticket,
                    message,
                    deadline: waiter.deadline,
                    waiting: waiter.waiting,
                    is_reused: waiter.is_reused,
                });
            }
        }
        None
    }

    /// Returns messages to the queue that joined a session which takes no more messages.
    pub(crate) fn turn_away(&mut self, now: Instant, id: PoolConnectionId, turned: Vec<Joining>) {
        self.pool.takes_no_more(id);
        for joining in turned {
            let Joining {
                ticket,
                message,
                waiting,
                ..
            } = joining;
            self.pool.left(now, id, waiting.octets());
            self.wait_again(now, ticket, Some(message));
        }
        self.carry_out();
    }

    /// Returns a waiter to the queue. Its time in the queue is limited as before it joined: from the
    /// time at which it came, so that one that joins again and again does not wait longer.
    pub(super) fn wait_again(
        &mut self,
        now: Instant,
        ticket: PoolTicket,
        message: Option<QueuedMessage>,
    ) {
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.state = State::Waiting;
            waiter.limit_wait(self.pool.config().acquire_timeout);
            waiter.patience = None;
            if message.is_some() {
                waiter.message = message;
            }
            self.pool.return_to_queue(now, ticket, waiter.waiting);
        }
    }

    /// Delivers a report of a shared connection to the send that waits for it, or returns the
    /// report if that is the `driver`. `is_usable` says whether the session takes more messages.
    pub(crate) fn reported(
        &mut self,
        now: Instant,
        shared: (PoolConnectionId, bool),
        driver: PoolTicket,
        message: UnderWay,
        report: Report,
    ) -> Option<Report> {
        let (id, is_usable) = shared;
        let answered = matches!(
            report.outcome(),
            Outcome::Accepted(_) | Outcome::Rejected { .. }
        );
        self.pool
            .reported(now, id, message.octets, answered, is_usable);
        self.carry_out();
        if message.ticket == driver {
            self.waiters.remove(&driver);
            self.wake_if_drained();
            return Some(report);
        }
        match self.waiters.get_mut(&message.ticket) {
            Some(waiter) => {
                let report = PoolGrant::Report(Box::new(report), message.is_reused);
                waiter.state = State::Granted(report);
                self.effects.woken.extend(waiter.waker.take());
                // The end of a session reports to a thread that waits for the stream as well.
                if let Some(shared) = self.shared.get_mut(id)
                    && shared.watch.reader() == Some(message.ticket)
                {
                    shared.watch = Watch::Nobody;
                }
            }
            None => self.abandon(report),
        }
        None
    }

    /// Puts down a shared connection whose driver waits for its stream. The waker is woken when
    /// another send has taken the report of the driver.
    pub(crate) fn park(
        &mut self,
        connection: SharedConnection<C>,
        driver: PoolTicket,
        waker: &Waker,
    ) {
        if let Some(waiter) = self.waiters.get_mut(&driver) {
            waiter.register(waker);
        }
        let Some(shared) = self.shared.get_mut(connection.id) else {
            debug_assert!(false, "a connection that is not shared is parked");
            return;
        };
        let id = connection.id;
        shared.parked = Some(connection);
        if self.is_left_to_reader(id) {
            return;
        }
        if let Some(shared) = self.shared.get_mut(id) {
            shared.watch = Watch::Woken(driver);
            // Whoever joined meanwhile found no driver to wake.
            if !shared.joining.is_empty() {
                self.wake(driver);
            }
        }
    }

    /// Whether a thread waits for the stream of this connection, which was put down just now. That thread
    /// drives it next, except that a send which has joined may queue its message first.
    fn is_left_to_reader(&mut self, id: PoolConnectionId) -> bool {
        let Some(shared) = self.shared.get(id) else {
            return false;
        };
        match shared.watch {
            Watch::Reading(_) => {
                // Whoever joined meanwhile found no connection to take.
                if let Some(joined) = shared.joining.front().copied() {
                    self.wake(joined);
                }
                true
            }
            Watch::Readable(reader) => {
                self.wake(reader);
                true
            }
            Watch::Nobody | Watch::Woken(_) => false,
        }
    }

    /// Puts down a shared connection whose driver is a thread that is about to wait for the stream,
    /// and says whether it is to do so: another thread may be reading already, and this one waits
    /// for its report. `until` is the deadline of the session.
    ///
    /// # Errors
    ///
    /// The connection, if messages joined it meanwhile, which are to be queued first.
    pub(crate) fn park_to_read(
        &mut self,
        connection: SharedConnection<C>,
        driver: PoolTicket,
        waker: &Waker,
        until: Option<Instant>,
    ) -> Result<bool, SharedConnection<C>> {
        let Some(shared) = self.shared.get_mut(connection.id) else {
            debug_assert!(false, "a connection that is not shared is parked");
            return Err(connection);
        };
        if !shared.joining.is_empty() {
            return Err(connection);
        }
        shared.parked = Some(connection);
        let Some(reader) = shared.watch.reader().filter(|reader| *reader != driver) else {
            shared.watch = Watch::Reading(driver);
            return Ok(true);
        };
        let is_ready = shared.watch == Watch::Readable(reader);
        if let Some(waiter) = self.waiters.get_mut(&driver) {
            waiter.register(waker);
            waiter.session_deadline = until;
        }
        if is_ready {
            self.wake(reader);
        }
        Ok(false)
    }

    /// Puts down a shared connection whose driver has its report. Another send drives it from now
    /// on. Returns the connection if there is none.
    pub(crate) fn hand_over(
        &mut self,
        connection: SharedConnection<C>,
    ) -> Option<SharedConnection<C>> {
        let id = connection.id;
        let Some(shared) = self.shared.get_mut(id) else {
            debug_assert!(false, "a connection that is not shared is handed over");
            return Some(connection);
        };
        shared.parked = Some(connection);
        if self.is_left_to_reader(id) || self.wake_a_driver(id) {
            return None;
        }
        self.pool.no_longer_shared(id);
        let Shared {
            parked,
            mut joining,
            ..
        } = self.shared.remove(id)?;
        let mut unused = parked?;
        joining.clear();
        let under_way = unused.clear();
        self.spare.push(Queues { joining, under_way });
        Some(unused)
    }

    /// Removes a shared connection whose session is over. Messages that were not queued on it
    /// return to the queue of the pool.
    pub(crate) fn shared_is_over(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        without_report: VecDeque<UnderWay>,
    ) {
        self.pool.lost(now, id);
        let shared = self.shared.remove(id);
        for message in without_report {
            if let Some(waiter) = self.waiters.get_mut(&message.ticket) {
                waiter.state = State::Granted(PoolGrant::Over);
                self.effects.woken.extend(waiter.waker.take());
            }
        }
        for ticket in shared.into_iter().flat_map(|shared| shared.joining) {
            self.wait_again(now, ticket, None);
        }
        self.carry_out();
    }

    /// Removes a waiter from the connection that its message joined.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        ticket: PoolTicket,
        octets: u64,
    ) {
        let Some(shared) = self.shared.get_mut(id) else {
            return;
        };
        let joining = shared.joining.len();
        shared.joining.retain(|joining| *joining != ticket);
        if shared.joining.len() < joining {
            self.pool.left(now, id, octets);
            // Whoever takes the place can drive the connection.
            self.carry_out();
        }
        let Some(shared) = self.shared.get_mut(id) else {
            return;
        };
        if shared.watch.is_by(ticket) {
            // A send that drives the connection meanwhile reads by itself from now on.
            shared.watch = Watch::Nobody;
        }
        if shared.parked.is_some()
            && shared.watch == Watch::Nobody
            && !self.wake_a_driver(id)
            && let Some(shared) = self.shared.remove(id)
        {
            self.pool.no_longer_shared(id);
            self.effects.deserted.extend(shared.parked);
        }
    }

    /// Lets another send drive the connection on which the message of this waiter is queued, until
    /// this one polls again. Returns whether the waiter keeps its ticket, because its message is
    /// under way or reported.
    pub(crate) fn step_aside(&mut self, ticket: PoolTicket) -> bool {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return false;
        };
        let id = match waiter.state {
            State::Granted(PoolGrant::Report(..) | PoolGrant::Over) => return true,
            State::Joined(id) if waiter.message.is_none() => id,
            _ => return false,
        };
        waiter.waker = None;
        waiter.is_paused = true;
        let drives = self
            .shared
            .get(id)
            .is_some_and(|shared| shared.watch.is_by(ticket));
        if drives {
            self.wake_another_driver(id, Some(ticket));
        }
        true
    }

    /// Wakes a send whose message is on this connection. Returns `false` if there is none. If all of
    /// them are paused, the connection waits for one that is polled again or that joins.
    pub(super) fn wake_a_driver(&mut self, id: PoolConnectionId) -> bool {
        self.wake_another_driver(id, None)
    }

    fn wake_another_driver(&mut self, id: PoolConnectionId, except: Option<PoolTicket>) -> bool {
        let Some(shared) = self.shared.get(id) else {
            return false;
        };
        let (next, is_left) = {
            let under_way = shared.parked.iter().flat_map(SharedConnection::under_way);
            let mut is_left = false;
            let mut tickets = under_way
                .map(|message| message.ticket)
                .chain(shared.joining.iter().copied())
                .filter(|ticket| Some(*ticket) != except);
            let next = tickets.find(|ticket| {
                let waiter = self.waiters.get(ticket);
                is_left |= waiter.is_some();
                waiter.is_some_and(|waiter| !waiter.is_paused)
            });
            (next, is_left)
        };
        if let Some(shared) = self.shared.get_mut(id) {
            shared.watch = next.map_or(Watch::Nobody, Watch::Woken);
        }
        if let Some(next) = next {
            self.wake(next);
        }
        is_left
    }

    pub(super) fn wake(&mut self, ticket: PoolTicket) {
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            self.effects.woken.extend(waiter.waker.take());
        }
    }

    pub(super) fn join(&mut self, ticket: PoolTicket, id: PoolConnectionId) {
        let (Some(waiter), Some(shared)) = (self.waiters.get_mut(&ticket), self.shared.get_mut(id))
        else {
            debug_assert!(false, "nobody waits, or the connection is not shared");
            return;
        };
        waiter.state = State::Joined(id);
        waiter.gives_up = waiter.deadline;
        waiter.patience = self.pool.patience();
        waiter.is_reused = true;
        shared.joining.push_back(ticket);
        // The driver queues the message, after those who are ready have joined as well, so that
        // their messages are in one flight.
        if shared.parked.is_some() {
            match shared.watch {
                Watch::Woken(driver) => self.wake(driver),
                // A thread that waits for the stream, or a send that is paused, cannot be woken.
                Watch::Reading(_) | Watch::Nobody => self.wake(ticket),
                Watch::Readable(_) => {}
            }
        }
    }

    /// Whether the message of a waiter has joined this connection and is not queued on it.
    pub(super) fn is_joining(&self, id: PoolConnectionId, ticket: PoolTicket) -> bool {
        let shared = self.shared.get(id);
        shared.is_some_and(|shared| shared.joining.contains(&ticket))
    }

    /// Returns a waiter to the queue whose message joined a connection and is not queued on it,
    /// because the thread that drives the connection waits in a read. Returns what it gets there.
    pub(super) fn leave_for_another(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        ticket: PoolTicket,
    ) -> Option<PoolGrant<C>> {
        let waiter = self.waiters.get_mut(&ticket)?;
        waiter.patience = None;
        let octets = waiter.waiting.octets();
        let joining = &mut self.shared.get_mut(id)?.joining;
        let at = joining.iter().position(|joining| *joining == ticket)?;
        take_at(joining, at);
        // The order matters: the waiter must not join the same connection again if it may open one.
        self.wait_again(now, ticket, None);
        self.pool.left(now, id, octets);
        self.carry_out();
        let is_granted = matches!(self.waiters.get(&ticket)?.state, State::Granted(_));
        is_granted.then(|| self.take_grant(ticket))
    }
}
