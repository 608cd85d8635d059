//! Chain: what a token's blocks say, decoded.
//!
//! A chain holds facts of the right name, number and type. Whether they are true, signed or narrower than their parents
//! is asked elsewhere ([`verify`](crate::verify)).

mod id;
mod read;
pub(crate) mod recorded;

use serde::Serialize;

use crate::keys::PublicKey;
use crate::scope::Scope;
use crate::timestamp::Timestamp;

pub(crate) use id::read_digits;
pub use id::{DigitsError, IdPrefix, IdPrefixError, RevocationId, RevocationIdError};

/// What a text takes beside its bytes: its place in a list with room for twice as many, and an allocation.
const BYTES_PER_TEXT: usize = 2 * size_of::<String>() + 16;

/// A token's blocks, decoded. Nothing of it is verified unless it comes from a
/// [`VerifiedCapability`](crate::VerifiedCapability).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Chain {
    /// The grant, the first block: what the subject granted.
    pub grant: GrantBlock,
    /// The hops, in the order of delegation.
    pub hops: Vec<Hop>,
    /// The last block, if the token is a presentation.
    pub presentation: Option<PresentationBlock>,
    /// Blocks that only add checks, which no holder signed.
    pub caveats: Vec<Caveat>,
}

/// The grant, block 0.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct GrantBlock {
    /// The name of the subject, whose rights these are.
    pub subject: String,
    /// The scopes: what may be done.
    pub scopes: Vec<Scope>,
    /// The audiences: at which servers. Empty for any, until a hop or the presentation names one.
    pub audiences: Vec<String>,
    /// The moment at which the grant was made.
    pub issued: Timestamp,
    /// The first moment at which it is no longer valid.
    pub expires: Timestamp,
    /// The number of hops that may follow.
    pub max_depth: u8,
    /// The key of the holder, who may delegate or present it; `None` for whoever has the token.
    pub holder: Option<PublicKey>,
    /// Further facts about the subject, each in Datalog.
    pub facts: Vec<String>,
    /// The revocation id of the block.
    pub revocation_id: RevocationId,
}

/// A hop: one delegation.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Hop {
    /// The number of its block.
    pub index: usize,
    /// The name of whoever delegates, as its own delegator calls it, or the subject's.
    pub delegator: String,
    /// The name of the agent to whom it is delegated. The delegator chose it, and nothing else proves it.
    pub delegate: String,
    /// The scopes: what may be done.
    pub scopes: Vec<Scope>,
    /// The audiences: the hop's own, or its parent's where it names none.
    pub audiences: Vec<String>,
    /// The first moment at which the hop is no longer valid.
    pub expires: Timestamp,
    /// The reason of the delegation.
    pub reason: String,
    /// The key of the holder, who may delegate further or present; `None` for whoever has the token.
    pub holder: Option<PublicKey>,
    /// The key that signed the hop; `None` for a first-party block, which anybody can append.
    pub signer: Option<PublicKey>,
    /// The number of checks that the hop makes.
    pub checks: usize,
    /// The revocation id of the block.
    pub revocation_id: RevocationId,
    #[serde(skip)]
    pub(crate) block_signature: RevocationId,
}

/// A caveat: a block that only adds checks.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Caveat {
    /// The number of its block.
    pub index: usize,
    /// The number of checks that it makes.
    pub checks: usize,
    /// The revocation id of the block.
    pub revocation_id: RevocationId,
}

/// A presentation, the last block of what goes over the wire.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PresentationBlock {
    /// The number of its block.
    pub index: usize,
    /// The kind: for many calls while it lives, or for one exact call.
    pub kind: PresentationKind,
    /// The audience: the server to which it is presented.
    pub audience: String,
    /// The first moment at which it is no longer valid.
    pub expires: Timestamp,
    /// The key that signed the presentation; `None` for a first-party block, which anybody can append.
    pub signer: Option<PublicKey>,
    /// The revocation id of the block.
    pub revocation_id: RevocationId,
    #[serde(skip)]
    pub(crate) block_signature: RevocationId,
    #[serde(skip)]
    pub(crate) digest: Option<[u8; 32]>,
}

/// The two kinds of presentations, by how strictly they are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentationKind {
    /// A presentation for every granted call to its audience while it lives.
    Session,
    /// A presentation for one exact call, once.
    Call,
}

impl PresentationKind {
    /// Returns the word that the token and the policies' fact `presented($kind)` use: `session` or `call`.
    pub fn as_str(self) -> &'static str {
        match self {
            PresentationKind::Session => "session",
            PresentationKind::Call => "call",
        }
    }
}

impl Chain {
    /// Returns the number of hops.
    pub fn depth(&self) -> usize {
        self.hops.len()
    }

    /// Returns the key to which the chain is bound now: the last hop's holder, or the grant's. `None` if it is bound to
    /// nobody.
    pub fn holder(&self) -> Option<PublicKey> {
        self.hops.last().map_or(self.grant.holder, |hop| hop.holder)
    }

    /// Returns the scopes that the chain allows now: the last hop's, or the grant's.
    pub fn scopes(&self) -> &[Scope] {
        self.hops.last().map_or(&self.grant.scopes, |hop| &hop.scopes)
    }

    /// Returns the audiences at which the chain may be used: the presentation's, the last hop's or the grant's. Empty
    /// for any.
    pub fn audiences(&self) -> &[String] {
        match &self.presentation {
            Some(presentation) => std::slice::from_ref(&presentation.audience),
            None => self.hops.last().map_or(&self.grant.audiences, |hop| &hop.audiences),
        }
    }

    /// Returns the first moment at which some block of the chain is no longer valid.
    pub fn expires(&self) -> Timestamp {
        self.expiries().map(|(_, expires)| expires).min().unwrap_or(self.grant.expires)
    }

    /// Returns the name of whoever holds the chain now: the last delegate, or the subject.
    pub fn bearer_name(&self) -> &str {
        self.hops.last().map_or(&self.grant.subject, |hop| &hop.delegate)
    }

    /// Returns both signatures of every block, each with the block's number: its revocation id, and the block signature
    /// by which other Biscuit verifiers know the block.
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

    /// Returns the key of every holder, with the number of the block that names it.
    pub fn holders(&self) -> impl Iterator<Item = (usize, PublicKey)> {
        let grant = self.grant.holder.map(|key| (0, key));
        let hops = self.hops.iter().filter_map(|hop| hop.holder.map(|key| (hop.index, key)));
        grant.into_iter().chain(hops)
    }

    /// Returns the name of every agent, with the number of the block of its hop.
    pub fn agents(&self) -> impl Iterator<Item = (usize, &str)> {
        self.hops.iter().map(|hop| (hop.index, hop.delegate.as_str()))
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let texts = |texts: &[String]| {
            let each = texts.iter().map(|text| BYTES_PER_TEXT + text.len());
            each.sum::<usize>()
        };
        let scopes = |scopes: &[Scope]| {
            let each = scopes.iter().map(|scope| BYTES_PER_TEXT + scope.as_str().len());
            each.sum::<usize>()
        };
        let grant = &self.grant;
        let granted = texts(&grant.audiences) + texts(&grant.facts) + scopes(&grant.scopes);
        let hops = self.hops.iter().map(|hop| {
            let names = hop.delegator.len() + hop.delegate.len() + hop.reason.len();
            2 * size_of::<Hop>()
                + 3 * BYTES_PER_TEXT
                + names
                + texts(&hop.audiences)
                + scopes(&hop.scopes)
        });
        let last = self.presentation.as_ref().map_or(0, |last| last.audience.len());
        size_of::<Chain>()
            + 4 * size_of::<Hop>()
            + 2 * BYTES_PER_TEXT
            + grant.subject.len()
            + granted
            + hops.sum::<usize>()
            + 2 * self.caveats.len() * size_of::<Caveat>()
            + last
    }

    /// Every block that has an expiry, with its number.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = (usize, Timestamp)> {
        let hops = self.hops.iter().map(|hop| (hop.index, hop.expires));
        let presentation = self.presentation.iter().map(|last| (last.index, last.expires));
        std::iter::once((0, self.grant.expires)).chain(hops).chain(presentation)
    }
}
