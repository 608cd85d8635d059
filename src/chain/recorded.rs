//! Recorded: what do records say of a chain?

use serde::{Deserialize, Serialize};

use crate::chain::{Chain, RevocationId};

/// A chain as records have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditChain {
    /// Whether the whole chain holds. If not, its signatures do, and so do subject and grant; what hops
    /// and presentation say is what somebody wrote there.
    pub verified: bool,
    /// The subject whose rights were used.
    pub subject: String,
    /// The verifier's name for the root key.
    pub issuer: String,
    /// The grant's revocation id.
    pub grant_id: RevocationId,
    /// The hops: through whom and why, from the grant down.
    pub hops: Vec<AuditHop>,
    /// The audience of the presentation; `None` if there was none.
    pub audience: Option<String>,
    /// The kind of presentation, `session` or `call`; `None` if there was none.
    pub presented: Option<String>,
    /// The presentation's revocation id; `None` if there was none.
    pub presentation_id: Option<RevocationId>,
}

/// A hop as records have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditHop {
    /// The agent's name, as its delegator calls it.
    pub delegate: String,
    /// The reason that the delegator gave.
    pub reason: String,
    /// The hop's revocation id.
    pub id: RevocationId,
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
