//! Syntax's tests: its trees say what Biscuit's parser reads, and what does not is refused.

use std::fs;
use std::path::Path;

use biscuit_parser::parser::parse_source;

use super::terms::begins_a_date;
use super::{Kind, Lines, read};
use crate::policy::problem::Problem;

/// Reads a text in which nothing is wrong but what no policy may say. What Biscuit reads is read here, and is the same.
fn compare(text: &str) -> usize {
    let source = read(0, "p.datalog", text);
    for part in &source.statements {
        let written = &text[part.span.start..part.span.end];
        let Ok(parsed) = parse_source(written) else { continue };
        // What is longer or deeper than a policy may be is not read.
        let too_large = |(_, problem): &(_, Problem)| {
            matches!(problem, Problem::TooDeep { .. } | Problem::TooLong { .. })
        };
        if part.problems.iter().any(too_large) {
            continue;
        }
        let statement = part.statement.as_ref().unwrap_or_else(|| panic!("{written}: {part:?}"));
        let all = parsed.facts.len() + parsed.rules.len() + parsed.checks.len();
        assert_eq!(all + parsed.policies.len(), 1, "{written}");
        let read = super::read_by_biscuit(statement.kind, written.trim_end_matches(';'));
        assert_eq!(read.unwrap(), super::built(statement), "{written}");
    }
    source.statements.len()
}

#[test]
fn the_trees_of_all_examples_say_what_is_read() {
    let mut count = 0;
    let mut folders = vec![Path::new("crates/lint/tests/seeds").to_owned(), "policies".into()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "datalog") {
                count += compare(&fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(count > 500, "{count}");
}

#[test]
fn the_trees_of_odd_statements_say_what_is_read() {
    let statements = [
        r#"a(1, -2, "x\\\"\n", 2027-01-01T00:00:00Z, hex:00ff, true, null, [1, ["a"]], {1, 2}, {,});"#,
        r#"a(2027-01-01t00:00:00z, 2027-01-01_00:00:00.5+01:00, 1970);"#,
        r#"deny if a({"k": 1, 2: [3]}, {}, {1, 2});"#,
        r#"ALLOW IF a( $x ) , $x+1*2-3/4 < 5 OR b($y), !$y.contains("a") == false;"#,
        r#"check all a($x), ($x && true) || !($x || false) && $x;"#,
        r#"reject if a($x), $x.any($y -> $y.all( $z -> $z === 1 || $z !== 2 ));"#,
        r#"deny if a($x), $x & 1 | 2 ^ 3 == 4;"#,
        r#"p($x) <- a($x), $x.get("k").length() >= 3, $x.type() == "map";"#,
        r#"deny if a($x), ($x.get(0) > 1).try_or(false), $x.extern::f("y"), $x.extern::g();"#,
        r#"deny if a($x), {1, 2}.union({3}).intersection({,}).contains($x);"#,
        r#"deny if a($x),$x>-1,$x--1==0,-1<$x;"#,
        r#"deny if a:b($x:y), true, "lit" == "lit", [] == [];"#,
        r#"deny if a({name}), [{name}].contains(1), {true} == {hex:00}, {{p}: 1} == {1: {q}};"#,
        "deny if a($x)\n\tor b($y)\r\n or  true;",
        r#"allow if orders($x), $x.starts_with("or");"#,
        "allow if a(1) trusting previous, authority , {k} or b(2) trusting ed25519/00ff, secp256r1/ab;",
    ];
    for text in statements {
        assert_eq!(compare(text), 1, "{text}");
    }
}

fn first(text: &str) -> String {
    let source = read(0, "p.datalog", text);
    let (span, problem) = source.first_problem().unwrap_or_else(|| panic!("{text} is taken"));
    let (line, column) = Lines::of(text).place(text, span.start);
    format!("{line}:{column}: {problem}")
}

/// Biscuit's parser takes some letters for others: it looks at the lowest byte of each.
#[test]
fn what_the_two_parsers_read_differently_is_refused() {
    let cyrillic = "allow if gr\u{430}nted($op);";
    assert!(parse_source(cyrillic).is_ok());
    assert!(first(cyrillic).starts_with("1:10: this is no fact"), "{}", first(cyrillic));
}

/// What ends a date is looked for behind what begins as one alone.
#[test]
fn numbers_are_not_looked_at_as_dates() {
    for text in [
        "1+1+1",
        "1970-1970-1970-1970-1970",
        "2027-01-01",
        "2027-01-01T00:00",
        "-2027-01-01T00:00:00Z",
    ] {
        assert!(!begins_a_date(text), "{text}");
    }
    for text in ["2027-01-01T00:00:00Z", "2027-01-01_00:00:00.5+01:00", "2027-01-01t23:59:59-00:30"]
    {
        assert!(begins_a_date(text), "{text}");
        assert_eq!(compare(&format!("a({text}, [{text}], {{{text}}});")), 1);
    }
    assert_eq!(compare("deny if a($x), 1970-1970-1+1+1 == $x, $x < 2027-01-01T00:00:00Z;"), 1);
}

#[test]
fn behind_each_comma_there_is_an_element() {
    for text in ["a([1,]);", "a({1,});", "a([1, ]);", "a({1 , 2, });", "a({\"k\": 1,});", "a([,]);"]
    {
        assert!(parse_source(text).is_err(), "{text}");
        assert!(read(0, "p.datalog", text).statements[0].statement.is_none(), "{text} is read");
    }
    for text in ["a([ ]);", "a([1 ,2 ]);", "a({1 , 2 });"] {
        assert_eq!(compare(text), 1, "{text}");
        assert!(read(0, "p.datalog", text).first_problem().is_none(), "{text}");
    }
}

/// Who gives the wrong file may give a key. What is refused by Biscuit's parser alone is told in words that repeat nothing, too.
#[test]
fn what_cannot_be_read_is_not_repeated() {
    for text in [
        "allow if true||{\"s3cret-key-material\",}==1;",
        "allow if true || {[1]}.contains(\"s3cret\") or s3cret;",
        "allow if true || {{1}}.contains(\"s3cret\");",
        "check if true || {\"s3cret\", 1}.contains(1), s3cret(1);",
        "a({\"s3cret\", {1, [2]}});",
        "s3cret",
    ] {
        assert!(first(text).contains("this is no fact"), "{text}: {}", first(text));
        assert!(!first(text).contains("s3cret"), "{text}: {}", first(text));
    }
    let quoting = super::read_by_biscuit(Kind::Allow, "allow if true || {[1]} == 1");
    assert_eq!(quoting, Err(None), "Biscuit's words are left out");
}

/// Biscuit's parser of whole files goes on behind a `;` in a text or comment, and there no bracket was counted.
#[test]
fn no_text_or_comment_is_read_as_code() {
    let deep = format!("allow if {}", "(".repeat(1_000_000));
    let comment = format!("// a\r;{deep}\nallow if true;");
    assert!(first(&comment).starts_with("1:1: "), "{}", &first(&comment)[..80]);
    assert!(first(&comment).contains("carriage return"));
    let text = format!("a({{1, \"x\"}}, \"z;{}\");", &deep[..4000]);
    assert!(first(&text).contains("set elements must have the same type"), "{}", first(&text));
    assert!(first(&format!("a \"z;{}\";", &deep[..4000])).starts_with("1:1: this is no fact"));
}

#[test]
fn each_problem_stands_at_its_word() {
    for (text, expected) in [
        ("allow if true;\n/* a", "2:1: this comment has no `*/`"),
        ("allow if true;;", "1:15: this is no fact"),
        ("allow if depth(1), /* why */ true;", "1:20: a comment may stand between statements"),
        ("allow if\n  role(\"x), true;", "2:8: this text has no quotation mark"),
        ("allow if depth($d),\n  $d > $e;", "2:8: $e is compared"),
        ("a($x, $y) <- b($x);", "1:7: $y stands in the head"),
        ("a([1], $x);", "1:8: a fact has no variables"),
        ("a({1}) <- b([{p}]);", "1:14: a {parameter}"),
        ("check if tool($t), $t.matches(\"a\"), $t.matches(\"(\");", "1:40: `(` is no regular"),
        ("deny if tool($t), $t.extern::x(\"a\");", "1:30: there is no external function"),
        ("deny if depth($d) trusting previous;", "1:19: `trusting` has no use"),
        ("deny if tool($t), $t in [\"a\"];", "1:22: this is no fact"),
    ] {
        assert!(first(text).starts_with(expected), "{text}: {}", first(text));
    }
}

#[test]
fn brackets_and_negations_are_counted_wherever_they_stand() {
    let both = |many: usize| format!("allow if {}true{};", "!(".repeat(many), ")".repeat(many));
    assert!(read(0, "p.datalog", &both(32)).first_problem().is_none());
    assert!(first(&both(33)).contains("brackets stand more than 64 deep"));
    let chain = format!("allow if {}true;", "!1 + ".repeat(65));
    assert!(first(&chain).contains("brackets stand more than 64 deep"), "{}", first(&chain));
}

#[test]
fn constants_are_evaluated_by_the_engine() {
    for (condition, expected) in [
        ("1 + 1 == 2", Some(true)),
        ("9223372036854775807 + 1 > 0", None),
        ("{1, 2} == {2, 1}", Some(true)),
        ("1 === \"1\"", None),
        ("\"/a/b\".extern::hardtack_path(\"/a\")", Some(true)),
        ("[1, 2].any($x -> $x > 1)", Some(true)),
        ("$x == 1", None),
        ("[1].contains({p})", None),
        ("1", None),
    ] {
        let source = read(0, "p.datalog", &format!("allow if a($x), {condition};"));
        let statement = source.statements[0].statement.as_ref().unwrap();
        assert_eq!(statement.kind, Kind::Allow);
        assert_eq!(statement.queries[0].conditions[0].truth(), expected, "{condition}");
    }
}
