//! Parse: one statement's text to its tree, by recursive descent.
//!
//! Reads what Biscuit's parser reads, and keeps the place of every word. It judges nothing.

use biscuit_parser::builder::{Algorithm, Binary, PublicKey, Scope, Unary};

use super::split::{comment, is_space};
use super::tree::{Atom, Expr, Kind, Node, Query, Span, Statement};

/// Where a statement cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) at: usize,
    /// Whether it is for what stands deeper than is read.
    pub(super) is_too_deep: bool,
}

/// Reads one statement that begins at `start`, with brackets and negations at most `most` deep. Passes over comments in it.
pub(super) fn parse(
    text: &str,
    file: usize,
    start: usize,
    most: usize,
) -> Result<Statement, Stopped> {
    let mut reader = Reader { text, at: start, depth: 0, most };
    let found = reader.statement(file);
    found.map_err(|Stuck| Stopped { at: reader.at, is_too_deep: reader.depth > most })
}

pub(super) struct Stuck;

pub(super) type Read<T> = Result<T, Stuck>;

pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    depth: usize,
    most: usize,
}

impl Reader<'_> {
    fn statement(&mut self, file: usize) -> Read<Statement> {
        self.space();
        let start = self.at;
        let kinds = [
            ("check if", Kind::CheckIf),
            ("check all", Kind::CheckAll),
            ("reject if", Kind::RejectIf),
            ("allow if", Kind::Allow),
            ("deny if", Kind::Deny),
        ];
        let found = kinds.into_iter().find(|(word, _)| self.is_keyword(word));
        let (kind, head, queries) = match found {
            Some((word, kind)) => {
                self.at += word.len();
                (kind, None, self.alternatives()?)
            }
            None => {
                let head = self.atom(true)?;
                self.space();
                match self.takes("<-") {
                    true => (Kind::Rule, Some(head), vec![self.query()?]),
                    false => (Kind::Fact, Some(head), Vec::new()),
                }
            }
        };
        let span = Span { start, end: self.at };
        self.space();
        match self.rest().is_empty() || self.rest().starts_with(';') {
            true => Ok(Statement { file, kind, span, head, queries }),
            false => Err(Stuck),
        }
    }

    fn alternatives(&mut self) -> Read<Vec<Query>> {
        let mut queries = vec![self.query()?];
        loop {
            self.space();
            if !self.is_keyword("or") {
                return Ok(queries);
            }
            self.at += 2;
            queries.push(self.query()?);
        }
    }

    fn query(&mut self) -> Read<Query> {
        self.space();
        let start = self.at;
        let (mut atoms, mut conditions) = (Vec::new(), Vec::new());
        loop {
            self.space();
            match self.is_atom() {
                true => atoms.push(self.atom(false)?),
                false => conditions.push(self.expr()?),
            }
            let end = self.at;
            self.space();
            if self.takes(",") {
                continue;
            }
            let word = Span { start: self.at, end: self.at + "trusting".len() };
            let trusting = self.takes("trusting").then_some(word);
            let scopes = if trusting.is_some() { self.scopes()? } else { Vec::new() };
            if trusting.is_none() {
                self.at = end;
            }
            return Ok(Query { span: Span { start, end }, atoms, conditions, trusting, scopes });
        }
    }

    fn scopes(&mut self) -> Read<Vec<(Span, Scope)>> {
        let mut found = Vec::new();
        loop {
            self.space();
            let start = self.at;
            let scope = self.scope()?;
            let end = self.at;
            found.push((Span { start, end }, scope));
            self.space();
            if !self.takes(",") {
                self.at = end;
                return Ok(found);
            }
        }
    }

    fn scope(&mut self) -> Read<Scope> {
        for (word, scope) in [("authority", Scope::Authority), ("previous", Scope::Previous)] {
            if self.takes(word) {
                return Ok(scope);
            }
        }
        let algorithms = [("ed25519/", Algorithm::Ed25519), ("secp256r1/", Algorithm::Secp256r1)];
        for (word, algorithm) in algorithms {
            if self.takes(word) {
                return Ok(Scope::PublicKey(PublicKey { key: self.hex()?, algorithm }));
            }
        }
        self.expect("{")?;
        let name = self.name()?;
        self.expect("}")?;
        Ok(Scope::Parameter(name))
    }

    /// Reads what stands one bracket or negation deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        self.depth += 1;
        if self.depth > self.most {
            return Err(Stuck);
        }
        let found = read(self)?;
        self.depth -= 1;
        Ok(found)
    }

    fn is_atom(&self) -> bool {
        let rest = self.rest().trim_start_matches(is_name);
        rest.len() < self.rest().len() && rest.trim_start_matches(is_space).starts_with('(')
    }

    fn atom(&mut self, may_be_empty: bool) -> Read<Atom> {
        self.space();
        let start = self.at;
        let name = self.name()?;
        let name_span = Span { start, end: self.at };
        self.space();
        self.expect("(")?;
        let mut terms = Vec::new();
        self.space();
        if may_be_empty && self.takes(")") {
            return Ok(Atom { name, name_span, span: Span { start, end: self.at }, terms });
        }
        self.deeper(|reader| {
            loop {
                terms.push(reader.term()?);
                reader.space();
                if !reader.takes(",") {
                    return reader.expect(")");
                }
            }
        })?;
        Ok(Atom { name, name_span, span: Span { start, end: self.at }, terms })
    }

    /// The operators from the loosest to the tightest.
    fn expr(&mut self) -> Read<Expr> {
        self.level(0)
    }

    fn level(&mut self, level: usize) -> Read<Expr> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        loop {
            let before = self.at;
            self.space();
            let start = self.at;
            let doubled = ["||", "&&"].iter().any(|sign| self.rest().starts_with(sign));
            let found = operators.iter().find(|(sign, _)| {
                self.rest().starts_with(sign) && doubled == (level < COMPARISONS)
            });
            let Some((sign, operator)) = found else {
                self.at = before;
                return Ok(left);
            };
            self.at += sign.len();
            let op = Span { start, end: self.at };
            let right = self.level(level + 1)?;
            let span = Span { start: left.span.start, end: right.span.end };
            let node = Node::Binary(operator.clone(), Box::new(left), Box::new(right));
            left = Expr { node, span, op };
            if level == COMPARISONS {
                return Ok(left);
            }
        }
    }

    fn unary(&mut self) -> Read<Expr> {
        self.space();
        let start = self.at;
        if !self.rest().starts_with("!=") && self.takes("!") {
            let op = Span { start, end: self.at };
            let inner = self.deeper(|reader| reader.level(SUMS))?;
            let span = Span { start, end: self.at };
            return Ok(Expr { node: Node::Unary(Unary::Negate, Box::new(inner)), span, op });
        }
        self.methods()
    }

    fn methods(&mut self) -> Read<Expr> {
        self.space();
        let start = self.at;
        let mut left = if self.takes("(") {
            let inner = self.deeper(Self::expr)?;
            self.space();
            self.expect(")")?;
            let span = Span { start, end: self.at };
            Expr { node: Node::Unary(Unary::Parens, Box::new(inner)), span, op: span }
        } else {
            let term = self.term()?;
            let span = term.span;
            Expr { node: Node::Term(term), span, op: span }
        };
        while self.takes(".") {
            left = self.method(left)?;
        }
        Ok(left)
    }

    fn method(&mut self, left: Expr) -> Read<Expr> {
        let start = self.at;
        let name = self.name()?;
        let op = Span { start, end: self.at };
        self.expect("(")?;
        self.space();
        let from = left.span.start;
        if self.takes(")") {
            let unary = match name.as_str() {
                "length" => Unary::Length,
                "type" => Unary::TypeOf,
                _ => Unary::Ffi(name.strip_prefix("extern::").ok_or(Stuck)?.to_owned()),
            };
            let span = Span { start: from, end: self.at };
            return Ok(Expr { node: Node::Unary(unary, Box::new(left)), span, op });
        }
        let binary = METHODS.iter().find(|(word, _)| *word == name).map(|(_, op)| op.clone());
        let external = || name.strip_prefix("extern::").map(|name| Binary::Ffi(name.to_owned()));
        let binary = match binary.or_else(external) {
            Some(binary) => binary,
            None => {
                self.at = start;
                return Err(Stuck);
            }
        };
        let right = match binary {
            Binary::All | Binary::Any => self.deeper(Self::closure)?,
            _ => self.deeper(Self::expr)?,
        };
        self.space();
        self.expect(")")?;
        let span = Span { start: from, end: self.at };
        Ok(Expr { node: Node::Binary(binary, Box::new(left), Box::new(right)), span, op })
    }

    fn closure(&mut self) -> Read<Expr> {
        let start = self.at;
        self.expect("$")?;
        let name = self.name()?;
        self.space();
        self.expect("->")?;
        let body = self.expr()?;
        let span = Span { start, end: self.at };
        Ok(Expr { node: Node::Closure(name, Box::new(body)), span, op: span })
    }

    pub(super) fn name(&mut self) -> Read<String> {
        let rest = self.rest();
        let count = rest.len() - rest.trim_start_matches(is_name).len();
        let name = rest.get(..count).filter(|name| !name.is_empty()).ok_or(Stuck)?.to_owned();
        self.at += count;
        Ok(name)
    }

    pub(super) fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn space(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(is_space).len();
            match comment(self.rest()) {
                Some(length) => self.at += length,
                None => return,
            }
        }
    }

    fn is_keyword(&self, word: &str) -> bool {
        self.rest().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    }

    pub(super) fn takes(&mut self, text: &str) -> bool {
        let is_there = self.rest().starts_with(text);
        self.at += if is_there { text.len() } else { 0 };
        is_there
    }

    pub(super) fn expect(&mut self, text: &str) -> Read<()> {
        if self.takes(text) { Ok(()) } else { Err(Stuck) }
    }
}

pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Which level of operators does not chain, and from which on `!` reads.
const COMPARISONS: usize = 2;
const SUMS: usize = 6;

type Operators = &'static [(&'static str, Binary)];

const LEVELS: [Operators; 8] = [
    &[("||", Binary::LazyOr)],
    &[("&&", Binary::LazyAnd)],
    &[
        ("<=", Binary::LessOrEqual),
        (">=", Binary::GreaterOrEqual),
        ("<", Binary::LessThan),
        (">", Binary::GreaterThan),
        ("===", Binary::Equal),
        ("!==", Binary::NotEqual),
        ("==", Binary::HeterogeneousEqual),
        ("!=", Binary::HeterogeneousNotEqual),
    ],
    &[("^", Binary::BitwiseXor)],
    &[("|", Binary::BitwiseOr)],
    &[("&", Binary::BitwiseAnd)],
    &[("+", Binary::Add), ("-", Binary::Sub)],
    &[("*", Binary::Mul), ("/", Binary::Div)],
];

/// The methods with an argument, longer names before their beginnings.
pub const METHODS: [(&str, Binary); 10] = [
    ("contains", Binary::Contains),
    ("starts_with", Binary::Prefix),
    ("ends_with", Binary::Suffix),
    ("matches", Binary::Regex),
    ("intersection", Binary::Intersection),
    ("union", Binary::Union),
    ("all", Binary::All),
    ("any", Binary::Any),
    ("get", Binary::Get),
    ("try_or", Binary::TryOr),
];
