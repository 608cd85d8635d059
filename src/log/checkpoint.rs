//! Checkpoint: how long the log is and what its tree's root is, signed (in the words of RFC 6962, a signed tree head).
//!
//! The text is a checkpoint of C2SP (`c2sp.org/tlog-checkpoint`) in a signed note
//! (`c2sp.org/signed-note`), so that witnesses and other tools of that family can read and cosign it.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{SigningKey, VerifyingKey};
use signed_note::{Note, Verifier as NoteVerifier, VerifierList};
use tlog_tiles::Hash;

use crate::cause::Cause;
use crate::keys::{PrivateKey, verify_strict};

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
        let note = Note::from_bytes(text.as_bytes()).map_err(|_| CheckpointError::Form)?;
        note.verify(&VerifierList::new(vec![Box::new(Verifying(key.clone()))]))
            .map_err(|_| CheckpointError::Signature { expected: key.name.clone() })?;
        let inner = tlog_tiles::Checkpoint::from_bytes(note.text());
        let inner = inner.map_err(|_| CheckpointError::Form)?;
        if inner.origin() != key.name {
            return Err(CheckpointError::Signature { expected: key.name.clone() });
        }
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
        let public = VerifyingKey::from_bytes(&key.public().to_bytes());
        let public = public.map_err(|_| CheckpointError::Key)?;
        let name = format!("{ORIGIN}{}", hex::encode(store));
        let text = signed_note::new_ed25519_verifier_key(&name, &public);
        let log = text.parse()?;
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
        let body =
            tlog_tiles::Checkpoint::new(&self.log.name, head.size, Hash(head.root), &extension);
        let body = body.map_err(|_| CheckpointError::Form)?.to_bytes();
        let mut note = Note::new(&body, &[]).map_err(|_| CheckpointError::Form)?;
        note.add_sigs(&[&Signing(self)]).map_err(|_| CheckpointError::Form)?;
        let text = String::from_utf8(note.to_bytes()).map_err(|_| CheckpointError::Form)?;
        Ok(Checkpoint { text, head })
    }
}

impl fmt::Debug for CheckpointSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointSigner({})", self.log)
    }
}

/// The signer as notes take it: their trait stays out of the API.
struct Signing<'a>(&'a CheckpointSigner);

impl signed_note::Signer for Signing<'_> {
    fn name(&self) -> &str {
        &self.0.log.name
    }

    fn key_id(&self) -> u32 {
        self.0.log.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ed25519_dalek::SignatureError> {
        use ed25519_dalek::Signer;
        let signature = SigningKey::from_bytes(self.0.key.seed()).try_sign(message)?;
        Ok(signature.to_vec())
    }
}

/// The public key of a log, by which its checkpoints and proofs are verified. As text it is a verifier key of `c2sp.org/signed-note`,
/// such as `hardtack/<store>+<8 hexadecimal digits>+<base64>`.
#[derive(Clone, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    id: u32,
    public: [u8; 32],
    text: String,
}

impl LogKey {
    /// Returns the log's name: `hardtack/` and the store's id.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for LogKey {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<LogKey, CheckpointError> {
        use base64::Engine;
        let text = text.trim();
        let parsed = signed_note::StandardVerifier::new(text).map_err(|_| CheckpointError::Key)?;
        // The crate checks the key and keeps it to itself; it is read again for a strict check of
        // signatures, under which a note has one signature.
        // A `+` may stand in the base64, too: it is what follows the second one.
        let encoded = text.splitn(3, '+').nth(2).ok_or(CheckpointError::Key)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
        let bytes = bytes.map_err(|_| CheckpointError::Key)?;
        let public =
            bytes.get(1..).and_then(|key| key.try_into().ok()).ok_or(CheckpointError::Key)?;
        Ok(LogKey {
            name: parsed.name().to_owned(),
            id: parsed.key_id(),
            public,
            text: text.to_owned(),
        })
    }
}

/// The key as notes take it: their trait stays out of the API.
struct Verifying(LogKey);

impl NoteVerifier for Verifying {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn key_id(&self) -> u32 {
        self.0.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let public = &self.0.public;
        signature.try_into().is_ok_and(|signature| verify_strict(public, message, signature))
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
    #[error("a log's key is written NAME+8 HEX DIGITS+BASE64, as `hardtack audit key` prints it")]
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
