//! Loose: what readers find in a text who do not take it as it stands.
//!
//! Some fold letters: file systems without capitals (macOS, Windows), those that keep names in a normal form (macOS), libraries
//! that turn names into ASCII. Some cut names short: Windows leaves blanks and dots off their ends and finds a stream of the
//! file behind `:`, servers find path parameters behind `;`, and whoever builds a URL of a name ends it at `?` and `#`.

use crate::function::pattern::Letter;
use crate::function::segment::{MAX_GROWTH, is_dropped, is_mark, unfold};

/// Where some reader ends a name. A comma is none: RFC 3986, section 3.3, speaks of it, but no reader of files is known to cut
/// there, and many names have one.
const ENDS: [char; 4] = [';', '?', '#', ':'];

/// At which signs names are cut, and how many of each are meant: as many as the pattern has itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs([Option<usize>; ENDS.len()]);

impl Signs {
    /// All of them, for a pattern, in which `?` is none.
    pub(super) fn of(pattern: &str) -> Signs {
        Signs(ENDS.map(|end| match end {
            '?' => Some(0),
            end => Some(pattern.matches(end).count()),
        }))
    }

    /// The sets of signs at which different readers cut these letters: all at once, and each alone.
    pub(super) fn sets(&self, letters: &[Letter]) -> Vec<Signs> {
        let found = ENDS.map(|end| letters.iter().any(|letter| letter.c == end));
        let alone = |kind: usize| {
            let mut signs = Signs([None; ENDS.len()]);
            signs.0[kind] = self.0[kind];
            signs
        };
        let kinds = (0..ENDS.len()).filter(|kind| found[*kind]);
        let mut sets: Vec<Signs> = kinds.map(alone).collect();
        if sets.len() != 1 {
            sets.push(*self);
        }
        sets
    }

    /// Whether a name is cut at this letter: the next of its kind is not.
    fn ends_at(&mut self, c: char) -> bool {
        let Some(kind) = ENDS.iter().position(|end| *end == c) else { return false };
        let Some(meant) = &mut self.0[kind] else { return false };
        let ends = *meant == 0;
        *meant = meant.saturating_sub(1);
        ends
    }
}

/// The text in compatibility form (Unicode NFKD, UAX #15), without accents and other marks, and without capitals. `None` where
/// that shows a sign of structure that is not to be seen in the text, or is far longer.
///
/// What some readers leave out is marked so: quotes, what may not stand in a name on Windows, and, if it is compared with
/// `ascii`, what is not ASCII.
pub(super) fn folded(text: &str, ascii: bool) -> Option<Vec<Letter>> {
    let mut letters = Vec::with_capacity(text.len());
    let mut grown = 0;
    for c in text.chars() {
        if c.is_ascii() {
            letters.push(Letter { c: c.to_ascii_lowercase(), more: false, drops: is_dropped(c) });
            continue;
        }
        let begun = letters.len();
        unfold(c, |part| {
            grown += part.len_utf8();
            if !is_mark(part) {
                let foreign = ascii && (!part.is_ascii() || part == '.');
                let drops = is_dropped(part) || foreign;
                letters.extend(without_capitals(part).map(|c| Letter { c, more: true, drops }));
            }
            grown <= MAX_GROWTH * text.len()
        })
        .then_some(())?;
        if let Some(last) = letters[begun..].last_mut() {
            last.more = false;
        }
    }
    soften(&mut letters);
    Some(letters)
}

/// Marks what some readers leave off the ends of names, and of what is left of them: blanks, dots behind, a slash at the end.
fn soften(letters: &mut [Letter]) {
    if let Some(last) = letters.last_mut() {
        last.drops |= last.c == '/';
    }
    for segment in letters.split_mut(|letter| letter.c == '/') {
        let blank = |letter: &Letter| letter.c.is_whitespace() || letter.drops;
        let behind = segment.iter().rposition(|letter| !blank(letter) && letter.c != '.');
        let front = segment.iter().position(|letter| !blank(letter));
        let (front, behind) = (front.unwrap_or(segment.len()), behind.map_or(0, |last| last + 1));
        segment[..front].iter_mut().for_each(|letter| letter.drops = true);
        segment[behind..].iter_mut().for_each(|letter| letter.drops = true);
    }
}

/// A letter in lower case, by way of upper case: the long s, the sharp s and the dotless i are known only there for what they are.
fn without_capitals(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// The text with its names cut short: without what stands behind a sign that ends it, blanks at the ends and dots behind. A
/// name of which nothing is left is none, and so is a slash at the end.
pub(super) fn cut(letters: &[Letter], signs: &Signs) -> Vec<Letter> {
    let mut signs = *signs;
    let mut kept: Vec<Letter> = Vec::with_capacity(letters.len());
    for (at, segment) in letters.split(|letter| letter.c == '/').enumerate() {
        let stem = segment.iter().position(|letter| signs.ends_at(letter.c));
        let stem = trimmed(&segment[..stem.unwrap_or(segment.len())]);
        if at > 0
            && (!stem.is_empty() || kept.is_empty())
            && kept.last().is_none_or(|last| last.c != '/')
        {
            kept.push(Letter::SLASH);
        }
        kept.extend(stem);
    }
    if kept.len() > 1 && kept.last().is_some_and(|last| last.c == '/') {
        kept.pop();
    }
    kept
}

/// What stands behind a drive of Windows, which is in the folder at hand there: `C:report.pdf`. There is none where the pattern
/// has a colon of its own.
pub(super) fn behind_drive<'a>(letters: &'a [Letter], signs: &Signs) -> Option<&'a [Letter]> {
    let mut signs = *signs;
    match letters {
        [drive, colon, rest @ ..] if drive.c.is_ascii_alphabetic() && colon.c == ':' => {
            signs.ends_at(':').then_some(rest)
        }
        _ => None,
    }
}

fn trimmed(segment: &[Letter]) -> &[Letter] {
    let blank = |letter: &Letter| letter.c.is_whitespace();
    let end = segment.iter().rposition(|letter| !blank(letter) && letter.c != '.');
    let segment = &segment[..end.map_or(0, |last| last + 1)];
    let start = segment.iter().position(|letter| !blank(letter));
    &segment[start.unwrap_or(segment.len())..]
}
