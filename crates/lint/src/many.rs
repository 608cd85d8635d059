//! Many: which `check if` is content with one of several facts that it means all of?

use std::collections::HashSet;

use biscuit_parser::builder::Binary;

use crate::normal::rows;
use crate::set::{self, Set};
use crate::words;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Atom, Expr, Kind, Node, Query, Statement};

pub(super) fn check(set: &Set, findings: &mut Findings) {
    for (statement, query) in set.queries() {
        differs_from_one(set, statement, query, findings);
    }
    for (statement, query) in set.queries().filter(|(s, _)| s.kind == Kind::CheckIf) {
        for atom in query.atoms.iter().filter(|atom| is_there_often(query, atom)) {
            let variables: HashSet<&str> = atom.terms.iter().filter_map(|t| t.variable()).collect();
            let mut parts = query.conditions.iter().flat_map(Expr::parts);
            let compared =
                parts.any(|part| part.variables().iter().any(|name| variables.contains(name)));
            let listed = query.atoms.iter().any(|other| {
                words::find(&other.name).is_none()
                    && other
                        .terms
                        .iter()
                        .filter_map(|term| term.variable())
                        .any(|name| variables.contains(name))
            });
            if !(compared || listed) {
                continue;
            }
            let message = format!(
                "one `{}` of several is enough for `check if`, and the others may be anything",
                atom.name
            );
            let mend =
                "write `check all` where every one must be so, or `reject if` with the opposite";
            findings.add(Code::CheckIfOverMany, statement.file, atom.name_span, message, mend);
            break;
        }
    }
}

/// `bad($one), $tool != $one`: of two facts, one always differs.
fn differs_from_one(set: &Set, statement: &Statement, query: &Query, findings: &mut Findings) {
    for atom in query.atoms.iter().filter(|atom| set.is_closed(&atom.name)) {
        let Some(rows) = rows(set, atom) else { continue };
        for (index, term) in atom.terms.iter().enumerate() {
            let Some(name) = term.variable() else { continue };
            let mut terms = query.atoms.iter().flat_map(|other| &other.terms);
            let stands = terms.by_ref().filter(|term| term.variable() == Some(name)).count();
            let mut values = rows.iter().filter_map(|row| row.terms.get(index));
            let first = values.next();
            let several = values.any(|value| Some(value) != first);
            if stands != 1 || !several {
                continue;
            }
            let mentions = |part: &&Expr| part.variables().contains(&name);
            let on_it: Vec<&Expr> =
                query.conditions.iter().flat_map(Expr::parts).filter(mentions).collect();
            let [part] = on_it.as_slice() else { continue };
            let Node::Binary(Binary::NotEqual | Binary::HeterogeneousNotEqual, left, right) =
                &part.node
            else {
                continue;
            };
            let others = [left, right].into_iter().filter_map(|side| side.variable());
            if others.filter(|other| *other != name).count() != 1 {
                continue;
            }
            let message = format!(
                "`{}` has several facts, and one of them always differs, so this always holds",
                atom.name
            );
            let mend = "list the values, as in ![\"…\", \"…\"].contains($value), or refuse what is listed with a `deny if`";
            findings.add(Code::AlwaysHolds, statement.file, part.span, message, mend);
        }
    }
}

/// Whether nothing pins down which of several facts is meant.
fn is_there_often(query: &Query, atom: &Atom) -> bool {
    let Some(word) = words::find(&atom.name).filter(|word| word.most() > 1) else { return false };
    let Some(first) = atom.terms.first().filter(|_| word.columns.len() == atom.terms.len()) else {
        return false;
    };
    // The name of an argument and the number of a hop say which.
    let Some(name) = first.variable() else { return false };
    let fixed = query.conditions.iter().flat_map(Expr::parts).any(|part| {
        set::equality(part).is_some_and(|(left, right)| {
            left.variable() == Some(name) && right.constant().is_some()
                || right.variable() == Some(name) && left.constant().is_some()
        })
    });
    // What stands in a fact that is there once says which of the others is meant.
    let stands_here = |name: &str| atom.terms.iter().any(|term| term.variable() == Some(name));
    let once = query.atoms.iter().any(|other| {
        words::find(&other.name).is_some_and(|word| word.most() == 1)
            && other.terms.iter().filter_map(|term| term.variable()).any(stands_here)
    });
    !fixed && !once && atom.name != "unbound"
}
