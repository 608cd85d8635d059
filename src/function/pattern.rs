//! Pattern: do letters, one after the other, have this form?
//!
//! How many parts of the pattern may have been passed is kept as one bit each, so that a letter is held against sixty-four
//! parts at once.

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    One(char),
    /// One letter, and no slash.
    AnyOne,
    /// Any number of letters without slashes.
    Any,
    AnyWithSlashes,
}

/// A letter as some reader takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) c: char,
    /// What it is written with has more letters behind this one: it is one and may stand for one.
    pub(super) more: bool,
    /// Some readers leave it out.
    pub(super) drops: bool,
}

impl Letter {
    pub(super) const SLASH: Letter = Letter::plain('/');

    pub(super) const fn plain(c: char) -> Letter {
        Letter { c, more: false, drops: false }
    }
}

/// Parts of a pattern, each with its bit; the bit behind the last one says that all were passed.
#[derive(Debug)]
pub(super) struct Pattern {
    length: usize,
    /// The parts that a letter must be equal to: for each such letter, in order, where it stands.
    letters: Vec<(char, Bits)>,
    any_one: Bits,
    any: Bits,
    any_with_slashes: Bits,
}

type Bits = Vec<u64>;

impl Pattern {
    pub(super) fn new(parts: &[Part]) -> Pattern {
        let none = vec![0; parts.len() / 64 + 1];
        let mut pattern = Pattern {
            length: parts.len(),
            letters: Vec::new(),
            any_one: none.clone(),
            any: none.clone(),
            any_with_slashes: none.clone(),
        };
        let mut known: Vec<char> = parts.iter().filter_map(Part::letter).collect();
        known.sort_unstable();
        known.dedup();
        pattern.letters = known.into_iter().map(|c| (c, none.clone())).collect();
        for (at, part) in parts.iter().enumerate() {
            let bits = match part {
                Part::One(c) => match pattern.letters.binary_search_by_key(c, |(c, _)| *c) {
                    Ok(found) => &mut pattern.letters[found].1,
                    Err(_) => continue,
                },
                Part::AnyOne => &mut pattern.any_one,
                Part::Any => &mut pattern.any,
                Part::AnyWithSlashes => &mut pattern.any_with_slashes,
            };
            bits[at / 64] |= 1 << (at % 64);
        }
        pattern
    }

    /// Whether all the letters have the pattern, some way or other.
    pub(super) fn matches(&self, letters: impl Iterator<Item = Letter>) -> bool {
        let mut reached: Bits = vec![0; self.any.len()];
        reached[0] = 1;
        self.pass_empty(&mut reached);
        for letter in letters {
            self.pass(&mut reached, letter);
            if reached.iter().all(|word| *word == 0) {
                return false;
            }
        }
        reached[self.length / 64] >> (self.length % 64) & 1 == 1
    }

    /// Goes on by one letter.
    fn pass(&self, reached: &mut [u64], letter: Letter) {
        let found = self.letters.binary_search_by_key(&letter.c, |(c, _)| *c);
        let equal = found.ok().map(|found| &self.letters[found].1);
        let within = if letter.c == '/' { 0 } else { u64::MAX };
        let goes_on = if letter.more { u64::MAX } else { 0 };
        let drops = if letter.drops { u64::MAX } else { 0 };
        let mut carried = 0;
        for (at, word) in reached.iter_mut().enumerate() {
            let one = self.any_one[at] & within;
            let passed = *word & (equal.map_or(0, |bits| bits[at]) | one);
            let stays = self.any_with_slashes[at] | self.any[at] & within | one & goes_on | drops;
            *word = passed << 1 | carried | *word & stays;
            carried = passed >> 63;
        }
        self.pass_empty(reached);
    }

    /// Passes the stars that were reached, since they may stand for nothing. No two stand side by side.
    fn pass_empty(&self, reached: &mut [u64]) {
        let mut carried = 0;
        for (at, word) in reached.iter_mut().enumerate() {
            *word |= carried;
            let passed = *word & (self.any[at] | self.any_with_slashes[at]);
            *word |= passed << 1;
            carried = passed >> 63;
        }
    }
}

impl Part {
    fn letter(&self) -> Option<char> {
        match self {
            Part::One(c) => Some(*c),
            _ => None,
        }
    }
}
