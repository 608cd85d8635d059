//! Authorize: may this verified capability do this call, by the token's own checks and by policy?
//!
//! Policies and checks are Datalog over facts of the token, the call and the moment. Policies see what the walk found
//! and nothing that an agent said of itself (`facts`).

#[cfg(feature = "trial")]
pub(crate) mod alone;
mod begun;
pub(crate) mod facts;
mod prepared;
pub(crate) mod relevant;
mod remaining;
mod rests;
pub(crate) mod stock;
mod words;
mod world;

use std::sync::Arc;

use biscuit_auth::datalog::Rule;

use crate::authorize::begun::TokenCheck;
use crate::authorize::facts::Asked;
use crate::authorize::relevant::{Answer, Relevant};
use crate::call::Call;
use crate::cause::{Cause, Class};
use crate::chain::Chain;
use crate::datalog::{EvaluationError, VERIFIER, World};
use crate::policy::{Location, Policy};
use crate::profile::MAX_COST;
use crate::scope::{Operation, Scope};
use crate::verify::{VerifiedCapability, schemes};

pub use prepared::PreparedSets;
pub(crate) use prepared::{Prepared, PreparedTokens, sizes_of};
pub(crate) use rests::rests_on;
pub(crate) use world::RULES;

/// Decides by the token's checks and by `policy` whether `call` is allowed with `verified`, as of the moment at which
/// that was verified. Nothing is recorded, and a presentation for one call is not used up: a [`Guard`](crate::Guard)
/// does both.
///
/// # Errors
///
/// [`AuthorizeError`] names the first thing that refuses the call, in the order of `docs/verification.md`.
pub fn authorize(
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Result<Allowed, AuthorizeError> {
    authorize_with(&PreparedSets::default(), verified, policy, call)
}

/// Decides one call, and keeps in `prepared` what decisions about this token have in common.
pub(crate) fn authorize_with(
    prepared: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Result<Allowed, AuthorizeError> {
    refuse_uncovered(verified, call)?;
    refuse_other_call(verified, call)?;
    judge(prepared, verified, policy, call, TokenChecks::Asked)
}

/// What `candidate` would have decided of a call on which `live` was asked.
pub(crate) fn authorize_instead(
    prepared: &PreparedSets,
    verified: &VerifiedCapability,
    live: &Policy,
    candidate: &Policy,
    call: &Call,
) -> Result<Allowed, AuthorizeError> {
    // The token's checks held under the one set, and see the same under the other unless one adds facts.
    let checks = match live.adds_facts() || candidate.adds_facts() {
        true => TokenChecks::Asked,
        false => TokenChecks::Held,
    };
    judge(prepared, verified, candidate, call, checks)
}

/// What to do with the checks that a token's blocks make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenChecks {
    Asked,
    Held,
}

fn judge(
    prepared: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    checks: TokenChecks,
) -> Result<Allowed, AuthorizeError> {
    let prepared = prepared.prepare(verified, policy)?;
    let relevant = prepared.relevant(policy, &Asked::of(verified, call));
    let remaining = relevant.remaining.as_ref();
    let remaining = remaining.and_then(|remaining| remaining.asked(verified.verified_at()));
    // Where neither the token nor the policies leave anything open, no world is needed.
    if let (Some([]), Some(concluded)) = (remaining, &relevant.concluded)
        && verified.stated().facts().is_empty()
        && prepared.has_room_for_call(call)
    {
        return concluded.clone();
    }
    let world = World::of(&prepared, verified, policy, call)?;
    if checks == TokenChecks::Held {
        return decide_among(&world, policy, &relevant, Some(call));
    }
    prepared.refuse_costly(verified, &world)?;
    let ask = |known: &Arc<TokenCheck>| {
        let (block, number, check) = &**known;
        let held = world.holds(check, *block);
        let failed = |error| unanswered(error, &place_of(*number, *block), Some(*block));
        match held.map_err(failed)? {
            true => Ok(()),
            false => Err(AuthorizeError::CheckFailed { block: *block, check: *number }),
        }
    };
    match remaining {
        Some(remaining) => remaining.iter().try_for_each(|at| ask(&prepared.checks[*at]))?,
        None => prepared.checks.iter().try_for_each(ask)?,
    }
    decide_among(&world, policy, &relevant, Some(call))
}

/// The verdict of the policies alone: a failing check or a matching `deny` first, then `allow`, then
/// no. All are looked at, so that the answer does not depend on their order.
pub(crate) fn decide(world: &World, policy: &Policy) -> Result<Allowed, AuthorizeError> {
    decide_among(world, policy, &Relevant::all(policy), None)
}

/// The same of the policies that can matter: the others neither match nor err. Of what allows, those are passed over that cannot match
/// `call` for its arguments.
fn decide_among(
    world: &World,
    policy: &Policy,
    relevant: &Relevant,
    call: Option<&Call>,
) -> Result<Allowed, AuthorizeError> {
    let unanswered = |error, at: &Location| unanswered(error, &at.to_string(), None);
    for (index, answer) in &relevant.checks {
        let (at, check) = &policy.checks[*index];
        let holds = match answer {
            Answer::Certain => false,
            Answer::Ask => world.holds(check, VERIFIER).map_err(|error| unanswered(error, at))?,
        };
        if !holds {
            return Err(AuthorizeError::PolicyCheckFailed { at: at.clone() });
        }
    }
    type Asks = fn(&World, &[Rule]) -> Result<bool, EvaluationError>;
    let first =
        |policies: &'_ [(Location, Vec<Rule>)], relevant: &[(usize, Answer)], asks: Asks| {
            let mut found = None;
            for (index, answer) in relevant {
                let (at, queries) = &policies[*index];
                let matches = match answer {
                    Answer::Certain => true,
                    Answer::Ask => asks(world, queries).map_err(|error| unanswered(error, at))?,
                };
                if matches {
                    found.get_or_insert(*index);
                }
            }
            Ok::<_, AuthorizeError>(found)
        };
    let denied = first(&policy.denies, &relevant.denies, World::denies)?
        .map(|index| &policy.denies[index].0);
    let can_match = policy.by_argument.matching(call);
    let allows = relevant.allows.iter().filter(|(number, _)| can_match(*number));
    let allows: Vec<_> = allows.copied().collect();
    let allowed =
        first(&policy.allows, &allows, World::matches_any)?.map(|index| &policy.allows[index].0);
    match (denied, allowed) {
        (Some(at), _) => Err(AuthorizeError::Denied { at: at.clone() }),
        (None, Some(at)) => Ok(Allowed { at: at.clone() }),
        (None, None) => Err(AuthorizeError::NothingAllows),
    }
}

/// The answer to a call that is allowed: the policy that allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowed {
    /// The place of the first `allow if` that matched.
    pub at: Location,
}

/// The error of a call that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// No scope of the chain covers the operation.
    #[error("the chain does not grant {operation}; it grants {scopes}")]
    NotGranted {
        /// The operation of the call.
        operation: String,
        /// The scopes that the chain grants.
        scopes: String,
        /// The number of the first block whose scopes do not cover it.
        block: Option<usize>,
    },
    /// The operation governs Hardtack itself, and some link of the chain is signed by no holder.
    #[error("block {block} is bound to no holder, and {operation} needs every hop to be")]
    Unbound {
        /// The number of the first block on an unbound link.
        block: usize,
        /// The operation of the call.
        operation: String,
    },
    /// The resource has a scheme that this server does not judge
    /// ([`Verifier::resource_schemes`](crate::Verifier::resource_schemes)).
    #[error("{}", unjudged(.scheme, *.named_by_lists))]
    Scheme {
        /// The scheme of the resource.
        scheme: String,
        /// Whether it is judged as soon as the server's own lists name it
        /// ([`Verifier::open_resource_schemes`](crate::Verifier::open_resource_schemes)).
        named_by_lists: bool,
    },
    /// The presentation is bound to another call.
    #[error("the presentation is bound to another call: operation, resource or arguments differ")]
    OtherCall,
    /// The checks could cost too much with this call's arguments.
    #[error(
        "evaluating the checks with these arguments could cost {cost} units, more than {MAX_COST}"
    )]
    TooCostly {
        /// The upper bound of the work, in units of roughly 40 ns.
        cost: u64,
    },
    /// A check of the token fails.
    #[error("check {check} of block {block} does not hold for this call")]
    CheckFailed {
        /// The number of the block.
        block: usize,
        /// The number of the check in its block, from 1.
        check: usize,
    },
    /// A check of the policies fails.
    #[error("the policy check at {at} does not hold for this call")]
    PolicyCheckFailed {
        /// The place of the statement, as file and line.
        at: Location,
    },
    /// A `deny if` matches the call.
    #[error("the policy at {at} denies this call")]
    Denied {
        /// The place of the statement, as file and line.
        at: Location,
    },
    /// No `allow if` matches the call.
    #[error("no policy allows this call")]
    NothingAllows,
    /// A check or policy cannot be evaluated for some match.
    #[error(
        "{place} cannot be evaluated for this call: a value has another type or form than it compares, or \
         overflows"
    )]
    NotEvaluable {
        /// The check or the policy.
        place: String,
        /// The number of the block that makes the check; `None` for policies.
        block: Option<usize>,
    },
    /// The evaluation took more work than a decision may.
    #[error("{place} took more work than a decision may")]
    Exhausted {
        /// The check or the policy.
        place: String,
        /// The number of the block that makes the check; `None` for policies.
        block: Option<usize>,
    },
}

impl AuthorizeError {
    /// Returns the [`Cause`] of this error: its stable name, as records and `--json` have it.
    pub fn cause(&self) -> Cause {
        match self {
            AuthorizeError::NotGranted { .. } => Cause::NotGranted,
            AuthorizeError::Unbound { .. } => Cause::Unbound,
            AuthorizeError::Scheme { .. } => Cause::ResourceScheme,
            AuthorizeError::OtherCall => Cause::OtherCall,
            AuthorizeError::TooCostly { .. } => Cause::TooCostly,
            AuthorizeError::CheckFailed { .. } => Cause::CheckFailed,
            AuthorizeError::PolicyCheckFailed { .. } => Cause::PolicyCheckFailed,
            AuthorizeError::Denied { .. } => Cause::PolicyDenied,
            AuthorizeError::NothingAllows => Cause::NothingAllows,
            AuthorizeError::NotEvaluable { .. } => Cause::NotEvaluable,
            AuthorizeError::Exhausted { .. } => Cause::Exhausted,
        }
    }

    /// Returns the class of the error, by what a caller does about it. It is that of the cause, but `unbound` and
    /// `too_costly` are [`Class::Forbidden`]: here they are refused of the call, and not of the token.
    pub fn class(&self) -> Class {
        match self.cause() {
            Cause::Unbound | Cause::TooCostly => Class::Forbidden,
            cause => cause.class(),
        }
    }

    /// Returns the number of the block at which the error was seen, from 0, the grant; `None` if it belongs to no
    /// block.
    pub fn block(&self) -> Option<usize> {
        match self {
            AuthorizeError::Unbound { block, .. } | AuthorizeError::CheckFailed { block, .. } => {
                Some(*block)
            }
            AuthorizeError::NotGranted { block, .. }
            | AuthorizeError::NotEvaluable { block, .. }
            | AuthorizeError::Exhausted { block, .. } => *block,
            _ => None,
        }
    }

    /// Where it was decided, if at one place: in the policies, or at which check of which block.
    pub(crate) fn place(&self) -> Option<String> {
        match self {
            AuthorizeError::PolicyCheckFailed { at } | AuthorizeError::Denied { at } => {
                Some(at.to_string())
            }
            AuthorizeError::CheckFailed { block, check } => Some(place_of(*check, *block)),
            AuthorizeError::NotEvaluable { place, .. }
            | AuthorizeError::Exhausted { place, .. } => Some(place.clone()),
            _ => None,
        }
    }

    /// Whether it is the policies' answer, and no earlier refusal.
    pub(crate) fn rests_on_policies(&self) -> bool {
        RESTING_ON_POLICIES.contains(&self.cause()) && self.block().is_none()
    }
}

/// The causes that policies give. Two of them a block can give, too.
pub(crate) const RESTING_ON_POLICIES: [Cause; 5] = [
    Cause::PolicyCheckFailed,
    Cause::PolicyDenied,
    Cause::NothingAllows,
    Cause::NotEvaluable,
    Cause::Exhausted,
];

/// Which check of which block, in words.
fn place_of(check: usize, block: usize) -> String {
    format!("check {check} of block {block}")
}

/// An evaluation without an answer, at this place; in this block, if it is a token's.
pub(crate) fn unanswered(
    error: EvaluationError,
    place: &str,
    block: Option<usize>,
) -> AuthorizeError {
    let place = place.to_owned();
    match error {
        EvaluationError::Failed => AuthorizeError::NotEvaluable { place, block },
        EvaluationError::Exhausted => AuthorizeError::Exhausted { place, block },
    }
}

/// That resources of a scheme are not judged, and what helps.
fn unjudged(scheme: &str, named_by_lists: bool) -> String {
    let until = match named_by_lists {
        true => {
            format!(
                " until the server's own lists have named it: ask for resources/list or resources/templates/list \
                 first, or have the server set --resource-scheme {scheme}"
            )
        }
        false => String::new(),
    };
    format!("resources of scheme {scheme} are not judged here{until}")
}

/// The part of the walk that needs the call.
pub(crate) fn refuse_uncovered(
    verified: &VerifiedCapability,
    call: &Call,
) -> Result<(), AuthorizeError> {
    let chain = verified.chain();
    let operation = call.operation();
    if !is_covered(chain, operation) {
        let scopes = chain.scopes().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let block = uncovering(chain, operation).first().copied();
        return Err(AuthorizeError::NotGranted { operation: operation.to_string(), scopes, block });
    }
    if let Some(block) = first_unbound(chain).filter(|_| operation.is_reserved()) {
        return Err(AuthorizeError::Unbound { block, operation: operation.to_string() });
    }
    if let Some(scheme) = call.scheme().filter(|scheme| !verified.judges_scheme(scheme)) {
        let scheme = schemes::shown(scheme).to_owned();
        let named_by_lists = verified.has_open_schemes();
        return Err(AuthorizeError::Scheme { scheme, named_by_lists });
    }
    Ok(())
}

/// Whether a scope of the chain covers the operation.
pub(crate) fn is_covered(chain: &Chain, operation: &Operation) -> bool {
    chain.scopes().iter().any(|scope| scope.covers(operation))
}

/// All blocks whose scopes do not cover the operation. Each would have to be wider.
pub(crate) fn uncovering(chain: &Chain, operation: &Operation) -> Vec<usize> {
    let grant = (0, chain.grant.scopes.as_slice());
    let hops = chain.hops.iter().map(|hop| (hop.index, hop.scopes.as_slice()));
    let lacks = |scopes: &[Scope]| !scopes.iter().any(|scope| scope.covers(operation));
    let all = std::iter::once(grant).chain(hops).filter(|(_, scopes)| lacks(scopes));
    all.map(|(block, _)| block).collect()
}

/// A call-bound presentation is for one call, exactly.
pub(crate) fn refuse_other_call(
    verified: &VerifiedCapability,
    call: &Call,
) -> Result<(), AuthorizeError> {
    match verified.presentation().digest.is_some_and(|digest| digest != call.digest()) {
        true => Err(AuthorizeError::OtherCall),
        false => Ok(()),
    }
}

pub(crate) fn first_unbound(chain: &Chain) -> Option<usize> {
    let hop = chain.hops.iter().find(|hop| hop.signer.is_none()).map(|hop| hop.index);
    let last = chain.presentation.iter().find(|last| last.signer.is_none()).map(|last| last.index);
    hop.or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_place_and_one_by_a_block_its_block() {
        let at = || Location { file: "p.datalog".to_owned(), line: 3 };
        let (line, place) = ("p.datalog:3".to_owned(), || "check 1".to_owned());
        let unanswered = |block| AuthorizeError::NotEvaluable { place: place(), block };
        for (error, place, block, rests) in [
            (AuthorizeError::Denied { at: at() }, Some(line.clone()), None, true),
            (AuthorizeError::PolicyCheckFailed { at: at() }, Some(line), None, true),
            (unanswered(None), Some(place()), None, true),
            (unanswered(Some(1)), Some(place()), Some(1), false),
            (
                AuthorizeError::CheckFailed { block: 1, check: 2 },
                Some("check 2 of block 1".to_owned()),
                Some(1),
                false,
            ),
            (AuthorizeError::NothingAllows, None, None, true),
            (AuthorizeError::OtherCall, None, None, false),
        ] {
            assert_eq!((error.place(), error.block()), (place, block), "{error}");
            assert_eq!(error.rests_on_policies(), rests, "{error}");
        }
    }
}
