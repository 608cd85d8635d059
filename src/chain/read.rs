//! Read: a token's blocks to the chain that they state.

use biscuit_auth::datalog::{Fact, SymbolTable, Term};

use crate::chain::{
    Caveat, Chain, GrantBlock, Hop, PresentationBlock, PresentationKind, RevocationId,
};
use crate::keys::PublicKey;
use crate::names;
use crate::profile::shape::{Shaped, ShapedBlock};
use crate::profile::vocabulary::{is_predicate_name, is_reserved};
use crate::profile::{FactProblem, ShapeError};
use crate::profile::{MAX_DEPTH, PROFILE_VERSION};
use crate::scope::Scope;
use crate::signing;
use crate::timestamp::Timestamp;

impl Chain {
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
        let parents = signing::parent_digests(&shaped.biscuit);
        for ((index, block), parent) in blocks.zip(parents) {
            chain.add(index, block, &parent)?;
        }
        Ok(chain)
    }

    /// What it says up to the block of this number.
    pub(crate) fn up_to(&self, last: usize) -> Chain {
        let hops = self.hops.iter().filter(|hop| hop.index <= last).cloned();
        let caveats = self.caveats.iter().filter(|caveat| caveat.index <= last).cloned();
        Chain {
            grant: self.grant.clone(),
            hops: hops.collect(),
            presentation: self.presentation.clone().filter(|it| it.index <= last),
            caveats: caveats.collect(),
        }
    }

    /// Reads one more block, which was to be signed over what has the digest `parent`.
    pub(crate) fn add(
        &mut self,
        index: usize,
        block: &ShapedBlock,
        parent: &[u8; 16],
    ) -> Result<(), ShapeError> {
        refuse_other_parent(index, block, parent)?;
        if self.presentation.is_some() {
            return Err(ShapeError::AfterPresentation { block: index });
        }
        match kind(index, block)? {
            BlockKind::Hop => self.hops.push(read_hop(index, block, self)?),
            BlockKind::Presentation => self.presentation = Some(read_presentation(index, block)?),
            BlockKind::Caveat => self.caveats.push(Caveat {
                index,
                checks: block.checks.len(),
                revocation_id: id(block),
            }),
        }
        Ok(())
    }
}

enum BlockKind {
    Hop,
    Caveat,
    Presentation,
}

fn kind(index: usize, block: &ShapedBlock) -> Result<BlockKind, ShapeError> {
    let says = |name: &str| block.named(name).next().is_some();
    match (says("presentation"), says("hop")) {
        (true, _) => Ok(BlockKind::Presentation),
        (false, true) => Ok(BlockKind::Hop),
        (false, false) if block.facts.is_empty() && block.external.is_none() => {
            Ok(BlockKind::Caveat)
        }
        (false, false) => Err(ShapeError::Kind { block: index }),
    }
}

/// A block that says over which token it was signed stands in that one and in no other.
fn refuse_other_parent(
    index: usize,
    block: &ShapedBlock,
    parent: &[u8; 16],
) -> Result<(), ShapeError> {
    let facts = BlockFacts { index, block };
    match facts.at_most_one("parent", bytes::<16>)? {
        Some(said) if said != *parent => Err(ShapeError::OtherParent { block: index }),
        _ => Ok(()),
    }
}

fn id(block: &ShapedBlock) -> RevocationId {
    RevocationId(block.external.map_or(block.signature, |(_, signature)| signature))
}

fn read_grant(block: &ShapedBlock) -> Result<GrantBlock, ShapeError> {
    const SAID: [&str; 8] =
        ["hardtack", "subject", "scope", "audience", "issued", "expires", "max_depth", "holder"];
    let facts = BlockFacts { index: 0, block };
    let is_about_subject = |fact: &&Fact| !SAID.contains(&block.name_of(fact));
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
    let about_subject = block.facts.iter().filter(is_about_subject);
    let about_subject = about_subject.filter_map(|fact| block.written(fact));
    let about_subject = about_subject.map(|fact| names::escaped(&fact));
    Ok(GrantBlock {
        subject,
        scopes: facts.scopes()?,
        audiences: facts.audiences()?,
        issued: facts.one("issued", date)?,
        expires: facts.one("expires", date)?,
        max_depth: max_depth.ok_or(facts.wrong("max_depth", FactProblem::Malformed))?,
        holder: facts.holder()?,
        facts: about_subject.collect(),
        revocation_id: id(block),
    })
}

fn read_hop(index: usize, block: &ShapedBlock, parents: &Chain) -> Result<Hop, ShapeError> {
    let facts = BlockFacts { index, block };
    facts
        .only(&["hop", "delegate", "scope", "audience", "expires", "reason", "holder", "parent"])?;
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
        checks: block.checks.len(),
        revocation_id: id(block),
        block_signature: RevocationId(block.signature),
    })
}

fn read_presentation(index: usize, block: &ShapedBlock) -> Result<PresentationBlock, ShapeError> {
    let facts = BlockFacts { index, block };
    facts.only(&["hop", "presentation", "audience", "expires", "digest", "nonce", "parent"])?;
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
struct BlockFacts<'a> {
    index: usize,
    block: &'a ShapedBlock,
}

/// What reads a term, by the words of its block.
type Read<T> = fn(&Term, &SymbolTable) -> Option<T>;

impl BlockFacts<'_> {
    fn all<T>(&self, name: &'static str, read: Read<T>) -> Result<Vec<T>, ShapeError> {
        let said = self.block.named(name).count();
        let mut all = Vec::with_capacity(said);
        for value in self.each(name, read) {
            all.push(value?);
        }
        Ok(all)
    }

    fn each<T>(
        &self,
        name: &'static str,
        read: Read<T>,
    ) -> impl Iterator<Item = Result<T, ShapeError>> {
        self.block.named(name).map(move |fact| match fact.predicate.terms.as_slice() {
            [term] => {
                let value = read(term, &self.block.symbols);
                value.ok_or(self.wrong(name, FactProblem::Malformed))
            }
            _ => Err(self.wrong(name, FactProblem::Malformed)),
        })
    }

    fn at_most_one<T>(&self, name: &'static str, read: Read<T>) -> Result<Option<T>, ShapeError> {
        // One that is malformed comes before one that is too many.
        let (count, last) = self
            .each(name, read)
            .try_fold((0, None), |(count, _), value| value.map(|value| (count + 1, Some(value))))?;
        match count {
            0 | 1 => Ok(last),
            _ => Err(self.wrong(name, FactProblem::Repeated)),
        }
    }

    fn one<T>(&self, name: &'static str, read: Read<T>) -> Result<T, ShapeError> {
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
        // The check that binds to the holder brings the same key.
        let brought =
            |bytes: &[u8; 32]| self.block.keys.iter().find(|key| key.to_bytes() == *bytes);
        let key = key.map(|bytes| {
            brought(&bytes).map_or_else(|| PublicKey::from_bytes(&bytes), |key| Ok(*key))
        });
        key.transpose().map_err(|_| ShapeError::Algorithm { block: self.index })
    }

    /// `hop($n)` says the number of its own block, or a copied check could be satisfied elsewhere.
    fn index(&self) -> Result<(), ShapeError> {
        match usize::try_from(self.one("hop", integer)?) {
            Ok(index) if index == self.index => Ok(()),
            _ => Err(self.wrong("hop", FactProblem::Malformed)),
        }
    }

    fn only(&self, names: &[&'static str]) -> Result<(), ShapeError> {
        for fact in &self.block.facts {
            if !names.contains(&self.block.name_of(fact)) {
                self.refuse_reserved(fact)?;
                return Err(ShapeError::Content {
                    block: self.index,
                    what: "a fact that has no place there",
                });
            }
        }
        Ok(())
    }

    fn refuse_reserved(&self, fact: &Fact) -> Result<(), ShapeError> {
        let name = self.block.name_of(fact);
        match is_predicate_name(name) && !is_reserved(name) {
            true => Ok(()),
            false => Err(ShapeError::Content {
                block: self.index,
                what: "a fact that is not its to assert",
            }),
        }
    }

    fn wrong(&self, predicate: &'static str, problem: FactProblem) -> ShapeError {
        ShapeError::Fact { block: self.index, predicate, problem }
    }

    fn misnamed(&self, predicate: &'static str) -> ShapeError {
        ShapeError::Name { block: self.index, predicate }
    }
}

fn string(term: &Term, words: &SymbolTable) -> Option<String> {
    match term {
        Term::Str(word) => words.get_symbol(*word).map(str::to_owned),
        _ => None,
    }
}

fn integer(term: &Term, _: &SymbolTable) -> Option<i64> {
    match term {
        Term::Integer(value) => Some(*value),
        _ => None,
    }
}

fn date(term: &Term, _: &SymbolTable) -> Option<Timestamp> {
    match term {
        Term::Date(seconds) => Some(Timestamp::from_unix_seconds(*seconds)),
        _ => None,
    }
}

fn bytes<const N: usize>(term: &Term, _: &SymbolTable) -> Option<[u8; N]> {
    match term {
        Term::Bytes(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    }
}
