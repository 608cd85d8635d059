//! Scope: which operations may be done, and whether one scope lies within another.
//!
//! One matcher answers both questions (prefix matching, with containment of one pattern in another), so that no child
//! can do what its parent may not.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::cause::Cause;
use crate::flaw::{Flaw, FlawKind};
use crate::prompt_name::{self, PROMPTS};

/// The most segments that a scope or an operation may have. Real names have three or four; the bound keeps matching and
/// messages short.
pub(crate) const MAX_SCOPE_SEGMENTS: usize = 8;

/// The most bytes in a segment: the longest tool name that the Model Context Protocol allows.
pub(crate) const MAX_SEGMENT_BYTES: usize = 128;

/// The first segment that a bare `*` does not cover: what governs Hardtack itself is granted by
/// name or not at all.
pub(crate) const RESERVED_SEGMENT: &str = "hardtack";

/// A set of operations, such as `tools:call:search` or `tools:call:*`.
///
/// Segments of `[A-Za-z0-9_.-]{1,128}` joined by `:`, at most eight. `*` may stand only as the whole
/// last segment, where it covers one or more further segments. `*` alone covers everything except
/// what begins with the reserved segment `hardtack`. Behind `prompts:get:`, other characters of a prompt's name stand as escapes,
/// such as `%20` for a space ([`Call::prompt`](crate::Call::prompt)).
///
/// ```
/// use hardtack::Scope;
///
/// let parent: Scope = "tools:call:*".parse()?;
/// let child: Scope = "tools:call:search".parse()?;
/// assert!(parent.covers_scope(&child));
/// assert!(!child.covers_scope(&parent));
/// # Ok::<(), hardtack::ScopeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    /// Returns true if this scope allows `operation`.
    pub fn covers(&self, operation: &Operation) -> bool {
        covers(&self.0, &operation.0)
    }

    /// Returns true if every operation of `child` is an operation of this scope, so that `child` only narrows it.
    pub fn covers_scope(&self, child: &Scope) -> bool {
        covers(&self.0, &child.0)
    }

    /// Returns the scope as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the final `*`, with its colon (`tools:call:`; empty for `*` alone), or
    /// `None` for a scope that is a single operation.
    pub(crate) fn wildcard_prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }
}

/// An operation, one thing to be done, such as `tools:call:search`. It is never a pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation(String);

impl Operation {
    /// Returns the operation as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tool's name if the operation is `tools:call:<name>`, and `None` otherwise.
    pub fn tool(&self) -> Option<&str> {
        self.0.strip_prefix("tools:call:")
    }

    /// Whether this is about resources: `resources:…`.
    pub(crate) fn is_about_resources(&self) -> bool {
        first_segment(&self.0) == "resources"
    }

    /// Returns true if the operation governs Hardtack itself: its first segment is `hardtack`, as in
    /// `hardtack:revoke`.
    pub fn is_reserved(&self) -> bool {
        first_segment(&self.0) == RESERVED_SEGMENT
    }
}

/// The one matcher. `other` is an operation or a scope; a scope's `*` is a segment like any other
/// here, which is what makes "covers" and "is a subset" the same question.
fn covers(scope: &str, other: &str) -> bool {
    match scope.strip_suffix('*') {
        None => scope == other,
        Some("") => first_segment(other) != RESERVED_SEGMENT,
        // It ends in `:`, after which whatever is an operation or a scope has a segment more.
        Some(prefix) => other.starts_with(prefix),
    }
}

fn first_segment(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

/// Whether segments, the first of these being the first of all, are such as scopes and operations have.
fn are_segments(segments: &[&str]) -> bool {
    let is_prompt = matches!(segments, ["prompts", "get", _, ..]);
    let is_segment = |(at, segment): (usize, &&str)| match is_prompt && at >= 2 {
        true => prompt_name::read_segment(segment)
            .is_ok_and(|bytes| (1..=MAX_SEGMENT_BYTES).contains(&bytes)),
        false => {
            (1..=MAX_SEGMENT_BYTES).contains(&segment.len()) && segment.chars().all(is_in_segment)
        }
    };
    let names_one = || !is_prompt || prompt_name::is_own(&segments[2..].join(":"));
    segments.iter().enumerate().all(is_segment) && names_one()
}

/// How many bytes a segment has, or stands for.
fn length_of(segment: &str, is_of_prompt: bool) -> usize {
    let read = is_of_prompt.then(|| prompt_name::read_segment(segment).ok());
    read.flatten().unwrap_or(segment.len())
}

fn is_in_segment(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// The first thing that keeps a text from being a scope, or an operation.
fn flaw(text: &str) -> Flaw {
    if text.is_empty() {
        return Flaw::of(text, FlawKind::Empty);
    }
    let mut place = 1;
    let is_prompt = text.starts_with(PROMPTS);
    for (number, segment) in text.split(':').enumerate() {
        let odd = match is_prompt && number >= 2 {
            // What comes before it is ASCII.
            true => prompt_name::read_segment(segment).err(),
            false => segment.chars().position(|c| !is_in_segment(c)),
        };
        let kind = match odd {
            _ if segment.is_empty() => FlawKind::EmptySegment { place },
            Some(index) => {
                let place = place + index;
                match segment.chars().nth(index) {
                    Some('*') | None => FlawKind::Star { place },
                    Some(character) => FlawKind::Character { character, place },
                }
            }
            None if length_of(segment, is_prompt && number >= 2) > MAX_SEGMENT_BYTES => {
                FlawKind::LongSegment { place, bytes: segment.len() }
            }
            None => {
                place += segment.chars().count() + 1;
                continue;
            }
        };
        return Flaw::of(text, kind);
    }
    // Its segments can be read, so what is left are escapes of what is written otherwise, or of what no name has.
    let escape = text.find('%').map_or(1, |at| at + 1);
    Flaw::of(text, FlawKind::Character { character: '%', place: escape })
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Scope, ScopeError> {
        let mut segments: Vec<&str> = text.split(':').collect();
        if segments.len() > MAX_SCOPE_SEGMENTS {
            return Err(ScopeError::TooManySegments);
        }
        if segments.last() == Some(&"*") {
            segments.pop();
        }
        match are_segments(&segments) {
            true => Ok(Scope(text.to_owned())),
            false => Err(ScopeError::Malformed(flaw(text))),
        }
    }
}

impl FromStr for Operation {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Operation, ScopeError> {
        if text.split(':').count() > MAX_SCOPE_SEGMENTS {
            return Err(ScopeError::TooManySegments);
        }
        if text.contains('*') {
            return Err(ScopeError::Pattern);
        }
        match are_segments(&text.split(':').collect::<Vec<_>>()) {
            true => Ok(Operation(text.to_owned())),
            false => Err(ScopeError::Malformed(flaw(text))),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The error of a text that is no scope or no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// A segment is empty, too long, or has a character outside `[A-Za-z0-9_.-]`.
    #[error(
        "{0}; a scope or operation is segments of 1 to {MAX_SEGMENT_BYTES} letters, digits, `_`, `.` or `-`, joined by `:`, with `*` only as the whole last segment (such as tools:call:*); behind prompts:get: others stand as escapes (prompts:get:code%20review)"
    )]
    Malformed(Flaw),
    /// The text has more than 8 segments.
    #[error("a scope has at most {MAX_SCOPE_SEGMENTS} segments")]
    TooManySegments,
    /// There are more scopes than one check can name.
    #[error(
        "these are more scopes than a block's check can name (some 24 with `*`, 64 without); grant a wider one, such as tools:call:*"
    )]
    TooMany,
    /// An operation with a `*` in it.
    #[error(
        "an operation names one thing to do, such as tools:call:search, and is never a pattern"
    )]
    Pattern,
    /// A prompt's name has a character that does not print, is not in normal form (NFC), or has spaces around it.
    #[error(
        "the prompt's name has a character that does not print, is not in normal form (NFC) or has spaces around it, \
         so that readers take it for another"
    )]
    PromptName,
}

impl ScopeError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            ScopeError::Malformed(_)
            | ScopeError::TooManySegments
            | ScopeError::Pattern
            | ScopeError::PromptName => Cause::MalformedScope,
            ScopeError::TooMany => Cause::TooMany,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_wildcard_covers_one_or_more_further_segments() {
        assert!(scope("tools:*").covers(&"tools:call".parse().unwrap()));
        assert!(scope("tools:*").covers(&"tools:call:search".parse().unwrap()));
        assert!(!scope("tools:*").covers(&"tools".parse().unwrap()));
        assert!(!scope("tools:*").covers(&"toolshed:call".parse().unwrap()));
        assert!(!scope("tools:call:search").covers(&"tools:call:search:deep".parse().unwrap()));
    }

    #[test]
    fn the_bare_wildcard_does_not_cover_hardtack_itself() {
        for reserved in ["hardtack", "hardtack:revoke"] {
            assert!(!scope("*").covers(&reserved.parse().unwrap()), "{reserved}");
        }
        assert!(!scope("*").covers_scope(&scope("hardtack:*")));
        assert!(scope("hardtack:*").covers(&"hardtack:revoke".parse().unwrap()));
        assert!(scope("*").covers(&"hardtacks:revoke".parse().unwrap()));
        assert!(scope("*").covers_scope(&scope("*")));
    }

    #[test]
    fn anything_else_is_refused_and_never_normalised() {
        let long = "a".repeat(MAX_SEGMENT_BYTES + 1);
        for text in [
            "", ":", "a:", ":a", "a::b", "*:a", "a*", "a:*b", "a:b*", "**", "a:*:*", "a b", "a:é",
            "a\0", &long,
        ] {
            assert!(matches!(text.parse::<Scope>(), Err(ScopeError::Malformed(_))), "{text:?}");
        }
        assert_eq!("a:b:c:d:e:f:g:h:i".parse::<Scope>(), Err(ScopeError::TooManySegments));
        assert_eq!("a:b:c:d:e:f:g:h:i".parse::<Operation>(), Err(ScopeError::TooManySegments));
    }

    #[test]
    fn the_longest_are_written_as_they_were_read() {
        let longest = ["a:b:c:d:e:f:g:h".to_owned(), "a".repeat(MAX_SEGMENT_BYTES)];
        for text in &longest {
            let (scope, operation): (Scope, Operation) =
                (text.parse().unwrap(), text.parse().unwrap());
            assert_eq!((&scope.to_string(), &operation.to_string()), (text, text));
            assert_eq!((format!("{scope:?}"), format!("{operation:?}")), {
                let quoted = format!("{text:?}");
                (quoted.clone(), quoted)
            });
            assert!(scope.covers(&operation));
        }
        assert_eq!("a:b:c:d:e:f:g:*".parse::<Scope>().unwrap().to_string(), "a:b:c:d:e:f:g:*");
    }

    #[test]
    fn an_operation_says_by_its_first_segment_what_it_is_about() {
        for (text, about_resources, reserved, tool) in [
            ("resources:read", true, false, None),
            ("resources", true, false, None),
            ("resource:read", false, false, None),
            ("hardtack:revoke", false, true, None),
            ("tools:call:search", false, false, Some("search")),
        ] {
            let operation: Operation = text.parse().unwrap();
            assert_eq!(operation.is_about_resources(), about_resources, "{text}");
            assert_eq!((operation.is_reserved(), operation.tool()), (reserved, tool), "{text}");
        }
    }

    #[test]
    fn an_operation_is_never_a_pattern() {
        for text in ["*", "tools:*"] {
            assert_eq!(text.parse::<Operation>(), Err(ScopeError::Pattern), "{text}");
        }
    }
}
