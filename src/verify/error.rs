//! Error: why is a token not valid here?

use std::time::Duration;

use crate::cause::Cause;
use crate::profile::ShapeError;
use crate::profile::life::Seconds;
use crate::revocation::{RevocationsUnavailable, RevokedBy};
use crate::scope::Scope;
use crate::timestamp::Timestamp;

/// The error of a token that is not valid here. `block` is the number of the block at fault, from 0, the grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is not of the profile's shape, or too costly to evaluate.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A block has expired.
    #[error("block {block} expired at {expired}")]
    Expired {
        /// The number of the block.
        block: usize,
        /// The moment at which it expired.
        expired: Timestamp,
    },
    /// No trusted root key fits the token's root key id.
    #[error(
        "no root key is trusted here for the key id that the token carries, or for tokens that carry none (a key trusted as ID=PUB is tried for tokens with that id only; mint --key-id ID makes them)"
    )]
    UnknownRoot,
    /// The signature of a block is not valid.
    #[error("the signature of block {block} is not valid{}", if *block == 0 { ": no trusted root key made this token" } else { "" })]
    Signature {
        /// The number of the block.
        block: usize,
    },
    /// A block is revoked, and with it all that follows.
    #[error("block {block} is revoked by {by}, and with it all that follows{}", later(*.by))]
    Revoked {
        /// The number of the block.
        block: usize,
        /// The kind of revocation that revokes it.
        by: RevokedBy,
        /// The time, from the moment of the decision, for which a new grant would be refused, too; `None` if it would
        /// not, or if a new grant makes no difference.
        retry_after: Option<Duration>,
    },
    /// The revocation source cannot answer.
    #[error(transparent)]
    RevocationsUnavailable(#[from] RevocationsUnavailable),
    /// Nothing is known to be revoked, but what is known is too old, or as of a moment in the future.
    #[error("{}", stale(*.as_of, *.now, *.bound))]
    RevocationsStale {
        /// The moment as of which the source knows.
        as_of: Timestamp,
        /// The moment of the decision.
        now: Timestamp,
        /// The greatest age that is accepted.
        bound: Duration,
    },
    /// The grant is older than what is remembered of revocations.
    #[error(
        "the grant was issued at {issued}, and what was revoked up to then may have been forgotten here; ask for a new grant, issued after {until}"
    )]
    RevocationsForgotten {
        /// The moment at which it was issued.
        issued: Timestamp,
        /// The last moment of issue that is refused.
        until: Timestamp,
        /// The time, from the moment of the decision, for which a new grant would be refused, too.
        retry_after: Option<Duration>,
    },
    /// A block is not signed by the holder that the block before it names.
    #[error("block {block} is not signed by the holder that the block before it names")]
    WrongSigner {
        /// The number of the block.
        block: usize,
    },
    /// A block stands on a block that names no holder, so that anybody may have appended it.
    /// [`Verifier::accept_unbound_hops`](crate::Verifier::accept_unbound_hops) accepts such hops.
    #[error(
        "block {block} stands on a block that names no holder, so anybody may have appended it"
    )]
    Unbound {
        /// The number of the block.
        block: usize,
    },
    /// A block bears a signature although the block before it names no holder, so that the signature says nothing.
    #[error("block {block} bears a signature although the block before it names no holder")]
    ForeignSigner {
        /// The number of the block.
        block: usize,
    },
    /// A block names a root key as holder.
    #[error("block {block} names a root key as holder")]
    RootAsHolder {
        /// The number of the block.
        block: usize,
    },
    /// A scope of a block lies within none of its parent's scopes.
    #[error("block {block} widens: the scope {scope} is not covered by any scope of its parent")]
    ScopeWider {
        /// The number of the block.
        block: usize,
        /// The scope that is wider.
        scope: Scope,
    },
    /// An audience of a block is not among its parent's.
    #[error("block {block} widens: the audience {audience} is not among its parent's")]
    AudienceWider {
        /// The number of the block.
        block: usize,
        /// The audience that is not among the parent's.
        audience: String,
    },
    /// A block expires after its parent.
    #[error(
        "block {block} widens: it expires at {expires}, after its parent, which expires at {parent}"
    )]
    ExpiryWider {
        /// The number of the block.
        block: usize,
        /// The moment at which it expires.
        expires: Timestamp,
        /// The moment at which its parent expires.
        parent: Timestamp,
    },
    /// The chain has more hops than the grant allows.
    #[error("block {block} widens: the grant allows {max_depth} hops")]
    TooDeep {
        /// The number of the block of the first hop too many.
        block: usize,
        /// The number of hops that the grant allows.
        max_depth: u8,
    },
    /// A block lives longer than this server accepts ([`Verifier::lifetimes`](crate::Verifier::lifetimes)).
    #[error("block {block} lives until {expires}, longer than is accepted here")]
    TooLongLived {
        /// The number of the block.
        block: usize,
        /// The moment at which it expires.
        expires: Timestamp,
    },
    /// The grant was issued in the future, beyond what clocks may differ.
    #[error("the grant was issued at {issued}, which lies in the future")]
    NotYetIssued {
        /// The moment at which it says that it was issued.
        issued: Timestamp,
    },
    /// The grant says that it expired before it was issued.
    #[error("the grant says that it expired before it was issued")]
    IssuedAfterExpiry,
    /// A block gives a listed name another key, or a listed key another name ([`Directory`](crate::Directory)).
    #[error("block {block} calls {name} an agent that the directory knows otherwise")]
    NameMismatch {
        /// The number of the block.
        block: usize,
        /// The name of the agent.
        name: String,
    },
    /// The token is a capability that was never presented.
    #[error(
        "this is a capability and no presentation: its holder must present it for this audience"
    )]
    NotPresented,
    /// The token is presented to another server.
    #[error("the token is presented to {audience}, which is not this server")]
    WrongAudience {
        /// The audience to which it is presented.
        audience: String,
    },
}

impl VerifyError {
    /// Returns the [`Cause`] of this error: its stable name, as records and `--json` have it.
    pub fn cause(&self) -> Cause {
        match self {
            VerifyError::Shape(error) => error.cause(),
            VerifyError::Expired { .. } => Cause::Expired,
            VerifyError::UnknownRoot => Cause::UnknownRoot,
            VerifyError::Signature { .. } => Cause::Signature,
            VerifyError::Revoked { .. } => Cause::Revoked,
            VerifyError::RevocationsUnavailable(_) => Cause::RevocationsUnavailable,
            VerifyError::RevocationsStale { .. } => Cause::RevocationsStale,
            VerifyError::RevocationsForgotten { .. } => Cause::RevocationsForgotten,
            VerifyError::WrongSigner { .. } => Cause::WrongSigner,
            VerifyError::Unbound { .. } => Cause::Unbound,
            VerifyError::ForeignSigner { .. } => Cause::ForeignSigner,
            VerifyError::RootAsHolder { .. } => Cause::RootAsHolder,
            VerifyError::ScopeWider { .. } => Cause::ScopeWider,
            VerifyError::AudienceWider { .. } => Cause::AudienceWider,
            VerifyError::ExpiryWider { .. } => Cause::ExpiryWider,
            VerifyError::TooDeep { .. } => Cause::TooDeep,
            VerifyError::TooLongLived { .. } => Cause::TooLongLived,
            VerifyError::NotYetIssued { .. } => Cause::NotYetIssued,
            VerifyError::IssuedAfterExpiry => Cause::IssuedAfterExpiry,
            VerifyError::NameMismatch { .. } => Cause::NameMismatch,
            VerifyError::NotPresented => Cause::NotPresented,
            VerifyError::WrongAudience { .. } => Cause::WrongAudience,
        }
    }

    /// Returns the time, from the moment of the decision, for which a new grant would be refused for the same cause;
    /// `None` if it would not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            VerifyError::Revoked { retry_after, .. }
            | VerifyError::RevocationsForgotten { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the number of the block at which the error was seen, from 0, the grant; `None` if it belongs to no
    /// block.
    pub fn block(&self) -> Option<usize> {
        match self {
            VerifyError::Shape(error) => error.block(),
            VerifyError::Expired { block, .. }
            | VerifyError::Signature { block }
            | VerifyError::Revoked { block, .. }
            | VerifyError::WrongSigner { block }
            | VerifyError::Unbound { block }
            | VerifyError::ForeignSigner { block }
            | VerifyError::RootAsHolder { block }
            | VerifyError::ScopeWider { block, .. }
            | VerifyError::AudienceWider { block, .. }
            | VerifyError::ExpiryWider { block, .. }
            | VerifyError::TooDeep { block, .. }
            | VerifyError::TooLongLived { block, .. }
            | VerifyError::NameMismatch { block, .. } => Some(*block),
            VerifyError::NotYetIssued { .. }
            | VerifyError::IssuedAfterExpiry
            | VerifyError::RevocationsForgotten { .. } => Some(0),
            VerifyError::UnknownRoot
            | VerifyError::RevocationsUnavailable(_)
            | VerifyError::RevocationsStale { .. }
            | VerifyError::NotPresented
            | VerifyError::WrongAudience { .. } => None,
        }
    }
}

fn later(by: RevokedBy) -> String {
    let until = by.until().map(|until| {
        format!("; a grant that is issued after {until} is a new one, and one that is issued before is refused, too")
    });
    until.unwrap_or_default()
}

fn stale(as_of: Timestamp, now: Timestamp, bound: Duration) -> String {
    match as_of > now {
        true => format!(
            "the revocations known here are as of {as_of}, which lies in the future: a clock is wrong"
        ),
        false => format!(
            "the revocations known here are as of {as_of}, older than the {} allowed",
            Seconds(&bound)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_from_the_future_is_told_from_an_old_one() {
        let now = Timestamp::from_unix_seconds(1_795_428_000);
        let minute = Duration::from_secs(60);
        let said = |as_of| stale(as_of, now, minute);
        for as_of in [now, Timestamp::from_unix_seconds(0)] {
            assert!(said(as_of).ends_with(&format!("as of {as_of}, older than the 1m allowed")));
        }
        assert!(said(now + minute).contains("lies in the future"));
    }
}
