//! Remaining: which of a token's own checks can a call still change, once its operation is known?
//!
//! Partial evaluation, as [`relevant`](crate::authorize::relevant) has it for policies. Most checks of a token say once more what the walk
//! found, for other Biscuit verifiers: who signs, where, for which operations. They are answered once for each token and operation; an
//! expiry is compared with the moment. A decision then asks the others.

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{Binary, Check, Op, SymbolTable, Term};

use crate::authorize::Prepared;
use crate::datalog::World;
use crate::datalog::partial::Unknown;
use crate::timestamp::Timestamp;

/// The checks of a token that must be asked of a call.
#[derive(Debug)]
pub(crate) struct Remaining {
    /// Those that a call can change, or that fail whatever the call, by their number among all.
    asked: Vec<usize>,
    /// The first moment at which an expiry among the others has passed.
    before: Option<u64>,
}

impl Remaining {
    /// Answers what can be answered in `world`, in which `unknown` is not known yet.
    pub(super) fn of(prepared: &Prepared, world: &World, unknown: &Unknown) -> Remaining {
        let mut remaining = Remaining { asked: Vec::new(), before: None };
        for (number, known) in prepared.checks.iter().enumerate() {
            let (block, _, check) = &**known;
            if let Some(expires) = expiry(check, &world.symbols) {
                remaining.before = Some(remaining.before.map_or(expires, |one| one.min(expires)));
                continue;
            }
            let is_known = !check.queries.iter().any(|query| unknown.touches(query))
                && !world.compares_names(&check.queries, *block);
            // One that fails, or has no answer, is asked of each call, so that the refusal is the same.
            if !is_known || !matches!(world.holds(check, *block), Ok(true)) {
                remaining.asked.push(number);
            }
        }
        remaining
    }

    /// How many must be asked.
    pub(super) fn count(&self) -> usize {
        self.asked.len()
    }

    /// The numbers of the checks that must be asked as of `now`, in their order; `None` for all of them.
    pub(super) fn asked(&self, now: Timestamp) -> Option<&[usize]> {
        let has_passed = self.before.is_some_and(|before| before <= now.unix_seconds());
        (!has_passed).then_some(&self.asked)
    }
}

/// The moment before which a check holds, if it says that and nothing else: `check all time($time), $time < moment`, as blocks state
/// their expiry.
fn expiry(check: &Check, words: &SymbolTable) -> Option<u64> {
    let (CheckKind::All, [query]) = (&check.kind, check.queries.as_slice()) else { return None };
    let ([predicate], [expression], true) =
        (query.body.as_slice(), query.expressions.as_slice(), query.scopes.is_empty())
    else {
        return None;
    };
    let [Term::Variable(time)] = predicate.terms.as_slice() else { return None };
    match expression.ops.as_slice() {
        [
            Op::Value(Term::Variable(asked)),
            Op::Value(Term::Date(expires)),
            Op::Binary(Binary::LessThan),
        ] if asked == time && words.get_symbol(predicate.name) == Some("time") => Some(*expires),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
