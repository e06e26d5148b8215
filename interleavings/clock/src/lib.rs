//! The transport under shuttle as the adapters know it, with another clock: one that stands still unless
//! a test moves it.
//!
//! No deadline passes, so each wait must be ended by a waker, and the time has no part in a schedule.

use std::cell::Cell;
use std::time::Duration;

pub use postwire_transport_under_shuttle::*;

/// The protocol, with the clock of this crate.
pub mod proto {
    pub use crate::Clock;
    pub use postwire_transport_under_shuttle::proto::*;
}

use self::proto::Instant;

thread_local! {
    /// All threads of a schedule are coroutines of one thread of the system.
    static SINCE_EPOCH: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The clock of the adapters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The clock that there is.
    pub fn new() -> Self {
        Self
    }

    /// The present moment.
    pub fn now(&self) -> Instant {
        Instant::from_epoch(SINCE_EPOCH.get())
    }
}

/// Moves the clock. Nobody is woken.
pub fn move_clock(by: Duration) {
    SINCE_EPOCH.set(SINCE_EPOCH.get() + by);
}

/// Sets the clock to its beginning, for the next schedule.
pub fn reset_clock() {
    SINCE_EPOCH.set(Duration::ZERO);
}
