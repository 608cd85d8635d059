//! Minting: who signs grants?
//!
//! The one thing that an issuer's key does. A key in a file is one engine; one in a machine that never shows it is another.

use std::time::Duration;

use hardtack::mint::Issuer;
use hardtack::{Capability, Grant, MintError, PrivateKey, PublicKey, Timestamp};

/// Signs grants with a key that gateways trust.
pub trait Minting: Send + Sync {
    /// Returns the public half of the key.
    fn public(&self) -> PublicKey;

    /// Signs a grant, as of `now`.
    ///
    /// # Errors
    ///
    /// [`MintError`], as of [`Issuer::mint`].
    fn mint(&self, grant: Grant, now: Timestamp) -> Result<Capability, MintError>;
}

/// A key that was read from a file.
#[derive(Debug)]
pub struct FileKey(Issuer);

impl FileKey {
    /// Takes a key. It signs no grant that lives longer than `longest`.
    pub fn new(key: PrivateKey, longest: Duration) -> FileKey {
        FileKey(Issuer::new(key).longest_life(longest))
    }
}

impl Minting for FileKey {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    fn mint(&self, grant: Grant, now: Timestamp) -> Result<Capability, MintError> {
        self.0.mint(grant, now)
    }
}
