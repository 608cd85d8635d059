//! The sets of issuers that come with Hardtack do what their cases say, and cases show what is wrong with a set.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hardtack::policy::PolicyError;
use hardtack::trial::{self, Fault, TrialError};
use hardtack::{Cause, Policy};

const SET: &str =
    "allow if idp(\"acme\");\noffer(\"a:b\", \"a.mcp\", 60, 1) <- claim(\"g\", \"x\");\n";
const CASES: &str = r#"
[[case]]
name = "a member gets it"
claims = { sub = "alice", g = ["x"] }
scopes = ["a:*"]
audiences = ["a.mcp"]
expect = "issue"
issued = { scopes = ["a:b"], seconds = 60, depth = 1, facts = [], asks_consent = true }

[[case]]
name = "nobody else does"
claims = { sub = "bob" }
scopes = ["a:*"]
audiences = ["a.mcp"]
expect = "audience_not_offered"
"#;

fn folder(set: &str, cases: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("set.issuance.datalog"), set).unwrap();
    fs::write(folder.path().join("cases/cases.toml"), cases).unwrap();
    folder
}

fn run(folder: &Path) -> trial::Report {
    trial::run(folder, || Duration::ZERO).unwrap()
}

#[test]
fn the_sets_that_come_with_hardtack_do_what_their_cases_say() {
    for set in ["people", "mcp-clients"] {
        let folder = Path::new("policies/issuance").join(set);
        let report = run(&folder);
        assert!(report.passes(), "{set}: {:?} {:?}", report.faults, report.unexpected().next());
        assert!(report.cases.len() >= 8);
        assert!(report.statements.iter().all(|statement| statement.decided), "{set}");
        trial::load_issuance(&folder).unwrap();
        let refused = Policy::load(&folder).unwrap_err();
        assert!(matches!(refused, PolicyError::OfIssuer { .. }));
    }
    let refused = trial::load_issuance("policies/payments").unwrap_err();
    assert!(matches!(refused, TrialError::Policy(PolicyError::OfCalls { .. })), "{refused}");
}

#[test]
fn a_case_that_gets_something_else_says_what() {
    assert!(run(folder(SET, CASES).path()).passes());
    for (from, to, expected) in [
        (r#"scopes = ["a:b"]"#, r#"scopes = ["a:c"]"#, "expected scopes a:c, found a:b"),
        ("seconds = 60", "seconds = 61", "expected seconds 61, found 60"),
        ("depth = 1", "depth = 2", "expected depth 2, found 1"),
        ("facts = []", "facts = ['r(1)']", "expected facts [r(1)], found []"),
        ("asks_consent = true", "asks_consent = false", "expected asks_consent false, found true"),
        (
            "\"audience_not_offered\"",
            "\"not_offered\"",
            "expected not_offered, found audience_not_offered",
        ),
        (
            "expect = \"issue\"",
            "expect = \"issue\"\nexpect_at = \"other\"",
            "at set.issuance.datalog:1",
        ),
        ("claims = { sub = \"bob\" }", "claims = {}", "found malformed_case"),
        (
            "claims = { sub = \"bob\" }",
            "way = \"post\"\nclaims = { sub = \"bob\" }",
            "found malformed_case",
        ),
    ] {
        assert!(CASES.contains(from), "{from}");
        let folder = folder(SET, &CASES.replacen(from, to, 1));
        let report = run(folder.path());
        let case = report.unexpected().next().unwrap_or_else(|| panic!("{to}"));
        assert!(case.difference().contains(expected), "{to}: {}", case.difference());
        assert!(!report.passes());
        let refused = trial::load_issuance(folder.path()).unwrap_err();
        assert_eq!(refused.cause(), Cause::CaseFailed, "{to}");
    }
}

#[test]
fn a_case_that_cannot_be_read_is_named() {
    for (from, to, expected) in [
        ("expect = \"issue\"", "expect = \"allow\"", "`expect` is \"issue\", or the cause"),
        ("issued = {", "isued = {", "isued"),
        (
            "[\"a.mcp\"]\nexpect = \"audience",
            "[\"a.mcp\"]\nissued = { scopes = [] }\nexpect = \"audience",
            "what is refused is not `issued`",
        ),
        (
            "issued = { scopes = [\"a:b\"], seconds = 60, depth = 1, facts = [], asks_consent = true }",
            "",
            "say what must be issued",
        ),
    ] {
        assert!(CASES.contains(from), "{from}");
        let folder = folder(SET, &CASES.replacen(from, to, 1));
        let error = trial::run(folder.path(), || Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains(expected), "{to}: {error}");
        assert_eq!(error.cause(), Cause::MalformedCase);
    }
}

#[test]
fn what_no_case_shows_is_a_fault() {
    let more = format!(
        "{SET}offer(\"a:c\", \"a.mcp\", 60, 1) <- claim(\"g\", \"x\");\ndeny if claim(\"g\", \"y\");\n"
    );
    let report = run(folder(&more, CASES).path());
    let lines: Vec<usize> = report
        .faults
        .iter()
        .map(|fault| match fault {
            Fault::NeverDecided { at, .. } => at.line,
            other => panic!("{other}"),
        })
        .collect();
    assert!(report.unexpected().next().is_some(), "a:c is issued, too");
    assert_eq!(lines, [4]);
    let report = run(folder(&more.replace("a:c", "b:c"), CASES).path());
    assert_eq!(report.faults.len(), 2);
    let report = run(folder(SET, "").path());
    assert!(matches!(report.faults.as_slice(), [Fault::NoCase { .. }]));
    let only_issued = CASES.split("\n\n").next().unwrap();
    let report = run(folder(SET, only_issued).path());
    assert!(matches!(report.faults.as_slice(), [Fault::NeverRefused { .. }]));
}
