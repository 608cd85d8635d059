//! Compared: can an argument be what it is compared with, by the server's schema?

use std::collections::{BTreeSet, HashMap};

use biscuit_parser::builder::{Binary, Unary};

use crate::listed::ServerTools;
use crate::schema::{Others, Scalar, Shape};
use crate::set::Set;
use crate::strangers::{Known, known, nearest, some, unknown};
use crate::words::Types;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Expr, Node, Query, Span, Statement, Term, Value};

pub(super) fn check(set: &Set, servers: &[ServerTools], now: Option<u64>, findings: &mut Findings) {
    let queries = set.queries().filter_map(|(statement, query)| {
        let known = known(set, servers, query, now);
        (!known.is_empty()).then_some((statement, query, known))
    });
    let queries: Vec<(&Statement, &Query, Vec<Known<'_>>)> = queries.collect();
    let refuses = |statement: &Statement| !set.lets_through(statement);
    let mut refused = BTreeSet::new();
    for (statement, query, known) in queries.iter().filter(|(one, ..)| refuses(one)) {
        let mut unsaid = Findings::default();
        let judge = Judge::new(statement.file, &mut unsaid);
        refused.extend(judge.question(known, query));
    }
    for (statement, query, known) in &queries {
        let mut judge = Judge::new(statement.file, findings);
        judge.refused = Some(&refused).filter(|_| refuses(statement));
        judge.question(known, query);
    }
}

/// What a value can be, and what it is called.
#[derive(Debug, Clone)]
struct Part {
    shape: Shape,
    called: String,
}

struct Judge<'a> {
    file: usize,
    env: HashMap<String, Part>,
    /// What was compared with a value that it can have, by what it is called.
    fitting: BTreeSet<String>,
    /// In what refuses, the same of all that refuses. Where a value is refused that the schema has, another one beside it is for servers
    /// that take more than their schema says, as `"true"` for `true`.
    refused: Option<&'a BTreeSet<String>>,
    findings: &'a mut Findings,
}

const SIZED: Types = Types::STRING.or(Types::ARRAY).or(Types::MAP);

impl<'a> Judge<'a> {
    fn new(file: usize, findings: &'a mut Findings) -> Judge<'a> {
        let (env, fitting) = (HashMap::new(), BTreeSet::new());
        Judge { file, env, fitting, refused: None, findings }
    }

    /// What was compared with a value that it can have.
    fn question(mut self, known: &[Known<'_>], query: &Query) -> BTreeSet<String> {
        self.arguments(known, query);
        // What asks for the type is prepared for another one.
        for condition in &query.conditions {
            condition.walk(&mut |expr| {
                if let Node::Unary(Unary::TypeOf, inner) = &expr.node {
                    inner.variables().iter().for_each(|name| drop(self.env.remove(*name)));
                }
            });
        }
        for condition in &query.conditions {
            self.expression(condition);
        }
        self.fitting
    }

    /// Whether it is refused with a value that it can have.
    fn is_refused(&self, part: &Part) -> bool {
        self.refused.is_some_and(|refused| refused.contains(&part.called))
    }

    /// What stands for the value of an argument, and the values that are written there.
    fn arguments(&mut self, known: &[Known<'_>], query: &Query) {
        let tools: BTreeSet<&str> = known.iter().map(|one| one.tool.as_str()).collect();
        for atom in query.atoms.iter().filter(|atom| atom.name == "arg") {
            let [name, value] = atom.terms.as_slice() else { continue };
            let Some(name) = name.text() else { continue };
            let shapes = known.iter().map(|one| match one.shape.members.get(name) {
                Some(shape) => Some(shape.clone()),
                None if one.shape.others == Others::Refused => None,
                None => Some(Shape::any()),
            });
            let Some(shape) = shapes.flatten().reduce(Shape::or) else { continue };
            let called = format!("`{}` of {}", name.escape_debug(), some(tools.iter().copied()));
            let part = Part { shape, called };
            match value.variable() {
                Some(variable) => drop(self.env.entry(variable.to_owned()).or_insert(part)),
                None => self.literal(&part, value),
            }
        }
    }

    fn expression(&mut self, expr: &Expr) {
        match &expr.node {
            Node::Term(_) => {}
            Node::Unary(operator, inner) => {
                if *operator == Unary::Length {
                    self.wants(inner, SIZED, expr.op, ".length()");
                }
                self.expression(inner);
            }
            Node::Closure(_, body) => self.expression(body),
            // It has an answer for what cannot be evaluated.
            Node::Binary(Binary::TryOr, ..) => {}
            Node::Binary(Binary::All | Binary::Any, left, right) => {
                self.expression(left);
                self.wants(left, Types::ARRAY.or(Types::MAP), expr.op, ".all() and .any()");
                self.elements(left, right);
            }
            Node::Binary(operator, left, right) => {
                self.binary(expr, operator, left, right);
                self.expression(left);
                self.expression(right);
            }
        }
    }

    fn binary(&mut self, expr: &Expr, operator: &Binary, left: &Expr, right: &Expr) {
        let number = Types::INTEGER;
        match operator {
            Binary::Equal
            | Binary::NotEqual
            | Binary::HeterogeneousEqual
            | Binary::HeterogeneousNotEqual => {
                for (one, other) in [(left, right), (right, left)] {
                    if let (Some(part), Some(term)) = (self.part(one), other.constant()) {
                        self.literal(&part, term);
                    }
                }
            }
            Binary::Contains => self.contains(expr, left, right),
            Binary::LessThan
            | Binary::GreaterThan
            | Binary::LessOrEqual
            | Binary::GreaterOrEqual => {
                self.wants(left, number, expr.op, "the order of numbers");
                self.wants(right, number, expr.op, "the order of numbers");
            }
            Binary::Prefix | Binary::Suffix => {
                self.wants(left, Types::STRING.or(Types::ARRAY), expr.op, "this");
            }
            Binary::Regex | Binary::Ffi(_) => self.wants(left, Types::STRING, expr.op, "this"),
            Binary::Sub | Binary::Mul | Binary::Div => {
                self.wants(left, number, expr.op, "arithmetic");
                self.wants(right, number, expr.op, "arithmetic");
            }
            Binary::Get => {
                self.wants(left, Types::ARRAY.or(Types::MAP), expr.op, ".get()");
                self.member(left, right);
            }
            _ => {}
        }
    }

    fn contains(&mut self, expr: &Expr, left: &Expr, right: &Expr) {
        if let Some(elements) = left.constant().and_then(Term::elements) {
            if let Some(part) = self.part(right) {
                elements.iter().for_each(|element| self.literal(&part, element));
            }
            return;
        }
        let Some(part) = self.part(left) else { return };
        self.wants(left, SIZED, expr.op, ".contains()");
        let Some(term) = right.constant() else { return };
        if part.shape.types == Types::ARRAY
            && let Some(items) = &part.shape.items
        {
            let called = format!("an element of {}", part.called);
            self.literal(&Part { shape: (**items).clone(), called }, term);
        } else if part.shape.types == Types::STRING && term.text().is_none() {
            self.never(&part, Types::of(&term.value), term.span);
        }
    }

    /// `$list.all($one -> …)`
    fn elements(&mut self, left: &Expr, right: &Expr) {
        let Node::Closure(own, body) = &right.bare().node else { return self.expression(right) };
        let items = self.part(left).filter(|part| part.shape.types == Types::ARRAY);
        let items = items.and_then(|part| {
            let called = format!("an element of {}", part.called);
            Some(Part { shape: *part.shape.items?, called })
        });
        let before = match items {
            Some(items) => self.env.insert(own.clone(), items),
            None => self.env.remove(own),
        };
        self.expression(body);
        match before {
            Some(before) => drop(self.env.insert(own.clone(), before)),
            None => drop(self.env.remove(own)),
        }
    }

    /// What is known of an expression's value.
    fn part(&self, expr: &Expr) -> Option<Part> {
        match &expr.bare().node {
            Node::Term(term) => self.env.get(term.variable()?).cloned(),
            Node::Binary(Binary::Get, left, right) => {
                let part = self.part(left)?;
                let shape = match &right.constant()?.value {
                    Value::Text(name) if part.shape.types == Types::MAP => {
                        part.shape.members.get(name)?.clone()
                    }
                    Value::Integer(_) if part.shape.types == Types::ARRAY => {
                        (**part.shape.items.as_ref()?).clone()
                    }
                    _ => return None,
                };
                let called = format!("this part of {}", part.called);
                // It is null where there is none.
                Some(Part { shape: shape.or_null(), called })
            }
            _ => None,
        }
    }

    /// `$object.get("name")`, where it has none of that name.
    fn member(&mut self, left: &Expr, right: &Expr) {
        let (Some(part), Some(term)) = (self.part(left), right.constant()) else { return };
        let Some(name) = term.text().filter(|_| part.shape.types.meets(Types::MAP)) else { return };
        // One of several forms may have it.
        let is_object = part.shape.types.and(Types::ARRAY).is_none();
        if !is_object || !part.shape.lacks(name) {
            return;
        }
        let is_closed = part.shape.others == Others::Refused;
        let members = part.shape.members.keys().map(String::as_str).collect();
        let (message, mend) = unknown(&part.called, name, is_closed, members);
        self.findings.add(Code::UnknownArgument, self.file, term.span, message, mend);
    }

    fn wants(&mut self, expr: &Expr, wanted: Types, span: Span, what: &str) {
        let Some(part) = self.part(expr) else { return };
        let types = part.shape.types;
        if types.meets(wanted) || self.findings.has_in(self.file, span) {
            return;
        }
        let message = format!(
            "{} is {types} by the server's schema, and {what} takes {wanted}: it cannot be evaluated, which refuses every call that gets here",
            part.called
        );
        let mend = format!("compare it as {types}");
        self.findings.add(Code::ArgumentType, self.file, span, message, mend);
    }

    /// A value that is written out.
    fn literal(&mut self, part: &Part, term: &Term) {
        // Agents send null for what they leave out, whatever the schema says.
        if matches!(term.value, Value::Null | Value::Parameter(_)) || term.variable().is_some() {
            return;
        }
        let is = Types::of(&term.value);
        if !part.shape.types.meets(is) {
            if !self.is_refused(part) {
                self.never(part, is, term.span);
            }
            return;
        }
        let (Some(values), Some(value)) = (&part.shape.values, Scalar::of_value(&term.value))
        else {
            self.fitting.insert(part.called.clone());
            return;
        };
        if values.contains(&value) {
            self.fitting.insert(part.called.clone());
            return;
        }
        let is_spelling =
            |one: &Scalar| one.folded().is_some_and(|own| Some(own) == value.folded());
        if self.is_refused(part) && values.iter().any(is_spelling)
            || self.findings.has_in(self.file, term.span)
        {
            return;
        }
        let texts: Vec<&str> = values
            .iter()
            .filter_map(|value| match value {
                Scalar::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let message = format!("{} never has this value, by the server's schema", part.called);
        let meant = term.text().and_then(|text| nearest(text, texts.iter().copied()));
        let mend = match meant {
            Some(meant) => format!("write \"{}\"", meant.escape_debug()),
            None if texts.is_empty() => "write one of the schema's values".to_owned(),
            None => format!("its values are {}", some(texts.into_iter())),
        };
        self.findings.add(Code::ArgumentValue, self.file, term.span, message, mend);
    }

    fn never(&mut self, part: &Part, is: Types, span: Span) {
        if self.findings.has_in(self.file, span) {
            return;
        }
        let types = part.shape.types;
        let message = format!("{} is {types} by the server's schema, never {is}", part.called);
        let mend = format!("write a value of type {types}");
        self.findings.add(Code::ArgumentType, self.file, span, message, mend);
    }
}
