//! Issuing: which predicates does a set of an issuer read and say, and which files are such a set's?
//!
//! Such a set has words of its own and none of those by which calls are decided, but the moment: no policy can be loaded where it would
//! be asked about the wrong thing. `policies/issuance/README.md` explains each; a test compares the two.

use crate::profile::vocabulary::Word;

/// How the names of a set's files end.
pub(crate) const ENDING: &str = ".issuance.datalog";

/// A predicate that the issuer asserts of a request.
#[derive(Debug)]
pub(crate) struct Asserted {
    pub(crate) name: &'static str,
    /// The type of each term, as the linter names it.
    pub(crate) types: &'static [&'static str],
    /// When and how often it is there, as the page of words says it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the page of words is held against it"))]
    pub(crate) often: &'static str,
}

/// A predicate that the set says, and the issuer reads.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) name: &'static str,
    pub(crate) terms: &'static [Place],
    /// Whether further terms of any type may follow.
    pub(crate) open: bool,
}

/// What stands in one term of what a set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Scope,
    Audience,
    Seconds,
    Depth,
    FactName,
    Text,
    Consent,
}

/// The moment has the name that it has for calls.
pub(crate) const MOMENT: &str = "time";

/// What a set can read.
pub(crate) const ASSERTED: [Asserted; 15] = [
    asserted(MOMENT, &["date"], "once"),
    asserted("subject", &["string"], "once"),
    asserted("idp", &["string"], "once"),
    asserted("way", &["string"], "once"),
    asserted("claim", &["string", "any"], "once a value of a claim"),
    asserted("claim_in", &["string", "string", "any"], "once a value within a claim"),
    asserted("signed_in", &["date"], "if the provider says when"),
    asserted("client", &["string"], "if a client asks"),
    asserted("client_host", &["string"], "if the client's id is a URL"),
    asserted("actor", &["string"], "if somebody acts for the subject"),
    asserted("key", &["string"], "once"),
    asserted("wanted_scope", &["string"], "once a scope"),
    asserted("wanted_audience", &["string"], "once an audience"),
    asserted("wanted_seconds", &["integer"], "if a life is asked for"),
    asserted("wanted_depth", &["integer"], "if a depth is asked for"),
];

/// What a set can say.
pub(crate) const SAID: [Said; 5] = [
    said("offer", &[Place::Scope, Place::Audience, Place::Seconds, Place::Depth], false),
    said("fact", &[Place::FactName, Place::Text], true),
    said("consent", &[Place::Consent], false),
    said("step_up", &[Place::Text], false),
    said("fresh", &[Place::Seconds], false),
];

const fn asserted(
    name: &'static str,
    types: &'static [&'static str],
    often: &'static str,
) -> Asserted {
    Asserted { name, types, often }
}

const fn said(name: &'static str, terms: &'static [Place], open: bool) -> Said {
    Said { name, terms, open }
}

/// For the linter.
impl Word {
    /// Returns true if a file of this name is one of an issuer's set, and not of one by which calls are decided.
    pub fn is_of_issuer(file: &str) -> bool {
        is_file(file)
    }

    /// Returns what an issuer's set can read: names, each with the types of its terms.
    pub fn asserted_by_issuer() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        ASSERTED.iter().map(|word| (word.name, word.types))
    }

    /// Returns the names of what an issuer's set says and the issuer reads.
    pub fn read_by_issuer() -> impl Iterator<Item = &'static str> {
        SAID.iter().map(|word| word.name)
    }
}

impl Said {
    /// Returns whether it can have so many terms.
    pub(crate) fn takes(&self, terms: usize) -> bool {
        terms == self.terms.len() || (self.open && terms > self.terms.len())
    }

    /// Returns its form in words, such as `offer(scope, audience, seconds, depth)`.
    pub(crate) fn form(&self) -> String {
        let terms: Vec<_> = self.terms.iter().map(|place| place.as_str()).collect();
        format!("{}({}{})", self.name, terms.join(", "), if self.open { ", …" } else { "" })
    }
}

impl Place {
    fn as_str(self) -> &'static str {
        match self {
            Place::Scope => "scope",
            Place::Audience => "audience",
            Place::Seconds => "seconds",
            Place::Depth => "depth",
            Place::FactName => "name",
            Place::Text => "value",
            Place::Consent => "\"asked\" or \"given\"",
        }
    }
}

/// Returns true if a file of this name is one of an issuer's set.
pub(crate) fn is_file(name: &str) -> bool {
    name.ends_with(ENDING)
}

/// Returns what is asserted under this name.
pub(crate) fn find_asserted(name: &str) -> Option<&'static Asserted> {
    ASSERTED.iter().find(|word| word.name == name)
}

/// Returns what a set says under this name.
pub(crate) fn find_said(name: &str) -> Option<&'static Said> {
    SAID.iter().find(|word| word.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_words_has_a_row_for_each() {
        let page = std::fs::read_to_string("policies/issuance/README.md").unwrap();
        for word in &ASSERTED {
            let row = format!("| `{}(", word.name);
            let row =
                page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{row}"));
            assert!(
                row.contains(&format!("| {} | {} |", word.types.join(", "), word.often)),
                "{row}"
            );
        }
        for word in &SAID {
            let row = format!("| `{}(", word.name);
            assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, ASSERTED.len() + SAID.len());
    }

    #[test]
    fn what_is_said_is_nothing_that_is_asserted() {
        assert!(SAID.iter().all(|word| find_asserted(word.name).is_none()));
    }
}
