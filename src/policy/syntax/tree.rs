//! Tree: what a statement says, with the place of every word, which Biscuit's parser does not keep.

use biscuit_parser::builder::{Binary, Scope, Unary};

/// A part of a file's text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[allow(missing_docs, reason = "both are bytes, the end is the first that is no part")]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// What a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is called what it is in Datalog")]
pub enum Kind {
    Fact,
    Rule,
    CheckIf,
    CheckAll,
    RejectIf,
    Allow,
    Deny,
}

/// One statement: its head if it is a fact or rule, its alternatives if it is none of these, or one body.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The number of its file in the set.
    pub file: usize,
    /// What it is.
    pub kind: Kind,
    /// Where it stands, without the `;` at its end.
    pub span: Span,
    /// What a fact says, or a rule derives.
    pub head: Option<Atom>,
    /// The alternatives of a policy or check, or the one body of a rule.
    pub queries: Vec<Query>,
}

/// What stands between two `or`.
#[derive(Debug, Clone)]
pub struct Query {
    /// Where its predicates and conditions stand.
    pub span: Span,
    /// Its predicates.
    pub atoms: Vec<Atom>,
    /// Its expressions.
    pub conditions: Vec<Expr>,
    /// Where the word `trusting` stands.
    pub trusting: Option<Span>,
    /// What it trusts, each with its place.
    pub scopes: Vec<(Span, Scope)>,
}

/// A predicate with its terms.
#[derive(Debug, Clone)]
pub struct Atom {
    /// The predicate's name.
    pub name: String,
    /// Where its name stands.
    pub name_span: Span,
    /// Where all of it stands.
    pub span: Span,
    /// What stands in its brackets.
    pub terms: Vec<Term>,
}

/// A value or variable, and its place. Two are equal if they say the same, wherever they stand.
#[derive(Debug, Clone)]
pub struct Term {
    /// What it says.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
}

/// What a term says.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is named for its type")]
pub enum Value {
    Variable(String),
    Integer(i64),
    Text(String),
    Date(u64),
    Bytes(Vec<u8>),
    Bool(bool),
    Null,
    Parameter(String),
    Set(Vec<Term>),
    Array(Vec<Term>),
    /// The keys as terms, each with its value.
    Map(Vec<(Term, Term)>),
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it is made of.
    pub node: Node,
    /// Where all of it stands.
    pub span: Span,
    /// Where its operator or method stands.
    pub op: Span,
}

/// What an expression is made of.
#[derive(Debug, Clone)]
pub enum Node {
    /// A term.
    Term(Term),
    /// An operator or method of one operand, or brackets.
    Unary(Unary, Box<Expr>),
    /// An operator or method of two operands.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// The argument of `.all()` and `.any()`.
    Closure(String, Box<Expr>),
}

impl Statement {
    /// Whether it decides, other than a fact or rule.
    pub fn asks(&self) -> bool {
        !matches!(self.kind, Kind::Fact | Kind::Rule)
    }
}

impl Term {
    /// Its name, if it is a variable.
    pub fn variable(&self) -> Option<&str> {
        match &self.value {
            Value::Variable(name) => Some(name),
            _ => None,
        }
    }

    /// Its text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Sees this term and every one within it.
    pub(super) fn walk<'t>(&'t self, see: &mut dyn FnMut(&'t Term)) {
        see(self);
        match &self.value {
            Value::Set(terms) | Value::Array(terms) => terms.iter().for_each(|one| one.walk(see)),
            Value::Map(entries) => entries.iter().for_each(|(key, value)| {
                key.walk(see);
                value.walk(see);
            }),
            _ => {}
        }
    }

    /// The elements of a set or array.
    pub fn elements(&self) -> Option<&[Term]> {
        match &self.value {
            Value::Set(terms) | Value::Array(terms) => Some(terms),
            _ => None,
        }
    }
}

/// Where it stands does not count.
impl PartialEq for Term {
    fn eq(&self, other: &Term) -> bool {
        let all = |a: &[Term], b: &[Term]| a.len() == b.len() && a.iter().all(|t| b.contains(t));
        match (&self.value, &other.value) {
            (Value::Variable(a), Value::Variable(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Date(a), Value::Date(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Null, Value::Null) => true,
            (Value::Parameter(a), Value::Parameter(b)) => a == b,
            (Value::Set(a), Value::Set(b)) => all(a, b),
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a.len() == b.len() && a.iter().all(|e| b.contains(e)),
            _ => false,
        }
    }
}

impl Expr {
    /// The term that it is, in whatever brackets.
    pub fn term(&self) -> Option<&Term> {
        match &self.node {
            Node::Term(term) => Some(term),
            Node::Unary(Unary::Parens, inner) => inner.term(),
            _ => None,
        }
    }

    /// The name of the variable that it is.
    pub fn variable(&self) -> Option<&str> {
        self.term().and_then(Term::variable)
    }

    /// The value that it is.
    pub fn constant(&self) -> Option<&Term> {
        self.term().filter(|term| term.variable().is_none())
    }

    /// Without the brackets around it.
    pub fn bare(&self) -> &Expr {
        match &self.node {
            Node::Unary(Unary::Parens, inner) => inner.bare(),
            _ => self,
        }
    }

    /// Sees this expression and every one within it.
    pub fn walk<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        see(self);
        match &self.node {
            Node::Term(_) => {}
            Node::Unary(_, inner) | Node::Closure(_, inner) => inner.walk(see),
            Node::Binary(_, left, right) => {
                left.walk(see);
                right.walk(see);
            }
        }
    }

    /// The variables that it mentions.
    pub fn variables(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.walk(&mut |expr| {
            if let Node::Term(term) = &expr.node {
                found.extend(term.variable());
            }
        });
        found
    }

    /// The parts that must all hold: `a && b` is two.
    pub fn parts(&self) -> Vec<&Expr> {
        match &self.bare().node {
            Node::Binary(Binary::LazyAnd | Binary::And, left, right) => {
                [left.parts(), right.parts()].concat()
            }
            _ => vec![self.bare()],
        }
    }

    /// Whether both say the same; where they stand and which brackets they have does not count.
    pub fn same(&self, other: &Expr) -> bool {
        match (&self.bare().node, &other.bare().node) {
            (Node::Term(a), Node::Term(b)) => a == b,
            (Node::Unary(a, x), Node::Unary(b, y)) => a == b && x.same(y),
            (Node::Binary(a, x, v), Node::Binary(b, y, w)) => a == b && x.same(y) && v.same(w),
            (Node::Closure(a, x), Node::Closure(b, y)) => a == b && x.same(y),
            _ => false,
        }
    }
}
