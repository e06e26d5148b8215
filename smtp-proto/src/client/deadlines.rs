//! Which deadlines a session has as it stands, and what comes of one that has passed.
//!
//! Reads the session's state; changes it only through `Session::end_midway`.

use core::time::Duration;

use super::session::{Session, State};
use super::timers::{Timer, Timers};
use crate::{ErrorKind, Instant};

/// A session that heard nothing for longer was idle: whether the server is still there is
/// not known.
const IDLE: Duration = Duration::from_secs(1);

/// How long the rest of a line that is no reply is waited for.
const GARBLED: Duration = Duration::from_secs(5);

impl Session {
    /// The deadlines that the present state calls for.
    pub(super) fn current_timers(&self) -> Timers {
        let mut timers = self.timers;
        if matches!(self.state, State::Closed) {
            (timers.reply, timers.write, timers.overall) = (Timer::Off, Timer::Off, Timer::Off);
            return timers;
        }
        let head = self.expectations.front();
        let written = head.is_some_and(|head| head.complete_at <= self.output.written());
        let others_turn = matches!(
            self.state,
            State::Handshake | State::Injected(_) | State::CredentialsWanted
        ) || self.garbled.is_some();
        if !written && !others_turn {
            timers.reply = Timer::Off;
        } else if timers.reply == Timer::Off || timers.awaited != self.waits_over {
            timers.reply = Timer::Unarmed;
            timers.awaited = self.waits_over;
        }
        if !self.output.is_waiting() {
            timers.write = Timer::Off;
        } else if timers.write == Timer::Off || timers.progress != self.output.progress() {
            // Counted from the last progress, of which nobody has told the time yet.
            timers.write = Timer::Unarmed;
            timers.progress = self.output.progress();
        }
        let nothing_to_do = self.transactions.is_empty() && self.commands.is_empty();
        if nothing_to_do || self.config.timeouts.overall.is_none() {
            timers.overall = Timer::Off;
        } else if timers.overall == Timer::Off {
            timers.overall = Timer::Unarmed;
        }
        timers
    }

    fn watch_idleness(&mut self, now: Instant) {
        let nothing_to_do = self.transactions.is_empty()
            && self.commands.is_empty()
            && self.expectations.is_empty();
        if nothing_to_do {
            self.idle_since.get_or_insert(now);
        } else if let Some(since) = self.idle_since.take() {
            self.silent_after_idleness = now.saturating_duration_since(since) > IDLE;
        }
    }

    /// The time is `now`: ends what is overdue, arms what is not. `begun`: what came of a
    /// reply whose end has not.
    pub(super) fn tell_time(&mut self, now: Instant, begun: &[u8]) {
        self.timers = self.current_timers();
        self.timers.now = now;
        self.watch_idleness(now);
        let overdue = [self.timers.reply, self.timers.write, self.timers.overall]
            .into_iter()
            .any(|timer| timer.is_over(now));
        if overdue {
            self.end_midway(ErrorKind::TimedOut, begun);
            return;
        }
        let timeouts = &self.config.timeouts;
        let reply = match (&self.state, self.expectations.front()) {
            _ if self.garbled.is_some() => GARBLED.min(timeouts.mail),
            (State::Injected(_), _) => GARBLED.min(timeouts.tls),
            (State::CredentialsWanted, _) => timeouts.auth,
            (State::Handshake, _) | (_, None) => timeouts.tls,
            (_, Some(head)) => {
                let reply = head.command.timeout(timeouts);
                let front = self.transactions.front();
                if self.silent_after_idleness && head.command.may_follow_idleness() {
                    reply.min(timeouts.after_idle)
                } else if front.is_some_and(|front| front.closing.is_some()) {
                    reply.min(timeouts.quit)
                } else {
                    reply
                }
            }
        };
        self.timers.reply.arm(now, reply);
        let write = if self.front_is_midway() {
            timeouts.body
        } else {
            match self.expectations.front() {
                Some(head) => head.command.timeout(timeouts).min(timeouts.body),
                None => timeouts.body,
            }
        };
        self.timers.write.arm(now, write);
        if let Some(overall) = timeouts.overall {
            self.timers.overall.arm(now, overall);
        }
    }
}
