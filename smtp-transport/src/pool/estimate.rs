//! What a connection costs and what waiting costs, measured by a pool on its own connections.
//!
//! Must never know who waits.

use std::time::Duration;

/// Moving averages of the time to open a connection, and of the time between two reports of a
/// connection that has messages all the time.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    opening: Option<Duration>,
    interval: Option<Duration>,
}

impl Estimate {
    /// Records that a connection was opened in this time.
    pub(super) fn opened(&mut self, took: Duration) {
        average(&mut self.opening, took);
    }

    /// Records that a message was answered this long after the one before it.
    pub(super) fn answered(&mut self, took: Duration) {
        average(&mut self.interval, took);
    }

    /// The time that it takes to open a connection; `None` before the first one.
    pub(super) fn opening(&self) -> Option<Duration> {
        self.opening
    }

    /// Whether to open another connection for a message that has waited for a time: if it has
    /// waited as long as the opening takes, or if `messages` are expected to take longer over this
    /// number of connections.
    ///
    /// Without experience, a connection is opened unless one has room.
    pub(super) fn favours_opening(
        &self,
        connections: usize,
        messages: usize,
        has_room: bool,
        waited: Duration,
    ) -> bool {
        let is_patient = self.opening.is_none_or(|opening| waited < opening);
        if connections == 0 || !is_patient {
            return true;
        }
        let (Some(opening), Some(interval)) = (self.opening, self.interval) else {
            return !has_room;
        };
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        let wait = interval.saturating_mul(messages) / connections;
        wait > opening
    }
}

fn average(of: &mut Option<Duration>, value: Duration) {
    *of = Some(match *of {
        Some(average) => average.saturating_mul(3).saturating_add(value) / 4,
        None => value,
    });
}
