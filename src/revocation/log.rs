//! Log: where revocations are made, and how whoever decides elsewhere hears of them, in order.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cause::Cause;
use crate::keys::PrivateKey;
use crate::pending::Pending;
use crate::revocation::{
    GRACE, InForce, Receipt, RevocationEntry, RevocationList, RevocationNotice, Revoking,
};
use crate::timestamp::Timestamp;

/// Which of all logs it is that a position belongs to: 16 random bytes, new when a log is made and whenever it may have lost or changed
/// something, as by a restoration from a backup. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; 16]);

/// A place in a log of revocations: after so many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Of which log.
    pub epoch: Epoch,
    /// The number of the last event before it; 0 before the first.
    pub number: u64,
}

/// By which a batch is known when it is handed over again. Whoever asks for a revocation makes one ([`RequestId::random`]), keeps it until
/// it hears an answer, and asks again with the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

macro_rules! sixteen_bytes {
    ($name:ident) => {
        impl $name {
            /// These bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> $name {
                $name(bytes)
            }

            /// Sixteen random bytes.
            pub fn random() -> $name {
                let mut bytes = [0; 16];
                // A public key is as random as anything.
                bytes.copy_from_slice(&PrivateKey::generate().public().to_bytes()[..16]);
                $name(bytes)
            }

            /// The bytes.
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
            type Err = hex::FromHexError;

            fn from_str(text: &str) -> Result<$name, hex::FromHexError> {
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok($name(bytes))
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

/// What happened in a log of revocations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its number: from 1, without gaps.
    pub number: u64,
    /// What it was.
    pub change: Change,
}

impl Event {
    /// The event with this number.
    pub fn new(number: u64, change: Change) -> Event {
        Event { number, change }
    }
}

/// How what is revoked changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Something is revoked. If it prolongs an earlier revocation
    /// ([`RevocationNotice::prolongs`](crate::revocation::RevocationNotice::prolongs)), it takes that one's place.
    Revoked(RevocationEntry),
    /// Revocations that no live token can hold any more are forgotten.
    Forgotten {
        /// Which: ranges of the numbers that the entries have as their `sequence`, both ends included.
        sequences: Vec<(u64, u64)>,
        /// The mark: grants issued up to this moment are refused from now on, since they may have been revoked.
        until: Option<Timestamp>,
    },
}

/// What of a log comes after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Events {
    /// The next events, without a gap: the first has the number after the position's. None, at the end of the log.
    Next(Vec<Event>),
    /// The log cannot say what came after it: it is of another epoch, lies beyond the end, or what came after it is kept no longer.
    /// Whoever reads takes the whole [list](RevocationLog::list) anew.
    Gone,
}

/// All that is in force at a position, with who revoked and why, as a place to read on from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Where to read on. The entries may know already what came after this: to apply those events once more changes nothing.
    pub at: Position,
    /// When it was made.
    pub as_of: Timestamp,
    /// The mark: grants issued up to this moment may be covered by revocations that were forgotten.
    pub forgotten_until: Option<Timestamp>,
    /// What is in force.
    pub revocations: Vec<RevocationEntry>,
}

impl Snapshot {
    /// What is in force, which knows everything up to this position.
    pub fn new(
        at: Position,
        as_of: Timestamp,
        forgotten_until: Option<Timestamp>,
        revocations: Vec<RevocationEntry>,
    ) -> Snapshot {
        Snapshot { at, as_of, forgotten_until, revocations }
    }

    /// Returns what a verifier elsewhere needs of it, for [`Revocations::copied`](crate::Revocations::copied).
    pub fn list(&self) -> RevocationList {
        RevocationList {
            as_of: self.as_of,
            forgotten_until: self.forgotten_until,
            revocations: self.revocations.iter().map(InForce::from).collect(),
        }
    }

    /// Goes on by the next events; returns whether they were the next ones. If not, nothing is changed, and the list is to be taken anew.
    ///
    /// Each look at the entries goes through them, which a copy of many thousands should not: that is for an index.
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

    /// Changes what it knows as a log says. To apply a change twice is to apply it once.
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

/// Where revocations are made: a log of events in one order, which is the same for everybody who reads it.
///
/// # What an engine must hold
///
/// 1. **All or none.** A batch is revoked whole or not at all, and its events stand one after another, in its order.
/// 2. **Durable before it answers**, and read by everybody who reads from then on. What was read by anybody is never lost: a log that may
///    have lost its end, by a failover say, begins a new [`Epoch`].
/// 3. **Asked again, made once.** A batch that is handed over again with the request id of one that was revoked is answered as that one
///    was, and changes nothing, for a day at least ([`REQUESTS_KEPT`]). This matters: what [ends at its
///    moment](crate::Revocation::ends_at_its_moment) would otherwise stop the grants that were issued in between. Another batch under the same id is
///    refused.
/// 4. **In one order, without gaps.** Events are numbered from 1. No event comes to be seen after one with a higher number was read:
///    numbers that a database hands out before it commits (sequences) do not hold this; a counter that is locked until the commit does.
/// 5. **What is revoked already is revoked once.** Revoked again, it is not written again unless that makes it last or cover more, and then
///    takes the earlier one's place: [`Revoking::against`] says which and makes the notice.
/// 6. **Nothing un-revokes.** What no live token can hold any more may be forgotten, which raises the mark: [`covered_until`](crate::revocation::covered_until) the moment of
///    the last that is forgotten, and it never falls. Nothing is forgotten while the clock has jumped.
/// 7. **No clock is believed.** A revocation counts to the latest `now` that the log was ever told.
/// 8. **Never blocks.** Futures are polled on any thread, and there need be no runtime around them: an engine that needs one keeps a
///    handle to its own. An `append` that is dropped may or may not be made.
///
/// `testing::revocations` has the cases that an engine must pass (feature `testing`); a [`Store`](crate::Store) is the first engine.
pub trait RevocationLog: Send + Sync {
    /// Revokes all of these as of `now`, or none. Returns a receipt for each, in their order; those of one's own earlier call, if the
    /// request was made already. An empty batch is answered without receipts.
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

    /// The events after a position, `at_most` of them and one at least, if there is one.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError::Unavailable`] if that cannot be said now.
    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>>;

    /// Where the log ends.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError::Unavailable`] if that cannot be said now.
    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>>;

    /// All that is in force, to begin with or to begin anew. `now` is what the list says of itself.
    ///
    /// # Errors
    ///
    /// [`RevocationLogError::Unavailable`] if that cannot be said now.
    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>>;

    /// Comes back when there is something after a position that was not there, or `at_most` has passed; sooner or a second later, too.
    /// It is a hint, so that nobody reads again and again in vain: whoever comes back reads.
    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()>;
}

/// How long a request is known again at least.
pub const REQUESTS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// A log that did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationLogError {
    /// It is not acknowledged. It may be found in force later, if it was written nevertheless.
    #[error("not revoked: {0}")]
    NotRevoked(String),
    /// Something else was asked for under the same request id. Nothing is revoked.
    #[error(
        "not revoked: the request {0} was made already, for something else; ask under a new id"
    )]
    OtherRequest(RequestId),
    /// Nothing can be read now.
    #[error("the revocations cannot be read: {0}")]
    Unavailable(String),
}

impl RevocationLogError {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            RevocationLogError::NotRevoked(_) => Cause::NotRevoked,
            RevocationLogError::OtherRequest(_) => Cause::OtherRequest,
            RevocationLogError::Unavailable(_) => Cause::StoreUnavailable,
        }
    }
}

/// A revocation of the same that is in force, as far as it matters to one that is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub sequence: u64,
    /// Since when.
    pub revoked: Timestamp,
    /// Until when it is kept; `None` for good.
    pub expires: Option<Timestamp>,
}

impl Revoking {
    /// What is to be written of it, made at `moment`, which is the latest `now` that the log was ever told. `None`, where an `earlier`
    /// revocation of the same does all that already. `longest` is the longest life of a grant that a verifier accepts.
    ///
    /// To revoke a block, a key or a name again changes nothing, unless it makes it last notably longer; what ends at its moment covers
    /// grants up to this one.
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
        Some(RevocationNotice {
            revocation: self.revocation.clone(),
            revoked: earlier.map_or(moment, |earlier| moment.max(earlier.revoked)),
            expires,
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

    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()> {
        (**self).wait(after, at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_in_digits_and_read_again() {
        let at = Position { epoch: Epoch::from_bytes([0xa7; 16]), number: 12 };
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(text, format!(r#"{{"epoch":"{}","number":12}}"#, "a7".repeat(16)));
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), at);
        assert!("a7".parse::<RequestId>().is_err());
        assert_ne!(RequestId::random(), RequestId::random());
    }
}
