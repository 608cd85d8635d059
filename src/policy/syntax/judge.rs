//! Judge: what may a policy not say, though it can be read? Each problem at the word that is wrong.

use biscuit_parser::builder::{Binary, Unary};

use super::tree::{Atom, Expr, Kind, Node, Query, Span, Statement, Term, Value};
use crate::calendar;
use crate::function::Function;
use crate::policy::problem::Problem;
use crate::policy::syntax::Purpose;
use crate::policy::syntax::issuing;
use crate::profile::vocabulary::{find, is_reserved};

/// Returns all for which a statement is refused.
pub(super) fn problems(statement: &Statement, purpose: Purpose) -> Vec<(Span, Problem)> {
    let mut judge = Judge { found: Vec::new(), purpose };
    if let Some(head) = &statement.head {
        judge.asserts(head);
        if statement.kind == Kind::Fact {
            judge.fact(head);
        }
    }
    for query in &statement.queries {
        judge.query(statement.head.as_ref(), query);
    }
    judge.found
}

struct Judge {
    found: Vec<(Span, Problem)>,
    purpose: Purpose,
}

impl Judge {
    /// Nobody but Hardtack says what its predicates say.
    fn asserts(&mut self, head: &Atom) {
        match self.purpose {
            Purpose::Issuing => self.found.extend(issuing::asserts(head)),
            Purpose::Calls if is_reserved(&head.name) => {
                self.finds(head.name_span, Problem::Reserved { name: head.name.clone() });
            }
            Purpose::Calls => {}
        }
        head.terms.iter().for_each(|term| self.parameters(term));
    }

    fn fact(&mut self, head: &Atom) {
        for term in &head.terms {
            let mut variable = None;
            term.walk(&mut |term| variable = variable.or(term.variable().map(|_| term.span)));
            if let Some(span) = variable {
                self.finds(span, Problem::VariableInFact);
            }
        }
    }

    fn query(&mut self, head: Option<&Atom>, query: &Query) {
        let terms = query.atoms.iter().flat_map(|atom| &atom.terms);
        let bound: Vec<&str> = terms.clone().filter_map(Term::variable).collect();
        for term in head.iter().flat_map(|head| &head.terms) {
            if let Some(name) = term.variable().filter(|name| !bound.contains(name)) {
                self.finds(term.span, Problem::UnboundInHead { name: name.to_owned() });
            }
        }
        query.atoms.iter().for_each(|atom| self.reads(atom));
        terms.for_each(|term| self.parameters(term));
        query.conditions.iter().for_each(|condition| self.condition(condition, &bound));
        if let Some(span) = query.trusting {
            self.finds(span, Problem::Trusting);
        }
    }

    /// Of the token's own facts, policies read only those that are the same for the whole chain.
    fn reads(&mut self, atom: &Atom) {
        if self.purpose == Purpose::Issuing {
            return self.found.extend(issuing::reads(atom));
        }
        if find(&atom.name).is_some_and(|word| !word.readable) {
            self.finds(atom.name_span, Problem::ReadsGrant { name: atom.name.clone() });
        }
        if calendar::takes_zone(&atom.name) {
            self.zone(atom);
        }
    }

    /// Exactly the zones that a set names are stated, so that each is written out.
    fn zone(&mut self, atom: &Atom) {
        let Some(zone) = atom.terms.first().filter(|term| term.text().is_some()) else {
            return self.finds(atom.name_span, Problem::ZoneNotWritten { name: atom.name.clone() });
        };
        let text = zone.text().unwrap_or_default();
        if calendar::zone(text).is_none() {
            self.finds(zone.span, Problem::NoZone { why: calendar::no_zone(text) });
        }
    }

    fn condition(&mut self, expr: &Expr, bound: &[&str]) {
        match &expr.node {
            Node::Term(term) => {
                if let Some(name) = term.variable().filter(|name| !bound.contains(name)) {
                    self.finds(term.span, Problem::Unbound { name: name.to_owned() });
                }
                self.parameters(term);
            }
            Node::Closure(name, body) => {
                self.condition(body, &[bound, &[name.as_str()]].concat());
            }
            Node::Unary(operator, inner) => {
                self.condition(inner, bound);
                if let Unary::Ffi(name) = operator {
                    self.finds(function_name(expr, name), Problem::External { name: name.clone() });
                }
            }
            Node::Binary(operator, left, right) => {
                self.condition(left, bound);
                self.condition(right, bound);
                match operator {
                    Binary::Ffi(name) => self.function(function_name(expr, name), name, right),
                    Binary::Regex => self.regex(expr.op, right),
                    _ => {}
                }
            }
        }
    }

    /// What a function compares with is written out, so that it can be tried when it is loaded.
    fn function(&mut self, at: Span, name: &str, operand: &Expr) {
        let name = name.to_owned();
        let Some(function) = Function::named(&name) else {
            return self.finds(at, Problem::External { name });
        };
        let Some(operand) = written_text(operand) else {
            return self.finds(at, Problem::OperandNotWritten { name });
        };
        if let Err(error) = function.check_operand(operand) {
            let (operand, why) = (operand.to_owned(), error.to_string());
            self.finds(at, Problem::BadOperand { name, operand, why });
        }
    }

    /// Biscuit takes a pattern that does not compile to match nothing, so that a `deny` with a typing
    /// error would deny nothing.
    fn regex(&mut self, at: Span, pattern: &Expr) {
        let Some(pattern) = written_text(pattern) else {
            return self.finds(at, Problem::PatternNotWritten);
        };
        if regex::Regex::new(pattern).is_err() {
            self.finds(at, Problem::NoRegex { pattern: pattern.to_owned() });
        }
    }

    fn parameters(&mut self, term: &Term) {
        term.walk(&mut |term| {
            if matches!(term.value, Value::Parameter(_)) {
                self.found.push((term.span, Problem::Parameter));
            }
        });
    }

    fn finds(&mut self, span: Span, problem: Problem) {
        self.found.push((span, problem));
    }
}

/// The text that stands there without brackets around it.
fn written_text(expr: &Expr) -> Option<&str> {
    match &expr.node {
        Node::Term(term) => term.text(),
        _ => None,
    }
}

/// Where the name stands in `extern::name`.
fn function_name(expr: &Expr, name: &str) -> Span {
    Span { start: expr.op.end.saturating_sub(name.len()), end: expr.op.end }
}
