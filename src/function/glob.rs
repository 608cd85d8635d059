//! Glob: does a text have this pattern, whoever reads it?
//!
//! Patterns are for names of files and the like, and readers of these do not agree on what a text names. So a text is held
//! against the pattern as it stands, as those read it who fold letters, and as those read it who cut names short
//! ([`loose`](crate::function::loose)). Where one finds the pattern and another does not, the text cannot be judged: neither an
//! `allow` nor a `deny` is got around.

use std::borrow::Cow;

use crate::function::loose::{Signs, behind_drive, cut, folded};
use crate::function::pattern::{Letter, Part, Pattern};
use crate::function::segment::{has_lone_percent, is_short_name, may_step};
use crate::function::text::{decoded, hides_separators, is_percent, is_plain};
use crate::function::{OperandError, Unjudgeable};
use crate::names::is_printable;

/// A pattern: `?` is one character, `*` any number of them, both without slashes; `**` any number of any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob<'a> {
    text: &'a str,
    parts: Vec<Part>,
}

impl<'a> Glob<'a> {
    pub(crate) fn parse(pattern: &'a str) -> Result<Glob<'a>, OperandError> {
        if pattern.contains("://") {
            return Err(OperandError::new(
                "a pattern does not know where a URL's host ends; use url https://*.example.com",
            ));
        }
        if pattern.is_empty() {
            return Err(OperandError::new("an empty pattern matches nothing"));
        }
        if let Some(c) = pattern.chars().find(|c| "[]{}\\!".contains(*c)) {
            return Err(OperandError::new(format!(
                "a pattern has *, ** and ? and no {c}, which other readers take for more; \
                 write several patterns with or"
            )));
        }
        if pattern.contains("***") {
            return Err(OperandError::new("a pattern has at most two * in a row"));
        }
        Ok(Glob { text: pattern, parts: parts(pattern) })
    }

    /// Whether the whole text is of the pattern. A text that does not print plainly, has a backslash, steps up (`..`), or
    /// is of the pattern for some readers only cannot be judged.
    pub(crate) fn matches(&self, text: &str) -> Result<bool, Unjudgeable> {
        // Whatever a reader makes of a text that is to be seen, it is of this pattern.
        if self.parts == [Part::AnyWithSlashes] {
            return text.chars().all(is_printable).then_some(true).ok_or(Unjudgeable);
        }
        let steps = |text: &str| text.split('/').any(may_step);
        if !is_plain(text) || text.contains('\\') || text.contains("//") || steps(text) {
            return Err(Unjudgeable);
        }
        let found = Pattern::new(&self.parts).matches(text.chars().map(Letter::plain));
        let mut agree = self.reads_alike(text, self.text, found);
        if text.contains(is_percent) && !has_lone_percent(text) {
            // Two readers at once: of escapes and of what they stand for.
            let read = decoded(text).filter(|read| !hides_separators(text) && !steps(read));
            agree = agree && read.is_some_and(|read| self.reads_alike(&read, &self.read(), found));
        }
        agree.then_some(found).ok_or(Unjudgeable)
    }

    /// Whether those who fold letters, and those who cut names short, find the same as is `found` in the text.
    fn reads_alike(&self, text: &str, pattern: &str, found: bool) -> bool {
        let signs = Signs::of(pattern);
        let short = || text.split('/').any(is_short_name) && !pattern.contains('~');
        let Some(letters) = folded(text, pattern.is_ascii()).filter(|_| !short()) else {
            return false;
        };
        let Some(parts) = folded_parts(pattern) else { return false };
        let is_of_cut = |letters: &[Letter], signs: &Signs| {
            self.is_of_cut(&parts, &cut(letters, signs)) == found
                && behind_drive(letters, signs)
                    .is_none_or(|rest| self.is_of_cut(&parts, &cut(rest, signs)) == found)
        };
        Pattern::new(&parts).matches(letters.iter().copied()) == found
            && signs.sets(&letters).iter().all(|signs| is_of_cut(&letters, signs))
    }

    /// Whether the pattern is found in what is left of a text that was cut short, when the same is done to the pattern.
    fn is_of_cut(&self, parts: &[Part], letters: &[Letter]) -> bool {
        let parts = trimmed(parts);
        let relative = letters.strip_prefix(&[Letter::SLASH]).unwrap_or(letters);
        let pattern = Pattern::new(parts.strip_prefix(&[Part::One('/')]).unwrap_or(&parts));
        match parts.first() {
            // `**/x` is `x` at any depth.
            Some(Part::AnyWithSlashes) => {
                let rooted = std::iter::once(Letter::SLASH).chain(relative.iter().copied());
                pattern.matches(rooted)
            }
            _ => pattern.matches(relative.iter().copied()),
        }
    }

    /// The pattern with its escapes read, if it has such and they stand for no signs of patterns.
    fn read(&self) -> Cow<'a, str> {
        let signs = |text: &str| text.chars().filter(|c| ['*', '?', '/'].contains(c)).count();
        let read = self.text.contains('%').then(|| decoded(self.text)).flatten();
        match read.filter(|read| signs(read) == signs(self.text)) {
            Some(read) => Cow::Owned(read),
            None => Cow::Borrowed(self.text),
        }
    }
}

/// What a pattern is made of.
fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::with_capacity(pattern.len());
    for c in pattern.chars() {
        match (c, parts.last_mut()) {
            ('*', Some(last @ Part::Any)) => *last = Part::AnyWithSlashes,
            ('*', _) => parts.push(Part::Any),
            ('?', _) => parts.push(Part::AnyOne),
            (c, _) => parts.push(Part::One(c)),
        }
    }
    parts
}

/// The same with folded letters; `None` for a pattern that grows beyond measure.
fn folded_parts(pattern: &str) -> Option<Vec<Part>> {
    let mut folded_parts = Vec::with_capacity(pattern.len());
    for part in parts(pattern) {
        match part {
            Part::One(c) => {
                let letters = folded(c.encode_utf8(&mut [0; 4]), true)?;
                folded_parts.extend(letters.iter().map(|letter| Part::One(letter.c)));
            }
            part => folded_parts.push(part),
        }
    }
    Some(folded_parts)
}

/// The pattern without what trimming takes off names: blanks at their ends, dots behind them, a slash at the end.
fn trimmed(parts: &[Part]) -> Vec<Part> {
    let blank = |part: &Part| matches!(part, Part::One(c) if c.is_whitespace());
    let loose = |part: &Part| blank(part) || *part == Part::One('.');
    let mut kept: Vec<Part> = Vec::with_capacity(parts.len());
    for (at, segment) in parts.split(|part| *part == Part::One('/')).enumerate() {
        if at > 0 {
            kept.push(Part::One('/'));
        }
        let end = segment.iter().rposition(|part| !loose(part)).map_or(0, |last| last + 1);
        let start = segment[..end].iter().position(|part| !blank(part)).unwrap_or(end);
        kept.extend(&segment[start..end]);
    }
    if kept.len() > 1 && kept.last() == Some(&Part::One('/')) {
        kept.pop();
    }
    kept
}

#[cfg(test)]
mod tests;
