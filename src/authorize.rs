//! Authorize: may this verified capability do this call, by the token's own checks and by policy?
//!
//! Policies see what the walk found and nothing that an agent said of itself. Everything that they may
//! use is asserted here, in one place, and listed in `policies/README.md`.

use std::fmt;
use std::sync::Arc;

use biscuit_auth::builder::{self, Convert, Term, fact, string};
use biscuit_auth::datalog::{Check, Fact, SymbolTable};
use biscuit_auth::format::convert::{proto_check_to_token_check, proto_fact_to_token_fact};

use crate::call::Call;
use crate::chain::{Chain, Hop};
use crate::datalog::{Base, EvaluationError, VERIFIER, World};
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
    refuse_other_call(verified, call)?;
    let prepared = prepare(verified, policy)?;
    let mut world = World::over(&prepared.base);
    let facts = [call_facts(verified, call), argument_facts(call)].concat();
    for fact in &facts {
        let fact = fact.convert(&mut world.symbols);
        world.add(VERIFIER, fact);
    }
    world.derive(&policy.rules).map_err(|error| unanswered(error, "a rule of the policies"))?;
    let blocks = &verified.capability().shaped().blocks;
    if !(policy.rules.is_empty() && prepared.has_room_for(&facts)) {
        refuse_costly(blocks, &world)?;
    }
    for (block, number, check) in &prepared.checks {
        let held = world.holds(check, *block);
        let place = || format!("check {number} of block {block}");
        match held.map_err(|error| unanswered(error, &place()))? {
            true => {}
            false => return Err(AuthorizeError::CheckFailed { block: *block, check: *number }),
        }
    }
    decide(&world, policy)
}

/// What all decisions about one token by one set of policies have in common.
pub(crate) struct Prepared {
    policy: String,
    pub(crate) base: Arc<Base>,
    /// The blocks' checks, with the number of their block and of themselves.
    pub(crate) checks: Vec<(usize, usize, Check)>,
    /// The upper bound of the checks' work with all that [`ROOM`] has room for.
    cost: u64,
}

/// How much work may be done on a thread for which others wait: some 0.2 milliseconds.
#[cfg(feature = "http")]
const QUICK: u64 = 5000;

/// Whether a call by this token is decided quickly: it has been prepared, its checks are cheap, the call
/// is small, and the policies are few and derive nothing.
#[cfg(feature = "http")]
pub(crate) fn is_quick(verified: &VerifiedCapability, policy: &Policy, call: &Call) -> bool {
    let prepared = verified.prepared().get();
    let cheap =
        |prepared: &Arc<Prepared>| prepared.policy == policy.digest() && prepared.cost <= QUICK;
    policy.is_quick() && call.is_small() && prepared.is_some_and(cheap)
}

/// What a call commonly adds to the facts: how many of each name, and how many values and bytes each has at the
/// most. Within it, the cost of a token's checks is known before the call is.
const ROOM: [(&str, u64, u64, u64); 7] = [
    ("time", 1, 1, 0),
    ("operation", 1, 1, 256),
    ("granted", 1, 1, 256),
    ("tool", 1, 1, 128),
    ("resource", 1, 1, 1024),
    ("call", 1, 1, 32),
    ("arg", 16, 16, 1024),
];

impl Prepared {
    fn has_room_for(&self, facts: &[builder::Fact]) -> bool {
        let fits = |name: &str, most: u64, values: u64, bytes: u64| {
            let mut count = 0;
            let named = facts.iter().filter(|fact| fact.predicate.name == name);
            named.inspect(|_| count += 1).all(|fact| {
                fact.predicate.terms.iter().all(|term| {
                    let (has_values, has_bytes) = cost::values_and_bytes(term);
                    has_values <= values && has_bytes <= bytes
                })
            }) && count <= most
        };
        self.cost <= MAX_COST
            && ROOM.iter().all(|(name, most, values, bytes)| fits(name, *most, *values, *bytes))
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Brings token and policies together, once for each token.
pub(crate) fn prepare(
    verified: &VerifiedCapability,
    policy: &Policy,
) -> Result<Arc<Prepared>, AuthorizeError> {
    let known = verified.prepared().get();
    if let Some(prepared) = known.filter(|prepared| prepared.policy == policy.digest()) {
        return Ok(Arc::clone(prepared));
    }
    let mut base = Base::new(policy.symbols.clone());
    let blocks = &verified.capability().shaped().blocks;
    let checks = load(&mut base, blocks, &token_facts(verified))?;
    for fact in &policy.facts {
        base.add(VERIFIER, fact.clone());
    }
    let mut sizes = sizes_of(base.facts().cloned().collect(), base.symbols())?;
    for (name, count, values, bytes) in ROOM {
        sizes.add_room(name, count, values, bytes);
    }
    let cost = cost::bound(blocks, &sizes);
    let policy = policy.digest().to_owned();
    let prepared = Arc::new(Prepared { policy, base: Arc::new(base), checks, cost });
    // Whoever was first is kept: most servers have one set of policies.
    let _ = verified.prepared().set(Arc::clone(&prepared));
    Ok(prepared)
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

pub(crate) fn unanswered(error: EvaluationError, place: &str) -> AuthorizeError {
    let place = place.to_owned();
    match error {
        EvaluationError::Failed => AuthorizeError::NotEvaluable { place },
        EvaluationError::Exhausted => AuthorizeError::Exhausted { place },
    }
}

/// The part of the walk that needs the call.
pub(crate) fn refuse_uncovered(
    verified: &VerifiedCapability,
    call: &Call,
) -> Result<(), AuthorizeError> {
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
    Ok(())
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

/// Before a check is evaluated: the bound of the work, over all that it can see. What the rules of the
/// policies derived is among it, for agents choose the arguments from which they derive.
fn refuse_costly(blocks: &[ShapedBlock], world: &World) -> Result<(), AuthorizeError> {
    let sizes = sizes_of(world.facts().cloned().collect(), &world.symbols)?;
    match cost::bound(blocks, &sizes) {
        cost if cost > MAX_COST => Err(AuthorizeError::TooCostly { cost }),
        _ => Ok(()),
    }
}

fn sizes_of(facts: Vec<Fact>, symbols: &SymbolTable) -> Result<Sizes, AuthorizeError> {
    let mut sizes = Sizes::default();
    for fact in &facts {
        let fact = builder::Fact::convert_from(fact, symbols);
        sizes.add(&fact.map_err(|_| AuthorizeError::NotEvaluable { place: "a fact".to_owned() })?);
    }
    Ok(sizes)
}

/// Puts what the verifier and the blocks say into the base, and returns the blocks' checks with the
/// number of their block and of themselves.
fn load(
    base: &mut Base,
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
                builder::Scope::PublicKey(key).convert(base.symbols());
            }
        }
        base.signed(number, index);
    }
    for fact in ambient {
        let fact = fact.convert(base.symbols());
        base.add(VERIFIER, fact);
    }
    let mut checks = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        for fact in &block.content.facts {
            let fact = proto_fact_to_token_fact(fact).map_err(unreadable)?;
            let fact = builder::Fact::translate(&fact, &block.symbols, base.symbols());
            base.add(index, fact.map_err(unreadable)?);
        }
        let version = block.content.version.unwrap_or_default();
        for (number, check) in block.content.checks.iter().enumerate() {
            let check = proto_check_to_token_check(check, version).map_err(unreadable)?;
            let check = builder::Check::translate(&check, &block.symbols, base.symbols());
            checks.push((index, number + 1, check.map_err(unreadable)?));
        }
    }
    Ok(checks)
}

/// The predicates that depend on a call's arguments.
pub(crate) const ARGUMENT_PREDICATES: [&str; 2] = ["arg", "call"];

/// What the verifier asserts of a call's arguments.
fn argument_facts(call: &Call) -> Vec<builder::Fact> {
    let digest = fact("call", &[Term::Bytes(call.digest().to_vec())]);
    let arguments = call.argument_terms();
    let arguments = arguments.map(|(name, value)| fact("arg", &[string(name), value]));
    std::iter::once(digest).chain(arguments).collect()
}

/// What the verifier asserts of the moment and of the call but its arguments.
pub(crate) fn call_facts(verified: &VerifiedCapability, call: &Call) -> Vec<builder::Fact> {
    let operation = call.operation().as_str();
    let mut facts = vec![
        fact("time", &[Term::Date(verified.verified_at().unix_seconds())]),
        fact("operation", &[string(operation)]),
        fact("granted", &[string(operation)]),
    ];
    facts.extend(call.operation().tool().map(|name| fact("tool", &[string(name)])));
    facts.extend(call.resource_uri().map(|uri| fact("resource", &[string(uri)])));
    facts
}

/// What the verifier asserts of the token. Together with the two before, this is everything: blocks and
/// policies that assert one of these names are refused.
fn token_facts(verified: &VerifiedCapability) -> Vec<builder::Fact> {
    let chain = verified.chain();
    let mut facts = vec![
        fact("verifier", &[string(&verified.presentation().audience)]),
        fact("presented", &[string(verified.presentation().kind.as_str())]),
        fact("issuer", &[string(verified.issuer())]),
        fact("depth", &[number(chain.depth())]),
    ];
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
