//! Key: by which key does a log sign, and how is a text signed (`c2sp.org/signed-note`)?

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{SigningKey, VerifyingKey};
use signed_note::{Note, Verifier as NoteVerifier, VerifierList};
use tlog_tiles::Hash;

use crate::keys::{PrivateKey, PublicKey, verify_strict};
use crate::log::CheckpointError;

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

    /// The key of a log of this name.
    pub(crate) fn of(name: &str, key: &PublicKey) -> Result<LogKey, CheckpointError> {
        let key = VerifyingKey::from_bytes(&key.to_bytes()).map_err(|_| CheckpointError::Key)?;
        signed_note::new_ed25519_verifier_key(name, &key).parse()
    }

    /// Verifies a checkpoint, and returns what was signed.
    pub(crate) fn open(&self, text: &str) -> Result<tlog_tiles::Checkpoint, CheckpointError> {
        let note = Note::from_bytes(text.as_bytes()).map_err(|_| CheckpointError::Form)?;
        let signature = || CheckpointError::Signature { expected: self.name.clone() };
        note.verify(&VerifierList::new(vec![Box::new(Verifying(self.clone()))]))
            .map_err(|_| signature())?;
        let signed = tlog_tiles::Checkpoint::from_bytes(note.text());
        let signed = signed.map_err(|_| CheckpointError::Form)?;
        if signed.origin() == self.name { Ok(signed) } else { Err(signature()) }
    }

    /// Writes and signs a checkpoint with the private key of this log.
    pub(crate) fn sign(
        &self,
        key: &PrivateKey,
        size: u64,
        root: [u8; 32],
        extension: &str,
    ) -> Result<String, CheckpointError> {
        let body = tlog_tiles::Checkpoint::new(&self.name, size, Hash(root), extension);
        let body = body.map_err(|_| CheckpointError::Form)?.to_bytes();
        let mut note = Note::new(&body, &[]).map_err(|_| CheckpointError::Form)?;
        note.add_sigs(&[&Signing { key, log: self }]).map_err(|_| CheckpointError::Form)?;
        String::from_utf8(note.to_bytes()).map_err(|_| CheckpointError::Form)
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

/// The signer as notes take it: their trait stays out of the API.
struct Signing<'a> {
    key: &'a PrivateKey,
    log: &'a LogKey,
}

impl signed_note::Signer for Signing<'_> {
    fn name(&self) -> &str {
        &self.log.name
    }

    fn key_id(&self) -> u32 {
        self.log.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ed25519_dalek::SignatureError> {
        use ed25519_dalek::Signer;
        let signature = SigningKey::from_bytes(self.key.seed()).try_sign(message)?;
        Ok(signature.to_vec())
    }
}
