//! Coverage: which statements did something in some case, and what the cases fail to show. (Statement coverage.)

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::Verdict;
use crate::names;
use crate::policy::folder::CASES;
use crate::policy::{Location, Policy};
use crate::trial::bench::Set;
use crate::trial::effects::statements;
use crate::trial::{Decided, Fault, Statement, StatementKind};

/// The statements that did something; nothing where it did not come to them.
pub(super) type Effects = Option<Vec<StatementId>>;

/// Which statement: its kind, its place, and which of its kind there.
pub(super) type StatementId = (String, usize, StatementKind, usize);

/// What all cases together show.
pub(super) struct Tally {
    statements: BTreeMap<StatementId, bool>,
    refused: BTreeSet<String>,
}

impl Tally {
    pub(super) fn of(set: &Set) -> Tally {
        let statements = ids(&set.policy).into_iter().map(|id| (id, false)).collect();
        Tally { statements, refused: BTreeSet::new() }
    }

    pub(super) fn count(&mut self, decided: &Decided, effects: Effects) {
        if decided.found.verdict != Verdict::Allow {
            let new = decided.policies.iter().filter(|name| !self.refused.contains(*name));
            let new: Vec<String> = new.cloned().collect();
            self.refused.extend(new);
        }
        for id in effects.into_iter().flatten() {
            self.statements.insert(id, true);
        }
    }

    pub(super) fn close(self, set: &Set, no_case: bool) -> (Vec<Statement>, Vec<Fault>) {
        let line = |file: &str, line: usize| {
            let text =
                set.files.iter().find(|(name, _)| name == file).map(|(_, text)| text.as_str());
            let line = text.and_then(|text| text.lines().nth(line.saturating_sub(1)));
            names::escaped(&line.unwrap_or_default().trim())
        };
        let statements = self.statements.into_iter().map(|((file, at, kind, _), decided)| {
            Statement { kind, text: line(&file, at), at: Location { file, line: at }, decided }
        });
        let statements: Vec<Statement> = statements.collect();
        if no_case {
            let folder = set.folder.join(CASES).display().to_string();
            return (statements, vec![Fault::NoCase { folder }]);
        }
        let files = set.files.iter().filter(|(name, _)| !self.refused.contains(name));
        let mut faults: Vec<Fault> =
            files.map(|(name, _)| Fault::NeverRefused { file: name.clone() }).collect();
        let silent =
            statements.iter().filter(|statement| statement.kind.is_policy() && !statement.decided);
        faults.extend(
            silent.map(|policy| Fault::NeverDecided { kind: policy.kind, at: policy.at.clone() }),
        );
        (statements, faults)
    }
}

/// The same statement has the same id in every selection of the set's files.
pub(super) fn ids(policy: &Policy) -> Vec<StatementId> {
    let mut seen: BTreeMap<(String, usize, StatementKind), usize> = BTreeMap::new();
    let id = |(kind, at): (StatementKind, &Location)| {
        let nth = seen.entry((at.file.clone(), at.line, kind)).or_default();
        *nth += 1;
        (at.file.clone(), at.line, kind, *nth)
    };
    statements(policy).map(id).collect()
}
