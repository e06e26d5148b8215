//! Who gets which connection, when one is opened and when it is closed.
//!
//! Decisions only: no socket, no lock, no wait. An adapter tells what happened
//! and the time, and carries out the [`PoolAction`]s. Both worlds, blocking and
//! async, share this, so they cannot differ.

mod config;
#[cfg(test)]
pub(crate) mod model;
mod shelf;

use std::collections::{BTreeSet, VecDeque};

pub use self::config::PoolConfig;
pub(crate) use self::shelf::{PoolGrant, PoolShelf};
use postwire_proto::Instant;

/// Names a connection of the pool. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolConnectionId(u64);

/// Names a waiter: someone who waits for a connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolTicket(u64);

/// What the adapter is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum PoolAction {
    /// Give this idle connection to this waiter, who looks at it first
    /// ([`Pool::found_dead`] if the server has left).
    Use(PoolTicket, PoolConnectionId),
    /// Let this waiter open a connection, under this name.
    Open(PoolTicket, PoolConnectionId),
    /// Say `QUIT` to this idle connection and forget it.
    Close(PoolConnectionId),
    /// The pool is shutting down: this waiter gets nothing.
    Refuse(PoolTicket),
    /// The deadline moved, or another waiter has to keep it: this waiter calls
    /// [`Pool::handle_timeout`] at this time, and is woken now if it sleeps longer.
    ///
    /// Replaces what any waiter was told before.
    KeepTime(PoolTicket, Instant),
}

/// The pool's decisions.
///
/// First come, first served; the connection used last is used first, so that
/// those in excess grow old.
///
/// # Time
///
/// While anyone waits, exactly one waiter keeps the time: the first one, who was told when to
/// call [`handle_timeout`](Self::handle_timeout) by [`PoolAction::KeepTime`]. Whatever makes the
/// deadline earlier, or takes the first waiter away, gives that action again. Where nobody waits,
/// nobody has to wake up: what is too old is closed with the next call.
#[derive(Debug)]
pub(crate) struct Pool {
    config: PoolConfig,
    connections: Vec<Connection>,
    /// Those who wait, in the order in which they came, by whether a connection that was used
    /// before is good enough.
    takes_any: BTreeSet<PoolTicket>,
    wants_fresh: BTreeSet<PoolTicket>,
    timekeeper: Option<(PoolTicket, Instant)>,
    actions: VecDeque<PoolAction>,
    next_connection: u64,
    next_ticket: u64,
    /// No connection is opened before this.
    paused_until: Option<Instant>,
    pauses_in_a_row: u32,
    /// Connections before this one were being opened when the last pause began: what becomes of
    /// them says nothing new.
    first_after_pause: u64,
    shutting_down: bool,
    now: Instant,
}

#[derive(Debug)]
struct Connection {
    id: PoolConnectionId,
    opened: Instant,
    messages: u64,
    /// Since when nobody uses it; none while someone does or it is being opened.
    idle_since: Option<Instant>,
}

impl Pool {
    /// An empty pool.
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

    /// Its configuration.
    pub(crate) fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Someone wants a connection. An action with this ticket will come.
    pub(crate) fn request(&mut self, now: Instant) -> PoolTicket {
        self.enter(now, false)
    }

    /// Someone wants a connection that nobody has used, since a used one had died of old age
    /// and lost their message. They are given the right to open one; where there are too
    /// many, an idle one makes room.
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

    /// This waiter waits no more. What an action had given it already goes back.
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

    /// A connection stands, and is in use by whoever opened it.
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

    /// A connection could not be opened. `no_room`: the server said so by a 4xx;
    /// no other is opened for a while.
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

    /// An idle connection that was given out had died meanwhile. Its holder has its old place
    /// among those who wait.
    pub(crate) fn found_dead(&mut self, now: Instant, id: PoolConnectionId, ticket: PoolTicket) {
        self.forget(id);
        self.takes_any.insert(ticket);
        self.decide(now);
    }

    /// A connection is used no more, after `messages` messages.
    pub(crate) fn released(&mut self, now: Instant, id: PoolConnectionId, messages: u64) {
        if let Some(connection) = self.find(id) {
            connection.messages = connection.messages.saturating_add(messages);
            connection.idle_since = Some(now);
        }
        self.decide(now);
    }

    /// A connection is gone.
    pub(crate) fn lost(&mut self, now: Instant, id: PoolConnectionId) {
        self.forget(id);
        self.decide(now);
    }

    /// Serves those who wait, refuses those who come, closes what is idle.
    pub(crate) fn shut_down(&mut self, now: Instant) {
        self.shutting_down = true;
        self.decide(now);
    }

    /// The time for shutting down is over: refuses also those who wait.
    pub(crate) fn refuse_all(&mut self, now: Instant) {
        self.shutting_down = true;
        while let Some((ticket, _)) = self.first_waiting() {
            self.takes_any.remove(&ticket);
            self.wants_fresh.remove(&ticket);
            self.actions.push_back(PoolAction::Refuse(ticket));
        }
        self.decide(now);
    }

    /// Whether, after [`shut_down`](Self::shut_down), nothing is left.
    pub(crate) fn is_drained(&self) -> bool {
        self.shutting_down
            && self.connections.is_empty()
            && self.waiting() == 0
            && self.actions.is_empty()
    }

    /// The next thing to do; call until `None` after every other call.
    pub(crate) fn poll_action(&mut self) -> Option<PoolAction> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let ends = self.connections.iter().filter_map(|c| self.end_of(c));
        let pause = self.paused_until.filter(|_| self.waiting() > 0);
        ends.chain(pause).min()
    }

    /// Tells the time. Safe to call at any moment.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.decide(now);
    }

    /// How many connections there are, those being opened included.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many of them nobody uses.
    pub(crate) fn idle(&self) -> usize {
        let idle = self.connections.iter().filter(|c| c.idle_since.is_some());
        idle.count()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.takes_any.len() + self.wants_fresh.len()
    }

    /// Who came first of those who wait, and whether they want a fresh connection.
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

    /// When an idle connection has had its time.
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

    /// Sees to it that the first who waits will wake up in time.
    fn appoint_timekeeper(&mut self) {
        let deadline = self.poll_timeout();
        let (Some((first, _)), Some(deadline)) = (self.first_waiting(), deadline) else {
            // What was told before may wake someone, which does no harm.
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
