//! The configuration of the pool.

use std::time::Duration;

use postwire_blocking::transport;

/// The configuration of the pool, with lettre's names and values.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    min_idle: u32,
    max_size: u32,
    idle_timeout: Duration,
}

impl PoolConfig {
    /// Creates a configuration with the default values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of idle connections that are kept after a pause. Default 0.
    ///
    /// They are not opened in advance, as in lettre.
    #[must_use]
    pub fn min_idle(mut self, min_idle: u32) -> Self {
        self.min_idle = min_idle;
        self
    }

    /// Sets the maximum number of connections. Default 10.
    ///
    /// Sends that find no free connection share one with other sends, or wait for one. lettre opens
    /// any number of connections, and keeps so many afterwards.
    #[must_use]
    pub fn max_size(mut self, max_size: u32) -> Self {
        self.max_size = max_size;
        self
    }

    /// Sets the time that an idle connection is kept. Default 60 seconds.
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            min_idle: 0,
            max_size: 10,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl From<PoolConfig> for transport::PoolConfig {
    fn from(config: PoolConfig) -> Self {
        let size = config.max_size as usize;
        Self::default()
            .max_connections(size.max(1))
            .max_idle(size)
            .min_idle(config.min_idle as usize)
            .idle_timeout(config.idle_timeout)
    }
}
