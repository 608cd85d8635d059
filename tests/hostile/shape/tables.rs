//! Tables: the versions, words and keys by which a block's numbers are read.

use biscuit_auth::format::schema::{self, scope::Content};

use super::{Kind, accepted, content, refused, with_caveat};
use crate::case::Case;
use crate::craft::seed;
use hardtack_testkit::Cast;
use hardtack_testkit::forge::Forge;

pub(super) fn cases() -> Vec<Case> {
    [versions(), words(), numbers(), keys()].concat()
}

fn versions() -> Vec<Case> {
    let mut cases = Vec::new();
    for block in 0..3 {
        for version in [None, Some(0), Some(2), Some(3), Some(u32::MAX)] {
            let forge = seed().change(|forge| forge.blocks[block].version = version);
            let what = format!("signature version {version:?} of block {block}");
            cases.push(refused(&what, &forge, "signature_version", block));
        }
        for version in
            [None, Some(0), Some(1), Some(2), Some(3), Some(7), Some(100), Some(u32::MAX)]
        {
            let forge = seed().edit(block, |content| content.version = version);
            let what = format!("Datalog version {version:?} of block {block}");
            cases.push(refused(&what, &forge, "encoding", block));
        }
    }
    // What is said in each of them is of a later version: to reject, to be signed by others, null.
    for (block, version) in [(0, 4), (0, 5), (1, 4), (2, 4)] {
        let forge = seed().edit(block, |content| content.version = Some(version));
        let what = format!("Datalog version {version} of block {block}, which says more");
        cases.push(refused(&what, &forge, "encoding", block));
    }
    let later = "check if null === null; check if [1].any($x -> $x == 1); check if true && true;";
    for check in later.split_inclusive(';') {
        let forge = Kind::Hop.and(check).edit(1, |content| content.version = Some(5));
        cases.push(refused(&format!("Datalog version 5 and {check}"), &forge, "encoding", 1));
    }
    let forge = with_caveat("check if true").edit(2, |content| content.version = Some(2));
    cases.push(refused("Datalog version 2 of a caveat", &forge, "encoding", 2));
    let forge = with_caveat("check if true").edit(2, |content| content.version = Some(3));
    cases.push(accepted("Datalog version 3 of a caveat that says no more", &forge));
    let forge = Kind::Hop.and("check if 1 < 2;").edit(1, |content| content.version = Some(5));
    cases.push(accepted("Datalog version 5 of a hop that says no more", &forge));
    cases
}

fn words() -> Vec<Case> {
    let mut cases = Vec::new();
    let with = |block: usize, words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        seed().edit(block, |content| content.symbols.extend(words))
    };
    for block in 0..3 {
        for word in ["read", "time", "operation", "nonce", "query"] {
            let what = format!("block {block} defines {word}, which is Biscuit's");
            cases.push(refused(&what, &with(block, &[word]), "symbols", block));
        }
        let what = format!("block {block} defines a word twice");
        cases.push(refused(&what, &with(block, &["twice", "twice"]), "symbols", block));
        let what = format!("block {block} defines the empty word twice");
        cases.push(refused(&what, &with(block, &["", ""]), "symbols", block));
        let what = format!("block {block} defines a word again that it has");
        cases.push(refused(&what, &with(block, &["expires"]), "symbols", block));
        let what = format!("block {block} defines a word of 1025 bytes");
        cases.push(refused(&what, &with(block, &[&"x".repeat(1025)]), "over_limit", block));
        let many: Vec<_> = (0..257).map(|at| format!("w{at}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let what = format!("block {block} defines 257 words");
        cases.push(refused(&what, &with(block, &many), "over_limit", block));
        let what = format!("block {block} defines words that it does not use");
        cases.push(accepted(&what, &with(block, &["", "unused", "Read", "read "])));
    }
    let caveat = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        with_caveat("check if true").edit(2, |content| content.symbols.extend(words))
    };
    let what = "a caveat defines a word that the grant has";
    cases.push(refused(what, &caveat(&["subject"]), "symbols", 2));
    cases.push(accepted("a caveat defines a word that the hop has", &caveat(&["delegate"])));
    let two = caveat(&["again"]).change(|forge| {
        let caveat = forge.blocks[2].bytes.clone();
        let last = forge.blocks.pop().unwrap();
        *forge = std::mem::replace(forge, seed()).append("check if true", None);
        forge.blocks[3].bytes = caveat;
        forge.blocks.push(last);
    });
    cases.push(refused("two caveats define the same word", &two, "symbols", 3));
    cases.push(refused("a caveat uses a word of a later caveat", &later(), "symbols", 2));
    cases
}

/// A caveat whose word the caveat behind it defines: who appends that would choose what this one says.
fn later() -> Forge {
    let words = seed().blocks[0].bytes.clone();
    let words: schema::Block = prost::Message::decode(words.as_slice()).unwrap();
    let next = 1024 + words.symbols.len() as u64;
    with_caveat("check if time($time)")
        .edit(2, |block| {
            block.symbols.clear();
            let predicate = &mut block.checks[0].queries[0].body[0];
            predicate.name = next;
        })
        .change(|forge| {
            let last = forge.blocks.pop().unwrap();
            *forge = std::mem::replace(forge, seed()).append("check if later(1)", None);
            forge.blocks.push(last);
        })
}

/// Numbers of words that a block has not, wherever one stands.
fn numbers() -> Vec<Case> {
    type Place = fn(&mut schema::Block, u64);
    let places: [(&str, usize, Place); 9] = [
        ("the name of a fact of the grant", 0, |block, word| block.facts[0].predicate.name = word),
        ("the name of a fact", 1, |block, word| block.facts[0].predicate.name = word),
        ("the name of a presentation's fact", 2, |block, word| {
            block.facts[0].predicate.name = word
        }),
        ("the name of what a check asks for", 1, |block, word| {
            block.checks[0].queries[0].body[0].name = word;
        }),
        ("the head of a check", 1, |block, word| block.checks[0].queries[0].head.name = word),
        ("the name of a variable", 1, |block, word| {
            let variable = schema::term::Content::Variable(word as u32);
            block.checks[0].queries[0].body[0].terms[0].content = Some(variable);
        }),
        ("the parameter of a closure", 1, |block, word| {
            block.checks[1] = content("check if [1].any($time -> true)").checks.remove(0);
            closure(block).params[0] = word as u32;
        }),
        ("the name of a function", 1, |block, word| {
            let text = r#"check if "a".extern::hardtack_glob("a")"#;
            block.checks[1] = content(text).checks.remove(0);
            let ops = &mut block.checks[1].queries[0].expressions[0].ops;
            let Some(schema::op::Content::Binary(binary)) = &mut ops[2].content else { return };
            binary.ffi_name = Some(word);
            ops.rotate_right(1);
        }),
        ("a text in a check", 1, |block, word| {
            let text = schema::term::Content::String(word);
            block.checks[0].queries[0].body[0].terms[0].content = Some(text);
        }),
    ];
    let mut cases = Vec::new();
    for (place, block, change) in places {
        for (what, word) in [
            ("a number behind Biscuit's words", 28),
            ("the number before the token's words", 1023),
            ("the number behind the block's words", 1060),
            ("the greatest number", u64::from(u32::MAX)),
        ] {
            let forge = seed().edit(block, |content| change(content, word));
            cases.push(refused(&format!("{what} for {place}"), &forge, "symbols", block));
        }
    }
    // A third-party block has a table of its own: the grant's words are not in it.
    let forge = seed().edit(2, |block| block.symbols.clear());
    cases.push(refused("a presentation without words of its own", &forge, "symbols", 2));
    let forge = seed().edit(1, |block| block.symbols.truncate(3));
    cases.push(refused("a hop that leaves off in its words", &forge, "symbols", 1));
    cases
}

fn closure(block: &mut schema::Block) -> &mut schema::OpClosure {
    let ops = &mut block.checks[1].queries[0].expressions[0].ops;
    ops.iter_mut()
        .find_map(|op| match &mut op.content {
            Some(schema::op::Content::Closure(closure)) => Some(closure),
            _ => None,
        })
        .unwrap()
}

fn keys() -> Vec<Case> {
    let cast = Cast::new();
    let proto = |key: &hardtack::PrivateKey| hardtack_testkit::forge::pair(key).public().to_proto();
    let mut cases = Vec::new();
    for block in 0..3 {
        let with =
            |keys: Vec<schema::PublicKey>| seed().edit(block, |content| content.public_keys = keys);
        let what = format!("block {block} with a key twice");
        let twice = with(vec![proto(&cast.thief), proto(&cast.thief)]);
        cases.push(refused(&what, &twice, "over_limit", block));
        let what = format!("block {block} with two keys");
        let two = with(vec![proto(&cast.thief), proto(&cast.root)]);
        cases.push(refused(&what, &two, "over_limit", block));
        for index in [-1, 1, 2, 1 << 32, i64::MAX, i64::MIN] {
            let forge = seed().edit(block, |content| {
                content.public_keys = vec![proto(&cast.thief)];
                content.checks[0].queries[0].scope =
                    vec![schema::Scope { content: Some(Content::PublicKey(index)) }];
            });
            let what = format!("block {block} trusts the key of number {index}");
            cases.push(refused(&what, &forge, "symbols", block));
        }
        let forge = seed().edit(block, |content| {
            content.public_keys.clear();
            content.checks[0].queries[0].scope =
                vec![schema::Scope { content: Some(Content::PublicKey(0)) }];
        });
        let what = format!("block {block} trusts a key and has none");
        cases.push(refused(&what, &forge, "symbols", block));
    }
    let caveat = |keys: Vec<schema::PublicKey>, index: Option<i64>| {
        with_caveat("check if hop($hop), $hop > 0").edit(2, |content| {
            content.public_keys = keys;
            content.version = Some(6);
            let scope = |index| schema::Scope { content: Some(Content::PublicKey(index)) };
            content.checks[0].queries[0].scope = index.map(scope).into_iter().collect();
        })
    };
    let holder = || vec![proto(&cast.orchestrator)];
    let what = "a caveat brings a key that the grant brought";
    cases.push(refused(what, &caveat(holder(), None), "symbols", 2));
    let what = "a caveat trusts the second of two keys, and brings none";
    cases.push(refused(what, &caveat(Vec::new(), Some(1)), "symbols", 2));
    let what = "a caveat trusts the third of two keys";
    cases.push(refused(what, &caveat(vec![proto(&cast.thief)], Some(2)), "symbols", 2));
    cases.push(accepted(
        "a caveat trusts the key that the grant brought",
        &caveat(Vec::new(), Some(0)),
    ));
    let what = "a caveat trusts a key that signed nothing";
    cases.push(refused(what, &caveat(vec![proto(&cast.thief)], Some(1)), "check_failed", 2));
    let forge = seed().edit(2, |content| content.public_keys = vec![proto(&cast.thief)]);
    cases.push(accepted("a key that no check trusts", &forge));
    cases
}
