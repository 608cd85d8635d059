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

const TOOLS: &str = r#"{"tools": [{"name": "push", "inputSchema": {"type": "object",
    "properties": {"branch": {"type": "string"}, "force": {"type": "boolean"}}}}]}"#;

/// A folder with a set that is clean, but for what a server has, and the server's tools.
fn with_tools(policy: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("set")).unwrap();
    fs::write(folder.path().join("set/a.datalog"), policy).unwrap();
    fs::write(folder.path().join("tools.json"), TOOLS).unwrap();
    folder
}

#[test]
fn with_the_servers_tools_more_is_found_in_words_and_in_json() {
    let folder = with_tools("allow if tool(\"pusch\"), granted($op);\n");
    assert_eq!(hardtack(folder.path(), &["set"]).status.code(), Some(0));
    for tools in ["tools.json", "notion.mcp=tools.json"] {
        let output = hardtack(folder.path(), &["set", "--tools", tools]);
        assert_eq!(output.status.code(), Some(1));
        let shown = text(&output.stdout);
        assert!(shown.contains("error[unknown-tool]: the server"), "{shown}");
        assert!(shown.contains("lists no tool `pusch`") && shown.contains("write \"push\""));
    }
    let output = hardtack(folder.path(), &["set", "--json", "--tools", "tools.json"]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&findings[0]["code"], &findings[0]["severity"]),
        (&"unknown-tool".into(), &"error".into())
    );
    assert_eq!((findings[0]["line"].as_u64(), findings[0]["column"].as_u64()), (Some(1), Some(15)));
}

#[test]
fn notes_alone_end_with_zero() {
    let folder = with_tools("allow if tool(\"push\"), granted($op), arg(\"branch\", \"dev\");\n");
    let asked = ["set", "--tools", "tools.json", "--open-arguments"];
    let output = hardtack(folder.path(), &asked);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains("note[open-argument]") && shown.contains("`push` has `force`"),
        "{shown}"
    );
    let output = hardtack(folder.path(), &[&asked[..], &["--json"]].concat());
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &findings[0]["severity"]), (Some(0), &"note".into()));
    // Without being asked, nothing of it is said; without tools, it cannot be.
    assert_eq!(
        text(&hardtack(folder.path(), &["set", "--tools", "tools.json", "--json"]).stdout),
        "[]\n"
    );
    assert_eq!(hardtack(folder.path(), &["set", "--open-arguments"]).status.code(), Some(2));
}

#[test]
fn what_is_no_list_of_tools_is_refused_with_its_name() {
    let folder = with_tools("allow if tool(\"push\"), granted($op);\n");
    let page = TOOLS.replacen('{', "{\"nextCursor\": \"2\", ", 1);
    fs::write(folder.path().join("page.json"), page).unwrap();
    fs::write(folder.path().join("none.json"), "{\"prompts\": []}").unwrap();
    fs::write(folder.path().join("token"), "secret-of-the-server").unwrap();
    for (tools, says) in [
        (vec!["--tools", "page.json"], "page.json: it is one page of several"),
        (vec!["--tools", "none.json"], "none.json: it is no list of tools"),
        (vec!["--tools", "none.json"], "or name the server's URL"),
        (vec!["--tools", "missing.json"], "missing.json"),
        (vec!["--tools", "b.mcp=missing.json"], "missing.json"),
        (vec!["--tools", " =tools.json"], "--tools"),
        (vec!["--tools", "http://127.0.0.1:9/mcp"], "cannot be listed"),
        (vec!["--tools", "tools.json", "--authorization-file", "token"], "is for one server"),
        (
            vec![
                "--tools",
                "http://127.0.0.1:9/mcp",
                "--tools",
                "http://127.0.0.1:8/mcp",
                "--authorization-file",
                "token",
            ],
            "is for one server",
        ),
        (
            vec!["--tools", "http://server.invalid/mcp", "--authorization-file", "token"],
            "--allow-plain-http server.invalid",
        ),
    ] {
        let output = hardtack(folder.path(), &[&["set"], &tools[..]].concat());
        let said = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(2), String::new()),
            "{said}"
        );
        assert!(said.contains(says) && !said.contains("secret-of"), "{tools:?}: {said}");
    }
}

#[test]
fn a_schema_that_is_too_deep_is_said_to_be_left_out() {
    let folder = with_tools("allow if tool(\"push\"), granted($op), arg(\"branch\", 5);\n");
    let deep = format!("{}5{}", "[".repeat(500), "]".repeat(500));
    let tools = format!(r#"[{{"name": "push", "inputSchema": {{"enum": {deep}}}}}]"#);
    fs::write(folder.path().join("tools.json"), tools).unwrap();
    let output = hardtack(folder.path(), &["set", "--tools", "tools.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).contains("the tools \"push\" are not looked at"),
        "{}",
        text(&output.stderr)
    );
}
