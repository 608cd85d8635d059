//! `docs/profile.md` lists every cause, and no other.

use std::collections::BTreeSet;
use std::fs;

/// The words that the `cause` function of a stage returns.
fn causes_in(path: &str) -> BTreeSet<String> {
    let source = fs::read_to_string(path).unwrap();
    let (_, function) = source.split_once("pub fn cause(&self) -> &'static str {").expect(path);
    let (function, _) = function.split_once("\n    }\n").unwrap();
    let words = function.split('"').skip(1).step_by(2);
    // In `predicate: "reason"` the quoted word is no cause.
    let returned = words.filter(|word| !function.contains(&format!("predicate: \"{word}\"")));
    returned.map(str::to_owned).collect()
}

#[test]
fn the_page_lists_every_cause() {
    let guards = [
        "replayed",
        "ledger_unavailable",
        "unfinished",
        "overloaded",
        "inexact_call",
        "call_too_large",
        "strange_task",
        "facts_unavailable",
        "facts_unusable",
    ];
    let lists = ["list_busy", "list_too_long", "list_too_costly"];
    let mut causes: BTreeSet<String> = guards.into_iter().chain(lists).map(str::to_owned).collect();
    for path in
        ["src/profile/shape.rs", "src/verify/error.rs", "src/authorize/mod.rs", "src/revoke.rs"]
    {
        causes.extend(causes_in(path));
    }
    assert!(causes.len() > 40, "{causes:?}");
    let page = fs::read_to_string("docs/profile.md").unwrap();
    let (_, table) = page.split_once("| cause | answer | when |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let first_cells = table
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split('|').next());
    let listed: BTreeSet<String> = first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned))
        .collect();
    assert_eq!(listed, causes);
}
