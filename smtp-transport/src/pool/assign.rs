//! Which waiter gets what: an idle connection, a place on one that others use, or the right to open
//! one.
//!
//! Closes a connection only to make room for a waiter that needs a new one. Must never close one
//! because of its age.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use postwire_proto::Instant;

use super::queue::{Request, Waiting};
use super::{Connection, Pool, PoolAction, PoolConnectionId, PoolTicket, SHARED_OCTETS, State};

/// How many waiters may take an idle connection before an older one for which it must be closed.
///
/// Opening takes several times as long as a message, so a connection first serves a few of those who
/// accept it. Without a bound, a steady backlog of them would use it for ever.
const OVERTAKINGS: u32 = 4;

impl Pool {
    pub(super) fn serve(&mut self) {
        while self.reuse() || self.open_or_join() {}
    }

    /// Gives an idle connection to the first waiter that accepts one, unless an older waiter is to
    /// be served first, for which it must be closed.
    fn reuse(&mut self) -> bool {
        let Some((ticket, waiting)) = self.queue.first_that_reuses() else {
            return false;
        };
        let overtakes = self.overtakes(ticket);
        if overtakes && self.overtakings >= OVERTAKINGS {
            return false;
        }
        let idle = self
            .connections
            .iter_mut()
            .filter(|c| c.idle_since().is_some());
        let Some(used_last) = idle.max_by_key(|connection| connection.idle_since()) else {
            return false;
        };
        used_last.state = match waiting.request {
            Request::Connection => State::Alone,
            message @ Request::Message { .. } => State::Unseen(message),
        };
        self.actions
            .push_back(PoolAction::Use(ticket, used_last.id));
        self.queue.remove(ticket);
        self.overtakings += u32::from(overtakes);
        true
    }

    /// Whether an older waiter needs a new connection, for which an idle one must be closed.
    fn overtakes(&self, ticket: PoolTicket) -> bool {
        let may_close = !self.may_open() && self.paused_until.is_none();
        may_close && self.queue.first_fresh().is_some_and(|first| first < ticket)
    }

    /// Serves the first waiter that may open a connection or join one.
    fn open_or_join(&mut self) -> bool {
        for (ticket, waiting) in self.queue.heads() {
            let joinable = self.joinable(ticket, waiting);
            if self.may_open() && self.is_worth_opening(waiting, joinable.is_some()) {
                self.open(ticket, waiting);
                return true;
            }
            if let Some(id) = joinable {
                self.join(ticket, id, waiting.octets());
                return true;
            }
            if waiting.fresh
                && !self.may_open()
                && self.paused_until.is_none()
                && !self.is_closing()
                && let Some(id) = self.longest_idle()
            {
                self.close(id);
                return true;
            }
        }
        false
    }

    fn open(&mut self, ticket: PoolTicket, waiting: Waiting) {
        let id = PoolConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.push(Connection {
            id,
            opened: self.now,
            messages: 0,
            state: State::Opening(waiting.request),
        });
        if waiting.fresh {
            self.overtakings = 0;
        }
        self.queue.remove(ticket);
        self.actions.push_back(PoolAction::Open(ticket, id));
    }

    fn join(&mut self, ticket: PoolTicket, id: PoolConnectionId, octets: u64) {
        let now = self.now;
        if let Some(connection) = self.find(id)
            && let State::Shared(load) = &mut connection.state
        {
            if load.messages == 0 {
                load.since = now;
            }
            load.messages += 1;
            load.octets = load.octets.saturating_add(octets);
        }
        self.queue.remove(ticket);
        self.actions.push_back(PoolAction::Join(ticket, id));
    }

    /// Whether to open a connection for this waiter rather than let it wait. `has_room` says
    /// whether it could join one.
    fn is_worth_opening(&self, waiting: Waiting, has_room: bool) -> bool {
        if waiting.request == Request::Connection {
            return true;
        }
        let loads = self.connections.iter().filter_map(Connection::load);
        let loads = loads.filter(|load| load.is_usable);
        let (connections, under_way) = loads.fold((0, 0), |(connections, under_way), load| {
            (connections + 1, under_way + load.messages)
        });
        let messages = under_way + self.queue.messages();
        let waited = self.now.saturating_duration_since(waiting.since);
        self.estimate
            .favours_opening(connections, messages, has_room, waited)
    }

    /// The time at which the first waiter has waited for so long that a connection is opened.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        let opening = self.estimate.opening()?;
        let (_, waiting) = self.queue.first_message().filter(|_| self.may_open())?;
        Some(waiting.since + opening)
    }

    /// The time until which a message that joined a connection may wait to be queued on it; `None`
    /// if no other connection may be opened.
    pub(crate) fn patience(&self) -> Option<Instant> {
        let opening = self.estimate.opening().filter(|_| self.may_open())?;
        Some(self.now + opening)
    }

    /// The connection that takes the message of this waiter. The one with the fewest messages is
    /// chosen, except that each older waiter that needs a connection for itself gets one, which is
    /// left to become idle.
    fn joinable(&self, ticket: PoolTicket, waiting: Waiting) -> Option<PoolConnectionId> {
        let Request::Message { octets } = waiting.request else {
            return None;
        };
        let shared = self.connections.iter().enumerate();
        let mut shared: BinaryHeap<_> = shared
            .filter_map(|(at, connection)| {
                Some(Reverse((connection.load()?.messages, connection.id, at)))
            })
            .collect();
        let reserved = self.queue.older_without_sharing(ticket, shared.len());
        let takes = |connection: &&Connection| {
            let Some(load) = connection.load() else {
                return false;
            };
            let sent = connection.messages.saturating_add(load.messages as u64);
            load.is_usable
                && load.messages < self.places
                && load.octets.saturating_add(octets) <= SHARED_OCTETS
                && sent < self.config.max_messages
                && self.now < connection.opened + self.config.max_lifetime
        };
        let by_load = std::iter::from_fn(|| Some(&self.connections[shared.pop()?.0.2]));
        let found = by_load.skip(reserved).find(takes);
        found.map(|connection| connection.id)
    }

    /// Whether a connection is being closed, so that another one may be opened soon.
    fn is_closing(&self) -> bool {
        let mut connections = self.connections.iter();
        connections.any(|connection| matches!(connection.state, State::Closing))
    }

    pub(super) fn may_open(&self) -> bool {
        self.paused_until.is_none() && self.connections.len() < self.config.max_connections.max(1)
    }
}
