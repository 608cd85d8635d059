use std::collections::HashSet;

use super::*;
use crate::spelling::MAX_FOLDED_BYTES;

fn problem(json: &str) -> ArgumentProblem {
    match Call::tool("t").unwrap().arguments(json) {
        Err(CallError::Arguments(problem)) => problem,
        other => panic!("{json}: {other:?}"),
    }
}

fn terms(json: &str) -> Vec<Term> {
    Call::tool("t")
        .unwrap()
        .arguments(json)
        .unwrap()
        .argument_terms()
        .map(|(_, term)| term.clone())
        .collect()
}

#[test]
fn what_two_readers_read_differently_is_refused() {
    use ArgumentProblem::*;
    for (json, expected) in [
        (r#"{"a":1,"a":2}"#, Repeated),
        (r#"{"a":{"b":[{"c":1,"c":1}]}}"#, Repeated),
        (r#"{"a":1,"\u0061":2}"#, Repeated),
        (r#"{"a":9007199254740992}"#, UnsafeInteger),
        (r#"{"a":-9007199254740992}"#, UnsafeInteger),
        (r#"{"a":9007199254740993}"#, UnsafeInteger),
        (r#"{"a":100000000000000000000}"#, UnsafeInteger),
        (r#"{"a":9007199254740992.0}"#, UnsafeInteger),
        (r#"{"a":"\ud800"}"#, NotJson),
        (r#"{"a":123456789012345678901234567890}"#, UnsafeInteger),
        (r#"{"a":1e21}"#, UnsafeInteger),
        (r#"{"a":1e999}"#, NotJson),
        (r#"{"a":NaN}"#, NotJson),
        (r#"{"a":01}"#, NotJson),
        (r#"{"a":1} {"#, NotJson),
        ("\u{feff}{}", NotJson),
        ("[]", NotAnObject),
        ("null", NotAnObject),
    ] {
        assert_eq!(problem(json), expected, "{json}");
    }
}

#[test]
fn integers_of_64_bits_are_read_exactly_where_they_are_asked_for_and_never_share_a_digest() {
    let call = |json: &str| Call::tool("t").unwrap().large_integers().arguments(json);
    let mut digests = HashSet::new();
    for integer in [
        i64::MIN,
        i64::MIN + 1,
        -MAX_SAFE_INTEGER - 2,
        -MAX_SAFE_INTEGER - 1,
        MAX_SAFE_INTEGER,
        MAX_SAFE_INTEGER + 1,
        MAX_SAFE_INTEGER + 2,
        i64::MAX - 1,
        i64::MAX,
    ] {
        let json = format!(r#"{{"a":{integer}}}"#);
        let read = call(&json).unwrap();
        let seen: Vec<Term> = read.argument_terms().map(|(_, term)| term.clone()).collect();
        assert_eq!(seen, [Term::Integer(integer)]);
        assert_eq!(serde_json::to_string(read.arguments_json()).unwrap(), json);
        assert!(digests.insert(read.digest()), "{integer}");
        let below = call(&format!(r#"{{"a":[{{"b":{integer}}}]}}"#)).unwrap();
        assert!(digests.insert(below.digest()), "{integer}, below");
        let added = Call::tool("t").unwrap().large_integers().argument("a", integer).unwrap();
        assert_eq!((added.digest(), &added), (read.digest(), &read));
        let whole = format!(r#"{{"operation":"tools:call:t","arguments":{json}}}"#);
        assert_eq!(Call::parse_with_large_integers(&whole).unwrap(), read);
        let is_safe = integer.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs();
        assert_eq!(Call::parse(&whole).is_ok(), is_safe, "{integer}");
    }
    // A text with the same digits is another call.
    let text = call(r#"{"a":"9007199254740993"}"#).unwrap();
    assert!(digests.insert(text.digest()));
    let refused = |problem| Err(CallError::Arguments(problem));
    for json in [
        r#"{"a":9223372036854775808}"#,
        r#"{"a":-9223372036854775809}"#,
        r#"{"a":18446744073709551616}"#,
        r#"{"a":9007199254740993.0}"#,
        r#"{"a":9007199254740993e0}"#,
        r#"{"a":[1e16]}"#,
        r#"{"a":-1e18}"#,
        r#"{"a":1e300}"#,
    ] {
        assert_eq!(call(json), refused(ArgumentProblem::InexactInteger), "{json}");
    }
    // It is said of arguments alone.
    let large = r#"{"n":9007199254740993}"#;
    let params = Call::tool("t").unwrap().large_integers().params(large);
    assert_eq!(params, refused(ArgumentProblem::UnsafeInteger));
    let whole = format!(r#"{{"operation":"tools:call:t","params":{large}}}"#);
    let params = Call::parse_with_large_integers(&whole);
    assert_eq!(params, refused(ArgumentProblem::UnsafeInteger));
}

#[test]
fn a_call_without_large_integers_has_the_same_digest_wherever_they_are_taken() {
    for json in [r#"{}"#, r#"{"a":1e3,"b":[-0.0,1.5,{"c":9007199254740991}]}"#, r#"{"n":-0}"#] {
        let plain = Call::tool("t").unwrap().arguments(json).unwrap();
        let exact = Call::tool("t").unwrap().large_integers().arguments(json).unwrap();
        assert_eq!((plain.digest(), &plain), (exact.digest(), &exact), "{json}");
    }
    // Beside a resource and what else is said, the arguments alone are written otherwise.
    let call = Call::new("resources:read").unwrap().large_integers();
    let call = call.resource("https://a.example/").unwrap().params(r#"{"b":2}"#).unwrap();
    let call = call.arguments(r#"{"a":9007199254740993}"#).unwrap();
    let written = r#"{"arguments":{"a":9007199254740993},"operation":"resources:read","params":{"b":2},"resource":"https://a.example/"}"#;
    assert_eq!(String::from_utf8(call.canonical()).unwrap(), written);
}

#[test]
fn a_number_is_an_integer_when_its_canonical_form_is() {
    assert_eq!(terms(r#"{"a":1e3}"#), [Term::Integer(1000)]);
    assert_eq!(terms(r#"{"a":1000.0}"#), [Term::Integer(1000)]);
    assert_eq!(terms(r#"{"a":-0.0}"#), [Term::Integer(0)]);
    assert_eq!(terms(r#"{"a":9007199254740991}"#), [Term::Integer(MAX_SAFE_INTEGER)]);
    assert_eq!(terms(r#"{"a":1.5}"#), [Term::Str("1.5".into())]);
    assert_eq!(terms(r#"{"a":1e-7}"#), [Term::Str("1e-7".into())]);
}

#[test]
fn a_call_that_is_changed_has_another_digest() {
    let call = Call::tool("search").unwrap();
    let mut digests = vec![call.digest()];
    let call = call.argument_json("a", "1").unwrap();
    digests.push(call.digest());
    let call = call.argument_json("b", "2").unwrap();
    digests.push(call.digest());
    let call = call.resource("https://notion.so/page").unwrap();
    digests.push(call.digest());
    let call = call.arguments(r#"{"c":3}"#).unwrap();
    digests.push(call.digest());
    for params in [r#"{"requestState":"x"}"#, r#"{"requestState":"y"}"#, r#"{"c":3}"#] {
        digests.push(call.clone().params(params).unwrap().digest());
    }
    assert_eq!(call.clone().params("{}").unwrap().digest(), call.digest());
    let call = call.replacing_argument("c", None).unwrap();
    digests.push(call.digest());
    let distinct: HashSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len());
}

#[test]
fn names_that_some_readers_take_for_one_are_refused() {
    for (one, other) in [
        ("amount", "Amount"),
        ("sum", "\u{17f}um"),
        ("key", "\u{212a}ey"),
        ("stra\u{df}e", "strasse"),
        ("stra\u{1e9e}e", "strasse"),
        ("stra\u{1e9e}e", "stra\u{df}e"),
    ] {
        let json = format!("{{\"{one}\":1,\"{other}\":2}}");
        assert_eq!(problem(&json), ArgumentProblem::Alike, "{json}");
        let inside = format!("{{\"a\":[{{\"b\":{json}}}]}}");
        assert_eq!(problem(&inside), ArgumentProblem::Alike, "{inside}");
        let call =
            Call::tool("t").unwrap().argument_json(one, "1").unwrap().argument_json(other, "2");
        assert_eq!(call, Err(CallError::Arguments(ArgumentProblem::Alike)), "{json}");
    }
}

#[test]
fn a_name_that_some_reader_cuts_or_shortens_is_refused_and_a_value_is_not() {
    for sign in
        ["\\u0000", "\\u0000x", "\\u0008", "\\u001a", "\\u200b", "\\ufeff", "\u{ad}", "\u{e0061}"]
    {
        for json in [
            format!("{{\"amount\":5,\"amount{sign}\":1}}"),
            format!("{{\"amount{sign}\":5}}"),
            format!("{{\"a\":{{\"b\":[{{\"{sign}\":5}}]}}}}"),
        ] {
            assert_eq!(problem(&json), ArgumentProblem::Name, "{json}");
        }
        let value = format!("{{\"amount\":[\"5{sign}\"]}}");
        assert!(Call::tool("t").unwrap().arguments(&value).is_ok(), "{value}");
    }
    let call = Call::tool("t").unwrap().argument_json("amount\0", "1");
    assert_eq!(call, Err(CallError::Arguments(ArgumentProblem::Name)));
}

#[test]
fn arguments_have_bounds() {
    let wide = format!("{{\"a\":[{}]}}", vec!["1"; MAX_ARGUMENT_VALUES].join(","));
    assert_eq!(problem(&wide), ArgumentProblem::TooLarge);
    let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(problem(&deep(MAX_ARGUMENT_DEPTH)), ArgumentProblem::TooLarge);
    assert!(Call::tool("t").unwrap().arguments(&deep(MAX_ARGUMENT_DEPTH - 1)).is_ok());
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ARGUMENT_BYTES));
    assert_eq!(problem(&long), ArgumentProblem::TooLarge);
}

#[test]
fn the_digest_is_of_the_canonical_form() {
    let one =
        Call::parse(r#"{"operation":"tools:call:pay","arguments":{"b":1e1,"a":"x"}}"#).unwrap();
    let two = Call::tool("pay").unwrap().arguments(r#"{ "a": "x", "b": 10 }"#).unwrap();
    assert_eq!(one.digest(), two.digest());
    let expected =
        Sha256::digest(br#"{"arguments":{"a":"x","b":10},"operation":"tools:call:pay"}"#);
    assert_eq!(one.digest(), <[u8; 32]>::from(expected));
    let said = r#"{"operation":"tools:call:pay","params":{"requestState":"x"}}"#;
    assert_eq!(Call::parse(said).unwrap().digest(), <[u8; 32]>::from(Sha256::digest(said)));
    let empty = Call::tool("pay").unwrap().arguments("{}").unwrap();
    assert_eq!(empty.digest(), Call::tool("pay").unwrap().digest());
}

#[test]
fn a_resource_is_in_normal_form() {
    let read = |uri| Call::new("resources:read").unwrap().resource(uri);
    for uri in ["https://notion.so/page", "file:///srv/data/a", "notion://page/1"] {
        assert!(read(uri).is_ok(), "{uri}");
    }
    let long = format!("https://notion.so/{}", "a".repeat(MAX_RESOURCE_BYTES));
    assert_eq!(read(&long), Err(CallError::LongResource));
    for uri in [
        "https://notion.so/a/../b",
        "HTTPS://notion.so/",
        "https://notion.so:443/",
        "page",
        "https://notion.so/%2e%2e/b",
        "file:///srv/./a",
        "file:///C|",
        "file:///c|/keys?a|b",
    ] {
        assert!(matches!(read(uri), Err(CallError::Resource { .. })), "{uri}");
    }
    for uri in [
        "file:///C:/keys|a",
        "file:///1|/keys",
        "file:///CC|/keys",
        "file:///a/C|/keys",
        "https://a.example/C|/",
    ] {
        assert!(read(uri).is_ok(), "{uri}");
    }
    let normal = CallError::Resource { normal: Some("file:///c:/keys?a|b".to_owned()) };
    assert_eq!(read("file:///c|/keys?a|b"), Err(normal));
}

#[test]
fn every_bound_of_arguments_is_met_and_not_passed() {
    let tool = || Call::tool("t").unwrap();
    let too_large = CallError::Arguments(ArgumentProblem::TooLarge);
    // {"a":"…"} has eight bytes beside the text.
    let text = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    assert!(tool().arguments(&text(MAX_ARGUMENT_BYTES)).is_ok());
    assert_eq!(tool().arguments(&text(MAX_ARGUMENT_BYTES + 1)), Err(too_large.clone()), "bytes");
    let members = |count: usize| {
        let members: Vec<String> = (0..count).map(|number| format!("\"a{number}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(tool().arguments(&members(MAX_ARGUMENTS)).is_ok());
    assert_eq!(tool().arguments(&members(MAX_ARGUMENTS + 1)), Err(too_large.clone()), "values");
    // However they came in.
    let halves = |count: usize| {
        let half: Value = vec![1; count].into();
        let call = tool().argument_json("a", &half.to_string()).unwrap();
        call.argument_json("b", &half.to_string())
    };
    assert!(halves(MAX_ARGUMENT_VALUES / 2 - 1).is_ok());
    assert_eq!(halves(MAX_ARGUMENT_VALUES / 2), Err(too_large.clone()), "values of two arguments");
    let half = format!("\"{}\"", "x".repeat(MAX_ARGUMENT_BYTES / 2));
    let bytes = tool().argument_json("a", &half).unwrap().argument_json("b", &half);
    assert_eq!(bytes, Err(too_large.clone()), "bytes of two arguments");
    let deep = |levels: usize| {
        let value = (1..levels).fold(Value::from(1), |value, _| Value::from(vec![value]));
        tool().replacing_argument("a", Some(value))
    };
    assert!(deep(MAX_ARGUMENT_DEPTH).is_ok());
    assert_eq!(deep(MAX_ARGUMENT_DEPTH + 1), Err(too_large), "levels");
    let named = |bytes: usize| tool().argument(&"n".repeat(bytes), 1);
    assert!(named(MAX_SEEN_TEXT_BYTES).is_ok());
    assert_eq!(named(MAX_SEEN_TEXT_BYTES + 1), Err(too_large_again()), "a name");
    let uri = |bytes: usize| format!("https://a.b/{}", "a".repeat(bytes - "https://a.b/".len()));
    let read = |bytes| Call::new("resources:read").unwrap().resource(&uri(bytes)).map(|_| ());
    assert_eq!(read(MAX_RESOURCE_BYTES), Ok(()));
    assert_eq!(read(MAX_RESOURCE_BYTES + 1), Err(CallError::LongResource));
}

fn too_large_again() -> CallError {
    CallError::Arguments(ArgumentProblem::TooLarge)
}

#[test]
fn how_many_bytes_a_call_may_have_is_settable() {
    let text = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let tool = |most| Call::tool("t").unwrap().at_most(most);
    assert!(tool(1000).arguments(&text(1000)).is_ok());
    assert_eq!(tool(1000).arguments(&text(1001)), Err(too_large_again()));
    assert!(tool(6_000_000).arguments(&text(6_000_000)).is_ok());
    let most = MOST_ARGUMENT_BYTES;
    assert!(tool(usize::MAX).arguments(&text(most)).is_ok());
    assert_eq!(tool(usize::MAX).arguments(&text(most + 1)), Err(too_large_again()));
}

#[test]
fn the_digest_of_a_large_call_covers_every_byte() {
    let text = |end: char| format!("{{\"a\":\"{}{end}\",\"b\":1}}", "x".repeat(3_000_000));
    let digest = |end| Call::tool("t").unwrap().arguments(&text(end)).unwrap().digest();
    assert_ne!(digest('x'), digest('y'));
    let canonical = format!("{{\"arguments\":{},\"operation\":\"tools:call:t\"}}", text('x'));
    assert_eq!(digest('x'), <[u8; 32]>::from(Sha256::digest(canonical)));
}

#[test]
fn an_argument_stands_once_however_it_is_added() {
    let call = Call::tool("t").unwrap().argument_json("a", "1").unwrap();
    let twice = Err(CallError::Arguments(ArgumentProblem::Repeated));
    assert_eq!(call.clone().argument_json("a", "1"), twice);
    let alike = Err(CallError::Arguments(ArgumentProblem::Alike));
    assert_eq!(call.argument_json("A", "1"), alike);
}

#[test]
fn a_call_that_is_read_has_its_three_members_and_no_other() {
    for json in [
        r#"{}"#,
        r#"{"operation":1}"#,
        r#"{"operation":"tools:call:pay","resource":1}"#,
        r#"{"operation":"tools:call:pay","resource":null}"#,
        r#"{"operation":"tools:call:pay","arguments":[1]}"#,
        r#"{"operation":"tools:call:pay","arguments":null}"#,
        r#"{"operation":"tools:call:pay","also":1}"#,
    ] {
        assert_eq!(Call::parse(json), Err(CallError::Form), "{json}");
    }
    let alike = r#"{"operation":"tools:call:pay","arguments":{"a":1,"A":2}}"#;
    assert_eq!(Call::parse(alike), Err(CallError::Arguments(ArgumentProblem::Alike)));
    let resource = r#"{"operation":"resources:read","resource":"https://a.b/../c"}"#;
    assert!(matches!(Call::parse(resource), Err(CallError::Resource { .. })));
}

#[test]
fn names_that_take_long_to_compare_are_bounded_in_all_objects_together() {
    let call = |names: &[String]| {
        let objects: Vec<String> = names.iter().map(|name| format!("{{\"{name}\":1}}")).collect();
        Call::tool("t").unwrap().arguments(&format!("{{\"a\":[{}]}}", objects.join(","))).map(drop)
    };
    let half = "\u{e9}".repeat(MAX_FOLDED_BYTES / 4);
    assert_eq!(call(&[half.clone(), half.clone()]), Ok(()));
    let refused = call(&[half.clone(), half, "\u{e9}".to_owned()]);
    assert_eq!(refused, Err(CallError::Arguments(ArgumentProblem::TooLarge)));
    assert_eq!(call(&["a".repeat(2 * MAX_FOLDED_BYTES)]), Ok(()), "letters of ASCII cost nothing");
}

#[test]
fn typed_values_are_arguments_as_they_are() {
    let call = Call::tool("t").unwrap();
    let call = call.argument("number", 1.5).unwrap().argument("list", vec![1, 2]).unwrap();
    let call = call.argument("array", [true, false]).unwrap();
    let call = call.argument("texts", vec!["a", "b"]).unwrap();
    let call = call.argument("words", ["c", "d"]).unwrap();
    for (name, expected) in [
        ("number", serde_json::json!(1.5)),
        ("list", serde_json::json!([1, 2])),
        ("array", serde_json::json!([true, false])),
        ("texts", serde_json::json!(["a", "b"])),
        ("words", serde_json::json!(["c", "d"])),
    ] {
        assert_eq!(call.arguments_json()[name], expected, "{name}");
    }
    assert!(Call::tool("t").unwrap().argument("none", f64::NAN).is_err());
}

#[test]
fn a_resource_has_its_bound_and_no_byte_more() {
    let uri = |bytes: usize| format!("https://a.example/{}", "a".repeat(bytes - 18));
    let with = |bytes| Call::tool("t").unwrap().resource(&uri(bytes)).map(drop);
    assert_eq!(uri(MAX_RESOURCE_BYTES).len(), MAX_RESOURCE_BYTES);
    assert_eq!(with(MAX_RESOURCE_BYTES), Ok(()));
    assert_eq!(with(MAX_RESOURCE_BYTES + 1), Err(CallError::LongResource));
}

#[test]
fn the_names_of_arguments_take_as_much_work_as_they_are() {
    let added = |names: usize, name: &str| {
        let before = crate::spelling::FOLDED.get();
        let mut call = Call::new("pages:read");
        for number in 0..names {
            call = call.and_then(|call| call.argument(&format!("{name}{number}"), 1));
        }
        (call.is_ok(), crate::spelling::FOLDED.get() - before)
    };
    let foldable = crate::spelling::MAX_FOLDED_BYTES / 50;
    for (names, name, is_let_in, most) in [
        (500, "a", true, 2 * 500),
        (500, "ë", true, 2 * 500),
        // Of what is refused, no more than what has room.
        (8000, "a", false, MAX_ARGUMENTS),
        (4000, "ë", false, MAX_ARGUMENTS),
        (250, &"ë".repeat(25), false, 1 + foldable),
    ] {
        let (found, folded) = added(names, name);
        assert_eq!(found, is_let_in, "{names} of {name}, {folded} folded");
        assert!(folded > 0 && folded <= most, "{folded} names were folded, and {most} are enough");
    }
}

#[test]
fn each_level_and_value_inside_an_object_is_counted() {
    let too_large = CallError::Arguments(ArgumentProblem::TooLarge);
    let with = |value| Call::tool("t").unwrap().replacing_argument("a", Some(value)).map(drop);
    let deep = |levels: usize| {
        let inside = |value, _| serde_json::json!({ "b": value });
        with((1..levels).fold(Value::from(1), inside))
    };
    assert_eq!(deep(MAX_ARGUMENT_DEPTH), Ok(()));
    assert_eq!(deep(MAX_ARGUMENT_DEPTH + 1), Err(too_large.clone()), "levels");
    let wide = |count: usize| {
        with((1..count).map(|number| (format!("b{number}"), Value::from(1))).collect())
    };
    assert_eq!(wide(MAX_ARGUMENT_VALUES), Ok(()));
    assert_eq!(wide(MAX_ARGUMENT_VALUES + 1), Err(too_large), "values");
}

#[test]
fn a_text_is_read_up_to_twice_the_bytes_of_arguments() {
    let read = |bytes: usize| {
        let spaces = " ".repeat(bytes - "{\"a\":1}".len());
        Call::tool("t").unwrap().arguments(&format!("{{\"a\":1{spaces}}}")).map(drop)
    };
    assert_eq!(read(2 * MAX_ARGUMENT_BYTES), Ok(()), "spaces are no part of the canonical form");
    let refused = read(2 * MAX_ARGUMENT_BYTES + 1);
    assert_eq!(refused, Err(CallError::Arguments(ArgumentProblem::TooLarge)));
}

#[test]
fn names_that_take_long_to_compare_are_bounded_when_they_are_added_one_by_one() {
    let call = |names: &[String]| {
        let call = Call::tool("t").unwrap();
        names.iter().try_fold(call, |call, name| call.argument_json(name, "1")).map(drop)
    };
    let half = |first: char| format!("{first}{}", "\u{e9}".repeat(MAX_FOLDED_BYTES / 4 - 1));
    let (first, second) = (half('\u{e0}'), half('\u{e1}'));
    assert_eq!(call(&["a".repeat(100), first.clone(), second.clone()]), Ok(()));
    let refused = call(&[first, second, "\u{e9}".to_owned()]);
    assert_eq!(refused, Err(CallError::Arguments(ArgumentProblem::TooLarge)));
}

#[test]
fn the_largest_integer_may_be_written_as_a_fraction() {
    assert_eq!(terms(r#"{"a":9007199254740991.0}"#), [Term::Integer(MAX_SAFE_INTEGER)]);
}

#[test]
fn calls_that_say_the_same_are_equal_whatever_was_asked_of_them() {
    let one = || Call::tool("t").unwrap().arguments(r#"{"a":1,"b":2}"#).unwrap();
    let asked = one();
    asked.digest();
    assert_eq!(asked, one());
    let added = Call::tool("t").unwrap().argument_json("a", "1").unwrap();
    assert_eq!(added.argument_json("b", "2").unwrap(), one());
    assert_ne!(one(), Call::tool("t").unwrap().arguments(r#"{"a":1,"b":3}"#).unwrap());
}

#[test]
fn a_resource_in_a_constraint_has_the_same_bound() {
    let uri = |bytes: usize| format!("https://a.example/{}", "a".repeat(bytes - 18));
    assert_eq!(check_resource(&uri(MAX_RESOURCE_BYTES)), Ok(()));
    assert_eq!(check_resource(&uri(MAX_RESOURCE_BYTES + 1)), Err(CallError::LongResource));
}

#[cfg(feature = "tokio")]
#[test]
fn a_call_is_small_up_to_sixteen_members_and_a_kilobyte_each() {
    let arguments = |json: &str| Call::tool("t").unwrap().arguments(json).unwrap().is_small();
    let params = |json: &str| Call::tool("t").unwrap().params(json).unwrap().is_small();
    let text = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
    // ["…"] has four bytes beside the text.
    let list = |bytes: usize| format!("{{\"a\":[\"{}\"]}}", "x".repeat(bytes - 4));
    let many = |count: usize| {
        let members: Vec<String> = (0..count).map(|number| format!("\"a{number}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    for (met, passed) in [(text(1024), text(1025)), (list(1024), list(1025)), (many(16), many(17))]
    {
        assert!(arguments(&met) && params(&met), "{met}");
        assert!(!arguments(&passed), "{passed}");
        assert!(!params(&passed), "{passed}");
    }
}
