//! The deadlines of a session. Time is only ever told (RFC 5321 §4.5.3.2).
//!
//! A command is handed over when the driver advances the output, and nobody says
//! when that was. So a deadline begins *unarmed*: the session asks to be told
//! the time at once, and counts from then.

use core::time::Duration;

use crate::Instant;

/// A deadline that may have to wait for someone to tell the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Timer {
    #[default]
    Off,
    /// To be counted from the next time that is told.
    Unarmed,
    At(Instant),
}

impl Timer {
    /// Counts from `now` if it has to.
    pub(crate) fn arm(&mut self, now: Instant, after: Duration) {
        if *self == Self::Unarmed {
            *self = Self::At(now + after);
        }
    }

    pub(crate) fn is_over(self, now: Instant) -> bool {
        matches!(self, Self::At(deadline) if deadline <= now)
    }

    /// When to tell the time; at once if it is unarmed.
    pub(crate) fn deadline(self, last_told: Instant) -> Option<Instant> {
        match self {
            Self::Off => None,
            Self::Unarmed => Some(last_told),
            Self::At(deadline) => Some(deadline),
        }
    }
}

/// The timers of one session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timers {
    /// The reply (or handshake) that is awaited.
    pub(crate) reply: Timer,
    /// Output that is not being taken.
    pub(crate) write: Timer,
    /// From one verdict to the next.
    pub(crate) overall: Timer,
    /// Memory that is given back once the session was idle for a while.
    pub(crate) release: Timer,
    /// The last time that was told.
    pub(crate) now: Instant,
    /// Which reply `reply` is for.
    pub(crate) awaited: u64,
    /// How far writing was when `write` was armed.
    pub(crate) progress: u64,
}

impl Timers {
    /// Whether one of them has passed.
    pub(crate) fn is_any_over(&self, now: Instant) -> bool {
        let timers = [self.reply, self.write, self.overall];
        timers.into_iter().any(|timer| timer.is_over(now))
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        [self.reply, self.write, self.overall, self.release]
            .into_iter()
            .filter_map(|timer| timer.deadline(self.now))
            .min()
    }
}
