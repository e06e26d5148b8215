//! The connections of a pool that no send is using, and the sends that wait.
//!
//! Generic in the type of a connection. Must never open or close one, nor use its session. An
//! adapter sleeps in its own way, until it is woken or until the time that the shelf returns.

mod by_id;
mod sharing;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::task::{Poll, Waker};
use std::time::Duration;

use postwire_proto::{Instant, Report};

use self::by_id::ById;
pub use self::sharing::WhenBlocked;
use super::queue::Waiting;
use super::shared::{QueuedMessage, SharedConnection, UnderWay};
use super::{Pool, PoolAction, PoolConfig, PoolConnectionId, PoolTicket, Request};
use crate::pool::{Counters, Totals};

/// The maximum number of reports on abandoned messages that are kept.
const ABANDONED: usize = 1_024;

/// A [`Pool`] with its connections and its waiters.
///
/// After each call the caller must execute the [`effects`](Self::effects).
#[derive(Debug)]
pub(crate) struct PoolShelf<C> {
    pool: Pool,
    idle: ById<C>,
    shared: ById<Shared<C>>,
    /// Empty queues for further shared connections.
    spare: Vec<Queues>,
    waiters: HashMap<PoolTicket, Waiter<C>>,
    /// The wakers of those that wait for the end of a shutdown.
    shutdown_wakers: Vec<Waker>,
    effects: PoolEffects<C>,
    abandoned: VecDeque<Report>,
    /// The outcomes of all abandoned messages.
    abandoned_totals: Totals,
}

/// A send that waits for a connection, or for the report on its message.
#[derive(Debug)]
struct Waiter<C> {
    waiting: Waiting,
    state: State<C>,
    /// The message, until it is queued on a session.
    message: Option<QueuedMessage>,
    /// Whether the connection of the message was used before.
    is_reused: bool,
    /// The time limit of the send.
    deadline: Option<Instant>,
    /// The time at which the waiter gives up unless it gets a connection.
    gives_up: Option<Instant>,
    /// The time at which the waiter must call the pool, if it is the timekeeper.
    alarm: Option<Instant>,
    /// The time at which a message that joined a connection, and still is not queued on it, is
    /// better sent over a new one.
    patience: Option<Instant>,
    /// The deadline of the session on which the message is, if another thread, which waits for the
    /// stream, does not observe it.
    session_deadline: Option<Instant>,
    /// Whether nobody polls the waiter, so that it cannot drive a connection.
    is_paused: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum State<C> {
    Waiting,
    /// The waiter opens or checks a connection.
    Preparing,
    /// The message has joined this connection.
    Joined(PoolConnectionId),
    Granted(PoolGrant<C>),
}

impl<C> Waiter<C> {
    fn new(
        waiting: Waiting,
        message: Option<QueuedMessage>,
        deadline: Option<Instant>,
        acquire_timeout: Option<Duration>,
    ) -> Self {
        let mut waiter = Self {
            waiting,
            state: State::Waiting,
            message,
            is_reused: false,
            deadline,
            gives_up: None,
            alarm: None,
            patience: None,
            session_deadline: None,
            is_paused: false,
            waker: None,
        };
        waiter.limit_wait(acquire_timeout);
        waiter
    }

    /// Limits the time in the queue.
    fn limit_wait(&mut self, acquire_timeout: Option<Duration>) {
        let own = acquire_timeout.map(|timeout| self.waiting.since + timeout);
        self.gives_up = own.into_iter().chain(self.deadline).min();
    }

    fn register(&mut self, waker: &Waker) {
        self.is_paused = false;
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }

    /// The time until which the waiter may sleep.
    fn sleeps_until(&self) -> Option<Instant> {
        let times = [
            self.gives_up,
            self.alarm,
            self.patience,
            self.session_deadline,
        ];
        times.into_iter().flatten().min()
    }
}

/// A shared connection, from the point of view of those who do not drive it.
#[derive(Debug)]
struct Shared<C> {
    /// The connection, unless a send is driving it.
    parked: Option<SharedConnection<C>>,
    /// The messages that are to be queued on the session by the send that drives it next.
    joining: VecDeque<PoolTicket>,
    watch: Watch,
}

/// The queues of a shared connection.
#[derive(Debug, Default)]
struct Queues {
    joining: VecDeque<PoolTicket>,
    under_way: VecDeque<UnderWay>,
}

/// The send to wake when a parked connection needs a driver.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Watch {
    Nobody,
    /// A send that the stream wakes, and that others may wake.
    Woken(PoolTicket),
    /// A thread that waits for the stream, and that nothing else wakes. Only this thread reads.
    Reading(PoolTicket),
    /// The same thread, which found that the stream can be read, and waits for the connection.
    Readable(PoolTicket),
}

impl Watch {
    /// Whether it is this send that is to be woken, or that reads.
    fn is_by(self, ticket: PoolTicket) -> bool {
        match self {
            Self::Nobody => false,
            Self::Woken(by) | Self::Reading(by) | Self::Readable(by) => by == ticket,
        }
    }

    /// The thread that is to read next.
    fn reader(self) -> Option<PoolTicket> {
        match self {
            Self::Reading(ticket) | Self::Readable(ticket) => Some(ticket),
            Self::Nobody | Self::Woken(_) => None,
        }
    }
}

/// The result for a waiter.
#[derive(Debug)]
pub(crate) enum PoolGrant<C> {
    /// A connection that was idle, and that the server may have closed.
    Use(PoolConnectionId, C),
    /// The right to open a connection.
    Open(PoolConnectionId),
    /// A connection that the message has joined, to drive until it is
    /// [parked](PoolShelf::park) or [left](PoolShelf::hand_over).
    Drive(SharedConnection<C>),
    /// The report on the message, and whether the connection had been used before.
    Report(Box<Report>, bool),
    /// Nothing, because the session is over and has no report on the message.
    Over,
    /// Nothing, because the pool is shutting down.
    Refuse,
    /// Nothing, because the deadline of the waiter has passed.
    TimedOut,
}

/// The effects of a call, to be executed without the lock.
#[derive(Debug)]
#[must_use = "waiters sleep until these wakers are woken"]
pub(crate) struct PoolEffects<C> {
    /// Idle connections to end by `QUIT`. Each is [lost](PoolShelf::lost) after that.
    pub(crate) departing: Vec<(PoolConnectionId, C)>,
    /// Shared connections that nobody drives any more. Their sessions are to be ended, and the
    /// reports on their messages kept as abandoned ones.
    pub(crate) deserted: Vec<SharedConnection<C>>,
    /// The wakers of waiters that were served or became the timekeeper, and of those that wait for
    /// the end of a shutdown.
    pub(crate) woken: Vec<Waker>,
}

impl<C> Default for PoolEffects<C> {
    fn default() -> Self {
        Self {
            departing: Vec::new(),
            deserted: Vec::new(),
            woken: Vec::new(),
        }
    }
}

impl<C> PoolShelf<C> {
    /// Creates an empty shelf. At most `places` messages share a connection.
    pub(crate) fn new(config: PoolConfig, places: usize) -> Self {
        Self {
            pool: Pool::new(config, places),
            idle: ById::new(),
            shared: ById::new(),
            spare: Vec::new(),
            waiters: HashMap::new(),
            shutdown_wakers: Vec::new(),
            effects: PoolEffects::default(),
            abandoned: VecDeque::new(),
            abandoned_totals: Totals::default(),
        }
    }

    /// Requests a connection: [`Pool::request`]. The waiter gives up at `deadline`, or after the
    /// pool's [`acquire_timeout`](PoolConfig::acquire_timeout).
    pub(crate) fn request(
        &mut self,
        now: Instant,
        fresh: bool,
        deadline: Option<Instant>,
    ) -> PoolTicket {
        self.enter(now, Request::Connection, fresh, deadline, None)
    }

    /// Requests a place for a message of this many octets, on a connection that it may share.
    pub(crate) fn request_place(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        octets: u64,
        message: QueuedMessage,
    ) -> PoolTicket {
        let request = Request::Message { octets };
        self.enter(now, request, false, deadline, Some(message))
    }

    fn enter(
        &mut self,
        now: Instant,
        request: Request,
        fresh: bool,
        deadline: Option<Instant>,
        message: Option<QueuedMessage>,
    ) -> PoolTicket {
        let ticket = self.pool.request(now, request, fresh);
        let waiting = Waiting::new(request, fresh, now);
        let timeout = self.pool.config().acquire_timeout;
        let waiter = Waiter::new(waiting, message, deadline, timeout);
        self.waiters.insert(ticket, waiter);
        self.carry_out();
        ticket
    }

    /// Returns the result for a waiter, or else the time until which it may sleep; `None` means
    /// until it is woken.
    ///
    /// The waker is woken when this call would return something else. After
    /// [`Drive`](PoolGrant::Drive), [`Use`](PoolGrant::Use) and [`Open`](PoolGrant::Open) a waiter
    /// with a message keeps its ticket.
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
        if !matches!(waiter.state, State::Granted(_)) {
            waiter.register(waker);
        }
        match waiter.state {
            State::Granted(_) => return Ok(self.take_grant(ticket)),
            State::Joined(id) => {
                let is_late = is_due(waiter.gives_up);
                let observes = is_due(waiter.session_deadline);
                let is_impatient = is_due(waiter.patience);
                if let Some(connection) = self.take(id, ticket, is_late || observes) {
                    return Ok(PoolGrant::Drive(connection));
                }
                if is_late && self.is_joining(id, ticket) {
                    self.cancel(now, ticket);
                    return Ok(PoolGrant::TimedOut);
                }
                if is_impatient && let Some(grant) = self.leave_for_another(now, id, ticket) {
                    return Ok(grant);
                }
            }
            State::Waiting if is_due(waiter.gives_up) => {
                self.cancel(now, ticket);
                return Ok(PoolGrant::TimedOut);
            }
            State::Waiting | State::Preparing => {}
        }
        let Some(waiter) = self.waiters.get(&ticket) else {
            return Ok(PoolGrant::Refuse);
        };
        let until = waiter.sleeps_until();
        Err(match waiter.state {
            // After the time limit, the send that drives the connection has to end it.
            State::Joined(_) => until.filter(|until| *until > now),
            _ => until,
        })
    }

    fn take_grant(&mut self, ticket: PoolTicket) -> PoolGrant<C> {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return PoolGrant::Refuse;
        };
        let keeps = waiter.message.is_some();
        let grant = match std::mem::replace(&mut waiter.state, State::Preparing) {
            State::Granted(grant) => grant,
            _ => PoolGrant::Refuse,
        };
        if !(keeps && matches!(grant, PoolGrant::Use(..) | PoolGrant::Open(_))) {
            self.waiters.remove(&ticket);
            self.wake_if_drained();
        }
        grant
    }

    /// Removes a waiter. Anything that it was given returns to the pool; if its message is under
    /// way, its report will be an abandoned one. Has no effect if the waiter has taken its result.
    pub(crate) fn cancel(&mut self, now: Instant, ticket: PoolTicket) {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return;
        };
        match waiter.state {
            State::Waiting => self.pool.cancel(now, ticket),
            State::Joined(id) => self.leave(now, id, ticket, waiter.waiting.octets()),
            State::Granted(PoolGrant::Use(id, connection)) => {
                self.put_back(now, id, connection, 0);
            }
            State::Granted(PoolGrant::Open(id)) => self.lost(now, id),
            State::Granted(PoolGrant::Report(report, _)) => self.abandon(*report),
            State::Granted(_) | State::Preparing => {}
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

    /// Records that the server had closed an idle connection. The waiter gets its old place in the
    /// queue.
    pub(crate) fn found_dead(
        &mut self,
        now: Instant,
        id: PoolConnectionId,
        ticket: PoolTicket,
        deadline: Option<Instant>,
    ) {
        let waiting = if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.state = State::Waiting;
            waiter.waiting
        } else {
            let waiting = Waiting::new(Request::Connection, false, now);
            let timeout = self.pool.config().acquire_timeout;
            let waiter = Waiter::new(waiting, None, deadline, timeout);
            self.waiters.insert(ticket, waiter);
            waiting
        };
        self.pool.found_dead(now, id, ticket, waiting);
        self.carry_out();
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
        self.abandoned_totals.reported(&report);
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

    /// The present state, and the totals: those of the pool, of the abandoned messages, and
    /// `totals`.
    pub(crate) fn counters(&self, totals: &Totals) -> Counters {
        let mut counters = self.pool.counters();
        self.abandoned_totals.add_to(&mut counters);
        totals.add_to(&mut counters);
        counters
    }

    /// The pool.
    #[cfg(test)]
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                PoolAction::Use(ticket, id) => {
                    if let Some(connection) = self.idle.remove(id) {
                        self.grant(ticket, PoolGrant::Use(id, connection));
                    }
                }
                PoolAction::Open(ticket, id) => self.grant(ticket, PoolGrant::Open(id)),
                PoolAction::Join(ticket, id) => self.join(ticket, id),
                PoolAction::Refuse(ticket) => self.grant(ticket, PoolGrant::Refuse),
                PoolAction::Close(id) => {
                    if let Some(connection) = self.idle.remove(id) {
                        self.effects.departing.push((id, connection));
                    }
                }
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
        waiter.state = State::Granted(grant);
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
