//! Chain: how a token of any length is written from what each of its blocks says. Whether it should be accepted
//! is for the families to say.

use biscuit_auth::builder::{BlockBuilder, Fact, Term, string};
use hardtack::{PrivateKey, PublicKey};

use hardtack_testkit::forge::{Forge, Part, Proof, pair, payload_of, throw_away};
use hardtack_testkit::{AUDIENCE, Cast, NOW};

/// When a grant, a hop and a presentation expire, in seconds after [`NOW`].
pub const GRANT_LIVES: i64 = 3600;
pub const HOP_LIVES: i64 = 600;
pub const SESSION_LIVES: i64 = 300;

/// What a block says: facts as terms, so that no text is too odd to be written, and checks as Datalog.
#[derive(Clone)]
pub struct Block {
    facts: Vec<Fact>,
    checks: String,
}

impl Block {
    fn new(facts: &[(&str, Term)]) -> Block {
        let empty = Block { facts: Vec::new(), checks: String::new() };
        facts.iter().fold(empty, |block, (name, value)| block.and(name, value.clone()))
    }

    /// Says this of the predicate, in the place of all that it said of it.
    pub fn with(self, name: &str, value: Term) -> Block {
        self.without(name).and(name, value)
    }

    /// Says this, too.
    pub fn and(self, name: &str, value: Term) -> Block {
        self.fact(name, vec![value])
    }

    /// Says nothing of the predicate.
    pub fn without(mut self, name: &str) -> Block {
        self.facts.retain(|fact| fact.predicate.name != name);
        self
    }

    /// Says this of as many terms as there are.
    pub fn fact(mut self, name: &str, terms: Vec<Term>) -> Block {
        self.facts.push(Fact::new(name.to_owned(), terms));
        self
    }

    /// These and no other texts for the predicate.
    pub fn texts(self, name: &str, texts: &[&str]) -> Block {
        texts.iter().fold(self.without(name), |block, text| block.and(name, string(text)))
    }

    pub fn scopes(self, scopes: &[&str]) -> Block {
        self.texts("scope", scopes)
    }

    pub fn audiences(self, audiences: &[&str]) -> Block {
        self.texts("audience", audiences)
    }

    /// Expires so many seconds after [`NOW`].
    pub fn expires(self, seconds: i64) -> Block {
        self.with("expires", date(seconds))
    }

    /// Makes this check, too.
    pub fn check(mut self, datalog: &str) -> Block {
        self.checks.push_str(datalog);
        self.checks.push(';');
        self
    }

    fn payload(&self) -> Vec<u8> {
        let facts = self.facts.iter().cloned();
        let block = facts.fold(BlockBuilder::new(), |block, fact| block.fact(fact).unwrap());
        payload_of(block.code(&self.checks).unwrap())
    }
}

/// A grant, hops and a presentation, each signed by the holder before it.
#[derive(Clone)]
pub struct Chain(Vec<Block>);

impl Chain {
    /// Of so many hops: `tools:call:*` granted, `tools:call:search` passed on, presented to this server.
    pub fn of(hops: usize) -> Chain {
        let hop = |index| {
            Block::new(&[
                ("hop", number(index)),
                ("delegate", string(&format!("agent.number{index}"))),
                ("reason", string("look for the page")),
                ("scope", string("tools:call:search")),
                ("expires", date(HOP_LIVES)),
                ("holder", bytes(&key(index).public())),
            ])
        };
        let grant = Block::new(&[
            ("hardtack", number(1)),
            ("subject", string("user:alice")),
            ("scope", string("tools:call:*")),
            ("issued", date(0)),
            ("expires", date(GRANT_LIVES)),
            ("max_depth", number(13)),
            ("holder", bytes(&key(0).public())),
        ]);
        let presentation = Block::new(&[
            ("hop", number(hops + 1)),
            ("presentation", string("session")),
            ("audience", string(AUDIENCE)),
            ("expires", date(SESSION_LIVES)),
        ]);
        let hops = (1..=hops).map(hop);
        Chain(std::iter::once(grant).chain(hops).chain([presentation]).collect())
    }

    /// Changes what a block says.
    pub fn block(mut self, index: usize, change: impl FnOnce(Block) -> Block) -> Chain {
        self.0[index] = change(self.0[index].clone());
        self
    }

    /// Changes what the presentation says.
    pub fn presentation(self, change: impl FnOnce(Block) -> Block) -> Chain {
        let last = self.0.len() - 1;
        self.block(last, change)
    }

    /// Bound to the call of this digest.
    pub fn bound_to(self, digest: [u8; 32]) -> Chain {
        self.presentation(|block| {
            block
                .with("presentation", string("call"))
                .with("digest", Term::Bytes(digest.to_vec()))
                .with("nonce", Term::Bytes(vec![7; 16]))
                .expires(60)
        })
    }

    /// The same scopes in every block but the presentation.
    pub fn scopes(self, scopes: &[&str]) -> Chain {
        let last = self.0.len() - 1;
        (0..last).fold(self, |chain, index| chain.block(index, |block| block.scopes(scopes)))
    }

    /// In the forge, for what is to be changed in its keys and signatures.
    pub fn forge(&self) -> Forge {
        let part = |(index, block): (usize, &Block)| Part {
            bytes: block.payload(),
            signer: (index > 0).then(|| pair(&key(index - 1))),
            next: throw_away(index),
            version: Some(1),
        };
        Forge {
            root: pair(&Cast::new().root),
            root_key_id: None,
            blocks: self.0.iter().enumerate().map(part).collect(),
            proof: Proof::Sealed,
        }
    }

    pub fn bearer(&self) -> String {
        self.forge().bearer()
    }
}

/// The key of whoever holds the chain after this block: the orchestrator, the researcher, and others.
pub fn key(block: usize) -> PrivateKey {
    let seed = match block {
        0 => 2,
        1 => 3,
        block => 0x40 | u8::try_from(block % 16).unwrap_or_default(),
    };
    PrivateKey::from_bytes(&[seed; 32])
}

/// So many seconds after [`NOW`].
pub fn date(seconds: i64) -> Term {
    let now = i64::try_from(NOW.unix_seconds()).unwrap_or_default();
    Term::Date(u64::try_from(now + seconds).unwrap_or_default())
}

pub fn number(number: usize) -> Term {
    Term::Integer(i64::try_from(number).unwrap_or_default())
}

pub fn bytes(key: &PublicKey) -> Term {
    Term::Bytes(key.to_bytes().to_vec())
}

/// A value of each type that is no text, by what it is called.
pub fn no_texts() -> [(&'static str, Term); 8] {
    let search = || string("tools:call:search");
    [
        ("a number", Term::Integer(7)),
        ("a truth value", Term::Bool(true)),
        ("null", Term::Null),
        ("bytes", Term::Bytes(b"tools:call:search".to_vec())),
        ("a date", date(0)),
        ("an array of texts", Term::Array(vec![search()])),
        ("a set of texts", Term::Set([search()].into())),
        ("a map", Term::Map([(biscuit_auth::builder::MapKey::Integer(1), search())].into())),
    ]
}
