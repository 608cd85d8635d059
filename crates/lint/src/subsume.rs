//! Subsume: which policies another one makes useless? Theta-subsumption, as of clauses in logic programming.
//!
//! A policy subsumes another one if some substitution of its variables makes each of its predicates one of the other's, or a fact, and
//! each of its conditions [implied](crate::implied) by the other's. The search goes by backtracking, within a bound of steps; what it
//! does not find within that is not reported.

use std::cell::Cell;
use std::collections::HashMap;

use biscuit_parser::builder::Binary;

use crate::always::truth;
use crate::broad::{allows_all, holds_always};
use crate::implied::implied;
use crate::normal::{Normal, normal, replaced, rows};
use crate::set::Set;
use crate::words;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Atom, Expr, Kind, Node, Query, Span, Statement, Term, Value};

/// How many comparisons are made for one set.
const MAX_STEPS: u64 = 2_000_000;

/// The most values of a variable for each of which a question is looked at by itself (case split).
const MAX_CASES: usize = 16;

/// One alternative of a policy or check.
struct Alternative<'s> {
    statement: &'s Statement,
    query: &'s Query,
    /// As it is.
    plain: Normal,
    /// With all that is there whenever it matches; one for each value that is possible.
    full: Vec<Normal>,
}

struct Search<'s> {
    set: &'s Set,
    steps: Cell<u64>,
}

pub(super) fn check(set: &Set, now: Option<u64>, findings: &mut Findings) {
    let search = Search { set, steps: Cell::new(0) };
    let of = |kinds: &[Kind]| {
        let statements = set.statements.iter().filter(|statement| kinds.contains(&statement.kind));
        let queries = statements.flat_map(|s| s.queries.iter().map(move |query| (s, query)));
        queries.filter_map(|(s, query)| alternative(set, s, query, now)).collect::<Vec<_>>()
    };
    let allows = sound(of(&[Kind::Allow]), findings);
    let refuses = of(&[Kind::Deny, Kind::RejectIf]);
    let refuses: Vec<_> =
        refuses.into_iter().filter(|one| !holds_always(set, one.query, now)).collect();
    // What allows everything is reported for that, and not once more at all that it covers.
    let narrow: Vec<_> =
        of(&[Kind::Allow]).into_iter().filter(|one| !allows_all(set, one.query, now)).collect();
    let narrow = sound(narrow, findings);
    let refusing = sound(of(&[Kind::Deny, Kind::RejectIf]), findings);
    search.covered(&allows, &narrow, findings, &|other, whole| {
        format!(
            "{}{} already allows all of this, so it decides nothing",
            whole_or_part(whole),
            place_of(other)
        )
    });
    search.covered(&refuses, &refusing, findings, &|other, whole| {
        format!(
            "{}{} already refuses all of this, so it decides nothing",
            whole_or_part(whole),
            place_of(other)
        )
    });
    search.covered(&allows, &refusing, findings, &|other, whole| {
        format!("{}{} refuses all that this would allow", whole_or_part(whole), place_of(other))
    });
    let checks = of(&[Kind::CheckIf]);
    search.covered(&checks, &refusing, findings, &|other, whole| {
        format!("{}{} refuses whatever passes this check", whole_or_part(whole), place_of(other))
    });
    search.exclusive_checks(now, findings);
    search.checks(&allows, now, findings);
    search.repeated_checks(&checks, findings);
}

/// Those in which nothing was found yet.
fn sound<'s>(ones: Vec<Alternative<'s>>, findings: &Findings) -> Vec<Alternative<'s>> {
    let has = |one: &Alternative<'_>| findings.has_in(one.statement.file, one.query.span);
    ones.into_iter().filter(|one| !has(one)).collect()
}

fn whole_or_part(whole: bool) -> &'static str {
    if whole { "" } else { "this alternative is useless: " }
}

/// The other statement's place, in the form that whoever knows the files fills in.
fn place_of(other: &Statement) -> String {
    format!("{{{}:{}}}", other.file, other.span.start)
}

fn alternative<'s>(
    set: &'s Set,
    statement: &'s Statement,
    query: &'s Query,
    now: Option<u64>,
) -> Option<Alternative<'s>> {
    let plain = normal(set, query, now).ok()?;
    if plain.contradiction(set).is_some() {
        return None;
    }
    let full = cases(set, &plain).into_iter().map(saturated).collect();
    Some(Alternative { statement, query, plain, full })
}

/// Splits a question into cases: one for each value that the variable with the fewest has, where these are few.
fn cases(set: &Set, normal: &Normal) -> Vec<Normal> {
    let candidates = normal.candidates(set);
    let few = candidates.into_iter().filter(|(_, (values, _))| values.len() <= MAX_CASES);
    let Some((name, (values, _))) =
        few.min_by_key(|(name, (values, _))| (values.len(), name.clone()))
    else {
        return vec![normal.clone()];
    };
    let with = |value: Term| {
        let put = |term: &Term| match term.variable() == Some(&name) {
            true => Term { value: value.value.clone(), span: term.span },
            false => term.clone(),
        };
        let mut one = normal.clone();
        one.atoms.iter_mut().flat_map(|atom| &mut atom.terms).for_each(|term| *term = put(term));
        one.conditions = one.conditions.iter().map(|condition| replaced(condition, &put)).collect();
        let holds = |condition: &Expr| truth(condition) != Some(true);
        one.conditions.retain(|condition| holds(condition));
        one
    };
    let all: Vec<Normal> = values.into_iter().map(with).collect();
    let possible =
        |one: &Normal| one.conditions.iter().all(|condition| truth(condition) != Some(false));
    let possible: Vec<Normal> = all.into_iter().filter(possible).collect();
    if possible.is_empty() { vec![normal.clone()] } else { possible }
}

/// Adds the facts that are there for every call, and the tool of its operation (saturation).
fn saturated(mut normal: Normal) -> Normal {
    let text = |value: String| Term { value: Value::Text(value), span: Span::default() };
    let single = |name: &str, term: Term| Atom {
        name: name.to_owned(),
        name_span: Span::default(),
        span: Span::default(),
        terms: vec![term],
    };
    let find = |normal: &Normal, name: &str| {
        normal
            .atoms
            .iter()
            .find(|atom| atom.name == name && atom.terms.len() == 1)?
            .terms
            .first()
            .cloned()
    };
    let (operation, tool) = (find(&normal, "operation"), find(&normal, "tool"));
    match (&operation, &tool) {
        (None, Some(tool)) => {
            if let Some(name) = tool.text() {
                normal.atoms.push(single("operation", text(format!("tools:call:{name}"))));
            }
        }
        (Some(operation), None) => {
            let name = operation.text().and_then(|text| text.strip_prefix("tools:call:"));
            if let Some(name) = name {
                normal.atoms.push(single("tool", text(name.to_owned())));
            } else if let Some(variable) = operation.variable()
                && normal
                    .conditions
                    .iter()
                    .any(|condition| begins(condition, variable, "tools:call:"))
            {
                let term =
                    Term { value: Value::Variable("tool'".to_owned()), span: Span::default() };
                normal.atoms.push(single("tool", term));
            }
        }
        _ => {}
    }
    for word in words::readable().filter(|word| word.is_always() && word.name != "granted") {
        if !normal.atoms.iter().any(|atom| atom.name == word.name) {
            let value = Value::Variable(format!("{}'", word.name));
            normal.atoms.push(single(word.name, Term { value, span: Span::default() }));
        }
    }
    normal
}

/// Whether this says that the variable begins with the text, or with more.
fn begins(condition: &Expr, variable: &str, text: &str) -> bool {
    match &condition.bare().node {
        Node::Binary(Binary::Prefix, left, right) => {
            left.variable() == Some(variable)
                && right
                    .constant()
                    .and_then(Term::text)
                    .is_some_and(|found| found.starts_with(text))
        }
        _ => false,
    }
}

type Say<'f> = &'f dyn Fn(&Statement, bool) -> String;

impl Search<'_> {
    /// Reports those of `ones` that one of `others` covers.
    fn covered(
        &self,
        ones: &[Alternative<'_>],
        others: &[Alternative<'_>],
        findings: &mut Findings,
        say: Say<'_>,
    ) {
        let mut at = 0;
        while let Some(first) = ones.get(at) {
            let same = |one: &&Alternative<'_>| std::ptr::eq(one.statement, first.statement);
            let of_one: Vec<_> = ones.iter().skip(at).take_while(same).collect();
            at += of_one.len();
            let useless: Vec<_> = of_one
                .iter()
                .filter_map(|one| {
                    Some((*one, others.iter().find(|other| self.makes_useless(other, one))?))
                })
                .collect();
            let whole = useless.len() == first.statement.queries.len();
            let outside =
                useless.iter().find(|(one, other)| !std::ptr::eq(one.statement, other.statement));
            let mend = "delete it, or say what it was to add";
            if let (true, Some((_, other))) = (whole, outside) {
                let message = say(other.statement, true);
                findings.add(
                    Code::NeverDecides,
                    first.statement.file,
                    first.statement.span,
                    message,
                    mend,
                );
                continue;
            }
            for (one, other) in useless {
                let message = say(other.statement, false);
                findings.add(Code::NeverDecides, one.statement.file, one.query.span, message, mend);
            }
        }
    }

    /// Whether `other` holds wherever `one` does, and is not itself what is useless.
    fn makes_useless(&self, other: &Alternative<'_>, one: &Alternative<'_>) -> bool {
        if std::ptr::eq(other.query, one.query) || !self.subsumes(other, one) {
            return false;
        }
        let place = |alternative: &Alternative<'_>| {
            (alternative.statement.file, alternative.query.span.start)
        };
        // Of two that are the same, the later one is reported.
        let same_side = side(one.statement.kind) == side(other.statement.kind);
        !same_side || place(other) < place(one) || !self.subsumes(one, other)
    }

    fn subsumes(&self, general: &Alternative<'_>, special: &Alternative<'_>) -> bool {
        special
            .full
            .iter()
            .all(|special| self.matches(&general.plain, 0, special, &mut HashMap::new()))
    }

    /// Finds a substitution for the variables of `general`, one predicate after the other, by backtracking.
    fn matches<'g>(
        &self,
        general: &'g Normal,
        at: usize,
        special: &Normal,
        stands: &mut HashMap<&'g str, Term>,
    ) -> bool {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS {
            return false;
        }
        let Some(atom) = general.atoms.get(at) else {
            return general.conditions.iter().all(|condition| {
                let with = |term: &Term| {
                    let known = term.variable().and_then(|name| stands.get(name));
                    known.unwrap_or(term).clone()
                };
                implied(&replaced(condition, &with), &special.conditions)
            });
        };
        let facts = rows(self.set, atom).unwrap_or_default();
        for candidate in special.atoms.iter().chain(facts) {
            if candidate.name != atom.name || candidate.terms.len() != atom.terms.len() {
                continue;
            }
            self.steps.set(self.steps.get() + 1);
            let mut new = Vec::new();
            let fits = atom.terms.iter().zip(&candidate.terms).all(|(asked, found)| {
                let Some(name) = asked.variable() else { return asked == found };
                match stands.get(name) {
                    Some(known) => known == found,
                    None => {
                        stands.insert(name, found.clone());
                        new.push(name);
                        true
                    }
                }
            });
            if fits && self.matches(general, at + 1, special, stands) {
                return true;
            }
            new.iter().for_each(|name| drop(stands.remove(name)));
        }
        false
    }

    /// An `allow if` that no call passes together with a check.
    fn checks(&self, allows: &[Alternative<'_>], now: Option<u64>, findings: &mut Findings) {
        let checks = self.set.statements.iter();
        let checks: Vec<_> =
            checks.filter(|s| matches!(s.kind, Kind::CheckIf | Kind::CheckAll)).collect();
        for check in checks {
            let own =
                check.queries.iter().filter_map(|query| alternative(self.set, check, query, now));
            // What is wrong in it already, such as that it never holds, is reported for that.
            if own.count() == 0 || findings.has_in(check.file, check.span) {
                continue;
            }
            for allow in allows {
                let excluded = check.queries.iter().all(|query| {
                    self.steps.set(self.steps.get() + 100);
                    self.steps.get() <= MAX_STEPS && self.excludes(query, allow.query, now)
                });
                if excluded {
                    let message = format!(
                        "the check at {} holds for no call that this would allow",
                        place_of(check)
                    );
                    let mend = "delete it, or let the check pass these calls";
                    let span = match allow.statement.queries.len() {
                        1 => allow.statement.span,
                        _ => allow.query.span,
                    };
                    findings.add(Code::NeverDecides, allow.statement.file, span, message, mend);
                }
            }
        }
    }

    /// Two checks that no call passes together.
    fn exclusive_checks(&self, now: Option<u64>, findings: &mut Findings) {
        let checks = self.set.statements.iter();
        let checks: Vec<_> =
            checks.filter(|s| matches!(s.kind, Kind::CheckIf | Kind::CheckAll)).collect();
        let possible = |check: &&&Statement| {
            let any = |query| alternative(self.set, check, query, now).is_some();
            !findings.has_in(check.file, check.span) && check.queries.iter().any(any)
        };
        let checks: Vec<_> = checks.iter().filter(possible).collect();
        for (number, later) in checks.iter().enumerate() {
            let first = checks.iter().take(number).find(|first| {
                first.queries.iter().all(|one| {
                    later.queries.iter().all(|other| {
                        self.steps.set(self.steps.get() + 100);
                        self.steps.get() <= MAX_STEPS && self.excludes(one, other, now)
                    })
                })
            });
            if let Some(first) = first {
                let message = format!(
                    "no call passes both this check and the one at {}, so every call is refused",
                    place_of(first)
                );
                let mend = "write both as alternatives of one check, with `or`";
                findings.add(Code::NeverMatches, later.file, later.span, message, mend);
            }
        }
    }

    fn excludes(&self, check: &Query, allow: &Query, now: Option<u64>) -> bool {
        let renamed = |term: &Term| match term.variable() {
            Some(name) => Term { value: Value::Variable(format!("{name}'")), span: term.span },
            None => term.clone(),
        };
        let mut both = allow.clone();
        for atom in &check.atoms {
            let mut atom = atom.clone();
            atom.terms.iter_mut().for_each(|term| *term = renamed(term));
            both.atoms.push(atom);
        }
        both.conditions
            .extend(check.conditions.iter().map(|condition| replaced(condition, &renamed)));
        // The tool of an operation that is written out, and the other way round.
        let pair = ["operation", "granted", "tool"];
        let has = |name: &str| both.atoms.iter().any(|atom| atom.name == name);
        if pair.iter().any(|name| has(name)) && !has("operation") {
            let term =
                Term { value: Value::Variable("operation''".to_owned()), span: Span::default() };
            let atom = Atom {
                name: "operation".to_owned(),
                name_span: Span::default(),
                span: Span::default(),
                terms: vec![term],
            };
            both.atoms.push(atom);
        }
        match normal(self.set, &both, now) {
            Err(_) => true,
            Ok(both) => both.contradiction(self.set).is_some(),
        }
    }

    /// A check that holds wherever another one does.
    fn repeated_checks(&self, alternatives: &[Alternative<'_>], findings: &mut Findings) {
        let mut checks: Vec<Vec<&Alternative<'_>>> = Vec::new();
        for alternative in alternatives {
            match checks.last_mut() {
                Some(last)
                    if last
                        .iter()
                        .any(|one| std::ptr::eq(one.statement, alternative.statement)) =>
                {
                    last.push(alternative);
                }
                _ => checks.push(vec![alternative]),
            }
        }
        let weaker = |strong: &[&Alternative<'_>], weak: &[&Alternative<'_>]| {
            strong.iter().all(|one| weak.iter().any(|other| self.subsumes(other, one)))
        };
        for (number, weak) in checks.iter().enumerate() {
            let Some(first) = weak.first() else { continue };
            let stronger = checks.iter().enumerate().find(|(other, strong)| {
                *other != number
                    && weaker(strong, weak)
                    && (*other < number || !weaker(weak, strong))
            });
            if let Some(strong) = stronger.and_then(|(_, strong)| strong.first()) {
                let message = format!(
                    "this check holds wherever the one at {} does, so it decides nothing",
                    place_of(strong.statement)
                );
                findings.add(
                    Code::NeverDecides,
                    first.statement.file,
                    first.statement.span,
                    message,
                    "delete it, or say what it was to add",
                );
            }
        }
    }
}

/// What a statement does: allow, refuse or check.
fn side(kind: Kind) -> u8 {
    match kind {
        Kind::Allow => 0,
        Kind::Deny | Kind::RejectIf => 1,
        _ => 2,
    }
}
