//! Refused for what evaluating it could cost.

use crate::*;

#[test]
fn facts_that_a_policys_rules_derive_count_for_the_cost() {
    let numbers = (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let token =
        with_hop(&format!("check if has($a), has($b), [{numbers}].all($x -> $x >= 0 && $x < 99);"));
    let arguments = (0..100).map(|n| format!("\"a{n}\": {n}")).collect::<Vec<_>>().join(",");
    let call = search().arguments(&format!("{{{arguments}}}")).unwrap();
    let policy = "has($n) <- arg($n, $v); allow if granted($op);";
    assert_eq!(authorized(&token.bearer(), policy, &call), Err("too_costly"));
}

#[test]
fn joins_over_large_arguments_and_named_types_count_for_the_cost() {
    let policy = "allow if granted($op);";
    let join = with_hop(&"check if arg($a, $b), arg($c, $d); ".repeat(20));
    let maps = vec![r#"{"a":1}"#; 470].join(",");
    let call = search().arguments(&format!(r#"{{"a":[{maps}],"z":1}}"#)).unwrap();
    assert_eq!(authorized(&join.bearer(), policy, &call), Err("too_costly"));
    let types =
        with_hop(&format!("check if arg($n, $v), $v{} == \"string\";", ".type()".repeat(15)));
    let many = (0..900).map(|n| format!("\"n{n}\": \"v{n}\"")).collect::<Vec<_>>().join(",");
    let call = search().arguments(&format!("{{{many}}}")).unwrap();
    assert_eq!(authorized(&types.bearer(), policy, &call), Err("too_costly"));
}

/// The arguments cost nothing where no check reads them.
#[test]
fn large_arguments_are_no_reason_to_refuse() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let bearer = cast.presented();
    let values = (0..990).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for arguments in
        [format!("{{\"a\": [{values}]}}"), format!("{{\"a\": \"{}\"}}", "x".repeat(60_000))]
    {
        guard.check(bearer.bearer(), &search().arguments(&arguments).unwrap(), NOW).unwrap();
    }
}

/// The bound leaves room for what honest agents do, also at the end of the longest chain.
#[test]
fn the_longest_chain_with_usual_checks_takes_calls_of_many_arguments() {
    let cast = Cast::new();
    let mut capability =
        cast.issuer().mint(cast.grant_of(&["tools:call:*"]).max_depth(13), NOW).unwrap();
    let mut holder = Cast::new().orchestrator;
    for hop in 1..=13 {
        let next = PrivateKey::generate();
        let delegation = Delegation::to(format!("agent.a{hop}"))
            .scope("tools:call:search")
            .audience(AUDIENCE)
            .reason("find the roadmap page")
            .holder(next.public());
        let delegation = if hop == 13 { delegation.allow("limit <= 100") } else { delegation };
        capability = capability.delegate(delegation, &holder, NOW).unwrap();
        holder = next;
    }
    let bearer = capability.present(Presenting::to(AUDIENCE), &holder, NOW).unwrap();
    let each = (0..50).map(|n| format!(",\"a{n}\":{n}")).collect::<String>();
    let items = (0..500).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for arguments in
        [format!("{{\"limit\":10{each}}}"), format!("{{\"limit\":10,\"ids\":[{items}]}}")]
    {
        let call = search().arguments(&arguments).unwrap();
        assert_eq!(authorized(bearer.bearer(), "allow if granted($op);", &call), Ok(()));
    }
}

#[test]
fn names_that_take_long_to_compare_are_asked_for_up_to_a_bound() {
    // Denials by names of a thousand bytes, none of them of the call.
    let denials = |start: &str, count: usize| {
        let name = |n: usize| format!("{n}{}", "\u{e9}".repeat(500));
        (0..count).map(|n| format!("{start} arg(\"{}\", true);\n", name(n))).collect::<String>()
    };
    let call = search().arguments(r#"{"a": true}"#).unwrap();
    // What policies name is folded when they are loaded.
    let policy = denials("deny if", 50) + "allow if granted($op);";
    assert_eq!(authorized(&with_hop("").bearer(), &policy, &call), Ok(()));
    // What a token names is folded once for it, up to a bound.
    let (some, many) = (with_hop(&denials("reject if", 8)), with_hop(&denials("reject if", 9)));
    let policy = "allow if granted($op);";
    assert_eq!(authorized(&some.bearer(), policy, &call), Ok(()));
    assert_eq!(authorized(&many.bearer(), policy, &call), Err("exhausted"));
    assert_eq!(authorized(&many.bearer(), policy, &search()), Ok(()), "no argument");
}

/// Biscuit compiles a pattern each time it is asked: 900 arguments took eight seconds.
#[test]
fn patterns_that_take_long_to_compile_are_asked_up_to_a_bound() {
    let token = with_hop("check if time($t);");
    let call = |count: usize| {
        let all = (0..count).map(|n| format!("\"A{n}\":1")).collect::<Vec<_>>().join(",");
        search().arguments(&format!("{{{all}}}")).unwrap()
    };
    let denial =
        |condition: &str| format!("allow if granted($op); deny if arg($n, $v), {condition};");
    for condition in [
        r#"$n.matches("^\\w{1,30}$"), $v == 5"#,
        r#"$n.matches("(?i)secret|password|token")"#,
        r#"["a", "b"].any($x -> $n.matches("^\\w{1,9}$") && $v == 5)"#,
    ] {
        let policy = denial(condition);
        assert_eq!(authorized(&token.bearer(), &policy, &call(1)), Ok(()), "{condition}");
        let many = authorized(&token.bearer(), &policy, &call(900));
        assert_eq!(many, Err("exhausted"), "{condition}");
    }
    // Whatever a closure is asked for counts, within an argument and in the policy.
    let pages = (0..900).map(|n| n.to_string()).collect::<Vec<_>>().join("\",\"");
    let nested = search().arguments(&format!(r#"{{"a":{{"pages":["{pages}"]}}}}"#)).unwrap();
    let policy = r#"allow if granted($op); deny if arg("a", $a), $a.get("pages").any($p -> $p.matches("^x+$"));"#;
    assert_eq!(authorized(&token.bearer(), policy, &nested), Err("exhausted"));
    let written = (0..300).map(|n| n.to_string()).collect::<Vec<_>>().join("\",\"");
    let policy = format!(
        r#"allow if granted($op); deny if arg("A0", $a), ["{written}"].any($p -> $p.matches("^x+$"));"#
    );
    assert_eq!(authorized(&token.bearer(), &policy, &call(1)), Err("exhausted"));
    // A pattern that nobody matches is not paid for: its facts are none of the call's.
    let policy = r#"allow if granted($op); deny if resource($n), $n.matches("^\\w{1,30}$");"#;
    assert_eq!(authorized(&token.bearer(), policy, &call(900)), Ok(()));
}
