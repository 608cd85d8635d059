//! Trust: which roots are trusted now, and what is remembered of signatures under them?
//!
//! Roots can be exchanged while a verifier runs (key rotation). What is remembered belongs to the set under which it
//! was checked and ends with it. Of what was verified earlier and is still held by somebody, it is looked each time
//! whether its root is trusted now.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use prost::Message;

use crate::capability::Capability;
use crate::chain::recorded::AuditChain;
use crate::chain::{Chain, PresentationKind};
use crate::keys::{PublicKey, RootKey, RootKeys};
use crate::memory::{Memory, Owner};
use crate::profile::ShapeError;
use crate::profile::shape::Shaped;
use crate::signing::{self, BadSignature};
use crate::timestamp::Timestamp;
use crate::verify::VerifyError;
use crate::verify::beginnings::{Beginnings, Known};
use crate::verify::refused::RefusedBearers;

/// The room for each token that is to be remembered. A chain of a grant, three hops and a presentation takes less, with what a guard
/// remembers of it; many more of one chain fit.
pub(super) const ROOM_PER_TOKEN: usize = 64 * 1024;

/// What a token takes beside its text, its bytes, its blocks and what they say: the parts of its bytes, each in a list of its own, and what
/// is known of its signatures.
const BYTES_BESIDE: usize = 2 * 1024;
const BYTES_PER_BLOCK: usize = 400;

/// A token whose signatures hold, the root that made it and the verifier's name for that.
#[derive(Debug)]
pub(crate) struct Authentic {
    pub(crate) capability: Capability,
    pub(crate) root: PublicKey,
    pub(super) identity: Identity,
    /// The number of all its blocks but the last, if they were known before it.
    pub(super) beginning: Option<u64>,
    /// What records say of it, once one does.
    recorded: OnceLock<Arc<AuditChain>>,
}

/// What tells a token from all others that this process verified, and what this verifier calls its root. All else that is asserted of a
/// token is in its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    number: u64,
    pub(super) issuer: Arc<str>,
}

impl Authentic {
    /// A token that was found to hold; `known` are its first blocks that were known before.
    pub(super) fn of(
        capability: Capability,
        issuer: Arc<str>,
        root: PublicKey,
        known: Option<&Known>,
    ) -> Authentic {
        let all_but_last = |known: &&Known| known.is_all_but_last_of(&capability);
        let beginning = known.filter(all_but_last).map(|known| known.number);
        let identity = Identity { number: next_number(), issuer };
        Authentic { capability, root, identity, beginning, recorded: OnceLock::new() }
    }

    /// The verifier's own name for the root.
    pub(crate) fn issuer(&self) -> &str {
        &self.identity.issuer
    }

    /// What records say of it where all of it holds.
    pub(crate) fn recorded(&self) -> Arc<AuditChain> {
        let recorded = self.recorded.get_or_init(|| {
            let said = AuditChain::authentic(self.capability.chain(), self.issuer());
            Arc::new(AuditChain { verified: true, ..said })
        });
        Arc::clone(recorded)
    }

    /// What it takes in memory, with what records say of it.
    fn bytes(&self) -> usize {
        let Shaped { biscuit, blocks } = self.capability.shaped();
        let blocks: usize = blocks.iter().map(|block| BYTES_PER_BLOCK + block.bytes()).sum();
        BYTES_BESIDE + biscuit.encoded_len() + blocks + 2 * self.capability.chain().bytes()
    }

    /// Who pays for what is remembered of it.
    pub(crate) fn owner(&self) -> Owner {
        let subject = self.capability.chain().grant.subject.as_str();
        Owner { root: self.root, subject: subject.into() }
    }
}

/// A number that this process gives to nothing else.
pub(super) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The roots in force.
pub(super) struct Trust(RwLock<Arc<RootSet>>);

/// The roots of one moment, and what is remembered under them.
pub(super) struct RootSet {
    pub(super) roots: Arc<RootKeys>,
    /// How many authentic tokens are remembered.
    pub(super) remembered: usize,
    /// By the bearer. Only what no later moment can change: that a token is of the profile's
    /// shape, and that one of these roots and the holders signed it.
    authentic: Memory<Arc<str>, Arc<Authentic>>,
    /// The same of the first blocks of such tokens.
    beginnings: Beginnings,
    /// The other side of it.
    refused: Option<RefusedBearers>,
}

impl Trust {
    pub(super) fn of(roots: Arc<RootKeys>, remembered: usize) -> Trust {
        Trust(RwLock::new(Arc::new(RootSet::of(roots, remembered))))
    }

    /// The same roots, under which so many tokens are remembered.
    pub(super) fn remembering(self, tokens: usize) -> Trust {
        Trust::of(Arc::clone(&self.in_force().roots), tokens)
    }

    /// Trusts other roots from now on, and returns those before. With the same ones, nothing is forgotten.
    pub(super) fn replace(&self, roots: Arc<RootKeys>) -> Arc<RootKeys> {
        let mut set = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = Arc::clone(&set.roots);
        if before != roots {
            *set = Arc::new(RootSet::of(roots, set.remembered));
        }
        before
    }

    pub(super) fn in_force(&self) -> Arc<RootSet> {
        Arc::clone(&self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Judges under one set of roots, which is in force at the beginning and at the end. Where the roots are exchanged meanwhile,
    /// what was found counts for nothing, and it is judged again; so each turn but the last takes an exchange of its own.
    pub(super) fn judge<T>(&self, judge: impl Fn(&RootSet) -> T) -> T {
        loop {
            let set = self.in_force();
            let judged = judge(&set);
            if Arc::ptr_eq(&set, &self.in_force()) {
                return judged;
            }
        }
    }
}

impl RootSet {
    fn of(roots: Arc<RootKeys>, remembered: usize) -> RootSet {
        let remembers = remembered > 0;
        RootSet {
            roots,
            remembered,
            authentic: Memory::new(remembered.saturating_mul(ROOM_PER_TOKEN)),
            beginnings: Beginnings::new(remembered),
            refused: remembers.then(RefusedBearers::new),
        }
    }

    pub(super) fn recall(&self, bearer: &str) -> Option<Arc<Authentic>> {
        self.authentic.get(bearer)
    }

    /// Remembers a token whose signatures hold, and what it begins with. One that is good for a single call does not come again.
    pub(super) fn keep(&self, bearer: &str, token: &Arc<Authentic>, known: Option<&Known>) {
        if self.remembered == 0 {
            return;
        }
        let presentation = token.capability.chain().presentation.as_ref();
        if presentation.is_none_or(|last| last.kind == PresentationKind::Session) {
            let bytes = bearer.len() + token.bytes();
            self.authentic.put(bearer.into(), Arc::clone(token), token.owner(), bytes);
        }
        self.beginnings.keep(token, known);
    }

    /// Reads a bearer; what is known of its first blocks is not read again.
    pub(super) fn parse(
        &self,
        bearer: &str,
    ) -> Result<(Capability, Option<Arc<Known>>), ShapeError> {
        let mut known = None;
        let capability = Capability::parse_by(bearer, |bytes| {
            known = self.beginnings.longest(bytes);
            match &known {
                Some(known) => Capability::following(&known.beginning, bytes),
                None => Capability::from_bytes(bytes),
            }
        })?;
        Ok((capability, known))
    }

    pub(super) fn recall_refused(&self, bearer: &[u8; 32], now: Timestamp) -> Option<VerifyError> {
        self.refused.as_ref()?.recall(bearer, now)
    }

    pub(super) fn keep_refused(
        &self,
        bearer: [u8; 32],
        error: &VerifyError,
        chain: Option<&Chain>,
        now: Timestamp,
    ) {
        if let Some(refused) = &self.refused {
            refused.keep(bearer, error, chain, now);
        }
    }

    /// The root key whose signature the token bears, and the name that this verifier has for it.
    pub(super) fn authenticate(
        &self,
        capability: &Capability,
        known: Option<&Known>,
    ) -> Result<(PublicKey, Arc<str>), VerifyError> {
        if let Some(Known { beginning, root, issuer, .. }) = known {
            // No other of these roots signed the grant, so that the block that it would be refused for is the same.
            let rest = signing::verify_after(capability.shaped(), beginning.blocks());
            let bad = |BadSignature { block }| VerifyError::Signature { block };
            return rest.map(|()| (*root, Arc::clone(issuer))).map_err(bad);
        }
        let bad = |BadSignature { block }| VerifyError::Signature { block };
        let mut candidates = self.roots.candidates(capability.root_key_id()).peekable();
        if candidates.peek().is_none() {
            return Err(VerifyError::UnknownRoot);
        }
        // Once, however many roots are tried.
        signing::verify_end(capability.shaped()).map_err(bad)?;
        let mut furthest = BadSignature { block: 0 };
        for root in candidates {
            match signing::verify_before_end(capability.shaped(), Some(&root.key)) {
                Ok(()) => return Ok((root.key, root.name.as_str().into())),
                Err(found) if found.block > furthest.block => furthest = found,
                Err(_) => {}
            }
        }
        Err(bad(furthest))
    }

    /// A token whose signatures held under some roots, as it is under these: refused for the same cause as if it came for the
    /// first time, or under the name that its root has here. That its root signed it is not looked at again: no exchange
    /// changes that.
    pub(super) fn admit(&self, token: &Arc<Authentic>) -> Result<Arc<Authentic>, VerifyError> {
        let mut tried = self.roots.candidates(token.capability.root_key_id()).peekable();
        if tried.peek().is_none() {
            return Err(VerifyError::UnknownRoot);
        }
        match tried.find(|root| root.key == token.root) {
            None => Err(VerifyError::Signature { block: 0 }),
            Some(root) if *root.name == *token.identity.issuer => Ok(Arc::clone(token)),
            Some(RootKey { key, name, .. }) => {
                let (capability, number) = (token.capability.clone(), token.identity.number);
                let identity = Identity { number, issuer: name.as_str().into() };
                Ok(Arc::new(Authentic {
                    capability,
                    root: *key,
                    identity,
                    beginning: token.beginning,
                    recorded: OnceLock::new(),
                }))
            }
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_force().roots.fmt(f)
    }
}
