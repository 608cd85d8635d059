//! Explain: why was a call decided as it was, and what is the least that would have it allowed?
//!
//! For the people who run a server or delegate to agents. An agent that is refused learns the class and the
//! missing right, no more ([`guard`](crate::guard)). Nothing here decides; it looks at what decided.

mod agree;
mod change;
mod least;
mod miss;
mod policies;
mod token;
mod words;

use biscuit_auth::builder::{Check, Convert, Rule, Term};
use biscuit_auth::format::convert::proto_check_to_token_check;
use serde::Serialize;

use crate::audit::Verdict;
use crate::authorize::{PreparedSets, authorize_with, refuse_other_call, refuse_uncovered};
use crate::call::Call;
use crate::capability::Capability;
use crate::policy::Policy;
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;
use crate::verify::{Rejection, VerifiedCapability, Verifier};

pub use change::{Change, Remedy};

/// Why a call was decided as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What it came to.
    #[serde(flatten)]
    pub ruling: Ruling,
    /// What was looked at, in order: what held, what did not, and what was not reached.
    pub steps: Vec<Step>,
    /// What has to be changed for the call to be allowed: each of them, by one of its changes. Empty for an
    /// allowed call, and where nothing is known that would help.
    pub remedies: Vec<Remedy>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Which part of the decision it belongs to.
    pub stage: Stage,
    /// The block that it is about.
    pub block: Option<usize>,
    /// The policy that it is about, as file and line.
    pub policy: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// What it was, in words.
    pub text: String,
}

/// A part of the decision, in the order of `docs/profile.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The token's shape.
    Shape,
    /// Its signatures.
    Signatures,
    /// Whether it is revoked.
    Revocation,
    /// Whether every hop only narrows.
    Walk,
    /// Whether the chain covers the call.
    Call,
    /// The checks of the token's blocks.
    Checks,
    /// The policies.
    Policies,
    /// Whether it was used before, and its record.
    Record,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Held,
    /// It does not, and refuses.
    Failed,
    /// It says nothing here: a policy that neither allows nor denies this call.
    Silent,
    /// It was not looked at, since something before it failed.
    NotReached,
}

impl Step {
    fn new(stage: Stage, outcome: Outcome, text: impl Into<String>) -> Step {
        Step { stage, block: None, policy: None, outcome, text: text.into() }
    }

    fn held(stage: Stage, text: impl Into<String>) -> Step {
        Step::new(stage, Outcome::Held, text)
    }

    fn failed(stage: Stage, text: impl Into<String>) -> Step {
        Step::new(stage, Outcome::Failed, text)
    }

    fn at_block(self, block: impl Into<Option<usize>>) -> Step {
        Step { block: block.into(), ..self }
    }

    fn at_policy(self, policy: impl ToString) -> Step {
        Step { policy: Some(policy.to_string()), ..self }
    }
}

/// What each block demands beyond what every block does (expiry, scope, audience, holder, depth), in words: the
/// number of the block, and a constraint or a check in Datalog. Nothing of it is verified.
pub fn demands(capability: &Capability) -> Vec<(usize, String)> {
    let mut demands = Vec::new();
    for (index, block) in capability.shaped().blocks.iter().enumerate() {
        let version = block.content.version.unwrap_or_default();
        for check in &block.content.checks {
            let check = proto_check_to_token_check(check, version);
            let Some(check) =
                check.ok().and_then(|check| Check::convert_from(&check, &block.symbols).ok())
            else {
                continue;
            };
            // Hardtack calls the variable what the predicate is called.
            let of_every_block = |query: &Rule| match query.body.as_slice() {
                [predicate] => {
                    let own = ["time", "operation", "verifier", "hop", "depth", "call"];
                    own.contains(&predicate.name.as_str())
                        && predicate.terms == [Term::Variable(predicate.name.clone())]
                }
                _ => false,
            };
            if !check.queries.iter().all(of_every_block) {
                demands.push((index, words::check(&check)));
            }
        }
    }
    demands
}

/// Explains why a bearer does not hold, as of `now`.
pub(crate) fn rejected(
    verifier: &Verifier,
    bearer: &str,
    rejection: &Rejection,
    now: Timestamp,
) -> Explanation {
    token::rejected(verifier, bearer, rejection, now)
}

/// Explains that a call is not decided, since the server cannot say what it knows.
pub(crate) fn unstated(
    verifier: &Verifier,
    verified: &VerifiedCapability,
    call: &Call,
    ruling: Ruling,
) -> Explanation {
    let mut steps = token::held(verifier, verified);
    steps.push(token::covered(verified, call));
    let not_reached = |stage| Step::new(stage, Outcome::NotReached, "not asked");
    steps.extend([not_reached(Stage::Checks), Step::failed(Stage::Policies, &ruling.message)]);
    Explanation { ruling, steps, remedies: Vec::new() }
}

/// Explains the decision of one call by a token that holds. What decided is asked again, and more besides: whatever
/// else would stand in the way.
pub(crate) fn explain(
    verifier: &Verifier,
    prepared: &PreparedSets,
    policy: &Policy,
    verified: &VerifiedCapability,
    call: &Call,
) -> Explanation {
    let mut steps = token::held(verifier, verified);
    let mut remedies = Vec::new();
    let refused = [refuse_uncovered(verified, call), refuse_other_call(verified, call)];
    let errors: Vec<_> = refused.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        steps.push(token::covered(verified, call));
    }
    for error in &errors {
        token::uncovered(verified, call, error, &mut steps, &mut remedies);
    }
    policies::explain(prepared, verified, policy, call, &mut steps, &mut remedies);
    let ruling = Ruling::of(&authorize_with(prepared, verified, policy, call));
    match ruling.verdict {
        Verdict::Allow => remedies.clear(),
        Verdict::Deny | Verdict::Undecided => {
            agree::agree(prepared, verified, policy, call, &mut remedies);
            token::present_anew(verified, &mut remedies);
        }
    }
    Explanation { ruling, steps, remedies }
}

impl Explanation {
    /// Adds what happened after the decision was made: that the presentation had been used, or that nothing could be
    /// recorded.
    pub(crate) fn concluded(mut self, ruling: Ruling) -> Explanation {
        if self.ruling.verdict == Verdict::Allow {
            self.steps.push(Step::failed(Stage::Record, &ruling.message).at_block(ruling.hop));
            self.remedies = vec![Remedy::of_record(ruling.cause)];
            self.ruling = ruling;
        }
        self
    }
}
