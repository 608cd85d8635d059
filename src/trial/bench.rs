//! Bench: a set as it was read, and the files of it that decide a case.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::audit::Verdict;
use crate::authorize::authorize_with;
use crate::cause::Cause;
use crate::explain::{self, Explanation};
use crate::guard::Denial;
use crate::names;
use crate::policy::{self, Location, Policy};
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;
use crate::trial::cases::{self, Case, CaseFile};
use crate::trial::coverage::{Effects, StatementId, ids};
use crate::trial::effects::effects;
use crate::trial::staging::{Keyring, Stage, Staged, Token, Unstaged};
use crate::trial::verdict::Expected;
use crate::trial::{Decided, TrialError};

/// A set with its cases, each file read once: what is tried is what is loaded.
pub(super) struct Set {
    pub(super) folder: PathBuf,
    pub(super) files: Vec<(String, String)>,
    pub(super) policy: Policy,
    cases: Vec<CaseFile>,
}

/// Of which cases the explanation is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Explained {
    None,
    Unexpected,
    All,
}

impl Explained {
    fn is(self, decided: &Decided) -> bool {
        match self {
            Explained::None => false,
            Explained::Unexpected => !decided.is_as_expected(),
            Explained::All => true,
        }
    }
}

impl Set {
    pub(super) fn read(folder: &Path) -> Result<Set, TrialError> {
        Set::with(folder, cases::read(folder)?)
    }

    /// The set with other cases than its own: what a file of cases called `name` would say.
    pub(super) fn with_cases(folder: &Path, name: &str, text: &str) -> Result<Set, TrialError> {
        Set::with(folder, vec![cases::parse(name.to_owned(), text)?])
    }

    fn with(folder: &Path, cases: Vec<CaseFile>) -> Result<Set, TrialError> {
        let files = policy::read_folder(folder)?;
        let policy = Policy::from_files(&files)?;
        Ok(Set { folder: folder.to_owned(), files, policy, cases })
    }

    /// Decides every case, by the files that its own file names and then by these and those beside them. A case whose token cannot be
    /// made fails alone.
    pub(super) fn each_case(
        &self,
        explained: Explained,
        mut see: impl FnMut(Decided, Effects) -> Result<(), TrialError>,
    ) -> Result<(), TrialError> {
        let (stage, mut benches) = (Stage::default(), Benches::default());
        for file in &self.cases {
            let alone = benches.of(self, file, &[], &stage.keys)?;
            let beside = match file.also.is_empty() {
                true => None,
                false => Some(benches.of(self, file, &file.also, &stage.keys)?),
            };
            for (at, case) in &file.cases {
                if beside.is_none() && case.expect_also.is_some() {
                    let problem = "`expect_also` is about policies that the file names in `also`, and it names none".to_owned();
                    let case = names::escaped(&case.name);
                    return Err(TrialError::Case { at: at.clone(), case, problem });
                }
                let staged = stage.set(case);
                let mut decide = |bench: &Bench, expected, expected_at| {
                    let (found, effects) = bench.decide(&staged);
                    let mut decided = bench.decided(at, case, expected, expected_at, found);
                    if explained.is(&decided) {
                        decided.explanation = bench.explain(&staged, case.at);
                        decided.stand_ins = stage.keys.stand_ins(&file.keys);
                    }
                    see(decided, effects)
                };
                decide(&alone, case.expect, case.expect_at.clone())?;
                let Some(beside) = &beside else { continue };
                // Beside others, another statement may be the first to say the same.
                decide(beside, case.expect_also.unwrap_or(case.expect), None)?;
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
    fn decide(&self, staged: &Result<Staged, Unstaged>) -> (Ruling, Effects) {
        let staged = match staged {
            Ok(staged) => staged,
            Err(Unstaged::Call(error)) => {
                let ruling = Ruling::from(&Denial::from(error.clone()));
                let message = format!("the call: {}", ruling.message);
                return (Ruling { message, ..ruling }, None);
            }
            Err(Unstaged::Token(problem)) => return (unbuilt(problem), None),
        };
        let verified = match &staged.token.verified {
            Ok(verified) => verified,
            Err(rejection) => return ((&rejection.error).into(), None),
        };
        let prepared = &staged.token.prepared;
        let decided = authorize_with(prepared, verified, &self.policy, &staged.call);
        let effects = effects(prepared, verified, &self.policy, &staged.call, &decided);
        let named = |did: Vec<usize>| {
            did.into_iter().filter_map(|number| self.statements.get(number).cloned()).collect()
        };
        (Ruling::of(&decided), effects.map(named))
    }

    /// Why a case was decided so; `None` where nothing was decided.
    fn explain(&self, staged: &Result<Staged, Unstaged>, at: Timestamp) -> Option<Explanation> {
        let Staged { call, token } = staged.as_ref().ok()?;
        let Token { verifier, bearer, verified, prepared } = &**token;
        Some(match verified {
            Ok(verified) => {
                let shown = explain::Shown::All;
                explain::explain(verifier, prepared, &self.policy, verified, call, shown)
            }
            Err(rejection) => explain::rejected(verifier, bearer, rejection, at),
        })
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
        let (explanation, stand_ins) = (None, Vec::new());
        let took = Duration::ZERO;
        Decided {
            at,
            name,
            policies,
            expected,
            expected_at,
            found,
            differs: None,
            took,
            explanation,
            stand_ins,
        }
    }
}

/// What is said of a case that was never decided, since its token cannot be made.
fn unbuilt(problem: &str) -> Ruling {
    let message = format!("the case cannot be built: {problem}");
    Ruling::refused(Verdict::Undecided, Cause::MalformedCase, None, message)
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
