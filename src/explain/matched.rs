//! Matched: what can somebody do about a query that matches and should not?

use biscuit_auth::builder::{Convert, Expression, Predicate, Rule, Term};
use biscuit_auth::datalog;

use crate::authorize::first_unbound;
use crate::datalog::VERIFIER;
use crate::explain::demand::not_all;
use crate::explain::miss::{Weight, free_variables, variable, with_values};
use crate::explain::moment::{is_over, wait};
use crate::explain::remedies::{
    MAX_RULES_FOLLOWED, Remedies, argument_of, argument_text, called, is_type_test, otherwise,
    present_as, resource_change, unified,
};
use crate::explain::scene::Scene;
use crate::explain::through::at_another_depth;
use crate::explain::token::{maker, parent};
use crate::explain::values::literals;
use crate::explain::{Change, words};
use crate::names::escaped;
use crate::profile::vocabulary::ARGUMENT;

/// What can be done about a query that matches and should not: any of the changes.
/// `block` asks, or the policies do.
pub(super) fn of_match(scene: &Scene<'_>, query: &datalog::Rule, block: usize) -> Option<Remedies> {
    of_match_within(scene, query, block, MAX_RULES_FOLLOWED)
}

fn of_match_within(
    scene: &Scene<'_>,
    query: &datalog::Rule,
    block: usize,
    depth: usize,
) -> Option<Remedies> {
    let depth = depth.checked_sub(1)?;
    let (rule, facts) = scene.asked(block).match_of(query)?;
    let shown: Vec<String> =
        facts.iter().filter(|fact| (scene.shows)(&fact.name)).map(words::predicate).collect();
    let mut lacking = match shown.is_empty() {
        true => "it holds".to_owned(),
        false => format!("it holds with {}", shown.join(", ")),
    };
    let parts = rule.body.iter().zip(&facts);
    let mut parts: Vec<(Weight, (&Predicate, &Predicate))> =
        parts.map(|part| ((scene.decide)(&part.1.name), part)).collect();
    parts.sort_by_key(|(weight, _)| *weight);
    let cheapest = parts.first().map(|(weight, _)| *weight)?;
    let mut changes = Vec::new();
    for (weight, (asked, fact)) in &parts {
        if weight.is_another_operation() || *weight != cheapest {
            continue;
        }
        if fact.name == "time" {
            let moment = closed_until(scene, &rule, asked);
            if let Some(moment) = moment {
                lacking = format!("closed until {moment}");
                changes.push(wait(moment));
            }
            continue;
        }
        if scene.is_derived(&fact.name) {
            let rules = scene.policy.rules.iter().filter_map(|rule| {
                let built = Rule::convert_from(rule, &scene.world.symbols).ok()?;
                let derives = unified(built.clone(), fact, &[])?;
                let mut symbols = scene.world.symbols.clone();
                scene.asked(VERIFIER).match_of(&derives.convert(&mut symbols))?;
                of_match_within(scene, &built.convert(&mut symbols), VERIFIER, depth)
            });
            changes.extend(rules.flat_map(|one| one.changes));
            continue;
        }
        changes.extend(unmatched(scene, query, &rule, asked, fact));
    }
    Some(Remedies { lacking, changes })
}

/// When a query that matches matches no more, by the time alone.
fn closed_until(
    scene: &Scene<'_>,
    rule: &Rule,
    asked: &Predicate,
) -> Option<crate::timestamp::Timestamp> {
    let name = asked.terms.first().and_then(variable)?;
    let closings = scene.asked(VERIFIER).conditions_on(rule, name);
    is_over(scene.verified.verified_at(), name, &closings)
}

/// What takes one fact of a match away.
fn unmatched(
    scene: &Scene<'_>,
    query: &datalog::Rule,
    rule: &Rule,
    asked: &Predicate,
    fact: &Predicate,
) -> Option<Change> {
    let names: Vec<&String> = asked.terms.iter().filter_map(variable).collect();
    let about: Vec<&Expression> = rule
        .expressions
        .iter()
        .filter(|expression| {
            free_variables(&expression.ops).iter().any(|name| names.contains(name))
        })
        .collect();
    let telling: Vec<&Expression> =
        about.iter().filter(|one| !is_type_test(one)).copied().collect();
    let telling = if telling.is_empty() { &about } else { &telling };
    let excluded = excluded(scene, rule, asked, &names);
    let must = match telling.as_slice() {
        [] if !excluded.is_empty() => {
            let list: Vec<String> = excluded.iter().map(words::value).collect();
            let name = names.first().map(|name| called(asked, name)).unwrap_or_default();
            format!("{name} not in [{}]", list.join(", "))
        }
        [] => format!("not {}", words::predicate(fact)),
        telling => {
            let filled: Vec<Expression> =
                telling.iter().map(|one| with_others(scene, rule, &names, one)).collect();
            let filled: Vec<&Expression> = filled.iter().collect();
            not_all(&filled, &|name| {
                names.iter().any(|known| *known == name).then(|| called(asked, name))
            })
        }
    };
    // Where the policy is about which arguments there are, no value of this one helps.
    let any_name = asked.terms.first().is_some_and(|first| variable(first).is_some());
    let chain = scene.verified.chain();
    Some(match (fact.name.as_str(), argument_of(fact)) {
        (_, Some(name)) if about.is_empty() && excluded.is_empty() || any_name => {
            Change::NoArgument {
                argument: name.to_owned(),
                text: format!("call it without the argument {}", words::quoted(name)),
            }
        }
        // Its name may not be shown, or is of another spelling.
        (ARGUMENT, None) => return None,
        (_, Some(name)) => {
            let present = scene.call.arguments_json().get(name).filter(|_| (scene.shows)(ARGUMENT));
            let others = [serde_json::Value::from("x"), serde_json::Value::from(1)];
            let example = literals(rule, present).into_iter().chain(others).find(|value| {
                let world = scene.with_argument(name, Some(value.clone()));
                world.is_some_and(|world| {
                    world.matches_any(std::slice::from_ref(query)) == Ok(false)
                })
            });
            let text = argument_text(name, &must, example.as_ref());
            Change::Argument { argument: name.to_owned(), must, example, text }
        }
        ("presented", _) => present_as(other_kind(fact)),
        ("resource", _) => resource_change(&must),
        ("depth", _) => {
            let about: Vec<Expression> = about.into_iter().cloned().collect();
            let name = names.first();
            name.and_then(|name| at_another_depth(chain, name, &about))
                .unwrap_or_else(|| otherwise(&must))
        }
        ("unbound", _) => {
            let block = parent(chain, first_unbound(chain)?);
            let (by, whose) = maker(chain, block);
            let text = format!("have {by} make {whose} anew, bound to a holder's key (--holder)");
            Change::Renew { block, by, text }
        }
        ("agent" | "agent_key" | "delegated" | "delegated_key", _) => {
            let last = chain.hops.last()?;
            let number = match fact.terms.first() {
                Some(Term::Integer(number)) => usize::try_from(*number).ok(),
                _ => None,
            };
            let hop = number.and_then(|number| chain.hops.get(number.checked_sub(1)?));
            let hop = hop.unwrap_or(last);
            let (by, to) = (escaped(&hop.delegator), escaped(&hop.delegate));
            let text = format!("have {by} delegate it to another agent than {to}");
            Change::Renew { block: hop.index, by, text }
        }
        (name, _) if (scene.decide)(name) == Weight::GRANT => Change::Fact {
            fact: words::predicate(fact),
            stated: false,
            text: format!("have the issuer leave {} out of the grant", words::predicate(fact)),
        },
        // What the policies say of this subject or server is the least to take back.
        _ => {
            let own = |fact: &Predicate| (scene.decide)(&fact.name) == Weight::POLICY;
            let (_, facts) = scene.asked(VERIFIER).match_of(query)?;
            let fact = format!("{};", words::predicate(facts.iter().find(|fact| own(fact))?));
            Change::Policy {
                at: None,
                add: None,
                text: format!("have the server's policies no longer say {fact}"),
                remove: Some(fact),
            }
        }
    })
}

/// What an argument may not be, where the policies list that as facts.
fn excluded(scene: &Scene<'_>, rule: &Rule, asked: &Predicate, names: &[&String]) -> Vec<Term> {
    let ([name], Some(_)) = (names, argument_of(asked)) else { return Vec::new() };
    let of_policy = |other: &&Predicate| (scene.decide)(&other.name) == Weight::POLICY;
    let place =
        |other: &Predicate| other.terms.iter().position(|term| variable(term) == Some(name));
    let listed = rule.body.iter().filter(of_policy).find_map(|other| Some((other, place(other)?)));
    let Some((listed, place)) = listed else { return Vec::new() };
    let facts = scene
        .world
        .facts()
        .filter_map(|fact| Predicate::convert_from(&fact.predicate, &scene.world.symbols).ok());
    let same =
        facts.filter(|fact| fact.name == listed.name && fact.terms.len() == listed.terms.len());
    same.filter_map(|fact| fact.terms.get(place).cloned()).collect()
}

/// The expression with what it says of others than these variables filled in.
fn with_others(
    scene: &Scene<'_>,
    rule: &Rule,
    names: &[&String],
    expression: &Expression,
) -> Expression {
    let values = scene.asked(VERIFIER).values_of(rule);
    with_values(expression, &|term| {
        let name = variable(term).filter(|name| !names.contains(name))?;
        values.get(name).cloned()
    })
}

fn other_kind(predicate: &Predicate) -> &'static str {
    match predicate.terms.first() {
        Some(Term::Str(kind)) if kind == "call" => "session",
        _ => "call",
    }
}
