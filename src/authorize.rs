//! Authorize: may this verified capability do this call, by the token's own checks and by policy?
//!
//! Policies see what the walk found and nothing that an agent said of itself. Everything that they may
//! use is asserted here, in one place, and listed in `policies/README.md`.

use biscuit_auth::builder::{self, Convert, Term, fact, string};
use biscuit_auth::datalog::Check;
use biscuit_auth::format::convert::{proto_check_to_token_check, proto_fact_to_token_fact};

use crate::call::Call;
use crate::chain::{Chain, Hop};
use crate::datalog::{EvaluationError, VERIFIER, World};
use crate::policy::{Location, Policy};
use crate::profile::MAX_COST;
use crate::profile::cost::{self, Sizes};
use crate::profile::shape::ShapedBlock;
use crate::verify::VerifiedCapability;

/// Decides one call.
///
/// # Errors
///
/// [`AuthorizeError`]: the first thing that does not hold, in the order of `docs/profile.md`.
pub fn authorize(
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Result<Allowed, AuthorizeError> {
    refuse_uncovered(verified, call)?;
    let mut world = World::new(policy.symbols.clone());
    let ambient = ambient_facts(verified, call);
    let blocks = &verified.capability().shaped().blocks;
    let checks = load(&mut world, blocks, &ambient)?;
    for fact in &policy.facts {
        world.add(VERIFIER, fact.clone());
    }
    world.derive(&policy.rules).map_err(|error| unanswered(error, "a rule of the policies"))?;
    refuse_costly(blocks, &world)?;
    for (block, number, check) in &checks {
        let held = world.holds(check, *block);
        let place = || format!("check {number} of block {block}");
        match held.map_err(|error| unanswered(error, &place()))? {
            true => {}
            false => return Err(AuthorizeError::CheckFailed { block: *block, check: *number }),
        }
    }
    decide(&world, policy)
}

/// The verdict of the policies alone: a failing check or a matching `deny` first, then `allow`, then
/// no. All are looked at, so that the answer does not depend on their order.
fn decide(world: &World, policy: &Policy) -> Result<Allowed, AuthorizeError> {
    for (at, check) in &policy.checks {
        if !world.holds(check, VERIFIER).map_err(|error| unanswered(error, &at.to_string()))? {
            return Err(AuthorizeError::PolicyCheckFailed { at: at.clone() });
        }
    }
    let mut denied = None;
    for (at, queries) in &policy.denies {
        if world.matches_any(queries).map_err(|error| unanswered(error, &at.to_string()))? {
            denied.get_or_insert(at);
        }
    }
    let mut allowed = None;
    for (at, queries) in &policy.allows {
        if world.matches_any(queries).map_err(|error| unanswered(error, &at.to_string()))? {
            allowed.get_or_insert(at);
        }
    }
    match (denied, allowed) {
        (Some(at), _) => Err(AuthorizeError::Denied { at: at.clone() }),
        (None, Some(at)) => Ok(Allowed { at: at.clone() }),
        (None, None) => Err(AuthorizeError::NothingAllows),
    }
}

/// Which policy allowed a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowed {
    /// The first `allow if` that matched.
    pub at: Location,
}

/// A call that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// No scope of the chain covers the operation.
    #[error("the chain does not grant {operation}; it grants {scopes}")]
    NotGranted {
        /// The operation.
        operation: String,
        /// What the chain grants.
        scopes: String,
    },
    /// An operation that governs Hardtack itself, over a link that nobody in particular signed.
    #[error("block {block} is bound to no holder, and {operation} needs every hop to be")]
    Unbound {
        /// The first block on an unbound link.
        block: usize,
        /// The operation.
        operation: String,
    },
    /// A resource whose scheme this server does not judge.
    #[error("resources of scheme {scheme} are not judged here")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A call-bound presentation for another call.
    #[error("the presentation is bound to another call: operation, resource or arguments differ")]
    OtherCall,
    /// The checks could cost too much with this call's arguments.
    #[error(
        "evaluating the checks with these arguments could cost {cost} units, more than {MAX_COST}"
    )]
    TooCostly {
        /// The upper bound of the work.
        cost: u64,
    },
    /// A check of the token does not hold.
    #[error("check {check} of block {block} does not hold for this call")]
    CheckFailed {
        /// The block.
        block: usize,
        /// Which of its checks, from 1.
        check: usize,
    },
    /// A check of the policies does not hold.
    #[error("the policy check at {at} does not hold for this call")]
    PolicyCheckFailed {
        /// Where it stands.
        at: Location,
    },
    /// A policy denies it.
    #[error("the policy at {at} denies this call")]
    Denied {
        /// Where it stands.
        at: Location,
    },
    /// No policy allows it.
    #[error("no policy allows this call")]
    NothingAllows,
    /// A check or policy that cannot be evaluated for some match.
    #[error(
        "{place} cannot be evaluated for this call: a value has another type than it compares, or overflows"
    )]
    NotEvaluable {
        /// Which.
        place: String,
    },
    /// The evaluation took more than it may.
    #[error("{place} took more work than a decision may")]
    Exhausted {
        /// Which.
        place: String,
    },
}

impl AuthorizeError {
    /// The stable name of the cause, as records and `--json` have it.
    pub fn cause(&self) -> &'static str {
        match self {
            AuthorizeError::NotGranted { .. } => "not_granted",
            AuthorizeError::Unbound { .. } => "unbound",
            AuthorizeError::Scheme { .. } => "resource_scheme",
            AuthorizeError::OtherCall => "other_call",
            AuthorizeError::TooCostly { .. } => "too_costly",
            AuthorizeError::CheckFailed { .. } => "check_failed",
            AuthorizeError::PolicyCheckFailed { .. } => "policy_check_failed",
            AuthorizeError::Denied { .. } => "policy_denied",
            AuthorizeError::NothingAllows => "nothing_allows",
            AuthorizeError::NotEvaluable { .. } => "not_evaluable",
            AuthorizeError::Exhausted { .. } => "exhausted",
        }
    }

    /// The block at which it was seen.
    pub fn block(&self) -> Option<usize> {
        match self {
            AuthorizeError::Unbound { block, .. } | AuthorizeError::CheckFailed { block, .. } => {
                Some(*block)
            }
            _ => None,
        }
    }
}

fn unanswered(error: EvaluationError, place: &str) -> AuthorizeError {
    let place = place.to_owned();
    match error {
        EvaluationError::Failed => AuthorizeError::NotEvaluable { place },
        EvaluationError::Exhausted => AuthorizeError::Exhausted { place },
    }
}

/// The part of the walk that needs the call.
fn refuse_uncovered(verified: &VerifiedCapability, call: &Call) -> Result<(), AuthorizeError> {
    let chain = verified.chain();
    let operation = call.operation();
    if !chain.scopes().iter().any(|scope| scope.covers(operation)) {
        let scopes = chain.scopes().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(AuthorizeError::NotGranted { operation: operation.to_string(), scopes });
    }
    if let Some(block) = first_unbound(chain).filter(|_| operation.is_reserved()) {
        return Err(AuthorizeError::Unbound { block, operation: operation.to_string() });
    }
    if let Some(scheme) = call.scheme().filter(|scheme| !verified.judges_scheme(scheme)) {
        return Err(AuthorizeError::Scheme { scheme: scheme.to_owned() });
    }
    let bound_to_another =
        verified.presentation().digest.is_some_and(|digest| digest != call.digest());
    if bound_to_another { Err(AuthorizeError::OtherCall) } else { Ok(()) }
}

fn first_unbound(chain: &Chain) -> Option<usize> {
    let hop = chain.hops.iter().find(|hop| hop.signer.is_none()).map(|hop| hop.index);
    let last = chain.presentation.iter().find(|last| last.signer.is_none()).map(|last| last.index);
    hop.or(last)
}

/// Before a check is evaluated: the bound of the work, over all that it can see. What the rules of the
/// policies derived is among it, for agents choose the arguments from which they derive.
fn refuse_costly(blocks: &[ShapedBlock], world: &World) -> Result<(), AuthorizeError> {
    let mut sizes = Sizes::default();
    for fact in world.facts() {
        let fact = builder::Fact::convert_from(fact, &world.symbols);
        sizes.add(&fact.map_err(|_| AuthorizeError::NotEvaluable { place: "a fact".to_owned() })?);
    }
    match cost::bound(blocks, &sizes) {
        cost if cost > MAX_COST => Err(AuthorizeError::TooCostly { cost }),
        _ => Ok(()),
    }
}

/// Puts what the verifier and the blocks say into the world, and returns the blocks' checks with the
/// number of their block and of themselves.
fn load(
    world: &mut World,
    blocks: &[ShapedBlock],
    ambient: &[builder::Fact],
) -> Result<Vec<(usize, usize, Check)>, AuthorizeError> {
    let unreadable = |_| AuthorizeError::NotEvaluable { place: "the token".to_owned() };
    let mut keys = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let Some((key, _)) = block.external else { continue };
        let number = keys.iter().position(|known| *known == key).unwrap_or(keys.len());
        if number == keys.len() {
            keys.push(key);
            if let Ok(key) = key.to_biscuit() {
                builder::Scope::PublicKey(key).convert(&mut world.symbols);
            }
        }
        world.signed_by.entry(number).or_default().push(index);
    }
    for fact in ambient {
        let fact = fact.convert(&mut world.symbols);
        world.add(VERIFIER, fact);
    }
    let mut checks = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        for fact in &block.content.facts {
            let fact = proto_fact_to_token_fact(fact).map_err(unreadable)?;
            let fact = builder::Fact::translate(&fact, &block.symbols, &mut world.symbols);
            world.add(index, fact.map_err(unreadable)?);
        }
        let version = block.content.version.unwrap_or_default();
        for (number, check) in block.content.checks.iter().enumerate() {
            let check = proto_check_to_token_check(check, version).map_err(unreadable)?;
            let check = builder::Check::translate(&check, &block.symbols, &mut world.symbols);
            checks.push((index, number + 1, check.map_err(unreadable)?));
        }
    }
    Ok(checks)
}

/// Everything that the verifier asserts. Nothing else does: blocks and policies that assert one of
/// these names are refused.
fn ambient_facts(verified: &VerifiedCapability, call: &Call) -> Vec<builder::Fact> {
    let chain = verified.chain();
    let mut facts = vec![
        fact("time", &[Term::Date(verified.verified_at().unix_seconds())]),
        fact("operation", &[string(call.operation().as_str())]),
        fact("granted", &[string(call.operation().as_str())]),
        fact("verifier", &[string(&verified.presentation().audience)]),
        fact("presented", &[string(verified.presentation().kind.as_str())]),
        fact("issuer", &[string(verified.issuer())]),
        fact("depth", &[number(chain.depth())]),
        fact("call", &[Term::Bytes(call.digest().to_vec())]),
    ];
    if let Some(name) = call.operation().tool() {
        facts.push(fact("tool", &[string(name)]));
    }
    if let Some(uri) = call.resource_uri() {
        facts.push(fact("resource", &[string(uri)]));
    }
    facts.extend(call.argument_terms().map(|(name, value)| fact("arg", &[string(name), value])));
    if let Some(leaf) = chain.hops.last() {
        facts.push(fact("agent", &[string(&leaf.delegate)]));
        facts.extend(leaf.holder.map(|key| fact("agent_key", &[key_digits(&key)])));
    }
    for hop in &chain.hops {
        facts.extend(hop_facts(hop));
    }
    if let Some(last) = chain.presentation.iter().find(|last| last.signer.is_none()) {
        facts.push(fact("unbound", &[number(last.index)]));
    }
    facts
}

fn hop_facts(hop: &Hop) -> Vec<builder::Fact> {
    let Some(signer) = hop.signer else { return vec![fact("unbound", &[number(hop.index)])] };
    let names = [number(hop.index), string(&hop.delegator), string(&hop.delegate)];
    let keys = hop.holder.map(|holder| {
        fact("delegated_key", &[number(hop.index), key_digits(&signer), key_digits(&holder)])
    });
    std::iter::once(fact("delegated", &names)).chain(keys).collect()
}

fn number(value: usize) -> Term {
    Term::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn key_digits(key: &crate::keys::PublicKey) -> Term {
    string(&hex::encode(key.to_bytes()))
}
