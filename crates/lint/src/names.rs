//! Names: which `allow if` rests on what delegators call their agents, which nothing proves?

use crate::set::Set;
use crate::unfold::unfold;
use crate::words::{self, Column};
use crate::{Code, Findings};
use biscuit_parser::builder::Unary;
use hardtack::internal::syntax::{Atom, Expr, Kind, Node, Query, Span, Term};

pub(super) fn check(set: &Set, findings: &mut Findings) {
    for (statement, query) in set.queries().filter(|(s, _)| s.kind == Kind::Allow) {
        if let Some(span) = unfold(set, query).iter().find_map(rests) {
            let message = "this allows because of what a delegator calls its agent, and a delegator may call it anything";
            let mend = "require the key too, as in agent_key(\"…64 digits…\"), or start the server with a directory of names and keys and lint with --directory";
            findings.add(Code::RestsOnName, statement.file, span, message, mend);
        }
    }
}

/// Where an alternative asks for a name without a key beside it.
fn rests(query: &Query) -> Option<Span> {
    let named = terms(query, &[Column::Agent, Column::Delegator]);
    let keyed = terms(query, &[Column::Key]);
    if keyed.iter().any(|(_, term, _)| is_asked(query, term, false)) {
        return None;
    }
    let found = named.into_iter().find(|(_, term, column)| {
        // A subject's name has a `:`, and no agent's has.
        is_asked(query, term, *column == Column::Delegator)
    });
    found.map(|(atom, term, _)| if term.span == Span::default() { atom.span } else { term.span })
}

fn terms<'q>(query: &'q Query, columns: &[Column]) -> Vec<(&'q Atom, &'q Term, Column)> {
    let mut found = Vec::new();
    for atom in &query.atoms {
        let Some(word) = words::find(&atom.name) else { continue };
        if word.columns.len() != atom.terms.len() {
            continue;
        }
        let places = atom.terms.iter().zip(word.columns);
        found.extend(places.filter(|(_, c)| columns.contains(c)).map(|(term, c)| (atom, term, *c)));
    }
    found
}

/// Whether a term is written out, compared, or looked for among facts.
fn is_asked(query: &Query, term: &Term, may_be_subject: bool) -> bool {
    if let Some(text) = term.text() {
        return !(may_be_subject && text.contains(':'));
    }
    let Some(name) = term.variable() else { return true };
    let listed = query.atoms.iter().filter(|atom| words::find(&atom.name).is_none());
    let listed = listed.flat_map(|atom| &atom.terms).any(|term| term.variable() == Some(name));
    listed
        || query.conditions.iter().flat_map(Expr::parts).any(|part| {
            part.variables().contains(&name)
                && !asks_type_only(part)
                && !(may_be_subject && texts_are_subjects(part))
        })
}

fn asks_type_only(part: &Expr) -> bool {
    let mut only = false;
    part.walk(&mut |expr| only |= matches!(expr.node, Node::Unary(Unary::TypeOf, _)));
    only
}

fn texts_are_subjects(part: &Expr) -> bool {
    let (mut texts, mut subjects) = (0, 0);
    part.walk(&mut |expr| {
        let Node::Term(term) = &expr.node else { return };
        let all = term.elements().unwrap_or(std::slice::from_ref(term));
        for text in all.iter().filter_map(Term::text) {
            texts += 1;
            subjects += usize::from(text.contains(':'));
        }
    });
    texts > 0 && texts == subjects
}
