//! Segment: do all readers take one part of a path for a name, and for the same one?
//!
//! Readers differ in what they do to a part before they look it up: they trim blanks, cut off what stands behind a sign,
//! drop dots at the end, fold compatibility characters, drop what is not ASCII (a letter and the accents behind it are one
//! character to some), read a plus sign for a blank. What one of them would empty or turn into `.` or `..` is no name here.

use std::borrow::Cow;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::function::text::{DOTS, is_percent, is_plain_char, joins};

/// Where some reader ends a name: path parameters (`;` and `,`, RFC 3986, section 3.3), query and fragment, streams of
/// a file on Windows (`:`), fields of a query and commands of a shell (`&`, and there `|`, `<`, `>`). A NUL does not print and is
/// refused before.
const ENDS: [char; 9] = [';', ',', '?', '#', ':', '&', '|', '<', '>'];

/// What has a meaning of its own in a path or URL, so that nothing may turn into it.
const STRUCTURE: [char; 4] = ['/', '\\', '%', '.'];

/// Whether every reader finds a name in the segment, and none finds nothing, `.` or `..`.
pub(super) fn is_name(segment: &str) -> bool {
    if is_plain_word(segment) {
        return true;
    }
    folded(segment).is_some_and(|folded| is_name_when(segment, &folded))
}

/// Whether it is a name, and none at which a reader that joins paths by parts starts anew.
pub(super) fn is_name_in_place(segment: &str) -> bool {
    if is_plain_word(segment) {
        return true;
    }
    // Folded once for both questions: a long path has a thousand names.
    folded(segment).is_some_and(|folded| {
        is_name_when(segment, &folded) && !begins_anew(segment) && !begins_anew(&folded)
    })
}

fn is_name_when(segment: &str, folded: &str) -> bool {
    let stem = folded.split(ENDS).next().unwrap_or_default();
    let parts_step = || stem.len() < folded.len() && folded.split(ENDS).any(is_step_alone);
    let steps = || is_step(folded) || is_step(segment);
    // There is no step without a dot, and most names have none before their ending.
    let has_dot = folded.contains('.');
    stem.chars().any(has_substance) && !(has_dot && (steps() || parts_step()))
}

/// A name in which no reader finds anything else: most are.
fn is_plain_word(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether some reader takes the segment for one level up or for here (`..`, `.. `, `..;x`, `...`), or would find signs
/// of structure in it that are not to be seen.
pub(super) fn may_step(segment: &str) -> bool {
    !is_plain_word(segment)
        && folded(segment).is_none_or(|folded| is_step(&folded) || is_step(segment))
}

fn is_step(text: &str) -> bool {
    let stem = text.split(ENDS).next().unwrap_or_default();
    let drive = begins_anew(text).then(|| text.split_once(':')).flatten();
    is_step_alone(stem)
        || (stem.len() < text.len() && is_left_with_step(text))
        || drive.is_some_and(|(_, rest)| is_step(rest))
}

fn is_step_alone(part: &str) -> bool {
    is_dots(bare(part)) || is_left_with_step(part)
}

/// Whether a reader who leaves some characters out is left with dots and blanks. One dot alone is what is left of many names.
fn is_left_with_step(text: &str) -> bool {
    let mut dots = 0;
    kept(text).all(|kept| {
        dots += usize::from(kept.c == '.');
        kept.drops || kept.c == '.' || is_blank(kept.c)
    }) && dots > 1
}

/// What is left of a text where a reader drops what is not ASCII, and what [`is_dropped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    c: char,
    /// There is a mark on it: it is kept where they are two (Unicode NFD, NFKD), and dropped where they may be one (NFC, NFKC).
    drops: bool,
}

fn kept(text: &str) -> impl Iterator<Item = Kept> {
    // What stands between a letter and its mark may be left out first.
    let seen = |c: &char| !is_dropped(*c) && !joins(*c);
    let mut chars = text.chars().filter(seen).peekable();
    std::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            if c.is_ascii() {
                let mark = chars.peek().is_some_and(|c| !c.is_ascii() && is_mark(*c));
                return Some(Kept { c, drops: mark });
            }
        }
    })
}

/// The same as texts: of those who take a letter and its marks for two, and of those who take them for one.
fn kept_texts(text: &str) -> impl Iterator<Item = String> {
    let two = kept(text).map(|kept| kept.c).collect();
    let one = (!text.is_ascii()).then(|| {
        let seen = text.chars().filter(|c| !is_dropped(*c) && !joins(*c));
        let composed = ComposingNormalizerBorrowed::new_nfc().normalize_iter(seen);
        composed.filter(|c| c.is_ascii() && !is_dropped(*c)).collect()
    });
    std::iter::once(two).chain(one)
}

/// Whether readers that make a name fit leave the character out: quotes, what may not stand in a name on Windows, and a
/// percent sign that begins no escape.
pub(super) fn is_dropped(c: char) -> bool {
    is_quote(c) || matches!(c, '<' | '>' | '|' | '*' | '?' | ':' | '%')
}

/// Whether the text has one percent sign, and it begins no escape, not even for readers that take any letters for digits, or
/// leave some characters out before they read: it stands in the last name, behind a name, and before no letter or digit
/// (`100%.txt`, `100%`).
pub(super) fn has_lone_percent(text: &str) -> bool {
    let Some((before, behind)) = text.split_once(is_percent) else { return false };
    let stem = before.rsplit('/').next().unwrap_or_default();
    let escapes = |behind: &str| {
        let first = kept(behind).find(|kept| !kept.drops || kept.c.is_ascii_alphanumeric());
        first.is_some_and(|kept| kept.c.is_ascii_alphanumeric())
    };
    stem.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && !behind.contains(|c| c == '/' || is_percent(c))
        && !escapes(behind)
        && folded(behind).is_some_and(|behind| !escapes(&behind))
}

/// Whether the segment is such as Windows makes up as a second, short name of a file or folder: `REPORT~1.PDF`. Which one it
/// names is not to be seen.
pub(super) fn is_short_name(segment: &str) -> bool {
    // The second turns into the first in compatibility form.
    if !segment.contains(['~', '\u{ff5e}']) {
        return false;
    }
    let stem = |text: &str| is_short(text.split(ENDS).next().unwrap_or_default());
    if segment.chars().all(|c| c.is_ascii() && !is_dropped(c)) {
        return stem(segment);
    }
    let Some(folded) = folded(segment) else { return true };
    [segment, folded.as_ref()].into_iter().any(|text| {
        let before = text.split(ENDS).next().unwrap_or_default();
        stem(text) || kept_texts(text).chain(kept_texts(before)).any(|text| stem(&text))
    })
}

fn is_short(name: &str) -> bool {
    let name = without_ends(name);
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let numbered = stem.split_once('~').is_some_and(|(start, number)| {
        !start.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    numbered && stem.chars().count() <= 8 && ending.chars().count() <= 3
}

/// Whether some reader ends the name before its end.
pub(super) fn is_cut(name: &str) -> bool {
    folded(name).is_none_or(|folded| folded.contains(ENDS))
}

/// Whether a reader that joins paths by parts starts anew at the segment, as Windows does at `C:`. Python takes any character for
/// a drive, and what is left of a name in which others are dropped may be one.
pub(super) fn is_drive(segment: &str) -> bool {
    begins_anew(segment)
        || (!segment.is_ascii() && folded(segment).is_some_and(|text| begins_anew(&text)))
}

fn begins_anew(text: &str) -> bool {
    let Some((drive, _)) = text.split_once(':') else { return false };
    let letter = |kept: &Kept| !kept.drops && kept.c != '.' && !is_blank(kept.c);
    drive.chars().nth(1).is_none() || kept(drive).filter(letter).nth(1).is_none()
}

/// Whether the name is still there for a reader that drops what is not ASCII, so that `..` takes this name back and no
/// other.
pub(super) fn is_solid(name: &str) -> bool {
    let solid = |name: &str| {
        let stem = name.split(ENDS).next().unwrap_or_default();
        kept(stem).any(|kept| {
            !kept.drops && (kept.c.is_ascii_alphanumeric() || "_-=~@$()!".contains(kept.c))
        })
    };
    solid(name) && folded(name).is_some_and(|name| solid(&name))
}

/// Whether some reader finds `name` in the segment, although it is another text.
pub(super) fn may_be(segment: &str, name: &str) -> bool {
    let (found, named) = (loosely(segment), loosely(name));
    let stem = segment.split(ENDS).next().unwrap_or_default();
    let expected: String = kept(&named).map(|kept| kept.c).collect();
    let may_keep = |text: &str| kept_texts(text).any(|kept| without_ends(&kept) == expected);
    found == named
        || is_short_name(segment)
        || (named.is_ascii() && (may_keep(&found) || may_keep(stem) || may_keep(segment)))
}

/// What a reader may find instead of the segment: folded, cut at the first sign, without blanks and dots at the ends.
fn loosely(segment: &str) -> String {
    let folded = folded(segment).unwrap_or(Cow::Borrowed(segment));
    without_ends(folded.split(ENDS).next().unwrap_or_default()).to_owned()
}

/// Without the blanks at the ends and the dots behind.
fn without_ends(text: &str) -> &str {
    text.trim_matches(is_blank).trim_end_matches(|c| c == '.' || is_blank(c))
}

/// How many times as long a segment's compatibility form may be, so that folding costs no more than reading: a Hangul
/// syllable comes to three letters, each as long as it is, and a few ligatures to eleven times their length.
pub(super) const MAX_GROWTH: usize = 3;

/// The segment in its compatibility form (Unicode NFKD, UAX #15); `None` where that shows structure that is not to be
/// seen in the segment, or is far longer.
fn folded(segment: &str) -> Option<Cow<'_, str>> {
    if segment.is_ascii() {
        return Some(Cow::Borrowed(segment));
    }
    let mut folded = String::with_capacity(segment.len() * MAX_GROWTH);
    for c in segment.chars() {
        unfold(c, |part| {
            folded.push(part);
            folded.len() <= segment.len() * MAX_GROWTH
        })
        .then_some(())?;
    }
    Some(Cow::Owned(folded))
}

/// Shows the parts of a character in its compatibility form, in which dots are dots, until one is not taken. `false` then, and
/// where a part shows structure that is not to be seen, or does not print plainly.
pub(super) fn unfold(c: char, mut take: impl FnMut(char) -> bool) -> bool {
    if let Some(parts) = parts_of_hangul(c) {
        return parts.into_iter().flatten().all(take);
    }
    let seen = (!joins(c)).then_some(c);
    let parts = DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(seen.into_iter());
    let dot = DOTS.contains(&c);
    let meant = |part: char| match part {
        '.' => c == '.' || dot,
        '%' => is_percent(c),
        part => part == c || (is_plain_char(part) && !STRUCTURE.contains(&part)),
    };
    let mut parts = parts.map(|part| if dot && DOTS.contains(&part) { '.' } else { part });
    parts.all(|part| meant(part) && take(part))
}

/// The letters of a Hangul syllable (Unicode, section 3.12), which are none of structure. Reckoned, since looking them up takes ten
/// times as long as any other script does.
fn parts_of_hangul(c: char) -> Option<[Option<char>; 3]> {
    let at = u32::from(c).checked_sub(0xac00).filter(|at| *at < 19 * 21 * 28)?;
    let behind = (at % 28 > 0).then(|| 0x11a7 + at % 28);
    let parts = [Some(0x1100 + at / (21 * 28)), Some(0x1161 + at / 28 % 21), behind];
    Some(parts.map(|part| part.and_then(char::from_u32)))
}

/// Whether it is one of these letters: no mark, and without capitals.
pub(super) fn is_of_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}')
}

/// Without the blanks and quotes around it.
fn bare(text: &str) -> &str {
    text.trim_matches(|c| is_blank(c) || is_quote(c))
}

/// Whether it is a blank, also to those who read forms.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '+'
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

fn is_dots(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'.' | b' ' | b'+'))
}

/// Whether a reader that trims, and drops accents, still finds the character.
fn has_substance(c: char) -> bool {
    !is_blank(c) && c != '.' && !is_quote(c) && (c.is_ascii() || !is_mark(c))
}

/// Whether it only marks the character before it, as accents do.
pub(super) fn is_mark(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(get_general_category(c), EnclosingMark | NonspacingMark | SpacingMark)
}

#[cfg(test)]
mod tests;
