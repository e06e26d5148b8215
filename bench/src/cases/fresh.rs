//! One message on a new connection, in each TLS mode, with authentication.

use crate::Failure;
use crate::clients::{self, DEFAULT, SMOL, TOKIO};
use crate::job::{Mail, Mode};
use crate::lab::{Lab, Task};
use crate::report::Section;

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "fresh",
        "One message on a fresh connection, with AUTH",
        "ms",
        "From connecting to the verdict; TLS sessions are not resumed. TCP's own round trip to \
         connect is the same for all and not in it.",
    );
    let mail = Mail::of(1024);
    for round_trip in [0, 20] {
        for mode in Mode::ALL {
            let task = Task {
                group: &format!("{}, {round_trip} ms", mode.name()),
                mode,
                round_trip,
                mail: mail.clone(),
                rounds: if round_trip == 0 {
                    lab.size(15, 2)
                } else {
                    lab.size(5, 1)
                },
            };
            let mut contenders = clients::named(&[DEFAULT, SMOL, TOKIO]);
            contenders.extend(clients::peers());
            let rows = lab.group(&task, contenders, |lab, entrant| {
                let contender = &*entrant.contender;
                let (port, target) = lab.target(contender, mode, round_trip)?;
                let client = contender.prepare(&target.with_auth())?;
                let tried = lab.fresh(&*client, port, &mail)?;
                entrant.row.samples.push(tried.seconds * 1e3);
                if round_trip > 0 {
                    let flights = tried.counts.flights as f64;
                    entrant.row.count("flights", flights);
                }
                Ok(())
            });
            section.rows.extend(rows);
        }
    }
    Ok(section)
}
