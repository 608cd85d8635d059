//! Tokens: what the fields are changed in. Together they have every kind of block, with all that the profile gives it.

use std::collections::BTreeMap;

use biscuit_auth::KeyPair;
use hardtack::Call;

use crate::case::Server;
use crate::craft::{FIRST_WORD, append, append_first_party, content_of, parent, payload};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, Part, Proof, pair};

/// The kinds of blocks, each in its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Grant,
    Hop,
    Caveat,
    Session,
    Call,
    UnboundHop,
}

impl Kind {
    pub(super) fn block(self) -> usize {
        match self {
            Kind::Grant => 0,
            Kind::Hop | Kind::UnboundHop => 1,
            Kind::Caveat | Kind::Call => 2,
            Kind::Session => 3,
        }
    }

    /// The number of the presentation in the kind's token.
    pub(super) fn last(self) -> usize {
        match self {
            Kind::Call | Kind::UnboundHop => 2,
            _ => 3,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Grant => "the grant",
            Kind::Hop => "the hop",
            Kind::Caveat => "the caveat",
            Kind::Session => "the session presentation",
            Kind::Call => "the call presentation",
            Kind::UnboundHop => "the unbound hop",
        }
    }
}

pub(super) struct Token {
    pub(super) name: &'static str,
    pub(super) forge: Forge,
    pub(super) kinds: &'static [Kind],
    pub(super) server: Server,
}

impl Token {
    /// The words by which the numbers of a block are read, those of Biscuit's that are used here among them.
    pub(super) fn words(&self, block: usize) -> BTreeMap<u64, String> {
        let ours =
            [(0, "read"), (3, "operation"), (5, "time"), (6, "role"), (26, "nonce"), (27, "query")];
        let part = &self.forge.blocks[block];
        let before = self.forge.blocks[..block].iter().filter(|_| part.signer.is_none());
        let shared = before.filter(|part| part.signer.is_none());
        let parts = shared.chain([part]);
        let own = parts.flat_map(|part| content_of(&part.bytes).symbols);
        let ours = ours.map(|(number, word)| (number, word.to_owned()));
        (FIRST_WORD..).zip(own).chain(ours).collect()
    }
}

const EXPIRES: &str = "2026-11-23T10:50:00Z";
const HOP_EXPIRES: &str = "2026-11-23T10:40:00Z";
const PRESENTATION_EXPIRES: &str = "2026-11-23T10:01:00Z";

pub(super) fn all() -> Vec<Token> {
    let cast = Cast::new();
    let orchestrator = hex::encode(cast.orchestrator.public().to_bytes());
    let researcher = hex::encode(cast.researcher.public().to_bytes());
    let said = |forge: &Forge| format!("parent(hex:{});", hex::encode(parent(&forge.blocks)));
    let granted = granted_to(&orchestrator);
    let hop = hop_to(&researcher) + &said(&granted);
    let hopped = || append(copy(&granted), payload(&hop), Some(&cast.orchestrator));

    let caveat = format!(
        r#"check if operation($operation), $operation == "tools:call:search";
           check all time($time), $time < {EXPIRES};"#
    );
    let session = append_first_party(hopped(), &caveat);
    let text = presentation(3, "session") + &said(&session);
    let session = append(session, payload(&text), Some(&cast.researcher));

    let call = hopped();
    let digest = hex::encode(Call::tool("search").unwrap().digest());
    let text = presentation(2, "call")
        + &said(&call)
        + &format!(
            r#"digest(hex:{digest}); nonce(hex:{});
               check all call($call), $call == hex:{digest};"#,
            "07".repeat(16)
        );
    let call = append(call, payload(&text), Some(&cast.researcher));

    let holder = format!("holder(hex:{orchestrator});");
    let open = granted_to(&orchestrator).change(|forge| {
        let text = grant(&orchestrator).replace(&holder, "");
        let bound = text.find("check if hop").unwrap();
        forge.blocks[0].bytes = payload(&text[..bound]);
    });
    let unbound = append_first_party(open, &hop_to(&researcher));
    let unbound = append(unbound, payload(&presentation(2, "session")), Some(&cast.researcher));
    vec![
        Token {
            name: "a token with a grant, a hop, a caveat and a session presentation",
            forge: session,
            kinds: &[Kind::Grant, Kind::Hop, Kind::Caveat, Kind::Session],
            server: Server::Plain,
        },
        Token {
            name: "a token with a call presentation",
            forge: call,
            kinds: &[Kind::Call],
            server: Server::Fresh,
        },
        Token {
            name: "a token with an unbound hop",
            forge: unbound,
            kinds: &[Kind::UnboundHop],
            server: Server::Unbound,
        },
    ]
}

fn grant(holder: &str) -> String {
    format!(
        r#"hardtack(1); subject("user:alice"); scope("tools:call:*"); audience("notion.mcp");
           issued(2026-11-23T10:00:00Z); expires({EXPIRES}); max_depth(8); holder(hex:{holder});
           role("editor");
           check all time($time), $time < {EXPIRES};
           check all operation($operation), $operation.starts_with("tools:call:");
           check all verifier($verifier), {{"notion.mcp"}}.contains($verifier);
           reject if depth($depth), $depth > 8;
           check if hop($hop), $hop > 0 trusting ed25519/{holder};"#
    )
}

fn granted_to(holder: &str) -> Forge {
    let forge = Forge {
        root: pair(&Cast::new().root),
        root_key_id: None,
        blocks: Vec::new(),
        proof: Proof::Sealed,
    };
    append(forge, payload(&grant(holder)), None)
}

fn hop_to(holder: &str) -> String {
    format!(
        r#"hop(1); delegate("agent.researcher"); scope("tools:call:search"); audience("notion.mcp");
           expires({HOP_EXPIRES}); reason("find"); holder(hex:{holder});
           check all time($time), $time < {HOP_EXPIRES};
           check all operation($operation), {{"tools:call:search"}}.contains($operation);
           check all verifier($verifier), {{"notion.mcp"}}.contains($verifier);
           check if hop($hop), $hop > 1 trusting ed25519/{holder};"#
    )
}

fn presentation(block: usize, kind: &str) -> String {
    format!(
        r#"hop({block}); presentation("{kind}"); audience("notion.mcp");
           expires({PRESENTATION_EXPIRES});
           check all time($time), $time < {PRESENTATION_EXPIRES};
           check all verifier($verifier), {{"notion.mcp"}}.contains($verifier);"#
    )
}

/// Keys are not to be copied lightly; these are known to everybody.
pub(super) fn copy(forge: &Forge) -> Forge {
    let key = |pair: &KeyPair| KeyPair::from(&pair.private());
    let part = |part: &Part| Part {
        bytes: part.bytes.clone(),
        signer: part.signer.as_ref().map(key),
        next: key(&part.next),
        version: part.version,
    };
    Forge {
        root: key(&forge.root),
        root_key_id: forge.root_key_id,
        blocks: forge.blocks.iter().map(part).collect(),
        proof: Proof::Sealed,
    }
}
