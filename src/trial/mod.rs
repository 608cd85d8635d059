//! Trial: does a set of policies decide its cases as they say? (Table-driven tests of policies, with coverage.) Tokens
//! and verifier are real, and the set is taken as it stands.
//!
//! It stands above the stages of a capability's life, for it goes through all of them. A case never depends on the day:
//! it says when it is decided, or it is decided at 2026-11-23T10:00:00Z, a Monday.

mod bench;
mod cases;
mod coverage;
mod effects;
mod issuing;
mod report;
mod staging;
mod verdict;

use std::path::Path;
use std::time::Duration;

use crate::cause::Cause;
use crate::issuance::Issuance;
use crate::policy::{Location, Policy, PolicyError};
use crate::trial::bench::{Explained, Set};
use crate::trial::coverage::Tally;

pub use report::{Decided, Fault, Report, Statement, StatementKind};

/// Decides the cases of the set of policies in `folder`, `folder/cases/*.toml`, and reports which got another verdict
/// and what they fail to show.
///
/// `elapsed` returns the time since some fixed moment. By it the report says how long each case took.
///
/// # Errors
///
/// [`TrialError`] if the set or a case cannot be read. A case with another verdict is no error: it stands in the report. So does one
/// that cannot be built, for example because its scope is wider than its grant's.
///
/// ```
/// use hardtack::trial;
///
/// let start = std::time::Instant::now();
/// let report = trial::run("policies/default", || start.elapsed())?;
/// assert!(report.passes());
/// # Ok::<(), trial::TrialError>(())
/// ```
pub fn run(folder: impl AsRef<Path>, elapsed: impl Fn() -> Duration) -> Result<Report, TrialError> {
    try_cases(folder.as_ref(), elapsed, Explained::None)
}

/// The same as [`run`], and each case with another verdict has its explanation.
///
/// # Errors
///
/// [`TrialError`], as of [`run`].
pub fn run_explained(
    folder: impl AsRef<Path>,
    elapsed: impl Fn() -> Duration,
) -> Result<Report, TrialError> {
    try_cases(folder.as_ref(), elapsed, Explained::Unexpected)
}

fn try_cases(
    folder: &Path,
    elapsed: impl Fn() -> Duration,
    explained: Explained,
) -> Result<Report, TrialError> {
    if issuing::is_of_issuer(folder)? {
        return issuing::try_cases(folder, elapsed);
    }
    let set = Set::read(folder)?;
    let mut tally = Tally::of(&set);
    let mut cases = Vec::new();
    let mut start = elapsed();
    set.each_case(explained, |mut decided, effects| {
        let end = elapsed();
        decided.took = end.saturating_sub(start);
        start = end;
        tally.count(&decided, effects);
        cases.push(decided);
        Ok(())
    })?;
    let (statements, faults) = tally.close(&set, cases.is_empty());
    Ok(Report { folder: set.folder, cases, statements, faults })
}

/// Decides cases that are no part of the set of policies in `folder`: those of `text`, which is what a file of cases called `name` would
/// say. Each has its explanation.
///
/// # Errors
///
/// [`TrialError`], as of [`run`].
pub fn evaluate(
    folder: impl AsRef<Path>,
    name: &str,
    text: &str,
) -> Result<Vec<Decided>, TrialError> {
    let set = Set::with_cases(folder.as_ref(), name, text)?;
    let mut cases = Vec::new();
    set.each_case(Explained::All, |decided, _| {
        cases.push(decided);
        Ok(())
    })?;
    Ok(cases)
}

/// Loads the set of policies in `folder`, if each of its cases gets its verdict. A set without cases is loaded as it
/// is.
///
/// # Errors
///
/// [`TrialError`], as of [`run`], and [`TrialError::Verdict`] for the first case with another verdict.
pub fn load(folder: impl AsRef<Path>) -> Result<Policy, TrialError> {
    let set = Set::read(folder.as_ref())?;
    set.each_case(Explained::None, |decided, _| match decided.is_as_expected() {
        true => Ok(()),
        false => Err(TrialError::Verdict(Box::new(decided))),
    })?;
    Ok(set.policy)
}

/// Loads the set of an issuer in `folder`, if each of its cases gets what it says. A set without cases is loaded as it is.
///
/// # Errors
///
/// [`TrialError`], as of [`run`], and [`TrialError::Verdict`] for the first case that gets something else.
pub fn load_issuance(folder: impl AsRef<Path>) -> Result<Issuance, TrialError> {
    let (report, set) = issuing::try_set(folder.as_ref(), || Duration::ZERO)?;
    match report.unexpected().next() {
        Some(decided) => Err(TrialError::Verdict(Box::new(decided.clone()))),
        None => Ok(set),
    }
}

/// The error of a set whose cases cannot be decided, or that is not to be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The set cannot be loaded.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A file of cases cannot be read, or names what is not there.
    #[error("{at}: {problem}")]
    File {
        /// The place in the file.
        at: Location,
        /// The reason, in words.
        problem: String,
    },
    /// A case cannot be read.
    #[error("{at}: case \"{case}\": {problem}")]
    Case {
        /// The place of the case.
        at: Location,
        /// The name of the case.
        case: String,
        /// The reason, in words.
        problem: String,
    },
    /// The set has more cases than are decided before a set is taken.
    #[error("the set has more than {} cases; split it", cases::MAX_CASES)]
    TooMany,
    /// A case got another verdict.
    #[error("{0}")]
    Verdict(Box<Decided>),
}

impl TrialError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            TrialError::Policy(error) => error.cause(),
            TrialError::File { .. } | TrialError::Case { .. } => Cause::MalformedCase,
            TrialError::TooMany => Cause::TooMany,
            TrialError::Verdict(_) => Cause::CaseFailed,
        }
    }
}
