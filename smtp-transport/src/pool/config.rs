//! The configuration of a pool.

use std::time::Duration;

/// The settings of a pool: the number and lifetime of connections, and the time that a message
/// waits for one.
///
/// # Timers
///
/// | timer | limits |
/// |---|---|
/// | [`acquire_timeout`](Self::acquire_timeout) | the time that one message waits in the pool for a connection |
/// | `Timeouts::connect` | resolving the name and connecting to one of its addresses |
/// | the other [`Timeouts`](postwire_proto::Timeouts) | one stage of the session each |
/// | `TransportBuilder::timeout` | each of the above, and the total time of one `send` |
/// | [`idle_timeout`](Self::idle_timeout), [`max_lifetime`](Self::max_lifetime) | the time that a connection is kept; never the time of a message |
/// | [`shutdown_timeout`](Self::shutdown_timeout) | `shutdown()` |
///
/// A message without a connection at the end of its time is not sent. The error is
/// [`TimedOut`](postwire_proto::ErrorKind::TimedOut) at [`Stage::Connect`](postwire_proto::Stage::Connect).
///
/// Every duration may be [`Duration::MAX`], which means no limit.
///
/// With the feature `serde` it is part of a configuration file: durations are numbers of seconds,
/// and settings that are missing keep their defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct PoolConfig {
    /// The maximum number of connections, including those that are being opened. Default 8; at
    /// least 1.
    pub max_connections: usize,
    /// The maximum number of idle connections that are kept. Default 8; with 0, each connection ends
    /// after its last message.
    pub max_idle: usize,
    /// The number of idle connections that are kept regardless of `idle_timeout`, so that a message
    /// after a long pause need not wait for a new one. Default 0.
    ///
    /// A server closes them after some minutes all the same, and `max_lifetime` applies to them.
    /// They are not opened in advance.
    pub min_idle: usize,
    /// The maximum number of messages on one connection at a time. Default 100; at least 1, with
    /// which sends never share a connection.
    ///
    /// Messages up to 1 MiB share connections, so that their commands travel in the same flights.
    /// The limit applies to [`Pipelining::Bold`](postwire_proto::Pipelining::Bold); in the other
    /// modes a connection has at most two messages.
    pub max_queued: usize,
    /// The time that an idle connection is kept. Default 60 seconds, because servers close idle
    /// connections after a few minutes.
    #[cfg_attr(feature = "serde", serde(with = "postwire_proto::seconds"))]
    pub idle_timeout: Duration,
    /// The time after which a connection is not used again. Default 10 minutes.
    #[cfg_attr(feature = "serde", serde(with = "postwire_proto::seconds"))]
    pub max_lifetime: Duration,
    /// The number of messages after which a connection is not used again. Default 1,000; at
    /// least 1.
    pub max_messages: u64,
    /// The time that a message waits for a connection while all are in use, or while the pool
    /// pauses. Default 5 minutes. With `None`, as with [`Duration::MAX`], only
    /// `TransportBuilder::timeout` limits the wait.
    #[cfg_attr(feature = "serde", serde(with = "postwire_proto::seconds::option"))]
    pub acquire_timeout: Option<Duration>,
    /// The time that `shutdown()` waits for messages that are queued or under way. Default 30
    /// seconds.
    ///
    /// At the end of that time `shutdown()` returns. Messages that still wait for a connection
    /// are not sent; messages that are under way continue and get their own verdicts.
    #[cfg_attr(feature = "serde", serde(with = "postwire_proto::seconds"))]
    pub shutdown_timeout: Duration,
    /// The pause after a server accepts no more sessions (421 or 4xx at the start of a session).
    /// Default 500 milliseconds; doubled with each consecutive failure.
    ///
    /// Connections that were being opened at the same time count as one failure.
    #[cfg_attr(feature = "serde", serde(with = "postwire_proto::seconds"))]
    pub first_pause: Duration,
    /// The longest pause. Default 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "postwire_proto::seconds"))]
    pub longest_pause: Duration,
}

impl PoolConfig {
    /// Sets the maximum number of connections, including those that are being opened.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets the maximum number of idle connections that are kept.
    #[must_use]
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// Sets the number of idle connections that are kept regardless of `idle_timeout`.
    #[must_use]
    pub fn min_idle(mut self, connections: usize) -> Self {
        self.min_idle = connections;
        self
    }

    /// Sets the maximum number of messages on one connection at a time.
    #[must_use]
    pub fn max_queued(mut self, messages: usize) -> Self {
        self.max_queued = messages;
        self
    }

    /// Sets the pause after a server accepts no more sessions.
    #[must_use]
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Sets the longest pause.
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Sets the time that an idle connection is kept.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets the time after which a connection is not used again.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// Sets the number of messages after which a connection is not used again.
    #[must_use]
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = messages;
        self
    }

    /// Sets the time that a message waits for a connection.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// Sets the time that `shutdown()` waits for messages that are queued or under way.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: 8,
            max_idle: 8,
            min_idle: 0,
            max_queued: 100,
            idle_timeout: Duration::from_secs(60),
            max_lifetime: Duration::from_secs(10 * 60),
            max_messages: 1_000,
            acquire_timeout: Some(Duration::from_secs(5 * 60)),
            shutdown_timeout: Duration::from_secs(30),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_kept() {
        let seconds = Duration::from_secs;
        let config = PoolConfig::default()
            .max_connections(1)
            .max_idle(2)
            .min_idle(3)
            .max_queued(4)
            .max_messages(5)
            .first_pause(seconds(6))
            .longest_pause(seconds(7))
            .idle_timeout(seconds(8))
            .max_lifetime(seconds(9))
            .acquire_timeout(Some(seconds(10)))
            .shutdown_timeout(seconds(11));
        let expected = PoolConfig {
            max_connections: 1,
            max_idle: 2,
            min_idle: 3,
            max_queued: 4,
            max_messages: 5,
            first_pause: seconds(6),
            longest_pause: seconds(7),
            idle_timeout: seconds(8),
            max_lifetime: seconds(9),
            acquire_timeout: Some(seconds(10)),
            shutdown_timeout: seconds(11),
        };
        assert_eq!(config, expected);
    }
}
