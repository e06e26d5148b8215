//! Large bodies: throughput and memory.

use crate::Failure;
use crate::clients::{self, CONNECTION, Contender, DATA, DEFAULT, RAW, STREAM};
use crate::job::{Mail, Mode};
use crate::lab::{Lab, Task};
use crate::report::{Row, Section};
use crate::suite::{send_arguments, send_in_a_child};

const MIB: usize = 1024 * 1024;

/// The clients that handle bodies differently, in their fastest variants.
fn contenders() -> Vec<Box<dyn Contender>> {
    clients::named(&[
        DEFAULT,
        CONNECTION,
        DATA,
        STREAM,
        "async-smtp",
        "mail-send, no stall",
        "lettre blocking",
        "lettre tokio, no stall",
        RAW,
    ])
}

pub(super) fn throughput(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "large",
        "Large bodies on an open connection",
        "MiB/s",
        "The whole message at hand in memory, but for the streamed body, which is given in copied \
         pieces of 64 KiB. Lines of 78 octets; postwire's scan of the body is part of the time.",
    );
    section.larger_is_better = true;
    let sizes = if lab.quick { vec![4] } else { vec![25, 256] };
    for mib in sizes {
        for mode in [Mode::Plain, Mode::Wrapper] {
            let task = Task {
                group: &format!("{mib} MiB, {}", mode.name()),
                mode,
                round_trip: 0,
                mail: Mail::of(mib * MIB),
                rounds: if mib > 100 { 3 } else { lab.size(7, 1) },
            };
            let sample = |seconds: f64, _| mib as f64 / seconds;
            let rows = lab.sessions(&task, contenders(), |_| 1, sample);
            section.rows.extend(rows);
        }
    }
    Ok(section)
}

pub(super) fn memory(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "memory",
        "Peak memory of a process that sends one large body",
        "MiB",
        "VmHWM of a process of its own, in plaintext. The message itself is part of it, but for \
         the streamed body, of which only a page is held.",
    );
    let sizes = if lab.quick { vec![4] } else { vec![25, 256] };
    for mib in sizes {
        for contender in contenders() {
            let mut row = Row::new(&format!("{mib} MiB"), contender.name());
            let arguments = send_arguments(contender.name(), 1, mib * MIB, None);
            match send_in_a_child(&arguments).map(|sent| sent.peak_memory) {
                Ok(Some(kib)) => {
                    row.samples.push(kib / 1024.0);
                    if contender.name() != STREAM {
                        row.count("beyond the body, MiB", (kib / 1024.0 - mib as f64).round());
                    }
                }
                Ok(None) => row.failure = Some("this system doesn't tell".to_owned()),
                Err(failure) => row.failure = Some(failure.to_string()),
            }
            section.rows.push(row);
        }
    }
    Ok(section)
}
