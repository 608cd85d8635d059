//! Remedies: what somebody can do about what a query lacks, or about what makes it match.

use biscuit_auth::builder::{Convert, Expression, Op, Predicate, Rule, Term, Unary};
use biscuit_auth::datalog;
use serde_json::Value;

use crate::constraint::Constraint;
use crate::datalog::VERIFIER;
use crate::explain::miss::{Miss, MissingPart, Weight, free_variables, variable, with_values};
use crate::explain::policies::Scene;
use crate::explain::{Change, words};
use crate::names::escaped;
use crate::profile::vocabulary::{ARGUMENT, is_reserved};

/// How deep rules are followed to what they derive from.
const MAX_RULES_FOLLOWED: usize = 4;

/// What is lacking, in words, and what can be done.
#[derive(Debug, Default)]
pub(super) struct Remedies {
    pub(super) lacking: String,
    pub(super) changes: Vec<Change>,
}

impl MissingPart {
    pub(super) fn is_unevaluable(&self) -> bool {
        matches!(self, MissingPart::Condition { evaluable: false, .. })
    }
}

/// What can be done about what a query of `block` lacks.
pub(super) fn of_lacks(
    scene: &Scene<'_>,
    miss: &Miss,
    lacks: &[MissingPart],
    block: usize,
) -> Remedies {
    let mut least = Remedies::default();
    let mut lacking = Vec::new();
    for lack in lacks {
        let one = match lack {
            MissingPart::Fact { predicate, conditions, found } => {
                of_absent(scene, miss, predicate, conditions, found, block, MAX_RULES_FOLLOWED)
            }
            MissingPart::Condition { expression, values, evaluable } => {
                of_condition(scene, miss, expression, values, *evaluable, block)
            }
        };
        lacking.push(one.lacking);
        least.changes.extend(one.changes);
    }
    least.lacking = lacking.join("; ");
    least
}

fn of_absent(
    scene: &Scene<'_>,
    miss: &Miss,
    predicate: &Predicate,
    conditions: &[Expression],
    found: &[Predicate],
    block: usize,
    depth: usize,
) -> Remedies {
    let must = demanded(predicate, conditions);
    let there = match found {
        [] => String::new(),
        found => {
            let found: Vec<String> = found.iter().map(words::predicate).collect();
            format!(", there is {}", found.join(", "))
        }
    };
    let lacking = match argument_of(predicate) {
        Some(name) if found.is_empty() => format!("there is no argument {}", words::quoted(name)),
        Some(name) if found.len() == 1 => {
            let is = found[0].terms.get(1).map_or_else(String::new, words::value);
            format!("{} is {is}", escaped(&name))
        }
        _ if !conditions.is_empty() => format!("lacks {must}{there}"),
        _ => format!("lacks {}{there}", words::predicate(predicate)),
    };
    let ground = predicate.terms.iter().all(|term| variable(term).is_none());
    let change = match (predicate.name.as_str(), argument_of(predicate)) {
        (_, Some(name)) => argument_change(scene, miss, name, &must, block),
        ("presented", _) => present_change(predicate),
        ("resource", _) => resource_change(&must),
        (name, _) if matches!((scene.decide)(name), Weight::POLICY | Weight::DERIVED) => {
            if let Some(least) = through_rules(scene, predicate, depth) {
                let lacking = format!("{lacking}, for which {}", least.lacking);
                return Remedies { lacking, ..least };
            }
            let fact = format!("{};", words::predicate(predicate));
            Change::Policy {
                at: None,
                text: format!("have the server's policies say so, if it is so: {fact}"),
                add: ground.then_some(fact),
            }
        }
        (name, _) if is_reserved(name) => otherwise(&must),
        _ => match grounded(predicate, conditions) {
            Some(fact) => Change::Fact {
                text: format!(
                    "have the issuer state this of the subject in the grant: hardtack mint --fact {}",
                    words::shell(&fact)
                ),
                fact,
                stated: true,
            },
            None => Change::Fact {
                text: format!("have the issuer state in the grant a fact such that {must}"),
                fact: must,
                stated: true,
            },
        },
    };
    Remedies { lacking, changes: vec![change] }
}

/// The fact that is lacking, with values for what is open in it that make its conditions true.
fn grounded(predicate: &Predicate, conditions: &[Expression]) -> Option<String> {
    let open: Vec<&String> = predicate.terms.iter().filter_map(variable).collect();
    let [name] = open.as_slice() else {
        return open.is_empty().then(|| words::predicate(predicate));
    };
    let head = Predicate { name: "query".to_owned(), terms: Vec::new() };
    let rule = Rule::new(head, Vec::new(), conditions.to_vec(), Vec::new());
    let candidates = literals(&rule, None).into_iter().filter_map(|value| match value {
        Value::String(text) => Some(Term::Str(text)),
        Value::Number(number) => number.as_i64().map(Term::Integer),
        Value::Bool(held) => Some(Term::Bool(held)),
        _ => None,
    });
    candidates.into_iter().find_map(|value| {
        let value_of = |term: &Term| (variable(term) == Some(*name)).then(|| value.clone());
        let expressions =
            conditions.iter().map(|condition| with_values(condition, &value_of)).collect();
        let asked = Rule { expressions, ..rule.clone() };
        let mut world = crate::datalog::World::default();
        let query = asked.convert(&mut world.symbols);
        let holds = world.matches(&query, VERIFIER).is_ok_and(|matches| matches.some);
        let terms =
            predicate.terms.iter().map(|term| value_of(term).unwrap_or_else(|| term.clone()));
        let fact = Predicate { name: predicate.name.clone(), terms: terms.collect() };
        holds.then(|| words::predicate(&fact))
    })
}

/// What a derived fact lacks to be derived.
fn through_rules(scene: &Scene<'_>, predicate: &Predicate, depth: usize) -> Option<Remedies> {
    let depth = depth.checked_sub(1)?;
    let asked = scene.asked(VERIFIER);
    let misses = scene.policy.rules.iter().filter_map(|rule| {
        let rule = Rule::convert_from(rule, &scene.world.symbols).ok()?;
        let rule = unified(rule, predicate)?;
        let mut symbols = scene.world.symbols.clone();
        asked.nearest(&rule.convert(&mut symbols))
    });
    let miss = misses.min_by_key(|miss| miss.weight)?;
    if miss.weight.is_another_operation() {
        return None;
    }
    match miss.lacks.as_slice() {
        [MissingPart::Fact { predicate, conditions, found }] => {
            Some(of_absent(scene, &miss, predicate, conditions, found, VERIFIER, depth))
        }
        lacks => Some(of_lacks(scene, &miss, lacks, VERIFIER)),
    }
}

/// The rule with its head's variables set to what is asked for.
fn unified(rule: Rule, wanted: &Predicate) -> Option<Rule> {
    if rule.head.name != wanted.name || rule.head.terms.len() != wanted.terms.len() {
        return None;
    }
    let mut known: Vec<(String, Term)> = Vec::new();
    for (head, wanted) in rule.head.terms.iter().zip(&wanted.terms) {
        match (variable(head), variable(wanted)) {
            (_, Some(_)) => {}
            (Some(name), None) => known.push((name.clone(), wanted.clone())),
            (None, None) if head == wanted => {}
            (None, None) => return None,
        }
    }
    let value_of = |term: &Term| {
        let value = variable(term).and_then(|name| known.iter().find(|(known, _)| known == name));
        value.map(|(_, value)| value.clone())
    };
    let set = |term: &Term| value_of(term).unwrap_or_else(|| term.clone());
    let body = rule.body.iter().map(|predicate| Predicate {
        name: predicate.name.clone(),
        terms: predicate.terms.iter().map(set).collect(),
    });
    let expressions = rule.expressions.iter().map(|expression| with_values(expression, &value_of));
    Some(Rule { body: body.collect(), expressions: expressions.collect(), ..rule.clone() })
}

fn of_condition(
    scene: &Scene<'_>,
    miss: &Miss,
    expression: &Expression,
    values: &[(String, Term, Predicate)],
    evaluable: bool,
    block: usize,
) -> Remedies {
    let naming = |name: &str| {
        let (_, _, predicate) = values.iter().find(|(known, _, _)| known == name)?;
        Some(called(predicate, name))
    };
    let must = words::expression(expression, &naming);
    let is: Vec<String> = values
        .iter()
        .map(|(name, value, predicate)| {
            format!("{} is {}", called(predicate, name), words::value(value))
        })
        .collect();
    let lacking = match evaluable {
        true => format!("{must} does not hold: {}", is.join(", ")),
        false => {
            let why = words::in_brackets(words::reason(&expression.ops, values));
            format!("{must} has no value: {}{why}", is.join(", "))
        }
    };
    let least = values.iter().min_by_key(|(_, _, predicate)| (scene.decide)(&predicate.name));
    let Some((_, _, predicate)) = least else { return Remedies { lacking, changes: Vec::new() } };
    let change = match (predicate.name.as_str(), argument_of(predicate)) {
        (_, Some(name)) => argument_change(scene, miss, name, &must, block),
        ("resource", _) => resource_change(&must),
        (name, _) if (scene.decide)(name) == Weight::GRANT => Change::Fact {
            text: format!("have the issuer state in the grant a fact {name}(…) such that {must}"),
            fact: must,
            stated: true,
        },
        (name, _) if matches!((scene.decide)(name), Weight::POLICY | Weight::DERIVED) => {
            Change::Policy {
                at: None,
                add: None,
                text: format!("have the server's policies state a fact {name}(…) such that {must}"),
            }
        }
        _ => otherwise(&must),
    };
    Remedies { lacking, changes: vec![change] }
}

/// What can be done about a query that matches and should not.
pub(super) fn of_match(
    scene: &Scene<'_>,
    query: &datalog::Rule,
    rule: &Rule,
    facts: &[Predicate],
) -> Remedies {
    let shown: Vec<String> = facts.iter().map(words::predicate).collect();
    let lacking = format!("it holds with {}", shown.join(", "));
    let mut parts: Vec<(Weight, &Predicate)> =
        facts.iter().map(|fact| ((scene.decide)(&fact.name), fact)).collect();
    parts.sort_by_key(|(weight, _)| *weight);
    let cheapest = parts.first().map(|(weight, _)| *weight);
    let mut changes = Vec::new();
    for (weight, fact) in parts {
        if weight.is_another_operation() || Some(weight) != cheapest {
            continue;
        }
        let original = rule.body.iter().zip(facts).find(|(_, found)| *found == fact);
        let names: Vec<&String> = original
            .map(|(asked, _)| asked.terms.iter().filter_map(variable).collect())
            .unwrap_or_default();
        let conditions: Vec<String> = rule
            .expressions
            .iter()
            .filter(|expression| {
                free_variables(&expression.ops).iter().any(|name| names.contains(name))
            })
            .map(|expression| {
                words::expression(expression, &|name| {
                    names.iter().any(|known| *known == name).then(|| called(fact, name))
                })
            })
            .collect();
        let must = match conditions.as_slice() {
            [] => format!("not {}", words::predicate(fact)),
            conditions => format!("not {}", conditions.join(" and ")),
        };
        // Where the policy is about which arguments there are, no value of this one helps.
        let any_name = original
            .and_then(|(asked, _)| asked.terms.first())
            .is_some_and(|first| variable(first).is_some());
        changes.push(match (fact.name.as_str(), argument_of(fact)) {
            (_, Some(name)) if conditions.is_empty() || any_name => Change::NoArgument {
                argument: name.to_owned(),
                text: format!("call it without the argument {}", words::quoted(name)),
            },
            (_, Some(name)) => {
                let literals = literals(rule, scene.call.arguments_json().get(name));
                let example = literals.into_iter().find(|value| {
                    let world = scene.with_argument(name, Some(value.clone()));
                    world.is_some_and(|world| {
                        world.matches_any(std::slice::from_ref(query)) == Ok(false)
                    })
                });
                let text = argument_text(name, &must, example.as_ref());
                Change::Argument { argument: name.to_owned(), must, example, text }
            }
            ("presented", _) => Change::Present {
                audience: None,
                kind: Some(other_kind(fact)),
                text: format!("present the capability as {}", other_kind(fact)),
            },
            ("resource", _) => resource_change(&must),
            (name, _) if (scene.decide)(name) == Weight::GRANT => Change::Fact {
                fact: words::predicate(fact),
                stated: false,
                text: format!("have the issuer leave {} out of the grant", words::predicate(fact)),
            },
            _ => otherwise(&must),
        });
    }
    Remedies { lacking, changes }
}

/// What a constraint lacks, in its own words.
pub(super) fn another_value(scene: &Scene<'_>, constraint: &Constraint) -> Option<Remedies> {
    let arguments = scene.call.arguments_json();
    let extra = constraint.argument_too_many(arguments);
    if let Some(name) = extra {
        let text = format!("call it without the argument {}", words::quoted(name));
        let change = Change::NoArgument { argument: name.to_owned(), text };
        let lacking = format!("the argument {} is there", words::quoted(name));
        return Some(Remedies { lacking, changes: vec![change] });
    }
    let names = constraint.arguments();
    let is: Vec<String> = names
        .iter()
        .map(|name| match arguments.get(name) {
            None => format!("there is no argument {}", words::quoted(name)),
            Some(Value::String(text)) => format!("{} is {}", escaped(name), words::quoted(text)),
            Some(value) => {
                let text = value.to_string();
                let text: String = text.chars().take(80).collect();
                format!("{} is {}", escaped(name), escaped(&text))
            }
        })
        .collect();
    let name = names.first()?;
    let check = constraint.to_check();
    let example = constraint.examples(arguments.get(name)).into_iter().find(|value| {
        let world = scene.with_argument(name, Some(value.clone()));
        world.is_some_and(|mut world| {
            let check = check.convert(&mut world.symbols);
            world.holds(&check, VERIFIER) == Ok(true)
        })
    });
    let must = escaped(constraint);
    let text = argument_text(name, &must, example.as_ref());
    let change = Change::Argument { argument: name.clone(), must, example, text };
    let lacking = is.join(", ") + &words::in_brackets(constraint.unjudged(arguments));
    Some(Remedies { lacking, changes: vec![change] })
}

fn argument_change(scene: &Scene<'_>, miss: &Miss, name: &str, must: &str, block: usize) -> Change {
    let mut candidates = literals(&miss.rule, scene.call.arguments_json().get(name));
    candidates.extend([Value::from(1), Value::from("x"), Value::from(true)]);
    let example = candidates.into_iter().find(|value| {
        let Some(mut world) = scene.with_argument(name, Some(value.clone())) else { return false };
        let query = miss.rule.convert(&mut world.symbols);
        world.matches(&query, block).is_ok_and(|matches| matches.some)
    });
    let text = argument_text(name, must, example.as_ref());
    Change::Argument { argument: name.to_owned(), must: must.to_owned(), example, text }
}

pub(super) fn argument_text(name: &str, must: &str, example: Option<&Value>) -> String {
    let example = example
        .map(|value| format!(", for example {}={}", escaped(&name), escaped(value)))
        .unwrap_or_default();
    format!("call it such that {must}{example}")
}

fn resource_change(must: &str) -> Change {
    let text = format!("call it for a resource such that {must}");
    Change::Resource { must: must.to_owned(), text }
}

fn otherwise(must: &str) -> Change {
    Change::Otherwise { must: must.to_owned(), text: format!("call it such that {must}") }
}

fn present_change(predicate: &Predicate) -> Change {
    let kind = match predicate.terms.first() {
        Some(Term::Str(kind)) if kind == "call" => "call",
        _ => "session",
    };
    Change::Present {
        audience: None,
        kind: Some(kind),
        text: match kind {
            "call" => {
                "present the capability for this one call: hardtack present --call …".to_owned()
            }
            _ => "present the capability for a session: hardtack present".to_owned(),
        },
    }
}

fn other_kind(predicate: &Predicate) -> &'static str {
    match predicate.terms.first() {
        Some(Term::Str(kind)) if kind == "call" => "session",
        _ => "call",
    }
}

/// A predicate and what it must satisfy, as one demand.
fn demanded(predicate: &Predicate, conditions: &[Expression]) -> String {
    let naming = |name: &str| {
        let named = predicate.terms.iter().filter_map(variable).any(|known| known == name);
        (named && argument_of(predicate).is_some()).then(|| called(predicate, name))
    };
    // That a number is a number goes without saying where more is said of it.
    let telling = conditions.iter().filter(|condition| !is_type_test(condition)).count();
    let conditions: Vec<String> = conditions
        .iter()
        .filter(|condition| telling == 0 || !is_type_test(condition))
        .map(|expression| words::expression(expression, &naming))
        .collect();
    match (argument_of(predicate), predicate.terms.get(1), conditions.as_slice()) {
        (Some(name), Some(Term::Variable(_)), []) => {
            format!("there is an argument {}", words::quoted(name))
        }
        (Some(_), Some(Term::Variable(_)), conditions) => conditions.join(" and "),
        (Some(name), Some(value), _) => format!("{} == {}", escaped(&name), words::value(value)),
        (_, _, []) => words::predicate(predicate),
        (_, _, conditions) => format!("{}, {}", words::predicate(predicate), conditions.join(", ")),
    }
}

fn is_type_test(expression: &Expression) -> bool {
    matches!(
        expression.ops.as_slice(),
        [Op::Value(_), Op::Unary(Unary::TypeOf), Op::Value(_), Op::Binary(_)]
    )
}

/// The argument that a predicate asks for by name.
pub(super) fn argument_of(predicate: &Predicate) -> Option<&str> {
    match predicate.terms.first() {
        Some(Term::Str(name)) if predicate.name == ARGUMENT => Some(name),
        _ => None,
    }
}

/// What a variable is called: an argument by its name, what stands alone in its predicate by that.
fn called(predicate: &Predicate, name: &str) -> String {
    match (argument_of(predicate), predicate.terms.as_slice()) {
        (Some(argument), _) => escaped(&argument),
        (None, [_]) => escaped(&predicate.name),
        _ => format!("${}", escaped(&name)),
    }
}

/// Values that a query itself names, and such beside them, one of which may satisfy it.
pub(super) fn literals(rule: &Rule, present: Option<&Value>) -> Vec<Value> {
    let mut found = Vec::new();
    let terms = rule.body.iter().filter(|predicate| predicate.name == ARGUMENT);
    terms.for_each(|predicate| {
        predicate.terms.iter().skip(1).for_each(|term| add(term, &mut found))
    });
    rule.expressions.iter().for_each(|expression| add_operands(&expression.ops, &mut found));
    if let Some(Value::Array(items)) = present {
        let items = items.iter().filter(|item| found.contains(item)).cloned().collect();
        found.push(Value::Array(items));
    }
    found
}

fn add_operands(ops: &[Op], found: &mut Vec<Value>) {
    for op in ops {
        match op {
            Op::Value(term) => add(term, found),
            Op::Closure(_, inner) => add_operands(inner, found),
            _ => {}
        }
    }
}

fn add(term: &Term, found: &mut Vec<Value>) {
    match term {
        Term::Integer(number) => {
            let beside = [0, -1, 1].map(|step| number.saturating_add(step));
            found.extend(beside.map(Value::from));
        }
        Term::Str(text) => {
            found.push(Value::from(text.as_str()));
            found.extend(crate::constraint::texts_like(text).map(Value::from));
        }
        Term::Bool(held) => found.extend([Value::Bool(*held), Value::Bool(!held)]),
        Term::Set(terms) => terms.iter().for_each(|term| add(term, found)),
        Term::Array(terms) => terms.iter().for_each(|term| add(term, found)),
        _ => {}
    }
}
