//! `hardtack revoke`, driven from outside: what it says that it stops, and in whose name.

use std::process::Output;

use hardtack::{Capability, RevocationId};
use hardtack_testkit::command::{Shell, fed, text};

/// A scratch folder with a root, a grant, a hop, and a store that has seen them.
struct Scene {
    shell: Shell,
    root: String,
    researchers: String,
}

impl Scene {
    fn new() -> Scene {
        let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
        let mut scene = Scene { shell, root: String::new(), researchers: String::new() };
        scene.root = scene.ok("keygen --out root.key", "");
        let grant = "mint --key root.key --subject user:alice --scope tools:call:* --new-holder orchestrator.key";
        let grant = scene.ok(grant, "");
        let hop = "delegate --key orchestrator.key --to agent.researcher --scope tools:call:search --reason find --new-holder researcher.key";
        scene.researchers = scene.ok(hop, &grant);
        scene.ok("store create store", "");
        scene
    }

    /// The researcher's bearer is used, and the store sees its chain.
    fn use_it(&self) -> Output {
        let bearer =
            self.ok("present --key researcher.key --audience notion.mcp", &self.researchers);
        let check = format!(
            "check --root {} --audience notion.mcp --operation tools:call:search --store store",
            self.root
        );
        self.run(&check, &bearer, Some("alice"))
    }

    fn run(&self, line: &str, input: &str, user: Option<&str>) -> Output {
        let mut command = self.shell.command(line);
        match user {
            Some(user) => command.env("USER", user),
            None => command.env_remove("USER"),
        };
        fed(&mut command, input)
    }

    fn ok(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input, Some("alice"));
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    fn fails(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input, Some("alice"));
        assert_eq!(output.status.code(), Some(2), "{line}");
        text(&output.stderr)
    }

    fn hop(&self) -> RevocationId {
        Capability::parse(&self.researchers).unwrap().chain().hops[0].revocation_id
    }
}

#[test]
fn a_name_that_nothing_has_is_revoked_and_the_answer_says_so() {
    let scene = Scene::new();
    assert!(scene.use_it().status.success());
    let other = scene.ok("keygen --out other.key", "");
    for (what, seen) in [
        ("--agent agnet.researcher", "is called so"),
        ("--agent agnet.researcher --for-good", "is called so"),
        ("--subject user:alcie", "is called so"),
        (&format!("--id {}", "7".repeat(128)), "has this id"),
        (&format!("--holder {other}"), "is bound to this key"),
    ] {
        let dry = scene.ok(&format!("revoke --store store {what} --reason lost --dry-run"), "");
        let none = format!("nothing that this store has seen {seen}");
        assert!(dry.contains(&none) && dry.contains("nothing was revoked"), "{what}: {dry}");
        let said = scene.ok(&format!("revoke --store store {what} --reason lost"), "");
        assert!(said.starts_with("revoked: ") && said.contains(&none), "{what}: {said}");
        assert!(said.contains("It is revoked all the same"), "{what}: {said}");
    }
    assert!(scene.use_it().status.success(), "nobody was meant");
}

#[test]
fn what_a_revocation_stops_is_counted_before_and_after() {
    let scene = Scene::new();
    assert!(scene.use_it().status.success());
    let dry = scene.ok("revoke --store store --subject user:alice --reason lost --dry-run", "");
    assert!(dry.contains("would stop 2 blocks of chains seen here, 2 live"), "{dry}");
    let said = scene.ok("revoke --store store --agent agent.researcher --reason lost", "");
    let counted = "stops 1 block of chains that this store has seen, 1 live";
    assert!(said.contains(counted), "{said}");
    let said = scene.ok("revoke --store store --subject user:alice --reason lost", "");
    assert!(said.contains("stops 2 blocks") && said.contains("1 live"), "{said}");
    assert_eq!(scene.use_it().status.code(), Some(1));
}

#[test]
fn a_name_may_be_used_again_under_a_later_grant_unless_it_is_banned_for_good() {
    let scene = Scene::new();
    scene.ok("revoke --store store --agent agent.researcher --reason lost", "");
    let list = scene.ok("revocations --store store --json", "");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["kind"], "agent_until_now");
    assert!(list[0]["expires"].is_string(), "it is forgotten like a subject's");
    let said = scene.ok("revoke --store store --agent agent.researcher --for-good --reason x", "");
    assert!(said.contains("can choose another name") && said.contains("--holder"), "{said}");
    let list = scene.ok("revocations --store store", "");
    assert!(list.contains("agent agent.researcher, up to this moment"), "{list}");
    assert!(list.contains("agent agent.researcher, for good"), "{list}");
    assert!(list.contains("kept for good"), "{list}");
    let error = scene.fails("revoke --store store --subject user:a --for-good --reason x", "");
    assert!(error.contains("--for-good"), "{error}");
}

#[test]
fn an_id_is_taken_by_its_beginning_as_it_is_shown_if_the_store_has_seen_it() {
    let scene = Scene::new();
    let id = scene.hop().to_string();
    let revoke = |id: &str| format!("revoke --store store --id {id} --reason lost");
    scene.ok("revoke --store store --agent agent.other --reason x", "");
    let error = scene.fails(&revoke(&id[..16]), "");
    assert!(error.contains("no grant or hop that this store has seen"), "{error}");
    assert!(scene.fails(&revoke(&id[..15]), "").contains("first 16 or more"));
    assert!(scene.use_it().status.success());
    // Wherever an id is shown, what is shown is enough.
    let shown = [
        scene.ok("revocations --store store --tree", ""),
        scene.ok("inspect", &scene.researchers),
        scene.ok("revoke --store store --agent agent.researcher --reason x --dry-run", ""),
    ];
    for shown in &shown {
        let word = shown.split_whitespace().find(|word| word.starts_with(&id[..16])).unwrap();
        let dry = scene.ok(&format!("{} --dry-run", revoke(word)), "");
        assert!(dry.contains(&format!("id {id}")) && dry.contains("1 live"), "{dry}");
    }
    let said = scene.ok(&revoke(&id[..16].to_uppercase()), "");
    assert!(said.starts_with(&format!("revoked: id {id}")), "{said}");
    assert_eq!(scene.use_it().status.code(), Some(1));
    // In records, too.
    let records = scene.ok("audit --store store", "");
    let word = records.split_whitespace().find(|word| word.starts_with(&id[..16])).unwrap();
    assert!(scene.ok(&revoke(word), "").contains("revoked already"));
    // A whole id needs not to have been seen.
    let unseen = "7".repeat(128);
    assert!(scene.ok(&revoke(&unseen), "").contains(&format!("revoked: id {unseen}")));
}

#[test]
fn whoever_logs_in_again_too_early_hears_until_when_to_wait() {
    let scene = Scene::new();
    assert!(scene.use_it().status.success());
    scene.ok("revoke --store store --subject user:alice --reason lost", "");
    let bearer = scene.ok("present --key researcher.key --audience notion.mcp", &scene.researchers);
    let check = format!(
        "check --root {} --audience notion.mcp --operation tools:call:search --store store --json",
        scene.root
    );
    let output = scene.run(&check, &bearer, Some("alice"));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["cause"], "revoked");
    let wait = answer["retry_after"].as_u64().unwrap();
    assert!((1..=61).contains(&wait), "{answer}");
    assert!(
        answer["message"].as_str().unwrap().contains("a grant that is issued after 2"),
        "{answer}"
    );
    // An answer to which waiting adds nothing has no such member.
    let other = check.replace("notion.mcp", "mail.mcp").replace("--store store ", "");
    let output = scene.run(&other, &bearer, Some("alice"));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["cause"], answer.get("retry_after")), (&"wrong_audience".into(), None));
    // How a session is ended is told apart from how an account is.
    let help = scene.ok("revoke --help", "");
    assert!(help.contains("a session of a subject    --id"), "{help}");
}

#[test]
fn no_ids_are_no_revocation() {
    let scene = Scene::new();
    for input in ["", "\n \n"] {
        let error = scene.fails("revoke --store store --ids - --reason lost", input);
        assert!(error.contains("there is no id in it, so nothing is revoked"), "{error}");
    }
    assert_eq!(scene.ok("revocations --store store", ""), "nothing is revoked");
}

#[test]
fn what_the_environment_calls_its_user_is_in_no_revocations_way() {
    let scene = Scene::new();
    let long = "a".repeat(257);
    let cases = [
        (None, "operator"),
        (Some("bob"), "bob"),
        (Some(""), "unknown (USER is empty)"),
        (Some(&*long), "unknown (USER is no name of 1 to 256 printable bytes)"),
        (Some("a\nb"), "unknown (USER is no name of 1 to 256 printable bytes)"),
    ];
    for (number, (user, by)) in cases.into_iter().enumerate() {
        let line =
            format!("revoke --store store --id {} --reason lost", number.to_string().repeat(128));
        let output = scene.run(&line, "", user);
        assert!(output.status.success(), "{user:?}: {}", text(&output.stderr));
        let list = scene.ok("revocations --store store", "");
        let last = list.lines().last().unwrap();
        assert!(last.contains(&format!("by {by}: lost")), "{user:?}: {last}");
    }
    let line = |by: &str, reason: &str| {
        format!("revoke --store store --agent a --by {by} --reason {reason}")
    };
    let error = scene.fails(&line(&long, "lost"), "");
    assert!(error.contains("in whose name") && !error.contains("a reason"), "{error}");
    let error = scene.fails(&line("bob", &long), "");
    assert!(error.contains("a reason is 1 to 256") && !error.contains("in whose name"), "{error}");
}
