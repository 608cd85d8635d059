//! Revocation: what is revoked, and the question that the verifier asks.
//!
//! Any revoked ancestor kills everything below it, since every block of a chain is asked about.
//! Where the answers are kept is [`store`](crate::store)'s business, or yours: the verifier takes any
//! [`RevocationSource`].

pub(crate) mod copy;
mod log;
mod set;
mod source;
mod union;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chain::RevocationId;
use crate::keys::PublicKey;
use crate::names::{self, NameError};
use crate::timestamp::Timestamp;

#[cfg(feature = "feed")]
pub(crate) use copy::Delta;
pub(crate) use log::REQUESTS_KEPT;
pub use log::{
    Change, Earlier, Epoch, Event, Events, Position, RequestId, RevocationLog, RevocationLogError,
    Snapshot,
};
pub use set::{NotACopy, Revocations, covered_until};
pub use source::{Knowledge, RevocationSource, RevocationUnchecked, RevocationsUnavailable};
pub use union::Union;

/// A step ahead that is longer than this counts as a jump. A store that is kept open is told the time more
/// often; for one that is not, somebody has to vouch for the clock before anything is forgotten.
pub(crate) const LONGEST_STEP: Duration = Duration::from_secs(3600);

/// How much longer than a token can live its revocation is kept, for clocks that differ, many times over. By less, nothing is prolonged.
pub(crate) const GRACE: Duration = Duration::from_secs(3600);

/// A revocation: what is revoked. `docs/verification.md` says for each kind who can still get around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Revocation {
    /// One block is revoked, and all that stands on it. To stop an agent, revoke the hop made for it.
    Id {
        /// The block's id, or the block signature by which other Biscuit verifiers know it.
        id: RevocationId,
    },
    /// Every grant for a subject is revoked that was issued up to the moment of revocation (and a minute more): the account, in all its
    /// sessions. A grant that is issued within that minute is refused until it expires; one that is issued later is a new one. To end one
    /// session, revoke the id of its grant ([`Revocation::Id`]).
    Subject {
        /// The subject's name.
        subject: String,
        /// The root key whose grants are revoked; `None` for those of every root.
        root: Option<PublicKey>,
    },
    /// A holder's key is revoked for good, wherever a grant or hop names it.
    Holder {
        /// The public key.
        key: PublicKey,
    },
    /// All that an agent of this name holds by now is revoked: every chain with a hop to the name whose grant was issued up to the moment
    /// of revocation (and a minute more). Under a grant that is issued later, the name may be delegated to again.
    AgentUntilNow {
        /// The agent's name.
        agent: String,
    },
    /// An agent's name is revoked for good, wherever a hop names it. This is for people: the agent's delegator can choose another name.
    /// To stop the agent under any name, revoke the key that it holds ([`Revocation::Holder`]).
    Agent {
        /// The agent's name.
        agent: String,
    },
}

impl Revocation {
    /// Checks the form of the name in the revocation.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name that is not of its form: it could never match.
    pub fn check(&self) -> Result<(), NameError> {
        match self {
            Revocation::Subject { subject, .. } => names::check_subject(subject),
            Revocation::Agent { agent } | Revocation::AgentUntilNow { agent } => {
                names::check_agent(agent)
            }
            Revocation::Id { .. } | Revocation::Holder { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revocation::Id { id } => write!(f, "id {id}"),
            Revocation::Subject { subject, root: None } => write!(f, "subject {subject}"),
            Revocation::Subject { subject, root: Some(root) } => {
                write!(f, "subject {subject} of root {root}")
            }
            Revocation::Holder { key } => write!(f, "holder {key}"),
            Revocation::AgentUntilNow { agent } => write!(f, "agent {agent}, up to this moment"),
            Revocation::Agent { agent } => write!(f, "agent {agent}, for good"),
        }
    }
}

impl Revocation {
    /// Returns whether the revocation may be forgotten one day. It may if it covers only tokens that exist by now: one block, or the
    /// grants up to its moment. Once all of them have expired, it has no object. A key or a name that is revoked for good may stand in a
    /// token that is made tomorrow, and is kept for good.
    pub fn expires(&self) -> bool {
        match self {
            Revocation::Id { .. }
            | Revocation::Subject { .. }
            | Revocation::AgentUntilNow { .. } => true,
            Revocation::Holder { .. } | Revocation::Agent { .. } => false,
        }
    }

    /// Returns whether the revocation covers only grants that were issued up to its moment (and a minute more), and no later ones.
    pub fn ends_at_its_moment(&self) -> bool {
        match self {
            Revocation::Subject { .. } | Revocation::AgentUntilNow { .. } => true,
            Revocation::Id { .. } | Revocation::Holder { .. } | Revocation::Agent { .. } => false,
        }
    }
}

/// A request to revoke: what is to be revoked, by whom and why. The store or log says of which moment the revocation is and how long it
/// is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoking {
    pub(crate) revocation: Revocation,
    pub(crate) by: String,
    pub(crate) reason: String,
}

impl Revoking {
    /// Asks for a revocation, in the name of `by`, for `reason`.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name that could never match, and for a `by` or `reason` that is empty, is longer than 256 bytes or does not
    /// print.
    pub fn new(
        revocation: Revocation,
        by: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<Revoking, NameError> {
        let revoking = Revoking { revocation, by: by.into(), reason: reason.into() };
        revoking.revocation.check()?;
        names::check_by(&revoking.by)?;
        names::check_reason(&revoking.reason)?;
        Ok(revoking)
    }

    /// Returns the revocation that is asked for.
    pub fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// Returns the name of whoever asks.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A receipt for a revocation, which says under which record it is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The revocation is in force now, under this record.
    Revoked {
        /// The record's number.
        sequence: u64,
    },
    /// The revocation was in force already; nothing was written.
    AlreadyRevoked {
        /// The number of the record that put it in force.
        sequence: u64,
    },
}

impl Receipt {
    /// Returns the number of the record by which the revocation is in force.
    pub fn sequence(self) -> u64 {
        match self {
            Receipt::Revoked { sequence } | Receipt::AlreadyRevoked { sequence } => sequence,
        }
    }
}

/// A revocation as its record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevocationNotice {
    /// The revocation: what is revoked.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// The moment since when it is in force. A revocation of a subject, or of an agent until now, covers grants that were issued up to a
    /// minute later.
    pub revoked: Timestamp,
    /// The moment when no live token can hold what is revoked any more; `None` if one always could.
    pub expires: Option<Timestamp>,
    /// The name of whoever revoked.
    pub by: String,
    /// The reason.
    pub reason: String,
    /// The number of the record of an earlier revocation of the same, which this one prolongs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prolongs: Option<u64>,
}

impl RevocationNotice {
    /// Whether it may take the place of an earlier one: the same, and covering no less.
    pub(crate) fn may_replace(&self, earlier: &RevocationNotice) -> bool {
        let lasts = match (earlier.expires, self.expires) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(earlier), Some(later)) => later >= earlier,
        };
        lasts && self.revocation == earlier.revocation && self.revoked >= earlier.revoked
    }
}

/// A revocation that is in force, with its record's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevocationEntry {
    /// The number of the revocation's record.
    pub sequence: u64,
    /// The revocation: what, since when, until when, by whom and why.
    #[serde(flatten)]
    pub notice: RevocationNotice,
}

/// A revocation in force, as far as verifying needs it: who revoked and why stays where that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InForce {
    /// The number of the revocation's record.
    pub sequence: u64,
    /// The revocation: what is revoked.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// The moment since when it is in force, as [`RevocationNotice::revoked`].
    pub revoked: Timestamp,
    /// The moment when no live token can hold what is revoked any more; `None` if one always could.
    pub expires: Option<Timestamp>,
}

impl From<&RevocationEntry> for InForce {
    fn from(entry: &RevocationEntry) -> InForce {
        InForce {
            sequence: entry.sequence,
            revocation: entry.notice.revocation.clone(),
            revoked: entry.notice.revoked,
            expires: entry.notice.expires,
        }
    }
}

impl RevocationEntry {
    /// Makes the entry of the revocation whose record has the number `sequence`.
    pub fn new(sequence: u64, notice: RevocationNotice) -> RevocationEntry {
        RevocationEntry { sequence, notice }
    }
}

/// All that is revoked at a moment, for verifiers that decide on a copy ([`Revocations::copied`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationList {
    /// The moment when the list was made.
    pub as_of: Timestamp,
    /// The mark: grants issued up to this moment may be covered by revocations that were forgotten, and are refused.
    pub forgotten_until: Option<Timestamp>,
    /// The revocations in force.
    pub revocations: Vec<InForce>,
}

/// The answer of a [`RevocationSource`] about a chain in which something is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The number of the block to which the revocation applies: 0 is the grant.
    pub block: usize,
    /// The kind of the revocation that applies.
    pub by: RevokedBy,
}

/// The kind of revocation that applies to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// The block's id is revoked.
    Id,
    /// The subject is revoked.
    Subject {
        /// The last moment of issue that is covered.
        until: Timestamp,
    },
    /// The holder's key is revoked.
    Holder,
    /// The agent's name is revoked for good.
    Agent,
    /// The agent's name is revoked for grants of the past.
    AgentUntilNow {
        /// The last moment of issue that is covered.
        until: Timestamp,
    },
    /// The block may be revoked: the grant is so old that its revocation would have been forgotten. This does not happen while clocks are
    /// right, since such a grant has expired.
    Forgotten {
        /// The last moment of issue that is covered.
        until: Timestamp,
    },
}

impl RevokedBy {
    /// Returns the last moment of issue that is covered; `None` if a grant that is issued later is refused as well.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            RevokedBy::Subject { until }
            | RevokedBy::AgentUntilNow { until }
            | RevokedBy::Forgotten { until } => Some(until),
            RevokedBy::Id | RevokedBy::Holder | RevokedBy::Agent => None,
        }
    }

    /// Returns for how long, from `now`, a new grant would be refused as well: a revocation covers the minute after its moment, too.
    /// `None` once that minute is over, and if a grant of later issue makes no difference.
    pub fn retry_after(self, now: Timestamp) -> Option<Duration> {
        let until = self.until().filter(|until| now <= *until)?;
        Some(until.since(now) + Duration::from_secs(1))
    }
}

impl fmt::Display for RevokedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RevokedBy::Id => "its id",
            RevokedBy::Subject { .. } => "its subject",
            RevokedBy::Holder => "its holder's key",
            RevokedBy::Agent | RevokedBy::AgentUntilNow { .. } => "its agent's name",
            RevokedBy::Forgotten { .. } => "what may have been forgotten since it was issued",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    fn later(seconds: u64) -> Timestamp {
        AT + std::time::Duration::from_secs(seconds)
    }

    fn agent(agent: &str) -> Revocation {
        Revocation::Agent { agent: agent.to_owned() }
    }

    fn until_now(agent: &str) -> Revocation {
        Revocation::AgentUntilNow { agent: agent.to_owned() }
    }

    #[test]
    fn a_revocation_takes_the_place_of_an_earlier_one_only_where_it_covers_no_less() {
        let notice = |revocation: &Revocation, revoked, expires| RevocationNotice {
            revocation: revocation.clone(),
            revoked,
            expires,
            by: "tests".to_owned(),
            reason: "lost".to_owned(),
            prolongs: None,
        };
        let (a, b) = (agent("agent.a"), agent("agent.b"));
        let earlier = notice(&a, AT, Some(later(60)));
        for (later_one, may) in [
            (notice(&a, AT, Some(later(60))), true),
            (notice(&a, later(1), Some(later(61))), true),
            (notice(&a, AT, None), true),
            (notice(&a, AT, Some(later(59))), false),
            (notice(&a, Timestamp::from_unix_seconds(1_795_427_999), Some(later(60))), false),
            (notice(&b, AT, Some(later(60))), false),
            (notice(&b, AT, None), false),
            (notice(&until_now("agent.a"), later(60), None), false),
        ] {
            assert_eq!(later_one.may_replace(&earlier), may, "{later_one:?}");
        }
        assert!(!earlier.may_replace(&notice(&a, AT, None)));
        assert!(notice(&a, AT, None).may_replace(&notice(&a, AT, None)));
        // What holds for good is not taken back by what covers the past alone.
        let past = notice(&until_now("agent.a"), AT, Some(later(60)));
        assert!(
            !past.may_replace(&notice(&a, AT, None)) && !notice(&a, AT, None).may_replace(&past)
        );
    }

    #[test]
    fn a_revocation_is_of_its_form_and_says_what_it_covers() {
        let key = crate::keys::PrivateKey::from_bytes(&[7; 32]).public();
        let subject = |subject: &str, root| Revocation::Subject { subject: subject.into(), root };
        for (revocation, words, expires) in [
            (agent("agent.a"), "agent agent.a, for good".to_owned(), false),
            (until_now("agent.a"), "agent agent.a, up to this moment".to_owned(), true),
            (subject("user:alice", None), "subject user:alice".to_owned(), true),
            (subject("user:alice", Some(key)), format!("subject user:alice of root {key}"), true),
            (Revocation::Holder { key }, format!("holder {key}"), false),
        ] {
            assert_eq!((revocation.to_string(), revocation.expires()), (words, expires));
            Revoking::new(revocation, "tests", "lost").unwrap();
        }
        for wrong in [agent("an agent"), until_now("an agent"), subject("alice", None)] {
            assert!(Revoking::new(wrong.clone(), "tests", "lost").is_err(), "{wrong}");
        }
        let long = "a".repeat(257);
        for wrong in ["", " ", "a\nb", &long] {
            let refused = |by, reason| Revoking::new(agent("agent.a"), by, reason).unwrap_err();
            assert!(matches!(refused(wrong, "lost"), NameError::By(_)), "{wrong:?}");
            assert!(matches!(refused("tests", wrong), NameError::Reason(_)), "{wrong:?}");
        }
        assert_eq!(RevokedBy::Holder.to_string(), "its holder's key");
    }
}
