//! Head: the one row that gives the order, and what this process knows of it already.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hardtack::Timestamp;
use hardtack::revocation::{Epoch, Position};
use tokio::sync::watch;
use tokio_postgres::Row;

use crate::clock::Clock;
use crate::error::{PostgresError, damaged};

/// The columns of the head, in the order in which [`Head::of`] reads them.
pub(crate) const COLUMNS: &str = "epoch, number, gone, latest, jumped, longest, forgotten_until";

/// The row, as it stood in one transaction.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) at: Position,
    /// Events up to this number are kept no longer.
    pub(crate) gone: u64,
    pub(crate) clock: Clock,
    pub(crate) longest: Duration,
    pub(crate) forgotten_until: Option<Timestamp>,
}

impl Head {
    pub(crate) fn of(row: &Row) -> Result<Head, PostgresError> {
        let epoch: &[u8] = row.try_get(0)?;
        let epoch = epoch.try_into().map_err(|_| damaged("an epoch"))?;
        let epoch = Epoch::from_bytes(epoch);
        let clock = Clock { latest: moment(row.try_get(3)?)?, jumped: moment(row.try_get(4)?)? };
        Ok(Head {
            at: Position { epoch, number: number(row.try_get(1)?)? },
            gone: number(row.try_get(2)?)?,
            clock,
            longest: Duration::from_secs(number(row.try_get(5)?)?),
            forgotten_until: moment(row.try_get(6)?)?,
        })
    }
}

/// The one row of an answer.
pub(crate) fn one(rows: &[Row]) -> Result<&Row, PostgresError> {
    rows.first().ok_or_else(|| damaged("no head"))
}

pub(crate) fn number(number: i64) -> Result<u64, PostgresError> {
    u64::try_from(number).map_err(|_| damaged("a number below zero"))
}

pub(crate) fn moment(seconds: Option<i64>) -> Result<Option<Timestamp>, PostgresError> {
    Ok(seconds.map(number).transpose()?.map(Timestamp::from_unix_seconds))
}

/// As the database counts: a moment lies before the year 10000.
pub(crate) fn seconds(moment: Timestamp) -> i64 {
    i64::try_from(moment.unix_seconds()).unwrap_or(i64::MAX)
}

pub(crate) fn signed(number: u64) -> Result<i64, PostgresError> {
    i64::try_from(number).map_err(|_| damaged("a number that is too large"))
}

/// How many epochs that are over are remembered.
const MAX_EPOCHS: usize = 256;

/// What this process has read of the log: the database must not stand before it, whatever was restored.
#[derive(Debug)]
pub(crate) struct Known {
    known: Mutex<(Position, Vec<Epoch>)>,
    heard: watch::Sender<Position>,
}

/// What was known when a question was asked.
#[derive(Debug)]
pub(crate) struct Floor(Position, Vec<Epoch>);

impl Known {
    pub(crate) fn new(at: Position) -> Known {
        Known { known: Mutex::new((at, Vec::new())), heard: watch::Sender::new(at) }
    }

    fn lock(&self) -> MutexGuard<'_, (Position, Vec<Epoch>)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.lock().0.epoch
    }

    /// To be taken before the question: of two answers the one that is older may come later.
    pub(crate) fn floor(&self) -> Floor {
        let known = self.lock();
        Floor(known.0, known.1.clone())
    }

    /// Refuses a log that went back, and takes note of one that went on.
    pub(crate) fn accept(&self, floor: &Floor, at: Position) -> Result<(), PostgresError> {
        floor.allows(at)?;
        self.raise(at);
        Ok(())
    }

    pub(crate) fn raise(&self, at: Position) {
        let mut known = self.lock();
        if known.0.epoch == at.epoch {
            known.0.number = known.0.number.max(at.number);
        } else if !known.1.contains(&at.epoch) {
            let over = known.0.epoch;
            known.1.push(over);
            if known.1.len() > MAX_EPOCHS {
                known.1.remove(0);
            }
            known.0 = at;
        }
        let now = known.0;
        // Under the lock, so that what is heard does not go back either.
        self.heard.send_if_modified(|heard| std::mem::replace(heard, now) != now);
    }

    pub(crate) fn heard(&self) -> watch::Receiver<Position> {
        self.heard.subscribe()
    }
}

impl Floor {
    pub(crate) fn allows(&self, at: Position) -> Result<(), PostgresError> {
        let went_back = match at.epoch == self.0.epoch {
            true => at.number < self.0.number,
            false => self.1.contains(&at.epoch),
        };
        match went_back {
            false => Ok(()),
            true => Err(PostgresError::Refused(format!(
                "it stands at event {} of epoch {}, and event {} of epoch {} was read from it already: it was restored or replaced, so that revocations are lost; begin a new epoch",
                at.number, at.epoch, self.0.number, self.0.epoch
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_went_back_is_refused_and_an_answer_that_came_late_is_not() {
        let (first, second) = (Epoch::from_bytes([1; 16]), Epoch::from_bytes([2; 16]));
        let at = |epoch, number| Position { epoch, number };
        let known = Known::new(at(first, 5));
        let early = known.floor();
        known.accept(&known.floor(), at(first, 7)).unwrap();
        known.accept(&early, at(first, 6)).unwrap();
        assert!(known.accept(&known.floor(), at(first, 6)).is_err());
        let before = known.floor();
        known.accept(&known.floor(), at(second, 0)).unwrap();
        known.accept(&before, at(first, 8)).unwrap();
        assert_eq!(*known.heard().borrow(), at(second, 0));
        assert!(known.accept(&known.floor(), at(first, 9)).is_err());
        known.accept(&known.floor(), at(second, 1)).unwrap();
    }
}
