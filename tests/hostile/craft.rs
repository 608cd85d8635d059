//! Craft: signatures as an attacker makes them who holds some of the keys and keeps to no library.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use biscuit_auth::KeyPair;
use biscuit_auth::format::schema::{self, proof::Content};
use hardtack::PrivateKey;
use sha2::{Digest, Sha256};

use crate::wire::{Message, Value};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{self, Forge, Part, Proof, pair, throw_away, wrapped};
use prost::Message as _;

/// The seed chain, minted once: a thousand cases change it.
pub(crate) fn seed() -> Forge {
    static BLOCKS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let blocks = BLOCKS
        .get_or_init(|| crate::seed::seed().blocks.into_iter().map(|part| part.bytes).collect());
    of(blocks)
}

/// A token of these blocks: a grant, the orchestrator's hop and the researcher's presentation.
pub(crate) fn of(blocks: &[Vec<u8>]) -> Forge {
    let cast = Cast::new();
    let signers = [None, Some(pair(&cast.orchestrator)), Some(pair(&cast.researcher))];
    let parts = blocks.iter().zip(signers).enumerate().map(|(at, (bytes, signer))| Part {
        bytes: bytes.clone(),
        signer,
        next: throw_away(at),
        version: Some(1),
    });
    Forge {
        root: pair(&cast.root),
        root_key_id: None,
        blocks: parts.collect(),
        proof: Proof::Sealed,
    }
}

/// Which of a token's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    /// Of a block, by the throw-away key of the one before it.
    Block(usize),
    /// Of a third-party block, by its signer.
    External(usize),
    /// Of the sealed token, by the last throw-away key.
    Seal,
}

/// Signs a token as the forge does, but each signature is shown before the next one covers it, with what it signs.
pub(crate) fn sign_with(
    forge: &Forge,
    mut tamper: impl FnMut(Signature, &[u8], &mut Vec<u8>),
) -> schema::Biscuit {
    let mut token = forge.sign();
    let mut signer = &forge.root;
    let mut previous: Option<Vec<u8>> = None;
    for (at, part) in forge.blocks.iter().enumerate() {
        let signed = if at == 0 { &mut token.authority } else { &mut token.blocks[at - 1] };
        if let (Some(external), Some(key)) = (&mut signed.external_signature, &part.signer) {
            let payload = external_payload(&part.bytes, previous.as_deref().unwrap_or_default());
            external.signature = sign(key, &payload);
            tamper(Signature::External(at), &payload, &mut external.signature);
        }
        let payload = block_payload(signed, previous.as_deref());
        signed.signature = sign(signer, &payload);
        tamper(Signature::Block(at), &payload, &mut signed.signature);
        previous = Some(signed.signature.clone());
        signer = &part.next;
    }
    if let Some(Content::FinalSignature(_)) = &token.proof.content {
        let payload = seal_payload(token.blocks.last().unwrap_or(&token.authority));
        let mut seal = sign(signer, &payload);
        tamper(Signature::Seal, &payload, &mut seal);
        token.proof.content = Some(Content::FinalSignature(seal));
    }
    token
}

pub(crate) fn sign(key: &KeyPair, payload: &[u8]) -> Vec<u8> {
    key.sign(payload).unwrap().to_bytes().to_vec()
}

/// Seals a token with the throw-away secret of its last block.
pub(crate) fn seal(token: &mut schema::Biscuit, secret: &KeyPair) {
    let payload = seal_payload(token.blocks.last().unwrap_or(&token.authority));
    token.proof.content = Some(Content::FinalSignature(sign(secret, &payload)));
}

/// Appends a block as it was signed by others, wrapped by whoever has the secret at the token's end.
pub(crate) fn push(token: &mut schema::Biscuit, block: schema::SignedBlock, secret: &KeyPair) {
    let previous = token.blocks.last().unwrap_or(&token.authority).signature.clone();
    token.blocks.push(wrapped(block, &previous, secret));
}

pub(crate) fn block_payload(block: &schema::SignedBlock, previous: Option<&[u8]>) -> Vec<u8> {
    let algorithm = block.next_key.algorithm.to_le_bytes();
    let mut payload = [b"\0BLOCK\0\0VERSION\0\x01\0\0\0\0PAYLOAD\0", &block.block[..]].concat();
    payload
        .extend([b"\0ALGORITHM\0", &algorithm[..], b"\0NEXTKEY\0", &block.next_key.key].concat());
    if let Some(previous) = previous {
        payload.extend([b"\0PREVSIG\0", previous].concat());
    }
    if let Some(external) = &block.external_signature {
        payload.extend([b"\0EXTERNALSIG\0", &external.signature[..]].concat());
    }
    payload
}

pub(crate) fn external_payload(block: &[u8], previous: &[u8]) -> Vec<u8> {
    [b"\0EXTERNAL\0\0VERSION\0\x01\0\0\0\0PAYLOAD\0", block, b"\0PREVSIG\0", previous].concat()
}

fn seal_payload(block: &schema::SignedBlock) -> Vec<u8> {
    let algorithm = block.next_key.algorithm.to_le_bytes();
    [&block.block[..], &algorithm, &block.next_key.key, &block.signature].concat()
}

/// What the plain library writes for Datalog, which is parsed once: many cases share their blocks.
pub(crate) fn payload(datalog: &str) -> Vec<u8> {
    static WRITTEN: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    if let Some(bytes) = WRITTEN.lock().unwrap().get(datalog) {
        return bytes.clone();
    }
    let bytes = forge::payload(datalog);
    WRITTEN.lock().unwrap().insert(datalog.to_owned(), bytes.clone());
    bytes
}

/// Appends a block that `signer` signs, or nobody.
pub(crate) fn append(mut forge: Forge, bytes: Vec<u8>, signer: Option<&PrivateKey>) -> Forge {
    let next = throw_away(forge.blocks.len());
    forge.blocks.push(Part { bytes, signer: signer.map(pair), next, version: Some(1) });
    forge
}

/// Appends a block that nobody signs, which is written in the words of the first-party blocks before it, and in words of its own
/// where those have none.
pub(crate) fn append_first_party(forge: Forge, datalog: &str) -> Forge {
    let first_party = forge.blocks.iter().filter(|part| part.signer.is_none());
    let contents = first_party.map(|part| content_of(&part.bytes));
    let shared: Vec<String> = contents.flat_map(|content| content.symbols).collect();
    let forge = append(forge, payload(datalog), None);
    let at = forge.blocks.len() - 1;
    let written = &forge.blocks[at].bytes;
    let own = content_of(written).symbols;
    let new: Vec<&String> = own.iter().filter(|word| !shared.contains(word)).collect();
    let number_of = |number: u64| match number.checked_sub(FIRST_WORD) {
        Some(at) => {
            let mut known = shared.iter().chain(new.iter().copied());
            let word = &own[usize::try_from(at).unwrap()];
            FIRST_WORD + known.position(|known| known == word).unwrap() as u64
        }
        None => number,
    };
    let mut tree = Message::read("Block", written);
    for path in tree.places() {
        let (last, above) = path.split_last().unwrap();
        let message = tree.at_mut(above);
        let is_word = is_word(message.name, message.fields[*last].described.name);
        if let (true, Value::Number(number)) = (is_word, &mut message.fields[*last].value) {
            *number = number_of(*number);
        }
    }
    let mut content = content_of(&tree.write());
    content.symbols = new.into_iter().cloned().collect();
    forge.change(|forge| forge.blocks[at].bytes = content.encode_to_vec())
}

/// What `parent` says in a block that stands behind these, as the profile has it.
pub(crate) fn parent(blocks: &[Part]) -> [u8; 16] {
    let mut read = Sha256::new();
    for part in blocks {
        read.update((part.bytes.len() as u64).to_le_bytes());
        read.update(&part.bytes);
        match &part.signer {
            Some(signer) => read.update([&[1][..], &signer.public().to_bytes()].concat()),
            None => read.update([0]),
        }
    }
    read.finalize()[..16].try_into().unwrap()
}

/// The number of a token's first word; those below are Biscuit's.
pub(crate) const FIRST_WORD: u64 = 1024;

/// Whether a field of a message is the number of a word.
pub(crate) fn is_word(message: &str, field: &str) -> bool {
    matches!(
        (message, field),
        ("Predicate", "name")
            | ("Term", "variable" | "string")
            | ("MapKey", "string")
            | (_, "ffiName" | "params")
    )
}

pub(crate) fn content_of(block: &[u8]) -> schema::Block {
    schema::Block::decode(block).unwrap()
}
