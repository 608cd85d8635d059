//! Chain: what a token's blocks say, decoded.
//!
//! Reads facts of the right name, number and type; whether they are true, signed or narrower than
//! their parents is asked elsewhere ([`verify`](crate::verify)).

use std::fmt;

use biscuit_auth::builder::{Fact, Term};
use serde::{Serialize, Serializer};

use crate::keys::PublicKey;
use crate::names;
use crate::profile::shape::{FactProblem, ShapeError, Shaped, ShapedBlock};
use crate::profile::vocabulary::{is_predicate_name, is_reserved};
use crate::profile::{MAX_DEPTH, PROFILE_VERSION};
use crate::scope::Scope;
use crate::timestamp::Timestamp;

/// What stands for a block in revocation lists, records and replay protection: its external
/// signature if it has one, otherwise its block signature. 64 bytes, written as 128 hexadecimal
/// digits.
///
/// The bytes of a token are no id, and neither is the block signature of a hop: both can be made
/// anew by whoever held the parent's token (see `docs/profile.md`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub(crate) [u8; 64]);

impl RevocationId {
    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 64]) -> RevocationId {
        RevocationId(bytes)
    }

    /// The 64 bytes.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl std::str::FromStr for RevocationId {
    type Err = RevocationIdError;

    fn from_str(text: &str) -> Result<RevocationId, RevocationIdError> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| RevocationIdError)?;
        Ok(RevocationId(bytes))
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RevocationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RevocationId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RevocationId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is no revocation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revocation id is 128 hexadecimal digits, as `hardtack inspect --json` prints it")]
pub struct RevocationIdError;

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

    /// Reads the blocks of a token.
    pub(crate) fn read(shaped: &Shaped) -> Result<Chain, ShapeError> {
        let mut blocks = shaped.blocks.iter().enumerate();
        let Some((_, first)) = blocks.next() else { return Err(ShapeError::NotABiscuit) };
        let mut chain = Chain {
            grant: read_grant(first)?,
            hops: Vec::new(),
            presentation: None,
            caveats: Vec::new(),
        };
        for (index, block) in blocks {
            if chain.presentation.is_some() {
                return Err(ShapeError::AfterPresentation { block: index });
            }
            match kind(index, block)? {
                Kind::Hop => chain.hops.push(read_hop(index, block, &chain)?),
                Kind::Presentation => chain.presentation = Some(read_presentation(index, block)?),
                Kind::Caveat => chain.caveats.push(Caveat {
                    index,
                    checks: block.content.checks.len(),
                    revocation_id: id(block),
                }),
            }
        }
        Ok(chain)
    }
}

enum Kind {
    Hop,
    Caveat,
    Presentation,
}

fn kind(index: usize, block: &ShapedBlock) -> Result<Kind, ShapeError> {
    let says = |name: &str| block.facts.iter().any(|fact| fact.predicate.name == name);
    match (says("presentation"), says("hop")) {
        (true, _) => Ok(Kind::Presentation),
        (false, true) => Ok(Kind::Hop),
        (false, false) if block.facts.is_empty() && block.external.is_none() => Ok(Kind::Caveat),
        (false, false) => Err(ShapeError::Kind { block: index }),
    }
}

fn id(block: &ShapedBlock) -> RevocationId {
    RevocationId(block.external.map_or(block.signature, |(_, signature)| signature))
}

fn read_grant(block: &ShapedBlock) -> Result<GrantBlock, ShapeError> {
    const SAID: [&str; 8] =
        ["hardtack", "subject", "scope", "audience", "issued", "expires", "max_depth", "holder"];
    let facts = Facts { block: 0, facts: &block.facts };
    let is_about_subject = |fact: &&Fact| !SAID.contains(&fact.predicate.name.as_str());
    for fact in block.facts.iter().filter(is_about_subject) {
        facts.refuse_reserved(fact)?;
    }
    if facts.one("hardtack", integer)? != PROFILE_VERSION {
        return Err(facts.wrong("hardtack", FactProblem::Malformed));
    }
    let subject = facts.one("subject", string)?;
    names::check_subject(&subject).map_err(|_| facts.misnamed("subject"))?;
    let max_depth = facts.one("max_depth", integer)?;
    let max_depth = (0..=MAX_DEPTH).contains(&max_depth).then_some(max_depth);
    let max_depth = max_depth.and_then(|depth| u8::try_from(depth).ok());
    Ok(GrantBlock {
        subject,
        scopes: facts.scopes()?,
        audiences: facts.audiences()?,
        issued: facts.one("issued", date)?,
        expires: facts.one("expires", date)?,
        max_depth: max_depth.ok_or(facts.wrong("max_depth", FactProblem::Malformed))?,
        holder: facts.holder()?,
        facts: block.facts.iter().filter(is_about_subject).map(names::escaped).collect(),
        revocation_id: id(block),
    })
}

fn read_hop(index: usize, block: &ShapedBlock, parents: &Chain) -> Result<Hop, ShapeError> {
    let facts = Facts { block: index, facts: &block.facts };
    facts.only(&["hop", "delegate", "scope", "audience", "expires", "reason", "holder"])?;
    facts.index()?;
    let delegate = facts.one("delegate", string)?;
    names::check_agent(&delegate).map_err(|_| facts.misnamed("delegate"))?;
    let reason = facts.one("reason", string)?;
    names::check_reason(&reason).map_err(|_| facts.misnamed("reason"))?;
    let own_audiences = facts.audiences()?;
    let inherited = own_audiences.is_empty();
    Ok(Hop {
        index,
        delegator: parents.bearer_name().to_owned(),
        delegate,
        scopes: facts.scopes()?,
        audiences: if inherited { parents.audiences().to_vec() } else { own_audiences },
        expires: facts.one("expires", date)?,
        reason,
        holder: facts.holder()?,
        signer: block.external.map(|(key, _)| key),
        checks: block.content.checks.len(),
        revocation_id: id(block),
        block_signature: RevocationId(block.signature),
    })
}

fn read_presentation(index: usize, block: &ShapedBlock) -> Result<PresentationBlock, ShapeError> {
    let facts = Facts { block: index, facts: &block.facts };
    facts.only(&["hop", "presentation", "audience", "expires", "digest", "nonce"])?;
    facts.index()?;
    let kind = match facts.one("presentation", string)?.as_str() {
        "session" => PresentationKind::Session,
        "call" => PresentationKind::Call,
        _ => return Err(facts.wrong("presentation", FactProblem::Malformed)),
    };
    let audience = facts.one("audience", string)?;
    names::check_audience(&audience).map_err(|_| facts.misnamed("audience"))?;
    let digest = facts.at_most_one("digest", bytes::<32>)?;
    let nonce = facts.at_most_one("nonce", bytes::<16>)?;
    for (predicate, said) in [("digest", digest.is_some()), ("nonce", nonce.is_some())] {
        match (kind, said) {
            (PresentationKind::Call, false) => {
                return Err(facts.wrong(predicate, FactProblem::Missing));
            }
            (PresentationKind::Session, true) => {
                return Err(facts.wrong(predicate, FactProblem::Misplaced));
            }
            _ => {}
        }
    }
    Ok(PresentationBlock {
        index,
        kind,
        audience,
        expires: facts.one("expires", date)?,
        signer: block.external.map(|(key, _)| key),
        revocation_id: id(block),
        block_signature: RevocationId(block.signature),
        digest,
    })
}

/// The facts of one block, counted as they are written.
struct Facts<'a> {
    block: usize,
    facts: &'a [Fact],
}

impl Facts<'_> {
    fn all<T>(
        &self,
        name: &'static str,
        read: fn(&Term) -> Option<T>,
    ) -> Result<Vec<T>, ShapeError> {
        let said = self.facts.iter().filter(|fact| fact.predicate.name == name);
        let values = said.map(|fact| match fact.predicate.terms.as_slice() {
            [term] => read(term).ok_or(self.wrong(name, FactProblem::Malformed)),
            _ => Err(self.wrong(name, FactProblem::Malformed)),
        });
        values.collect()
    }

    fn at_most_one<T>(
        &self,
        name: &'static str,
        read: fn(&Term) -> Option<T>,
    ) -> Result<Option<T>, ShapeError> {
        let mut values = self.all(name, read)?;
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(self.wrong(name, FactProblem::Repeated)),
        }
    }

    fn one<T>(&self, name: &'static str, read: fn(&Term) -> Option<T>) -> Result<T, ShapeError> {
        self.at_most_one(name, read)?.ok_or(self.wrong(name, FactProblem::Missing))
    }

    /// One or more scopes, none said twice.
    fn scopes(&self) -> Result<Vec<Scope>, ShapeError> {
        let texts = self.distinct("scope")?;
        if texts.is_empty() {
            return Err(self.wrong("scope", FactProblem::Missing));
        }
        texts.iter().map(|text| text.parse().map_err(|_| self.misnamed("scope"))).collect()
    }

    fn audiences(&self) -> Result<Vec<String>, ShapeError> {
        let names = self.distinct("audience")?;
        match names.iter().all(|name| names::check_audience(name).is_ok()) {
            true => Ok(names),
            false => Err(self.misnamed("audience")),
        }
    }

    fn distinct(&self, name: &'static str) -> Result<Vec<String>, ShapeError> {
        let texts = self.all(name, string)?;
        let repeated = texts.iter().enumerate().any(|(index, text)| texts[..index].contains(text));
        if repeated { Err(self.wrong(name, FactProblem::Repeated)) } else { Ok(texts) }
    }

    fn holder(&self) -> Result<Option<PublicKey>, ShapeError> {
        let key = self.at_most_one("holder", bytes::<32>)?;
        let key = key.map(|bytes| PublicKey::from_bytes(&bytes));
        key.transpose().map_err(|_| ShapeError::Algorithm { block: self.block })
    }

    /// `hop($n)` says the number of its own block, or a copied check could be satisfied elsewhere.
    fn index(&self) -> Result<(), ShapeError> {
        match usize::try_from(self.one("hop", integer)?) {
            Ok(index) if index == self.block => Ok(()),
            _ => Err(self.wrong("hop", FactProblem::Malformed)),
        }
    }

    fn only(&self, names: &[&'static str]) -> Result<(), ShapeError> {
        for fact in self.facts {
            if !names.contains(&fact.predicate.name.as_str()) {
                self.refuse_reserved(fact)?;
                return Err(ShapeError::Content {
                    block: self.block,
                    what: "a fact that has no place there",
                });
            }
        }
        Ok(())
    }

    fn refuse_reserved(&self, fact: &Fact) -> Result<(), ShapeError> {
        let name = fact.predicate.name.as_str();
        match is_predicate_name(name) && !is_reserved(name) {
            true => Ok(()),
            false => Err(ShapeError::Content {
                block: self.block,
                what: "a fact that is not its to assert",
            }),
        }
    }

    fn wrong(&self, predicate: &'static str, problem: FactProblem) -> ShapeError {
        ShapeError::Fact { block: self.block, predicate, problem }
    }

    fn misnamed(&self, predicate: &'static str) -> ShapeError {
        ShapeError::Name { block: self.block, predicate }
    }
}

fn string(term: &Term) -> Option<String> {
    match term {
        Term::Str(text) => Some(text.clone()),
        _ => None,
    }
}

fn integer(term: &Term) -> Option<i64> {
    match term {
        Term::Integer(value) => Some(*value),
        _ => None,
    }
}

fn date(term: &Term) -> Option<Timestamp> {
    match term {
        Term::Date(seconds) => Some(Timestamp::from_unix_seconds(*seconds)),
        _ => None,
    }
}

fn bytes<const N: usize>(term: &Term) -> Option<[u8; N]> {
    match term {
        Term::Bytes(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    }
}
