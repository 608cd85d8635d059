//! Chain: what a token's blocks say, decoded.
//!
//! Holds facts of the right name, number and type; whether they are true, signed or narrower than
//! their parents is asked elsewhere ([`verify`](crate::verify)).

mod id;
mod read;

use serde::Serialize;

use crate::keys::PublicKey;
use crate::scope::Scope;
use crate::timestamp::Timestamp;

pub use id::{IdPrefix, IdPrefixError, RevocationId, RevocationIdError};

/// What a token says, block by block.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Chain {
    /// The first block: what the subject granted.
    pub grant: GrantBlock,
    /// The hops, in the order of delegation.
    pub hops: Vec<Hop>,
    /// The last block, if the token is a presentation.
    pub presentation: Option<PresentationBlock>,
    /// Blocks that only add checks, appended by nobody in particular.
    pub caveats: Vec<Caveat>,
}

/// Block 0.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct GrantBlock {
    /// Whose rights these are.
    pub subject: String,
    /// What may be done.
    pub scopes: Vec<Scope>,
    /// Where; empty for anywhere, until a hop or the presentation names it.
    pub audiences: Vec<String>,
    /// When the grant was made.
    pub issued: Timestamp,
    /// The first moment at which it is no longer valid.
    pub expires: Timestamp,
    /// How many hops may follow.
    pub max_depth: u8,
    /// Who may delegate or present it; `None` for whoever has it.
    pub holder: Option<PublicKey>,
    /// Further facts about the subject, in Datalog.
    pub facts: Vec<String>,
    /// The block's id.
    pub revocation_id: RevocationId,
}

/// A delegation.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Hop {
    /// The number of its block.
    pub index: usize,
    /// Who delegates: what its own delegator calls it, or the subject.
    pub delegator: String,
    /// To whom: a name that the delegator chose, proven by nothing else.
    pub delegate: String,
    /// What may be done.
    pub scopes: Vec<Scope>,
    /// Where: the hop's own audiences, or its parent's where it names none.
    pub audiences: Vec<String>,
    /// The first moment at which the hop is no longer valid.
    pub expires: Timestamp,
    /// Why.
    pub reason: String,
    /// Who may delegate further or present; `None` for whoever has the token.
    pub holder: Option<PublicKey>,
    /// Who signed the hop; `None` for a first-party block, which anybody can append.
    pub signer: Option<PublicKey>,
    /// How many checks the hop makes.
    pub checks: usize,
    /// The block's id.
    pub revocation_id: RevocationId,
    #[serde(skip)]
    pub(crate) block_signature: RevocationId,
}

/// A block that only adds checks.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Caveat {
    /// The number of its block.
    pub index: usize,
    /// How many checks it makes.
    pub checks: usize,
    /// The block's id.
    pub revocation_id: RevocationId,
}

/// The last block of what goes over the wire.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PresentationBlock {
    /// The number of its block.
    pub index: usize,
    /// For any calls while it lives, or for one exact call.
    pub kind: PresentationKind,
    /// To whom it is presented.
    pub audience: String,
    /// The first moment at which it is no longer valid.
    pub expires: Timestamp,
    /// Who presents; `None` for a first-party block, which anybody can append.
    pub signer: Option<PublicKey>,
    /// The block's id.
    pub revocation_id: RevocationId,
    #[serde(skip)]
    pub(crate) block_signature: RevocationId,
    #[serde(skip)]
    pub(crate) digest: Option<[u8; 32]>,
}

/// How strictly a presentation is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentationKind {
    /// Good for every granted call to its audience while it lives.
    Session,
    /// Good for one exact call, once.
    Call,
}

impl PresentationKind {
    /// The word that the token and `presented($kind)` use.
    pub fn as_str(self) -> &'static str {
        match self {
            PresentationKind::Session => "session",
            PresentationKind::Call => "call",
        }
    }
}

impl Chain {
    /// How many hops there are.
    pub fn depth(&self) -> usize {
        self.hops.len()
    }

    /// The key to which the chain is bound now: the last hop's holder, or the grant's.
    pub fn holder(&self) -> Option<PublicKey> {
        self.hops.last().map_or(self.grant.holder, |hop| hop.holder)
    }

    /// What the chain allows now: the last hop's scopes, or the grant's.
    pub fn scopes(&self) -> &[Scope] {
        self.hops.last().map_or(&self.grant.scopes, |hop| &hop.scopes)
    }

    /// Where the chain may be used: the presentation's audience, the last hop's or the grant's.
    /// Empty for anywhere.
    pub fn audiences(&self) -> &[String] {
        match &self.presentation {
            Some(presentation) => std::slice::from_ref(&presentation.audience),
            None => self.hops.last().map_or(&self.grant.audiences, |hop| &hop.audiences),
        }
    }

    /// The first moment at which some block of the chain is no longer valid.
    pub fn expires(&self) -> Timestamp {
        self.expiries().map(|(_, expires)| expires).min().unwrap_or(self.grant.expires)
    }

    /// The name of whoever holds the chain now: the last delegate, or the subject.
    pub fn bearer_name(&self) -> &str {
        self.hops.last().map_or(&self.grant.subject, |hop| &hop.delegate)
    }

    /// Both signatures of every block, with the block's number: its id, and the block signature by
    /// which other Biscuit verifiers know it.
    pub fn signatures(&self) -> impl Iterator<Item = (usize, RevocationId)> {
        let grant = (0, self.grant.revocation_id);
        let caveats = self.caveats.iter().map(|caveat| (caveat.index, caveat.revocation_id));
        let hops = self
            .hops
            .iter()
            .flat_map(|hop| [(hop.index, hop.revocation_id), (hop.index, hop.block_signature)]);
        let last = self.presentation.iter().flat_map(|last| {
            [(last.index, last.revocation_id), (last.index, last.block_signature)]
        });
        std::iter::once(grant).chain(caveats).chain(hops).chain(last)
    }

    /// Every holder's key, with the number of the block that names it.
    pub fn holders(&self) -> impl Iterator<Item = (usize, PublicKey)> {
        let grant = self.grant.holder.map(|key| (0, key));
        let hops = self.hops.iter().filter_map(|hop| hop.holder.map(|key| (hop.index, key)));
        grant.into_iter().chain(hops)
    }

    /// Every agent's name, with the number of its hop.
    pub fn agents(&self) -> impl Iterator<Item = (usize, &str)> {
        self.hops.iter().map(|hop| (hop.index, hop.delegate.as_str()))
    }

    /// Every block that has an expiry, with its number.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = (usize, Timestamp)> {
        let hops = self.hops.iter().map(|hop| (hop.index, hop.expires));
        let presentation = self.presentation.iter().map(|last| (last.index, last.expires));
        std::iter::once((0, self.grant.expires)).chain(hops).chain(presentation)
    }
}
