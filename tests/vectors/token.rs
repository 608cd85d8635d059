//! Token: a token from the text of its blocks, the same bytes in every run.
//!
//! The blocks are written as `docs/profile.md` has them, by the plain Biscuit library, and signed with fixed keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use biscuit_auth::UnverifiedBiscuit;
use biscuit_auth::builder::BlockBuilder;
use biscuit_auth::format::schema;
use hardtack::{Call, PrivateKey};
use prost::Message;
use sha2_11::{Digest, Sha256};

use hardtack_testkit::forge::{Forge, Part, Proof, pair, payload, payload_of, throw_away};

/// The keys of the vectors, by their seeds: 32 times this byte.
pub const ROOT: u8 = 1;
pub const ORCHESTRATOR: u8 = 2;
pub const RESEARCHER: u8 = 3;
pub const THIEF: u8 = 4;
pub const HELPER: u8 = 5;
pub const OTHER_ROOT: u8 = 6;
pub const KEYS: [(&str, u8); 6] = [
    ("root", ROOT),
    ("orchestrator", ORCHESTRATOR),
    ("researcher", RESEARCHER),
    ("thief", THIEF),
    ("helper", HELPER),
    ("other root", OTHER_ROOT),
];

/// What a block writes where its parent's digest belongs.
const PARENT: &str = "PARENT";

pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[seed; 32])
}

/// A public key in hexadecimal digits.
pub fn digits(seed: u8) -> String {
    hex::encode(key(seed).public().to_bytes())
}

/// A block: its Datalog, and whose external signature it bears.
pub struct Block {
    datalog: String,
    signer: Option<u8>,
}

/// A block that `signer` signs: a hop or presentation.
pub fn by(signer: u8, datalog: String) -> Block {
    Block { datalog, signer: Some(signer) }
}

/// A block that nobody in particular signs: a caveat, or an unbound hop or presentation.
pub fn bare(datalog: impl Into<String>) -> Block {
    Block { datalog: datalog.into(), signer: None }
}

/// A token, sealed: the grant, and what follows it.
pub fn token(grant: String, blocks: impl IntoIterator<Item = Block>) -> Forge {
    let first = part(payload(&grant), None, 0);
    let forge = Forge {
        root: pair(&key(ROOT)),
        root_key_id: None,
        blocks: vec![first],
        proof: Proof::Sealed,
    };
    blocks.into_iter().fold(forge, append)
}

fn append(mut forge: Forge, block: Block) -> Forge {
    let datalog = block.datalog.replace(PARENT, &format!("hex:{}", parent(&forge)));
    let bytes = match block.signer {
        Some(_) => payload(&datalog),
        None => first_party(&forge, &datalog),
    };
    let part = part(bytes, block.signer, forge.blocks.len());
    forge.blocks.push(part);
    forge
}

fn part(bytes: Vec<u8>, signer: Option<u8>, at: usize) -> Part {
    let signer = signer.map(|seed| pair(&key(seed)));
    Part { bytes, signer, next: throw_away(at), version: Some(1) }
}

/// The first 128 bits of SHA-256 over each block's length, bytes and signer, as `docs/profile.md` says.
pub fn parent(forge: &Forge) -> String {
    let mut read = Sha256::new();
    for part in &forge.blocks {
        read.update((part.bytes.len() as u64).to_le_bytes());
        read.update(&part.bytes);
        match &part.signer {
            Some(signer) => {
                read.update([1]);
                read.update(signer.public().to_bytes());
            }
            None => read.update([0]),
        }
    }
    hex::encode(&read.finalize()[..16])
}

/// A first-party block reads its words by the table that all of them share.
fn first_party(forge: &Forge, datalog: &str) -> Vec<u8> {
    let mut signed = forge.sign();
    let secret = forge.blocks.last().unwrap().next.private().to_bytes().to_vec();
    signed.proof.content = Some(schema::proof::Content::NextSecret(secret));
    let token = UnverifiedBiscuit::from(signed.encode_to_vec()).unwrap();
    let token = token.append(BlockBuilder::new().code(datalog).unwrap()).unwrap();
    let token = schema::Biscuit::decode(token.to_vec().unwrap().as_slice()).unwrap();
    token.blocks.last().unwrap().block.clone()
}

// ---- the text of blocks -----------------------------------------------------------------------

/// Alice's grant, held by the orchestrator.
pub fn grant() -> String {
    grant_to(ORCHESTRATOR)
}

pub fn grant_to(holder: u8) -> String {
    let holder = digits(holder);
    let bound =
        format!("holder(hex:{holder}); check if hop($hop), $hop > 0 trusting ed25519/{holder};");
    unbound_grant().plus(&bound)
}

pub fn unbound_grant() -> String {
    r#"hardtack(1); subject("user:alice"); scope("tools:call:*");
       issued(2026-11-23T10:00:00Z); expires(2026-11-23T11:00:00Z); max_depth(8); role("editor");
       check all time($time), $time < 2026-11-23T11:00:00Z;
       check all operation($operation), $operation.starts_with("tools:call:");
       reject if depth($depth), $depth > 8;"#
        .to_owned()
}

/// The hop that the orchestrator signs for the researcher.
pub fn hop() -> String {
    hop_to(1, "agent.researcher", RESEARCHER)
}

/// A hop for `tools:call:search`.
pub fn hop_to(block: usize, agent: &str, holder: u8) -> String {
    let holder = digits(holder);
    let bound = format!(
        "holder(hex:{holder}); check if hop($hop), $hop > {block} trusting ed25519/{holder};"
    );
    unbound_hop(block, agent).plus(&bound)
}

pub fn unbound_hop(block: usize, agent: &str) -> String {
    format!(
        r#"hop({block}); delegate("{agent}"); scope("tools:call:search");
           expires(2026-11-23T10:15:00Z); reason("find the roadmap page"); parent(PARENT);
           check all time($time), $time < 2026-11-23T10:15:00Z;
           check all operation($operation), {{"tools:call:search"}}.contains($operation);"#
    )
}

/// A presentation for five minutes.
pub fn session(block: usize) -> String {
    format!(
        r#"hop({block}); presentation("session"); audience("notion.mcp");
           expires(2026-11-23T10:05:00Z); parent(PARENT);
           check all time($time), $time < 2026-11-23T10:05:00Z;
           check all verifier($verifier), {{"notion.mcp"}}.contains($verifier);"#
    )
}

/// A presentation for one call, for a minute.
pub fn for_call(block: usize, call: &Call) -> String {
    for_digest(block, &hex::encode(call.digest()))
}

pub fn for_digest(block: usize, digest: &str) -> String {
    format!(
        r#"hop({block}); presentation("call"); audience("notion.mcp");
           expires(2026-11-23T10:01:00Z); parent(PARENT); digest(hex:{digest}); nonce(hex:{nonce});
           check all time($time), $time < 2026-11-23T10:01:00Z;
           check all verifier($verifier), {{"notion.mcp"}}.contains($verifier);
           check all call($call), $call == hex:{digest};"#,
        nonce = "07".repeat(16)
    )
}

/// Grant, the researcher's hop, a session presentation.
pub fn seed() -> Forge {
    with_hop(hop())
}

/// The seed with another hop.
pub fn with_hop(hop: String) -> Forge {
    token(grant(), [by(ORCHESTRATOR, hop), by(RESEARCHER, session(2))])
}

/// The seed with a hop that says more.
pub fn hop_that_says(more: &str) -> Forge {
    with_hop(hop().plus(more))
}

/// The seed with another grant.
pub fn with_grant(grant: String) -> Forge {
    token(grant, [by(ORCHESTRATOR, hop()), by(RESEARCHER, session(2))])
}

/// The seed with another presentation.
pub fn with_last(presentation: String) -> Forge {
    token(grant(), [by(ORCHESTRATOR, hop()), by(RESEARCHER, presentation)])
}

/// Changes to the text of a block.
pub trait Text {
    /// Replaces what must be there.
    fn swap(self, from: &str, to: &str) -> String;
    fn without(self, what: &str) -> String;
    fn plus(self, more: &str) -> String;
}

impl Text for String {
    fn swap(self, from: &str, to: &str) -> String {
        assert!(self.contains(from), "{from} is not in {self}");
        self.replace(from, to)
    }

    fn without(self, what: &str) -> String {
        self.swap(what, "")
    }

    fn plus(self, more: &str) -> String {
        format!("{self} {more}")
    }
}

/// A bearer's token, if it is one.
pub fn decode(bearer: &str) -> Option<schema::Biscuit> {
    let bytes = Engine::decode(&URL_SAFE, bearer).ok()?;
    schema::Biscuit::decode(bytes.as_slice()).ok()
}

/// All signed blocks of a token.
pub fn signed(token: &schema::Biscuit) -> impl Iterator<Item = &schema::SignedBlock> {
    std::iter::once(&token.authority).chain(&token.blocks)
}

/// What the plain Biscuit library writes for a block's Datalog, without the version.
pub fn written(code: &str) -> Option<schema::Block> {
    let bytes = payload_of(BlockBuilder::new().code(code).ok()?);
    let block = schema::Block::decode(bytes.as_slice()).ok()?;
    Some(schema::Block { version: None, ..block })
}
