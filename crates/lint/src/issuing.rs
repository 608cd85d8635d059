//! Issuing: does an issuer's set refuse by the letters of a scope, which a pattern passes by?

use hardtack::internal::syntax::{Expr, Kind, Span, Term};

use crate::set::{Set, equality};
use crate::{Code, Findings};

pub(super) fn check(set: &Set, findings: &mut Findings) {
    if !set.is_of_issuer {
        return;
    }
    let refusing = |kind: Kind| matches!(kind, Kind::Deny | Kind::RejectIf);
    for (statement, query) in set.queries().filter(|(statement, _)| refusing(statement.kind)) {
        let wanted = query.atoms.iter().filter(|atom| atom.name == "wanted_scope");
        let terms: Vec<&Term> = wanted.filter_map(|atom| atom.terms.first()).collect();
        let written = terms.iter().find(|term| term.text().is_some()).map(|term| term.span);
        let is_wanted = |name: &str| terms.iter().any(|term| term.variable() == Some(name));
        let parts = query.conditions.iter().flat_map(Expr::parts);
        let compared = parts.filter_map(|part| compared(part, &is_wanted));
        for span in written.into_iter().chain(compared) {
            let message = "this compares the text that is asked for: whoever asks for a pattern that covers it, such as `tools:call:*`, is not refused";
            let mend = "do not offer it: list what is offered, instead of a pattern";
            findings.add(Code::LooseMatch, statement.file, span, message, mend);
        }
    }
}

/// Where a wanted scope is compared with a text that is written out.
fn compared(part: &Expr, is_wanted: &dyn Fn(&str) -> bool) -> Option<Span> {
    let (left, right) = equality(part)?;
    [(left, right), (right, left)].into_iter().find_map(|(one, other)| {
        let is_one = one.variable().is_some_and(is_wanted);
        other.constant().filter(|term| is_one && term.text().is_some()).map(|term| term.span)
    })
}
