//! Collect: forgetting what no live token can hold any more, and nothing else. What it leaves is a low-water mark.
//!
//! A revocation that is forgotten too early lets a revoked token in again. Three things stand against
//! that. A revocation is kept until every token that existed when it was made has expired. While the
//! clock has jumped, nothing is forgotten. And whatever is forgotten leaves a mark: tokens whose grant
//! was issued before the forgotten revocation was made are refused from then on, which costs nothing
//! while clocks are right, since they have expired.

use crate::audit::{AuditEvent, Collection};
use crate::chain::RevocationId;
use crate::revocation::GRACE;
use crate::revocation::{InForce, covered_until};
use crate::store::StoreError;
use crate::store::applying::unrevoke;
use crate::store::core::{TimeSource, short};
use crate::store::inner::Inner;
use crate::store::schema::{Effect, REVOCATIONS, SEEN, SEEN_BY_EXPIRY, read_revocation_row};
use crate::timestamp::Timestamp;

/// How much one transaction forgets: some tens of milliseconds in which nobody else is served.
const STEP: usize = 10_000;

/// The counts of what [`Store::collect`](crate::Store::collect) has forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// The number of revocations that no live token can hold any more.
    pub revocations: u64,
    /// The number of blocks of chains that expired.
    pub blocks: u64,
}

/// Whether the clock is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClockTrust {
    /// Not while it has jumped.
    UnlessJumped,
    /// Somebody has looked at it and says that it is right.
    Vouched,
}

/// One step's worth.
#[derive(Default)]
struct Due {
    revocations: Vec<InForce>,
    blocks: Vec<(u64, [u8; 64])>,
    /// The last revocation that was looked at.
    looked_at: u64,
}

impl Inner {
    pub(super) fn collect(
        &self,
        now: Timestamp,
        trust: ClockTrust,
    ) -> Result<Collected, StoreError> {
        self.engine.here()?;
        let longest = {
            let mut core = self.core();
            core.observe(now, TimeSource::Clock);
            let longest = core.longest_life.max(self.revocations.longest_life());
            let doubt = core.clock.doubt(now, longest);
            if let Some(doubt) = doubt.filter(|_| trust == ClockTrust::UnlessJumped) {
                return Err(doubt.into());
            }
            longest
        };
        // What is on its way into the database is looked at, too.
        self.fold()?;
        self.forget_requests(now)?;
        let mut collected = Collected::default();
        let mut after = 0;
        loop {
            let due = self.find_due(now, longest, after)?;
            after = due.looked_at;
            if due.revocations.is_empty() && due.blocks.is_empty() {
                return Ok(collected);
            }
            collected.revocations += due.revocations.len() as u64;
            collected.blocks += due.blocks.len() as u64;
            self.forget(now, &due)?;
        }
    }

    /// What may be forgotten, from the oldest on; `after` is how far earlier steps have looked.
    fn find_due(
        &self,
        now: Timestamp,
        longest: std::time::Duration,
        after: u64,
    ) -> Result<Due, StoreError> {
        self.engine.read(|reading| {
            let mut due = Due { looked_at: after, ..Due::default() };
            let table = reading.open_table(REVOCATIONS)?;
            for row in table.range(after + 1..)? {
                let (sequence, row) = row?;
                let entry = read_revocation_row(sequence.value(), row.value())?;
                due.looked_at = sequence.value();
                // Lives may have grown longer since it was made.
                let expired = entry
                    .expires
                    .is_some_and(|expires| now >= expires.max(entry.revoked + longest + GRACE));
                if expired {
                    due.revocations.push(entry);
                }
                if due.revocations.len() == STEP {
                    break;
                }
            }
            let table = reading.open_table(SEEN_BY_EXPIRY)?;
            let before = (now - GRACE).unix_seconds();
            for row in table.range(..(before, [0; 64]))?.take(STEP) {
                due.blocks.push(row?.0.value());
            }
            Ok(due)
        })
    }

    fn forget(&self, now: Timestamp, due: &Due) -> Result<(), StoreError> {
        let moments = due.revocations.iter().map(|entry| covered_until(entry.revoked));
        let until = moments.max();
        self.directly_with(
            Some(now),
            |core| {
                // The mark stays even if the commit fails: it refuses, it lets nobody in.
                core.forgotten_until = core.forgotten_until.max(until);
                let event = AuditEvent::Collection(Collection {
                    revocations: ranges(due.revocations.iter().map(|entry| entry.sequence)),
                    forgotten_until: core.forgotten_until,
                    blocks: due.blocks.len() as u64,
                });
                let forgets = !due.revocations.is_empty();
                let effects = if forgets { vec![Effect::Forget] } else { Vec::new() };
                let entry = core.append(now, event, effects)?;
                Ok((vec![entry], ()))
            },
            |writing| {
                let mut revocations = writing.open_table(REVOCATIONS)?;
                for entry in &due.revocations {
                    unrevoke(writing, &mut revocations, entry.sequence)?;
                }
                let mut seen = writing.open_table(SEEN)?;
                let mut by_expiry = writing.open_table(SEEN_BY_EXPIRY)?;
                for (expires, id) in &due.blocks {
                    seen.remove(id)?;
                    by_expiry.remove((*expires, *id))?;
                }
                Ok(())
            },
            |core| {
                let forgotten =
                    due.revocations.iter().map(|entry| (&entry.revocation, entry.sequence));
                self.revocations.forget(forgotten, until);
                for (_, id) in &due.blocks {
                    core.seen.remove(&short(&RevocationId::from_bytes(*id)));
                }
            },
        )
    }
}

/// Numbers in ascending order as ranges, both ends included.
fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_told_as_ranges() {
        assert_eq!(super::ranges([1, 2, 3, 7, 9, 10].into_iter()), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(super::ranges(std::iter::empty()), []);
    }
}
