//! Vocabulary: which predicate names have a meaning of their own, and who may say them.
//!
//! `policies/README.md` explains each; a test compares the two. Adding one touches this table and the place where it is asserted.

use crate::calendar::{GRANT_AGE, MINUTE_OF_DAY, WEEKDAY};
use crate::call::MAX_ARGUMENTS;
use crate::profile::MAX_DEPTH;

/// One predicate that has a meaning of Hardtack's own. Nobody else asserts it.
#[derive(Debug)]
#[allow(missing_docs, reason = "no part of the API")]
pub struct Word {
    pub name: &'static str,
    /// What stands in each of its places, of those that policies may read.
    pub columns: &'static [Column],
    pub by: By,
    pub often: Often,
    /// Whether policies may read it. What the grant says and the chain may have less of, they may not: `allow if scope("*")`
    /// would read what the human had.
    pub readable: bool,
}

/// Who asserts a predicate, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "no part of the API")]
pub enum By {
    /// A token's blocks.
    Blocks,
    /// The verifier, of the moment.
    Moment,
    /// Of the moment, as a set of policies reads it: for policies alone, and no check of a token sees it.
    Calendar,
    /// Of the call's operation.
    Operation,
    /// Of the call's resource.
    Resource,
    /// Of the call's arguments.
    Arguments,
    /// Of the whole call.
    Call,
    /// Of itself and the roots that it trusts.
    Verifier,
    /// Of the presentation.
    Presentation,
    /// Of the hops.
    Hops,
    /// Of hops and presentations that nobody in particular signed.
    Unsigned,
}

/// The frequency with which a predicate is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "no part of the API")]
pub enum Often {
    Once,
    /// Once, on a condition, which is written out.
    If(&'static str),
    /// Once for each argument.
    Argument,
    /// Once for each time zone that the set names.
    Zone,
    /// Once for each hop of a kind, which is written out.
    Hop(&'static str),
    /// As a block says it.
    Said,
}

/// The kind of value that stands in one place of a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "no part of the API")]
pub enum Column {
    Operation,
    Tool,
    Resource,
    ArgumentName,
    Any,
    Moment,
    Zone,
    Weekday,
    Minute,
    Age,
    Digest,
    Audience,
    Issuer,
    Kind,
    Depth,
    Hop,
    Block,
    Agent,
    Delegator,
    Key,
    Subject,
}

/// The predicate of one argument.
pub(crate) const ARGUMENT: &str = "arg";

/// All of them. What has a bound or a meaning by the predicate's name is derived from here or held against it.
pub const WORDS: [Word; 34] = [
    word("time", &[Column::Moment], By::Moment, Often::Once),
    word(WEEKDAY, &[Column::Zone, Column::Weekday], By::Calendar, Often::Zone),
    word(MINUTE_OF_DAY, &[Column::Zone, Column::Minute], By::Calendar, Often::Zone),
    word(GRANT_AGE, &[Column::Age], By::Calendar, Often::Once),
    word("operation", &[Column::Operation], By::Operation, Often::Once),
    word("granted", &[Column::Operation], By::Operation, Often::Once),
    word("tool", &[Column::Tool], By::Operation, Often::If("if it is a tool call")),
    word("resource", &[Column::Resource], By::Resource, Often::If("if the call has one")),
    word(ARGUMENT, &[Column::ArgumentName, Column::Any], By::Arguments, Often::Argument),
    word("call", &[Column::Digest], By::Call, Often::Once),
    word("verifier", &[Column::Audience], By::Verifier, Often::Once),
    word("issuer", &[Column::Issuer], By::Verifier, Often::Once),
    word("presented", &[Column::Kind], By::Presentation, Often::Once),
    word("depth", &[Column::Depth], By::Hops, Often::Once),
    word("agent", &[Column::Agent], By::Hops, Often::If("if there are hops")),
    word("agent_key", &[Column::Key], By::Hops, Often::If("if the last hop is bound")),
    word(
        "delegated",
        &[Column::Hop, Column::Delegator, Column::Agent],
        By::Hops,
        Often::Hop("once a signed hop"),
    ),
    word(
        "delegated_key",
        &[Column::Hop, Column::Key, Column::Key],
        By::Hops,
        Often::Hop("once a signed and bound hop"),
    ),
    word("unbound", &[Column::Block], By::Unsigned, Often::Hop("once an unsigned hop")),
    word("subject", &[Column::Subject], By::Blocks, Often::Once),
    word("issued", &[Column::Moment], By::Blocks, Often::Once),
    hidden("hardtack"),
    hidden("scope"),
    hidden("audience"),
    hidden("expires"),
    hidden("max_depth"),
    hidden("holder"),
    hidden("delegate"),
    hidden("reason"),
    hidden("parent"),
    hidden("hop"),
    hidden("presentation"),
    hidden("digest"),
    hidden("nonce"),
];

const fn word(name: &'static str, columns: &'static [Column], by: By, often: Often) -> Word {
    Word { name, columns, by, often, readable: true }
}

/// What blocks say and policies may not read.
const fn hidden(name: &'static str) -> Word {
    Word { name, columns: &[], by: By::Blocks, often: Often::Said, readable: false }
}

impl Word {
    /// Returns true if every call has it.
    pub fn is_always(&self) -> bool {
        matches!(self.often, Often::Once | Often::Zone)
    }

    /// Returns how often it can be there at the most, of those that policies may read.
    pub const fn most(&self) -> u64 {
        match self.often {
            // A policy writes the zone out.
            Often::Once | Often::If(_) | Often::Zone => 1,
            Often::Argument => MAX_ARGUMENTS as u64,
            Often::Hop(_) => MAX_DEPTH.unsigned_abs(),
            Often::Said => 0,
        }
    }
}

impl Column {
    /// Returns the type of its values, as `policies/README.md` has it.
    pub fn type_name(self) -> &'static str {
        match self {
            Column::Moment => "date",
            Column::Digest => "bytes",
            Column::Depth | Column::Hop | Column::Block => "integer",
            Column::Weekday | Column::Minute | Column::Age => "integer",
            Column::Any => "any",
            _ => "string",
        }
    }
}

/// Returns the predicate of this name, if it has a meaning of its own.
pub(crate) fn find(name: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.name == name)
}

/// Returns the names of what is asserted by one of these.
pub(crate) fn names_by(by: &[By]) -> impl Iterator<Item = &str> {
    WORDS.iter().filter(|word| by.contains(&word.by)).map(|word| word.name)
}

/// Returns true if a fact of this name is for Hardtack alone to assert.
pub fn is_reserved(name: &str) -> bool {
    find(name).is_some()
}

/// Whether a fact of this name is stated for policies alone, so that a check in a token would never see it.
pub(crate) fn is_for_policies(name: &str) -> bool {
    find(name).is_some_and(|word| word.by == By::Calendar)
}

/// Returns true if this can be the name of a fact about the subject: Biscuit's form, bounded.
pub fn is_predicate_name(name: &str) -> bool {
    name.len() <= crate::names::MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_has_a_short_name_that_begins_with_a_letter() {
        let longest = "a".repeat(crate::names::MAX_NAME_BYTES);
        for name in ["role", "R2", "team:read_only", &longest] {
            assert!(is_predicate_name(name), "{name}");
        }
        for name in ["", "1role", "_role", ":role", "role-x", "rôle", &format!("{longest}a")] {
            assert!(!is_predicate_name(name), "{name}");
        }
    }

    /// A row of the page: name, types and how often.
    fn row(line: &str) -> Option<(String, String, String)> {
        let (name, rest) = line.strip_prefix("| `")?.split_once('(')?;
        let (_, rest) = rest.split_once(")` | ")?;
        let (types, rest) = rest.split_once(" | ")?;
        let (often, _) = rest.split_once(" | ")?;
        Some((name.to_owned(), types.to_owned(), often.to_owned()))
    }

    #[test]
    fn the_page_of_words_has_a_row_for_each_that_policies_may_read() {
        let page = std::fs::read_to_string("policies/README.md").unwrap();
        let rows: Vec<_> = page.lines().filter_map(row).collect();
        let words = WORDS.iter().filter(|word| word.readable).map(|word| {
            let types: Vec<_> = word.columns.iter().map(|column| column.type_name()).collect();
            let often = match word.often {
                Often::Once => "once",
                Often::Zone => "once a time zone",
                Often::If(often) | Often::Hop(often) => often,
                Often::Argument => "once an argument",
                Often::Said => "as granted",
            };
            (word.name.to_owned(), types.join(", "), often.to_owned())
        });
        assert_eq!(rows, words.collect::<Vec<_>>());
        let (_, hidden) = page.split_once("Reserved for token blocks:").unwrap();
        let (hidden, _) = hidden.split_once("Of these").unwrap();
        let mut hidden: Vec<_> = hidden.split('`').skip(1).step_by(2).collect();
        let mut words: Vec<_> = names_by(&[By::Blocks]).collect();
        hidden.sort_unstable();
        words.sort_unstable();
        assert_eq!(hidden, words);
    }
}
