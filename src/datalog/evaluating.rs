//! Evaluating: what does an expression say, where some values are too large to be seen?
//!
//! Biscuit's own evaluation knows no such values. Where there are some, its operations are asked one by one, and none of them is
//! asked about what a [stand-in](crate::call::seen) represents: whether two values are equal is decided by their digests, the length of
//! a text is known, and anything else has no answer. That is another error than those which `try_or` takes for an answer.

use std::collections::HashMap;

use biscuit_auth::builder;
use biscuit_auth::datalog::{
    Binary, Expression, MapKey, Op, SymbolTable, TemporarySymbolTable, Term, Unary,
};

use crate::call::seen::{Kind, MAX_SEEN_TEXT_BYTES, StandIn, as_seen, has_stand_in, text_stand_in};
use crate::function::functions;

/// An expression without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// As Biscuit has it: a type, an overflow.
    Failed,
    /// It asks what is not seen of a value.
    Unseen,
}

use Unanswered::{Failed, Unseen};

/// Evaluates an expression in which values may be represented.
pub(super) fn evaluate(
    ops: &[Op],
    values: &HashMap<u32, Term>,
    symbols: &mut TemporarySymbolTable<'_>,
) -> Result<Term, Unanswered> {
    let mut stack = Vec::new();
    for op in ops {
        let part = match op {
            Op::Value(Term::Variable(name)) => Part::Term(values.get(name).ok_or(Failed)?.clone()),
            Op::Value(term) => Part::Term(term.clone()),
            Op::Closure(parameters, inner) => Part::Closure(parameters, inner),
            Op::Unary(operator) => match stack.pop() {
                Some(Part::Term(term)) => Part::Term(unary(operator, term, symbols)?),
                _ => return Err(Failed),
            },
            Op::Binary(operator) => Part::Term(match (stack.pop(), stack.pop()) {
                (Some(Part::Term(right)), Some(Part::Term(left))) => {
                    binary(operator, left, right, symbols)?
                }
                // `.try_or()` has its closure on the left.
                (Some(Part::Closure(parameters, inner)), Some(Part::Term(term)))
                | (Some(Part::Term(term)), Some(Part::Closure(parameters, inner))) => {
                    with_closure(operator, term, (parameters, inner), values, symbols)?
                }
                _ => return Err(Failed),
            }),
        };
        stack.push(part);
    }
    match (stack.pop(), stack.is_empty()) {
        (Some(Part::Term(term)), true) => Ok(term),
        _ => Err(Failed),
    }
}

/// Something on the stack of an expression.
enum Part<'a> {
    Term(Term),
    Closure(&'a [u32], &'a [Op]),
}

/// What Biscuit makes of one operation.
fn by_biscuit(ops: Vec<Op>, symbols: &mut TemporarySymbolTable<'_>) -> Result<Term, Unanswered> {
    let found = Expression { ops }.evaluate(&HashMap::new(), symbols, functions());
    found.map_err(|_| Failed)
}

fn unary(
    operator: &Unary,
    term: Term,
    symbols: &mut TemporarySymbolTable<'_>,
) -> Result<Term, Unanswered> {
    match (operator, stand_in(&term)) {
        (_, None) => by_biscuit(vec![Op::Value(term), Op::Unary(operator.clone())], symbols),
        (Unary::Parens, Some(_)) => Ok(term),
        (Unary::Length, Some(StandIn { kind: Kind::Text, size })) => {
            i64::try_from(size).map(Term::Integer).map_err(|_| Unseen)
        }
        _ => Err(Unseen),
    }
}

fn binary(
    operator: &Binary,
    left: Term,
    right: Term,
    symbols: &mut TemporarySymbolTable<'_>,
) -> Result<Term, Unanswered> {
    let compared = |equal: bool, strict| match (equal, strict) {
        (false, true) if kind_of(&left) != kind_of(&right) => Err(Failed),
        (equal, _) => Ok(equal),
    };
    let answer = match (operator, &left, &right) {
        (Binary::Equal, ..) => compared(same(&left, &right, symbols)?, true)?,
        (Binary::NotEqual, ..) => !compared(same(&left, &right, symbols)?, true)?,
        (Binary::HeterogeneousEqual, ..) => same(&left, &right, symbols)?,
        (Binary::HeterogeneousNotEqual, ..) => !same(&left, &right, symbols)?,
        (Binary::Contains, Term::Array(elements), _) => one_is(elements, &right, symbols)?,
        (Binary::Contains, Term::Set(elements), _) if is_of(&right, Kind::Text) => {
            let elements: Vec<Term> = elements.iter().cloned().collect();
            one_is(&elements, &right, symbols)?
        }
        // Keys are texts, and none that is seen is as long.
        (Binary::Contains, Term::Map(_), _) if stand_in(&right).is_some() => {
            if is_of(&right, Kind::Unseen) {
                return Err(Unseen);
            }
            false
        }
        (Binary::Prefix, Term::Array(list), Term::Array(beginning)) => {
            let part = list.get(..beginning.len());
            part.map_or(Ok(false), |part| all_same(part, beginning, symbols))?
        }
        (Binary::Suffix, Term::Array(list), Term::Array(end)) => {
            let part = list.len().checked_sub(end.len()).and_then(|from| list.get(from..));
            part.map_or(Ok(false), |part| all_same(part, end, symbols))?
        }
        _ if stand_in(&left).is_some() || stand_in(&right).is_some() => return Err(Unseen),
        _ => return made(operator, left, right, symbols),
    };
    Ok(Term::Bool(answer))
}

/// What an operation makes of values that are seen. A text that is too large to be seen is represented, too, so that it equals an
/// argument of the same bytes.
fn made(
    operator: &Binary,
    left: Term,
    right: Term,
    symbols: &mut TemporarySymbolTable<'_>,
) -> Result<Term, Unanswered> {
    let ops = vec![Op::Value(left), Op::Value(right), Op::Binary(operator.clone())];
    let made = by_biscuit(ops, symbols)?;
    match (operator, &made) {
        (Binary::Add, Term::Str(word)) => match symbols.get_symbol(*word) {
            Some(text) if text.len() > MAX_SEEN_TEXT_BYTES => Ok(Term::Bytes(text_stand_in(text))),
            Some(_) => Ok(made),
            None => Err(Failed),
        },
        _ => Ok(made),
    }
}

fn with_closure(
    operator: &Binary,
    term: Term,
    (parameters, inner): (&[u32], &[Op]),
    values: &HashMap<u32, Term>,
    symbols: &mut TemporarySymbolTable<'_>,
) -> Result<Term, Unanswered> {
    if parameters.iter().any(|name| values.contains_key(name)) {
        return Err(Failed);
    }
    match (operator, &term, parameters) {
        (Binary::TryOr, _, []) => match evaluate(inner, values, symbols) {
            Err(Failed) => Ok(term),
            found => found,
        },
        (Binary::LazyOr, Term::Bool(true), []) | (Binary::LazyAnd, Term::Bool(false), []) => {
            Ok(term)
        }
        (Binary::LazyOr | Binary::LazyAnd, Term::Bool(_), []) => evaluate(inner, values, symbols),
        (Binary::All | Binary::Any, _, [parameter]) => {
            let ends_with = *operator == Binary::Any;
            let (mut values, body) = (values.clone(), Expression { ops: inner.to_vec() });
            for element in elements(&term, symbols)? {
                values.insert(*parameter, element);
                let said = match is_for_us(inner, &values) {
                    true => evaluate(inner, &values, symbols),
                    false => body.evaluate(&values, symbols, functions()).map_err(|_| Failed),
                };
                match said? {
                    Term::Bool(held) if held == ends_with => return Ok(Term::Bool(ends_with)),
                    Term::Bool(_) => {}
                    _ => return Err(Failed),
                }
            }
            Ok(Term::Bool(!ends_with))
        }
        _ if stand_in(&term).is_some() => Err(Unseen),
        _ => Err(Failed),
    }
}

/// What a closure goes over.
fn elements(term: &Term, symbols: &TemporarySymbolTable<'_>) -> Result<Vec<Term>, Unanswered> {
    match term {
        Term::Set(elements) => Ok(elements.iter().cloned().collect()),
        Term::Array(elements) => Ok(elements.clone()),
        Term::Map(entries) => {
            let entry = |(key, value): (&MapKey, &Term)| {
                let key = match key {
                    MapKey::Integer(key) => Term::Integer(*key),
                    MapKey::Str(word) => match symbols.get_symbol(*word) {
                        Some(key) if key.len() > MAX_SEEN_TEXT_BYTES => {
                            Term::Bytes(text_stand_in(key))
                        }
                        _ => Term::Str(*word),
                    },
                };
                Term::Array(vec![key, value.clone()])
            };
            Ok(entries.iter().map(entry).collect())
        }
        _ if stand_in(term).is_some() => Err(Unseen),
        _ => Err(Failed),
    }
}

fn stand_in(term: &Term) -> Option<StandIn> {
    match term {
        Term::Bytes(bytes) => StandIn::of(bytes),
        _ => None,
    }
}

fn is_of(term: &Term, kind: Kind) -> bool {
    stand_in(term).is_some_and(|found| found.kind == kind)
}

/// Whether a value is one of a list's. One that is decides, whatever is not known of the others.
fn one_is(
    elements: &[Term],
    value: &Term,
    symbols: &TemporarySymbolTable<'_>,
) -> Result<bool, Unanswered> {
    let mut unknown = None;
    for element in elements {
        match same(element, value, symbols) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => unknown = Some(error),
        }
    }
    unknown.map_or(Ok(false), Err)
}

fn all_same(
    one: &[Term],
    other: &[Term],
    symbols: &TemporarySymbolTable<'_>,
) -> Result<bool, Unanswered> {
    for (one, other) in one.iter().zip(other) {
        if !same(one, other, symbols)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two values are the same, of whatever types.
fn same(one: &Term, other: &Term, symbols: &TemporarySymbolTable<'_>) -> Result<bool, Unanswered> {
    if is_of(one, Kind::Unseen) || is_of(other, Kind::Unseen) {
        return Err(Unseen);
    }
    match (stand_in(one), stand_in(other)) {
        (Some(_), Some(_)) => return Ok(one == other),
        (Some(found), None) => return Ok(is_represented(other, found, one, symbols)),
        (None, Some(found)) => return Ok(is_represented(one, found, other, symbols)),
        (None, None) => {}
    }
    match (one, other) {
        (Term::Array(one), Term::Array(other)) if one.len() == other.len() => {
            all_same(one, other, symbols)
        }
        (Term::Map(one), Term::Map(other)) if one.len() == other.len() => {
            for ((key, value), (other_key, other)) in one.iter().zip(other) {
                if key != other_key || !same(value, other, symbols)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (one, other) => Ok(one == other),
    }
}

/// Whether a value that is seen, such as a long list that a policy writes out, is the one that is represented so.
fn is_represented(
    term: &Term,
    found: StandIn,
    stand_in: &Term,
    symbols: &TemporarySymbolTable<'_>,
) -> bool {
    let word = |word: u64| symbols.get_symbol(word).map(str::to_owned);
    let size = match (term, found.kind) {
        (Term::Str(word), Kind::Text) => symbols.get_symbol(*word).map_or(0, str::len),
        (Term::Array(elements), Kind::List) => elements.len(),
        (Term::Map(entries), Kind::Map) => entries.len(),
        _ => return false,
    };
    let represented = || match (as_seen(term, &word), stand_in) {
        (Some(builder::Term::Bytes(own)), Term::Bytes(bytes)) => own == *bytes,
        _ => false,
    };
    size as u64 == found.size && represented()
}

/// The type that an operation takes a value for. What is represented has the type that it had.
fn kind_of(term: &Term) -> u8 {
    match (term, stand_in(term)) {
        (Term::Str(_), _) | (_, Some(StandIn { kind: Kind::Text, .. })) => 0,
        (Term::Array(_), _) | (_, Some(StandIn { kind: Kind::List, .. })) => 1,
        (Term::Map(_), _) | (_, Some(StandIn { kind: Kind::Map, .. })) => 2,
        (Term::Integer(_), _) => 3,
        (Term::Date(_), _) => 4,
        (Term::Bytes(_), _) => 5,
        (Term::Bool(_), _) => 6,
        (Term::Set(_), _) => 7,
        (Term::Null, _) => 8,
        (Term::Variable(_), _) => 9,
    }
}

/// Whether a value that is seen as it is, such as a resource or what a policy writes out, would be represented in a call: a long text, or a
/// list or map with more than is seen. The call's own value is then compared with it by its digest in expressions, and not when facts are
/// matched.
pub(super) fn is_beyond(term: &Term, symbols: &SymbolTable) -> bool {
    let long =
        |word: u64| symbols.get_symbol(word).is_some_and(|text| text.len() > MAX_SEEN_TEXT_BYTES);
    match term {
        Term::Str(word) => long(*word),
        Term::Array(_) | Term::Map(_) => {
            let text = |word: u64| symbols.get_symbol(word).map(str::to_owned);
            as_seen(term, &text).is_some_and(|seen| is_represented_in(&seen))
        }
        _ => false,
    }
}

/// Whether something in a value, none of whose parts were represented before, is represented now.
fn is_represented_in(term: &builder::Term) -> bool {
    match term {
        builder::Term::Bytes(_) => true,
        builder::Term::Array(terms) => terms.iter().any(is_represented_in),
        builder::Term::Map(entries) => entries.values().any(is_represented_in),
        _ => false,
    }
}

/// Whether an expression has to be evaluated here: it mentions values that are represented, or makes a text that may be.
pub(super) fn is_for_us(ops: &[Op], values: &HashMap<u32, Term>) -> bool {
    ops.iter().any(|op| match op {
        Op::Value(Term::Variable(name)) => values.get(name).is_some_and(has_stand_in),
        Op::Value(term) => has_stand_in(term),
        Op::Binary(operator) => *operator == Binary::Add,
        Op::Closure(_, inner) => is_for_us(inner, values),
        Op::Unary(_) => false,
    })
}
