//! Audit: what is remembered of a decision, and who remembers it.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::chain::{Chain, RevocationId};
use crate::policy::Policy;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The call may go on.
    Allow,
    /// It may not.
    Deny,
    /// That cannot be said now, so it may not.
    Undecided,
}

/// One decision: who, through whom and why, what, with which verdict and cause.
///
/// Holds no token and no key: revocation ids stand for them. Of a token whose signatures do not hold,
/// nothing is remembered but the cause, since nothing that it says need be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// The record's number, from 1 and without gaps; 0 until it is written.
    pub sequence: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// The verdict.
    pub decision: Verdict,
    /// The stable name of the cause; none for an allowed call.
    pub cause: Option<String>,
    /// The block at which the cause was seen.
    pub hop: Option<usize>,
    /// The verdict in words.
    pub message: String,
    /// The operation that was asked for.
    pub operation: String,
    /// The resource that it is about.
    pub resource: Option<String>,
    /// Whose rights were used, and through whom.
    pub chain: Option<AuditChain>,
    /// Which set of policies decided.
    pub policy: String,
}

/// A chain, as records have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditChain {
    /// Whether the whole chain holds. If not, its signatures do, and so do subject and grant; what hops
    /// and presentation say is what somebody wrote there.
    pub verified: bool,
    /// The subject.
    pub subject: String,
    /// The verifier's name for the root.
    pub issuer: String,
    /// The grant's id.
    pub grant_id: RevocationId,
    /// Through whom and why.
    pub hops: Vec<AuditHop>,
    /// To whom the chain was presented, if it was.
    pub audience: Option<String>,
    /// `session` or `call`.
    pub presented: Option<String>,
    /// The presentation's id.
    pub presentation_id: Option<RevocationId>,
}

/// A hop, as records have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditHop {
    /// What its delegator calls the agent.
    pub delegate: String,
    /// Why.
    pub reason: String,
    /// The hop's id.
    pub id: RevocationId,
}

impl AuditRecord {
    /// A record of an allowed call, still to be numbered.
    pub(crate) fn new(
        chain: Option<AuditChain>,
        call: &Call,
        policy: &Policy,
        time: Timestamp,
    ) -> AuditRecord {
        AuditRecord {
            sequence: 0,
            time,
            decision: Verdict::Allow,
            cause: None,
            hop: None,
            message: "allowed".to_owned(),
            operation: call.operation().to_string(),
            resource: call.resource_uri().map(str::to_owned),
            chain,
            policy: policy.digest().to_owned(),
        }
    }

    /// The same, refused.
    pub(crate) fn refused(
        mut self,
        decision: Verdict,
        cause: &str,
        hop: Option<usize>,
        message: &str,
    ) -> AuditRecord {
        self.decision = decision;
        self.cause = Some(cause.to_owned());
        self.hop = hop;
        self.message = message.to_owned();
        self
    }
}

impl From<&VerifiedCapability> for AuditChain {
    fn from(verified: &VerifiedCapability) -> AuditChain {
        AuditChain { verified: true, ..AuditChain::authentic(verified.chain(), verified.issuer()) }
    }
}

impl AuditChain {
    /// What a token says whose signatures hold, whether or not the rest of it does.
    pub(crate) fn authentic(chain: &Chain, issuer: &str) -> AuditChain {
        let presentation = chain.presentation.as_ref();
        let hops = chain.hops.iter().map(|hop| AuditHop {
            delegate: hop.delegate.clone(),
            reason: hop.reason.clone(),
            id: hop.revocation_id,
        });
        AuditChain {
            verified: false,
            subject: chain.grant.subject.clone(),
            issuer: issuer.to_owned(),
            grant_id: chain.grant.revocation_id,
            hops: hops.collect(),
            audience: presentation.map(|last| last.audience.clone()),
            presented: presentation.map(|last| last.kind.as_str().to_owned()),
            presentation_id: presentation.map(|last| last.revocation_id),
        }
    }
}

/// A presentation that is accepted once, and how long that must be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// The presentation's id: its external signature, which a copy wrapped anew shares.
    pub id: RevocationId,
    /// When the presentation expires.
    pub expires: Timestamp,
    /// The number of its block, for the record.
    pub block: usize,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// Written under this number.
    Recorded {
        /// The record's number.
        sequence: u64,
    },
    /// The presentation was accepted before. The record is written as refused.
    Replayed {
        /// The record's number.
        sequence: u64,
    },
}

/// The record cannot be written, or the presentation's use cannot be looked up. The guard then refuses
/// as undecided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record cannot be written: {0}")]
pub struct LedgerUnavailable(pub String);

/// Remembers decisions, and which presentations were accepted.
pub trait Ledger: Send + Sync {
    /// Writes one record durably before it returns. With `once`, looks in the same atomic step whether
    /// the presentation was accepted before; if it was, the record is written as
    /// [`refused_as_replayed`].
    fn settle(
        &self,
        record: AuditRecord,
        once: Option<Once>,
    ) -> Result<Settlement, LedgerUnavailable>;
}

impl<L: Ledger + ?Sized> Ledger for std::sync::Arc<L> {
    fn settle(
        &self,
        record: AuditRecord,
        once: Option<Once>,
    ) -> Result<Settlement, LedgerUnavailable> {
        (**self).settle(record, once)
    }
}

/// The stable name of the cause when a presentation is accepted a second time.
pub const REPLAYED: &str = "replayed";

/// The record of a presentation that was accepted before.
pub fn refused_as_replayed(record: AuditRecord, once: Once) -> AuditRecord {
    record.refused(Verdict::Deny, REPLAYED, Some(once.block), REPLAYED_MESSAGE)
}

pub(crate) const REPLAYED_MESSAGE: &str =
    "this call-bound presentation was accepted before and is good for once";
