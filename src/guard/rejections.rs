//! Rejections: which of many bearers that are not valid are recorded? (A rate limit, with a fixed window of one
//! second.)

use crate::timestamp::Timestamp;

/// The most refused bearers that are recorded in a second: so many without a valid signature, and so many of the
/// others. The rest are counted, and the next record says how many. Whoever sends them by the thousand must not fill
/// the disk.
pub(crate) const MAX_REJECTIONS_RECORDED: u32 = 100;

/// Bearers that were refused in one second.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    second: Timestamp,
    recorded: u32,
    unrecorded: u64,
}

impl Rejections {
    /// Whether this one is recorded, and with how many that were not.
    pub(super) fn count(&mut self, now: Timestamp) -> Option<u64> {
        if self.second != now {
            (self.second, self.recorded) = (now, 0);
        }
        if self.recorded >= MAX_REJECTIONS_RECORDED {
            self.unrecorded += 1;
            return None;
        }
        self.recorded += 1;
        Some(std::mem::take(&mut self.unrecorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_number_and_the_next_record_says_how_many_were_not() {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let next = Timestamp::from_unix_seconds(1_795_428_001);
        let mut rejections = Rejections::default();
        for _ in 0..MAX_REJECTIONS_RECORDED {
            assert_eq!(rejections.count(now), Some(0));
        }
        assert_eq!([rejections.count(now), rejections.count(now)], [None, None]);
        assert_eq!([rejections.count(next), rejections.count(next)], [Some(2), Some(0)]);
        let recorded = (2..=MAX_REJECTIONS_RECORDED).filter_map(|_| rejections.count(next));
        assert_eq!(recorded.count(), MAX_REJECTIONS_RECORDED as usize - 2);
    }
}
