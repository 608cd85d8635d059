//! Agree: which examples satisfy everything at once, where several things are demanded of the same arguments? (A
//! bounded search by trial.)

use std::collections::BTreeMap;

use biscuit_auth::builder::{Check, Convert, Rule};
use serde_json::Value;

use crate::authorize::PreparedSets;
use crate::call::Call;
use crate::constraint::Constraint;
use crate::explain::remedies::{argument_of, argument_text};
use crate::explain::scene::{OwnNames, obstacles, policy_names};
use crate::explain::values::literals;
use crate::explain::{Change, Remedy, Shown};
use crate::policy::Policy;
use crate::verify::VerifiedCapability;

/// How many calls are tried. Each costs some tens of microseconds, for a person who waits.
const MAX_TRIED: usize = 128;

/// How many texts are put together with each other.
const MAX_JOINED: usize = 12;

/// Gives the remedies examples that take most obstacles away together.
pub(super) fn agree(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    shown: Shown,
    remedies: &mut [Remedy],
) {
    let mut candidates: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for change in remedies.iter().flat_map(|remedy| &remedy.changes) {
        if let Change::Argument { argument, example, .. } = change {
            candidates.entry(argument.clone()).or_default().extend(example.clone());
        }
    }
    if candidates.is_empty() {
        return;
    }
    for (name, values) in &mut candidates {
        values.extend(proposals(sets, verified, policy, call, shown, name));
        let mut seen: Vec<Value> = Vec::new();
        values.retain(|value| {
            !seen.contains(value) && {
                seen.push(value.clone());
                true
            }
        });
    }
    // What no argument takes away stays.
    let is_argument =
        |change: &Change| matches!(change, Change::Argument { .. } | Change::NoArgument { .. });
    let others = remedies.iter().filter(|remedy| !remedy.changes.iter().any(is_argument)).count();
    let names = policy_names(policy);
    let found = best(sets, verified, policy, call, &names, &candidates, others);
    let Some((left, mut found)) = found else { return };
    // What does not take away all that is demanded of its argument is no example.
    let demanded = |name: &String| {
        let about = |change: &Change| matches!(change, Change::Argument { argument, .. } if argument == name);
        remedies.iter().filter(|remedy| remedy.changes.first().is_some_and(about)).count()
    };
    let useful = |name: &String| {
        let others = found.iter().filter(|(other, _)| *other != name);
        let without = others.map(|(name, value)| (name.clone(), value.clone())).collect();
        with_arguments(call, &without)
            .and_then(|call| obstacles(sets, verified, policy, &call, &names))
            .is_none_or(|without| without >= left + demanded(name).max(1))
    };
    let useless: Vec<String> = found.keys().filter(|name| !useful(name)).cloned().collect();
    useless.iter().for_each(|name| drop(found.remove(name)));
    // Where several demand so much that no value was found, whoever does is asked first.
    let several: Vec<String> = useless.iter().filter(|name| demanded(name) > 1).cloned().collect();
    for remedy in remedies.iter_mut() {
        let open = matches!(remedy.changes.first(), Some(Change::Argument { argument, .. }) if useless.contains(argument) && several.contains(argument));
        if open {
            remedy.changes.sort_by_key(|change| !matches!(change, Change::Check { .. }));
        }
    }
    // What is said first is to be done together; an alternative has an example of its own.
    for change in remedies.iter_mut().filter_map(|remedy| remedy.changes.first_mut()) {
        if let Change::Argument { argument, must, example, text } = change {
            *example = found.get(argument).cloned();
            *text = argument_text(argument, must, example.as_ref());
        }
    }
}

/// Values for all arguments with which the least stands in the way.
fn best(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    names: &OwnNames,
    candidates: &BTreeMap<String, Vec<Value>>,
    enough: usize,
) -> Option<(usize, BTreeMap<String, Value>)> {
    // Each argument gets its share of the tries.
    let arguments = u32::try_from(candidates.len()).ok()?;
    let fits = |each: &usize| each.checked_pow(arguments).is_some_and(|tries| tries <= MAX_TRIED);
    let each = (1..=MAX_TRIED).take_while(fits).last()?;
    let mut all: Vec<BTreeMap<String, Value>> = vec![BTreeMap::new()];
    for (name, values) in candidates {
        all = all
            .into_iter()
            .flat_map(|chosen| {
                values.iter().take(each).map(move |value| {
                    let mut chosen = chosen.clone();
                    chosen.insert(name.clone(), value.clone());
                    chosen
                })
            })
            .collect();
    }
    let mut best: Option<(usize, BTreeMap<String, Value>)> = None;
    for chosen in all {
        let Some(replaced) = with_arguments(call, &chosen) else { continue };
        let Some(left) = obstacles(sets, verified, policy, &replaced, names) else { continue };
        if best.as_ref().is_none_or(|(least, _)| left < *least) {
            best = Some((left, chosen));
        }
        if left <= enough {
            break;
        }
    }
    best
}

/// The call with these arguments in place of its own; none of a large call, since each try would hash all of it.
fn with_arguments(call: &Call, chosen: &BTreeMap<String, Value>) -> Option<Call> {
    if call.is_large() {
        return None;
    }
    let replace = |call: Call, (name, value): (&String, &Value)| {
        call.replacing_argument(name, Some(value.clone()))
    };
    chosen.iter().try_fold(call.clone(), replace).ok()
}

/// Values of an argument that checks and policies themselves name, and texts put together from these.
fn proposals(
    sets: &PreparedSets,
    verified: &VerifiedCapability,
    policy: &Policy,
    call: &Call,
    shown: Shown,
    name: &str,
) -> Vec<Value> {
    let present = call.arguments_json().get(name).filter(|_| shown == Shown::All);
    let mut found = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    if let Ok(prepared) = sets.prepare(verified, policy) {
        let symbols = prepared.base.words();
        for known in &prepared.checks {
            let check = &known.2;
            let Ok(check) = Check::convert_from(check, symbols) else { continue };
            match Constraint::of_check(&check) {
                Some(constraint) if constraint.arguments().iter().any(|known| known == name) => {
                    found.extend(constraint.examples(present));
                }
                Some(_) => {}
                None => rules.extend(check.queries),
            }
        }
    }
    let checks = policy.checks.iter().flat_map(|(_, check)| &check.queries);
    let policies = policy.denies.iter().chain(&policy.allows).flat_map(|(_, queries)| queries);
    let read = |rule| Rule::convert_from(rule, &policy.symbols).ok();
    rules.extend(checks.chain(policies).filter_map(read));
    let about =
        |rule: &&Rule| rule.body.iter().any(|predicate| argument_of(predicate) == Some(name));
    found.extend(rules.iter().filter(about).flat_map(|rule| literals(rule, present)));
    // In a folder and of a pattern.
    found.truncate(MAX_TRIED);
    let texts = found.iter().filter_map(Value::as_str).take(MAX_JOINED);
    let texts: Vec<&str> = texts.collect();
    let rooted = |text: &&&str| text.starts_with('/') || text.contains("://");
    let joined: Vec<Value> = texts
        .iter()
        .filter(rooted)
        .flat_map(|root| {
            let root = root.trim_end_matches('/');
            texts.iter().filter(|text| !text.contains("://")).flat_map(move |rest| {
                let rest = rest.trim_start_matches('/');
                [format!("{root}/{rest}"), format!("{root}/x{rest}")]
            })
        })
        .map(Value::from)
        .collect();
    let ends: Vec<Value> = texts
        .iter()
        .flat_map(|first| texts.iter().map(move |then| format!("{first}{then}")))
        .map(Value::from)
        .collect();
    found.extend(joined);
    found.extend(ends);
    found
}
