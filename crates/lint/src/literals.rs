//! Literals: what is written out and can never stand where it is compared.

use std::collections::{BTreeMap, HashMap};

use biscuit_parser::builder::Binary;

use crate::set::{self, Set};
use crate::words::{Column, Types, Values, find, refuses_key};
use crate::{Code, Findings};
use crate::{matching, regex};
use hardtack::internal::syntax::{Expr, Kind, Node, Query, Span, Statement, Term, Value};

/// What the set's own facts are compared with: by name, number of terms and place.
type Uses = BTreeMap<(String, usize, usize), Vec<Use>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    column: Column,
    how: How,
    lets_through: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Equal,
    /// A set or array in which it is looked for.
    Among,
    Beginning,
    Part,
}

/// How often it is looked at what rules hand on, up to a fixpoint.
const MAX_ROUNDS: usize = 4;

pub(super) fn check(set: &Set, findings: &mut Findings) {
    let mut uses = Uses::new();
    for _ in 0..MAX_ROUNDS {
        let before: usize = uses.values().map(Vec::len).sum();
        for (statement, query) in set.queries() {
            collect(set, statement, query, &mut uses);
        }
        if uses.values().map(Vec::len).sum::<usize>() == before {
            break;
        }
    }
    for (statement, query) in set.queries() {
        let columns = columns(set, statement, query, &uses);
        strangers(&columns, statement, query, findings);
        let mut judge = Judge { file: statement.file, columns: &columns, findings };
        for (atom, index, column) in set::columns(query) {
            if let Some(term) = atom.terms.get(index) {
                judge.literal(&[column], term, true);
            }
        }
        for condition in &query.conditions {
            condition.walk(&mut |expr| judge.expression(expr));
        }
    }
    facts(set, &uses, findings);
}

/// Columns that have no value in common.
const STRANGERS: [(Column, Column); 8] = [
    (Column::Agent, Column::Subject),
    (Column::Tool, Column::Resource),
    (Column::Agent, Column::Resource),
    (Column::Key, Column::Subject),
    (Column::Key, Column::Resource),
    (Column::Kind, Column::Subject),
    (Column::Kind, Column::Resource),
    (Column::Kind, Column::Key),
];

/// A variable that stands in two places which are never the same.
fn strangers(
    columns: &HashMap<&str, Vec<Column>>,
    statement: &Statement,
    query: &Query,
    findings: &mut Findings,
) {
    for (atom, index, _) in set::columns(query) {
        let Some((name, term)) = atom.terms.get(index).and_then(|t| Some((t.variable()?, t)))
        else {
            continue;
        };
        let has = |column: &Column| columns.get(name).is_some_and(|all| all.contains(column));
        if let Some((a, b)) = STRANGERS.iter().find(|(a, b)| has(a) && has(b)) {
            let message = format!(
                "${name} is both {} and {}, and nothing is both, so this never matches",
                a.described(),
                b.described()
            );
            let mend = "use two variables";
            findings.add(Code::NeverMatches, statement.file, term.span, message, mend);
            return;
        }
    }
}

/// Which columns the variables of a body have, with what is said of its rule's head elsewhere.
fn columns<'q>(
    set: &Set,
    statement: &'q Statement,
    query: &'q Query,
    uses: &Uses,
) -> HashMap<&'q str, Vec<Column>> {
    let mut found = set::places(query);
    for atom in &query.atoms {
        for (index, term) in atom.terms.iter().enumerate() {
            let Some(name) = term.variable() else { continue };
            let derived = set.derived.get(&(atom.name.clone(), atom.terms.len(), index));
            let entry = found.entry(name).or_default();
            for column in derived.into_iter().flatten() {
                if !entry.contains(column) {
                    entry.push(*column);
                }
            }
        }
    }
    for (index, term) in statement.head.iter().flat_map(|head| head.terms.iter().enumerate()) {
        let (Some(name), Some(head)) = (term.variable(), &statement.head) else { continue };
        let used = uses.get(&(head.name.clone(), head.terms.len(), index));
        let entry = found.entry(name).or_default();
        for one in used.into_iter().flatten().filter(|one| one.how == How::Equal) {
            if !entry.contains(&one.column) {
                entry.push(one.column);
            }
        }
    }
    found
}

fn collect(set: &Set, statement: &Statement, query: &Query, uses: &mut Uses) {
    let columns = columns(set, statement, query, uses);
    let lets_through = set.lets_through(statement);
    let mut beginnings: HashMap<&str, Vec<Use>> = HashMap::new();
    for condition in &query.conditions {
        set::with_polarity(condition, lets_through, &mut |expr, lets_through| {
            let Node::Binary(operator, left, right) = &expr.node else { return };
            let how = match operator {
                Binary::Prefix => How::Beginning,
                Binary::Contains | Binary::Suffix => How::Part,
                _ => return,
            };
            let (Some(whole), Some(part)) = (left.variable(), right.variable()) else { return };
            for column in columns.get(whole).into_iter().flatten() {
                beginnings.entry(part).or_default().push(Use {
                    column: *column,
                    how,
                    lets_through,
                });
            }
        });
    }
    for condition in &query.conditions {
        condition.walk(&mut |expr| {
            let Node::Binary(Binary::Contains, left, right) = &expr.node else { return };
            let (Some(among), Some(one)) = (left.variable(), right.variable()) else { return };
            for column in columns.get(one).into_iter().flatten() {
                let one = Use { column: *column, how: How::Among, lets_through };
                beginnings.entry(among).or_default().push(one);
            }
        });
    }
    for atom in query.atoms.iter().filter(|atom| find(&atom.name).is_none()) {
        for (index, term) in atom.terms.iter().enumerate() {
            let Some(name) = term.variable() else { continue };
            let equal = columns.get(name).into_iter().flatten();
            let equal = equal.map(|column| Use { column: *column, how: How::Equal, lets_through });
            let all = equal.chain(beginnings.get(name).into_iter().flatten().copied());
            let entry = uses.entry((atom.name.clone(), atom.terms.len(), index)).or_default();
            for one in all {
                if !entry.contains(&one) {
                    entry.push(one);
                }
            }
        }
    }
}

/// The values of the set's own facts, and of its rules' heads.
fn facts(set: &Set, uses: &Uses, findings: &mut Findings) {
    for statement in set.statements.iter().filter(|s| matches!(s.kind, Kind::Fact | Kind::Rule)) {
        let Some(head) = &statement.head else { continue };
        for (index, term) in head.terms.iter().enumerate() {
            let Some(uses) = uses.get(&(head.name.clone(), head.terms.len(), index)) else {
                continue;
            };
            let equal: Vec<Column> =
                uses.iter().filter(|one| one.how == How::Equal).map(|one| one.column).collect();
            let among: Vec<Column> =
                uses.iter().filter(|one| one.how == How::Among).map(|one| one.column).collect();
            let parts: Vec<&Use> =
                uses.iter().filter(|one| matches!(one.how, How::Beginning | How::Part)).collect();
            let columns = HashMap::new();
            if let Some(elements) =
                term.elements().filter(|_| !among.is_empty() && equal.is_empty())
            {
                let mut judge = Judge { file: statement.file, columns: &columns, findings };
                elements.iter().for_each(|element| judge.literal(&among, element, true));
                continue;
            }
            let is = Types::of(&term.value);
            let wanted = equal.iter().fold(Types::NONE, |all, column| all.or(column.types()));
            let others = set.types(head, index).meets(wanted);
            if !equal.is_empty() && others && term.variable().is_none() && !is.meets(wanted) {
                let message = format!(
                    "this is {is} and is only ever compared with {wanted}, so it never matches"
                );
                let mend = format!("write a value of type {wanted}, or delete it");
                findings.add(Code::WrongType, statement.file, term.span, message, mend);
                continue;
            }
            if !equal.is_empty() && parts.is_empty() {
                Judge { file: statement.file, columns: &columns, findings }
                    .literal(&equal, term, true);
            }
            for one in parts.into_iter().filter(|_| equal.is_empty()) {
                let mut judge = Judge { file: statement.file, columns: &columns, findings };
                judge.part(one.column, term, one.how == How::Beginning);
                if one.lets_through && one.how == How::Beginning {
                    let column = Some(one.column);
                    matching::loose(&Binary::Prefix, column, term, statement.file, findings);
                }
            }
        }
    }
}

fn no_beginning_of_a_uri(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
    let is_web = matches!(scheme, "http" | "https");
    let host = rest.split('/').next().unwrap_or_default();
    !text.is_empty()
        && (!text.starts_with(|c: char| c.is_ascii_lowercase())
            || text.contains("://") && scheme.contains(|c: char| c.is_ascii_uppercase())
            || is_web && host.contains(|c: char| c.is_ascii_uppercase()))
}

struct Judge<'a> {
    file: usize,
    columns: &'a HashMap<&'a str, Vec<Column>>,
    findings: &'a mut Findings,
}

impl Judge<'_> {
    fn expression(&mut self, expr: &Expr) {
        let Node::Binary(operator, left, right) = &expr.node else { return };
        let (left, right) = (left.bare(), right.bare());
        match operator {
            Binary::Equal | Binary::HeterogeneousEqual => self.compared(left, right, true),
            Binary::NotEqual | Binary::HeterogeneousNotEqual => self.compared(left, right, false),
            Binary::Contains => {
                if let Some(elements) = left.constant().and_then(Term::elements) {
                    self.members(elements, right);
                } else if let (Some(name), Some(term)) = (left.variable(), right.constant()) {
                    self.parts(name, term, false);
                }
            }
            Binary::Prefix | Binary::Suffix => {
                if let (Some(name), Some(term)) = (left.variable(), right.constant()) {
                    self.parts(name, term, *operator == Binary::Prefix);
                }
            }
            Binary::Any | Binary::All => self.closure(left, right),
            Binary::Regex | Binary::Ffi(_) => {
                if let (Some(name), Some(term)) = (left.variable(), right.constant()) {
                    self.pattern(name, term, operator);
                }
            }
            _ => {}
        }
    }

    fn compared(&mut self, left: &Expr, right: &Expr, equal: bool) {
        for (one, other) in [(left, right), (right, left)] {
            if let (Some(name), Some(term)) = (one.variable(), other.constant()) {
                let columns = self.columns.get(name).cloned().unwrap_or_default();
                self.literal(&columns, term, equal);
                self.moment(&columns, term, other.span);
            }
        }
    }

    fn members(&mut self, elements: &[Term], looked_for: &Expr) {
        let Some(name) = looked_for.variable() else { return };
        let columns = self.columns.get(name).cloned().unwrap_or_default();
        elements.iter().for_each(|element| self.literal(&columns, element, true));
    }

    /// `["…"].any($one -> $one == $value)`
    fn closure(&mut self, left: &Expr, right: &Expr) {
        let (Some(elements), Node::Closure(own, body)) =
            (left.constant().and_then(Term::elements), &right.node)
        else {
            return;
        };
        body.walk(&mut |expr| {
            let Node::Binary(operator, a, b) = &expr.node else { return };
            match (operator, a.variable(), b.variable()) {
                (
                    Binary::Equal
                    | Binary::HeterogeneousEqual
                    | Binary::NotEqual
                    | Binary::HeterogeneousNotEqual,
                    Some(one),
                    Some(other),
                ) => {
                    let other = match (one == own, other == own) {
                        (true, false) => b,
                        (false, true) => a,
                        _ => return,
                    };
                    self.members(elements, other);
                }
                (Binary::Prefix | Binary::Suffix | Binary::Contains, Some(whole), Some(part))
                    if part == own =>
                {
                    let beginning = *operator == Binary::Prefix;
                    elements.iter().for_each(|element| self.parts(whole, element, beginning));
                }
                _ => {}
            }
        });
    }

    /// What is written out at the beginning of a pattern.
    fn pattern(&mut self, name: &str, term: &Term, operator: &Binary) {
        let Some(text) = term.text() else { return };
        let found = match operator {
            Binary::Regex => regex::literal_beginning(text),
            Binary::Ffi(function) if function == "hardtack_glob" => {
                let end = text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len());
                Some((text.get(..end).unwrap_or_default().to_owned(), end == text.len()))
            }
            _ => None,
        };
        let Some((beginning, whole)) = found.filter(|(beginning, _)| !beginning.is_empty()) else {
            return;
        };
        let said = Term { value: Value::Text(beginning), span: term.span };
        let columns = self.columns.get(name).cloned().unwrap_or_default();
        match whole {
            true => self.literal(&columns, &said, true),
            false => self.parts(name, &said, true),
        }
    }

    fn parts(&mut self, name: &str, term: &Term, beginning: bool) {
        for column in self.columns.get(name).cloned().unwrap_or_default() {
            self.part(column, term, beginning);
        }
    }

    /// A part that no text of the column has.
    fn part(&mut self, column: Column, term: &Term, beginning: bool) {
        let Some(text) = term.text() else { return };
        if column == Column::Resource && beginning && no_beginning_of_a_uri(text) {
            let message = "no resource begins like this: it is a URI in normal form, with its scheme and host in lower case";
            let mend = match text.starts_with('/') {
                true => format!("write \"file://{}\"", text.escape_debug()),
                false => format!("write \"{}\"", text.to_lowercase().escape_debug()),
            };
            self.findings.add(Code::NeverMatches, self.file, term.span, message, mend);
            return;
        }
        if column.can_hold(text) {
            let doubled = beginning && column == Column::Tool && text.starts_with("tools:");
            if doubled {
                let message =
                    "a tool's name stands without `tools:call:`, so none begins with this";
                let mend = match text.strip_prefix("tools:call:") {
                    Some(name) if !name.is_empty() => format!("write \"{}\"", name.escape_debug()),
                    _ => "compare the operation, as in operation($op), $op.starts_with(\"tools:call:\")".to_owned(),
                };
                self.findings.add(Code::NeverMatches, self.file, term.span, message, mend);
            }
            return;
        }
        let message = match text.contains('*') {
            true => format!("`*` stands for itself here, and {} never has one", column.described()),
            false => format!("{} never has \"{}\" in it", column.described(), text.escape_debug()),
        };
        let mend = match text.strip_suffix('*') {
            Some(prefix) if column.can_hold(prefix) => {
                format!("write \"{}\"", prefix.escape_debug())
            }
            _ => "compare with a text that can be there".to_owned(),
        };
        self.findings.add(Code::NeverMatches, self.file, term.span, message, mend);
    }

    /// A value that can stand in none of these columns.
    fn literal(&mut self, columns: &[Column], term: &Term, equal: bool) {
        let outcome = if equal { "so this never matches" } else { "so this is never a difference" };
        if let (Value::Text(text), true) = (&term.value, columns.contains(&Column::Key)) {
            if let Some((why, mend)) = refuses_key(text) {
                self.findings.add(
                    Code::KeyLiteral,
                    self.file,
                    term.span,
                    format!("{why}, {outcome}"),
                    mend,
                );
            }
            return;
        }
        let refusals: Vec<_> =
            columns.iter().map(|column| (column, column.refuses(term))).collect();
        if refusals.is_empty() || refusals.iter().any(|(_, refusal)| refusal.is_none()) {
            return;
        }
        let Some((column, Some((why, mend)))) = refusals.first() else { return };
        let message = format!("this is compared with {}: {why}, {outcome}", column.described());
        self.findings.add(Code::NeverMatches, self.file, term.span, message, mend.clone());
    }

    /// One second out of all.
    fn moment(&mut self, columns: &[Column], term: &Term, span: Span) {
        if matches!(term.value, Value::Date(_)) && columns.contains(&Column::Moment) {
            let message = "a moment equals this for one second only, so this is hardly ever so";
            let mend = "compare with `<`, `<=`, `>` or `>=`";
            self.findings.add(Code::NeverMatches, self.file, span, message, mend);
        }
    }
}
