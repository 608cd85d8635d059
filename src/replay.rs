//! Replay: how would other policies have decided what was decided before?
//!
//! It rests on what records keep ([`KeptRequest`]) and asks the policies alone (a dry run over the log). What was
//! refused before policies were asked stays refused. The token's own checks are not kept. They held, and are taken to
//! hold again; only where policies assert facts that a check reads could that be otherwise.

use std::sync::Arc;

use biscuit_auth::builder::{self, Convert, Term, fact, string};

use crate::audit::{AuditChain, AuditRecord, Decision, KeptArguments, KeptRequest, Verdict};
use crate::authorize::facts::{Asked, Delegated, Presented, argument_facts, digest_fact};
use crate::authorize::{RESTING_ON_POLICIES, decide};
use crate::call::Call;
use crate::cause::Cause;
use crate::datalog::{Base, SERVER, VERIFIER, World};
use crate::policy::Policy;
use crate::preview::{Foreseen, foresee};
use crate::profile::vocabulary::ARGUMENT;
use crate::ruling::Ruling;

/// The block that the grant's facts come from.
const GRANT: usize = 0;

/// The result of deciding a record again by other policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// Policies had no part in it: none were asked, or the record tells of no decision.
    WithoutPolicies,
    /// It cannot be said: the record does not keep what policies saw
    /// ([`Guard::keep_requests`](crate::Guard::keep_requests)).
    NotKept,
    /// It cannot be said: the decision rests on arguments, of which only the digest was kept.
    RestsOnArguments,
    /// The decision under the other policies.
    Decided(Ruling),
}

/// The error of a record that no guard can have written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence} cannot be decided again: {problem} is not of its form")]
pub struct ReplayError {
    /// The number of the record.
    pub sequence: u64,
    /// The part of the record that is wrong.
    pub problem: &'static str,
}

impl ReplayError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::LogDamaged
    }
}

/// Decides again, by `policy`, what `record` tells of, as of the moment of the record. Nothing is recorded.
///
/// # Errors
///
/// [`ReplayError`] for a record that no guard can have written.
///
/// ```
/// use hardtack::*;
/// use hardtack::audit::Keep;
/// use hardtack::replay::{Replayed, replay};
/// # let now = Timestamp::from_unix_seconds(1_795_428_000);
/// # let root = PrivateKey::generate();
/// # let roots = RootKeys::of(root.public());
/// # let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
/// # let capability = Issuer::new(root).mint(grant, now)?;
/// # let bearer = capability.present(Presenting::to("notion.mcp"), &alice, now)?;
/// let store = Store::in_memory()?;
/// let verifier = Verifier::new(roots, "notion.mcp", store.revocations())?;
/// let guard = Guard::new(verifier, Policy::builtin(), store.clone()).keep_requests(Keep::Arguments);
/// guard.check(bearer.bearer(), &Call::tool("pay")?.argument_json("amount", "900")?, now)?;
///
/// let new = r#"allow if granted($op); deny if tool("pay"), arg("amount", $a), $a > 100;"#;
/// let new = Policy::parse("new.datalog", new)?;
/// for line in store.reader().records(1) {
///     match replay(&line?.record()?, &new)? {
///         Replayed::Decided(ruling) => assert_eq!(ruling.cause, Some(Cause::PolicyDenied)),
///         undecided => println!("{undecided:?}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn replay(record: &AuditRecord, policy: &Policy) -> Result<Replayed, ReplayError> {
    let Some(decision) = record.decision().filter(|decision| asked_policies(decision)) else {
        return Ok(Replayed::WithoutPolicies);
    };
    let (Some(chain), Some(request)) = (&decision.chain, &decision.request) else {
        return Ok(Replayed::NotKept);
    };
    let wrong = |problem| ReplayError { sequence: record.sequence, problem };
    let world = world(chain, request, policy).map_err(wrong)?;
    decide_in(world, record, decision, request, policy).map_err(wrong)
}

/// Whether the verdict was the policies'.
fn asked_policies(decision: &Decision) -> bool {
    match &decision.cause {
        None => decision.verdict == Verdict::Allow,
        // A cause that this version does not know is none of the policies' that it knows.
        Some(cause) => {
            cause.known().is_some_and(|cause| RESTING_ON_POLICIES.contains(&cause))
                && decision.hop.is_none()
        }
    }
}

/// All that policies see but the moment and the call.
fn world(
    chain: &AuditChain,
    request: &KeptRequest,
    policy: &Policy,
) -> Result<World, &'static str> {
    if chain.hops.len() != request.hops.len() {
        return Err("the list of hops");
    }
    let delegators =
        std::iter::once(&chain.subject).chain(chain.hops.iter().map(|hop| &hop.delegate));
    let hops = chain.hops.iter().zip(&request.hops).zip(delegators);
    let hops = hops.map(|((hop, keys), delegator)| Delegated {
        index: keys.block,
        delegator,
        delegate: &hop.delegate,
        holder: keys.holder,
        signer: keys.signer,
    });
    let presented = Presented {
        audience: chain.audience.as_deref().ok_or("the audience")?,
        kind: chain.presented.as_deref().ok_or("the presentation")?,
        issuer: &chain.issuer,
        hops: hops.collect(),
        unbound_presentation: request.unbound_presentation,
    };
    let mut base = Base::over(&policy.stated, policy.symbols.clone());
    let stated = request.stated.iter().map(|kept| kept.fact().ok_or("a fact of the server"));
    for (block, said) in [
        (VERIFIER, presented.facts()),
        (GRANT, grant_facts(chain, request)?),
        (SERVER, stated.collect::<Result<_, _>>()?),
    ] {
        let facts = said.iter().map(|fact| fact.convert(base.symbols())).collect();
        base.add(block, facts);
    }
    base.compare(policy.names.clone(), 1);
    Ok(World::over(&Arc::new(base)))
}

/// What the grant says and policies may read.
fn grant_facts(
    chain: &AuditChain,
    request: &KeptRequest,
) -> Result<Vec<builder::Fact>, &'static str> {
    let mut facts = vec![
        fact("subject", &[string(&chain.subject)]),
        fact("issued", &[Term::Date(request.issued.unix_seconds())]),
    ];
    for kept in &request.facts {
        facts.push(kept.fact().ok_or("a fact of the grant")?);
    }
    Ok(facts)
}

fn decide_in(
    mut world: World,
    record: &AuditRecord,
    decision: &Decision,
    request: &KeptRequest,
    policy: &Policy,
) -> Result<Replayed, &'static str> {
    let operation = decision.operation.parse().map_err(|_| "the operation")?;
    let asked = Asked {
        time: record.time,
        operation: &operation,
        resource: decision.resource.as_deref(),
        stated: &[],
    };
    world.assert_all(&asked.facts());
    world.state_calendar(policy, record.time, request.issued);
    match &request.arguments {
        KeptArguments::Arguments(arguments) => {
            let text = serde_json::to_string(arguments).map_err(|_| "an argument")?;
            let call = Call::new(&decision.operation)
                .and_then(|call| call.large_integers().arguments(&text));
            let call = match (call, &decision.resource) {
                (Ok(call), Some(uri)) => call.resource(uri),
                (call, _) => call,
            };
            world.assert_all(&argument_facts(&call.map_err(|_| "the call")?));
            let decided = world.derive_by(policy).and_then(|()| decide(&world, policy));
            Ok(Replayed::Decided(Ruling::of(&decided)))
        }
        KeptArguments::Digest(digits) => {
            let mut digest = [0; 32];
            hex::decode_to_slice(digits, &mut digest).map_err(|_| "the digest")?;
            world.assert_all(&[digest_fact(&digest)]);
            Ok(match foresee(world, policy, ARGUMENT) {
                Foreseen::Decided(decided) => Replayed::Decided(Ruling::of(&decided)),
                // That an allowed call would be refused is known, whatever the cause.
                Foreseen::Refused if decision.verdict == Verdict::Allow => {
                    Replayed::Decided(Ruling {
                        verdict: Verdict::Deny,
                        cause: None,
                        hop: None,
                        place: None,
                        message: "refused; which policy does it rests on arguments".to_owned(),
                    })
                }
                Foreseen::Refused | Foreseen::Open => Replayed::RestsOnArguments,
            })
        }
    }
}
