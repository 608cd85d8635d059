//! Checkpoint: how long the log is and what its tree's root is, signed (in the words of RFC 6962, a signed tree head).
//!
//! The text is a checkpoint of C2SP (`c2sp.org/tlog-checkpoint`) in a signed note
//! (`c2sp.org/signed-note`), so that witnesses and other tools of that family can read and cosign it.

use std::fmt;

use crate::cause::Cause;
use crate::keys::PrivateKey;
use crate::log::LogKey;

/// What a log's name begins with; the store's id follows.
const ORIGIN: &str = "hardtack/";

/// The extension line that says in which epoch the store is.
const EPOCH: &str = "epoch ";

/// The head of a log at a moment: its size, its root and its epoch. A [`Checkpoint`] is a head that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// The number of records.
    pub size: u64,
    /// The root hash of the Merkle tree over the records (RFC 6962, section 2.1).
    pub root: [u8; 32],
    /// The epoch: how often the log was restored, counted from 1. A head of an earlier epoch is older, however long it is.
    pub epoch: u64,
}

/// A signed head of a log, in the form of `c2sp.org/tlog-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    text: String,
    head: TreeHead,
}

impl Checkpoint {
    /// Reads a checkpoint from its text and verifies that `key` signed it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if it is no checkpoint, is of another log, or is not signed by the key.
    pub fn verify(text: &str, key: &LogKey) -> Result<Checkpoint, CheckpointError> {
        let inner = key.open(text)?;
        let epoch = inner.extension().lines().find_map(|line| line.strip_prefix(EPOCH));
        let epoch = epoch.and_then(|epoch| epoch.parse().ok()).ok_or(CheckpointError::Form)?;
        let head = TreeHead { size: inner.size(), root: inner.hash().0, epoch };
        Ok(Checkpoint { text: text.to_owned(), head })
    }

    /// Returns the number of records that the log had.
    pub fn size(&self) -> u64 {
        self.head.size
    }

    /// Returns the root hash of the Merkle tree over those records.
    pub fn root(&self) -> &[u8; 32] {
        &self.head.root
    }

    /// Returns the log's epoch: how often the store had been restored, counted from 1.
    pub fn epoch(&self) -> u64 {
        self.head.epoch
    }

    /// Returns the text of the signed note, as it is to be published.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A signer of the heads of one log. Whoever has one can sign for the log: keep it with the log's engine.
///
/// ```
/// use hardtack::PrivateKey;
/// use hardtack::log::{Checkpoint, CheckpointSigner, TreeHead};
///
/// let signer = CheckpointSigner::new(&[7; 16], PrivateKey::generate())?;
/// let signed = signer.sign(TreeHead { size: 3, root: [9; 32], epoch: 1 })?;
/// assert_eq!(Checkpoint::verify(signed.text(), signer.key())?.size(), 3);
/// # Ok::<(), hardtack::log::CheckpointError>(())
/// ```
pub struct CheckpointSigner {
    key: PrivateKey,
    log: LogKey,
}

impl CheckpointSigner {
    /// Makes a signer with `key` for the log with the id `store`, which is part of the log's name.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Key`], never for a key that was made or read by this library.
    pub fn new(store: &[u8; 16], key: PrivateKey) -> Result<Self, CheckpointError> {
        let log = LogKey::of(&format!("{ORIGIN}{}", hex::encode(store)), &key.public())?;
        Ok(CheckpointSigner { key, log })
    }

    /// Returns the log's public key, to be written down elsewhere: with it, checkpoints and proofs are verified.
    pub fn key(&self) -> &LogKey {
        &self.log
    }

    /// Signs a head. Sign only what is on disk whole, and never two roots of one size and epoch: that is the promise which the signature
    /// makes.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`], never for a head that was computed.
    pub fn sign(&self, head: TreeHead) -> Result<Checkpoint, CheckpointError> {
        let extension = format!("{EPOCH}{}\n", head.epoch);
        let text = self.log.sign(&self.key, head.size, head.root, &extension)?;
        Ok(Checkpoint { text, head })
    }
}

impl fmt::Debug for CheckpointSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointSigner({})", self.log)
    }
}

/// An error of a checkpoint or a log's key: it has not its form, or is none of this log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The text is no checkpoint in a signed note.
    #[error("this is no checkpoint of a Hardtack store in a signed note")]
    Form,
    /// The log has not signed the checkpoint.
    #[error("the checkpoint is not signed by {expected}")]
    Signature {
        /// The name of the log whose signature is missing or does not hold.
        expected: String,
    },
    /// The text or bytes are no verifier key.
    #[error(
        "a log's key is written NAME+8 HEX DIGITS+BASE64, as `hardtack audit key` prints it for a store, and a gateway that publishes a feed for that"
    )]
    Key,
}

impl CheckpointError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            CheckpointError::Form => Cause::MalformedCheckpoint,
            CheckpointError::Signature { .. } => Cause::CheckpointSignature,
            CheckpointError::Key => Cause::MalformedKey,
        }
    }
}
