//! Text: is this written so plainly that a tool reads it as it is judged here? (Confusable characters and
//! normalisation.)

use crate::names::is_printable;

/// Characters that look like a separator or a dot, or that some file systems, proxies and libraries take for
/// one (or for several, or a text with one) after they normalised the text: Unicode NFKC, best-fit mappings
/// of Windows, the yen and won signs that stand in the backslash's place.
const SEPARATOR_LOOKALIKES: [char; 21] = [
    '\u{2024}', '\u{2025}', '\u{fe52}', '\u{2044}', '\u{2215}', '\u{29f8}', '\u{ff0f}', '\u{2216}',
    '\u{29f5}', '\u{29f9}', '\u{fe68}', '\u{ff3c}', '\u{20e5}', '\u{fe30}', '\u{fe19}', '\u{a5}',
    '\u{20a9}', '\u{2100}', '\u{2101}', '\u{2105}', '\u{2106}',
];

/// What people write in names for a dot or three, and some reader takes for one: an ellipsis, and the full stops of Chinese
/// and Japanese. A name that has more than these stays one, whether they are dots or not.
pub(super) const DOTS: [char; 4] = ['\u{2026}', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// What some reader takes for a percent sign in compatibility form.
pub(super) const PERCENTS: [char; 2] = ['\u{ff05}', '\u{fe6a}'];

/// The two joiners, without which words of Persian and Indic languages are others, and emoji fall apart.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Whether every character prints and none looks like a separator that it is not. Joiners and variation selectors
/// (U+FE00 to U+FE0F) may stand behind what they are for: a character that is not ASCII, or a digit.
pub(super) fn is_plain(text: &str) -> bool {
    first_odd(text).is_none()
}

/// The first character that is not plain where it stands.
pub(super) fn first_odd(text: &str) -> Option<char> {
    let mut before = ' ';
    text.chars().find(|c| {
        let before = std::mem::replace(&mut before, *c);
        !(is_plain_char(*c) || joins(*c) && is_joined(before, *c))
    })
}

pub(super) fn is_plain_char(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    is_printable(c) && !SEPARATOR_LOOKALIKES.contains(&c)
}

/// Whether the character only says how those beside it are drawn. Some readers leave it out.
pub(super) fn joins(c: char) -> bool {
    is_selector(c) || JOINERS.contains(&c)
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

fn is_joined(before: char, c: char) -> bool {
    match before.is_ascii() {
        true => before.is_ascii_digit() && is_selector(c),
        false => {
            let emoji = is_selector(before) && JOINERS.contains(&c);
            !before.is_whitespace() && !DOTS.contains(&before) && (!joins(before) || emoji)
        }
    }
}

/// Whether it is a percent sign to some reader.
pub(super) fn is_percent(c: char) -> bool {
    c == '%' || PERCENTS.contains(&c)
}

/// Whether reading percent-encoding, once or more often, could show a separator, a dot or the like that is not to
/// be seen now: a `%` that begins no escape of something harmless.
pub(super) fn hides_separators(text: &str) -> bool {
    let Some(read) = decoded(text) else { return true };
    let shown = |c: char| matches!(c, '/' | '\\' | '%' | ';' | '?' | '#' | '.');
    let count = |text: &str| text.chars().filter(|c| shown(*c)).count();
    // As many are to be seen before as after.
    let escapes = text.matches('%').count();
    count(&read) + escapes != count(text) || !is_plain(&read) || read.contains(PERCENTS)
}

/// The text with its escapes read once; `None` where they are none, or no text (RFC 3986, section 2.1).
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let byte = digit(high)? * 16 + digit(low)?;
                bytes.push(u8::try_from(byte).ok()?);
                rest = behind;
            }
            (b'%', _) => return None,
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether an escape stands for a character that needs none (RFC 3986, section 2.3), so that the same place has
/// two spellings.
pub(super) fn has_needless_escapes(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.match_indices('%').any(|(at, _)| {
        let byte = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(unreserved)
    })
}
