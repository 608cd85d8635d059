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
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_hardtack"))
        .args(["policy", "test"])
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
    let fault = "not shown p.datalog:2 never allowed a call; add a case in which it does, or delete it\n  allow if granted($op);\n";
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
