//! Spelling: which denials would find the name of an argument in some of its spellings only?
//!
//! The loader says so of the whole set, which is why it is asked.

use crate::set::Set;
use crate::{Code, Findings};
use hardtack::internal::syntax::Lines;
use hardtack::policy::Policy;

pub(super) fn check(set: &Set, files: &[(String, String)], findings: &mut Findings) {
    // Files are called by their numbers here, for two may have one name.
    let files = files.iter().enumerate().map(|(number, (_, text))| (number.to_string(), text));
    let files: Vec<(String, String)> = files.map(|(name, text)| (name, text.clone())).collect();
    // What cannot be read is reported already.
    let Ok(policy) = Policy::assemble(&files) else { return };
    let lines: Vec<Lines> = files.iter().map(|(_, text)| Lines::of(text)).collect();
    for (at, why) in policy.unfollowed() {
        let here = set.statements.iter().find(|statement| {
            let lines = lines.get(statement.file);
            let line = lines.map(|lines| lines.line(statement.span.start));
            statement.file.to_string() == at.file && line == Some(at.line)
        });
        if let Some(statement) = here {
            let mend = why.mend();
            findings.add(Code::NameSpelling, statement.file, statement.span, why.to_string(), mend);
        }
    }
}
