//! Constraints: what a delegator demands of arguments holds for every call, whatever the agent writes.

use hardtack::*;
use hardtack_testkit::*;
use proptest::prelude::*;

/// A session of an agent whose hop has these constraints.
fn verified(constraints: &[&str]) -> VerifiedCapability {
    let cast = Cast::new();
    let hop = Delegation::to("agent.payer")
        .scope("tools:call:*")
        .reason("a constraint")
        .holder(cast.researcher.public());
    let hop = constraints.iter().fold(hop, |hop, constraint| hop.allow(*constraint));
    let capability = cast.grant().delegate(hop, &cast.orchestrator, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    cast.verifier().verify(bearer.bearer(), NOW).unwrap()
}

/// Whether a call with these arguments may be done; if not, the refusal names the hop.
fn may(verified: &VerifiedCapability, arguments: &str) -> bool {
    // What two readers could read differently never becomes a call.
    let Ok(call) = Call::tool("any").unwrap().arguments(arguments) else { return false };
    match authorize(verified, &Policy::builtin(), &call) {
        Ok(_) => true,
        Err(error) => {
            assert!(matches!(error.cause().as_str(), "check_failed" | "not_evaluable"), "{error}");
            assert_eq!(error.block(), Some(1), "{error}");
            false
        }
    }
}

fn allows(constraint: &str, arguments: &[&str]) {
    let verified = verified(&[constraint]);
    for arguments in arguments {
        assert!(may(&verified, arguments), "{constraint} refuses {arguments}");
    }
}

fn refuses(constraint: &str, arguments: &[&str]) {
    let verified = verified(&[constraint]);
    for arguments in arguments {
        assert!(!may(&verified, arguments), "{constraint} allows {arguments}");
    }
}

/// Whatever is demanded of an argument, these are not it.
const NEVER: [&str; 7] = [
    "{}",
    r#"{"A": "x"}"#,
    r#"{"a": null}"#,
    r#"{"a": []}"#,
    r#"{"a": {}}"#,
    r#"{"a": {"a": "x"}}"#,
    r#"{"b": {"a": 1}}"#,
];

#[test]
fn an_exact_value_is_that_value_and_no_other() {
    allows(
        "a == EUR",
        &[r#"{"a": "EUR"}"#, r#"{"a": "EUR", "b": 1}"#, r#"{"\u0061": "EU\u0052"}"#],
    );
    refuses("a == EUR", &NEVER);
    refuses(
        "a == EUR",
        &[
            r#"{"a": "eur"}"#,
            r#"{"a": "EUR "}"#,
            r#"{"a": "EUR\u0000"}"#,
            r#"{"a": "\u0415UR"}"#,
            r#"{"a": "\uff25UR"}"#,
            r#"{"a": "EU\u200bR"}"#,
            r#"{"a": ["EUR"]}"#,
            r#"{"a": 5}"#,
            r#"{"a": true}"#,
        ],
    );
    allows("a == 5", &[r#"{"a": 5}"#, r#"{"a": 5.0}"#, r#"{"a": 50e-1}"#]);
    refuses("a == 5", &[r#"{"a": "5"}"#, r#"{"a": 5.5}"#, r#"{"a": 1e300}"#, r#"{"a": [5]}"#]);
    allows("a == true", &[r#"{"a": true}"#]);
    refuses("a == true", &[r#"{"a": "true"}"#, r#"{"a": 1}"#, r#"{"a": false}"#]);
    allows("a == \"true\"", &[r#"{"a": "true"}"#]);
    refuses("a == \"true\"", &[r#"{"a": true}"#]);
}

#[test]
fn a_list_says_which_values_and_which_not() {
    allows(r#"a in ["EUR", "USD"]"#, &[r#"{"a": "EUR"}"#, r#"{"a": "USD"}"#]);
    refuses(r#"a in ["EUR", "USD"]"#, &NEVER);
    refuses(
        r#"a in [EUR, USD]"#,
        &[r#"{"a": "GBP"}"#, r#"{"a": "eur"}"#, r#"{"a": ["EUR"]}"#, r#"{"a": "EUR, USD"}"#],
    );
    allows("a one of 1, 2", &[r#"{"a": 1}"#]);
    refuses("a one of 1, 2", &[r#"{"a": 3}"#, r#"{"a": "1"}"#, r#"{"a": 1.5}"#]);
    allows("a not in [root, admin]", &[r#"{"a": "alice"}"#]);
    refuses("a not in [root, admin]", &NEVER);
    refuses("a not in [root, admin]", &[r#"{"a": "root"}"#, r#"{"a": ["root"]}"#, r#"{"a": 5}"#]);
    refuses("a != root", &[r#"{"a": "root\u0000"}"#, r#"{"a": "root\n"}"#, r#"{"a": "root\r"}"#]);
    refuses("a != root", &[r#"{"a": "root "}"#, r#"{"a": "\u3000root"}"#, r#"{"a": "\u2028"}"#]);
    allows("a != root", &[r#"{"a": "Root"}"#]);
    refuses("a != root", &[r#"{"a": "root"}"#, r#"{"a": ["root"]}"#, "{}"]);
}

#[test]
fn a_range_is_of_whole_numbers() {
    let inside = [r#"{"a": 1}"#, r#"{"a": 100}"#, r#"{"a": 1e2}"#, r#"{"a": 100.0}"#];
    let outside = [
        r#"{"a": 0}"#,
        r#"{"a": 101}"#,
        r#"{"a": -1}"#,
        r#"{"a": 99.5}"#,
        r#"{"a": 1e30}"#,
        r#"{"a": 1e21}"#,
        r#"{"a": -1e308}"#,
        r#"{"a": "50"}"#,
        r#"{"a": [50]}"#,
        r#"{"a": true}"#,
        r#"{"a": "0x10"}"#,
        r#"{"a": 9007199254740991}"#,
    ];
    allows("a between 1 and 100", &inside);
    refuses("a between 1 and 100", &outside);
    refuses("a between 1 and 100", &NEVER);
    allows("a <= 100", &[r#"{"a": -9007199254740991}"#, r#"{"a": 100}"#]);
    refuses("a <= 100", &[r#"{"a": 101}"#, r#"{"a": "1"}"#, r#"{"a": "-1"}"#]);
    allows("a < 100", &[r#"{"a": 99}"#]);
    refuses("a < 100", &[r#"{"a": 100}"#]);
    refuses("a > 5", &[r#"{"a": 5}"#, r#"{"a": "6"}"#]);
    // What two readers could read differently never becomes a call.
    for number in ["9007199254740993", "9223372036854775808", "1e400", "NaN", "0x10", "01"] {
        let arguments = format!(r#"{{"a": {number}}}"#);
        assert!(Call::tool("any").unwrap().arguments(&arguments).is_err(), "{number}");
    }
}

#[test]
fn texts_are_compared_byte_for_byte() {
    allows("a starts with report-", &[r#"{"a": "report-"}"#, r#"{"a": "report-x"}"#]);
    refuses("a starts with report-", &NEVER);
    refuses(
        "a starts with report-",
        &[
            r#"{"a": "Report-x"}"#,
            r#"{"a": " report-x"}"#,
            r#"{"a": "report-x\u0000.exe"}"#,
            r#"{"a": "report-x\nX: y"}"#,
            r#"{"a": "r\u0435port-x"}"#,
            r#"{"a": ["report-x"]}"#,
            r#"{"a": 5}"#,
        ],
    );
    allows("a ends with \"@example.com\"", &[r#"{"a": "x@example.com"}"#]);
    refuses(
        "a ends with \"@example.com\"",
        &[
            r#"{"a": "x@example.com.evil.com"}"#,
            r#"{"a": "x@evil.com\u0000@example.com"}"#,
            r#"{"a": "x@EXAMPLE.com"}"#,
            r#"{"a": ["y", "@example.com"]}"#,
        ],
    );
    allows("a contains needle", &[r#"{"a": "a needle here"}"#]);
    refuses(
        "a contains needle",
        &[r#"{"a": ["needle"]}"#, r#"{"a": {"needle": 1}}"#, r#"{"a": "Needle"}"#],
    );
    // A length is of a text's bytes.
    allows("a length <= 4", &[r#"{"a": "abcd"}"#, r#"{"a": "\u00fc\u00fc"}"#, r#"{"a": ""}"#]);
    refuses(
        "a length <= 4",
        &[
            r#"{"a": "abcde"}"#,
            r#"{"a": "\u00fc\u00fc\u00fc"}"#,
            r#"{"a": ["a"]}"#,
            r#"{"a": 5}"#,
            "{}",
        ],
    );
}

#[test]
fn the_length_of_a_text_is_decided_also_where_the_text_is_too_large_to_be_seen() {
    let text = |bytes: usize| format!(r#"{{"a": "{}"}}"#, "x".repeat(bytes));
    // Lists and maps of more elements than texts have bytes, and what is seen of neither.
    let list = |count: usize| format!(r#"{{"a": [{}]}}"#, vec!["1"; count].join(","));
    let map = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!(r#""{n}": 1"#)).collect();
        format!(r#"{{"a": {{{}}}}}"#, members.join(","))
    };
    let others = [list(5), list(900), list(6_000), map(5), map(6_000), r#"{"a": 5000}"#.to_owned()];
    for (constraint, most) in [
        ("a length <= 100000", 100_000),
        ("a? length <= 100000", 100_000),
        ("a length <= 4097", 4_097),
        ("a length <= 4096", 4_096),
        ("a length <= 20000 or a length <= 4", 20_000),
        ("b == 1 or a length <= 20000", 20_000),
    ] {
        allows(constraint, &[&text(0), &text(4_096.min(most)), &text(most)]);
        refuses(constraint, &[&text(most + 1), &text(1_000_000)]);
        refuses(constraint, &others.each_ref().map(String::as_str));
    }
    allows("a length >= 5000", &[&text(5_000), &text(1_000_000)]);
    refuses("a length >= 5000", &[&text(4_096), &text(4_097), &text(4_999), &list(6_000)]);
    allows("a length between 4096 and 5000", &[&text(4_096), &text(4_097), &text(5_000)]);
    refuses("a length between 4096 and 5000", &[&text(4_095), &text(5_001)]);
    refuses("a length >= 0", &others.each_ref().map(String::as_str));
    let item = |bytes: usize| format!(r#"{{"a": ["b", "{}"]}}"#, "x".repeat(bytes));
    allows("each a length <= 100000", &[&item(1), &item(5_000), &item(100_000)]);
    refuses("each a length <= 100000", &[&item(100_001), r#"{"a": [["x"]]}"#, r#"{"a": [5]}"#]);
}

#[test]
fn patterns_folders_sites_and_networks_are_judged() {
    allows("a like \"report-*.pdf\"", &[r#"{"a": "report-2026.pdf"}"#]);
    refuses("a like \"report-*.pdf\"", &NEVER);
    refuses(
        "a like \"report-*.pdf\"",
        &[
            r#"{"a": "report-/../x.pdf"}"#,
            r#"{"a": "report-x.pdf\u0000"}"#,
            r#"{"a": "REPORT-x.pdf"}"#,
        ],
    );
    allows("a within /srv/data", &[r#"{"a": "/srv/data/a/../b"}"#, r#"{"a": "/srv/data"}"#]);
    refuses("a within /srv/data", &NEVER);
    refuses(
        "a within /srv/data",
        &[
            r#"{"a": "/srv/data/../etc/passwd"}"#,
            r#"{"a": "/srv/database"}"#,
            r#"{"a": "data/x"}"#,
            r#"{"a": "/SRV/data/x"}"#,
            r#"{"a": "/srv/data/x\u0000"}"#,
            r#"{"a": "/srv/data/\uff0e\uff0e/etc"}"#,
            r#"{"a": ["/srv/data/x"]}"#,
            r#"{"a": 5}"#,
        ],
    );
    allows("a url https://*.example.com", &[r#"{"a": "https://api.example.com/x"}"#]);
    refuses("a url https://*.example.com", &NEVER);
    refuses(
        "a url https://*.example.com",
        &[
            r#"{"a": "https://evil.com/.example.com"}"#,
            r#"{"a": "https://x.example.com@evil.com/"}"#,
            r#"{"a": "http://api.example.com/"}"#,
            r#"{"a": "https://API.example.com/"}"#,
            r#"{"a": ["https://api.example.com/"]}"#,
        ],
    );
    refuses(
        "a url https://*",
        &[r#"{"a": "https://169.254.169.254/"}"#, r#"{"a": "https://[::1]/"}"#],
    );
    allows("a url http://169.254.169.254", &[r#"{"a": "http://169.254.169.254/x"}"#]);
    allows("a network 10.0.0.0/8", &[r#"{"a": "10.1.2.3"}"#]);
    refuses("a in network 10.0.0.0/8", &NEVER);
    refuses(
        "a network 10.0.0.0/8",
        &[
            r#"{"a": "11.0.0.1"}"#,
            r#"{"a": "010.0.0.1"}"#,
            r#"{"a": "::ffff:10.0.0.1"}"#,
            r#"{"a": 167772161}"#,
        ],
    );
}

/// Whether a call with this resource may be done.
fn may_touch(verified: &VerifiedCapability, resource: Option<&str>) -> bool {
    let call = Call::new("tools:call:read").unwrap();
    let call = match resource {
        Some(uri) => match call.resource(uri) {
            Ok(call) => call,
            // What is in no normal form never becomes a call.
            Err(_) => return false,
        },
        None => call,
    };
    match authorize(verified, &Policy::builtin(), &call) {
        Ok(_) => true,
        Err(error) => {
            assert!(matches!(error.cause().as_str(), "check_failed" | "not_evaluable"), "{error}");
            assert_eq!(error.block(), Some(1), "{error}");
            false
        }
    }
}

#[test]
fn the_resource_is_held_like_an_argument() {
    let folder = verified(&["the resource within file:///srv/data"]);
    for uri in ["file:///srv/data", "file:///srv/data/a", "file:///srv/data/my%20file.txt"] {
        assert!(may_touch(&folder, Some(uri)), "{uri}");
    }
    for uri in [
        "file:///etc/passwd",
        "file:///srv/database",
        "file:///srv/data/..%2f..%2fetc/passwd",
        "file:///srv/data/%252e%252e/x",
        "file:///srv/data/..%20/x",
        "file:///srv/data/;a/x",
        "file://host/srv/data/a",
        "https://srv/data/a",
    ] {
        assert!(!may_touch(&folder, Some(uri)), "{uri}");
    }
    assert!(!may_touch(&folder, None));
    let call = Call::tool("read").unwrap().arguments(r#"{"resource": "file:///srv/data/a"}"#);
    assert!(authorize(&folder, &Policy::builtin(), &call.unwrap()).is_err());

    let either =
        verified(&["the resource within file:///srv/a or the resource url https://a.example/v1"]);
    assert!(may_touch(&either, Some("file:///srv/a/x")));
    assert!(may_touch(&either, Some("https://a.example/v1/x")));
    assert!(!may_touch(&either, Some("file:///srv/b")));
    let optional = verified(&["the resource? url https://a.example"]);
    assert!(may_touch(&optional, None));
    assert!(!may_touch(&optional, Some("https://b.example/")));
    let absent = verified(&["the resource absent"]);
    assert!(may_touch(&absent, None));
    assert!(!may_touch(&absent, Some("https://a.example/")));

    // An argument that is called so is another thing.
    let argument = verified(&["resource url https://a.example"]);
    assert!(may(&argument, r#"{"resource": "https://a.example/x"}"#));
    assert!(!may_touch(&argument, Some("https://a.example/x")));
}

#[test]
fn arrays_are_looked_into_and_never_taken_for_their_items() {
    allows("each a in [x, y]", &[r#"{"a": ["x"]}"#, r#"{"a": ["x", "y", "x"]}"#, r#"{"a": []}"#]);
    refuses(
        "each a in [x, y]",
        &[
            "{}",
            r#"{"a": "x"}"#,
            r#"{"a": ["x", "z"]}"#,
            r#"{"a": ["x", ["y"]]}"#,
            r#"{"a": ["x", null]}"#,
            r#"{"a": {"x": "y"}}"#,
            r#"{"a": null}"#,
        ],
    );
    allows("each a <= 5", &[r#"{"a": [1, 5]}"#]);
    refuses("each a <= 5", &[r#"{"a": [1, 6]}"#, r#"{"a": ["1"]}"#, r#"{"a": [1.5]}"#]);
    allows("every item of a within /srv", &[r#"{"a": ["/srv/x", "/srv/y"]}"#]);
    refuses(
        "each a within /srv",
        &[r#"{"a": ["/srv/x", "/etc"]}"#, r#"{"a": ["/srv/x", "../etc"]}"#],
    );
    allows("a items <= 2", &[r#"{"a": [1, 2]}"#]);
    refuses("a items <= 2", &[r#"{"a": [1, 2, 3]}"#, r#"{"a": "x"}"#, r#"{"a": {"b": 1}}"#, "{}"]);
    allows("a includes x", &[r#"{"a": ["y", "x"]}"#]);
    refuses(
        "a includes x",
        &[r#"{"a": "x"}"#, r#"{"a": [["x"]]}"#, r#"{"a": {"x": 1}}"#, r#"{"a": []}"#],
    );
}

#[test]
fn arguments_are_required_optional_absent_or_none_but_these() {
    allows("a required", &[r#"{"a": null}"#, r#"{"a": []}"#]);
    refuses("a required", &["{}", r#"{"A": 1}"#, r#"{"b": {"a": 1}}"#]);
    allows("a? <= 5", &["{}", r#"{"a": 5}"#, r#"{"b": "x"}"#]);
    refuses("a? <= 5", &[r#"{"a": 6}"#, r#"{"a": "5"}"#, r#"{"a": null}"#, r#"{"a": [5]}"#]);
    allows("a? within /srv", &["{}", r#"{"a": "/srv/x"}"#]);
    refuses("a? within /srv", &[r#"{"a": "/etc"}"#, r#"{"a": "srv/x"}"#, r#"{"a": ["/srv/x"]}"#]);
    allows("each a? in [x]", &["{}", r#"{"a": ["x"]}"#]);
    refuses("each a? in [x]", &[r#"{"a": ["y"]}"#, r#"{"a": "x"}"#]);
    allows("a absent", &["{}", r#"{"b": 1}"#]);
    refuses("a <= 5", &[r#"{"a": 5, "A": 500}"#, r#"{"A": 5}"#]);
    refuses("sum <= 5", &[r#"{"sum": 5, "\u017fum": 500}"#]);
    refuses("a absent", &[r#"{"a": null}"#, r#"{"a": 1}"#]);
    // However a tool spells it.
    refuses("a absent", &[r#"{"A": 1}"#, r#"{"a ": 1}"#, r#"{"\uff41": 1}"#, r#"{"a\u0000": 1}"#]);
    refuses("a? <= 5", &[r#"{"A": 6}"#]);
    allows("a? <= 5", &[r#"{"A": 5}"#]);
    allows("only a, b", &["{}", r#"{"a": 1}"#, r#"{"a": 1, "b": [2]}"#]);
    refuses(
        "only a, b",
        &[r#"{"a": 1, "c": 2}"#, r#"{"A": 1}"#, r#"{"a\u0000": 1}"#, r#"{"": 1}"#],
    );
    allows("no arguments", &["{}"]);
    refuses("no arguments", &[r#"{"a": 1}"#, r#"{"": null}"#]);
    let closed = verified(&["a <= 5", "b? == x", "no other arguments"]);
    assert!(may(&closed, r#"{"a": 5, "b": "x"}"#));
    assert!(may(&closed, r#"{"a": 5}"#));
    assert!(!may(&closed, r#"{"a": 5, "c": 1}"#));
    assert!(!may(&closed, r#"{"b": "x"}"#));
    // An odd name is a name.
    allows(r#""a b" == x"#, &[r#"{"a b": "x"}"#]);
    refuses(r#""a b" == x"#, &[r#"{"a": "x"}"#]);
}

#[test]
fn alternatives_hold_if_one_does() {
    let either = "amount <= 5 or approved == true";
    allows(
        either,
        &[r#"{"amount": 5}"#, r#"{"amount": 500, "approved": true}"#, r#"{"approved": true}"#],
    );
    refuses(either, &["{}", r#"{"amount": 6}"#, r#"{"amount": 6, "approved": "true"}"#]);
}

#[test]
fn constraints_only_add_up_down_the_chain() {
    let cast = Cast::new();
    let worker = PrivateKey::from_bytes(&[9; 32]);
    let hop = |to: &str, key: &PrivateKey| {
        Delegation::to(to).scope("tools:call:*").reason("narrower").holder(key.public())
    };
    let first = hop("agent.a", &cast.researcher).allow("amount <= 100").allow("only amount");
    let second = hop("agent.b", &worker).allow("amount <= 1000");
    let capability = cast.issuer().mint(cast.grant_of(&["tools:call:*"]).allow("amount >= 1"), NOW);
    let capability = capability.unwrap().delegate(first, &cast.orchestrator, NOW).unwrap();
    let capability = capability.delegate(second, &cast.researcher, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &worker, NOW).unwrap();
    let verified = cast.verifier().verify(bearer.bearer(), NOW).unwrap();
    let block = |arguments: &str| {
        let call = Call::tool("pay").unwrap().arguments(arguments).unwrap();
        authorize(&verified, &Policy::builtin(), &call).err().map(|error| error.block())
    };
    assert_eq!(block(r#"{"amount": 100}"#), None);
    assert_eq!(block(r#"{"amount": 101}"#), Some(Some(1)));
    assert_eq!(block(r#"{"amount": 0}"#), Some(Some(0)));
    assert_eq!(block(r#"{"amount": 1, "to": "x"}"#), Some(Some(1)));
}

#[test]
fn what_is_no_constraint_says_what_to_write() {
    for (text, expected) in [
        ("", "is no constraint"),
        ("amount", "is no constraint"),
        ("amount ~ 5", "is no constraint"),
        ("amount <= a lot", "whole number"),
        ("amount <= 1.5", "count in cents"),
        ("amount <= 9007199254740992", "2^53"),
        ("amount == 007", "whole number"),
        ("amount between 5 and 1", "smaller"),
        ("a in []", "list"),
        ("a in [1, x]", "one type"),
        ("a in [1, ]", "list"),
        ("a == \"x", "is no value"),
        ("a == -9223372036854775808", "2^53"),
        ("a < -9223372036854775808", "2^53"),
        ("a != root, admin", "one plain word"),
        ("a != root or admin", "is no constraint"),
        ("a != root and b == x", "double quotes"),
        ("a not in (root, admin)", "one plain word"),
        ("a not in: root, admin", "is no constraint"),
        ("a not in [root admin]", "one plain word"),
        ("a not in root; admin", "one plain word"),
        ("a not in \u{201c}root\u{201d}", "one plain word"),
        ("a not in network 10.0.0.0/8", "one plain word"),
        ("path not in /etc", "one plain word"),
        ("a !== root", "is no constraint"),
        ("a =< 5", "is no constraint"),
        ("a == x; b == y", "one plain word"),
        ("a == null", "one plain word"),
        ("a == True", "one plain word"),
        ("a != .5", "whole number"),
        ("a == x\nb == y", "one line"),
        ("options.force absent", "top-level member"),
        ("path within /srv/a, /srv/b", "one of them"),
        ("path within /srv/data/*", "leave /* off"),
        ("a starts with /srv/data", "within"),
        ("a starts with \"https://api\"", "url https"),
        ("a like \"https://*.example.com/*\"", "url https"),
        ("a matches ^x$", "no regular expressions"),
        ("amount <= 5 and amount >= 1", "whole number"),
        ("path not within /etc", "say what is allowed"),
        ("within /srv", "comes first"),
        ("tags all in [a, b]", "each tags in"),
        ("a starts with \"\"", "says something"),
        ("path within data", "absolute"),
        ("path within /srv/../etc", "single slashes"),
        ("u url api.example.com", "https://"),
        ("ip network 10.0.0.1/8", "10.0.0.0/8"),
        ("f like \"[a]\"", "patterns with or"),
        ("a? required", "may not"),
        ("a absent or b == 1", "constraints of their own"),
        ("each a required", "is no constraint"),
        ("a length <= -1", "length"),
        ("the resource within /srv/data", "the resource is a URI"),
        ("the resource <= 5", "the resource is a URI"),
        ("the resource like \"*.pdf\"", "say where it is"),
        ("the resource like \"https://*.example.com/*\"", "`the resource url https://"),
        ("the resource starts with \"https://api\"", "`the resource url https://"),
        ("the resource contains data", "say where it is"),
        ("the resource == \"https://A.example\"", "write https://a.example/"),
        ("the resource? == \"https://a.example/x/../y\"", "write https://a.example/y"),
        ("the resource in [\"https://a.example/\", \"FILE:///a\"]", "write file:///a"),
        ("the resource == data", "never equals `data`: the resource is not a URI"),
        ("a == 1 or the resource == \"https://a.example\"", "write https://a.example/"),
        ("The resource within file:///srv", "in small letters"),
        ("the ressource within file:///srv", "in small letters"),
        ("the  resource within file:///srv", "in small letters"),
        ("THE RESOURCE == \"https://a.example/\"", "in small letters"),
        ("the resource network 10.0.0.0/8", "the resource is a URI"),
        ("the resource in [1, 2]", "the resource is a URI"),
        ("each the resource in [a]", "is no constraint"),
        ("the resource", "is no constraint"),
        ("the resource? required", "may not"),
        ("the resource? absent", "is no constraint"),
        ("the resource within file://localhost/srv", "file:///srv/data"),
        ("the resource within file:///srv/../etc", "absolute"),
        ("path within /srv/a.", "readers leave these"),
    ] {
        let error = text.parse::<Constraint>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let delegation = Delegation::to("agent.a").scope("tools:call:*").reason("r").unbound();
    let cast = Cast::new();
    let error = cast.grant().delegate(delegation.allow("amount < x"), &cast.orchestrator, NOW);
    assert!(error.unwrap_err().to_string().contains("whole number"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// No text makes the parser panic, and what it reads it writes so that it reads the same.
    #[test]
    fn what_is_read_is_written_and_read_alike(
        name in "[a-z]{1,8}|\"[^\"\\\\]{0,6}\"",
        operator in prop::sample::select(vec![
            "==", "!=", "<=", ">", "in", "not in", "starts with", "ends with", "contains", "within", "url",
            "network", "like", "length <=", "items >", "includes", "between 1 and", "required", "absent", "",
        ]),
        operand in "\\PC{0,20}|[0-9]{1,18}|/[a-z./]{0,12}|https://[a-z.*]{1,12}(:[0-9]{1,5})?|\\[[a-z, ]{0,9}\\]",
    ) {
        let text = format!("{name} {operator} {operand}");
        if let Ok(constraint) = text.parse::<Constraint>() {
            let written = constraint.to_string();
            prop_assert_eq!(written.parse::<Constraint>().unwrap(), constraint, "{}", written);
        }
    }
}

/// Unicode NFKC, best-fit mappings of Windows, and the signs that stand in the backslash's place make a separator or a
/// dot of each of these, or of what stands beside it.
const LOOK_ALIKES: [char; 21] = [
    '\u{2024}', '\u{2025}', '\u{fe52}', '\u{2044}', '\u{2215}', '\u{29f8}', '\u{ff0f}', '\u{2216}',
    '\u{29f5}', '\u{29f9}', '\u{fe68}', '\u{ff3c}', '\u{20e5}', '\u{fe30}', '\u{fe19}', '\u{a5}',
    '\u{20a9}', '\u{2100}', '\u{2101}', '\u{2105}', '\u{2106}',
];

/// What people write in names, and some readers take for dots.
const DOTS: [char; 4] = ['\u{2026}', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

#[test]
fn what_looks_like_a_separator_or_becomes_one_lies_in_no_folder_and_fits_no_pattern() {
    let folder = verified(&["a within /srv/data"]);
    let pattern = verified(&["a like \"report-*\""]);
    let argument = |text: String| format!("{{\"a\": \"{text}\"}}");
    assert!(may(&folder, &argument("/srv/data/a\u{e9}b".to_owned())));
    assert!(may(&pattern, &argument("report-a\u{e9}b".to_owned())));
    for c in LOOK_ALIKES {
        let code = u32::from(c);
        assert!(!may(&folder, &argument(format!("/srv/data/a{c}b"))), "U+{code:04X} in a path");
        assert!(!may(&pattern, &argument(format!("report-a{c}b"))), "U+{code:04X} in a pattern");
    }
}

#[test]
fn what_some_take_for_a_dot_may_stand_in_a_name_and_is_no_step() {
    let folder = verified(&["a within /srv/data"]);
    let pattern = verified(&["a like \"report-**\""]);
    let argument = |text: String| format!("{{\"a\": \"{text}\"}}");
    for c in DOTS {
        let code = u32::from(c);
        for name in [format!("a{c}b"), format!("{c}a"), format!("a{c}")] {
            assert!(may(&folder, &argument(format!("/srv/data/{name}"))), "U+{code:04X}: {name}");
        }
        assert!(may(&pattern, &argument(format!("report-a{c}b"))), "U+{code:04X} in a pattern");
        for step in [format!("{c}{c}"), format!(".{c}"), format!("{c}."), format!("a;{c}{c}")] {
            assert!(
                !may(&folder, &argument(format!("/srv/data/{step}/etc"))),
                "U+{code:04X}: {step}"
            );
        }
        assert!(
            !may(&folder, &argument(format!("/srv/data{c}/a"))),
            "U+{code:04X} behind the folder"
        );
        assert!(
            !may(&pattern, &argument(format!("report-/{c}{c}/x"))),
            "U+{code:04X} in a pattern"
        );
    }
}

#[test]
fn a_value_that_some_reader_takes_for_another_is_not_said_to_be_another() {
    for c in [
        "\\u200b",
        "\\u00ad",
        "\\u200d",
        "\\u2060",
        "\\ufeff",
        "\\ufe0f",
        "\\udb40\\udc41",
        "\\u0007",
    ] {
        for text in [format!("ro{c}ot"), format!("root{c}"), format!("{c}root")] {
            let argument = format!("{{\"a\": \"{text}\"}}");
            refuses("a != root", &[&argument]);
            refuses("a? != root", &[&argument]);
            refuses("a not in [root, admin]", &[&argument]);
            refuses("each a != root", &[&format!("{{\"a\": [\"{text}\"]}}")]);
        }
    }
    for blank in ["\\t", " ", "\\u00a0", "\\u3000", "\\u2003", "\\u001f"] {
        for text in [format!("root{blank}"), format!("{blank}root")] {
            refuses("a != root", &[&format!("{{\"a\": \"{text}\"}}")]);
        }
    }
    // What is all to be seen is another, whatever a path or pattern would make of it.
    for text in ["DOMAIN\\\\alice", "https://a.example/x", "50% off\u{2026}", "a/../b", "\u{540d}"]
    {
        allows("a != root", &[&format!("{{\"a\": \"{text}\"}}")]);
        allows("each a != root", &[&format!("{{\"a\": [\"{text}\"]}}")]);
    }
}

#[test]
fn a_text_ends_where_a_reader_of_lines_or_fields_ends_it() {
    for end in ["\\t", "\\n", "\\r\\n", "\\u0000", "\\u000b", "\\u001f", "\\u0085", "\\u2028"] {
        refuses(
            "a ends with \"@example.com\"",
            &[&format!("{{\"a\": \"x@evil.org{end}@example.com\"}}")],
        );
        refuses("a starts with ok", &[&format!("{{\"a\": \"ok{end}evil\"}}")]);
        refuses("a contains ok", &[&format!("{{\"a\": \"evil{end}ok\"}}")]);
    }
}

#[test]
fn a_pattern_is_not_got_around_by_readers_who_fold_or_cut() {
    refuses(
        "a like \"report-*.pdf\"",
        &[
            r#"{"a": "report-x.exe:.pdf"}"#,
            r#"{"a": "report-x.exe;.pdf"}"#,
            r#"{"a": "report-x.exe#.pdf"}"#,
            r#"{"a": "report-x.exe\uff1a.pdf"}"#,
            r#"{"a": "report-x.exe&.pdf"}"#,
            r#"{"a": "report-x.exe\uff06.pdf"}"#,
        ],
    );
    // Nor by those who leave quotes out, or what is not ASCII.
    refuses(
        "a like \"*/*/passwd\"",
        &[
            r#"{"a": "\"/etc/passwd"}"#,
            r#"{"a": "'/etc/passwd"}"#,
            r#"{"a": "\u00e9/etc/passwd"}"#,
            r#"{"a": "e\u0301/etc/passwd"}"#,
        ],
    );
    allows("a like \"*/*/passwd\"", &[r#"{"a": "srv/etc/passwd"}"#]);
    refuses("a like \"?.txt\"", &[r#"{"a": "\u00e9.txt"}"#]);
    refuses("a like \"*.txt\"", &[r#"{"a": "NUL.txt"}"#, r#"{"a": "com\u00b9.txt"}"#]);
    refuses(
        "a within /srv/data",
        &[
            r#"{"a": "/srv/data/NUL"}"#,
            r#"{"a": "/srv/data/..&/etc"}"#,
            r#"{"a": "/srv/data/..+/etc"}"#,
            r#"{"a": "/srv/data/..e\u0301/etc"}"#,
            r#"{"a": "/srv/data/e\u0301/../../etc"}"#,
        ],
    );
    // Behind `!` it is not outside.
    let cast = Cast::new();
    let hop = Delegation::to("agent.payer")
        .scope("tools:call:*")
        .reason("a constraint")
        .holder(cast.researcher.public())
        .check(r#"check all arg("a", $a), !$a.extern::hardtack_glob("**.exe")"#);
    let capability = cast.grant().delegate(hop, &cast.orchestrator, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    let verified = cast.verifier().verify(bearer.bearer(), NOW).unwrap();
    let cause = |text: &str| {
        let call = Call::tool("any").unwrap().arguments(&format!("{{\"a\": \"{text}\"}}")).unwrap();
        authorize(&verified, &Policy::builtin(), &call).err().map(|error| error.cause().as_str())
    };
    assert_eq!(cause("b.txt"), None);
    assert_eq!(cause("b.exe"), Some("check_failed"));
    for text in
        ["b.exe.", "b.exe ", "b.exe:x", "b.exe;x", "b.EXE", "b.\\uff45xe", "b.ex%65", "b.exe/"]
            .into_iter()
            .chain(["b.exe\\u2460", "b.exee\\u0301", "b.exe&x", "b.exe+", "b.ex%2565", "B~1.EXE:x"])
    {
        assert_eq!(cause(text), Some("not_evaluable"), "{text}");
    }
}

#[test]
fn what_people_write_in_names_is_of_a_pattern() {
    allows(
        "a like \"*.pdf\"",
        &[
            r#"{"a": "report-2024.pdf"}"#,
            r#"{"a": "Jahres\u00fcbersicht \u00e9 \u00fc \u00df.pdf"}"#,
            r#"{"a": "AT&T.pdf"}"#,
            r#"{"a": "C++ & 1+1.pdf"}"#,
            r#"{"a": "O'Neil \"draft\".pdf"}"#,
            r#"{"a": "100%.pdf"}"#,
            r#"{"a": "\u65e5\u672c.pdf"}"#,
            r#"{"a": "\u062a\u0642\u0631\u064a\u0631.pdf"}"#,
            r#"{"a": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.pdf"}"#,
            r#"{"a": "\ud83d\udc68\u200d\ud83d\udc69.pdf"}"#,
        ],
    );
    allows(
        "a within /srv/data",
        &[
            r#"{"a": "/srv/data/AT&T/C++/100%.pdf"}"#,
            r#"{"a": "/srv/data/O'Neil \"draft\".txt"}"#,
            r#"{"a": "/srv/data/\u65e5\u672c/console.txt"}"#,
        ],
    );
}
