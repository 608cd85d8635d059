//! Example: which value satisfies a constraint, and which constraint lets a value through?
//!
//! These are proposals, to be tried by whoever asks. Nothing here decides.

use serde_json::{Map, Value as Json};

use crate::call::MAX_SAFE_INTEGER;
use crate::constraint::{Constraint, Demand, Form, Range, Subject, Value};
use crate::function::Function;
use crate::profile::{MAX_COLLECTION, MAX_QUERIES_PER_CHECK};

impl Constraint {
    /// Values that may satisfy it, the likeliest first.
    pub(crate) fn examples(&self, present: Option<&Json>) -> Vec<Json> {
        match &self.0 {
            Form::Demanded { demand, .. } => demand.examples(present),
            Form::AnyOf(alternatives) => {
                let first = alternatives.iter().find(|(of, _)| of.argument().is_some());
                first.map(|(_, demand)| demand.examples(present)).unwrap_or_default()
            }
            Form::Absent(_) | Form::Only(_) => Vec::new(),
        }
    }

    /// An argument that may not be there.
    pub(crate) fn argument_too_many<'a>(
        &'a self,
        arguments: &'a Map<String, Json>,
    ) -> Option<&'a str> {
        match &self.0 {
            Form::Absent(of) => of.argument().filter(|name| arguments.contains_key(*name)),
            Form::Only(names) => {
                arguments.keys().find(|name| !names.contains(name)).map(String::as_str)
            }
            Form::Demanded { .. } | Form::AnyOf(_) => None,
        }
    }

    /// What is the matter with an argument that cannot be judged by a folder, site, network or pattern, if there is one.
    pub(crate) fn unjudged(&self, arguments: &Map<String, Json>) -> Option<String> {
        let of =
            |(of, demand): (&Subject, &Demand)| demand.unjudged(arguments.get(of.argument()?)?);
        match &self.0 {
            Form::Demanded { of: subject, demand, .. } => of((subject, demand)),
            Form::AnyOf(alternatives) => {
                alternatives.iter().find_map(|(subject, demand)| of((subject, demand)))
            }
            Form::Absent(_) | Form::Only(_) => None,
        }
    }

    /// The constraint that leaves just as much more room as this call needs, if there is one.
    pub(crate) fn widened_for(&self, arguments: &Map<String, Json>) -> Option<Constraint> {
        match &self.0 {
            Form::Demanded { of, optional, demand } => {
                let Some(value) = arguments.get(of.argument()?) else {
                    let demand = demand.clone();
                    let optional = demand != Demand::Present;
                    return optional
                        .then(|| Constraint(Form::Demanded { of: of.clone(), optional, demand }));
                };
                let demand = demand.widened_for(value)?;
                Some(Constraint(Form::Demanded { of: of.clone(), optional: *optional, demand }))
            }
            Form::Only(names) => {
                let mut names: Vec<String> =
                    names.iter().chain(arguments.keys()).map(Clone::clone).collect();
                names.sort();
                names.dedup();
                (names.len() <= MAX_COLLECTION).then_some(Constraint(Form::Only(names)))
            }
            Form::AnyOf(alternatives) => {
                let names = alternatives.iter().filter_map(|(of, _)| of.argument());
                let (name, value) =
                    names.into_iter().find_map(|name| Some((name, arguments.get(name)?)))?;
                let of = Subject::Argument(name.to_owned());
                let more = (of, Demand::Equal(Value::read(value)?));
                let all: Vec<_> = alternatives.iter().cloned().chain([more]).collect();
                (all.len() <= MAX_QUERIES_PER_CHECK).then_some(Constraint(Form::AnyOf(all)))
            }
            Form::Absent(_) => None,
        }
    }
}

impl Demand {
    fn examples(&self, present: Option<&Json>) -> Vec<Json> {
        match self {
            Demand::Present => vec![Json::from("x")],
            Demand::Equal(value) | Demand::Includes(value) => {
                let value = value.json();
                match (self, present) {
                    (Demand::Includes(_), Some(Json::Array(items))) => {
                        vec![Json::Array(items.iter().cloned().chain([value]).collect())]
                    }
                    (Demand::Includes(_), _) => vec![Json::Array(vec![value])],
                    _ => vec![value],
                }
            }
            Demand::OneOf(values) => values.iter().map(Value::json).collect(),
            Demand::NoneOf(values) => match values.first() {
                Some(Value::Number(_)) => (0..=MAX_COLLECTION as i64).map(Json::from).collect(),
                Some(Value::Bool(held)) => vec![Json::Bool(!held)],
                _ => vec![Json::from("x"), Json::from("another")],
            },
            Demand::Number(range) => {
                let bounds = [range.most, range.least];
                let upper = present
                    .and_then(Json::as_i64)
                    .is_some_and(|value| range.least.is_some_and(|least| value < least));
                let mut values: Vec<i64> = bounds.into_iter().flatten().collect();
                if upper {
                    values.reverse();
                }
                values.into_iter().map(Json::from).collect()
            }
            Demand::StartsWith(text) | Demand::EndsWith(text) | Demand::Contains(text) => {
                vec![Json::from(text.as_str())]
            }
            Demand::Length(range) => {
                let length = range.most.or(range.least).unwrap_or_default().clamp(0, 1024);
                let cut = present.and_then(Json::as_str).map(|text| {
                    text.chars()
                        .take(usize::try_from(length).unwrap_or_default())
                        .collect::<String>()
                });
                let filled = "x".repeat(usize::try_from(length).unwrap_or_default());
                cut.into_iter().chain([filled]).map(Json::from).collect()
            }
            Demand::Items(range) => {
                let length =
                    usize::try_from(range.most.or(range.least).unwrap_or_default().clamp(0, 100))
                        .unwrap_or_default();
                let cut = present
                    .and_then(Json::as_array)
                    .map(|items| Json::Array(items.iter().take(length).cloned().collect()));
                cut.into_iter().chain([Json::Array(vec![Json::from("x"); length])]).collect()
            }
            Demand::Judged(_, operand) => texts_like(operand).map(Json::from).collect(),
            Demand::Each(demand) => {
                let kept = present.and_then(Json::as_array).map(|items| {
                    let all = demand.examples(None);
                    items.iter().filter(|item| all.contains(item)).cloned().collect::<Vec<_>>()
                });
                let one = demand.examples(None).into_iter().map(|value| vec![value]);
                kept.into_iter()
                    .filter(|kept| !kept.is_empty())
                    .chain(one)
                    .map(Json::Array)
                    .collect()
            }
        }
    }

    fn unjudged(&self, value: &Json) -> Option<String> {
        match (self, value) {
            (Demand::Judged(function, operand), Json::String(text)) => {
                function.reason(text, operand)
            }
            (Demand::Each(demand), Json::Array(items)) => {
                items.iter().find_map(|item| demand.unjudged(item))
            }
            _ => None,
        }
    }

    fn widened_for(&self, value: &Json) -> Option<Demand> {
        match self {
            Demand::Number(range) => range.widened_to(number(value)?).map(Demand::Number),
            Demand::Length(range) => {
                range.widened_to(i64::try_from(value.as_str()?.len()).ok()?).map(Demand::Length)
            }
            Demand::Items(range) => {
                range.widened_to(i64::try_from(value.as_array()?.len()).ok()?).map(Demand::Items)
            }
            Demand::Equal(one) => same_kind(std::slice::from_ref(one), value).map(Demand::OneOf),
            Demand::OneOf(values) => same_kind(values, value).map(Demand::OneOf),
            Demand::NoneOf(values) => {
                let value = Value::read(value)?;
                let rest: Vec<Value> =
                    values.iter().filter(|one| **one != value).cloned().collect();
                (!rest.is_empty()).then_some(Demand::NoneOf(rest))
            }
            Demand::Each(demand) => match (demand.as_ref(), value) {
                (Demand::OneOf(values), Json::Array(items)) => {
                    let all =
                        items.iter().try_fold(values.clone(), |all, item| same_kind(&all, item));
                    Some(Demand::Each(Box::new(Demand::OneOf(all?))))
                }
                _ => None,
            },
            Demand::Judged(..)
            | Demand::StartsWith(_)
            | Demand::EndsWith(_)
            | Demand::Contains(_) => Some(Demand::Equal(Value::read(value)?)),
            Demand::Present | Demand::Includes(_) => None,
        }
    }
}

impl Range {
    fn widened_to(self, value: i64) -> Option<Range> {
        let least = self.least.map(|least| least.min(value));
        let most = self.most.map(|most| most.max(value));
        Some(Range { least, most })
    }
}

impl Value {
    fn json(&self) -> Json {
        match self {
            Value::Text(text) => Json::from(text.as_str()),
            Value::Number(number) => Json::from(*number),
            Value::Bool(held) => Json::from(*held),
        }
    }

    fn read(value: &Json) -> Option<Value> {
        match value {
            Json::String(text) => Some(Value::Text(text.clone())),
            Json::Bool(held) => Some(Value::Bool(*held)),
            value => number(value).map(Value::Number),
        }
    }
}

/// A number that a constraint can name.
fn number(value: &Json) -> Option<i64> {
    value.as_i64().filter(|number| number.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs())
}

fn same_kind(values: &[Value], more: &Json) -> Option<Vec<Value>> {
    let more = Value::read(more)?;
    let first = values.first()?;
    if std::mem::discriminant(first) != std::mem::discriminant(&more)
        || values.len() >= MAX_COLLECTION
    {
        return None;
    }
    let mut values: Vec<Value> = values.iter().cloned().chain([more]).collect();
    values.sort();
    values.dedup();
    Some(values)
}

/// Texts that may be of what `operand` stands for: a folder, a site, a network, a pattern.
pub(crate) fn texts_like(operand: &str) -> impl Iterator<Item = String> {
    let site = operand.replacen("*.", "www.", 1).replacen('*', "www.example.com", 1);
    let address = operand.split('/').next().unwrap_or_default().to_owned();
    let pattern = operand.replace("**", "x").replace(['*', '?'], "x");
    let candidates = [operand.to_owned(), site, address, pattern, format!("{operand}x")];
    let all = Function::ALL.iter().any(|function| function.check_operand(operand).is_ok());
    candidates.into_iter().filter(move |text| all && !text.is_empty())
}
