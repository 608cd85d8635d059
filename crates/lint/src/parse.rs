//! Parse: one statement's text to its tree, by recursive descent.
//!
//! Reads what Biscuit's parser reads, whose word is the last: this one is asked for places and judges nothing.

use biscuit_parser::builder::{Binary, Unary};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::tree::{Atom, Expr, Kind, Node, Query, Span, Statement, Term, Value};

/// How deep expressions may stand within each other, a little more than the loader's own bound.
const MAX_DEPTH: usize = 80;

/// Reads one statement that begins at `start`; where it cannot be read, says at which byte.
pub(super) fn parse(text: &str, file: usize, start: usize) -> Result<Statement, usize> {
    let mut reader = Reader { text, at: start, depth: 0 };
    reader.statement(file).map_err(|Stuck| reader.at)
}

struct Stuck;

type Read<T> = Result<T, Stuck>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
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
            if self.takes("trusting") {
                let scopes = self.rest().find(';').unwrap_or(self.rest().len());
                self.at += scopes;
            } else {
                self.at = end;
            }
            return Ok(Query { span: Span { start, end }, atoms, conditions });
        }
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
        loop {
            terms.push(self.term()?);
            self.space();
            if !self.takes(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(Atom { name, name_span, span: Span { start, end: self.at }, terms })
    }

    /// The operators from the loosest to the tightest.
    fn expr(&mut self) -> Read<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Stuck);
        }
        let found = self.level(0);
        self.depth -= 1;
        found
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
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(Stuck);
            }
            let inner = self.level(SUMS)?;
            self.depth -= 1;
            let span = Span { start, end: self.at };
            return Ok(Expr { node: Node::Unary(Unary::Negate, Box::new(inner)), span, op });
        }
        self.methods()
    }

    fn methods(&mut self) -> Read<Expr> {
        self.space();
        let start = self.at;
        let mut left = if self.takes("(") {
            let inner = self.expr()?;
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
            Binary::All | Binary::Any => self.closure()?,
            _ => self.expr()?,
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

    fn term(&mut self) -> Read<Term> {
        self.space();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Stuck);
        }
        let start = self.at;
        let value = self.value()?;
        self.depth -= 1;
        Ok(Term { value, span: Span { start, end: self.at } })
    }

    fn value(&mut self) -> Read<Value> {
        if let Some(date) = self.date() {
            return Ok(date);
        }
        match self.rest().chars().next().ok_or(Stuck)? {
            '"' => self.string().map(Value::Text),
            '$' => {
                self.at += 1;
                self.name().map(Value::Variable)
            }
            '[' => {
                self.at += 1;
                self.elements("]").map(Value::Array)
            }
            '{' => self.braces(),
            c if c == '-' || c.is_ascii_digit() => self.integer(),
            _ => self.word(),
        }
    }

    fn date(&mut self) -> Option<Value> {
        let end = self.rest().find([',', ' ', ')', ']', ';', '}']).unwrap_or(self.rest().len());
        let text = self.rest().get(..end).filter(|text| text.contains('T'))?;
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
        self.at += end;
        Some(Value::Date(u64::try_from(moment).ok()?))
    }

    fn integer(&mut self) -> Read<Value> {
        let rest = self.rest();
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let sign = rest.len() - digits.len();
        let count = digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = rest.get(..sign + count).ok_or(Stuck)?.parse().map_err(|_| Stuck)?;
        self.at += sign + count;
        Ok(Value::Integer(number))
    }

    fn word(&mut self) -> Read<Value> {
        if self.takes("hex:") {
            let rest = self.rest();
            let count = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
            let bytes = hex::decode(rest.get(..count).ok_or(Stuck)?).map_err(|_| Stuck)?;
            self.at += count;
            return Ok(Value::Bytes(bytes));
        }
        let words =
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
        let found = words.into_iter().find(|(word, _)| self.rest().starts_with(word));
        let (word, value) = found.ok_or(Stuck)?;
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Read<String> {
        let mut found = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = characters.next() {
            match c {
                '"' => {
                    self.at += offset + 1;
                    return Ok(found);
                }
                '\\' => match characters.next().ok_or(Stuck)?.1 {
                    'n' => found.push('\n'),
                    c @ ('\\' | '"') => found.push(c),
                    _ => return Err(Stuck),
                },
                c => found.push(c),
            }
        }
        Err(Stuck)
    }

    fn elements(&mut self, end: &str) -> Read<Vec<Term>> {
        let mut terms = Vec::new();
        self.space();
        while !self.takes(end) {
            terms.push(self.term()?);
            self.space();
            if !self.takes(",") {
                self.space();
                self.expect(end)?;
                break;
            }
        }
        Ok(terms)
    }

    /// A set, a map or a parameter.
    fn braces(&mut self) -> Read<Value> {
        if self.takes("{,}") {
            return Ok(Value::Set(Vec::new()));
        }
        self.expect("{")?;
        self.space();
        if self.takes("}") {
            return Ok(Value::Map(Vec::new()));
        }
        let before = self.at;
        if self.name().is_ok() && self.takes("}") {
            let word = self.text.get(before..self.at - 1).unwrap_or_default();
            let is_value = matches!(word, "true" | "false" | "null") || word.starts_with("hex:");
            if !is_value && word.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Ok(Value::Parameter);
            }
        }
        self.at = before;
        let first = self.term()?;
        self.space();
        if self.takes(":") {
            let mut entries = vec![(first, self.term()?)];
            loop {
                self.space();
                if !self.takes(",") {
                    break;
                }
                let key = self.term()?;
                self.space();
                self.expect(":")?;
                entries.push((key, self.term()?));
            }
            self.expect("}")?;
            return Ok(Value::Map(entries));
        }
        let mut terms = vec![first];
        if self.takes(",") {
            terms.extend(self.elements("}")?);
        } else {
            self.expect("}")?;
        }
        Ok(Value::Set(terms))
    }

    fn name(&mut self) -> Read<String> {
        let rest = self.rest();
        let count = rest.len() - rest.trim_start_matches(is_name).len();
        let name = rest.get(..count).filter(|name| !name.is_empty()).ok_or(Stuck)?.to_owned();
        self.at += count;
        Ok(name)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_space).len();
    }

    fn is_keyword(&self, word: &str) -> bool {
        self.rest().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    }

    fn takes(&mut self, text: &str) -> bool {
        let is_there = self.rest().starts_with(text);
        self.at += if is_there { text.len() } else { 0 };
        is_there
    }

    fn expect(&mut self, text: &str) -> Read<()> {
        if self.takes(text) { Ok(()) } else { Err(Stuck) }
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
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
pub(super) const METHODS: [(&str, Binary); 10] = [
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
