//! Keys: PrivateKey and PublicKey.

use napi::Env;
use napi::bindgen_prelude::{Buffer, Object, Uint8Array};
use napi_derive::napi;

use hardtack::Cause;

use crate::error::{OrThrow, of_cause};
use crate::later::do_later;

/// An Ed25519 public key: a root's or a holder's.
#[napi]
#[derive(Debug)]
pub struct PublicKey(pub(crate) hardtack::PublicKey);

#[napi]
impl PublicKey {
    #[napi(factory)]
    pub fn parse(text: String) -> napi::Result<PublicKey> {
        text.parse().or_throw().map(PublicKey)
    }

    #[napi(factory)]
    pub fn from_bytes(raw: Uint8Array) -> napi::Result<PublicKey> {
        hardtack::PublicKey::from_bytes(&thirty_two(&raw)?).or_throw().map(PublicKey)
    }

    #[napi]
    pub fn to_bytes(&self) -> Buffer {
        self.0.to_bytes().to_vec().into()
    }

    #[napi(js_name = "toString")]
    #[allow(clippy::inherent_to_string, reason = "it is JavaScript's")]
    pub fn to_string(&self) -> String {
        self.0.to_string()
    }
}

/// An Ed25519 private key. It is never shown.
#[napi]
#[derive(Debug)]
pub struct PrivateKey(pub(crate) hardtack::PrivateKey);

#[napi]
impl PrivateKey {
    #[napi(factory)]
    pub fn generate() -> PrivateKey {
        PrivateKey(hardtack::PrivateKey::generate())
    }

    /// Reads a key file. One that others than its owner can read is refused.
    #[napi]
    pub fn load<'env>(env: &'env Env, path: String) -> napi::Result<Object<'env>> {
        do_later(env, move || hardtack::PrivateKey::load(path).or_throw(), PrivateKey)
    }

    #[napi(factory)]
    pub fn parse(text: String) -> napi::Result<PrivateKey> {
        text.parse().or_throw().map(PrivateKey)
    }

    #[napi(factory)]
    pub fn from_bytes(seed: Uint8Array) -> napi::Result<PrivateKey> {
        Ok(PrivateKey(hardtack::PrivateKey::from_bytes(&thirty_two(&seed)?)))
    }

    /// Writes a key file that only its owner can read. A file that exists is left as it is.
    #[napi]
    pub fn save<'env>(&self, env: &'env Env, path: String) -> napi::Result<Object<'env>> {
        let key = self.0.clone();
        do_later(env, move || key.save(path).or_throw(), |()| ())
    }

    /// The key as text: a secret.
    #[napi]
    pub fn to_text(&self) -> String {
        self.0.to_text().to_string()
    }

    #[napi(getter)]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }
}

fn thirty_two(raw: &[u8]) -> napi::Result<[u8; 32]> {
    raw.try_into().map_err(|_| of_cause(Cause::MalformedKey, "a key has 32 bytes"))
}
