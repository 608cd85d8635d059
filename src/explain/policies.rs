//! Policies: which checks of the token and which policies held for a call, and what those lack that did not.

use biscuit_auth::builder::{Check, CheckKind, Convert};
use biscuit_auth::datalog;

use crate::authorize::{PreparedSets, uncovering};
use crate::call::Call;
use crate::constraint::Constraint;
use crate::datalog::{EvaluationError, VERIFIER, World};
use crate::explain::miss::{Asker, Miss, Weight};
use crate::explain::remedies::{Remedies, another_value, of_lacks, of_match};
use crate::explain::token::maker;
use crate::explain::{Change, Outcome, Remedy, Stage, Step, words};
use crate::names::escaped;
use crate::policy::{Location, Policy};
use crate::profile::vocabulary::{By, find};
use crate::verify::VerifiedCapability;

/// Explains the checks of a token that holds and the policies.
pub(super) fn explain(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    steps: &mut Vec<Step>,
    remedies: &mut Vec<Remedy>,
) {
    let not_reached = |stage| Step::new(stage, Outcome::NotReached, "cannot be evaluated");
    let Some(world) = world_of(sets, verified, policy, call) else {
        steps.extend([not_reached(Stage::Checks), not_reached(Stage::Policies)]);
        return;
    };
    let Ok(prepared) = sets.prepare(verified, policy) else { return };
    let names = policy_names(policy);
    let decide = |name: &str| weight(name, &names);
    let scene = Scene { sets, verified, policy, call, world: &world, decide: &decide };
    for known in &prepared.checks {
        let (block, number, check) = &**known;
        scene.token_check(*block, *number, check, steps, remedies);
    }
    for (at, check) in &policy.checks {
        scene.policy_check(at, check, steps, remedies);
    }
    for (at, queries) in &policy.denies {
        scene.deny(at, queries, steps, remedies);
    }
    scene.allows(steps, remedies);
}

/// How much stands in the way of a call: checks and denials one by one, and what the nearest `allow if` lacks.
/// `None` if that cannot be evaluated.
pub(super) fn obstacles(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Option<usize> {
    let world = world_of(sets, verified, policy, call)?;
    let prepared = sets.prepare(verified, policy).ok()?;
    // A changed call is presented anew.
    let last = verified.presentation().index;
    let of_call = world.symbols.get("call");
    let binds_call = |block: usize, check: &datalog::Check| {
        let mut asked = check.queries.iter().flat_map(|query| &query.body);
        block == last && asked.all(|predicate| Some(predicate.name) == of_call)
    };
    let checks = prepared.checks.iter().map(|known| (known.0, &known.2));
    let checks = checks.filter(|(block, check)| !binds_call(*block, check));
    let all = checks.chain(policy.checks.iter().map(|(_, check)| (VERIFIER, check)));
    let mut found = all.filter(|(block, check)| world.holds(check, *block) != Ok(true)).count();
    found += policy.denies.iter().filter(|(_, deny)| world.denies(deny) != Ok(false)).count();
    let allows: Vec<_> =
        policy.allows.iter().map(|(_, queries)| (queries, world.matches_any(queries))).collect();
    found += allows.iter().filter(|(_, allowed)| allowed.is_err()).count();
    if allows.iter().any(|(_, allowed)| *allowed == Ok(true)) {
        return Some(found);
    }
    let names = policy_names(policy);
    let decide = |name: &str| weight(name, &names);
    let asked = Asker { world: &world, block: VERIFIER, decide: &decide };
    let queries = allows.iter().flat_map(|(queries, _)| queries.iter());
    let nearest = queries.filter_map(|query| asked.nearest(query)).min_by_key(|miss| miss.weight);
    Some(found + nearest.map_or(1, |miss| miss.lacks.len()))
}

/// All that policies and checks see of a call; `None` if rules derive too much or err, or if the checks could take longer
/// than a decision may.
fn world_of(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
) -> Option<World> {
    let prepared = sets.prepare(verified, policy).ok()?;
    let world = World::of(&prepared, verified, policy, call).ok()?;
    prepared.refuse_costly(verified, &world).ok()?;
    Some(world)
}

/// The predicates that the policies assert themselves.
struct OwnNames {
    facts: Vec<String>,
    heads: Vec<String>,
}

fn policy_names(policy: &Policy) -> OwnNames {
    let named = |names: &mut dyn Iterator<Item = u64>| {
        names.filter_map(|name| policy.symbols.get_symbol(name)).map(str::to_owned).collect()
    };
    OwnNames {
        facts: named(&mut policy.facts.iter().map(|fact| fact.predicate.name)),
        heads: named(&mut policy.rules.iter().map(|rule| rule.head.name)),
    }
}

fn weight(name: &str, policy: &OwnNames) -> Weight {
    if let Some(word) = find(name) {
        return match word.by {
            By::Arguments | By::Moment | By::Resource => Weight::CALL,
            By::Presentation => Weight::PRESENTATION,
            By::Operation | By::Call => Weight::OPERATION,
            By::Hops | By::Unsigned => Weight::CHAIN,
            By::Verifier | By::Blocks => Weight::PARTIES,
        };
    }
    match name {
        name if policy.facts.iter().any(|known| known == name) => Weight::POLICY,
        name if policy.heads.iter().any(|known| known == name) => Weight::DERIVED,
        _ => Weight::GRANT,
    }
}

/// A call before the policies, and all that is known of it.
pub(super) struct Scene<'a> {
    sets: &'a PreparedSets,
    pub(super) verified: &'a VerifiedCapability,
    pub(super) policy: &'a Policy,
    pub(super) call: &'a Call,
    pub(super) world: &'a World,
    pub(super) decide: &'a dyn Fn(&str) -> Weight,
}

impl Scene<'_> {
    pub(super) fn asked(&self, block: usize) -> Asker<'_> {
        Asker { world: self.world, block, decide: self.decide }
    }

    /// What there would be to see if one argument were another, or absent. Of a large call this is not tried, since each try would hash
    /// all of it.
    pub(super) fn with_argument(
        &self,
        name: &str,
        value: Option<serde_json::Value>,
    ) -> Option<World> {
        if self.call.is_large() {
            return None;
        }
        let call = self.call.clone().replacing_argument(name, value).ok()?;
        world_of(self.sets, self.verified, self.policy, &call)
    }

    fn token_check(
        &self,
        block: usize,
        number: usize,
        check: &datalog::Check,
        steps: &mut Vec<Step>,
        remedies: &mut Vec<Remedy>,
    ) {
        let Ok(built) = Check::convert_from(check, &self.world.symbols) else { return };
        let chain = self.verified.chain();
        let (by, whose) = maker(chain, block);
        let text = words::check(&built);
        let held = self.world.holds(check, block);
        let found = match held {
            Ok(true) => {
                steps.push(Step::held(Stage::Checks, text).at_block(block));
                return;
            }
            Err(EvaluationError::Exhausted) => {
                let text = format!("{text} took more work than a decision may");
                steps.push(Step::failed(Stage::Checks, text).at_block(block));
                return;
            }
            Ok(false) | Err(EvaluationError::Failed) => self.least(check, &built, block),
        };
        let what = format!("{by} demands in {whose}: {text}");
        let what = match &found.lacking {
            lacking if lacking.is_empty() => what,
            lacking => format!("{what}; {lacking}"),
        };
        steps.push(Step::failed(Stage::Checks, &what).at_block(block));
        let last = self.verified.presentation().index == block;
        // The scope is lacking, which was said.
        let of_scope = built.queries.iter().flat_map(|query| &query.body);
        if uncovering(chain, self.call.operation()).contains(&block)
            && of_scope.clone().all(|predicate| predicate.name == "operation")
        {
            return;
        }
        // So was that the presentation is for another call.
        if last && of_scope.into_iter().all(|predicate| predicate.name == "call") {
            return;
        }
        let mut changes = found.changes;
        let instead = Constraint::of_check(&built)
            .and_then(|constraint| constraint.widened_for(self.call.arguments_json()))
            .filter(|wider| {
                let world = world_of(self.sets, self.verified, self.policy, self.call);
                world.is_some_and(|mut world| {
                    let wider = wider.to_check().convert(&mut world.symbols);
                    world.holds(&wider, VERIFIER) == Ok(true)
                })
            })
            .map(|constraint| constraint.to_string())
            // What does not print would be pasted as something else than it seems.
            .filter(|constraint| escaped(constraint) == *constraint);
        if !last {
            let how = match &instead {
                Some(instead) => {
                    format!("with --allow {} in the place of `{text}`", words::shell(instead))
                }
                None => format!("without `{text}` (check {number} of block {block})"),
            };
            changes.push(Change::Check {
                block,
                text: format!("have {by} make {whose} anew {how}, and what stands on it"),
                by,
                check: text,
                instead,
            });
        }
        remedies.push(Remedy::new(what, changes));
    }

    fn policy_check(
        &self,
        at: &Location,
        check: &datalog::Check,
        steps: &mut Vec<Step>,
        remedies: &mut Vec<Remedy>,
    ) {
        let Ok(built) = Check::convert_from(check, &self.world.symbols) else { return };
        let text = words::check(&built);
        let failed = |text: &str| Step::failed(Stage::Policies, text).at_policy(at);
        match self.world.holds(check, VERIFIER) {
            Ok(true) => steps.push(Step::held(Stage::Policies, text).at_policy(at)),
            Err(EvaluationError::Exhausted) => {
                steps.push(failed(&format!("{text} took more work than a decision may")));
            }
            Ok(false) | Err(EvaluationError::Failed) => {
                let found = self.least(check, &built, VERIFIER);
                let what = joined(&text, &found.lacking);
                steps.push(failed(&what));
                let mut changes = found.changes;
                changes.push(change_policy(at));
                remedies.push(Remedy::new(what, changes));
            }
        }
    }

    fn deny(
        &self,
        at: &Location,
        queries: &[datalog::Rule],
        steps: &mut Vec<Step>,
        remedies: &mut Vec<Remedy>,
    ) {
        let text = self.policy_text("deny if", queries);
        let step = |outcome, text: &str| Step::new(Stage::Policies, outcome, text).at_policy(at);
        match self.world.denies(queries) {
            Ok(false) => steps.push(step(Outcome::Silent, &text)),
            Ok(true) => {
                let matched = queries.iter().find_map(|query| {
                    let (rule, facts) = self.asked(VERIFIER).match_of(query)?;
                    Some(of_match(self, query, &rule, &facts))
                });
                let Remedies { lacking, mut changes } = matched.unwrap_or_default();
                let what = joined(&text, &lacking);
                steps.push(step(Outcome::Failed, &what));
                changes.push(change_policy(at));
                remedies.push(Remedy::new(what, changes));
            }
            Err(error) => self.unanswered(at, &text, queries, error, steps, remedies),
        }
    }

    fn allows(&self, steps: &mut Vec<Step>, remedies: &mut Vec<Remedy>) {
        let (mut allowed, mut unanswered) = (false, false);
        let mut nearest: Option<(&Location, String, Miss)> = None;
        for (at, queries) in &self.policy.allows {
            let text = self.policy_text("allow if", queries);
            match self.world.matches_any(queries) {
                Ok(true) => {
                    allowed = true;
                    steps.push(Step::held(Stage::Policies, text).at_policy(at));
                }
                Ok(false) => {
                    let step = Step::new(Stage::Policies, Outcome::Silent, &text);
                    steps.push(step.at_policy(at));
                    let misses =
                        queries.iter().filter_map(|query| self.asked(VERIFIER).nearest(query));
                    let Some(miss) = misses.min_by_key(|miss| miss.weight) else { continue };
                    if nearest.as_ref().is_none_or(|(_, _, best)| miss.weight < best.weight) {
                        nearest = Some((at, text, miss));
                    }
                }
                Err(error) => {
                    unanswered = true;
                    self.unanswered(at, &text, queries, error, steps, remedies);
                }
            }
        }
        // One that has no answer may be the one that would allow it.
        if allowed || unanswered {
            return;
        }
        let add = self.allow_line();
        let added = Change::Policy {
            at: None,
            text: format!("have the server's policies allow it: {add}"),
            add: Some(add),
        };
        let near = nearest.filter(|(_, _, miss)| !miss.weight.is_another_operation());
        let Some((at, text, miss)) = near else {
            let what = format!("no `allow if` is about {}", self.call.operation());
            steps.push(Step::failed(Stage::Policies, &what));
            remedies.push(Remedy::new(what, vec![added]));
            return;
        };
        // Each thing that is lacking has to come.
        for lack in &miss.lacks {
            let least = of_lacks(self, &miss, std::slice::from_ref(lack), VERIFIER);
            let what =
                format!("nothing allows it; nearest is {at}: {}", joined(&text, &least.lacking));
            let mut changes = least.changes;
            changes.push(added.clone());
            steps.push(Step::failed(Stage::Policies, &what).at_policy(at));
            remedies.push(Remedy::new(what, changes));
        }
    }

    /// The least that a check lacks.
    fn least(&self, check: &datalog::Check, built: &Check, block: usize) -> Remedies {
        let asked = self.asked(block);
        if check.kind == CheckKind::Reject {
            let matched = check.queries.iter().zip(&built.queries).find_map(|(query, _)| {
                let (rule, facts) = asked.match_of(query)?;
                Some(of_match(self, query, &rule, &facts))
            });
            let failed = || {
                let miss = check.queries.iter().find_map(|query| asked.first_failure(query))?;
                Some(of_lacks(self, &miss, &miss.lacks, block))
            };
            return self.constrained(built, matched.or_else(failed).unwrap_or_default());
        }
        let misses = check.queries.iter().filter_map(|query| {
            let failing = match check.kind {
                CheckKind::All => asked.first_failure(query),
                _ => None,
            };
            failing.or_else(|| asked.nearest(query))
        });
        // Any alternative would do; the least to change comes first.
        let mut misses: Vec<Miss> = misses.collect();
        misses.sort_by_key(|miss| miss.weight);
        let mut alternatives = misses
            .iter()
            .enumerate()
            .filter(|(index, miss)| *index == 0 || !miss.weight.is_another_operation())
            .map(|(_, miss)| of_lacks(self, miss, &miss.lacks, block));
        let mut least = alternatives.next().unwrap_or_default();
        least.changes.extend(alternatives.flat_map(|other| match other.changes.len() {
            1 => other.changes,
            // Several things at once are no single change.
            _ => Vec::new(),
        }));
        self.constrained(built, least)
    }

    /// What is known of a constraint is said in its own words.
    fn constrained(&self, built: &Check, least: Remedies) -> Remedies {
        let Some(constraint) = Constraint::of_check(built) else { return least };
        another_value(self, &constraint).unwrap_or(least)
    }

    /// A policy that has no answer refuses, whatever it is.
    fn unanswered(
        &self,
        at: &Location,
        text: &str,
        queries: &[datalog::Rule],
        error: EvaluationError,
        steps: &mut Vec<Step>,
        remedies: &mut Vec<Remedy>,
    ) {
        if error == EvaluationError::Exhausted {
            let text = format!("{text} took more work than a decision may");
            steps.push(Step::failed(Stage::Policies, text).at_policy(at));
            return;
        }
        let asked = self.asked(VERIFIER);
        let miss = queries.iter().find_map(|query| {
            let miss = asked.first_failure(query)?;
            let unevaluable = miss.lacks.iter().any(|lack| lack.is_unevaluable());
            unevaluable.then_some(miss)
        });
        let Remedies { lacking, mut changes } =
            miss.map(|miss| of_lacks(self, &miss, &miss.lacks, VERIFIER)).unwrap_or_default();
        let what = joined(&format!("{text} cannot be evaluated for this call"), &lacking);
        steps.push(Step::failed(Stage::Policies, &what).at_policy(at));
        changes.push(change_policy(at));
        remedies.push(Remedy::new(what, changes));
    }

    fn policy_text(&self, kind: &str, queries: &[datalog::Rule]) -> String {
        let queries = queries.iter().filter_map(|query| {
            let rule =
                biscuit_auth::builder::Rule::convert_from(query, &self.world.symbols).ok()?;
            Some(words::query(&rule))
        });
        format!("{kind} {}", queries.collect::<Vec<_>>().join(" or "))
    }

    /// A policy that allows what the chain grants of this operation.
    fn allow_line(&self) -> String {
        let operation = self.call.operation();
        match operation.tool() {
            Some(tool) => {
                format!("allow if tool({}), operation($op), granted($op);", words::quoted(tool))
            }
            None => {
                let operation = words::quoted(operation.as_str());
                format!("allow if operation({operation}), granted({operation});")
            }
        }
    }
}

fn change_policy(at: &Location) -> Change {
    Change::Policy {
        at: Some(at.to_string()),
        add: None,
        text: format!("have the server's policy at {at} changed"),
    }
}

fn joined(text: &str, lacking: &str) -> String {
    if lacking.is_empty() { text.to_owned() } else { format!("{text}; {lacking}") }
}
