//! Thousands of sessions in one process.

use crate::Failure;
use crate::clients::{self, Crowd, LETTRE_NO_STALL, SMOL};
use crate::count::raise_open_files;
use crate::job::{Mail, Mode, Target};
use crate::lab::{Lab, RoundTo, Task};
use crate::report::{Row, Section};
use crate::sink::Behaviour;
use crate::suite::{self, HELD_MESSAGE};

/// The group of idle sessions under TLS.
pub(crate) const IDLE_TLS: &str = "idle, TLS";

/// Open files of a process that are not connections, with a reserve.
const OTHER_FILES: u64 = 100;

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let limit = raise_open_files()?;
    // The sink has the limit with which this process began.
    *lab = Lab::open(lab.quick)?;
    let wanted = Crowd {
        idle: lab.size(10_000, 200),
        busy: lab.size(1_000, 50),
        messages: lab.size(20, 4),
    };
    let most = usize::try_from(limit.saturating_sub(OTHER_FILES))?;
    let crowd = Crowd {
        idle: wanted.idle.min(most.saturating_sub(wanted.busy)),
        ..wanted
    };
    let about = format!(
        "{} sessions in one process on one thread, each over a Connection (no pool); the system \
         allows {limit} open files. Each one sends a message of 4 KiB and is idle; then {} of them \
         send {} more each, one after the other. Heap: octets of the allocator; for a busy \
         session, when half of its messages are sent. RSS: resident memory, with that of the C \
         code of the cryptography. The server is in another process.",
        crowd.sessions(),
        crowd.busy,
        crowd.messages,
    );
    let title = "Thousands of sessions in one process";
    let mut section = Section::new("sessions", title, "KiB of heap a session", &about);
    for mode in [Mode::Plain, Mode::Wrapper] {
        let task = Task {
            group: &format!("idle, {}", mode.name()),
            mode,
            round_trip: 0,
            mail: Mail::of(HELD_MESSAGE),
            rounds: 1,
        };
        let mut busy = Vec::new();
        let contenders = clients::named(&[SMOL, LETTRE_NO_STALL]);
        let rows = lab.group(&task, contenders, |lab, entrant| {
            let contender = &*entrant.contender;
            let port = lab.sink.port(Behaviour {
                wrapper: mode == Mode::Wrapper,
                quick_ack: contender.wants_quick_ack(),
                many: true,
                ..Behaviour::default()
            })?;
            let target = Target::new(port, mode, &lab.sink.root);
            lab.sink.take(port)?;
            let held = suite::hold_in_a_child(contender.name(), &target, crowd)?;
            let sent = crowd.busy * crowd.messages;
            let counts = lab.sink.take(port)?;
            let expected = (crowd.sessions(), crowd.sessions() + sent);
            if (counts.connections as usize, counts.messages as usize) != expected {
                return Err(format!("{expected:?} were opened and sent: {counts:?}").into());
            }
            let each = |more: f64, sessions: usize| more / sessions as f64;
            let idle = each(held.heap[1] - held.heap[0], crowd.sessions()) / 1024.0;
            let resident = each(held.resident[1] - held.resident[0], crowd.sessions());
            entrant.row.samples.push(idle);
            entrant.row.count("RSS KiB", resident.round_to(1));
            let mut row = Row::new(&format!("busy, {}", mode.name()), contender.name());
            let more = each(held.heap[2] - held.heap[1], crowd.busy) / 1024.0;
            row.samples.push(idle + more);
            let more = each(held.resident[2] - held.resident[1], crowd.busy);
            row.count("RSS KiB", (resident + more).round_to(1));
            row.count(
                "client CPU µs a message",
                (held.processor / sent as f64).round_to(1),
            );
            row.count("messages", sent as f64);
            busy.push(row);
            Ok(())
        });
        section.rows.extend(rows);
        section.rows.extend(busy);
    }
    Ok(section)
}
