//! Rejections: which of many bearers that do not hold are recorded?

use crate::timestamp::Timestamp;

/// How many bearers that do not hold are recorded in a second, of those without a valid signature and of the
/// others each; the rest are counted, and the next record says how many. Whoever sends them by the thousand must
/// not fill the disk.
pub const MAX_REJECTIONS_RECORDED: u32 = 100;

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
