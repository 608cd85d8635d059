//! Id: what stands for a block.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands for a block in revocation lists, records and replay protection: its external
/// signature if it has one, otherwise its block signature. 64 bytes, written as 128 hexadecimal
/// digits.
///
/// The bytes of a token are no id, and neither is the block signature of a hop: both can be made
/// anew by whoever held the parent's token (see `docs/profile.md`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub(crate) [u8; 64]);

impl RevocationId {
    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 64]) -> RevocationId {
        RevocationId(bytes)
    }

    fn digits<'a>(&self, buffer: &'a mut [u8; 128]) -> &'a str {
        // Two digits a byte fit, and digits are text.
        match hex::encode_to_slice(self.0, buffer) {
            Ok(()) => std::str::from_utf8(buffer).unwrap_or_default(),
            Err(_) => "",
        }
    }

    /// The 64 bytes.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl std::str::FromStr for RevocationId {
    type Err = RevocationIdError;

    fn from_str(text: &str) -> Result<RevocationId, RevocationIdError> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| RevocationIdError)?;
        Ok(RevocationId(bytes))
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits(&mut [0; 128]))
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RevocationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.digits(&mut [0; 128]))
    }
}

impl<'de> serde::Deserialize<'de> for RevocationId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RevocationId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is no revocation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revocation id is 128 hexadecimal digits, as `hardtack inspect --json` prints it")]
pub struct RevocationIdError;
