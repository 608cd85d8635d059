//! Check: what becomes of a constraint in a token, and which constraint a token's check was.

use std::collections::BTreeSet;

use biscuit_auth::builder::{
    Binary, Check, CheckKind, Expression, Op, Predicate, Rule, Term, Unary, pred, string, var,
};

use crate::constraint::{Constraint, Demand, Form, Range, Value};
use crate::function::Function;

/// The variable that stands for an argument's value: the predicate's own word, which costs no other.
const VALUE: &str = "arg";

/// The variable that stands for an argument's name.
const NAME: &str = "name";

/// The variable that stands for an item of an array.
const ITEM: &str = "item";

impl Constraint {
    /// The check that says the same.
    pub(crate) fn to_check(&self) -> Check {
        match &self.0 {
            Form::Argument { name, optional: false, demand: Demand::Present } => {
                check(CheckKind::One, vec![query(argument(name), Vec::new())])
            }
            Form::Argument { name, optional: false, demand } => {
                check(CheckKind::All, vec![query(argument(name), demand.expressions(VALUE))])
            }
            // Whether it is there or not: it may not be there and be anything else.
            Form::Argument { name, optional: true, demand } => {
                let mut ops = all_of(demand.expressions(VALUE));
                ops.extend([Op::Unary(Unary::Parens), Op::Unary(Unary::Negate)]);
                check(CheckKind::Reject, vec![query(argument(name), vec![ops])])
            }
            Form::Absent(name) => check(CheckKind::Reject, vec![query(argument(name), Vec::new())]),
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
                let queries = alternatives
                    .iter()
                    .map(|(name, demand)| query(argument(name), demand.expressions(VALUE)));
                check(CheckKind::All, queries.collect())
            }
        }
    }

    /// The constraint of which a check was made, if it was made of one.
    pub(crate) fn of_check(check: &Check) -> Option<Constraint> {
        let candidate = match (&check.kind, check.queries.as_slice()) {
            (CheckKind::One, [query]) => required(name_of(query)?, Demand::Present),
            (CheckKind::All, [query]) => {
                required(name_of(query)?, Demand::read(&query.expressions)?)
            }
            (CheckKind::All, queries) => Form::AnyOf(
                queries
                    .iter()
                    .map(|query| Some((name_of(query)?, Demand::read(&query.expressions)?)))
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

fn required(name: String, demand: Demand) -> Form {
    Form::Argument { name, optional: false, demand }
}

fn read_rejection(query: &Rule) -> Option<Form> {
    let Some(name) = name_of(query) else {
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
    let Some(expression) = query.expressions.first() else { return Some(Form::Absent(name)) };
    // `!(a && b)`: the closures hold all but the first.
    let [ops @ .., Op::Unary(Unary::Parens), Op::Unary(Unary::Negate)] = expression.ops.as_slice()
    else {
        return None;
    };
    let mut parts: Vec<Vec<Op>> = Vec::new();
    let mut first = Vec::new();
    for op in ops {
        match op {
            Op::Closure(parameters, inner) if parameters.is_empty() => parts.push(inner.clone()),
            Op::Binary(Binary::LazyAnd) => {}
            op if parts.is_empty() => first.push(op.clone()),
            _ => return None,
        }
    }
    let expressions: Vec<Expression> =
        std::iter::once(first).chain(parts).map(|ops| Expression { ops }).collect();
    let demand = Demand::read(&expressions)?;
    Some(Form::Argument { name, optional: true, demand })
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
        // What ends at a NUL or at a line's end for one reader goes on for another.
        let without = |sign: &str| {
            let mut without = compared(Binary::Contains, string(sign));
            without.push(Op::Unary(Unary::Negate));
            without
        };
        let text = |binary: Binary, with: &str| {
            vec![is("string"), without("\0"), without("\n"), compared(binary, string(with))]
        };
        match self {
            Demand::Present => Vec::new(),
            Demand::Equal(wanted) => vec![compared(Binary::HeterogeneousEqual, wanted.term())],
            Demand::OneOf(values) => vec![is(kind(values)), contained(values, value())],
            Demand::NoneOf(values) => {
                let mut other = contained(values, value());
                other.push(Op::Unary(Unary::Negate));
                match values.first() {
                    Some(Value::Text(_)) => {
                        vec![is("string"), without("\0"), without("\n"), other]
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
                std::iter::once(is("string")).chain(range.expressions(length)).collect()
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
    for op in ops {
        match op {
            Op::Closure(parameters, inner) if parameters.is_empty() => {
                rest.push(Expression { ops: inner.clone() });
            }
            Op::Binary(Binary::LazyAnd) => {}
            op => first.push(op.clone()),
        }
    }
    std::iter::once(Expression { ops: first }).chain(rest).collect()
}

fn type_test(expression: &Expression) -> Option<&str> {
    match expression.ops.as_slice() {
        [_, Op::Unary(Unary::TypeOf), Op::Value(Term::Str(kind)), _] => Some(kind.as_str()),
        _ => None,
    }
}

fn argument(name: &str) -> Predicate {
    pred("arg", &[string(name), var(VALUE)])
}

/// The argument that a query asks for by name.
fn name_of(query: &Rule) -> Option<String> {
    match query.body.as_slice() {
        [Predicate { name, terms }] if name == "arg" => match terms.as_slice() {
            [Term::Str(name), Term::Variable(_)] => Some(name.clone()),
            _ => None,
        },
        _ => None,
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
