//! Convert: a tree to what Biscuit's parser makes of the same text, to compare the two and to have it evaluated.

use std::collections::HashMap;

use biscuit_auth::builder::{self, Convert};
use biscuit_auth::datalog::{self, SymbolTable, TemporarySymbolTable};
use biscuit_parser::builder as ast;
use biscuit_parser::parser;

use super::tree::{Atom, Expr, Kind, Node, Query, Statement, Term, Value};
use crate::function::functions;

/// A statement as Biscuit's parser reads it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Built {
    Fact(ast::Fact),
    Rule(ast::Rule),
    Check(ast::Check),
    Policy(ast::Policy),
}

/// What Biscuit's parser says that repeats nothing of the text. Whatever else it says is left out: most of it quotes the rest of the
/// statement, and who gives the wrong file may give a key.
const HINTS: [&str; 6] = [
    "set elements must have the same type",
    "sets cannot contain other sets",
    "variables are not permitted in sets",
    "variables are not allowed in sets",
    "variables are not allowed in facts",
    "unexpected parens",
];

/// Reads one statement with Biscuit's parser; if it refuses, returns its hint, if that is one of [`HINTS`]. The parser of whole files
/// is not asked: after an error it goes on behind the next `;`, be it in a text or comment, and recurses as deep as it finds brackets
/// there.
pub(super) fn read_by_biscuit(kind: Kind, text: &str) -> Result<Built, Option<&'static str>> {
    let found = match kind {
        Kind::Fact => parser::fact(text).map(|(_, fact)| Built::Fact(fact)),
        Kind::Rule => parser::rule(text).map(|(_, rule)| Built::Rule(rule)),
        Kind::CheckIf | Kind::CheckAll | Kind::RejectIf => {
            parser::check(text).map(|(_, check)| Built::Check(check))
        }
        Kind::Allow | Kind::Deny => parser::policy(text).map(|(_, policy)| Built::Policy(policy)),
    };
    found.map_err(|error| {
        let mut hint = None;
        let _ = error.map(|error: parser::Error<'_>| hint = error.message);
        HINTS.into_iter().find(|known| hint.as_deref() == Some(*known))
    })
}

/// What Biscuit's parser makes of this statement, if it reads the same.
pub(super) fn built(statement: &Statement) -> Built {
    let head = statement.head.as_ref().map(predicate);
    let head = head.unwrap_or_else(|| ast::Predicate::new("query".to_owned(), Vec::new()));
    let mut queries: Vec<ast::Rule> =
        statement.queries.iter().map(|query| rule(head.clone(), query)).collect();
    let check = |kind, queries| Built::Check(ast::Check { queries, kind });
    let policy = |kind, queries| Built::Policy(ast::Policy { queries, kind });
    match statement.kind {
        Kind::Fact => Built::Fact(ast::Fact::new(head.name, head.terms)),
        Kind::Rule => match queries.pop() {
            Some(rule) => Built::Rule(rule),
            None => Built::Fact(ast::Fact::new(head.name, head.terms)),
        },
        Kind::CheckIf => check(ast::CheckKind::One, queries),
        Kind::CheckAll => check(ast::CheckKind::All, queries),
        Kind::RejectIf => check(ast::CheckKind::Reject, queries),
        Kind::Allow => policy(ast::PolicyKind::Allow, queries),
        Kind::Deny => policy(ast::PolicyKind::Deny, queries),
    }
}

fn rule(head: ast::Predicate, query: &Query) -> ast::Rule {
    let body = query.atoms.iter().map(predicate).collect();
    let conditions = query.conditions.iter().map(|one| ast::Expression { ops: operations(one) });
    let scopes = query.scopes.iter().map(|(_, scope)| scope.clone()).collect();
    ast::Rule::new(head, body, conditions.collect(), scopes)
}

fn predicate(atom: &Atom) -> ast::Predicate {
    ast::Predicate::new(atom.name.clone(), atom.terms.iter().map(term).collect::<Vec<_>>())
}

fn term(term: &Term) -> ast::Term {
    let key = |term: &Term| match &term.value {
        Value::Integer(number) => Some(ast::MapKey::Integer(*number)),
        Value::Text(text) => Some(ast::MapKey::Str(text.clone())),
        Value::Parameter(name) => Some(ast::MapKey::Parameter(name.clone())),
        _ => None,
    };
    match &term.value {
        Value::Variable(name) => ast::Term::Variable(name.clone()),
        Value::Integer(number) => ast::Term::Integer(*number),
        Value::Text(text) => ast::Term::Str(text.clone()),
        Value::Date(moment) => ast::Term::Date(*moment),
        Value::Bytes(bytes) => ast::Term::Bytes(bytes.clone()),
        Value::Bool(value) => ast::Term::Bool(*value),
        Value::Null => ast::Term::Null,
        Value::Parameter(name) => ast::Term::Parameter(name.clone()),
        Value::Set(terms) => ast::Term::Set(terms.iter().map(self::term).collect()),
        Value::Array(terms) => ast::Term::Array(terms.iter().map(self::term).collect()),
        // What is no key is left out, and Biscuit's parser does not read it.
        Value::Map(entries) => ast::Term::Map(
            entries
                .iter()
                .filter_map(|(name, value)| Some((key(name)?, self::term(value))))
                .collect(),
        ),
    }
}

/// The stack machine's operations: an operand that is evaluated at need is a closure without parameters.
fn operations(expr: &Expr) -> Vec<ast::Op> {
    let mut found = Vec::new();
    add_operations(expr, &mut found);
    found
}

fn add_operations(expr: &Expr, found: &mut Vec<ast::Op>) {
    match &expr.node {
        Node::Term(one) => found.push(ast::Op::Value(term(one))),
        Node::Closure(name, body) => {
            found.push(ast::Op::Closure(vec![name.clone()], operations(body)));
        }
        Node::Unary(operator, inner) => {
            add_operations(inner, found);
            found.push(ast::Op::Unary(operator.clone()));
        }
        Node::Binary(operator, left, right) => {
            match operator {
                ast::Binary::TryOr => found.push(ast::Op::Closure(Vec::new(), operations(left))),
                _ => add_operations(left, found),
            }
            match operator {
                ast::Binary::LazyAnd | ast::Binary::LazyOr => {
                    found.push(ast::Op::Closure(Vec::new(), operations(right)));
                }
                _ => add_operations(right, found),
            }
            found.push(ast::Op::Binary(operator.clone()));
        }
    }
}

impl Expr {
    /// Whether it holds, as the engine evaluates it. `None` if it has variables of its body, cannot be evaluated, or is
    /// neither true nor false.
    pub fn truth(&self) -> Option<bool> {
        if !is_closed(self, &[]) {
            return None;
        }
        let built = ast::Expression { ops: operations(self) };
        let mut words = SymbolTable::new();
        let expression = builder::Expression::from(built).convert(&mut words);
        let mut symbols = TemporarySymbolTable::new(&words);
        match expression.evaluate(&HashMap::new(), &mut symbols, functions()) {
            Ok(datalog::Term::Bool(value)) => Some(value),
            _ => None,
        }
    }
}

/// Whether it has no variable but these and its own, and no parameter, of which Biscuit's conversion panics.
fn is_closed(expr: &Expr, bound: &[&str]) -> bool {
    match &expr.node {
        Node::Term(term) => {
            let mut closed = true;
            term.walk(&mut |term| {
                closed &= match &term.value {
                    Value::Variable(name) => bound.contains(&name.as_str()),
                    value => !matches!(value, Value::Parameter(_)),
                };
            });
            closed
        }
        Node::Unary(_, inner) => is_closed(inner, bound),
        Node::Binary(_, left, right) => is_closed(left, bound) && is_closed(right, bound),
        Node::Closure(name, body) => is_closed(body, &[bound, &[name.as_str()]].concat()),
    }
}
