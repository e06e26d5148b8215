//! A model test of concurrent sends to a server that fails in every way, on a virtual clock.
//!
//! Each sender executes its steps like one of the adapters: a thread that parks until it is woken
//! or a time is reached, or a future that is polled after its waker or its timer, and that may be
//! paused or dropped. The sessions are real. The server is a script that stores the messages that
//! it accepts. At the end, every report is compared with the stored messages.

mod flights;
mod wire;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use postwire_proto::{
    Body, Envelope, Error, ErrorKind, Instant, Outcome, Pipelining, Report, Stage, StreamFacts,
};

use postwire_worlds::cells::{Cell, RefCell};

use self::wire::{Common, Habits, Wire};
use super::{Dispatch, Line, Sending, Step, WhenBlocked, as_own};
use crate::pool::model::{Random, Woken};
use crate::{TransportBuilder, TransportConfig};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A thread: after each poll it parks until the time that was returned last. Keeps a
    /// connection while it reads.
    Blocking,
    /// The same, with a second handle of each stream: while it waits for the stream, other threads
    /// use the connection.
    Thread,
    /// A future: keeps its timer unless that ends too late, and may be paused.
    Async,
}

struct Sender {
    number: usize,
    kind: Kind,
    /// The connection whose stream wakes the sender.
    watches: Option<u64>,
    sending: Sending<Wire>,
    /// Whether the sender sends one message with streamed content.
    streams: bool,
    /// Whether the sender sends one message, which may share a connection.
    shares: bool,
    /// Whether the sender is a thread that waits in a read.
    reads: bool,
    /// The connection whose stream the sender waits for by a handle of its own.
    peeks: Option<u64>,
    has_begun: bool,
    began: Option<Instant>,
    messages: VecDeque<usize>,
    given: Vec<usize>,
    reports: Vec<Report>,
    woken: Arc<Woken>,
    timer: Option<Instant>,
    opening: Option<Instant>,
    /// Whether the sender waits for a connection.
    waits: bool,
    /// The time at which the sender pauses, and the time at which it continues, if it does.
    stops: Option<(Instant, Option<Instant>)>,
    is_gone: bool,
}

impl Sender {
    fn new(number: usize, kind: Kind, sending: Sending<Wire>) -> Self {
        Self {
            number,
            kind,
            watches: None,
            sending,
            streams: false,
            shares: false,
            reads: false,
            peeks: None,
            has_begun: false,
            began: None,
            messages: VecDeque::new(),
            given: Vec::new(),
            reports: Vec::new(),
            woken: Arc::default(),
            timer: Some(Instant::EPOCH),
            opening: None,
            waits: false,
            stops: None,
            is_gone: false,
        }
    }

    fn next(&self, common: &Common) -> Option<Instant> {
        let stops = self.stops.map(|(at, _)| at);
        // A stream wakes only the sender that polled it last.
        let watches = |wire: u64| common.watchers.borrow().get(&wire) == Some(&self.number);
        let timer = self.timer.filter(|_| self.watches.is_none_or(watches));
        let readable = self.peeks.map(|wire| common.readable.borrow()[&wire]);
        let times = timer.into_iter().chain(stops).chain(readable);
        (!self.is_gone).then(|| times.min())?
    }

    fn is_runnable(&self, now: Instant, common: &Common) -> bool {
        let woken = self.woken.is_woken() && (self.waits || self.shares) && !self.reads;
        !self.is_gone && (woken || self.next(common).is_some_and(|at| at <= now))
    }

    /// Executes the steps that are possible now.
    fn act(&mut self, common: &Arc<Common>) {
        self.has_begun = true;
        self.began.get_or_insert(common.now.get());
        let now = common.now.get();
        self.woken.sleep();
        if let Some((at, back)) = self.stops
            && at <= now
        {
            self.stops = None;
            self.opening = None;
            self.waits = false;
            self.timer = back;
            if back.is_none() || self.shares {
                self.sending.leave(now);
                self.is_gone = true;
            } else {
                self.sending.pause(now);
            }
            return;
        }
        self.reads = false;
        self.watches = None;
        let readable = self.peeks.take();
        let mut readable = readable.filter(|wire| common.readable.borrow()[wire] <= now);
        let timer = self.timer.take().filter(|timer| *timer > now);
        let waited = std::mem::take(&mut self.waits);
        loop {
            match self.sending.next_step(now) {
                Step::Message(message) => message.give(self.messages.pop_front().map(|number| {
                    self.given.push(number);
                    (envelope(number), Body::from("x\r\n"))
                })),
                Step::Wait(mut wait) => {
                    let waker = Waker::from(Arc::clone(&self.woken));
                    if let Err(until) = wait.poll(now, &waker) {
                        // A timer that ends earlier is harmless.
                        let kept = timer.filter(|timer| {
                            waited && self.kind == Kind::Async && Some(*timer) <= until
                        });
                        self.timer = kept.or(until);
                        self.waits = true;
                        return;
                    }
                }
                Step::Glance(glance) => glance.look(Wire::glance),
                Step::Open(open) => {
                    let end = open.time_left().map(|left| now + left);
                    let at = *self
                        .opening
                        .get_or_insert_with(|| common.later(common.habits.opening));
                    if at > now && end.is_none_or(|end| end > now) {
                        self.timer = end.into_iter().chain([at]).min();
                        return;
                    }
                    self.opening = None;
                    let late = Error::new(Stage::Connect, ErrorKind::TimedOut);
                    let opened = if at > now {
                        Err(late)
                    } else {
                        Wire::open(common)
                    };
                    open.opened(now, opened);
                }
                Step::Drive(mut drive) => {
                    if drive.wants_chunk() {
                        assert!(self.streams, "a message that is at hand is asked for");
                        drive.give_chunk(None);
                    }
                    if self.kind == Kind::Thread && drive.is_shared() {
                        let number = drive.line().number();
                        let reads = readable.take() == Some(number);
                        assert!(!reads || drive.line().can_read(), "another thread has read");
                        let driven = drive.line().drive(reads);
                        if let Ok(event) = driven {
                            drive.on_event(now, event);
                            continue;
                        }
                        let until = drive.line().deadline();
                        let blocked = drive.line().is_blocked();
                        if blocked && drive.when_blocked() == WhenBlocked::Read && !reads {
                            readable = drive.line().can_read().then_some(number);
                            if readable.is_some() {
                                continue;
                            }
                        }
                        if blocked && drive.when_blocked() != WhenBlocked::Park {
                            drive.keep();
                            self.reads = true;
                            self.timer = until.into_iter().chain([common.later(100)]).min();
                            return;
                        }
                        let waker = Waker::from(Arc::clone(&self.woken));
                        if drive.park_to_read(&waker, until) {
                            self.reads = true;
                            self.peeks = Some(number);
                            self.timer = until;
                            return;
                        }
                        continue;
                    }
                    match drive.line().drive(true) {
                        Ok(event) => drive.on_event(now, event),
                        Err(next) => {
                            drive.line().is_watched_by(self.number);
                            self.watches = Some(drive.line().number());
                            self.reads = self.kind != Kind::Async;
                            if self.reads {
                                drive.keep();
                            } else {
                                drive.park(&Waker::from(Arc::clone(&self.woken)));
                            }
                            self.timer = Some(next);
                            return;
                        }
                    }
                }
                Step::Report(report) => {
                    let (timeout, began) = (common.config.timeout(), self.began.unwrap_or(now));
                    let is_late = timeout.is_some_and(|timeout| now > began + timeout);
                    assert!(!(self.shares && is_late), "{began:?} {now:?}: {report}");
                    self.reports.push(report);
                    if common.one_in(3) {
                        // The caller takes some time for each report.
                        self.timer = Some(common.later(500));
                        return;
                    }
                }
                Step::Done => {
                    self.is_gone = true;
                    return;
                }
            }
        }
    }
}

fn envelope(number: usize) -> Envelope {
    let to = format!("{number}@b.example").parse().unwrap();
    Envelope::new(None, vec![to]).unwrap()
}

struct World {
    common: Arc<Common>,
    dispatch: Arc<Dispatch<Wire>>,
    senders: Vec<Sender>,
    messages: usize,
    /// Whether all senders are [`Kind::Thread`], which do not share connections with others.
    all_are_threads: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let habits = Habits {
            refuses: 2 + random.below(20),
            fails: 2 + random.below(20),
            hangs_up: 10 + random.below(200),
            says_no: 5 + random.below(50),
            blocks: 5 + random.below(50),
            pipelining: random.one_in(2),
            chunking: random.one_in(2),
            opening: 1 + random.below(300),
            answering: 1 + random.below(100),
            lifetime: 100 + random.below(5_000),
        };
        let max = 1 + random.below(3) as usize;
        let messages = 1 + random.below(6);
        let times = [(); 3].map(|()| Duration::from_millis(1 + random.below(3_000)));
        let timeout = random.one_in(2).then(|| random.duration(4_000));
        let pipelining = match random.below(4) {
            0 => Pipelining::Off,
            1 => Pipelining::Bold,
            _ => Pipelining::Careful,
        };
        let queued = 1 + random.below(8) as usize;
        let config: TransportConfig = TransportBuilder::builder_dangerous("mail.example")
            .timeout(timeout)
            .client(|client| client.pipelining(pipelining))
            .pool(|pool| {
                let mut pool = pool
                    .max_connections(max)
                    .max_idle(max)
                    .max_queued(queued)
                    .max_messages(messages)
                    .idle_timeout(times[0])
                    .max_lifetime(times[1])
                    .acquire_timeout(Some(10 * times[2]));
                pool.first_pause = times[2] / 4;
                pool
            })
            .build()
            .unwrap();
        let mut world = Self::without_senders(random, habits, config);
        world.all_are_threads = world.common.one_in(3);
        let senders = 1 + world.random(12);
        for _ in 0..senders {
            world.comes();
        }
        world
    }

    fn without_senders(random: Random, habits: Habits, config: TransportConfig) -> Self {
        let dispatch = Dispatch::new(config.clone());
        let common = Arc::new(Common {
            now: Cell::new(Instant::EPOCH),
            live: Cell::new(0),
            flights: Cell::new(0),
            departed: Cell::new(0),
            random: RefCell::new(random),
            habits,
            stored: RefCell::default(),
            wires: Cell::new(0),
            watchers: RefCell::default(),
            readable: RefCell::default(),
            config,
        });
        Self {
            common,
            dispatch,
            senders: Vec::new(),
            messages: 0,
            all_are_threads: false,
        }
    }

    fn random(&self, below: u64) -> u64 {
        self.common.random.borrow_mut().below(below)
    }

    fn comes(&mut self) {
        let common = Arc::clone(&self.common);
        let at = common.later(1_000);
        let streams = common.one_in(5);
        let shares = !streams && !common.one_in(3);
        let count = if streams || shares {
            1
        } else {
            1 + self.random(8) as usize
        };
        let numbers = self.messages..self.messages + count;
        self.messages += count;
        let kind = if self.all_are_threads {
            Kind::Thread
        } else if common.one_in(2) {
            Kind::Blocking
        } else {
            Kind::Async
        };
        let stops = (kind == Kind::Async && common.one_in(3)).then(|| {
            let at = at + common.random.borrow_mut().duration(2_000);
            let back = at + common.random.borrow_mut().duration(2_000);
            (at, common.one_in(2).then_some(back))
        });
        let sending = if streams {
            let facts = StreamFacts::default();
            self.dispatch.send_one(&envelope(numbers.start), facts)
        } else if shares {
            let body = Body::from("x\r\n");
            self.dispatch.send_one(&envelope(numbers.start), body)
        } else {
            self.dispatch.send_all()
        };
        let mut sender = Sender {
            streams,
            shares,
            timer: Some(at),
            stops,
            ..Sender::new(self.senders.len(), kind, sending)
        };
        if streams || shares {
            sender.given.extend(numbers);
        } else {
            sender.messages.extend(numbers);
        }
        self.senders.push(sender);
    }

    /// Runs until all senders are done. Panics if a sender would sleep for too long.
    fn run(&mut self) {
        loop {
            let now = self.common.now.get();
            let runnable: Vec<usize> = (0..self.senders.len())
                .filter(|sender| self.senders[*sender].is_runnable(now, &self.common))
                .collect();
            if !runnable.is_empty() {
                let chosen = self.random(runnable.len() as u64) as usize;
                self.senders[runnable[chosen]].act(&self.common);
                self.poll_somebody();
                assert!(self.common.live.get() <= self.common.config.pool().max_connections);
                continue;
            }
            let next = |sender: &Sender| sender.next(&self.common);
            let next = self.senders.iter().filter_map(next).min();
            self.check_waiters();
            self.check_parked(now);
            let Some(next) = next else {
                return;
            };
            self.common.now.set(next);
        }
    }

    /// Polls a future that was not woken.
    fn poll_somebody(&mut self) {
        let number = self.random(4 * self.senders.len() as u64) as usize;
        if let Some(sender) = self.senders.get_mut(number)
            && sender.kind == Kind::Async
            && sender.shares
            && !sender.is_gone
            && sender.has_begun
        {
            sender.act(&self.common);
        }
    }

    /// Checks that a waiting sender observes every deadline of the pool.
    fn check_waiters(&self) {
        let waiters = self
            .senders
            .iter()
            .filter(|sender| sender.waits && !sender.is_gone);
        let deadline = self.dispatch.lock().poll_timeout();
        let next = |sender: &Sender| sender.next(&self.common);
        let wakes = waiters.clone().filter_map(next).min();
        if let Some(deadline) = deadline
            && self.dispatch.lock().pool().waiting() > 0
        {
            let now = self.common.now.get();
            assert!(
                wakes.is_some_and(|wakes| wakes <= deadline),
                "{now:?}: nobody wakes for {deadline:?} before {wakes:?}"
            );
        }
    }

    /// Checks that nothing is left to do now on a connection that several sends share and that none
    /// of them drives.
    fn check_parked(&self, now: Instant) {
        self.dispatch.lock().check_parked(|line| {
            let wire: &mut Wire = as_own(line);
            assert!(!wire.can_read(), "{now:?}: nobody reads");
            let deadline = wire.deadline();
            assert!(
                deadline.is_none_or(|at| at > now),
                "{now:?}: nobody observes {deadline:?}"
            );
        });
    }

    /// Checks that every message has one report, in order, and that each report is correct.
    fn check_reports(&self) -> [usize; 3] {
        let stored = self.common.stored.borrow();
        let times = |number: usize| stored.get(&number).copied().unwrap_or_default();
        let mut outcomes = [0; 3];
        let mut untold = 0;
        for sender in &self.senders {
            assert!(sender.is_gone, "somebody sleeps for ever");
            let (told, left) = sender.given.split_at(sender.reports.len());
            for (number, report) in told.iter().zip(&sender.reports) {
                let to = report.recipients()[0].address().to_string();
                assert_eq!(to, format!("{number}@b.example"));
                let (kind, least, most) = match report.outcome() {
                    Outcome::Accepted(_) => (0, 1, 1),
                    Outcome::InDoubt(_) => (1, 0, 1),
                    _ => (2, 0, 0),
                };
                outcomes[kind] += 1;
                assert!(
                    (least..=most).contains(&times(*number)),
                    "{number}: {report}"
                );
            }
            assert!(
                left.is_empty() || sender.stops.is_none(),
                "{left:?} have no report"
            );
            untold += left.iter().filter(|number| times(**number) > 0).count();
        }
        // Every stored message has a report.
        let abandoned = self.dispatch.take_abandoned();
        let mut told = HashSet::new();
        for report in &abandoned {
            let to = report.recipients()[0].address().to_string();
            assert!(
                told.insert(to.clone()),
                "{to} has two reports: {abandoned:?}"
            );
            let number = to.split('@').next().unwrap().parse().unwrap();
            let right = match report.outcome() {
                Outcome::Accepted(_) => times(number) == 1,
                Outcome::InDoubt(_) => true,
                _ => times(number) == 0,
            };
            assert!(right, "{number}, abandoned: {report}");
        }
        let known = abandoned.iter().filter(|report| {
            matches!(report.outcome(), Outcome::Accepted(_) | Outcome::InDoubt(_))
        });
        assert!(
            untold <= known.count(),
            "{untold} were stored without a trace"
        );
        assert!(stored.values().all(|times| *times == 1));
        outcomes
    }
}

#[test]
fn every_report_is_true_and_nobody_sleeps_for_ever() {
    let mut outcomes = [0; 3];
    // More worlds than an ordinary run has time for: POSTWIRE_WORLDS=100000
    let worlds = std::env::var("POSTWIRE_WORLDS").ok();
    let worlds = worlds.map_or(20_000, |worlds| worlds.parse().unwrap());
    for seed in 0..worlds {
        let mut world = World::new(seed);
        world.run();
        for (sum, some) in outcomes.iter_mut().zip(world.check_reports()) {
            *sum += some;
        }
        let now = world.common.now.get();
        assert_eq!(world.dispatch.lock().pool().waiting(), 0, "seed {seed}");
        let connections = world.dispatch.lock().pool().connections();
        assert_eq!(world.common.live.get(), connections, "seed {seed}");
        let shutting_down = world.dispatch.shut_down(now);
        assert_eq!(
            shutting_down.poll(now, Waker::noop()),
            Ok(()),
            "seed {seed}"
        );
        assert_eq!(world.common.live.get(), 0, "seed {seed}");
    }
    assert!(outcomes.iter().all(|some| *some > 1_000), "{outcomes:?}");
}
