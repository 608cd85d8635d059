//! Life: when does what is signed now expire?

use std::fmt;
use std::time::Duration;

use crate::cause::Cause;
use crate::timestamp::Timestamp;

/// The error of a life that cannot be given to a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifeError {
    /// The life is shorter than a second, or not in whole seconds.
    #[error("a life is at least one second, in whole seconds")]
    NotWholeSeconds,
    /// The life is longer than verifiers accept, or than the signer gives.
    #[error(
        "a life of {} is longer than the {} that verifiers accept; ask for less",
        Seconds(asked),
        Seconds(longest)
    )]
    TooLong {
        /// The life that was asked for.
        asked: Duration,
        /// The longest life.
        longest: Duration,
    },
    /// The block would expire after its parent.
    #[error(
        "it would expire at {asked}, after its parent, which expires at {parent}; ask for at most {}",
        Seconds(left)
    )]
    OutlivesParent {
        /// The moment at which it would expire.
        asked: Timestamp,
        /// The moment at which its parent expires.
        parent: Timestamp,
        /// The time for which the parent still lives.
        left: Duration,
    },
    /// The parent has expired.
    #[error("the token expired at {expired}; ask whoever delegated it for a new one")]
    ParentExpired {
        /// The moment at which it expired.
        expired: Timestamp,
    },
}

impl LifeError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            LifeError::NotWholeSeconds => Cause::MalformedLife,
            LifeError::TooLong { .. } => Cause::LifeTooLong,
            LifeError::OutlivesParent { .. } => Cause::BeyondExpiry,
            LifeError::ParentExpired { .. } => Cause::Expired,
        }
    }
}

/// The lives of one kind of block, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    /// What was asked for, if anything was.
    pub(crate) asked: Option<Duration>,
    /// What is given otherwise.
    pub(crate) default: Duration,
    /// The most that is given.
    pub(crate) longest: Duration,
}

impl Life {
    /// The expiry of a block signed `now` under a parent that expires at `parent`. What was asked for
    /// is given whole or not at all; a default is cut to the parent's life.
    pub(crate) fn expiry(self, now: Timestamp, parent: Timestamp) -> Result<Timestamp, LifeError> {
        if parent <= now {
            return Err(LifeError::ParentExpired { expired: parent });
        }
        let Some(asked) = self.asked else {
            return Ok((now + self.default.min(self.longest)).min(parent));
        };
        if asked < Duration::from_secs(1) || asked.subsec_nanos() != 0 {
            return Err(LifeError::NotWholeSeconds);
        }
        if asked > self.longest {
            return Err(LifeError::TooLong { asked, longest: self.longest });
        }
        match now + asked {
            expires if expires > parent => {
                Err(LifeError::OutlivesParent { asked: expires, parent, left: parent.since(now) })
            }
            expires => Ok(expires),
        }
    }
}

/// A duration as people write it: `1h 30m`, `90s`.
pub(crate) struct Seconds<'a>(pub(crate) &'a Duration);

impl fmt::Display for Seconds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ];
        let written: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
        if written.is_empty() { f.write_str("0s") } else { f.write_str(&written.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    fn life(asked: Option<u64>) -> Life {
        let seconds = Duration::from_secs;
        Life { asked: asked.map(seconds), default: seconds(900), longest: seconds(3600) }
    }

    #[test]
    fn a_default_is_cut_to_the_parent_and_a_wish_is_not() {
        let parent = NOW + Duration::from_secs(60);
        assert_eq!(life(None).expiry(NOW, parent), Ok(parent));
        assert_eq!(life(Some(60)).expiry(NOW, parent), Ok(parent));
        assert!(matches!(
            life(Some(61)).expiry(NOW, parent),
            Err(LifeError::OutlivesParent { .. })
        ));
    }

    #[test]
    fn lives_have_bounds() {
        assert!(matches!(
            life(Some(3601)).expiry(NOW, Timestamp::MAX),
            Err(LifeError::TooLong { .. })
        ));
        assert_eq!(
            life(Some(3600)).expiry(NOW, Timestamp::MAX),
            Ok(NOW + Duration::from_secs(3600))
        );
        assert_eq!(life(Some(1)).expiry(NOW, Timestamp::MAX), Ok(NOW + Duration::from_secs(1)));
        assert_eq!(life(Some(0)).expiry(NOW, Timestamp::MAX), Err(LifeError::NotWholeSeconds));
        for millis in [999, 1001, 1500] {
            let asked = Some(Duration::from_millis(millis));
            let refused = Life { asked, ..life(None) }.expiry(NOW, Timestamp::MAX);
            assert_eq!(refused, Err(LifeError::NotWholeSeconds), "{millis} ms");
        }
        assert!(matches!(life(None).expiry(NOW, NOW), Err(LifeError::ParentExpired { .. })));
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(Seconds(&Duration::from_secs(5400)).to_string(), "1h 30m");
        assert_eq!(Seconds(&Duration::from_secs(0)).to_string(), "0s");
        assert_eq!(Seconds(&Duration::from_secs(1)).to_string(), "1s");
        let of_each = 2 * 86_400 + 3 * 3600 + 4 * 60 + 5;
        assert_eq!(Seconds(&Duration::from_secs(of_each)).to_string(), "2d 3h 4m 5s");
        assert_eq!(Seconds(&Duration::from_secs(86_400 + 60)).to_string(), "1d 1m");
    }
}
