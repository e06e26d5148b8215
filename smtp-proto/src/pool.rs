//! Who gets which connection, when one is opened and when it is closed.
//!
//! Decisions only: no socket, no lock, no wait. An adapter tells what happened
//! and the time, and carries out the [`PoolAction`]s. Both worlds, blocking and
//! async, share this, so they cannot differ.

mod shelf;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

pub use self::shelf::{PoolGrant, PoolShelf};
use crate::{Error, ErrorKind, Instant, Outcome, Report};

/// How many connections there may be, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Live connections at once, those being opened included. 8; at least 1.
    pub max_connections: usize,
    /// Connections kept though nobody needs them. 8.
    pub max_idle: usize,
    /// How long one is kept unused. 60 seconds: servers hang up after a few
    /// minutes, and one that is about to is of no use.
    pub idle_timeout: Duration,
    /// How long one is used at all. 10 minutes.
    pub max_lifetime: Duration,
    /// Messages sent over one before it is replaced. 1,000.
    pub max_messages: u64,
    /// The pause after a server said that it has no room (421 or 4xx at the
    /// start of a session); doubled each time in a row. 500 milliseconds.
    pub first_pause: Duration,
    /// The longest such pause. 30 seconds.
    pub longest_pause: Duration,
}

impl PoolConfig {
    /// At most this many live connections, those being opened included.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// At most this many connections kept though nobody needs them.
    #[must_use]
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// How long a connection is kept unused.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long a connection is used at all.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// How many messages are sent over a connection before it is replaced.
    #[must_use]
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = messages;
        self
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: 8,
            max_idle: 8,
            idle_timeout: Duration::from_secs(60),
            max_lifetime: Duration::from_secs(10 * 60),
            max_messages: 1_000,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// Whether an error at the start of a session means that the server has no room
/// for another one now: [`Pool::open_failed`].
pub fn server_has_no_room(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Refused(reply) if reply.code().is_transient())
}

/// Whether a message that went out over a pooled connection is worth another try
/// over a fresh one: it was certainly not sent, because a connection that had
/// been used before had died, or died, of old age; and all of its content is
/// still at hand.
pub fn deserves_a_fresh_connection(
    report: &Report,
    was_reused: bool,
    content_is_at_hand: bool,
) -> bool {
    was_reused && content_is_at_hand && is_lost(report)
}

/// Whether a message was not sent because its session was over.
pub(crate) fn is_lost(report: &Report) -> bool {
    let Outcome::NotSent(error) = report.outcome() else {
        return false;
    };
    match error.kind() {
        ErrorKind::ConnectionClosed
        | ErrorKind::Transport(_)
        | ErrorKind::SessionOver
        | ErrorKind::Goodbye(_)
        | ErrorKind::ResetRefused(_)
        | ErrorKind::OutOfStep(_) => true,
        ErrorKind::Refused(reply) => reply.code().get() == 421,
        _ => false,
    }
}

/// Names a connection of the pool. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolConnectionId(u64);

/// Names someone who waits for a connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolTicket(u64);

/// What the adapter is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolAction {
    /// Give this idle connection to this ticket's holder, who looks at it first
    /// ([`Pool::found_dead`] if the server has left).
    Use(PoolTicket, PoolConnectionId),
    /// Let this ticket's holder open a connection, under this name.
    Open(PoolTicket, PoolConnectionId),
    /// Say `QUIT` to this idle connection and forget it.
    Close(PoolConnectionId),
    /// The pool is shutting down: this ticket gets nothing.
    Refuse(PoolTicket),
}

/// The pool's decisions.
///
/// First come, first served; the connection used last is used first, so that
/// those in excess grow old.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    connections: Vec<Connection>,
    waiting: VecDeque<Waiting>,
    actions: VecDeque<PoolAction>,
    next_connection: u64,
    next_ticket: u64,
    /// No connection is opened before this.
    paused_until: Option<Instant>,
    pauses_in_a_row: u32,
    shutting_down: bool,
    now: Instant,
}

#[derive(Debug)]
struct Waiting {
    ticket: PoolTicket,
    /// Is not given a connection that was used before.
    fresh: bool,
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
    pub fn new(config: PoolConfig) -> Self {
        Self {
            config,
            connections: Vec::new(),
            waiting: VecDeque::new(),
            actions: VecDeque::new(),
            next_connection: 0,
            next_ticket: 0,
            paused_until: None,
            pauses_in_a_row: 0,
            shutting_down: false,
            now: Instant::EPOCH,
        }
    }

    /// Someone wants a connection. An action with this ticket will come.
    pub fn request(&mut self, now: Instant) -> PoolTicket {
        self.enter(now, false)
    }

    /// The same, by someone who has lost a message to a connection that had died
    /// of old age: he is given the right to open one, and where there are too
    /// many, an idle one makes room.
    pub fn request_fresh(&mut self, now: Instant) -> PoolTicket {
        self.enter(now, true)
    }

    fn enter(&mut self, now: Instant, fresh: bool) -> PoolTicket {
        let ticket = PoolTicket(self.next_ticket);
        self.next_ticket += 1;
        if self.shutting_down {
            self.actions.push_back(PoolAction::Refuse(ticket));
        } else {
            self.waiting.push_back(Waiting { ticket, fresh });
        }
        self.decide(now);
        ticket
    }

    /// He who waited does so no more. What an action had given him already goes
    /// back.
    pub fn cancel(&mut self, now: Instant, ticket: PoolTicket) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
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
    pub fn opened(&mut self, now: Instant, id: PoolConnectionId) {
        self.pauses_in_a_row = 0;
        self.paused_until = None;
        if let Some(connection) = self.find(id) {
            connection.opened = now;
        }
        self.decide(now);
    }

    /// A connection could not be opened. `no_room`: the server said so by a 4xx;
    /// no other is opened for a while.
    pub fn open_failed(&mut self, now: Instant, id: PoolConnectionId, no_room: bool) {
        self.forget(id);
        if no_room {
            let factor = 2_u32.saturating_pow(self.pauses_in_a_row);
            let pause = self.config.first_pause.saturating_mul(factor);
            self.pauses_in_a_row = self.pauses_in_a_row.saturating_add(1);
            self.paused_until = Some(now + pause.min(self.config.longest_pause));
        }
        self.decide(now);
    }

    /// An idle connection that was given out had died meanwhile. Its holder is
    /// served again before all others.
    pub fn found_dead(&mut self, now: Instant, id: PoolConnectionId, ticket: PoolTicket) {
        self.forget(id);
        self.waiting.push_front(Waiting {
            ticket,
            fresh: false,
        });
        self.decide(now);
    }

    /// A connection is used no more, after `messages` messages.
    pub fn released(&mut self, now: Instant, id: PoolConnectionId, messages: u64) {
        if let Some(connection) = self.find(id) {
            connection.messages = connection.messages.saturating_add(messages);
            connection.idle_since = Some(now);
        }
        self.decide(now);
    }

    /// A connection is gone.
    pub fn lost(&mut self, now: Instant, id: PoolConnectionId) {
        self.forget(id);
        self.decide(now);
    }

    /// Serves those who wait, refuses those who come, closes what is idle.
    pub fn shut_down(&mut self, now: Instant) {
        self.shutting_down = true;
        self.decide(now);
    }

    /// Whether, after [`shut_down`](Self::shut_down), nothing is left.
    pub fn is_drained(&self) -> bool {
        self.shutting_down
            && self.connections.is_empty()
            && self.waiting.is_empty()
            && self.actions.is_empty()
    }

    /// The next thing to do; call until `None` after every other call.
    pub fn poll_action(&mut self) -> Option<PoolAction> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ends = self.connections.iter().filter_map(|c| self.end_of(c));
        let pause = self.paused_until.filter(|_| !self.waiting.is_empty());
        ends.chain(pause).min()
    }

    /// Tells the time. Safe to call at any moment.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.decide(now);
    }

    /// How many connections there are, those being opened included.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many of them nobody uses.
    pub fn idle(&self) -> usize {
        let idle = self.connections.iter().filter(|c| c.idle_since.is_some());
        idle.count()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
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
        self.close_the_old();
        self.serve();
        self.close_the_excess();
    }

    fn close_the_old(&mut self) {
        let old = |pool: &Self| {
            pool.connections
                .iter()
                .find(|c| pool.end_of(c).is_some_and(|end| end <= pool.now))
                .map(|c| c.id)
        };
        while let Some(id) = old(self) {
            self.close(id);
        }
    }

    fn serve(&mut self) {
        while let Some(first) = self.waiting.front() {
            let wants_fresh = first.fresh;
            let takes_any = self.waiting.iter().position(|waiting| !waiting.fresh);
            let used_last = self
                .connections
                .iter_mut()
                .filter(|connection| connection.idle_since.is_some())
                .max_by_key(|connection| connection.idle_since);
            if let (Some(connection), Some(position)) = (used_last, takes_any) {
                connection.idle_since = None;
                let id = connection.id;
                self.give(position, |ticket| PoolAction::Use(ticket, id));
            } else if self.may_open() {
                let id = PoolConnectionId(self.next_connection);
                self.next_connection += 1;
                self.connections.push(Connection {
                    id,
                    opened: self.now,
                    messages: 0,
                    idle_since: None,
                });
                self.give(0, |ticket| PoolAction::Open(ticket, id));
            } else if wants_fresh
                && !self.is_paused()
                && let Some(id) = self.longest_idle()
            {
                self.close(id);
            } else {
                return;
            }
        }
    }

    fn give(&mut self, position: usize, action: impl FnOnce(PoolTicket) -> PoolAction) {
        if let Some(waiting) = self.waiting.remove(position) {
            self.actions.push_back(action(waiting.ticket));
        }
    }

    fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| self.now < until)
    }

    fn may_open(&self) -> bool {
        !self.is_paused() && self.connections.len() < self.config.max_connections.max(1)
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
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(seconds))
    }

    fn pool(change: impl FnOnce(&mut PoolConfig)) -> Pool {
        let mut config = PoolConfig::default();
        change(&mut config);
        Pool::new(config)
    }

    fn actions(pool: &mut Pool) -> Vec<PoolAction> {
        core::iter::from_fn(|| pool.poll_action()).collect()
    }

    fn opened(pool: &mut Pool, now: Instant) -> PoolConnectionId {
        let ticket = pool.request(now);
        match actions(pool)[..] {
            [PoolAction::Open(to, id)] if to == ticket => {
                pool.opened(now, id);
                id
            }
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn first_come_first_served_within_the_cap() {
        let mut pool = pool(|config| config.max_connections = 1);
        let busy = opened(&mut pool, at(0));
        let (first, second) = (pool.request(at(1)), pool.request(at(1)));
        assert_eq!(actions(&mut pool), []);
        pool.released(at(2), busy, 1);
        assert_eq!(actions(&mut pool), [PoolAction::Use(first, busy)]);
        pool.lost(at(3), busy);
        assert!(matches!(actions(&mut pool)[..], [PoolAction::Open(to, _)] if to == second));
        assert_eq!(pool.connections(), 1);
    }

    #[test]
    fn the_connection_used_last_is_used_first() {
        let mut pool = pool(|_| {});
        let (a, b) = (opened(&mut pool, at(0)), opened(&mut pool, at(0)));
        pool.released(at(1), a, 1);
        pool.released(at(2), b, 1);
        let ticket = pool.request(at(3));
        assert_eq!(actions(&mut pool), [PoolAction::Use(ticket, b)]);
        assert_eq!(pool.poll_timeout(), Some(at(61)));
        pool.handle_timeout(at(61));
        assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
    }

    #[test]
    fn the_old_and_the_worn_are_replaced() {
        let mut pool = pool(|config| {
            config.max_messages = 2;
            config.max_lifetime = Duration::from_secs(100);
            config.idle_timeout = Duration::from_secs(1_000);
        });
        let a = opened(&mut pool, at(0));
        pool.released(at(1), a, 1);
        let ticket = pool.request(at(1));
        assert_eq!(actions(&mut pool), [PoolAction::Use(ticket, a)]);
        pool.released(at(2), a, 1);
        assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
        let b = opened(&mut pool, at(3));
        pool.released(at(4), b, 1);
        assert_eq!(pool.poll_timeout(), Some(at(103)));
        let ticket = pool.request(at(103));
        let after = actions(&mut pool);
        assert_eq!(after[0], PoolAction::Close(b));
        assert!(matches!(after[1..], [PoolAction::Open(to, _)] if to == ticket));
    }

    #[test]
    fn who_was_given_a_dead_one_is_served_next() {
        let mut pool = pool(|config| config.max_connections = 1);
        let a = opened(&mut pool, at(0));
        let (first, second) = (pool.request(at(0)), pool.request(at(0)));
        pool.released(at(1), a, 1);
        assert_eq!(actions(&mut pool), [PoolAction::Use(first, a)]);
        pool.found_dead(at(2), a, first);
        let after = actions(&mut pool);
        assert!(matches!(after[..], [PoolAction::Open(to, _)] if to == first && to != second));
    }

    #[test]
    fn a_fresh_one_is_opened_for_who_lost_a_message() {
        let mut pool = pool(|config| config.max_connections = 2);
        let (a, b) = (opened(&mut pool, at(0)), opened(&mut pool, at(0)));
        pool.released(at(1), a, 1);
        pool.released(at(2), b, 1);
        let fresh = pool.request_fresh(at(3));
        let after = actions(&mut pool);
        assert_eq!(after[0], PoolAction::Close(a));
        assert!(matches!(after[1..], [PoolAction::Open(to, id)] if to == fresh && id != b));
        // Who takes any is not kept waiting by one who does not.
        let (busy, fresh, other) = (
            pool.request(at(4)),
            pool.request_fresh(at(4)),
            pool.request(at(4)),
        );
        assert_eq!(actions(&mut pool), [PoolAction::Use(busy, b)]);
        pool.released(at(5), b, 1);
        assert_eq!(actions(&mut pool), [PoolAction::Use(other, b)]);
        pool.released(at(6), b, 1);
        let after = actions(&mut pool);
        assert!(
            matches!(after[..], [PoolAction::Close(id), PoolAction::Open(to, _)] if id == b && to == fresh)
        );
    }

    #[test]
    fn a_server_without_room_is_left_alone_ever_longer() {
        let mut pool = pool(|config| config.first_pause = Duration::from_secs(1));
        let mut now = at(0);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            pool.request(now);
            let [PoolAction::Open(_, id)] = actions(&mut pool)[..] else {
                panic!("nothing opened at {now:?}");
            };
            pool.open_failed(now, id, true);
            let waits = pool.request(now);
            assert_eq!(actions(&mut pool), []);
            now = now + Duration::from_secs(pause);
            assert_eq!(pool.poll_timeout(), Some(now));
            pool.cancel(now, waits);
        }
    }

    #[test]
    fn what_was_given_to_one_who_left_goes_back() {
        let mut pool = pool(|config| config.max_connections = 1);
        let ticket = pool.request(at(0));
        pool.cancel(at(0), ticket);
        assert_eq!((actions(&mut pool), pool.connections()), (Vec::new(), 0));
        let a = opened(&mut pool, at(0));
        pool.released(at(1), a, 1);
        let ticket = pool.request(at(1));
        pool.cancel(at(1), ticket);
        assert_eq!((actions(&mut pool), pool.idle()), (Vec::new(), 1));
    }

    #[test]
    fn shutting_down_serves_the_queue_and_then_nobody() {
        let mut pool = pool(|config| config.max_connections = 1);
        let a = opened(&mut pool, at(0));
        let queued = pool.request(at(0));
        pool.shut_down(at(1));
        let late = pool.request(at(1));
        assert_eq!(actions(&mut pool), [PoolAction::Refuse(late)]);
        pool.released(at(2), a, 1);
        assert_eq!(actions(&mut pool), [PoolAction::Use(queued, a)]);
        assert!(!pool.is_drained());
        pool.released(at(3), a, 1);
        assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
        assert!(pool.is_drained());
    }
}
