//! What the driver of one client learns from it: its reports, its end, and whether it waited in
//! vain.

use std::time::Duration;

use bytes::Bytes;
use postwire_proto::{Endpoint, Event, Instant, TransactionId};
use postwire_reference::{Recorder, Reported, judge};

use crate::messages::reported;
use crate::oracle::{Outcomes, answers_everything, check_offences, is_safe, sent_by};
use crate::scene::Scene;

/// What one client reported, and how it ended.
#[derive(Debug, Default)]
pub struct Record {
    /// The reports, in the client's order.
    pub reports: Vec<Reported>,
    closed: usize,
    timed_out: bool,
}

impl Record {
    /// Records an event. Returns the message whose content the client asks for, with its next
    /// piece; no piece is the end of the content.
    pub fn hear(
        &mut self,
        event: Event,
        scene: &mut Scene,
    ) -> Option<(TransactionId, Option<Bytes>)> {
        match event {
            Event::Report(report) => {
                let id = usize::try_from(report.transaction().index()).unwrap_or(usize::MAX);
                self.reports.push(reported(id, &report));
            }
            Event::BodyWanted(id) => {
                let at = usize::try_from(id.index()).unwrap_or(usize::MAX);
                return Some((id, scene.next_piece(at)));
            }
            Event::Closed(_) => self.closed += 1,
            _ => {}
        }
        None
    }

    /// Moves the clock to the client's deadline.
    ///
    /// # Errors
    ///
    /// If the client waits without a deadline, or for longer than any deadline is.
    pub fn advance_clock(
        &mut self,
        client: &mut impl Endpoint,
        now: &mut Instant,
    ) -> Result<(), String> {
        let next = client.poll_timeout();
        let next = next.ok_or("the client waits for something without a deadline")?;
        if next > *now + Duration::from_secs(601) {
            return Err("a deadline is beyond its bounds".to_owned());
        }
        *now = next.max(*now);
        client.handle_timeout(*now);
        if client.is_closed() {
            self.timed_out = true;
        }
        Ok(())
    }

    /// Judges the client by what the server took. `is_undisturbed`: nothing but the server's
    /// dialect keeps a reply from the client.
    ///
    /// # Errors
    ///
    /// What the client did wrong.
    pub fn verdict(
        &self,
        scene: &Scene,
        server: &Recorder,
        is_undisturbed: bool,
    ) -> Result<Outcomes, String> {
        if self.closed != 1 {
            return Err(format!("the client closed {} times", self.closed));
        }
        let (dialect, pipelining) = (&scene.dialect, scene.pipelining);
        let sent = scene.messages.iter().map(|message| &message.sent);
        let sent = sent_by(sent, dialect.protocol);
        let ids: Vec<_> = self.reports.iter().map(|report| report.id).collect();
        if ids != (0..sent.len()).collect::<Vec<_>>() {
            return Err(format!("the reports are about {ids:?}"));
        }
        let is_judged = is_safe(dialect, pipelining);
        if is_judged {
            let taken: Vec<_> = server.taken().iter().collect();
            judge(&sent, &self.reports, &taken)?;
        }
        if self.timed_out && is_undisturbed && answers_everything(dialect, pipelining) {
            return Err("the client waited for a reply that does not come".to_owned());
        }
        check_offences(server)?;
        Ok(Outcomes {
            is_judged,
            taken: server.taken().len(),
            messages: sent.len(),
        })
    }
}
