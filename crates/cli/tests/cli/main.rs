//! The command's contract, driven from outside: keys, tokens, checks and help; what is kept is in `store`.

mod archiving;
mod store;

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use hardtack_testkit::command::{self, text};
use serde_json::Value;

/// A scratch folder in which the command runs.
struct Shell(command::Shell);

impl Deref for Shell {
    type Target = command::Shell;

    fn deref(&self) -> &command::Shell {
        &self.0
    }
}

impl Shell {
    fn new() -> Shell {
        Shell(command::Shell::new(env!("CARGO_BIN_EXE_hardtack")))
    }

    /// Demands success, and returns what was printed without its last line break.
    fn ok(&self, line: &str, input: &str) -> String {
        self.0.ok(line, input).trim().to_owned()
    }

    /// The seed chain: returns the root's public key and the researcher's capability.
    fn seed(&self) -> (String, String) {
        let root = self.ok("keygen --out root.key", "");
        let grant = self.ok(
            "mint --key root.key --subject user:alice --scope tools:call:* --audience notion.mcp --new-holder orchestrator.key",
            "",
        );
        let delegated = self.ok(
            "delegate --key orchestrator.key --to agent.researcher --scope tools:call:search --reason 'find the roadmap page' --new-holder researcher.key",
            &grant,
        );
        (root, delegated)
    }

    fn check(&self, root: &str, more: &str, bearer: &str) -> (i32, Value, String) {
        let line = format!(
            "check --root {root} --audience notion.mcp --operation tools:call:search --json {more}"
        );
        let output = self.run(&line, bearer);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), answer, text(&output.stderr))
    }
}

#[test]
fn the_life_of_a_capability() {
    let shell = Shell::new();
    let (root, capability) = shell.seed();
    let bearer = shell.ok("present --key researcher.key --audience notion.mcp", &capability);
    shell.ok("store create store", "");
    let (code, answer, _) = shell.check(&root, "--store store", &bearer);
    assert_eq!((code, &answer["decision"], &answer["cause"]), (0, &"allow".into(), &Value::Null));

    let inspected: Value = serde_json::from_str(&shell.ok("inspect --json", &bearer)).unwrap();
    assert_eq!(inspected["verified"], false);
    assert_eq!(inspected["grant"]["subject"], "user:alice");
    let hop = &inspected["hops"][0];
    assert_eq!(
        (&hop["delegator"], &hop["delegate"]),
        (&"user:alice".into(), &"agent.researcher".into())
    );
    assert_eq!(hop["audiences"], serde_json::json!(["notion.mcp"]));
    assert_eq!(inspected["presentation"]["audience"], "notion.mcp");
    for member in ["index", "scopes", "expires", "reason", "holder", "revocation_id"] {
        assert!(!hop[member].is_null(), "{member}");
    }

    let id = hop["revocation_id"].as_str().unwrap();
    shell.ok(&format!("revoke --store store --id {id} --reason 'laptop stolen'"), "");
    let (code, answer, _) = shell.check(&root, "--store store", &bearer);
    assert_eq!((code, &answer["cause"], &answer["hop"]), (1, &"revoked".into(), &1.into()));
    let revocations: Value =
        serde_json::from_str(&shell.ok("revocations --store store --json", "")).unwrap();
    assert_eq!(revocations[0]["id"], id);
    let records = shell.ok("audit --store store --json", "");
    let decisions: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = decisions.iter().map(|d| (&d["event"], &d["decision"])).collect();
    assert_eq!(
        told,
        [
            (&"decision".into(), &"allow".into()),
            (&"revocation".into(), &Value::Null),
            (&"decision".into(), &"deny".into())
        ]
    );
    for secret in [bearer.as_str(), &root, hop["holder"].as_str().unwrap()] {
        assert!(
            !records.contains(secret.trim_start_matches("ed25519/")),
            "a record holds a token or key"
        );
    }
}

#[test]
fn without_a_store_it_says_what_is_not_checked() {
    let shell = Shell::new();
    let (root, capability) = shell.seed();
    let bearer = shell.ok("present --key researcher.key --audience notion.mcp", &capability);
    let (code, _, warning) = shell.check(&root, "", &bearer);
    assert_eq!(code, 0);
    assert!(warning.contains("neither revocation nor replay is checked"), "{warning}");
}

#[test]
fn a_call_bound_bearer_is_good_once() {
    let shell = Shell::new();
    let (root, capability) = shell.seed();
    let call = r#"{"operation":"tools:call:search","resource":"https://notion.so/","arguments":{"query":"roadmap"}}"#;
    let bearer = shell.ok(
        &format!("present --key researcher.key --audience notion.mcp --call '{call}'"),
        &capability,
    );
    shell.ok("store create store", "");
    let exact = r#"--store store --resource https://notion.so/ --arg 'query="roadmap"'"#;
    let (code, answer, _) = shell.check(&root, "--store store", &bearer);
    assert_eq!((code, &answer["cause"]), (1, &"other_call".into()));
    assert_eq!(shell.check(&root, exact, &bearer).0, 0);
    let (code, answer, _) = shell.check(&root, exact, &bearer);
    assert_eq!((code, &answer["cause"]), (1, &"replayed".into()));
}

#[test]
fn denied_undecided_and_wrong_usage_differ_by_exit_code() {
    let shell = Shell::new();
    let (root, capability) = shell.seed();
    let bearer = shell.ok("present --key researcher.key --audience notion.mcp", &capability);
    assert_eq!(shell.check(&root, "", "garbage!").0, 1);
    assert_eq!(
        shell.check(&root, "--at 2020-01-01T00:00:00Z", &bearer).1["cause"],
        "not_yet_issued"
    );
    assert_eq!(shell.check(&root, "--at 2120-01-01T00:00:00Z", &bearer).1["cause"], "expired");
    for usage in [
        "--at noon",
        "--arg amount",
        "--arg amount=x",
        "--resource page",
        "--policies nowhere",
        "--unknown",
    ] {
        let (code, answer, error) = shell.check(&root, usage, &bearer);
        assert_eq!((code, answer), (2, Value::Null), "{usage}");
        assert!(error.contains("error:"), "{usage}: {error}");
    }
    assert!(
        shell
            .fails("check --root ed25519/ab --audience a --operation b", "")
            .contains("64 hexadecimal digits")
    );
    assert!(shell.fails("inspect", "").contains("no token on standard input"));
}

#[test]
fn a_store_that_cannot_be_opened_leaves_it_undecided() {
    let shell = Shell::new();
    let (root, capability) = shell.seed();
    let bearer = shell.ok("present --key researcher.key --audience notion.mcp", &capability);
    let held = hardtack::Store::create(shell.path().join("store")).unwrap();
    let (code, answer, _) = shell.check(&root, "--store store", &bearer);
    assert_eq!(
        (code, &answer["decision"], &answer["cause"]),
        (2, &"undecided".into(), &"store_unavailable".into())
    );
    assert!(answer["message"].as_str().unwrap().contains("in use by another process"));
    drop(held);
    assert_eq!(shell.check(&root, "--store store", &bearer).0, 0);
}

#[test]
fn several_roots_are_trusted_by_id_or_without() {
    let shell = Shell::new();
    let (old, _) = shell.seed();
    let new = shell.ok("keygen --out new.key", "");
    let grant = shell.ok("mint --key new.key --key-id 2 --subject user:bob --scope tools:call:* --new-holder bob.key", "");
    let bearer = shell.ok("present --key bob.key --audience notion.mcp", &grant);
    let code = |roots: &str| {
        let line = format!("check {roots} --audience notion.mcp --operation tools:call:search");
        shell.run(&line, &bearer).status.code().unwrap()
    };
    assert_eq!(code(&format!("--root {old} --root {new}")), 0);
    assert_eq!(code(&format!("--root 1={old} --root 2={new}")), 0);
    assert_eq!(code(&format!("--root {old} --root 3={new}")), 1);
    assert_eq!(code(&format!("--root {old}")), 1);
}

#[test]
fn what_widens_is_refused_and_leaves_no_key_behind() {
    let shell = Shell::new();
    let (_, capability) = shell.seed();
    let line = "delegate --key researcher.key --to agent.x --scope tools:call:* --reason more --new-holder x.key";
    let error = shell.fails(line, &capability);
    assert!(
        error.contains(
            "the scope tools:call:* is not covered by any scope of its parent: tools:call:search"
        ),
        "{error}"
    );
    assert!(!shell.path().join("x.key").exists());
    let error = shell.fails("present --key researcher.key --audience mail.mcp", &capability);
    assert!(error.contains("mail.mcp is not among the capability's: notion.mcp"), "{error}");
}

#[test]
fn keys_are_kept_private() {
    let shell = Shell::new();
    let (root, capability) = shell.seed();
    let error = shell.fails("keygen --out root.key", "");
    assert!(error.contains("root.key exists already"), "{error}");
    let error = shell.fails("present --key orchestrator.key --audience notion.mcp", &capability);
    assert!(error.contains("only by its holder ed25519/"), "{error}");
    let error = shell.fails("present --audience notion.mcp", &capability);
    assert!(error.contains("bound to its holder"), "{error}");
    shell.ok("keygen --pem --out pem.key", "");
    shell.ok("mint --key pem.key --subject user:alice --scope x --new-holder y.key", "");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let path = shell.path().join("root.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = shell.fails("mint --key root.key --subject user:alice --scope x", "");
        assert!(error.contains("chmod 600"), "{error}");
    }
    assert!(root.starts_with("ed25519/"));
}

#[test]
fn a_token_that_is_bound_to_nobody_needs_the_word() {
    let shell = Shell::new();
    let root = shell.ok("keygen --out root.key", "");
    let minted = shell.run("mint --key root.key --subject user:alice --scope tools:call:*", "");
    assert!(text(&minted.stderr).contains("bound to no holder"));
    let delegated = shell
        .ok("delegate --to agent.a --scope tools:call:search --reason x", &text(&minted.stdout));
    let bearer = shell.ok("present --audience notion.mcp", &delegated);
    assert_eq!(shell.check(&root, "", &bearer).1["cause"], "unbound");
    assert_eq!(shell.check(&root, "--accept-unbound-hops", &bearer).0, 0);
    let error = shell.fails("present --key root.key --audience notion.mcp", &delegated);
    assert!(error.contains("a key has no use here"), "{error}");
}

#[test]
fn times_are_written_as_people_write_them() {
    let shell = Shell::new();
    shell.ok("keygen --out root.key", "");
    let lives = |ttl: &str| {
        let grant =
            shell.ok(&format!("mint --key root.key --subject user:a --scope x --ttl '{ttl}'"), "");
        let grant: Value = serde_json::from_str(&shell.ok("inspect --json", &grant)).unwrap();
        let moment = |name: &str| {
            hardtack::Timestamp::parse(grant["grant"][name].as_str().unwrap()).unwrap()
        };
        moment("expires").since(moment("issued")).as_secs()
    };
    assert_eq!([lives("90s"), lives("15m"), lives("1h 30m")], [90, 900, 5400]);
    let error = shell.fails("mint --key root.key --subject user:a --scope x --ttl 25h", "");
    assert!(error.contains("1d 1h is longer than the 1d"), "{error}");
    let error = shell.fails("mint --key root.key --subject user:a --scope x --ttl soon", "");
    assert!(error.contains("90s, 15m or 1h 30m"), "{error}");
}

#[test]
fn a_pipe_gets_no_colour() {
    let shell = Shell::new();
    let (_, capability) = shell.seed();
    for output in [shell.ok("inspect", &capability), shell.ok("demo", "")] {
        assert!(!output.contains('\u{1b}'), "{output}");
    }
    assert!(shell.ok("inspect", &capability).contains("nothing of this is verified"));
}

#[test]
fn the_demo_shows_every_refusal() {
    let demo = Shell::new().ok("demo", "");
    let causes = [
        "not_granted",
        "wrong_audience",
        "expired",
        "replayed",
        "wrong_signer",
        "scope_wider",
        "revoked",
    ];
    for cause in causes {
        assert!(demo.contains(&format!("({cause})")), "{cause}");
    }
    assert!(demo.contains("user:alice → agent.assistant"));
}

#[test]
fn every_verbs_help_has_an_example_of_itself() {
    let shell = Shell::new();
    for verb in [
        "init",
        "doctor",
        "completions",
        "man",
        "keygen",
        "mint",
        "delegate",
        "present",
        "inspect",
        "check",
        "revoke",
        "revocations",
        "tree",
        "audit",
        "audit verify",
        "audit prove",
        "audit check-proof",
        "audit key",
        "database",
        "database roles",
        "database migrate",
        "database status",
        "database collect",
        "database epoch",
        "gateways",
        "store",
        "store create",
        "store check",
        "store backup",
        "store restore",
        "store recover",
        "store collect",
        "demo",
    ] {
        let help = shell.ok(&format!("{verb} --help"), "");
        let (_, examples) = help.split_once("Example").expect(verb);
        assert!(examples.contains(&format!("hardtack {verb}")), "{verb}");
    }
}

/// A revocation would stand in another place than somebody believes.
#[test]
fn a_database_of_the_environment_and_a_store_that_is_typed_are_not_chosen_between() {
    let shell = Shell::new();
    shell.ok("store create own.store", "");
    for line in [
        "revoke --store own.store --subject user:a --reason left",
        "revoke --at http://127.0.0.1:9 --audience a --key k --capability c --subject user:a --reason left",
        "revocations --store own.store",
    ] {
        let run = |variable: &str, more: &str| {
            let mut command = shell.command(&format!("{line} {more}"));
            let output = command.env(variable, "host=db user=a dbname=b").output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{line}");
            text(&output.stderr)
        };
        let said = run("HARDTACK_DATABASE", "");
        assert!(said.contains("the environment names a database (HARDTACK_DATABASE)"), "{said}");
        let said = run("NOBODY_READS_THIS", "--database x");
        assert!(!said.contains("environment") && said.contains("cannot be used with"), "{said}");
    }
    assert_eq!(shell.ok("revocations --store own.store --json", "").trim(), "[]");
}

/// The examples of the helps, run as they stand, in the order of a capability's life.
#[cfg(unix)]
#[test]
fn the_helps_examples_work() {
    let shell = Shell::new();
    let folder = Path::new(env!("CARGO_BIN_EXE_hardtack")).parent().unwrap();
    let mut script = "set -euo pipefail\n".to_owned();
    let mut shared = Vec::new();
    for verb in [
        "keygen",
        "mint",
        "delegate",
        "present",
        "inspect",
        "store",
        "check",
        "revoke",
        "revocations",
        "tree",
        "audit",
    ] {
        let help = shell.ok(&format!("{verb} --help"), "");
        let (_, examples) = help.split_once("Example").unwrap();
        let lines =
            examples.lines().skip(1).take_while(|line| line.is_empty() || line.starts_with("  "));
        let mut command = String::new();
        for line in lines {
            command.extend([line, "\n"]);
            if line.ends_with('\\') {
                continue;
            }
            let command = std::mem::take(&mut command);
            match command.contains(" --database ") {
                // There is no database here, so such a command comes as far as to its password.
                true => shared.push(command),
                false => script.push_str(&command),
            }
        }
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let run = |script: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-c", script]).env("PATH", &path).current_dir(shell.path()).output().unwrap()
    };
    let output = run(&script);
    assert!(output.status.success(), "{script}\n{}", text(&output.stderr));
    for command in &shared {
        let said = text(&run(command).stderr);
        assert!(
            said.contains("database-password-file: gateway.password: No such"),
            "{command}\n{said}"
        );
    }
    assert!(!shared.is_empty());
    assert!(text(&output.stdout).contains("allowed"), "{}", text(&output.stdout));
}
