//! Refused for the call.

use crate::*;

#[test]
fn a_resource_of_a_scheme_that_is_not_judged() {
    let read = |uri| Call::tool("search").unwrap().resource(uri).unwrap();
    let policy = "allow if granted($op);";
    assert_eq!(authorized(&seed().bearer(), policy, &read("https://notion.so/page")), Ok(()));
    assert_eq!(
        authorized(&seed().bearer(), policy, &read("notion://page/1")),
        Err("resource_scheme")
    );
}

#[test]
fn arguments_that_make_a_check_too_costly() {
    let forged =
        with_hop(&r#"check all arg("ids", $ids), $ids.all($x -> $x > 0 && $x < 1000);"#.repeat(2));
    let call = |ids: usize| {
        let ids = (0..ids).map(|n| (n + 1).to_string()).collect::<Vec<_>>().join(",");
        search().arguments(&format!("{{\"ids\": [{ids}]}}")).unwrap()
    };
    let policy = "allow if granted($op);";
    assert_eq!(authorized(&forged.bearer(), policy, &call(20)), Ok(()));
    assert_eq!(authorized(&forged.bearer(), policy, &call(900)), Err("too_costly"));
}

#[test]
fn no_policy_allows_one_denies_or_a_check_fails() {
    let bearer = seed().bearer();
    for (policy, expected) in [
        ("allow if granted($op);", Ok(())),
        (r#"allow if tool("fetch");"#, Err("nothing_allows")),
        ("allow if granted($op); deny if depth(1);", Err("policy_denied")),
        ("deny if depth(1); allow if granted($op);", Err("policy_denied")),
        ("allow if granted($op); check if depth(2);", Err("policy_check_failed")),
        (r#"allow if granted($op), role("editor");"#, Ok(())),
        (
            r#"allow if granted($op), agent("agent.researcher"), subject("user:alice"), presented("session");"#,
            Ok(()),
        ),
        (r#"allow if delegated(1, "user:alice", "agent.researcher");"#, Ok(())),
        (r#"reading("search"); can($t) <- tool($t), reading($t); allow if can("search");"#, Ok(())),
        (r#"n($y) <- depth($x), $y == $x; allow if true;"#, Err("")),
    ] {
        match Policy::parse("test.datalog", policy) {
            Ok(_) => assert_eq!(authorized(&bearer, policy, &search()), expected, "{policy}"),
            Err(_) => assert_eq!(expected, Err(""), "{policy}"),
        }
    }
}

#[test]
fn a_presentation_for_no_call_is_good_for_none_and_one_for_named_calls_for_no_other() {
    let cast = Cast::new();
    let presented = |calls: Vec<Call>| {
        let presenting = Presenting::to(AUDIENCE).only(calls);
        let presented = cast.researchers().present(presenting, &cast.researcher, NOW).unwrap();
        presented.bearer().to_owned()
    };
    let policy = "allow if true;";
    let other = search().argument_json("page", "7").unwrap();
    assert_eq!(authorized(&presented(vec![]), policy, &search()), Err("check_failed"));
    assert_eq!(authorized(&presented(vec![other.clone()]), policy, &search()), Err("check_failed"));
    for call in [search(), other.clone()] {
        assert_eq!(authorized(&presented(vec![search(), other.clone()]), policy, &call), Ok(()));
    }
}

#[test]
fn a_check_of_the_token_that_does_not_hold() {
    let forged = with_hop(r#"check if verifier("mail.mcp");"#);
    assert_eq!(authorized(&forged.bearer(), "allow if true;", &search()), Err("check_failed"));
    let rejected = with_hop(r#"reject if operation("tools:call:search");"#);
    assert_eq!(authorized(&rejected.bearer(), "allow if true;", &search()), Err("check_failed"));
    let either =
        with_hop(r#"reject if operation("tools:call:search") or operation("tools:call:fetch");"#);
    assert_eq!(authorized(&either.bearer(), "allow if true;", &search()), Err("check_failed"));
}

#[test]
fn what_cannot_be_evaluated_for_some_match_refuses_every_time() {
    let call = search().arguments(r#"{"a": 1, "b": "text", "c": 2}"#).unwrap();
    let bearer = with_hop("check if arg($name, $value), $value > 0;").bearer();
    let in_policy = seed().bearer();
    for _ in 0..100 {
        assert_eq!(authorized(&bearer, "allow if true;", &call), Err("not_evaluable"));
        assert_eq!(
            authorized(&in_policy, "allow if arg($name, $value), $value > 0;", &call),
            Err("not_evaluable")
        );
        assert_eq!(
            authorized(&in_policy, "allow if true; deny if arg($name, $value), $value > 9;", &call),
            Err("not_evaluable")
        );
    }
    let overflow = with_hop("check if 9223372036854775807 + 1 > 0;").bearer();
    assert_eq!(authorized(&overflow, "allow if true;", &search()), Err("not_evaluable"));
}

#[test]
fn a_policy_that_takes_too_much_work_is_undecided() {
    let facts: String = (0..60).map(|n| format!("n({n}); ")).collect();
    let policy = format!("{facts} allow if n($a), n($b), n($c), n($d), $a + $b + $c + $d == 1000;");
    let (block, error) = places::said(&seed().bearer(), &policy, &search());
    assert_eq!((block, &error[..29]), (None, "test.datalog:1 took more work"));
    let endless = "n(0); n($y) <- n($x), m($y); m(1); p($a, $b) <- q($a, $b); ";
    let growing: String = (0..40).map(|n| format!("q({n}, {n}); ")).collect();
    let cross = format!("{endless}{growing} r($a, $b) <- q($a, $x), q($y, $b); allow if true;");
    let (block, error) = places::said(&seed().bearer(), &cross, &search());
    assert_eq!((block, &error[..27]), (None, "a rule of the policies took"));
}

#[test]
fn the_checks_of_a_caveat_bind_too() {
    let cast = Cast::new();
    let caveat = |check: &str| {
        let block = biscuit_auth::builder::BlockBuilder::new().code(check).unwrap();
        let token = biscuit_auth::UnverifiedBiscuit::from(cast.researchers().to_bytes()).unwrap();
        let token =
            Capability::from_bytes(&token.append(block).unwrap().to_vec().unwrap()).unwrap();
        token.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap()
    };
    let judged =
        |bearer: &Presentation| authorized(bearer.bearer(), "allow if granted($op);", &search());
    assert_eq!(judged(&caveat("check if true")), Ok(()));
    assert_eq!(judged(&caveat("check if false")), Err("check_failed"));
    // And a caveat can be revoked, like a presentation by either of its signatures.
    let bearer = caveat("check if true");
    let ids = Capability::parse(bearer.bearer()).unwrap();
    for (block, id) in ids.chain().signatures() {
        let store = Store::in_memory().unwrap();
        revoke(&store, Revocation::Id { id });
        assert_eq!(
            refusal(&cast.guard(&store), bearer.bearer(), &search()),
            ("revoked", Some(block))
        );
    }
    let mut blocks: Vec<usize> = ids.chain().signatures().map(|(block, _)| block).collect();
    blocks.sort_unstable();
    assert_eq!(blocks, [0, 1, 1, 2, 3, 3]);
}

#[test]
fn an_unbound_hop_below_a_signed_presentation_governs_nothing() {
    let cast = Cast::new();
    let unbound = cast
        .issuer()
        .mint(Grant::to("user:alice").scope("hardtack:revoke").unbound(), NOW)
        .unwrap();
    let delegation = Delegation::to("agent.a")
        .scope("hardtack:revoke")
        .reason("x")
        .holder(cast.researcher.public());
    let capability = unbound.delegate_unbound(delegation, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    let verified = cast.verifier().accept_unbound_hops().verify(bearer.bearer(), NOW).unwrap();
    let revoke = Call::new("hardtack:revoke").unwrap();
    let error = authorize(&verified, &Policy::builtin(), &revoke).unwrap_err();
    assert_eq!((error.cause().as_str(), error.block()), ("unbound", Some(1)));
    let policy = Policy::parse("p", "allow if granted($op); deny if unbound(1);").unwrap();
    let other = Call::new("hardtack:revoke").unwrap();
    assert!(authorize(&verified, &policy, &other).is_err());
}
