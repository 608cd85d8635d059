//! Keeping: when are a provider's keys fetched anew?
//!
//! A key that is not known may be a new one, so the set is fetched once for it. Whoever sends tokens with made-up key ids must not make
//! the issuer fetch for each: a pause after the beginning of each, which is longer than a fetch may take, whatever came of it. What is kept
//! does not last for ever, either: a key that was withdrawn must end.

use std::time::Duration;

use hardtack::Timestamp;

use crate::jwk::KeySet;

/// How long after a fetch was begun no other is: a rotated key is known half a minute later at the latest.
pub const COOLDOWN: Duration = Duration::from_secs(30);

/// After how long keys are fetched anew, though all are known: a withdrawn key is trusted no longer than that.
pub const FRESH: Duration = Duration::from_secs(3600);

/// For how long keys are believed if the provider does not answer. After that nothing it signed is accepted.
pub const BELIEVED: Duration = Duration::from_secs(4 * 3600);

/// By how much a clock may be set back while keys count as fetched just now. If it is set back by more, they are fetched anew: it could
/// take years until they are old.
const SET_BACK: Duration = Duration::from_secs(60);

/// What is to be done about a provider's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Use those that are known.
    Use,
    /// Fetch them, and keep what came of it ([`Keys::fetched`]).
    Fetch,
    /// They cannot be used now: none are known, or too old ones, and a fetch is under way or was tried just now.
    Wait,
}

/// The keys of one provider, and when they were fetched.
#[derive(Debug, Default)]
pub struct Keys {
    known: Option<(KeySet, Timestamp)>,
    tried: Option<Timestamp>,
}

impl Keys {
    /// Returns the keys that are known.
    pub fn known(&self) -> Option<&KeySet> {
        self.known.as_ref().map(|(keys, _)| keys)
    }

    /// Returns what to do before a token is checked; and again, with `lacks`, if it names a key that is not among those known.
    /// [`Next::Fetch`] is answered to one caller in [`COOLDOWN`]: a fetch that ends in no way keeps nobody from the next one.
    pub fn next(&mut self, lacks: bool, now: Timestamp) -> Next {
        let known = self.known.as_ref().filter(|(_, at)| *at <= now + SET_BACK);
        let age = known.map(|(_, at)| now.since(*at));
        let is_wanted = lacks || age.is_none_or(|age| age >= FRESH);
        let is_cool = self.tried.is_none_or(|at| at > now + SET_BACK || now.since(at) >= COOLDOWN);
        if is_wanted && is_cool {
            self.tried = Some(now);
            return Next::Fetch;
        }
        match age {
            Some(age) if age < BELIEVED => Next::Use,
            _ => Next::Wait,
        }
    }

    /// Keeps what was fetched. If nothing came of a fetch, what is known stays known.
    pub fn fetched(&mut self, keys: KeySet, now: Timestamp) {
        self.known = Some((keys, now));
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
        assert_eq!(keys.next(false, at(29)), Next::Wait);
        assert_eq!(keys.next(false, at(30)), Next::Fetch);
        keys.fetched(KeySet::default(), at(30));
        assert_eq!(keys.next(false, at(3629)), Next::Use);
        assert_eq!(keys.next(false, at(3630)), Next::Fetch);
        // Others go on meanwhile.
        assert_eq!(keys.next(false, at(3630)), Next::Use);
        assert_eq!(keys.next(false, at(3630 + 29)), Next::Use);
        assert_eq!(keys.next(false, at(30 + 4 * 3600 - 1)), Next::Fetch);
        assert_eq!(keys.next(false, at(30 + 4 * 3600)), Next::Wait);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_make_keys_last() {
        let mut keys = Keys::default();
        let ahead = at(10 * 365 * 86_400);
        assert_eq!(keys.next(false, ahead), Next::Fetch);
        keys.fetched(KeySet::default(), ahead);
        assert_eq!(keys.next(false, ahead), Next::Use);
        assert_eq!(keys.next(false, at(0)), Next::Fetch);
        assert_eq!(keys.next(false, at(1)), Next::Wait);
        keys.fetched(KeySet::default(), at(1));
        assert_eq!(keys.next(false, at(2)), Next::Use);
        // By a second or two it is set back all the time.
        assert_eq!(keys.next(true, at(0)), Next::Use);
    }
}
