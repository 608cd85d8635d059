//! Text: is this written so plainly that a tool reads it as it is judged here?

use crate::names::is_printable;

/// Characters that look like a separator or a dot, or that some file systems, proxies and libraries take for
/// one (or for several, or a text with one) after they normalised the text: Unicode NFKC, best-fit mappings
/// of Windows, the yen and won signs that stand in the backslash's place.
const SEPARATOR_LOOKALIKES: [char; 25] = [
    '\u{2024}', '\u{2025}', '\u{2026}', '\u{3002}', '\u{fe52}', '\u{ff0e}', '\u{ff61}', '\u{2044}',
    '\u{2215}', '\u{29f8}', '\u{ff0f}', '\u{2216}', '\u{29f5}', '\u{29f9}', '\u{fe68}', '\u{ff3c}',
    '\u{20e5}', '\u{fe30}', '\u{fe19}', '\u{a5}', '\u{20a9}', '\u{2100}', '\u{2101}', '\u{2105}',
    '\u{2106}',
];

/// Whether every character prints and none looks like a separator that it is not.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| is_printable(c) && !SEPARATOR_LOOKALIKES.contains(&c))
}

/// Whether reading percent-encoding, once or more often, could show a separator, a dot or the like that is not to
/// be seen now: a `%` that begins no escape of something harmless.
pub(super) fn hides_separators(text: &str) -> bool {
    let Some(read) = decoded(text) else { return true };
    let shown = |c: char| matches!(c, '/' | '\\' | '%' | ';' | '?' | '#' | '.');
    let count = |text: &str| text.chars().filter(|c| shown(*c)).count();
    // As many are to be seen before as after.
    let escapes = text.matches('%').count();
    count(&read) + escapes != count(text) || !is_plain(&read)
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
