//! Always: which conditions hold whatever the call is, nearly always, or never? Constant folding, and abstract interpretation of the
//! rest.

use std::collections::HashMap;

use biscuit_parser::builder::{Binary, Unary};

use crate::regex::matches_all;
use crate::set::{self, Set};
use crate::words::{Column, Types, Values};
use hardtack::internal::syntax::{Expr, Node, Query, Term, Value};

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
        match truth(expr) {
            Some(true) => return Holds::Always,
            Some(false) => return Holds::Never,
            None => {}
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

/// Whether it holds, whatever its variables are (constant folding). What has none is evaluated by the engine; of `&&` and `||` one
/// side may decide (three-valued logic). `None` if it depends, or cannot be evaluated.
pub(super) fn truth(expr: &Expr) -> Option<bool> {
    match &expr.bare().node {
        Node::Binary(Binary::LazyOr, left, right) => match (truth(left), truth(right)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Node::Binary(Binary::LazyAnd, left, right) => match (truth(left), truth(right)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Node::Unary(Unary::Negate, inner) => truth(inner).map(|holds| !holds),
        _ => (!has_long_pattern(expr)).then(|| expr.truth()).flatten(),
    }
}

/// Whether it has a pattern that takes long to compile, which is done at each evaluation.
fn has_long_pattern(expr: &Expr) -> bool {
    let mut long = false;
    expr.walk(&mut |expr| {
        if let Node::Binary(Binary::Regex, _, pattern) = &expr.node {
            let text = pattern.constant().and_then(Term::text);
            long |= text.is_some_and(|text| text.len() > MAX_PATTERN_BYTES);
        }
    });
    long
}

/// The longest pattern with which constants are compared: one for a name or address is shorter.
const MAX_PATTERN_BYTES: usize = 256;
