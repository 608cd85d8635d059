//! Misspelt: which tool or operation is written once, and nearly like another one that stands there often?

use std::collections::BTreeMap;

use crate::set::Set;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Expr, Node, Span, Term};

/// The shortest text of which one can tell that a letter is missing.
const MIN_LETTERS: usize = 6;

/// How many different texts are compared with each other.
const MAX_TEXTS: usize = 300;

pub(super) fn check(set: &Set, findings: &mut Findings) {
    let mut places: BTreeMap<&str, Vec<(usize, Span)>> = BTreeMap::new();
    for statement in &set.statements {
        let heads = statement.head.iter().flat_map(|head| &head.terms);
        let bodies = statement.queries.iter().flat_map(|query| &query.atoms);
        for term in heads.chain(bodies.flat_map(|atom| &atom.terms)) {
            gather(term, &mut |text, span| {
                places.entry(text).or_default().push((statement.file, span))
            });
        }
        for condition in statement.queries.iter().flat_map(|query| &query.conditions) {
            let mut terms = Vec::new();
            condition.walk(&mut |expr: &Expr| {
                if let Node::Term(term) = &expr.node {
                    terms.push(term);
                }
            });
            for term in terms {
                gather(term, &mut |text, span| {
                    places.entry(text).or_default().push((statement.file, span))
                });
            }
        }
    }
    if places.len() > MAX_TEXTS {
        return;
    }
    for (once, at) in places.iter().filter(|(_, at)| at.len() == 1) {
        let often = places.iter().find(|(text, at)| at.len() > 1 && is_slip(once, text));
        if let (Some((often, _)), Some((file, span))) = (often, at.first()) {
            let message =
                format!("this stands here only, and \"{}\" elsewhere", often.escape_debug());
            let mend = format!("write \"{}\", if that is meant", often.escape_debug());
            findings.add(Code::Misspelt, *file, *span, message, mend);
        }
    }
}

/// The texts of a term, without what tool calls begin with.
fn gather<'t>(term: &'t Term, see: &mut dyn FnMut(&'t str, Span)) {
    if let Some(text) = term.text() {
        see(text.strip_prefix("tools:call:").unwrap_or(text), term.span);
    }
    for element in term.elements().into_iter().flatten() {
        gather(element, see);
    }
}

/// Whether two letters are swapped, or one within the word is missing or too many.
fn is_slip(one: &str, other: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let is_name = |text: &[char]| {
        text.len() >= MIN_LETTERS && text.iter().all(|c| c.is_ascii_alphabetic() || *c == '_')
    };
    if !is_name(&a) || !is_name(&b) {
        return false;
    }
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    match a.len().abs_diff(b.len()) {
        0 => {
            let differ = a.len().saturating_sub(start + end) == 2;
            differ && a.get(start) == b.get(start + 1) && a.get(start + 1) == b.get(start)
        }
        1 => {
            let shorter = a.len().min(b.len());
            // At either end, or before a `_`, it is another word: a plural, a prefix.
            let longer = if a.len() > b.len() { &a } else { &b };
            let inside = start > 0 && end > 0 && start + end >= shorter;
            let next = longer.get(start + 1).copied().unwrap_or('_');
            let extra = longer.get(start).copied().unwrap_or('_');
            inside && next != '_' && extra != '_'
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_slip;

    #[test]
    fn a_slip_is_no_other_word() {
        for (one, other) in
            [("delte_page", "delete_page"), ("serach", "search"), ("refuund", "refund")]
        {
            assert!(is_slip(one, other), "{one}");
        }
        for (one, other) in [
            ("list_pages", "list_page"),
            ("get_users_all", "get_user_all"),
            ("page", "apge"),
            ("upload", "unload"),
            ("read_one", "read_two"),
            ("item_a", "item_b"),
            ("search", "search"),
        ] {
            assert!(!is_slip(one, other), "{one}");
        }
    }
}
