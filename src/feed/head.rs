//! Head: what does a feed's checkpoint sign?

use crate::keys::PrivateKey;
use crate::log::{CheckpointError, LogKey, MOST_LEAVES};
use crate::timestamp::Timestamp;

/// What the name of a feed begins with; the first 16 bytes of its public key follow.
const ORIGIN: &str = "hardtack-feed/";

/// What a feed says of itself in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedHead {
    /// The number of the epoch, from 1. A new one begins when a person says that the log of revocations was restored.
    pub epoch: u64,
    /// The number of events in this epoch.
    pub size: u64,
    /// The root hash of the Merkle tree over them (RFC 6962, section 2.1).
    pub root: [u8; 32],
    /// The moment when the checkpoint was made.
    pub issued: Timestamp,
    /// The snapshot that is offered.
    pub(super) snapshot: SnapshotName,
}

/// The name of a snapshot, by which it is fetched and verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SnapshotName {
    /// It knows so many events.
    pub(super) size: u64,
    pub(super) bytes: u64,
    /// SHA-256 of its bytes.
    pub(super) digest: [u8; 32],
}

impl FeedHead {
    /// Reads a checkpoint from its text and verifies that the feed with the key `key` signed it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if it is no checkpoint of a feed, or the feed has not signed it.
    pub fn verify(checkpoint: &str, key: &LogKey) -> Result<FeedHead, CheckpointError> {
        let signed = key.open(checkpoint)?;
        let mut lines = signed.extension().lines();
        let mut next = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
        let mut head = || {
            let epoch = number(next("epoch")?).filter(|epoch| *epoch > 0)?;
            let issued = Timestamp::from_unix_seconds(number(next("issued")?)?);
            let snapshot = SnapshotName::read(next("snapshot")?)?;
            let (size, root) = (signed.size(), signed.hash().0);
            (snapshot.size <= size && size < MOST_LEAVES).then_some(FeedHead {
                epoch,
                size,
                root,
                issued,
                snapshot,
            })
        };
        head().ok_or(CheckpointError::Form)
    }

    /// The signed text.
    pub(super) fn sign(&self, key: &PrivateKey, feed: &LogKey) -> Result<String, CheckpointError> {
        let SnapshotName { size, bytes, digest } = &self.snapshot;
        let extension = format!(
            "epoch {}\nissued {}\nsnapshot {size} {bytes} {}\n",
            self.epoch,
            self.issued.unix_seconds(),
            hex::encode(digest)
        );
        feed.sign(key, self.size, self.root, &extension)
    }
}

impl SnapshotName {
    fn read(text: &str) -> Option<SnapshotName> {
        let mut words = text.split(' ');
        let (size, bytes) = (number(words.next()?)?, number(words.next()?)?);
        let mut digest = [0; 32];
        hex::decode_to_slice(words.next()?, &mut digest).ok()?;
        words.next().is_none().then_some(SnapshotName { size, bytes, digest })
    }
}

/// A number in its one form: no sign, no zero in front.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The public key of the feed that is signed with `key`.
pub(super) fn key_of(key: &PrivateKey) -> Result<LogKey, CheckpointError> {
    let public = key.public();
    LogKey::of(&format!("{ORIGIN}{}", hex::encode(&public.to_bytes()[..16])), &public)
}
