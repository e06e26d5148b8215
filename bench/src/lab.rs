//! The environment of a measurement: a sink, and the clients that send to it in turn.
//!
//! Knows how a session is timed, counted and checked. Must never know the case.

use std::time::Instant;

use crate::Failure;
use crate::clients::{Client, Contender};
use crate::count::{allocations, processor_time, requests};
use crate::job::{Mail, Mode, Target};
use crate::report::Row;
use crate::rounds::interleaved;
use crate::sink::{Behaviour, Counts, Port, Sink};

/// The sink and the size of the run.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) sink: Sink,
    pub(crate) quick: bool,
}

/// A client with its results so far.
pub(crate) struct Entrant {
    pub(crate) contender: Box<dyn Contender>,
    pub(crate) row: Row,
}

/// The task for every client of a group.
pub(crate) struct Task<'a> {
    pub(crate) group: &'a str,
    pub(crate) mode: Mode,
    pub(crate) round_trip: u64,
    pub(crate) mail: Mail,
    pub(crate) rounds: usize,
}

/// The result of one attempt.
pub(crate) struct Tried {
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
}

impl Lab {
    pub(crate) fn open(quick: bool) -> Result<Self, Failure> {
        let sink = Sink::start()?;
        Ok(Self { sink, quick })
    }

    /// Returns `quick` for a quick run, otherwise `full`.
    pub(crate) fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The port for a client, with the parameters of the server.
    pub(crate) fn target(
        &mut self,
        contender: &dyn Contender,
        mode: Mode,
        round_trip: u64,
    ) -> Result<(Port, Target), Failure> {
        let port = self.sink.port(Behaviour {
            wrapper: mode == Mode::Wrapper,
            quick_ack: contender.wants_quick_ack(),
            round_trip,
            ..Behaviour::default()
        })?;
        let target = Target::new(port, mode, &self.sink.root);
        Ok((port, target))
    }

    /// Measures `messages` over one open connection, for each client. `sample` computes the
    /// sample from seconds and messages.
    pub(crate) fn sessions(
        &mut self,
        task: &Task<'_>,
        contenders: Vec<Box<dyn Contender>>,
        messages: impl Fn(&dyn Contender) -> usize,
        sample: impl Fn(f64, usize) -> f64,
    ) -> Vec<Row> {
        self.group(task, contenders, |lab, entrant| {
            let contender = &*entrant.contender;
            let (port, target) = lab.target(contender, task.mode, task.round_trip)?;
            let mut session = contender.prepare(&target)?.open()?;
            let count = messages(contender).max(1);
            // The first message opens the connection; the others measure the steady state.
            session.load(&Mail::of(200), 1)?;
            session.send()?;
            session.load(&task.mail, count)?;
            lab.sink.take(port)?;
            let (region, processor) = (allocations(), processor_time());
            let begun = Instant::now();
            session.send()?;
            let seconds = begun.elapsed().as_secs_f64();
            let (region, processor) = (region.change(), processor_time() - processor);
            let counts = lab.sink.take(port)?;
            check(&counts, count, &task.mail)?;
            let row = &mut entrant.row;
            let each = count as f64;
            row.samples.push(sample(seconds, count));
            row.count("messages", each);
            row.count("allocations", (requests(&region) / each).round_to(2));
            let processor = (processor as f64 / each / 1e3).round_to(2);
            row.least("client CPU µs", processor);
            if task.round_trip > 0 {
                row.count("flights", counts.flights as f64);
            }
            Ok(())
        })
    }

    /// Rounds of the measurement `measure` for each client.
    pub(crate) fn group(
        &mut self,
        task: &Task<'_>,
        contenders: Vec<Box<dyn Contender>>,
        mut measure: impl FnMut(&mut Self, &mut Entrant) -> Result<(), Failure>,
    ) -> Vec<Row> {
        let mut entrants: Vec<_> = contenders
            .into_iter()
            .map(|contender| Entrant {
                row: Row::new(task.group, contender.name()),
                contender,
            })
            .collect();
        interleaved(task.rounds, &mut entrants, |_, entrant| {
            if entrant.row.failure.is_none()
                && let Err(failure) = measure(self, entrant)
            {
                entrant.row.failure = Some(failure.to_string());
            }
        });
        entrants.into_iter().map(|entrant| entrant.row).collect()
    }

    /// Measures one message over a new connection, from the first octet to the verdict.
    pub(crate) fn fresh(
        &mut self,
        client: &dyn Client,
        port: Port,
        mail: &Mail,
    ) -> Result<Tried, Failure> {
        self.sink.take(port)?;
        let begun = Instant::now();
        let mut session = client.open()?;
        let connected = begun.elapsed();
        session.load(mail, 1)?;
        let begun = Instant::now();
        session.send()?;
        let seconds = (connected + begun.elapsed()).as_secs_f64();
        // Before the session is closed: QUIT is not measured.
        let counts = self.sink.take(port)?;
        check(&counts, 1, mail)?;
        Ok(Tried { seconds, counts })
    }
}

/// Checks that everything arrived.
pub(crate) fn check(counts: &Counts, messages: usize, mail: &Mail) -> Result<(), Failure> {
    let messages = messages as u64;
    let recipients = messages * mail.recipients.len() as u64;
    let content = messages * mail.octets();
    // Some clients add a line end before the dot.
    let most = content + 2 * messages;
    let right = counts.messages == messages
        && counts.recipients == recipients
        && (content..=most).contains(&counts.content);
    if right {
        return Ok(());
    }
    Err(
        format!("{messages} messages of {content} octets were sent, but the sink saw {counts:?}")
            .into(),
    )
}

/// Rounds a number to a readable precision.
pub(crate) trait RoundTo {
    fn round_to(self, digits: i32) -> Self;
}

impl RoundTo for f64 {
    fn round_to(self, digits: i32) -> f64 {
        let scale = 10f64.powi(digits);
        (self * scale).round() / scale
    }
}
