//! Block: whole tokens drawn from the input: facts, checks, scopes and terms of every kind, properly encoded and
//! signed. Bytes alone seldom get so far.
//!
//! Where the input ends, every choice falls on what is right, so that the empty input is an accepted token and
//! each byte a step away from one.

use arbitrary::Unstructured;
use biscuit_auth::format::schema::{self, op, op_binary, op_unary, scope, term};
use hardtack::PrivateKey;
use prost::Message;

use super::{Target, judge};
use hardtack_testkit::forge::{Forge, Part, Proof, pair, throw_away};
use hardtack_testkit::{AUDIENCE, NOW};

pub const TARGET: Target = Target {
    name: "block",
    run,
    seeds,
    // Some thousand choices: more than the caps let through.
    max_len: 4 * 1024,
};

fn run(data: &[u8]) -> bool {
    let mut draw = Draw(Unstructured::new(data));
    judge::accepts(&token(&mut draw).sign().encode_to_vec())
}

/// The words that Biscuit knows without a table.
const KNOWN: [&str; 28] = [
    "read",
    "write",
    "resource",
    "operation",
    "right",
    "time",
    "role",
    "owner",
    "tenant",
    "namespace",
    "user",
    "team",
    "service",
    "admin",
    "email",
    "group",
    "member",
    "ip_address",
    "client",
    "client_ip",
    "domain",
    "path",
    "version",
    "cluster",
    "node",
    "hostname",
    "nonce",
    "query",
];

/// What queries ask for, and what facts claim.
const PREDICATES: [&str; 20] = [
    "operation",
    "time",
    "tool",
    "arg",
    "verifier",
    "depth",
    "call",
    "agent",
    "delegated",
    "granted",
    "subject",
    "scope",
    "audience",
    "holder",
    "hop",
    "presentation",
    "parent",
    "role",
    "digest",
    "unbound",
];

const SCOPES: [&str; 10] = [
    "tools:call:search",
    "tools:call:*",
    "tools:*",
    "*",
    "tools:call:pay",
    "hardtack:*",
    "tools",
    "resources:read",
    "tools:call:search*",
    "",
];

const TEXTS: [&str; 14] = [
    "search",
    "tools:call:search",
    "tools:",
    "amount",
    "to",
    "a",
    "user:alice",
    AUDIENCE,
    "agent.researcher",
    "",
    "session",
    "call",
    "hardtack_path",
    "\u{1b}[2J",
];

const LIVES: [i64; 8] = [60, 60, 300, 600, 3600, 0, -1, 90_000];

struct Draw<'a>(Unstructured<'a>);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Seldom, and never once the input has ended.
    fn odd(&mut self) -> bool {
        self.byte() > 0xf0
    }

    fn number(&mut self) -> i64 {
        match self.below(4) {
            0 => i64::from(self.byte()),
            1 => -1,
            2 => self.of(&[i64::MIN, i64::MAX, 1 << 53, 0]),
            _ => self.0.arbitrary().unwrap_or_default(),
        }
    }
}

/// The keys of the cast: root, orchestrator, researcher, thief.
fn key(number: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[u8::try_from(number % 4).unwrap_or_default() + 1; 32])
}

fn token(draw: &mut Draw<'_>) -> Forge {
    let hops = draw.below(4);
    let mut shared = Vec::new();
    let mut holder = 1;
    let mut blocks = vec![grant(draw, holder, &mut shared)];
    for _ in 0..hops {
        let index = blocks.len();
        if draw.odd() {
            let caveat = Writing::in_table(draw, &mut shared).finish(None, index);
            blocks.push(caveat);
            continue;
        }
        let next = 1 + draw.below(3);
        let signer = if draw.odd() { draw.below(4) } else { holder };
        blocks.push(hop(draw, index, next).finish(Some(signer), index));
        holder = next;
    }
    let index = blocks.len();
    if !draw.odd() {
        let signer = if draw.odd() { draw.below(4) } else { holder };
        blocks.push(presentation(draw, index).finish(Some(signer), index));
    }
    let proof = if draw.odd() { Proof::Secret } else { Proof::Sealed };
    Forge { root: pair(&key(0)), root_key_id: None, blocks, proof }
}

fn grant(draw: &mut Draw<'_>, holder: usize, shared: &mut Vec<String>) -> Part {
    let issued = if draw.odd() { NOW + std::time::Duration::from_secs(61) } else { NOW };
    let mut block = Writing::in_table(draw, shared);
    block.said("hardtack", Value::Number(1));
    block.said("subject", Value::Text("user:alice"));
    block.scopes();
    block.audiences();
    block.said("issued", Value::Date(issued.unix_seconds()));
    block.expires();
    let depth = if block.draw.odd() { block.draw.number() } else { 8 };
    block.said("max_depth", Value::Number(depth));
    block.holder(holder);
    block.checks();
    block.finish(None, 0)
}

fn hop<'a, 'b>(draw: &'a mut Draw<'b>, index: usize, holder: usize) -> Writing<'a, 'b> {
    let mut block = Writing::alone(draw);
    block.said("hop", Value::Number(index as i64));
    block.said("delegate", Value::Text("agent.researcher"));
    block.said("reason", Value::Text("find"));
    block.scopes();
    block.audiences();
    block.expires();
    block.holder(holder);
    block.checks();
    block
}

fn presentation<'a, 'b>(draw: &'a mut Draw<'b>, index: usize) -> Writing<'a, 'b> {
    let mut block = Writing::alone(draw);
    block.said("hop", Value::Number(index as i64));
    let by_call = block.draw.odd();
    block.said("presentation", Value::Text(if by_call { "call" } else { "session" }));
    block.said("audience", Value::Text(AUDIENCE));
    block.expires();
    if by_call {
        let digest = judge::calls()[0].digest();
        block.said("digest", Value::Bytes(digest.to_vec()));
        block.said("nonce", Value::Bytes(vec![7; 16]));
    }
    block.checks();
    block
}

enum Value<'a> {
    Number(i64),
    Text(&'a str),
    Date(u64),
    Bytes(Vec<u8>),
}

/// One block, with the table of words that it is read by.
struct Writing<'a, 'b> {
    draw: &'a mut Draw<'b>,
    words: Vec<String>,
    /// How many words of the table are other blocks'.
    inherited: usize,
    shared: Option<&'a mut Vec<String>>,
    block: schema::Block,
}

impl<'a, 'b> Writing<'a, 'b> {
    fn alone(draw: &'a mut Draw<'b>) -> Writing<'a, 'b> {
        let block = schema::Block { version: Some(6), ..Default::default() };
        Writing { draw, words: Vec::new(), inherited: 0, shared: None, block }
    }

    /// First-party blocks go on with the words of those before.
    fn in_table(draw: &'a mut Draw<'b>, shared: &'a mut Vec<String>) -> Writing<'a, 'b> {
        let mut writing = Writing::alone(draw);
        (writing.words, writing.inherited) = (shared.clone(), shared.len());
        writing.shared = Some(shared);
        writing.checks();
        writing
    }

    fn finish(mut self, signer: Option<usize>, index: usize) -> Part {
        if self.draw.odd() {
            self.quirk();
        }
        self.block.symbols = self.words[self.inherited..].to_vec();
        if let Some(shared) = self.shared {
            *shared = self.words;
        }
        Part {
            bytes: self.block.encode_to_vec(),
            signer: signer.map(|number| pair(&key(number))),
            next: throw_away(index),
            version: Some(1),
        }
    }

    fn quirk(&mut self) {
        match self.draw.below(6) {
            0 => self.block.version = Some(u32::from(self.draw.byte())),
            1 => self.block.context = Some("context".to_owned()),
            2 => {
                let trusted = self.trusted();
                self.block.scope.push(trusted);
            }
            3 => {
                let rule = self.query();
                self.block.rules.push(rule);
            }
            4 => self.words.push(KNOWN[4].to_owned()),
            _ => {
                let fact = self.predicate(false);
                self.block.facts.push(schema::Fact { predicate: fact });
            }
        }
    }

    fn word(&mut self, word: &str) -> u64 {
        if let Some(known) = KNOWN.iter().position(|known| *known == word) {
            return known as u64;
        }
        let at = self.words.iter().position(|known| known == word).unwrap_or_else(|| {
            self.words.push(word.to_owned());
            self.words.len() - 1
        });
        1024 + at as u64
    }

    /// A fact of the profile; now and then missing, twice, or of another type.
    fn said(&mut self, name: &str, value: Value<'_>) {
        if self.draw.odd() && self.draw.below(2) == 0 {
            return;
        }
        let content = match value {
            Value::Number(number) => term::Content::Integer(number),
            Value::Text(text) => term::Content::String(self.word(text)),
            Value::Date(seconds) => term::Content::Date(seconds),
            Value::Bytes(bytes) => term::Content::Bytes(bytes),
        };
        let term = schema::Term { content: Some(content) };
        let term = if self.draw.odd() { self.term(0, false) } else { term };
        let name = self.word(name);
        let fact = schema::Fact { predicate: schema::Predicate { name, terms: vec![term] } };
        if self.draw.odd() {
            self.block.facts.push(fact.clone());
        }
        self.block.facts.push(fact);
    }

    fn scopes(&mut self) {
        for _ in 0..=self.draw.below(3) {
            let scope = self.draw.of(&SCOPES);
            self.said("scope", Value::Text(scope));
        }
    }

    fn audiences(&mut self) {
        for _ in 0..self.draw.below(3) {
            let audience = self.draw.of(&[AUDIENCE, AUDIENCE, "other.mcp", "a b"]);
            self.said("audience", Value::Text(audience));
        }
    }

    fn expires(&mut self) {
        let life = self.draw.of(&LIVES);
        self.said("expires", Value::Date(NOW.unix_seconds().saturating_add_signed(life)));
    }

    fn holder(&mut self, number: usize) {
        let number = if self.draw.odd() { self.draw.below(4) } else { number };
        self.said("holder", Value::Bytes(key(number).public().to_bytes().to_vec()));
    }

    fn checks(&mut self) {
        for _ in 0..self.draw.below(4) {
            let mut queries = vec![self.query()];
            while self.draw.odd() {
                queries.push(self.query());
            }
            let kind = self.draw.of(&[None, Some(1), Some(2), Some(0), Some(3)]);
            self.block.checks.push(schema::Check { queries, kind });
        }
    }

    fn query(&mut self) -> schema::Rule {
        let body: Vec<_> = (0..self.draw.below(4)).map(|_| self.predicate(true)).collect();
        let expressions: Vec<_> = (0..self.draw.below(3))
            .map(|_| {
                let mut ops = Vec::new();
                self.expression(0, &mut ops);
                schema::Expression { ops }
            })
            .collect();
        let name = self.word("query");
        let scope = if self.draw.odd() { vec![self.trusted()] } else { Vec::new() };
        let head = schema::Predicate { name, terms: Vec::new() };
        schema::Rule { head, body, expressions, scope }
    }

    fn trusted(&mut self) -> schema::Scope {
        let content = match self.draw.below(3) {
            0 => scope::Content::ScopeType(0),
            1 => scope::Content::ScopeType(1),
            _ => {
                if self.block.public_keys.is_empty() {
                    let number = self.draw.below(4);
                    self.block.public_keys.push(pair(&key(number)).public().to_proto());
                }
                scope::Content::PublicKey(if self.draw.odd() { self.draw.number() } else { 0 })
            }
        };
        schema::Scope { content: Some(content) }
    }

    fn predicate(&mut self, in_query: bool) -> schema::Predicate {
        let name = self.draw.of(&PREDICATES);
        let name = self.word(name);
        let count = if in_query { 1 + self.draw.below(3) } else { self.draw.below(4) };
        let terms = (0..count).map(|_| self.term(0, in_query)).collect();
        schema::Predicate { name, terms }
    }

    fn term(&mut self, depth: usize, in_query: bool) -> schema::Term {
        let deep = depth > 9;
        let content = match self.draw.below(if deep { 6 } else { 10 }) {
            0 if in_query => term::Content::Variable(self.variable()),
            0 | 1 => {
                let text = self.draw.of(&TEXTS);
                term::Content::String(self.word(text))
            }
            2 => term::Content::Integer(self.draw.number()),
            3 => term::Content::Date(self.draw.0.arbitrary().unwrap_or_default()),
            4 => term::Content::Bytes(vec![7; self.draw.below(80)]),
            5 => term::Content::Bool(self.draw.byte() & 1 == 1),
            6 => term::Content::Set(schema::TermSet { set: self.terms(depth, in_query) }),
            7 => term::Content::Null(schema::Empty {}),
            8 => term::Content::Array(schema::Array { array: self.terms(depth, in_query) }),
            _ => {
                let values = self.terms(depth, in_query);
                let entries = values.into_iter().zip(0..).map(|(value, number)| {
                    let key = schema::map_key::Content::Integer(number);
                    schema::MapEntry { key: schema::MapKey { content: Some(key) }, value }
                });
                term::Content::Map(schema::Map { entries: entries.collect() })
            }
        };
        let none = self.draw.0.is_empty() || content != term::Content::Bool(true);
        schema::Term { content: (none || !self.draw.odd()).then_some(content) }
    }

    fn terms(&mut self, depth: usize, in_query: bool) -> Vec<schema::Term> {
        (0..self.draw.below(5)).map(|_| self.term(depth + 1, in_query)).collect()
    }

    fn variable(&mut self) -> u32 {
        let name = self.draw.of(&["query", "x", "y"]);
        u32::try_from(self.word(name)).unwrap_or_default()
    }

    /// A well-formed expression, in the order of a stack; now and then an operation too many.
    fn expression(&mut self, depth: usize, ops: &mut Vec<schema::Op>) {
        let kind = if depth > 5 || self.draw.0.is_empty() { 0 } else { self.draw.below(6) };
        match kind {
            0 | 1 => {
                let term = self.term(8, true);
                ops.push(schema::Op { content: Some(op::Content::Value(term)) });
            }
            2 => {
                self.expression(depth + 1, ops);
                ops.push(self.unary());
            }
            3 | 4 => {
                self.expression(depth + 1, ops);
                self.expression(depth + 1, ops);
                let kind = i32::from(self.draw.byte()) % 32;
                ops.push(self.binary(kind));
            }
            _ => {
                self.expression(depth + 1, ops);
                let lazy = self.draw.byte() & 1 == 0;
                let mut inner = Vec::new();
                self.expression(depth + 1, &mut inner);
                let params = if lazy { Vec::new() } else { vec![self.variable()] };
                let closure = schema::OpClosure { params, ops: inner };
                ops.push(schema::Op { content: Some(op::Content::Closure(closure)) });
                let lazy_or_each = if lazy { [23, 24] } else { [25, 26] };
                let kind = self.draw.of(&lazy_or_each);
                ops.push(self.binary(kind));
            }
        }
    }

    fn unary(&mut self) -> schema::Op {
        let kind = i32::from(self.draw.byte()) % 5;
        let is_function = kind == op_unary::Kind::Ffi as i32;
        let ffi_name = is_function.then(|| self.word("hardtack_path"));
        schema::Op { content: Some(op::Content::Unary(schema::OpUnary { kind, ffi_name })) }
    }

    fn binary(&mut self, kind: i32) -> schema::Op {
        let is_function = kind == op_binary::Kind::Ffi as i32;
        let ffi_name = is_function.then(|| {
            let name = self.draw.of(&["hardtack_path", "hardtack_glob", "hardtack_url", "f"]);
            self.word(name)
        });
        schema::Op { content: Some(op::Content::Binary(schema::OpBinary { kind, ffi_name })) }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new()];
    // Each first choice, and runs of one choice: the fuzzer finds the rest from there.
    seeds.extend((1..4).map(|hops| vec![hops]));
    seeds.extend([1, 2, 3, 5, 7, 0xf1, 0xff].map(|byte| vec![byte; 96]));
    // Not random: steps of a small prime through all bytes.
    let steps = |start: usize, step: usize| {
        (0..400).map(move |at| ((start + at * step) % 251) as u8).collect::<Vec<u8>>()
    };
    seeds.extend((0..8).map(|start| steps(start * 31, 7 + start)));
    seeds
}
