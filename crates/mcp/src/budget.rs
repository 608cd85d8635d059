//! Budget: how much is held at once, for whom? A quota of memory per subject; where it is used up, answers wait (backpressure).
//!
//! Whoever asks pays for all that is held until the answer has been taken: the message while it is read, judged and
//! forwarded, the answer while it is collected and rewritten, and what waits for a client that does not read. Subjects pay, and
//! not keys: keys are free for whoever may delegate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::common::ServerId;
use hardtack::verify::VerifiedCapability;

/// What an exchange costs at the least: the buffers of two connections, a watch, a small message and a small answer.
pub(crate) const EXCHANGE_BYTES: usize = 64 * 1024;

/// How much is held at once, for all and for each. The first has room for as many exchanges as there are connections, and as
/// much again for large messages; the second for a thousand exchanges, or for the largest message or answer.
pub(crate) const MAX_HELD_BYTES: usize = 512 * 1024 * 1024;
pub(crate) const MAX_HELD_BYTES_EACH: usize = 64 * 1024 * 1024;

/// What is held for one server, where several share the process: whoever floods one, as whichever subjects, leaves as much for
/// the others.
pub(crate) const MAX_HELD_BYTES_OF_SERVER: usize = MAX_HELD_BYTES / 2;

/// And how many exchanges, half as many as there are connections: streams that cost little would take them all.
pub(crate) const MAX_EXCHANGES_OF_SERVER: usize = 2048;

/// How long an answer waits until it can be paid for: others are taken meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is tried.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Who pays: a subject of a root, whichever of its keys asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Payer([u8; 32]);

impl Payer {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Payer {
        Payer(bytes)
    }

    pub(crate) fn of(verified: &VerifiedCapability) -> Payer {
        let mut digest = Sha256::new();
        digest.update(verified.root().to_bytes());
        digest.update(verified.subject());
        Payer(digest.finalize().into())
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Budget {
    held: Arc<Mutex<Held>>,
    server: ServerId,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Only servers for which something is held.
    of_servers: HashMap<ServerId, usize>,
    /// Only servers for which exchanges are under way.
    exchanges: HashMap<ServerId, usize>,
    /// Only those who hold something.
    each: HashMap<Payer, usize>,
}

/// What is paid for, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    payer: Payer,
    bytes: usize,
    /// Whether it counts as an exchange, and not as a part of one.
    is_exchange: bool,
}

impl Budget {
    /// The same, of which another server has its part.
    pub(crate) fn of(&self, server: ServerId) -> Budget {
        Budget { held: Arc::clone(&self.held), server }
    }

    /// Pays for an exchange; `None` if too many are under way.
    pub(crate) fn exchange(&self, payer: Payer) -> Option<Share> {
        let mut share = Share { budget: self.clone(), payer, bytes: 0, is_exchange: false };
        if !share.cover(0) {
            return None;
        }
        share.is_exchange = self.held().begin_exchange(self.server);
        share.is_exchange.then_some(share)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Held {
    /// Whether one more may begin.
    fn begin_exchange(&mut self, server: ServerId) -> bool {
        let under_way = self.exchanges.entry(server).or_default();
        let may = server == ServerId::ONLY || *under_way < MAX_EXCHANGES_OF_SERVER;
        *under_way += usize::from(may);
        may
    }

    fn take(map: &mut HashMap<ServerId, usize>, server: ServerId, less: usize) {
        let had = map.get(&server).copied().unwrap_or_default();
        match had.saturating_sub(less) {
            0 => map.remove(&server),
            left => map.insert(server, left),
        };
    }
}

impl Share {
    /// Pays for this many bytes from now on, be they more or fewer than before; `false` if that is too much. The first
    /// [`EXCHANGE_BYTES`] are paid for as long as the exchange lasts.
    #[must_use]
    pub(crate) fn cover(&mut self, bytes: usize) -> bool {
        let owed = bytes.max(EXCHANGE_BYTES);
        if owed <= self.bytes {
            self.give_back(self.bytes - owed);
            return true;
        }
        let more = owed - self.bytes;
        let mut held = self.budget.held();
        let own = held.each.get(&self.payer).copied().unwrap_or_default() + more;
        let server = self.budget.server;
        let of_server = held.of_servers.get(&server).copied().unwrap_or_default() + more;
        if held.all + more > MAX_HELD_BYTES
            || own > MAX_HELD_BYTES_EACH
            || (server != ServerId::ONLY && of_server > MAX_HELD_BYTES_OF_SERVER)
        {
            return false;
        }
        held.all += more;
        held.of_servers.insert(server, of_server);
        held.each.insert(self.payer, own);
        self.bytes = owed;
        true
    }

    /// Covers the bytes of an answer, which can wait.
    #[must_use]
    pub(crate) async fn cover_soon(&mut self, bytes: usize) -> bool {
        self.cover_within(bytes, PATIENCE).await
    }

    async fn cover_within(&mut self, bytes: usize, patience: Duration) -> bool {
        let trying = async {
            while !self.cover(bytes) {
                tokio::time::sleep(TRY_EVERY).await;
            }
        };
        tokio::time::timeout(patience, trying).await.is_ok()
    }

    /// Bytes that are paid for by `of` what was paid for, until nobody holds them.
    pub(crate) fn hold(&mut self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        let of = bytes.as_ref().len().min(self.bytes);
        self.bytes -= of;
        let share =
            Share { budget: self.budget.clone(), payer: self.payer, bytes: of, is_exchange: false };
        Bytes::from_owner(Paid { bytes, _share: share })
    }

    /// The last bytes of an exchange, which lasts until nobody holds them.
    pub(crate) fn hold_last(mut self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        let length = bytes.as_ref().len();
        // Never more than was paid for when they were made.
        let _ = self.cover(length);
        Bytes::from_owner(Paid { bytes, _share: self })
    }

    fn give_back(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.bytes -= bytes;
        let mut held = self.budget.held();
        held.all -= bytes;
        Held::take(&mut held.of_servers, self.budget.server, bytes);
        let own = held.each.get(&self.payer).copied().unwrap_or_default();
        match own.saturating_sub(bytes) {
            0 => held.each.remove(&self.payer),
            left => held.each.insert(self.payer, left),
        };
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.bytes);
        if self.is_exchange {
            let server = self.budget.server;
            Held::take(&mut self.budget.held().exchanges, server, 1);
        }
    }
}

struct Paid<T> {
    bytes: T,
    _share: Share,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Paid<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: Payer = Payer::from_bytes([1; 32]);
    const THEIRS: Payer = Payer::from_bytes([2; 32]);

    #[test]
    fn what_is_held_is_paid_for_until_it_is_gone() {
        let budget = Budget::default();
        let mut first = budget.exchange(MINE).unwrap();
        assert!(first.cover(MAX_HELD_BYTES_EACH - EXCHANGE_BYTES));
        let mut second = budget.exchange(MINE).unwrap();
        assert!(second.cover(EXCHANGE_BYTES), "an exchange covers as much");
        assert!(!second.cover(EXCHANGE_BYTES + 1), "one holds too much");
        assert!(budget.exchange(MINE).is_none());
        assert!(budget.exchange(THEIRS).is_some(), "others are not held up");
        drop(first);
        assert!(second.cover(4 * EXCHANGE_BYTES));
        let held = second.hold(vec![0; 2 * EXCHANGE_BYTES]);
        assert_eq!(budget.held().all, 4 * EXCHANGE_BYTES);
        assert!(second.cover(0));
        assert_eq!(budget.held().all, 3 * EXCHANGE_BYTES);
        let last = second.hold_last(vec![0; 10]);
        assert_eq!(budget.held().all, 3 * EXCHANGE_BYTES);
        let part = held.slice(5..6);
        drop((held, last));
        assert_eq!(budget.held().all, 2 * EXCHANGE_BYTES, "a part of it holds it");
        drop(part);
        let held = budget.held();
        assert_eq!((held.all, held.each.len()), (0, 0));
    }

    #[test]
    fn all_together_hold_no_more_than_all_may() {
        let budget = Budget::default();
        let shares: Vec<Share> = (0..=u8::MAX)
            .filter_map(|number| {
                let mut share = budget.exchange(Payer::from_bytes([number; 32]))?;
                share.cover(MAX_HELD_BYTES_EACH).then_some(share)
            })
            .collect();
        assert_eq!(shares.len(), MAX_HELD_BYTES / MAX_HELD_BYTES_EACH);
        assert!(budget.exchange(Payer::from_bytes([255; 32])).is_none());
    }

    #[test]
    fn one_of_several_servers_holds_half_and_has_half_of_the_exchanges() {
        let all = Budget::default();
        let [one, other] = [1, 2].map(|id| all.of(ServerId::from_number(id)));
        let of = |number: u8| Payer::from_bytes([number; 32]);
        let large: Vec<Share> = (0..u8::MAX)
            .filter_map(|number| {
                let mut share = one.exchange(of(number))?;
                share.cover(MAX_HELD_BYTES_EACH).then_some(share)
            })
            .collect();
        assert_eq!(large.len(), MAX_HELD_BYTES_OF_SERVER / MAX_HELD_BYTES_EACH);
        assert!(one.exchange(of(255)).is_none());
        let mut theirs = other.exchange(of(255)).unwrap();
        assert!(theirs.cover(MAX_HELD_BYTES_EACH));
        drop((large, theirs));
        let many = (0..3 * MAX_EXCHANGES_OF_SERVER).filter_map(|n| one.exchange(of((n % 8) as u8)));
        let many: Vec<Share> = many.collect();
        assert_eq!(many.len(), MAX_EXCHANGES_OF_SERVER);
        assert!(other.exchange(of(0)).is_some());
        drop(many);
        let held = all.held();
        let left = (held.all, held.each.len(), held.of_servers.len(), held.exchanges.len());
        assert_eq!(left, (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn an_answer_waits_until_it_can_be_paid_for_but_not_for_ever() {
        let budget = Budget::default();
        let mut first = budget.exchange(MINE).unwrap();
        assert!(first.cover(MAX_HELD_BYTES_EACH - EXCHANGE_BYTES));
        let mut second = budget.exchange(MINE).unwrap();
        assert!(!second.cover_within(2 * EXCHANGE_BYTES, TRY_EVERY).await);
        let (covered, ()) =
            tokio::join!(second.cover_within(2 * EXCHANGE_BYTES, PATIENCE), async {
                tokio::time::sleep(3 * TRY_EVERY).await;
                drop(first);
            });
        assert!(covered);
    }
}
