//! Walk: from the grant to the presentation, does every link hold and only narrow? (Path validation, as of a
//! certificate chain, RFC 5280, section 6.)

use std::time::Duration;

use crate::chain::{Chain, GrantBlock, Hop, PresentationBlock, PresentationKind};
use crate::delegate::{first_wider_audience, first_wider_scope};
use crate::keys::{PublicKey, RootKeys};
use crate::profile::CLOCK_SKEW;
use crate::scope::Scope;
use crate::timestamp::Timestamp;
use crate::verify::{UnboundHops, Verifier, VerifyError};

/// Refuses a token of which any block is over. It comes before signatures, so that an expired one costs none.
pub(super) fn refuse_expired(chain: &Chain, now: Timestamp) -> Result<(), VerifyError> {
    match chain.expiries().find(|(_, expires)| *expires <= now) {
        Some((block, expired)) => Err(VerifyError::Expired { block, expired }),
        None => Ok(()),
    }
}

/// The walk from the grant to the presentation: each link signed by the holder before it, none wider
/// than its parent.
pub(super) struct Walk<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) roots: &'a RootKeys,
    pub(super) chain: &'a Chain,
    pub(super) now: Timestamp,
}

/// What the blocks walked so far allow.
struct Parent<'a> {
    scopes: &'a [Scope],
    audiences: &'a [String],
    expires: Timestamp,
    holder: Option<PublicKey>,
}

impl<'a> Walk<'a> {
    pub(super) fn walk(&self) -> Result<&'a PresentationBlock, VerifyError> {
        let mut parent = self.grant(&self.chain.grant)?;
        for (depth, hop) in self.chain.hops.iter().enumerate() {
            parent = self.hop(depth, hop, &parent)?;
        }
        self.presentation(&parent)
    }

    fn grant(&self, grant: &'a GrantBlock) -> Result<Parent<'a>, VerifyError> {
        if grant.issued > self.now + CLOCK_SKEW {
            return Err(VerifyError::NotYetIssued { issued: grant.issued });
        }
        if grant.expires <= grant.issued {
            return Err(VerifyError::IssuedAfterExpiry);
        }
        self.life(0, grant.expires, self.verifier.lifetimes.grant)?;
        self.holder(0, grant.holder)?;
        Ok(Parent {
            scopes: &grant.scopes,
            audiences: &grant.audiences,
            expires: grant.expires,
            holder: grant.holder,
        })
    }

    fn hop(
        &self,
        depth: usize,
        hop: &'a Hop,
        parent: &Parent<'a>,
    ) -> Result<Parent<'a>, VerifyError> {
        let block = hop.index;
        self.signer(block, hop.signer, parent)?;
        let max_depth = self.chain.grant.max_depth;
        if depth >= usize::from(max_depth) {
            return Err(VerifyError::TooDeep { block, max_depth });
        }
        if let Some(scope) = first_wider_scope(parent.scopes, &hop.scopes) {
            return Err(VerifyError::ScopeWider { block, scope: scope.clone() });
        }
        self.audiences(block, &hop.audiences, parent)?;
        self.expiry(block, hop.expires, parent)?;
        self.life(block, hop.expires, self.verifier.lifetimes.hop)?;
        self.holder(block, hop.holder)?;
        if !self.verifier.directory.agrees(hop) {
            return Err(VerifyError::NameMismatch { block, name: hop.delegate.clone() });
        }
        Ok(Parent {
            scopes: &hop.scopes,
            audiences: &hop.audiences,
            expires: hop.expires,
            holder: hop.holder,
        })
    }

    fn presentation(&self, parent: &Parent<'_>) -> Result<&'a PresentationBlock, VerifyError> {
        let last = self.chain.presentation.as_ref().ok_or(VerifyError::NotPresented)?;
        let block = last.index;
        self.signer(block, last.signer, parent)?;
        self.audiences(block, std::slice::from_ref(&last.audience), parent)?;
        self.expiry(block, last.expires, parent)?;
        let longest = match last.kind {
            PresentationKind::Session => self.verifier.lifetimes.session,
            PresentationKind::Call => self.verifier.lifetimes.call,
        };
        self.life(block, last.expires, longest)?;
        if last.audience != self.verifier.audience {
            return Err(VerifyError::WrongAudience { audience: last.audience.clone() });
        }
        Ok(last)
    }

    fn signer(
        &self,
        block: usize,
        signer: Option<PublicKey>,
        parent: &Parent<'_>,
    ) -> Result<(), VerifyError> {
        match (parent.holder, signer) {
            (Some(holder), Some(signer)) if holder == signer => Ok(()),
            (Some(_), _) => Err(VerifyError::WrongSigner { block }),
            (None, Some(_)) => Err(VerifyError::ForeignSigner { block }),
            (None, None) if self.verifier.unbound == UnboundHops::Accepted => Ok(()),
            (None, None) => Err(VerifyError::Unbound { block }),
        }
    }

    fn audiences(
        &self,
        block: usize,
        audiences: &[String],
        parent: &Parent<'_>,
    ) -> Result<(), VerifyError> {
        match first_wider_audience(parent.audiences, audiences) {
            Some(audience) => {
                Err(VerifyError::AudienceWider { block, audience: audience.to_owned() })
            }
            None => Ok(()),
        }
    }

    fn expiry(
        &self,
        block: usize,
        expires: Timestamp,
        parent: &Parent<'_>,
    ) -> Result<(), VerifyError> {
        match expires > parent.expires {
            true => Err(VerifyError::ExpiryWider { block, expires, parent: parent.expires }),
            false => Ok(()),
        }
    }

    fn life(&self, block: usize, expires: Timestamp, longest: Duration) -> Result<(), VerifyError> {
        match expires.since(self.now) > longest {
            true => Err(VerifyError::TooLongLived { block, expires }),
            false => Ok(()),
        }
    }

    fn holder(&self, block: usize, holder: Option<PublicKey>) -> Result<(), VerifyError> {
        match holder.is_some_and(|key| self.roots.contains(&key)) {
            true => Err(VerifyError::RootAsHolder { block }),
            false => Ok(()),
        }
    }
}
