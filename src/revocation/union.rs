//! Union: several sources of revocations, asked as one.

use std::cmp::Reverse;
use std::fmt;

use crate::chain::Chain;
use crate::keys::PublicKey;
use crate::profile::Lifetimes;
use crate::revocation::{Knowledge, RevocationSource, RevocationsUnavailable, Revoked, RevokedBy};
use crate::timestamp::Timestamp;

/// Several sources of revocations that are asked as one: a verifier's own store and copies of others', say.
///
/// - Revoked is what any of them says is revoked. Of several answers the one at the lowest block counts; of those at one block the one
///   that lasts longest, for good before any moment. What may have been [forgotten](RevokedBy::Forgotten) comes after all that is known.
/// - Where none says so, and one cannot answer, the union cannot.
/// - It is as fresh as the oldest of them. [`RevocationUnchecked`](crate::revocation::RevocationUnchecked) beside others adds nothing.
/// - All of them hear for how long they are to remember.
///
/// ```
/// use hardtack::revocation::{RevocationList, Union};
/// use hardtack::*;
/// # let now = Timestamp::from_unix_seconds(1_795_428_000);
/// let (own, others) = (Store::in_memory()?, Store::in_memory()?);
/// let copy = Revocations::copied(&others.reader().revocation_list(now)?);
/// let roots = RootKeys::of(PrivateKey::generate().public());
/// let source = Union::of(own.revocations()).and(copy.clone());
/// let verifier = Verifier::new(roots, "notion.mcp", source)?;
/// // Every few seconds:
/// copy.renew(&others.reader().revocation_list(now)?, now)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Union(Vec<Box<dyn RevocationSource>>);

impl Union {
    /// Makes a union of one source, to which [`Union::and`] adds others.
    pub fn of(source: impl RevocationSource + 'static) -> Union {
        Union(vec![Box::new(source)])
    }

    /// Adds a source, which is asked too.
    pub fn and(mut self, source: impl RevocationSource + 'static) -> Union {
        self.0.push(Box::new(source));
        self
    }
}

impl RevocationSource for Union {
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        let (mut found, mut unavailable): (Option<Revoked>, _) = (None, None);
        for source in &self.0 {
            match source.revoked(chain, root) {
                Ok(Some(revoked)) => {
                    found = Some(match found.take() {
                        Some(before) if rank(&before) <= rank(&revoked) => before,
                        _ => revoked,
                    });
                }
                Ok(None) => {}
                Err(error) => unavailable = unavailable.or(Some(error)),
            }
        }
        match (found, unavailable) {
            (None, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    fn knowledge(&self) -> Knowledge {
        let known = self.0.iter().map(|source| source.knowledge());
        known.reduce(both).unwrap_or(Knowledge::Unchecked)
    }

    fn keep_for(&self, lifetimes: &Lifetimes) {
        self.0.iter().for_each(|source| source.keep_for(lifetimes));
    }
}

impl fmt::Debug for Union {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Union").field(&self.0.len()).finish()
    }
}

/// What counts comes first.
fn rank(revoked: &Revoked) -> (bool, usize, Reverse<Timestamp>) {
    let is_forgotten = matches!(revoked.by, RevokedBy::Forgotten { .. });
    let until = revoked.by.until().unwrap_or(Timestamp::MAX);
    (is_forgotten, revoked.block, Reverse(until))
}

/// What two know together.
fn both(one: Knowledge, other: Knowledge) -> Knowledge {
    let (Some((oldest, newest)), Some((older, newer))) = (one.span(), other.span()) else {
        // Whoever looks at nothing takes nothing away from the other, and whoever knows at once is older than none.
        return match (one, other) {
            (Knowledge::Unchecked, other) | (other, Knowledge::Unchecked) => other,
            (Knowledge::Live, other) | (other, Knowledge::Live) => other,
            (one, _) => one,
        };
    };
    match (oldest.min(older), newest.max(newer)) {
        (oldest, newest) if oldest == newest => Knowledge::AsOf(oldest),
        (oldest, newest) => Knowledge::Between { oldest, newest },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::RevocationUnchecked;
    use crate::revocation::copy::tests::chain;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    /// Says what it is told to say.
    #[derive(Clone)]
    struct Says(Result<Option<Revoked>, RevocationsUnavailable>, Knowledge);

    impl RevocationSource for Says {
        fn revoked(
            &self,
            _: &Chain,
            _: &PublicKey,
        ) -> Result<Option<Revoked>, RevocationsUnavailable> {
            self.0.clone()
        }

        fn knowledge(&self) -> Knowledge {
            self.1
        }
    }

    fn says(answer: Result<Option<Revoked>, &str>) -> Says {
        Says(answer.map_err(|error| RevocationsUnavailable(error.to_owned())), Knowledge::Live)
    }

    /// What is answered, whoever is asked first.
    fn asked(
        one: Result<Option<Revoked>, &str>,
        other: Result<Option<Revoked>, &str>,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        let key = crate::keys::PrivateKey::from_bytes(&[7; 32]).public();
        let ask = |one, other| {
            let union = Union::of(RevocationUnchecked).and(says(one)).and(says(other));
            union.revoked(&chain(NOW, 1), &key)
        };
        let answer = ask(one.clone(), other.clone());
        assert_eq!(answer, ask(other, one));
        answer
    }

    #[test]
    fn revoked_is_what_any_source_says_and_the_lowest_and_longest_counts() {
        let at = |block, by| Some(Revoked { block, by });
        let until = |seconds| NOW + std::time::Duration::from_secs(seconds);
        let subject = |seconds| RevokedBy::Subject { until: until(seconds) };
        let forgotten = |seconds| RevokedBy::Forgotten { until: until(seconds) };
        for (counts, other) in [
            (at(1, RevokedBy::Id), None),
            (at(0, subject(1)), at(1, RevokedBy::Id)),
            (at(0, subject(2)), at(0, subject(1))),
            (at(0, RevokedBy::Id), at(0, subject(1))),
            (at(2, RevokedBy::Agent), at(2, RevokedBy::AgentUntilNow { until: until(9) })),
            (at(3, RevokedBy::Id), at(0, forgotten(9))),
            (at(0, forgotten(2)), at(0, forgotten(1))),
            (at(0, forgotten(1)), None),
        ] {
            assert_eq!(asked(Ok(counts.clone()), Ok(other)), Ok(counts.clone()));
            assert_eq!(asked(Ok(counts.clone()), Err("gone")), Ok(counts));
        }
        assert_eq!(asked(Ok(None), Ok(None)), Ok(None));
        assert_eq!(asked(Ok(None), Err("gone")), Err(RevocationsUnavailable("gone".to_owned())));
    }

    #[test]
    fn it_is_as_fresh_as_the_oldest_and_no_copy_from_the_future_hides_behind_another() {
        let later = NOW + std::time::Duration::from_secs(9);
        let (live, unchecked) = (Knowledge::Live, Knowledge::Unchecked);
        let span = Knowledge::Between { oldest: NOW, newest: later };
        for (one, other, together) in [
            (live, live, live),
            (live, unchecked, live),
            (unchecked, unchecked, unchecked),
            (live, Knowledge::AsOf(NOW), Knowledge::AsOf(NOW)),
            (unchecked, Knowledge::AsOf(NOW), Knowledge::AsOf(NOW)),
            (Knowledge::AsOf(NOW), Knowledge::AsOf(NOW), Knowledge::AsOf(NOW)),
            (Knowledge::AsOf(later), Knowledge::AsOf(NOW), span),
            (span, Knowledge::AsOf(NOW), span),
            (span, live, span),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let union = Union::of(Says(Ok(None), one)).and(Says(Ok(None), other));
                assert_eq!(union.knowledge(), together, "{one:?} and {other:?}");
            }
        }
    }
}
