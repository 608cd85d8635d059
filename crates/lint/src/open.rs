//! Open: which arguments of an allowed tool does no statement look at?

use std::collections::{BTreeSet, HashMap};

use crate::listed::ServerTools;
use crate::reach::Tools;
use crate::set::Set;
use crate::strangers::{Known, known, pinned, some};
use crate::unfold::unfold;
use crate::{Code, Findings};
use hardtack::internal::syntax::{Kind, Query, Term};

/// The arguments that a statement looks at.
#[derive(Debug, Default)]
struct Looked {
    names: BTreeSet<String>,
    /// It looks at all, by a variable for the name.
    all: bool,
}

impl Looked {
    fn of(set: &Set, query: &Query) -> Looked {
        let mut looked = Looked::default();
        for query in unfold(set, query) {
            let mut count: HashMap<&str, usize> = HashMap::new();
            let terms = query.atoms.iter().flat_map(|atom| &atom.terms);
            let in_conditions = query.conditions.iter().flat_map(|condition| condition.variables());
            for name in terms.filter_map(Term::variable).chain(in_conditions) {
                *count.entry(name).or_default() += 1;
            }
            let is_used = |term: &Term| {
                term.variable().is_none_or(|name| count.get(name).is_some_and(|count| *count > 1))
            };
            for atom in query.atoms.iter().filter(|atom| atom.name == "arg") {
                let [name, value] = atom.terms.as_slice() else { continue };
                match name.text() {
                    Some(name) if is_used(value) => drop(looked.names.insert(name.to_owned())),
                    Some(_) => {}
                    None => looked.all |= is_used(name) || is_used(value),
                }
            }
        }
        looked
    }

    fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }
}

pub(super) fn check(set: &Set, servers: &[ServerTools], now: Option<u64>, findings: &mut Findings) {
    let closes =
        |kind| matches!(kind, Kind::Deny | Kind::RejectIf | Kind::CheckIf | Kind::CheckAll);
    let closing: Vec<(Option<Tools>, Looked)> = set
        .queries()
        .filter(|(statement, _)| closes(statement.kind))
        // What a check lets pass is judged by its other alternatives.
        .map(|(statement, query)| {
            let is_check = matches!(statement.kind, Kind::CheckIf | Kind::CheckAll);
            let tools = pinned(set, query, now).filter(|_| !is_check);
            (tools, Looked::of(set, query))
        })
        .collect();
    for (statement, query) in set.queries().filter(|(one, _)| one.kind == Kind::Allow) {
        let own = Looked::of(set, query);
        let mut open = Vec::new();
        for Known { tool, shape } in known(set, servers, query, now) {
            let operation = format!("{}{tool}", crate::reach::CALL);
            let is_closed = |name: &&str| {
                own.has(name)
                    || closing.iter().any(|(tools, looked)| {
                        looked.has(name)
                            && tools.as_ref().is_none_or(|tools| tools.contains(&operation))
                    })
            };
            let names = shape.members.keys().map(String::as_str);
            let mut left = names.filter(|name| !is_closed(name)).peekable();
            if left.peek().is_some() {
                open.push(format!("`{}` has {}", tool.escape_debug(), some(left)));
            }
        }
        if open.is_empty() {
            continue;
        }
        let message = format!("arguments that may be anything here: {}", shown(&open));
        let mend = "bound those that matter, as in arg(\"name\", $value), [\"…\"].contains($value)";
        findings.add(Code::OpenArgument, statement.file, query.span, message, mend);
    }
}

/// How many tools a message has.
const MAX_SHOWN: usize = 6;

fn shown(open: &[String]) -> String {
    let some: Vec<&str> = open.iter().take(MAX_SHOWN).map(String::as_str).collect();
    match open.len().saturating_sub(MAX_SHOWN) {
        0 => some.join("; "),
        more => format!("{}; and {more} tools more", some.join("; ")),
    }
}
