//! Members: how many terms do facts and checks hold in sets, lists and maps? (For what is kept of tokens, within a bound of bytes.)

use std::sync::Arc;

use biscuit_auth::datalog::{Op, Predicate, Rule, Term};

use crate::authorize::begun::TokenCheck;

/// What such a term takes. An estimate: some 32 bytes, in a tree of which half is filled.
pub(super) const BYTES_PER_MEMBER: usize = 80;

/// How many there are in predicates.
pub(super) fn in_predicates<'a>(predicates: impl Iterator<Item = &'a Predicate>) -> usize {
    predicates.flat_map(|predicate| &predicate.terms).map(in_term).sum()
}

/// How many there are in checks.
pub(super) fn in_checks(checks: &[Arc<TokenCheck>]) -> usize {
    checks.iter().flat_map(|known| &known.2.queries).map(in_rule).sum()
}

fn in_rule(rule: &Rule) -> usize {
    let operations = rule.expressions.iter().map(|expression| in_operations(&expression.ops));
    in_predicates(rule.body.iter()) + operations.sum::<usize>()
}

fn in_operations(operations: &[Op]) -> usize {
    let members = |operation: &Op| match operation {
        Op::Value(term) => in_term(term),
        Op::Closure(_, inner) => in_operations(inner),
        Op::Unary(_) | Op::Binary(_) => 0,
    };
    operations.iter().map(members).sum()
}

fn in_term(term: &Term) -> usize {
    match term {
        Term::Set(members) => members.iter().map(|member| 1 + in_term(member)).sum(),
        Term::Array(members) => members.iter().map(|member| 1 + in_term(member)).sum(),
        // A key and a value.
        Term::Map(members) => members.values().map(|member| 2 + in_term(member)).sum(),
        _ => 0,
    }
}
