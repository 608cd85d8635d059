//! `hardtack policy test`, driven from outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const GOOD: &str = "[[case]]\nname = \"granted\"\nscopes = [\"x\"]\noperation = \"x\"\nexpect = \"allow\"\n\
                    [[case]]\nname = \"not granted\"\nscopes = [\"x\"]\noperation = \"y\"\nexpect = \"not_granted\"\n";

/// A folder with the sets `a` and `b`, and what is in their cases.
fn sets(a: &str, b: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (set, cases) in [("a", a), ("b", b)] {
        fs::create_dir_all(folder.path().join(set).join("cases")).unwrap();
        let policy = "// What is granted.\nallow if granted($op);\n";
        fs::write(folder.path().join(set).join("p.datalog"), policy).unwrap();
        fs::write(folder.path().join(set).join("cases/c.toml"), cases).unwrap();
    }
    folder
}

fn test(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    policy("test", folder, arguments)
}

fn policy(verb: &str, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_hardtack"))
        .args(["policy", verb])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn all_sets_of_a_folder_are_tried_and_each_has_its_line() {
    let folder = sets(GOOD, GOOD);
    let (code, said, complaint) = test(folder.path(), &["."]);
    assert_eq!((code, complaint.as_str()), (0, ""));
    let line = |set: &str| {
        format!("passed ./{set}: 2 cases, 2 as expected, 1 of 1 policies decided something, ")
    };
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with(&line("a")), "{said}");
    assert!(lines[1].starts_with(&line("b")) && lines[1].ends_with(" ms"), "{said}");
}

#[test]
fn what_fails_is_said_with_its_place_and_the_code_is_one() {
    let wrong = GOOD.replace("expect = \"not_granted\"", "expect = \"allow\"");
    let folder = sets(&wrong, GOOD);
    let (code, said, _) = test(folder.path(), &["."]);
    assert_eq!(code, 1);
    assert!(
        said.starts_with("failed not granted\n  expected allow, found not_granted\n"),
        "{said}"
    );
    assert!(said.contains("does not grant y; it grants x\n  ./a/cases/c.toml:6, by p.datalog\n"));
    assert!(said.contains("failed ./a: 2 cases, 1 as expected, "), "{said}");
    assert!(said.contains("passed ./b: "), "{said}");
    assert_eq!(test(folder.path(), &["b"]).0, 0);
}

#[test]
fn what_is_not_shown_fails_and_is_quoted() {
    let refused = GOOD.split_once("\n[[case]]").unwrap().1;
    let (code, said, _) = test(sets(&format!("[[case]]{refused}"), GOOD).path(), &["a"]);
    let fault = "not shown p.datalog:2 alone never allowed a call: without it, every case has the same cause; add a case that only it decides, or delete it\n  allow if granted($op);\n";
    assert_eq!(code, 1);
    assert!(said.starts_with(fault), "{said}");
    let (code, said, _) = test(sets("", GOOD).path(), &["a"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("not shown the set has no case; write some in a/cases"), "{said}");
}

#[test]
fn what_cannot_be_read_is_an_error_with_code_two() {
    let folder = sets("[[case]]\nname = \"x\"\nexpect = \"allow\"\ncolour = 1\n", GOOD);
    fs::create_dir(folder.path().join("empty")).unwrap();
    for (arguments, problem) in [
        (vec!["a"], "a: cases/c.toml:1: case \"x\": "),
        (vec!["empty"], "empty has no *.datalog file"),
        (vec!["nowhere"], "nowhere"),
        (vec!["b", "--junit", "nowhere/x.xml"], "nowhere/x.xml cannot be written"),
        (vec![], "DIR"),
    ] {
        let (code, said, complaint) = test(folder.path(), &arguments);
        assert_eq!((code, said.as_str()), (2, ""), "{arguments:?}");
        assert!(complaint.contains(problem), "{complaint}");
    }
}

#[test]
fn programs_get_json_and_junit() {
    let wrong =
        GOOD.replace("expect = \"not_granted\"", "expect = \"not_granted\"\nexpect_at = \"a < b\"");
    let folder = sets(&wrong, GOOD);
    let (code, said, _) = test(folder.path(), &[".", "--json", "--junit", "out.xml"]);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &answer["passes"]), (1, &false.into()));
    let case = &answer["sets"][0]["cases"][1];
    assert_eq!((&case["at"], &case["as_expected"]), (&"cases/c.toml:6".into(), &false.into()));
    assert_eq!(case["found"]["verdict"], "not_granted");
    assert_eq!(answer["sets"][1]["statements"][0]["decided"], true);
    let xml = fs::read_to_string(folder.path().join("out.xml")).unwrap();
    assert!(xml.contains("tests=\"4\" skipped=\"0\" failures=\"1\""), "{xml}");
    assert!(xml.contains("expected not_granted at a &lt; b, found not_granted"), "{xml}");
}

/// An agent's key that a policy names, and nobody here has the private one of.
const KEY: &str = "94ea46ff21c62812461fe59977cf26bd60cee62d2da812d715b1bdbec75f132a";

fn payments() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    let policy = format!(
        "payer(\"{KEY}\");\nallow if tool(\"pay\"), granted($op), agent_key($key), payer($key), role(\"clerk\"),\n    arg(\"amount\", $n), $n >= 1, $n <= 100;\n"
    );
    fs::write(folder.path().join("p.datalog"), policy).unwrap();
    let case = |name: &str, amount: i64| {
        format!(
            "[[case]]\nname = \"{name}\"\nscopes = [\"*\"]\nfacts = ['role(\"clerk\")']\nhops = [\"agent.payer\"]\noperation = \"tools:call:pay\"\narguments = {{ amount = {amount} }}\nexpect = \"allow\"\n"
        )
    };
    let cases = format!(
        "keys = {{ \"agent.payer\" = \"{KEY}\" }}\n{}{}",
        case("little", 1),
        case("much", 200)
    );
    fs::write(folder.path().join("cases/c.toml"), cases).unwrap();
    folder
}

#[test]
fn a_failing_case_is_explained_and_the_others_are_not() {
    let folder = payments();
    let (code, said, _) = test(folder.path(), &[".", "--explain"]);
    assert_eq!(code, 1);
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("    ")).collect();
    assert!(
        matches!(told[..], [cause, nearest, helps]
        if cause.starts_with("    denied ") && nearest.starts_with("    nearest p.datalog:")
            && helps.starts_with("    helps   call it with amount between 1 and 100")),
        "{said}"
    );
    let (code, said, _) = test(folder.path(), &[".", "--explain=full"]);
    assert_eq!(code, 1);
    let (before, explained) = said.split_once("what would have it allowed").unwrap();
    assert!(before.starts_with("failed much\n  expected allow, found nothing_allows\n"), "{said}");
    assert!(explained.contains("amount") && explained.contains("100"), "{said}");
    assert_eq!(said.matches("what would have it allowed").count(), 1, "{said}");
    assert!(!test(folder.path(), &["."]).1.contains("what would"));
    let (_, said, _) = test(folder.path(), &[".", "--explain", "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    let cases = &report["sets"][0]["cases"];
    assert!(cases[0].get("explanation").is_none() && cases[1]["explanation"]["steps"].is_array());
    // It speaks of the key that the policy names, and of none that a trial made.
    let keys = said.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64);
    assert!(keys.clone().count() > 0 && keys.clone().all(|key| key == KEY), "{said}");
}

#[test]
fn a_call_on_the_command_line_is_decided_and_explained_without_a_token() {
    let folder = payments();
    let call = |more: &[&str]| {
        let mut typed = vec![".", "--operation", "tools:call:pay", "--hop", "agent.payer"];
        typed.extend(more);
        policy("eval", folder.path(), &typed)
    };
    let key = format!("agent.payer={KEY}");
    let all = ["--fact", "role(\"clerk\")", "--key", &key, "--arg", "amount=50"];
    let (code, said, complaint) = call(&all);
    assert_eq!((code, complaint.as_str()), (0, ""), "{said}");
    assert!(said.starts_with("allowed by p.datalog:2\n"), "{said}");
    let (code, said, _) = call(&all[2..]);
    assert_eq!(code, 1);
    assert!(said.starts_with("denied no policy allows this call (nothing_allows)\n"), "{said}");
    assert!(said.contains("role(\"clerk\")"), "{said}");
    let (code, said, _) = call(&["--arg", "amount=50", "--arg", "amount=5", "--json"]);
    assert_eq!(code, 1);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["cause"], "inexact_call");
    for (more, problem) in [
        (vec!["--arg", "amount=x"], "amount is no JSON"),
        (vec!["--arg", "amount"], "NAME=JSON"),
        (vec!["--fact", "time(1)"], "the case cannot be built: the grant: `time` is reserved"),
        (vec!["--scope", "tools:call:*", "--hop", "no agent"], "the case cannot be built: hop 2"),
        (vec!["--key", "agent.payer"], "AGENT=KEY"),
        (vec!["--key", "agent.payer=AB"], "64 hexadecimal digits"),
    ] {
        let (code, said, complaint) = call(&more);
        assert_eq!((code, said.as_str()), (2, ""), "{more:?}");
        assert!(complaint.contains(problem), "{complaint}");
    }
}

#[test]
fn what_is_written_as_in_another_language_is_recognised_by_the_test_as_by_the_linter() {
    for (written, mend) in [
        ("$x.lower().starts_with(\"a\")", "no method `.lower()`"),
        ("not role(\"x\")", "deny if role(\"x\")"),
        ("not $x == 1", "write !($x == 1)"),
        ("$x < 99.5", "an argument 99.5 is the text \"99.5\""),
        ("1 < $x < 5", "write 1 < $x, $x < 5"),
        ("arg(\"x\") <= 5", "write arg(\"x\", $value), $value <= 5"),
        ("arg(\"y\", $y) <= 5", "write arg(\"y\", $y), $y <= 5"),
        ("$x.hour() < 5", "no method `.hour()`"),
        ("count($x) < 5", "no function `count()`"),
        ("$x == 'a'", "write \"a\""),
        ("$x in [\"a\"]", "write [\"a\"].contains($x)"),
        ("$x not in [\"a\"]", "].contains($x)"),
        ("time($t), $t < 2026-12-24T00:00:00", "write 2026-12-24T00:00:00Z"),
        ("time($t), $t < 24.12.2026", "write 2026-12-24T00:00:00Z"),
        ("$x.length > 5", "write .length(…)"),
        ("$x <> 1", "write `!=`"),
        ("$x matches \"a\"", "write $x.matches(\"a\")"),
        ("$x == 1 role(\"x\")", "`,` or `;` is missing before `role`"),
    ] {
        let folder = sets(GOOD, GOOD);
        let text = format!("allow if tool(\"a\"), granted($op), arg(\"x\", $x), {written};\n");
        fs::write(folder.path().join("a/p.datalog"), text).unwrap();
        let (code, _, complaint) = test(folder.path(), &["a"]);
        assert_eq!(code, 2);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&complaint).contains(mend), "{written}: {complaint}");
        let (_, linted, _) = policy("lint", folder.path(), &["a"]);
        assert!(words(&linted).contains(mend), "{written}: {linted}");
    }
}
