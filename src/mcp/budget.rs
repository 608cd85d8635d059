//! Budget: how much of what clients send is held at once.
//!
//! A message is held until it is whole and the server has answered. Small ones are bounded by the number of
//! connections; large ones are paid for, by whoever sends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::mcp::session::Owner;

/// Up to this many bytes a message costs nothing: most have one or two thousand.
pub(crate) const FREE_BYTES: usize = 64 * 1024;

/// How much of large messages is held at once, of all and of each.
const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;
const MAX_HELD_BYTES_EACH: usize = 32 * 1024 * 1024;

#[derive(Debug, Clone, Default)]
pub(crate) struct Budget(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Only those who hold something.
    each: HashMap<Owner, usize>,
}

/// What one message costs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    owner: Owner,
    bytes: usize,
}

impl Budget {
    pub(crate) fn share(&self, owner: Owner) -> Share {
        Share { budget: self.clone(), owner, bytes: 0 }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Share {
    /// Pays for a message that has this many bytes by now; `false` if that is too much.
    #[must_use]
    pub(crate) fn pay(&mut self, message_bytes: usize) -> bool {
        let owed = message_bytes.saturating_sub(FREE_BYTES);
        let more = owed.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let mut held = self.budget.held();
        let own = held.each.get(&self.owner).copied().unwrap_or_default() + more;
        if held.all + more > MAX_HELD_BYTES || own > MAX_HELD_BYTES_EACH {
            return false;
        }
        held.all += more;
        held.each.insert(self.owner, own);
        self.bytes += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.budget.held();
        held.all -= self.bytes;
        let own = held.each.get(&self.owner).copied().unwrap_or_default();
        match own.saturating_sub(self.bytes) {
            0 => held.each.remove(&self.owner),
            left => held.each.insert(self.owner, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_are_paid_for_until_they_are_gone() {
        let budget = Budget::default();
        let (mine, theirs) = (Owner::from_bytes([1; 32]), Owner::from_bytes([2; 32]));
        let mut first = budget.share(mine);
        assert!(first.pay(FREE_BYTES) && first.pay(MAX_HELD_BYTES_EACH));
        let mut second = budget.share(mine);
        assert!(second.pay(FREE_BYTES), "small ones cost nothing");
        assert!(!second.pay(4 * FREE_BYTES), "one holds too much");
        assert!(budget.share(theirs).pay(4 * FREE_BYTES), "others are not held up");
        drop(first);
        assert!(second.pay(4 * FREE_BYTES));
        drop(second);
        let held = budget.held();
        assert_eq!((held.all, held.each.len()), (0, 0));
    }

    #[test]
    fn all_together_hold_just_so_much() {
        let budget = Budget::default();
        let full = MAX_HELD_BYTES / MAX_HELD_BYTES_EACH;
        let mut held: Vec<Share> = Vec::new();
        for number in 0..full {
            let mut share = budget.share(Owner::from_bytes([u8::try_from(number).unwrap(); 32]));
            assert!(share.pay(FREE_BYTES + MAX_HELD_BYTES_EACH), "{number}");
            assert!(!share.pay(FREE_BYTES + MAX_HELD_BYTES_EACH + 1), "one holds a byte too many");
            held.push(share);
        }
        let mut last = budget.share(Owner::from_bytes([0xff; 32]));
        assert!(!last.pay(FREE_BYTES + 1), "all together hold a byte too many");
        assert!(last.pay(FREE_BYTES), "small ones cost nothing");
        drop(held.pop());
        assert!(last.pay(FREE_BYTES + MAX_HELD_BYTES_EACH));
    }
}
