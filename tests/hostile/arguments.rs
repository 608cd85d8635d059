//! Arguments: is a call exact, and is it the one to which its presentation is bound? What delegators demand of
//! arguments is asked in `demands`.

use biscuit_auth::builder::Term;
use hardtack::Call;
use sha2::{Digest, Sha256};

use crate::case::{Case, Sent, Server};
use crate::chain::{Block, Chain};

pub fn cases() -> Vec<Case> {
    let mut cases = exact();
    cases.extend(said_twice());
    cases.extend(cut_names());
    cases.extend(numbers());
    cases.extend(no_json());
    cases.extend(too_much());
    cases.extend(other_calls());
    cases.extend(other_digests());
    cases.extend(the_same_call());
    cases
}

fn said_twice() -> Vec<Case> {
    let table = [
        ("the same value", r#"{"a":1,"a":1}"#),
        ("another value", r#"{"a":1,"a":1000}"#),
        ("null and a value", r#"{"a":null,"a":1}"#),
        ("far apart", r#"{"a":1,"b":2,"c":[3,{"d":4}],"a":5}"#),
        ("once in an escape", r#"{"a":1,"\u0061":2}"#),
        ("escapes in capitals and not", r#"{"\u006a":1,"\u006A":2}"#),
        ("as a pair of surrogates and as itself", "{\"\\ud83d\\ude00\":1,\"\u{1f600}\":2}"),
        ("an escaped slash and a plain one", r#"{"a\/b":1,"a/b":2}"#),
        ("in an object", r#"{"a":{"b":1,"b":2}}"#),
        ("in an object of an array", r#"{"a":[0,{"b":1,"b":2}]}"#),
        ("deep down", r#"{"a":{"b":{"c":{"d":{"e":[[[{"f":1,"f":1}]]]}}}}}"#),
        ("with no name", r#"{"":1,"":2}"#),
        ("a name that has a meaning for JavaScript", r#"{"__proto__":1,"__proto__":2}"#),
        ("objects", r#"{"a":{"x":1},"a":{"y":2}}"#),
        ("in capitals", r#"{"amount":1,"Amount":1000}"#),
        ("all in capitals", r#"{"amount":1,"AMOUNT":1000}"#),
        ("in capitals of another script", "{\"\u{3b4}\":1,\"\u{394}\":2}"),
        ("with a long s", "{\"sum\":1,\"\u{17f}um\":2}"),
        ("with a Kelvin sign", "{\"k\":1,\"\u{212a}\":2}"),
        ("with a sharp s", "{\"strasse\":1,\"stra\u{df}e\":2}"),
        ("with a capital sharp s", "{\"stra\u{df}e\":1,\"stra\u{1e9e}e\":2}"),
        ("with a final sigma", "{\"\u{3c3}\":1,\"\u{3c2}\":2}"),
        ("with a micro sign", "{\"\u{b5}\":1,\"\u{3bc}\":2}"),
        ("with an Angstrom sign", "{\"\u{e5}\":1,\"\u{212b}\":2}"),
        ("with a dotless i", "{\"i\":1,\"\u{131}\":2}"),
        ("with a ligature", "{\"file\":1,\"\u{fb01}le\":2}"),
        ("in capitals of which one is an escape", r#"{"amount":1,"\u0041mount":2}"#),
        ("in capitals, in an object", r#"{"o":{"a":1,"A":2}}"#),
        ("in capitals, in an object of an array", r#"{"o":[[{"a":1,"A":2}]]}"#),
        ("with a space behind", r#"{"amount":1,"amount ":2}"#),
        ("with a space in front", r#"{"amount":1," amount":2}"#),
        ("with the accent by itself", "{\"zo\u{eb}\":1,\"zoe\u{308}\":2}"),
        ("in fullwidth letters", "{\"amount\":1,\"\u{ff41}mount\":2}"),
        ("in fullwidth capitals", "{\"amount\":1,\"\u{ff21}mount\":2}"),
        ("in mathematical letters", "{\"amount\":1,\"\u{1d41a}mount\":2}"),
        ("with a raised digit", "{\"x2\":1,\"x\u{b2}\":2}"),
        ("with a dotted capital i", "{\"id\":1,\"\u{130}d\":2}"),
        ("with a dot of its own on the i", "{\"id\":1,\"I\u{307}d\":2}"),
        ("with a ligature of s and t", "{\"\u{fb05}\":1,\"\u{fb06}\":2}"),
    ];
    table.map(|(what, json)| inexact(&format!("a member twice: {what}"), json)).into()
}

/// Names that are read as another by whoever ends them at a NUL, or leaves out what does not print: beside that other, alone,
/// and deep down.
fn cut_names() -> Vec<Case> {
    let names = [
        ("a NUL last", "amount\\u0000"),
        ("a NUL and more", "amount\\u0000x"),
        ("a NUL first", "\\u0000amount"),
        ("a NUL alone", "\\u0000"),
        ("a backspace", "amountx\\b"),
        ("a tab", "amount\\t"),
        ("a line feed", "amount\\n"),
        ("a carriage return", "amount\\r"),
        ("the end of a file", "amount\\u001a"),
        ("an escape", "amount\\u001b[8m"),
        ("a delete", "amount\\u007f"),
        ("a next line", "amount\\u0085"),
        ("a no-break space", "amount\\u00a0"),
        ("a soft hyphen", "am\\u00adount"),
        ("a grapheme joiner", "am\\u034fount"),
        ("a filler", "amount\\u3164"),
        ("a Mongolian vowel separator", "amount\\u180e"),
        ("an em space", "amount\\u2003"),
        ("a zero-width space", "amount\\u200b"),
        ("a zero-width joiner", "am\\u200dount"),
        ("a mark for the direction", "amount\\u200e"),
        ("letters turned around", "\\u202etnuoma"),
        ("a line separator", "amount\\u2028"),
        ("a word joiner", "amount\\u2060"),
        ("a blank of Braille", "amount\\u2800"),
        ("an ideographic space", "amount\\u3000"),
        ("a variation selector", "amount\\ufe0f"),
        ("a byte order mark", "\\ufeffamount"),
        ("a noncharacter", "amount\\uffff"),
        ("a private character", "amount\\ue000"),
        ("a tag", "amount\\udb40\\udc61"),
        ("another variation selector", "amount\\udb40\\udd00"),
    ];
    let cases = names.iter().flat_map(|(what, name)| {
        [
            inexact(
                &format!("a name with {what}, beside it"),
                &format!("{{\"amount\":5,\"{name}\":6}}"),
            ),
            inexact(&format!("a name with {what}"), &format!("{{\"{name}\":5}}")),
            inexact(
                &format!("a name with {what}, deep down"),
                &format!("{{\"a\":[{{\"b\":{{\"{name}\":5}}}}]}}"),
            ),
        ]
    });
    cases.collect()
}

fn numbers() -> Vec<Case> {
    let numbers = [
        ("the first integer too large", "9007199254740992"),
        ("the first integer too small", "-9007199254740992"),
        ("a fraction that rounds to one too large", "9007199254740991.6"),
        ("the largest of 64 bits", "9223372036854775807"),
        ("beyond 64 bits", "9223372036854775808"),
        ("the largest of 64 bits without a sign", "18446744073709551615"),
        ("beyond 64 bits without a sign", "18446744073709551616"),
        ("thirty digits", "123456789012345678901234567890"),
        ("too large, as a fraction", "9007199254740992.0"),
        ("too large, with an exponent", "9.007199254740992e15"),
        ("1e16", "1e16"),
        ("1e21, which is written with an exponent", "1e21"),
        ("1e300", "1e300"),
        ("beyond all numbers", "1e400"),
        ("below all numbers", "-1e400"),
        ("a long exponent", "1e99999999999"),
        ("not a number", "NaN"),
        ("infinity", "Infinity"),
        ("minus infinity", "-Infinity"),
        ("a zero first", "01"),
        ("a minus and a zero first", "-01"),
        ("a plus first", "+1"),
        ("a dot first", ".5"),
        ("a dot last", "1."),
        ("an exponent without digits", "1e"),
        ("two dots", "1.2.3"),
        ("two minus signs", "--1"),
        ("hexadecimal", "0x10"),
        ("octal", "0o17"),
        ("with underscores", "1_000"),
        ("with a comma", "1,000"),
        ("with an n", "1n"),
        ("in fullwidth digits", "\u{ff11}"),
        ("a minus sign that is another", "\u{2212}1"),
    ];
    let mut cases: Vec<Case> = numbers
        .map(|(what, number)| inexact(&format!("a number: {what}"), &format!("{{\"a\":{number}}}")))
        .into();
    cases.extend([
        inexact("a number: too large, in an array", r#"{"a":[1,2,9007199254740993]}"#),
        inexact("a number: too large, deep down", r#"{"a":{"b":[{"c":1e17}]}}"#),
    ]);
    cases
}

fn no_json() -> Vec<Case> {
    [
        ("nothing", ""),
        ("a space", " "),
        ("an array", "[]"),
        ("an array of an object", r#"[{"a":1}]"#),
        ("null", "null"),
        ("a text", r#""a""#),
        ("a text of an object", r#""{\"a\":1}""#),
        ("a number", "1"),
        ("two objects", "{}{}"),
        ("two lines of objects", "{\"a\":1}\n{\"a\":2}"),
        ("something behind", "{} x"),
        ("a NUL behind", "{}\0"),
        ("a byte order mark", "\u{feff}{}"),
        ("a prefix against scripts", ")]}',\n{}"),
        ("a comma last", r#"{"a":1,}"#),
        ("a comma last in an array", r#"{"a":[1,]}"#),
        ("two commas", r#"{"a":1,,"b":2}"#),
        ("no comma", r#"{"a":1 "b":2}"#),
        ("no colon", r#"{"a" 1}"#),
        ("no value", r#"{"a":}"#),
        ("no name", "{:1}"),
        ("a name without quotes", "{a:1}"),
        ("a name in single quotes", "{'a':1}"),
        ("a name that is a number", "{1:1}"),
        ("a comment", r#"{"a":1/* 1000 */}"#),
        ("a comment on a line", "{\"a\":1}// 1000"),
        ("an open object", r#"{"a":1"#),
        ("an open text", r#"{"a":"x}"#),
        ("an open array", r#"{"a":[1}"#),
        ("True", r#"{"a":True}"#),
        ("undefined", r#"{"a":undefined}"#),
        ("a template", r#"{"a":{{b}}}"#),
        ("a form", "a=1&b=2"),
        ("a lone high surrogate", r#"{"a":"\ud800"}"#),
        ("a lone low surrogate", r#"{"a":"\udc00"}"#),
        ("surrogates in the wrong order", r#"{"a":"\udc00\ud800"}"#),
        ("two high surrogates", r#"{"a":"\ud83d\ud83d"}"#),
        ("a lone surrogate in a name", r#"{"\ud800":1}"#),
        ("a surrogate and a letter", r#"{"a":"\ud800x"}"#),
        ("an escape that is none", r#"{"a":"\x41"}"#),
        ("an escape of three digits", r#"{"a":"\u041"}"#),
        ("an escape with braces", r#"{"a":"\u{41}"}"#),
        ("a line's end in a text", "{\"a\":\"x\ny\"}"),
        ("a tab in a text", "{\"a\":\"x\ty\"}"),
        ("a NUL in a text", "{\"a\":\"x\0y\"}"),
        ("a no-break space for a space", "{\u{a0}\"a\":1}"),
        ("quotes that are others", "{\u{201c}a\u{201d}:1}"),
    ]
    .map(|(what, json)| inexact(&format!("no object: {what}"), json))
    .into()
}

fn too_much() -> Vec<Case> {
    let deep = |open: &str, close: &str, levels| {
        format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels))
    };
    let members = (0..1001).map(|n| format!("\"n{n}\":0")).collect::<Vec<_>>().join(",");
    let name = |bytes: usize| format!("{{\"{}\":1}}", "n".repeat(bytes));
    let names = (0..20).map(|n| format!("\"{n}{}\":0", "n".repeat(4000))).collect::<Vec<_>>();
    vec![
        inexact("too much: 101 levels of arrays", &deep("[", "]", 100)),
        inexact("too much: 101 levels of objects", &deep("{\"a\":", "}", 100)),
        inexact("too much: a thousand levels", &deep("[", "]", 1000)),
        inexact("too much: sixty thousand levels", &deep("[", "]", 30_000)),
        inexact("too much: sixty thousand levels that do not end", &"{\"a\":".repeat(12_000)),
        inexact("too much: 1,001 members", &format!("{{{members}}}")),
        inexact("too much: a name of 4,097 bytes", &name(4097)),
        inexact("too much: 64 KiB of name", &name(64 * 1024)),
        inexact("too much: 64 KiB of names", &format!("{{{}}}", names.join(","))),
    ]
}

/// What the presentation is bound to, in the words of whoever signed it.
const BOUND: &str = r#"{"amount":100,"to":"zo\u00eb","tags":["a","b"],"more":{"x":1,"y":null}}"#;
const CART: &str = "https://shop.example/cart";

fn bound() -> Sent {
    Sent::operation("tools:call:pay").resource(CART).arguments(BOUND)
}

fn other_calls() -> Vec<Case> {
    let mut cases = Vec::new();
    let other = |what: &str, call: Sent| {
        let name = format!("arguments/bound to a call and not to {what}");
        Case::refused(name, bound_chain().bearer(), "other_call", None)
            .calls(call)
            .to(Server::Fresh)
    };
    for (what, operation) in [
        ("another tool", "tools:call:refund"),
        ("capitals of the tool", "tools:call:Pay"),
        ("a longer name of the tool", "tools:call:pay2"),
        ("what lies below the tool", "tools:call:pay:all"),
        ("a resource's operation", "resources:read"),
    ] {
        cases.push(other(what, Sent { operation: operation.to_owned(), ..bound() }));
    }
    cases.push(other("no resource", Sent { resource: None, ..bound() }));
    cases.push(other("another resource", bound().resource("https://shop.example/carts")));
    cases.push(other(
        "the resource with a fragment",
        bound().resource("https://shop.example/cart#x"),
    ));
    cases.push(other("no arguments", bound().arguments("{}")));
    let with = |from: &str, to: &str| bound().arguments(&BOUND.replace(from, to));
    for (what, from, to) in [
        ("one more", "100", "101"),
        ("a zero more", "100", "1000"),
        ("the other sign", "100", "-100"),
        ("a fraction more", "100", "100.5"),
        ("the number as a text", "100", "\"100\""),
        ("the number in an array", "100", "[100]"),
        ("null for the number", "100", "null"),
        ("true for one", "\"x\":1", "\"x\":true"),
        ("a text for one", "\"x\":1", "\"x\":\"1\""),
        ("no null", ",\"y\":null", ""),
        ("false for null", "null", "false"),
        ("another null", "\"y\":null", "\"y\":null,\"z\":null"),
        ("the accent by itself", "zo\\u00eb", "zoe\\u0308"),
        ("no accent", "zo\\u00eb", "zoe"),
        ("capitals in a text", "zo\\u00eb", "Zo\\u00eb"),
        ("a space more", "zo\\u00eb", "zo\\u00eb "),
        ("a NUL more", "zo\\u00eb", "zo\\u00eb\\u0000"),
        ("a zero-width space more", "zo\\u00eb", "zo\\u00eb\\u200b"),
        ("items in another order", "[\"a\",\"b\"]", "[\"b\",\"a\"]"),
        ("an item more", "[\"a\",\"b\"]", "[\"a\",\"b\",\"c\"]"),
        ("an item less", "[\"a\",\"b\"]", "[\"a\"]"),
        ("an item twice", "[\"a\",\"b\"]", "[\"a\",\"b\",\"b\"]"),
        ("items in an array more", "[\"a\",\"b\"]", "[[\"a\",\"b\"]]"),
        ("items joined", "[\"a\",\"b\"]", "[\"a,b\"]"),
        ("an object for the items", "[\"a\",\"b\"]", "{\"0\":\"a\",\"1\":\"b\"}"),
        ("a member more", "{\"amount\"", "{\"note\":\"\",\"amount\""),
        ("a member by another name", "\"to\"", "\"To\""),
        ("a member's name with a space", "\"to\"", "\"to \""),
        ("two members' values swapped", "\"x\":1,\"y\":null", "\"x\":null,\"y\":1"),
        ("a member moved up", "\"more\":{\"x\":1,", "\"x\":1,\"more\":{"),
    ] {
        cases.push(other(what, with(from, to)));
    }
    cases.push(Case {
        name: "arguments/bound to a call and sent inexactly".to_owned(),
        ..inexact("", &BOUND.replace("100", "100,\"amount\":100"))
    });
    cases
}

/// The call is the right one, and the digest is of something else.
fn other_digests() -> Vec<Case> {
    let hash = |text: &[u8]| -> [u8; 32] { Sha256::digest(text).into() };
    let call = Call::tool("search").unwrap();
    let with = |digest: [u8; 32]| Chain::of(1).bound_to(digest);
    let mut reversed = call.digest();
    reversed.reverse();
    let mut flipped = call.digest();
    flipped[31] ^= 1;
    let other = |what: &str, digest: [u8; 32]| {
        let name = format!("arguments/a digest: {what}");
        Case::refused(name, with(digest).bearer(), "other_call", None).to(Server::Fresh)
    };
    let says = |what: &str, cause, change: &dyn Fn(Block) -> Block| {
        let name = format!("arguments/a digest: {what}");
        let bearer = with(call.digest()).presentation(change).bearer();
        Case::refused(name, bearer, cause, Some(2)).to(Server::Fresh)
    };
    let digest = || call.digest().to_vec();
    let checked = format!("check all call($c), $c == hex:{}", "00".repeat(32));
    vec![
        other("zeros", [0; 32]),
        other("of nothing", hash(b"")),
        other("of the operation", hash(b"tools:call:search")),
        other("with spaces", hash(br#"{"operation": "tools:call:search"}"#)),
        other("with empty arguments", hash(br#"{"arguments":{},"operation":"tools:call:search"}"#)),
        other(
            "with no resource said",
            hash(br#"{"operation":"tools:call:search","resource":null}"#),
        ),
        other("of the tool", hash(br#"{"operation":"search"}"#)),
        other("of the digest", hash(&call.digest())),
        other("turned around", reversed),
        other("with one bit changed", flipped),
        says("a byte short", "fact", &|b| b.with("digest", Term::Bytes(digest()[1..].to_vec()))),
        says("a byte long", "fact", &|b| {
            b.with("digest", Term::Bytes([digest(), vec![0]].concat()))
        }),
        says("in letters", "fact", &|b| b.with("digest", Term::Str(hex::encode(digest())))),
        says("none", "fact", &|said| said.without("digest")),
        says("twice the same", "fact", &|said| said.and("digest", Term::Bytes(digest()))),
        says("two", "fact", &|said| said.and("digest", Term::Bytes(vec![0; 32]))),
        says("no nonce", "fact", &|said| said.without("nonce")),
        says("a short nonce", "fact", &|said| said.with("nonce", Term::Bytes(vec![7; 15]))),
        says("two nonces", "fact", &|said| said.and("nonce", Term::Bytes(vec![8; 16]))),
        says("in a session", "fact", &|b| b.with("presentation", Term::Str("session".to_owned()))),
        says("of no kind", "fact", &|said| said.with("presentation", Term::Str("Call".to_owned()))),
        says("another in the check", "check_failed", &|said| said.check(&checked)),
    ]
}

fn the_same_call() -> Vec<Case> {
    let same = |what: &str, json: &str| {
        let name = format!("arguments/accepted: bound to a call, {what}");
        let call = bound().arguments(json);
        Case::accepted(name, bound_chain().bearer()).calls(call).to(Server::Fresh)
    };
    vec![
        same("in the same words", BOUND),
        same(
            "with members in another order",
            r#"{"more":{"y":null,"x":1},"tags":["a","b"],"to":"zoë","amount":100}"#,
        ),
        same("with spaces", &BOUND.replace(',', " ,\n\t")),
        same("with an exponent", &BOUND.replace("100", "1e2")),
        same("with a fraction of nothing", &BOUND.replace("100", "100.00")),
        same("with other escapes", &BOUND.replace("amount", "\\u0061mount")),
        Case::accepted(
            "arguments/accepted: bound to a call without arguments, and none sent".to_owned(),
            Chain::of(1).bound_to(Call::tool("search").unwrap().digest()).bearer(),
        )
        .calls(Sent::search().arguments(" { } "))
        .to(Server::Fresh),
    ]
}

/// The bounds from inside.
fn exact() -> Vec<Case> {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(31), "]".repeat(31));
    let many = format!("{{\"a\":[{}]}}", vec!["0"; 999].join(","));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024 - 8));
    let half = vec!["0"; 500].join(",");
    let spread = format!("{{\"a\":[{half}],\"b\":[{half}]}}");
    [
        ("32 levels", deep.as_str()),
        ("1,000 values", &many),
        ("64 KiB", &long),
        ("100 levels", &format!("{{\"a\":{}1{}}}", "[".repeat(99), "]".repeat(99))),
        ("1,001 values", &format!("{{\"a\":[{}]}}", vec!["0"; 1000].join(","))),
        ("1,001 values in two arrays", &spread),
        ("a byte over 64 KiB", &format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024 - 7))),
        ("a name of 4,096 bytes", &format!("{{\"{}\":1}}", "n".repeat(4096))),
        ("128 KiB of spaces", &format!("{{{}}}", " ".repeat(128 * 1024))),
        ("the largest integers", r#"{"a":9007199254740991,"b":-9007199254740991}"#),
        ("a minus and a zero", r#"{"a":-0,"b":-0.0}"#),
        ("a small fraction", r#"{"a":1e-300}"#),
        ("a fraction that rounds to the largest integer", r#"{"a":9007199254740991.4}"#),
        ("a pair of surrogates", r#"{"a":"\ud83d\ude00"}"#),
        ("an escaped NUL in a value", r#"{"a":"\u0000"}"#),
        ("what does not print in a value", r#"{"a":["\u200b\ufeff\u0008",{"b":"x\u0000y"}]}"#),
        ("a name of another script", "{\"\u{540d}\u{524d}\":1}"),
        ("the same name at two levels", r#"{"a":{"a":{"A":1}}}"#),
    ]
    .map(|(what, json)| {
        let name = format!("arguments/accepted: {what}");
        Case::accepted(name, Chain::of(1).bearer()).calls(Sent::search().arguments(json))
    })
    .into()
}

fn inexact(what: &str, json: &str) -> Case {
    let call = Sent::search().arguments(json);
    Case::refused(format!("arguments/{what}"), Chain::of(1).bearer(), "inexact_call", None)
        .calls(call)
}

fn bound_chain() -> Chain {
    let call = Call::tool("pay").unwrap().resource(CART).unwrap().arguments(BOUND).unwrap();
    Chain::of(1).scopes(&["*"]).bound_to(call.digest())
}
