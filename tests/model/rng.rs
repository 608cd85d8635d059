//! Rng: numbers that are the same for the same seed, here and on every machine (SplitMix64).

#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Numbers of the chain, tree or pair with this number, of one kind.
    pub fn of(kind: u64, number: u64) -> Rng {
        let mut rng = Rng(number.wrapping_mul(0xd1b5_4a32_d192_ed03) ^ kind);
        rng.next();
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// From `least` to `most`.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.next() % u64::try_from(most - least + 1).unwrap()).unwrap()
    }

    /// Once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// From `least` to `most` different ones, as many as there are.
    pub fn some<T: Copy>(&mut self, all: &[T], least: usize, most: usize) -> Vec<T> {
        let count = (least + self.below(most - least + 1)).min(all.len());
        let mut left = all.to_vec();
        (0..count).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for end in (1..all.len()).rev() {
            all.swap(end, self.below(end + 1));
        }
    }
}
