//! The caps of the profile, each where it is and one above.

use biscuit_auth::format::schema;
use prost::Message;

use crate::case::{Case, Expected, Scene, Sent};
use crate::cost::{argument, cheap, list, members};
use crate::seed::{seed, with_hop};
use hardtack_testkit::Cast;
use hardtack_testkit::forge::Forge;

pub fn cases() -> Vec<Case> {
    [token(), blocks(), checks(), terms(), requests(), functions(), bound()].concat()
}

/// Accepted at the cap, and refused one above.
fn pair(
    what: &str,
    cap: usize,
    (cause, block): (&'static str, Option<usize>),
    forge: impl Fn(usize) -> Forge,
) -> Vec<Case> {
    vec![
        Case::accepted(format!("cost/{cap} {what}"), forge(cap).bearer()),
        Case::refused(format!("cost/{} {what}", cap + 1), forge(cap + 1).bearer(), cause, block),
    ]
}

const OVER: (&str, Option<usize>) = ("over_limit", Some(1));

/// How many there are in all blocks of a forged token.
fn count(forge: &Forge, of: impl Fn(&schema::Block) -> usize) -> usize {
    let block = |part: &hardtack_testkit::forge::Part| {
        of(&schema::Block::decode(part.bytes.as_slice()).unwrap())
    };
    forge.blocks.iter().map(block).sum()
}

/// The hop with so many more words, of which some are longer.
fn padded(words: usize, length: usize, last: usize) -> Forge {
    with_hop("").edit(1, |block| {
        for at in 0..words {
            block.symbols.push(format!("{at:04}{}", "x".repeat(length - 4)));
        }
        block.symbols.push(format!("last{}", "y".repeat(last)));
    })
}

fn token() -> Vec<Case> {
    let size = |forge: &Forge| forge.sign().encode_to_vec().len();
    // Growing the last word by one byte grows the token by one.
    let room = 16 * 1024 - size(&padded(14, 1000, 500));
    let bytes = |size: usize| padded(14, 1000, 500 + room + size - 16 * 1024);
    let words = |total: usize| {
        let known = count(&with_hop(""), |block| block.symbols.len());
        with_hop("").edit(1, |block| {
            block.symbols.extend((known..total).map(|at| format!("word{at}")));
        })
    };
    // Each use of the word counts, and so does each of every other.
    let written = |uses: usize| {
        with_hop(&format!(
            "check if [{}].length() > 0;",
            list(uses, &|_| format!("\"{}\"", "w".repeat(1024)))
        ))
    };
    let mut cases = pair("bytes", 16 * 1024, ("too_large", None), bytes);
    cases.extend(pair("words", 256, ("over_limit", Some(2)), words));
    cases.extend(pair("bytes in a word", 1024, OVER, |length| {
        with_hop(&format!(r#"check if "{}" != "a";"#, "w".repeat(length)))
    }));
    cases.extend(pair("bytes in a byte array", 1024, OVER, |length| {
        with_hop(&format!("check if hex:{} != hex:00;", "00".repeat(length)))
    }));
    cases.push(Case::accepted("cost/a long word, 62 times".to_owned(), written(62).bearer()));
    cases.push(Case::refused(
        "cost/a long word, 64 times".to_owned(),
        written(64).bearer(),
        OVER.0,
        OVER.1,
    ));
    let rows = list(40, &|_| format!("[{}]", list(60, &|_| format!("\"{}\"", "w".repeat(1024)))));
    let everywhere = with_hop(&format!("check if [{rows}].length() > 0;"));
    cases.push(Case::refused(
        "cost/a long word, 2400 times".to_owned(),
        everywhere.bearer(),
        OVER.0,
        OVER.1,
    ));
    cases
}

fn blocks() -> Vec<Case> {
    let researcher = hex::encode(Cast::new().researcher.public().to_bytes());
    let presentation = |at: usize| {
        format!(
            r#"hop({at}); presentation("session"); audience("notion.mcp"); expires(2026-11-23T10:05:00Z);"#
        )
    };
    let seed_of = |depth: usize| {
        let grant = format!(
            r#"hardtack(1); subject("user:alice"); scope("tools:call:*"); issued(2026-11-23T10:00:00Z);
               expires(2026-11-23T11:00:00Z); max_depth({depth}); holder(hex:{});
               reject if depth($d), $d > 14;"#,
            hex::encode(Cast::new().orchestrator.public().to_bytes())
        );
        seed().write(0, &grant)
    };
    let chain = |hops: usize| {
        let mut forge = seed_of(13).change(|forge| drop(forge.blocks.pop()));
        for at in 2..=hops {
            let text = format!(
                r#"hop({at}); delegate("agent.{at}"); reason("find"); scope("tools:call:search");
                   expires(2026-11-23T10:10:00Z); holder(hex:{researcher});"#
            );
            forge = forge.append(&text, Some(&Cast::new().researcher));
        }
        forge.append(&presentation(hops + 1), Some(&Cast::new().researcher))
    };
    let with_caveats = |blocks: usize| {
        let forge = seed().change(|forge| drop(forge.blocks.pop()));
        let forge = (3..blocks).fold(forge, |forge, _| forge.append("check if true;", None));
        forge.append(&presentation(blocks - 1), Some(&Cast::new().researcher))
    };
    let mut cases = pair("blocks", 16, ("over_limit", Some(0)), with_caveats);
    cases.extend(pair("hops", 13, ("too_deep", Some(14)), chain));
    cases.extend(pair("levels that a grant allows", 13, ("fact", Some(0)), seed_of));
    let keys = |keys: usize| {
        let trusting = (1..keys).map(|at| {
            let key = hardtack::PrivateKey::from_bytes(&[at as u8 + 20; 32]).public();
            format!("reject if hop($n), $n > 99 trusting {key};")
        });
        let holder = Cast::new().researcher.public();
        let own = format!("reject if hop($n), $n > 99 trusting {holder};");
        with_hop(&(own + &trusting.collect::<String>()))
    };
    cases.extend(pair("keys in a block", 1, OVER, keys));
    cases
}

fn checks() -> Vec<Case> {
    let many = |total: usize| {
        let known = count(&with_hop(""), |block| block.checks.len());
        with_hop(&"check if true;".repeat(total - known))
    };
    let facts = |total: usize| {
        let known = count(&with_hop(""), |block| block.facts.len());
        let more: Vec<_> = (known..total).map(|at| format!("number({at});")).collect();
        let grant = Cast::new().orchestrator.public().to_bytes();
        seed().write(
            0,
            &format!(
                r#"hardtack(1); subject("user:alice"); scope("tools:call:*"); max_depth(8);
                   issued(2026-11-23T10:00:00Z); expires(2026-11-23T11:00:00Z); holder(hex:{});
                   reject if depth($d), $d > 8; {}"#,
                hex::encode(grant),
                more.concat()
            ),
        )
    };
    let exactly = |total: usize| {
        let found = count(&facts(total), |block| block.facts.len());
        facts(2 * total - found)
    };
    let query = |text: &dyn Fn(usize) -> String| {
        let texts: Vec<String> = (0..80).map(text).collect();
        move |times: usize| with_hop(&texts[times])
    };
    let lazy = |sign: &'static str, first: &'static str| {
        move |depth: usize| {
            let mut text = "1 > 0".to_owned();
            for _ in 0..depth {
                text = format!("{first} {sign} ({text})");
            }
            with_hop(&format!("check if {text};"))
        }
    };
    let mut cases = pair("facts", 256, ("over_limit", Some(2)), exactly);
    cases.extend(pair("checks", 64, ("over_limit", Some(2)), many));
    for kind in ["check if", "check all", "reject if"] {
        let alternatives = query(&|times| {
            let end = if kind == "reject if" { "false" } else { "true" };
            format!("{kind} {};", vec![end; times.max(1)].join(" or "))
        });
        cases.extend(pair(&format!("alternatives of {kind}"), 4, OVER, alternatives));
        let predicates = query(&|times| {
            let body = list(times.max(1), &|at| format!("time($t{at})"));
            let end = if kind == "reject if" { "1 > 2" } else { "2 > 1" };
            format!("{kind} {body}, {end};")
        });
        cases.extend(pair(&format!("predicates of {kind}"), 2, OVER, predicates));
    }
    // A value and a sign before it, each time.
    let operations = query(&|times| {
        let signs = "!".repeat(times.saturating_sub(1));
        let value = if times % 2 == 0 { "false" } else { "true" };
        format!("check if {signs}{value};")
    });
    cases.extend(pair("operations", 32, OVER, operations));
    let spread =
        query(&|times| format!("check if {};", list(times.max(1), &|_| "true".to_owned())));
    cases.extend(pair("operations in as many expressions", 32, OVER, spread));
    let inside = query(&|times| {
        let signs = "!".repeat(times.saturating_sub(4));
        let value = if times % 2 == 0 { "true" } else { "false" };
        format!("check if [1].all($p -> {signs}{value});")
    });
    cases.extend(pair("operations with those of a closure", 32, OVER, inside));
    let numbers = query(&|times| format!("check if {} > 0;", vec!["1"; times + 1].join(" + ")));
    cases.extend(pair("additions", 4, OVER, numbers));
    let texts =
        query(&|times| format!("check if {} != \"\";", vec!["\"a\""; times + 1].join(" + ")));
    cases.extend(pair("additions of texts", 4, OVER, texts));
    cases.extend(pair("levels of and", 4, OVER, lazy("&&", "true")));
    cases.extend(pair("levels of or", 4, OVER, lazy("||", "false")));
    let parameters = |parameters: usize| {
        with_hop("check if [1].all($p -> $p > 0);").edit(1, |block| {
            for op in &mut block.checks[0].queries[0].expressions[0].ops {
                if let Some(schema::op::Content::Closure(closure)) = &mut op.content {
                    closure.params = vec![closure.params[0]; parameters];
                }
            }
        })
    };
    cases.extend(pair("parameters of a closure", 1, OVER, parameters));
    cases
}

fn terms() -> Vec<Case> {
    let number = |at: usize| at.to_string();
    let mut cases = Vec::new();
    let collections: [(&str, &dyn Fn(usize) -> String); 4] = [
        ("elements of a set", &|count| format!("{{{}}}", list(count, &number))),
        ("elements of an array", &|count| format!("[{}]", list(count, &number))),
        ("entries of a map", &|count| format!("{{{}}}", list(count, &|at| format!("{at}: {at}")))),
        ("entries of a map by name", &|count| {
            format!("{{{}}}", list(count, &|at| format!("\"k{at}\": {at}")))
        }),
    ];
    for (what, collection) in collections {
        cases.extend(pair(what, 64, OVER, |count| {
            with_hop(&format!("check if {}.length() > 0;", collection(count)))
        }));
        cases.extend(pair(&format!("{what} in a predicate"), 64, OVER, |count| {
            with_hop(&format!("reject if arg($n, {});", collection(count)))
        }));
    }
    cases.extend(pair("terms of a predicate", 64, OVER, |count| {
        with_hop(&format!("reject if nothing({});", list(count, &|at| format!("$t{at}"))))
    }));
    // The outermost is the first level, and what it all holds is one more.
    for (what, open, close) in [("arrays", "[", "]"), ("maps", "{\"k\":", "}")] {
        cases.extend(pair(&format!("levels of {what}"), 8, OVER, |levels| {
            let nested = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            with_hop(&format!("check if {nested}.length() > 0;"))
        }));
    }
    let date = |seconds: usize| {
        with_hop("check if 2026-01-01T00:00:00Z < 9999-12-31T23:59:59Z;").edit(1, |block| {
            let op = &mut block.checks[0].queries[0].expressions[0].ops[1];
            let date = schema::term::Content::Date(seconds as u64);
            op.content = Some(schema::op::Content::Value(schema::Term { content: Some(date) }));
        })
    };
    cases.extend(pair("seconds since 1970", 253_402_300_799, ("content", Some(1)), date));
    let trusting = |origins: usize| {
        with_hop("reject if hop($n), $n > 99 trusting previous;").edit(1, |block| {
            let scope = &mut block.checks[0].queries[0].scope;
            *scope = vec![scope[0].clone(); origins];
        })
    };
    cases.extend(pair("trusted origins", 1, OVER, trusting));
    cases
}

/// What a call may be.
fn requests() -> Vec<Case> {
    let bearer = || seed().bearer();
    let mut cases = Vec::new();
    let mut both = |what: &str, cap: usize, call: &dyn Fn(usize) -> Sent| {
        let name = |count: usize| format!("cost/{count} {what}");
        cases.push(Case::accepted(name(cap), bearer()).calls(call(cap)));
        let refused = Case::refused(name(cap + 1), bearer(), "inexact_call", None);
        cases.push(refused.calls(call(cap + 1)));
    };
    let with = |arguments: String| Sent::search().arguments(&arguments);
    both("bytes of an argument's name", 4096, &|bytes| {
        with(format!("{{\"{}\":1}}", "n".repeat(bytes)))
    });
    both("arguments", 1000, &|count| with(members(count, &|at| at.to_string())));
    both("levels of arguments", 100, &|levels| {
        with(argument(&format!("{}1{}", "[".repeat(levels - 1), "]".repeat(levels - 1))))
    });
    both("levels of objects", 100, &|levels| {
        with(argument(&format!("{}1{}", "{\"k\":".repeat(levels - 1), "}".repeat(levels - 1))))
    });
    both("the largest integer", 9_007_199_254_740_991, &|number| {
        with(argument(&number.to_string()))
    });
    both("bytes of a resource", 8000, &|bytes| {
        Sent::search().resource(&format!("https://a.b/{}", "a".repeat(bytes - 12)))
    });
    cases
}

/// What an external function looks at.
fn functions() -> Vec<Case> {
    let mut cases = Vec::new();
    let refused = ("not_evaluable", Some(1));
    let calls = [
        ("path", "/a", "/", "/a", "b"),
        ("glob", "**", "", "a", "a"),
        ("url", "https://a.b", "/", "https://a.b/", "a"),
    ];
    for (function, operand, _, start, piece) in calls {
        let check = format!(
            r#"check all arg("x", $x), $x.extern::hardtack_{function}("{operand}") || true;"#
        );
        for length in [4096, 4097] {
            let text = format!("{start}{}", piece.repeat(length - start.len()));
            let call = Sent::search().arguments(&argument(&format!("\"{text}\"")));
            let name = format!("cost/{length} bytes for {function}");
            let bearer = with_hop(&check).bearer();
            cases.push(match length {
                4096 => Case::accepted(name, bearer).calls(call),
                _ => Case::refused(name, bearer, refused.0, refused.1).calls(call),
            });
        }
    }
    for (function, start, piece, text) in [
        ("path", "/a", "b", "/a"),
        ("glob", "a", "b", "a"),
        ("url", "https://a.b/", "a", "https://a.b/"),
    ] {
        for length in [512, 513] {
            let operand = format!("{start}{}", piece.repeat(length - start.len()));
            let check = format!(
                r#"check all arg("x", $x), $x.extern::hardtack_{function}("{operand}") || true;"#
            );
            let call = Sent::search().arguments(&argument(&format!("\"{text}\"")));
            let name = format!("cost/{length} bytes of operand of {function}");
            let bearer = with_hop(&check).bearer();
            cases.push(match length {
                512 => Case::accepted(name, bearer).calls(call),
                _ => Case::refused(name, bearer, refused.0, refused.1).calls(call),
            });
        }
    }
    cases
}

/// The bound itself: the most that is accepted, and one more.
fn bound() -> Vec<Case> {
    let forms = [
        "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16].all($p -> $p > 0 && $p < 100);",
        "{1,2,3}.union({4,5,6}).length() > 0;",
        "true && (true && (true && (true && [1,2,3,4,5,6,7,8].length() > 0)));",
    ];
    let scaled = |form: &str, checks: usize| {
        let four = format!(
            "check if false, {0} or false, {0} or false, {0} or {0};",
            &form[..form.len() - 1]
        );
        four.repeat(checks)
    };
    let mut cases = Vec::new();
    for form in forms {
        // Where one argument more makes it too much.
        let datalog = format!("check all arg($n, $v), {form}").repeat(4);
        let bearer = with_hop(&datalog).bearer();
        let fits = |count: usize| {
            let call = Sent::search().arguments(&members(count, &|at| at.to_string()));
            cause(&bearer, &call) != Some("too_costly")
        };
        let (mut fitting, mut not) = (1, 1000);
        while not - fitting > 1 {
            let middle = (fitting + not) / 2;
            if fits(middle) { fitting = middle } else { not = middle }
        }
        let call = |count: usize| Sent::search().arguments(&members(count, &|at| at.to_string()));
        let name = |count: usize| format!("cost/{count} arguments for {form}");
        cases.push(Case::accepted(name(fitting), bearer.clone()).calls(call(fitting)));
        let refused = Case::refused(name(not), bearer.clone(), "too_costly", None);
        cases.push(refused.calls(call(not)));
        cases.push(cheap(&format!("alternatives of {form}"), &scaled(form, 1), "{}"));
    }
    cases
}

/// For what cause such a call is refused, if it is.
fn cause(bearer: &str, call: &Sent) -> Option<&'static str> {
    let case = Case::accepted(String::new(), bearer.to_owned()).calls(call.clone());
    match Scene::new().decide(&case) {
        Expected::Accepted => None,
        Expected::Refused { cause, .. } => Some(cause),
    }
}
