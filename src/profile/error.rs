//! The errors of the shape gate: what of the profile a token breaks, and at which block.

use crate::capability::TokenMistake;
use crate::cause::Cause;
use crate::profile::{MAX_COST, MAX_TOKEN_BYTES};

/// The error of a token that is not of the profile's shape.
///
/// `block` is the number of the block at fault, from 0, the grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The text is no Biscuit in URL-safe base64 (RFC 4648, section 5).
    #[error("this is no token: {mistake}")]
    NotAToken {
        /// The thing that the text looks like instead.
        mistake: TokenMistake,
    },
    /// The bytes are no Biscuit, or one with parts that are left out or said twice.
    #[error("this is no Biscuit token, or not the one encoding of it")]
    NotABiscuit,
    /// The token has more than 16 KiB.
    #[error("the token has more than {MAX_TOKEN_BYTES} bytes")]
    TooLarge,
    /// A block has more than one of the profile's caps allows.
    #[error("block {block} has more than {limit} {what}")]
    OverLimit {
        /// The number of the block.
        block: usize,
        /// The things of which there are too many.
        what: &'static str,
        /// The most of these that there may be.
        limit: usize,
    },
    /// The evaluation of the token's checks could cost more than a decision may: 50,000 units of roughly 40 ns.
    #[error("evaluating the token's checks could cost {cost} units, more than {MAX_COST}")]
    TooCostly {
        /// The upper bound of the work.
        cost: u64,
    },
    /// A block has a key that is not Ed25519, or no key at all.
    #[error("block {block} has a key that is not a usable ed25519 key")]
    Algorithm {
        /// The number of the block.
        block: usize,
    },
    /// A block has a signature of another length, or of a version of Biscuit before 3.3.
    #[error("block {block} is not signed as Biscuit 3.3 signs (version 1, 64 bytes)")]
    SignatureVersion {
        /// The number of the block.
        block: usize,
    },
    /// The bytes of a block are not what its content encodes to.
    #[error("block {block} is not encoded in the one way that its content is")]
    Encoding {
        /// The number of the block.
        block: usize,
    },
    /// A block uses a word or key that is not defined there, or defines one twice.
    #[error("block {block} uses a word or key that it does not define, or defines one twice")]
    Symbols {
        /// The number of the block.
        block: usize,
    },
    /// A block contains what the profile does not allow in a token.
    #[error("block {block} contains {what}, which a token may not")]
    Content {
        /// The number of the block.
        block: usize,
        /// The thing that it contains.
        what: &'static str,
    },
    /// A fact of the profile is missing, said twice, or not of its type.
    #[error("block {block}: {predicate} {problem}")]
    Fact {
        /// The number of the block.
        block: usize,
        /// The name of the predicate.
        predicate: &'static str,
        /// The kind of thing that is wrong with it.
        problem: FactProblem,
    },
    /// A block is neither a grant, a hop, a caveat nor a presentation.
    #[error("block {block} is neither a grant, a hop, a caveat nor a presentation")]
    Kind {
        /// The number of the block.
        block: usize,
    },
    /// A block follows the presentation, which must be the last block.
    #[error("block {block} follows the presentation, which must be the last block")]
    AfterPresentation {
        /// The block that follows.
        block: usize,
    },
    /// A block was signed over another token than this.
    #[error("block {block} was signed over another token than this")]
    OtherParent {
        /// The number of the block.
        block: usize,
    },
    /// A name, scope or reason of a block is not of its form.
    #[error("block {block}: {predicate} is not of its form")]
    Name {
        /// The number of the block.
        block: usize,
        /// The name of the predicate.
        predicate: &'static str,
    },
}

/// The kinds of things that are wrong with a fact of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactProblem {
    /// The fact is required and is missing.
    Missing,
    /// The fact may be said once and is said more often.
    Repeated,
    /// The fact has another arity or type than the profile gives it, or a value out of range.
    Malformed,
    /// The fact has no place in a block of this kind.
    Misplaced,
}

impl std::fmt::Display for FactProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FactProblem::Missing => "is missing",
            FactProblem::Repeated => "is said more than once",
            FactProblem::Malformed => "has another arity, type or range than the profile gives it",
            FactProblem::Misplaced => "has no place in this block",
        })
    }
}

impl ShapeError {
    /// Returns the [`Cause`] of this error: its stable name, as records and `--json` have it.
    pub fn cause(&self) -> Cause {
        match self {
            ShapeError::NotAToken { .. } | ShapeError::NotABiscuit => Cause::NotAToken,
            ShapeError::TooLarge => Cause::TooLarge,
            ShapeError::OverLimit { .. } => Cause::OverLimit,
            ShapeError::TooCostly { .. } => Cause::TooCostly,
            ShapeError::Algorithm { .. } => Cause::Algorithm,
            ShapeError::SignatureVersion { .. } => Cause::SignatureVersion,
            ShapeError::Encoding { .. } => Cause::Encoding,
            ShapeError::Symbols { .. } => Cause::Symbols,
            ShapeError::Content { .. } => Cause::Content,
            ShapeError::Fact { predicate: "reason", problem: FactProblem::Missing, .. } => {
                Cause::NoReason
            }
            ShapeError::Fact { predicate: "scope", problem: FactProblem::Missing, .. } => {
                Cause::NoScope
            }
            ShapeError::Fact { predicate: "expires", problem: FactProblem::Missing, .. } => {
                Cause::NoExpiry
            }
            ShapeError::Fact { predicate: "subject", problem: FactProblem::Missing, .. } => {
                Cause::NoSubject
            }
            ShapeError::Fact { .. } => Cause::Fact,
            ShapeError::Kind { .. } => Cause::BlockKind,
            ShapeError::AfterPresentation { .. } => Cause::AfterPresentation,
            ShapeError::OtherParent { .. } => Cause::OtherParent,
            ShapeError::Name { .. } => Cause::Name,
        }
    }

    /// Returns the number of the block at which the error was seen, from 0, the grant; `None` if it belongs to no
    /// block.
    pub fn block(&self) -> Option<usize> {
        match self {
            ShapeError::NotAToken { .. }
            | ShapeError::NotABiscuit
            | ShapeError::TooLarge
            | ShapeError::TooCostly { .. } => None,
            ShapeError::OverLimit { block, .. }
            | ShapeError::Algorithm { block }
            | ShapeError::SignatureVersion { block }
            | ShapeError::Encoding { block }
            | ShapeError::Symbols { block }
            | ShapeError::Content { block, .. }
            | ShapeError::Fact { block, .. }
            | ShapeError::Kind { block }
            | ShapeError::AfterPresentation { block }
            | ShapeError::OtherParent { block }
            | ShapeError::Name { block, .. } => Some(*block),
        }
    }
}

pub(super) fn within(
    block: usize,
    count: usize,
    limit: usize,
    what: &'static str,
) -> Result<(), ShapeError> {
    if count > limit { Err(ShapeError::OverLimit { block, what, limit }) } else { Ok(()) }
}
