//! Function: the external functions of the profile, by name, for what plain Datalog cannot say of a text.
//!
//! Each compares an argument with a text that is written out in the check or policy. They are pure, cheap and bounded,
//! and give one of three answers (three-valued logic). A text that has not the form that is asked about (no clean path,
//! no URL in normal form) is neither inside nor outside: it cannot be judged. A call whose check or policy cannot be
//! evaluated is refused, whether the function stands behind `!` or not. Other Biscuit verifiers do not know the
//! functions and refuse.

mod address;
mod device;
mod glob;
mod inside;
mod loose;
mod path;
mod pattern;
mod reason;
mod segment;
mod text;
mod url;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use biscuit_auth::builder::Term;
use biscuit_auth::datalog::ExternFunc;

pub(crate) use glob::Glob;
pub(crate) use path::Root;
pub(crate) use url::Site;

pub(crate) use address::Network;

/// The most bytes of a text that is judged: more than any path or URL that servers take. A longer text cannot be
/// judged.
pub(crate) const MAX_JUDGED_BYTES: usize = 4096;

/// The most bytes of the operand with which a text is compared.
pub(crate) const MAX_OPERAND_BYTES: usize = 512;

/// An external function of the profile: `$value.extern::name("operand")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// `hardtack_path("/srv/data")`: an absolute path that stays within a folder, read without a file system.
    Path,
    /// `hardtack_url("https://api.example.com")`: a URL of this scheme, host and port, below this path.
    Url,
    /// `hardtack_network("10.0.0.0/8")`: an IP address of this network.
    Network,
    /// `hardtack_glob("report-*.pdf")`: a text of this pattern.
    Glob,
}

impl Function {
    /// All functions.
    pub const ALL: [Function; 4] =
        [Function::Path, Function::Url, Function::Network, Function::Glob];

    /// Returns the name of the function, which stands behind `extern::`.
    pub fn name(self) -> &'static str {
        match self {
            Function::Path => "hardtack_path",
            Function::Url => "hardtack_url",
            Function::Network => "hardtack_network",
            Function::Glob => "hardtack_glob",
        }
    }

    /// Returns the function with this name; `None` if there is none.
    pub fn named(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|function| function.name() == name)
    }

    /// Checks that texts can be compared with `operand`, which stands in the check or policy.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn check_operand(self, operand: &str) -> Result<(), String> {
        if operand.len() > MAX_OPERAND_BYTES {
            return Err(format!("more than {MAX_OPERAND_BYTES} bytes"));
        }
        let checked = match self {
            Function::Path => Root::parse(operand).map(drop),
            Function::Url => Site::parse(operand).map(drop),
            Function::Network => Network::parse(operand).map(drop),
            Function::Glob => Glob::parse(operand).map(drop),
        };
        checked.map_err(|error| error.to_string())
    }

    /// Judges whether the text `value` lies within `operand`: in the folder, the site or the network, or of the
    /// pattern. Returns `None` if that cannot be judged: the text has not the form that is asked about, or is longer than 4,096 bytes.
    pub fn judge(self, value: &str, operand: &str) -> Option<bool> {
        self.judged(value, operand).ok()
    }

    fn judged(self, value: &str, operand: &str) -> Result<bool, Unjudgeable> {
        if value.len() > MAX_JUDGED_BYTES || operand.len() > MAX_OPERAND_BYTES {
            return Err(Unjudgeable);
        }
        match self {
            Function::Path => Root::parse(operand)?.holds(value),
            Function::Url => Site::parse(operand)?.holds(value),
            Function::Network => Network::parse(operand)?.holds(value),
            Function::Glob => Glob::parse(operand)?.matches(value),
        }
    }

    /// What of a text that cannot be judged is the matter, for people: one sentence that repeats no more than a part of it.
    /// `None` if it can be judged.
    pub(crate) fn reason(self, value: &str, operand: &str) -> Option<String> {
        self.judge(value, operand).is_none().then(|| reason::reason(self, value, operand))
    }

    fn apply(self, value: Term, operand: Option<Term>) -> Result<Term, String> {
        match (value, operand) {
            (Term::Str(value), Some(Term::Str(operand))) => {
                self.judged(&value, &operand).map(Term::Bool).map_err(|error| error.to_string())
            }
            _ => Err(Unjudgeable.to_string()),
        }
    }
}

/// The functions, as Biscuit's evaluation takes them.
pub(crate) fn functions() -> &'static HashMap<String, ExternFunc> {
    static FUNCTIONS: LazyLock<HashMap<String, ExternFunc>> = LazyLock::new(|| {
        let entry = |function: Function| {
            let apply = move |value, operand| function.apply(value, operand);
            (function.name().to_owned(), ExternFunc::new(Arc::new(apply)))
        };
        Function::ALL.into_iter().map(entry).collect()
    });
    &FUNCTIONS
}

/// The error of a text that cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this text has not the form that is asked about, so it cannot be judged")]
pub(crate) struct Unjudgeable;

/// The error of an operand with which nothing can be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct OperandError {
    problem: String,
}

impl OperandError {
    pub(crate) fn new(problem: impl Into<String>) -> OperandError {
        OperandError { problem: problem.into() }
    }
}

impl From<OperandError> for Unjudgeable {
    fn from(_: OperandError) -> Unjudgeable {
        Unjudgeable
    }
}
