//! Source: whom does a verifier ask what is revoked, and how fresh is the answer?

use std::sync::Arc;

use crate::cause::Cause;
use crate::chain::Chain;
use crate::keys::PublicKey;
use crate::profile::Lifetimes;
use crate::revocation::Revoked;
use crate::timestamp::Timestamp;

/// The source cannot say what is revoked. The verifier then refuses as undecided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the revocation source cannot answer: {0}")]
pub struct RevocationsUnavailable(pub String);

impl RevocationsUnavailable {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::RevocationsUnavailable
    }
}

/// How well a source knows what is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// It is where revocations are made.
    Live,
    /// It is a copy, made at this moment.
    AsOf(Timestamp),
    /// It is several copies, made at these moments and between.
    Between {
        /// When the oldest was made.
        oldest: Timestamp,
        /// When the newest was made.
        newest: Timestamp,
    },
    /// There is none: nothing is looked at.
    Unchecked,
}

impl Knowledge {
    /// When the oldest and the newest of its copies were made, if it is copies.
    pub fn span(self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Knowledge::AsOf(moment) => Some((moment, moment)),
            Knowledge::Between { oldest, newest } => Some((oldest, newest)),
            Knowledge::Live | Knowledge::Unchecked => None,
        }
    }
}

/// Answers whether anything of a chain is revoked.
pub trait RevocationSource: Send + Sync {
    /// The first revocation that applies to this chain, whose grant `root` signed.
    ///
    /// To be asked of every chain: both signatures of every block ([`Chain::signatures`]), the
    /// subject, every holder key ([`Chain::holders`]) and every agent name ([`Chain::agents`]).
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable>;

    /// How fresh the answers are. A copy that is older than the verifier's bound leaves every chain in
    /// which nothing is revoked undecided.
    fn knowledge(&self) -> Knowledge;

    /// The verifier accepts lives up to these: what covers such tokens is not to be forgotten earlier.
    /// A store that forgets too early nevertheless refuses what is not revoked ([`RevokedBy::Forgotten`](crate::revocation::RevokedBy::Forgotten)).
    fn keep_for(&self, lifetimes: &Lifetimes) {
        let _ = lifetimes;
    }
}

impl<S: RevocationSource + ?Sized> RevocationSource for Arc<S> {
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        (**self).revoked(chain, root)
    }

    fn knowledge(&self) -> Knowledge {
        (**self).knowledge()
    }

    fn keep_for(&self, lifetimes: &Lifetimes) {
        (**self).keep_for(lifetimes);
    }
}

/// No revocations are looked at. For trying things out and for tests: with it, nothing that was
/// delegated can be taken back before it expires.
#[derive(Debug, Clone, Copy)]
pub struct RevocationUnchecked;

impl RevocationSource for RevocationUnchecked {
    fn revoked(&self, _: &Chain, _: &PublicKey) -> Result<Option<Revoked>, RevocationsUnavailable> {
        Ok(None)
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge::Unchecked
    }
}
