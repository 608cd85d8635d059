//! Expressions: operations that are none, that leave a stack awry, that cannot be evaluated, or are too many.

use biscuit_auth::format::schema::op_binary::Kind as Binary;
use biscuit_auth::format::schema::op_unary::Kind as Unary;
use biscuit_auth::format::schema::{Op, OpBinary, OpClosure, OpUnary, Term};
use biscuit_auth::format::schema::{op::Content, term};

use super::{Kind, accepted, refused};
use crate::case::Case;
use hardtack_testkit::forge::Forge;

/// `time` and `path`, of Biscuit's own words: a name that is bound in the check, and one that is not.
const BOUND: u32 = 5;
const FREE: u32 = 21;

fn op(content: Content) -> Op {
    Op { content: Some(content) }
}

fn value(content: term::Content) -> Op {
    op(Content::Value(Term { content: Some(content) }))
}

fn number(number: i64) -> Op {
    value(term::Content::Integer(number))
}

fn truth() -> Op {
    value(term::Content::Bool(true))
}

fn array() -> Op {
    let one = Term { content: Some(term::Content::Integer(1)) };
    value(term::Content::Array(biscuit_auth::format::schema::Array { array: vec![one] }))
}

fn unary(kind: i32, ffi_name: Option<u64>) -> Op {
    op(Content::Unary(OpUnary { kind, ffi_name }))
}

fn binary(kind: i32, ffi_name: Option<u64>) -> Op {
    op(Content::Binary(OpBinary { kind, ffi_name }))
}

fn both(kind: Binary) -> Op {
    binary(kind as i32, None)
}

fn closure(params: Vec<u32>, ops: Vec<Op>) -> Op {
    op(Content::Closure(OpClosure { params, ops }))
}

/// `check if time($time), …` with these operations.
fn with(ops: Vec<Op>) -> Forge {
    Kind::Hop.and("check if time($time), true;").edit(1, |block| {
        block.version = Some(6);
        block.checks[0].queries[0].expressions[0].ops = ops;
    })
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        accepted(
            "an expression as it should be",
            &with(vec![number(1), number(1), both(Binary::Equal)]),
        ),
        accepted(
            "a closure whose parameter is free",
            &with(vec![array(), closure(vec![FREE], vec![truth()]), both(Binary::Any)]),
        ),
    ];
    for (what, ops) in unreadable() {
        cases.push(refused(what, &with(ops), "encoding", 1));
    }
    for (what, ops) in forbidden() {
        cases.push(refused(what, &with(ops), "content", 1));
    }
    for (what, ops) in awry() {
        cases.push(refused(what, &with(ops), "not_evaluable", 1));
    }
    cases.extend(of_types());
    cases.extend(functions());
    cases.extend(caps());
    cases
}

fn unreadable() -> Vec<(&'static str, Vec<Op>)> {
    let ffi = Some(0);
    vec![
        ("an operation that is empty", vec![Op { content: None }]),
        (
            "an operation that is empty, in a closure",
            vec![truth(), closure(vec![], vec![Op { content: None }]), both(Binary::LazyAnd)],
        ),
        ("a value that is empty", vec![op(Content::Value(Term { content: None }))]),
        ("a unary operation of kind 5", vec![truth(), unary(5, None)]),
        ("a unary operation of kind -1", vec![truth(), unary(-1, None)]),
        ("a unary operation of the greatest kind", vec![truth(), unary(i32::MAX, None)]),
        ("a unary operation of kind 5 with a name", vec![truth(), unary(5, ffi)]),
        ("a negation with the name of a function", vec![truth(), unary(Unary::Negate as i32, ffi)]),
        ("brackets with the name of a function", vec![truth(), unary(Unary::Parens as i32, ffi)]),
        ("a length with the name of a function", vec![truth(), unary(Unary::Length as i32, ffi)]),
        ("a type with the name of a function", vec![truth(), unary(Unary::TypeOf as i32, ffi)]),
        ("a binary operation of kind 30", vec![number(1), number(1), binary(30, None)]),
        ("a binary operation of kind -1", vec![number(1), number(1), binary(-1, None)]),
        (
            "a binary operation of the least kind",
            vec![number(1), number(1), binary(i32::MIN, None)],
        ),
        ("a binary operation of kind 30 with a name", vec![number(1), number(1), binary(30, ffi)]),
        ("a function without a name", vec![number(1), number(1), both(Binary::Ffi)]),
        (
            "a comparison with the name of a function",
            vec![number(1), number(2), binary(Binary::LessThan as i32, ffi)],
        ),
        (
            "an equality with the name of a function",
            vec![number(1), number(1), binary(Binary::Equal as i32, ffi)],
        ),
        (
            "an addition with the name of a function",
            vec![number(1), number(1), binary(Binary::Add as i32, ffi)],
        ),
        (
            "a lazy or with the name of a function",
            vec![truth(), closure(vec![], vec![truth()]), binary(Binary::LazyOr as i32, ffi)],
        ),
        (
            "an `all` with the name of a function",
            vec![array(), closure(vec![FREE], vec![truth()]), binary(Binary::All as i32, ffi)],
        ),
        (
            "a name of a function deep within",
            vec![
                truth(),
                closure(vec![], vec![truth(), unary(Unary::Parens as i32, ffi)]),
                both(Binary::LazyAnd),
            ],
        ),
    ]
}

fn forbidden() -> Vec<(&'static str, Vec<Op>)> {
    let text = || value(term::Content::String(0));
    let inner = || vec![array(), closure(vec![6], vec![truth()]), both(Binary::All)];
    let sum = || vec![number(1), number(1), both(Binary::Add)];
    vec![
        ("a unary function", vec![text(), unary(Unary::Ffi as i32, Some(0))]),
        ("a unary function without a name", vec![text(), unary(Unary::Ffi as i32, None)]),
        ("a regular expression", vec![text(), text(), both(Binary::Regex)]),
        (
            "a regular expression with the name of a function",
            vec![text(), text(), binary(Binary::Regex as i32, Some(0))],
        ),
        (
            "a regular expression in a closure",
            vec![
                truth(),
                closure(vec![], vec![text(), text(), both(Binary::Regex)]),
                both(Binary::LazyOr),
            ],
        ),
        (
            "an error that is caught",
            vec![closure(vec![], vec![number(1)]), truth(), both(Binary::TryOr)],
        ),
        (
            "an error that is caught, with a name",
            vec![closure(vec![], vec![number(1)]), truth(), binary(Binary::TryOr as i32, Some(0))],
        ),
        (
            "a closure with a parameter in another",
            vec![array(), closure(vec![FREE], inner()), both(Binary::Any)],
        ),
        (
            "such a closure behind a lazy one",
            vec![
                array(),
                closure(vec![FREE], vec![truth(), closure(vec![], inner()), both(Binary::LazyAnd)]),
                both(Binary::Any),
            ],
        ),
        (
            "an addition for each element",
            vec![array(), closure(vec![FREE], sum()), both(Binary::Any)],
        ),
        (
            "such an addition behind a lazy closure",
            vec![
                array(),
                closure(vec![FREE], vec![truth(), closure(vec![], sum()), both(Binary::LazyAnd)]),
                both(Binary::Any),
            ],
        ),
    ]
}

/// What reads well and has no value.
fn awry() -> Vec<(&'static str, Vec<Op>)> {
    let variable = |name| value(term::Content::Variable(name));
    vec![
        ("an expression without operations", vec![]),
        ("a binary operation on nothing", vec![both(Binary::And)]),
        ("a binary operation on one value", vec![truth(), both(Binary::And)]),
        ("a unary operation on nothing", vec![unary(Unary::Negate as i32, None)]),
        ("two values and no operation", vec![truth(), truth()]),
        (
            "a true value below a true value",
            vec![truth(), number(1), number(1), both(Binary::Equal)],
        ),
        ("an operation before its values", vec![both(Binary::And), truth(), truth()]),
        ("a closure alone", vec![closure(vec![], vec![truth()])]),
        (
            "two closures",
            vec![
                closure(vec![], vec![truth()]),
                closure(vec![], vec![truth()]),
                both(Binary::LazyAnd),
            ],
        ),
        (
            "a negated closure",
            vec![closure(vec![], vec![truth()]), unary(Unary::Negate as i32, None)],
        ),
        (
            "an addition of a closure",
            vec![number(1), closure(vec![], vec![number(1)]), both(Binary::Add)],
        ),
        ("a lazy and with a value for a closure", vec![truth(), truth(), both(Binary::LazyAnd)]),
        (
            "a lazy and with a parameter",
            vec![truth(), closure(vec![FREE], vec![truth()]), both(Binary::LazyAnd)],
        ),
        ("an empty closure", vec![truth(), closure(vec![], vec![]), both(Binary::LazyAnd)]),
        (
            "an `all` without a parameter",
            vec![array(), closure(vec![], vec![truth()]), both(Binary::All)],
        ),
        ("an `all` with a value for a closure", vec![array(), truth(), both(Binary::All)]),
        (
            "an `all` of a number",
            vec![number(1), closure(vec![FREE], vec![truth()]), both(Binary::All)],
        ),
        (
            "an `any` whose closure gives a number",
            vec![array(), closure(vec![FREE], vec![number(1)]), both(Binary::Any)],
        ),
        (
            "a closure whose parameter is bound outside",
            vec![array(), closure(vec![BOUND], vec![truth()]), both(Binary::Any)],
        ),
        ("a variable that nothing binds", vec![variable(FREE)]),
        (
            "a variable that only a closure binds",
            vec![
                array(),
                closure(vec![FREE], vec![truth()]),
                both(Binary::Any),
                variable(FREE),
                both(Binary::And),
            ],
        ),
        ("a number for a truth", vec![number(1)]),
        (
            "null for a truth",
            vec![value(term::Content::Null(biscuit_auth::format::schema::Empty {}))],
        ),
        ("a variable that is no truth", vec![variable(BOUND)]),
    ]
}

/// Operations on what they are not for, and beyond what numbers are.
fn of_types() -> Vec<Case> {
    let least = i64::MIN;
    let most = i64::MAX;
    let expressions = [
        ("1 < \"a\"".to_owned(), "comparing a number and a text"),
        ("1 === \"a\"".to_owned(), "equality of two types, strictly"),
        ("true < false".to_owned(), "an order of truths"),
        ("null > null".to_owned(), "an order of nulls"),
        ("!1".to_owned(), "negating a number"),
        ("1.length() > 0".to_owned(), "the length of a number"),
        ("true.length() > 0".to_owned(), "the length of a truth"),
        ("1.contains(1)".to_owned(), "what a number contains"),
        ("1.starts_with(1)".to_owned(), "what a number starts with"),
        ("[1].get(true) == 1".to_owned(), "an element by a truth"),
        ("1.get(0) == 1".to_owned(), "an element of a number"),
        ("{1}.intersection(1).length() > 0".to_owned(), "a set and a number"),
        ("\"a\" + 1 == \"a1\"".to_owned(), "adding a number to a text"),
        ("true + true == true".to_owned(), "adding truths"),
        ("1 / 0 == 0".to_owned(), "dividing by nothing"),
        (format!("{least} / -1 > 0"), "dividing the least number by minus one"),
        (format!("{most} + 1 > 0"), "adding beyond the greatest number"),
        (format!("{least} - 1 < 0"), "taking from the least number"),
        (format!("{most} * 2 > 0"), "doubling the greatest number"),
        (format!("{least} * -1 > 0"), "negating the least number by a product"),
        ("1 / 0 == 0 || true".to_owned(), "an error before an or"),
        ("!(1 / 0 == 0)".to_owned(), "an error behind a not"),
    ];
    let cases = expressions.into_iter().map(|(expression, what)| {
        let forge = Kind::Hop.and(&format!("check if {expression};"));
        refused(what, &forge, "not_evaluable", 1)
    });
    let mut cases: Vec<_> = cases.collect();
    let forge = Kind::Hop.and("reject if 1 / 0 == 0;");
    cases.push(refused("an error in what rejects", &forge, "not_evaluable", 1));
    let forge = Kind::Hop.and("check if false or 1 / 0 == 0;");
    cases.push(refused("an error in the alternative that is left", &forge, "not_evaluable", 1));
    cases
}

fn functions() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in [
        "f",
        "hardtack_paths",
        "HARDTACK_PATH",
        "hardtack_path ",
        "hardtack:path",
        "hardtack_",
        "",
        "hardtack_p\u{430}th",
        "hardtack_path\0",
    ] {
        let text = r#"check if "/a".extern::hardtack_path("/a");"#;
        let forge = Kind::Hop.and(text).edit(1, |block| {
            let number = super::number_of(block, "hardtack_path");
            block.symbols[(number - 1024) as usize] = name.to_owned();
        });
        let what = format!("a function of the name {name:?}");
        cases.push(refused(&what, &forge, "content", 1));
    }
    for (what, check) in [
        ("a path that is none", r#"check if "a".extern::hardtack_path("/a")"#),
        ("a folder that is none", r#"check if "/a".extern::hardtack_path("/a/../b")"#),
        ("a URL of a number", r#"check if 1.extern::hardtack_url("https://a.example")"#),
        (
            "a URL with a user",
            r#"check if "https://u@a.example/".extern::hardtack_url("https://a.example")"#,
        ),
        ("a network that is none", r#"check if "10.0.0.1".extern::hardtack_network("10.0.0.1/8")"#),
        ("a pattern that is a number", r#"check if "a".extern::hardtack_glob(1)"#),
        ("a path that steps out", r#"check if "/srv/../etc".extern::hardtack_path("/srv")"#),
        ("no path behind a not", r#"check if !"a".extern::hardtack_path("/a")"#),
    ] {
        cases.push(refused(what, &Kind::Hop.and(check), "not_evaluable", 1));
    }
    for (what, check) in [
        ("a folder that only begins so", r#"check if "/srvdata".extern::hardtack_path("/srv")"#),
        (
            "a host that only begins so",
            r#"check if "https://a.example.net/".extern::hardtack_url("https://a.example")"#,
        ),
        (
            "an address beside the network",
            r#"check if "11.0.0.1".extern::hardtack_network("10.0.0.0/8")"#,
        ),
    ] {
        cases.push(refused(what, &Kind::Hop.and(check), "check_failed", 1));
    }
    cases
}

fn caps() -> Vec<Case> {
    let lazily = |depth: usize| {
        (0..depth).fold(vec![truth()], |inner, _| {
            vec![truth(), closure(vec![], inner), both(Binary::LazyAnd)]
        })
    };
    let negated = |times: usize| {
        let not = vec![unary(Unary::Negate as i32, None); times];
        [vec![truth()], not].concat()
    };
    let sums = |times: usize| {
        let more = vec![vec![number(1), both(Binary::Add)]; times].concat();
        [vec![number(1)], more, vec![number(0), both(Binary::GreaterThan)]].concat()
    };
    let mut cases = vec![
        accepted(
            "32 operations",
            &with([negated(30), vec![unary(Unary::Parens as i32, None)]].concat()),
        ),
        accepted("lazy closures four deep", &with(lazily(4))),
        accepted("four additions", &with(sums(4))),
    ];
    let in_closure = vec![array(), closure(vec![FREE], negated(30)), both(Binary::Any)];
    for (what, ops) in [
        ("33 operations", negated(32)),
        ("33 operations, most in a closure", in_closure),
        ("lazy closures five deep", lazily(5)),
        ("lazy closures twenty deep", lazily(20)),
        ("five additions", sums(5)),
        (
            "a closure with two parameters",
            vec![array(), closure(vec![FREE, 6], vec![truth()]), both(Binary::Any)],
        ),
        (
            "a closure with one parameter twice",
            vec![array(), closure(vec![FREE, FREE], vec![truth()]), both(Binary::Any)],
        ),
        (
            "a closure with a hundred parameters",
            vec![
                array(),
                closure((0..28).cycle().take(100).collect(), vec![truth()]),
                both(Binary::Any),
            ],
        ),
    ] {
        cases.push(refused(what, &with(ops), "over_limit", 1));
    }
    let deep = "lazy closures sixty deep, which Protobuf does not read";
    cases.push(refused(deep, &with(lazily(60)), "encoding", 1));
    let forge = Kind::Hop.and(&format!("check if true{};", ", true".repeat(32)));
    cases.push(refused("33 expressions of one operation", &forge, "over_limit", 1));
    let forge = Kind::Hop.and("check if 1 + 1 + 1 > 0, 1 + 1 + 1 + 1 > 0;");
    cases.push(refused("five additions in two expressions", &forge, "over_limit", 1));
    let elements = (0..20).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    let costly =
        format!("check if [{elements}].all($x -> $x >= 0 && $x < 100 && $x !== 77 && $x !== 78); ");
    let costly = Kind::Hop.and(&costly.repeat(50));
    cases.push(Case::refused(
        "shape/checks that cost too much together".to_owned(),
        costly.bearer(),
        "too_costly",
        None,
    ));
    cases
}
