//! Error: why a token does not hold.

use std::time::Duration;

use crate::cause::Cause;
use crate::profile::life::Seconds;
use crate::profile::shape::ShapeError;
use crate::revocation::{RevocationsUnavailable, RevokedBy};
use crate::scope::Scope;
use crate::timestamp::Timestamp;

/// A token that does not hold. `block` counts from 0, the grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Not of the profile's shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Expired.
    #[error("block {block} expired at {expired}")]
    Expired {
        /// The block.
        block: usize,
        /// When it expired.
        expired: Timestamp,
    },
    /// No trusted root key fits the token's root key id.
    #[error(
        "no root key is trusted here for the key id that the token carries, or for tokens that carry none (a key trusted as ID=PUB is tried for tokens with that id only; mint --key-id ID makes them)"
    )]
    UnknownRoot,
    /// A signature that does not hold.
    #[error("the signature of block {block} does not hold{}", if *block == 0 { ": no trusted root key made this token" } else { "" })]
    Signature {
        /// The block.
        block: usize,
    },
    /// Revoked.
    #[error("block {block} is revoked by {by}, and with it all that follows{}", later(*.by))]
    Revoked {
        /// The block.
        block: usize,
        /// By what.
        by: RevokedBy,
        /// How long, from the moment of the decision, a new grant would be refused, too; `None` if it would not,
        /// or if a new grant makes no difference.
        retry_after: Option<Duration>,
    },
    /// The revocation source cannot answer.
    #[error(transparent)]
    RevocationsUnavailable(#[from] RevocationsUnavailable),
    /// Nothing is known to be revoked, but what is known is too old.
    #[error("{}", stale(*.as_of, *.now, *.bound))]
    RevocationsStale {
        /// The moment as of which the source knows.
        as_of: Timestamp,
        /// The moment of the decision.
        now: Timestamp,
        /// How old it may be.
        bound: Duration,
    },
    /// The grant is older than what is remembered of revocations.
    #[error(
        "the grant was issued at {issued}, and what was revoked up to then may have been forgotten here; ask for a new grant, issued after {until}"
    )]
    RevocationsForgotten {
        /// When it was issued.
        issued: Timestamp,
        /// The last moment of issue that is refused.
        until: Timestamp,
        /// How long, from the moment of the decision, a new grant would be refused, too.
        retry_after: Option<Duration>,
    },
    /// Signed by another key than the holder's.
    #[error("block {block} is not signed by the holder that the block before it names")]
    WrongSigner {
        /// The block.
        block: usize,
    },
    /// Signed by nobody in particular.
    #[error(
        "block {block} stands on a block that names no holder, so anybody may have appended it"
    )]
    Unbound {
        /// The block.
        block: usize,
    },
    /// A signature that says nothing, on a block whose parent names no holder.
    #[error("block {block} bears a signature although the block before it names no holder")]
    ForeignSigner {
        /// The block.
        block: usize,
    },
    /// A root key as holder.
    #[error("block {block} names a root key as holder")]
    RootAsHolder {
        /// The block.
        block: usize,
    },
    /// A scope that the parent has not.
    #[error("block {block} widens: the scope {scope} is not covered by any scope of its parent")]
    ScopeWider {
        /// The block.
        block: usize,
        /// The scope.
        scope: Scope,
    },
    /// An audience that the parent has not.
    #[error("block {block} widens: the audience {audience} is not among its parent's")]
    AudienceWider {
        /// The block.
        block: usize,
        /// The audience.
        audience: String,
    },
    /// A life beyond the parent's.
    #[error(
        "block {block} widens: it expires at {expires}, after its parent, which expires at {parent}"
    )]
    ExpiryWider {
        /// The block.
        block: usize,
        /// When it expires.
        expires: Timestamp,
        /// When its parent expires.
        parent: Timestamp,
    },
    /// More hops than the grant allows.
    #[error("block {block} widens: the grant allows {max_depth} hops")]
    TooDeep {
        /// The first hop too many.
        block: usize,
        /// How many the grant allows.
        max_depth: u8,
    },
    /// A life that is longer than this server accepts.
    #[error("block {block} lives until {expires}, longer than is accepted here")]
    TooLongLived {
        /// The block.
        block: usize,
        /// When it expires.
        expires: Timestamp,
    },
    /// A grant from the future.
    #[error("the grant was issued at {issued}, which lies in the future")]
    NotYetIssued {
        /// When it says that it was issued.
        issued: Timestamp,
    },
    /// A grant that had expired when it was issued.
    #[error("the grant says that it expired before it was issued")]
    IssuedAfterExpiry,
    /// A listed name with another key, or a listed key with another name.
    #[error("block {block} calls {name} an agent that the directory knows otherwise")]
    NameMismatch {
        /// The block.
        block: usize,
        /// The name.
        name: String,
    },
    /// A capability that was never presented.
    #[error(
        "this is a capability and no presentation: its holder must present it for this audience"
    )]
    NotPresented,
    /// Presented to somebody else.
    #[error("the token is presented to {audience}, which is not this server")]
    WrongAudience {
        /// To whom it is presented.
        audience: String,
    },
}

impl VerifyError {
    /// The stable name of the cause, as records and `--json` have it.
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

    /// How long, from the moment of the decision, a new grant would be refused for the same, if it would.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            VerifyError::Revoked { retry_after, .. }
            | VerifyError::RevocationsForgotten { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The block at which it was seen.
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
