//! `policy lint`: what it shows, in which form, and how it ends.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn hardtack(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
    command.args(["policy", "lint"]).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What looks like a secret is hidden in each text, and JSON's own signs stay.
#[test]
fn findings_in_json_can_be_read_whatever_a_policy_looks_for() {
    for (wanted, hides) in [
        ("Authorization: Basic", true),
        ("-----BEGIN PRIVATE KEY-----", true),
        ("http://a:b@c/?token=abc", true),
        ("plain", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("set")).unwrap();
        let policy =
            format!("allow if granted($o);\nallow if arg(\"h\", $t), $t.matches(\"{wanted}\");\n");
        fs::write(folder.path().join("set/a.datalog"), policy).unwrap();
        let output = hardtack(folder.path(), &["set", "--json"]);
        let shown = text(&output.stdout);
        let findings: serde_json::Value =
            serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
        let findings = findings.as_array().unwrap();
        assert!(findings.iter().all(|finding| finding["file"] == "set/a.datalog"), "{shown}");
        let mends: Vec<_> = findings.iter().map(|finding| finding["mend"].as_str()).collect();
        assert!(!mends.is_empty() && mends.iter().all(Option::is_some), "{shown}");
        assert_eq!(shown.contains("not shown"), hides, "{shown}");
    }
}

#[test]
fn the_command_shows_the_line_and_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("set")).unwrap();
    let policy = "// A set.\n\tallow if opration($op), granted($op);\n";
    fs::write(folder.path().join("set/a.datalog"), policy).unwrap();
    let output = hardtack(folder.path(), &["."]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    for part in [
        "error[unknown-predicate]: nothing asserts `opration`",
        "./set/a.datalog:2:11",
        "allow if opration($op), granted($op);",
        "^^^^^^^^",
        "write `operation`",
        "1 file, 1 policy or check, 1 finding",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let output = hardtack(folder.path(), &["set", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = &findings[0];
    assert_eq!(finding["code"], "unknown-predicate");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["file"], "set/a.datalog");
    assert_eq!((finding["line"].as_u64(), finding["column"].as_u64()), (Some(2), Some(11)));
    assert_eq!(finding["mend"], "write `operation`");
}

#[test]
fn the_command_knows_the_facts_of_a_sets_cases() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "allow if operation($op), granted($op), team(\"red\"), agent(\"agent.x\");";
    fs::write(folder.path().join("a.datalog"), policy).unwrap();
    assert!(text(&hardtack(folder.path(), &["."]).stdout).contains("2 findings"));
    fs::create_dir(folder.path().join("cases")).unwrap();
    let cases = "[[case]]\nname = \"x\"\nfacts = ['team(\"blue\")']\n";
    fs::write(folder.path().join("cases/a.toml"), cases).unwrap();
    assert!(text(&hardtack(folder.path(), &["."]).stdout).contains("1 finding"));
    let clean = hardtack(folder.path(), &["a.datalog", "--directory"]);
    assert_eq!(clean.status.code(), Some(0), "{}", text(&clean.stdout));
    assert!(text(&clean.stdout).contains("no finding"));
    assert_eq!(text(&hardtack(folder.path(), &[".", "--directory", "--json"]).stdout), "[]\n");
}

#[test]
fn what_cannot_be_read_is_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let output = hardtack(folder.path(), &["none"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    assert_eq!(hardtack(folder.path(), &[]).status.code(), Some(2));
    assert_eq!(hardtack(folder.path(), &["."]).status.code(), Some(1));
}

#[test]
fn a_hostile_file_does_not_write_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "allow if tool(\"a\u{1b}[31m\u{202e}\"), granted($op);";
    fs::write(folder.path().join("a.datalog"), policy).unwrap();
    let shown = text(&hardtack(folder.path(), &["."]).stdout);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
}
