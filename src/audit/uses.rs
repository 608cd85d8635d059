//! Uses: which call-bound presentations were accepted, so that each is accepted once (a replay cache).

use crate::cause::Cause;
use crate::chain::RevocationId;
use crate::pending::Pending;
use crate::timestamp::Timestamp;

/// The time after its expiry for which the id of a used presentation is kept at least, one hour: clocks differ, and this is many times by
/// how much they may.
#[cfg(feature = "testing")]
pub(crate) const KEPT_AFTER_EXPIRY: std::time::Duration = std::time::Duration::from_secs(3600);

/// A presentation that is accepted once, as a [`Uses`] knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SingleUse {
    /// The name of the server for which it was made.
    pub audience: String,
    /// The presentation's id: its holder's signature, which a copy that is wrapped anew shares. 64 bytes.
    pub id: RevocationId,
    /// The moment when the presentation expires.
    pub expires: Timestamp,
}

impl SingleUse {
    /// Names the presentation with this id, for this audience, which expires at this moment.
    pub fn new(audience: impl Into<String>, id: RevocationId, expires: Timestamp) -> SingleUse {
        SingleUse { audience: audience.into(), id, expires }
    }
}

/// The answer to a claim ([`Uses::claim`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The presentation was not used before, and is used now.
    First,
    /// The presentation was used before, or that cannot be ruled out.
    Again,
}

/// Which presentations were used: claims each once, for all servers that share an audience.
///
/// A guard claims after checks and policies have allowed the call, and before it records the decision. So what an engine has claimed and
/// the guard could then not record is used up, though the call was refused: an engine can only refuse more.
///
/// # What an engine must hold
///
/// 1. **Once.** Of any number of claims of one id for one audience, by any number of processes, at most one is answered
///    [`Claim::First`]. The id alone may be the key: it is the signature of one presentation, for one audience. A claim and what
///    forgets (rule 3) exclude each other: a claim that has read the old mark must not be answered after the new one is in force.
/// 2. **Durable before it answers.** A claim that was answered `First` is never answered so again, after no crash and no failover.
///    Where it is not known whether a claim was written, answer an error.
/// 3. **No clock brings one back.** An id may be forgotten an hour after it expired, by the latest
///    `now` that the engine was told. What expires in a stretch of time from which an id was forgotten is answered [`Claim::Again`] from
///    then on: the simplest mark is the latest expiry that was ever forgotten, and whatever expires up to it counts as used.
/// 4. **Never blocks.** The future is polled on any thread, and there need be no runtime around it: an engine that needs one keeps a
///    handle to its own. A future that is dropped may or may not have claimed.
/// 5. **Ends.** Nobody who waits for a claim bounds the wait: an engine that goes over a network gives each claim a bound of its own, some
///    seconds, and answers an error beyond it.
///
/// An engine never has to look at the clock: `now` is an argument.
///
/// `testing::uses` has the cases that an engine must pass (feature `testing`); a [`Store`](crate::Store) is the first engine.
///
/// With PostgreSQL, for example, `used_mark` is one row with the latest expiry that was ever forgotten. A claim is one statement, and
/// `First` if it has inserted a row. The lock keeps what forgets, which updates that row first, from running at the same time:
///
/// ```sql
/// WITH mark AS MATERIALIZED (SELECT until FROM used_mark FOR SHARE)
/// INSERT INTO used (audience, id, expires)
/// SELECT $1, $2, $3 FROM mark WHERE $3 > mark.until ON CONFLICT DO NOTHING
/// ```
///
/// The session commits with `synchronous_commit = on`, or rule 2 does not hold.
pub trait Uses: Send + Sync {
    /// Claims a presentation, as of `now`: [`Claim::First`] the first time, [`Claim::Again`] from then on.
    ///
    /// # Errors
    ///
    /// [`UsesUnavailable`] if it cannot be claimed or it is not known whether it was. The guard then refuses as undecided.
    fn claim<'a>(
        &'a self,
        once: &'a SingleUse,
        now: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>>;
}

impl<U: Uses + ?Sized> Uses for std::sync::Arc<U> {
    fn claim<'a>(
        &'a self,
        once: &'a SingleUse,
        now: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>> {
        (**self).claim(once, now)
    }
}

/// An error of a [`Uses`]: it cannot be said now whether a presentation was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be looked up whether the presentation was used: {0}")]
pub struct UsesUnavailable(pub String);

impl UsesUnavailable {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::LedgerUnavailable
    }
}
