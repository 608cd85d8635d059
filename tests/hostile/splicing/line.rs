//! Line: a chain of as many hops as one likes, each by the holder of the one before it.

use biscuit_auth::KeyPair;
use hardtack::PrivateKey;

use crate::craft::{append, append_first_party, payload};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, Part, Proof, pair, throw_away};

/// The longest lines that are tried: what a grant allows unless it says otherwise.
pub(super) const LONGEST: usize = 8;

/// The key that block `block` names as holder: the grant's is the first.
pub(super) fn key(block: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[0x20 + u8::try_from(block).unwrap(); 32])
}

/// What a line says where it says something of its own.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) subject: &'static str,
    pub(super) scope: &'static str,
    pub(super) reason: &'static str,
    /// Names that are not `agent.<block>`.
    pub(super) names: Vec<(usize, &'static str)>,
    /// Holders that are not [`key`]'s; none where there is none.
    pub(super) holders: Vec<(usize, Option<PrivateKeySeed>)>,
    /// Blocks of which nobody in particular is the signer.
    pub(super) unsigned: Vec<usize>,
}

/// The seed of a private key, which can be copied.
pub(super) type PrivateKeySeed = [u8; 32];

impl Line {
    pub(super) fn new() -> Line {
        Line {
            subject: "user:alice",
            scope: "tools:call:search",
            reason: "find",
            names: Vec::new(),
            holders: Vec::new(),
            unsigned: Vec::new(),
        }
    }

    /// A line in which one block names no holder, so that nobody signs the next.
    pub(super) fn open_at(block: usize) -> Line {
        Line { holders: vec![(block, None)], unsigned: vec![block + 1], ..Line::new() }
    }

    pub(super) fn holder(&self, block: usize) -> Option<PrivateKey> {
        match self.holders.iter().find(|(of, _)| *of == block) {
            Some((_, seed)) => seed.map(|seed| PrivateKey::from_bytes(&seed)),
            None => Some(key(block)),
        }
    }

    fn holder_fact(&self, block: usize) -> String {
        let fact =
            |key: PrivateKey| format!("holder(hex:{});", hex::encode(key.public().to_bytes()));
        self.holder(block).map(fact).unwrap_or_default()
    }

    pub(super) fn grant(&self) -> String {
        let Line { subject, scope, .. } = self;
        format!(
            r#"hardtack(1); subject("{subject}"); scope("tools:call:*"); scope("{scope}"); {}
               max_depth(8); issued(2026-11-23T10:00:00Z); expires(2026-11-23T10:50:00Z);"#,
            self.holder_fact(0)
        )
        .replace(r#"scope("tools:call:*"); scope("tools:call:*");"#, r#"scope("tools:call:*");"#)
    }

    pub(super) fn hop(&self, block: usize) -> String {
        let Line { scope, reason, .. } = self;
        let name = match self.names.iter().find(|(of, _)| *of == block) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("agent.{block}"),
        };
        format!(
            r#"hop({block}); delegate("{name}"); scope("{scope}"); reason("{reason}"); {}
               expires(2026-11-23T10:40:00Z);"#,
            self.holder_fact(block)
        )
    }

    pub(super) fn presentation(block: usize) -> String {
        format!(
            r#"hop({block}); presentation("session"); audience("notion.mcp");
               expires(2026-11-23T10:05:00Z);"#
        )
    }

    /// The grant and so many hops.
    pub(super) fn delegated(&self, hops: usize) -> Forge {
        let grant = Part {
            bytes: payload(&self.grant()),
            signer: None,
            next: throw_away(0),
            version: Some(1),
        };
        let root = pair(&Cast::new().root);
        let forge = Forge { root, root_key_id: None, blocks: vec![grant], proof: Proof::Sealed };
        (1..=hops).fold(forge, |forge, block| self.append(forge, &self.hop(block)))
    }

    /// The grant, so many hops and the presentation by the last holder.
    pub(super) fn presented(&self, hops: usize) -> Forge {
        self.append(self.delegated(hops), &Line::presentation(hops + 1))
    }

    /// Appends a block, by the holder that the block before it names.
    pub(super) fn append(&self, forge: Forge, datalog: &str) -> Forge {
        let block = forge.blocks.len();
        match self.holder(block - 1).filter(|_| !self.unsigned.contains(&block)) {
            Some(holder) => append(forge, payload(datalog), Some(&holder)),
            None => append_first_party(forge, datalog),
        }
    }
}

/// Another throw-away key than the forge's, for the same block.
pub(super) fn other_throw_away(block: usize) -> KeyPair {
    pair(&PrivateKey::from_bytes(&[0xd0 | u8::try_from(block % 16).unwrap(); 32]))
}
