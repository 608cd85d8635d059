//! Source: whom does a verifier ask what is revoked, and how fresh is the answer?

use std::sync::Arc;

use crate::cause::Cause;
use crate::chain::Chain;
use crate::keys::PublicKey;
use crate::profile::Lifetimes;
use crate::revocation::Revoked;
use crate::timestamp::Timestamp;

/// An error of a [`RevocationSource`]: it cannot say what is revoked. The verifier then refuses as undecided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the revocation source cannot answer: {0}")]
pub struct RevocationsUnavailable(pub String);

impl RevocationsUnavailable {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::RevocationsUnavailable
    }
}

/// The freshness of what a source knows of revocations ([`RevocationSource::knowledge`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// The source is where revocations are made.
    Live,
    /// The source is a copy, made at this moment.
    AsOf(Timestamp),
    /// The source is several copies, made at these moments and between.
    Between {
        /// The moment when the oldest was made.
        oldest: Timestamp,
        /// The moment when the newest was made.
        newest: Timestamp,
    },
    /// The source looks at no revocations.
    Unchecked,
}

impl Knowledge {
    /// Returns the moments when the oldest and the newest of the source's copies were made; `None` if it is no copy.
    pub fn span(self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Knowledge::AsOf(moment) => Some((moment, moment)),
            Knowledge::Between { oldest, newest } => Some((oldest, newest)),
            Knowledge::Live | Knowledge::Unchecked => None,
        }
    }
}

/// Answers whether anything of a chain is revoked. Every verification asks it, so it should answer from memory.
pub trait RevocationSource: Send + Sync {
    /// Returns the first revocation that applies to this chain, whose grant `root` signed; `None` if nothing of it is revoked.
    ///
    /// Look up, for every chain: both signatures of every block ([`Chain::signatures`]), the subject, every holder key
    /// ([`Chain::holders`]) and every agent name ([`Chain::agents`]).
    ///
    /// # Errors
    ///
    /// [`RevocationsUnavailable`] if that cannot be said now.
    fn revoked(
        &self,
        chain: &Chain,
        root: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable>;

    /// Returns how fresh the answers are. If a copy is older than the verifier's bound, every chain in which nothing is revoked is left
    /// undecided.
    fn knowledge(&self) -> Knowledge;

    /// Tells the source that a verifier accepts tokens of these lives: what covers such tokens must not be forgotten earlier. By default
    /// nothing is done. A store that forgets too early nevertheless refuses what is not revoked
    /// ([`RevokedBy::Forgotten`](crate::revocation::RevokedBy::Forgotten)).
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

/// A source that looks at no revocations, for trying things out and for tests. With it, nothing that was delegated can be taken back
/// before it expires.
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
