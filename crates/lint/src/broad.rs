//! Broad: what holds for every call, or for nearly every one, and what for none.

use crate::always::{Holds, Known, truth};
use crate::normal::{normal, replaced, rows};
use crate::set::Set;
use crate::unfold::unfold;
use crate::words::{self, Column};
use crate::{Code, Findings};
use biscuit_parser::builder::{Binary, Unary};
use hardtack::internal::syntax::{Atom, Expr, Kind, Node, Query, Span, Statement, Term, Value};

pub(super) fn check(set: &Set, now: Option<u64>, findings: &mut Findings) {
    for statement in &set.statements {
        let mut impossible = 0;
        let mut whole = false;
        for query in &statement.queries {
            let mut broad = None;
            if statement.kind == Kind::Allow {
                broad = broadly(set, query, now);
            }
            if let Some(span) = broad {
                catch_all(statement, span, findings);
                continue;
            }
            if holds_always(set, query, now) {
                whole |= always(statement, query, findings);
                continue;
            }
            let none = conditions(set, statement, query, now, findings);
            impossible += usize::from(none || contradicts(set, statement, query, now, findings));
        }
        let refuses = matches!(statement.kind, Kind::CheckIf | Kind::CheckAll);
        if refuses && !whole && impossible == statement.queries.len() {
            let message = "this check never holds, so every call is refused";
            let mend = "mend its conditions, or take it out";
            findings.add(Code::NeverMatches, statement.file, statement.span, message, mend);
        }
    }
}

fn catch_all(statement: &Statement, span: Span, findings: &mut Findings) {
    let message = "this allows every call, or nearly every one, and does not even say granted($op)";
    let mend = "say what is allowed, as in `allow if tool(\"search\"), operation($op), granted($op)`; for all that is granted: `allow if operation($op), granted($op)`";
    findings.add(Code::CatchAllAllow, statement.file, span, message, mend);
}

fn broadly(set: &Set, query: &Query, now: Option<u64>) -> Option<Span> {
    unfold(set, query).iter().find_map(|query| catches_all(set, query, now))
}

/// Where it is said that nothing limits a question.
fn catches_all(set: &Set, query: &Query, now: Option<u64>) -> Option<Span> {
    if query.atoms.iter().any(|atom| atom.name == "granted") {
        return None;
    }
    let known = Known::of(set, query, now);
    if query.atoms.iter().any(|atom| limits(set, query, atom)) {
        return None;
    }
    let mut place = None;
    for part in query.conditions.iter().flat_map(Expr::parts) {
        match known.holds(part) {
            Holds::Always | Holds::Nearly => {
                place.get_or_insert(part.span);
            }
            Holds::Sometimes if passes_strangers(&known, part) => {
                place.get_or_insert(part.span);
            }
            Holds::Sometimes if says_only_when(&known, part) => {}
            Holds::Sometimes | Holds::Never => return None,
        }
    }
    place.or(query.atoms.first().map(|atom| atom.name_span)).or(Some(query.span))
}

/// Names that no policy means.
const STRANGERS: [&str; 3] = ["zq7_Unheard-of.x", "q0xj_4", "Wvx9-8"];

/// Whether a condition on the operation or tool passes whatever it is called.
fn passes_strangers(known: &Known<'_>, part: &Expr) -> bool {
    let variables = part.variables();
    let Some(name) = variables.first().filter(|name| variables.iter().all(|one| one == *name))
    else {
        return false;
    };
    let before = match known.columns(name) {
        [Column::Operation, ..] => "tools:call:",
        [Column::Tool, ..] => "",
        [Column::Depth, ..] => {
            return (0..=2).all(|hops| comes_true(part, name, &Value::Integer(hops)));
        }
        _ => return false,
    };
    STRANGERS
        .iter()
        .all(|stranger| comes_true(part, name, &Value::Text(format!("{before}{stranger}"))))
}

/// Whether a condition holds with this value of its variable.
fn comes_true(part: &Expr, name: &str, value: &Value) -> bool {
    let with = |term: &Term| match term.variable() == Some(name) {
        true => Term { value: value.clone(), span: term.span },
        false => term.clone(),
    };
    truth(&replaced(part, &with)) == Some(true)
}

/// A condition on the moment, the server or the kind of token says nothing of the call.
fn says_only_when(known: &Known<'_>, part: &Expr) -> bool {
    let variables = part.variables();
    let is_when = |column: &Column| {
        matches!(column, Column::Audience | Column::Kind | Column::Digest) || is_of_moment(*column)
    };
    !variables.is_empty()
        && variables.iter().all(|name| {
            let columns = known.columns(name);
            !columns.is_empty() && columns.iter().all(is_when)
        })
}

fn is_of_moment(column: Column) -> bool {
    matches!(column, Column::Moment | Column::Zone | Column::Weekday | Column::Minute | Column::Age)
}

/// Whether a predicate holds for some calls only.
fn limits(set: &Set, query: &Query, atom: &Atom) -> bool {
    let shared = |name: &str| {
        let others = query.atoms.iter().filter(|other| !std::ptr::eq(*other, atom));
        let elsewhere = others.filter(|other| other.name != atom.name);
        let mut elsewhere = elsewhere.flat_map(|other| &other.terms);
        let within = atom.terms.iter().filter(|term| term.variable() == Some(name)).count();
        within > 1 || elsewhere.any(|term| term.variable() == Some(name))
    };
    let free = || atom.terms.iter().filter_map(|term| term.variable()).all(|name| !shared(name));
    match words::find(&atom.name) {
        Some(word) if word.columns.len() == atom.terms.len() => {
            let says = atom.terms.iter().zip(word.columns).any(|(term, column)| {
                term.variable().is_none()
                    && !matches!(column, Column::Kind | Column::Audience | Column::Zone)
            });
            says || !free()
        }
        Some(_) => true,
        None => {
            let stated = set.is_closed(&atom.name);
            let there = stated && rows(set, atom).is_some_and(|rows| !rows.is_empty());
            !(there && free())
        }
    }
}

/// Whether a question has a match whatever the call is.
fn holds_always(set: &Set, query: &Query, now: Option<u64>) -> bool {
    let known = Known::of(set, query, now);
    let mut seen: Vec<&str> = Vec::new();
    let every = query.atoms.iter().all(|atom| {
        let Some(word) = words::find(&atom.name) else {
            return !limits(set, query, atom);
        };
        let same = ["operation", "granted"].contains(&word.name);
        word.is_always()
            && word.columns.len() == atom.terms.len()
            && atom.terms.iter().all(|term| {
                let name = term.variable();
                let free = name.is_some_and(|name| same || !seen.contains(&name));
                seen.extend(name);
                free
            })
    });
    let parts: Vec<&Expr> = query.conditions.iter().flat_map(Expr::parts).collect();
    every && parts.iter().all(|part| known.holds(part) == Holds::Always)
}

/// Says that a question always holds; an `allow if` that says `granted` may.
fn always(statement: &Statement, query: &Query, findings: &mut Findings) -> bool {
    // To say once more that what is granted is granted is harmless, and done on purpose.
    let restates =
        query.conditions.is_empty() && query.atoms.iter().any(|atom| atom.name == "granted");
    let (message, mend) = match statement.kind {
        Kind::CheckIf | Kind::CheckAll if restates => return true,
        Kind::Deny | Kind::RejectIf => (
            "this holds for every call, so that every call is refused",
            "say which calls are refused, as in `deny if tool(\"delete_page\")`",
        ),
        Kind::CheckIf | Kind::CheckAll => (
            "this holds for every call, so the check checks nothing",
            "say what must hold, as in `check if depth($hops), $hops <= 3`, or take the check out",
        ),
        _ if query.conditions.is_empty() => return true,
        Kind::Allow => (
            "this condition always holds, so it limits nothing",
            "take the condition out, or say what was meant",
        ),
        _ => return true,
    };
    let span = query.conditions.first().map_or(query.span, |condition| condition.span);
    findings.add(Code::AlwaysHolds, statement.file, span, message, mend);
    true
}

/// Reports each condition that always or never holds; whether one never does.
fn conditions(
    set: &Set,
    statement: &Statement,
    query: &Query,
    now: Option<u64>,
    findings: &mut Findings,
) -> bool {
    let known = Known::of(set, query, now);
    let mut never = false;
    for part in query.conditions.iter().flat_map(Expr::parts) {
        never |= known.holds(part) == Holds::Never;
        visit(&known, statement, part, now, findings);
    }
    never
}

fn visit(
    known: &Known<'_>,
    statement: &Statement,
    expr: &Expr,
    now: Option<u64>,
    findings: &mut Findings,
) {
    let literal = expr.constant().is_some();
    match known.holds(expr) {
        Holds::Always => {
            let (message, mend) = match literal {
                true => ("`true` says nothing here", "take it out"),
                false => (
                    "this always holds, whatever the call is, so it says nothing",
                    "take it out, or compare with what was meant",
                ),
            };
            findings.add(Code::AlwaysHolds, statement.file, expr.span, message, mend);
        }
        Holds::Never => {
            // A moment that has passed is only now one at which a `deny` has nothing left to do.
            let over = mentions_time(known, expr);
            if over
                && matches!(statement.kind, Kind::Deny | Kind::RejectIf)
                && !long_past(expr, now)
            {
                return;
            }
            let (message, mend) = match over {
                true => (
                    "this moment has passed, so this never holds again",
                    "write a later moment, or delete what is over",
                ),
                false => (
                    "this never holds, whatever the call is",
                    "take it out, or compare with what was meant",
                ),
            };
            findings.add(Code::NeverMatches, statement.file, expr.span, message, mend);
        }
        _ => match &expr.bare().node {
            Node::Unary(Unary::Negate, inner) => visit(known, statement, inner, now, findings),
            Node::Binary(Binary::LazyAnd | Binary::LazyOr, left, right) => {
                visit(known, statement, left, now, findings);
                visit(known, statement, right, now, findings);
            }
            _ => {}
        },
    }
}

fn mentions_time(known: &Known<'_>, expr: &Expr) -> bool {
    expr.variables().iter().any(|name| known.columns(name).contains(&Column::Moment))
}

/// Whether every moment in it is more than a year ago.
fn long_past(expr: &Expr, now: Option<u64>) -> bool {
    let mut past = true;
    expr.walk(&mut |expr| {
        if let Some(Value::Date(moment)) = expr.constant().map(|term| &term.value) {
            past &= now.is_some_and(|now| moment.saturating_add(YEAR) < now);
        }
    });
    past
}

/// Seconds of a year.
const YEAR: u64 = 365 * 24 * 60 * 60;

/// Whether the conditions of a question exclude each other.
fn contradicts(
    set: &Set,
    statement: &Statement,
    query: &Query,
    now: Option<u64>,
    findings: &mut Findings,
) -> bool {
    let found = match normal(set, query, now) {
        Err(conflict) => Some(conflict),
        Ok(normal) => normal.contradiction(set),
    };
    let Some(conflict) = found else { return false };
    let what = match statement.kind {
        Kind::Rule => "this rule never derives anything",
        Kind::Deny | Kind::RejectIf => "this never refuses anything",
        Kind::Allow => "this never allows anything",
        _ => "this never holds",
    };
    let message = format!("{}, so {what}", conflict.why);
    let mend = "separate alternatives with `or`, or take one of the conditions out";
    findings.add(Code::NeverMatches, statement.file, conflict.span, message, mend);
    true
}
