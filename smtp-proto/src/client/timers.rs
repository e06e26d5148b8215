//! The timers of a session (RFC 5321 §4.5.3.2). Must never read a clock: the driver passes the
//! time.
//!
//! A command is handed over when the driver advances the output, at a time that the session does
//! not know. A deadline therefore starts *unarmed*: the session asks for the time at once and
//! counts from the next time that the driver passes.

use core::time::Duration;

use crate::Instant;

/// A deadline that may have to wait for the next known time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Timer {
    #[default]
    Off,
    /// Counts from the next time that the driver passes.
    Unarmed,
    At(Instant),
}

impl Timer {
    /// Starts an unarmed deadline at `now`.
    pub(crate) fn arm(&mut self, now: Instant, after: Duration) {
        if *self == Self::Unarmed {
            *self = Self::At(now + after);
        }
    }

    pub(crate) fn is_over(self, now: Instant) -> bool {
        matches!(self, Self::At(deadline) if deadline <= now)
    }

    /// The time at which the driver must pass the time; at once if the deadline is unarmed.
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
    /// The deadline of the expected reply or handshake.
    pub(crate) reply: Timer,
    /// The deadline of output that is not written.
    pub(crate) write: Timer,
    /// The deadline from one verdict to the next.
    pub(crate) overall: Timer,
    /// The time at which an idle session releases the memory of a large flight.
    pub(crate) release: Timer,
    /// The last time that the driver passed.
    pub(crate) now: Instant,
    /// The number of the wait that `reply` is for.
    pub(crate) awaited: u64,
    /// The progress of writing when `write` was armed.
    pub(crate) progress: u64,
}

impl Timers {
    /// Whether any deadline has passed.
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
