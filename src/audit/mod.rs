//! Audit: what is remembered of decisions, and who remembers it.
//!
//! A guard records each decision in a [`Ledger`] before it answers. Behind that stand [`Uses`] (which presentations were used),
//! [`Records`] (what was decided) and [`Lineage`] (which chains were seen). A [`store`](crate::store) is the first engine of each; the
//! pages of the traits say what another one must hold. How records hold together is [`log`](crate::log)'s business.

mod chains;
mod kept;
mod ledger;
mod lineage;
mod records;
mod separate;
mod term;
mod uses;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::cause::RecordedCause;
use crate::policy::Policy;
use crate::revocation::RevocationNotice;
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

pub use crate::chain::recorded::{AuditChain, AuditHop};
#[doc(no_inline)]
pub use crate::log::{
    Checkpoint, CheckpointError, InclusionProof, LeafHash, LogError, LogKey, LogLine, LogReader,
    ProofError,
};
pub(crate) use crate::log::{CheckpointSigner, Frontier, TreeHead};
pub use chains::{BlockState, SeenChains, Stops};
#[cfg(test)]
pub(crate) use kept::MAX_KEPT_ARGUMENT_BYTES;
pub use kept::{Keep, KeptArguments, KeptFact, KeptHop, KeptRequest};
pub(crate) use ledger::REPLAYED_MESSAGE;
pub use ledger::{Done, Ledger, LedgerEntry, LedgerUnavailable, Recorded};
pub(crate) use lineage::MAX_ALIKE;
pub use lineage::{Lineage, LineageUnavailable, Seen, SeenBlock};
pub use records::{Recording, Records};
pub use separate::Separate;
#[cfg(feature = "testing")]
pub(crate) use uses::KEPT_AFTER_EXPIRY;
pub use uses::{Claim, SingleUse, Uses, UsesUnavailable};

/// The verdict on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The call may go on.
    Allow,
    /// The call may not go on.
    Deny,
    /// The verdict cannot be given now, so the call may not go on.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::Undecided => "undecided",
        })
    }
}

/// One record of the log. Its bytes as JSON are the leaf of the log's Merkle tree (RFC 6962, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
#[non_exhaustive]
pub struct AuditRecord {
    /// The record's number: from 1, without gaps.
    pub sequence: u64,
    /// The moment of the event.
    pub time: Timestamp,
    /// The leaf hash (RFC 6962, section 2.1) of the record before it; zeros in the first.
    pub previous: LeafHash,
    /// The event that the record tells of.
    #[serde(flatten)]
    pub event: AuditEvent,
}

/// A record as it is written: the moment of a decision stands outside of it.
#[derive(Deserialize)]
struct Written {
    sequence: u64,
    time: Timestamp,
    previous: LeafHash,
    #[serde(flatten)]
    event: AuditEvent,
}

impl From<Written> for AuditRecord {
    fn from(written: Written) -> AuditRecord {
        let Written { sequence, time, previous, mut event } = written;
        if let AuditEvent::Decision(decision) = &mut event {
            decision.time = time;
        }
        AuditRecord { sequence, time, previous, event }
    }
}

impl AuditRecord {
    /// Makes the record with the number `sequence`, which continues the record whose leaf hash is `previous`: zeros before the first.
    pub fn new(
        sequence: u64,
        time: Timestamp,
        previous: LeafHash,
        event: AuditEvent,
    ) -> AuditRecord {
        AuditRecord { sequence, time, previous, event }
    }

    /// Returns the decision; `None` if the record tells of another event.
    pub fn decision(&self) -> Option<&Decision> {
        match &self.event {
            AuditEvent::Decision(decision) => Some(decision),
            _ => None,
        }
    }
}

/// The event that a record tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditEvent {
    /// A call was decided.
    Decision(Box<Decision>),
    /// Something was revoked.
    Revocation(RevocationNotice),
    /// Revocations that no live token can hold any more were forgotten.
    Collection(Collection),
    /// The store was brought back from a backup, or out of a damaged file.
    Restoration(Restoration),
}

/// One decision: who, through whom and why, what, with which verdict and cause.
///
/// Holds no token and no private key: revocation ids stand for tokens. Of a token whose signatures do not hold,
/// nothing is remembered but the cause, since nothing that it says need be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// The moment of the decision. As JSON, it stands in the record outside of the decision.
    #[serde(skip)]
    pub time: Timestamp,
    /// The verdict on the call.
    #[serde(rename = "decision")]
    pub verdict: Verdict,
    /// The stable name of the cause; `None` for an allowed call.
    pub cause: Option<RecordedCause>,
    /// The number of the block at which the cause was seen, if it was one block.
    pub hop: Option<usize>,
    /// The verdict in words.
    pub message: String,
    /// The operation that was asked for.
    pub operation: String,
    /// The resource of the call, if it has one.
    pub resource: Option<String>,
    /// The chain: whose rights were used, and through whom. `None` if nothing of the token is proven, such as where a signature does not hold.
    #[serde(default, with = "shared")]
    pub chain: Option<Arc<AuditChain>>,
    /// The digest of the set of policies that decided.
    pub policy: String,
    /// The number of bearers without a valid signature that were refused before this decision and were too many to be recorded each.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: u64,
    /// The decision of a candidate set of policies, if it would have been another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Box<CandidateDecision>>,
    /// The part of the call that policies saw, if requests are kept and policies were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<KeptRequest>>,
    /// Whether a revocation follows it, so that it may take the room that is kept for those. No record says so.
    #[serde(skip)]
    pub(crate) precedes_revocation: bool,
}

/// The decision that a candidate set of policies, tried beside the one in force, would have made. It decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CandidateDecision {
    /// The digest of the candidate set.
    pub policy: String,
    /// The candidate's verdict.
    #[serde(rename = "decision")]
    pub verdict: Verdict,
    /// The stable name of the cause; `None` for a call that the candidate would allow.
    pub cause: Option<RecordedCause>,
    /// The candidate's verdict in words.
    pub message: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The record of one step of a collection, by which a store forgets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Collection {
    /// The forgotten revocations, as ranges of their sequence numbers, both ends included.
    pub revocations: Vec<(u64, u64)>,
    /// The mark: from now on, tokens whose grant was issued up to this moment are refused, since they may have been revoked by what was
    /// forgotten.
    pub forgotten_until: Option<Timestamp>,
    /// The number of blocks of chains that were forgotten.
    pub blocks: u64,
}

impl Collection {
    /// Takes out what was forgotten, by sequence number.
    pub(crate) fn forget<T>(&self, in_force: &mut BTreeMap<u64, T>) {
        for (first, last) in self.revocations.iter().filter(|(first, last)| first <= last) {
            let forgotten: Vec<u64> = in_force.range(first..=last).map(|(key, _)| *key).collect();
            forgotten.iter().for_each(|sequence| drop(in_force.remove(sequence)));
        }
    }
}

/// A restoration of a store from a backup or a damaged file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Restoration {
    /// The epoch that began with it, counted from 1.
    pub epoch: u64,
    /// The number of the last record that the backup or damaged file had.
    pub from: u64,
    /// The number of the last record that was replayed after it, from an export.
    pub replayed: u64,
    /// Whether records may have been lost. Then every grant issued up to this moment is refused.
    pub accepted_loss: bool,
}

impl Decision {
    /// An allowed call.
    pub(crate) fn allowed(
        chain: Option<Arc<AuditChain>>,
        call: &Call,
        policy: &Policy,
        time: Timestamp,
    ) -> Decision {
        Decision {
            time,
            verdict: Verdict::Allow,
            cause: None,
            hop: None,
            message: "allowed".to_owned(),
            operation: call.operation().to_string(),
            resource: call.resource_uri().map(str::to_owned),
            chain,
            policy: policy.digest().to_owned(),
            unrecorded: 0,
            precedes_revocation: false,
            candidate: None,
            request: None,
        }
    }

    /// The decision as this ruling has it.
    pub(crate) fn ruled(mut self, ruling: &Ruling) -> Decision {
        self.verdict = ruling.verdict;
        self.cause = ruling.cause.map(RecordedCause::from);
        self.hop = ruling.hop;
        self.message.clone_from(&ruling.message);
        self
    }
}

impl From<&VerifiedCapability> for AuditChain {
    fn from(verified: &VerifiedCapability) -> AuditChain {
        (*verified.recorded()).clone()
    }
}

/// A chain that all decisions about one token share, read and written as if it were each one's own.
mod shared {
    use super::{Arc, AuditChain, Deserialize, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(
        chain: &Option<Arc<AuditChain>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        chain.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<AuditChain>>, D::Error> {
        Ok(Option::<AuditChain>::deserialize(deserializer)?.map(Arc::new))
    }
}
