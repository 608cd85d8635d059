//! What a store promises, held against disks that fail and files that are not what they were.

mod archives;
mod archiving;
mod buffered;
mod claiming;
mod closing;
#[cfg(feature = "testing")]
mod conforming;
mod corruption;
mod crash;
mod disk;
mod full;
mod journal;
mod kinds;
mod making;
mod model;
mod noticing;
mod opening;
mod outage;
mod packing;
mod racing;
mod replaying;
mod sealed;
mod staging;
mod takeover;
mod tampering;
mod unanswered;
mod waking;

use crate::audit::{Decision, Ledger, LedgerEntry, Recorded, SingleUse, Verdict};
use crate::chain::RevocationId;
use crate::revocation::{Revocation, Revoking};
use crate::store::Store;
use crate::timestamp::Timestamp;

/// 2026-11-23T10:00:00Z
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

/// How often a long test repeats what it does: as often as is bearable, or as `variable` says.
fn repeated(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn id(number: u64) -> RevocationId {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[40..48].copy_from_slice(&number.to_le_bytes());
    RevocationId::from_bytes(bytes)
}

fn revoking(number: u64) -> Revoking {
    Revoking::new(Revocation::Id { id: id(number) }, "tests", "lost").unwrap()
}

fn decision(time: Timestamp, number: u64) -> Decision {
    Decision {
        time,
        verdict: Verdict::Allow,
        cause: None,
        hop: None,
        message: "allowed".to_owned(),
        operation: format!("tools:call:number-{number}"),
        resource: None,
        chain: None,
        policy: "none".to_owned(),
        unrecorded: 0,
        precedes_revocation: false,
        candidate: None,
        request: None,
    }
}

fn once(number: u64, now: Timestamp) -> SingleUse {
    SingleUse::new("notion.mcp", id(number), now + std::time::Duration::from_secs(60))
}

fn entry(decision: Decision, once: Option<SingleUse>) -> LedgerEntry {
    LedgerEntry::new(decision, once.map(|once| (once, 2)), None)
}

/// Records a decision; returns its number.
fn record(store: &Store, number: u64) -> Option<u64> {
    match store.record(entry(decision(NOW, number), None)) {
        Ok(Recorded::AsDecided { sequence }) => Some(sequence),
        _ => None,
    }
}

/// A generator of numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
