//! Alternatives: which alternative of an `or` lacks the conditions that were meant for all? `,` binds closer than `or`.

use crate::set::Set;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Atom, Kind, Query, Span, Term};

pub(super) fn check(set: &Set, findings: &mut Findings) {
    // In a check, an alternative that is weaker is what it is for; in a `deny if`, it refuses more.
    for statement in set.statements.iter().filter(|statement| statement.kind == Kind::Allow) {
        let queries = &statement.queries;
        let pairs = queries.windows(2).enumerate();
        for (at, pair) in pairs {
            let [before, after] = pair else { continue };
            let (weak, span, message) = match (first(after), last(before)) {
                (Some(own), _) if is_weak(before, own, after) => {
                    let run = first_of_run(queries.get(..at).unwrap_or_default(), own, after);
                    (before, run.unwrap_or(before.span), alone(own))
                }
                (_, Some(own)) if is_weak(after, own, before) => (after, after.span, alone(own)),
                _ if is_of_any_call(set, after) && is_of_one_tool(before) => {
                    (after, after.span, OF_ANY_CALL.to_owned())
                }
                _ => continue,
            };
            if findings.has_in(statement.file, weak.span) {
                continue;
            }
            let mend = "write the conditions into each alternative, or list the values, as in [\"…\", \"…\"].contains($value); if it is to be enough, give it an `allow if` of its own";
            findings.add(Code::LooseOr, statement.file, span, message, mend);
        }
    }
}

const OF_ANY_CALL: &str = "`,` binds closer than `or`: the other alternative alone says which call it is for, and this one is enough for all";

fn alone(own: &Atom) -> String {
    format!(
        "`,` binds closer than `or`: this `{}` alone is enough here, and the conditions of the other alternative are not asked for",
        own.name
    )
}

/// The first of the alternatives before that are as weak.
fn first_of_run(before: &[Query], own: &Atom, strong: &Query) -> Option<Span> {
    let run = before.iter().rev().take_while(|query| is_weak(query, own, strong));
    run.last().map(|query| query.span)
}

fn first(query: &Query) -> Option<&Atom> {
    query.atoms.iter().min_by_key(|atom| atom.span)
}

fn last(query: &Query) -> Option<&Atom> {
    query.atoms.iter().max_by_key(|atom| atom.span)
}

/// What says which call is meant, and not who may make it.
const CALLS: [&str; 3] = ["operation", "granted", "tool"];

/// Whether an alternative asks nothing of the call: who makes it, and when, is all. What a rule of the set asks is not looked through.
fn is_of_any_call(set: &Set, query: &Query) -> bool {
    let of_call = |atom: &Atom| CALLS.contains(&atom.name.as_str()) || is_part(atom);
    !query.atoms.is_empty()
        && !query.atoms.iter().any(|atom| of_call(atom) || set.rules(&atom.name).next().is_some())
}

fn is_part(atom: &Atom) -> bool {
    ["arg", "resource", "call"].contains(&atom.name.as_str())
}

/// Whether an alternative says which tool or operation is called, and asks for more.
fn is_of_one_tool(query: &Query) -> bool {
    let compared = |term: &Term| match term.variable() {
        Some(name) => query.conditions.iter().any(|one| one.variables().contains(&name)),
        None => true,
    };
    let names_it = |atom: &Atom| {
        ["operation", "tool"].contains(&atom.name.as_str())
            && atom.terms.first().is_some_and(compared)
    };
    query.atoms.iter().any(names_it)
        && query.atoms.iter().any(|atom| !CALLS.contains(&atom.name.as_str()))
}

/// Whether one alternative asks for nothing but what stands next to it in the other one, which asks for more. If it repeats anything
/// else of the other, it is written as a whole.
fn is_weak(weak: &Query, own: &Atom, strong: &Query) -> bool {
    let of_own = |atom: &&Atom| atom.name == own.name && atom.terms.len() == own.terms.len();
    let mut same = weak.atoms.iter().filter(of_own);
    let (Some(like), None) = (same.next(), same.next()) else { return false };
    let others = || weak.atoms.iter().filter(|atom| !of_own(atom));
    let repeats = others().any(|atom| strong.atoms.iter().any(|other| other.name == atom.name));
    let variables: Vec<&str> = like.terms.iter().filter_map(Term::variable).collect();
    let conditions = weak.conditions.iter();
    let is_about = conditions.flat_map(|one| one.variables()).all(|name| variables.contains(&name));
    !repeats
        && is_about
        && !others().any(|atom| restricts(weak, atom, own))
        && strong.atoms.iter().filter(|atom| !of_own(atom)).any(|atom| restricts(strong, atom, own))
}

/// Whether it asks for something: what is there for every call, and is compared with nothing, does not.
fn restricts(query: &Query, atom: &Atom, own: &Atom) -> bool {
    let is_call = |atom: &Atom| CALLS.contains(&atom.name.as_str());
    if is_call(atom) && is_call(own) {
        return false;
    }
    let compared =
        |name: &str| query.conditions.iter().any(|condition| condition.variables().contains(&name));
    let is_open = atom.terms.first().and_then(Term::variable).is_some_and(|name| !compared(name));
    !(["operation", "granted"].contains(&atom.name.as_str()) && is_open)
}
