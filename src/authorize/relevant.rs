//! Relevant: which policies can still matter, once token and operation are known?
//!
//! Of two hundred policies, most are about another tool or another role. Which those are is found out once for each token and
//! operation, by [`partial`](crate::datalog::partial) evaluation; a decision then asks the others.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use biscuit_auth::datalog::Rule;

use crate::authorize::facts::{Asked, BY_ARGUMENTS};
use crate::authorize::remaining::Remaining;
use crate::authorize::stock::Stock;
use crate::authorize::{Allowed, AuthorizeError, Prepared, decide_among};
use crate::datalog::partial::{No, PartialWorld, Truth, Unknown};
use crate::datalog::{EvaluationError, VERIFIER, World};
use crate::policy::Policy;
use crate::profile::vocabulary::{By, names_by};

/// The operations of one token that are remembered. Agents use few tools; who goes through more has each found
/// out anew.
const MAX_OPERATIONS: usize = 64;

/// How many bytes the answers for them may take together; those for one operation are always remembered.
pub(super) const MAX_REMEMBERED_BYTES: usize = 32 * 1024;

/// The policies that can matter, by their number in the set.
#[derive(Debug, Default)]
pub(crate) struct Relevant {
    /// Checks that are to be asked, or that fail whatever the call.
    pub(crate) checks: Vec<(usize, Answer)>,
    /// Denials that are to be asked, or that match whatever the call.
    pub(crate) denies: Vec<(usize, Answer)>,
    /// The same of what allows.
    pub(crate) allows: Vec<(usize, Answer)>,
    /// The checks of the token that are to be asked; `None` for all.
    pub(crate) remaining: Option<Remaining>,
    /// What the policies come to, whatever else the call says; `None` if that depends on it.
    pub(crate) concluded: Option<Result<Allowed, AuthorizeError>>,
}

/// What is known of a policy that can matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing: it must be asked.
    Ask,
    /// It matches (a check: fails), whatever the call.
    Certain,
}

impl Answer {
    /// The answer that matches, or fails for a check, where that is so; `None` if it does not, whatever the call. What has no answer is
    /// asked again, and refuses then.
    fn of(truth: Result<Truth, EvaluationError>) -> Option<Answer> {
        match truth {
            Ok(Truth::Yes) => Some(Answer::Certain),
            Ok(Truth::No) => None,
            Ok(Truth::Unknown) | Err(_) => Some(Answer::Ask),
        }
    }
}

impl Relevant {
    /// All policies, each to be asked.
    pub(crate) fn all(policy: &Policy) -> Relevant {
        let ask = |count: usize| (0..count).map(|index| (index, Answer::Ask)).collect();
        Relevant {
            checks: ask(policy.checks.len()),
            denies: ask(policy.denies.len()),
            allows: ask(policy.allows.len()),
            ..Relevant::default()
        }
    }

    /// Those that can matter to calls like this one: of its operation, by the token that was prepared.
    fn of(prepared: &Prepared, policy: &Policy, call: &Asked<'_>) -> Relevant {
        // Moment and resource are asserted, too, unlike what depends on the moment, and no query that reads them is taken for known.
        let mut world = World::without_arguments(prepared, call);
        let stated = call.stated.iter().map(String::as_str);
        let of_call =
            names_by(&BY_ARGUMENTS).chain(names_by(&[By::Moment, By::Calendar, By::Resource]));
        let names = of_call.chain(stated);
        let unknown = Unknown::of(names, &policy.rules, &mut world.symbols);
        let known_rules: Vec<Rule> =
            policy.rules.iter().filter(|rule| !unknown.touches(rule)).cloned().collect();
        if world.derive(&known_rules).is_err() {
            return Relevant::all(policy);
        }
        let no = No::NothingAtAll(&policy.names);
        let partial = PartialWorld { world: &world, unknown: &unknown, no };
        let fails = |check| Answer::of(partial.holds(check, VERIFIER).map(Truth::not));
        let stock = Stock::of(&world);
        // Where names are compared as they are folded, other facts count.
        let cannot_match = |queries: &[Rule]| {
            !stock.may_match(queries, Some(&unknown)) && !world.compares_names(queries, VERIFIER)
        };
        let matches = |queries: &[Rule]| match cannot_match(queries) {
            true => None,
            false => Answer::of(partial.matches_any(queries)),
        };
        let checks = policy.checks.iter().map(|(_, check)| fails(check));
        let denies = policy.denies.iter().map(|(_, queries)| matches(queries));
        let allows = policy.allows.iter().map(|(_, queries)| matches(queries));
        let mut relevant = Relevant {
            checks: numbered(checks),
            denies: numbered(denies),
            allows: numbered(allows),
            // What is asked here is asked before a call is found too costly.
            remaining: prepared
                .is_cheap_in(&world)
                .then(|| Remaining::of(prepared, &world, &unknown)),
            ..Relevant::default()
        };
        // What a call adds must not be derived from, or a rule may have no answer; and no call may be too costly.
        let all_derived = known_rules.len() == policy.rules.len();
        if all_derived && !relevant.asks() && prepared.has_room_in(&world) {
            relevant.concluded = Some(decide_among(&world, policy, &relevant, None));
        }
        relevant
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        const BYTES_EACH: usize = 16;
        const BYTES_BESIDE: usize = 300;
        let answers = self.checks.len() + self.denies.len() + self.allows.len();
        let asked = self.remaining.as_ref().map_or(0, Remaining::count);
        BYTES_BESIDE + BYTES_EACH * (answers + asked)
    }

    /// Whether a policy must be asked.
    fn asks(&self) -> bool {
        let mut all = self.checks.iter().chain(&self.denies).chain(&self.allows);
        all.any(|(_, answer)| *answer == Answer::Ask)
    }
}

fn numbered(answers: impl Iterator<Item = Option<Answer>>) -> Vec<(usize, Answer)> {
    answers.enumerate().filter_map(|(index, answer)| Some((index, answer?))).collect()
}

/// The operation, and what is not known at this server: a token can be decided by several.
fn key_of<'a>(call: &Asked<'a>) -> Cow<'a, str> {
    match call.stated {
        [] => Cow::Borrowed(call.operation.as_str()),
        stated => Cow::Owned(format!("{} {}", call.operation, stated.join(" "))),
    }
}

/// What is known for the operations of one token.
#[derive(Debug, Default)]
pub(super) struct RelevantByOperation(RwLock<HashMap<String, Arc<Relevant>>>);

impl RelevantByOperation {
    pub(super) fn to(
        &self,
        prepared: &Prepared,
        policy: &Policy,
        call: &Asked<'_>,
    ) -> Arc<Relevant> {
        let operation = key_of(call);
        let known = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(relevant) = known.get(&*operation) {
            return Arc::clone(relevant);
        }
        drop(known);
        let relevant = Arc::new(Relevant::of(prepared, policy, call));
        let mut known = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let bytes = known.values().map(|known| known.bytes()).sum::<usize>() + relevant.bytes();
        if known.len() >= MAX_OPERATIONS || bytes > MAX_REMEMBERED_BYTES {
            known.clear();
        }
        known.insert(operation.into_owned(), Arc::clone(&relevant));
        relevant
    }
}

#[cfg(test)]
mod tests;
