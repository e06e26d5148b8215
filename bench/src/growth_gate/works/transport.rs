//! Works of a transport: sends that wait for a connection, batches, idle connections.
//!
//! The adapter is a crowd of futures that are polled as their wakers say, over connections whose
//! server answers when everybody waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use postwire_proto::{
    Body, Endpoint, Envelope, Error, ErrorKind, Event, Instant, Pipelining, Report, Stage,
};
use postwire_transport::adapter::{
    Batch, BatchStep, Dispatch, Line, Sending, SessionMachine, Step,
};
use postwire_transport::{PoolConfig, Session, TransportBuilder, TransportConfig};

use super::{Prepared, Work, prepared, work};
use crate::Failure;
use crate::in_memory::{Peer, drain, offer};
use crate::job::text;

pub(super) const WORKS: &[Work] = &[
    work("waiters, with a message each, that come", 2_000, |n| {
        comes(n, Kind::Message)
    }),
    work("waiters, with a batch each, that come", 2_000, |n| {
        comes(n, Kind::Batch)
    }),
    work("waiters, with a message each, that are served", 500, |n| {
        served(n, Kind::Message, Lives::On)
    }),
    work("waiters, with a batch each, that are served", 500, |n| {
        served(n, Kind::Batch, Lives::On)
    }),
    work("waiters that are served, by short sessions", 500, |n| {
        served(n, Kind::Message, Lives::ForOneRead)
    }),
    work("batches that are served, by short sessions", 500, |n| {
        served(n, Kind::Batch, Lives::ForOneRead)
    }),
    work("waiters that are polled again", 2_000, |n| {
        let mut crowd = waiting(n, Kind::Message, Lives::On)?;
        ask(&mut crowd)?;
        prepared(move || {
            crowd.wake_all();
            // The holder would go on.
            let holder = crowd.next_woken();
            let waiting = ask(&mut crowd)?;
            std::mem::forget(crowd);
            Ok(if holder == Some(0) { waiting } else { 0 })
        })
    }),
    work("waiters that leave from the front", 2_000, |n| {
        leave(n, (0..n).collect())
    }),
    work("waiters that leave from the back", 2_000, |n| {
        leave(n, (0..n).rev().collect())
    }),
    work("waiters that leave from the middle", 2_000, |n| {
        // One from each half in turn, the one in the middle.
        let half = n / 2;
        let pairs = (0..n.div_ceil(2)).flat_map(|at| [half.checked_sub(at + 1), Some(half + at)]);
        leave(n, pairs.flatten().filter(|at| *at < n).collect())
    }),
    work("waiters that time out", 2_000, |n| {
        given_up(n, |crowd| {
            crowd.now = crowd.now + Duration::from_secs(3_600);
            crowd.wake_all();
        })
    }),
    work("waiters that are refused by a shutdown", 2_000, |n| {
        given_up(n, |crowd| {
            let (now, late) = (crowd.now, crowd.now + Duration::from_secs(3_600));
            let shutdown = crowd.dispatch.shut_down(now);
            let _ = shutdown.poll(late, Waker::noop());
        })
    }),
    work("messages of a batch, in order", 1_000, |n| {
        let pool = PoolConfig::default().max_messages(100);
        let mut crowd = Crowd::new(pool, Pipelining::Careful, Lives::On)?;
        prepared(move || {
            crowd.add(Kind::Batch, n);
            crowd.run()?;
            Ok(crowd.reports)
        })
    }),
    work("messages of a batch, with short sessions", 500, |n| {
        let mut crowd = Crowd::new(
            PoolConfig::default(),
            Pipelining::Careful,
            Lives::ForOneRead,
        )?;
        prepared(move || {
            crowd.add(Kind::Batch, n);
            crowd.run()?;
            Ok(crowd.reports)
        })
    }),
    work(
        "messages of a batch, every second lost at first",
        500,
        lost_at_first,
    ),
    work(
        "messages, 100 at a time on one connection, bold",
        500,
        |n| {
            let pool = PoolConfig::default()
                .max_connections(1)
                .max_queued(100)
                .max_messages(u64::MAX);
            let mut crowd = Crowd::new(pool, Pipelining::Bold, Lives::On)?;
            prepared(move || {
                for _ in 0..n {
                    crowd.add(Kind::Message, 1);
                }
                crowd.run()?;
                Ok(crowd.reports)
            })
        },
    ),
    work(
        "connections, opened and closed as idle, at most 100",
        50,
        |n| {
            let pool = PoolConfig::default().max_connections(n).max_idle(n);
            let mut crowd = Crowd::new(pool, Pipelining::Careful, Lives::On)?;
            prepared(move || {
                for _ in 0..n {
                    crowd.add(Kind::Batch, 1);
                }
                crowd.run()?;
                let idle = crowd.dispatch.counters().idle;
                crowd
                    .dispatch
                    .close_idle(crowd.now + Duration::from_secs(3_600));
                Ok(idle - crowd.dispatch.counters().idle)
            })
        },
    ),
];

/// What a send sends.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// One message, which may share a connection.
    Message,
    /// Messages over a connection that no other send uses.
    Batch,
}

/// How long a session lives.
#[derive(Clone, Copy, PartialEq)]
enum Lives {
    On,
    /// Until its first replies to content.
    ForOneRead,
}

/// Everything waits for the server.
struct Blocked;

/// A connection in memory.
struct Wire {
    machine: SessionMachine,
    peer: Peer,
    lives: Lives,
    number: usize,
}

impl Wire {
    fn open(config: &TransportConfig, lives: Lives, number: usize) -> Result<Self, Failure> {
        let mut machine = SessionMachine::new(config, None);
        machine.handle_input(Instant::EPOCH, b"220 mx ESMTP\r\n");
        drain(&mut machine, |_| {});
        let offer = offer(&["PIPELINING", "CHUNKING"]);
        machine.handle_input(Instant::EPOCH, offer.as_bytes());
        while machine.poll_event().is_some() {}
        if !machine.stands() {
            return Err("the session is not ready".into());
        }
        Ok(Self {
            machine,
            peer: Peer::default(),
            lives,
            number,
        })
    }

    /// Moves octets until there is an event; `None` if the session is over. `reads` says whether what
    /// the server said has arrived.
    fn drive(&mut self, now: Instant, mut reads: bool) -> Result<Option<Event>, Blocked> {
        loop {
            let was_closed = self.machine.is_closed();
            if let Some(event) = self.flush() {
                return Ok(Some(event));
            }
            if was_closed {
                return Ok(None);
            }
            if !reads || self.peer.said().is_empty() {
                return Err(Blocked);
            }
            reads = false;
            self.machine.handle_input(now, self.peer.said());
            let is_last = self.peer.said().ends_with(b"queued\r\n");
            self.peer.clear();
            if is_last && self.lives == Lives::ForOneRead {
                self.machine.handle_eof(now);
            }
        }
    }
}

impl Line for Wire {
    fn session(&mut self) -> &mut Session {
        self.machine.session_mut()
    }

    fn limit_time(&mut self, _: Option<Duration>) {}

    fn take_flights(&mut self) -> u64 {
        0
    }

    fn flush(&mut self) -> Option<Event> {
        let event = self.machine.poll_event();
        if event.is_none() {
            drain(&mut self.machine, |chunk| self.peer.hear(chunk));
        }
        event.or_else(|| self.machine.poll_event())
    }

    fn depart(self) {}
}

/// The sends that were woken, in order.
type Woken = Arc<Mutex<VecDeque<usize>>>;

struct WakesOne(usize, Woken);

impl Wake for WakesOne {
    fn wake(self: Arc<Self>) {
        let mut woken = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        woken.push_back(self.0);
    }
}

/// A send.
struct Sender {
    /// `None` once it is done.
    sending: Option<Sending<Wire>>,
    /// The messages of a batch that are not given yet.
    left: usize,
    waker: Waker,
}

/// Sends of one transport.
struct Crowd {
    dispatch: Arc<Dispatch<Wire>>,
    lives: Lives,
    senders: Vec<Sender>,
    woken: Woken,
    /// The connections whose server has something to say, and the last sender that waits for each.
    readable: VecDeque<(usize, usize)>,
    watchers: Vec<usize>,
    envelope: Envelope,
    body: Body,
    now: Instant,
    reports: usize,
    not_sent: usize,
}

impl Crowd {
    fn new(pool: PoolConfig, pipelining: Pipelining, lives: Lives) -> Result<Self, Failure> {
        let config = TransportBuilder::<TransportConfig>::from_url("smtp://127.0.0.1?tls=none")?
            .client(|client| client.pipelining(pipelining))
            .timeout(None)
            .pool_config(pool)
            .build()?;
        Ok(Self {
            dispatch: Dispatch::new(config),
            lives,
            senders: Vec::new(),
            woken: Woken::default(),
            readable: VecDeque::new(),
            watchers: Vec::new(),
            envelope: Envelope::new(None, vec!["bob@example.net".parse()?])?,
            body: Body::from(text(200)),
            now: Instant::EPOCH,
            reports: 0,
            not_sent: 0,
        })
    }

    /// Adds a send, which is polled first of all by the next [`run`](Self::run).
    fn add(&mut self, kind: Kind, messages: usize) {
        let sending = match kind {
            Kind::Message => self.dispatch.send_one(&self.envelope, self.body.clone()),
            Kind::Batch => self.dispatch.send_all(),
        };
        let number = self.senders.len();
        let waker = Waker::from(Arc::new(WakesOne(number, Arc::clone(&self.woken))));
        waker.wake_by_ref();
        self.senders.push(Sender {
            sending: Some(sending),
            left: messages,
            waker,
        });
    }

    fn wake_all(&self) {
        for sender in &self.senders {
            sender.waker.wake_by_ref();
        }
    }

    fn next_woken(&self) -> Option<usize> {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.pop_front()
    }

    /// Polls sends until all of them are done or wait for another send.
    fn run(&mut self) -> Result<(), Failure> {
        loop {
            if let Some(sender) = self.next_woken() {
                self.poll(sender, false)?;
            } else if let Some((wire, sender)) = self.readable.pop_front() {
                if self.watchers[wire] == sender {
                    self.poll(sender, true)?;
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Executes the steps of a send until it waits.
    fn poll(&mut self, number: usize, mut reads: bool) -> Result<(), Failure> {
        let sender = &mut self.senders[number];
        let Some(sending) = &mut sender.sending else {
            return Ok(());
        };
        loop {
            self.now = self.now + Duration::from_micros(10);
            let now = self.now;
            match sending.next_step(now) {
                Step::Message(message) => {
                    let is_one_left = sender.left > 0;
                    sender.left = sender.left.saturating_sub(1);
                    let next = || (self.envelope.clone(), self.body.clone());
                    message.give(is_one_left.then(next));
                }
                Step::Wait(mut wait) => {
                    if wait.poll(now, &sender.waker).is_err() {
                        return Ok(());
                    }
                }
                Step::Glance(glance) => glance.look(|_| {}),
                Step::Open(open) => {
                    let wire = Wire::open(self.dispatch.config(), self.lives, self.watchers.len())?;
                    self.watchers.push(number);
                    self.now = self.now + Duration::from_millis(1);
                    open.opened(self.now, Ok(wire));
                }
                Step::Drive(mut drive) => {
                    let driven = drive.line().drive(now, std::mem::take(&mut reads));
                    if let Ok(event) = driven {
                        drive.on_event(now, event);
                        continue;
                    }
                    let wire = drive.line().number;
                    self.watchers[wire] = number;
                    self.readable.push_back((wire, number));
                    drive.park(&sender.waker);
                    return Ok(());
                }
                Step::Report(report) => {
                    self.reports += usize::from(report.is_accepted());
                    self.not_sent += usize::from(!report.is_accepted());
                }
                Step::Done => break,
            }
        }
        sender.sending = None;
        Ok(())
    }
}

/// A crowd whose only connection is in use by a batch that does not go on, and so many waiters.
fn waiting(count: usize, kind: Kind, lives: Lives) -> Result<Crowd, Failure> {
    let pool = PoolConfig::default()
        .max_connections(1)
        .max_messages(u64::MAX);
    let mut crowd = Crowd::new(pool, Pipelining::Careful, lives)?;
    crowd.add(Kind::Batch, 1);
    let holder = crowd.next_woken().ok_or("nobody is woken")?;
    crowd.poll(holder, false)?;
    for _ in 0..count {
        crowd.add(kind, 1);
    }
    Ok(crowd)
}

/// Lets all that were added ask for a connection.
fn ask(crowd: &mut Crowd) -> Result<usize, Failure> {
    while let Some(sender) = crowd.next_woken() {
        crowd.poll(sender, false)?;
    }
    Ok(crowd.dispatch.counters().waiting)
}

fn comes(count: usize, kind: Kind) -> Result<Prepared, Failure> {
    let mut crowd = waiting(count, kind, Lives::On)?;
    prepared(move || {
        let waiting = ask(&mut crowd)?;
        // That they leave is another work.
        std::mem::forget(crowd);
        Ok(waiting)
    })
}

fn served(count: usize, kind: Kind, lives: Lives) -> Result<Prepared, Failure> {
    let mut crowd = waiting(count, kind, lives)?;
    ask(&mut crowd)?;
    prepared(move || {
        crowd.run()?;
        // The first one is that of the holder.
        Ok(crowd.reports - 1)
    })
}

fn leave(count: usize, order: Vec<usize>) -> Result<Prepared, Failure> {
    let mut crowd = waiting(count, Kind::Message, Lives::On)?;
    ask(&mut crowd)?;
    prepared(move || {
        for number in order {
            // The holder is the first one.
            crowd.senders[number + 1].sending = None;
        }
        Ok(count - crowd.dispatch.counters().waiting)
    })
}

fn given_up(count: usize, end: fn(&mut Crowd)) -> Result<Prepared, Failure> {
    let mut crowd = waiting(count, Kind::Message, Lives::On)?;
    ask(&mut crowd)?;
    prepared(move || {
        end(&mut crowd);
        ask(&mut crowd)?;
        Ok(crowd.not_sent)
    })
}

/// A batch over sessions of which each takes two messages, and is lost with the second one.
fn lost_at_first(count: usize) -> Result<Prepared, Failure> {
    let envelope = Envelope::new(None, vec!["bob@example.net".parse()?])?;
    let body = Body::from(text(200));
    prepared(move || {
        let mut batch = Batch::new(2);
        let (mut added, mut reports, mut given) = (0, 0, 0);
        loop {
            while batch.wants_more() {
                if added == count {
                    batch.end();
                } else {
                    batch.add(envelope.clone(), body.clone().into());
                    added += 1;
                }
            }
            match batch.next_step() {
                BatchStep::Connect => batch.connected(false),
                BatchStep::Enqueue { .. } => given += 1,
                BatchStep::Await => {
                    batch.reported(Report::accepted(&envelope, "250 ok".parse()?));
                    if given == 2 {
                        let lost = Error::new(Stage::Mail, ErrorKind::ConnectionClosed);
                        batch.reported(Report::not_sent(&envelope, lost));
                    }
                    given = 0;
                }
                BatchStep::Report(report) => reports += usize::from(report.is_accepted()),
                BatchStep::Done => return Ok(reports),
            }
        }
    })
}
