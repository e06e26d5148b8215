//! Durations as numbers of seconds, for `#[serde(with = "…")]` (feature `serde`).
//!
//! A duration is written as a whole number where it is one. Any number from 0 is read; one that no
//! [`Duration`] can hold is [`Duration::MAX`], which means no limit.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     #[serde(with = "postwire_proto::seconds")]
//!     retry_after: Duration,
//! }
//!
//! let settings: Settings = serde_json::from_str(r#"{"retry_after": 1.5}"#)?;
//! assert_eq!(settings.retry_after, Duration::from_millis(1_500));
//! # Ok::<(), serde_json::Error>(())
//! ```

use core::fmt;
use core::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a duration.
///
/// # Errors
///
/// Returns the errors of the format.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    Seconds(*duration).serialize(serializer)
}

/// Reads a duration.
///
/// # Errors
///
/// Returns the errors of the format, and an error for anything but a number from 0.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Seconds::deserialize(deserializer).map(|seconds| seconds.0)
}

/// Durations that may be absent, as numbers of seconds or nothing.
pub mod option {
    use super::{Deserialize, Deserializer, Duration, Seconds, Serialize, Serializer};

    /// Writes a duration, or nothing.
    ///
    /// # Errors
    ///
    /// Returns the errors of the format.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(Seconds).serialize(serializer)
    }

    /// Reads a duration, or nothing.
    ///
    /// # Errors
    ///
    /// Returns the errors of the format, and an error for anything but a number from 0.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<Seconds>::deserialize(deserializer)?;
        Ok(seconds.map(|seconds| seconds.0))
    }
}

/// A duration in its serialised form.
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.subsec_nanos() {
            0 => serializer.serialize_u64(self.0.as_secs()),
            _ => serializer.serialize_f64(self.0.as_secs_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number of seconds from 0")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Seconds, E> {
        Ok(Seconds(Duration::from_secs(seconds)))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Seconds, E> {
        match u64::try_from(seconds) {
            Ok(seconds) => self.visit_u64(seconds),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(seconds), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Seconds, E> {
        if seconds.is_nan() || seconds < 0.0 {
            return Err(E::invalid_value(de::Unexpected::Float(seconds), &self));
        }
        let duration = Duration::try_from_secs_f64(seconds);
        Ok(Seconds(duration.unwrap_or(Duration::MAX)))
    }
}
