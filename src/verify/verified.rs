//! Verified: what a presentation says that holds.

use std::sync::Arc;

use crate::capability::Capability;
use crate::chain::recorded::AuditChain;
use crate::chain::{Chain, PresentationBlock};
use crate::keys::PublicKey;
use crate::memory::Owner;
use crate::timestamp::Timestamp;
use crate::verify::schemes::Schemes;
use crate::verify::{Authentic, Identity, Stated};

/// A presentation that was verified: authentic, unrevoked, for this server, narrowing at every hop. Only a [`Verifier`](crate::Verifier) makes one.
/// What it may be used for is for policies to say.
#[derive(Debug, Clone)]
pub struct VerifiedCapability {
    pub(super) token: Arc<Authentic>,
    pub(super) presentation: PresentationBlock,
    pub(super) at: Timestamp,
    pub(super) resource_schemes: Arc<Schemes>,
    /// What the server says beside it, for the decision at hand. Nothing of it is the token's.
    pub(super) stated: Stated,
}

impl VerifiedCapability {
    /// Returns what the token says, all of it verified.
    pub fn chain(&self) -> &Chain {
        self.token.capability.chain()
    }

    /// Returns the name of the subject, whose rights are used.
    pub fn subject(&self) -> &str {
        &self.chain().grant.subject
    }

    /// Returns the name of the agent that presents, as its delegator calls it; `None` if the subject presents its grant itself.
    pub fn agent(&self) -> Option<&str> {
        self.chain().hops.last().map(|hop| hop.delegate.as_str())
    }

    /// Returns the verifier's own name for the root key ([`RootKeys::named`](crate::RootKeys::named)).
    pub fn issuer(&self) -> &str {
        self.token.issuer()
    }

    /// Returns the root key that signed the grant.
    pub fn root(&self) -> PublicKey {
        self.token.root
    }

    /// Returns the moment as of which it was verified.
    pub fn verified_at(&self) -> Timestamp {
        self.at
    }

    /// Returns the presentation, the last block of the chain.
    pub fn presentation(&self) -> &PresentationBlock {
        &self.presentation
    }

    /// The same for one decision, beside which the server states this.
    pub(crate) fn beside(self, stated: Stated) -> VerifiedCapability {
        VerifiedCapability { stated, ..self }
    }

    pub(crate) fn stated(&self) -> &Stated {
        &self.stated
    }

    pub(crate) fn capability(&self) -> &Capability {
        &self.token.capability
    }

    /// What tells it from all others of which something else would be asserted, but for the moment and the call.
    pub(crate) fn identity(&self) -> &Identity {
        &self.token.identity
    }

    /// What records say of it.
    pub(crate) fn recorded(&self) -> Arc<AuditChain> {
        self.token.recorded()
    }

    /// What tells all its blocks but the last from all others, if they were known before it came.
    pub(crate) fn beginning(&self) -> Option<u64> {
        self.token.beginning
    }

    /// Who pays for what is remembered of it.
    pub(crate) fn owner(&self) -> Owner {
        self.token.owner()
    }

    /// Returns true if its verifier judges resources of this scheme now ([`Verifier::resource_schemes`](crate::Verifier::resource_schemes)).
    pub fn judges_scheme(&self, scheme: &str) -> bool {
        self.resource_schemes.judge(scheme)
    }

    /// Whether the server's lists could name schemes that are judged then.
    pub(crate) fn has_open_schemes(&self) -> bool {
        self.resource_schemes.are_open()
    }
}
