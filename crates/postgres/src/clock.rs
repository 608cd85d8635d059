//! Clock: what the log makes of the times that it is told, which may jump.

use std::time::Duration;

use hardtack::Timestamp;

/// A step ahead of more than this counts as a jump, as in a store.
const LONGEST_STEP: Duration = Duration::from_secs(3600);

/// How much longer than a token can live the clock is in doubt after a jump.
const GRACE: Duration = Duration::from_secs(3600);

/// By how much a clock may stand before what was told, since the clocks of two machines differ.
const SKEW: Duration = Duration::from_secs(60);

/// The latest moment that was ever told, and when the clock last jumped ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) latest: Option<Timestamp>,
    pub(crate) jumped: Option<Timestamp>,
}

impl Clock {
    /// Takes note of the time. Returns the moment to which a revocation counts: the latest that was ever told.
    pub(crate) fn observe(&mut self, now: Timestamp) -> Timestamp {
        let latest = self.latest.unwrap_or(now);
        if now.since(latest) > LONGEST_STEP {
            self.jumped = Some(now);
        }
        self.latest = Some(latest.max(now));
        latest.max(now)
    }

    /// Whether the clock may not be trusted to forget what no token that lives `longest` can hold.
    pub(crate) fn is_in_doubt(&self, now: Timestamp, longest: Duration) -> bool {
        let is_behind = self.latest.is_some_and(|latest| now + SKEW < latest);
        is_behind || self.jumped.is_some_and(|jumped| now < jumped + longest + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_795_428_000 + seconds)
    }

    #[test]
    fn a_clock_is_in_doubt_after_a_jump_and_before_what_was_told() {
        let (mut clock, day) = (Clock::default(), Duration::from_secs(24 * 3600));
        assert_eq!(clock.observe(at(0)), at(0));
        assert_eq!(clock.observe(at(3600)), at(3600));
        assert!(!clock.is_in_doubt(at(3600), day) && !clock.is_in_doubt(at(3540), day));
        assert!(clock.is_in_doubt(at(3539), day));
        clock.observe(at(7201));
        let until = 7201 + 25 * 3600;
        assert!(clock.is_in_doubt(at(until - 1), day) && !clock.is_in_doubt(at(until), day));
        assert_eq!(clock.observe(at(0)), at(7201));
    }
}
