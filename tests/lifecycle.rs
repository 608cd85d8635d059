//! The life of a capability, as the README tells it.

use hardtack::*;
use hardtack_testkit::*;

#[test]
fn a_granted_call_is_allowed_and_recorded() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let permit = cast.guard(&store).check(cast.presented().bearer(), &search(), NOW).unwrap();
    assert_eq!((permit.subject(), permit.agent()), ("user:alice", Some("agent.researcher")));
    assert_eq!(permit.sequence(), Some(1));
    assert_eq!(permit.allowed_by().file, "default.datalog");
    let mut records = Vec::new();
    store.each_record(|record| records.push(record)).unwrap();
    let decision = records[0].decision().unwrap();
    let chain = decision.chain.as_ref().unwrap();
    assert_eq!(chain.hops[0].reason, "find the roadmap page");
    assert_eq!(decision.verdict, audit::Verdict::Allow);
    let again = cast.guard(&store).check(cast.presented().bearer(), &search(), NOW).unwrap();
    assert_eq!(again.sequence(), Some(2));
}

/// Where an error would end more than the call, the server says it.
#[test]
fn a_call_that_is_not_covered_is_presented_if_asked_for_and_refused_and_recorded() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let delete = || Call::tool("delete_page").unwrap();
    let present = |presenting| cast.researchers().present(presenting, &cast.researcher, NOW);
    let presenting = || Presenting::to(AUDIENCE).call(delete());
    assert!(matches!(present(presenting()), Err(PresentError::NotGranted { .. })));
    let once = present(presenting().even_uncovered()).unwrap();
    let only = Presenting::to(AUDIENCE).only([delete(), search()]).even_uncovered();
    let only = present(only).unwrap();
    for bearer in [&once, &only] {
        assert_eq!(refusal(&guard, bearer.bearer(), &delete()), ("not_granted", Some(1)));
    }
    guard.check(only.bearer(), &search(), NOW).unwrap();
    assert_eq!(refusal(&guard, once.bearer(), &search()), ("other_call", None));
    let mut causes = Vec::new();
    let note = |record: AuditRecord| causes.extend(record.decision().unwrap().cause.clone());
    store.each_record(note).unwrap();
    assert_eq!(causes, [Cause::NotGranted, Cause::NotGranted, Cause::OtherCall]);
    // All else is as strict as ever.
    let elsewhere = Presenting::to("not an audience").call(delete()).even_uncovered();
    assert!(present(elsewhere).is_err());
}

#[test]
fn a_preview_is_one_word_in_json() {
    let words = [Preview::Allowed, Preview::DependsOnArguments, Preview::Denied]
        .map(|preview| serde_json::to_string(&preview).unwrap());
    assert_eq!(words, ["\"allowed\"", "\"depends_on_arguments\"", "\"denied\""]);
}

#[test]
fn a_subject_presents_its_own_grant() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let bearer = cast.grant().present(Presenting::to(AUDIENCE), &cast.orchestrator, NOW).unwrap();
    let permit = cast.guard(&store).check(bearer.bearer(), &search(), NOW).unwrap();
    assert_eq!(permit.agent(), None);
}

#[test]
fn a_verified_capability_says_what_was_verified_and_a_verifier_who_it_is() {
    let cast = Cast::new();
    let roots = cast.roots().named("staging");
    let verifier = Verifier::new(roots, AUDIENCE, revocation::RevocationUnchecked).unwrap();
    assert_eq!(verifier.audience(), AUDIENCE);
    assert!(format!("{verifier:?}").contains(AUDIENCE));
    let verified = verifier.verify(cast.presented().bearer(), NOW).unwrap();
    assert_eq!((verified.subject(), verified.agent()), ("user:alice", Some("agent.researcher")));
    assert_eq!((verified.issuer(), verified.root()), ("staging", cast.root.public()));
    assert_eq!(verified.verified_at(), NOW);
    assert_eq!(verified.presentation().audience, AUDIENCE);
    assert_eq!(verified.chain().hops[0].delegate, "agent.researcher");
}

#[test]
fn a_chain_says_who_holds_it_for_what_where_and_until_when() {
    let cast = Cast::new();
    let [grant, hop, presented] =
        [cast.grant(), cast.researchers(), Capability::parse(cast.presented().bearer()).unwrap()]
            .map(|capability| capability.chain().clone());
    let scopes = |chain: &Chain| Vec::from_iter(chain.scopes().iter().map(ToString::to_string));
    assert_eq!([grant.depth(), hop.depth(), presented.depth()], [0, 1, 1]);
    assert_eq!([grant.bearer_name(), hop.bearer_name()], ["user:alice", "agent.researcher"]);
    assert_eq!(grant.holder(), Some(cast.orchestrator.public()));
    assert_eq!(hop.holder(), Some(cast.researcher.public()));
    assert_eq!(
        (scopes(&grant), scopes(&hop)),
        (vec!["tools:call:*".to_owned()], { vec!["tools:call:search".to_owned()] })
    );
    let nowhere: &[String] = &[];
    assert_eq!((hop.audiences(), presented.audiences()), (nowhere, &[AUDIENCE.to_owned()][..]));
    let expiries = [60, 15, 5].map(|minutes| NOW + hardtack_testkit::minutes(minutes));
    assert_eq!([grant.expires(), hop.expires(), presented.expires()], expiries);
    assert_eq!(presented.agents().collect::<Vec<_>>(), [(1, "agent.researcher")]);
    let holders = [(0, cast.orchestrator.public()), (1, cast.researcher.public())];
    assert_eq!(presented.holders().collect::<Vec<_>>(), holders);
    let id = hop.hops[0].revocation_id;
    assert_eq!(id.to_string().parse::<RevocationId>(), Ok(id));
    assert_eq!(format!("{id:?}"), id.to_string());
}

#[test]
fn another_tool_and_another_server_are_refused() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let delete = Call::tool("delete_page").unwrap();
    assert_eq!(refusal(&guard, cast.presented().bearer(), &delete), ("not_granted", Some(1)));
    let elsewhere =
        cast.researchers().present(Presenting::to("mail.mcp"), &cast.researcher, NOW).unwrap();
    assert_eq!(refusal(&guard, elsewhere.bearer(), &search()), ("wrong_audience", None));
}

#[test]
fn a_stolen_capability_cannot_be_presented() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let stolen = cast.researchers();
    assert!(matches!(
        stolen.present(Presenting::to(AUDIENCE), &cast.thief, NOW),
        Err(PresentError::Holder(_))
    ));
    assert_eq!(
        refusal(&cast.guard(&store), &stolen.to_base64(), &search()),
        ("not_presented", None)
    );
}

#[test]
fn revoking_the_parent_kills_the_child_and_not_its_sibling() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let first = cast.researchers();
    let second = cast.researchers();
    let below = |parent: &Capability| {
        let helper = PrivateKey::generate();
        let hop = Delegation::to("agent.helper")
            .scope("tools:call:search")
            .reason("help")
            .holder(helper.public());
        let child = parent.delegate(hop, &cast.researcher, NOW).unwrap();
        child.present(Presenting::to(AUDIENCE), &helper, NOW).unwrap()
    };
    let (child, sibling) = (below(&first), below(&second));
    guard.check(child.bearer(), &search(), NOW).unwrap();
    revoke(&store, Revocation::Id { id: first.chain().hops[0].revocation_id });
    assert_eq!(refusal(&guard, child.bearer(), &search()), ("revoked", Some(1)));
    guard.check(sibling.bearer(), &search(), NOW).unwrap();
}

#[test]
fn every_kind_of_revocation_stops_the_chain() {
    let cast = Cast::new();
    let chain = cast.researchers().chain().clone();
    let bearer = cast.presented();
    let block_signature = chain.signatures().filter(|(block, _)| *block == 1).nth(1).unwrap().1;
    let of_other_token = cast.presented();
    for (revocation, expected) in [
        (Revocation::Subject { subject: "user:alice".into(), root: None }, 0),
        (Revocation::Subject { subject: "user:alice".into(), root: Some(cast.root.public()) }, 0),
        (Revocation::Holder { key: cast.orchestrator.public() }, 0),
        (Revocation::Holder { key: cast.researcher.public() }, 1),
        (Revocation::Agent { agent: "agent.researcher".into() }, 1),
        (Revocation::AgentUntilNow { agent: "agent.researcher".into() }, 1),
    ] {
        let store = Store::in_memory().unwrap();
        revoke(&store, revocation.clone());
        let guard = cast.guard(&store);
        assert_eq!(
            refusal(&guard, bearer.bearer(), &search()),
            ("revoked", Some(expected)),
            "{revocation}"
        );
    }
    for revocation in [
        Revocation::Subject { subject: "user:bob".into(), root: None },
        Revocation::Subject { subject: "user:alice".into(), root: Some(cast.thief.public()) },
        Revocation::Id { id: block_signature },
        Revocation::AgentUntilNow { agent: "agent.orchestrator".into() },
    ] {
        let store = Store::in_memory().unwrap();
        revoke(&store, revocation.clone());
        cast.guard(&store).check(of_other_token.bearer(), &search(), NOW).unwrap();
    }
}

#[test]
fn a_subject_or_agent_may_be_granted_anew_a_minute_after_it_was_revoked_and_is_told_so() {
    for revocation in [
        Revocation::Subject { subject: "user:alice".into(), root: None },
        Revocation::AgentUntilNow { agent: "agent.researcher".into() },
    ] {
        let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
        revoke(&store, revocation.clone());
        let guard = cast.guard(&store);
        let after = |seconds| NOW + std::time::Duration::from_secs(seconds);
        let granted = |seconds| {
            let grant = cast.issuer().mint(cast.grant_of(&["tools:call:*"]), after(seconds));
            let hop = cast.to_researcher();
            let hop = grant.unwrap().delegate(hop, &cast.orchestrator, after(seconds)).unwrap();
            hop.present(Presenting::to(AUDIENCE), &cast.researcher, after(seconds)).unwrap()
        };
        for (issued, asked, wait) in [(0, 0, 61), (60, 60, 1), (30, 59, 2)] {
            let denial =
                guard.check(granted(issued).bearer(), &search(), after(asked)).unwrap_err();
            let refusal = denial.refusal();
            assert_eq!(refusal.retry_after.map(|wait| wait.as_secs()), Some(wait), "{revocation}");
            let until = format!("a grant that is issued after {} is a new one", after(60));
            assert!(refusal.message.contains(&until), "{revocation}: {}", refusal.message);
        }
        // Once the minute is over, a new grant holds at once; the old one never does.
        let denial = guard.check(granted(60).bearer(), &search(), after(61)).unwrap_err();
        assert_eq!(
            (denial.refusal().cause.as_str(), denial.refusal().retry_after),
            ("revoked", None)
        );
        guard.check(granted(61).bearer(), &search(), after(61)).unwrap();
    }
}

#[test]
fn where_a_new_grant_makes_no_difference_nobody_is_told_to_wait() {
    let (cast, bearer) = (Cast::new(), Cast::new().presented());
    let hop = Capability::parse(bearer.bearer()).unwrap().chain().hops[0].revocation_id;
    for revocation in [
        Revocation::Holder { key: cast.researcher.public() },
        Revocation::Agent { agent: "agent.researcher".into() },
        Revocation::Id { id: hop },
    ] {
        let store = Store::in_memory().unwrap();
        revoke(&store, revocation.clone());
        let denial = cast.guard(&store).check(bearer.bearer(), &search(), NOW).unwrap_err();
        let refusal = denial.refusal();
        assert_eq!(
            (refusal.cause.as_str(), refusal.retry_after),
            ("revoked", None),
            "{revocation}"
        );
    }
}

#[test]
fn a_call_bound_presentation_is_good_for_its_exact_call_and_once() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let call = search().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let presenting = Presenting::to(AUDIENCE).call(call.clone());
    let bearer = cast.researchers().present(presenting, &cast.researcher, NOW).unwrap();
    let other = search().arguments(r#"{"query": "salaries"}"#).unwrap();
    assert_eq!(refusal(&guard, bearer.bearer(), &other), ("other_call", None));
    guard.check(bearer.bearer(), &call, NOW).unwrap();
    assert_eq!(refusal(&guard, bearer.bearer(), &call), ("replayed", Some(2)));
}

#[test]
fn of_many_at_once_one_call_bound_presentation_is_accepted() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let presenting = Presenting::to(AUDIENCE).call(search());
    let bearer = cast.researchers().present(presenting, &cast.researcher, NOW).unwrap();
    let accepted = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..32)
            .map(|_| scope.spawn(|| guard.check(bearer.bearer(), &search(), NOW).is_ok()))
            .collect();
        tries
            .into_iter()
            .filter(|_| true)
            .map(|t| t.join().unwrap())
            .filter(|accepted| *accepted)
            .count()
    });
    assert_eq!(accepted, 1);
}

#[test]
fn widening_is_an_error_that_names_what_is_wider_than_what() {
    let cast = Cast::new();
    let grant = cast
        .issuer()
        .mint(cast.grant_of(&["tools:call:*"]).audience(AUDIENCE).max_depth(1), NOW)
        .unwrap();
    let error =
        |delegation| grant.delegate(delegation, &cast.orchestrator, NOW).unwrap_err().to_string();
    assert_eq!(
        error(cast.to_researcher().scope("resources:read")),
        "the scope resources:read is not covered by any scope of its parent: tools:call:*"
    );
    assert_eq!(
        error(cast.to_researcher().audience("mail.mcp")),
        "the audience mail.mcp is not among its parent's: notion.mcp"
    );
    let late = NOW + minutes(50);
    let outlives = grant.delegate(cast.to_researcher().ttl(minutes(20)), &cast.orchestrator, late);
    assert_eq!(
        outlives.unwrap_err().to_string(),
        "it would expire at 2026-11-23T11:10:00Z, after its parent, which expires at 2026-11-23T11:00:00Z; ask for at most 10m"
    );
    let child = grant.delegate(cast.to_researcher(), &cast.orchestrator, NOW).unwrap();
    let deeper = child.delegate(cast.to_researcher(), &cast.researcher, NOW).unwrap_err();
    assert_eq!(deeper.to_string(), "the grant allows 1 hops, and they are used up");
}

#[test]
fn the_wrong_key_is_told_which_holder_is_expected() {
    let cast = Cast::new();
    let error =
        cast.grant().delegate(cast.to_researcher(), &cast.thief, NOW).unwrap_err().to_string();
    assert!(error.contains(&cast.orchestrator.public().to_string()), "{error}");
}

#[test]
fn a_chain_in_which_a_key_comes_back_holds() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let back = Delegation::to("agent.orchestrator")
        .scope("tools:call:search")
        .reason("finish")
        .holder(cast.orchestrator.public());
    let capability = cast.researchers().delegate(back, &cast.researcher, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.orchestrator, NOW).unwrap();
    cast.guard(&store).check(bearer.bearer(), &search(), NOW).unwrap();
}

#[test]
fn a_delegators_check_binds_the_arguments() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let delegation = Delegation::to("agent.payer")
        .scope("tools:call:pay")
        .reason("pay the invoice")
        .holder(cast.researcher.public())
        .check(r#"check all arg("amount", $a), $a <= 100"#);
    let capability = cast.grant().delegate(delegation, &cast.orchestrator, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    let pay = |arguments| Call::tool("pay").unwrap().arguments(arguments).unwrap();
    guard.check(bearer.bearer(), &pay(r#"{"amount": 100}"#), NOW).unwrap();
    assert_eq!(
        refusal(&guard, bearer.bearer(), &pay(r#"{"amount": 101}"#)),
        ("check_failed", Some(1))
    );
    assert_eq!(refusal(&guard, bearer.bearer(), &pay("{}")), ("check_failed", Some(1)));
    assert_eq!(
        refusal(&guard, bearer.bearer(), &pay(r#"{"amount": "9"}"#)),
        ("not_evaluable", Some(1))
    );
}

#[test]
fn roots_can_be_rotated_by_id() {
    let cast = Cast::new();
    let new = PrivateKey::generate();
    let roots = RootKeys::default().and_with_id(1, cast.root.public()).and_with_id(2, new.public());
    let verifier = Verifier::new(roots, AUDIENCE, revocation::RevocationUnchecked).unwrap();
    let bearer = |issuer: Issuer| {
        let grant = issuer.mint(cast.grant_of(&["tools:call:*"]), NOW).unwrap();
        grant.present(Presenting::to(AUDIENCE), &cast.orchestrator, NOW).unwrap()
    };
    verifier.verify(bearer(cast.issuer().key_id(1)).bearer(), NOW).unwrap();
    verifier.verify(bearer(Issuer::new(new).key_id(2)).bearer(), NOW).unwrap();
    let unknown = verifier.verify(bearer(cast.issuer().key_id(3)).bearer(), NOW);
    assert_eq!(unknown.unwrap_err(), VerifyError::UnknownRoot);
    let swapped = verifier.verify(bearer(cast.issuer().key_id(2)).bearer(), NOW);
    assert_eq!(swapped.unwrap_err(), VerifyError::Signature { block: 0 });
}

#[test]
fn a_bearer_of_six_bound_hops_fits_into_a_header() {
    let cast = Cast::new();
    let mut holder = PrivateKey::from_bytes(&[2; 32]);
    let mut capability = cast.grant();
    for hop in 0..6 {
        let delegation = Delegation::to(format!("agent.number.{hop}"))
            .scope("tools:call:search")
            .reason("find the roadmap page for the release notes")
            .audience(AUDIENCE);
        let (delegation, next) = delegation.new_holder();
        capability = capability.delegate(delegation, &holder, NOW).unwrap();
        holder = next;
    }
    let bearer = capability.present(Presenting::to(AUDIENCE), &holder, NOW).unwrap();
    assert!(!bearer.is_long(), "{} characters", bearer.bearer().len());
    let store = Store::in_memory().unwrap();
    cast.guard(&store).check(bearer.bearer(), &search(), NOW).unwrap();
}

#[test]
fn an_agent_can_say_from_whom_it_expects_a_token() {
    use hardtack::capability::{AcceptError, Expect};
    let cast = Cast::new();
    let grant = cast.grant().to_base64();
    let root = |key, subject| Capability::accept(&grant, Expect::Root { key, subject }).err();
    assert_eq!(root(cast.root.public(), "user:alice"), None);
    assert_eq!(root(cast.thief.public(), "user:alice"), Some(AcceptError::Root));
    assert!(matches!(root(cast.root.public(), "user:bob"), Some(AcceptError::Subject { .. })));
    let delegated = cast.researchers().to_base64();
    let delegator = |key| Capability::accept(&delegated, Expect::Delegator { key }).err();
    assert_eq!(delegator(cast.orchestrator.public()), None);
    assert_eq!(delegator(cast.thief.public()), Some(AcceptError::Delegator));
}
