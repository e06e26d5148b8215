//! One send, which executes its steps as one of the adapters does: a thread that keeps its
//! connection while it reads, a thread with a second handle of the stream, or a future.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use postwire_proto::{Body, Error, ErrorKind, Instant};
use postwire_reference::Reported;
use postwire_transport::adapter::{Sending, Step, WhenBlocked};

use super::wire::{Blocked, Common, Wire};
use crate::messages::{Message, reported};

/// How a sender executes its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A thread that keeps a connection while it reads.
    Blocking,
    /// A thread with a second handle of each stream: while it waits, other threads use the
    /// connection.
    Thread,
    /// A future, which may be polled too often, paused and dropped.
    Async,
}

/// What a sender does before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It pauses, until this time.
    Pauses(Instant),
    /// It leaves.
    Leaves,
    /// It is dropped.
    Drops,
}

#[derive(Debug, Default)]
pub(super) struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    pub(super) fn is_woken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a sender waits for, besides its timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// For its turn.
    Nothing,
    /// For the pool, which wakes it.
    Pool,
    /// For the stream of this connection, which wakes it, unless another sender polls the stream.
    Stream(usize),
    /// The same, and the pool wakes it too.
    StreamOrPool(usize),
    /// In a read of this connection, from which nothing wakes it but the stream.
    Read(usize),
}

pub(super) struct Sender {
    pub(super) number: usize,
    pub(super) kind: Kind,
    sending: Option<Sending<Wire>>,
    /// The pieces of the one message of this sender, if it is a stream.
    pieces: Option<VecDeque<bytes::Bytes>>,
    /// The messages that are not given yet.
    messages: VecDeque<Message>,
    /// The messages that were given, in order.
    pub(super) given: Vec<Message>,
    pub(super) reports: Vec<Reported>,
    pub(super) timed_out: bool,
    woken: Arc<Woken>,
    timer: Option<Instant>,
    waits: Waits,
    opening: Option<(Instant, Option<Wire>)>,
    pub(super) stop: Option<(Instant, Stop)>,
    pub(super) was_stopped: bool,
    pub(super) has_begun: bool,
    pub(super) is_gone: bool,
}

impl Sender {
    pub(super) fn new(number: usize, kind: Kind, sending: Sending<Wire>, begins: Instant) -> Self {
        Self {
            number,
            kind,
            sending: Some(sending),
            pieces: None,
            messages: VecDeque::new(),
            given: Vec::new(),
            reports: Vec::new(),
            timed_out: false,
            woken: Arc::default(),
            timer: Some(begins),
            waits: Waits::Nothing,
            opening: None,
            stop: None,
            was_stopped: false,
            has_begun: false,
            is_gone: false,
        }
    }

    /// The sender sends one message.
    pub(super) fn of_one(mut self, message: Message, piece: Option<usize>) -> Self {
        self.pieces = piece.map(|piece| {
            let content = &message.content;
            let piece = piece.max(1).min(content.len().max(1));
            let starts = (0..content.len()).step_by(piece);
            starts
                .map(|start| content.slice(start..content.len().min(start + piece)))
                .collect()
        });
        self.given.push(message);
        self
    }

    /// The sender sends many messages.
    pub(super) fn of_many(mut self, messages: Vec<Message>) -> Self {
        self.messages = messages.into();
        self
    }

    /// The time at which the sender goes on, if nothing wakes it.
    pub(super) fn next(&self, common: &Common) -> Option<Instant> {
        if self.is_gone {
            return None;
        }
        let stop = self.stop.map(|(at, _)| at);
        let (timer, readable) = match self.waits {
            Waits::Nothing | Waits::Pool => (self.timer, None),
            // A stream and its timer wake only the sender that polled it last.
            Waits::Stream(wire) | Waits::StreamOrPool(wire) => {
                let end = common.end(wire);
                let end = end.borrow();
                if end.watcher == Some(self.number) {
                    (self.timer, end.readable_at())
                } else {
                    (None, None)
                }
            }
            Waits::Read(wire) => (self.timer, common.end(wire).borrow().readable_at()),
        };
        timer.into_iter().chain(stop).chain(readable).min()
    }

    pub(super) fn is_runnable(&self, common: &Common) -> bool {
        let hears = !matches!(self.waits, Waits::Read(_) | Waits::Stream(_));
        let is_woken = hears && self.woken.is_woken();
        let now = common.now.get();
        !self.is_gone && (is_woken || self.next(common).is_some_and(|at| at <= now))
    }

    fn stop(&mut self, now: Instant, stop: Stop) {
        self.stop = None;
        self.opening = None;
        self.was_stopped = true;
        let Some(sending) = &mut self.sending else {
            return;
        };
        match stop {
            Stop::Pauses(until) => {
                sending.pause(now);
                self.waits = Waits::Nothing;
                self.timer = Some(until);
                self.was_stopped = false;
                return;
            }
            Stop::Leaves => sending.leave(now),
            Stop::Drops => {}
        }
        self.sending = None;
        self.is_gone = true;
    }

    /// Executes the steps that are possible now.
    pub(super) fn act(&mut self, common: &Arc<Common>) {
        let now = common.now.get();
        if let Some((at, stop)) = self.stop
            && at <= now
            && self.has_begun
        {
            return self.stop(now, stop);
        }
        self.has_begun = true;
        self.woken.0.store(false, Ordering::Relaxed);
        let waited = std::mem::replace(&mut self.waits, Waits::Nothing);
        let timer = self.timer.take().filter(|timer| *timer > now);
        let waker = Waker::from(Arc::clone(&self.woken));
        // The connection whose stream this thread, which waited for it, can read.
        let mut readable = match waited {
            Waits::Read(wire) if self.kind == Kind::Thread => {
                let at = common.end(wire).borrow().readable_at();
                at.is_some_and(|at| at <= now).then_some(wire)
            }
            _ => None,
        };
        let Some(mut sending) = self.sending.take() else {
            return;
        };
        loop {
            match sending.next_step(now) {
                Step::Message(message) => message.give(self.messages.pop_front().map(|next| {
                    let parts = (next.envelope.clone(), Body::from(next.content.clone()));
                    self.given.push(next);
                    parts
                })),
                Step::Wait(mut wait) => {
                    if let Err(until) = wait.poll(now, &waker) {
                        // A future keeps a timer that ends earlier, which is harmless.
                        let kept = timer.filter(|timer| {
                            let is_early = until.is_none_or(|until| *timer <= until);
                            self.kind == Kind::Async && waited == Waits::Pool && is_early
                        });
                        self.timer = kept.or(until);
                        self.waits = Waits::Pool;
                        break;
                    }
                }
                Step::Glance(glance) => glance.look(Wire::glance),
                Step::Open(open) => {
                    let left = open.time_left();
                    let opening = self
                        .opening
                        .get_or_insert_with(|| (common.later(100), None));
                    let end = left.map(|left| now + left);
                    if opening.0 > now && end.is_none_or(|end| end > now) {
                        self.timer = end.into_iter().chain([opening.0]).min();
                        break;
                    }
                    let opened = if opening.0 > now {
                        let late = ErrorKind::TimedOut;
                        Err(Error::new(postwire_proto::Stage::Connect, late))
                    } else {
                        match &mut opening.1 {
                            None => Wire::connect(common).map(|mut wire| {
                                postwire_transport::adapter::Line::limit_time(&mut wire, left);
                                opening.1 = Some(wire);
                            }),
                            Some(_) => Ok(()),
                        }
                    };
                    let opened = match (&mut opening.1, opened) {
                        (Some(wire), Ok(())) => match wire.open() {
                            Ok(opened) => opened,
                            Err(blocked) => {
                                self.waits = Waits::Stream(wire.number());
                                common.end(wire.number()).borrow_mut().watcher = Some(self.number);
                                self.timer = first(blocked);
                                break;
                            }
                        },
                        (_, opened) => opened,
                    };
                    let wire = self.opening.take().and_then(|(_, wire)| wire);
                    let closed = || Error::new(postwire_proto::Stage::Connect, ErrorKind::TimedOut);
                    let opened = opened.and_then(|()| wire.ok_or_else(closed));
                    open.opened(now, opened);
                }
                Step::Drive(mut drive) => {
                    if drive.wants_chunk() {
                        let piece = self.pieces.as_mut().and_then(VecDeque::pop_front);
                        drive.give_chunk(piece.map(Ok));
                    }
                    let (number, is_shared) = (drive.line().number(), drive.is_shared());
                    let apart = self.kind == Kind::Thread && is_shared;
                    let reads = !apart || readable.take() == Some(number);
                    let blocked = match drive.line().drive(reads) {
                        Ok(event) => {
                            drive.on_event(now, event);
                            continue;
                        }
                        Err(blocked) => blocked,
                    };
                    self.timer = first(blocked);
                    if !apart {
                        common.end(number).borrow_mut().watcher = Some(self.number);
                        if self.kind == Kind::Async {
                            self.waits = if is_shared {
                                Waits::StreamOrPool(number)
                            } else {
                                Waits::Stream(number)
                            };
                            drive.park(&waker);
                        } else {
                            self.waits = Waits::Stream(number);
                            drive.keep();
                        }
                        break;
                    }
                    if blocked.writable.is_some() {
                        let what = drive.when_blocked();
                        if what == WhenBlocked::Read && !reads && drive.line().can_read() {
                            readable = Some(number);
                            continue;
                        }
                        if what != WhenBlocked::Park {
                            drive.keep();
                            // The thread waits in a write.
                            self.timer = blocked.writable;
                            break;
                        }
                    }
                    if drive.park_to_read(&waker, blocked.deadline) {
                        self.waits = Waits::Read(number);
                        self.timer = blocked.deadline;
                        break;
                    }
                }
                Step::Report(report) => {
                    let error = report.error().map(Error::kind);
                    self.timed_out |= matches!(error, Some(ErrorKind::TimedOut));
                    let id = self.given.get(self.reports.len());
                    let id = id.map_or(usize::MAX, |message| message.sent.id);
                    self.reports.push(reported(id, &report));
                    if common.once_in(4) {
                        // The caller takes some time for each report.
                        self.timer = Some(common.later(500));
                        break;
                    }
                }
                Step::Done => {
                    self.is_gone = true;
                    break;
                }
            }
        }
        self.sending = (!self.is_gone).then_some(sending);
    }
}

fn first(blocked: Blocked) -> Option<Instant> {
    blocked.deadline.into_iter().chain(blocked.writable).min()
}
