//! Copy: what of a copy (a replica) of somebody's revocations may be forgotten, and when?
//!
//! A copy is renewed from lists, and forgets what they no longer have, or it would grow for ever. Whoever makes the lists may be
//! wrong, or lie, and the copy's own clock may jump. So an entry goes only when it would have to go by the copy's own clock and
//! lives, whatever the lists say: reckoned from the moment when the copy learned it, at the latest. What is forgotten leaves its mark
//! first, so that grants of that time are refused whatever was wrong.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::set::{ShortId, SubjectKey, covered_until, short, subject_key};
use crate::revocation::{Change, InForce, Revocation, RevocationList};
use crate::revocation::{GRACE, LONGEST_STEP};
use crate::timestamp::Timestamp;

/// What a copy keeps of its lists, beside the set in which decisions look.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// The latest that the clock said, since it jumped last.
    clock: Option<Timestamp>,
    /// What may be forgotten once.
    held: HashMap<Key, Held, ahash::RandomState>,
    /// What of it nobody lists any more.
    gone: HashSet<Key, ahash::RandomState>,
    /// Whether of some of it no time is known at which it was learned.
    is_new: bool,
}

/// A change of what is revoked, as a copy that follows a log hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delta {
    Revoked(InForce),
    /// These ranges of the entries' numbers, both ends included, are forgotten where they were made; grants issued up to the moment are
    /// refused.
    Forgotten {
        sequences: Vec<(u64, u64)>,
        until: Option<Timestamp>,
    },
}

impl From<&Change> for Delta {
    fn from(change: &Change) -> Delta {
        match change {
            Change::Revoked(entry) => Delta::Revoked(entry.into()),
            Change::Forgotten { sequences, until } => {
                Delta::Forgotten { sequences: sequences.clone(), until: *until }
            }
        }
    }
}

/// What the set keeps as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Id(ShortId),
    Subject(SubjectKey),
    AgentUntilNow(String),
}

/// The most that lists ever said of a revocation. They can take nothing back.
#[derive(Debug)]
struct Held {
    /// The number by which whoever made it forgets it.
    sequence: u64,
    revoked: Timestamp,
    expires: Timestamp,
    /// When it was learned, or became more than it was; no earlier than it was by a clock that jumped since. `None` until a time is told.
    learned: Option<Timestamp>,
}

/// What becomes of a copy by a list.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// What is new, or covers more than before.
    pub(super) learned: Vec<InForce>,
    /// What goes.
    pub(super) forgotten: Vec<Key>,
    /// Grants issued up to this moment may be covered by what goes.
    pub(super) mark: Option<Timestamp>,
}

impl Copied {
    /// Takes in the first list, whose moment of arrival is not known.
    pub(super) fn begin(&mut self, list: &RevocationList) {
        for entry in &list.revocations {
            self.hold(entry, None);
        }
        self.is_new = true;
    }

    /// Takes in a list that arrived at `now`, for verifiers that accept grants which live `longest`.
    pub(super) fn renew(
        &mut self,
        list: &RevocationList,
        now: Timestamp,
        longest: Duration,
    ) -> Renewal {
        self.observe(now);
        let mut renewal = Renewal::default();
        let mut listed = HashSet::with_hasher(ahash::RandomState::new());
        for entry in &list.revocations {
            listed.extend(Key::of(&entry.revocation));
            if self.hold(entry, self.clock) {
                renewal.learned.push(entry.clone());
            }
        }
        self.gone.clear();
        for (key, held) in self.held.iter_mut().filter(|(key, _)| !listed.contains(key)) {
            // Its number may be of another epoch of the log, and another's in this one.
            held.sequence = 0;
            self.gone.insert(key.clone());
        }
        self.forget_due(now, longest, &mut renewal);
        renewal
    }

    /// Takes in what changed, as of `now`, for verifiers that accept grants which live `longest`. Only where something was forgotten, all that
    /// is known is looked at, once.
    pub(super) fn advance(
        &mut self,
        deltas: &[Delta],
        now: Timestamp,
        longest: Duration,
    ) -> Renewal {
        self.observe(now);
        let mut renewal = Renewal::default();
        let mut forgotten: Vec<(u64, u64)> = Vec::new();
        for delta in deltas {
            match delta {
                Delta::Revoked(entry) => {
                    let before = Key::of(&entry.revocation).map_or(0, |key| self.sequence(&key));
                    if self.hold(entry, self.clock) {
                        renewal.learned.push(entry.clone());
                    }
                    // To hear of an earlier one once more changes nothing.
                    if let Some(held) =
                        Key::of(&entry.revocation).and_then(|key| self.held.get_mut(&key))
                    {
                        held.sequence = held.sequence.max(before);
                    }
                }
                Delta::Forgotten { sequences, until } => {
                    forgotten.extend(sequences);
                    renewal.mark = renewal.mark.max(*until);
                }
            }
        }
        self.note_gone(forgotten);
        self.forget_due(now, longest, &mut renewal);
        renewal
    }

    /// The number under which it is known to be listed; 0 if it is none.
    fn sequence(&self, key: &Key) -> u64 {
        if self.gone.contains(key) {
            return 0;
        }
        self.held.get(key).map_or(0, |held| held.sequence)
    }

    /// What has a number in one of these ranges is gone. A number is given once, so that it does not matter what came after.
    fn note_gone(&mut self, mut ranges: Vec<(u64, u64)>) {
        if ranges.is_empty() {
            return;
        }
        ranges.sort_unstable();
        let is_in = |number: u64| {
            let after = ranges.partition_point(|(first, _)| *first <= number);
            after > 0 && number <= ranges[after - 1].1
        };
        let gone = self.held.iter().filter(|(_, held)| is_in(held.sequence));
        self.gone.extend(gone.map(|(key, _)| key.clone()));
    }

    /// Forgets of what nobody lists any more what is due by the copy's own clock.
    fn forget_due(&mut self, now: Timestamp, longest: Duration, renewal: &mut Renewal) {
        let longest = longest.max(Lifetimes::default().grant);
        let held = &mut self.held;
        self.gone.retain(|key| {
            let Some(known) = held.get(key) else { return false };
            let goes = known.is_due(now, longest);
            if goes {
                renewal.mark = renewal.mark.max(Some(covered_until(known.since())));
                renewal.forgotten.push(key.clone());
                held.remove(key);
            }
            !goes
        });
    }

    /// Takes note of the time. After a jump, all that is known was learned before, whatever the clock said then.
    fn observe(&mut self, now: Timestamp) {
        let jumped = self.clock.is_some_and(|before| {
            now.since(before) > LONGEST_STEP || before.since(now) > CLOCK_SKEW
        });
        self.clock = if jumped { Some(now) } else { self.clock.max(Some(now)) };
        if jumped || std::mem::take(&mut self.is_new) {
            for held in self.held.values_mut().filter(|held| jumped || held.learned.is_none()) {
                held.learned = self.clock;
            }
        }
    }

    /// Whether it is new, or more than it was. What is never forgotten always is.
    fn hold(&mut self, entry: &InForce, learned: Option<Timestamp>) -> bool {
        let Some(key) = Key::of(&entry.revocation) else { return true };
        let (revoked, expires) = (entry.revoked, entry.expires.unwrap_or(Timestamp::MAX));
        self.gone.remove(&key);
        let held = self.held.entry(key);
        let mut is_new = false;
        let held = held.or_insert_with(|| {
            is_new = true;
            Held { sequence: entry.sequence, revoked, expires, learned }
        });
        held.sequence = entry.sequence;
        let grows = revoked > held.revoked || expires > held.expires;
        if grows {
            held.revoked = held.revoked.max(revoked);
            held.expires = held.expires.max(expires);
            held.learned = learned;
        }
        is_new || grows
    }
}

impl Held {
    /// The last moment at which it can have been made.
    fn since(&self) -> Timestamp {
        self.learned.map_or(Timestamp::MAX, |learned| learned.max(self.revoked))
    }

    /// Whether all grants that were there when it was made have expired, and the lists' own moment is over, too.
    fn is_due(&self, now: Timestamp, longest: Duration) -> bool {
        now >= self.expires.max(self.since() + longest + GRACE) && now < Timestamp::MAX
    }
}

impl Key {
    /// `None` of what is never forgotten.
    fn of(revocation: &Revocation) -> Option<Key> {
        Some(match revocation {
            Revocation::Id { id } => Key::Id(short(id)),
            Revocation::Subject { subject, root } => Key::Subject(subject_key(subject, *root)),
            Revocation::AgentUntilNow { agent } => Key::AgentUntilNow(agent.clone()),
            Revocation::Holder { .. } | Revocation::Agent { .. } => return None,
        })
    }
}

/// As of when a copy knows, by a list that came now: never by one from the future, which would count as fresh until its moment has
/// come, while there is another.
pub(super) fn known_as_of(before: Timestamp, list: Timestamp, now: Timestamp) -> Timestamp {
    let can_be = |moment: Timestamp| moment <= now + CLOCK_SKEW;
    match (can_be(before), can_be(list)) {
        (true, true) => before.max(list),
        (false, true) => list,
        (_, false) => before,
    }
}

#[cfg(test)]
pub(crate) mod tests;
