//! Spelling: which denials would find the name of an argument in some of its spellings only?
//!
//! The loader says so of the whole set, which is why it is asked. What else it refuses of the whole set is found here, too.

use crate::set::Set;
use crate::{Code, Findings, Severity};
use hardtack::internal::syntax::{Lines, Statement};
use hardtack::policy::{Location, Policy, PolicyError, SourceError};

pub(super) fn check(set: &Set, files: &[(String, String)], findings: &mut Findings) {
    // Files are called by their numbers here, for two may have one name.
    let files = files.iter().enumerate().map(|(number, (_, text))| (number.to_string(), text));
    let files: Vec<(String, String)> = files.map(|(name, text)| (name, text.clone())).collect();
    // What cannot be read is reported already.
    let policy = match Policy::assemble(&files) {
        Ok(policy) => policy,
        Err(PolicyError::Source(error)) => return refused(set, &files, &error, findings),
        Err(_) => return,
    };
    for (at, why) in policy.unfollowed() {
        if let Some(statement) = statement_at(set, &files, at) {
            let mend = why.mend();
            findings.add(Code::NameSpelling, statement.file, statement.span, why.to_string(), mend);
        }
    }
}

/// For what a set is refused as a whole, where none of its statements is refused: it names too many time zones.
fn refused(set: &Set, files: &[(String, String)], error: &SourceError, findings: &mut Findings) {
    if findings.all.iter().any(|found| found.code.severity() == Severity::Error) {
        return;
    }
    if let Some(statement) = statement_at(set, files, &error.at) {
        let mend = "use fewer time zones, or split the set";
        let problem = error.problem.clone();
        findings.add(Code::TimeZone, statement.file, statement.span, problem, mend);
    }
}

fn statement_at<'s>(
    set: &'s Set,
    files: &[(String, String)],
    at: &Location,
) -> Option<&'s Statement> {
    let lines: Vec<Lines> = files.iter().map(|(_, text)| Lines::of(text)).collect();
    set.statements.iter().find(|statement| {
        let lines = lines.get(statement.file);
        let line = lines.map(|lines| lines.line(statement.span.start));
        statement.file.to_string() == at.file && line == Some(at.line)
    })
}
