//! Points in time on the caller's own clock.
//!
//! Knows how to add and compare; never reads a clock. Each method that depends on the time
//! takes an [`Instant`], so a test can let ten minutes pass in no time, and a board without a
//! calendar can count from its own boot.

use core::ops::Add;
use core::time::Duration;

/// A point on the caller's monotonic clock: the time since an epoch that the caller chooses.
///
/// Only differences matter. All instants given to one state machine must come
/// from the same clock; one that goes backwards is harmless (deadlines are
/// merely late).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The clock's epoch.
    pub const EPOCH: Self = Self(Duration::ZERO);

    /// The point that lies `elapsed` after the epoch.
    pub const fn from_epoch(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time since the epoch.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this point; zero if `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of representable time.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// A source of [`Instant`]s over the operating system's monotonic clock.
///
/// ```
/// let clock = postwire_proto::Clock::new();
/// let earlier = clock.now();
/// assert!(clock.now() >= earlier);
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: std::time::Instant,
}

#[cfg(feature = "std")]
impl Clock {
    /// A clock whose epoch is now.
    pub fn new() -> Self {
        Self {
            epoch: std::time::Instant::now(),
        }
    }

    /// The present moment on this clock.
    pub fn now(&self) -> Instant {
        Instant(self.epoch.elapsed())
    }
}

#[cfg(feature = "std")]
impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
