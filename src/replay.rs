//! Replay: how would other policies have decided what was decided before?
//!
//! It rests on what records keep ([`KeptRequest`]) and asks the policies alone (a dry run over the log). What was
//! refused before policies were asked stays refused. The token's own checks are not kept. They held, and are taken to
//! hold again; only where policies assert facts that a check reads could that be otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use biscuit_auth::builder::{self, Convert, Term, fact, string};
use serde::Serialize;

use crate::audit::{AuditChain, AuditRecord, Decision, KeptArguments, KeptRequest, Verdict};
use crate::authorize::facts::{Asked, Delegated, Presented, argument_facts, digest_fact};
use crate::authorize::{RESTING_ON_POLICIES, decide};
use crate::call::Call;
use crate::cause::{Cause, RecordedCause};
use crate::datalog::{Base, SERVER, VERIFIER, World};
use crate::policy::Policy;
use crate::preview::{Foreseen, foresee};
use crate::profile::vocabulary::ARGUMENT;
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;

/// The most examples that a report has of each group of decisions.
pub const EXAMPLES: usize = 3;

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
    let mut base = Base::new(policy.symbols.clone());
    for fact in presented.facts() {
        let fact = fact.convert(base.symbols());
        base.add(VERIFIER, fact);
    }
    for fact in grant_facts(chain, request)? {
        let fact = fact.convert(base.symbols());
        base.add(GRANT, fact);
    }
    for kept in &request.stated {
        let fact = kept.fact().ok_or("a fact of the server")?;
        let fact = fact.convert(base.symbols());
        base.add(SERVER, fact);
    }
    for fact in &policy.facts {
        base.add(VERIFIER, fact.clone());
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
    match &request.arguments {
        KeptArguments::Arguments(arguments) => {
            let text = serde_json::to_string(arguments).map_err(|_| "an argument")?;
            let call = Call::new(&decision.operation).and_then(|call| call.arguments(&text));
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

/// The result of deciding many records again ([`Replay::report`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReplayReport {
    /// The number of records that were read, whatever they tell.
    pub records: u64,
    /// The number of these in which policies had no part.
    pub without_policies: u64,
    /// The number of decisions that stay as they are.
    pub stay: u64,
    /// The number of decisions with another verdict or cause.
    pub flip: u64,
    /// The number of decisions of which nothing can be said, since their records keep no request.
    pub not_kept: u64,
    /// The number of decisions of which nothing can be said, since they rest on arguments that were not kept.
    pub rest_on_arguments: u64,
    /// The decisions with another verdict or cause, in groups of the same kind; the largest group comes first.
    pub flips: Vec<Flips>,
}

/// A group of decisions that become another verdict or cause in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Flips {
    /// The operation of these calls.
    pub operation: String,
    /// The recorded verdict, and its cause if there is one: `deny (nothing_allows)`.
    pub from: String,
    /// The verdict under the other policies, in the same form.
    pub to: String,
    /// The place in the other policies where it was decided, as file and line.
    pub place: Option<String>,
    /// The number of decisions in the group.
    pub count: u64,
    /// The first decisions of the group, [`EXAMPLES`] at most.
    pub examples: Vec<Example>,
}

/// A decision that becomes another verdict or cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// The number of its record.
    pub sequence: u64,
    /// The moment at which it was decided.
    pub time: Timestamp,
    /// The subject, whose rights were used.
    pub subject: String,
    /// The agent that acted; `None` if the subject acted itself.
    pub agent: Option<String>,
    /// The message of the decision under the other policies.
    pub message: String,
}

/// Decides records again by other policies, one after the other, and counts what becomes of them.
///
/// ```
/// use hardtack::*;
/// use hardtack::audit::Kept;
/// use hardtack::replay::Replay;
/// # let now = Timestamp::from_unix_seconds(1_795_428_000);
/// # let root = PrivateKey::generate();
/// # let roots = RootKeys::of(root.public());
/// # let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
/// # let capability = Issuer::new(root).mint(grant, now)?;
/// # let bearer = capability.present(Presenting::to("notion.mcp"), &alice, now)?;
/// let store = Store::in_memory()?;
/// let verifier = Verifier::new(roots, "notion.mcp", store.revocations())?;
/// let guard = Guard::new(verifier, Policy::builtin(), store.clone()).keep_requests(Kept::Arguments);
/// guard.check(bearer.bearer(), &Call::tool("pay")?.argument_json("amount", "900")?, now)?;
///
/// let new = r#"allow if granted($op); deny if tool("pay"), arg("amount", $a), $a > 100;"#;
/// let mut replay = Replay::by(Policy::parse("new.datalog", new)?);
/// for line in store.reader().records(1) {
///     replay.read(&line?.record()?)?;
/// }
/// let report = replay.report();
/// assert_eq!((report.stay, report.flip), (0, 1));
/// assert_eq!(report.flips[0].to, "deny (policy_denied)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Replay {
    policy: Policy,
    report: ReplayReport,
    groups: BTreeMap<(String, String, String, Option<String>), Flips>,
}

impl Replay {
    /// Begins a replay by `policy`, with nothing read yet.
    pub fn by(policy: Policy) -> Replay {
        Replay { policy, report: ReplayReport::default(), groups: BTreeMap::new() }
    }

    /// Decides one record again and counts the result.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] for a record that no guard can have written; it is not counted.
    pub fn read(&mut self, record: &AuditRecord) -> Result<(), ReplayError> {
        let replayed = replay(record, &self.policy)?;
        self.report.records += 1;
        match (replayed, record.decision()) {
            (Replayed::NotKept, _) => self.report.not_kept += 1,
            (Replayed::RestsOnArguments, _) => self.report.rest_on_arguments += 1,
            (Replayed::Decided(ruling), Some(decision)) => match ruling.differs_from(decision) {
                true => self.flip(record, decision, ruling),
                false => self.report.stay += 1,
            },
            (Replayed::WithoutPolicies | Replayed::Decided(_), _) => {
                self.report.without_policies += 1;
            }
        }
        Ok(())
    }

    /// Ends the replay and returns what became of the records.
    pub fn report(self) -> ReplayReport {
        let mut flips: Vec<Flips> = self.groups.into_values().collect();
        flips.sort_by_key(|flips| std::cmp::Reverse(flips.count));
        ReplayReport { flips, ..self.report }
    }

    fn flip(&mut self, record: &AuditRecord, decision: &Decision, ruling: Ruling) {
        self.report.flip += 1;
        let from = summary(decision.verdict, decision.cause.as_ref().map(RecordedCause::as_str));
        let to = summary(ruling.verdict, ruling.cause.map(Cause::as_str));
        let operation = decision.operation.clone();
        let key = (operation.clone(), from.clone(), to.clone(), ruling.place.clone());
        let flips = self.groups.entry(key).or_insert_with(|| Flips {
            operation,
            from,
            to,
            place: ruling.place,
            count: 0,
            examples: Vec::new(),
        });
        flips.count += 1;
        if flips.examples.len() < EXAMPLES {
            let chain = decision.chain.as_ref();
            let agent = chain.and_then(|chain| chain.hops.last());
            flips.examples.push(Example {
                sequence: record.sequence,
                time: record.time,
                subject: chain.map(|chain| chain.subject.clone()).unwrap_or_default(),
                agent: agent.map(|hop| hop.delegate.clone()),
                message: ruling.message,
            });
        }
    }
}

fn summary(verdict: Verdict, cause: Option<&str>) -> String {
    cause.map_or(verdict.to_string(), |cause| format!("{verdict} ({cause})"))
}
