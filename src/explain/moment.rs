//! Moment: when would it be allowed, if time alone stands in the way?

use biscuit_auth::builder::{Expression, Op, Term};

use crate::explain::Change;
use crate::explain::miss::variable;
use crate::explain::values::hold;
use crate::timestamp::Timestamp;

/// How many times that end where others begin are followed.
const MAX_FOLLOWED: usize = 100;

/// The first moment after `now` at which these conditions hold of the time.
pub(super) fn opens(now: Timestamp, name: &str, conditions: &[Expression]) -> Option<Timestamp> {
    moments(now, conditions).into_iter().find(|moment| holds(*moment, name, conditions))
}

/// The first moment after `now` at which none of these selections of conditions holds of the time.
pub(super) fn is_over(
    now: Timestamp,
    name: &str,
    closings: &[Vec<Expression>],
) -> Option<Timestamp> {
    let mut moment = now;
    for _ in 0..MAX_FOLLOWED {
        let Some(closed) = closings.iter().find(|closing| holds(moment, name, closing)) else {
            return Some(moment);
        };
        moment =
            moments(moment, closed).into_iter().find(|moment| !holds(*moment, name, closed))?;
    }
    None
}

fn holds(moment: Timestamp, name: &str, conditions: &[Expression]) -> bool {
    let time = Term::Date(moment.unix_seconds());
    hold(conditions, &|term| (variable(term)? == name).then(|| time.clone()))
}

/// The moments after `now` that conditions name, and the second after each, in order.
fn moments(now: Timestamp, conditions: &[Expression]) -> Vec<Timestamp> {
    let dates = conditions.iter().flat_map(|condition| &condition.ops);
    let dates = dates.filter_map(|op| match op {
        Op::Value(Term::Date(seconds)) => Some(*seconds),
        _ => None,
    });
    let mut found: Vec<u64> = dates
        .flat_map(|seconds| [seconds, seconds.saturating_add(1)])
        .filter(|seconds| *seconds > now.unix_seconds())
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(Timestamp::from_unix_seconds).collect()
}

pub(super) fn wait(until: Timestamp) -> Change {
    Change::Wait { until, text: format!("wait until {until}") }
}
