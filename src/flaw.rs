//! Flaw: what is wrong with a name or a scope, and where in it.

use std::fmt;

use crate::names::escaped;

/// The most characters of a text that are shown: enough to know it by, and fewer than a key has.
const MAX_SHOWN_CHARS: usize = 64;

/// The first thing that is wrong with a text that is not of its form. `Display` shows the text and the flaw, and only
/// the beginning of a long text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    shown: String,
    kind: FlawKind,
}

/// The kinds of flaws that a name or a scope can have. Places count characters, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlawKind {
    /// The text is empty, or made of blanks.
    Empty,
    /// The text has more bytes than it may have.
    TooLong {
        /// The number of bytes that it has.
        bytes: usize,
    },
    /// The text has a character that it may not have.
    Character {
        /// The character.
        character: char,
        /// The place of the character.
        place: usize,
    },
    /// A segment between two `:` is empty.
    EmptySegment {
        /// The place where it should be.
        place: usize,
    },
    /// A segment has more bytes than it may.
    LongSegment {
        /// The place where it begins.
        place: usize,
        /// The number of bytes that it has.
        bytes: usize,
    },
    /// The text has a `*` that is not the whole last segment.
    Star {
        /// The place of the character.
        place: usize,
    },
    /// The text has no `:`.
    NoColon,
}

impl Flaw {
    pub(crate) fn of(text: &str, kind: FlawKind) -> Flaw {
        let mut shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Flaw { shown, kind }
    }

    /// The first character that may not be there.
    pub(crate) fn character(text: &str, may_have: impl Fn(char) -> bool) -> Option<Flaw> {
        let found = text.chars().enumerate().find(|(_, c)| !may_have(*c));
        found.map(|(index, character)| {
            Flaw::of(text, FlawKind::Character { character, place: index + 1 })
        })
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = escaped(&self.shown);
        match self.kind {
            FlawKind::Empty => f.write_str("it is empty"),
            FlawKind::TooLong { bytes } => write!(f, "\"{shown}\" has {bytes} bytes"),
            FlawKind::Character { character: ' ', place } => {
                write!(f, "\"{shown}\" has a blank at place {place}")
            }
            FlawKind::Character { character, place } => {
                write!(f, "\"{shown}\" has the character {} at place {place}", named(character))
            }
            FlawKind::EmptySegment { place } => {
                write!(f, "\"{shown}\" has an empty segment at place {place}")
            }
            FlawKind::LongSegment { place, bytes } => {
                write!(f, "\"{shown}\" has a segment of {bytes} bytes at place {place}")
            }
            FlawKind::Star { place } => {
                write!(
                    f,
                    "\"{shown}\" has a * at place {place}, where it is not the whole last segment"
                )
            }
            FlawKind::NoColon => write!(f, "\"{shown}\" has no `:`"),
        }
    }
}

fn named(character: char) -> String {
    match escaped(&character) {
        shown if shown.chars().eq([character]) => format!("`{shown}`"),
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use crate::names::{check_agent, check_audience, check_reason, check_subject};
    use crate::scope::{Operation, Scope};

    #[test]
    fn what_is_wrong_is_shown_with_its_place() {
        let scope = |text: &str| text.parse::<Scope>().unwrap_err().to_string();
        let operation = |text: &str| text.parse::<Operation>().unwrap_err().to_string();
        let agent = |text: &str| check_agent(text).unwrap_err().to_string();
        for (said, expected) in [
            (scope("tools:cal l:search"), "\"tools:cal l:search\" has a blank at place 10; "),
            (scope("tools:call:é"), "has the character `é` at place 12"),
            (scope("tools:\u{202e}"), "has the character \\u{202e} at place 7"),
            (scope("tools::search"), "has an empty segment at place 7"),
            (scope("tools:"), "has an empty segment at place 7"),
            (scope(""), "it is empty"),
            (scope("tools:*:search"), "has a * at place 7"),
            (scope("tools:call:se*"), "has a * at place 14"),
            (scope(&format!("a:{}", "b".repeat(129))), "has a segment of 129 bytes at place 3"),
            (operation("tools:call:se/arch"), "has the character `/` at place 14"),
            (agent("agent:a"), "\"agent:a\" has the character `:` at place 6; an agent's name"),
            (agent(""), "it is empty; an agent's name"),
            (agent(&"a".repeat(129)), "has 129 bytes"),
            (check_subject("alice").unwrap_err().to_string(), "\"alice\" has no `:`; a subject"),
            (check_audience("a b").unwrap_err().to_string(), "has a blank at place 2; an audience"),
            (check_reason("a\nb").unwrap_err().to_string(), "has the character \\u{a} at place 2"),
            (check_reason("  ").unwrap_err().to_string(), "it is empty; a reason"),
        ] {
            assert!(said.contains(expected), "{said}");
            assert!(said.contains("1 to "), "what is allowed: {said}");
        }
        let long = check_audience(&format!("{}é", "a".repeat(500))).unwrap_err().to_string();
        assert!(long.len() < 300, "{long}");
    }
}
