//! Types: is everything compared with what it can equal, and every condition a yes or no? Type inference and checking.

use std::collections::{HashMap, HashSet};

use biscuit_parser::builder::{Binary, Unary};

use crate::near;
use crate::set::{self, Set};
use crate::words::{self, Types};
use crate::{Code, Findings};
use hardtack::internal::syntax::{Expr, Node, Query, Span, Term, Value};

pub(super) fn check(set: &Set, findings: &mut Findings) {
    for (statement, query) in set.queries() {
        let mut typing = Typing { set, findings, file: statement.file, variables: HashMap::new() };
        typing.query(query);
    }
    odd_facts(set, findings);
}

/// A fact that alone has another type than the others in one place, where all are read alike.
fn odd_facts(set: &Set, findings: &mut Findings) {
    let asked = set.queries().flat_map(|(_, query)| &query.atoms);
    let by_key = asked.filter(|atom| atom.terms.iter().any(|term| term.variable().is_none()));
    let by_key: HashSet<&str> = by_key.map(|atom| atom.name.as_str()).collect();
    for (name, own) in &set.own {
        if by_key.contains(name.as_str()) || own.facts.len() < 2 {
            continue;
        }
        let heads: Vec<_> = set.facts(name).collect();
        let arity = heads.first().map_or(0, |(_, head)| head.terms.len());
        for index in 0..arity {
            let column: Vec<(usize, &Term, Types)> = heads
                .iter()
                .filter_map(|(s, head)| Some((s.file, head.terms.get(index)?)))
                .map(|(file, term)| (file, term, Types::of(&term.value)))
                .collect();
            let count = |types: Types| column.iter().filter(|(_, _, is)| *is == types).count();
            let Some((_, _, first)) = column.first().copied() else { continue };
            // The one that differs, or the first if it is what differs.
            let Some((_, _, other)) = column.iter().find(|(_, _, is)| *is != first).copied() else {
                continue;
            };
            let (types, usual) = if count(other) == 1 { (other, first) } else { (first, other) };
            let odd = column.iter().find(|(_, _, is)| *is == types && count(types) == 1);
            let Some((file, term, _)) = odd.copied() else { continue };
            if count(usual) + 1 == column.len() {
                let message =
                    format!("this is {types}, and the other facts `{name}` have {usual} here");
                findings.add(Code::WrongType, file, term.span, message, mend(term, usual));
            }
        }
    }
}

struct Typing<'a> {
    set: &'a Set,
    findings: &'a mut Findings,
    file: usize,
    variables: HashMap<&'a str, Types>,
}

impl<'a> Typing<'a> {
    fn query(&mut self, query: &'a Query) {
        self.atoms(query);
        self.variables = self.set.variables(query);
        let parts: Vec<&Expr> = query.conditions.iter().flat_map(Expr::parts).collect();
        let refined: Vec<(&str, Types, Span)> =
            parts.iter().filter_map(|part| asserted(part)).collect();
        for (name, types, span) in refined {
            let Some(known) = self.variables.get_mut(name) else { continue };
            if known.meets(types) {
                *known = known.and(types);
            } else if self.set.variables(query).get(name).is_some_and(|first| first.meets(types)) {
                let message = format!(
                    "${name} is {known} by another condition and cannot be {types} too, so this never holds"
                );
                self.report(span, message, "take one of the two conditions out".to_owned());
            }
        }
        for condition in &query.conditions {
            let types = self.infer(condition);
            if !types.meets(Types::BOOL) {
                let message = format!(
                    "a condition is true or false, and this is {types}: it cannot be evaluated, which refuses every call"
                );
                self.report(condition.span, message, "compare it, as in `$value == …`".to_owned());
            }
        }
    }

    fn atoms(&mut self, query: &'a Query) {
        let mut first: HashMap<&str, (Types, &str)> = HashMap::new();
        for atom in &query.atoms {
            let known = words::find(&atom.name).map(|word| word.columns.len());
            if known.is_some_and(|arity| arity != atom.terms.len()) {
                continue;
            }
            for (index, term) in atom.terms.iter().enumerate() {
                let types = self.set.types(atom, index);
                let Some(name) = term.variable() else {
                    let is = Types::of(&term.value);
                    if !is.meets(types) {
                        let message = format!(
                            "`{}` has {types} here, never {is}, so this never matches",
                            atom.name
                        );
                        self.report(term.span, message, mend(term, types));
                    }
                    continue;
                };
                let (before, place) = *first.entry(name).or_insert((types, &atom.name));
                if !before.meets(types) {
                    let message = format!(
                        "${name} is {before} in `{place}` and {types} in `{}`, so that no value is both",
                        atom.name
                    );
                    self.report(
                        term.span,
                        message,
                        "use two variables, or give both the same type".to_owned(),
                    );
                } else {
                    first.insert(name, (before.and(types), place));
                }
            }
        }
    }

    fn infer(&mut self, expr: &'a Expr) -> Types {
        match &expr.node {
            Node::Term(term) => match term.variable() {
                Some(name) => self.variables.get(name).copied().unwrap_or(Types::ANY),
                None => Types::of(&term.value),
            },
            Node::Unary(Unary::Parens, inner) => self.infer(inner),
            Node::Unary(Unary::Negate, inner) => {
                self.wants(inner, Types::BOOL, expr.op, "`!`");
                Types::BOOL
            }
            Node::Unary(Unary::Length, inner) => {
                self.wants(inner, SIZED, expr.op, ".length()");
                Types::INTEGER
            }
            Node::Unary(Unary::TypeOf, inner) => {
                self.infer(inner);
                Types::STRING
            }
            Node::Unary(Unary::Ffi(_), inner) => {
                self.infer(inner);
                Types::ANY
            }
            Node::Closure(_, body) => self.infer(body),
            Node::Binary(operator, left, right) => self.binary(expr, operator, left, right),
        }
    }

    fn binary(
        &mut self,
        expr: &'a Expr,
        operator: &Binary,
        left: &'a Expr,
        right: &'a Expr,
    ) -> Types {
        use Types as T;
        match operator {
            Binary::LazyAnd | Binary::LazyOr | Binary::And | Binary::Or => {
                self.wants(left, T::BOOL, expr.op, "`&&` and `||`");
                self.wants(right, T::BOOL, expr.op, "`&&` and `||`");
                T::BOOL
            }
            Binary::All | Binary::Any => {
                self.wants(left, T::SET.or(T::ARRAY).or(T::MAP), expr.op, ".all() and .any()");
                self.closure(left, right);
                T::BOOL
            }
            Binary::Equal
            | Binary::NotEqual
            | Binary::HeterogeneousEqual
            | Binary::HeterogeneousNotEqual => {
                self.equals(expr, operator, left, right);
                T::BOOL
            }
            Binary::Contains => {
                self.contains(expr, left, right);
                T::BOOL
            }
            Binary::LessThan
            | Binary::GreaterThan
            | Binary::LessOrEqual
            | Binary::GreaterOrEqual => {
                self.pairs(expr, left, right, &[T::INTEGER, T::DATE]);
                T::BOOL
            }
            Binary::Prefix | Binary::Suffix => {
                self.pairs(expr, left, right, &[T::STRING, T::ARRAY]);
                T::BOOL
            }
            Binary::Regex | Binary::Ffi(_) => {
                self.pairs(expr, left, right, &[T::STRING]);
                T::BOOL
            }
            Binary::Add => self.pairs(expr, left, right, &[T::INTEGER, T::STRING]),
            Binary::Div
                if matches!(right.constant().map(|t| &t.value), Some(Value::Integer(0))) =>
            {
                let message = "nothing can be divided by 0: it cannot be evaluated, which refuses every call that gets here";
                self.report(right.span, message.to_owned(), "divide by another number".to_owned());
                T::INTEGER
            }
            Binary::Sub
            | Binary::Mul
            | Binary::Div
            | Binary::BitwiseAnd
            | Binary::BitwiseOr
            | Binary::BitwiseXor => self.pairs(expr, left, right, &[T::INTEGER]),
            Binary::Intersection | Binary::Union => self.pairs(expr, left, right, &[T::SET]),
            Binary::Get => {
                self.wants(left, T::ARRAY.or(T::MAP), expr.op, ".get()");
                self.wants(right, T::INTEGER.or(T::STRING), expr.op, ".get()");
                T::ANY
            }
            Binary::TryOr => self.infer(left).or(self.infer(right)),
        }
    }

    fn wants(&mut self, expr: &'a Expr, wanted: Types, op: Span, what: &str) {
        let types = self.infer(expr);
        if !types.meets(wanted) {
            let span = if expr.constant().is_some() { expr.span } else { op };
            let message = format!(
                "{what} takes {wanted}, and this is {types}: it cannot be evaluated, which refuses every call that gets here"
            );
            self.report(span, message, format!("give it {wanted}"));
        }
    }

    /// Both sides have one of these types, the same; what comes of it has it too.
    fn pairs(
        &mut self,
        expr: &'a Expr,
        left: &'a Expr,
        right: &'a Expr,
        wanted: &[Types],
    ) -> Types {
        let (a, b) = (self.infer(left), self.infer(right));
        let fit = wanted.iter().filter(|one| a.meets(**one) && b.meets(**one));
        let fit = fit.fold(Types::NONE, |all, one| all.or(*one));
        if !fit.is_none() {
            return fit;
        }
        let all = wanted.iter().fold(Types::NONE, |all, one| all.or(*one));
        let message = format!(
            "{} takes {all} on both sides, and here is {a} with {b}: it cannot be evaluated, which refuses every call that gets here",
            written(expr)
        );
        let (span, mend) = self.blame(expr, left, right, (a, b), all);
        self.report(span, message, mend);
        all
    }

    fn equals(&mut self, expr: &'a Expr, operator: &Binary, left: &'a Expr, right: &'a Expr) {
        for (one, other) in [(left, right), (right, left)] {
            if let Node::Unary(Unary::TypeOf, inner) = &one.bare().node {
                self.compares_type(inner, other);
            }
        }
        let (a, b) = (self.infer(left), self.infer(right));
        if a.meets(b) {
            return;
        }
        let outcome = match operator {
            Binary::HeterogeneousEqual => "this never holds",
            Binary::HeterogeneousNotEqual => "this always holds",
            _ => "it cannot be evaluated, which refuses every call that gets here",
        };
        let message = format!("{} compares {a} with {b}: {outcome}", written(expr));
        let (span, mend) = self.blame(expr, left, right, (a, b), Types::ANY);
        self.report(span, message, mend);
    }

    fn compares_type(&mut self, inner: &'a Expr, other: &'a Expr) {
        let Some((term, text)) = other.constant().and_then(|term| Some((term, term.text()?)))
        else {
            return;
        };
        let names = ["integer", "string", "date", "bytes", "bool", "set", "array", "map", "null"];
        let Some(types) = Types::named(text).filter(|types| *types != Types::ANY) else {
            let meant = match text {
                "int" | "number" | "i64" | "long" | "float" => Some("integer"),
                "str" | "text" => Some("string"),
                "boolean" => Some("bool"),
                "object" => Some("map"),
                "list" => Some("array"),
                _ => near::nearest(text, names.into_iter()),
            };
            let mend = meant.map_or(
                "write one of integer, string, date, bytes, bool, set, array, map and null"
                    .to_owned(),
                |name| format!("write \"{name}\""),
            );
            let message = format!(
                "no type is called \"{}\", so .type() never equals it",
                text.escape_debug()
            );
            return self.report(term.span, message, mend);
        };
        let is = match inner.variable() {
            // Without what this very condition says of it.
            Some(name) => self.variables.get(name).copied().unwrap_or(Types::ANY),
            None => self.infer(inner),
        };
        if !is.meets(types) {
            let message = format!("this is {is}, never {types}, so .type() never equals it");
            self.report(term.span, message, format!("write \"{is}\", or take the condition out"));
        }
    }

    fn contains(&mut self, expr: &'a Expr, left: &'a Expr, right: &'a Expr) {
        let (a, b) = (self.infer(left), self.infer(right));
        let in_text = a.meets(Types::STRING) && b.meets(Types::STRING);
        if in_text || !a.meets(SIZED.and(Types::ANY)) && a.is_none() {
            return;
        }
        if !a.meets(Types::SET.or(Types::ARRAY).or(Types::MAP)) {
            let message = match a == Types::STRING {
                true => format!(
                    "a string contains strings, never {b}: it cannot be evaluated, which refuses every call that gets here"
                ),
                false => format!(
                    ".contains() takes a string, set, array or map, and this is {a}: it cannot be evaluated, which refuses every call that gets here"
                ),
            };
            let (span, mend) = match a == Types::STRING {
                true => self.blame(expr, left, right, (a, b), Types::STRING),
                false => (expr.op, "compare it with `==`, `<` or `>`".to_owned()),
            };
            return self.report(span, message, mend);
        }
        let Some(elements) = left.constant().and_then(Term::elements) else { return };
        let kinds = elements.iter().fold(Types::NONE, |all, term| all.or(Types::of(&term.value)));
        if !elements.is_empty() && !kinds.meets(b) && !b.meets(Types::SET) {
            let message = format!(
                "these are {kinds} and what is looked for is {b}, so it is never among them"
            );
            let mend = elements.first().map_or(String::new(), |term| mend(term, b));
            return self.report(left.span, message, mend);
        }
        for element in
            elements.iter().filter(|term| !b.meets(Types::of(&term.value)) && !b.meets(Types::SET))
        {
            let message = format!(
                "this is {} and what is looked for is {b}, so it never equals this",
                Types::of(&element.value)
            );
            self.report(element.span, message, mend(element, b));
        }
    }

    fn closure(&mut self, left: &'a Expr, right: &'a Expr) {
        let Node::Closure(name, body) = &right.node else { return };
        let elements = left.constant().and_then(Term::elements);
        let mut types = elements.map_or(Types::ANY, |terms| {
            terms.iter().fold(Types::NONE, |all, term| all.or(Types::of(&term.value)))
        });
        if types.is_none() || self.infer_quietly(left) == Types::MAP {
            types = if types.is_none() { Types::ANY } else { Types::ARRAY };
        }
        let before = self.variables.insert(name, types);
        self.wants(body, Types::BOOL, right.span, "what .all() and .any() ask of each element");
        match before {
            Some(before) => self.variables.insert(name, before),
            None => self.variables.remove(name.as_str()),
        };
    }

    fn infer_quietly(&self, expr: &Expr) -> Types {
        match expr.term() {
            Some(term) => match term.variable() {
                Some(name) => self.variables.get(name).copied().unwrap_or(Types::ANY),
                None => Types::of(&term.value),
            },
            None => Types::ANY,
        }
    }

    /// The side that is written out, or the operator, and how to mend it.
    fn blame(
        &self,
        expr: &Expr,
        left: &Expr,
        right: &Expr,
        (a, b): (Types, Types),
        all: Types,
    ) -> (Span, String) {
        let wanted = |types: Types| if types.meets(all) { types.and(all) } else { all };
        match (left.constant(), right.constant()) {
            (_, Some(term)) => (term.span, mend(term, wanted(a))),
            (Some(term), _) => (term.span, mend(term, wanted(b))),
            _ => match [left, right].into_iter().find_map(written_day) {
                Some(day) => (expr.op, format!("a moment has a time, too: write {day}T00:00:00Z")),
                None => (expr.op, "compare values of one type".to_owned()),
            },
        }
    }

    fn report(&mut self, span: Span, message: String, mend: String) {
        self.findings.add(Code::WrongType, self.file, span, message, mend);
    }
}

/// What has a length.
const SIZED: Types = Types::STRING.or(Types::BYTES).or(Types::SET).or(Types::ARRAY).or(Types::MAP);

/// What a condition says of a variable's type.
fn asserted(part: &Expr) -> Option<(&str, Types, Span)> {
    let (left, right) = set::equality(part)?;
    for (one, other) in [(left, right), (right, left)] {
        if let (Node::Unary(Unary::TypeOf, inner), Some(text)) =
            (&one.node, other.constant().and_then(Term::text))
        {
            let types = Types::named(text).filter(|types| *types != Types::ANY)?;
            return Some((inner.variable()?, types, other.span));
        }
        if let (Some(name), Some(term)) = (one.variable(), other.constant()) {
            return Some((name, Types::of(&term.value), other.span));
        }
    }
    None
}

fn written(expr: &Expr) -> &'static str {
    let Node::Binary(operator, ..) = &expr.node else { return "this" };
    match operator {
        Binary::LessThan => "`<`",
        Binary::GreaterThan => "`>`",
        Binary::LessOrEqual => "`<=`",
        Binary::GreaterOrEqual => "`>=`",
        Binary::Equal => "`===`",
        Binary::NotEqual => "`!==`",
        Binary::HeterogeneousEqual => "`==`",
        Binary::HeterogeneousNotEqual => "`!=`",
        Binary::Prefix => ".starts_with()",
        Binary::Suffix => ".ends_with()",
        Binary::Regex => ".matches()",
        Binary::Ffi(_) => "this function",
        Binary::Intersection => ".intersection()",
        Binary::Union => ".union()",
        _ => "arithmetic",
    }
}

/// `2026-12-24`, which is a difference of numbers.
fn written_day(expr: &Expr) -> Option<String> {
    let number = |expr: &Expr| match expr.constant()?.value {
        Value::Integer(number) => Some(number),
        _ => None,
    };
    let Node::Binary(Binary::Sub, year_and_month, day) = &expr.bare().node else { return None };
    let Node::Binary(Binary::Sub, year, month) = &year_and_month.bare().node else { return None };
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let is_day =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    is_day.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// The value as the wanted type would have it.
fn mend(term: &Term, wanted: Types) -> String {
    match &term.value {
        Value::Text(text) if wanted.meets(Types::INTEGER) && text.trim().parse::<i64>().is_ok() => {
            format!("write {} without quotation marks", text.trim())
        }
        Value::Text(text) if wanted.meets(Types::DATE) && text.contains('T') => {
            format!("write {} without quotation marks", text.escape_debug())
        }
        Value::Text(text)
            if wanted.meets(Types::BOOL) && matches!(text.as_str(), "true" | "false") =>
        {
            format!("write {text} without quotation marks")
        }
        Value::Integer(number) if wanted == Types::STRING => format!("write \"{number}\""),
        Value::Integer(_) | Value::Text(_) if wanted == Types::DATE => {
            "write a moment, such as 2027-01-01T00:00:00Z".to_owned()
        }
        Value::Bool(value) if wanted == Types::STRING => format!("write \"{value}\""),
        _ => format!("write a value of type {wanted}"),
    }
}
