//! Signing: the bytes that Biscuit signs, in one place for those who make signatures and those who
//! check them.
//!
//! Biscuit specification, "Signature (version 1)", "Signature (external)" and "Sealing". Only
//! signature version 1 is written and read: it covers the signature before it, which is what makes
//! splicing impossible.

use biscuit_auth::format::schema;
use sha2::{Digest, Sha256};

use crate::cause::Cause;
use crate::keys::{PrivateKey, PublicKey, verify_strict};
use crate::profile::shape::Shaped;

const VERSION: u32 = 1;

/// Room for what is signed besides a block: names of fields, a key and two signatures.
const PAYLOAD_BYTES: usize = 256;

/// A token to which no block can be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// A sealed token carries no secret with which to go on.
    #[error("the token is sealed: nothing can be appended to it; use the one it was made from")]
    Sealed,
    /// The secret at the token's end does not belong to its last block.
    #[error("the token is damaged: its last secret does not belong to its last block")]
    WrongSecret,
}

impl SigningError {
    /// The stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            SigningError::Sealed => Cause::Sealed,
            SigningError::WrongSecret => Cause::Signature,
        }
    }
}

/// Why the signatures do not hold, and from which block on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadSignature {
    pub(crate) block: usize,
}

/// Checks every signature of a token, from the root key to the proof at its end.
pub(crate) fn verify(token: &Shaped, root: &PublicKey) -> Result<(), BadSignature> {
    verify_from(token, Some(root))
}

/// Checks every signature but the grant's own, for which one must know the root key.
pub(crate) fn verify_after_grant(token: &Shaped) -> Result<(), BadSignature> {
    verify_from(token, None)
}

/// Checks the signatures of the blocks from this number on, and the end. Those before are known to hold.
pub(crate) fn verify_after(token: &Shaped, known: usize) -> Result<(), BadSignature> {
    let before = signed_blocks(&token.biscuit).zip(&token.blocks).take(known).last();
    let signer = before.map(|(signed, _)| signed.next_key.key.as_slice());
    verify_end(token)?;
    verify_blocks(token, known, signer, before.map(|(_, shaped)| &shaped.signature))
}

fn verify_from(token: &Shaped, root: Option<&PublicKey>) -> Result<(), BadSignature> {
    verify_end(token)?;
    verify_before_end(token, root)
}

/// Checks the signatures of the blocks alone.
pub(crate) fn verify_before_end(
    token: &Shaped,
    root: Option<&PublicKey>,
) -> Result<(), BadSignature> {
    let root = root.map(PublicKey::to_bytes);
    verify_blocks(token, 0, root.as_ref().map(<[u8; 32]>::as_slice), None)
}

/// Checks the proof at the end. It comes first: it costs one signature, and a token that was changed or cut at its end is refused by it.
pub(crate) fn verify_end(token: &Shaped) -> Result<(), BadSignature> {
    match verify_proof(&token.biscuit, &last(&token.biscuit).next_key.key) {
        true => Ok(()),
        false => Err(BadSignature { block: token.biscuit.blocks.len() }),
    }
}

fn verify_blocks<'a>(
    token: &'a Shaped,
    from: usize,
    mut signer: Option<&'a [u8]>,
    mut previous: Option<&'a [u8; 64]>,
) -> Result<(), BadSignature> {
    let blocks = signed_blocks(&token.biscuit).zip(&token.blocks).enumerate();
    for (block, (signed, shaped)) in blocks.skip(from) {
        let bad = BadSignature { block };
        let payload = block_payload(signed, previous);
        if signer.is_some_and(|signer| !verify_strict(signer, &payload, &shaped.signature)) {
            return Err(bad);
        }
        if let Some((key, signature)) = &shaped.external {
            let payload = external_payload(&signed.block, previous.ok_or(bad)?);
            if !verify_strict(&key.to_bytes(), &payload, signature) {
                return Err(bad);
            }
        }
        signer = Some(&signed.next_key.key);
        previous = Some(&shaped.signature);
    }
    Ok(())
}

/// What a signer read: the first 128 bits of SHA-256 over each block's length, bytes and signer so far.
///
/// Biscuit's external signature covers a block and the bytes of the signature before it, but not that those
/// bytes belong to what the signer read. A holder that is shown a harmless token with the signature of
/// another one pasted in would sign for that other. 128 bits, since a given value must be hit.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadSoFar(Sha256);

impl ReadSoFar {
    pub(crate) fn of(token: &schema::Biscuit) -> ReadSoFar {
        signed_blocks(token).fold(ReadSoFar::default(), ReadSoFar::and)
    }

    pub(crate) fn and(mut self, signed: &schema::SignedBlock) -> ReadSoFar {
        self.0.update((signed.block.len() as u64).to_le_bytes());
        self.0.update(&signed.block);
        match &signed.external_signature {
            Some(external) => {
                self.0.update([1]);
                self.0.update(&external.public_key.key);
            }
            None => self.0.update([0]),
        }
        self
    }

    /// What `parent(hex:…)` says in a block that is signed over this.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.0.clone().finalize()[..16]);
        digest
    }
}

/// The digest after each block.
pub(crate) fn parent_digests(token: &schema::Biscuit) -> impl Iterator<Item = [u8; 16]> {
    let mut read = ReadSoFar::default();
    signed_blocks(token).map(move |signed| {
        read = std::mem::take(&mut read).and(signed);
        read.digest()
    })
}

pub(crate) fn signed_blocks(token: &schema::Biscuit) -> impl Iterator<Item = &schema::SignedBlock> {
    std::iter::once(&token.authority).chain(&token.blocks)
}

/// Whether a signature stands at the token's end instead of a secret.
pub(crate) fn is_sealed(token: &schema::Biscuit) -> bool {
    matches!(token.proof.content, Some(schema::proof::Content::FinalSignature(_)))
}

/// The secret at the token's end, with which the next block is signed, or the end.
pub(crate) fn next_secret(token: &schema::Biscuit) -> Result<PrivateKey, SigningError> {
    let Some(schema::proof::Content::NextSecret(secret)) = &token.proof.content else {
        return Err(SigningError::Sealed);
    };
    let secret = read_secret(secret).ok_or(SigningError::WrongSecret)?;
    match secret.public().to_bytes() == last(token).next_key.key.as_slice() {
        true => Ok(secret),
        false => Err(SigningError::WrongSecret),
    }
}

/// The block that follows the signature `previous` with this content: third-party, signed by `signer`, or first-party if
/// there is none. `secret` is that of the block before, and `next` the one that the token ends with then.
///
/// The wrapping is done here: Biscuit's own reads and writes the whole token, and cannot append to a chain in which a key
/// comes back (A delegates to B, B to A).
pub(crate) fn sign_block(
    content: Vec<u8>,
    previous: &[u8; 64],
    signer: Option<&PrivateKey>,
    secret: &PrivateKey,
    next: &PrivateKey,
) -> schema::SignedBlock {
    let external_signature = signer.map(|signer| schema::ExternalSignature {
        signature: signer.sign(&external_payload(&content, previous)).to_vec(),
        public_key: written(&signer.public()),
    });
    let mut signed = schema::SignedBlock {
        block: content,
        next_key: written(&next.public()),
        signature: Vec::new(),
        external_signature,
        version: Some(VERSION),
    };
    signed.signature = secret.sign(&block_payload(&signed, Some(previous))).to_vec();
    signed
}

/// The signature over the last block that stands for its secret in a sealed token, so that nothing can follow.
pub(crate) fn sign_end(token: &schema::Biscuit, secret: &PrivateKey) -> schema::Proof {
    let signature = secret.sign(&seal_payload(last(token))).to_vec();
    schema::Proof { content: Some(schema::proof::Content::FinalSignature(signature)) }
}

pub(crate) fn proof_of(next: &PrivateKey) -> schema::Proof {
    schema::Proof { content: Some(schema::proof::Content::NextSecret(next.seed().to_vec())) }
}

fn written(key: &PublicKey) -> schema::PublicKey {
    schema::PublicKey {
        algorithm: schema::public_key::Algorithm::Ed25519 as i32,
        key: key.to_bytes().to_vec(),
    }
}

fn block_payload(signed: &schema::SignedBlock, previous: Option<impl AsRef<[u8]>>) -> Vec<u8> {
    let mut payload = Vec::with_capacity(signed.block.len() + PAYLOAD_BYTES);
    payload.extend(b"\0BLOCK\0\0VERSION\0");
    payload.extend(VERSION.to_le_bytes());
    payload.extend(b"\0PAYLOAD\0");
    payload.extend(&signed.block);
    payload.extend(b"\0ALGORITHM\0");
    payload.extend(signed.next_key.algorithm.to_le_bytes());
    payload.extend(b"\0NEXTKEY\0");
    payload.extend(&signed.next_key.key);
    if let Some(previous) = previous {
        payload.extend(b"\0PREVSIG\0");
        payload.extend(previous.as_ref());
    }
    if let Some(external) = &signed.external_signature {
        payload.extend(b"\0EXTERNALSIG\0");
        payload.extend(&external.signature);
    }
    payload
}

fn external_payload(block: &[u8], previous: &[u8; 64]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(block.len() + PAYLOAD_BYTES);
    payload.extend(b"\0EXTERNAL\0\0VERSION\0");
    payload.extend(VERSION.to_le_bytes());
    payload.extend(b"\0PAYLOAD\0");
    payload.extend(block);
    payload.extend(b"\0PREVSIG\0");
    payload.extend(previous);
    payload
}

fn seal_payload(signed: &schema::SignedBlock) -> Vec<u8> {
    let mut payload = Vec::with_capacity(signed.block.len() + PAYLOAD_BYTES);
    payload.extend(&signed.block);
    payload.extend(signed.next_key.algorithm.to_le_bytes());
    payload.extend(&signed.next_key.key);
    payload.extend(&signed.signature);
    payload
}

fn verify_proof(token: &schema::Biscuit, last_key: &[u8]) -> bool {
    match &token.proof.content {
        Some(schema::proof::Content::NextSecret(secret)) => {
            read_secret(secret).is_some_and(|secret| secret.public().to_bytes() == last_key)
        }
        Some(schema::proof::Content::FinalSignature(signature)) => {
            let signature = signature.as_slice().try_into();
            signature.is_ok_and(|signature| {
                verify_strict(last_key, &seal_payload(last(token)), signature)
            })
        }
        None => false,
    }
}

fn read_secret(secret: &[u8]) -> Option<PrivateKey> {
    secret.try_into().ok().map(PrivateKey::from_bytes)
}

fn last(token: &schema::Biscuit) -> &schema::SignedBlock {
    token.blocks.last().unwrap_or(&token.authority)
}

#[cfg(test)]
mod conformance;
