//! Requests: what was answered to requests to revoke, so that one that is made again is answered again (idempotency keys).
//!
//! The database has them; what is on its way there is in memory. A request that changed nothing is remembered in memory alone: made again
//! after a restart, it is a new one.

use std::collections::{HashMap, VecDeque};

use redb::ReadableTable;
use sha2::{Digest, Sha256};

use crate::revocation::{Receipt, RequestId, Revoking};
use crate::store::StoreError;
use crate::store::engine::Engine;
use crate::store::inner::Inner;
use crate::store::schema::{Answered, Effect, Entry, REQUESTS, decode, requests_of};
use crate::timestamp::Timestamp;

/// The most requests that changed nothing and are remembered.
const MAX_UNWRITTEN: usize = 1024;

/// How many expired ones are forgotten at a time.
const MAX_SWEEP: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Requests {
    recent: HashMap<RequestId, Answered, ahash::RandomState>,
    unwritten: VecDeque<(RequestId, Answered)>,
    /// Of the batch that is being recorded: nobody has heard of them yet.
    begun: Vec<Begun>,
}

#[derive(Debug)]
struct Begun {
    request: RequestId,
    answered: Answered,
    /// Whether its records say so, too.
    is_recorded: bool,
}

impl Requests {
    /// What was answered to this request, if it was made and is known yet at `moment`. Nothing is forgotten while the clock is in
    /// doubt, so that what is here may be older than a request is known: what was revoked by it need be in force no more.
    pub(super) fn find(
        &self,
        request: &RequestId,
        moment: Timestamp,
        engine: &Engine,
    ) -> Result<Option<Answered>, StoreError> {
        let is_known = |answered: &&Answered| answered.until > moment;
        let begun = self.begun.iter().filter(|begun| begun.request == *request);
        let recent = self.recent.get(request).into_iter();
        let unwritten = self.unwritten.iter().filter(|(known, _)| known == request);
        let mut in_memory = begun
            .map(|begun| &begun.answered)
            .chain(recent)
            .chain(unwritten.map(|(_, answered)| answered));
        if let Some(answered) = in_memory.find(is_known) {
            return Ok(Some(answered.clone()));
        }
        engine.read(|reading| {
            let Some(table) = requests_of(reading)? else { return Ok(None) };
            let row = table.get(request.as_bytes())?;
            let answered: Option<Answered> =
                row.map(|row| decode(row.value(), "request", 0)).transpose()?;
            Ok(answered.filter(|answered| is_known(&answered)))
        })
    }

    pub(super) fn note(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Answer { request, answered } = effect {
                self.recent.insert(*request, answered.clone());
            }
        }
    }

    /// What a request of the batch that is being recorded will be answered, if the batch stands.
    pub(super) fn begin(&mut self, request: RequestId, answered: Answered, is_recorded: bool) {
        self.begun.push(Begun { request, answered, is_recorded });
    }

    /// The batch is on disk.
    pub(super) fn stand(&mut self) {
        for Begun { request, answered, is_recorded } in std::mem::take(&mut self.begun) {
            match is_recorded {
                true => drop(self.recent.insert(request, answered)),
                false => self.note_unwritten(request, answered),
            }
        }
    }

    /// The batch never was. Only what rests on records that were there before it, up to the one with the number `known`, is
    /// answered all the same.
    pub(super) fn take_back(&mut self, known: u64) {
        for Begun { request, answered, is_recorded } in std::mem::take(&mut self.begun) {
            if !is_recorded && answered.receipts.iter().all(|(_, sequence)| *sequence <= known) {
                self.note_unwritten(request, answered);
            }
        }
    }

    fn note_unwritten(&mut self, request: RequestId, answered: Answered) {
        if self.unwritten.len() >= MAX_UNWRITTEN {
            self.unwritten.pop_front();
        }
        self.unwritten.push_back((request, answered));
    }

    /// The database has these.
    pub(super) fn taken_over(&mut self, entries: &[Entry]) {
        for effect in entries.iter().flat_map(|entry| &entry.effects) {
            // A later answer to the same request is not among them.
            if let Effect::Answer { request, answered } = effect
                && self.recent.get(request) == Some(answered)
            {
                self.recent.remove(request);
            }
        }
    }

    pub(super) fn all_is_taken_over(&mut self) {
        self.recent.clear();
    }
}

impl Answered {
    pub(super) fn of(asked: [u8; 32], receipts: &[Receipt], until: Timestamp) -> Answered {
        let receipts = receipts
            .iter()
            .map(|receipt| (matches!(receipt, Receipt::Revoked { .. }), receipt.sequence()));
        Answered { asked, receipts: receipts.collect(), until }
    }

    /// The receipts once more, for whoever asks for the same.
    pub(super) fn again(
        self,
        request: &RequestId,
        asked: &[u8; 32],
    ) -> Result<Vec<Receipt>, StoreError> {
        if self.asked != *asked {
            return Err(StoreError::OtherRequest(*request));
        }
        let receipts = self.receipts.into_iter().map(|(is_new, sequence)| match is_new {
            true => Receipt::Revoked { sequence },
            false => Receipt::AlreadyRevoked { sequence },
        });
        Ok(receipts.collect())
    }
}

/// A digest of what is asked for.
pub(super) fn digest_of(revoking: &[Revoking]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for Revoking { revocation, by, reason } in revoking {
        for part in [&revocation.to_string(), by, reason] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    digest.finalize().into()
}

impl Inner {
    /// Forgets requests that were answered a day ago and more.
    pub(super) fn forget_requests(&self, now: Timestamp) -> Result<(), StoreError> {
        let expired = self.engine.read(|reading| {
            let Some(table) = requests_of(reading)? else {
                return Ok(Vec::new());
            };
            let mut expired = Vec::new();
            for row in table.iter()? {
                let (request, row) = row?;
                let answered: Answered = decode(row.value(), "request", 0)?;
                if answered.until <= now {
                    expired.push(request.value());
                }
                if expired.len() == MAX_SWEEP {
                    break;
                }
            }
            Ok(expired)
        })?;
        if expired.is_empty() {
            return Ok(());
        }
        self.directly_with(
            Some(now),
            |_| Ok((Vec::new(), ())),
            |writing| {
                let mut table = writing.open_table(REQUESTS)?;
                for request in &expired {
                    table.remove(request)?;
                }
                Ok(())
            },
            |_| {},
        )
    }
}
