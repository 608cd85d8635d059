//! Report: what became of a set's cases, which statements decided something, and what is missing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::cause::Cause;
use crate::names;
use crate::policy::Location;

/// The verdict of a call that is allowed; of others it is the cause.
pub(crate) const ALLOW: &str = "allow";

/// The report of a trial of a set of policies ([`run`](crate::trial::run)).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The folder of the set.
    pub folder: PathBuf,
    /// All cases, in the order of files and lines. A case that names policies in `also` is there twice.
    pub cases: Vec<Decided>,
    /// All statements of the set, in the order of files and lines.
    pub statements: Vec<Statement>,
    /// The things that the cases fail to show.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Returns true if every case got its verdict and the cases show what they must.
    pub fn passes(&self) -> bool {
        self.faults.is_empty() && self.unexpected().next().is_none()
    }

    /// Returns the cases that got another verdict, or got it from another place.
    pub fn unexpected(&self) -> impl Iterator<Item = &Decided> {
        self.cases.iter().filter(|case| !case.is_as_expected())
    }
}

/// A case that was decided.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Decided {
    /// The place of the case, below the set's folder: `cases/payments.toml:12`.
    pub at: Location,
    /// The name of the case.
    pub name: String,
    /// The policy files in force.
    pub policies: Vec<String>,
    /// The verdict that it must get.
    pub expected: Expected,
    /// The verdict that it got.
    pub found: Found,
    /// The time that it took, from minting to the verdict.
    pub took: Duration,
}

impl Decided {
    /// Returns true if the case got the verdict that it must get, from the place where it must get it.
    pub fn is_as_expected(&self) -> bool {
        let place = |wanted: &String| self.found.at.as_ref().is_some_and(|at| is_at(at, wanted));
        self.expected.verdict == self.found.verdict && self.expected.at.iter().all(place)
    }
}

/// The place itself, or its file.
fn is_at(at: &str, wanted: &str) -> bool {
    at.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, message) = (names::escaped(&self.name), names::escaped(&self.found.message));
        write!(
            f,
            "{}: case \"{name}\": expected {}, found {}: {message}",
            self.at, self.expected, self.found
        )
    }
}

/// The verdict that a case must get.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expected {
    /// `allow`, or the cause of the refusal.
    pub verdict: String,
    /// The file, or the line of a file, from which it must come, if the case says so.
    pub at: Option<String>,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        verdict(f, &self.verdict, self.at.as_deref())
    }
}

/// The verdict that a case got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// `allow`, or the cause of the refusal.
    pub verdict: String,
    /// The place of the statement that gave it, if one did: `payments.datalog:12`, or `check 1 of block 2` of the
    /// token.
    pub at: Option<String>,
    /// The verdict in words.
    pub message: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        verdict(f, &self.verdict, self.at.as_deref())
    }
}

fn verdict(f: &mut fmt::Formatter<'_>, verdict: &str, at: Option<&str>) -> fmt::Result {
    f.write_str(&names::escaped(&verdict))?;
    at.map_or(Ok(()), |at| write!(f, " at {}", names::escaped(&at)))
}

/// A statement of a policy file, and whether it did something in some case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// The kind of the statement.
    pub kind: Kind,
    /// The place of the statement.
    pub at: Location,
    /// The first line of the statement.
    pub text: String,
    /// True if it did something in some case: an `allow` allowed, a `deny` denied, a check refused, a rule derived, a
    /// fact was part of what matched.
    pub decided: bool,
}

/// The kinds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A policy `allow if`.
    Allow,
    /// A policy `deny if`.
    Deny,
    /// A check: `check if`, `check all` or `reject if`.
    Check,
    /// A rule: `head(…) <- body(…)`.
    Rule,
    /// A fact: `fact(…)`.
    Fact,
}

impl Kind {
    /// Returns true if statements of this kind give verdicts, so that a case must show each. What rules and facts do
    /// shows in these.
    pub fn is_policy(self) -> bool {
        matches!(self, Kind::Allow | Kind::Deny | Kind::Check)
    }

    /// Returns the name of the kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Allow => "allow",
            Kind::Deny => "deny",
            Kind::Check => "check",
            Kind::Rule => "rule",
            Kind::Fact => "fact",
        }
    }

    /// What it did in no case.
    pub(crate) fn did_not(self) -> &'static str {
        match self {
            Kind::Allow => "never allowed a call",
            Kind::Deny => "never denied a call",
            Kind::Check => "never refused a call",
            Kind::Rule => "never derived a fact",
            Kind::Fact => "was never part of what decided",
        }
    }
}

/// A thing that the cases of a set fail to show. The message says how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The set has no case, so that nothing is shown.
    #[error("the set has no case; write some in {folder}, as policies/README.md of Hardtack shows")]
    NoCase {
        /// The folder where cases would be.
        folder: String,
    },
    /// No case shows that the file refuses.
    #[error("{file} has no refusing case; add one in which it is in force and the call is refused")]
    NeverRefused {
        /// The name of the file.
        file: String,
    },
    /// No case shows what a statement is for.
    #[error("{at} {}; add a case in which it does, or delete it", kind.did_not())]
    NeverDecided {
        /// The kind of the statement.
        kind: Kind,
        /// The place of the statement.
        at: Location,
    },
}

impl Fault {
    /// Returns the [`Cause`] of the fault: its stable name, by which programs tell faults apart.
    pub fn cause(&self) -> Cause {
        Cause::CaseMissing
    }
}
