//! Keys: whose signature counts. Ed25519 only, in Biscuit's text form or PEM.

mod points;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use biscuit_auth::builder::Algorithm;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rand_core::OsRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::cause::Cause;
use crate::file;
use crate::keys::points::{is_canonical, point_of};

pub(crate) use crate::keys::points::verify_strict;

/// The most bytes read from a key file: PEM with room for comments.
const MAX_KEY_FILE_BYTES: u64 = 16 * 1024;

/// An Ed25519 public key: a root's or a holder's.
///
/// Written in Biscuit's text form, `ed25519/` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a public key from its 32 bytes, the encoding of RFC 8032, section 5.1.2.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAPoint`] if the bytes are no point of the curve, or one of small order, for which anybody can
    /// make signatures.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<PublicKey, KeyError> {
        let key = point_of(bytes).ok_or(KeyError::NotAPoint)?;
        match key.is_weak || !is_canonical(bytes) {
            true => Err(KeyError::NotAPoint),
            false => Ok(PublicKey(*bytes)),
        }
    }

    /// Returns the key's 32 bytes, the encoding of RFC 8032, section 5.1.2.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Writes the key as a SubjectPublicKeyInfo in PEM (RFC 8410).
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if it cannot be encoded.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotAPoint)?;
        key.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Pem)
    }

    pub(crate) fn to_biscuit(self) -> Result<biscuit_auth::PublicKey, KeyError> {
        points::biscuit_key_of(&self.0).ok_or(KeyError::NotAPoint)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads a public key in Biscuit's text form, `ed25519/` and 64 hexadecimal digits, or in PEM (RFC 8410).
    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            if text.contains(" PRIVATE KEY-----") || text.starts_with("-----BEGIN PRIVATE") {
                return Err(KeyError::PrivateForPublic);
            }
            let key = VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::Pem)?;
            return PublicKey::from_bytes(&key.to_bytes());
        }
        if text.starts_with("ed25519-private/") {
            return Err(KeyError::PrivateForPublic);
        }
        let digits = strip_algorithm(text, "ed25519/", "secp256r1/", KeyError::PublicText)?;
        PublicKey::from_bytes(&decode_key(digits, KeyError::PublicText)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519/{}", hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 private key: an issuer's root key or a holder's key.
///
/// `Debug` never shows it. It is wiped from memory when it is dropped. A clone is a second copy of the secret, and is
/// wiped when it is dropped itself.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Makes a new key from the operating system's random source.
    pub fn generate() -> PrivateKey {
        PrivateKey(SigningKey::generate(&mut OsRng))
    }

    /// Makes the key whose secret seed (RFC 8032, section 5.1.5) is `seed`.
    pub fn from_bytes(seed: &[u8; 32]) -> PrivateKey {
        PrivateKey(SigningKey::from_bytes(seed))
    }

    /// Returns the public half of the key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Writes the key in Biscuit's text form, `ed25519-private/` and 64 hexadecimal digits. The text is a secret, and
    /// is wiped when it is dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(hex::encode(self.0.as_bytes()));
        Zeroizing::new(format!("ed25519-private/{}", seed.as_str()))
    }

    /// Writes the key as PKCS #8 in PEM (RFC 8410). The text is a secret, and is wiped when it is dropped.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`] if it cannot be encoded.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        // Version 1, without the public key: common tools do not read version 2.
        let bare = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        bare.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Pem)
    }

    /// Writes the key in Biscuit's text form to a new file that only its owner can read (mode 0600).
    ///
    /// # Errors
    ///
    /// [`KeyError::File`] if the file exists already (a key is never overwritten) or cannot be
    /// written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let text = self.to_text();
        save_private(path.as_ref(), &[text.as_bytes(), b"\n"].concat())
    }

    /// Writes the key as PKCS #8 in PEM (RFC 8410) to a new file that only its owner can read (mode 0600).
    ///
    /// # Errors
    ///
    /// [`KeyError::File`] if the file exists already (a key is never overwritten) or cannot be written, and
    /// [`KeyError::Pem`].
    pub fn save_pem(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        save_private(path.as_ref(), self.to_pem()?.as_bytes())
    }

    /// Reads a private key from a file, in Biscuit's text form or PEM. Refuses a file that others can read.
    ///
    /// # Errors
    ///
    /// - [`KeyError::Exposed`] if the file belongs to this process's user, and anybody else can read or write it.
    /// - [`KeyError::Exposed`] if the file belongs to another user, and others than that user's group can read it, or
    ///   others than that user can write it. A secret that Kubernetes mounts with `fsGroup` passes: it is root's and
    ///   readable by a group of this process, which cannot change that.
    /// - [`KeyError::File`] if the file cannot be read, is no regular file, or has more than 16 KiB.
    /// - The errors of parsing a key.
    pub fn load(path: impl AsRef<Path>) -> Result<PrivateKey, KeyError> {
        PrivateKey::read(path.as_ref(), refuse_exposed)
    }

    /// Reads a private key from a file, in Biscuit's text form or PEM, whoever else can read the file. This is for
    /// places where file modes mean nothing, or where nobody else is.
    ///
    /// # Errors
    ///
    /// Those of [`PrivateKey::load`] without [`KeyError::Exposed`].
    pub fn load_exposed(path: impl AsRef<Path>) -> Result<PrivateKey, KeyError> {
        PrivateKey::read(path.as_ref(), |_, _| Ok(()))
    }

    fn read(
        path: &Path,
        check: impl FnOnce(&Path, &fs::Metadata) -> Result<(), KeyError>,
    ) -> Result<PrivateKey, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let file = file::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let bytes = file::read_all(file, MAX_KEY_FILE_BYTES).map_err(failed)?;
        // First what it is: the mode of what is no key is nobody's trouble.
        let key = Zeroizing::new(file::text(bytes).map_err(failed)?).parse()?;
        check(path, &metadata)?;
        Ok(key)
    }

    /// Reads a private key from a file or a pipe, in Biscuit's text form or PEM. A file must pass as for
    /// [`PrivateKey::load`]. A pipe is read to its end, and this waits for whoever writes into it: it is for a person
    /// who hands a key over once, as in `--key <(…)`.
    ///
    /// # Errors
    ///
    /// Those of [`PrivateKey::load`].
    pub fn load_or_read_pipe(path: impl AsRef<Path>) -> Result<PrivateKey, KeyError> {
        let path = path.as_ref();
        match PrivateKey::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::InvalidInput => {
                let failed = |source| KeyError::File { path: path.to_owned(), source };
                let text = file::read_text_or_pipe(path, MAX_KEY_FILE_BYTES);
                Zeroizing::new(text.map_err(failed)?).parse()
            }
            loaded => loaded,
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The secret seed (RFC 8032, section 5.1.5), for the throw-away keys that a token carries.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn to_biscuit(&self) -> Result<biscuit_auth::PrivateKey, KeyError> {
        biscuit_auth::PrivateKey::from_bytes(self.0.as_bytes(), Algorithm::Ed25519)
            .map_err(|_| KeyError::PrivateText)
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    /// Reads a private key in Biscuit's text form, `ed25519-private/` and 64 hexadecimal digits, or in PEM (RFC 8410).
    fn from_str(text: &str) -> Result<PrivateKey, KeyError> {
        let text = text.trim();
        if text.starts_with("ed25519/") || text.starts_with("-----BEGIN PUBLIC KEY-----") {
            return Err(KeyError::PublicForPrivate);
        }
        if text.starts_with("-----BEGIN ENCRYPTED") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        if text.starts_with("-----BEGIN") {
            return SigningKey::from_pkcs8_pem(text).map(PrivateKey).map_err(|_| KeyError::Pem);
        }
        let digits =
            strip_algorithm(text, "ed25519-private/", "secp256r1-private/", KeyError::PrivateText)?;
        let seed = Zeroizing::new(decode_key(digits, KeyError::PrivateText)?);
        Ok(PrivateKey::from_bytes(&seed))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public())
    }
}

fn strip_algorithm<'a>(
    text: &'a str,
    ours: &str,
    p256: &str,
    otherwise: KeyError,
) -> Result<&'a str, KeyError> {
    match text.strip_prefix(ours) {
        Some(digits) => Ok(digits),
        None if text.starts_with(p256) => Err(KeyError::Algorithm),
        None => Err(otherwise),
    }
}

fn decode_key(digits: &str, otherwise: KeyError) -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| otherwise)?;
    Ok(bytes)
}

fn save_private(path: &Path, text: &[u8]) -> Result<(), KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = metadata.permissions().mode() & 0o777;
    match is_exposed(mode, metadata.uid() == rustix::process::geteuid().as_raw()) {
        false => Ok(()),
        true => Err(KeyError::Exposed { path: path.to_owned(), mode }),
    }
}

/// Whether others can read or write a file. Of one that is not this process's own, the group is meant: whoever owns it has
/// given it to the group by which this process reads it.
#[cfg(unix)]
fn is_exposed(mode: u32, is_own: bool) -> bool {
    const GROUP_AND_OTHERS: u32 = 0o077;
    const ALL_BUT_GROUP_READING: u32 = 0o037;
    mode & (if is_own { GROUP_AND_OTHERS } else { ALL_BUT_GROUP_READING }) != 0
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}

/// The root keys that a verifier trusts, so that they can be rotated.
///
/// A token may carry a root key id (`mint --key-id`). The id is not signed, so it is only a hint
/// which key to try: a key added with an id is tried for tokens that carry that id, a key added
/// without one for every token. A token for which no key is left to try is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootKeys(Vec<RootKey>);

/// A trusted root key, with the verifier's own name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootKey {
    pub(crate) key: PublicKey,
    pub(crate) name: String,
    id: Option<u32>,
}

impl RootKeys {
    /// Makes a set that trusts `key`, for every token. Policies and records know the key by a fingerprint
    /// (`root-<16 hexadecimal digits of its SHA-256>`) until it is [`named`](RootKeys::named).
    pub fn of(key: PublicKey) -> RootKeys {
        RootKeys::default().and(key)
    }

    /// Adds `key` to the set, trusted for every token.
    pub fn and(self, key: PublicKey) -> RootKeys {
        self.add(key, None)
    }

    /// Adds `key` to the set, trusted only for tokens that carry the root key id `id`.
    pub fn and_with_id(self, id: u32, key: PublicKey) -> RootKeys {
        self.add(key, Some(id))
    }

    /// Names the key that was added last. Policies (`issuer($name)`) and records know it by this name instead of its
    /// fingerprint.
    pub fn named(mut self, name: impl Into<String>) -> RootKeys {
        if let Some(last) = self.0.last_mut() {
            last.name = name.into();
        }
        self
    }

    /// Returns the number of keys that are trusted.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if no key is trusted. Every token is refused then.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names by which policies and records know the keys, in the order in which the keys were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|root| root.name.as_str())
    }

    /// Returns true if `key` is trusted, for every token or for those with some root key id.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.iter().any(|root| root.key == *key)
    }

    /// The keys to try for a token with this hint.
    pub(crate) fn candidates(&self, hint: Option<u32>) -> impl Iterator<Item = &RootKey> {
        let fits = move |root: &&RootKey| root.id.is_none() || root.id == hint;
        self.0.iter().filter(fits)
    }

    fn add(mut self, key: PublicKey, id: Option<u32>) -> RootKeys {
        let fingerprint = Sha256::digest(key.to_bytes());
        let name = format!("root-{}", hex::encode(&fingerprint[..8]));
        self.0.push(RootKey { key, name, id });
        self
    }
}

/// The error of a key that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text of a public key is not `ed25519/<64 hex digits>`.
    #[error("a public key is written ed25519/<64 hexadecimal digits>, or as PEM")]
    PublicText,
    /// The text of a private key is not `ed25519-private/<64 hex digits>`.
    #[error("a private key is written ed25519-private/<64 hexadecimal digits>, or as PEM")]
    PrivateText,
    /// A private key was given where a public key is expected.
    #[error(
        "this is a private key where a public key belongs; treat it as exposed and make a new one"
    )]
    PrivateForPublic,
    /// A public key was given where a private key is expected.
    #[error("this is a public key where a private key belongs")]
    PublicForPrivate,
    /// The PEM is encrypted under a passphrase, for which nobody is asked.
    #[error(
        "this PEM is encrypted, and no passphrase is asked for here; decrypt it on the way, as in: --key <(openssl pkey -in FILE)"
    )]
    Encrypted,
    /// The key is of another algorithm than Ed25519.
    #[error(
        "only ed25519 keys are accepted: with secp256r1 a holder can make a second valid signature"
    )]
    Algorithm,
    /// The bytes are no point of the curve, or one of small order.
    #[error("these bytes are no usable ed25519 public key")]
    NotAPoint,
    /// The text is no PEM of an Ed25519 key.
    #[error("this is no PEM of an ed25519 key (PKCS #8 for a private key, SPKI for a public one)")]
    Pem,
    /// The file is exposed: others have rights to it that [`PrivateKey::load`] refuses.
    #[error("{} can be read by others (mode {mode:03o}); run: chmod 600 {}; where that cannot be done, as with a mounted secret, ask for a mode without rights for others, or take the key all the same by --accept-exposed-key", path.display(), path.display())]
    Exposed {
        /// The path of the key file.
        path: PathBuf,
        /// The permission bits of the file.
        mode: u32,
    },
    /// The file cannot be read or written.
    #[error("key file {}", path.display())]
    File {
        /// The path of the key file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl KeyError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            KeyError::PublicText
            | KeyError::PrivateText
            | KeyError::Algorithm
            | KeyError::NotAPoint
            | KeyError::Pem => Cause::MalformedKey,
            KeyError::PrivateForPublic | KeyError::PublicForPrivate => Cause::KeyKind,
            KeyError::Encrypted => Cause::KeyEncrypted,
            KeyError::Exposed { .. } => Cause::KeyExposed,
            KeyError::File { .. } => Cause::FileUnavailable,
        }
    }
}

#[cfg(test)]
mod tests;
