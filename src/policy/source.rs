//! Source: policy text to statements that can be converted for evaluation, each with its file and line, or the reason why not.

use std::fmt;

use biscuit_auth::builder;

use crate::cause::Cause;
use crate::names;
use crate::policy::problem::Problem;
use crate::policy::syntax::{self, Built, Lines};

/// The place of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name of the file.
    pub file: String,
    /// The number of the line, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The error of a statement that is refused, and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}:{column}: {problem}")]
pub struct SourceError {
    /// The place of the word that is wrong.
    pub at: Location,
    /// The number of the column in its line, from 1, in characters.
    pub column: usize,
    /// The reason of the refusal, in words.
    pub problem: String,
}

impl SourceError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedPolicy
    }
}

/// The statements of one file.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    pub(crate) facts: Vec<(Location, builder::Fact)>,
    pub(crate) rules: Vec<(Location, builder::Rule)>,
    pub(crate) checks: Vec<(Location, builder::Check)>,
    pub(crate) policies: Vec<(Location, builder::Policy)>,
}

/// Reads the text of one file. Waits for no disk.
pub(crate) fn read(file: &str, text: &str) -> Result<Statements, SourceError> {
    let source = syntax::read(0, file, text);
    let lines = Lines::of(text);
    let at = |line| Location { file: file.to_owned(), line };
    if let Some((span, problem)) = source.first_problem() {
        let (line, column) = lines.place(text, span.start);
        return Err(SourceError { at: at(line), column, problem: names::escaped(problem) });
    }
    let mut found = Statements::default();
    for part in source.statements {
        let at = at(lines.line(part.span.start));
        match part.built {
            Some(Built::Fact(fact)) => found.facts.push((at, fact.into())),
            Some(Built::Rule(rule)) => found.rules.push((at, rule.into())),
            Some(Built::Check(check)) => found.checks.push((at, check.into())),
            Some(Built::Policy(policy)) => found.policies.push((at, policy.into())),
            // Not reached: what has no problem was built. No statement is left out.
            None => {
                let problem = Problem::ReadDifferently.to_string();
                return Err(SourceError { at, column: 1, problem });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, PolicyError};

    fn problem(text: &str) -> String {
        match Policy::parse("p.datalog", text) {
            Err(PolicyError::Source(error)) => error.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn reserved_words_are_refused_with_file_and_line() {
        let text = "allow if granted($op);\n\n// a comment\ngranted(\"tools:call:pay\");\n";
        assert!(
            problem(text).starts_with("p.datalog:4:1: `granted` is reserved"),
            "{}",
            problem(text)
        );
        let rule = "allow if granted($op);\nhop($n) <- depth($n);";
        assert!(problem(rule).starts_with("p.datalog:2:1: `hop` is reserved"), "{}", problem(rule));
    }

    #[test]
    fn the_grants_own_words_cannot_be_read() {
        for text in [
            "allow if scope(\"*\");",
            "deny if reason($r);",
            "check if delegate($d);",
            "x($s) <- scope($s);",
        ] {
            assert!(problem(text).contains("the grant's words"), "{text}");
        }
        Policy::parse("p.datalog", r#"allow if subject("user:alice"), issued($t);"#).unwrap();
    }

    #[test]
    fn what_biscuit_accepts_or_dies_of_is_refused() {
        for (text, expected) in [
            ("allow if true trusting ed25519/abcd;", "`trusting` has no use"),
            ("allow if granted($op) trusting previous;", "`trusting` has no use"),
            ("allow if $x > 1;", "$x is compared"),
            ("allow if granted($op), $x > 1;", "$x is compared"),
            ("allow if granted({op});", "{parameter}"),
            ("role([{b}]); allow if true;", "{parameter}"),
            ("allow if granted($op), $op.matches(\"(\");", "no regular expression"),
            ("allow if granted($op), $op.matches($op);", "must be written out"),
            ("allow if granted($op), $op.extern::f();", "external function"),
            ("", "says nothing"),
            ("// nothing\n", "says nothing"),
            ("allow granted($op);", "this is no fact"),
        ] {
            assert!(problem(text).contains(expected), "{text}: {}", problem(text));
        }
        let deep = format!("allow if {}true{};", "(".repeat(2000), ")".repeat(2000));
        assert!(problem(&deep).contains("brackets"));
        let hidden = format!("x({}1);", "[\")\",".repeat(800));
        assert!(problem(&hidden).contains("brackets"));
        let chain = format!("allow if {}true;", "true || ".repeat(30_000));
        assert!(problem(&chain).contains("4096 bytes"));
    }

    #[test]
    fn a_set_that_allows_nothing_is_refused() {
        let error = Policy::parse("p.datalog", "deny if depth($d), $d > 3;").unwrap_err();
        assert!(matches!(error, PolicyError::AllowsNothing));
    }
}
