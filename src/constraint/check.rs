//! Check: what becomes of a constraint in a token, and which constraint was a token's check? (A compiler to Datalog,
//! and its inverse.)

use std::collections::BTreeSet;

use biscuit_auth::builder::{
    Binary, Check, CheckKind, Expression, Op, Predicate, Rule, Term, Unary, pred, string, var,
};

use crate::call::seen::MAX_SEEN_TEXT_BYTES;
use crate::constraint::{Constraint, Demand, Form, Range, Subject, Value};
use crate::function::Function;

/// The variable that stands for an argument's value: the predicate's own word, which costs no other.
const VALUE: &str = "arg";

/// The variable that stands for the resource, and its predicate.
const RESOURCE: &str = "resource";

/// The variable that stands for an argument's name.
const NAME: &str = "name";

/// The variable that stands for an item of an array.
const ITEM: &str = "item";

/// The variable that stands for a sign that a text may not have.
const SIGN: &str = "sign";

/// Where some reader ends a text, a line or a field: NUL for those of C, U+001A for DOS; line feed, vertical tab, form feed,
/// carriage return, U+0085, U+2028 and U+2029 (Unicode, section 5.8), and the separators at which Python splits lines, too; the
/// tab, and U+001F.
const ENDS: [&str; 14] = [
    "\0", "\t", "\n", "\u{b}", "\u{c}", "\r", "\u{1a}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{1f}",
    "\u{85}", "\u{2028}", "\u{2029}",
];

/// What functions that trim a text take off its ends, of what is to be seen: the blanks of Unicode (Zs).
const BLANKS: [&str; 17] = [
    " ", "\u{a0}", "\u{1680}", "\u{2000}", "\u{2001}", "\u{2002}", "\u{2003}", "\u{2004}",
    "\u{2005}", "\u{2006}", "\u{2007}", "\u{2008}", "\u{2009}", "\u{200a}", "\u{202f}", "\u{205f}",
    "\u{3000}",
];

/// A pattern that every text has all of whose characters are to be seen.
const PLAIN: &str = "**";

impl Constraint {
    /// The check that says the same.
    pub(crate) fn to_check(&self) -> Check {
        match &self.0 {
            Form::Demanded { of, optional: false, demand: Demand::Present } => {
                check(CheckKind::One, vec![query(of.predicate(), Vec::new())])
            }
            Form::Demanded { of, optional: false, demand } => {
                check(CheckKind::All, vec![of.query(demand)])
            }
            // Whether it is there or not: it may not be there and be anything else.
            Form::Demanded { of, optional: true, demand } => {
                let mut ops = all_of(demand.expressions(of.variable()));
                ops.extend([Op::Unary(Unary::Parens), Op::Unary(Unary::Negate)]);
                check(CheckKind::Reject, vec![query(of.predicate(), vec![ops])])
            }
            Form::Absent(of) => check(CheckKind::Reject, vec![query(of.predicate(), Vec::new())]),
            Form::Only(names) => {
                let set: BTreeSet<Term> = names.iter().map(|name| string(name)).collect();
                let other = vec![
                    Op::Value(Term::Set(set)),
                    Op::Value(var(NAME)),
                    Op::Binary(Binary::Contains),
                    Op::Unary(Unary::Negate),
                ];
                let any = pred("arg", &[var(NAME), var(VALUE)]);
                let others = if names.is_empty() { Vec::new() } else { vec![other] };
                check(CheckKind::Reject, vec![query(any, others)])
            }
            Form::AnyOf(alternatives) => {
                let queries = alternatives.iter().map(|(of, demand)| of.query(demand));
                check(CheckKind::All, queries.collect())
            }
        }
    }

    /// The constraint of which a check was made, if it was made of one.
    pub(crate) fn of_check(check: &Check) -> Option<Constraint> {
        let candidate = match (&check.kind, check.queries.as_slice()) {
            (CheckKind::One, [query]) => required(Subject::of(query)?, Demand::Present),
            (CheckKind::All, [query]) => {
                required(Subject::of(query)?, Demand::read(&query.expressions)?)
            }
            (CheckKind::All, queries) => Form::AnyOf(
                queries
                    .iter()
                    .map(|query| Some((Subject::of(query)?, Demand::read(&query.expressions)?)))
                    .collect::<Option<_>>()?,
            ),
            (CheckKind::Reject, [query]) => read_rejection(query)?,
            _ => return None,
        };
        let candidate = Constraint(candidate);
        // Read leniently, then held against what it would have become.
        (same(&candidate.to_check(), check)).then_some(candidate)
    }
}

fn required(of: Subject, demand: Demand) -> Form {
    Form::Demanded { of, optional: false, demand }
}

fn read_rejection(query: &Rule) -> Option<Form> {
    let Some(of) = Subject::of(query) else {
        return match query.expressions.first() {
            None => Some(Form::Only(Vec::new())),
            Some(expression) => match expression.ops.first()? {
                Op::Value(Term::Set(set)) => Some(Form::Only(
                    set.iter()
                        .map(|term| match term {
                            Term::Str(name) => Some(name.clone()),
                            _ => None,
                        })
                        .collect::<Option<_>>()?,
                )),
                _ => None,
            },
        };
    };
    let Some(expression) = query.expressions.first() else { return Some(Form::Absent(of)) };
    // `!(a && b)`: the closures hold all but the first.
    let [ops @ .., Op::Unary(Unary::Parens), Op::Unary(Unary::Negate)] = expression.ops.as_slice()
    else {
        return None;
    };
    let demand = Demand::read(&split_all(ops))?;
    Some(Form::Demanded { of, optional: true, demand })
}

impl Demand {
    /// The expressions that are all true of a value that holds.
    fn expressions(&self, variable: &str) -> Vec<Vec<Op>> {
        let value = || Op::Value(var(variable));
        let is = |kind: &str| {
            vec![
                value(),
                Op::Unary(Unary::TypeOf),
                Op::Value(string(kind)),
                Op::Binary(Binary::HeterogeneousEqual),
            ]
        };
        let compared =
            |binary: Binary, with: Term| vec![value(), Op::Value(with), Op::Binary(binary)];
        // What ends at a NUL or at a line's end for one reader goes on for another. Closures do not nest, so that an item
        // is held to more than a text that stands alone: to what is all to be seen.
        let plain = || compared(Binary::Ffi(Function::Glob.name().to_owned()), string(PLAIN));
        let line = || match variable == ITEM {
            true => plain(),
            false => no_sign(&ENDS, has_sign(value(), Binary::Contains)),
        };
        let text =
            |binary: Binary, with: &str| vec![is("string"), line(), compared(binary, string(with))];
        match self {
            Demand::Present => Vec::new(),
            Demand::Equal(wanted) => vec![compared(Binary::HeterogeneousEqual, wanted.term())],
            Demand::OneOf(values) => vec![is(kind(values)), contained(values, value())],
            Demand::NoneOf(values) => {
                let mut other = contained(values, value());
                other.push(Op::Unary(Unary::Negate));
                match values.first() {
                    // With a blank at an end it is the same to whoever trims; with a character that is not to be seen, to whoever
                    // leaves that out.
                    Some(Value::Text(_)) if variable == ITEM => {
                        let ends = [Binary::Prefix, Binary::Suffix].map(|end| {
                            let mut blank = compared(end, string(" "));
                            blank.push(Op::Unary(Unary::Negate));
                            blank
                        });
                        std::iter::once(plain()).chain(ends).chain([other]).collect()
                    }
                    // All in one expression: behind `?`, several would be more operations than a query may have.
                    Some(Value::Text(_)) => {
                        let mut trimmed = has_sign(value(), Binary::Prefix);
                        trimmed.extend(has_sign(value(), Binary::Suffix));
                        trimmed.push(Op::Binary(Binary::Or));
                        let mut all = plain();
                        all.extend(no_sign(&BLANKS, trimmed));
                        all.push(Op::Binary(Binary::And));
                        all.extend(other);
                        all.push(Op::Binary(Binary::And));
                        vec![is("string"), all]
                    }
                    _ => vec![is(kind(values)), other],
                }
            }
            Demand::Number(range) => {
                std::iter::once(is("integer")).chain(range.expressions(vec![value()])).collect()
            }
            Demand::StartsWith(with) => text(Binary::Prefix, with),
            Demand::EndsWith(with) => text(Binary::Suffix, with),
            Demand::Contains(with) => text(Binary::Contains, with),
            Demand::Length(range) => {
                let length = vec![value(), Op::Unary(Unary::Length)];
                let kind = match range.has_more_than(MAX_SEEN_TEXT_BYTES) {
                    true => is_text_of_any_length(length.clone(), is("string")),
                    false => is("string"),
                };
                std::iter::once(kind).chain(range.expressions(length)).collect()
            }
            Demand::Items(range) => {
                let length = vec![value(), Op::Unary(Unary::Length)];
                std::iter::once(is("array")).chain(range.expressions(length)).collect()
            }
            Demand::Includes(item) => {
                vec![is("array"), compared(Binary::Contains, item.term())]
            }
            Demand::Judged(function, operand) => {
                let function = Binary::Ffi(function.name().to_owned());
                vec![is("string"), compared(function, string(operand))]
            }
            Demand::Each(demand) => {
                let every = all_of(demand.expressions(ITEM));
                let closure = Op::Closure(vec![ITEM.to_owned()], every);
                vec![is("array"), vec![value(), closure, Op::Binary(Binary::All)]]
            }
        }
    }

    /// What expressions look like, leniently.
    fn read(expressions: &[Expression]) -> Option<Demand> {
        let last = expressions.last()?;
        let kind = expressions.iter().find_map(type_test);
        if let [Op::Value(_), Op::Closure(_, inner), Op::Binary(Binary::All)] = last.ops.as_slice()
        {
            let parts = split_all(inner);
            let inner = Demand::read(&parts)?;
            return Some(Demand::Each(Box::new(inner)));
        }
        match last.ops.as_slice() {
            [Op::Value(_), Op::Value(term), Op::Binary(binary)] => match (binary, term) {
                (Binary::HeterogeneousEqual, term) => Some(Demand::Equal(Value::of(term)?)),
                (Binary::Prefix, Term::Str(text)) => Some(Demand::StartsWith(text.clone())),
                (Binary::Suffix, Term::Str(text)) => Some(Demand::EndsWith(text.clone())),
                (Binary::Contains, term) if kind == Some("array") => {
                    Some(Demand::Includes(Value::of(term)?))
                }
                (Binary::Contains, Term::Variable(_)) => {
                    let Op::Value(Term::Set(set)) = &last.ops[0] else { return None };
                    Some(Demand::OneOf(Value::all(set)?))
                }
                (Binary::Contains, Term::Str(text)) => Some(Demand::Contains(text.clone())),
                (Binary::Ffi(name), Term::Str(operand)) => {
                    let function = Function::named(name)?;
                    function.check_operand(operand).ok()?;
                    Some(Demand::Judged(function, operand.clone()))
                }
                (Binary::GreaterOrEqual | Binary::LessOrEqual, _) => {
                    Some(Demand::Number(Range::read(expressions)))
                }
                _ => None,
            },
            [
                Op::Value(Term::Set(set)),
                Op::Value(_),
                Op::Binary(Binary::Contains),
                Op::Unary(Unary::Negate),
            ]
            | [
                ..,
                Op::Value(Term::Set(set)),
                Op::Value(_),
                Op::Binary(Binary::Contains),
                Op::Unary(Unary::Negate),
                Op::Binary(Binary::And),
            ] => Some(Demand::NoneOf(Value::all(set)?)),
            [Op::Value(_), Op::Unary(Unary::Length), ..] => match kind? {
                "array" => Some(Demand::Items(Range::read(expressions))),
                _ => Some(Demand::Length(Range::read(expressions))),
            },
            _ => None,
        }
    }
}

impl Range {
    fn expressions(self, value: Vec<Op>) -> impl Iterator<Item = Vec<Op>> {
        let least = self.least.map(|least| (Binary::GreaterOrEqual, least));
        let most = self.most.map(|most| (Binary::LessOrEqual, most));
        least.into_iter().chain(most).map(move |(binary, bound)| {
            let bound = [Op::Value(Term::Integer(bound)), Op::Binary(binary)];
            value.iter().cloned().chain(bound).collect()
        })
    }

    /// Whether a length of more than this is within it.
    fn has_more_than(self, length: usize) -> bool {
        self.most.is_none_or(|most| usize::try_from(most).is_ok_and(|most| most > length))
    }

    fn read(expressions: &[Expression]) -> Range {
        let bound = |wanted: &Binary| {
            expressions.iter().find_map(|expression| match expression.ops.as_slice() {
                [.., Op::Value(Term::Integer(bound)), Op::Binary(binary)] if binary == wanted => {
                    Some(*bound)
                }
                _ => None,
            })
        };
        Range { least: bound(&Binary::GreaterOrEqual), most: bound(&Binary::LessOrEqual) }
    }
}

impl Value {
    fn term(&self) -> Term {
        match self {
            Value::Text(text) => string(text),
            Value::Number(number) => Term::Integer(*number),
            Value::Bool(held) => Term::Bool(*held),
        }
    }

    fn of(term: &Term) -> Option<Value> {
        match term {
            Term::Str(text) => Some(Value::Text(text.clone())),
            Term::Integer(number) => Some(Value::Number(*number)),
            Term::Bool(held) => Some(Value::Bool(*held)),
            _ => None,
        }
    }

    fn all(set: &BTreeSet<Term>) -> Option<Vec<Value>> {
        let mut values = set.iter().map(Value::of).collect::<Option<Vec<_>>>()?;
        values.sort();
        Some(values)
    }
}

/// Biscuit's word for the type of the values.
fn kind(values: &[Value]) -> &'static str {
    match values.first() {
        Some(Value::Number(_)) => "integer",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Text(_)) | None => "string",
    }
}

/// That a value has the sign in this place.
fn has_sign(value: Op, place: Binary) -> Vec<Op> {
    vec![value, Op::Value(var(SIGN)), Op::Binary(place)]
}

/// That something holds of none of these signs. An array costs less than a set.
fn no_sign(signs: &[&str], held: Vec<Op>) -> Vec<Op> {
    vec![
        Op::Value(Term::Array(signs.iter().map(|sign| string(sign)).collect())),
        Op::Closure(vec![SIGN.to_owned()], held),
        Op::Binary(Binary::Any),
        Op::Unary(Unary::Negate),
    ]
}

fn contained(values: &[Value], value: Op) -> Vec<Op> {
    let set = values.iter().map(Value::term).collect();
    vec![Op::Value(Term::Set(set)), value, Op::Binary(Binary::Contains)]
}

/// `a && b && …` of several expressions: each later one is looked at only if those before it hold.
fn all_of(expressions: Vec<Vec<Op>>) -> Vec<Op> {
    expressions.into_iter().fold(Vec::new(), |mut ops, expression| {
        if ops.is_empty() {
            return expression;
        }
        ops.extend([Op::Closure(Vec::new(), expression), Op::Binary(Binary::LazyAnd)]);
        ops
    })
}

/// The parts of [`all_of`].
fn split_all(ops: &[Op]) -> Vec<Expression> {
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (at, op) in ops.iter().enumerate() {
        match (op, ops.get(at + 1)) {
            (Op::Closure(parameters, inner), Some(Op::Binary(Binary::LazyAnd)))
                if parameters.is_empty() =>
            {
                rest.push(Expression { ops: inner.clone() });
            }
            (Op::Binary(Binary::LazyAnd), _) => {}
            (op, _) => first.push(op.clone()),
        }
    }
    std::iter::once(Expression { ops: first }).chain(rest).collect()
}

/// That a value is a text, also one that is not seen as it is: its length can be asked for, and its type cannot. All else of which
/// there is a length beyond what is seen of a text is not seen either, and has none.
fn is_text_of_any_length(length: Vec<Op>, is_text: Vec<Op>) -> Vec<Op> {
    let seen = i64::try_from(MAX_SEEN_TEXT_BYTES).unwrap_or(i64::MAX);
    let mut ops = length;
    ops.extend([Op::Value(Term::Integer(seen)), Op::Binary(Binary::GreaterThan)]);
    ops.extend([Op::Closure(Vec::new(), is_text), Op::Binary(Binary::LazyOr)]);
    ops.push(Op::Unary(Unary::Parens));
    ops
}

fn type_test(expression: &Expression) -> Option<&str> {
    match expression.ops.as_slice() {
        [.., Op::Closure(_, is_text), Op::Binary(Binary::LazyOr), Op::Unary(Unary::Parens)] => {
            type_test_in(is_text)
        }
        ops => type_test_in(ops),
    }
}

fn type_test_in(ops: &[Op]) -> Option<&str> {
    match ops {
        [_, Op::Unary(Unary::TypeOf), Op::Value(Term::Str(kind)), _] => Some(kind.as_str()),
        _ => None,
    }
}

impl Subject {
    fn predicate(&self) -> Predicate {
        match self {
            Subject::Argument(name) => pred("arg", &[string(name), var(VALUE)]),
            Subject::Resource => pred(RESOURCE, &[var(RESOURCE)]),
        }
    }

    fn variable(&self) -> &'static str {
        match self {
            Subject::Argument(_) => VALUE,
            Subject::Resource => RESOURCE,
        }
    }

    fn query(&self, demand: &Demand) -> Rule {
        query(self.predicate(), demand.expressions(self.variable()))
    }

    /// The argument that a query asks for by name, or the resource.
    fn of(query: &Rule) -> Option<Subject> {
        let [Predicate { name, terms }] = query.body.as_slice() else { return None };
        match (name.as_str(), terms.as_slice()) {
            ("arg", [Term::Str(name), Term::Variable(_)]) => Some(Subject::Argument(name.clone())),
            (RESOURCE, [Term::Variable(_)]) => Some(Subject::Resource),
            _ => None,
        }
    }
}

fn query(predicate: Predicate, expressions: Vec<Vec<Op>>) -> Rule {
    let head = pred::<Term>("query", &[]);
    let expressions = expressions.into_iter().map(|ops| Expression { ops }).collect();
    Rule::new(head, vec![predicate], expressions, Vec::new())
}

fn check(kind: CheckKind, queries: Vec<Rule>) -> Check {
    Check { queries, kind }
}

/// Whether two checks ask the same in the same words; heads say nothing.
fn same(one: &Check, other: &Check) -> bool {
    let asked = |check: &Check| -> Vec<_> {
        let parts =
            |rule: &Rule| (rule.body.clone(), rule.expressions.clone(), rule.scopes.clone());
        check.queries.iter().map(parts).collect()
    };
    one.kind == other.kind && asked(one) == asked(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_of_unicode_is_a_text_end_or_one_that_is_trimmed() {
        let known = |c: &char| {
            let c = c.to_string();
            ENDS.contains(&c.as_str()) || BLANKS.contains(&c.as_str())
        };
        assert_eq!(('\0'..=char::MAX).filter(|c| c.is_whitespace()).find(|c| !known(c)), None);
    }
}
