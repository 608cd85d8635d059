//! Always: which conditions hold whatever the call is, nearly always, or never? Constant folding, and abstract interpretation of the
//! rest.

use std::collections::HashMap;

use biscuit_parser::builder::{Binary, Unary};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::set::{self, Set};
use crate::tree::{Expr, Node, Query, Span, Term, Value};
use crate::words::{Column, Types, Values};
use hardtack::internal::Function;

/// How often a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Always,
    /// For all but some that are named.
    Nearly,
    Sometimes,
    Never,
}

/// What is known of the variables of a body.
pub(super) struct Known<'a> {
    pub(super) places: HashMap<&'a str, Vec<Column>>,
    pub(super) types: HashMap<&'a str, Types>,
    pub(super) now: Option<u64>,
}

impl<'a> Known<'a> {
    pub(super) fn of(set: &Set, query: &'a Query, now: Option<u64>) -> Known<'a> {
        Known { places: set::places(query), types: set.variables(query), now }
    }

    pub(super) fn columns(&self, name: &str) -> &[Column] {
        self.places.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn holds(&self, expr: &Expr) -> Holds {
        match evaluate(expr).map(|term| term.value) {
            Some(Value::Bool(true)) => return Holds::Always,
            Some(Value::Bool(false)) => return Holds::Never,
            _ => {}
        }
        match &expr.bare().node {
            Node::Unary(Unary::Negate, inner) => match self.holds(inner) {
                Holds::Always => Holds::Never,
                Holds::Never => Holds::Always,
                Holds::Sometimes if names_some(inner) => Holds::Nearly,
                _ => Holds::Sometimes,
            },
            Node::Binary(operator, left, right) => self.binary(operator, left.bare(), right.bare()),
            _ => Holds::Sometimes,
        }
    }

    fn binary(&self, operator: &Binary, left: &Expr, right: &Expr) -> Holds {
        match operator {
            Binary::LazyOr | Binary::Or => match (self.holds(left), self.holds(right)) {
                (Holds::Always, _) | (_, Holds::Always) => Holds::Always,
                (Holds::Nearly, _) | (_, Holds::Nearly) => Holds::Nearly,
                (Holds::Never, Holds::Never) => Holds::Never,
                _ => Holds::Sometimes,
            },
            Binary::LazyAnd | Binary::And => match (self.holds(left), self.holds(right)) {
                (Holds::Never, _) | (_, Holds::Never) => Holds::Never,
                (Holds::Sometimes, _) | (_, Holds::Sometimes) => Holds::Sometimes,
                (Holds::Always, Holds::Always) => Holds::Always,
                _ => Holds::Nearly,
            },
            Binary::Equal | Binary::HeterogeneousEqual => match left.same(right) {
                true => Holds::Always,
                false => self.type_equals(left, right),
            },
            Binary::NotEqual | Binary::HeterogeneousNotEqual => {
                let typed = self.type_equals(left, right);
                match (left.same(right), typed) {
                    (true, _) | (_, Holds::Always) => Holds::Never,
                    (_, Holds::Never) => Holds::Always,
                    _ if left.constant().is_some() || right.constant().is_some() => Holds::Nearly,
                    _ => Holds::Sometimes,
                }
            }
            Binary::LessThan | Binary::GreaterThan if left.same(right) => Holds::Never,
            Binary::LessOrEqual | Binary::GreaterOrEqual if left.same(right) => Holds::Always,
            Binary::LessThan
            | Binary::GreaterThan
            | Binary::LessOrEqual
            | Binary::GreaterOrEqual => self.compares(operator, left, right),
            Binary::Prefix | Binary::Suffix | Binary::Contains
                if right.constant().and_then(Term::text) == Some("") && self.is_text(left) =>
            {
                Holds::Always
            }
            Binary::Prefix | Binary::Suffix | Binary::Contains
                if left.variable().is_some() && left.same(right) =>
            {
                Holds::Always
            }
            Binary::Contains => match left.constant().and_then(Term::elements) {
                Some([]) => Holds::Never,
                _ => Holds::Sometimes,
            },
            Binary::Regex => match right.constant().and_then(Term::text).map(matches_all) {
                Some(true) => Holds::Always,
                _ => Holds::Sometimes,
            },
            Binary::All | Binary::Any => {
                let elements = left.constant().and_then(Term::elements);
                let Node::Closure(_, body) = &right.node else { return Holds::Sometimes };
                match (operator, elements, self.holds(body)) {
                    (Binary::All, Some([]), _) | (Binary::All, _, Holds::Always) => Holds::Always,
                    (Binary::Any, Some([]), _) | (Binary::Any, _, Holds::Never) => Holds::Never,
                    (Binary::Any, Some(_), Holds::Always) => Holds::Always,
                    (Binary::Any, Some([_, _, ..]), Holds::Nearly) => Holds::Always,
                    (_, Some(_), Holds::Nearly) => Holds::Nearly,
                    _ => Holds::Sometimes,
                }
            }
            _ => Holds::Sometimes,
        }
    }

    /// `$value.type() == "string"`, of a variable whose type Hardtack gives it.
    fn type_equals(&self, left: &Expr, right: &Expr) -> Holds {
        for (one, other) in [(left, right), (right, left)] {
            let Node::Unary(Unary::TypeOf, inner) = &one.node else { continue };
            let Some(name) = inner.variable() else { continue };
            let Some(types) = other.constant().and_then(Term::text).and_then(Types::named) else {
                continue;
            };
            let is = self.columns(name).first().map_or(Types::ANY, |column| column.types());
            if is == types {
                return Holds::Always;
            }
        }
        Holds::Sometimes
    }

    fn is_text(&self, expr: &Expr) -> bool {
        let types = expr.variable().and_then(|name| self.types.get(name)).copied();
        types.is_none_or(|types| types.meets(Types::STRING))
    }

    /// A comparison whose outcome is the same for all that can stand there.
    fn compares(&self, operator: &Binary, left: &Expr, right: &Expr) -> Holds {
        let (side, term, turned) = match (left.constant(), right.constant()) {
            (None, Some(term)) => (left, term, false),
            (Some(term), None) => (right, term, true),
            _ => return Holds::Sometimes,
        };
        let outcome = |value: i128, limit: i128| {
            let (a, b) = if turned { (limit, value) } else { (value, limit) };
            match operator {
                Binary::LessThan => a < b,
                Binary::GreaterThan => a > b,
                Binary::LessOrEqual => a <= b,
                _ => a >= b,
            }
        };
        let (least, most, limit) = match &term.value {
            Value::Integer(limit) => match self.integers(side) {
                Some((least, most)) => (least, most, i128::from(*limit)),
                None => return Holds::Sometimes,
            },
            // The moment of a decision is never before now; a grant lives for a day at most.
            Value::Date(limit) => match (self.now, side.variable()) {
                (Some(now), Some(name)) if self.columns(name).contains(&Column::Moment) => {
                    let (now, limit) = (i128::from(now), i128::from(*limit));
                    let never = !outcome(now - DAY, limit) && !outcome(i128::MAX, limit);
                    return if never { Holds::Never } else { Holds::Sometimes };
                }
                _ => return Holds::Sometimes,
            },
            _ => return Holds::Sometimes,
        };
        match (outcome(least, limit), outcome(most, limit)) {
            (true, true) => Holds::Always,
            (false, false) => Holds::Never,
            _ => Holds::Sometimes,
        }
    }

    /// From where to where the integers go that this can be.
    fn integers(&self, expr: &Expr) -> Option<(i128, i128)> {
        match &expr.bare().node {
            Node::Term(_) => {
                let columns = self.columns(expr.variable()?);
                let (least, most) = columns.iter().find_map(|column| column.range())?;
                Some((i128::from(least), i128::from(most)))
            }
            Node::Unary(Unary::Length, inner) => {
                let columns = inner.variable().map(|name| self.columns(name)).unwrap_or_default();
                let named = |column: &Column| !matches!(column, Column::Any | Column::ArgumentName);
                let least = i128::from(columns.iter().any(named));
                Some((least, i128::from(i64::MAX)))
            }
            _ => None,
        }
    }
}

/// Seconds of a day.
const DAY: i128 = 24 * 60 * 60;

/// Whether a condition picks some out, so that its negation leaves nearly all.
fn names_some(expr: &Expr) -> bool {
    match &expr.bare().node {
        Node::Binary(Binary::Equal | Binary::HeterogeneousEqual, left, right) => {
            left.constant().is_some() || right.constant().is_some()
        }
        Node::Binary(Binary::LazyOr | Binary::LazyAnd, left, right) => {
            names_some(left) && names_some(right)
        }
        Node::Binary(operator, ..) => matches!(
            operator,
            Binary::Contains
                | Binary::Prefix
                | Binary::Suffix
                | Binary::Regex
                | Binary::Ffi(_)
                | Binary::Any
        ),
        _ => false,
    }
}

/// Whether a pattern matches every text, or every one that is not empty.
pub(super) fn matches_all(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|hir| takes_all(&hir))
}

fn takes_all(hir: &Hir) -> bool {
    let properties = hir.properties();
    if properties.minimum_len() == Some(0) && properties.look_set().is_empty() {
        return true;
    }
    let is_many = |hir: &Hir| match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.max.is_none() && repetition.min <= 1 && is_wide(&repetition.sub)
        }
        HirKind::Capture(capture) => takes_all(&capture.sub),
        _ => false,
    };
    let is_look = |hir: &Hir| matches!(hir.kind(), HirKind::Look(_));
    match hir.kind() {
        HirKind::Look(look) => matches!(look, Look::Start | Look::End),
        HirKind::Capture(capture) => takes_all(&capture.sub),
        HirKind::Concat(parts) => {
            parts.iter().all(|part| is_look(part) || is_many(part)) && parts.iter().any(is_many)
        }
        HirKind::Alternation(parts) => parts.iter().any(takes_all),
        _ => is_many(hir),
    }
}

/// `.`, `\S`, `[^\n]` and the like: nearly every character, all that names have.
fn is_wide(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(class) => {
            let holds = |c: char| match class {
                Class::Unicode(class) => {
                    class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c))
                }
                Class::Bytes(class) => class.ranges().iter().any(|range| {
                    u8::try_from(c).is_ok_and(|c| (range.start()..=range.end()).contains(&c))
                }),
            };
            "azAZ09_-.:/".chars().all(holds)
        }
        HirKind::Capture(capture) => is_wide(&capture.sub),
        _ => false,
    }
}

/// What an expression of constants comes to (constant folding).
pub(super) fn evaluate(expr: &Expr) -> Option<Term> {
    let value = match &expr.node {
        Node::Term(term) if term.variable().is_none() => return Some(term.clone()),
        Node::Term(_) | Node::Closure(..) => return None,
        Node::Unary(Unary::Parens, inner) => return evaluate(inner),
        Node::Unary(operator, inner) => match (operator, evaluate(inner)?.value) {
            (Unary::Negate, Value::Bool(value)) => Value::Bool(!value),
            (Unary::Length, Value::Text(text)) => Value::Integer(i64::try_from(text.len()).ok()?),
            (Unary::Length, Value::Set(terms) | Value::Array(terms)) => {
                Value::Integer(i64::try_from(terms.len()).ok()?)
            }
            (Unary::TypeOf, value) => Value::Text(Types::of(&value).to_string()),
            _ => return None,
        },
        Node::Binary(operator, left, right) => {
            let (left, right) = (evaluate(left), evaluate(right));
            let truth = |term: &Option<Term>| match term.as_ref().map(|term| &term.value) {
                Some(Value::Bool(value)) => Some(*value),
                _ => None,
            };
            match (operator, truth(&left), truth(&right)) {
                (Binary::LazyOr, Some(true), _) | (Binary::LazyOr, _, Some(true)) => {
                    Value::Bool(true)
                }
                (Binary::LazyOr, Some(false), Some(false)) => Value::Bool(false),
                (Binary::LazyAnd, Some(false), _) | (Binary::LazyAnd, _, Some(false)) => {
                    Value::Bool(false)
                }
                (Binary::LazyAnd, Some(true), Some(true)) => Value::Bool(true),
                _ => apply(operator, &left?, &right?)?,
            }
        }
    };
    Some(Term { value, span: Span::default() })
}

fn apply(operator: &Binary, left: &Term, right: &Term) -> Option<Value> {
    let truth = match (operator, &left.value, &right.value) {
        (Binary::Equal | Binary::HeterogeneousEqual, ..) => left == right,
        (Binary::NotEqual | Binary::HeterogeneousNotEqual, ..) => left != right,
        (Binary::Contains, Value::Text(a), Value::Text(b)) => a.contains(b.as_str()),
        (Binary::Contains, Value::Set(a) | Value::Array(a), _) => a.contains(right),
        (Binary::Prefix, Value::Text(a), Value::Text(b)) => a.starts_with(b.as_str()),
        (Binary::Suffix, Value::Text(a), Value::Text(b)) => a.ends_with(b.as_str()),
        (Binary::Regex, Value::Text(a), Value::Text(b)) if b.len() <= 256 => {
            regex::Regex::new(b).ok()?.is_match(a)
        }
        (Binary::Ffi(name), Value::Text(a), Value::Text(b)) => {
            Function::named(name)?.judge(a, b)?
        }
        (_, Value::Integer(a), Value::Integer(b)) => match operator {
            Binary::Add => return a.checked_add(*b).map(Value::Integer),
            Binary::Sub => return a.checked_sub(*b).map(Value::Integer),
            Binary::Mul => return a.checked_mul(*b).map(Value::Integer),
            Binary::Div => return a.checked_div(*b).map(Value::Integer),
            _ => ordered(operator, a, b)?,
        },
        (_, Value::Date(a), Value::Date(b)) => ordered(operator, a, b)?,
        _ => return None,
    };
    Some(Value::Bool(truth))
}

fn ordered<T: Ord>(operator: &Binary, a: &T, b: &T) -> Option<bool> {
    Some(match operator {
        Binary::LessThan => a < b,
        Binary::GreaterThan => a > b,
        Binary::LessOrEqual => a <= b,
        Binary::GreaterOrEqual => a >= b,
        _ => return None,
    })
}
