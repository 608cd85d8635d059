//! What is known of first blocks must change no decision.

use std::sync::Arc;

use crate::authorize::{AuthorizeError, PreparedSets, PreparedTokens, authorize_with};
use crate::capability::Capability;
use crate::keys::{PrivateKey, RootKeys};
use crate::policy::Policy;
use crate::revocation::RevocationUnchecked;
use crate::timestamp::Timestamp;
use crate::verify::{VerifiedCapability, Verifier};
use crate::{Call, Delegation, Grant, Issuer, Presenting};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

struct Agents {
    issuer: Issuer,
    /// A grant, a hop and another one with a check and with a key that comes back, and their holders' keys.
    chain: Vec<(Capability, PrivateKey)>,
}

impl Agents {
    fn new() -> Agents {
        let issuer = Issuer::new(PrivateKey::generate());
        let grant = Grant::to("user:alice").scope("tools:call:*").fact_datalog("role(\"editor\")");
        let (grant, alice) = grant.new_holder();
        let grant = issuer.mint(grant, NOW).unwrap();
        let hop = |to: &str| Delegation::to(to).scope("tools:call:*").reason("try it");
        let (one, agent) = hop("agent.a").new_holder();
        let one = grant.delegate(one, &alice, NOW).unwrap();
        let back = hop("agent.b").check("check if arg(\"n\", $n), $n < 5").holder(alice.public());
        let two = one.delegate(back, &agent, NOW).unwrap();
        let chain = vec![(grant, alice.clone()), (one, agent), (two, alice)];
        Agents { issuer, chain }
    }

    fn verifier(&self) -> Verifier {
        let roots = RootKeys::of(self.issuer.public());
        Verifier::new(roots, "notion.mcp", RevocationUnchecked).unwrap()
    }

    /// A new presentation after so many hops, verified.
    fn presents(&self, hops: usize, verifier: &Verifier) -> VerifiedCapability {
        self.presents_as(hops, verifier, Presenting::to("notion.mcp"))
    }

    fn presents_as(
        &self,
        hops: usize,
        verifier: &Verifier,
        presenting: Presenting,
    ) -> VerifiedCapability {
        let (capability, key) = &self.chain[hops];
        let bearer = capability.present(presenting, key, NOW).unwrap();
        verifier.verify(bearer.bearer(), NOW).unwrap()
    }
}

fn call(n: u64) -> Call {
    Call::tool("search").unwrap().arguments(&format!("{{\"n\": {n}}}")).unwrap()
}

/// Sets that read what each part of a token says.
fn policies() -> Vec<Policy> {
    let texts = [
        "allow if operation($op), granted($op);",
        "allow if depth(2);",
        "allow if agent(\"agent.b\"), delegated(1, \"user:alice\", \"agent.a\"), role(\"editor\");",
        "allow if presented(\"call\");",
        "allow if issuer(\"acme\");",
        "seen($a) <- delegated($n, $d, $a); allow if seen(\"agent.a\"); deny if arg(\"n\", 3);",
        "allow if subject(\"user:alice\"); deny if arg($k, $v), [\"N\"].contains($k), $v == 4;",
    ];
    texts.iter().map(|text| Policy::parse("p.datalog", text).unwrap()).collect()
}

#[test]
fn decisions_about_a_known_chain_are_those_about_a_new_one() {
    let agents = Agents::new();
    let (verifier, tokens) = (agents.verifier(), PreparedTokens::new(64));
    let mut counts = [0; 3];
    for hops in [0, 1, 2, 2, 1, 0, 2] {
        let bound = Presenting::to("notion.mcp").call(call(1));
        let presented =
            [agents.presents(hops, &verifier), agents.presents_as(hops, &verifier, bound)];
        for verified in presented {
            counts[2] += usize::from(verified.beginning().is_some());
            for (policy, n) in policies().iter().flat_map(|policy| (1..7).map(move |n| (policy, n)))
            {
                let known = authorize_with(&tokens.of(&verified), &verified, policy, &call(n));
                let unknown = authorize_with(&PreparedSets::default(), &verified, policy, &call(n));
                assert_eq!(known, unknown, "{hops} hops, n {n}");
                counts[usize::from(known.is_ok())] += 1;
            }
        }
    }
    assert!(counts[0] > 50 && counts[1] > 50 && counts[2] >= 10, "{counts:?}");
}

#[test]
fn a_chain_is_translated_once_for_a_set_of_policies() {
    let agents = Agents::new();
    let (verifier, tokens) = (agents.verifier(), PreparedTokens::new(64));
    let policy = &policies()[0];
    let checks = |verified: &VerifiedCapability| {
        let prepared = tokens.of(verified).prepare(verified, policy).unwrap();
        prepared.checks.first().map(Arc::clone).unwrap()
    };
    let [first, second, third] = [0; 3].map(|_| agents.presents(2, &verifier));
    assert_eq!(first.beginning(), None);
    assert!(second.beginning().is_some() && second.beginning() == third.beginning());
    assert!(Arc::ptr_eq(&checks(&second), &checks(&third)), "translated twice");
    assert!(!Arc::ptr_eq(&checks(&first), &checks(&second)));
    // Of a shorter or another chain, of other policies, and after new ones, it is another one.
    let [shorter, again] = [0; 2].map(|_| agents.presents(1, &verifier));
    assert_ne!(again.beginning().or(shorter.beginning()), second.beginning());
    let before = checks(&second);
    tokens.clear();
    assert!(!Arc::ptr_eq(&before, &checks(&second)));
    let other = Agents::new();
    let verifier = other.verifier();
    other.presents(2, &verifier);
    assert_ne!(other.presents(2, &verifier).beginning(), second.beginning());
}

/// Were the name of the root among what is shared, policies would see one that it no longer has.
#[test]
fn the_name_of_the_root_is_not_shared() {
    let agents = Agents::new();
    let (verifier, tokens) = (agents.verifier(), PreparedTokens::new(64));
    let policy = Policy::parse("p", "allow if issuer(\"acme\");").unwrap();
    let decide = |verified: &VerifiedCapability| {
        authorize_with(&tokens.of(verified), verified, &policy, &call(1))
    };
    agents.presents(1, &verifier);
    let known = agents.presents(1, &verifier);
    assert!(known.beginning().is_some());
    assert_eq!(decide(&known), Err(AuthorizeError::NothingAllows));
    verifier.replace_roots(RootKeys::of(agents.issuer.public()).named("acme"));
    let renamed = verifier.renewed(&known, NOW).unwrap();
    assert!(decide(&renamed).is_ok());
    assert_eq!(decide(&known), Err(AuthorizeError::NothingAllows));
}

/// One subject's chains drive out each other, and take no more than its share.
#[test]
fn what_is_kept_of_chains_is_bounded() {
    let policy = &policies()[0];
    let tokens = PreparedTokens::new(40);
    let agents: Vec<Agents> = (0..4).map(|_| Agents::new()).collect();
    let mut most = 0;
    for agents in &agents {
        let verifier = agents.verifier();
        for hops in [0, 0, 1, 1, 2, 2, 2] {
            let verified = agents.presents(hops, &verifier);
            tokens.of(&verified).prepare(&verified, policy).unwrap();
            most = most.max(tokens.begun.0.bytes());
        }
    }
    assert!(most > 10_000 && most <= 40 * super::ROOM_PER_TOKEN, "{most}");
    let none = PreparedTokens::new(0);
    let verifier = agents[0].verifier();
    agents[0].presents(2, &verifier);
    let verified = agents[0].presents(2, &verifier);
    none.of(&verified).prepare(&verified, policy).unwrap();
    assert_eq!(none.begun.0.bytes(), 0);
}

/// Or an owner could fill many times its share with sets of many terms.
#[test]
fn the_terms_of_sets_are_charged() {
    let policy = &policies()[0];
    let kept = |members: u64| {
        let agents = Agents::new();
        let (capability, key) = &agents.chain[1];
        let set: Vec<String> = (0..members).map(|member| member.to_string()).collect();
        let check = format!("check if arg(\"n\", $n), {{{}}}.contains($n)", set.join(", "));
        let hop = Delegation::to("agent.c").scope("tools:call:*").reason("try it").check(&check);
        let (hop, holder) = hop.new_holder();
        let hop = capability.delegate(hop, key, NOW).unwrap();
        let (verifier, tokens) = (agents.verifier(), PreparedTokens::new(64));
        let mut prepared = 0;
        for _ in 0..3 {
            let bearer = hop.present(Presenting::to("notion.mcp"), &holder, NOW).unwrap();
            let verified = verifier.verify(bearer.bearer(), NOW).unwrap();
            tokens.of(&verified).prepare(&verified, policy).unwrap();
            prepared = tokens.of(&verified).bytes();
        }
        (tokens.begun.0.bytes(), prepared)
    };
    // A term in a tree, whose nodes are full.
    const MEMBER: usize = 32;
    let (few, many) = (kept(1), kept(60));
    assert!(few.0 > 0 && many.0 >= few.0 + 59 * MEMBER, "{few:?} {many:?}");
    assert!(few.1 > 0 && many.1 >= few.1 + 59 * MEMBER, "{few:?} {many:?}");
}

/// What is kept goes by the digest of the policies: under one digest, a word has one number.
#[test]
fn a_set_that_is_loaded_again_gives_words_the_same_numbers() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let allow = || file("a.datalog", "allow if subject(\"user:alice\"), arg(\"n\", $n), $n < 5;");
    let deny =
        || file("b.datalog", "seen($a) <- agent($a); deny if seen(\"agent.x\"), zone(\"x\");");
    let first = Policy::parse_set([allow(), deny()]).unwrap();
    let again = Policy::parse_set([deny(), allow()]).unwrap();
    assert_eq!(first.digest(), again.digest());
    assert_eq!(first.symbols.strings(), again.symbols.strings());
    assert!(first.symbols.strings().iter().any(|word| word == "agent.x"));
    // Another order of statements is another set.
    let other = file("a.datalog", "allow if arg(\"n\", $n), $n < 5, subject(\"user:alice\");");
    assert_ne!(first.digest(), Policy::parse_set([other, deny()]).unwrap().digest());
}
