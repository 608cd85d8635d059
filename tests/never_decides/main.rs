//! A trial finds the statements that decide nothing: each set beside this file has some, and its cases are many.
//!
//! The first line of a set, `// alone: 2 3`, has the lines of the statements that never decide alone. The cases are calls of each tool of
//! the sets, by chains of each length and with each role and amount; each expects what is found. So a statement that is not flagged decides
//! one of them, and one that is flagged decides none, however many cases an author writes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use hardtack::Cause;
use hardtack::trial::{self, Fault};

const TOOLS: [&str; 7] = ["a", "b", "x", "y", "ok", "pay", "search"];

/// No set asks for a longer chain than the last.
const HOPS: [usize; 6] = [0, 1, 2, 3, 4, 6];

const ROLES: [&str; 3] = ["", "'role(\"editor\")'", "'role(\"x\")'"];

const AMOUNTS: [&str; 2] = ["10", "75"];

fn call(operation: &str, hops: usize, role: &str, amount: &str, expected: &str) -> String {
    let agents: Vec<String> = (0..hops).map(|hop| format!("\"agent.n{hop}\"")).collect();
    format!(
        "[[case]]\nname = \"{operation} {hops} {amount}\"\nscopes = [\"*\"]\nfacts = [{role}]\nhops = [{}]\n\
         operation = \"{operation}\"\narguments = {{ n = {amount} }}\nexpect = \"{expected}\"\n",
        agents.join(", ")
    )
}

/// All calls, with the verdict that each must get.
fn calls(mut expected: impl Iterator<Item = String>) -> String {
    let mut cases = String::new();
    let mut add = |operation: &str, hops, role, amount| {
        let expected = expected.next().unwrap_or_else(|| "allow".to_owned());
        cases.push_str(&call(operation, hops, role, amount, &expected));
    };
    for tool in TOOLS {
        let operation = format!("tools:call:{tool}");
        HOPS.into_iter().for_each(|hops| add(&operation, hops, "", AMOUNTS[0]));
        for role in ROLES {
            AMOUNTS.into_iter().for_each(|amount| add(&operation, 0, role, amount));
        }
    }
    add("tools:list", 0, "", "10");
    cases
}

/// The lines of a set's statements that no case shows.
fn flagged(policy: &str) -> Vec<usize> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("p.datalog"), policy).unwrap();
    let run = |cases: &str| {
        fs::write(folder.path().join("cases/c.toml"), cases).unwrap();
        trial::run(folder.path(), || Duration::ZERO).unwrap()
    };
    let found = run(&calls(std::iter::empty())).cases;
    let found = found.into_iter().map(|case| case.found.cause);
    let report = run(&calls(found.map(|cause| cause.map_or("allow", Cause::as_str).to_owned())));
    assert_eq!(report.unexpected().count(), 0);
    let lines = report.faults.iter().filter_map(|fault| match fault {
        Fault::NeverDecided { at, .. } => Some(at.line),
        _ => None,
    });
    let mut lines: Vec<usize> = lines.collect();
    lines.sort_unstable();
    lines
}

fn sets() -> Vec<(PathBuf, String, Vec<usize>)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir("tests/never_decides").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "datalog"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("// alone:").unwrap();
        let expected = expected.split_whitespace().map(|line| line.parse().unwrap()).collect();
        (path, text, expected)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn each_statement_that_decides_nothing_is_flagged_and_no_other_is() {
    let mut wrong = Vec::new();
    for (path, text, expected) in sets() {
        let found = flagged(&text);
        if found != expected {
            wrong.push(format!("{}: {found:?} and not {expected:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All but one, whose useless part is an alternative of a statement that decides.
#[test]
fn all_sets_but_one_are_flagged() {
    let sets = sets();
    let flagged = sets.iter().filter(|(_, _, lines)| !lines.is_empty()).count();
    assert_eq!((sets.len(), flagged), (19, 18));
}
