//! What a pool is told beforehand.

use std::time::Duration;

/// How many connections there may be, for how long, and how long a message waits for one.
///
/// # Which timer bounds what
///
/// | timer | bounds |
/// |---|---|
/// | [`acquire_timeout`](Self::acquire_timeout) | the wait of one message for its turn in the pool |
/// | `Timeouts::connect` | resolving the name and connecting to one of its addresses |
/// | the other [`Timeouts`](postwire_proto::Timeouts) | one stage of the session each |
/// | `TransportBuilder::timeout` | each of the above, and all of one `send` together |
/// | [`idle_timeout`](Self::idle_timeout), [`max_lifetime`](Self::max_lifetime) | how long a connection is kept; never a message |
/// | [`shutdown_timeout`](Self::shutdown_timeout) | `shutdown()` |
///
/// A message that had no connection when its time was up was not sent: the error is
/// [`TimedOut`](postwire_proto::ErrorKind::TimedOut) at [`Stage::Connect`](postwire_proto::Stage::Connect).
///
/// Every duration may be [`Duration::MAX`], which means for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Live connections at once, those being opened included. 8; at least 1.
    pub max_connections: usize,
    /// Connections kept though nobody needs them. 8.
    pub max_idle: usize,
    /// How long one is kept unused. 60 seconds: servers hang up after a few
    /// minutes, and one that is about to is of no use.
    pub idle_timeout: Duration,
    /// How long one is used at all. 10 minutes.
    pub max_lifetime: Duration,
    /// Messages sent over one before it is replaced. 1,000.
    pub max_messages: u64,
    /// How long a message waits for a connection while all are in use, or while the pool
    /// pauses. 5 minutes. `None` means that only `TransportBuilder::timeout` bounds the wait.
    pub acquire_timeout: Option<Duration>,
    /// How long `shutdown()` waits for the messages that are queued or under way. 30 seconds.
    ///
    /// After that time messages that still wait for a connection are not sent, and those that
    /// are under way go on to their own verdicts; `shutdown()` returns at once.
    pub shutdown_timeout: Duration,
    /// The pause after a server said that it has no room (421 or 4xx at the
    /// start of a session); doubled each time in a row. 500 milliseconds.
    ///
    /// Connections that were being opened at the same time count as one failure.
    pub first_pause: Duration,
    /// The longest such pause. 30 seconds.
    pub longest_pause: Duration,
}

impl PoolConfig {
    /// At most this many live connections, those being opened included.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// At most this many connections kept though nobody needs them.
    #[must_use]
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// How long a connection is kept unused.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long a connection is used at all.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// How many messages are sent over a connection before it is replaced.
    #[must_use]
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = messages;
        self
    }

    /// How long a message waits for a connection.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// How long `shutdown()` waits for what is queued or under way.
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
