//! Timestamp: a moment in whole seconds, as tokens state it.
//!
//! The library never reads a clock. The caller says what time it is, once per decision.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cause::Cause;

/// A moment: whole seconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
///
/// Written as RFC 3339 in UTC (`2026-11-23T10:00:00Z`), in text as in JSON. Arithmetic stops at the
/// ends of the range instead of wrapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The end of the year 9999, the last moment that RFC 3339 can write.
    pub const MAX: Timestamp = Timestamp(253_402_300_799);

    /// Returns the moment `seconds` after 1970-01-01T00:00:00Z; [`Timestamp::MAX`] at the latest.
    pub const fn from_unix_seconds(seconds: u64) -> Timestamp {
        if seconds > Timestamp::MAX.0 { Timestamp::MAX } else { Timestamp(seconds) }
    }

    /// Returns the whole seconds since 1970-01-01T00:00:00Z.
    pub const fn unix_seconds(self) -> u64 {
        self.0
    }

    /// Reads a moment in RFC 3339, such as `2026-11-23T10:00:00Z` or `2026-11-23T11:00:00+01:00`. Fractions of a second
    /// are cut off.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] for anything else, and for moments before 1970.
    pub fn parse(text: &str) -> Result<Timestamp, TimestampError> {
        OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .and_then(|moment| u64::try_from(moment.unix_timestamp()).ok())
            .filter(|seconds| *seconds <= Timestamp::MAX.0)
            .map(Timestamp)
            .ok_or(TimestampError)
    }

    /// Returns the time from `earlier` to this moment, in whole seconds; zero if this moment is not later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, duration: Duration) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.saturating_add(duration.as_secs()))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(duration.as_secs()))
    }
}

impl From<SystemTime> for Timestamp {
    /// Returns the moment in whole seconds; fractions are cut off. A clock before 1970 gives 1970, when no grant has
    /// been issued yet.
    fn from(moment: SystemTime) -> Timestamp {
        let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Timestamp::from_unix_seconds(seconds)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .ok_or(fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The error of a text that is no RFC 3339 moment between 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written as RFC 3339, such as 2026-11-23T10:00:00Z")]
pub struct TimestampError;

impl TimestampError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedTime
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_seconds_say_the_same_moment() {
        let moment = Timestamp::from_unix_seconds(1_795_428_000);
        assert_eq!(moment.to_string(), "2026-11-23T10:00:00Z");
        assert_eq!(Timestamp::parse("2026-11-23T11:00:00+01:00"), Ok(moment));
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn moments_outside_the_range_are_refused() {
        for text in ["", "now", "2026-11-23", "1969-12-31T23:59:59Z", "2026-11-23T10:00:00"] {
            assert_eq!(Timestamp::parse(text), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        let start = Timestamp::from_unix_seconds(0);
        assert_eq!(start - Duration::from_secs(1), start);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(5)), start);
    }
}
