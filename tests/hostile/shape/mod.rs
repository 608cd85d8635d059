//! Shape: tokens that are encoded and signed as they should be, and whose blocks are not what the profile has.
//!
//! Everything here is signed anew with the right keys: it is what a root or a holder would do who means harm.

mod blocks;
mod checks;
mod expressions;
mod facts;
mod misplaced;
mod tables;
mod terms;

use biscuit_auth::format::schema;
use hardtack::Call;

use crate::case::Case;
use crate::craft::{append_first_party, seed};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, payload};

pub(crate) fn cases() -> Vec<Case> {
    [
        facts::cases(),
        misplaced::cases(),
        tables::cases(),
        terms::cases(),
        checks::cases(),
        expressions::cases(),
        blocks::cases(),
    ]
    .concat()
}

fn refused(what: &str, forge: &Forge, cause: &'static str, block: usize) -> Case {
    Case::refused(format!("shape/{what}"), forge.bearer(), cause, Some(block))
}

fn accepted(what: &str, forge: &Forge) -> Case {
    Case::accepted(format!("shape/{what}"), forge.bearer())
}

/// The kinds of blocks that say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grant,
    Hop,
    Session,
    Call,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Grant, Kind::Hop, Kind::Session, Kind::Call];

    fn name(self) -> &'static str {
        match self {
            Kind::Grant => "the grant",
            Kind::Hop => "the hop",
            Kind::Session => "the session presentation",
            Kind::Call => "the call presentation",
        }
    }

    fn block(self) -> usize {
        match self {
            Kind::Grant => 0,
            Kind::Hop => 1,
            Kind::Session | Kind::Call => 2,
        }
    }

    /// What a block of the kind says at the least.
    fn facts(self) -> Vec<(&'static str, String)> {
        let hex = |bytes: &[u8]| format!("hex:{}", hex::encode(bytes));
        let cast = Cast::new();
        let text = |text: &str| format!("\"{text}\"");
        let number = |number: i64| number.to_string();
        let date = |minute: u8| format!("2026-11-23T10:{minute:02}:00Z");
        match self {
            Kind::Grant => vec![
                ("hardtack", number(1)),
                ("subject", text("user:alice")),
                ("scope", text("tools:call:*")),
                ("issued", date(0)),
                ("expires", date(50)),
                ("max_depth", number(8)),
                ("holder", hex(&cast.orchestrator.public().to_bytes())),
            ],
            Kind::Hop => vec![
                ("hop", number(1)),
                ("delegate", text("agent.researcher")),
                ("scope", text("tools:call:search")),
                ("expires", date(10)),
                ("reason", text("find")),
                ("holder", hex(&cast.researcher.public().to_bytes())),
            ],
            Kind::Session => vec![
                ("hop", number(2)),
                ("presentation", text("session")),
                ("audience", text("notion.mcp")),
                ("expires", date(2)),
            ],
            Kind::Call => vec![
                ("hop", number(2)),
                ("presentation", text("call")),
                ("audience", text("notion.mcp")),
                ("expires", date(1)),
                ("digest", hex(&Call::tool("search").unwrap().digest())),
                ("nonce", hex(&[7; 16])),
            ],
        }
    }

    /// The seed with this block saying these facts.
    fn saying(self, facts: &[(&str, String)], more: &str) -> Forge {
        let facts = facts.iter().map(|(name, value)| format!("{name}({value}); "));
        seed().write(self.block(), &format!("{}{more}", facts.collect::<String>()))
    }

    /// The seed with this block saying what it must, and more.
    fn and(self, more: &str) -> Forge {
        self.saying(&self.facts(), more)
    }

    /// The same with one fact's value exchanged, or added where it stands for none.
    fn with(self, name: &'static str, value: &str) -> Forge {
        let mut facts = self.facts();
        match facts.iter_mut().find(|fact| fact.0 == name) {
            Some(fact) => fact.1 = value.to_owned(),
            None => facts.push((name, value.to_owned())),
        }
        self.saying(&facts, "")
    }

    fn without(self, name: &str) -> Forge {
        let mut facts = self.facts();
        facts.retain(|fact| fact.0 != name);
        self.saying(&facts, "")
    }
}

/// The seed with a caveat before its presentation, which is the fourth block then.
fn with_caveat(datalog: &str) -> Forge {
    let mut forge = seed();
    let presentation = Kind::Session.facts().into_iter().map(|(name, value)| match name {
        "hop" => "hop(3); ".to_owned(),
        _ => format!("{name}({value}); "),
    });
    let presentation = presentation.collect::<String>();
    forge.blocks.pop();
    append_first_party(forge, datalog).append(&presentation, Some(&Cast::new().researcher))
}

/// A word's number in a block, which gets the word if it has not.
fn word(block: &mut schema::Block, word: &str) -> u64 {
    let at = block.symbols.iter().position(|known| known == word);
    let at = at.unwrap_or_else(|| {
        block.symbols.push(word.to_owned());
        block.symbols.len() - 1
    });
    1024 + at as u64
}

/// The content that the plain library writes for Datalog.
fn content(datalog: &str) -> schema::Block {
    prost::Message::decode(payload(datalog).as_slice()).unwrap()
}

/// The number of a word that a block uses, defined by itself or by Biscuit.
fn number_of(block: &schema::Block, word: &str) -> u64 {
    match word {
        "nonce" => 26,
        _ => 1024 + block.symbols.iter().position(|known| known == word).unwrap() as u64,
    }
}

/// The content of a fact's only term.
fn term_of<'a>(block: &'a mut schema::Block, name: &str) -> &'a mut Option<schema::term::Content> {
    let number = number_of(block, name);
    let fact = block.facts.iter_mut().find(|fact| fact.predicate.name == number);
    &mut fact.unwrap().predicate.terms[0].content
}

fn set_bytes(block: &mut schema::Block, name: &str, bytes: Vec<u8>) {
    *term_of(block, name) = Some(schema::term::Content::Bytes(bytes));
}

fn set_date(block: &mut schema::Block, name: &str, date: u64) {
    *term_of(block, name) = Some(schema::term::Content::Date(date));
}
