//! Large: what do policies and checks make of arguments that are too large to be seen?
//!
//! Whatever asks about such a value is held against what it says of the value itself, cut down to a size at which it is seen: a large
//! value is allowed nowhere where a small one that answers either way could be refused. Every operator and method is asked, at every
//! place where an operand can stand.

use std::time::Duration;

use hardtack::*;
use serde_json::{Value, json};

use hardtack_testkit::clock::{Clock, Speed};
use hardtack_testkit::{AUDIENCE, Cast, NOW};

/// What reading, hashing and judging a byte of a large call may take: a text of 4 MiB less than a fifth of a second.
const NANOSECONDS_PER_BYTE: u64 = 45;

/// What each value in it may add: 60,000 small objects in one megabyte took 144 ms.
const NANOSECONDS_PER_VALUE: u64 = 700;

/// Conditions about `$x` that ask what is not seen of it, whatever it is.
const ASKS: &[&str] = &[
    r#"$x.starts_with("a")"#,
    r#"$x.ends_with("a")"#,
    r#"$x.contains("a")"#,
    r#"$x.contains($x)"#,
    r#"$x.matches("a")"#,
    r#""aaa".contains($x)"#,
    r#""aaa".starts_with($x)"#,
    r#""aaa".ends_with($x)"#,
    r#"$x.type() == "string""#,
    r#"$x.type() == "bytes""#,
    r#"$x.type() != "array""#,
    r#"($x + "a") == "aa""#,
    r#"("a" + $x) != "aa""#,
    "$x + $x == $x",
    "$x < 1",
    "$x > 1",
    "$x <= $x",
    "1 >= $x",
    "$x + 1 > 0",
    "$x - 1 > 0",
    "1 * $x > 0",
    "1 / $x > 0",
    "($x & 1) == 1",
    "($x | 1) == 1",
    "($x ^ 1) == 1",
    "$x && true",
    "$x || true",
    "true && $x",
    "false || $x",
    "!$x",
    r#"$x.get("k") == "v""#,
    "$x.get(0) == 1",
    r#"{"k": 1}.get($x) == null"#,
    "[1].get($x) == null",
    "$x.union({1}) == {1}",
    "{1}.union($x) == {1}",
    "$x.intersection({1}) == {1}",
    "{1}.intersection($x) != {1}",
    "$x.all($e -> $e == 1)",
    "$x.any($e -> $e == 1)",
    "$x.all($e -> true)",
    "$x.any($e -> false)",
    "[1].all($e -> $x.contains($e))",
    r#"[1].any($e -> $x.starts_with("a"))"#,
    "[[1]].any($e -> $x.starts_with($e))",
    r#"$x.extern::hardtack_path("/srv")"#,
    r#"$x.extern::hardtack_url("https://a.example")"#,
    r#"$x.extern::hardtack_network("10.0.0.0/8")"#,
    r#"$x.extern::hardtack_glob("a*")"#,
    r#"$x.starts_with("a").try_or(true)"#,
    r#"$x.starts_with("a").try_or(false)"#,
    r#"($x.type() == "string").try_or(false)"#,
    "($x.length() > 1 && $x.get(0) == 1).try_or(false)",
    "[1, 2].starts_with($x)",
    "[1, 2].ends_with($x)",
    "$x.starts_with([1])",
    "$x.ends_with([1])",
];

/// Conditions that are decided, each with what it says of a large value.
const DECIDED: &[(&str, bool)] = &[
    (r#"$x == "a""#, false),
    (r#"$x != "a""#, true),
    (r#""a" == $x"#, false),
    ("$x == 1", false),
    ("$x != 1", true),
    ("$x == null", false),
    ("$x == [1]", false),
    (r#"$x == {"k": 1}"#, false),
    ("$x == hex:00", false),
    ("$x == $x", true),
    ("$x === $x", true),
    ("$x !== $x", false),
    (r#"["a", 1].contains($x)"#, false),
    ("true || $x.contains(1)", true),
    ("false && $x.contains(1)", false),
    (r#"["a"].any($e -> $e == $x)"#, false),
    (r#"["a"].all($e -> $e != $x)"#, true),
    (r#"{"a": 1}.contains($x)"#, false),
];

struct Stage {
    verified: VerifiedCapability,
}

fn stage(check: Option<&str>) -> Stage {
    let cast = Cast::new();
    let issuer = Issuer::new(cast.root.clone());
    let (grant, alice) = Grant::to("user:alice").scope("*").new_holder();
    let token = issuer.mint(grant, NOW).unwrap();
    let hop = Delegation::to("agent.a").scope("*").reason("try");
    let hop = match check {
        Some(check) => hop.check(check),
        None => hop,
    };
    let (hop, agent) = hop.new_holder();
    let token = token.delegate(hop, &alice, NOW).unwrap();
    let bearer = token.present(Presenting::to(AUDIENCE), &agent, NOW).unwrap();
    let verifier =
        Verifier::new(cast.roots(), AUDIENCE, hardtack::revocation::RevocationUnchecked).unwrap();
    Stage { verified: verifier.verify(bearer.bearer(), NOW).unwrap() }
}

impl Stage {
    fn decide(&self, policies: &str, arguments: &Value) -> Result<(), &'static str> {
        let policy =
            Policy::parse("p.datalog", policies).unwrap_or_else(|e| panic!("{policies}: {e}"));
        let call = Call::tool("write").unwrap().arguments(&arguments.to_string()).unwrap();
        authorize(&self.verified, &policy, &call).map(drop).map_err(|e| e.cause().as_str())
    }
}

/// What is long and seen as it is, a resource or what a policy writes out, is not matched with what is represented of an argument: a
/// join of both has no answer, where a small one would match.
#[test]
fn what_is_long_elsewhere_is_not_passed_over() {
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let policies = [
        r#"allow if true; deny if resource($r), arg("u", $r);"#,
        r#"allow if true; deny if resource($r), arg($n, $r);"#,
        r#"allow if true; deny if resource($r), arg($n, $r), $n == "u";"#,
        r#"res($r) <- resource($r); allow if true; reject if res($r), arg("u", $r);"#,
    ];
    let check = r#"reject if resource($r), arg("u", $r)"#;
    for (bytes, small) in [(3000, true), (5000, false)] {
        let uri = format!("https://a.example/{}", "x".repeat(bytes));
        let call = Call::tool("write").unwrap().resource(&uri).unwrap();
        let call = call.arguments(&json!({ "u": uri }).to_string()).unwrap();
        let decide = |stage: &Stage, text: &str| {
            let policy = Policy::parse("p.datalog", text).unwrap();
            let decided = authorize(&stage.verified, &policy, &call);
            decided.map(drop).map_err(|error| error.cause().as_str())
        };
        for text in policies {
            let expected = match (small, text.contains("reject")) {
                (true, true) => "policy_check_failed",
                (true, false) => "policy_denied",
                (false, _) => "not_evaluable",
            };
            assert_eq!(decide(&stage(None), text), Err(expected), "{text}");
        }
        let expected = if small { "check_failed" } else { "not_evaluable" };
        assert_eq!(decide(&stage(Some(check)), "allow if true;"), Err(expected));
        let compared = r#"allow if true; deny if resource($r), arg("u", $u), $u == $r;"#;
        assert_eq!(decide(&stage(None), compared), Err("policy_denied"));
    }
    for (levels, expected) in [(31, "policy_denied"), (32, "not_evaluable"), (60, "not_evaluable")]
    {
        let written = deep(levels);
        let value: Value = serde_json::from_str(&written).unwrap();
        for text in [
            format!(r#"allow if true; deny if arg("x", {written});"#),
            format!(r#"bad({written}); allow if true; deny if arg("x", $x), bad($x);"#),
        ] {
            assert_eq!(stage(None).decide(&text, &json!({ "x": value })), Err(expected), "{text}");
        }
    }
}

/// Large values of each kind.
fn large() -> [Value; 4] {
    let map: serde_json::Map<String, Value> =
        (0..1001).map(|n| (format!("k{n}"), json!(n))).collect();
    [
        json!("a".repeat(5000)),
        json!(vec![1; 1200]),
        Value::Object(map),
        // Large together: what is in it is small.
        json!(vec!["a".repeat(4000); 20]),
    ]
}

/// Whatever asks what is not seen refuses: where it refuses, where it allows, behind `!`, through rules, and whatever it is asked about
/// together with.
#[test]
fn what_asks_about_a_large_value_refuses_at_every_place() {
    let stage = stage(None);
    let places = [
        r#"allow if true; deny if arg("x", $x), ASK;"#,
        r#"allow if true; deny if arg("x", $x), !(ASK);"#,
        r#"allow if true; deny if arg($n, $x), $n == "x", ASK;"#,
        r#"allow if true; deny if arg("X", $x), ASK;"#,
        r#"allow if true; reject if arg("x", $x), ASK;"#,
        r#"allow if true; reject if arg("x", $x), !(ASK);"#,
        r#"allow if true; check if arg("x", $x), ASK;"#,
        r#"allow if true; check if arg("x", $x), !(ASK);"#,
        r#"allow if true; check all arg("x", $x), ASK;"#,
        r#"allow if arg("x", $x), ASK;"#,
        r#"allow if arg("x", $x), !(ASK);"#,
        r#"found($x) <- arg("x", $x), ASK; allow if true; deny if found($x);"#,
        r#"found(1) <- arg("x", $x), !(ASK); allow if true; deny if found(1);"#,
        r#"held($x) <- arg("x", $x); allow if true; deny if held($x), ASK;"#,
        r#"allow if true; deny if arg("x", $x), (ASK) || false;"#,
        r#"allow if true; deny if arg("x", $x), (ASK) && true;"#,
        r#"allow if true; deny if arg("x", $x), (ASK).try_or(false);"#,
        r#"allow if true; check if arg("x", $x), (ASK).try_or(true);"#,
        r#"allow if true; deny if arg("x", $x), [1].any($q -> ASK);"#,
        r#"allow if true; deny if arg("x", $x), ![1].all($q -> ASK);"#,
        r#"allow if true; deny if arg("l", $l), $l.any($x -> ASK);"#,
        r#"allow if true; deny if arg("l", $l), !$l.all($x -> ASK);"#,
        r#"allow if true; deny if tool("other") or arg("x", $x), ASK;"#,
    ];
    let mut tried = 0;
    for place in places {
        for ask in ASKS {
            let text = place.replace("ASK", ask);
            // Some would stand in a closure within a closure that has the same name, or be no policy.
            if Policy::parse("p.datalog", &text).is_err() {
                continue;
            }
            for value in large() {
                let arguments = json!({"x": value, "l": [value], "small": 1});
                let decided = stage.decide(&text, &arguments);
                assert_eq!(decided, Err("not_evaluable"), "{text}");
                tried += 1;
            }
        }
    }
    assert!(tried > 3000, "{tried}");
}

/// The length of a text is known, and of nothing else.
#[test]
fn the_length_of_a_large_text_may_be_asked() {
    let stage = stage(None);
    let [text, list, map, texts] = large();
    for (value, ask, expected) in [
        (&text, "$x.length() == 5000", Err("policy_denied")),
        (&text, "$x.length() > 5000", Ok(())),
        (&list, "$x.length() > 5000", Err("not_evaluable")),
        (&map, "$x.length() > 5000", Err("not_evaluable")),
        (&texts, "$x.length() > 5000", Err("not_evaluable")),
    ] {
        let policies = format!(r#"allow if true; deny if arg("x", $x), {ask};"#);
        assert_eq!(stage.decide(&policies, &json!({ "x": value })), expected, "{ask}");
    }
}

/// Equality is decided as if all were seen: by operators, in lists, by joins and through rules.
#[test]
fn equality_is_decided_by_digest() {
    let stage = stage(None);
    for (ask, held) in DECIDED {
        for value in large() {
            let policies = format!(r#"allow if arg("x", $x), {ask};"#);
            let expected = if *held { Ok(()) } else { Err("nothing_allows") };
            assert_eq!(stage.decide(&policies, &json!({ "x": value })), expected, "{ask}");
        }
    }
    let joins = [
        r#"arg("x", $x), arg("y", $x)"#,
        r#"arg("x", $x), arg("y", $y), $x == $y"#,
        r#"arg("x", $x), arg("y", $y), !($x != $y)"#,
        r#"arg("x", $x), arg("y", $y), $x === $y"#,
        r#"arg("x", $x), arg("l", $l), $l.contains($x)"#,
        r#"arg("y", $x), arg("l", $l), $l.contains($x)"#,
        r#"arg("y", $x), arg("l", $l), $l.any($e -> $e == $x)"#,
        r#"arg("y", $x), arg("l", $l), $l.get(0) == $x"#,
        r#"arg("m", $m), arg("y", $y), $m.get("k") == $y"#,
        r#"held($x), arg("y", $x)"#,
    ];
    let all = large();
    for join in joins {
        let policies = format!(r#"held($x) <- arg("x", $x); allow if true; deny if {join};"#);
        for (at, value) in all.iter().enumerate() {
            let arguments =
                |other: &Value| json!({"x": value, "y": other, "l": [value], "m": {"k": value}});
            assert_eq!(stage.decide(&policies, &arguments(value)), Err("policy_denied"), "{join}");
            if join.contains(r#"arg("y""#) {
                let other = &all[(at + 1) % all.len()];
                // `===` compares no two kinds, whatever their size.
                let expected = if join.contains("===") { Err("not_evaluable") } else { Ok(()) };
                assert_eq!(stage.decide(&policies, &arguments(other)), expected, "{join}");
            }
        }
    }
    // What a policy writes out, or puts together, is compared with a large value as it would be with a small one.
    let ones = format!("[{}]", vec!["1"; 1200].join(","));
    let written = format!(r#"allow if true; deny if arg("x", $x), $x == {ones};"#);
    assert_eq!(stage.decide(&written, &json!({"x": all[1]})), Err("policy_denied"));
    assert_eq!(stage.decide(&written, &json!({"x": vec![1; 1201]})), Ok(()));
    let joined = format!(r#"bad({ones}); allow if true; deny if arg("x", $x), bad($x);"#);
    assert_eq!(stage.decide(&joined, &json!({"x": all[1]})), Err("not_evaluable"));
    let made = r#"allow if true; deny if arg("x", $x), arg("a", $a), $a + $a == $x;"#;
    let half = "a".repeat(2500);
    assert_eq!(stage.decide(made, &json!({"x": all[0], "a": half})), Err("policy_denied"));
    assert_eq!(stage.decide(made, &json!({"x": all[0], "a": half[1..]})), Ok(()));
    let type_error = r#"allow if true; deny if arg("x", $x), $x === 1;"#;
    assert_eq!(stage.decide(type_error, &json!({"x": all[0]})), Err("not_evaluable"));
}

/// What is compared with names of arguments is folded, and how a large value is folded is not known.
#[test]
fn what_is_compared_with_names_refuses() {
    let stage = stage(None);
    let padded = format!("force{}", " ".repeat(5000));
    for policies in [
        r#"allow if true; deny if arg($n, 1), arg("x", $x), $x == $n;"#,
        r#"allow if true; deny if arg($n, 1), arg("x", $n);"#,
        r#"listed($x) <- arg("x", $x); allow if true; deny if arg($n, 1), listed($n);"#,
    ] {
        let with = |x: &str| stage.decide(policies, &json!({"Force": 1, "x": x}));
        assert_eq!(with("force  "), Err("policy_denied"), "{policies}");
        assert_eq!(with("other"), Ok(()), "{policies}");
        assert_eq!(with(&padded), Err("not_evaluable"), "{policies}");
    }
}

/// Other arguments are judged as they would be beside a small one.
#[test]
fn other_arguments_are_not_touched() {
    let stage = stage(None);
    let policies = r#"
        allow if arg("path", $p), $p.starts_with("/srv/"), arg("n", $n), $n < 10;
        deny if arg("path", $p), $p.contains("..");
        deny if arg($name, $v), $name == "force", $v == true;
        deny if arg("files", $f), $f.any($one -> $one.get("path").starts_with("/etc/"));
        check if arg("content", $c), true;
    "#;
    let mut contents = large().to_vec();
    contents.push(json!("x".repeat(100_000)));
    contents.push(json!("x".repeat(2_000_000)));
    contents.push(json!("small"));
    for content in contents {
        let with = |path: &str, n: i64, inner: &str| {
            let files = json!([{"path": inner, "content": content}, {"path": "/srv/b"}]);
            let all = json!({"path": path, "n": n, "content": content, "files": files});
            stage.decide(policies, &all)
        };
        assert_eq!(with("/srv/a", 1, "/srv/c"), Ok(()));
        assert_eq!(with("/srv/../a", 1, "/srv/c"), Err("policy_denied"));
        assert_eq!(with("/srv/a", 11, "/srv/c"), Err("nothing_allows"));
        assert_eq!(with("/srv/a", 1, "/etc/passwd"), Err("policy_denied"));
    }
    // Too much together: the largest are not seen at all, and the others are.
    let many: serde_json::Map<String, Value> = (0..40)
        .map(|n| (format!("long{n}"), json!("x".repeat(4000))))
        .chain([
            ("path".to_owned(), json!("/srv/a")),
            ("n".to_owned(), json!(1)),
            ("content".to_owned(), json!(1)),
        ])
        .collect();
    let many = Value::Object(many);
    assert_eq!(stage.decide(policies, &many), Ok(()));
    for ask in [
        r#"arg("long0", "x")"#,
        r#"arg("long0", $x), $x == "a""#,
        r#"arg("long0", $x), arg("n", $x)"#,
    ] {
        let deny = format!("{policies} deny if {ask};");
        assert_eq!(stage.decide(&deny, &many), Err("not_evaluable"), "{ask}");
    }
}

/// The same in the checks of a delegator.
#[test]
fn the_checks_of_a_token_refuse_as_policies_do() {
    let allow = "allow if true;";
    let kinds = [
        r#"check if arg("x", $x), ASK"#,
        r#"check if arg("x", $x), !(ASK)"#,
        r#"check all arg("x", $x), ASK"#,
        r#"reject if arg("x", $x), ASK"#,
        r#"reject if arg("x", $x), !(ASK)"#,
        r#"reject if arg("X", $x), ASK"#,
    ];
    let mut tried = 0;
    for kind in kinds {
        for ask in ASKS.iter().filter(|ask| !ask.contains("try_or") && !ask.contains("matches")) {
            let check = kind.replace("ASK", ask);
            let Ok(stage) = std::panic::catch_unwind(|| stage(Some(&check))) else { continue };
            for value in large() {
                let decided = stage.decide(allow, &json!({ "x": value }));
                assert_eq!(decided, Err("not_evaluable"), "{check}");
                tried += 1;
            }
        }
    }
    assert!(tried > 800, "{tried}");
    for (constraint, small) in [
        (r#"reject if arg("x", $x), $x.starts_with("a")"#, "b"),
        (r#"check all arg("x", $x), $x.extern::hardtack_path("/srv")"#, "/srv/a"),
    ] {
        let stage = stage(Some(constraint));
        assert_eq!(stage.decide(allow, &json!({ "x": small })), Ok(()));
        let large = format!("{small}{}", "x".repeat(5000));
        assert_eq!(stage.decide(allow, &json!({ "x": large })), Err("not_evaluable"));
    }
}

/// Reading 4 MiB and hashing them takes longer than a decision, and is bounded by the bytes and the values.
#[test]
fn a_large_call_takes_time_by_its_bytes_and_values() {
    let _turn = crate::turn();
    let stage = stage(None);
    let policy = Policy::parse(
        "p",
        r#"allow if arg("path", "/srv"); deny if arg("x", $x), arg("path", $x);"#,
    )
    .unwrap();
    let bytes = 4 * 1024 * 1024 - 100;
    let numbers = vec!["123456789012345"; 190_000].join(",");
    let wide = vec![r#"{"a":[],"b":"x"}"#; 60_000].join(",");
    let deep = format!("{}{}{}", "[".repeat(98), "1,".repeat(150_000) + "1", "]".repeat(98));
    for (what, values, value) in [
        ("a text", 1, format!("\"{}\"", "x".repeat(bytes))),
        ("escapes", 1, format!("\"{}\"", "\\u0001".repeat(bytes / 6))),
        ("numbers", 190_000, format!("[{numbers}]")),
        ("objects", 180_000, format!("[{wide}]")),
        ("levels", 150_000, deep),
        ("texts", 800, format!("[{}]", vec![format!("\"{}\"", "y".repeat(5000)); 800].join(","))),
    ] {
        let json = format!("{{\"path\":\"/srv\",\"x\":{value}}}");
        let mut least = Duration::MAX;
        let most = NANOSECONDS_PER_BYTE * json.len() as u64 + NANOSECONDS_PER_VALUE * values;
        let most = Duration::from_nanos(most);
        let mut here = most;
        for _ in 0..20 {
            let clock = Clock::start();
            let call = Call::tool("write").unwrap().arguments(&json).unwrap();
            call.digest();
            authorize(&stage.verified, &policy, &call).unwrap();
            least = least.min(clock.elapsed());
            if least < most / 2 || cfg!(debug_assertions) {
                break;
            }
            here = Speed::measured().here(most);
        }
        println!("{what}: {} bytes, {least:?} of {most:?}", json.len());
        assert!(cfg!(debug_assertions) || least <= here, "{what}: {least:?} of {here:?}");
    }
}
