//! Remedies: what somebody can do about what a query lacks.

use biscuit_auth::builder::{Convert, Expression, Op, Predicate, Rule, Term, Unary};
use serde_json::Value;

use crate::constraint::Constraint;
use crate::datalog::VERIFIER;
use crate::explain::demand::demand;
use crate::explain::miss::{Miss, MissingPart, Weight, variable, with_values};
use crate::explain::moment::{opens, wait};
use crate::explain::scene::Scene;
use crate::explain::through::through;
use crate::explain::values::{
    grounded, kind_asked, literals, of_another_kind, other_kinds, shown_value, values_in,
};
use crate::explain::{Change, words};
use crate::names::escaped;
use crate::profile::vocabulary::{ARGUMENT, is_reserved};

/// How deep rules are followed to what they derive from.
pub(super) const MAX_RULES_FOLLOWED: usize = 4;

/// One thing that is lacking, in words, and what can be done: any of the changes.
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

/// What can be done about what a query of `block` lacks: all of it is needed.
pub(super) fn of_miss(scene: &Scene<'_>, miss: &Miss, block: usize) -> Vec<Remedies> {
    of_lacks(scene, miss, block, MAX_RULES_FOLLOWED)
}

fn of_lacks(scene: &Scene<'_>, miss: &Miss, block: usize, depth: usize) -> Vec<Remedies> {
    let of_lack = |lack: &MissingPart| match lack {
        MissingPart::Fact { predicate, conditions, found, others } => {
            let lack = Absent { predicate, conditions, found, others };
            of_absent(scene, miss, &lack, block, depth)
        }
        MissingPart::Condition { expression, values, evaluable } => {
            vec![of_condition(scene, miss, expression, values, *evaluable, block)]
        }
    };
    miss.lacks.iter().flat_map(of_lack).collect()
}

/// A fact that is not there.
struct Absent<'a> {
    predicate: &'a Predicate,
    conditions: &'a [Expression],
    /// Facts of this name that there are.
    found: &'a [Predicate],
    /// What would do as well.
    others: &'a [Predicate],
}

fn of_absent(
    scene: &Scene<'_>,
    miss: &Miss,
    lack: &Absent<'_>,
    block: usize,
    depth: usize,
) -> Vec<Remedies> {
    let Absent { predicate, conditions, found, others } = *lack;
    let must = demanded(predicate, conditions);
    if let Some(name) = argument_of(predicate) {
        let values: Vec<&Term> =
            others.iter().filter_map(|other| other.terms.get(1)).filter(is_value).collect();
        let must = match values.as_slice() {
            [] | [_] => must,
            several => {
                let several: Vec<String> = several.iter().map(|term| words::value(term)).collect();
                format!("{} in [{}]", escaped(&name), several.join(", "))
            }
        };
        let lacking = told_argument(scene, name, kind_asked(conditions), &must);
        let mut values: Vec<Value> = values.into_iter().filter_map(json_of).collect();
        values.extend(values_in(conditions));
        return vec![argument_change(scene, miss, name, lacking, &must, values, block)];
    }
    let name = predicate.name.as_str();
    let one = |lacking: String, changes: Vec<Change>| vec![Remedies { lacking, changes }];
    let there = match found {
        [] => String::new(),
        found => {
            let found: Vec<String> = found.iter().map(words::predicate).collect();
            format!(", there is {}", found.join(", "))
        }
    };
    let lacking = match conditions {
        [] => format!("lacks {}{there}", words::predicate(predicate)),
        _ => format!("lacks {must}{there}"),
    };
    match name {
        "presented" => one(lacking, vec![present_change(predicate)]),
        "resource" => one(lacking, vec![resource_change(&must)]),
        "time" => vec![of_moment(scene, predicate, conditions)],
        name if matches!((scene.decide)(name), Weight::POLICY) => {
            let fact = format!("{};", words::predicate(predicate));
            let ground = predicate.terms.iter().all(|term| variable(term).is_none());
            let change = Change::Policy {
                at: None,
                text: format!("have the server's policies say so, if it is so: {fact}"),
                add: ground.then_some(fact),
                remove: None,
            };
            one(lacking, vec![change])
        }
        name if scene.is_derived(name) => {
            match through_rules(scene, predicate, conditions, depth) {
                Some(all) => all,
                None => one(lacking, Vec::new()),
            }
        }
        name if is_reserved(name) => {
            let chain = scene.verified.chain();
            let change = through(chain, predicate, conditions);
            one(lacking, vec![change.unwrap_or_else(|| otherwise(&must))])
        }
        _ => {
            let fact = grounded(predicate, conditions);
            one(lacking, vec![fact_change(fact.as_ref(), &must)])
        }
    }
}

fn is_value(term: &&Term) -> bool {
    variable(term).is_none()
}

/// A value of an argument that policies see so.
fn json_of(term: &Term) -> Option<Value> {
    match term {
        Term::Str(text) => Some(Value::from(text.as_str())),
        Term::Integer(number) => Some(Value::from(*number)),
        Term::Bool(held) => Some(Value::from(*held)),
        _ => None,
    }
}

/// The issuer states a fact about the subject.
fn fact_change(fact: Option<&Predicate>, must: &str) -> Change {
    match fact.map(words::predicate) {
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
            fact: must.to_owned(),
            stated: true,
        },
    }
}

/// It is not the time for it.
fn of_moment(scene: &Scene<'_>, predicate: &Predicate, conditions: &[Expression]) -> Remedies {
    let now = scene.verified.verified_at();
    let name = predicate.terms.first().and_then(variable);
    let opening = name.and_then(|name| opens(now, name, conditions));
    match opening {
        Some(moment) => {
            Remedies { lacking: format!("closed until {moment}"), changes: vec![wait(moment)] }
        }
        None => {
            let must = demanded(predicate, conditions);
            Remedies { lacking: format!("over: {must}, and it is {now}"), changes: Vec::new() }
        }
    }
}

/// What a derived fact lacks to be derived.
fn through_rules(
    scene: &Scene<'_>,
    predicate: &Predicate,
    conditions: &[Expression],
    depth: usize,
) -> Option<Vec<Remedies>> {
    let depth = depth.checked_sub(1)?;
    let asked = scene.asked(VERIFIER);
    let misses = scene.policy.rules.iter().filter_map(|rule| {
        let rule = Rule::convert_from(rule, &scene.world.symbols).ok()?;
        let rule = unified(rule, predicate, conditions)?;
        let mut symbols = scene.world.symbols.clone();
        asked.nearest(&rule.convert(&mut symbols))
    });
    let miss = misses.min_by_key(Miss::order)?;
    if miss.weight.is_another_operation() {
        return None;
    }
    Some(of_lacks(scene, &miss, VERIFIER, depth))
}

/// The rule with its head's variables set to what is asked for, and with what is asked of them.
pub(super) fn unified(rule: Rule, wanted: &Predicate, conditions: &[Expression]) -> Option<Rule> {
    if rule.head.name != wanted.name || rule.head.terms.len() != wanted.terms.len() {
        return None;
    }
    let mut known: Vec<(String, Term)> = Vec::new();
    let mut asked: Vec<(String, Term)> = Vec::new();
    for (head, wanted) in rule.head.terms.iter().zip(&wanted.terms) {
        match (variable(head), variable(wanted)) {
            (_, Some(name)) => asked.push((name.clone(), head.clone())),
            (Some(name), None) => known.push((name.clone(), wanted.clone())),
            (None, None) if head == wanted => {}
            (None, None) => return None,
        }
    }
    let of = |all: &[(String, Term)], term: &Term| {
        let value = variable(term).and_then(|name| all.iter().find(|(known, _)| known == name));
        value.map(|(_, value)| value.clone())
    };
    let value_of = |term: &Term| of(&known, term);
    let set = |term: &Term| value_of(term).unwrap_or_else(|| term.clone());
    let body = rule.body.iter().map(|predicate| Predicate {
        name: predicate.name.clone(),
        terms: predicate.terms.iter().map(set).collect(),
    });
    let own = rule.expressions.iter().map(|expression| with_values(expression, &value_of));
    let more = conditions.iter().map(|expression| {
        let renamed = with_values(expression, &|term| of(&asked, term));
        with_values(&renamed, &value_of)
    });
    Some(Rule { body: body.collect(), expressions: own.chain(more).collect(), ..rule.clone() })
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
        let asked = miss.rule.body.iter().find(|predicate| {
            predicate.terms.iter().filter_map(variable).any(|known| known == name)
        })?;
        Some(called(asked, name))
    };
    let must = demand(expression, &naming);
    // What comes from the policies or the chain is written out in what is demanded of the rest.
    let least = values.iter().min_by_key(|(_, _, predicate)| (scene.decide)(&predicate.name));
    let Some((variable_name, _, predicate)) = least else {
        return Remedies { lacking: format!("{must} does not hold"), changes: Vec::new() };
    };
    let others = |term: &Term| {
        let name = variable(term).filter(|name| *name != variable_name)?;
        let (_, value, said) = values.iter().find(|(known, _, _)| known == name)?;
        (scene.shows)(&said.name).then(|| value.clone())
    };
    let filled = with_values(expression, &others);
    let conditions = std::slice::from_ref(&filled);
    let filled_must = demand(&filled, &naming);
    let (name, open) = (predicate.name.as_str(), open(predicate, variable_name));
    if let Some(argument) = argument_of(predicate) {
        let argument = argument.to_owned();
        let lacking = told_argument(scene, &argument, kind_asked(conditions), &filled_must);
        let why = match evaluable || !(scene.shows)(ARGUMENT) {
            true => String::new(),
            false => words::in_brackets(words::reason(&expression.ops, values)),
        };
        let lacking = lacking + &why;
        let values = values_in(conditions);
        return argument_change(scene, miss, &argument, lacking, &filled_must, values, block);
    }
    let is: Vec<String> = values
        .iter()
        .filter(|(_, _, predicate)| (scene.shows)(&predicate.name))
        .map(|(name, value, predicate)| {
            format!("{} is {}", called(predicate, name), words::value(value))
        })
        .collect();
    let held = if evaluable { "does not hold" } else { "has no value" };
    let lacking = match is.as_slice() {
        [] => format!("{must} {held}"),
        is => format!("{must} {held}: {}", is.join(", ")),
    };
    let changes = match name {
        "resource" => vec![resource_change(&filled_must)],
        "time" => return of_moment(scene, &open, conditions),
        name if is_reserved(name) => {
            let change = through(scene.verified.chain(), &open, conditions);
            vec![change.unwrap_or_else(|| otherwise(&filled_must))]
        }
        name if (scene.decide)(name) == Weight::POLICY => vec![Change::Policy {
            at: None,
            add: None,
            remove: None,
            text: format!("have the server's policies state a fact {name}(…) such that {must}"),
        }],
        name if !(scene.shows)(name) => Vec::new(),
        name if scene.is_derived(name) => {
            through_rules(scene, &open, conditions, MAX_RULES_FOLLOWED)
                .and_then(|all| all.into_iter().next())
                .map(|one| one.changes)
                .unwrap_or_default()
        }
        _ => vec![fact_change(grounded(&open, conditions).as_ref(), &filled_must)],
    };
    Remedies { lacking, changes }
}

/// The fact with this variable in the place of its value.
fn open(fact: &Predicate, name: &str) -> Predicate {
    let term = Term::Variable(name.to_owned());
    let terms = match fact.terms.len() {
        1 => vec![term],
        _ => fact.terms.clone(),
    };
    Predicate { name: fact.name.clone(), terms }
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
    let name = names.first()?;
    let check = constraint.to_check();
    let expressions: Vec<Expression> =
        check.queries.iter().flat_map(|query| query.expressions.clone()).collect();
    let kind = match names.as_slice() {
        [_] => kind_asked(&expressions),
        _ => None,
    };
    let must = escaped(constraint);
    let is = names.iter().map(|name| told_argument(scene, name, kind, ""));
    let is: Vec<String> = is.filter(|told| !told.is_empty()).collect();
    let present = arguments.get(name).filter(|_| (scene.shows)(ARGUMENT));
    let candidates = constraint.examples(present).into_iter().chain(other_kinds(present));
    let example = candidates.into_iter().find(|value| {
        let world = scene.with_argument(name, Some(value.clone()));
        world.is_some_and(|mut world| {
            let check = check.convert(&mut world.symbols);
            world.holds(&check, VERIFIER) == Ok(true)
        })
    });
    let text = argument_text(name, &must, example.as_ref());
    let change = Change::Argument { argument: name.clone(), must, example, text };
    let why = constraint.unjudged(arguments).filter(|_| (scene.shows)(ARGUMENT));
    let lacking = is.join(", ") + &words::in_brackets(why);
    Some(Remedies { lacking, changes: vec![change] })
}

/// What an argument is: absent, of another kind than is asked, or another value, which may not be shown.
fn told_argument(scene: &Scene<'_>, name: &str, asked: Option<&str>, must: &str) -> String {
    let shown = (scene.shows)(ARGUMENT);
    let Some(value) = scene.call.arguments_json().get(name) else {
        return format!("there is no argument {}", words::quoted(name));
    };
    if let Some(told) = of_another_kind(name, value, asked, shown) {
        return told;
    }
    let must = if must.is_empty() { String::new() } else { format!(", not {must}") };
    match shown {
        true => format!("{} is {}{must}", escaped(&name), shown_value(value)),
        false if must.is_empty() => String::new(),
        false => format!("{} is another value{must}", escaped(&name)),
    }
}

fn argument_change(
    scene: &Scene<'_>,
    miss: &Miss,
    name: &str,
    lacking: String,
    must: &str,
    values: Vec<Value>,
    block: usize,
) -> Remedies {
    let present = scene.call.arguments_json().get(name).filter(|_| (scene.shows)(ARGUMENT));
    let mut candidates = values;
    candidates.extend(literals(&miss.rule, present));
    candidates.extend([Value::from(1), Value::from("x"), Value::from(true)]);
    if kind_asked(&miss.rule.expressions) == Some("array") {
        let one: Vec<Value> = candidates.iter().map(|value| vec![value.clone()].into()).collect();
        candidates.extend(one);
    }
    let example = candidates.into_iter().find(|value| {
        let Some(mut world) = scene.with_argument(name, Some(value.clone())) else { return false };
        let query = miss.rule.convert(&mut world.symbols);
        world.matches(&query, block).is_ok_and(|matches| matches.some)
    });
    let text = argument_text(name, must, example.as_ref());
    let change =
        Change::Argument { argument: name.to_owned(), must: must.to_owned(), example, text };
    Remedies { lacking, changes: vec![change] }
}

pub(super) fn argument_text(name: &str, must: &str, example: Option<&Value>) -> String {
    let example = example
        .map(|value| format!(", for example {}={}", escaped(&name), escaped(value)))
        .unwrap_or_default();
    format!("call it with {must}{example}")
}

pub(super) fn resource_change(must: &str) -> Change {
    Change::Resource {
        must: must.to_owned(),
        text: format!("call it for another resource: {must}"),
    }
}

pub(super) fn otherwise(must: &str) -> Change {
    Change::Otherwise { must: must.to_owned(), text: format!("call it where this is so: {must}") }
}

fn present_change(predicate: &Predicate) -> Change {
    let kind = match predicate.terms.first() {
        Some(Term::Str(kind)) if kind == "call" => "call",
        _ => "session",
    };
    present_as(kind)
}

pub(super) fn present_as(kind: &'static str) -> Change {
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

/// A predicate and what it must satisfy, as one demand.
fn demanded(predicate: &Predicate, conditions: &[Expression]) -> String {
    let naming = |name: &str| {
        let named = predicate.terms.iter().filter_map(variable).any(|known| known == name);
        named.then(|| called(predicate, name))
    };
    // That a number is a number goes without saying where more is said of it.
    let telling = conditions.iter().filter(|condition| !is_type_test(condition)).count();
    let conditions: Vec<String> = conditions
        .iter()
        .filter(|condition| telling == 0 || !is_type_test(condition))
        .map(|expression| demand(expression, &naming))
        .collect();
    let alone = predicate.terms.len() == 1;
    match (argument_of(predicate), predicate.terms.get(1), conditions.as_slice()) {
        (Some(name), Some(Term::Variable(_)), []) => {
            format!("an argument {}", words::quoted(name))
        }
        (Some(_), Some(Term::Variable(_)), conditions) => conditions.join(" and "),
        (Some(name), Some(value), _) => format!("{} == {}", escaped(&name), words::value(value)),
        (_, _, []) => words::predicate(predicate),
        (_, _, conditions) if alone => conditions.join(" and "),
        (_, _, conditions) => format!("{}, {}", words::predicate(predicate), conditions.join(", ")),
    }
}

pub(super) fn is_type_test(expression: &Expression) -> bool {
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
pub(super) fn called(predicate: &Predicate, name: &str) -> String {
    match (argument_of(predicate), predicate.terms.as_slice()) {
        (Some(argument), _) => escaped(&argument),
        (None, [_]) => escaped(&predicate.name),
        _ => format!("${}", escaped(&name)),
    }
}
