//! Refused for how it is written: text, bytes, encoding, size.

use crate::*;

#[test]
fn what_is_no_token() {
    for text in ["", "garbage!", "AAAA", "CgA=", "Bearer x"] {
        assert_eq!(cause(text), ("not_a_token", None), "{text:?}");
    }
    assert_eq!(cause(&seed().change(|f| f.proof = Proof::None).bearer()), ("not_a_token", None));
}

#[test]
fn text_with_spare_bits_or_another_alphabet() {
    let bearer = seed().bearer();
    let without_padding = bearer.trim_end_matches('=');
    Cast::new().verifier().verify(without_padding, NOW).unwrap();
    assert_eq!(cause(&bearer.replace('-', "+").replace('_', "/")).0, "not_a_token");
    assert_eq!(cause(&format!("{bearer}=")).0, "not_a_token");
    assert_eq!(cause(&format!("{bearer}\n")).0, "not_a_token");
}

#[test]
fn unknown_fields_fields_said_twice_and_long_numbers() {
    let token = seed().sign();
    let bytes = token.encode_to_vec();
    let unknown_field = [&bytes[..], &[0x78, 0x01]].concat();
    let said_twice = [
        &schema::Biscuit { root_key_id: Some(1), ..token.clone() }.encode_to_vec()[..2],
        &[0x08, 0x02],
        &bytes[..],
    ]
    .concat();
    let long_number = [&[0x08, 0x81, 0x00], &bytes[..]].concat();
    for bytes in [unknown_field, said_twice, long_number] {
        assert_eq!(cause(&forge::base64(&bytes)), ("not_a_token", None));
    }
}

#[test]
fn a_block_that_is_encoded_in_another_way() {
    let unknown_field = seed().change(|f| f.blocks[1].bytes.extend([0x78, 0x01]));
    assert_eq!(cause(&unknown_field.bearer()), ("encoding", Some(1)));
    let merged = seed().change(|f| f.blocks[1].bytes.extend([0x18, 0x06]));
    assert_eq!(cause(&merged.bearer()), ("encoding", Some(1)));
    let garbage = seed().change(|f| f.blocks[1].bytes = vec![0xff; 12]);
    assert_eq!(cause(&garbage.bearer()), ("encoding", Some(1)));
    let kind = seed().edit(1, |block| block.checks[0].kind = Some(9));
    assert_eq!(cause(&kind.bearer()), ("encoding", Some(1)));
    let version = seed().edit(1, |block| block.version = Some(3));
    assert_eq!(cause(&version.bearer()), ("encoding", Some(1)));
}

/// What Biscuit's own reading of a block does not know, and what it does.
#[test]
fn origins_operations_and_dates_that_nobody_knows() {
    for known in [
        r#"check if scope("tools:call:*") trusting authority;"#,
        r#"check if scope("tools:call:*") trusting previous;"#,
        r#"check if [{"a": 1, 2: [null]}].length() == 1;"#,
        "check if 9999-12-31T23:59:59Z > 1970-01-01T00:00:00Z;",
    ] {
        Cast::new().verifier().verify(&with_hop(known).bearer(), NOW).expect(known);
    }
    let edited = |check: &str, edit: fn(&mut schema::Rule)| {
        cause(&with_hop(check).edit(1, |block| edit(&mut block.checks[0].queries[0])).bearer())
    };
    let encoding = ("encoding", Some(1));
    let trusting = "check if hop(1) trusting previous;";
    assert_eq!(
        edited(trusting, |query| {
            query.scope[0].content = Some(schema::scope::Content::ScopeType(2));
        }),
        encoding
    );
    assert_eq!(edited(trusting, |query| query.scope[0].content = None), encoding);
    fn unary(query: &mut schema::Rule) -> &mut schema::OpUnary {
        let mut ops = query.expressions[0].ops.iter_mut();
        ops.find_map(|op| match &mut op.content {
            Some(schema::op::Content::Unary(unary)) => Some(unary),
            _ => None,
        })
        .unwrap()
    }
    let length = r#"check if "a".length() == 1;"#;
    assert_eq!(edited(length, |query| unary(query).ffi_name = Some(0)), encoding);
    assert_eq!(edited(length, |query| unary(query).kind = 9), encoding);
    fn binary(query: &mut schema::Rule) -> &mut schema::OpBinary {
        let mut ops = query.expressions[0].ops.iter_mut();
        ops.find_map(|op| match &mut op.content {
            Some(schema::op::Content::Binary(binary)) => Some(binary),
            _ => None,
        })
        .unwrap()
    }
    let sum = "check if 1 + 1 == 2;";
    assert_eq!(edited(sum, |query| binary(query).ffi_name = Some(0)), encoding);
    let without_name = |query: &mut schema::Rule| {
        let ffi = schema::op_binary::Kind::Ffi;
        (binary(query).kind, binary(query).ffi_name) = (ffi as i32, None);
    };
    assert_eq!(edited(sum, without_name), encoding);
    assert_eq!(edited(sum, |query| binary(query).kind = 99), encoding);
    assert_eq!(edited(sum, |query| query.expressions[0].ops[0].content = None), encoding);
    assert_eq!(
        edited(sum, |query| {
            query.expressions[0].ops[0].content =
                Some(schema::op::Content::Value(schema::Term { content: None }));
        }),
        encoding
    );
    let map = r#"check if {"a": 1, "b": 2}.length() == 1;"#;
    let key_left_out = |query: &mut schema::Rule| {
        let Some(schema::op::Content::Value(term)) = &mut query.expressions[0].ops[0].content
        else {
            panic!()
        };
        let Some(Content::Map(map)) = &mut term.content else { panic!() };
        map.entries[1].key.content = None;
    };
    assert_eq!(edited(map, key_left_out), encoding);
    let key_said_twice = |query: &mut schema::Rule| {
        let Some(schema::op::Content::Value(term)) = &mut query.expressions[0].ops[0].content
        else {
            panic!()
        };
        let Some(Content::Map(map)) = &mut term.content else { panic!() };
        map.entries[1].key = map.entries[0].key.clone();
    };
    assert_eq!(edited(map, key_said_twice), encoding);
    let date = "check if 9999-12-31T23:59:59Z > 1970-01-01T00:00:00Z;";
    assert_eq!(
        edited(date, |query| {
            let Some(schema::op::Content::Value(term)) = &mut query.expressions[0].ops[0].content
            else {
                panic!()
            };
            let Some(Content::Date(seconds)) = &mut term.content else { panic!() };
            *seconds += 1;
        }),
        ("content", Some(1))
    );
}

#[test]
fn too_many_bytes() {
    assert_eq!(cause(&"A".repeat(22_000)), ("too_large", None));
    assert_eq!(cause(&forge::base64(&vec![0; 16_385])), ("too_large", None));
    assert_eq!(cause(&forge::base64(&vec![0; 16_384])), ("not_a_token", None));
}

#[test]
fn too_many_blocks() {
    let chain = (3..17).fold(seed(), |forge, _| forge.append("check if true", None));
    assert_eq!(cause(&chain.bearer()).0, "over_limit");
}

#[test]
fn too_many_checks_alternatives_predicates_operations_and_additions() {
    let too_many = |datalog: &str| {
        assert_eq!(cause(&with_hop(datalog).bearer()), ("over_limit", Some(1)), "{datalog}")
    };
    too_many(&"check if true; ".repeat(65));
    too_many("check if true or true or true or true or true");
    too_many("check if time($a), time($b), time($c)");
    too_many(&format!("check if {}", vec!["true"; 33].join(" &&! ")));
    too_many("check if 1 + 1 + 1 + 1 + 1 + 1 > 0");
    too_many(&format!(
        "check if {{{}}}.contains(1)",
        (0..65).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    ));
    too_many(&format!(r#"check if "{}" == "a""#, "x".repeat(1025)));
    too_many("check if 1 > 0 && (1 > 0 && (1 > 0 && (1 > 0 && (1 > 0 && true))))");
    too_many("check if [[[[[[[[[[1]]]]]]]]]].length() > 0");
    too_many(&format!("check if {}1{}.length() > 0", r#"{"a": "#.repeat(10), "}".repeat(10)));
}

#[test]
fn too_many_words_facts_and_keys() {
    let words: String = (0..257).map(|n| format!("check if x(\"word{n}\"); ")).take(60).collect();
    let many = with_hop(&words)
        .append(&words, None)
        .edit(3, |block| block.symbols.extend((0..200).map(|n| format!("w{n}"))));
    assert_eq!(cause(&many.bearer()).0, "over_limit");
    let scopes: String = (0..257).map(|_| "scope(\"tools:call:search\"); ".to_owned()).collect();
    assert_eq!(cause(&with_hop(&scopes).bearer()).0, "over_limit");
    let key = |seed| PrivateKey::from_bytes(&[seed; 32]).public();
    let keys =
        format!("check if hop($n) trusting {}; check if hop($n) trusting {}", key(7), key(8));
    assert_eq!(cause(&with_hop(&keys).bearer()), ("over_limit", Some(1)));
}

#[test]
fn checks_that_could_cost_too_much() {
    let join = "check if delegated($a, $b, $c), arg($x, $y), $a > 0; ".repeat(8);
    Cast::new().verifier().verify(&with_hop(&join).bearer(), NOW).unwrap();
    let costly = (0..50).fold(String::new(), |all, _| {
        all + "check if [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all($x -> $x > 0 && $x < 100 && $x != 7 && $x != 8); "
    });
    assert_eq!(cause(&with_hop(&costly).bearer()), ("too_costly", None));
}
