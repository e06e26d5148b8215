//! A model test of the pool and its waiters, on a virtual clock.
//!
//! Each waiter sleeps like one of the adapters: a thread that parks until it is woken or a time is
//! reached, or a future that is polled after its waker or its timer. The worlds are pseudo-random
//! and reproducible: connections fail in every way, waiters leave at any point, and a shutdown may
//! begin at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::task::{Poll, Waker};
use std::time::Duration;

use postwire_proto::Instant;

use super::{PoolConfig, PoolConnectionId, PoolGrant, PoolShelf, PoolTicket};

/// A connection, which is only its id.
type Connection = PoolConnectionId;

/// Pseudo-random numbers that are the same in each run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn duration(&mut self, milliseconds: u64) -> Duration {
        Duration::from_millis(self.below(milliseconds))
    }
}

/// The waker of a sleeping waiter.
#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Woken {
    pub(crate) fn is_woken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn sleep(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How a waiter sleeps.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A thread: after each poll it parks until the time that was returned last.
    Blocking,
    /// A future: keeps its timer unless that ends too late, and then starts another.
    Async,
}

enum State {
    /// Comes at this time.
    Away(Instant),
    /// Waits, until the timer ends if there is one.
    Waiting(PoolTicket, Option<Instant>),
    /// Opens a connection until this time.
    Opening(PoolConnectionId, Instant),
    /// Sends until this time.
    Sending(PoolConnectionId, Instant),
    /// Waits for the end of a shutdown, no longer than until this time.
    ShuttingDown(Instant),
    Gone,
}

struct Actor {
    kind: Kind,
    state: State,
    woken: Arc<Woken>,
    /// The time at which the waiter gives up, and the time at which it is dropped.
    deadline: Option<Instant>,
    leaves: Option<Instant>,
    messages: u64,
}

impl Actor {
    fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(..))
    }

    /// The time at which the waiter acts without being woken.
    fn next(&self) -> Option<Instant> {
        let own = match self.state {
            State::Away(at)
            | State::Opening(_, at)
            | State::Sending(_, at)
            | State::ShuttingDown(at) => Some(at),
            State::Waiting(_, timer) => timer,
            State::Gone => return None,
        };
        own.into_iter().chain(self.leaves).min()
    }

    fn is_runnable(&self, now: Instant) -> bool {
        let woken = self.woken.is_woken();
        let sleeps = matches!(self.state, State::Waiting(..) | State::ShuttingDown(_));
        (woken && sleeps) || self.next().is_some_and(|at| at <= now)
    }
}

/// The faults of the server with new connections.
#[derive(Clone, Copy)]
struct Server {
    /// One connection in this many gets a 421.
    refuses: u64,
    /// One connection in this many fails in another way.
    fails: u64,
    opening: u64,
    sending: u64,
}

struct World {
    random: Random,
    now: Instant,
    shelf: PoolShelf<Connection>,
    actors: Vec<Actor>,
    server: Server,
    max_connections: usize,
    live: usize,
    /// The number of polls by waiters.
    looks: usize,
    served: usize,
}

impl World {
    fn new(seed: u64, config: PoolConfig, server: Server) -> Self {
        Self {
            random: Random(seed),
            now: Instant::EPOCH,
            max_connections: config.max_connections,
            shelf: PoolShelf::new(config, 2),
            actors: Vec::new(),
            server,
            live: 0,
            looks: 0,
            served: 0,
        }
    }

    fn comes(&mut self, kind: Kind, state: State) -> &mut Actor {
        self.actors.push(Actor {
            kind,
            state,
            woken: Arc::default(),
            deadline: None,
            leaves: None,
            messages: 1,
        });
        self.actors.last_mut().unwrap()
    }

    /// Executes the effects, as an adapter does after each call.
    fn carry_out(&mut self) {
        let effects = self.shelf.effects();
        for (id, _) in effects.departing {
            self.live -= 1;
            self.shelf.lost(self.now, id);
            self.carry_out();
        }
        effects.woken.into_iter().for_each(Waker::wake);
    }

    /// Runs until all waiters are done. Panics if a waiter would sleep for too long.
    fn run(&mut self) {
        loop {
            let now = self.now;
            let runnable = |actor: &usize| self.actors[*actor].is_runnable(now);
            let runnable: Vec<usize> = (0..self.actors.len()).filter(runnable).collect();
            if !runnable.is_empty() {
                let chosen = self.random.below(runnable.len() as u64) as usize;
                self.step(runnable[chosen]);
                self.carry_out();
                assert!(self.live <= self.max_connections);
                continue;
            }
            self.check_sleepers();
            match self.actors.iter().filter_map(Actor::next).min() {
                Some(next) => self.now = next,
                None => return,
            }
        }
    }

    /// Checks that a waiter observes every deadline.
    fn check_sleepers(&self) {
        let sleepers = self.actors.iter().filter(|actor| actor.is_waiting());
        let first = sleepers.clone().filter_map(Actor::next).min();
        if let Some(deadline) = self.shelf.poll_timeout()
            && sleepers.clone().next().is_some()
        {
            assert!(
                first.is_some_and(|first| first <= deadline),
                "{:?}: the pool is to be told the time at {deadline:?}, and nobody wakes before {first:?}",
                self.now
            );
        }
        for actor in sleepers {
            let late = actor.deadline.is_some() && actor.next() > actor.deadline;
            assert!(!late, "a waiter sleeps past its own deadline");
        }
        let stuck = self.actors.iter().any(|actor| {
            let sleeps = matches!(actor.state, State::Waiting(..) | State::ShuttingDown(_));
            sleeps && self.actors.iter().all(|actor| actor.next().is_none())
        });
        assert!(!stuck, "somebody sleeps for ever");
    }

    fn step(&mut self, number: usize) {
        let now = self.now;
        let actor = &mut self.actors[number];
        actor.woken.sleep();
        if actor.leaves.is_some_and(|leaves| leaves <= now) {
            return self.leave(number);
        }
        match actor.state {
            State::Away(_) => {
                let fresh = self.random.one_in(4);
                let deadline = actor.deadline;
                let ticket = self.shelf.request(now, fresh, deadline);
                self.look(number, ticket, None);
            }
            State::Waiting(ticket, timer) => self.look(number, ticket, timer),
            State::Opening(id, _) => self.opened(number, id),
            State::Sending(id, _) => {
                actor.state = State::Gone;
                let messages = actor.messages;
                self.served += 1;
                if self.random.one_in(5) {
                    self.live -= 1;
                    self.shelf.lost(now, id);
                } else {
                    self.shelf.put_back(now, id, id, messages);
                }
            }
            State::ShuttingDown(until) => {
                let waker = Waker::from(Arc::clone(&actor.woken));
                if self.shelf.poll_drained(&waker) == Poll::Ready(()) {
                    actor.state = State::Gone;
                } else if until <= now {
                    actor.state = State::Gone;
                    self.shelf.refuse_all(now);
                } else {
                    self.shelf.shut_down(now);
                }
            }
            State::Gone => {}
        }
    }

    fn look(&mut self, number: usize, ticket: PoolTicket, timer: Option<Instant>) {
        self.looks += 1;
        let actor = &mut self.actors[number];
        let waker = Waker::from(Arc::clone(&actor.woken));
        let granted = self.shelf.poll_grant(self.now, ticket, &waker);
        actor.state = match granted {
            Err(None) => State::Waiting(ticket, None),
            Err(Some(until)) => {
                let kept = timer.filter(|timer| self.now < *timer && *timer <= until);
                let timer = match actor.kind {
                    Kind::Async => kept.unwrap_or(until),
                    Kind::Blocking => until,
                };
                State::Waiting(ticket, Some(timer))
            }
            Ok(PoolGrant::Open(id)) => {
                self.live += 1;
                let opening = self.random.duration(self.server.opening);
                State::Opening(id, self.now + opening)
            }
            Ok(PoolGrant::Use(id, _)) if self.random.one_in(6) => {
                self.live -= 1;
                let deadline = actor.deadline;
                self.shelf.found_dead(self.now, id, ticket, deadline);
                actor.woken.0.store(true, Ordering::Relaxed);
                State::Waiting(ticket, None)
            }
            Ok(PoolGrant::Use(id, _)) => {
                let sending = self.random.duration(self.server.sending);
                State::Sending(id, self.now + sending)
            }
            Ok(PoolGrant::Refuse | PoolGrant::TimedOut) => State::Gone,
            Ok(other) => panic!("nobody shares: {other:?}"),
        };
    }

    fn opened(&mut self, number: usize, id: PoolConnectionId) {
        let (refused, failed) = (
            self.random.one_in(self.server.refuses),
            self.random.one_in(self.server.fails),
        );
        self.actors[number].state = if refused || failed {
            self.live -= 1;
            self.shelf.open_failed(self.now, id, refused);
            State::Gone
        } else {
            self.shelf.opened(self.now, id);
            let sending = self.random.duration(self.server.sending);
            State::Sending(id, self.now + sending)
        };
    }

    /// Drops a waiter.
    fn leave(&mut self, number: usize) {
        let actor = &mut self.actors[number];
        actor.leaves = None;
        match std::mem::replace(&mut actor.state, State::Gone) {
            State::Waiting(ticket, _) => self.shelf.cancel(self.now, ticket),
            State::Opening(id, _) | State::Sending(id, _) => {
                self.live -= 1;
                self.shelf.lost(self.now, id);
            }
            State::Away(_) | State::ShuttingDown(_) | State::Gone => {}
        }
    }
}

fn world(seed: u64) -> World {
    let mut random = Random(!seed);
    let mut config = PoolConfig::default()
        .max_connections(1 + random.below(4) as usize)
        .max_idle(random.below(4) as usize)
        .max_messages(1 + random.below(5))
        .idle_timeout(Duration::from_millis(1 + random.below(400)))
        .max_lifetime(Duration::from_millis(1 + random.below(2_000)))
        .acquire_timeout(random.one_in(2).then(|| random.duration(20_000)));
    config.first_pause = random.duration(1_000);
    let server = Server {
        refuses: 1 + random.below(6),
        fails: 2 + random.below(8),
        opening: 1 + random.below(500),
        sending: 1 + random.below(500),
    };
    let mut world = World::new(seed, config, server);
    for _ in 0..=random.below(24) {
        let kind = if random.one_in(2) {
            Kind::Blocking
        } else {
            Kind::Async
        };
        let at = Instant::EPOCH + random.duration(1_500);
        let actor = world.comes(kind, State::Away(at));
        actor.messages = 1 + random.below(3);
        if random.one_in(3) {
            actor.deadline = Some(at + random.duration(5_000));
        }
        if kind == Kind::Async && random.one_in(4) {
            actor.leaves = Some(at + random.duration(2_000));
        }
    }
    if random.one_in(3) {
        let kind = Kind::Async;
        let begins = Instant::EPOCH + random.duration(3_000);
        let until = begins + random.duration(60_000);
        // Woken once to begin, then when everything is done, or at the deadline.
        world.comes(kind, State::ShuttingDown(until)).woken =
            Arc::new(Woken(AtomicBool::new(true)));
    }
    world
}

#[test]
fn nobody_sleeps_past_a_deadline_and_everybody_is_answered() {
    let mut served = 0;
    for seed in 0..20_000 {
        let mut world = world(seed);
        world.run();
        served += world.served;
        let gone = |actor: &Actor| matches!(actor.state, State::Gone);
        assert!(world.actors.iter().all(gone), "seed {seed}");
        assert_eq!(world.shelf.pool().waiting(), 0, "seed {seed}");
        assert_eq!(world.live, world.shelf.pool().connections(), "seed {seed}");
    }
    assert!(served > 20_000, "{served}");
}

/// The number of polls before all `senders` are served or refused.
fn looks(senders: usize, refuses: u64) -> usize {
    let config = PoolConfig::default()
        .max_connections(2)
        .acquire_timeout(None);
    let server = Server {
        refuses,
        fails: u64::MAX,
        opening: 10,
        sending: 10,
    };
    let mut world = World::new(1, config, server);
    for number in 0..senders {
        let kind = if number % 2 == 0 {
            Kind::Blocking
        } else {
            Kind::Async
        };
        world.comes(kind, State::Away(Instant::EPOCH));
    }
    world.run();
    world.looks
}

#[test]
fn a_queue_twice_as_long_wakes_twice_as_often() {
    for refuses in [1, u64::MAX] {
        let (once, twice) = (looks(400, refuses), looks(800, refuses));
        assert!(once <= 6 * 400, "{once} looks of 400 waiters");
        assert!(twice <= 3 * once, "{once} looks, then {twice}");
    }
}
