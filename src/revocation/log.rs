//! Log: where revocations are made, and how whoever decides elsewhere hears of them, in order (a change feed).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cause::Cause;
use crate::chain::{DigitsError, read_digits};
use crate::keys::PrivateKey;
use crate::pending::Pending;
use crate::revocation::{
    GRACE, InForce, Receipt, RevocationEntry, RevocationList, RevocationNotice, Revoking,
};
use crate::timestamp::Timestamp;

/// The id of one history of a log: 16 random bytes. It is new when a log is made and whenever the log may have lost or changed something,
/// as by a restoration from a backup. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; 16]);

/// A position in a log of revocations: after so many events of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The number of the last event before the position; 0 before the first.
    pub number: u64,
}

/// The id of a request to revoke a batch, by which the batch is known when it is handed over again (an idempotency key). Make one with
/// [`RequestId::random`] for each request, keep it until there is an answer, and ask again with the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

macro_rules! sixteen_bytes {
    ($name:ident) => {
        impl $name {
            /// Makes the id of these 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> $name {
                $name(bytes)
            }

            /// Makes an id of 16 random bytes.
            pub fn random() -> $name {
                let mut bytes = [0; 16];
                // A public key is as random as anything.
                bytes.copy_from_slice(&PrivateKey::generate().public().to_bytes()[..16]);
                $name(bytes)
            }

            /// Returns the 16 bytes of the id.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = DigitsError;

            fn from_str(text: &str) -> Result<$name, DigitsError> {
                read_digits(text).map($name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

sixteen_bytes!(Epoch);
sixteen_bytes!(RequestId);

/// One event of a log of revocations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The event's number: from 1, without gaps.
    pub number: u64,
    /// The change that the event makes.
    pub change: Change,
}

impl Event {
    /// Makes the event with the number `number`.
    pub fn new(number: u64, change: Change) -> Event {
        Event { number, change }
    }
}

/// A change of what is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Something was revoked. If the revocation prolongs an earlier one
    /// ([`RevocationNotice::prolongs`](crate::revocation::RevocationNotice::prolongs)), it takes that one's place.
    Revoked(RevocationEntry),
    /// Revocations that no live token can hold any more were forgotten.
    Forgotten {
        /// The forgotten revocations: ranges of the numbers that the entries have as their `sequence`, both ends included.
        sequences: Vec<(u64, u64)>,
        /// The mark: grants issued up to this moment are refused from now on, since they may have been revoked.
        until: Option<Timestamp>,
    },
}

/// The answer of [`RevocationLog::read`]: the part of a log after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Events {
    /// The next events, without a gap: the first has the number after the position's. Empty at the end of the log.
    Next(Vec<Event>),
    /// The log cannot say what came after the position: it is of another epoch, lies beyond the end, or its events are kept no longer.
    /// Take the whole [list](RevocationLog::list) anew.
    Gone,
}

/// All that is in force at a position of a log, with who revoked and why, as a place to read on from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The position from which to read on. The entries may already know events after it: to apply those once more changes nothing.
    pub at: Position,
    /// The moment when the snapshot was made.
    pub as_of: Timestamp,
    /// The mark: grants issued up to this moment may be covered by revocations that were forgotten.
    pub forgotten_until: Option<Timestamp>,
    /// The revocations in force.
    pub revocations: Vec<RevocationEntry>,
}

impl Snapshot {
    /// Makes a snapshot of what is in force, which knows every event up to the position `at`.
    pub fn new(
        at: Position,
        as_of: Timestamp,
        forgotten_until: Option<Timestamp>,
        revocations: Vec<RevocationEntry>,
    ) -> Snapshot {
        Snapshot { at, as_of, forgotten_until, revocations }
    }

    /// Returns what a verifier elsewhere needs of the snapshot, for [`Revocations::copied`](crate::Revocations::copied).
    pub fn list(&self) -> RevocationList {
        RevocationList {
            as_of: self.as_of,
            forgotten_until: self.forgotten_until,
            revocations: self.revocations.iter().map(InForce::from).collect(),
        }
    }

    /// Applies `events` and moves the position on; returns whether they were the next ones. If they were not, nothing is changed, and the
    /// list is to be taken anew.
    ///
    /// Each event is looked for among all entries. A copy of many thousands should keep an index instead.
    pub fn advance(&mut self, events: &[Event]) -> bool {
        let next = (self.at.number + 1..).zip(events);
        if next.clone().any(|(number, event)| event.number != number) {
            return false;
        }
        for (number, event) in next {
            self.apply(&event.change);
            self.at.number = number;
        }
        true
    }

    /// Applies one change to what is in force; the position stays. To apply a change twice is to apply it once.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Revoked(entry) => {
                let replaced = entry.notice.prolongs;
                self.revocations.retain(|known| {
                    known.sequence != entry.sequence && Some(known.sequence) != replaced
                });
                self.revocations.push(entry.clone());
            }
            Change::Forgotten { sequences, until } => {
                let is_forgotten = |number| {
                    sequences.iter().any(|(first, last)| (*first..=*last).contains(&number))
                };
                self.revocations.retain(|known| !is_forgotten(known.sequence));
                self.forgotten_until = self.forgotten_until.max(*until);
            }
        }
    }
}

/// A log of revocations, where they are made: its events have one order, which is the same for everybody who reads it.
///
/// # What an engine must hold
///
/// 1. **All or none.** A batch is revoked whole or not at all, and its events stand one after another, in its order.
/// 2. **Durable before it answers**, and read by everybody who reads from then on. What was read by anybody is never lost: a log that may
///    have lost its end, by a failover say, begins a new [`Epoch`]; with PostgreSQL, the timeline tells. Who answers is the one that
///    can be written: a server that was replaced must not be asked any more, which is for whoever operates it to see to.
/// 3. **Asked again, made once.** A batch that is handed over again with the request id of one that was revoked is answered as that one
///    was, and changes nothing, for a day at least. This matters: what [ends at its
///    moment](crate::Revocation::ends_at_its_moment) would otherwise stop the grants that were issued in between. Another batch under the same id is
///    refused; another `by` or reason makes it another. An empty batch uses up nothing.
/// 4. **In one order, without gaps.** Events are numbered from 1. No event comes to be seen after one with a higher number was read:
///    numbers that a database hands out before it commits (sequences) do not hold this; a counter that is locked until the commit does.
///    The `sequence` of an entry is the engine's own number for it; the event's number will do.
/// 5. **What is revoked already is revoked once.** Revoked again, it is not written again unless that makes it last or cover more, and then
///    takes the earlier one's place: [`Revoking::against`] says which and makes the notice. The same are those whose [`Revocation`](crate::revocation::Revocation) is equal.
/// 6. **Nothing un-revokes.** What no live token can hold any more may be forgotten, which raises the mark: [`covered_until`](crate::revocation::covered_until) the moment of
///    the last that is forgotten, and it never falls. Nothing is forgotten while the clock is in doubt: after a step of more than an hour
///    ahead, until the longest lifetime and an hour have passed since, and as long as the clock stands before what was told earlier.
///    The entries and the mark of a list are of one moment.
/// 7. **No clock is believed.** A revocation counts to the latest `now` that the log was ever told.
/// 8. **Never blocks.** Futures are polled on any thread, and there need be no runtime around them: an engine that needs one keeps a
///    handle to its own. An `append` that is dropped may or may not be made. Nobody who waits
///    bounds the wait: an engine that goes over a network gives each answer a bound of its own, some seconds.
///
/// A verifier elsewhere takes the list and follows it:
///
/// ```
/// use std::time::Duration;
/// use hardtack::pending::wait;
/// use hardtack::revocation::{Events, RevocationLog};
/// use hardtack::{Revocations, Store, Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (log, now) = (Store::in_memory()?, Timestamp::from_unix_seconds(1_795_428_000));
/// let mut known = wait(log.list(now))?;
/// let copy = Revocations::copied(&known.list()); // for Verifier::new
///
/// // Again and again, as long as the verifier runs:
/// wait(log.wait(known.at, Duration::from_secs(5)));
/// match wait(RevocationLog::read(&log, known.at, 1000))? {
///     Events::Next(events) if known.advance(&events) => known.as_of = now,
///     _ => known = wait(log.list(now))?,
/// }
/// copy.renew(&known.list(), now)?;
/// # Ok(())
/// # }
/// ```
///
/// `testing::revocations` has the cases that an engine must pass (feature `testing`); a [`Store`](crate::Store) is the first engine.
pub trait RevocationLog: Send + Sync {
    /// Revokes all of these as of `now`, or none. Returns a receipt for each, in their order. If the request was made already, these are
    /// the receipts of the earlier call. An empty batch is answered without receipts.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError`]. To ask again with the same id is safe after each of them.
    fn append<'a>(
        &'a self,
        batch: Vec<Revoking>,
        request: RequestId,
        now: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>>;

    /// Returns the events after a position: `at_most` of them, and at least one if there is one.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError::Unavailable`] if that cannot be said now.
    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>>;

    /// Returns the position at the end of the log.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError::Unavailable`] if that cannot be said now.
    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>>;

    /// Returns all that is in force, to begin with or to begin anew. `now` is the moment that the snapshot states as its own.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError::Unavailable`] if that cannot be said now.
    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>>;

    /// Returns a part of what is in force: of the revocations whose record has a larger number than `after` the first `at_most`, in the order
    /// of their records. Whoever has them in pages has what [`RevocationLog::list`] says, and perhaps what came meanwhile. By default
    /// the whole is listed and cut; an engine with many overrides this.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError::Unavailable`] if that cannot be said now.
    fn list_after<'a>(
        &'a self,
        now: Timestamp,
        after: u64,
        at_most: usize,
    ) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        Box::pin(async move {
            let mut list = self.list(now).await?;
            list.revocations.retain(|entry| entry.sequence > after);
            list.revocations.sort_unstable_by_key(|entry| entry.sequence);
            list.revocations.truncate(at_most);
            Ok(list)
        })
    }

    /// Waits until there is something after a position, or `at_most` has passed. It may come back sooner, or a second later. It is only a
    /// hint, which spares reading in vain: whoever comes back reads.
    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()>;
}

/// The time for which a request id is known at least: a day.
pub(crate) const REQUESTS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// An error of a [`RevocationLog`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationLogError {
    /// The revocation is not acknowledged. If it was written nevertheless, it may be found in force later.
    #[error("not revoked: {0}")]
    NotRevoked(String),
    /// The request id was used already, for something else. Nothing is revoked; ask under a new id.
    #[error(
        "not revoked: the request {0} was made already, for something else; ask under a new id"
    )]
    OtherRequest(RequestId),
    /// Revocations are not made by this handle of the log, and could be by another one. Nothing is revoked.
    #[error("not revoked: {0}")]
    Elsewhere(String),
    /// The log cannot be read now.
    #[error("the revocations cannot be read: {0}")]
    Unavailable(String),
}

impl RevocationLogError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            RevocationLogError::NotRevoked(_) => Cause::NotRevoked,
            RevocationLogError::OtherRequest(_) => Cause::OtherRequest,
            RevocationLogError::Elsewhere(_) => Cause::RevocationElsewhere,
            RevocationLogError::Unavailable(_) => Cause::StoreUnavailable,
        }
    }
}

/// An earlier revocation of the same that is in force, as far as it matters to one that is made again ([`Revoking::against`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// The number of its record.
    pub sequence: u64,
    /// The moment since when it is in force.
    pub revoked: Timestamp,
    /// The moment until when it is kept; `None` for one that is kept for good.
    pub expires: Option<Timestamp>,
}

impl Revoking {
    /// Returns what a log is to write of this request; `None` if an `earlier` revocation of the same does all that already. For whoever
    /// writes an engine of [`RevocationLog`].
    ///
    /// `moment` is the latest `now` that the log was ever told, and `longest` the longest life of a grant that a verifier accepts. To
    /// revoke a block, a key or a name again changes nothing, unless it makes the revocation last notably longer. A revocation that ends
    /// at its moment covers grants up to the new one.
    pub fn against(
        &self,
        earlier: Option<Earlier>,
        moment: Timestamp,
        longest: Duration,
    ) -> Option<RevocationNotice> {
        let expires = self.revocation.expires().then(|| moment + longest + GRACE);
        if let Some(earlier) = earlier {
            let lasts = match (earlier.expires, expires) {
                (Some(earlier), Some(expires)) => earlier + GRACE >= expires,
                _ => true,
            };
            let covers = !self.revocation.ends_at_its_moment() || earlier.revoked >= moment;
            if lasts && covers {
                return None;
            }
        }
        let kept = earlier.and_then(|earlier| earlier.expires);
        Some(RevocationNotice {
            revocation: self.revocation.clone(),
            revoked: earlier.map_or(moment, |earlier| moment.max(earlier.revoked)),
            // Servers that accept other lifetimes may share the log: none of them shortens what another wrote.
            expires: expires.map(|expires| kept.map_or(expires, |kept| kept.max(expires))),
            by: self.by.clone(),
            reason: self.reason.clone(),
            prolongs: earlier.map(|earlier| earlier.sequence),
        })
    }
}

impl<L: RevocationLog + ?Sized> RevocationLog for std::sync::Arc<L> {
    fn append<'a>(
        &'a self,
        batch: Vec<Revoking>,
        request: RequestId,
        now: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>> {
        (**self).append(batch, request, now)
    }

    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>> {
        (**self).read(after, at_most)
    }

    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>> {
        (**self).head()
    }

    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        (**self).list(now)
    }

    fn list_after<'a>(
        &'a self,
        now: Timestamp,
        after: u64,
        at_most: usize,
    ) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        (**self).list_after(now, after, at_most)
    }

    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()> {
        (**self).wait(after, at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::Revocation;

    #[test]
    fn a_position_is_written_in_digits_and_read_again() {
        let at = Position { epoch: Epoch::from_bytes([0xa7; 16]), number: 12 };
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(text, format!(r#"{{"epoch":"{}","number":12}}"#, "a7".repeat(16)));
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), at);
        assert_eq!("a7".parse::<RequestId>().unwrap_err().digits, 32);
        assert_ne!(RequestId::random(), RequestId::random());
    }

    #[test]
    fn none_of_two_servers_shortens_what_the_other_wrote() {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let hours = |hours: u64| Duration::from_secs(3600 * hours);
        let alice = Revocation::Subject { subject: "user:alice".to_owned(), root: None };
        let alice = Revoking::new(alice, "tests", "lost").unwrap();
        let long = alice.against(None, now, hours(48)).unwrap();
        assert_eq!(long.expires, Some(now + hours(49)));
        let earlier = Earlier { sequence: 1, revoked: long.revoked, expires: long.expires };
        let short = alice.against(Some(earlier), now + hours(1), hours(24)).unwrap();
        assert_eq!((short.revoked, short.expires), (now + hours(1), long.expires));
        let longer = alice.against(Some(earlier), now + hours(30), hours(24)).unwrap();
        assert_eq!(longer.expires, Some(now + hours(55)));
    }
}
