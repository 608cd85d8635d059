//! Trial: a set of policies put to its cases, with real tokens, a real verifier and the set as it stands.
//!
//! It stands above the stages of a capability's life, for it goes through all of them. A case never depends on
//! the day: it says when it is decided, or it is decided at 2026-11-23T10:00:00Z, a Monday.

mod bench;
mod cases;
mod coverage;
mod effects;
mod report;
mod staging;

use std::path::Path;
use std::time::Duration;

use crate::cause::Cause;
use crate::policy::{Location, Policy, PolicyError};
use crate::trial::bench::Set;
use crate::trial::coverage::Tally;

pub use report::{Decided, Expected, Fault, Found, Kind, Report, Statement};

/// Puts the set in `folder` to its cases, `folder/cases/*.toml`.
///
/// `elapsed` says how long it has been since some moment; the report tells by it how long each case took.
///
/// # Errors
///
/// [`TrialError`] if the set or a case cannot be read, or a case cannot be built: its scope is wider than its
/// grant's, say. A case with another verdict is no error but stands in the report.
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
    let set = Set::read(folder.as_ref())?;
    let mut tally = Tally::of(&set);
    let mut cases = Vec::new();
    let mut start = elapsed();
    set.each_case(|mut decided, effects| {
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

/// Loads the set in `folder`, if each of its cases gets its verdict. A set without cases is loaded as it is.
///
/// # Errors
///
/// [`TrialError`]: as of [`run`], and [`TrialError::Verdict`] for the first case with another verdict.
pub fn load(folder: impl AsRef<Path>) -> Result<Policy, TrialError> {
    let set = Set::read(folder.as_ref())?;
    set.each_case(|decided, _| match decided.is_as_expected() {
        true => Ok(()),
        false => Err(TrialError::Verdict(Box::new(decided))),
    })?;
    Ok(set.policy)
}

/// A set that cannot be put to its cases, or that is not to be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The set cannot be loaded.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A file of cases that cannot be read, or that speaks of what is not there.
    #[error("{at}: {problem}")]
    File {
        /// Where.
        at: Location,
        /// Why.
        problem: String,
    },
    /// A case that cannot be read or built.
    #[error("{at}: case \"{case}\": {problem}")]
    Case {
        /// Where it stands.
        at: Location,
        /// Its name.
        case: String,
        /// Why.
        problem: String,
    },
    /// More cases than are decided before a set is taken.
    #[error("the set has more than {} cases; split it", cases::MAX_CASES)]
    TooMany,
    /// A case that got another verdict.
    #[error("{0}")]
    Verdict(Box<Decided>),
}

impl TrialError {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            TrialError::Policy(error) => error.cause(),
            TrialError::File { .. } | TrialError::Case { .. } => Cause::MalformedCase,
            TrialError::TooMany => Cause::TooMany,
            TrialError::Verdict(_) => Cause::CaseFailed,
        }
    }
}
