//! Id: what stands for a block.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::cause::Cause;

/// A revocation id. It stands for a block in revocation lists, records and replay protection: the block's external
/// signature if it has one, otherwise its block signature. It is 64 bytes, written as 128 hexadecimal digits.
///
/// The bytes of a token are no id, and neither is the block signature of a hop: both can be made
/// anew by whoever held the parent's token (see `docs/verification.md`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub(crate) [u8; 64]);

impl RevocationId {
    /// Makes the id of these 64 bytes.
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

    /// Returns the 64 bytes of the id.
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

/// The beginning of a revocation id, 16 to 127 hexadecimal digits, as it is shown where a whole id is too long. A store
/// that has seen the block finds the whole id ([`StoreReader::ids_beginning`](crate::StoreReader::ids_beginning)).
///
/// ```
/// let shown: hardtack::chain::IdPrefix = "00112233445566778899aabb…".parse()?;
/// assert_eq!(shown.to_string(), "00112233445566778899aabb");
/// assert!("00112233".parse::<hardtack::chain::IdPrefix>().is_err());
/// # Ok::<(), hardtack::chain::IdPrefixError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdPrefix(String);

/// The fewest digits of a beginning: nobody meets one of 64 bits by chance, or makes a block's id begin like
/// somebody else's.
const MIN_PREFIX_DIGITS: usize = 16;

/// The digits of a whole id.
const ID_DIGITS: usize = 128;

impl IdPrefix {
    /// Returns true if `id` begins with these digits.
    pub fn begins(&self, id: &RevocationId) -> bool {
        id.digits(&mut [0; ID_DIGITS]).starts_with(&self.0)
    }

    /// The first and the last id that can begin so.
    pub(crate) fn range(&self) -> ([u8; 64], [u8; 64]) {
        let filled = |digit: &str| {
            let mut bytes = [0; 64];
            let digits = format!("{}{}", self.0, digit.repeat(ID_DIGITS - self.0.len()));
            // As many digits as fit, and nothing else.
            let _ = hex::decode_to_slice(digits, &mut bytes);
            bytes
        };
        (filled("0"), filled("f"))
    }
}

impl std::str::FromStr for IdPrefix {
    type Err = IdPrefixError;

    /// Reads 16 to 127 hexadecimal digits. A `…` at the end, for what was left out, is taken as well.
    fn from_str(text: &str) -> Result<IdPrefix, IdPrefixError> {
        let digits = text.trim().trim_end_matches('…').to_ascii_lowercase();
        let is_one = (MIN_PREFIX_DIGITS..ID_DIGITS).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_one { Ok(IdPrefix(digits)) } else { Err(IdPrefixError) }
    }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for IdPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for IdPrefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<IdPrefix, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The error of a text that is no beginning of a revocation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an id is 128 hexadecimal digits, as `hardtack inspect --json` prints it, or the first {MIN_PREFIX_DIGITS} or more of one that the store has seen"
)]
pub struct IdPrefixError;

impl IdPrefixError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedId
    }
}

/// The error of a text that is no revocation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revocation id is 128 hexadecimal digits, as `hardtack inspect --json` prints it")]
pub struct RevocationIdError;

impl RevocationIdError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedId
    }
}

/// The error of a text that is not the hexadecimal digits of so many bytes: an epoch, the id of a request, a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not {digits} hexadecimal digits, which stand for {} bytes", .digits / 2)]
#[non_exhaustive]
pub struct DigitsError {
    /// How many digits are needed.
    pub digits: usize,
}

impl DigitsError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedId
    }
}

/// Reads `N` bytes from twice as many hexadecimal digits.
pub(crate) fn read_digits<const N: usize>(text: &str) -> Result<[u8; N], DigitsError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| DigitsError { digits: 2 * N })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_has_its_digits_and_nothing_else() {
        let digits = |count: usize| "0123456789abcdef".repeat(8)[..count].to_owned();
        let read = |text: &str| text.parse::<IdPrefix>().map(|prefix| prefix.to_string());
        for count in [MIN_PREFIX_DIGITS, ID_DIGITS - 1] {
            assert_eq!(read(&digits(count)), Ok(digits(count)));
            assert_eq!(read(&format!(" {}… ", digits(count).to_uppercase())), Ok(digits(count)));
        }
        for count in [MIN_PREFIX_DIGITS - 1, ID_DIGITS] {
            assert_eq!(read(&digits(count)), Err(IdPrefixError), "{count} digits");
        }
        for strange in ["g", "-", " ", "…", "\u{e9}"] {
            let text = format!("{}{strange}{}", digits(16), digits(16));
            assert_eq!(read(&text), Err(IdPrefixError), "{text}");
        }
    }
}
