//! The place of a measurement: a sink, and one contender after the other sending
//! to it.
//!
//! Knows how a session is timed, counted and checked. Must never know which case
//! it is for.

use std::time::Instant;

use crate::Failure;
use crate::clients::{Client, Contender};
use crate::count::{allocations, processor_time, requests};
use crate::job::{Mail, Mode, Target};
use crate::report::Row;
use crate::rounds::interleaved;
use crate::sink::{Behaviour, Counts, Port, Sink};

/// Where and how much.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) sink: Sink,
    pub(crate) quick: bool,
}

/// A contender and what is known of it so far.
pub(crate) struct Entrant {
    pub(crate) contender: Box<dyn Contender>,
    pub(crate) row: Row,
}

/// What everyone in a group is asked to do.
pub(crate) struct Task<'a> {
    pub(crate) group: &'a str,
    pub(crate) mode: Mode,
    pub(crate) round_trip: u64,
    pub(crate) mail: Mail,
    pub(crate) rounds: usize,
}

/// What one try came to.
pub(crate) struct Tried {
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
}

impl Lab {
    pub(crate) fn open(quick: bool) -> Result<Self, Failure> {
        let sink = Sink::start()?;
        Ok(Self { sink, quick })
    }

    /// One size or the other.
    pub(crate) fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The port a contender is sent to, and how it is spoken to.
    pub(crate) fn target(
        &mut self,
        contender: &dyn Contender,
        mode: Mode,
        round_trip: u64,
    ) -> Result<(Port, Target), Failure> {
        let port = self.sink.port(Behaviour {
            wrapper: mode == Mode::Wrapper,
            no_chunking: false,
            quick_ack: contender.wants_quick_ack(),
            round_trip,
        })?;
        let target = Target::new(port, mode, &self.sink.root);
        Ok((port, target))
    }

    /// `messages` over one connection that stands already, for each contender.
    /// Samples are what `sample` makes of seconds and messages.
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
            // The first message is the connection's; what follows is steady.
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

    /// Rounds of whatever `measure` does with each contender.
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

    /// One message over a connection that is opened for it: timed from the first
    /// octet to the verdict.
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
        // Before the session is closed: QUIT is not part of it.
        let counts = self.sink.take(port)?;
        check(&counts, 1, mail)?;
        Ok(Tried { seconds, counts })
    }
}

/// Whether everything arrived.
pub(crate) fn check(counts: &Counts, messages: usize, mail: &Mail) -> Result<(), Failure> {
    let messages = messages as u64;
    let recipients = messages * mail.recipients.len() as u64;
    let content = messages * mail.octets();
    // Some write a line end of their own before the dot.
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

/// Rounding to what is worth reading.
pub(crate) trait RoundTo {
    fn round_to(self, digits: i32) -> Self;
}

impl RoundTo for f64 {
    fn round_to(self, digits: i32) -> f64 {
        let scale = 10f64.powi(digits);
        (self * scale).round() / scale
    }
}
