//! Loose: what readers find in a text who do not take it as it stands.
//!
//! Some fold letters: file systems without capitals (macOS, Windows), those that keep names in a normal form (macOS), libraries
//! that turn names into ASCII. Some leave letters out: whoever has no room for them (`encode("ascii", "ignore")`, in whichever
//! normal form the text has), shells quotes, Windows and those who write for it what it takes into no name. Some cut names
//! short: Windows leaves blanks and dots off their ends, finds a stream of the file behind `:` and devices by their names, servers
//! find path parameters behind `;`, whoever builds a URL of a name ends it at `?`, `#` and `&`, and shells end a word at `&`, `|`,
//! `<` and `>`.
//!
//! Nothing is left out here: each letter is marked with what some reader does to it, once and from end to end, so that the
//! pattern can ask them all in one go.

use std::ops::Range;

use crate::function::device::end_of_device;
use crate::function::pattern::{Ends, Letter, Part};
use crate::function::segment::{MAX_GROWTH, is_blank, is_dropped, is_mark, is_of_hangul, unfold};
use crate::function::text::joins;

/// Where some reader ends a name. A comma is none: RFC 3986, section 3.3, speaks of it, but no reader of files is known to cut
/// there, and many names have one.
const ENDS: [char; 8] = [';', ':', '?', '#', '&', '|', '<', '>'];

/// Those of them that end a name only. At the others some reader ends all of the text.
const ENDS_OF_NAMES: [char; 2] = [';', ':'];

/// Those of them that many names have: `AT&T.pdf`, `A > B.pdf`. A name that is of the pattern is cut there only if what stands
/// before has an ending of its own, as in `x.exe&.pdf`.
const SEEN_IN_NAMES: [char; 4] = ['&', '|', '<', '>'];

/// What the pattern means itself, so that no reader is thought to take it otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meant {
    /// The last letter that a reader has room for who finds the pattern as it is written: who has no more than ASCII finds
    /// none with other letters in it. What lies beyond is left out by some.
    last: char,
    /// How many of each of [`ENDS`].
    signs: [usize; ENDS.len()],
}

impl Meant {
    /// By a pattern, and by what becomes of it when its letters are folded.
    pub(super) fn of(pattern: &str, parts: &[Part]) -> Meant {
        let last = match pattern.chars().max().unwrap_or_default() {
            '\0'..='\x7f' => '\x7f',
            '\u{80}'..='\u{ff}' => '\u{ff}',
            '\u{100}'..='\u{ffff}' => '\u{ffff}',
            _ => char::MAX,
        };
        let count = |end| parts.iter().filter(|part| part.letter() == Some(end)).count();
        Meant { last, signs: ENDS.map(count) }
    }

    /// By no pattern: all that is ASCII.
    const NOTHING: Meant = Meant { last: '\x7f', signs: [0; ENDS.len()] };
}

/// Whom the letters are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Whether some reader finds the pattern although it is not there.
    Some,
    /// Whether all find it, since it is there.
    All,
}

/// The text's letters as [`folded`], each marked with what some reader does to it.
pub(super) fn letters(text: &str, meant: &Meant, asked: Readers) -> Option<Vec<Letter>> {
    let mut letters = folded(text, meant.last)?;
    let mut signs = meant.signs;
    let names: Vec<Range<usize>> = names(&letters).collect();
    for (at, name) in names.iter().enumerate() {
        let name = &mut letters[name.clone()];
        mark_ends(name, &mut signs, asked);
        mark_device(name);
        if at == 0 {
            mark_drive(name);
        }
        mark_ends_of_names(name);
        if asked == Readers::All {
            let end = end_of(name);
            name[end..].iter_mut().for_each(|letter| letter.drops = true);
        }
    }
    mark_slashes(&mut letters, &names, asked);
    if asked == Readers::All {
        let end = letters.iter().position(|letter| letter.ends == Ends::Text);
        let end = end.unwrap_or(letters.len());
        letters[end..].iter_mut().for_each(|letter| letter.drops = true);
    }
    Some(letters)
}

/// Whether Windows finds a device in the name, wherever it stands: `NUL`, `con.txt`. A name that cannot be folded may be one.
pub(super) fn names_device(name: &str) -> bool {
    letters(name, &Meant::NOTHING, Readers::Some)
        .is_none_or(|letters| end_of_device(&letters).is_some())
}

/// Where the first reader ends the name.
fn end_of(name: &[Letter]) -> usize {
    name.iter().position(|letter| letter.ends != Ends::Nothing).unwrap_or(name.len())
}

/// The text in compatibility form (Unicode NFKD, UAX #15), without accents and other marks, and without capitals. `None` where
/// that shows a sign of structure that is not to be seen in the text, or is far longer.
///
/// What some readers leave out is marked so: quotes, what may not stand in a name on Windows, and what lies beyond `last`, be it
/// as it is written or one letter with the marks behind it.
pub(super) fn folded(text: &str, last: char) -> Option<Vec<Letter>> {
    let mut letters: Vec<Letter> = Vec::with_capacity(text.len());
    let mut grown = 0;
    // Where the letters begin that a mark is put on.
    let mut begun = 0;
    for c in text.chars() {
        if c.is_ascii() {
            let drops = is_dropped(c);
            // Where it is left out, a mark behind it is on the letter before.
            begun = if drops { begun } else { letters.len() };
            letters.push(Letter { drops, ..Letter::plain(c.to_ascii_lowercase()) });
            continue;
        }
        let foreign = c > last;
        if is_mark(c) && foreign && !joins(c) {
            for letter in &mut letters[begun..] {
                letter.foreign |= !letter.drops;
                letter.drops = true;
            }
        }
        let first = letters.len();
        unfold(c, |part| {
            grown += part.len_utf8();
            if is_of_hangul(part) {
                letters.push(Letter { more: true, drops: foreign, foreign, ..Letter::plain(part) });
            } else if !is_mark(part) {
                let dropped = is_dropped(part) || part.is_whitespace();
                let (drops, foreign) = (is_dropped(part) || foreign, foreign && !dropped);
                letters.extend(without_capitals(part).map(|c| Letter {
                    more: true,
                    drops,
                    foreign,
                    ..Letter::plain(c)
                }));
            }
            grown <= MAX_GROWTH * text.len()
        })
        .then_some(())?;
        if letters.len() > first {
            begun = first;
        }
        if let Some(last) = letters[first..].last_mut() {
            last.more = false;
        }
    }
    Some(letters)
}

/// A letter in lower case, by way of upper case: the long s, the sharp s and the dotless i are known only there for what they are.
fn without_capitals(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Where the names stand between the slashes, also those that are empty.
fn names(letters: &[Letter]) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    letters.split(|letter| letter.c == '/').map(move |name| {
        let start = from;
        from += name.len() + 1;
        start..start + name.len()
    })
}

/// Marks where some reader ends the name: at each of [`ENDS`] but so many of a kind as the pattern means.
fn mark_ends(name: &mut [Letter], signs: &mut [usize; ENDS.len()], asked: Readers) {
    let mut ending = Ending::default();
    for letter in name {
        if let Some(kind) = ENDS.iter().position(|end| *end == letter.c) {
            let meant = signs[kind] > 0;
            signs[kind] = signs[kind].saturating_sub(1);
            let seen = asked == Readers::All && SEEN_IN_NAMES.contains(&letter.c);
            letter.ends = match meant || (seen && !ending.is_one()) {
                true => Ends::Nothing,
                false if ENDS_OF_NAMES.contains(&letter.c) => Ends::Name,
                false => Ends::Text,
            };
        }
        ending.go_on(letter);
    }
}

/// Whether what was read of a name has an ending: a dot with letters and digits behind it, among them a letter (`x.exe`, `x.7z`,
/// not `Dr. A` or `1.2`).
#[derive(Debug, Default, Clone, Copy)]
struct Ending {
    dot: bool,
    letters: bool,
    blank: bool,
    other: bool,
}

impl Ending {
    fn is_one(self) -> bool {
        self.dot && self.letters && !self.other
    }

    fn go_on(&mut self, letter: &Letter) {
        match letter.c {
            '.' => *self = Ending { dot: true, ..Ending::default() },
            c if is_blank(c) => self.blank = true,
            c if c.is_alphanumeric() => {
                // A blank that letters follow is none at the end.
                self.other |= self.blank;
                self.letters |= c.is_alphabetic();
            }
            _ => self.other |= !letter.drops,
        }
    }
}

/// Marks the dot at which Windows ends the name of a device.
fn mark_device(name: &mut [Letter]) {
    if let Some(end) = end_of_device(name).and_then(|end| name.get_mut(end))
        && end.ends == Ends::Nothing
    {
        end.ends = Ends::Name;
    }
}

/// Marks a drive of Windows, behind which stands what is in the folder at hand there: `C:report.pdf`. Python takes any letter for
/// one. There is none where the pattern has a colon of its own.
fn mark_drive(name: &mut [Letter]) {
    let colon = name.iter().position(|letter| letter.c == ':');
    let Some(colon) = colon.filter(|at| name[*at].ends != Ends::Nothing) else { return };
    if name[..colon].iter().filter(|letter| !letter.drops).count() <= 1 {
        name[..=colon].iter_mut().for_each(|letter| letter.drops = true);
    }
}

/// Marks what some readers leave off the ends of names, and of what is left of them: blanks, and dots behind. A plus sign is a
/// blank to forms.
fn mark_ends_of_names(name: &mut [Letter]) {
    let blank = |letter: &Letter| is_blank(letter.c) || letter.drops;
    let mut behind = true;
    for letter in name.iter_mut().rev() {
        let loose = blank(letter) || letter.c == '.';
        letter.drops |= behind && loose;
        behind = letter.ends != Ends::Nothing || (behind && loose);
    }
    name.iter_mut().take_while(|letter| blank(letter)).for_each(|letter| letter.drops = true);
}

/// Marks the slashes that stand behind no name for some readers: in front, at the end, and beside a name of which they leave
/// nothing.
///
/// Where all must find the pattern, a name in a script that a reader has no letters for is still a name, or `docs/*` would be for
/// no file that is called 日本; but not in front, where leaving it out makes the text begin at the root.
fn mark_slashes(letters: &mut [Letter], names: &[Range<usize>], asked: Readers) {
    let is_nothing = |(at, name): (usize, &Range<usize>)| {
        let name = &letters[name.clone()];
        let name = &name[..end_of(name)];
        let of_script =
            || asked == Readers::All && at > 0 && name.iter().any(|letter| letter.foreign);
        name.iter().all(|letter| letter.drops) && !of_script()
    };
    let nothing: Vec<bool> = names.iter().enumerate().map(is_nothing).collect();
    let mut behind = true;
    for (at, name) in names.iter().enumerate().rev() {
        let ends = letters[name.clone()].iter().any(|letter| letter.ends == Ends::Text);
        if let Some(slash) = letters.get_mut(name.end) {
            slash.drops |= nothing[at] || behind;
        }
        // Where the text ends in a name, this is the last one.
        behind = nothing[at] && (behind || ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends_of(text: &str, asked: Readers) -> String {
        let letters = letters(text, &Meant::of("*", &[Part::Any]), asked).unwrap();
        letters
            .iter()
            .filter(|letter| letter.ends != Ends::Nothing)
            .map(|letter| letter.c)
            .collect()
    }

    #[test]
    fn a_name_is_cut_at_signs_that_honest_names_have_only_behind_an_ending() {
        for text in [
            "AT&T.pdf",
            "Q & A.pdf",
            "Dr. A & Co.pdf",
            "1.2 & 1.3.pdf",
            "A > B.pdf",
            "a.-&b",
            ".&b",
        ] {
            assert_eq!(ends_of(text, Readers::All), "", "{text}");
            assert_ne!(ends_of(text, Readers::Some), "", "{text}");
        }
        for text in ["x.exe&.pdf", "x.7z|y", "x.e'xe'&y", "x.exe >y", "x.\u{ff45}xe&y", "a.b.c<"] {
            assert_ne!(ends_of(text, Readers::All), "", "{text}");
        }
        for text in ["a;b", "a?b", "a#b", "a:b"] {
            assert_ne!(ends_of(text, Readers::All), "", "{text}");
        }
    }
}
