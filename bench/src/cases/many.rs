//! Many messages over one connection and over a pool; one message to many recipients.

use std::time::Instant;

use crate::Failure;
use crate::clients::{self, CONNECTION, Contender, RAW, SEND, STREAM};
use crate::job::{Mail, Mode};
use crate::lab::{Lab, Task, check};
use crate::report::Section;

const MESSAGE: usize = 4096;

/// Microseconds per item for `count` items.
fn micros(seconds: f64, count: usize) -> f64 {
    seconds * 1e6 / count as f64
}

/// All clients except those that do not send a stream of messages.
fn contenders(without: &[&str]) -> Vec<Box<dyn Contender>> {
    let mut all = clients::all();
    all.retain(|contender| !without.contains(&contender.name()));
    all
}

pub(super) fn on_one_connection(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "many",
        "Many messages of 4 KiB on one open connection",
        "µs a message",
        "Time from the first octet to the last verdict, divided by the number of messages. \
         1,000 messages at 0 ms and 500 at 1, 20 and 100 ms of round trip; those who take several \
         round trips or stall for each are given fewer, as the column says.",
    );
    let messages = lab.size(1000, 100);
    for mode in [Mode::Plain, Mode::Wrapper] {
        let task = Task {
            group: &format!("{}, 0 ms", mode.name()),
            mode,
            round_trip: 0,
            mail: Mail::of(MESSAGE),
            rounds: lab.size(9, 2),
        };
        let count = |contender: &dyn Contender| {
            if contender.stalls() {
                messages / 50
            } else {
                messages
            }
        };
        let rows = lab.sessions(&task, contenders(&[STREAM]), count, micros);
        section.rows.extend(rows);
    }
    let messages = lab.size(500, 50);
    for (mode, round_trip) in [
        (Mode::Plain, 1),
        (Mode::Plain, 20),
        (Mode::Wrapper, 20),
        (Mode::Plain, 100),
    ] {
        let task = Task {
            group: &format!("{}, {round_trip} ms", mode.name()),
            mode,
            round_trip,
            mail: Mail::of(MESSAGE),
            rounds: if round_trip < 100 { lab.size(2, 1) } else { 1 },
        };
        // With a longer round trip, fewer messages are enough to measure the cost.
        let nearer = (round_trip as usize / 20).max(1);
        let count = |contender: &dyn Contender| match contender.round_trips() {
            0 => messages,
            1 => messages / 5 / nearer,
            _ => (messages / 25 / nearer).max(1),
        };
        let rows = lab.sessions(&task, contenders(&[STREAM]), count, micros);
        section.rows.extend(rows);
    }
    Ok(section)
}

pub(super) fn over_a_pool(lab: &mut Lab) -> Result<Section, Failure> {
    const CONNECTIONS: usize = 8;
    let mut section = Section::new(
        "pool",
        "10,000 messages of 4 KiB over a pool of 8",
        "µs a message",
        "Eight threads or tasks; connecting is part of the time. lettre with its own pool, \
         mail-send and async-smtp with eight connections, since they have none. Those who stall \
         send 400.",
    );
    let messages = lab.size(10_000, 800);
    let mail = Mail::of(MESSAGE);
    let task = Task {
        group: "plaintext, 0 ms",
        mode: Mode::Plain,
        round_trip: 0,
        mail: mail.clone(),
        rounds: lab.size(3, 1),
    };
    let contenders = contenders(&[STREAM, CONNECTION, RAW]);
    section.rows = lab.group(&task, contenders, |lab, entrant| {
        let contender = &*entrant.contender;
        let (port, target) = lab.target(contender, task.mode, 0)?;
        let client = contender.prepare(&target)?;
        let count = if contender.stalls() { 400 } else { messages };
        lab.sink.take(port)?;
        let begun = Instant::now();
        if !client.pool(&mail, count, CONNECTIONS)? {
            return Err("has no pool".into());
        }
        let seconds = begun.elapsed().as_secs_f64();
        let counts = lab.sink.take(port)?;
        check(&counts, count, &mail)?;
        entrant.row.samples.push(micros(seconds, count));
        entrant.row.count("messages", count as f64);
        entrant.row.count("connections", counts.connections as f64);
        Ok(())
    });
    Ok(section)
}

pub(super) fn to_many_recipients(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "recipients",
        "One message of 4 KiB to 1,000 recipients",
        "ms",
        "On an open connection, from MAIL to the verdict. 100 recipients at 20 ms.",
    );
    for (round_trip, recipients) in [(0, lab.size(1000, 100)), (20, lab.size(100, 10))] {
        let task = Task {
            group: &format!("plaintext, {round_trip} ms, {recipients} recipients"),
            mode: Mode::Plain,
            round_trip,
            mail: Mail::of(MESSAGE).to(recipients),
            rounds: if round_trip == 0 { lab.size(7, 2) } else { 1 },
        };
        let contenders = contenders(&[STREAM, SEND]);
        let rows = lab.sessions(&task, contenders, |_| 1, |seconds, _| seconds * 1e3);
        section.rows.extend(rows);
    }
    Ok(section)
}
