//! Alone: which statement made the difference for a call: which one is it without which the call had another cause?

use crate::authorize::facts::Asked;
use crate::authorize::relevant::Answer;
use crate::authorize::{Allowed, AuthorizeError, Prepared};
use crate::call::Call;
use crate::datalog::{EvaluationError, VERIFIER, World};
use crate::policy::Policy;
use crate::verify::VerifiedCapability;

/// The number of the `allow`, the `deny` or the check, whichever gave the verdict `decided`, without which the cause were another.
/// `None` where another one says the same, and where no statement gave the verdict.
///
/// It needs no decision without each: a statement changes a cause only where it gave it, and where no other of its kind gives it too.
/// What has no answer gives the cause of that, which is another one.
pub(crate) fn alone(
    prepared: &Prepared,
    world: &World,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    decided: &Result<Allowed, AuthorizeError>,
) -> Option<usize> {
    let relevant = prepared.relevant(policy, &Asked::of(verified, call));
    match decided {
        Err(AuthorizeError::PolicyCheckFailed { .. }) => only(relevant.checks.iter(), |index| {
            world.holds(&policy.checks[index].1, VERIFIER).map(|holds| !holds)
        }),
        Err(AuthorizeError::Denied { .. }) => {
            only(relevant.denies.iter(), |index| world.denies(&policy.denies[index].1))
        }
        Ok(_) => {
            let can_match = policy.by_argument.matching(Some(call));
            let allows = relevant.allows.iter().filter(|(number, _)| can_match(*number));
            only(allows, |index| world.matches_any(&policy.allows[index].1))
        }
        Err(_) => None,
    }
}

/// The one statement that does what it is for; none if several do.
fn only<'r>(
    mut statements: impl Iterator<Item = &'r (usize, Answer)>,
    does: impl Fn(usize) -> Result<bool, EvaluationError>,
) -> Option<usize> {
    let did = |(index, answer): &&(usize, Answer)| match answer {
        Answer::Certain => true,
        Answer::Ask => does(*index) == Ok(true),
    };
    let (first, _) = statements.by_ref().find(did)?;
    match statements.find(did) {
        None => Some(*first),
        Some(_) => None,
    }
}
