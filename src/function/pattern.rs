//! Pattern: do letters, one after the other, have this form?
//!
//! This is the bit-parallel simulation of a nondeterministic automaton (Shift-And, Baeza-Yates and Gonnet). Each part
//! of the pattern that may have been passed is kept as one bit, so that a letter is held against sixty-four parts at
//! once. Readers leave different letters out; all of them are asked at once.

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    One(char),
    /// The same, where whoever leaves this letter out of the text leaves it out of the pattern, too.
    Soft(char),
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
    /// Those who leave it out have no letters but those of [`Meant`](super::loose::Meant): no name of another script is left
    /// to them.
    pub(super) foreign: bool,
    /// What some readers end here.
    pub(super) ends: Ends,
}

/// What a reader ends at a letter, which it leaves out with all that stands behind it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Nothing,
    /// One name: it reads on behind the next slash.
    Name,
    /// All of the text; or one name.
    Text,
}

impl Letter {
    /// What may stand in front of a text: some readers begin each at the root.
    pub(super) const ROOT: Letter = Letter { drops: true, ..Letter::plain('/') };

    pub(super) const fn plain(c: char) -> Letter {
        Letter { c, more: false, drops: false, foreign: false, ends: Ends::Nothing }
    }
}

/// Parts of a pattern, each with its bit; the bit behind the last one says that all were passed.
#[derive(Debug)]
pub(super) struct Pattern {
    length: usize,
    /// The parts that a letter must be equal to: for each such letter, in order, where it stands.
    letters: Vec<(char, Bits)>,
    soft: Bits,
    any_one: Bits,
    any: Bits,
    any_with_slashes: Bits,
}

type Bits = Vec<u64>;

/// Who must find the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// One of them, whatever letters it leaves out.
    Some,
    /// Each of them: what may be left out stands where the pattern has a star, or the same letter that is left out there.
    All,
}

impl Pattern {
    pub(super) fn new(parts: &[Part]) -> Pattern {
        let none = vec![0; parts.len() / 64 + 1];
        let mut pattern = Pattern {
            length: parts.len(),
            letters: Vec::new(),
            soft: none.clone(),
            any_one: none.clone(),
            any: none.clone(),
            any_with_slashes: none.clone(),
        };
        let mut known: Vec<char> = parts.iter().filter_map(Part::letter).collect();
        known.sort_unstable();
        known.dedup();
        pattern.letters = known.into_iter().map(|c| (c, none.clone())).collect();
        for (at, part) in parts.iter().enumerate() {
            let bit = 1 << (at % 64);
            let bits = match part {
                Part::One(c) | Part::Soft(c) => {
                    if matches!(part, Part::Soft(_)) {
                        pattern.soft[at / 64] |= bit;
                    }
                    match pattern.letters.binary_search_by_key(c, |(c, _)| *c) {
                        Ok(found) => &mut pattern.letters[found].1,
                        Err(_) => continue,
                    }
                }
                Part::AnyOne => &mut pattern.any_one,
                Part::Any => &mut pattern.any,
                Part::AnyWithSlashes => &mut pattern.any_with_slashes,
            };
            bits[at / 64] |= bit;
        }
        pattern
    }

    /// Whether some reader finds the pattern in the letters, some way or other.
    pub(super) fn is_found_by_some(&self, letters: impl Iterator<Item = Letter>) -> bool {
        let mut reached = self.start();
        // What was reached where a name may have ended: it goes on behind the next slash.
        let mut ended: Bits = vec![0; reached.len()];
        for letter in letters {
            if letter.c == '/' {
                join(&mut reached, &ended);
                ended.fill(0);
            } else if letter.ends != Ends::Nothing {
                join(&mut ended, &reached);
                if letter.ends == Ends::Text && self.is_passed(&reached) {
                    return true;
                }
            }
            self.pass(&mut reached, letter, Readers::Some);
            if reached.iter().chain(&ended).all(|word| *word == 0) {
                return false;
            }
        }
        join(&mut reached, &ended);
        self.is_passed(&reached)
    }

    /// Whether every reader finds the pattern in the letters, the same way.
    pub(super) fn is_found_by_all(&self, letters: impl Iterator<Item = Letter>) -> bool {
        let mut reached = self.start();
        for letter in letters {
            self.pass(&mut reached, letter, Readers::All);
            if reached.iter().all(|word| *word == 0) {
                return false;
            }
        }
        self.is_passed(&reached)
    }

    fn start(&self) -> Bits {
        let mut reached: Bits = vec![0; self.any.len()];
        reached[0] = 1;
        self.pass_empty(&mut reached);
        reached
    }

    fn is_passed(&self, reached: &[u64]) -> bool {
        reached[self.length / 64] >> (self.length % 64) & 1 == 1
    }

    /// Goes on by one letter.
    fn pass(&self, reached: &mut [u64], letter: Letter, readers: Readers) {
        let equal = self.equal(letter.c);
        // Forms write a plus sign for a blank.
        let blank =
            (letter.c == '+' && readers == Readers::Some).then(|| self.equal(' ')).flatten();
        let firm = letter.drops && readers == Readers::All;
        let when = |holds: bool| if holds { u64::MAX } else { 0 };
        let (within, goes_on) = (when(letter.c != '/'), when(letter.more));
        let drops = when(letter.drops && !firm);
        let mut carried = 0;
        for (at, word) in reached.iter_mut().enumerate() {
            let bits = |found: Option<&Bits>| found.map_or(0, |bits| bits[at]);
            let literal = bits(equal) | bits(blank);
            let (literal, one) = match firm {
                true => (literal & self.soft[at], 0),
                false => (literal, self.any_one[at] & within),
            };
            let passed = *word & (literal | one);
            let stays = self.any_with_slashes[at] | self.any[at] & within | one & goes_on | drops;
            *word = passed << 1 | carried | *word & stays;
            carried = passed >> 63;
        }
        self.pass_empty(reached);
    }

    /// Where the pattern has this letter.
    fn equal(&self, c: char) -> Option<&Bits> {
        let found = self.letters.binary_search_by_key(&c, |(c, _)| *c);
        found.ok().map(|found| &self.letters[found].1)
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

fn join(into: &mut [u64], more: &[u64]) {
    into.iter_mut().zip(more).for_each(|(into, more)| *into |= more);
}

impl Part {
    pub(super) fn letter(&self) -> Option<char> {
        match self {
            Part::One(c) | Part::Soft(c) => Some(*c),
            _ => None,
        }
    }
}
