//! Revoke: what a batch of requests to revoke comes to, of what the database has already.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hardtack::revocation::{
    Change, Earlier, Receipt, RequestId, Revocation, RevocationEntry, RevocationLogError,
};
use hardtack::{Revoking, Timestamp};
use sha2::{Digest, Sha256};

use crate::error::{PostgresError, damaged};
use crate::head::Head;

/// The time for which a request id is known.
const REQUESTS_KEPT: Duration = Duration::from_secs(24 * 3600);

pub(crate) type Key = [u8; 32];

/// A request to revoke a batch.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) batch: Vec<Revoking>,
    pub(crate) request: RequestId,
    pub(crate) now: Timestamp,
    pub(crate) digest: Key,
}

impl Asked {
    pub(crate) fn new(batch: Vec<Revoking>, request: RequestId, now: Timestamp) -> Asked {
        let digest = digest_of(&batch);
        Asked { batch, request, now, digest }
    }
}

/// A digest of what is asked for, and by whom and why.
fn digest_of(batch: &[Revoking]) -> Key {
    let mut digest = Sha256::new();
    for revoking in batch {
        digest.update(key_of(revoking.revocation()));
        for part in [revoking.by(), revoking.reason()] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    digest.finalize().into()
}

/// What a revocation is known by: the digest of its JSON, which is one text for each.
pub(crate) fn key_of(revocation: &Revocation) -> Key {
    // There is nothing in it that could not be written.
    Sha256::digest(serde_json::to_vec(revocation).unwrap_or_default()).into()
}

/// What was answered to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) digest: Key,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) until: Timestamp,
}

impl Answered {
    pub(crate) fn of(
        digest: &[u8],
        receipts: &str,
        until: Timestamp,
    ) -> Result<Self, PostgresError> {
        let receipts: Vec<(bool, u64)> =
            serde_json::from_str(receipts).map_err(|_| damaged("receipts"))?;
        let receipts = receipts.into_iter().map(|(is_new, sequence)| match is_new {
            true => Receipt::Revoked { sequence },
            false => Receipt::AlreadyRevoked { sequence },
        });
        let digest = digest.try_into().map_err(|_| damaged("a digest"))?;
        Ok(Answered { digest, receipts: receipts.collect(), until })
    }

    pub(crate) fn receipts(&self) -> Result<String, PostgresError> {
        let receipts: Vec<(bool, u64)> = self
            .receipts
            .iter()
            .map(|receipt| (matches!(receipt, Receipt::Revoked { .. }), receipt.sequence()))
            .collect();
        serde_json::to_string(&receipts).map_err(|_| damaged("receipts"))
    }
}

pub(crate) type Answer = Result<Vec<Receipt>, RevocationLogError>;

/// A transaction in the making: what the database has of what is asked about, and what is to be written.
#[derive(Debug)]
pub(crate) struct Making {
    pub(crate) head: Head,
    /// What is in force of what is asked for, as the transaction will leave it.
    pub(crate) in_force: HashMap<Key, Earlier>,
    pub(crate) answered: HashMap<RequestId, Answered>,
    pub(crate) events: Vec<(u64, Change)>,
    /// What is in force anew, by its number.
    pub(crate) rows: BTreeMap<u64, (Key, RevocationEntry)>,
    /// The numbers of those whose place was taken.
    pub(crate) replaced: Vec<u64>,
    /// The requests that are answered for the first time.
    pub(crate) requests: Vec<RequestId>,
}

impl Making {
    pub(crate) fn new(head: Head) -> Making {
        Making {
            head,
            in_force: HashMap::new(),
            answered: HashMap::new(),
            events: Vec::new(),
            rows: BTreeMap::new(),
            replaced: Vec::new(),
            requests: Vec::new(),
        }
    }

    pub(crate) fn answer(&mut self, asked: &Asked) -> Answer {
        // A request is known by the latest moment that was told, this one's included.
        let latest = self.head.clock.latest.map_or(asked.now, |latest| latest.max(asked.now));
        if let Some(known) = self.answered.get(&asked.request).filter(|known| known.until > latest)
        {
            return match known.digest == asked.digest {
                true => Ok(known.receipts.clone()),
                false => Err(RevocationLogError::OtherRequest(asked.request)),
            };
        }
        let moment = self.head.clock.observe(asked.now);
        let receipts: Vec<Receipt> =
            asked.batch.iter().map(|revoking| self.revoke(revoking, moment)).collect();
        let until = moment + REQUESTS_KEPT;
        let answered = Answered { digest: asked.digest, receipts: receipts.clone(), until };
        self.answered.insert(asked.request, answered);
        if !self.requests.contains(&asked.request) {
            self.requests.push(asked.request);
        }
        Ok(receipts)
    }

    fn revoke(&mut self, revoking: &Revoking, moment: Timestamp) -> Receipt {
        let key = key_of(revoking.revocation());
        let earlier = self.in_force.get(&key).copied();
        let notice = revoking.against(earlier, moment, self.head.longest);
        let (notice, sequence) = match (notice, earlier) {
            (None, Some(earlier)) => {
                return Receipt::AlreadyRevoked { sequence: earlier.sequence };
            }
            // Without an earlier one there is always something to write.
            (None, None) => return Receipt::AlreadyRevoked { sequence: 0 },
            (Some(notice), _) => (notice, self.head.at.number + 1),
        };
        self.head.at.number = sequence;
        if let Some(earlier) = earlier
            && self.rows.remove(&earlier.sequence).is_none()
        {
            self.replaced.push(earlier.sequence);
        }
        let now = Earlier { sequence, revoked: notice.revoked, expires: notice.expires };
        self.in_force.insert(key, now);
        let entry = RevocationEntry::new(sequence, notice);
        self.events.push((sequence, Change::Revoked(entry.clone())));
        self.rows.insert(sequence, (key, entry));
        Receipt::Revoked { sequence }
    }
}
