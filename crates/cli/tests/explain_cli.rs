//! `check --explain`, `can` and `inspect`, typed as a person types them.

use std::fs;
use std::ops::Deref;
use std::process::Output;

use hardtack_testkit::command::{Shell, fed, text};
use hardtack_testkit::repository;
use serde_json::Value;

const POLICY: &str = r#"allow if tool("search"), granted($op);
allow if tool("pay"), granted($op), role("clerk"), arg("amount", $a), $a.type() == "integer", $a <= 500;
"#;

/// A scratch folder with a bearer of two hops: search and pay, amount at most 100.
struct Scene(Shell);

impl Deref for Scene {
    type Target = Shell;

    fn deref(&self) -> &Shell {
        &self.0
    }
}

impl Scene {
    fn set() -> Scene {
        let scene = Scene(Shell::new(env!("CARGO_BIN_EXE_hardtack")));
        let root = scene.ok("keygen --out root.key", "");
        fs::write(scene.path().join("root.pub"), root.trim()).unwrap();
        fs::create_dir(scene.path().join("set")).unwrap();
        fs::write(scene.path().join("set/p.datalog"), POLICY).unwrap();
        let mint =
            "mint --key root.key --subject user:alice --scope tools:call:* --new-holder a.key";
        let grant = scene.ok(mint, "");
        let mut hop = scene.command(
            "delegate --key a.key --to agent.a --scope tools:call:search tools:call:pay tools:call:export \
             --reason errands --new-holder b.key --allow",
        );
        hop.arg("amount? <= 100");
        let token = text(&fed(&mut hop, &grant).stdout);
        let bearer = scene.ok("present --key b.key --audience notion.mcp", &token);
        fs::write(scene.path().join("agent.token"), token).unwrap();
        fs::write(scene.path().join("bearer.token"), bearer).unwrap();
        scene
    }

    /// `check` or `can` of the bearer, under the set.
    fn asked(&self, line: &str) -> Output {
        let root = self.read("root.pub");
        let (verb, rest) = line.split_once(' ').unwrap();
        let line = format!("{verb} --root {root} --audience notion.mcp --policies set {rest}");
        fed(&mut self.command(&line), &self.read("bearer.token"))
    }
}

#[test]
fn a_denial_is_explained_with_who_demands_what_and_what_would_help() {
    let scene = Scene::set();
    let output = scene.asked("check --operation tools:call:pay --arg amount=250 --explain");
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    let [cause, nearest, helps] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
    assert!(cause.starts_with("denied ") && cause.ends_with(" (check_failed)"), "{shown}");
    assert_eq!(
        nearest,
        "nearest user:alice demands in the delegation to agent.a: amount? <= 100; amount is 250"
    );
    assert!(
        helps.starts_with(
            "helps   call it with amount? <= 100, for example amount=100; and have the issuer"
        ),
        "{shown}"
    );
    let output = scene.asked("check --operation tools:call:pay --arg amount=250 --explain=full");
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.starts_with("denied "), "{shown}");
    for line in [
        "x block 1: user:alice demands in the delegation to agent.a: amount? <= 100; amount is 250",
        "nearest is p.datalog:2",
        "call it with amount? <= 100, for example amount=100",
        "hardtack mint --fact 'role(\"clerk\")'",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let output = scene.asked("check --operation tools:call:pay --arg amount=250 --explain --json");
    assert_eq!(output.status.code(), Some(1));
    let explanation: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(explanation["cause"], "check_failed");
    assert_eq!(explanation["hop"], 1);
    assert_eq!(explanation["remedies"][0]["changes"][0]["example"], 100);
    let output = scene.asked("check --operation tools:call:search --explain");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout).lines().count(), 1, "{}", text(&output.stdout));
}

#[test]
fn an_explanation_for_a_ticket_has_no_value_of_an_argument() {
    let scene = Scene::set();
    for more in ["", "=full", " --json"] {
        let line = format!(
            "check --operation tools:call:pay --arg amount=987654321 --explain{more} --without-arguments"
        );
        let output = scene.asked(&line);
        assert_eq!(output.status.code(), Some(1));
        let shown = text(&output.stdout);
        assert!(shown.contains("amount? <= 100") && !shown.contains("987654321"), "{shown}");
    }
    let output = scene.asked("check --operation tools:call:pay --without-arguments");
    assert_eq!(output.status.code(), Some(2));
}

/// Runs what help or a page has, in a shell, at the root of the repository.
fn shell(line: &str) -> Output {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_hardtack")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    std::process::Command::new("sh")
        .args(["-c", line])
        .env("PATH", format!("{}:{path}", folder.display()))
        .current_dir(repository(""))
        .output()
        .unwrap()
}

#[test]
fn the_examples_of_policy_eval_are_allowed_as_they_stand() {
    let help = text(&shell("hardtack policy eval --help").stdout);
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let (examples, _) = examples.split_once("\n\n").unwrap();
    let output = shell(&format!("set -e\n{examples}"));
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert_eq!(shown.lines().filter(|line| line.starts_with("allowed by ")).count(), 2, "{shown}");
    let help = text(&shell("hardtack policy --help").stdout);
    let example = help.split("hardtack policy eval").nth(1).unwrap();
    let (example, _) = example.split_once("\n  hardtack ").unwrap();
    let output = shell(&format!("hardtack policy eval{example}"));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_page_shows_what_is_explained() {
    let page = fs::read_to_string(repository("docs/policies.md")).unwrap();
    let (_, rest) = page.split_once("<!-- explained -->\n```sh\n").unwrap();
    let (line, rest) = rest.split_once("```\n").unwrap();
    let (_, rest) = rest.split_once("```text\n").unwrap();
    let (said, _) = rest.split_once("```").unwrap();
    assert_eq!(text(&shell(line).stdout), said);
}

#[test]
fn a_decision_is_told_alike_whether_it_is_explained_or_not() {
    let scene = Scene::set();
    for (call, cause, place) in [
        ("tools:call:search", Value::Null, "p.datalog:1"),
        ("tools:call:export", "nothing_allows".into(), ""),
        ("tools:call:delete", "not_granted".into(), ""),
        ("tools:call:pay --arg amount=250", "check_failed".into(), "check "),
    ] {
        let told = |more: &str| -> Value {
            let output = scene.asked(&format!("check --operation {call} --json{more}"));
            serde_json::from_str(&text(&output.stdout)).unwrap()
        };
        let (short, explained) = (told(""), told(" --explain"));
        for member in ["decision", "cause", "hop", "place", "message"] {
            assert_eq!(short[member], explained[member], "{member} of {call}");
        }
        let found = short["place"].as_str().unwrap_or_default();
        assert_eq!(short["cause"], cause, "{call}");
        assert!(found.starts_with(place) && found.is_empty() == place.is_empty(), "{found}");
    }
}

#[test]
fn what_a_token_may_do_is_listed() {
    let scene = Scene::set();
    let operations =
        "# what agents ask for\ntools:call:search\ntools:call:pay\ntools:call:delete\n";
    fs::write(scene.path().join("operations"), operations).unwrap();
    let output = scene.asked("can --operations operations --json");
    assert_eq!(output.status.code(), Some(0));
    let rows: Vec<Value> = serde_json::from_str(&text(&output.stdout)).unwrap();
    let previews: Vec<&str> = rows.iter().map(|row| row["preview"].as_str().unwrap()).collect();
    // Nobody is a clerk here, and nothing grants deleting.
    assert_eq!(previews, ["depends", "denied", "denied"]);
    assert!(rows[1]["why"].as_str().unwrap().contains("role(\"clerk\")"), "{}", rows[1]);
    assert!(rows[2]["why"].as_str().unwrap().contains("(block 1) does not cover"), "{}", rows[2]);
    let shown = text(&scene.asked("can --operations operations").stdout);
    assert!(shown.contains("tools:call:delete  denied"), "{shown}");

    fs::write(scene.path().join("operations"), "tools:call:*\n").unwrap();
    let output = scene.asked("can --operations operations");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 1"), "{output:?}");
    let output = scene.asked("can --tools http://127.0.0.1:9/mcp");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be listed"), "{output:?}");
}

#[test]
fn what_a_hop_demands_is_shown() {
    let scene = Scene::set();
    let token = scene.read("agent.token");
    let shown = scene.ok("inspect", &token);
    assert!(shown.contains("if     amount? <= 100"), "{shown}");
    let shown: Value = serde_json::from_str(&scene.ok("inspect --json", &token)).unwrap();
    assert_eq!(shown["demands"][0]["block"], 1);
    assert_eq!(shown["demands"].as_array().unwrap().len(), 1);
}
