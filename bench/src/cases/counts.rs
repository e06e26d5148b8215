//! Counts per message that hardly vary: system calls, octets on the wire, round trips.

use crate::Failure;
use crate::clients::{self, Contender, STREAM};
use crate::count::{allocations, requests, system_calls};
use crate::job::{Mail, Mode};
use crate::lab::{Lab, RoundTo, Task, check};
use crate::report::Section;
use crate::suite;

/// The steady state is the difference between many messages and few.
const FEW: usize = 20;
const MANY: usize = 120;

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "counts",
        "Counts for each further message of 4 KiB on one connection",
        "allocations a message",
        "Plaintext, in steady state: what 120 messages take more than 20, divided by 100. \
         Allocations are calls of the client's allocator; those that make the message and its \
         envelope at hand beforehand are not in it. System calls as strace counts them, both directions and \
         timers included. Wire octets are the client's, without TCP's own.",
    );
    let task = Task {
        group: "plaintext",
        mode: Mode::Plain,
        round_trip: 0,
        mail: Mail::of(4096),
        rounds: 1,
    };
    let mut contenders = clients::all();
    contenders.retain(|contender| contender.name() != STREAM);
    section.rows = lab.group(&task, contenders, |lab, entrant| {
        let contender = &*entrant.contender;
        let few = once(lab, contender, &task, FEW)?;
        let many = once(lab, contender, &task, MANY)?;
        let each = |few: f64, many: f64| ((many - few) / (MANY - FEW) as f64).round_to(2);
        let row = &mut entrant.row;
        row.samples.push(each(few.0, many.0));
        row.count("wire octets", each(few.1, many.1));
        // The child uses this sink; a sink of its own would be traced too.
        let (port, target) = lab.target(contender, task.mode, 0)?;
        let mut calls = [None; 2];
        for (calls, messages) in calls.iter_mut().zip([FEW, MANY]) {
            let mut arguments = vec![std::env::current_exe()?.to_string_lossy().into_owned()];
            let (who, octets) = (contender.name(), task.mail.body.len());
            arguments.extend(suite::send_arguments(who, messages, octets, Some(&target)));
            *calls = system_calls(&arguments)?;
        }
        lab.sink.take(port)?;
        if let [Some(few), Some(many)] = calls {
            entrant.row.count("system calls", each(few, many));
        }
        Ok(())
    });
    Ok(section)
}

/// Allocations, and the octets that the client sent, for `messages`.
fn once(
    lab: &mut Lab,
    contender: &dyn Contender,
    task: &Task<'_>,
    messages: usize,
) -> Result<(f64, f64), Failure> {
    let (port, target) = lab.target(contender, task.mode, 0)?;
    let mut session = contender.prepare(&target)?.open()?;
    session.load(&task.mail, 1)?;
    session.send()?;
    session.load(&task.mail, messages)?;
    lab.sink.take(port)?;
    let region = allocations();
    session.send()?;
    let allocations = requests(&region.change());
    let counts = lab.sink.take(port)?;
    check(&counts, messages, &task.mail)?;
    Ok((allocations, counts.octets as f64))
}
