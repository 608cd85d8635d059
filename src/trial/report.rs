//! Report: what became of a set's cases, which statements decided something, and what is missing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::audit::Verdict;
use crate::cause::Cause;
use crate::explain::Explanation;
use crate::names;
use crate::policy::Location;
use crate::ruling::Ruling;

/// What stands for the verdict of a call that is allowed; of others their cause does.
pub(super) const ALLOW: &str = "allow";

/// The same of a request to an issuer.
pub(super) const ISSUE: &str = "issue";

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
    /// The cause for which its call must be refused; `None` if it must be allowed.
    pub expected: Option<Cause>,
    /// The file, or the line of a file, from which the verdict must come; `None` if the case does not say.
    pub expected_at: Option<String>,
    /// The ruling on its call.
    pub found: Ruling,
    /// What an issuer gives otherwise than the case says; `None` for calls, and if it gives what it must.
    pub differs: Option<String>,
    /// The time that it took, from minting to the verdict.
    pub took: Duration,
    /// The explanation of a case that is not as expected, if one was asked for ([`run_explained`](crate::trial::run_explained)) and
    /// something was decided.
    pub explanation: Option<Explanation>,
    /// The keys of the trial that stand in the explanation for real ones, each with the real one, in hexadecimal digits.
    pub stand_ins: Vec<(String, String)>,
}

impl Decided {
    /// Returns true if the case got the verdict that it must get, from the place where it must get it.
    pub fn is_as_expected(&self) -> bool {
        let place = |wanted: &String| self.found.place.as_ref().is_some_and(|at| is_at(at, wanted));
        let verdict = match self.expected {
            // What was never decided is never as expected.
            _ if self.found.cause == Some(Cause::MalformedCase) => false,
            None => self.found.verdict == Verdict::Allow,
            Some(cause) => self.found.cause == Some(cause),
        };
        verdict && self.differs.is_none() && self.expected_at.iter().all(place)
    }

    /// Returns in one line what was expected and what was found: `expected allow, found not_granted`. Control characters are escaped.
    pub fn difference(&self) -> String {
        if let Some(differs) = &self.differs {
            return names::escaped(differs);
        }
        let said = |cause: Option<Cause>, at: &Option<String>| {
            let at = at.as_ref().map_or(String::new(), |at| format!(" at {}", names::escaped(at)));
            format!("{}{at}", cause.map_or(ALLOW, Cause::as_str))
        };
        let expected = said(self.expected, &self.expected_at);
        format!("expected {expected}, found {}", said(self.found.cause, &self.found.place))
    }
}

/// The place itself, or its file.
fn is_at(at: &str, wanted: &str) -> bool {
    at.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, message) = (names::escaped(&self.name), names::escaped(&self.found.message));
        write!(f, "{}: case \"{name}\": {}: {message}", self.at, self.difference())
    }
}

/// A statement of a policy file, and whether it did something in some case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// The kind of the statement.
    pub kind: StatementKind,
    /// The place of the statement.
    pub at: Location,
    /// The first line of the statement.
    pub text: String,
    /// True if it did something in some case. An `allow`, a `deny` or a check: it alone made the difference, so that without it the case
    /// would have another cause. A rule: it derived something. A fact: it was part of what matched.
    pub decided: bool,
}

/// The kinds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatementKind {
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

impl StatementKind {
    /// Returns true if statements of this kind give verdicts, so that a case must show each. What rules and facts do
    /// shows in these.
    pub fn is_policy(self) -> bool {
        matches!(self, StatementKind::Allow | StatementKind::Deny | StatementKind::Check)
    }

    /// Returns the name of the kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            StatementKind::Allow => "allow",
            StatementKind::Deny => "deny",
            StatementKind::Check => "check",
            StatementKind::Rule => "rule",
            StatementKind::Fact => "fact",
        }
    }

    /// What it did in no case.
    pub(crate) fn did_not(self) -> &'static str {
        match self {
            StatementKind::Allow => "alone never allowed a call",
            StatementKind::Deny => "alone never denied a call",
            StatementKind::Check => "alone never refused a call",
            StatementKind::Rule => "never derived a fact",
            StatementKind::Fact => "was never part of what decided",
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
    #[error(
        "{at} {}: without it, every case has the same cause; add a case that only it decides, or delete it", kind.did_not()
    )]
    NeverDecided {
        /// The kind of the statement.
        kind: StatementKind,
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
