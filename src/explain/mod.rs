//! Explain: why was a call decided as it was, and what is the least that would have it allowed?
//!
//! This is for the people who run a server or delegate to agents. An agent that is refused learns the class and the
//! missing right, no more ([`guard`](crate::guard)). Nothing here decides; it looks at what decided. (Why-not
//! provenance of a query, and the least repair.)

mod agree;
mod change;
mod demand;
mod matched;
mod miss;
mod moment;
mod nearness;
mod policies;
mod remedies;
mod scene;
mod through;
mod together;
mod token;
mod values;
mod words;

use biscuit_auth::builder::{Check, Convert, Rule, Term};
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

/// An explanation of why a call was decided as it was. It names policies and shows arguments, so it is not for the
/// caller.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The verdict, its cause and its place.
    #[serde(flatten)]
    pub ruling: Ruling,
    /// The steps of the decision, in order: those that held, those that did not, and those that were not reached.
    pub steps: Vec<Step>,
    /// The remedies for the call to be allowed: all of them are needed, each by one of its changes. Empty for an
    /// allowed call, and where nothing is known that would help.
    pub remedies: Vec<Remedy>,
}

/// A step of a decision: one thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// The part of the decision to which the step belongs.
    pub stage: Stage,
    /// The number of the block that the step is about, if it is about one.
    pub block: Option<usize>,
    /// The policy that the step is about, as file and line, if it is about one.
    pub policy: Option<String>,
    /// The result of the step.
    pub outcome: Outcome,
    /// The step in words.
    pub text: String,
}

/// The parts of a decision, in the order of `docs/verification.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The token's shape.
    Shape,
    /// The token's signatures.
    Signatures,
    /// Revocation: whether any block is revoked.
    Revocation,
    /// The walk: whether every hop only narrows.
    Walk,
    /// The call: whether the chain covers it.
    Call,
    /// The checks of the token's blocks.
    Checks,
    /// The policies of the server.
    Policies,
    /// The record, and whether the presentation was used before.
    Record,
}

/// The results that a step can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The step passed.
    Held,
    /// The step failed, and refuses the call.
    Failed,
    /// The step says nothing here: a policy that neither allows nor denies this call.
    Silent,
    /// The step was not reached, since something before it failed.
    NotReached,
}

/// What of a call is shown in its explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Shown {
    /// All that helps, with the values of arguments.
    #[default]
    All,
    /// No value of an argument, no resource, and nothing that is derived from one: for tickets.
    NoArguments,
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

impl Capability {
    /// Lists what each block demands beyond what every block does (expiry, scope, audience, holder, depth):
    /// the number of the block, and a constraint in words or a check in Datalog. Nothing of it is verified.
    pub fn demands(&self) -> Vec<(usize, String)> {
        let mut demands = Vec::new();
        for (index, block) in self.shaped().blocks.iter().enumerate() {
            for check in &block.checks {
                let Ok(check) = Check::convert_from(check, &block.symbols) else { continue };
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
    shown: Shown,
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
    let another = |remedy: &Remedy| matches!(remedy.changes[..], [Change::Operation { .. }]);
    let asked = if remedies.iter().any(another) { remedies.len() } else { usize::MAX };
    policies::explain(prepared, verified, policy, call, shown, &mut steps, &mut remedies);
    // What is missing for an operation that nobody means helps nobody.
    remedies.truncate(asked);
    let ruling = Ruling::of(&authorize_with(prepared, verified, policy, call));
    match ruling.verdict {
        Verdict::Allow => remedies.clear(),
        Verdict::Deny | Verdict::Undecided => {
            agree::agree(prepared, verified, policy, call, shown, &mut remedies);
            remedies = together::together(remedies);
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
