//! Reach: of which calls does a statement speak, and does it speak of more or of less than its author means?

use std::collections::{BTreeSet, HashMap};

use crate::normal::{comparison, normal, rows, shown};
use crate::set::{Set, places};
use crate::words::{self, Column};
use crate::{Code, Findings};
use hardtack::internal::syntax::{Atom, Kind, Query, Statement, Term, Value};

/// Operations, whole.
pub(super) type Tools = BTreeSet<String>;

/// What the operations of tool calls begin with.
pub(super) const CALL: &str = "tools:call:";

/// How long before the end of a table it is said: long enough to write the next rows.
const WARNED_BEFORE: u64 = 30 * 24 * 60 * 60;

/// The most rows of a table of moments that are looked through, for each statement that reads it.
const MAX_ROWS: usize = 1000;

pub(super) fn check(set: &Set, now: Option<u64>, findings: &mut Findings) {
    checks_of_one_tool(set, now, findings);
    for (statement, query) in set.queries() {
        unjoined(set, statement, query, findings);
        if let (Kind::Deny | Kind::RejectIf, Some(now)) = (statement.kind, now) {
            ends(set, query, now, findings);
        }
    }
}

/// The operations of which alone a question can hold; `None` where it names none, none where it cannot hold.
pub(super) fn tools(set: &Set, query: &Query, now: Option<u64>) -> Option<Tools> {
    let Ok(normal) = normal(set, query, now) else { return Some(Tools::new()) };
    let candidates = normal.candidates(set);
    let find = |name: &str| normal.atoms.iter().find(|atom| atom.name == name);
    let values = |atom: &Atom, before: &str| {
        let term = atom.terms.first()?;
        let values = match term.variable() {
            Some(name) => candidates.get(name).map(|(values, _)| values.clone())?,
            None => vec![term.clone()],
        };
        let whole = |term: &Term| Some(format!("{before}{}", term.text()?));
        values.iter().map(whole).collect::<Option<Tools>>()
    };
    let by_operation = find("operation").and_then(|atom| values(atom, ""));
    by_operation.or_else(|| find("tool").and_then(|atom| values(atom, CALL)))
}

/// `check if tool("pay"), …`: whatever else is called, it does not hold.
fn checks_of_one_tool(set: &Set, now: Option<u64>, findings: &mut Findings) {
    let allowed: Vec<Option<Tools>> = set
        .queries()
        .filter(|(statement, _)| statement.kind == Kind::Allow)
        .map(|(_, query)| tools(set, query, now))
        .collect();
    for check in &set.statements {
        if !matches!(check.kind, Kind::CheckIf | Kind::CheckAll)
            || findings.has_in(check.file, check.span)
        {
            continue;
        }
        let passed = check.queries.iter().map(|query| tools(set, query, now));
        let Some(passed) = passed.collect::<Option<Vec<Tools>>>() else { continue };
        let passed: Tools = passed.into_iter().flatten().collect();
        let others = |allowed: &Option<Tools>| match allowed {
            None => Some("other operations".to_owned()),
            Some(allowed) => allowed.difference(&passed).next().map(|name| format!("`{name}`")),
        };
        let Some(other) = allowed.iter().find_map(others) else { continue };
        let Some(one) = passed.iter().next() else { continue };
        let message = format!(
            "this check fails for every call of another operation: {other} that an `allow if` is about can never be called"
        );
        let mend = format!(
            "let the others pass, as in `check if operation($op), $op != \"{}\" or …`, or write the condition into the `allow if`",
            one.escape_debug()
        );
        findings.add(Code::CheckForOneTool, check.file, check.span, message, mend);
    }
}

/// A fact that is there for every call, and of which nothing is asked: `subject($who)` with `$who` nowhere else.
fn unjoined(set: &Set, statement: &Statement, query: &Query, findings: &mut Findings) {
    if findings.has_in(statement.file, query.span) {
        return;
    }
    let mut count: HashMap<&str, usize> = HashMap::new();
    let head = statement.head.iter().filter(|_| statement.kind == Kind::Rule);
    let terms = head.chain(&query.atoms).flat_map(|atom| &atom.terms);
    for name in terms.filter_map(Term::variable) {
        *count.entry(name).or_default() += 1;
    }
    for condition in &query.conditions {
        for name in condition.variables() {
            *count.entry(name).or_default() += 1;
        }
    }
    // Alone, it says that everything is meant.
    if query.atoms.len() < 2 {
        return;
    }
    for atom in query.atoms.iter().filter(|atom| is_always_there(set, atom)) {
        let once = |term: &Term| {
            term.variable()
                .is_some_and(|name| !name.starts_with('_') && count.get(name) == Some(&1))
        };
        let Some(name) = atom.terms.first().and_then(Term::variable) else { continue };
        if !atom.terms.iter().all(once) {
            continue;
        }
        let message = format!(
            "`{}` is there for every call, and ${name} is compared with nothing, so it asks for nothing",
            atom.name
        );
        let mend = format!(
            "put ${name} where it is to be the same, as in arg(\"owner\", ${name}), or take `{}` out",
            atom.name
        );
        findings.add(Code::MissingJoin, statement.file, atom.span, message, mend);
    }
}

fn is_always_there(set: &Set, atom: &Atom) -> bool {
    // To say that what is granted is meant is how policies begin.
    if ["operation", "granted"].contains(&atom.name.as_str()) {
        return false;
    }
    match words::find(&atom.name) {
        Some(word) => word.is_always() && word.columns.len() == atom.terms.len(),
        None => set.is_closed(&atom.name) && rows(set, atom).is_none_or(|rows| !rows.is_empty()),
    }
}

/// A refusal by a table of moments, whose last is over or nearly so: from then on it refuses nothing.
fn ends(set: &Set, query: &Query, now: u64, findings: &mut Findings) {
    let places = places(query);
    let is_moment =
        |name: &str| places.get(name).is_some_and(|columns| columns.contains(&Column::Moment));
    let time = query.atoms.iter().find(|atom| atom.name == "time");
    let Some(moment) = time.and_then(|atom| atom.terms.first()?.variable()) else { return };
    let compared = |name: &str| {
        is_moment(name)
            || query.conditions.iter().any(|condition| {
                let variables = condition.variables();
                variables.contains(&name) && variables.contains(&moment)
            })
    };
    for atom in query.atoms.iter().filter(|atom| set.is_closed(&atom.name)) {
        if !atom.terms.iter().filter_map(Term::variable).any(compared) {
            continue;
        }
        if set.facts(&atom.name).nth(MAX_ROWS).is_some() {
            continue;
        }
        let moments = set.facts(&atom.name).flat_map(|(statement, fact)| {
            let dates = fact.terms.iter().filter_map(|term| match term.value {
                Value::Date(moment) => Some(moment),
                _ => None,
            });
            dates.map(move |moment| (moment, statement, fact))
        });
        let Some((last, at, fact)) = moments.max_by_key(|(moment, ..)| *moment) else { continue };
        if last > now.saturating_add(WARNED_BEFORE) || is_closed_after(set, last) {
            continue;
        }
        let end = shown(&Term { value: Value::Date(last), span: fact.span });
        let message = format!(
            "`{}` ends here: after {end}, what it was to refuse is allowed, without a word",
            atom.name
        );
        let mend = format!(
            "add the next rows, and let nothing through after the last: check if time($now), $now < {end}"
        );
        findings.add(Code::TableEnds, at.file, fact.span, message, mend);
    }
}

/// Whether a check lets nothing through after a moment.
fn is_closed_after(set: &Set, last: u64) -> bool {
    let last = i128::from(last);
    set.statements.iter().filter(|one| one.kind == Kind::CheckIf).any(|check| {
        check.queries.iter().all(|query| {
            let moment = query.atoms.iter().find(|atom| atom.name == "time");
            let moment = moment.and_then(|atom| atom.terms.first()?.variable());
            query.conditions.iter().flat_map(|condition| condition.parts()).any(|part| {
                comparison(part).is_some_and(|(name, operator, limit)| {
                    use biscuit_parser::builder::Binary::{LessOrEqual, LessThan};
                    Some(name) == moment
                        && limit <= last
                        && matches!(operator, LessThan | LessOrEqual)
                })
            })
        })
    })
}
