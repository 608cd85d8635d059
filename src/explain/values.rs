//! Values: which values may satisfy a query, and do they? Of which kind is a value, and which is asked?

use biscuit_auth::builder::{Binary, Convert, Expression, Op, Predicate, Rule, Term, Unary};
use serde_json::Value;

use crate::datalog::{VERIFIER, World};
use crate::explain::miss::{variable, with_values};
use crate::explain::words;
use crate::names::escaped;
use crate::profile::vocabulary::ARGUMENT;

/// Whether conditions hold that are about nothing but these values. `false` where they cannot be evaluated.
pub(super) fn hold(conditions: &[Expression], value_of: &dyn Fn(&Term) -> Option<Term>) -> bool {
    let head = Predicate { name: "query".to_owned(), terms: Vec::new() };
    let filled = conditions.iter().map(|condition| with_values(condition, value_of)).collect();
    let asked = Rule::new(head, Vec::new(), filled, Vec::new());
    let mut world = World::default();
    let query = asked.convert(&mut world.symbols);
    world.matches(&query, VERIFIER).is_ok_and(|matches| matches.some)
}

/// A value that these conditions themselves name or nearly name, and that makes them true of the variable.
pub(super) fn value_for(name: &str, conditions: &[Expression]) -> Option<Term> {
    let head = Predicate { name: "query".to_owned(), terms: Vec::new() };
    let rule = Rule::new(head, Vec::new(), conditions.to_vec(), Vec::new());
    let candidates = literals(&rule, None).into_iter().filter_map(|value| match value {
        Value::String(text) => Some(Term::Str(text)),
        Value::Number(number) => number.as_i64().map(Term::Integer),
        Value::Bool(held) => Some(Term::Bool(held)),
        _ => None,
    });
    candidates
        .into_iter()
        .find(|value| hold(conditions, &|term| (variable(term)? == name).then(|| value.clone())))
}

/// The fact that is lacking, with a value for what is open in it that makes its conditions true.
pub(super) fn grounded(predicate: &Predicate, conditions: &[Expression]) -> Option<Predicate> {
    let open: Vec<&String> = predicate.terms.iter().filter_map(variable).collect();
    let name = match open.as_slice() {
        [] => return Some(predicate.clone()),
        [name] => *name,
        _ => return None,
    };
    let value = value_for(name, conditions)?;
    let terms = predicate.terms.iter();
    let terms = terms.map(|term| if variable(term) == Some(name) { &value } else { term });
    Some(Predicate { name: predicate.name.clone(), terms: terms.cloned().collect() })
}

/// The kind of value that conditions ask for: what `.type()` says of it.
pub(super) fn kind_asked(conditions: &[Expression]) -> Option<&str> {
    conditions.iter().find_map(|condition| kind_in(&condition.ops))
}

fn kind_in(ops: &[Op]) -> Option<&str> {
    let tested = ops.windows(2).find_map(|ops| match ops {
        [Op::Unary(Unary::TypeOf), Op::Value(Term::Str(kind))] => Some(kind.as_str()),
        _ => None,
    });
    let compared = || match ops {
        [
            Op::Value(Term::Variable(_)),
            Op::Value(Term::Integer(_)),
            Op::Binary(
                Binary::LessThan
                | Binary::LessOrEqual
                | Binary::GreaterThan
                | Binary::GreaterOrEqual,
            ),
        ] => Some("integer"),
        _ => None,
    };
    tested.or_else(compared)
}

/// What an argument is, where another kind of value is asked.
pub(super) fn of_another_kind(
    name: &str,
    value: &Value,
    asked: Option<&str>,
    shown: bool,
) -> Option<String> {
    let (kind, word) = match value {
        Value::Null => ("null", "null"),
        Value::Bool(_) => ("bool", "true or false"),
        Value::Number(number) if number.as_i64().is_some() => ("integer", "a whole number"),
        // The policies see it as a text.
        Value::Number(_) => ("string", "a number with a fraction"),
        Value::String(_) => ("string", "a text"),
        Value::Array(_) => ("array", "a list"),
        Value::Object(_) => ("map", "an object"),
    };
    let asked = asked.filter(|asked| *asked != kind)?;
    let asked = match asked {
        "integer" => "a whole number",
        "string" => "a text",
        "bool" => "true or false",
        "array" => "a list",
        "map" => "an object",
        _ => return None,
    };
    let is = match (shown, value) {
        (false, _) | (_, Value::Null) => word.to_owned(),
        (true, Value::String(text)) => format!("the text {}", words::quoted(text)),
        (true, value) => format!("{word}: {}", shown_value(value)),
    };
    Some(format!("{} is {is}, and {asked} is asked", escaped(&name)))
}

/// The most characters of an argument's value that are shown.
const MAX_SHOWN: usize = 80;

/// An argument's value, cut to what fits on a line.
pub(super) fn shown_value(value: &Value) -> String {
    match value {
        Value::String(text) => words::quoted(text),
        value => {
            let text = value.to_string();
            let shown: String = text.chars().take(MAX_SHOWN).collect();
            let more = if shown.len() < text.len() { "…" } else { "" };
            format!("{}{more}", escaped(&shown))
        }
    }
}

/// Values that a query itself names, and such beside them, one of which may satisfy it.
pub(super) fn literals(rule: &Rule, present: Option<&Value>) -> Vec<Value> {
    let mut found = other_kinds(present);
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

/// Values that filled conditions name: the bounds come first.
pub(super) fn values_in(conditions: &[Expression]) -> Vec<Value> {
    let head = Predicate { name: "query".to_owned(), terms: Vec::new() };
    let mut found = literals(&Rule::new(head, Vec::new(), conditions.to_vec(), Vec::new()), None);
    // Of numbers, the largest that is named is most often the bound that is meant.
    found.sort_by_key(|value| std::cmp::Reverse(value.as_i64()));
    found
}

/// The most characters of a text that is made because it must be long.
const MAX_FILLED: usize = 256;

/// The same value as a number or as a text, which may be what is meant.
pub(super) fn other_kinds(present: Option<&Value>) -> Vec<Value> {
    match present {
        Some(Value::String(text)) => text.parse::<i64>().map(Value::from).into_iter().collect(),
        Some(Value::Number(number)) => vec![Value::from(number.to_string())],
        _ => Vec::new(),
    }
}

fn add_operands(ops: &[Op], found: &mut Vec<Value>) {
    for (index, op) in ops.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| ops.get(before));
        match op {
            // The name of a kind is no value.
            Op::Value(_) if matches!(before, Some(Op::Unary(Unary::TypeOf))) => {}
            Op::Value(Term::Integer(length))
                if matches!(before, Some(Op::Unary(Unary::Length))) =>
            {
                let length = usize::try_from(*length).unwrap_or_default().min(MAX_FILLED);
                found
                    .extend([length, length.saturating_add(1)].map(|n| Value::from("x".repeat(n))));
            }
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
