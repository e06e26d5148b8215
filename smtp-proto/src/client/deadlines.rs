//! The deadlines that a session has in its present state, and what happens when one passes.
//!
//! Reads the phase of the session, and changes it only through `Session::end_quoting_partial_reply`.

use core::time::Duration;

use super::ending::Failing;
use super::opening::OpeningStep;
use super::session::{Phase, Session};
use super::timers::{Timer, Timers};
use crate::{ErrorKind, Instant};

/// After a longer silence a session counts as idle: it is unknown whether the server is still
/// reachable.
const IDLE: Duration = Duration::from_secs(1);

/// The wait for the rest of a line that is not a reply.
const REST_OF_LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// The timers of a session, and whether it was idle.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    timers: Timers,
    /// The first known time at which the session was idle.
    idle_since: Option<Instant>,
    /// The session was idle for longer than [`IDLE`], and the server has sent nothing since.
    silent_after_idleness: bool,
}

impl Deadlines {
    /// Restarts the overall deadline, which counts from one verdict to the next.
    pub(super) fn begin_overall_anew(&mut self) {
        self.timers.overall = Timer::Off;
    }

    /// Records that the server sent something.
    pub(super) fn on_received(&mut self) {
        self.silent_after_idleness = false;
    }
}

impl Session {
    /// The deadlines for the present phase.
    pub(super) fn current_timers(&self) -> Timers {
        let mut timers = self.deadlines.timers;
        if matches!(self.phase, Phase::Closed) {
            (timers.reply, timers.write, timers.overall) = (Timer::Off, Timer::Off, Timer::Off);
            timers.release = Timer::Off;
            return timers;
        }
        let output = &self.dialogue.output;
        let head = self.dialogue.head();
        let written = head.is_some_and(|head| head.complete_at <= output.written());
        let others_turn = matches!(
            self.phase.opening_step(),
            Some(OpeningStep::Handshake | OpeningStep::CredentialsWanted(_))
        ) || self.failing.is_some();
        let waits_over = self.dialogue.waits_over();
        if !written && !others_turn {
            timers.reply = Timer::Off;
        } else if timers.reply == Timer::Off || timers.awaited != waits_over {
            timers.reply = Timer::Unarmed;
            timers.awaited = waits_over;
        }
        if !output.is_waiting() {
            timers.write = Timer::Off;
        } else if timers.write == Timer::Off || timers.progress != output.progress() {
            // The deadline counts from the last progress, whose time is not known yet.
            timers.write = Timer::Unarmed;
            timers.progress = output.progress();
        }
        if self.is_nothing_asked() || self.dialogue.config.timeouts.overall.is_none() {
            timers.overall = Timer::Off;
        } else if timers.overall == Timer::Off {
            timers.overall = Timer::Unarmed;
        }
        let is_idle = self.is_nothing_asked() && self.dialogue.is_nothing_awaited();
        if !is_idle || !output.can_release() {
            timers.release = Timer::Off;
        } else if timers.release == Timer::Off {
            timers.release = Timer::Unarmed;
        }
        timers
    }

    fn watch_idleness(&mut self, now: Instant) {
        let is_idle = self.is_nothing_asked() && self.dialogue.is_nothing_awaited();
        let deadlines = &mut self.deadlines;
        if is_idle {
            deadlines.idle_since.get_or_insert(now);
        } else if let Some(since) = deadlines.idle_since.take() {
            deadlines.silent_after_idleness = now.saturating_duration_since(since) > IDLE;
        }
    }

    /// Sets the time to `now`: ends the session if a deadline has passed, and starts deadlines
    /// that are unarmed. `partial_reply` is the incomplete reply, for the error.
    pub(super) fn advance_clock(&mut self, now: Instant, partial_reply: &[u8]) {
        self.deadlines.timers = self.current_timers();
        self.deadlines.timers.now = now;
        self.watch_idleness(now);
        if self.deadlines.timers.is_any_over(now) {
            return self.end_quoting_partial_reply(ErrorKind::TimedOut, partial_reply);
        }
        if self.deadlines.timers.release.is_over(now) {
            self.dialogue.output.release();
            self.deadlines.timers.release = Timer::Off;
        }
        let (reply, write) = (self.reply_timeout(), self.write_timeout());
        let overall = self.dialogue.config.timeouts.overall;
        let timers = &mut self.deadlines.timers;
        timers.reply.arm(now, reply);
        timers.write.arm(now, write);
        timers.release.arm(now, IDLE);
        if let Some(overall) = overall {
            timers.overall.arm(now, overall);
        }
    }

    /// The time limit for the next reply or event.
    fn reply_timeout(&self) -> Duration {
        let timeouts = &self.dialogue.config.timeouts;
        match self.failing {
            Some(Failing::Closing(_)) => return timeouts.quit,
            Some(Failing::Malformed { .. }) => return REST_OF_LINE_TIMEOUT.min(timeouts.mail),
            Some(Failing::Injected(_)) => return REST_OF_LINE_TIMEOUT.min(timeouts.tls),
            None => {}
        }
        match self.phase.opening_step() {
            Some(OpeningStep::CredentialsWanted(_)) => return timeouts.auth,
            Some(OpeningStep::Handshake) => return timeouts.tls,
            _ => {}
        }
        let Some(head) = self.dialogue.head() else {
            return timeouts.tls;
        };
        let reply = head.command.timeout(timeouts);
        let oldest = self.phase.pipeline().and_then(|pipeline| pipeline.oldest());
        if self.deadlines.silent_after_idleness && head.command.may_follow_idleness() {
            reply.min(timeouts.after_idle)
        } else if oldest.is_some_and(|oldest| oldest.answers.is_closing()) {
            reply.min(timeouts.quit)
        } else {
            reply
        }
    }

    /// The time limit for writing without progress.
    fn write_timeout(&self) -> Duration {
        let timeouts = &self.dialogue.config.timeouts;
        match self.dialogue.head() {
            Some(head) if !self.is_within_content() => {
                head.command.timeout(timeouts).min(timeouts.body)
            }
            _ => timeouts.body,
        }
    }
}
