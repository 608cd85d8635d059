//! Log: how records hold together, so that nobody can change one unseen: a hash chain and a Merkle tree, as in a transparency log.
//!
//! Each record carries the hash of the one before, and all are leaves of a Merkle tree (RFC 6962, section 2.1) whose head is signed from
//! time to time. Where records are kept is an engine's business; with what is here, any engine keeps the same log:
//!
//! 1. [`Frontier::push`] takes the hash of each new record, and returns the hashes to be stored with it;
//! 2. [`AuditRecord::new`](crate::AuditRecord::new) is the record, whose number and `previous` the [`Frontier`] says;
//! 3. [`CheckpointSigner::sign`] signs the head;
//! 4. [`InclusionProof::of`] proves a record to whoever has the [`LogKey`], and [`LogReader`] verifies the whole.

mod checkpoint;
mod key;
mod line;
mod proof;
mod reading;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError, CheckpointSigner, TreeHead};
pub use key::LogKey;
pub use line::LogLine;
pub use proof::{InclusionProof, ProofError};
pub use reading::{LogError, LogReader};
#[cfg(feature = "feed")]
pub(crate) use tree::MOST_LEAVES;
#[cfg(feature = "store")]
pub(crate) use tree::peaks;
pub use tree::{Frontier, LeafHash, TreeError, path, root};
