//! Spelling: which names of JSON members do readers take for one?
//!
//! A name is compared byte for byte here, and by others as their library has it: up to a NUL (C), without looking at capitals
//! (Go, .NET), in a normal form, or without what does not print. So a name that such a reader could take for another is refused
//! if it shows nothing of that, and two that some reader takes for one do not stand in one object.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::names::is_printable;

/// The most bytes of names that are not ASCII, of all objects of one text: to fold them takes a hundred times as long as to read
/// them, here some milliseconds. A call has a thousand values at most, and names have some ten bytes.
pub const MAX_FOLDED_BYTES: usize = 8 * 1024;

/// What the dotted capital I of Turkish becomes in lower case: an i, and a dot that says nothing more.
const DOTTED_I: &str = "i\u{307}";

/// What the Greek sigma becomes in lower case at the end of a word.
const FINAL_SIGMA: char = '\u{3c2}';

/// Whether every character of a name is to be seen, and no blank but a space: no control character at which some reader
/// ends the name, nothing that another one drops.
pub fn is_plain(name: &str) -> bool {
    name.chars().all(is_seen)
}

/// Whether a character is to be seen, or is a space.
pub fn is_seen(c: char) -> bool {
    match c.is_ascii() {
        true => !c.is_ascii_control(),
        false => is_printable(c) && !c.is_whitespace(),
    }
}

/// One text for all spellings of a name: without capitals (full case folding, and Turkish), in compatibility form (NFKC), and
/// without spaces around it.
pub fn fold(name: &str) -> Cow<'_, str> {
    fold_with(name.trim_matches(' '), |name| name.trim_matches(' '))
}

/// One text for all spellings of a piece of a name: a space at its end is one within the name.
pub(crate) fn fold_piece(piece: &str) -> Cow<'_, str> {
    fold_with(piece, |piece| piece)
}

fn fold_with<'a>(name: &'a str, trim: impl Fn(&str) -> &str) -> Cow<'a, str> {
    #[cfg(test)]
    FOLDED.with(|folded| folded.set(folded.get() + 1));
    match name.is_ascii() {
        true if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Cow::Owned(name.to_ascii_lowercase())
        }
        true => Cow::Borrowed(name),
        false => Cow::Owned(fold_all(name, trim)),
    }
}

#[cfg(test)]
thread_local! {
    /// How many names this thread has folded, for tests of how much work a reader of names does.
    pub(crate) static FOLDED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn fold_all(name: &str, trim: impl Fn(&str) -> &str) -> String {
    let normalizer = ComposingNormalizerBorrowed::new_nfkc();
    // The long s and the Kelvin sign are known only in upper case for what they are, the capital sharp s only in lower case.
    let without_capitals = |name: &str| name.to_lowercase().to_uppercase().to_lowercase();
    let fold = |name: &str| {
        let folded = without_capitals(&normalizer.normalize(name)).replace(DOTTED_I, "i");
        // A beginning of a name must fold to a beginning, wherever a final sigma stands.
        let folded = folded.replace(FINAL_SIGMA, "\u{3c3}");
        // Some compatibility forms begin with a space.
        trim(&normalizer.normalize(&folded)).to_owned()
    };
    // What one step brings about, such as a capital in a compatibility form, is for the next.
    let (mut before, mut folded) = (String::new(), fold(name));
    while before != folded {
        before = std::mem::take(&mut folded);
        folded = fold(&before);
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_name_folds_to_a_piece_and_keeps_its_spaces() {
        for (name, piece) in [
            ("\u{3c3}\u{3b1}\u{3c3}\u{3b1}", "\u{3a3}\u{391}\u{3a3}"),
            ("Force Now", "FORCE "),
            ("\u{ff26}orce now", "\u{ff46}ORCE N"),
            ("Stra\u{df}e", "STRAS"),
        ] {
            assert!(fold(name).starts_with(&*fold_piece(piece)), "{name} {piece}");
        }
        assert_eq!(
            (fold_piece(" Now "), fold_piece(" \u{ff2e}ow")),
            (" now ".into(), " now".into())
        );
    }

    #[test]
    fn spellings_that_some_reader_takes_for_one_are_folded_to_one() {
        for (one, other) in [
            ("amount", "Amount"),
            ("amount", "AMOUNT"),
            ("amount", " amount "),
            ("sum", "\u{17f}um"),
            ("key", "\u{212a}ey"),
            ("id", "\u{130}d"),
            ("id", "I\u{307}d"),
            ("ID", "\u{131}d"),
            ("stra\u{df}e", "strasse"),
            ("stra\u{1e9e}e", "STRASSE"),
            ("\u{3c3}", "\u{3c2}"),
            ("\u{3a3}\u{391}\u{3a3}", "\u{3c3}\u{3b1}\u{3c2}"),
            ("\u{b5}", "\u{39c}"),
            ("\u{e5}", "\u{212b}"),
            ("zo\u{eb}", "zoe\u{308}"),
            ("zo\u{eb}", "ZOE\u{308}"),
            ("file", "\u{fb01}le"),
            ("amount", "\u{ff21}\u{ff2d}ount"),
            ("amount", "\u{1d44e}mount"),
            ("tel", "\u{2121}"),
            ("x2", "x\u{b2}"),
            ("\u{13a0}", "\u{ab70}"),
            ("\u{390}", "\u{1fd3}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [
            ("amount", "amounts"),
            ("amount", "\u{430}mount"),
            ("a b", "ab"),
            ("zoe", "zo\u{eb}"),
            ("a_b", "a-b"),
            ("", "a"),
        ] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn folding_again_changes_nothing() {
        // Of ideographs and syllables none has another case, and they are most of all characters.
        let others = |c: &char| !matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}');
        for c in ('\0'..'\u{20000}').filter(others) {
            let name = format!("{c}");
            let folded = fold(&name).into_owned();
            assert_eq!(fold(&folded), folded, "{c:?}");
            for other in c.to_lowercase().chain(c.to_uppercase()) {
                if c.to_lowercase().count() == 1 && c.to_uppercase().count() == 1 {
                    assert_eq!(fold(&other.to_string()), folded, "{c:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn a_name_is_all_to_be_seen() {
        for name in
            ["amount", "dry run", "", "zo\u{eb}", "\u{540d}\u{524d}", "$ref", "_meta", "a.b/c"]
        {
            assert!(is_plain(name), "{name}");
        }
        for c in [
            '\0',
            '\t',
            '\n',
            '\u{b}',
            '\u{1a}',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{a0}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1680}',
            '\u{180e}',
            '\u{2003}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202f}',
            '\u{2060}',
            '\u{2066}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{ffff}',
            '\u{e000}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{10ffff}',
        ] {
            assert!(!is_plain(&format!("amount{c}")), "{c:?}");
            assert!(!is_plain(&format!("{c}amount")), "{c:?}");
        }
    }
}
