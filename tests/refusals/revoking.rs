//! Refused to revoke: who has not the scope stops whom it delegated to, and shows that it did.

use crate::*;

/// What the guard says to the orchestrator, which presents its grant to revoke the first hop of `shown`.
fn revoking_by(presented: &PrivateKey, shown: &Capability, proof: &Capability) -> &'static str {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let revocation = Revocation::Id { id: shown.chain().hops[0].revocation_id };
    let request = RevocationRequest::new(revocation, "laptop stolen", Some(proof)).unwrap();
    let grant = cast.issuer().mint(cast.grant_of(&["tools:*"]).holder(presented.public()), NOW);
    let bearer = grant.unwrap().present_to_revoke(AUDIENCE, &request, presented, NOW).unwrap();
    match cast.guard(&store).check_revocation(bearer.bearer(), &request, NOW) {
        Ok(_) => "allowed",
        Err(denial) => denial.refusal().cause.as_str(),
    }
}

#[test]
fn a_proof_that_no_trusted_root_signed() {
    let (cast, genuine) = (Cast::new(), seed());
    assert_eq!(
        revoking_by(&cast.orchestrator, &genuine.capability(), &genuine.capability()),
        "allowed"
    );
    let forged = seed().change(|f| f.root = forge::pair(&cast.thief)).capability();
    assert_eq!(revoking_by(&cast.orchestrator, &forged, &forged), "revocation_proof");
}

/// Whoever writes itself in as the delegator of a hop that it did not sign.
#[test]
fn a_proof_in_which_a_hop_is_not_signed_by_its_delegator() {
    let cast = Cast::new();
    let by_a_thief = seed().change(|f| f.blocks[1].signer = Some(forge::pair(&cast.thief)));
    let by_a_thief = by_a_thief.capability();
    assert_eq!(revoking_by(&cast.thief, &by_a_thief, &by_a_thief), "revocation_proof");
    let mut pasted = seed().sign();
    let other = seed().change(|f| f.blocks[0].next = KeyPair::new()).sign();
    pasted.blocks[0].external_signature = other.blocks[0].external_signature.clone();
    let pasted = Capability::parse(&forge::base64(&pasted.encode_to_vec())).unwrap();
    assert_eq!(revoking_by(&cast.orchestrator, &pasted, &pasted), "revocation_proof");
}

#[test]
fn a_hop_that_somebody_else_delegated_or_that_is_not_shown() {
    let (cast, genuine) = (Cast::new(), seed().capability());
    assert_eq!(revoking_by(&cast.researcher, &genuine, &genuine), "revocation_by_stranger");
    let other = cast.researchers();
    assert_eq!(revoking_by(&cast.orchestrator, &genuine, &other), "revocation_not_in_proof");
}

/// What a guard that accepts unbound hops says to `presented`, which shows `proof` to revoke its last hop.
fn said_where_unbound_hops_are_accepted(
    presenting: &Capability,
    key: &PrivateKey,
    proof: &Capability,
) -> &'static str {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let guard = Guard::new(verifier.accept_unbound_hops(), Policy::builtin(), store);
    let revocation = Revocation::Id { id: proof.chain().hops.last().unwrap().revocation_id };
    let request = RevocationRequest::new(revocation, "laptop stolen", Some(proof)).unwrap();
    let bearer = presenting.present_to_revoke(AUDIENCE, &request, key, NOW).unwrap();
    match guard.check_revocation(bearer.bearer(), &request, NOW) {
        Ok(_) => "allowed",
        Err(denial) => denial.refusal().cause.as_str(),
    }
}

/// alice's grant to nobody in particular, passed on to the researcher by whoever has it.
fn passed_on_by_anybody(cast: &Cast) -> Capability {
    let grant = Grant::to("user:alice").scope("tools:*").unbound();
    let grant = cast.issuer().mint(grant, NOW).unwrap();
    let hop = Delegation::to("agent.researcher").scope("tools:*").reason("find").ttl(minutes(10));
    grant.delegate_unbound(hop.holder(cast.researcher.public()), NOW).unwrap()
}

#[test]
fn a_hop_that_nobody_signed_gives_no_right_to_revoke() {
    let cast = Cast::new();
    let helper = |parent: &Capability, key: &PrivateKey| {
        let hop = Delegation::to("agent.helper").scope("tools:call:search").reason("help");
        parent.delegate(hop.holder(cast.thief.public()).ttl(minutes(5)), key, NOW).unwrap()
    };
    // The researcher delegated the hop, and holds a capability in which all is signed.
    let signed = cast.grant().delegate(cast.to_researcher(), &cast.orchestrator, NOW).unwrap();
    let proof = helper(&signed, &cast.researcher);
    let said = said_where_unbound_hops_are_accepted;
    assert_eq!(said(&signed, &cast.researcher, &proof), "allowed");
    let unbound = passed_on_by_anybody(&cast);
    assert_eq!(said(&unbound, &cast.researcher, &proof), "unbound", "the presented chain");
    let proof = helper(&unbound, &cast.researcher);
    assert_eq!(said(&signed, &cast.researcher, &proof), "revocation_proof", "the proof");
}

#[test]
fn a_presentation_that_nobody_signed_gives_no_right_to_revoke() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
    let guard = Guard::new(verifier.accept_unbound_hops(), Policy::builtin(), store);
    let proof = cast.researchers();
    let revocation = Revocation::Id { id: proof.chain().hops[0].revocation_id };
    let request = RevocationRequest::new(revocation, "lost", Some(&proof)).unwrap();
    // What is presented so must be granted; then the grant is another one.
    let grant = Grant::to("user:alice").scope(revoke::REVOKE).unbound();
    let grant = cast.issuer().mint(grant, NOW).unwrap();
    let presenting = Presenting::to(AUDIENCE).call(request.call().clone());
    let presented = grant.present_unbound(presenting, NOW).unwrap();
    let presented = Capability::parse(presented.bearer()).unwrap().to_bytes();
    let mut known = 1024;
    let forged = Forge::of(&presented, &cast.root, &[]).edit(0, |block| {
        known += block.symbols.len() as u64;
        let scope = block.symbols.iter_mut().find(|symbol| *symbol == revoke::REVOKE).unwrap();
        *scope = "tools:call:search".to_owned();
    });
    // It has another parent now, which it need not name.
    let forged = forged.edit(1, |block| {
        let parent = block.symbols.iter().position(|symbol| symbol == "parent").unwrap() as u64;
        block.facts.retain(|fact| fact.predicate.name != known + parent);
    });
    let denial = guard.check_revocation(&forged.bearer(), &request, NOW).unwrap_err();
    assert_eq!(denial.refusal().cause.as_str(), "unbound");
}

#[test]
fn a_request_that_could_never_be_recorded_is_none() {
    let id = cast_hop();
    let request = |reason: &str| RevocationRequest::new(Revocation::Id { id }, reason, None);
    assert!(request("lost").is_ok());
    for reason in ["", " ", "a\nb", &"a".repeat(257)] {
        assert!(request(reason).is_err(), "{reason:?}");
    }
    let agent = |agent: &str| {
        RevocationRequest::new(Revocation::Agent { agent: agent.to_owned() }, "lost", None)
    };
    assert!(agent("agent.helper").is_ok());
    assert!(agent("user:alice").is_err(), "no agent has such a name");
    let also = r#"{"revocation":{"kind":"agent","agent":"a"},"reason":"x","also":1}"#;
    assert!(RevocationRequest::parse(also).is_err(), "a member that nobody reads");
}

#[test]
fn what_is_not_known_here_is_not_taken_for_something_broader_or_narrower() {
    let parsed = |revocation: &str, more: &str| {
        let request = format!(r#"{{"revocation":{revocation},"reason":"x"{more}}}"#);
        RevocationRequest::parse(&request).is_ok()
    };
    let agent = r#"{"kind":"agent_until_now","agent":"agent.a"}"#;
    assert!(parsed(agent, ""));
    assert!(parsed(r#"{"kind":"subject","subject":"user:a"}"#, ""), "of every root");
    assert!(parsed(agent, r#","dry_run":true"#));
    let beginning =
        |digits: usize| format!(r#"{{"kind":"id_prefix","id":"{}"}}"#, "a".repeat(digits));
    assert!(parsed(&beginning(16), "") && parsed(&beginning(127), ""));
    for wrong in [
        r#"{"kind":"agent_until_now","agent":"agent.a","for_good":true}"#,
        r#"{"kind":"agent","agent":"agent.a","until":"2026-11-23T10:00:00Z"}"#,
        r#"{"kind":"agent_until_then","agent":"agent.a"}"#,
        r#"{"kind":"subject","subject":"user:a","agent":"agent.a"}"#,
        r#"{"kind":"id_prefix","id":"aaaaaaaaaaaaaaaa","root":null}"#,
        r#"{"agent":"agent.a"}"#,
        r#""agent.a""#,
    ] {
        assert!(!parsed(wrong, ""), "{wrong}");
    }
    assert!(!parsed(&beginning(15), ""), "too little of an id");
    assert!(!parsed(&beginning(128), ""), "a whole one");
    assert!(!parsed(agent, r#","dry-run":true"#) && !parsed(agent, r#","dry_run":"true""#));
    let asked = RevocationRequest::new(Revocation::Id { id: cast_hop() }, "x", None).unwrap();
    let dry = asked.clone().dry_run().unwrap();
    assert_ne!(asked.call().digest(), dry.call().digest(), "one presentation is not good for both");
}

#[test]
fn the_beginning_of_an_id_is_looked_up_only_for_whoever_may_revoke_anything() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let ids = [RevocationId::from_bytes([0xaa; 64]), RevocationId::from_bytes([0xab; 64])];
    let said = |scope: &str, found: &[RevocationId]| {
        let request = RevocationRequest::beginning("aaaaaaaaaaaaaaaa".parse().unwrap(), "lost");
        let request = request.unwrap();
        let grant = cast.issuer().mint(cast.grant_of(&[scope]), NOW).unwrap();
        let bearer = grant.present_to_revoke(AUDIENCE, &request, &cast.orchestrator, NOW).unwrap();
        let looked = std::cell::Cell::new(false);
        let seen = |_: &chain::IdPrefix| {
            looked.set(true);
            found.to_vec()
        };
        let said = guard.check_revocation_among(bearer.bearer(), &request, seen, NOW);
        (said.map_err(|denial| denial.refusal().cause.as_str()), looked.get())
    };
    let revoking = Revoking::new(Revocation::Id { id: ids[0] }, "user:alice", "lost").unwrap();
    assert_eq!(said(revoke::REVOKE, &ids[..1]), (Ok(revoking), true));
    assert_eq!(said(revoke::REVOKE, &[]), (Err("revocation_id_unknown"), true));
    assert_eq!(said(revoke::REVOKE, &ids), (Err("revocation_id_ambiguous"), true));
    for found in [&ids[..0], &ids[..1], &ids] {
        assert_eq!(said("tools:*", found), (Err("revocation_not_an_id"), false));
    }
}

fn cast_hop() -> RevocationId {
    Cast::new().researchers().chain().hops[0].revocation_id
}

#[test]
fn a_proof_is_sent_sealed() {
    let cast = Cast::new();
    let passes_on = |capability: &Capability| {
        let hop = Delegation::to("agent.helper").scope("tools:call:search").reason("help");
        let hop = hop.holder(cast.thief.public()).ttl(minutes(5));
        capability.delegate(hop, &cast.researcher, NOW).is_ok()
    };
    let (open, presented) = (cast.researchers(), cast.presented());
    assert!(passes_on(&open));
    for proof in [&open, &Capability::parse(presented.bearer()).unwrap()] {
        let revocation = Revocation::Id { id: cast_hop() };
        let request = RevocationRequest::new(revocation, "lost", Some(proof)).unwrap();
        let sent = request.call().arguments_json()["proof"].as_str().unwrap();
        assert!(!passes_on(&Capability::parse(sent).unwrap()), "whoever reads it can append to it");
    }
}

#[test]
fn whoever_delegated_further_down_does_not_stop_what_is_above() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let hop = Delegation::to("agent.helper").scope("tools:call:search").reason("help");
    let hop = hop.holder(cast.thief.public()).ttl(minutes(5));
    let researcher = cast.researchers();
    let helper = researcher.delegate(hop, &cast.researcher, NOW).unwrap();
    let said = |hop: usize| {
        let revocation = Revocation::Id { id: helper.chain().hops[hop].revocation_id };
        let request = RevocationRequest::new(revocation, "lost", Some(&helper)).unwrap();
        let bearer = researcher.present_to_revoke(AUDIENCE, &request, &cast.researcher, NOW);
        let checked = cast.guard(&store).check_revocation(bearer.unwrap().bearer(), &request, NOW);
        checked.map_or_else(|denial| denial.refusal().cause.as_str(), |_| "allowed")
    };
    assert_eq!(said(0), "revocation_by_stranger", "the researcher stops its own delegator's hop");
    assert_eq!(said(1), "allowed");
}

#[test]
fn the_longest_names_of_a_revoker_are_recorded_as_far_as_there_is_room() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let subject = format!("user:{}", "s".repeat(123));
    let grant = Grant::to(subject).scope("tools:*").holder(cast.orchestrator.public());
    let grant = cast.issuer().mint(grant, NOW).unwrap();
    let hop = Delegation::to("a".repeat(128)).scope("tools:*").reason("x");
    let hop = hop.holder(cast.researcher.public()).ttl(minutes(10));
    let presenting = grant.delegate(hop, &cast.orchestrator, NOW).unwrap();
    let hop = Delegation::to("agent.helper").scope("tools:*").reason("x").ttl(minutes(5));
    let helper = presenting.delegate(hop.holder(cast.thief.public()), &cast.researcher, NOW);
    let helper = helper.unwrap();
    let revocation = Revocation::Id { id: helper.chain().hops[1].revocation_id };
    let request = RevocationRequest::new(revocation, "lost", Some(&helper)).unwrap();
    let bearer = presenting.present_to_revoke(AUDIENCE, &request, &cast.researcher, NOW).unwrap();
    let revoking = cast.guard(&store).check_revocation(bearer.bearer(), &request, NOW).unwrap();
    store.revoke(revoking, NOW).unwrap();
    let by = store.list_revocations().unwrap()[0].notice.by.clone();
    assert_eq!(by.len(), 256, "{by}");
    assert!(by.starts_with(&format!("{} for user:sss", "a".repeat(128))), "{by}");
}
