//! Copying: how does a set follow somebody else's revocations?

use super::{KnownFrom, NotACopy, Revocations};
use crate::revocation::copy::{Delta, Renewal, known_as_of};
use crate::revocation::{Event, RevocationList};
use crate::timestamp::Timestamp;

impl Revocations {
    /// Makes a set that knows what `list` knows: a copy of another server's revocations, say. Waits for no disk.
    pub fn copied(list: &RevocationList) -> Revocations {
        let revocations = Revocations::kept_by(None);
        let mut set = revocations.write();
        set.knowledge = KnownFrom::CopiedAt(list.as_of);
        set.forgotten_until = list.forgotten_until;
        list.revocations.iter().cloned().for_each(|entry| set.add(entry));
        drop(set);
        revocations.copy().begin(list);
        revocations
    }

    /// Adds what `list`, which came at `now`, knows, and forgets what it no longer has. An entry is forgotten only when `now` and the
    /// longest lives that verifiers accept here ([`RevocationSource::keep_for`](crate::revocation::RevocationSource::keep_for)) allow it, too, reckoned from the moment when the entry
    /// was learned. Grants of that time are refused from then on ([`RevokedBy::Forgotten`](crate::revocation::RevokedBy::Forgotten)), which refuses nobody while clocks are right.
    /// So neither a list that lacks something nor a clock that jumps takes a revocation back. Waits for no disk.
    ///
    /// # Errors
    ///
    /// [`NotACopy`] for a set that a store keeps: it has what the store has on disk, and nothing else.
    pub fn renew(&self, list: &RevocationList, now: Timestamp) -> Result<(), NotACopy> {
        // Held to the end, so that of two renewals none puts back what the other takes away.
        let mut copy = self.copy();
        self.refuse_store()?;
        let renewal = copy.renew(list, now, self.longest_life());
        let mark = list.forgotten_until;
        self.take_over(renewal, mark, list.as_of, now)
    }

    /// Adds what these events of a log say, which come next after those that it knows, and makes it as fresh as `as_of`: say the moment
    /// before the log was read to its end, or [`Timestamp::default`] if there are more. They came at `now`. What is forgotten is forgotten
    /// under the conditions of [`Revocations::renew`], which takes the list where the log says [`Events::Gone`](crate::revocation::Events::Gone). Only what changed is looked
    /// at. Waits for no disk.
    ///
    /// # Errors
    ///
    /// [`NotACopy`], as from [`Revocations::renew`].
    pub fn follow(
        &self,
        events: &[Event],
        as_of: Timestamp,
        now: Timestamp,
    ) -> Result<(), NotACopy> {
        let deltas: Vec<Delta> = events.iter().map(|event| Delta::from(&event.change)).collect();
        self.advance(&deltas, as_of, now)
    }

    /// A set that has no list yet. Until [`Revocations::renew`] brings one, nothing is decided by it.
    #[cfg(feature = "feed")]
    pub(crate) fn awaited() -> Revocations {
        let revocations = Revocations::kept_by(None);
        revocations.write().knowledge = KnownFrom::Awaited;
        revocations
    }

    /// Adds what changed since the last list or change, which is true as of `as_of` and came at `now`, under the same conditions.
    pub(crate) fn advance(
        &self,
        deltas: &[Delta],
        as_of: Timestamp,
        now: Timestamp,
    ) -> Result<(), NotACopy> {
        let mut copy = self.copy();
        self.refuse_store()?;
        let renewal = copy.advance(deltas, now, self.longest_life());
        self.take_over(renewal, None, as_of, now)
    }

    fn refuse_store(&self) -> Result<(), NotACopy> {
        if self.0.kept_by.is_some() { Err(NotACopy) } else { Ok(()) }
    }

    fn take_over(
        &self,
        renewal: Renewal,
        listed: Option<Timestamp>,
        as_of: Timestamp,
        now: Timestamp,
    ) -> Result<(), NotACopy> {
        let Renewal { learned, forgotten, mark } = renewal;
        let mut set = self.write();
        let before = match set.knowledge {
            KnownFrom::CopiedAt(before) => before,
            #[cfg(feature = "feed")]
            KnownFrom::Awaited => Timestamp::default(),
            KnownFrom::Store | KnownFrom::Closed => return Err(NotACopy),
        };
        set.knowledge = KnownFrom::CopiedAt(known_as_of(before, as_of, now));
        set.forgotten_until = set.forgotten_until.max(listed).max(mark);
        learned.into_iter().for_each(|entry| set.add(entry));
        forgotten.iter().for_each(|key| set.remove_copied(key));
        Ok(())
    }
}
