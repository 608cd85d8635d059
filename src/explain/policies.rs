//! Policies: which checks of the token and which policies held for a call, and what those lack that did not.

use biscuit_auth::builder::{Check, CheckKind, Convert, Rule};
use biscuit_auth::datalog;

use crate::authorize::{PreparedSets, uncovering};
use crate::call::Call;
use crate::constraint::Constraint;
use crate::datalog::{EvaluationError, VERIFIER};
use crate::explain::matched::of_match;
use crate::explain::miss::Miss;
use crate::explain::remedies::{Remedies, another_value, of_miss};
use crate::explain::scene::{Scene, policy_names, without_arguments, world_of};
use crate::explain::token::maker;
use crate::explain::{Change, Outcome, Remedy, Shown, Stage, Step, words};
use crate::names::escaped;
use crate::policy::{Location, Policy};
use crate::profile::vocabulary::ARGUMENT;
use crate::verify::VerifiedCapability;

/// Explains the checks of a token that holds and the policies.
pub(super) fn explain(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    shown: Shown,
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
    let decide = |name: &str| names.weight(name);
    let shows = |name: &str| shown == Shown::All || without_arguments(&names, name);
    let (names, decide, shows, world) = (&names, &decide, &shows, &world);
    let scene = Scene { sets, verified, policy, call, world, names, decide, shows };
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

impl Scene<'_> {
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
        let lacking: Vec<&str> = found.iter().map(|one| one.lacking.as_str()).collect();
        let told = joined(&what, &lacking.join("; "));
        steps.push(Step::failed(Stage::Checks, &told).at_block(block));
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
        let instead = self.wider(&built);
        let change = (!last).then(|| {
            let how = match &instead {
                Some(instead) => {
                    format!("with --allow {} in the place of `{text}`", words::shell(instead))
                }
                None if !(self.shows)(ARGUMENT) => format!("with more room than `{text}` leaves"),
                None => format!("without `{text}` (check {number} of block {block})"),
            };
            let text_of = format!("have {by} make {whose} anew {how}, and what stands on it");
            Change::Check { block, text: text_of, by: by.clone(), check: text.clone(), instead }
        });
        for one in found {
            let mut changes = one.changes;
            changes.extend(change.clone());
            // A role is for everything: whoever demands it of this errand is asked before the issuer.
            if block > 0 {
                changes.sort_by_key(|change| matches!(change, Change::Fact { stated: true, .. }));
            }
            remedies.push(Remedy {
                summary: joined(&what, &one.lacking),
                block: Some(block),
                ..Remedy::new(joined(&what, &one.lacking), changes)
            });
        }
    }

    /// The constraint of a check that leaves as much more room as this call needs.
    fn wider(&self, built: &Check) -> Option<String> {
        if !(self.shows)(ARGUMENT) {
            return None;
        }
        let wider = Constraint::of_check(built)?.widened_for(self.call.arguments_json())?;
        let mut world = world_of(self.sets, self.verified, self.policy, self.call)?;
        let check = wider.to_check().convert(&mut world.symbols);
        let wider = wider.to_string();
        // What does not print would be pasted as something else than it seems.
        (world.holds(&check, VERIFIER) == Ok(true) && escaped(&wider) == wider).then_some(wider)
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
                let lacking: Vec<&str> = found.iter().map(|one| one.lacking.as_str()).collect();
                steps.push(failed(&joined(&text, &lacking.join("; "))));
                for one in found {
                    remedies.push(of_statement(at, &text, one));
                }
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
                let matched = queries.iter().find_map(|query| of_match(self, query, VERIFIER));
                let found = matched.unwrap_or_default();
                steps.push(step(Outcome::Failed, &joined(&text, &found.lacking)));
                remedies.push(of_statement(at, &text, found));
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
                    let Some(miss) = misses.min_by_key(Miss::order) else { continue };
                    if nearest.as_ref().is_none_or(|(_, _, best)| miss.order() < best.order()) {
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
        let near = nearest.filter(|(_, _, miss)| !miss.weight.is_another_operation());
        let Some((at, text, miss)) = near else {
            let what = format!("no `allow if` is about {}", self.call.operation());
            steps.push(Step::failed(Stage::Policies, &what));
            remedies.push(Remedy::new(what, vec![self.of_nothing()]));
            return;
        };
        // Each thing that is lacking has to come.
        for one in of_miss(self, &miss, VERIFIER) {
            let what =
                format!("nothing allows it; nearest is {at}: {}", joined(&text, &one.lacking));
            steps.push(Step::failed(Stage::Policies, &what).at_policy(at));
            remedies.push(Remedy { obstacle: what, ..of_statement(at, &text, one) });
        }
    }

    /// The least that a check lacks: all of it has to come.
    fn least(&self, check: &datalog::Check, built: &Check, block: usize) -> Vec<Remedies> {
        // What is known of a constraint is said in its own words.
        let constraint = Constraint::of_check(built);
        if let Some(one) = constraint.and_then(|constraint| another_value(self, &constraint)) {
            return vec![one];
        }
        let asked = self.asked(block);
        if check.kind == CheckKind::Reject {
            let matched = check.queries.iter().find_map(|query| of_match(self, query, block));
            let failed = || {
                let mut misses =
                    check.queries.iter().filter_map(|query| asked.first_failure(query));
                of_miss(self, &misses.next()?, block).into_iter().next()
            };
            return vec![matched.or_else(failed).unwrap_or_default()];
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
        misses.sort_by_key(Miss::order);
        let mut alternatives = misses
            .iter()
            .enumerate()
            .filter(|(index, miss)| *index == 0 || !miss.weight.is_another_operation())
            .map(|(_, miss)| of_miss(self, miss, block));
        let mut least = alternatives.next().unwrap_or_default();
        if least.is_empty() {
            least.push(Remedies::default());
        }
        if let [one] = least.as_mut_slice() {
            // Several things at once are no single change.
            for other in alternatives.filter(|other| other.len() == 1).flatten() {
                one.changes.extend(other.changes);
            }
        }
        least
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
        let found = miss.map(|miss| of_miss(self, &miss, VERIFIER)).unwrap_or_default();
        let one = found.into_iter().next().unwrap_or_default();
        let what = joined(&format!("{text} cannot be evaluated for this call"), &one.lacking);
        steps.push(Step::failed(Stage::Policies, &what).at_policy(at));
        remedies.push(Remedy { obstacle: what, ..of_statement(at, text, one) });
    }

    fn policy_text(&self, kind: &str, queries: &[datalog::Rule]) -> String {
        let queries = queries.iter().filter_map(|query| {
            let rule = Rule::convert_from(query, &self.world.symbols).ok()?;
            Some(words::query(&rule))
        });
        format!("{kind} {}", queries.collect::<Vec<_>>().join(" or "))
    }

    /// No policy is about the operation: a statement that allows this call, and none besides.
    fn of_nothing(&self) -> Change {
        let operation = self.call.operation();
        let add = self.allow_this();
        let whether = format!(
            "have whoever runs the server decide whether {operation} is wanted, and write a policy for it"
        );
        let text = match &add {
            Some(add) => format!("{whether}; for this call alone: {add}"),
            None => whether,
        };
        Change::Policy { at: None, text, add, remove: None }
    }

    fn allow_this(&self) -> Option<String> {
        let operation = words::quoted(self.call.operation().as_str());
        let subject = words::quoted(&self.verified.chain().grant.subject);
        let what = match self.call.operation().tool() {
            Some(tool) => format!("tool({}), granted($op)", words::quoted(tool)),
            None => format!("operation({operation}), granted({operation})"),
        };
        if self.call.is_large() || !(self.shows)(ARGUMENT) {
            return None;
        }
        let asked = self.world.facts().filter_map(|fact| {
            biscuit_auth::builder::Predicate::convert_from(&fact.predicate, &self.world.symbols)
                .ok()
        });
        let asked = asked.filter(|fact| [ARGUMENT, "resource"].contains(&fact.name.as_str()));
        let mut asked: Vec<String> = asked.map(|fact| words::predicate(&fact)).collect();
        asked.sort();
        let rest: String = asked.iter().map(|fact| format!(", {fact}")).collect();
        let line = format!("allow if {what}, subject({subject}){rest};");
        // A value that is too long to be shown cannot be pasted.
        (!line.contains('…')).then_some(line)
    }
}

/// What a statement of the policies lacks. What nobody else can change, those who wrote it can.
fn of_statement(at: &Location, text: &str, found: Remedies) -> Remedy {
    let mut changes = found.changes;
    changes.push(Change::Policy {
        at: Some(at.to_string()),
        add: None,
        remove: None,
        text: format!("have the server's policy at {at} changed"),
    });
    let summary = match found.lacking.as_str() {
        "" => text,
        lacking => lacking,
    };
    Remedy {
        summary: format!("{at}: {summary}"),
        policy: Some(at.to_string()),
        ..Remedy::new(joined(text, &found.lacking), changes)
    }
}

fn joined(text: &str, lacking: &str) -> String {
    if lacking.is_empty() { text.to_owned() } else { format!("{text}; {lacking}") }
}
