//! The pool: which send gets which connection, when a connection is opened and when it is closed.
//!
//! Decides only. Must never use a socket or a lock, or wait. An adapter passes events and the time,
//! and executes the [`PoolAction`]s. The blocking and the async adapters share the pool.

mod config;
#[cfg(test)]
pub(crate) mod model;
mod shelf;

use std::collections::{BTreeSet, VecDeque};

pub use self::config::PoolConfig;
pub(crate) use self::shelf::{PoolGrant, PoolShelf};
use postwire_proto::Instant;

/// Identifies a connection of the pool. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolConnectionId(u64);

/// Identifies a waiter, which is a send that waits for a connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolTicket(u64);

/// An action for the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum PoolAction {
    /// Give this idle connection to this waiter, which first checks whether the server has closed
    /// it ([`Pool::found_dead`]).
    Use(PoolTicket, PoolConnectionId),
    /// Let this waiter open a connection with this id.
    Open(PoolTicket, PoolConnectionId),
    /// End this idle connection by `QUIT`.
    Close(PoolConnectionId),
    /// Refuse this waiter, because the pool is shutting down.
    Refuse(PoolTicket),
    /// Make this waiter call [`Pool::handle_timeout`] at this time, and wake it if it sleeps
    /// longer: the deadline has changed, or another waiter must observe it.
    ///
    /// Replaces every earlier action of this kind.
    KeepTime(PoolTicket, Instant),
}

/// The decisions of a pool.
///
/// Waiters are served in their order. The connection that was used last is used first, so that
/// connections in excess become idle for long enough to be closed.
///
/// # Time
///
/// While there are waiters, the first one is the timekeeper: [`PoolAction::KeepTime`] tells it when
/// to call [`handle_timeout`](Self::handle_timeout). The action is repeated if the deadline becomes
/// earlier or the first waiter leaves. Without waiters there is no timekeeper, and connections that
/// are too old are closed with the next call.
#[derive(Debug)]
pub(crate) struct Pool {
    config: PoolConfig,
    connections: Vec<Connection>,
    /// The waiters in their order, separated by whether they accept a connection that was used
    /// before.
    takes_any: BTreeSet<PoolTicket>,
    wants_fresh: BTreeSet<PoolTicket>,
    timekeeper: Option<(PoolTicket, Instant)>,
    actions: VecDeque<PoolAction>,
    next_connection: u64,
    next_ticket: u64,
    /// The end of the pause, before which no connection is opened.
    paused_until: Option<Instant>,
    pauses_in_a_row: u32,
    /// Connections before this one were being opened when the last pause began. Their failures do
    /// not start another pause.
    first_after_pause: u64,
    shutting_down: bool,
    now: Instant,
}

#[derive(Debug)]
struct Connection {
    id: PoolConnectionId,
    opened: Instant,
    messages: u64,
    /// The time at which the connection became idle; `None` while it is in use or being opened.
    idle_since: Option<Instant>,
}

impl Pool {
    /// Creates an empty pool.
    pub(crate) fn new(config: PoolConfig) -> Self {
        Self {
            config,
            connections: Vec::new(),
            takes_any: BTreeSet::new(),
            wants_fresh: BTreeSet::new(),
            timekeeper: None,
            actions: VecDeque::new(),
            next_connection: 0,
            next_ticket: 0,
            paused_until: None,
            pauses_in_a_row: 0,
            first_after_pause: 0,
            shutting_down: false,
            now: Instant::EPOCH,
        }
    }

    /// The configuration of the pool.
    pub(crate) fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Requests a connection. An action with the returned ticket will follow.
    pub(crate) fn request(&mut self, now: Instant) -> PoolTicket {
        self.enter(now, false)
    }

    /// Requests a new connection, because a reused one was lost with the message. The waiter gets
    /// the right to open one. If there are too many connections, an idle one is closed for it.
    pub(crate) fn request_fresh(&mut self, now: Instant) -> PoolTicket {
        self.enter(now, true)
    }

    fn enter(&mut self, now: Instant, fresh: bool) -> PoolTicket {
        let ticket = PoolTicket(self.next_ticket);
        self.next_ticket += 1;
        if self.shutting_down {
            self.actions.push_back(PoolAction::Refuse(ticket));
        } else if fresh {
            self.wants_fresh.insert(ticket);
        } else {
            self.takes_any.insert(ticket);
        }
        self.decide(now);
        ticket
    }

    /// Removes a waiter. Anything that an action has given to it returns to the pool.
    pub(crate) fn cancel(&mut self, now: Instant, ticket: PoolTicket) {
        self.takes_any.remove(&ticket);
        self.wants_fresh.remove(&ticket);
        let given = self.actions.iter().position(|action| {
            matches!(action, PoolAction::Use(to, _) | PoolAction::Open(to, _) | PoolAction::Refuse(to)
                if *to == ticket)
        });
        match given.and_then(|position| self.actions.remove(position)) {
            Some(PoolAction::Use(_, id)) => {
                if let Some(connection) = self.find(id) {
                    connection.idle_since = Some(now);
                }
            }
            Some(PoolAction::Open(_, id)) => self.forget(id),
            _ => {}
        }
        self.decide(now);
    }

    /// Records that a connection is open and in use by the send that opened it.
    pub(crate) fn opened(&mut self, now: Instant, id: PoolConnectionId) {
        if id.0 >= self.first_after_pause {
            self.pauses_in_a_row = 0;
            self.paused_until = None;
        }
        if let Some(connection) = self.find(id) {
            connection.opened = now;
        }
        self.decide(now);
    }

    /// Records that a connection could not be opened. `no_room` says that the server accepts no
    /// more sessions (4xx); the pool then pauses.
    pub(crate) fn open_failed(&mut self, now: Instant, id: PoolConnectionId, no_room: bool) {
        self.forget(id);
        if no_room && id.0 >= self.first_after_pause {
            let factor = 2_u32.saturating_pow(self.pauses_in_a_row);
            let pause = self.config.first_pause.saturating_mul(factor);
            self.pauses_in_a_row = self.pauses_in_a_row.saturating_add(1);
            self.paused_until = Some(now + pause.min(self.config.longest_pause));
            self.first_after_pause = self.next_connection;
        }
        self.decide(now);
    }

    /// Records that the server had closed an idle connection which was given to a waiter. The
    /// waiter gets its old place in the queue.
    pub(crate) fn found_dead(&mut self, now: Instant, id: PoolConnectionId, ticket: PoolTicket) {
        self.forget(id);
        self.takes_any.insert(ticket);
        self.decide(now);
    }

    /// Records that a connection became idle after `messages` messages.
    pub(crate) fn released(&mut self, now: Instant, id: PoolConnectionId, messages: u64) {
        if let Some(connection) = self.find(id) {
            connection.messages = connection.messages.saturating_add(messages);
            connection.idle_since = Some(now);
        }
        self.decide(now);
    }

    /// Records that a connection is closed.
    pub(crate) fn lost(&mut self, now: Instant, id: PoolConnectionId) {
        self.forget(id);
        self.decide(now);
    }

    /// Begins the shutdown: waiters are served, new requests are refused, idle connections are
    /// closed.
    pub(crate) fn shut_down(&mut self, now: Instant) {
        self.shutting_down = true;
        self.decide(now);
    }

    /// Refuses the waiters as well, because the time for the shutdown is over.
    pub(crate) fn refuse_all(&mut self, now: Instant) {
        self.shutting_down = true;
        while let Some((ticket, _)) = self.first_waiting() {
            self.takes_any.remove(&ticket);
            self.wants_fresh.remove(&ticket);
            self.actions.push_back(PoolAction::Refuse(ticket));
        }
        self.decide(now);
    }

    /// Whether the shutdown is complete.
    pub(crate) fn is_drained(&self) -> bool {
        self.shutting_down
            && self.connections.is_empty()
            && self.waiting() == 0
            && self.actions.is_empty()
    }

    /// The next action. Call until `None` after every other call.
    pub(crate) fn poll_action(&mut self) -> Option<PoolAction> {
        self.actions.pop_front()
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is next needed.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let ends = self.connections.iter().filter_map(|c| self.end_of(c));
        let pause = self.paused_until.filter(|_| self.waiting() > 0);
        ends.chain(pause).min()
    }

    /// Passes the current time. Safe to call at any moment.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.decide(now);
    }

    /// The number of connections, including those that are being opened.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The number of idle connections.
    pub(crate) fn idle(&self) -> usize {
        let idle = self.connections.iter().filter(|c| c.idle_since.is_some());
        idle.count()
    }

    /// The number of waiters.
    pub(crate) fn waiting(&self) -> usize {
        self.takes_any.len() + self.wants_fresh.len()
    }

    /// The first waiter, and whether it needs a new connection.
    fn first_waiting(&self) -> Option<(PoolTicket, bool)> {
        match (self.takes_any.first(), self.wants_fresh.first()) {
            (Some(any), Some(fresh)) if fresh < any => Some((*fresh, true)),
            (Some(any), _) => Some((*any, false)),
            (None, Some(fresh)) => Some((*fresh, true)),
            (None, None) => None,
        }
    }

    fn find(&mut self, id: PoolConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.id == id)
    }

    fn forget(&mut self, id: PoolConnectionId) {
        self.connections.retain(|connection| connection.id != id);
    }

    /// The time at which an idle connection is to be closed.
    fn end_of(&self, connection: &Connection) -> Option<Instant> {
        let idle_since = connection.idle_since?;
        if connection.messages >= self.config.max_messages {
            return Some(idle_since);
        }
        let idle_end = idle_since + self.config.idle_timeout;
        Some(idle_end.min(connection.opened + self.config.max_lifetime))
    }

    fn decide(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.paused_until.is_some_and(|until| until <= self.now) {
            self.paused_until = None;
        }
        self.close_the_old();
        self.serve();
        self.close_the_excess();
        self.appoint_timekeeper();
    }

    /// Makes the first waiter the timekeeper.
    fn appoint_timekeeper(&mut self) {
        let deadline = self.poll_timeout();
        let (Some((first, _)), Some(deadline)) = (self.first_waiting(), deadline) else {
            // An earlier action may still wake a waiter, which is harmless.
            self.timekeeper = None;
            return;
        };
        let is_kept = self.timekeeper.is_some_and(|(keeper, until)| {
            keeper == first && until <= deadline && until > self.now
        });
        if !is_kept {
            self.timekeeper = Some((first, deadline));
            self.actions
                .push_back(PoolAction::KeepTime(first, deadline));
        }
    }

    fn close_the_old(&mut self) {
        let is_old = |c: &&Connection| self.end_of(c).is_some_and(|end| end <= self.now);
        let old = self.connections.iter().filter(is_old).map(|c| c.id);
        for id in old.collect::<Vec<_>>() {
            self.close(id);
        }
    }

    fn serve(&mut self) {
        while let Some((first, wants_fresh)) = self.first_waiting() {
            let used_last = self
                .connections
                .iter_mut()
                .filter(|connection| connection.idle_since.is_some())
                .max_by_key(|connection| connection.idle_since);
            if let (Some(connection), Some(ticket)) = (used_last, self.takes_any.first().copied()) {
                connection.idle_since = None;
                let id = connection.id;
                self.takes_any.remove(&ticket);
                self.actions.push_back(PoolAction::Use(ticket, id));
            } else if self.may_open() {
                let id = PoolConnectionId(self.next_connection);
                self.next_connection += 1;
                self.connections.push(Connection {
                    id,
                    opened: self.now,
                    messages: 0,
                    idle_since: None,
                });
                self.takes_any.remove(&first);
                self.wants_fresh.remove(&first);
                self.actions.push_back(PoolAction::Open(first, id));
            } else if wants_fresh
                && self.paused_until.is_none()
                && let Some(id) = self.longest_idle()
            {
                self.close(id);
            } else {
                return;
            }
        }
    }

    fn may_open(&self) -> bool {
        self.paused_until.is_none() && self.connections.len() < self.config.max_connections.max(1)
    }

    fn longest_idle(&self) -> Option<PoolConnectionId> {
        self.connections
            .iter()
            .filter(|connection| connection.idle_since.is_some())
            .min_by_key(|connection| connection.idle_since)
            .map(|connection| connection.id)
    }

    fn close_the_excess(&mut self) {
        let kept = if self.shutting_down {
            0
        } else {
            self.config.max_idle
        };
        while self.idle() > kept {
            if let Some(id) = self.longest_idle() {
                self.close(id);
            }
        }
    }

    fn close(&mut self, id: PoolConnectionId) {
        self.forget(id);
        self.actions.push_back(PoolAction::Close(id));
    }
}

#[cfg(test)]
mod tests;
