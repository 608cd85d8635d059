//! Unused: which words nobody asserts, which nobody reads (dead code), and which have another number of terms?

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::near;
use crate::normal::shown;
use crate::set::{Set, readers};
use crate::words::{self, Values};
use crate::{Code, Findings};
use hardtack::internal::syntax::{Atom, Kind, Statement};
use hardtack::internal::{Function, Word, is_reserved};

pub(super) fn check(set: &Set, findings: &mut Findings) {
    for (statement, query) in set.queries() {
        for atom in &query.atoms {
            known(set, statement, atom, findings);
        }
    }
    underivable(set, findings);
    unread(set, findings);
    repeated(set, findings);
}

fn known(set: &Set, statement: &Statement, atom: &Atom, findings: &mut Findings) {
    let name = atom.name.as_str();
    if let Some(word) = words::find(name) {
        if word.columns.len() != atom.terms.len() {
            let types: Vec<_> =
                word.columns.iter().map(|column| column.types().to_string()).collect();
            let message = format!(
                "`{name}` has {}, and this asks for {}: it never matches",
                terms(word.columns.len()),
                terms(atom.terms.len())
            );
            let mend =
                format!("write {name}(…) with {}: {}", terms(word.columns.len()), types.join(", "));
            findings.add(Code::WrongArity, statement.file, atom.name_span, message, mend);
        }
        return;
    }
    // What a token's blocks say and policies may not read is refused by the loader's words.
    if is_reserved(name) || set.unread.contains(name) {
        return;
    }
    let arities = set.arities(name);
    if arities.is_empty() {
        let known = words::readable().map(|word| word.name);
        let known = known
            .chain(set.own.keys().map(String::as_str))
            .chain(set.grant.keys().map(String::as_str));
        let meant = near::nearest(name, known);
        let function = name.strip_prefix("extern::").unwrap_or(name);
        let mend = match meant {
            _ if Function::named(function).is_some() => {
                format!("write $value.extern::{function}(\"…\")")
            }
            Some(meant) => format!("write `{meant}`"),
            None => format!(
                "assert it in a fact or rule; if issuers say it, declare it in a comment: // fact: {name}({})",
                vec!["string"; atom.terms.len()].join(", ")
            ),
        };
        let message = format!(
            "nothing asserts `{name}`: neither Hardtack nor a fact or rule of this set, so it never matches"
        );
        findings.add(Code::UnknownPredicate, statement.file, atom.name_span, message, mend);
    } else if !arities.contains(&atom.terms.len()) {
        let message = format!(
            "`{name}` is asserted with {}, and this asks for {}: it never matches",
            listed(&arities),
            terms(atom.terms.len())
        );
        findings.add(
            Code::WrongArity,
            statement.file,
            atom.name_span,
            message,
            format!("ask for {}", listed(&arities)),
        );
    }
}

fn terms(count: usize) -> String {
    if count == 1 { "1 term".to_owned() } else { format!("{count} terms") }
}

fn listed(arities: &BTreeSet<usize>) -> String {
    arities.iter().map(|arity| terms(*arity)).collect::<Vec<_>>().join(" or ")
}

/// Words that rules derive from each other, and from nothing else.
fn underivable(set: &Set, findings: &mut Findings) {
    let given = |name: &str| {
        !set.own.contains_key(name)
            || set.grant.contains_key(name)
            || set.unread.contains(name)
            || set.facts(name).next().is_some()
    };
    let mut derived: HashSet<&str> = HashSet::new();
    let mut waiting: Vec<&Statement> =
        set.statements.iter().filter(|statement| statement.kind == Kind::Rule).collect();
    for _ in 0..MAX_ROUNDS {
        let before = waiting.len();
        waiting.retain(|rule| {
            let mut body = rule.queries.iter().flat_map(|query| &query.atoms);
            let holds = body.all(|atom| given(&atom.name) || derived.contains(atom.name.as_str()));
            if let (true, Some(head)) = (holds, &rule.head) {
                derived.insert(&head.name);
            }
            !holds
        });
        if waiting.len() == before {
            let stuck = |name: &str| !given(name) && !derived.contains(name);
            for (statement, query) in set.queries().filter(|(statement, _)| statement.asks()) {
                if let Some(atom) = query.atoms.iter().find(|atom| stuck(&atom.name)) {
                    let message = format!(
                        "the rules for `{}` rest on each other and on no fact, so it never matches",
                        atom.name
                    );
                    let mend = "add a fact, or a rule whose body does not lead back to it";
                    findings.add(Code::NeverMatches, statement.file, atom.name_span, message, mend);
                }
            }
            return;
        }
    }
}

/// How often what rules derive is handed on, up to a fixpoint.
const MAX_ROUNDS: usize = 100;

/// Facts and rules that no policy and no check reads, whether directly or through rules.
fn unread(set: &Set, findings: &mut Findings) {
    let asking = [Kind::Allow, Kind::Deny, Kind::CheckIf, Kind::CheckAll, Kind::RejectIf];
    let mut read = readers(&set.statements, &asking);
    if set.is_of_issuer {
        read.extend(issued(set));
    }
    let asked: HashSet<(&str, usize)> = set
        .queries()
        .flat_map(|(_, query)| &query.atoms)
        .map(|atom| (atom.name.as_str(), atom.terms.len()))
        .collect();
    let unasserted: BTreeSet<&str> = asked.iter().map(|(name, _)| *name).collect();
    let unasserted: Vec<&str> = unasserted
        .into_iter()
        .filter(|name| !set.own.contains_key(*name) && words::find(name).is_none())
        .collect();
    let mut seen = HashSet::new();
    for statement in set.statements.iter().filter(|statement| !statement.asks()) {
        let Some(head) = &statement.head else { continue };
        // Who asserts Hardtack's own words is told so by the loader.
        let is_for_issuer =
            set.is_of_issuer && Word::read_by_issuer().any(|name| name == head.name);
        if is_reserved(&head.name) || set.unread.contains(&head.name) || is_for_issuer {
            continue;
        }
        if !read.contains(&head.name) {
            if seen.insert(&head.name) {
                let mend = match near::nearest(&head.name, unasserted.iter().copied()) {
                    Some(meant) => format!("rename it to `{meant}`, which is read, or delete it"),
                    None => "delete it, or write the policy that was to read it".to_owned(),
                };
                let message = format!("no policy and no check reads `{}`", head.name);
                findings.add(Code::NeverRead, statement.file, head.name_span, message, mend);
            }
        } else if !asked.contains(&(head.name.as_str(), head.terms.len())) {
            let asked: BTreeSet<usize> = asked
                .iter()
                .filter(|(name, _)| *name == head.name)
                .map(|(_, arity)| *arity)
                .collect();
            let message = format!(
                "`{}` is read with {}, and this has {}: nothing reads it",
                head.name,
                listed(&asked),
                terms(head.terms.len())
            );
            findings.add(
                Code::WrongArity,
                statement.file,
                head.name_span,
                message,
                format!("give it {}", listed(&asked)),
            );
        }
    }
}

/// What an issuer reads, and what the rules for it read, through whatever rules.
fn issued(set: &Set) -> BTreeSet<String> {
    let said: Vec<&str> = Word::read_by_issuer().collect();
    let mut found: BTreeSet<String> = said.iter().map(|name| (*name).to_owned()).collect();
    let mut new: Vec<String> = found.iter().cloned().collect();
    while let Some(name) = new.pop() {
        let bodies = set.rules(&name).flat_map(|rule| &rule.queries);
        for atom in bodies.flat_map(|query| &query.atoms) {
            if found.insert(atom.name.clone()) {
                new.push(atom.name.clone());
            }
        }
    }
    found
}

/// The most rules of one name that are compared with each other.
const MAX_RULES: usize = 100;

fn same(one: &Statement, other: &Statement) -> bool {
    let atoms = |a: &Atom, b: &Atom| a.name == b.name && a.terms == b.terms;
    let (Some(a), Some(b)) = (&one.head, &other.head) else { return false };
    let (Some(first), Some(second)) = (one.queries.first(), other.queries.first()) else {
        return false;
    };
    atoms(a, b)
        && first.atoms.len() == second.atoms.len()
        && first.conditions.len() == second.conditions.len()
        && first.atoms.iter().zip(&second.atoms).all(|(a, b)| atoms(a, b))
        && first.conditions.iter().zip(&second.conditions).all(|(a, b)| a.same(b))
}

fn repeated(set: &Set, findings: &mut Findings) {
    let few = set.own.iter().filter(|(_, own)| own.rules.len() <= MAX_RULES);
    for (name, _) in few {
        let rules: Vec<&Statement> = set.rules(name).collect();
        for (number, later) in rules.iter().enumerate() {
            if rules.iter().take(number).any(|first| same(first, later)) {
                let (message, mend) = ("this rule is already there", "delete it");
                findings.add(Code::DuplicateFact, later.file, later.span, message, mend);
            }
        }
    }
    let mut seen: HashMap<String, ()> = HashMap::new();
    for statement in set.statements.iter().filter(|statement| statement.kind == Kind::Fact) {
        let Some(head) = &statement.head else { continue };
        let values: Vec<_> = head.terms.iter().map(shown).collect();
        let written = format!("{}({})", head.name, values.join(", "));
        // A map is not written out, and two are not taken to be the same.
        if !written.contains("a map") && seen.insert(written, ()).is_some() {
            findings.add(
                Code::DuplicateFact,
                statement.file,
                statement.span,
                "this fact is already there",
                "delete it",
            );
        }
    }
}
