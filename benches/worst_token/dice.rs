//! Dice: chance that is the same for the same seed.

/// SplitMix64.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// A number near this one, or sometimes any, at most `most`.
    pub fn near(&mut self, number: usize, most: usize) -> usize {
        let moved = match self.below(6) {
            0 => self.below(most + 1),
            1 => number * 2 + 1,
            2 => number / 2,
            3 => number.saturating_sub(1),
            4 => most,
            _ => number + 1,
        };
        moved.min(most)
    }
}
