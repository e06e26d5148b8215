//! The connections of a pool that no send is using, and the sends that wait.
//!
//! Generic in the type of a connection. Must never open or close one, nor use its session. An
//! adapter sleeps in its own way, until it is woken or until the time that the shelf returns.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, Waker};

use postwire_proto::{Instant, Outcome, Report};

use super::queue::Waiting;
use super::shared::{Joining, QueuedMessage, SharedConnection, UnderWay};
use super::{Pool, PoolAction, PoolConfig, PoolConnectionId, PoolTicket, Request};

/// The maximum number of reports on abandoned messages that are kept.
const ABANDONED: usize = 1_024;

/// A [`Pool`] with its connections and its waiters.
///
/// After each call the caller must execute the [`effects`](Self::effects).
#[derive(Debug)]
pub(crate) struct PoolShelf<C> {
    pool: Pool,
    idle: BTreeMap<PoolConnectionId, C>,
    shared: BTreeMap<PoolConnectionId, Shared<C>>,
    waiters: BTreeMap<PoolTicket, Waiter<C>>,
    /// The wakers of those that wait for the end of a shutdown.
    shutdown_wakers: Vec<Waker>,
    effects: PoolEffects<C>,
    abandoned: VecDeque<Report>,
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
    /// The time until which the waiter may sleep.
    fn sleeps_until(&self) -> Option<Instant> {
        self.gives_up.into_iter().chain(self.alarm).min()
    }
}

/// A shared connection, from the point of view of those who do not drive it.
#[derive(Debug)]
struct Shared<C> {
    /// The connection, unless a send is driving it.
    parked: Option<SharedConnection<C>>,
    /// The messages that are to be queued on the session by the send that drives it next.
    joining: VecDeque<PoolTicket>,
    /// The send that the stream wakes.
    driver: Option<PoolTicket>,
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
#[must_use = "whoever was served sleeps on until they are woken"]
pub(crate) struct PoolEffects<C> {
    /// Idle connections to end by `QUIT`.
    pub(crate) departing: Vec<C>,
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
            idle: BTreeMap::new(),
            shared: BTreeMap::new(),
            waiters: BTreeMap::new(),
            shutdown_wakers: Vec::new(),
            effects: PoolEffects::default(),
            abandoned: VecDeque::new(),
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
        fresh: bool,
        deadline: Option<Instant>,
        octets: u64,
        message: QueuedMessage,
    ) -> PoolTicket {
        let request = Request::Message { octets };
        self.enter(now, request, fresh, deadline, Some(message))
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
        let timeout = self.pool.config().acquire_timeout;
        let own = timeout.map(|timeout| now + timeout);
        let waiter = Waiter {
            waiting: Waiting::new(request, fresh, now),
            state: State::Waiting,
            message,
            is_reused: false,
            deadline,
            gives_up: own.into_iter().chain(deadline).min(),
            alarm: None,
            waker: None,
        };
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
            match &mut waiter.waker {
                Some(known) => known.clone_from(waker),
                None => waiter.waker = Some(waker.clone()),
            }
        }
        match waiter.state {
            State::Granted(_) => return Ok(self.take_grant(ticket)),
            State::Joined(id) => {
                let is_late = is_due(waiter.gives_up);
                if let Some(connection) = self.take(id, ticket, is_late) {
                    return Ok(PoolGrant::Drive(connection));
                }
            }
            State::Waiting if is_due(waiter.gives_up) => {
                self.cancel(now, ticket);
                return Ok(PoolGrant::TimedOut);
            }
            State::Waiting | State::Preparing => {}
        }
        // After its time limit, the send that drives the connection has to end it.
        let until = self.waiters.get(&ticket).and_then(Waiter::sleeps_until);
        Err(until.filter(|until| *until > now))
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

    // ---- shared connections

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
        let shared = Shared {
            parked: None,
            joining: VecDeque::from([ticket]),
            driver: None,
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
        SharedConnection::new(id, connection)
    }

    /// Takes a shared connection that nobody drives, if the stream wakes this waiter or nobody, if
    /// its message is to be queued, or if it is too late to wait for the driver.
    fn take(
        &mut self,
        id: PoolConnectionId,
        ticket: PoolTicket,
        is_late: bool,
    ) -> Option<SharedConnection<C>> {
        let shared = self.shared.get_mut(&id)?;
        let is_driver = shared.driver.is_none_or(|driver| driver == ticket);
        if !is_driver && !is_late && !shared.joining.contains(&ticket) {
            return None;
        }
        let taken = shared.parked.take()?;
        shared.driver = None;
        Some(taken)
    }

    /// Takes the messages that are to be queued on the session of a shared connection.
    pub(crate) fn take_joining(&mut self, id: PoolConnectionId) -> Vec<Joining> {
        let Some(shared) = self.shared.get_mut(&id) else {
            return Vec::new();
        };
        let mut joining = Vec::with_capacity(shared.joining.len());
        for ticket in shared.joining.drain(..) {
            if let Some(waiter) = self.waiters.get_mut(&ticket)
                && let Some(message) = waiter.message.take()
            {
                joining.push(Joining {
                    ticket,
                    message,
                    deadline: waiter.deadline,
                    waiting: waiter.waiting,
                    is_reused: waiter.is_reused,
                });
            }
        }
        joining
    }

    /// Returns messages to the queue that joined a session which takes no more messages.
    pub(crate) fn turn_away(&mut self, now: Instant, id: PoolConnectionId, turned: Vec<Joining>) {
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

    fn wait_again(&mut self, now: Instant, ticket: PoolTicket, message: Option<QueuedMessage>) {
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.state = State::Waiting;
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
            match &mut waiter.waker {
                Some(known) => known.clone_from(waker),
                None => waiter.waker = Some(waker.clone()),
            }
        }
        let Some(shared) = self.shared.get_mut(&connection.id) else {
            debug_assert!(false, "a connection that is not shared is parked");
            return;
        };
        shared.parked = Some(connection);
        shared.driver = Some(driver);
        // Whoever joined meanwhile found no connection to drive.
        if let Some(first) = shared.joining.front().copied()
            && first != driver
        {
            self.wake(first);
        }
    }

    /// Puts down a shared connection whose driver has its report. Another send drives it from now
    /// on. Returns the connection if there is none.
    pub(crate) fn hand_over(
        &mut self,
        connection: SharedConnection<C>,
    ) -> Option<SharedConnection<C>> {
        let id = connection.id;
        let shared = self.shared.get_mut(&id)?;
        shared.parked = Some(connection);
        if self.wake_a_driver(id) {
            return None;
        }
        self.pool.no_longer_shared(id);
        self.shared.remove(&id)?.parked
    }

    /// Removes a shared connection whose session is over. Messages that were not queued on it
    /// return to the queue of the pool.
    pub(crate) fn shared_is_over(&mut self, now: Instant, connection: &SharedConnection<C>) {
        let id = connection.id;
        self.pool.lost(now, id);
        let shared = self.shared.remove(&id);
        for message in connection.under_way() {
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
    fn leave(&mut self, now: Instant, id: PoolConnectionId, ticket: PoolTicket, octets: u64) {
        let Some(shared) = self.shared.get_mut(&id) else {
            return;
        };
        let joining = shared.joining.len();
        shared.joining.retain(|joining| *joining != ticket);
        if shared.joining.len() < joining {
            self.pool.left(now, id, octets);
        }
        let Some(shared) = self.shared.get_mut(&id) else {
            return;
        };
        let is_parked = shared.parked.is_some();
        let wakes_nobody = shared.driver.is_none_or(|driver| driver == ticket);
        if is_parked
            && wakes_nobody
            && !self.wake_a_driver(id)
            && let Some(shared) = self.shared.remove(&id)
        {
            self.pool.no_longer_shared(id);
            self.effects.deserted.extend(shared.parked);
        }
    }

    /// Wakes a send whose message is on this connection. Returns `false` if there is none.
    fn wake_a_driver(&mut self, id: PoolConnectionId) -> bool {
        let Some(shared) = self.shared.get(&id) else {
            return false;
        };
        let next = {
            let under_way = shared.parked.iter().flat_map(SharedConnection::under_way);
            let mut tickets = under_way
                .map(|message| message.ticket)
                .chain(shared.joining.iter().copied());
            tickets.find(|ticket| self.waiters.contains_key(ticket))
        };
        if let Some(shared) = self.shared.get_mut(&id) {
            shared.driver = next;
        }
        if let Some(next) = next {
            self.wake(next);
        }
        next.is_some()
    }

    fn wake(&mut self, ticket: PoolTicket) {
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            self.effects.woken.extend(waiter.waker.take());
        }
    }

    // ---- connections

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
            let timeout = self.pool.config().acquire_timeout;
            let own = timeout.map(|timeout| now + timeout);
            let waiting = Waiting::new(Request::Connection, false, now);
            let waiter = Waiter {
                waiting,
                state: State::Waiting,
                message: None,
                is_reused: false,
                deadline,
                gives_up: own.into_iter().chain(deadline).min(),
                alarm: None,
                waker: None,
            };
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

    /// The pool.
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
                PoolAction::Join(ticket, id) => self.join(ticket, id),
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
        waiter.state = State::Granted(grant);
        self.effects.woken.extend(waiter.waker.take());
    }

    fn join(&mut self, ticket: PoolTicket, id: PoolConnectionId) {
        let (Some(waiter), Some(shared)) =
            (self.waiters.get_mut(&ticket), self.shared.get_mut(&id))
        else {
            debug_assert!(false, "nobody waits, or the connection is not shared");
            return;
        };
        waiter.state = State::Joined(id);
        waiter.gives_up = waiter.deadline;
        // A message that was lost with a reused connection is repeated only once.
        waiter.is_reused = !waiter.waiting.fresh;
        shared.joining.push_back(ticket);
        // Whoever drives the connection queues the message.
        if shared.parked.is_some() {
            self.effects.woken.extend(waiter.waker.take());
        }
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
        let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1), 1);
        let ticket = shelf.request(NOW, false, None);
        let Some(PoolGrant::Open(id)) = take(&mut shelf, ticket) else {
            panic!("nothing to open");
        };
        shelf.opened(NOW, id);
        let (first, second) = (
            shelf.request(NOW, false, None),
            shelf.request(NOW, false, None),
        );
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
        let late = shelf.request(NOW, false, None);
        assert!(matches!(take(&mut shelf, late), Some(PoolGrant::Refuse)));
    }
}
