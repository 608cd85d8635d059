//! Tree: what a statement says, with the place of every word; the loader's parser keeps none.

use biscuit_parser::builder::{Binary, Unary};

/// A part of a file's text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Statement {
    pub(super) file: usize,
    pub(super) kind: Kind,
    pub(super) span: Span,
    pub(super) head: Option<Atom>,
    pub(super) queries: Vec<Query>,
}

/// What stands between two `or`.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) span: Span,
    pub(super) atoms: Vec<Atom>,
    pub(super) conditions: Vec<Expr>,
}

/// A predicate with its terms.
#[derive(Debug, Clone)]
pub(super) struct Atom {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) span: Span,
    pub(super) terms: Vec<Term>,
}

#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) value: Value,
    pub(super) span: Span,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Variable(String),
    Integer(i64),
    Text(String),
    Date(u64),
    Bytes(Vec<u8>),
    Bool(bool),
    Null,
    Parameter,
    Set(Vec<Term>),
    Array(Vec<Term>),
    /// The keys as terms, each with its value.
    Map(Vec<(Term, Term)>),
}

/// An expression; `op` is the place of its operator or method.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub(super) node: Node,
    pub(super) span: Span,
    pub(super) op: Span,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Term(Term),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// The argument of `.all()` and `.any()`.
    Closure(String, Box<Expr>),
}

impl Statement {
    /// Whether it decides, other than a fact or rule.
    pub(super) fn asks(&self) -> bool {
        !matches!(self.kind, Kind::Fact | Kind::Rule)
    }
}

impl Term {
    pub(super) fn variable(&self) -> Option<&str> {
        match &self.value {
            Value::Variable(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a set or array.
    pub(super) fn elements(&self) -> Option<&[Term]> {
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
            (Value::Null, Value::Null) | (Value::Parameter, Value::Parameter) => true,
            (Value::Set(a), Value::Set(b)) => all(a, b),
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a.len() == b.len() && a.iter().all(|e| b.contains(e)),
            _ => false,
        }
    }
}

impl Expr {
    pub(super) fn term(&self) -> Option<&Term> {
        match &self.node {
            Node::Term(term) => Some(term),
            Node::Unary(Unary::Parens, inner) => inner.term(),
            _ => None,
        }
    }

    pub(super) fn variable(&self) -> Option<&str> {
        self.term().and_then(Term::variable)
    }

    pub(super) fn constant(&self) -> Option<&Term> {
        self.term().filter(|term| term.variable().is_none())
    }

    /// Without the brackets around it.
    pub(super) fn bare(&self) -> &Expr {
        match &self.node {
            Node::Unary(Unary::Parens, inner) => inner.bare(),
            _ => self,
        }
    }

    /// Sees this expression and every one within it.
    pub(super) fn walk<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
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
    pub(super) fn variables(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.walk(&mut |expr| {
            if let Node::Term(term) = &expr.node {
                found.extend(term.variable());
            }
        });
        found
    }

    /// The parts that must all hold: `a && b` is two.
    pub(super) fn parts(&self) -> Vec<&Expr> {
        match &self.bare().node {
            Node::Binary(Binary::LazyAnd | Binary::And, left, right) => {
                [left.parts(), right.parts()].concat()
            }
            _ => vec![self.bare()],
        }
    }

    /// Whether both say the same; where they stand and which brackets they have does not count.
    pub(super) fn same(&self, other: &Expr) -> bool {
        match (&self.bare().node, &other.bare().node) {
            (Node::Term(a), Node::Term(b)) => a == b,
            (Node::Unary(a, x), Node::Unary(b, y)) => a == b && x.same(y),
            (Node::Binary(a, x, v), Node::Binary(b, y, w)) => a == b && x.same(y) && v.same(w),
            (Node::Closure(a, x), Node::Closure(b, y)) => a == b && x.same(y),
            _ => false,
        }
    }
}
