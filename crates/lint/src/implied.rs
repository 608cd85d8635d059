//! Implied: does a condition hold wherever some others do? A test of entailment, which is sound and not complete: a `false` says nothing.

use biscuit_parser::builder::Binary;

use crate::always::truth;
use crate::normal::{MAX_VALUES, comparison, membership, replaced};
use hardtack::internal::syntax::{Expr, Node, Term};

/// Whether a condition holds wherever these do.
pub(super) fn implied(wanted: &Expr, known: &[Expr]) -> bool {
    if let Some(value) = truth(wanted) {
        return value;
    }
    if known.iter().any(|one| one.same(wanted) || implies(one, wanted)) {
        return true;
    }
    match &wanted.bare().node {
        Node::Binary(Binary::LazyOr, left, right) => implied(left, known) || implied(right, known),
        Node::Binary(Binary::LazyAnd, left, right) => implied(left, known) && implied(right, known),
        _ => false,
    }
}

fn implies(known: &Expr, wanted: &Expr) -> bool {
    if let (Some((a, has, limit)), Some((b, wants, most))) = (comparison(known), comparison(wanted))
    {
        let strictly =
            |operator: &Binary| matches!(operator, Binary::LessThan | Binary::GreaterThan);
        let below = |operator: &Binary| matches!(operator, Binary::LessThan | Binary::LessOrEqual);
        if a != b || below(&has) != below(&wants) {
            return false;
        }
        let tight = |operator: &Binary, limit: i128| match (strictly(operator), below(operator)) {
            (true, true) => limit - 1,
            (true, false) => limit + 1,
            _ => limit,
        };
        let (has, wants) = (tight(&has, limit), (tight(&wants, most), below(&wants)));
        return if wants.1 { has <= wants.0 } else { has >= wants.0 };
    }
    // All values that are possible fulfil it.
    if let Some((elements, looked_for)) = membership(known)
        && let Some(name) = looked_for.variable()
        && elements.len() <= MAX_VALUES
    {
        return !elements.is_empty()
            && elements.iter().all(|value| {
                let with = |term: &Term| match term.variable() == Some(name) {
                    true => value.clone(),
                    false => term.clone(),
                };
                truth(&replaced(wanted, &with)) == Some(true)
            });
    }
    match (&known.bare().node, &wanted.bare().node) {
        (Node::Binary(Binary::Prefix, a, long), Node::Binary(Binary::Prefix, b, short)) => {
            let texts =
                (long.constant().and_then(Term::text), short.constant().and_then(Term::text));
            a.same(b) && matches!(texts, (Some(long), Some(short)) if long.starts_with(short))
        }
        _ => false,
    }
}
