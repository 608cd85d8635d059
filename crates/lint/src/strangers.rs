//! Strangers: of which tools and arguments does a policy speak that the server does not have?

use std::collections::BTreeSet;

use biscuit_parser::builder::Binary;

use crate::listed::{MAX_NAME, ServerTools, asked_of};
use crate::near;
use crate::reach::{self, CALL, Tools};
use crate::schema::{Others, Shape};
use crate::set::{self, Set};
use crate::unfold::unfold;
use crate::words::Column;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Expr, Kind, Node, Query, Statement, Term};

/// How many names a message has.
const MAX_SHOWN: usize = 6;

/// Among how many names of tools those for a message are looked up: a server may have thousands, and a set ask for hundreds of others.
const MAX_LOOKED: usize = 200;

pub(super) fn check(set: &Set, servers: &[ServerTools], now: Option<u64>, findings: &mut Findings) {
    for (statement, query) in set.queries() {
        tools(set, servers, statement, query, findings);
        let known = known(set, servers, query, now);
        if known.is_empty() {
            continue;
        }
        for term in named(query, Column::ArgumentName) {
            // What refuses, and the rules that it reads, finds an argument in all its spellings.
            let folds = statement.kind == Kind::CheckAll || !set.lets_through(statement);
            argument(&known, (statement.file, folds), term.literal, findings);
        }
    }
}

/// A tool that a question can be about, and what it takes.
pub(super) struct Known<'o> {
    pub(super) tool: String,
    pub(super) shape: &'o Shape,
}

/// The tools of the servers that a question can be about; none where it can be about others, too.
pub(super) fn known<'o>(
    set: &Set,
    servers: &'o [ServerTools],
    query: &Query,
    now: Option<u64>,
) -> Vec<Known<'o>> {
    let servers = asked_of(servers, query);
    if servers.is_empty() {
        return Vec::new();
    }
    let Some(operations) = pinned(set, query, now) else { return Vec::new() };
    let mut found = Vec::new();
    for operation in &operations {
        let Some(tool) = operation.strip_prefix(CALL) else { return Vec::new() };
        let before = found.len();
        let shapes = servers.iter().filter_map(|server| server.tool(tool));
        found.extend(shapes.map(|shape| Known { tool: tool.to_owned(), shape }));
        if found.len() == before {
            return Vec::new();
        }
    }
    found
}

/// The operations of which alone a question can hold, through whatever rules.
pub(super) fn pinned(set: &Set, query: &Query, now: Option<u64>) -> Option<Tools> {
    if let Some(tools) = reach::tools(set, query, now) {
        return Some(tools);
    }
    let all = unfold(set, query);
    let all = all.iter().map(|query| reach::tools(set, query, now));
    Some(all.collect::<Option<Vec<Tools>>>()?.into_iter().flatten().collect())
}

/// What is written out where a value of Hardtack's stands.
struct Named<'q> {
    literal: &'q Term,
    /// It is the beginning of such a value.
    begins: bool,
}

/// Everything that is compared with the values of a column.
fn named(query: &Query, column: Column) -> Vec<Named<'_>> {
    let whole = |literal| Named { literal, begins: false };
    let atoms = set::columns(query).filter(|(_, _, other)| *other == column);
    let mut found: Vec<Named<'_>> = atoms
        .filter_map(|(atom, index, _)| atom.terms.get(index))
        .filter(|term| term.variable().is_none())
        .map(whole)
        .collect();
    let places = set::places(query);
    let is_it = |expr: &Expr| {
        expr.variable()
            .and_then(|name| places.get(name))
            .is_some_and(|columns| columns.contains(&column))
    };
    for condition in &query.conditions {
        condition.walk(&mut |expr| {
            let Node::Binary(operator, left, right) = &expr.node else { return };
            match operator {
                Binary::Equal
                | Binary::HeterogeneousEqual
                | Binary::NotEqual
                | Binary::HeterogeneousNotEqual => {
                    for (one, other) in [(left, right), (right, left)] {
                        found.extend(other.constant().filter(|_| is_it(one)).map(whole));
                    }
                }
                Binary::Contains if is_it(right) => {
                    let all = left.constant().and_then(Term::elements).unwrap_or_default();
                    found.extend(all.iter().map(whole));
                }
                Binary::Prefix if is_it(left) => {
                    let begins = |literal| Named { literal, begins: true };
                    found.extend(right.constant().map(begins));
                }
                _ => {}
            }
        });
    }
    found
}

/// Tools and operations, in a question and in the facts that it joins them with.
fn tools(
    set: &Set,
    servers: &[ServerTools],
    statement: &Statement,
    query: &Query,
    findings: &mut Findings,
) {
    let servers = asked_of(servers, query);
    if servers.is_empty() {
        return;
    }
    let places = set::places(query);
    for column in [Column::Tool, Column::Operation] {
        let called = |named: &Named<'_>| {
            let text = named.literal.text()?;
            let name = if column == Column::Tool { text } else { text.strip_prefix(CALL)? };
            (!name.is_empty()).then(|| name.to_owned())
        };
        for one in named(query, column) {
            if let Some(name) = called(&one) {
                tool(&servers, column, &name, &one, statement.file, findings);
            }
        }
        for atom in query.atoms.iter().filter(|atom| set.is_closed(&atom.name)) {
            for (index, term) in atom.terms.iter().enumerate() {
                let columns = term.variable().and_then(|name| places.get(name));
                if !columns.is_some_and(|columns| columns.contains(&column)) {
                    continue;
                }
                for (fact, head) in set.facts(&atom.name) {
                    let literal =
                        head.terms.get(index).filter(|_| head.terms.len() == atom.terms.len());
                    let Some(one) = literal.map(|literal| Named { literal, begins: false }) else {
                        continue;
                    };
                    if let Some(name) = called(&one) {
                        tool(&servers, column, &name, &one, fact.file, findings);
                    }
                }
            }
        }
    }
}

fn tool(
    servers: &[&ServerTools],
    column: Column,
    name: &str,
    named: &Named<'_>,
    file: usize,
    findings: &mut Findings,
) {
    let has = |server: &&ServerTools| match named.begins {
        true => server.begins_one(name),
        false => server.tool(name).is_some(),
    };
    // What is no tool's name at all is reported for what it is.
    if servers.iter().any(has) || findings.has_in(file, named.literal.span) {
        return;
    }
    let who = match servers {
        [one] => one.called(),
        several => format!("none of the {} servers", several.len()),
    };
    let verb = if servers.len() == 1 { "lists no" } else { "lists a" };
    let like = if named.begins { " that begins with" } else { "" };
    let message = format!("{who} {verb} tool{like} `{}`", name.escape_debug());
    let all = || servers.iter().flat_map(|server| server.names());
    let meant = nearest(name, all()).filter(|_| !named.begins);
    let mend = match meant {
        Some(meant) => {
            let before = if column == Column::Tool { "" } else { CALL };
            format!("write \"{before}{}\"", meant.escape_debug())
        }
        None if all().next().is_none() => "ask whether the list is of the right server".to_owned(),
        None => {
            // Several servers may have tools of one name.
            let first: BTreeSet<&str> = all().take(MAX_LOOKED).collect();
            format!("its tools are {}; or take it out", some(first.into_iter()))
        }
    };
    findings.add(Code::UnknownTool, file, named.literal.span, message, mend);
}

/// The nearest name, where both are short enough to be compared.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.filter(|known| known.len() <= MAX_NAME);
    near::nearest(name, known).filter(|_| name.len() <= MAX_NAME)
}

/// Some of these names, for a message.
pub(super) fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.filter(|name| name.len() <= MAX_NAME).peekable();
    let shown = names.by_ref().take(MAX_SHOWN).map(|name| format!("`{}`", name.escape_debug()));
    let mut shown = shown.collect::<Vec<_>>().join(", ");
    // What is too long to be shown is left out, be it all.
    match (shown.is_empty(), names.peek()) {
        (true, _) => shown.push('…'),
        (false, Some(_)) => shown.push_str(", …"),
        _ => {}
    }
    shown
}

/// An argument that none of the tools takes.
fn argument(
    known: &[Known<'_>],
    (file, folds): (usize, bool),
    literal: &Term,
    findings: &mut Findings,
) {
    let Some(name) = literal.text().filter(|name| !name.is_empty()) else { return };
    let folded = |name: &str| name.trim().to_lowercase();
    let lacks = |one: &Known<'_>| {
        one.shape.lacks(name)
            && !(folds && one.shape.members.keys().any(|member| folded(member) == folded(name)))
    };
    if !known.iter().all(lacks) || findings.has_in(file, literal.span) {
        return;
    }
    let tools: BTreeSet<&str> = known.iter().map(|one| one.tool.as_str()).collect();
    let is_closed = known.iter().all(|one| one.shape.others == Others::Refused);
    let members = known.iter().flat_map(|one| one.shape.members.keys().map(String::as_str));
    let (message, mend) = unknown(&some(tools.into_iter()), name, is_closed, members.collect());
    findings.add(Code::UnknownArgument, file, literal.span, message, mend);
}

/// What to say of a name that is not among these.
pub(super) fn unknown(
    whole: &str,
    name: &str,
    is_closed: bool,
    members: BTreeSet<&str>,
) -> (String, String) {
    let name_shown = name.escape_debug();
    let message = match is_closed {
        true => {
            format!("{whole} takes no `{name_shown}`: its schema refuses what it does not name")
        }
        false => format!(
            "the schema of {whole} does not name `{name_shown}`, so probably the server does not know it"
        ),
    };
    let mend = match nearest(name, members.iter().copied()) {
        Some(meant) => format!("write \"{}\"", meant.escape_debug()),
        None if members.is_empty() => "it has no names at all; take this out".to_owned(),
        None => format!("its names are {}", some(members.into_iter())),
    };
    (message, mend)
}
