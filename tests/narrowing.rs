//! No sequence of delegations ever allows what its parent denies: random chains, signed with the right
//! keys by the forge, against a model that knows nothing of Biscuit.

mod common;

use common::forge::{Forge, Proof};
use common::*;
use hardtack::revocation::RevocationUnchecked;
use hardtack::*;
use proptest::prelude::*;

const SCOPES: [&str; 7] = [
    "*",
    "tools:*",
    "tools:call:*",
    "tools:call:search",
    "tools:call:pay",
    "resources:read",
    "hardtack:revoke",
];
const OPERATIONS: [&str; 5] =
    ["tools:call:search", "tools:call:pay", "resources:read", "hardtack:revoke", "prompts:get:x"];
const AUDIENCES: [&str; 3] = ["notion.mcp", "mail.mcp", "files.mcp"];

/// The depth that a grant allows unless it says otherwise.
const MAX_DEPTH: u8 = 8;

/// A link of a chain as somebody wrote it, narrower than its parent or not.
#[derive(Debug, Clone)]
struct Link {
    scopes: Vec<&'static str>,
    audiences: Vec<&'static str>,
    minutes: u64,
}

fn link() -> impl Strategy<Value = Link> {
    let scopes = proptest::sample::subsequence(&SCOPES[..], 1..4);
    let audiences = proptest::sample::subsequence(&AUDIENCES[..], 0..3);
    (scopes, audiences, 10_u64..60).prop_map(|(scopes, audiences, minutes)| Link {
        scopes,
        audiences,
        minutes,
    })
}

/// Random links seldom narrow, so most are made from their parent: what is taken away stays away.
fn chain() -> impl Strategy<Value = (Vec<Link>, u8)> {
    let links = proptest::collection::vec((link(), 0_u8..10), 1..6);
    let links = links.prop_map(|links| {
        let mut chain: Vec<Link> = Vec::new();
        for (mut link, wild) in links {
            if let Some(parent) = chain.last().filter(|_| wild > 0) {
                link.scopes.retain(|scope| within(scope, &parent.scopes));
                if link.scopes.is_empty() {
                    link.scopes.clone_from(&parent.scopes);
                }
                link.audiences.retain(|audience| {
                    parent.audiences.is_empty() || parent.audiences.contains(audience)
                });
                link.minutes = link.minutes.min(parent.minutes);
            }
            chain.push(link);
        }
        chain
    });
    (links, 0_u8..6)
}

fn segments(text: &str) -> Vec<&str> {
    text.split(':').collect()
}

fn model_covers(scope: &str, other: &str) -> bool {
    let (scope, other) = (segments(scope), segments(other));
    match scope.split_last() {
        Some((&"*", [])) => other[0] != "hardtack",
        Some((&"*", before)) => other.len() > before.len() && other.starts_with(before),
        _ => scope == other,
    }
}

fn within(scope: &str, parents: &[&str]) -> bool {
    parents.iter().any(|parent| model_covers(parent, scope))
}

/// The model: what every link says must hold together.
fn model_allows(
    chain: &[Link],
    max_depth: u8,
    audience: &str,
    minutes: u64,
    operation: &str,
) -> bool {
    let hops = &chain[1..];
    let narrows = chain.windows(2).enumerate().all(|(at, pair)| {
        let (parent, child) = (&pair[0], &pair[1]);
        let audiences = effective_audiences(&chain[..=at]);
        child.scopes.iter().all(|scope| within(scope, &parent.scopes))
            && child
                .audiences
                .iter()
                .all(|audience| audiences.is_empty() || audiences.contains(audience))
            && child.minutes <= parent.minutes
    });
    let audiences = effective_audiences(chain);
    narrows
        && hops.len() <= usize::from(max_depth)
        && (audiences.is_empty() || audiences.contains(&audience))
        && audience == AUDIENCE
        && minutes <= chain.last().unwrap().minutes
        && chain.last().unwrap().scopes.iter().any(|scope| model_covers(scope, operation))
}

fn effective_audiences(chain: &[Link]) -> Vec<&str> {
    chain
        .iter()
        .rev()
        .find(|link| !link.audiences.is_empty())
        .map_or(Vec::new(), |link| link.audiences.clone())
}

fn key(index: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[10 + u8::try_from(index).unwrap(); 32])
}

fn facts(link: &Link, holder: usize) -> String {
    let say = |name: &str, values: &[&str]| {
        values.iter().map(|value| format!("{name}(\"{value}\"); ")).collect::<String>()
    };
    let expires = NOW + minutes(link.minutes);
    let holder = hex::encode(key(holder).public().to_bytes());
    format!(
        "{}{}expires({expires}); holder(hex:{holder}); ",
        say("scope", &link.scopes),
        say("audience", &link.audiences)
    )
}

/// The chain as the forge signs it: facts only, so that nothing but the walk can refuse it.
fn forged(chain: &[Link], max_depth: u8, audience: &str, lives: u64) -> String {
    let cast = Cast::new();
    let mut forge = Forge::of(&cast.grant().to_bytes(), &cast.root, &[]);
    forge.proof = Proof::Sealed;
    let grant = format!(
        "hardtack(1); subject(\"user:alice\"); issued({NOW}); max_depth({max_depth}); {}",
        facts(&chain[0], 0)
    );
    forge = forge.write(0, &grant);
    for (index, link) in chain.iter().enumerate().skip(1) {
        let hop = format!(
            "hop({index}); delegate(\"agent.{index}\"); reason(\"x\"); {}",
            facts(link, index)
        );
        forge = forge.append(&hop, Some(&key(index - 1)));
    }
    let index = chain.len();
    let presentation = format!(
        "hop({index}); presentation(\"session\"); audience(\"{audience}\"); expires({});",
        NOW + minutes(lives)
    );
    forge.append(&presentation, Some(&key(index - 1))).bearer()
}

fn guard() -> Guard {
    let long = Lifetimes { session: minutes(60), ..Lifetimes::default() };
    let verifier = Verifier::new(Cast::new().roots(), AUDIENCE, RevocationUnchecked).unwrap();
    Guard::unrecorded(verifier.lifetimes(long), Policy::builtin())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_verdict_is_the_models((chain, max_depth) in chain(), audience in 0_usize..4, lives in 1_u64..60) {
        let audience = AUDIENCES[audience.saturating_sub(1)];
        let (guard, bearer) = (guard(), forged(&chain, max_depth, audience, lives));
        for operation in OPERATIONS {
            let allowed = guard.check(&bearer, &Call::new(operation).unwrap(), NOW);
            let expected = model_allows(&chain, max_depth, audience, lives, operation);
            prop_assert_eq!(allowed.is_ok(), expected, "{} over {:?}: {:?}", operation, chain, allowed.err());
        }
    }

    /// With our own API: what it makes is allowed only if the parent would be, and what it refuses to
    /// make would be refused.
    #[test]
    fn no_delegation_allows_what_its_parent_denies((chain, _) in chain()) {
        let cast = Cast::new();
        let mut grant = Grant::to("user:alice").holder(key(0).public()).ttl(minutes(chain[0].minutes));
        for scope in &chain[0].scopes { grant = grant.scope(*scope); }
        for audience in &chain[0].audiences { grant = grant.audience(*audience); }
        let mut capability = cast.issuer().mint(grant, NOW).unwrap();
        let guard = guard();
        let verdicts = |capability: &Capability, holder: usize| -> Vec<bool> {
            let presentation = capability.present(Presenting::to(AUDIENCE), &key(holder), NOW);
            OPERATIONS.iter().map(|operation| {
                let call = Call::new(operation).unwrap();
                presentation.as_ref().is_ok_and(|bearer| guard.check(bearer.bearer(), &call, NOW).is_ok())
            }).collect()
        };
        for (index, link) in chain.iter().enumerate().skip(1) {
            let mut delegation = Delegation::to(format!("agent.{index}")).reason("x").holder(key(index).public());
            delegation = delegation.ttl(minutes(link.minutes));
            for scope in &link.scopes { delegation = delegation.scope(*scope); }
            for audience in &link.audiences { delegation = delegation.audience(*audience); }
            let Ok(child) = capability.delegate(delegation, &key(index - 1), NOW) else {
                let granted = |operation: &&str| {
                    model_allows(&chain[..=index], MAX_DEPTH, AUDIENCE, 1, operation)
                };
                prop_assert!(!OPERATIONS.iter().any(granted), "refused to make {:?}", &chain[..=index]);
                return Ok(());
            };
            let (above, below) = (verdicts(&capability, index - 1), verdicts(&child, index));
            for (operation, (parent, child)) in OPERATIONS.iter().zip(above.iter().zip(&below)) {
                prop_assert!(*parent || !child, "{} at hop {} of {:?}", operation, index, chain);
            }
            capability = child;
        }
    }
}

#[test]
fn the_generator_makes_chains_of_both_kinds() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut allowed = 0;
    for _ in 0..400 {
        let (chain, max_depth) = chain().new_tree(&mut runner).unwrap().current();
        allowed += usize::from(
            OPERATIONS
                .iter()
                .any(|operation| model_allows(&chain, max_depth, AUDIENCE, 1, operation)),
        );
    }
    assert!((60..340).contains(&allowed), "{allowed} of 400 chains allow something");
}
