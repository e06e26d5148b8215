//! Transports that live long: every adapter, with messages that are dropped early, servers that
//! misbehave and connections that break. Between rounds, when every connection is closed, the
//! program holds as much memory and as many descriptors as before.
//!
//! `SOAK=3600` goes on for an hour.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::alloc::System;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use postwire_proto::Report;
use postwire_reference::{Reported, Sent, Verdict};
use postwire_transport::TransportConfig;
use postwire_worlds::choices::Choices;
use postwire_worlds::meeting::Meeting;
use postwire_worlds::messages::{
    Message, message, number_of, paired, report, reported, unreported,
};
use postwire_worlds::sockets::Servers;
use smol::Timer;
use smol::future::or;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Without `SOAK`, this many seconds.
const SECONDS: u64 = 5;

/// However long they take.
const LEAST_ROUNDS: usize = 12;

/// Octets that may come and go: the caches of the TLS libraries, the runtimes' queues.
const NOISE: usize = 128 * 1024;

/// The time limit of each stage of a client.
const LIMIT: Duration = Duration::from_millis(300);

/// How long the last connections of a round may stay open: they have timeouts of their own.
const SETTLING: Duration = Duration::from_secs(30);

/// What one send of a round sends, and after how long it is dropped.
#[derive(Clone, Debug)]
struct Send {
    messages: Vec<Message>,
    dropped_after: Option<Duration>,
}

/// A transport of one adapter.
enum Client {
    Blocking(postwire_blocking::Transport),
    Tokio(tokio::runtime::Runtime, postwire_tokio::Transport),
    Smol(postwire_smol::Transport),
    AsyncStd(postwire_async_std::Transport),
}

/// What each send of these reports, all of them at a time.
macro_rules! send_async {
    ($transport:expr, $sends:expr, $spawn:path, $joined:expr) => {{
        let mut tasks = Vec::new();
        for send in $sends {
            let transport = $transport.clone();
            tasks.push($spawn(async move {
                let mut reports = Vec::new();
                let sending = async {
                    if let [one] = &send.messages[..] {
                        reports.push(report(transport.send(&one.envelope, one.body()).await));
                    } else {
                        let all: Vec<_> = send.messages.iter().map(Message::parts).collect();
                        let mut sending = transport.send_all(all);
                        while let Some(report) = sending.next().await {
                            reports.push(report);
                        }
                    }
                };
                match send.dropped_after {
                    None => sending.await,
                    Some(after) => {
                        let dropped = async {
                            Timer::after(after).await;
                        };
                        or(sending, dropped).await;
                    }
                }
                paired(&send.messages, &reports)
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend($joined(task.await));
        }
        all
    }};
}

impl Client {
    fn new(adapter: usize, config: TransportConfig) -> Self {
        match adapter {
            0 => Self::Blocking(config.into()),
            1 => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build();
                Self::Tokio(runtime.unwrap(), config.into())
            }
            2 => Self::Smol(config.into()),
            _ => Self::AsyncStd(config.into()),
        }
    }

    fn send(&self, sends: Vec<Send>) -> Vec<Reported> {
        match self {
            Self::Blocking(transport) => send_blocking(transport, &sends),
            Self::Tokio(runtime, transport) => runtime
                .block_on(async { send_async!(transport, sends, tokio::spawn, Result::unwrap) }),
            Self::Smol(transport) => {
                smol::block_on(async { send_async!(transport, sends, smol::spawn, Vec::into_iter) })
            }
            Self::AsyncStd(transport) => async_std::task::block_on(async {
                send_async!(transport, sends, async_std::task::spawn, Vec::into_iter)
            }),
        }
    }

    /// Closes the idle connections, and those that were given back by sends that were dropped.
    fn close_idle(&self) {
        match self {
            Self::Blocking(transport) => transport.close_idle(),
            Self::Tokio(runtime, transport) => runtime.block_on(async { transport.close_idle() }),
            Self::Smol(transport) => transport.close_idle(),
            Self::AsyncStd(transport) => transport.close_idle(),
        }
    }

    fn abandoned(&self) -> Vec<Report> {
        match self {
            Self::Blocking(transport) => transport.abandoned(),
            Self::Tokio(_, transport) => transport.abandoned(),
            Self::Smol(transport) => transport.abandoned(),
            Self::AsyncStd(transport) => transport.abandoned(),
        }
    }

    fn shutdown(&self) -> Vec<Report> {
        match self {
            Self::Blocking(transport) => transport.shutdown(),
            Self::Tokio(runtime, transport) => runtime.block_on(transport.shutdown()),
            Self::Smol(transport) => smol::block_on(transport.shutdown()),
            Self::AsyncStd(transport) => async_std::task::block_on(transport.shutdown()),
        }
    }
}

fn send_blocking(transport: &postwire_blocking::Transport, sends: &[Send]) -> Vec<Reported> {
    thread::scope(|scope| {
        let threads = sends.iter().map(|send| {
            scope.spawn(|| {
                let messages = &send.messages;
                let reports = if let [one] = &messages[..] {
                    vec![report(transport.send(&one.envelope, one.body()))]
                } else {
                    let all = transport.send_all(messages.iter().map(Message::parts));
                    // A thread drops its send between two reports.
                    let taken = send.dropped_after.map_or(usize::MAX, |_| 2);
                    all.take(taken).collect()
                };
                paired(messages, &reports)
            })
        });
        let threads: Vec<_> = threads.collect();
        let reports = threads.into_iter().map(|thread| thread.join().unwrap());
        reports.flatten().collect()
    })
}

/// A transport, its servers, and what it sends.
struct Line {
    meeting: Meeting,
    servers: Servers,
    client: Client,
    adapter: usize,
    choices: Choices,
    /// The messages so far.
    messages: usize,
}

impl Line {
    fn new(adapter: usize, seed: u64) -> Self {
        let mut choices = Choices::from_seed(seed);
        let meeting = Meeting::new(&mut choices);
        let servers = Servers::start(meeting.habits.clone(), choices.clone()).unwrap();
        let client = Client::new(adapter, meeting.config(servers.address().port(), LIMIT));
        Self {
            meeting,
            servers,
            client,
            adapter,
            choices,
            messages: 0,
        }
    }

    fn sends(&mut self) -> Vec<Send> {
        let mut sends = Vec::new();
        for number in 0..6 {
            let messages = if number % 2 == 0 { 4 } else { 1 };
            let ids = self.messages..self.messages + messages;
            self.messages += messages;
            sends.push(Send {
                messages: ids.map(|id| message(id, &mut self.choices)).collect(),
                dropped_after: self
                    .choices
                    .once_in(4)
                    .then(|| Duration::from_micros(self.choices.below(20_000) as u64)),
            });
        }
        sends
    }

    /// Sends, waits for the end of every connection, and judges the round. Returns how many contents
    /// were taken.
    fn round(&mut self) -> Result<usize, String> {
        let sends = self.sends();
        let brief = self.sends();
        let sent: Vec<Sent> = sends
            .iter()
            .chain(&brief)
            .flat_map(|send| send.messages.iter().map(|message| message.sent.clone()))
            .collect();
        let mut reports = self.client.send(sends);
        let config = self.meeting.config(self.servers.address().port(), LIMIT);
        let short_lived = Client::new(self.adapter, config);
        reports.extend(short_lived.send(brief));
        let mut abandoned = short_lived.shutdown();
        drop(short_lived);
        let began = Instant::now();
        while self.servers.open() > 0 {
            self.client.close_idle();
            if began.elapsed() > SETTLING {
                return Err("a connection stays open without a send".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        abandoned.extend(self.client.abandoned());
        for report in &abandoned {
            reports.push(reported(number_of(report)?, report));
        }
        // A message without a trace was not sent.
        for sent in &sent {
            if reports.iter().all(|report| report.id != sent.id) {
                reports.push(unreported(sent, Verdict::NotSent));
            }
        }
        self.meeting
            .judge(&sent, &reports, &self.servers.take_ended())
    }
}

/// What the program holds when all connections are closed.
#[derive(Clone, Copy, Debug)]
struct Held {
    octets: usize,
    descriptors: usize,
}

impl Held {
    fn now() -> Self {
        let stats = ALLOCATOR.stats();
        Self {
            octets: stats.bytes_allocated - stats.bytes_deallocated,
            // Where there is no such folder, only memory is counted.
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        }
    }

    /// The median of each.
    fn median(all: &[Self]) -> Self {
        let median = |of: fn(&Self) -> usize| {
            let mut values: Vec<usize> = all.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        Self {
            octets: median(|held| held.octets),
            descriptors: median(|held| held.descriptors),
        }
    }
}

#[test]
fn memory_and_descriptors_stay_as_they_were() {
    let seconds = std::env::var("SOAK").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let began = Instant::now();
    let mut lines: Vec<Line> = (0..12)
        .map(|number| Line::new(number % 4, 7 + number as u64))
        .collect();
    // Room for all rounds, so that it does not count as growth.
    let mut rounds = Vec::with_capacity(64 * (seconds as usize + 1));
    let mut taken = 0;
    while rounds.len() < LEAST_ROUNDS || began.elapsed() < Duration::from_secs(seconds) {
        let results: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = lines
                .iter_mut()
                .map(|line| scope.spawn(|| line.round()))
                .collect();
            let results = running.into_iter().map(|line| line.join().unwrap());
            results.collect()
        });
        for result in results {
            taken += result.unwrap_or_else(|why| panic!("round {}: {why}", rounds.len()));
        }
        rounds.push(Held::now());
    }
    let messages: usize = lines.iter().map(|line| line.messages).sum();
    for line in lines {
        line.client.shutdown();
        line.servers.stop();
    }
    // The first quarter fills what is kept for good: caches, pools of threads, tables of runtimes.
    let settled = &rounds[rounds.len() / 4..];
    let (early, late) = settled.split_at(settled.len() / 2);
    let (early, late) = (Held::median(early), Held::median(late));
    println!(
        "{} rounds, {messages} messages, {taken} contents taken: {early:?}, later {late:?}",
        rounds.len()
    );
    assert!(late.octets < early.octets + NOISE, "memory grows");
    assert!(
        late.descriptors <= early.descriptors,
        "descriptors are left"
    );
}
