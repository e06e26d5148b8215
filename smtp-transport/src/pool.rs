//! The pool: which send gets which connection, which sends share one, when a connection is opened
//! and when it is closed.
//!
//! Decides only. Must never use a socket or a lock, or wait. The [shelf](PoolShelf) passes events and
//! the time, and executes the [`PoolAction`]s. The blocking and the async adapters share the pool.

mod assign;
mod config;
mod counters;
mod estimate;
#[cfg(test)]
pub(crate) mod model;
mod queue;
mod shared;
mod shelf;

use std::collections::{BinaryHeap, VecDeque};

use postwire_proto::Instant;

use self::estimate::Estimate;
use self::queue::{Queue, Waiting, take_at};
use crate::observe;

pub use self::config::PoolConfig;
pub use self::counters::Counters;
pub(crate) use self::counters::Totals;
pub(crate) use self::queue::Request;
pub(crate) use self::shared::{QueuedMessage, SharedConnection, UnderWay};
pub use self::shelf::WhenBlocked;
pub(crate) use self::shelf::{PoolEffects, PoolGrant, PoolShelf};

/// The maximum octets of the messages that share a connection at a time. A larger message gets a
/// connection of its own.
pub(crate) const SHARED_OCTETS: u64 = 1024 * 1024;

/// Identifies a connection of the pool. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolConnectionId(u64);

/// Identifies a waiter, which is a send that waits for a connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolTicket(u64);

/// An action for the [`PoolShelf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolAction {
    /// Give this idle connection to this waiter, which first checks whether the server has closed
    /// it ([`Pool::found_dead`]).
    Use(PoolTicket, PoolConnectionId),
    /// Let this waiter open a connection with this id.
    Open(PoolTicket, PoolConnectionId),
    /// Queue the message of this waiter on this connection, which others are using.
    Join(PoolTicket, PoolConnectionId),
    /// End this idle connection by `QUIT`, then call [`Pool::lost`]: until then it counts as a connection.
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
/// # Sharing
///
/// A waiter with one small message may join a connection that others are using. The message is
/// then sent in the same flights as theirs. It joins unless a new connection is likely to be open
/// earlier than the waiting messages are sent ([`Estimate`]). A waiter that needs a connection for
/// itself is not delayed by those who come later: for each one, a connection takes no more messages
/// until it is idle. If it needs a new one, and there are too many, a few who come later use the idle
/// connection first; then it is closed.
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
    /// The maximum number of messages that share a connection.
    places: usize,
    connections: Vec<Connection>,
    queue: Queue,
    /// The waiters that took an idle connection before an older one that needs a new connection,
    /// since one of those was served.
    overtakings: u32,
    estimate: Estimate,
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
    /// The numbers of connections that were opened, and that could not be opened.
    opened: u64,
    failed_to_open: u64,
}

#[derive(Debug)]
struct Connection {
    id: PoolConnectionId,
    /// The time at which the opening began, then the time at which it was complete.
    opened: Instant,
    messages: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Being opened for this request.
    Opening(Request),
    /// Given to a waiter with a message, which first checks whether the server has closed the
    /// connection.
    Unseen(Request),
    /// In use by one send.
    Alone,
    /// In use by the messages of several sends.
    Shared(Load),
    Idle {
        since: Instant,
    },
    /// Being closed. No other connection is opened in its place before it is closed.
    Closing,
}

/// The messages on a shared connection.
#[derive(Clone, Copy, Debug)]
struct Load {
    messages: usize,
    octets: u64,
    /// Whether the session can take more messages.
    is_usable: bool,
    /// The time of the last report, or of the first message.
    since: Instant,
}

impl Load {
    fn new(now: Instant, octets: u64) -> Self {
        Self {
            messages: 1,
            octets,
            is_usable: true,
            since: now,
        }
    }
}

impl Connection {
    fn idle_since(&self) -> Option<Instant> {
        match self.state {
            State::Idle { since } => Some(since),
            _ => None,
        }
    }

    fn load(&self) -> Option<&Load> {
        match &self.state {
            State::Shared(load) => Some(load),
            _ => None,
        }
    }

    fn begin(&mut self, now: Instant, request: Request) {
        self.state = match request {
            Request::Connection => State::Alone,
            Request::Message { octets } => State::Shared(Load::new(now, octets)),
        };
    }
}

impl Pool {
    /// Creates an empty pool. At most `places` messages share a connection.
    pub(crate) fn new(config: PoolConfig, places: usize) -> Self {
        Self {
            config,
            places,
            connections: Vec::new(),
            queue: Queue::default(),
            overtakings: 0,
            estimate: Estimate::default(),
            timekeeper: None,
            actions: VecDeque::new(),
            next_connection: 0,
            next_ticket: 0,
            paused_until: None,
            pauses_in_a_row: 0,
            first_after_pause: 0,
            shutting_down: false,
            now: Instant::EPOCH,
            opened: 0,
            failed_to_open: 0,
        }
    }

    /// The configuration of the pool.
    pub(crate) fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Makes a request. An action with the returned ticket will follow.
    ///
    /// `fresh` says that a reused connection was lost with the message. The waiter then gets the
    /// right to open a connection for itself, and if there are too many, an idle one is closed for
    /// it.
    pub(crate) fn request(&mut self, now: Instant, request: Request, fresh: bool) -> PoolTicket {
        let ticket = PoolTicket(self.next_ticket);
        self.next_ticket += 1;
        if self.shutting_down {
            self.actions.push_back(PoolAction::Refuse(ticket));
        } else {
            self.queue.insert(ticket, Waiting::new(request, fresh, now));
        }
        self.decide(now);
        ticket
    }

    /// Returns a waiter to its old place in the queue, because it could not use what it was given.
    pub(crate) fn return_to_queue(&mut self, now: Instant, ticket: PoolTicket, waiting: Waiting) {
        self.queue.insert(ticket, waiting);
        self.decide(now);
    }

    /// Records that the server had closed an idle connection which was given to a waiter. The
    /// waiter gets its old place in the queue.
    pub(crate) fn found_dead(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        ticket: PoolTicket,
        waiting: Waiting,
    ) {
        self.forget(id);
        self.return_to_queue(now, ticket, waiting);
    }

    /// Removes a waiter. Anything that an action has given to it returns to the pool.
    pub(crate) fn cancel(&mut self, now: Instant, ticket: PoolTicket) {
        self.queue.remove(ticket);
        let given = self.actions.iter().position(|action| {
            matches!(action, PoolAction::Use(to, _) | PoolAction::Open(to, _) | PoolAction::Refuse(to)
                if *to == ticket)
        });
        match given.and_then(|place| take_at(&mut self.actions, place)) {
            Some(PoolAction::Use(_, id)) => {
                if let Some(connection) = self.find(id) {
                    connection.state = State::Idle { since: now };
                }
            }
            Some(PoolAction::Open(_, id)) => self.forget(id),
            _ => {}
        }
        self.decide(now);
    }

    /// Records that a connection is open and in use by the request that opened it.
    pub(crate) fn opened(&mut self, now: Instant, id: PoolConnectionId) {
        self.opened += 1;
        if id.0 >= self.first_after_pause {
            self.pauses_in_a_row = 0;
            self.paused_until = None;
        }
        if let Some(connection) = self.find(id) {
            let began = std::mem::replace(&mut connection.opened, now);
            if let State::Opening(request) = connection.state {
                connection.begin(now, request);
                self.estimate.opened(now.saturating_duration_since(began));
            }
        }
        self.decide(now);
    }

    /// Records that the server has not closed an idle connection which was given to a waiter.
    pub(crate) fn found_alive(&mut self, now: Instant, id: PoolConnectionId) {
        if let Some(connection) = self.find(id)
            && let State::Unseen(request) = connection.state
        {
            connection.begin(now, request);
        }
        self.decide(now);
    }

    /// Records that a connection could not be opened. `no_room` says that the server accepts no
    /// more sessions (4xx); the pool then pauses.
    pub(crate) fn open_failed(&mut self, now: Instant, id: PoolConnectionId, no_room: bool) {
        self.forget(id);
        self.failed_to_open += 1;
        if no_room && id.0 >= self.first_after_pause {
            let factor = 2_u32.saturating_pow(self.pauses_in_a_row);
            let pause = self.config.first_pause.saturating_mul(factor);
            self.pauses_in_a_row = self.pauses_in_a_row.saturating_add(1);
            let pause = pause.min(self.config.longest_pause);
            observe::paused(pause);
            self.paused_until = Some(now + pause);
            self.first_after_pause = self.next_connection;
        }
        self.decide(now);
    }

    /// Records that a connection became idle after `messages` messages.
    pub(crate) fn released(&mut self, now: Instant, id: PoolConnectionId, messages: u64) {
        let since = self.now.max(now);
        if let Some(connection) = self.find(id) {
            connection.messages = connection.messages.saturating_add(messages);
            connection.state = State::Idle { since };
        }
        self.decide(now);
    }

    /// Records the report on a message of this size that was queued on a shared connection.
    /// `answered` says whether it is an answer of the server, `is_usable` whether the session can
    /// take more messages.
    pub(crate) fn reported(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        octets: u64,
        answered: bool,
        is_usable: bool,
    ) {
        if let Some(connection) = self.find(id)
            && let State::Shared(load) = &mut connection.state
        {
            connection.messages = connection.messages.saturating_add(1);
            load.messages = load.messages.saturating_sub(1);
            load.octets = load.octets.saturating_sub(octets);
            load.is_usable &= is_usable;
            let took = now.saturating_duration_since(load.since);
            load.since = now;
            if answered {
                self.estimate.answered(took);
            }
        }
        self.decide(now);
    }

    /// Records that the session of a shared connection takes no more messages.
    pub(crate) fn takes_no_more(&mut self, id: PoolConnectionId) {
        if let Some(connection) = self.find(id)
            && let State::Shared(load) = &mut connection.state
        {
            load.is_usable = false;
        }
    }

    /// Records that a message of this size left a shared connection before it was queued there.
    pub(crate) fn left(&mut self, now: Instant, id: PoolConnectionId, octets: u64) {
        if let Some(connection) = self.find(id)
            && let State::Shared(load) = &mut connection.state
        {
            load.messages = load.messages.saturating_sub(1);
            load.octets = load.octets.saturating_sub(octets);
        }
        self.decide(now);
    }

    /// Records that one send took a connection that was shared, since no other send uses it.
    pub(crate) fn no_longer_shared(&mut self, id: PoolConnectionId) {
        if let Some(connection) = self.find(id) {
            connection.state = State::Alone;
        }
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
        while let Some(ticket) = self.queue.pop_first() {
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
        let kept = self.first_kept();
        let ends = self.connections.iter();
        let ends = ends.filter_map(|c| self.end_of(c, kept));
        let pause = self.paused_until.filter(|_| self.waiting() > 0);
        ends.chain(pause).chain(self.patience_ends()).min()
    }

    /// Passes the current time. Safe to call at any moment.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.decide(now);
    }

    /// The present state, and the totals that the pool knows.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = Counters {
            waiting: self.waiting(),
            opened: self.opened,
            failed_to_open: self.failed_to_open,
            ..Counters::default()
        };
        for connection in &self.connections {
            match connection.state {
                State::Opening(_) => counters.opening += 1,
                State::Idle { .. } => counters.idle += 1,
                State::Unseen(_) | State::Alone => counters.in_use += 1,
                State::Closing => {}
                State::Shared(load) => {
                    counters.in_use += 1;
                    counters.queued += load.messages;
                }
            }
        }
        counters
    }

    /// The number of connections, including those that are being opened.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The number of idle connections.
    pub(crate) fn idle(&self) -> usize {
        let idle = self.connections.iter().filter_map(Connection::idle_since);
        idle.count()
    }

    /// The number of waiters.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn find(&mut self, id: PoolConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.id == id)
    }

    fn forget(&mut self, id: PoolConnectionId) {
        self.connections.retain(|connection| connection.id != id);
    }

    /// Of the idle connections that were used last and are kept, the one that was used first.
    fn first_kept(&self) -> Option<(Instant, PoolConnectionId)> {
        if self.config.min_idle == 0 {
            return None;
        }
        let idle = self.connections.iter();
        let mut idle: BinaryHeap<_> = idle
            .filter_map(|connection| Some((connection.idle_since()?, connection.id)))
            .collect();
        let used_last = std::iter::from_fn(|| idle.pop());
        used_last.take(self.config.min_idle).last()
    }

    /// The time at which an idle connection is to be closed. `kept` is the
    /// [first that is kept](Self::first_kept), found once for all connections.
    fn end_of(
        &self,
        connection: &Connection,
        kept: Option<(Instant, PoolConnectionId)>,
    ) -> Option<Instant> {
        let idle_since = connection.idle_since()?;
        if connection.messages >= self.config.max_messages {
            return Some(idle_since);
        }
        let oldest = connection.opened + self.config.max_lifetime;
        if kept.is_some_and(|first| (idle_since, connection.id) >= first) {
            return Some(oldest);
        }
        Some(oldest.min(idle_since + self.config.idle_timeout))
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
        let first = self.queue.first();
        let appointment = first.and_then(|first| Some((first, self.poll_timeout()?)));
        let Some((first, deadline)) = appointment else {
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
        let kept = self.first_kept();
        let is_old = |c: &&Connection| self.end_of(c, kept).is_some_and(|end| end <= self.now);
        let old = self.connections.iter().filter(is_old).map(|c| c.id);
        for id in old.collect::<Vec<_>>() {
            self.close(id);
        }
    }

    fn longest_idle(&self) -> Option<PoolConnectionId> {
        self.connections
            .iter()
            .filter(|connection| connection.idle_since().is_some())
            .min_by_key(|connection| connection.idle_since())
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
        if let Some(connection) = self.find(id) {
            connection.state = State::Closing;
        }
        self.actions.push_back(PoolAction::Close(id));
    }
}

#[cfg(test)]
mod tests;
