//! The units of queries, reckoned by hand: a term of the sum that is left out is work that nobody pays for.

use biscuit_auth::builder::{Check, Convert, Fact};

use super::*;

/// Facts as [`Sizes`] counts them: two of `arg` with at most 3 values and 128 bytes, one of `tool` with 64 bytes.
/// That is 3 facts and 2 * (3 + 1) + (1 + 1) = 10 words.
fn sizes() -> Sizes {
    let mut sizes = Sizes::default();
    sizes.add_many("arg", 2, Extent { values: 3, bytes: 128 });
    sizes.add_many("tool", 1, Extent { values: 1, bytes: 64 });
    sizes
}

/// The queries of a check, and the words they are written with.
fn read(check: &str) -> (SymbolTable, Vec<datalog::Rule>) {
    let mut symbols = SymbolTable::new();
    let check = Check::try_from(check).unwrap().convert(&mut symbols);
    (symbols, check.queries)
}

fn units(query: &str) -> u64 {
    let (symbols, queries) = read(&format!("check if {query}"));
    Query { symbols: &symbols, sizes: &sizes() }.bound(&queries[0])
}

/// What the expression takes beside the query for the `tool` that it is about: 2 for the scan, 5 for cloning a
/// binding, 9 for the match.
fn expression_units(expression: &str) -> u64 {
    units(&format!("tool($t), {expression}")) - 16
}

fn extents(term: &str) -> [(u64, u64); 2] {
    let fact = Fact::try_from(format!("fact({term})").as_str()).unwrap();
    let mut words = SymbolTable::new();
    let converted = fact.convert(&mut words);
    [extent(&fact.predicate.terms[0]), converted_extent(&converted.predicate.terms[0], &words)]
        .map(|extent| (extent.values, extent.bytes))
}

#[test]
fn a_query_pays_for_each_fact_it_passes_and_each_match_it_makes() {
    for (query, expected) in [
        // A scan of 1 + 3 / 2; 5 clones of one binding; a match of 8 and its binding.
        ("tool($t)", 2 + 5 + 9),
        ("tool(\"x\")", 2 + 8),
        ("unknown($x)", 2),
        // Two matches, with two bindings of 3 values.
        ("arg($n, $v)", 2 + 2 * 6 * 5 + 2 * (8 + 6)),
        // Two more values of each of the two facts are held against what is written: 3 at most, less the first.
        ("arg(\"ids\", [1, 2, 3])", (2 + 2 * 2) + 2 * 8),
        ("arg(\"ids\", [1, 2, 3, 4])", (2 + 2 * 2) + 2 * 8),
        ("arg(\"ids\", [1])", (2 + 2) + 2 * 8),
        // A join passes over all facts for each match, and clones the bindings made so far.
        ("tool($t), arg($n, $v)", (4 + 5) + (4 + 2 * 7 * 5) + 2 * (8 + 7)),
        ("arg($n, $v), tool($t)", (4 + 2 * 6 * 5) + (2 * 4 + 2 * 7 * 5) + 2 * (8 + 7)),
        ("true", 8 + (1 + 1)),
    ] {
        assert_eq!(units(query), expected, "{query}");
    }
}

#[test]
fn an_expression_pays_for_what_each_operation_reads() {
    // The tool's name is 1 value and 64 bytes: 2 units. Two values of 65 bytes: 3.
    for (expression, expected) in [
        (r#"$t == "x""#, 3 + 2 + 1 + 3),
        (r#"$t == "y" || false"#, (3 + 2 + 1 + 3) + 2 + 1 + 1 + (8 + 1) + (1 + 1) + (1 + 1)),
        ("$t.length() == 1", 4 + 2 + 2 + 1 + 3),
        // A joined text and a type's name are looked up among the 10 + 256 words, four in a unit.
        (r#"$t + "x" == "y""#, 5 + 2 + 1 + (3 + 67) + 1 + 4),
        (r#"$t.type() == "string""#, 4 + 2 + (2 + 67) + 1 + 3),
        // What `&&` leaves is as large as the larger side: 3 values and 66 bytes.
        (
            r#"(true && $t + "x" == "y") == true"#,
            6 + 1 + 7 + (9 + 7 + 5 + 2 + 1 + 70 + 1 + 4) + 4 + 1 + 5,
        ),
        // Reading 66 bytes, two in a unit, one, or one in four units; a glob holds each byte against each.
        (r#"$t.extern::hardtack_path("/a")"#, 3 + 2 + 1 + (20 + 33) + 3),
        (r#"$t.extern::hardtack_url("/a")"#, 3 + 2 + 1 + (20 + 66) + 3),
        (r#"$t.extern::hardtack_glob("/a")"#, 3 + 2 + 1 + (20 + 66 * 4 + 64 * 2 / 8) + 3),
        // A tree costs more than an array, a map's entries more than a set's.
        ("[1, 2] == [1, 2]", 3 + 3 + 3 + 6),
        ("{1, 2} == {1, 2}", 3 + 7 + 7 + 14),
        (r#"{"a": 1} == {"a": 1}"#, 3 + 8 + 8 + 16),
    ] {
        assert_eq!(expression_units(expression), expected, "{expression}");
    }
}

#[test]
fn a_closure_is_paid_for_each_value_and_for_its_copies() {
    // Over 3 values and 128 bytes. The inner expression is 3 operations, of which one writes out a value, and so
    // is copied for 4; it takes 3 + (1 + 2) + 1 + (2 + 2) = 11 for an element of 128 bytes.
    let outer = 3 + (3 + 2) + 4;
    let over = (8 + 6) + 3 * (11 + 8 + 4) + 3 * 3;
    assert_eq!(
        units("arg($n, $v), $v.any($x -> $x == 1)"),
        (2 + 2 * 6 * 5) + 2 * (8 + 6 + outer + over)
    );
    // A closure within it is copied with it, and pays for itself each time, with one binding more.
    let nested = "arg($n, $v), $v.any($x -> $x == 1 || $x == 2)";
    let copy = 4 + 1 + 4 + 1;
    let lazy = (8 + 7) + 4 + 11;
    let body = 11 + 1 + 4 + 1 + lazy;
    let over = (8 + 6) + 3 * (body + 8 + copy) + 3 * 5;
    assert_eq!(units(nested), (2 + 2 * 6 * 5) + 2 * (8 + 6 + 3 + (3 + 2) + copy + over));
}

#[test]
fn a_term_has_its_values_at_all_depths_and_its_longest_text() {
    for (term, expected) in [
        ("1", (1, 0)),
        ("\"abc\"", (1, 3)),
        ("hex:0102", (1, 2)),
        ("[\"ab\", \"c\"]", (3, 3)),
        ("{1, 2}", (5 + 2, 0)),
        ("{\"ab\": \"c\", 1: 2}", (5 + 3 + 3, 3)),
        ("[[1], {1}]", (1 + 2 + 6, 0)),
    ] {
        assert_eq!(extents(term), [expected, expected], "{term}");
        let mut symbols = SymbolTable::new();
        let fact = Fact::try_from(format!("fact({term})").as_str()).unwrap().convert(&mut symbols);
        assert_eq!(values_and_bytes(&fact.predicate.terms[0], &symbols), expected, "{term}");
        // Written out in a query, a map's names are no part of what is compared.
        if !term.contains(':') || term.starts_with("hex") {
            let (symbols, queries) = read(&format!("check if fact({term})"));
            let query = Query { symbols: &symbols, sizes: &sizes() };
            let written = query.term(&queries[0].body[0].terms[0], &Bindings::new());
            assert_eq!((written.values, written.bytes), expected, "{term}");
        }
    }
}

#[test]
fn facts_are_counted_with_all_they_hold() {
    let fact = Fact::try_from(r#"arg("ids", [1, {2, 3}, {"a": [4]}])"#).unwrap();
    let mut words = SymbolTable::new();
    let converted = fact.convert(&mut words);
    let mut sizes = Sizes::default();
    sizes.add_converted(&converted, &words);
    // The fact, and 7 values more than its two: 1, the set with two, the map with an array of one.
    assert_eq!((sizes.facts, sizes.values), (1, 1 + 7));
    let arg = sizes.named["arg"];
    assert_eq!((arg.count, arg.largest.values), (1, 1 + 1 + 7 + (5 + 2 + 2)));
    assert_eq!(sizes.words, arg.largest.values + 1);
    sizes.add_stated(&converted, &words);
    assert_eq!((sizes.facts, sizes.values, sizes.named["arg"].count), (2, 9, 2));
    assert_eq!(sizes.words, 2 * (arg.largest.values + 1));
    sizes.add_room("arg", 3, 4, 5);
    assert_eq!((sizes.facts, sizes.values, sizes.named["arg"].count), (5, 9 + 12, 5));
    assert_eq!(sizes.words, 2 * (arg.largest.values + 1) + 3 * 5);
    sizes.add_small("time", 2);
    assert_eq!((sizes.facts, sizes.values, sizes.named["time"].largest.values), (7, 21, 1));
}
