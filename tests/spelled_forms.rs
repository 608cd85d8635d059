//! Forms in which what refuses compares names of arguments: each is followed into every spelling of the name and no further,
//! or the policies are refused when they are loaded.

use hardtack::*;
use hardtack_testkit::*;

fn parse(policy: &str) -> Result<Policy, PolicyError> {
    Policy::parse("p.datalog", &format!("allow if granted($op);\n{policy}"))
}

fn decide(policy: &str, arguments: &str) -> Result<policy::Location, &'static str> {
    let cast = Cast::new();
    let verified = cast.verifier().verify(cast.presented().bearer(), NOW).unwrap();
    let call = search().arguments(arguments).unwrap();
    let policy = parse(policy).unwrap_or_else(|error| panic!("{policy}: {error}"));
    authorize(&verified, &policy, &call)
        .map(|allowed| allowed.at)
        .map_err(|error| error.cause().as_str())
}

fn refused(policy: &str, arguments: &str) -> bool {
    match decide(policy, arguments) {
        Ok(_) => false,
        Err("policy_denied" | "policy_check_failed") => true,
        Err(other) => panic!("{policy} {arguments}: {other}"),
    }
}

/// A policy, names that it refuses with the value true, and names that it lets pass with it.
type Form = (&'static str, &'static [&'static str], &'static [&'static str]);

const FORCE: &[&str] = &[
    "force",
    "Force",
    "FORCE",
    "force ",
    " force",
    "\u{ff46}orce",
    "\u{ff26}ORCE",
    "for\u{24d2}e",
];

const OTHERS: &[&str] = &["forced", "enforce", "dry force", "for ce", "f", "query", "zo\u{eb}"];

const FORMS: [Form; 48] = [
    // Names that come from facts, as they are or in collections.
    (r#"bad("Force"); deny if arg($n, true), bad($m), $n == $m;"#, FORCE, OTHERS),
    (r#"bad("FORCE "); deny if arg($n, true), bad($n);"#, FORCE, OTHERS),
    (r#"bad(["Force"]); deny if arg($n, true), bad($s), $s.contains($n);"#, FORCE, OTHERS),
    (r#"bad({"Force", "x"}); deny if arg($n, true), bad($s), $s.contains($n);"#, FORCE, OTHERS),
    (r#"bad({"Force": 1}); deny if arg($n, true), bad($m), $m.get($n) == 1;"#, FORCE, OTHERS),
    (r#"bad({"Force": 1}); deny if arg($n, true), bad($m), $m.contains($n);"#, FORCE, OTHERS),
    (r#"bad(["Force"]); deny if arg($n, true), bad($s), $s.any($x -> $x == $n);"#, FORCE, OTHERS),
    (
        r#"list("Force"); bad($x) <- list($x), $x != "other"; deny if arg($n, true), bad($n);"#,
        FORCE,
        OTHERS,
    ),
    (
        r#"list("Force", 2); bad($x, $i) <- list($x, $i), $i > 1; hit($m) <- arg($n, true), bad($m, $i), $m == $n; deny if hit("Force");"#,
        FORCE,
        OTHERS,
    ),
    (r#"bad("search", "Force"); deny if tool($t), bad($t, $n), arg($n, true);"#, FORCE, OTHERS),
    (r#"bad("Force", "Force"); deny if bad($n, $n), arg($n, true);"#, FORCE, OTHERS),
    (r#"bad("Force", "force"); deny if bad($n, $m), arg($n, true), arg($m, true);"#, FORCE, OTHERS),
    (
        r#"bad("Force"); worse($b, $n) <- bad($b), arg($n, true); deny if worse($b, $n), $b == $n;"#,
        FORCE,
        OTHERS,
    ),
    (
        r#"bad("Force"); worse($b, $v) <- arg($n, $v), bad($b), $b == $n; deny if worse("Force", true);"#,
        FORCE,
        OTHERS,
    ),
    (
        r#"one($n) <- arg($n, true); two($n) <- one($n); one($n) <- two($n); deny if two("Force");"#,
        FORCE,
        OTHERS,
    ),
    (
        r#"bad("x"); bad("y", "Force"); deny if bad("y", $m), arg($n, true), $m == $n; deny if bad("z"), arg("f", true);"#,
        FORCE,
        OTHERS,
    ),
    (
        r#"bad("x"); bad("y", "Force"); deny if bad("y", $m), arg($n, true), $m == "Force", $m == $n; deny if bad($a), arg($n, true), $a == "x", $n == "f";"#,
        &["force", "FORCE", "F"],
        &["forced"],
    ),
    (r#"bad("Force"); known("FORCE"); deny if bad($n), known($n), arg($n, true);"#, FORCE, OTHERS),
    (
        r#"bad("Search"); deny if tool($t), bad($n), arg($t, true), $t == $n;"#,
        &["search", "SEARCH"],
        &["force"],
    ),
    // Collections that are written out.
    (r#"deny if arg($n, true), {"Force": true}.get($n) == true;"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), {"Force": "High"}.get($n) == "High";"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), ["force"].contains($n);"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), ["Force", "x"].any($x -> $x == $n);"#, FORCE, OTHERS),
    (
        r#"deny if arg($n, true), ["Force", "x"].any($x -> $n.starts_with($x) && $n.length() == 5);"#,
        FORCE,
        OTHERS,
    ),
    (r#"check all arg($n, $v), ["Force", "x"].all($x -> $x != $n) || $v != true;"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), ($n == "Force").try_or(false);"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), ($n) == ("Force");"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), $n.type() == "string", $n === "Force";"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), "Force".starts_with($n), $n.length() > 1;"#, FORCE, OTHERS),
    (r#"deny if arg($n, true), "the Force x".contains($n), $n.length() > 1;"#, FORCE, OTHERS),
    (r#"reject if arg($n, true), $n.length() == 5, $n.ends_with("CE");"#, FORCE, OTHERS),
    // Beginnings, ends and pieces, and the spaces at their ends.
    (
        r#"deny if arg($n, true), $n.contains(" ");"#,
        &["dry force", "force ", " force", "a b c"],
        &["force", "Force", "f"],
    ),
    (
        r#"deny if arg($n, true), $n.contains(" Now");"#,
        &["force now", "Force NOW", "force nowhere", "now", "NOW", " now"],
        &["nowhere", "force", "know"],
    ),
    (
        r#"deny if arg($n, true), $n.starts_with("Force ");"#,
        &["force now", "FORCE x", "force", "Force "],
        &["forced", "forcenow", "x force"],
    ),
    (
        r#"deny if arg($n, true), $n.starts_with(" Force");"#,
        &["force", " force", "FORCED"],
        &["x force", "enforce"],
    ),
    (
        r#"deny if arg($n, true), $n.ends_with(" Now");"#,
        &["force now", "FORCE NOW", "now", "force now "],
        &["know", "force nowhere"],
    ),
    (
        r#"deny if arg($n, true), $n.ends_with("Now ");"#,
        &["force now", "NOW", "know"],
        &["nowhere"],
    ),
    (
        r#"begins("Force "); deny if arg($n, true), begins($m), $n.starts_with($m);"#,
        &["force now", "FORCE x", "force"],
        &["forced", "forcenow"],
    ),
    (
        r#"begins("X-"); deny if arg($n, true), begins($m), $n.starts_with($m);"#,
        &["x-force", "X-Force", "\u{ff38}-force"],
        &["force", "fx-"],
    ),
    (
        r#"has(" "); deny if arg($n, true), has($m), $n.contains($m);"#,
        &["dry force", "force "],
        &["force", "f"],
    ),
    (
        r#"deny if arg($n, true), arg($m, 1), $n.starts_with($m);"#,
        &["LIMITS", "limits"],
        &["force"],
    ),
    // Letters that are not ASCII.
    ("deny if arg($n, true), $n == \"\u{ff26}orce\";", FORCE, OTHERS),
    (
        "deny if arg($n, true), $n == \"Zo\u{eb}\";",
        &["zo\u{eb}", "ZO\u{cb}", "zoe\u{308}"],
        &["zoe", "force"],
    ),
    (
        "deny if arg($n, true), $n.starts_with(\"\u{3a3}\u{391}\u{3a3}\");",
        &["\u{3c3}\u{3b1}\u{3c3}\u{3b1}", "\u{3c3}\u{3b1}\u{3c2}"],
        &["\u{3b1}\u{3c3}"],
    ),
    (
        "deny if arg($n, true), $n.contains(\"\u{df}\");",
        &["strasse", "STRASSE", "stra\u{1e9e}e"],
        &["strase"],
    ),
    // Patterns.
    (r#"deny if arg($n, true), $n.matches("^For[c]E$");"#, FORCE, OTHERS),
    (
        r#"deny if arg($n, true), !$n.matches("^[a-z]{1,9}$");"#,
        &["Force", "dry force", "force ", "enforcement"],
        &["force", "forced"],
    ),
    (
        r#"deny if arg($n, true), $n.matches("(?i)^[A-F]or") || $n.matches("^[^a-z]+$");"#,
        &["force", "FORCE", "12", "\u{ff26}orce"],
        &["enforce", "query"],
    ),
];

#[test]
fn each_form_finds_the_spellings_of_a_name_and_nothing_else() {
    let mut wrong = Vec::new();
    for (policy, refuses, passes) in FORMS {
        let refuses = refuses.iter().flat_map(|name| [(name, true, true), (name, false, false)]);
        for (name, value, expected) in refuses.chain(passes.iter().map(|name| (name, true, false)))
        {
            let arguments = format!(r#"{{"limit": 1, "{name}": {value}}}"#);
            if refused(policy, &arguments) != expected {
                wrong.push(format!("{policy} {arguments}: refused should be {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What does with a name what no spelling could be followed through, and what the author is told to write.
#[test]
fn what_cannot_be_followed_into_all_spellings_is_refused_when_it_is_loaded() {
    for (policy, says) in [
        (r#"deny if arg($n, $v), $n + " now" == "force now";"#, "put together"),
        (r#"deny if arg($n, $v), ($n + "x").contains("forcex");"#, "put together"),
        (r#"deny if arg($n, $v), "x" + $n == "xforce";"#, "put together"),
        (r#"deny if arg($n, $v), arg("field", $f), $f + "" == $n;"#, "what an expression makes"),
        (r#"deny if arg($n, $v), ["force"].get(0) == $n;"#, "what an expression makes"),
        (
            r#"deny if arg($n, $v), {"force"}.union({"x"}).contains($n);"#,
            "what an expression makes",
        ),
        (r#"deny if arg($n, $v), ($n).try_or("force") == "force";"#, "put together"),
        (r#"deny if arg($n, $v), {"Force": true, "force": false}.get($n) == true;"#, "two keys"),
        (
            r#"map({"Force": 1, "force": 2}); deny if arg($n, $v), map($m), $m.get($n) == 1;"#,
            "two keys",
        ),
        (r#"deny if arg($n, $v), $n.matches("[A-Z]");"#, "pattern"),
        (r#"deny if arg($n, $v), $n.matches("(?-i)^Force$");"#, "pattern"),
        ("deny if arg($n, $v), $n.matches(\"^\u{ff46}orce$\");", "pattern"),
        ("deny if arg($n, $v), $n.matches(\"^Zo\u{eb}$\");", "pattern"),
        (r#"deny if arg($n, $v), $n.matches("\\p{Lu}");"#, "pattern"),
        ("deny if arg($n, $v), $n.extern::hardtack_glob(\"f\u{ff0a}e\");", "pattern"),
        (r#"deny if arg($n, $v), $n.extern::hardtack_path("/srv");"#, "function"),
        (
            r#"list(["x"]); deny if arg($n, $v), list($l), $l.any($x -> $x == $n || $x == $v);"#,
            "elements",
        ),
        (r#"check all arg($n, $v), $n + "!" != "force!";"#, "put together"),
        (r#"reject if arg($n, $v), $n + "!" == "force!";"#, "put together"),
        (r#"bad($v) <- arg($n, $v), $n + "!" == "force!"; deny if bad(true);"#, "put together"),
        (
            r#"named($n, $v) <- arg($n, $v); deny if named($m, $v), $m + "!" == "force!";"#,
            "put together",
        ),
    ] {
        let error = parse(policy).map(|_| ()).expect_err(policy).to_string();
        assert!(error.starts_with("p.datalog:2:1: ") && error.contains(says), "{policy}: {error}");
        assert!(error.contains("; "), "{policy} says what to write: {error}");
    }
}

/// What allows, and what compares values, may do all of it.
#[test]
fn what_is_not_refused_by_a_name_loads_as_before() {
    for policy in [
        r#"allow if arg($n, $v), $n + "!" == "force!";"#,
        r#"check if operation("tools:call:search") or arg($n, $v), $n.matches("[A-Z]");"#,
        r#"odd($n) <- arg($n, $v), $n + "!" == "odd!"; allow if odd($n);"#,
        r#"deny if arg("mode", $v), $v + "!" == "force!";"#,
        r#"deny if arg($n, $v), $v.type() == "string", $v.matches("^[A-Z]$");"#,
        r#"deny if arg($n, $v), $v.type() == "string", $v + "!" == "force!", $n == "mode";"#,
    ] {
        assert!(decide(policy, r#"{"mode": "Force"}"#).is_ok(), "{policy}");
    }
}

/// Values stay as they are written, whatever names they stand beside.
#[test]
fn values_are_compared_letter_by_letter_beside_names() {
    for policy in [
        // The value is compared with a name in one denial, and with a text in another.
        r#"deny if arg("field", $f), arg($n, true), $n == $f; deny if arg("field", $v), $v.starts_with("/Etc");"#,
        r#"deny if arg("field", $f), arg($n, true), $n == $f; deny if arg("field", $v), $v == "/Etc";"#,
        r#"deny if arg($n, $v), arg("other", $n), $v == "/Etc";"#,
        // The same fact is a name in one denial and a value in another.
        r#"bad("/Etc"); deny if arg($n, true), bad($n); deny if arg("field", $v), bad($v);"#,
        r#"bad("/Etc"); deny if arg($n, true), bad($m), $m == $n; deny if arg("field", $v), bad($b), $b == $v;"#,
        r#"deny if arg($n, $v), $n == "Field", $v == "/Etc";"#,
        r#"value($v) <- arg("Field", $v); deny if value("/Etc");"#,
        r#"pair($n, $v) <- arg($n, $v); deny if pair("Field", "/Etc");"#,
    ] {
        assert!(!refused(policy, r#"{"field": "/etc", "x": 1}"#), "{policy}");
        assert!(!refused(policy, r#"{"field": "/ETC", "x": 1}"#), "{policy}");
    }
    let both =
        r#"deny if arg("field", $f), arg($n, true), $n == $f; deny if arg("field", "/Etc");"#;
    assert!(refused(both, r#"{"Field": "/Etc"}"#));
    assert!(refused(both, r#"{"Field": "FORCE", "force": true}"#));
    assert!(!refused(both, r#"{"Field": "FORCE", "forced": true}"#));
    // A list of what may be, by a fact that is compared with names elsewhere, is what it was.
    let list = r#"known("maxResults"); bad("Purge"); deny if arg($n, $v), bad($n);
        odd($n) <- arg($n, $v), known($k), $n != $k; deny if odd($n);"#;
    assert!(!refused(list, r#"{"maxResults": true}"#));
    assert!(refused(list, r#"{"maxresults": true}"#));
}

/// A pattern of file names that readers take otherwise is not answered; it never lets a spelling pass.
#[test]
fn a_pattern_that_is_not_ascii_finds_no_less_of_a_name() {
    for (pattern, names) in [
        ("zo\u{eb}*", &["zo\u{eb}1", "ZO\u{cb}1", "zoe\u{308}x", "Zo\u{eb}"][..]),
        ("ZO\u{cb}*", &["zo\u{eb}1", "ZO\u{cb}1", "zoe\u{308}x"]),
        ("\u{ff46}orce", &["force", "FORCE", "\u{ff26}orce"]),
        ("stra\u{df}e?", &["strasse1", "STRASSE1", "stra\u{df}e1"]),
        ("F*CE", &["force", "Force", "for\u{24d2}e"]),
    ] {
        let policy = format!("deny if arg($n, true), $n.extern::hardtack_glob(\"{pattern}\");");
        for name in names {
            let cause = decide(&policy, &format!(r#"{{"{name}": true}}"#)).map(|_| ());
            let cause = cause.expect_err(&format!("{pattern} {name}"));
            assert!(
                ["policy_denied", "not_evaluable"].contains(&cause),
                "{pattern} {name} {cause}"
            );
        }
        assert!(decide(&policy, r#"{"query": true}"#).is_ok(), "{pattern}");
    }
}

/// A delegator's check is read when it is asked: what cannot be followed there is no answer.
#[test]
fn a_check_of_a_token_that_cannot_be_followed_refuses_calls_with_arguments() {
    let cast = Cast::new();
    for (check, refuses, passes) in [
        (r#"reject if arg($n, true), $n + " now" == "force now""#, "not_evaluable", false),
        (
            r#"reject if arg($n, true), {"Force": 1, "force": 2}.get($n) == 1"#,
            "not_evaluable",
            false,
        ),
        (r#"check all arg($n, $v), $n + "!" != "force!" || $v != true"#, "not_evaluable", false),
        (r#"reject if arg($n, true), $n.contains(" now")"#, "check_failed", true),
        (r#"reject if arg($n, true), $n.starts_with("Force ")"#, "check_failed", true),
        (r#"reject if arg($n, true), ["Force now"].any($x -> $x == $n)"#, "check_failed", true),
    ] {
        let part = cast.to_researcher().check(check);
        let token = cast.grant().delegate(part, &cast.orchestrator, NOW).unwrap();
        let bearer = token.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
        let verified = cast.verifier().verify(bearer.bearer(), NOW).unwrap();
        let decide = |arguments: &str| {
            let call = search().arguments(arguments).unwrap();
            authorize(&verified, &Policy::builtin(), &call)
                .map(|_| ())
                .map_err(|e| e.cause().as_str())
        };
        assert_eq!(decide(r#"{"FORCE NOW": true}"#), Err(refuses), "{check}");
        assert_eq!(decide(r#"{"nowhere": true}"#).is_ok(), passes, "{check}");
    }
}

/// What a policy writes is folded when it is loaded, however much it is; what a call sends has a bound.
#[test]
fn what_policies_write_takes_nothing_of_what_a_call_may() {
    let names: Vec<String> =
        (0..300).map(|n| format!("\"\u{c4}{}{n}\"", "\u{fdfa}".repeat(10))).collect();
    let lists: String =
        names.chunks(50).map(|some| format!("bad([{}]);\n", some.join(", "))).collect();
    for policy in [
        lists + "deny if arg($n, true), bad($l), $l.contains($n);",
        names.iter().map(|name| format!("bad({name});\n")).collect::<String>()
            + "deny if arg($n, true), bad($n);",
        names.iter().map(|name| format!("deny if arg({name}, true);\n")).collect(),
    ] {
        let name = format!("\u{e4}{}7", "\u{fdfa}".repeat(10));
        assert!(refused(&policy, &format!(r#"{{"{name}": true}}"#)));
        assert!(!refused(&policy, r#"{"other": true}"#));
    }
}

/// Conditions are drawn. Whatever one says of a name as it is written (which `allow if` asks), a denial by it says of all its
/// spellings; and one that stands alone says no more.
#[test]
fn what_holds_for_a_name_is_denied_in_all_its_spellings() {
    let cast = Cast::new();
    let verified = cast.verifier().verify(cast.presented().bearer(), NOW).unwrap();
    let mut state = 7_u64;
    let mut draw = |most: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % most
    };
    const TEXTS: [&str; 8] = ["a", "B", "ab", "Ab", "AB", "bA", "\u{ff21}", "a\u{ff22}"];
    let names: Vec<[&str; 4]> = vec![
        ["a", "A", "\u{ff41}", "\u{ff21}"],
        ["ab", "AB", "Ab", "aB"],
        ["\u{ff41}b", "\u{ff21}B", "a\u{ff42}", "A\u{ff22}"],
        ["ba", "bA", "BA", "B\u{ff21}"],
        ["aba", "ABA", "AbA", "aBa"],
    ];
    let folded = |name: &str| {
        let ascii = |c: char| match c {
            '\u{ff21}' | '\u{ff41}' => 'a',
            '\u{ff22}' | '\u{ff42}' => 'b',
            c => c.to_ascii_lowercase(),
        };
        name.chars().map(ascii).collect::<String>()
    };
    for round in 0..150 {
        let mut atom = || {
            let (one, other) = (TEXTS[draw(8)], TEXTS[draw(8)]);
            let other = if folded(one) == folded(other) { "x" } else { other };
            match draw(12) {
                0 => format!("$n == \"{one}\""),
                1 => format!("\"{one}\" === $n"),
                2 => format!("[\"{one}\", \"{other}\"].contains($n)"),
                3 => format!("{{\"{one}\", \"{other}\"}}.contains($n)"),
                4 => format!("{{\"{one}\": \"{one}\", \"{other}\": \"y\"}}.get($n) == \"{one}\""),
                5 => format!("$n.starts_with(\"{one}\")"),
                6 => format!("$n.ends_with(\"{one}\")"),
                7 => format!("$n.contains(\"{one}\")"),
                8 => format!("[\"{one}\", \"{other}\"].any($x -> $x == $n)"),
                9 => format!("[\"{one}\", \"{other}\"].any($x -> $n.starts_with($x))"),
                10 => "bad($m), $m == $n".to_owned(),
                _ => "begins($m), $n.starts_with($m)".to_owned(),
            }
        };
        let (first, second) = (atom(), atom());
        let single = round % 3 == 0 || first.starts_with('b') || second.starts_with('b');
        let condition = match round % 3 {
            _ if single => first,
            1 => format!("{first} && {second}"),
            _ => format!("{first} || !({second}) && $n.length() < 1"),
        };
        let facts = format!("bad(\"{}\"); begins(\"{}\");", TEXTS[draw(8)], TEXTS[draw(8)]);
        let as_written = Policy::parse("p", &format!("{facts} allow if arg($n, 1), {condition};"));
        let as_written = as_written.unwrap_or_else(|error| panic!("{condition}: {error}"));
        let denied =
            Policy::parse("p", &format!("{facts} allow if true; deny if arg($n, 1), {condition};"));
        let denied = denied.unwrap_or_else(|error| panic!("{condition}: {error}"));
        for spellings in &names {
            let call = |name: &str| search().arguments(&format!("{{\"{name}\": 1}}")).unwrap();
            let all = (0..1 << folded(spellings[0]).len()).flat_map(|capitals: u32| {
                [('a', 'A'), ('\u{ff41}', '\u{ff21}')].map(|(small, capital)| {
                    let letter = |(at, c): (usize, char)| {
                        let start = if capitals >> at & 1 == 1 { capital } else { small };
                        char::from_u32(u32::from(start) + u32::from(c) - u32::from('a')).unwrap()
                    };
                    folded(spellings[0]).chars().enumerate().map(letter).collect::<String>()
                })
            });
            // Mixed ones, too.
            let mut all = all.chain(spellings.iter().map(|name| (*name).to_owned()));
            let holds = all.any(|name| authorize(&verified, &as_written, &call(&name)).is_ok());
            for name in spellings {
                let refused = authorize(&verified, &denied, &call(name)).is_err();
                assert!(refused || !holds, "{facts} {condition} does not find {name}");
                if single && !TEXTS.iter().any(|text| !text.is_ascii() && condition.contains(text))
                {
                    let facts_are_ascii = facts.is_ascii() || condition.contains('"');
                    assert!(
                        holds || !refused || !facts_are_ascii,
                        "{facts} {condition} finds {name}"
                    );
                }
            }
        }
    }
}
