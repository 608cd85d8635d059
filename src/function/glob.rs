//! Glob: does a text have this pattern, whoever reads it?
//!
//! Glob matching over several readings of one text. Patterns are for names of files and the like, and readers of these
//! do not agree on what a text names. So a text is held against the pattern as it stands, and as those read it who fold
//! letters, leave letters out or cut names short ([`loose`](crate::function::loose)). Where one finds the pattern and
//! another does not, the text cannot be judged: neither an `allow` nor a `deny` is got around.

use std::borrow::Cow;

use crate::function::loose::{Meant, Readers, folded, letters, names_device};
use crate::function::pattern::{Letter, Part, Pattern};
use crate::function::segment::{has_lone_percent, is_blank, is_dropped, is_short_name, may_step};
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
        let letters = text.chars().map(Letter::plain);
        let found = Pattern::new(&self.parts).is_found_by_some(letters);
        if self.is_settled(text) {
            return Ok(found);
        }
        let mut agree = reads_alike(text, self.text, found);
        if text.contains(is_percent) && !has_lone_percent(text) {
            // Two readers at once: of escapes and of what they stand for.
            let read = decoded(text).filter(|read| !hides_separators(text) && !steps(read));
            agree = agree && read.is_some_and(|read| reads_alike(&read, &self.read(), found));
        }
        agree.then_some(found).ok_or(Unjudgeable)
    }

    /// Whether text and pattern are so plain that no reader finds anything else in them.
    fn is_settled(&self, text: &str) -> bool {
        // `**/x` is `x` at any depth.
        !self.text.starts_with("**")
            && is_settled(self.text, b"*?")
            && is_settled(text, b"")
            && !text.split('/').any(names_device)
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

/// Whether those who take the text otherwise find the same as is `found` in it.
fn reads_alike(text: &str, pattern: &str, found: bool) -> bool {
    let short = || text.split('/').any(is_short_name) && !pattern.contains('~');
    let Some(parts) = folded_parts(pattern).filter(|_| !short()) else { return false };
    let meant = Meant::of(pattern, &parts);
    match found {
        true => letters(text, &meant, Readers::All).is_some_and(|letters| {
            Pattern::new(&softened(parts)).is_found_by_all(letters.iter().copied())
        }),
        false => letters(text, &meant, Readers::Some).is_some_and(|letters| {
            let is_found = |parts: &[Part]| {
                let rooted = std::iter::once(Letter::ROOT).chain(letters.iter().copied());
                Pattern::new(parts).is_found_by_some(rooted)
            };
            let trimmed = trimmed(&parts);
            !is_found(&parts) && (trimmed == parts || !is_found(&trimmed))
        }),
    }
}

/// Whether the text has letters that nobody folds, and single dots and slashes between them only.
fn is_settled(text: &str, more: &[u8]) -> bool {
    let letter = |byte: &u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || b"-_".contains(byte)
            || more.contains(byte)
    };
    let mut between = false;
    let plain = text.bytes().all(|byte| match byte {
        b'.' | b'/' => std::mem::take(&mut between),
        byte => {
            between = letter(&byte);
            between
        }
    });
    plain && between
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
                let letters = folded(c.encode_utf8(&mut [0; 4]), c)?;
                folded_parts.extend(letters.iter().map(|letter| Part::One(letter.c)));
            }
            part => folded_parts.push(part),
        }
    }
    Some(folded_parts)
}

/// The pattern in which is said what a reader leaves out of it who leaves it out of the text: quotes, what may not stand in a name
/// on Windows, blanks at the ends of names, dots behind, and slashes in front and at the end.
fn softened(mut parts: Vec<Part>) -> Vec<Part> {
    let soften = |part: &mut Part| {
        if let Part::One(c) = *part {
            *part = Part::Soft(c);
        }
    };
    let slash = |part: &Part| part.letter() == Some('/');
    match parts.as_mut_slice() {
        [first, ..] if slash(first) => soften(first),
        // `**/x` is `x` at any depth.
        [Part::AnyWithSlashes, second, ..] if slash(second) => soften(second),
        _ => {}
    }
    if let Some(last) = parts.last_mut().filter(|last| slash(last)) {
        soften(last);
    }
    for name in parts.split_mut(slash) {
        let dropped = |part: &Part| part.letter().is_some_and(is_dropped);
        let blank = |part: &Part| dropped(part) || part.letter().is_some_and(is_blank);
        name.iter_mut().filter(|part| dropped(part)).for_each(soften);
        name.iter_mut().take_while(|part| blank(part)).for_each(soften);
        let loose = |part: &Part| blank(part) || part.letter() == Some('.');
        name.iter_mut().rev().take_while(|part| loose(part)).for_each(soften);
    }
    parts
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
