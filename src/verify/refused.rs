//! Refused: which bearers were refused a moment ago, for their own sake?
//!
//! A negative cache. A bearer that is not valid costs as much each time that it comes. What is remembered is that it is
//! not of the profile's shape, that it has expired, or that no trusted root and holders signed it: that rests on its
//! bytes, on the roots of the verifier that remembers, and on the moment. What rests on revocations is never
//! remembered.

use std::cell::OnceCell;
use std::fmt;
use std::time::Duration;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::chain::Chain;
use crate::timestamp::Timestamp;
use crate::verify::VerifyError;

/// How many are remembered. One takes some two hundred bytes, whatever the bearer has.
const MAX_REMEMBERED: usize = 1024;

/// For how long: a client that tries again in vain does so within seconds.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// SHA-256 of a bearer: it may be as long as a bearer can be, and is not kept.
pub(super) type RefusedKey = [u8; 32];

pub(super) struct RefusedBearers(Cache<RefusedKey, Refused>);

#[derive(Clone)]
struct Refused {
    error: VerifyError,
    since: Timestamp,
    /// From when on the cause is another.
    until: Timestamp,
}

impl RefusedBearers {
    pub(super) fn new() -> RefusedBearers {
        RefusedBearers(Cache::new(MAX_REMEMBERED))
    }

    /// Under what a bearer is remembered; reckoned when it is asked for the first time.
    pub(super) fn key_of(bearer: &str) -> impl Fn() -> RefusedKey {
        let key = OnceCell::new();
        move || *key.get_or_init(|| Sha256::digest(bearer).into())
    }

    /// Why this one was refused, if that is what would be said as of `now`.
    pub(super) fn recall(&self, bearer: &RefusedKey, now: Timestamp) -> Option<VerifyError> {
        let refused = self.0.get(bearer)?;
        // A clock that was set back says nothing of what was.
        (refused.since <= now && now < refused.until).then_some(refused.error)
    }

    /// `chain` is what the bearer says, if it could be read.
    pub(super) fn keep(
        &self,
        bearer: RefusedKey,
        error: &VerifyError,
        chain: Option<&Chain>,
        now: Timestamp,
    ) {
        let rests_on_the_bearer = matches!(
            error,
            VerifyError::Shape(_)
                | VerifyError::Expired { .. }
                | VerifyError::UnknownRoot
                | VerifyError::Signature { .. }
        );
        if !rests_on_the_bearer {
            return;
        }
        // When the next of its blocks expires, that is the cause.
        let expiries = chain.into_iter().flat_map(|chain| chain.expiries());
        let next = expiries.map(|(_, expires)| expires).filter(|expires| *expires > now).min();
        let forgotten = now + REMEMBERED_FOR;
        let until = next.map_or(forgotten, |next| next.min(forgotten));
        self.0.insert(bearer, Refused { error: error.clone(), since: now, until });
    }
}

impl fmt::Debug for RefusedBearers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefusedBearers").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ShapeError;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    #[test]
    fn a_refusal_is_remembered_for_a_moment_and_not_before_it_was_made() {
        let refused = RefusedBearers::new();
        let error = VerifyError::Shape(ShapeError::NotABiscuit);
        refused.keep([1; 32], &error, None, NOW);
        let last = NOW + (REMEMBERED_FOR - Duration::from_secs(1));
        assert_eq!(refused.recall(&[1; 32], NOW), Some(error.clone()));
        assert_eq!(refused.recall(&[1; 32], last), Some(error));
        assert_eq!(refused.recall(&[1; 32], NOW + REMEMBERED_FOR), None);
        assert_eq!(refused.recall(&[1; 32], Timestamp::from_unix_seconds(1_795_427_999)), None);
        assert_eq!(refused.recall(&[2; 32], NOW), None);
    }

    #[test]
    fn what_another_moment_or_another_revocation_could_lift_is_not_remembered() {
        let refused = RefusedBearers::new();
        for error in [
            VerifyError::NotYetIssued { issued: NOW },
            VerifyError::RevocationsForgotten { issued: NOW, until: NOW, retry_after: None },
            VerifyError::WrongAudience { audience: "other.mcp".to_owned() },
        ] {
            refused.keep([1; 32], &error, None, NOW);
            assert_eq!(refused.recall(&[1; 32], NOW), None, "{error}");
        }
    }

    #[test]
    fn many_bearers_take_no_more_room_than_some() {
        let refused = RefusedBearers::new();
        for number in 0..20 * MAX_REMEMBERED as u64 {
            let mut bearer = [0; 32];
            bearer[..8].copy_from_slice(&number.to_le_bytes());
            refused.keep(bearer, &VerifyError::UnknownRoot, None, NOW);
        }
        assert!(refused.0.len() <= MAX_REMEMBERED);
    }
}
