//! Concurrent senders of one transport, each of which waits for the verdict on its message before
//! it sends the next one.

use std::time::Instant;

use crate::Failure;
use crate::clients::{self, Contender, LETTRE, SEND_BOLD, SEND_DATA, Senders};
use crate::job::{Mail, Mode};
use crate::lab::{Lab, Task, check};
use crate::report::{Row, Section};

const MESSAGE: usize = 4096;
const SENDERS: usize = 50;

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "concurrent",
        "50 senders, each of which sends messages of 4 KiB one by one",
        "ms",
        "From the first connection to the last verdict. At 20 ms, each sends 10 messages; at 0 ms, \
         40. lettre opens a connection for each sender; a semaphore holds it to 8. mail-send and \
         async-smtp have no pool, and a connection for each sender.",
    );
    for (round_trip, messages, rounds) in [(20, 10, 3), (0, 40, 7)] {
        let messages = lab.size(messages, 2);
        for connections in [1, 8, SENDERS] {
            let group = format!("{round_trip} ms, {}", over(connections));
            let task = Task {
                group: &group,
                mode: Mode::Plain,
                round_trip,
                mail: Mail::of(MESSAGE),
                rounds: lab.size(rounds, 1),
            };
            let senders = Senders {
                count: SENDERS,
                messages,
                connections,
            };
            section.rows.extend(rows(lab, &task, senders));
        }
    }
    Ok(section)
}

fn over(connections: usize) -> String {
    match connections {
        1 => "1 connection".to_owned(),
        more => format!("{more} connections"),
    }
}

fn rows(lab: &mut Lab, task: &Task<'_>, senders: Senders) -> Vec<Row> {
    let far = task.round_trip > 0;
    let mut contenders = clients::concurrent();
    contenders.retain(|contender| match (contender.name(), senders.connections) {
        // The others would take a long time over one connection.
        (name, 1) => name == SEND_BOLD,
        (name, 8) => name.starts_with("postwire") || (far && name.starts_with(LETTRE)),
        (SEND_DATA, _) => false,
        _ => true,
    });
    lab.group(task, contenders, |lab, entrant| {
        let contender: &dyn Contender = &*entrant.contender;
        let (port, target) = lab.target(contender, task.mode, task.round_trip)?;
        let client = contender.prepare(&target)?;
        lab.sink.take(port)?;
        let begun = Instant::now();
        if !client.concurrent(&task.mail, senders)? {
            return Err("cannot send in this way".into());
        }
        let seconds = begun.elapsed().as_secs_f64();
        let counts = lab.sink.take(port)?;
        check(&counts, senders.count * senders.messages, &task.mail)?;
        entrant.row.samples.push(seconds * 1e3);
        entrant.row.count("connections", counts.connections as f64);
        if far {
            entrant.row.count("flights", counts.flights as f64);
        }
        Ok(())
    })
}
