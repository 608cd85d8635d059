//! What an explanation says would help with a token that does not hold does help, for each cause: here it is done.

use std::time::Duration;

use hardtack::explain::{Change, Explanation};
use hardtack::*;
use hardtack_testkit::forge::Forge;
use hardtack_testkit::*;

fn then(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

/// alice → orchestrator → agent.researcher, as a remedy may have it made anew.
#[derive(Clone)]
struct Made {
    cast: std::rc::Rc<Cast>,
    issued: Timestamp,
    name: String,
    /// Another key than the researcher's or the orchestrator's.
    other_key: Option<usize>,
}

impl Made {
    fn new() -> Made {
        let (cast, name) = (std::rc::Rc::new(Cast::new()), "agent.researcher".to_owned());
        Made { cast, issued: NOW, name, other_key: None }
    }

    /// The capability, and what it presents at a moment.
    fn at(&self, now: Timestamp) -> (Capability, Presentation) {
        let fresh = PrivateKey::from_bytes(&[77; 32]);
        let key = |block, own| if self.other_key == Some(block) { &fresh } else { own };
        let (first, second) = (key(0, &self.cast.orchestrator), key(1, &self.cast.researcher));
        let grant = Grant::to("user:alice").scope("tools:call:*").holder(first.public());
        let grant = self.cast.issuer().mint(grant, self.issued).unwrap();
        let hop = Delegation::to(&self.name).scope("tools:call:search").reason("find");
        let hop = hop.holder(second.public()).ttl(minutes(10));
        let capability = grant.delegate(hop, first, now).unwrap();
        let presented = capability.present(Presenting::to(AUDIENCE), second, now).unwrap();
        (capability, presented)
    }

    /// Does what a change says, and nothing that it does not say.
    fn apply(&mut self, change: &Change) -> Timestamp {
        let Change::Renew { block, text, .. } = change else { panic!("{change:?}") };
        if text.contains("--holder") {
            self.other_key = Some(*block);
        }
        if text.contains("--to") {
            self.name = "agent.successor".to_owned();
        }
        if let Some((_, after)) = text.split_once(", after ") {
            let after = Timestamp::parse(after.split(',').next().unwrap()).unwrap();
            self.issued = after + Duration::from_secs(1);
        }
        self.issued.max(then(1))
    }
}

fn explained(guard: &Guard, presented: &Presentation, now: Timestamp) -> Explanation {
    guard.explain(presented.bearer(), &search(), now)
}

#[test]
fn what_helps_against_a_revocation_helps_and_making_the_same_anew_does_not() {
    let (capability, presented) = Made::new().at(NOW);
    let key = |key: &PrivateKey| Revocation::Holder { key: key.public() };
    let (cast, chain) = (Cast::new(), capability.chain());
    let subject = || "user:alice".to_owned();
    let agent = || "agent.researcher".to_owned();
    for (revocation, block, changes, same_helps) in [
        (Revocation::Id { id: chain.grant.revocation_id }, 0, 1, true),
        (Revocation::Id { id: chain.hops[0].revocation_id }, 1, 1, true),
        (Revocation::Subject { subject: subject(), root: None }, 0, 1, false),
        (Revocation::Subject { subject: subject(), root: Some(cast.root.public()) }, 0, 1, false),
        (key(&cast.orchestrator), 0, 1, false),
        (key(&cast.researcher), 1, 1, false),
        (Revocation::AgentUntilNow { agent: agent() }, 1, 2, false),
        (Revocation::Agent { agent: agent() }, 1, 1, false),
    ] {
        let made = Made::new();
        let store = Store::in_memory().unwrap();
        let guard = made.cast.guard(&store);
        revoke(&store, revocation.clone());
        let explanation = explained(&guard, &presented, then(1));
        assert_eq!(
            (explanation.ruling.cause.map(Cause::as_str), explanation.ruling.hop),
            (Some("revoked"), Some(block))
        );
        let [remedy] = explanation.remedies.as_slice() else { panic!("{explanation:#?}") };
        assert_eq!(remedy.changes.len(), changes, "{revocation}: {remedy:#?}");
        for change in &remedy.changes {
            let mut mended = made.clone();
            let now = mended.apply(change);
            let after = explained(&guard, &mended.at(now).1, now);
            assert_eq!(after.ruling.cause, None, "{revocation}: {}", change.text());
        }
        // A second later, and nothing else about it is another.
        let again = Made { issued: then(1), ..made.clone() };
        let again = explained(&guard, &again.at(then(1)).1, then(1));
        assert_eq!(
            again.ruling.cause.is_none(),
            same_helps,
            "{revocation}: {}",
            again.ruling.message
        );
    }
}

#[test]
fn what_may_have_been_forgotten_is_granted_anew_after_that() {
    let made = Made::new();
    let store = Store::in_memory().unwrap();
    let guard = made.cast.guard(&store);
    let (_, presented) = made.at(NOW);
    revoke(&store, Revocation::Subject { subject: "user:bob".to_owned(), root: None });
    store.collect_trusting_the_clock(then(26 * 3600)).unwrap();
    // The clock goes back.
    let explanation = explained(&guard, &presented, then(1));
    assert_eq!(explanation.ruling.cause.map(Cause::as_str), Some("revocations_forgotten"));
    let mut mended = made.clone();
    let now = mended.apply(&explanation.remedies[0].changes[0]);
    assert_eq!(now, then(61));
    assert_eq!(explained(&guard, &mended.at(now).1, now).ruling.cause, None);
}

/// A grant with these words besides, in the forge.
fn grant_of(holder: &PrivateKey, depth: u8) -> String {
    let holder = hex::encode(holder.public().to_bytes());
    format!(
        r#"hardtack(1); subject("user:alice"); scope("tools:call:*"); audience("notion.mcp"); issued(2026-11-23T10:00:00Z);
           expires(2026-11-23T11:00:00Z); max_depth({depth}); holder(hex:{holder});"#
    )
}

fn hop_of(number: usize, holder: &PrivateKey, scope: &str, expires: &str, more: &str) -> String {
    let holder = hex::encode(holder.public().to_bytes());
    format!(
        r#"hop({number}); delegate("agent.researcher"); reason("find"); scope("{scope}"); expires(2026-11-23T{expires}Z); holder(hex:{holder}); {more}"#
    )
}

#[test]
fn a_chain_that_widens_or_is_signed_by_others_is_mended_as_it_is_said() {
    let cast = Cast::new();
    let presented = Capability::parse(cast.presented().bearer()).unwrap().to_bytes();
    let forged = |grant: String, hops: Vec<String>, last_by: &PrivateKey| {
        let number = hops.len() + 1;
        let forge = Forge::of(&presented, &cast.root, &[&cast.orchestrator, &cast.researcher]);
        let mut forge = forge.change(|forge| forge.blocks.truncate(1)).write(0, &grant);
        for (at, hop) in hops.iter().enumerate() {
            let signer = if at == 0 { &cast.orchestrator } else { &cast.researcher };
            forge = forge.append(hop, Some(signer));
        }
        let last = format!(
            r#"hop({number}); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#
        );
        forge.append(&last, Some(last_by)).bearer()
    };
    let grant = || grant_of(&cast.orchestrator, 8);
    let hop = |scope: &str, expires: &str, more: &str| {
        vec![hop_of(1, &cast.researcher, scope, expires, more)]
    };
    let sound = || hop("tools:call:search", "10:10:00", "");
    let two = || {
        let more = hop_of(2, &cast.researcher, "tools:call:search", "10:10:00", "");
        [sound(), vec![more]].concat()
    };
    let researcher = &cast.researcher;
    let store = Store::in_memory().unwrap();
    let guard = cast.guard(&store);
    for (cause, said, wrong, mended) in [
        (
            "scope_wider",
            "make the delegation to agent.researcher anew without the scope resources:read",
            forged(grant(), hop("resources:read", "10:10:00", ""), researcher),
            forged(grant(), sound(), researcher),
        ),
        (
            "audience_wider",
            "without the audience mail.mcp",
            forged(
                grant(),
                hop("tools:call:search", "10:10:00", r#"audience("mail.mcp");"#),
                researcher,
            ),
            forged(grant(), sound(), researcher),
        ),
        (
            "expiry_wider",
            "to expire at 2026-11-23T11:00:00Z or before",
            forged(grant(), hop("tools:call:search", "11:00:01", ""), researcher),
            forged(grant(), sound(), researcher),
        ),
        (
            "too_deep",
            "have the issuer make the grant of user:alice anew for 2 hops (--max-depth 2)",
            forged(grant_of(&cast.orchestrator, 1), two(), researcher),
            forged(grant_of(&cast.orchestrator, 2), two(), researcher),
        ),
        (
            "wrong_signer",
            "have agent.researcher make the presentation anew, signed with the key to which the block before it is bound",
            forged(grant(), sound(), &cast.thief),
            forged(grant(), sound(), researcher),
        ),
        (
            "root_as_holder",
            "have the issuer make the grant of user:alice anew for a key that is no root's",
            forged(grant_of(&cast.root, 8), sound(), researcher),
            forged(grant(), sound(), researcher),
        ),
        (
            "issued_after_expiry",
            "have the issuer make the grant of user:alice anew",
            forged(
                grant()
                    .replace("issued(2026-11-23T10:00:00Z)", "issued(2026-11-23T10:00:30Z)")
                    .replace("expires(2026-11-23T11:00:00Z)", "expires(2026-11-23T10:00:20Z)"),
                sound(),
                researcher,
            ),
            forged(grant(), sound(), researcher),
        ),
        (
            "too_long_lived",
            "have the issuer make the grant of user:alice anew with a shorter life (--ttl)",
            forged(
                grant().replace("expires(2026-11-23T11", "expires(2026-11-25T11"),
                sound(),
                researcher,
            ),
            forged(grant(), sound(), researcher),
        ),
    ] {
        let explanation = guard.explain(&wrong, &search(), NOW);
        assert_eq!(
            explanation.ruling.cause.map(Cause::as_str),
            Some(cause),
            "{}",
            explanation.ruling.message
        );
        let text = explanation.remedies[0].changes[0].text();
        assert!(text.contains(said), "{cause}: {text}");
        let after = guard.explain(&mended, &search(), NOW);
        assert_eq!(after.ruling.cause, None, "{cause}: {}", after.ruling.message);
    }
}

#[test]
fn a_capability_is_presented_and_a_clock_is_set_right() {
    let cast = Cast::new();
    let store = Store::in_memory().unwrap();
    let guard = cast.guard(&store);
    let capability = cast.researchers();
    let explanation = guard.explain(&capability.to_base64(), &search(), NOW);
    assert_eq!(explanation.ruling.cause.map(Cause::as_str), Some("not_presented"));
    let Change::Present { audience: Some(audience), .. } = &explanation.remedies[0].changes[0]
    else {
        panic!("{explanation:#?}")
    };
    let presented = capability.present(Presenting::to(audience), &cast.researcher, NOW).unwrap();
    assert_eq!(explained(&guard, &presented, NOW).ruling.cause, None);
    // The issuer's clock is two minutes ahead of the server's.
    let (_, presented) = Made { issued: then(120), ..Made::new() }.at(then(120));
    let explanation = explained(&guard, &presented, NOW);
    assert_eq!(explanation.ruling.cause.map(Cause::as_str), Some("not_yet_issued"));
    assert!(explanation.remedies[0].changes[0].text().contains("compare the clocks"));
    assert_eq!(explained(&guard, &presented, then(120)).ruling.cause, None);
}

#[test]
fn knowledge_that_is_too_old_is_renewed() {
    let cast = Cast::new();
    let store = Store::in_memory().unwrap();
    let list = |at| store.reader().revocation_list(at).unwrap();
    let known = Revocations::copied(&list(NOW));
    let verifier = Verifier::new(cast.roots(), AUDIENCE, known.clone()).unwrap();
    let guard = Guard::unrecorded(verifier, Policy::builtin());
    let explanation = explained(&guard, &cast.presented(), then(31));
    assert_eq!(explanation.ruling.cause.map(Cause::as_str), Some("revocations_stale"));
    assert!(explanation.remedies[0].changes[0].text().contains("up to date"));
    known.renew(&list(then(31)), then(31)).unwrap();
    assert_eq!(explained(&guard, &cast.presented(), then(31)).ruling.cause, None);
}

#[test]
fn a_chain_that_is_bound_to_nobody_is_bound_where_it_is_said() {
    let cast = Cast::new();
    let unbound = cast.issuer().mint(Grant::to("user:alice").scope("*").unbound(), NOW).unwrap();
    // A caveat stands between the grant and what stands on it.
    let hop = hop_of(2, &cast.researcher, "tools:call:search", "10:10:00", "");
    let last = r#"hop(3); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:02:00Z);"#;
    let forged = Forge::of(&unbound.to_bytes(), &cast.root, &[]).append("check if true;", None);
    let forged = forged.append(&hop, Some(&cast.orchestrator)).append(last, Some(&cast.researcher));
    let verifier = cast.verifier().accept_unbound_hops();
    let guard = Guard::unrecorded(verifier, Policy::builtin());
    let explanation = guard.explain(&forged.bearer(), &search(), NOW);
    assert_eq!(
        (explanation.ruling.cause.map(Cause::as_str), explanation.ruling.hop),
        (Some("foreign_signer"), Some(2))
    );
    let change = &explanation.remedies[0].changes[0];
    assert!(matches!(change, Change::Renew { block: 0, .. }), "{change:?}");
    assert!(change.text().contains("have the issuer make the grant of user:alice anew, bound"));
    let bound = Grant::to("user:alice").scope("*").holder(cast.orchestrator.public());
    let bound = cast.issuer().mint(bound, NOW).unwrap();
    let mended = Forge::of(&bound.to_bytes(), &cast.root, &[]).append("check if true;", None);
    let mended = mended.append(&hop, Some(&cast.orchestrator)).append(last, Some(&cast.researcher));
    assert_eq!(guard.explain(&mended.bearer(), &search(), NOW).ruling.cause, None);
}
