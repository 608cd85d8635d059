//! Keeping: when are a provider's keys fetched anew?
//!
//! A key that is not known may be a new one, so the set is fetched once for it. Whoever sends tokens with made-up key ids must not make
//! the issuer fetch for each: one fetch at a time, and a pause after each, whether it succeeded or not. What is kept does not last for
//! ever, either: a key that was withdrawn must end.

use std::time::Duration;

use hardtack::Timestamp;

use crate::jwk::KeySet;

/// How long after a fetch none is made for an unknown key: a rotated key is known half a minute later at the latest.
pub const COOLDOWN: Duration = Duration::from_secs(30);

/// After how long keys are fetched anew, though all are known: a withdrawn key is trusted no longer than that.
pub const FRESH: Duration = Duration::from_secs(3600);

/// For how long keys are believed if the provider does not answer. After that nothing it signed is accepted.
pub const BELIEVED: Duration = Duration::from_secs(4 * 3600);

/// What is to be done about a provider's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Use those that are known.
    Use,
    /// Fetch them, and say what came of it ([`Keys::fetched`], [`Keys::failed`]).
    Fetch,
    /// They cannot be used now: none are known, or too old ones, and a fetch is under way or was tried just now.
    Wait,
}

/// The keys of one provider, and when they were fetched.
#[derive(Debug, Default)]
pub struct Keys {
    known: Option<(KeySet, Timestamp)>,
    tried: Option<Timestamp>,
    is_fetching: bool,
}

impl Keys {
    /// Returns the keys that are known.
    pub fn known(&self) -> Option<&KeySet> {
        self.known.as_ref().map(|(keys, _)| keys)
    }

    /// Returns what to do before a token is checked; and again, with `lacks`, if it names a key that is not among those known.
    /// [`Next::Fetch`] is answered to one caller at a time.
    pub fn next(&mut self, lacks: bool, now: Timestamp) -> Next {
        let age = self.known.as_ref().map(|(_, at)| now.since(*at));
        let is_wanted = lacks || age.is_none_or(|age| age >= FRESH);
        let is_cool = self.tried.is_none_or(|at| at > now || now.since(at) >= COOLDOWN);
        if is_wanted && is_cool && !self.is_fetching {
            self.is_fetching = true;
            self.tried = Some(now);
            return Next::Fetch;
        }
        match age {
            Some(age) if age < BELIEVED => Next::Use,
            _ => Next::Wait,
        }
    }

    /// Keeps what was fetched.
    pub fn fetched(&mut self, keys: KeySet, now: Timestamp) {
        self.known = Some((keys, now));
        self.is_fetching = false;
    }

    /// Notes that a fetch failed. What is known stays known.
    pub fn failed(&mut self) {
        self.is_fetching = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_795_428_000 + seconds)
    }

    #[test]
    fn a_thousand_made_up_keys_cost_one_fetch_in_thirty_seconds() {
        let mut keys = Keys::default();
        assert_eq!(keys.next(false, at(0)), Next::Fetch);
        assert_eq!(keys.next(false, at(0)), Next::Wait);
        keys.fetched(KeySet::default(), at(1));
        let fetches = (0..1000).map(|each| {
            let next = keys.next(true, at(30 + each / 40));
            if next == Next::Fetch {
                keys.fetched(KeySet::default(), at(30 + each / 40));
            }
            next
        });
        assert_eq!(fetches.filter(|next| *next == Next::Fetch).count(), 1);
        assert_eq!(keys.next(true, at(60)), Next::Fetch);
    }

    #[test]
    fn what_fails_is_not_tried_at_once_again_and_what_is_old_is_not_believed() {
        let mut keys = Keys::default();
        assert_eq!(keys.next(false, at(0)), Next::Fetch);
        keys.failed();
        assert_eq!(keys.next(false, at(29)), Next::Wait);
        assert_eq!(keys.next(false, at(30)), Next::Fetch);
        keys.fetched(KeySet::default(), at(30));
        assert_eq!(keys.next(false, at(3629)), Next::Use);
        assert_eq!(keys.next(false, at(3630)), Next::Fetch);
        // Others go on meanwhile.
        assert_eq!(keys.next(false, at(3630)), Next::Use);
        keys.failed();
        assert_eq!(keys.next(false, at(3630 + 29)), Next::Use);
        assert_eq!(keys.next(false, at(30 + 4 * 3600 - 1)), Next::Fetch);
        keys.failed();
        assert_eq!(keys.next(false, at(30 + 4 * 3600)), Next::Wait);
    }
}
