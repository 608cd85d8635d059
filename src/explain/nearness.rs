//! Nearness: which of several matches comes nearest to what a query asks, and takes the least right?

use std::collections::HashMap;

use biscuit_auth::builder::{Binary, Expression, Op, Term};

/// How near a match comes, the nearest first: by how much comparisons fail, then by how much more the others leave than it
/// takes.
pub(super) type Nearness = (u128, u128);

/// The seconds by which a moment that has passed is farther away than one that comes.
const PASSED: u128 = u64::MAX as u128;

/// How near these values come to making the comparisons of numbers and moments true.
pub(super) fn nearness(expressions: &[Expression], bindings: &HashMap<String, Term>) -> Nearness {
    let value = |op: &Op| match op {
        Op::Value(Term::Variable(name)) => number(bindings.get(name)?),
        Op::Value(term) => number(term),
        _ => None,
    };
    let compared = expressions.iter().filter_map(|expression| match expression.ops.as_slice() {
        [left, right, Op::Binary(binary)] => {
            let ((left, moment), (right, _)) = (value(left)?, value(right)?);
            let (holds, rises) = match binary {
                Binary::LessThan => (left < right, false),
                Binary::LessOrEqual => (left <= right, false),
                Binary::GreaterThan => (left > right, true),
                Binary::GreaterOrEqual => (left >= right, true),
                _ => return None,
            };
            let apart = left.abs_diff(right);
            Some(match (holds, moment && !rises) {
                (true, _) => (0, apart),
                (false, true) => (apart.saturating_add(PASSED), 0),
                (false, false) => (apart, 0),
            })
        }
        _ => None,
    });
    compared.fold((0, 0), |(fails, leaves): Nearness, (more, room)| {
        (fails.saturating_add(more), leaves.saturating_add(room))
    })
}

/// A number or a moment, and whether it is a moment.
fn number(term: &Term) -> Option<(i128, bool)> {
    match term {
        Term::Integer(number) => Some((i128::from(*number), false)),
        Term::Date(seconds) => Some((i128::from(*seconds), true)),
        _ => None,
    }
}
