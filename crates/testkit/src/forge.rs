//! A forge: takes a token apart, changes anything in it, and signs it anew with the keys of the cast,
//! over Biscuit's Protobuf schema. What an attacker with some of the keys could do.

use base64::Engine;
use biscuit_auth::builder::{Algorithm, BlockBuilder};
use biscuit_auth::format::schema;
use biscuit_auth::{KeyPair, ThirdPartyRequest};
use hardtack::{Capability, PrivateKey};
use prost::Message;

pub struct Forge {
    pub root: KeyPair,
    pub root_key_id: Option<u32>,
    pub blocks: Vec<Part>,
    pub proof: Proof,
}

pub struct Part {
    /// The block's bytes, as they are signed.
    pub bytes: Vec<u8>,
    pub signer: Option<KeyPair>,
    pub next: KeyPair,
    pub version: Option<u32>,
}

pub enum Proof {
    Secret,
    Sealed,
    None,
}

pub fn pair(key: &PrivateKey) -> KeyPair {
    KeyPair::from(&key.to_text().parse().unwrap())
}

/// The throw-away key of a block: the same in every run, so that what the forge makes is too.
pub fn throw_away(block: usize) -> KeyPair {
    pair(&PrivateKey::from_bytes(&[0xf0 | u8::try_from(block % 16).unwrap_or_default(); 32]))
}

impl Forge {
    /// Takes a token apart; `signers` are the private keys of those who signed its blocks.
    pub fn of(token: &[u8], root: &PrivateKey, signers: &[&PrivateKey]) -> Forge {
        let token = schema::Biscuit::decode(token).unwrap();
        let signed = std::iter::once(&token.authority).chain(&token.blocks);
        let blocks = signed.enumerate().map(|(at, block)| Part {
            bytes: without_parent(&block.block),
            signer: block.external_signature.as_ref().map(|external| {
                let signer = signers
                    .iter()
                    .find(|key| key.public().to_bytes().as_slice() == external.public_key.key);
                pair(signer.expect("the forge lacks a signer's key"))
            }),
            next: throw_away(at),
            version: Some(1),
        });
        Forge {
            root: pair(root),
            root_key_id: token.root_key_id,
            blocks: blocks.collect(),
            proof: Proof::Sealed,
        }
    }

    /// Changes a block's content.
    pub fn edit(mut self, block: usize, change: impl FnOnce(&mut schema::Block)) -> Forge {
        let mut content = schema::Block::decode(self.blocks[block].bytes.as_slice()).unwrap();
        change(&mut content);
        self.blocks[block].bytes = content.encode_to_vec();
        self
    }

    /// Replaces a block's content by Datalog, as the plain Biscuit library writes it.
    pub fn write(mut self, block: usize, datalog: &str) -> Forge {
        self.blocks[block].bytes = payload(datalog);
        self
    }

    /// Adds a block at the end.
    pub fn append(mut self, datalog: &str, signer: Option<&PrivateKey>) -> Forge {
        let next = throw_away(self.blocks.len());
        self.blocks.push(Part {
            bytes: payload(datalog),
            signer: signer.map(pair),
            next,
            version: Some(1),
        });
        self
    }

    pub fn change(mut self, change: impl FnOnce(&mut Forge)) -> Forge {
        change(&mut self);
        self
    }

    pub fn sign(&self) -> schema::Biscuit {
        let mut signed: Vec<schema::SignedBlock> = Vec::new();
        let mut key = &self.root;
        for part in &self.blocks {
            let previous = signed.last().map(|block| block.signature.clone());
            let external_signature = part.signer.as_ref().map(|signer| {
                let payload =
                    external_payload(&part.bytes, previous.as_deref().unwrap_or_default());
                schema::ExternalSignature {
                    signature: signer.sign(&payload).unwrap().to_bytes().to_vec(),
                    public_key: signer.public().to_proto(),
                }
            });
            let mut block = schema::SignedBlock {
                block: part.bytes.clone(),
                next_key: part.next.public().to_proto(),
                signature: Vec::new(),
                external_signature,
                version: part.version,
            };
            let payload = match part.version {
                Some(1) => block_payload(&block, previous.as_deref()),
                _ => payload_of_version_0(&block),
            };
            block.signature = key.sign(&payload).unwrap().to_bytes().to_vec();
            signed.push(block);
            key = &part.next;
        }
        let content = match self.proof {
            Proof::Secret => {
                Some(schema::proof::Content::NextSecret(key.private().to_bytes().to_vec()))
            }
            Proof::Sealed => {
                let last = signed.last().unwrap();
                let mut payload = payload_of_version_0(&schema::SignedBlock {
                    external_signature: None,
                    ..last.clone()
                });
                payload.extend(&last.signature);
                Some(schema::proof::Content::FinalSignature(
                    key.sign(&payload).unwrap().to_bytes().to_vec(),
                ))
            }
            Proof::None => None,
        };
        let mut signed = signed.into_iter();
        schema::Biscuit {
            root_key_id: self.root_key_id,
            authority: signed.next().unwrap(),
            blocks: signed.collect(),
            proof: schema::Proof { content },
        }
    }

    pub fn bearer(&self) -> String {
        base64(&self.sign().encode_to_vec())
    }

    /// The token as a capability, for what is refused only later.
    pub fn capability(&self) -> Capability {
        Capability::parse(&self.bearer()).unwrap()
    }
}

/// The forge changes parents under the blocks that name them, so it leaves `parent` out, as a Biscuit
/// library does that does not know it.
fn without_parent(block: &[u8]) -> Vec<u8> {
    let mut content = schema::Block::decode(block).unwrap();
    if let Some(at) = content.symbols.iter().position(|word| word == "parent") {
        let name = 1024 + at as u64;
        content.facts.retain(|fact| fact.predicate.name != name);
    }
    content.encode_to_vec()
}

pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE.encode(bytes)
}

/// A third-party block's bytes, written by the plain Biscuit library.
pub fn payload(datalog: &str) -> Vec<u8> {
    payload_of(BlockBuilder::new().code(datalog).unwrap())
}

pub fn payload_of(block: BlockBuilder) -> Vec<u8> {
    let request = schema::ThirdPartyBlockRequest {
        legacy_previous_key: None,
        legacy_public_keys: Vec::new(),
        previous_signature: vec![0; 64],
    };
    let request = ThirdPartyRequest::deserialize(&request.encode_to_vec()).unwrap();
    let block = request.create_block(&KeyPair::new().private(), block).unwrap();
    schema::ThirdPartyBlockContents::decode(block.serialize().unwrap().as_slice()).unwrap().payload
}

/// A signed block, wrapped anew by whoever has the throw-away secret that came with its parent.
pub fn wrapped(
    mut block: schema::SignedBlock,
    previous: &[u8],
    secret: &KeyPair,
) -> schema::SignedBlock {
    let payload = block_payload(&block, Some(previous));
    block.signature = secret.sign(&payload).unwrap().to_bytes().to_vec();
    block
}

pub fn p256() -> KeyPair {
    KeyPair::new_with_algorithm(Algorithm::Secp256r1)
}

fn block_payload(block: &schema::SignedBlock, previous: Option<&[u8]>) -> Vec<u8> {
    let mut parts = vec![
        b"\0BLOCK\0\0VERSION\0".to_vec(),
        1_u32.to_le_bytes().to_vec(),
        b"\0PAYLOAD\0".to_vec(),
        block.block.clone(),
        b"\0ALGORITHM\0".to_vec(),
        block.next_key.algorithm.to_le_bytes().to_vec(),
        b"\0NEXTKEY\0".to_vec(),
        block.next_key.key.clone(),
    ];
    if let Some(previous) = previous {
        parts.extend([b"\0PREVSIG\0".to_vec(), previous.to_vec()]);
    }
    if let Some(external) = &block.external_signature {
        parts.extend([b"\0EXTERNALSIG\0".to_vec(), external.signature.clone()]);
    }
    parts.concat()
}

fn external_payload(block: &[u8], previous: &[u8]) -> Vec<u8> {
    let version = 1_u32.to_le_bytes();
    [b"\0EXTERNAL\0\0VERSION\0", &version[..], b"\0PAYLOAD\0", block, b"\0PREVSIG\0", previous]
        .concat()
}

fn payload_of_version_0(block: &schema::SignedBlock) -> Vec<u8> {
    let external = block.external_signature.as_ref().map(|external| external.signature.clone());
    let algorithm = block.next_key.algorithm.to_le_bytes();
    [&block.block[..], &external.unwrap_or_default(), &algorithm, &block.next_key.key].concat()
}
