//! Many sends through one transport, over several connections, each with its own reference server:
//! the pool, the batches and the shared connections, on a virtual clock and without sockets.
//!
//! What was taken on all connections together is judged against the reports of all sends, those of
//! the sends that were dropped included.

mod sender;
mod wire;

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use postwire_proto::{Body, BodySource, Credentials, Instant, Mechanism, Pipelining, StreamFacts};
use postwire_reference::{Dialect, Protocol, Reported, Taken, Verdict, judge_unordered};
use postwire_transport::adapter::Dispatch;
use postwire_transport::{TransportBuilder, TransportConfig};

use self::sender::{Kind, Sender, Stop};
use self::wire::{Common, FarEnd, Wire};
use crate::cells::{Cell, RefCell};
use crate::choices::Choices;
use crate::messages::{message, number_of, reported, unreported};
use crate::oracle::{
    Outcomes, answers_everything, check_offences, describe_dialect, describe_reports,
    describe_server, is_safe, sent_by,
};
use crate::scene::{pipelining, protocol};

/// The longest time that a world may sleep in which every server answers and no time is limited.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// A transport, its senders and servers.
pub struct World {
    common: Arc<Common>,
    dispatch: Arc<Dispatch<Wire>>,
    pipelining: Pipelining,
    protocol: Protocol,
    senders: Vec<Sender>,
    /// When the program shuts the transport down.
    shutdown: Option<Instant>,
    /// No limit of time but those of the sessions, and no send that ends early.
    is_patient: bool,
}

impl World {
    /// The world of these choices.
    ///
    /// # Panics
    ///
    /// Never: the configuration is valid.
    pub fn new(choices: &mut Choices) -> Self {
        let pipelining = pipelining(choices);
        let protocol = choices.pick(&[Protocol::Smtp, Protocol::Smtp, Protocol::Lmtp]);
        let dialects = dialects(choices, protocol, pipelining);
        let is_patient = choices.once_in(2);
        let (config, senders) = (
            config(choices, protocol, pipelining, is_patient),
            1 + choices.below(9),
        );
        let faults = choices.pick(&[0, 2, 6]);
        let shutdown = (!is_patient && choices.once_in(4)).then(|| soon(choices, 3_000));
        let all_are_threads = choices.once_in(3);
        let latency = 1 + choices.below(200);
        let blocks = choices.pick(&[0, 0, 5, 50]);
        let common = Arc::new(Common {
            now: Cell::new(Instant::EPOCH),
            choices: RefCell::new(choices.clone()),
            config: config.clone(),
            dialects,
            faults,
            latency,
            blocks,
            live: Cell::new(0),
            ends: RefCell::default(),
        });
        let mut world = Self {
            common,
            dispatch: Dispatch::new(config),
            pipelining,
            protocol,
            senders: Vec::new(),
            shutdown,
            is_patient,
        };
        let mut messages = 0;
        for number in 0..senders {
            world.comes(choices, number, all_are_threads, &mut messages);
        }
        world
    }

    /// Adds a sender with its messages.
    fn comes(
        &mut self,
        choices: &mut Choices,
        number: usize,
        all_are_threads: bool,
        messages: &mut usize,
    ) {
        let kind = if all_are_threads {
            Kind::Thread
        } else {
            choices.pick(&[Kind::Blocking, Kind::Async, Kind::Async])
        };
        let begins = soon(choices, 1_000);
        let mut next = || {
            *messages += 1;
            message(*messages - 1, choices)
        };
        let first = next();
        let mut sender = match number % 4 {
            // Many, one after the other.
            0 => {
                let rest = (0..first.content.len() % 5).map(|_| next());
                let all: Vec<_> = [first.clone()].into_iter().chain(rest).collect();
                Sender::new(number, kind, self.dispatch.send_all(), begins).of_many(all)
            }
            1 if choices.once_in(2) => {
                let is_eight_bit = !first.content.is_ascii();
                let body = BodySource::Stream(StreamFacts::default().eight_bit(is_eight_bit));
                let sending = self.dispatch.send_one(&first.envelope, body);
                let piece = 1 + choices.below(80);
                Sender::new(number, kind, sending, begins).of_one(first, Some(piece))
            }
            _ => {
                let body = Body::from(first.content.clone());
                let sending = self.dispatch.send_one(&first.envelope, body);
                Sender::new(number, kind, sending, begins).of_one(first, None)
            }
        };
        if !self.is_patient && choices.once_in(4) {
            let at = begins + (soon(choices, 2_000).saturating_duration_since(Instant::EPOCH));
            let back = at + Duration::from_millis(500);
            // A thread cannot be interrupted.
            let stops = [Stop::Leaves, Stop::Drops, Stop::Pauses(back)];
            if kind == Kind::Async {
                sender.stop = Some((at, choices.pick(&stops)));
            }
        }
        self.senders.push(sender);
    }

    /// Runs the world to its end, and judges it.
    ///
    /// # Errors
    ///
    /// What the client did wrong, with the dialogues.
    pub fn run(mut self) -> Result<Outcomes, String> {
        let result = self.play().and_then(|()| self.verdict());
        result.map_err(|why| self.describe(&why))
    }

    fn play(&mut self) -> Result<(), String> {
        let dispatch = Arc::clone(&self.dispatch);
        let mut shutting_down = None;
        for _ in 0..200_000 {
            let now = self.common.now.get();
            if self.shutdown.is_some_and(|at| at <= now) && shutting_down.is_none() {
                shutting_down = Some((dispatch.shut_down(now), Some(now)));
            }
            if let Some((ending, until)) = &mut shutting_down
                && until.is_some_and(|until| until <= now)
            {
                *until = ending.poll(now, Waker::noop()).err();
            }
            let runnable: Vec<usize> = (0..self.senders.len())
                .filter(|sender| self.senders[*sender].is_runnable(&self.common))
                .collect();
            if !runnable.is_empty() {
                let chosen = runnable[self.common.below(runnable.len())];
                self.senders[chosen].act(&self.common);
                self.poll_somebody();
                if self.common.live.get() > self.common.config.pool().max_connections {
                    return Err("there are too many connections".to_owned());
                }
                continue;
            }
            let own = match &shutting_down {
                Some((_, until)) => *until,
                None => self.shutdown,
            };
            let all_are_gone = self.senders.iter().all(|sender| sender.is_gone);
            let next = self.senders.iter();
            let next = next.filter_map(|sender| sender.next(&self.common));
            let Some(next) = next.chain(own.filter(|_| !all_are_gone)).min() else {
                return if all_are_gone {
                    Ok(())
                } else {
                    Err("somebody sleeps for ever".to_owned())
                };
            };
            if self.is_calm() && next.saturating_duration_since(now) > LONGEST_SLEEP {
                return Err(format!("all sleep from {now:?} to {next:?}"));
            }
            self.common.now.set(next);
        }
        Err("the sends do not end".to_owned())
    }

    /// Polls a future that was not woken.
    fn poll_somebody(&mut self) {
        let number = self.common.below(4 * self.senders.len());
        if let Some(sender) = self.senders.get_mut(number)
            && sender.kind == Kind::Async
            && !sender.is_gone
            && sender.has_begun
        {
            sender.act(&self.common);
        }
    }

    /// Whether every server answers everything, and no time is limited.
    fn is_calm(&self) -> bool {
        let mut dialects = self.common.dialects.iter();
        self.is_patient
            && self.common.faults == 0
            && dialects.all(|dialect| answers_everything(dialect, self.pipelining))
    }

    /// The reports of all sends, and of those that were dropped.
    fn reports(&self) -> Result<Vec<Reported>, String> {
        let mut reports = Vec::new();
        for report in self.dispatch.take_abandoned() {
            reports.push(reported(number_of(&report)?, &report));
        }
        for sender in &self.senders {
            reports.extend(sender.reports.iter().cloned());
            if !sender.was_stopped {
                continue;
            }
            // A message without a trace was not sent.
            for left in &sender.given[sender.reports.len()..] {
                if !reports.iter().any(|report| report.id == left.sent.id) {
                    reports.push(unreported(&left.sent, Verdict::NotSent));
                }
            }
        }
        Ok(reports)
    }

    fn verdict(&self) -> Result<Outcomes, String> {
        let given = self.senders.iter().flat_map(|sender| &sender.given);
        let sent = sent_by(given.map(|message| &message.sent), self.protocol);
        let reports = self.reports()?;
        let ends = self.common.ends.borrow();
        let ends: Vec<_> = ends.iter().map(|end| end.borrow()).collect();
        let is_judged = ends
            .iter()
            .all(|end| is_safe(&end.dialect, self.pipelining));
        let taken = |end: &FarEnd| end.recorder.taken().to_vec();
        let taken: Vec<Taken> = ends.iter().flat_map(|end| taken(end)).collect();
        if is_judged {
            judge_unordered(&sent, &reports, &taken.iter().collect::<Vec<_>>())?;
        } else {
            // One report each, whatever the servers did.
            let mut ids: Vec<_> = reports.iter().map(|report| report.id).collect();
            ids.sort_unstable();
            let mut due: Vec<_> = sent.iter().map(|sent| sent.id).collect();
            due.sort_unstable();
            if ids != due {
                return Err(format!("the reports are about {ids:?}"));
            }
        }
        if self.is_calm() && self.senders.iter().any(|sender| sender.timed_out) {
            return Err("a send timed out although every server answered".to_owned());
        }
        for end in &ends {
            check_offences(&end.recorder)?;
        }
        Ok(Outcomes {
            is_judged,
            taken: taken.len(),
            messages: sent.len(),
        })
    }

    fn describe(&self, why: &str) -> String {
        let now = self.common.now.get();
        let mut text = format!(
            "{why}\n{now:?}, {:?}, {:?}, patient {}, shutdown {:?}\n{:?}\n",
            self.pipelining,
            self.protocol,
            self.is_patient,
            self.shutdown,
            self.common.config.pool(),
        );
        for sender in &self.senders {
            let given: Vec<_> = sender.given.iter().map(|message| message.sent.id).collect();
            let _ = writeln!(
                text,
                "sender {} {:?}, gone {}, stopped {}, {:?}: {given:?}",
                sender.number,
                sender.kind,
                sender.is_gone,
                sender.was_stopped,
                sender.next(&self.common),
            );
            text.push_str(&describe_reports(&sender.reports));
        }
        for (number, end) in self.common.ends.borrow().iter().enumerate() {
            let end = end.borrow();
            let _ = writeln!(text, "=== connection {number}, {:?}", end.fault);
            text.push_str(&describe_dialect(&end.dialect));
            text.push_str(&describe_server(&end.recorder));
        }
        text
    }
}

/// A time at most this many milliseconds after the beginning.
fn soon(choices: &mut Choices, milliseconds: usize) -> Instant {
    let milliseconds = u64::try_from(choices.below(milliseconds)).unwrap_or_default();
    Instant::from_epoch(Duration::from_millis(milliseconds))
}

/// The servers behind one name; most of them mislead no client.
fn dialects(choices: &mut Choices, protocol: Protocol, pipelining: Pipelining) -> Vec<Dialect> {
    let mut draw = |any: bool| loop {
        let dialect = Dialect {
            protocol,
            ..Dialect::from_numbers(&mut || choices.number())
        };
        if any || is_safe(&dialect, pipelining) {
            return dialect;
        }
    };
    let first = draw(false);
    let second = draw(false);
    let third = draw(false);
    let any = draw(true);
    match choices.below(6) {
        0 => vec![any, first],
        1 | 2 => vec![first],
        3 => vec![Dialect {
            protocol,
            keywords: first.keywords,
            ..Dialect::default()
        }],
        _ => vec![first, second, third],
    }
}

#[expect(clippy::unwrap_used, reason = "the configuration is valid")]
fn config(
    choices: &mut Choices,
    protocol_spoken: Protocol,
    pipelining: Pipelining,
    is_patient: bool,
) -> TransportConfig {
    let chunking = !choices.once_in(4);
    let mut milliseconds = |most: usize| {
        let milliseconds = u64::try_from(1 + choices.below(most)).unwrap_or(1);
        Duration::from_millis(milliseconds)
    };
    let (timeout, acquire) = (milliseconds(30_000), milliseconds(10_000));
    let (idle, lifetime, ending) = (
        milliseconds(3_000),
        milliseconds(3_000),
        milliseconds(3_000),
    );
    let max = 1 + choices.below(3);
    let (queued, messages) = (1 + choices.below(8), 1 + choices.below(6));
    let messages = u64::try_from(messages).unwrap_or(1);
    let limits = !is_patient && choices.once_in(2);
    let mut builder = TransportBuilder::<TransportConfig>::builder_dangerous("mail.example")
        .protocol(protocol(protocol_spoken))
        .timeout(limits.then_some(timeout))
        .client(|client| {
            client
                .pipelining(pipelining)
                .chunking(chunking)
                .allow_plaintext_auth(true)
        })
        .pool(|pool| {
            pool.max_connections(max)
                .max_idle(max)
                .max_queued(queued)
                .max_messages(messages)
                .idle_timeout(idle)
                .max_lifetime(lifetime)
                .shutdown_timeout(ending)
                .acquire_timeout((!is_patient).then_some(acquire))
                .first_pause(Duration::from_millis(200))
                .longest_pause(Duration::from_secs(2))
        });
    if choices.once_in(6) {
        builder = builder
            .credentials(Credentials::new("user", "password"))
            .authentication(vec![Mechanism::PLAIN, Mechanism::LOGIN]);
    }
    builder.build().unwrap()
}
