//! The idle connections of a pool, and the sends that wait for a connection.
//!
//! Generic in the type of a connection. Must never open or close one. An adapter sleeps in its own
//! way, until it is woken or until the time that the shelf returns.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, Waker};

use postwire_proto::{Instant, Report};

use super::{Pool, PoolAction, PoolConfig, PoolConnectionId, PoolTicket};

/// The maximum number of reports on abandoned messages that are kept.
const ABANDONED: usize = 1_024;

/// A [`Pool`] with its idle connections and its waiters.
///
/// After each call the caller must execute the [`effects`](Self::effects).
#[derive(Debug)]
pub(crate) struct PoolShelf<C> {
    pool: Pool,
    idle: BTreeMap<PoolConnectionId, C>,
    waiters: BTreeMap<PoolTicket, Waiter<C>>,
    /// The wakers of those that wait for the end of a shutdown.
    shutdown_wakers: Vec<Waker>,
    effects: PoolEffects<C>,
    abandoned: VecDeque<Report>,
}

#[derive(Debug)]
struct Waiter<C> {
    grant: Option<PoolGrant<C>>,
    /// The time at which the waiter gives up.
    deadline: Option<Instant>,
    /// The time at which the waiter must call the pool, if it is the timekeeper.
    alarm: Option<Instant>,
    waker: Option<Waker>,
}

impl<C> Waiter<C> {
    /// The time until which the waiter may sleep.
    fn sleeps_until(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.alarm).min()
    }
}

/// The result for a waiter.
#[derive(Debug)]
pub(crate) enum PoolGrant<C> {
    /// A connection that was idle, and that the server may have closed.
    Use(PoolConnectionId, C),
    /// The right to open a connection.
    Open(PoolConnectionId),
    /// Nothing, because the pool is shutting down.
    Refuse,
    /// Nothing, because the deadline of the waiter has passed.
    TimedOut,
}

/// The effects of a call, to be executed without the lock.
#[derive(Debug)]
#[must_use = "whoever was served sleeps on until they are woken"]
pub(crate) struct PoolEffects<C> {
    /// Idle connections to end by `QUIT`.
    pub(crate) departing: Vec<C>,
    /// The wakers of waiters that were served or became the timekeeper, and of those that wait for
    /// the end of a shutdown.
    pub(crate) woken: Vec<Waker>,
}

impl<C> Default for PoolEffects<C> {
    fn default() -> Self {
        Self {
            departing: Vec::new(),
            woken: Vec::new(),
        }
    }
}

impl<C> PoolShelf<C> {
    /// Creates an empty shelf.
    pub(crate) fn new(config: PoolConfig) -> Self {
        Self {
            pool: Pool::new(config),
            idle: BTreeMap::new(),
            waiters: BTreeMap::new(),
            shutdown_wakers: Vec::new(),
            effects: PoolEffects::default(),
            abandoned: VecDeque::new(),
        }
    }

    /// Requests a connection. The waiter gives up at `deadline`, or after the pool's
    /// [`acquire_timeout`](PoolConfig::acquire_timeout).
    pub(crate) fn request(&mut self, now: Instant, deadline: Option<Instant>) -> PoolTicket {
        let ticket = self.pool.request(now);
        self.enter(ticket, self.gives_up_at(now, deadline));
        ticket
    }

    /// Requests a new connection: [`Pool::request_fresh`].
    pub(crate) fn request_fresh(&mut self, now: Instant, deadline: Option<Instant>) -> PoolTicket {
        let ticket = self.pool.request_fresh(now);
        self.enter(ticket, self.gives_up_at(now, deadline));
        ticket
    }

    fn gives_up_at(&self, now: Instant, deadline: Option<Instant>) -> Option<Instant> {
        let timeout = self.pool.config().acquire_timeout;
        let own = timeout.map(|timeout| now + timeout);
        own.into_iter().chain(deadline).min()
    }

    fn enter(&mut self, ticket: PoolTicket, deadline: Option<Instant>) {
        let waiter = Waiter {
            grant: None,
            deadline,
            alarm: None,
            waker: None,
        };
        self.waiters.insert(ticket, waiter);
        self.carry_out();
    }

    /// Returns the result for a waiter, or else the time until which it may sleep; `None` means
    /// until it is woken.
    ///
    /// The waker is woken when this call would return something else. A waiter that gives up must
    /// call [`cancel`](Self::cancel).
    pub(crate) fn poll_grant(
        &mut self,
        now: Instant,
        ticket: PoolTicket,
        waker: &Waker,
    ) -> Result<PoolGrant<C>, Option<Instant>> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Some(waiter) = self.waiters.get_mut(&ticket)
            && is_due(waiter.alarm)
        {
            waiter.alarm = None;
            self.handle_timeout(now);
        }
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            debug_assert!(false, "nobody waits with this ticket");
            return Ok(PoolGrant::Refuse);
        };
        if let Some(grant) = waiter.grant.take() {
            self.waiters.remove(&ticket);
            self.wake_if_drained();
            return Ok(grant);
        }
        if is_due(waiter.deadline) {
            self.cancel(now, ticket);
            return Ok(PoolGrant::TimedOut);
        }
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            None => waiter.waker = Some(waker.clone()),
        }
        Err(waiter.sleeps_until())
    }

    /// Removes a waiter. Anything that it was given returns to the pool. Has no effect if the
    /// waiter has taken its result.
    pub(crate) fn cancel(&mut self, now: Instant, ticket: PoolTicket) {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return;
        };
        match waiter.grant {
            Some(PoolGrant::Use(id, connection)) => self.put_back(now, id, connection, 0),
            Some(PoolGrant::Open(id)) => self.lost(now, id),
            Some(PoolGrant::Refuse | PoolGrant::TimedOut) => {}
            None => self.pool.cancel(now, ticket),
        }
        self.carry_out();
    }

    /// Records that a connection is open and in use: [`Pool::opened`].
    pub(crate) fn opened(&mut self, now: Instant, id: PoolConnectionId) {
        self.pool.opened(now, id);
        self.carry_out();
    }

    /// Records that a connection could not be opened: [`Pool::open_failed`].
    pub(crate) fn open_failed(&mut self, now: Instant, id: PoolConnectionId, no_room: bool) {
        self.pool.open_failed(now, id, no_room);
        self.carry_out();
    }

    /// Records that the server had closed an idle connection: [`Pool::found_dead`].
    pub(crate) fn found_dead(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        ticket: PoolTicket,
        deadline: Option<Instant>,
    ) {
        self.pool.found_dead(now, id, ticket);
        self.enter(ticket, self.gives_up_at(now, deadline));
    }

    /// Returns a connection to the pool after `messages` messages.
    pub(crate) fn put_back(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        connection: C,
        messages: u64,
    ) {
        self.idle.insert(id, connection);
        self.pool.released(now, id, messages);
        self.carry_out();
    }

    /// Records that a connection is closed.
    pub(crate) fn lost(&mut self, now: Instant, id: PoolConnectionId) {
        self.pool.lost(now, id);
        self.carry_out();
    }

    /// Keeps the report on an abandoned message. Of many reports, the newest are kept.
    pub(crate) fn abandon(&mut self, report: Report) {
        if self.abandoned.len() >= ABANDONED {
            self.abandoned.pop_front();
        }
        self.abandoned.push_back(report);
    }

    /// Takes the reports on abandoned messages, the oldest first.
    pub(crate) fn take_abandoned(&mut self) -> Vec<Report> {
        self.abandoned.drain(..).collect()
    }

    /// Begins the shutdown: waiters are served, new requests are refused, idle connections are
    /// closed.
    pub(crate) fn shut_down(&mut self, now: Instant) {
        self.pool.shut_down(now);
        self.carry_out();
    }

    /// Refuses the waiters as well, because the time for the shutdown is over.
    pub(crate) fn refuse_all(&mut self, now: Instant) {
        self.pool.refuse_all(now);
        self.carry_out();
    }

    /// Whether the shutdown is complete.
    pub(crate) fn is_drained(&self) -> bool {
        self.pool.is_drained() && self.waiters.is_empty()
    }

    /// Ready when the shutdown is complete. The waker is woken then.
    pub(crate) fn poll_drained(&mut self, waker: &Waker) -> Poll<()> {
        if self.is_drained() {
            return Poll::Ready(());
        }
        let is_known = |known: &Waker| known.will_wake(waker);
        if !self.shutdown_wakers.iter().any(is_known) {
            self.shutdown_wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is next needed. Waiters learn it
    /// from [`poll_grant`](Self::poll_grant).
    #[cfg(test)]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.pool.poll_timeout()
    }

    /// Passes the current time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.pool.handle_timeout(now);
        self.carry_out();
    }

    /// The effects to execute after the lock is released.
    pub(crate) fn effects(&mut self) -> PoolEffects<C> {
        std::mem::take(&mut self.effects)
    }

    /// The pool, for tests.
    #[cfg(test)]
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                PoolAction::Use(ticket, id) => {
                    if let Some(connection) = self.idle.remove(&id) {
                        self.grant(ticket, PoolGrant::Use(id, connection));
                    }
                }
                PoolAction::Open(ticket, id) => self.grant(ticket, PoolGrant::Open(id)),
                PoolAction::Refuse(ticket) => self.grant(ticket, PoolGrant::Refuse),
                PoolAction::Close(id) => self.effects.departing.extend(self.idle.remove(&id)),
                PoolAction::KeepTime(ticket, at) => self.keep_time(ticket, at),
            }
        }
        self.wake_if_drained();
    }

    fn grant(&mut self, ticket: PoolTicket, grant: PoolGrant<C>) {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            debug_assert!(false, "nobody waits for what was given");
            return;
        };
        waiter.grant = Some(grant);
        self.effects.woken.extend(waiter.waker.take());
    }

    fn keep_time(&mut self, ticket: PoolTicket, at: Instant) {
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            let slept_until = waiter.sleeps_until();
            waiter.alarm = Some(at);
            if slept_until.is_none_or(|until| at < until) {
                self.effects.woken.extend(waiter.waker.take());
            }
        }
    }

    fn wake_if_drained(&mut self) {
        if !self.shutdown_wakers.is_empty() && self.is_drained() {
            self.effects.woken.append(&mut self.shutdown_wakers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::EPOCH;

    fn take(
        shelf: &mut PoolShelf<&'static str>,
        ticket: PoolTicket,
    ) -> Option<PoolGrant<&'static str>> {
        shelf.poll_grant(NOW, ticket, Waker::noop()).ok()
    }

    #[test]
    fn connections_go_round() {
        let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1));
        let ticket = shelf.request(NOW, None);
        let Some(PoolGrant::Open(id)) = take(&mut shelf, ticket) else {
            panic!("nothing to open");
        };
        shelf.opened(NOW, id);
        let (first, second) = (shelf.request(NOW, None), shelf.request(NOW, None));
        assert!(take(&mut shelf, first).is_none());
        assert!(take(&mut shelf, second).is_none());
        shelf.put_back(NOW, id, "the connection", 1);
        assert_eq!(shelf.effects().woken.len(), 1);
        shelf.cancel(NOW, first);
        assert_eq!(shelf.effects().woken.len(), 1);
        assert!(matches!(
            take(&mut shelf, second),
            Some(PoolGrant::Use(_, "the connection"))
        ));
        shelf.shut_down(NOW);
        assert!(!shelf.is_drained());
        shelf.put_back(NOW, id, "the connection", 1);
        assert_eq!(shelf.effects().departing, ["the connection"]);
        assert!(shelf.is_drained());
        let late = shelf.request(NOW, None);
        assert!(matches!(take(&mut shelf, late), Some(PoolGrant::Refuse)));
    }
}
