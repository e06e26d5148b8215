//! The first and the second connection of a client that shares its TLS configuration.

use std::time::Instant;

use nix::sys::resource::UsageWho;

use crate::Failure;
use crate::clients::{self, Client, Contender, DEFAULT, SMOL};
use crate::count::processor_time_of;
use crate::job::{Mail, Mode, Target};
use crate::lab::{Entrant, Lab, RoundTo, Task, check};
use crate::report::Section;
use crate::sink::{Behaviour, Port};

/// The groups: the version of TLS, and which connection.
pub(crate) const GROUPS: [[&str; 2]; 2] = [
    ["TLS 1.2, first", "TLS 1.2, second"],
    ["TLS 1.3, first", "TLS 1.3, second"],
];

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "resumption",
        "The first TLS connection and a further one",
        "ms a connection",
        "From connecting to the verdict on one message of 200 octets at 0 ms. The first \
         connection has a configuration of its own, a further one that of the first. The server \
         gives tickets. Octets of TLS in both directions, with the message.",
    );
    let connections = lab.size(100, 5);
    for (version, groups) in GROUPS.into_iter().enumerate() {
        for (second, group) in groups.into_iter().enumerate() {
            let task = Task {
                group,
                mode: Mode::Wrapper,
                round_trip: 0,
                mail: Mail::of(200),
                rounds: lab.size(5, 1),
            };
            let mut contenders = clients::named(&[DEFAULT, SMOL]);
            let mut peers = clients::peers();
            peers.retain(|peer| !peer.stalls() && !peer.name().contains("by hand"));
            contenders.extend(peers);
            let rows = lab.group(&task, contenders, |lab, entrant| {
                let port = lab.sink.port(Behaviour {
                    wrapper: true,
                    quick_ack: entrant.contender.wants_quick_ack(),
                    tls12: version == 0,
                    resumes: true,
                    ..Behaviour::default()
                })?;
                let target = Target::new(port, task.mode, &lab.sink.root);
                connect(lab, entrant, &target, port, connections, second == 1)
            });
            section.rows.extend(rows);
        }
    }
    Ok(section)
}

/// Opens connections one after the other: each with a configuration of its own, or all with that
/// of an earlier one.
fn connect(
    lab: &mut Lab,
    entrant: &mut Entrant,
    target: &Target,
    port: Port,
    connections: usize,
    shares: bool,
) -> Result<(), Failure> {
    let mail = Mail::of(200);
    let contender: &dyn Contender = &*entrant.contender;
    let shared = contender.prepare(target)?;
    let send = |client: &dyn Client| {
        let begun = Instant::now();
        let mut session = client.open()?;
        session.load(&mail, 1)?;
        session.send()?;
        Ok::<_, Failure>(begun.elapsed().as_secs_f64())
    };
    if shares {
        send(&*shared)?;
    }
    lab.sink.take(port)?;
    let (mut seconds, mut processor) = (0.0, 0.0);
    for _ in 0..connections {
        // Not timed: a program does so once.
        let own = contender.prepare(target)?;
        let before = processor_time_of(UsageWho::RUSAGE_SELF)?;
        seconds += send(if shares { &*shared } else { &*own })?;
        processor += processor_time_of(UsageWho::RUSAGE_SELF)? - before;
    }
    let counts = lab.sink.take(port)?;
    check(&counts, connections, &mail)?;
    let each = connections as f64;
    let row = &mut entrant.row;
    row.samples.push(seconds * 1e3 / each);
    row.least("client CPU µs", (processor / each).round_to(0));
    row.count("octets", (counts.encrypted as f64 / each).round_to(0));
    row.count(
        "resumed %",
        (counts.resumed as f64 * 100.0 / each).round_to(0),
    );
    Ok(())
}
