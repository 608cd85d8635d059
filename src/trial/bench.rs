//! Bench: a set as it was read, and the files of it that decide a case.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::authorize::{PreparedSets, authorize_with};
use crate::guard::Denial;
use crate::names;
use crate::policy::{self, Location, Policy};
use crate::ruling::Ruling;
use crate::trial::cases::{self, Case, CaseFile, Expected};
use crate::trial::coverage::{Effects, StatementId, ids};
use crate::trial::effects::effects;
use crate::trial::staging::{Keyring, Staged, Unstaged, stage};
use crate::trial::{Decided, TrialError};

/// A set with its cases, each file read once: what is tried is what is loaded.
pub(super) struct Set {
    pub(super) folder: PathBuf,
    pub(super) files: Vec<(String, String)>,
    pub(super) policy: Policy,
    cases: Vec<CaseFile>,
}

impl Set {
    pub(super) fn read(folder: &Path) -> Result<Set, TrialError> {
        let files = policy::read_folder(folder)?;
        let policy = Policy::from_files(&files)?;
        Ok(Set { folder: folder.to_owned(), files, policy, cases: cases::read(folder)? })
    }

    /// Decides every case, by the files that its own file names and then by these and those beside them.
    pub(super) fn each_case(
        &self,
        mut see: impl FnMut(Decided, Effects) -> Result<(), TrialError>,
    ) -> Result<(), TrialError> {
        let (keys, mut benches) = (Keyring::default(), Benches::default());
        for file in &self.cases {
            let alone = benches.of(self, file, &[], &keys)?;
            let beside = match file.also.is_empty() {
                true => None,
                false => Some(benches.of(self, file, &file.also, &keys)?),
            };
            for (at, case) in &file.cases {
                let problem = |problem| TrialError::Case {
                    at: at.clone(),
                    case: names::escaped(&case.name),
                    problem,
                };
                if beside.is_none() && case.expect_also.is_some() {
                    return Err(problem("`expect_also` is about policies that the file names in `also`, and it names none".to_owned()));
                }
                let staged = match stage(case, &keys) {
                    Ok(staged) => Ok(staged),
                    Err(Unstaged::Call(error)) => Err(Denial::from(error)),
                    Err(Unstaged::Token(error)) => return Err(problem(error)),
                };
                let (found, effects) = alone.decide(&staged);
                see(alone.decided(at, case, case.expect, case.expect_at.clone(), found), effects)?;
                let Some(beside) = &beside else { continue };
                // Beside others, another statement may be the first to say the same.
                let expected = case.expect_also.unwrap_or(case.expect);
                let (found, effects) = beside.decide(&staged);
                see(beside.decided(at, case, expected, None, found), effects)?;
            }
        }
        Ok(())
    }

    fn has(&self, name: &String) -> bool {
        self.files.iter().any(|(known, _)| known == name)
    }
}

/// How many benches are kept: most files of cases take the whole set, or one of a few parts of it.
const KEPT_BENCHES: usize = 8;

/// Those that were used last.
#[derive(Default)]
struct Benches(Vec<Rc<Bench>>);

/// The policies in force for a file of cases.
struct Bench {
    /// Their files: names and texts.
    files: Vec<(String, String)>,
    policies: Vec<String>,
    policy: Policy,
    statements: Vec<StatementId>,
}

impl Benches {
    /// The bench for a file of cases; a new one only if none that is kept is of the same policies.
    fn of(
        &mut self,
        set: &Set,
        file: &CaseFile,
        also: &[String],
        keys: &Keyring,
    ) -> Result<Rc<Bench>, TrialError> {
        let wrong = |problem: String| TrialError::File {
            at: Location { file: file.name.clone(), line: 1 },
            problem: names::escaped(&problem),
        };
        let files = selection(set, file, also).map_err(wrong)?;
        let files = with_trial_keys(set, file, files, keys).map_err(wrong)?;
        if let Some(bench) = self.0.iter().find(|bench| bench.files == files) {
            return Ok(Rc::clone(bench));
        }
        let policy = match files == set.files {
            true => set.policy.clone(),
            false => Policy::from_files(&files).map_err(|error| wrong(error.to_string()))?,
        };
        let policies = files.iter().map(|(name, _)| name.clone()).collect();
        let bench = Rc::new(Bench { files, policies, statements: ids(&policy), policy });
        if self.0.len() == KEPT_BENCHES {
            self.0.remove(0);
        }
        self.0.push(Rc::clone(&bench));
        Ok(bench)
    }
}

impl Bench {
    fn decide(&self, staged: &Result<Staged, Denial>) -> (Ruling, Effects) {
        let staged = match staged {
            Ok(staged) => staged,
            Err(denial) => {
                let ruling = Ruling::from(denial);
                let message = format!("the call: {}", ruling.message);
                return (Ruling { message, ..ruling }, None);
            }
        };
        let verified = match &staged.verified {
            Ok(verified) => verified,
            Err(error) => return (error.into(), None),
        };
        let prepared = PreparedSets::default();
        let decided = authorize_with(&prepared, verified, &self.policy, &staged.call);
        let effects = effects(&prepared, verified, &self.policy, &staged.call);
        let did = |effects: Vec<bool>| {
            let all = self.statements.iter().zip(effects);
            all.filter(|(_, did)| *did).map(|(id, _)| id.clone()).collect()
        };
        let effects = effects.map(did);
        (Ruling::of(&decided), effects)
    }

    fn decided(
        &self,
        at: &Location,
        case: &Case,
        Expected(expected): Expected,
        expected_at: Option<String>,
        found: Ruling,
    ) -> Decided {
        let (at, name, policies) = (at.clone(), case.name.clone(), self.policies.clone());
        Decided { at, name, policies, expected, expected_at, found, took: Duration::ZERO }
    }
}

/// The files of the set that are in force.
fn selection(set: &Set, file: &CaseFile, also: &[String]) -> Result<Vec<(String, String)>, String> {
    let own = file.policies.as_deref().unwrap_or_default();
    for (key, names) in [("policies", own), ("also", also)] {
        if let Some(name) = names.iter().find(|name| !set.has(name)) {
            let known = set.files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
            let known = known.join(", ");
            return Err(format!(
                "`{key}` names {name}, which the set does not have; it has {known}"
            ));
        }
    }
    let in_force = |(name, _): &&(String, String)| {
        file.policies.is_none() || own.contains(name) || also.contains(name)
    };
    Ok(set.files.iter().filter(in_force).cloned().collect())
}

/// The files with keys that the trial has, where they name those of the cases' agents.
fn with_trial_keys(
    set: &Set,
    file: &CaseFile,
    files: Vec<(String, String)>,
    keys: &Keyring,
) -> Result<Vec<(String, String)>, String> {
    let stands = |key: &str| set.files.iter().any(|(_, text)| text.contains(key));
    if let Some((name, key)) = file.keys.iter().find(|(_, key)| !stands(key)) {
        return Err(format!(
            "`keys` says that {name} has the key {key}, which no policy of the set names"
        ));
    }
    match keys.misplaced(file.agents(), &files) {
        Some(name) => Err(format!(
            "a policy names the key with which trials sign for {name}, and so can anybody; write the real one, and say in `keys` whose it is"
        )),
        None => Ok(keys.stand_in(&file.keys, files)),
    }
}
