//! What is known of a beginning must change no verdict.

use super::*;
use crate::call::Call;
use crate::delegate::Delegation;
use crate::keys::{PrivateKey, RootKeys};
use crate::mint::{Grant, Issuer};
use crate::present::Presenting;
use crate::revocation::RevocationUnchecked;
use crate::timestamp::Timestamp;
use crate::verify::Verifier;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

struct Agents {
    issuer: Issuer,
    capability: Capability,
    key: PrivateKey,
}

impl Agents {
    fn new() -> Agents {
        let issuer = Issuer::new(PrivateKey::generate());
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let hop = Delegation::to("agent.a").scope("tools:call:*").reason("try it");
        let (hop, key) = hop.new_holder();
        let capability = issuer.mint(grant, NOW).unwrap().delegate(hop, &alice, NOW).unwrap();
        Agents { issuer, capability, key }
    }

    fn presents(&self) -> String {
        let presenting = Presenting::to("notion.mcp");
        self.capability.present(presenting, &self.key, NOW).unwrap().bearer().to_owned()
    }

    fn presents_once(&self) -> String {
        let presenting = Presenting::to("notion.mcp").call(Call::tool("search").unwrap());
        self.capability.present(presenting, &self.key, NOW).unwrap().bearer().to_owned()
    }

    fn verifier(&self) -> Verifier {
        let roots = RootKeys::of(self.issuer.public());
        Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap()
    }
}

fn known_blocks(verifier: &Verifier, bearer: &str) -> Option<usize> {
    verifier.trust.judge(|set| {
        let (_, known) = set.parse(bearer).ok()?;
        known.map(|known| known.beginning.blocks())
    })
}

#[test]
fn of_a_chain_that_held_the_next_presentation_is_new_alone() {
    let agents = Agents::new();
    let verifier = agents.verifier();
    let (first, second) = (agents.presents(), agents.presents());
    assert_eq!(known_blocks(&verifier, &first), None);
    verifier.verify(&first, NOW).unwrap();
    assert_eq!(known_blocks(&verifier, &second), Some(2));
    let verified = verifier.verify(&second, NOW).unwrap();
    assert_eq!(verified.chain().depth(), 1);
    // A hop more shares the chain, and another hop of the grant the grant.
    let hop = Delegation::to("agent.b").scope("tools:call:search").reason("more");
    let (hop, key) = hop.new_holder();
    let longer = agents.capability.delegate(hop, &agents.key, NOW).unwrap();
    let longer = longer.present(Presenting::to("notion.mcp"), &key, NOW).unwrap();
    assert_eq!(known_blocks(&verifier, longer.bearer()), Some(2));
    verifier.verify(longer.bearer(), NOW).unwrap();
    // Another root's tokens, and one of the same grant's subject and root, share nothing.
    assert_eq!(known_blocks(&verifier, &Agents::new().presents()), None);
    verifier.replace_roots(RootKeys::default());
    assert_eq!(known_blocks(&verifier, &second), None);
}

#[test]
fn what_does_not_hold_puts_nothing_in_and_what_is_good_once_its_beginning_alone() {
    let agents = Agents::new();
    let verifier = agents.verifier();
    let stranger = Agents::new().presents();
    verifier.verify(&stranger, NOW).unwrap_err();
    assert_eq!(known_blocks(&verifier, &stranger), None);
    let once = agents.presents_once();
    verifier.verify(&once, NOW).unwrap();
    assert!(verifier.verify_remembered(&once, NOW).is_none());
    assert_eq!(known_blocks(&verifier, &once), Some(2));
    let session = agents.presents();
    verifier.verify(&session, NOW).unwrap();
    assert!(verifier.verify_remembered(&session, NOW).is_some());
    let forgets = agents.verifier().remember(0);
    forgets.verify(&session, NOW).unwrap();
    assert_eq!(known_blocks(&forgets, &session), None);
}

/// Every byte of a token is changed in some ways, and parts of tokens are put together: with what is known and without it, the
/// verdict is the same, to the block.
#[test]
fn no_verdict_is_another_for_what_is_known() {
    let agents = Agents::new();
    let (knows, forgets) = (agents.verifier(), agents.verifier().remember(0));
    let tokens = [agents.presents(), agents.presents(), agents.presents_once()];
    knows.verify(&tokens[0], NOW).unwrap();
    let bytes = tokens.clone().map(|token| Capability::parse(&token).unwrap().to_bytes());
    let mut changed = Vec::new();
    let spliced = bytes.iter().flat_map(|one| bytes.iter().map(move |other| (one, other)));
    for (one, other) in spliced {
        for (end, other_end) in ends(one).into_iter().zip(ends(other)) {
            changed.push([&one[..end], &other[other_end..]].concat());
            changed.push([&other[..other_end], &one[end..]].concat());
        }
    }
    let last = bytes[1].len();
    for at in (0..last).step_by(3).chain(last - 80..last) {
        let mut bytes = bytes[1].clone();
        bytes[at] ^= 1 << (at % 8);
        changed.push(bytes);
    }
    let (mut held, mut refused) = (0, 0);
    for bytes in changed {
        let Ok(token) = Capability::from_bytes(&bytes) else { continue };
        let bearer = token.to_base64();
        let known = knows.verify(&bearer, NOW);
        let unknown = forgets.verify(&bearer, NOW);
        assert_eq!(known.as_ref().err(), unknown.as_ref().err());
        // The memory of refusals says the same.
        assert_eq!(knows.verify(&bearer, NOW).err(), unknown.as_ref().err().cloned());
        match unknown {
            Ok(_) => held += 1,
            Err(_) => refused += 1,
        }
        // What held must not make what was changed known.
        knows.verify(&tokens[0], NOW).unwrap();
    }
    assert!(held >= 6 && refused > 200, "{held} {refused}");
}

#[test]
fn blocks_end_where_the_fields_of_the_message_do() {
    let bytes = Capability::parse(&Agents::new().presents()).unwrap().to_bytes();
    let found = ends(&bytes);
    assert_eq!(found.len(), 3);
    assert!(found.is_sorted() && found[2] < bytes.len() - 64, "the end follows");
    // Of what is cut, what is whole; of anything else, what looks like blocks, and no panic.
    assert_eq!(ends(&bytes[..found[1]]), found[..2]);
    assert_eq!(ends(&bytes[..found[1] - 1]), found[..1]);
    for text in
        [&b""[..], b"\xff", b"\x12", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x08"]
    {
        assert!(ends(text).is_empty());
    }
}
