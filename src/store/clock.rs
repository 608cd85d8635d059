//! Clock: what the store makes of the times that it is told, which may jump.
//!
//! The latest moment is kept as a high-water mark. A step ahead of more than an hour is a jump, and doubts the clock until tokens made
//! before it have expired.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::profile::CLOCK_SKEW;
use crate::revocation::{GRACE, LONGEST_STEP};
use crate::timestamp::Timestamp;

/// The latest moment that the store was ever told, and when the clock last jumped ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clock {
    pub(super) high_water: Option<Timestamp>,
    pub(super) jumped: Option<Timestamp>,
}

/// A reason not to trust the clock enough to forget anything ([`Store::collect`](crate::Store::collect)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockDoubt {
    /// The clock stands before a moment that the store was told already.
    #[error(
        "the clock says {now}, and this store has already seen {seen}: one of the two is wrong"
    )]
    Behind {
        /// The moment that the clock says now.
        now: Timestamp,
        /// The latest moment that the store was told.
        seen: Timestamp,
    },
    /// The clock went ahead by more than an hour in one step, and not long enough ago.
    #[error(
        "the clock went ahead to {landed} in one step of over an hour; before {until} it is not known whether that was right"
    )]
    Jumped {
        /// The moment to which the clock went.
        landed: Timestamp,
        /// The moment when every token made before the jump has expired; the doubt ends then.
        until: Timestamp,
    },
}

impl ClockDoubt {
    /// Returns the stable name of the cause: [`Cause::ClockDoubted`].
    pub fn cause(&self) -> Cause {
        Cause::ClockDoubted
    }
}

impl Clock {
    /// Takes note of the time.
    pub(super) fn observe(&mut self, now: Timestamp) {
        match self.high_water {
            Some(seen) if now <= seen => {}
            Some(seen) if now.since(seen) > LONGEST_STEP => {
                self.jumped = Some(now);
                self.high_water = Some(now);
            }
            _ => self.high_water = Some(now),
        }
    }

    /// Of two states of the clock the one that has been told more.
    pub(super) fn later(self, other: Clock) -> Clock {
        if other.high_water >= self.high_water { other } else { self }
    }

    /// The moment to which new revocations count: now, or the latest moment ever told if the clock went
    /// back since. A revocation that counted to an earlier moment would be forgotten too early.
    pub(super) fn base(&self, now: Timestamp) -> Timestamp {
        self.high_water.map_or(now, |seen| seen.max(now))
    }

    /// Whether the clock may be trusted to forget what no token that lives `longest` can hold.
    pub(super) fn doubt(&self, now: Timestamp, longest: Duration) -> Option<ClockDoubt> {
        if let Some(seen) = self.high_water.filter(|seen| now + CLOCK_SKEW < *seen) {
            return Some(ClockDoubt::Behind { now, seen });
        }
        let landed = self.jumped?;
        let until = landed + longest + GRACE;
        (now < until).then_some(ClockDoubt::Jumped { landed, until })
    }
}

/// A few stretches of time, as few as keep the long gaps between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moments(Vec<(Timestamp, Timestamp)>);

/// How many stretches are told apart. There is one more only when the clock was wrong for hours; when
/// there are too many, the two nearest are joined, which refuses more and not less.
const MAX_STRETCHES: usize = 16;

impl Moments {
    /// Adds one; nearby stretches grow together.
    pub(super) fn add(&mut self, moment: Timestamp) {
        self.add_stretch(moment, moment);
    }

    /// Adds all from `start` to `end`.
    pub(super) fn add_stretch(&mut self, start: Timestamp, end: Timestamp) {
        self.0.push((start, end));
        self.0.sort();
        let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
        for (start, end) in self.0.drain(..) {
            match joined.last_mut() {
                Some(last) if start <= last.1 + LONGEST_STEP => last.1 = last.1.max(end),
                _ => joined.push((start, end)),
            }
        }
        while joined.len() > MAX_STRETCHES {
            let gap = |at: &usize| joined[at + 1].0.since(joined[*at].1);
            let Some(nearest) = (0..joined.len() - 1).min_by_key(gap) else { break };
            let (_, end) = joined.remove(nearest + 1);
            joined[nearest].1 = end;
        }
        self.0 = joined;
    }

    pub(super) fn contains(&self, moment: Timestamp) -> bool {
        self.0.iter().any(|(start, end)| (*start..=*end).contains(&moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_795_428_000 + seconds)
    }

    #[test]
    fn a_jump_ahead_is_doubted_until_a_token_from_before_would_have_expired() {
        let mut clock = Clock::default();
        clock.observe(at(0));
        clock.observe(at(3600));
        assert_eq!(clock.doubt(at(3600), DAY), None);
        clock.observe(at(3600 + 3601));
        assert!(matches!(clock.doubt(at(7201), DAY), Some(ClockDoubt::Jumped { .. })));
        let until = 7201 + 25 * 3600;
        assert!(clock.doubt(at(until - 1), DAY).is_some());
        assert_eq!(clock.doubt(at(until), DAY), None);
    }

    #[test]
    fn a_clock_that_went_back_is_doubted_and_does_not_move_the_base() {
        let mut clock = Clock::default();
        clock.observe(at(1000));
        clock.observe(at(0));
        assert_eq!(clock.base(at(0)), at(1000));
        assert!(matches!(clock.doubt(at(0), DAY), Some(ClockDoubt::Behind { .. })));
        assert_eq!(clock.doubt(at(940), DAY), None);
    }

    #[test]
    fn stretches_grow_together_and_stay_few() {
        let mut moments = Moments::default();
        for hour in 0..50 {
            moments.add(at(hour * 3600));
        }
        assert_eq!(moments.0.len(), 1);
        for day in 2..60 {
            moments.add(at(day * 86_400 * 2));
            assert!(moments.0.len() <= MAX_STRETCHES);
            assert!(moments.contains(at(day * 86_400 * 2)));
        }
        assert!(!moments.contains(at(60 * 86_400 * 2)));
    }
}
