//! Proof: that one record is in a log (an inclusion proof), for somebody who has the log's key and nothing else.
//!
//! The text is a proof of `c2sp.org/tlog-proof`. The record itself travels as its extra data, which
//! is trusted only because its hash is the leaf that the proof is about.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tlog_tiles::{Hash, check_record};

use crate::audit::AuditRecord;
use crate::cause::Cause;
use crate::log::{Checkpoint, CheckpointError, LeafHash, LogKey};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// An inclusion proof (RFC 6962, section 2.1.1): a record, the path from it to the root of its log's tree, and the signed root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    record: Vec<u8>,
    index: u64,
    path: Vec<[u8; 32]>,
    checkpoint: String,
}

impl InclusionProof {
    /// Puts together a proof that the record with this number and these bytes is in the log that the checkpoint signs. `path` is its
    /// [`path`](crate::log::path) in that log's tree. Nothing is checked here: [`InclusionProof::verify`] checks it.
    pub fn of(
        sequence: u64,
        record: impl Into<Vec<u8>>,
        path: Vec<[u8; 32]>,
        checkpoint: &Checkpoint,
    ) -> InclusionProof {
        InclusionProof {
            record: record.into(),
            index: sequence.saturating_sub(1),
            path,
            checkpoint: checkpoint.text().to_owned(),
        }
    }

    /// Reads a proof from its text and verifies, with the log's key, that the record is in the log. Returns the record and the checkpoint
    /// that signs it.
    ///
    /// # Errors
    ///
    /// [`ProofError`] with the first thing that does not hold.
    pub fn verify(text: &str, key: &LogKey) -> Result<(AuditRecord, Checkpoint), ProofError> {
        let proof = InclusionProof::parse(text).ok_or(ProofError::Form)?;
        let checkpoint = Checkpoint::verify(&proof.checkpoint, key)?;
        let leaf = LeafHash::of(&proof.record);
        let path = proof.path.iter().copied().map(Hash).collect();
        let root = Hash(*checkpoint.root());
        check_record(&path, checkpoint.size(), root, proof.index, Hash(leaf.0))
            .map_err(|_| ProofError::NotIncluded)?;
        let record: AuditRecord =
            serde_json::from_slice(&proof.record).map_err(|_| ProofError::Form)?;
        // The log's writer numbers records by their place.
        match record.sequence == proof.index + 1 {
            true => Ok((record, checkpoint)),
            false => Err(ProofError::NotIncluded),
        }
    }

    fn parse(text: &str) -> Option<InclusionProof> {
        let (proof, checkpoint) = text.split_once("\n\n")?;
        let mut lines = proof.lines();
        lines.next().filter(|line| *line == HEADER)?;
        let record = BASE64.decode(lines.next()?.strip_prefix("extra ")?).ok()?;
        let index: u64 = lines.next()?.strip_prefix("index ")?.parse().ok()?;
        let path = lines.map(|line| BASE64.decode(line).ok()?.try_into().ok());
        let path = path.collect::<Option<Vec<[u8; 32]>>>()?;
        Some(InclusionProof { record, index, path, checkpoint: checkpoint.to_owned() })
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "extra {}", BASE64.encode(&self.record))?;
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", BASE64.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// An error of a proof that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The text is no proof.
    #[error("this is no proof of a record, as `hardtack audit prove` writes it")]
    Form,
    /// The proof's checkpoint does not hold.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The record is not where the proof says.
    #[error("the record is not in the log that the checkpoint signs, or not at this place")]
    NotIncluded,
}

impl ProofError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            ProofError::Form => Cause::MalformedProof,
            ProofError::Checkpoint(error) => error.cause(),
            ProofError::NotIncluded => Cause::RecordNotIncluded,
        }
    }
}
