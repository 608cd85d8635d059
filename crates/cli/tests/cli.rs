//! The command's contract, driven from outside.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};

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
fn a_store_is_made_only_when_told_so() {
    let shell = Shell::new();
    let (root, capability) = shell.seed();
    let bearer = shell.ok("present --key researcher.key --audience notion.mcp", &capability);
    let before = fs::read_dir(shell.path()).unwrap().count();
    let gateway = format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9 --audience a --root {root} --store 'my store'"
    );
    for line in [
        "revoke --store 'my store' --agent agent.a --reason lost",
        "revoke --store 'my store' --agent agent.a --reason lost --dry-run",
        "revocations --store 'my store'",
        "audit --store 'my store'",
        "audit key --store 'my store'",
        "audit verify --store 'my store'",
        "audit prove 1 --store 'my store'",
        "store check 'my store'",
        "store backup 'my store' --to backup",
        "store collect 'my store'",
        &gateway,
    ] {
        let error = shell.fails(line, "");
        assert!(error.contains("hardtack store create 'my store'"), "{line}: {error}");
    }
    let (code, answer, _) = shell.check(&root, "--store 'my store'", &bearer);
    assert_eq!((code, &answer["decision"]), (2, &"undecided".into()));
    assert!(answer["message"].as_str().unwrap().contains("hardtack store create"), "{answer}");
    assert_eq!(fs::read_dir(shell.path()).unwrap().count(), before, "nothing was made");
    let error = shell.fails("revoke --store nowhere/store --agent agent.a --reason lost", "");
    assert!(error.contains("there is no folder nowhere"), "{error}");
    let error = shell.fails("store create nowhere/store", "");
    assert!(error.contains("there is no folder nowhere"), "{error}");

    let made = shell.ok("store create 'my store'", "");
    for part in ["my store", "my store.journal", "my store.checkpoint"] {
        assert!(made.lines().any(|line| line.trim() == part), "{part} in {made}");
        assert!(shell.path().join(part).exists());
    }
    assert!(made.contains(&shell.ok("audit key --store 'my store'", "")), "{made}");
    shell.ok("revoke --store 'my store' --agent agent.a --reason lost", "");
    let error = shell.fails("store create 'my store'", "");
    assert!(error.contains("my store is there already"), "{error}");
    assert!(shell.ok("revocations --store 'my store'", "").contains("agent.a"));
}

#[test]
fn a_store_that_has_lost_a_part_is_not_made_anew() {
    let shell = Shell::new();
    shell.ok("store create store", "");
    fs::rename(shell.path().join("store"), shell.path().join("away")).unwrap();
    for line in ["store create store", "revocations --store store", "store check store"] {
        assert!(shell.fails(line, "").contains("a store has lost its database"), "{line}");
    }
    fs::rename(shell.path().join("away"), shell.path().join("store")).unwrap();
    shell.ok("store check store", "");
    fs::remove_file(shell.path().join("store.checkpoint")).unwrap();
    assert!(shell.fails("store check store", "").contains("store.checkpoint is missing"));
    assert!(shell.fails("store create store", "").contains("store is there already"));
    fs::remove_file(shell.path().join("store.journal")).unwrap();
    assert!(shell.fails("store create store", "").contains("store is there already"));
    fs::remove_file(shell.path().join("store")).unwrap();
    shell.ok("store create store", "");
}

#[test]
fn what_is_no_name_is_not_revoked_in_a_store() {
    let shell = Shell::new();
    shell.ok("store create store", "");
    let error = shell.fails("revoke --store store --subject alice --reason 'lost'", "");
    assert!(error.contains("at least one `:`"), "{error}");
    let error = shell.fails("revoke --store store --id abc --reason 'lost'", "");
    assert!(error.contains("128 hexadecimal digits"), "{error}");
    fs::write(shell.path().join("empty"), "").unwrap();
    assert!(shell.fails("revocations --store empty", "").contains("not a Hardtack store"));
}

/// A store with an allowed call and a revocation.
fn used(shell: &Shell) -> String {
    let (root, capability) = shell.seed();
    let bearer = shell.ok("present --key researcher.key --audience notion.mcp", &capability);
    shell.ok("store create store", "");
    assert_eq!(shell.check(&root, "--store store", &bearer).0, 0);
    let dry = shell.ok("revoke --store store --agent agent.researcher --reason lost --dry-run", "");
    assert!(dry.contains("would stop 1 block of chains seen here, 1 live"), "{dry}");
    assert_eq!(shell.ok("revocations --store store", ""), "nothing is revoked");
    let revoke = "revoke --store store --agent agent.researcher --for-good";
    shell.ok(&format!("{revoke} --by alice --reason lost"), "");
    let again = shell.ok(&format!("{revoke} --reason again"), "");
    assert!(again.contains("revoked already"), "{again}");
    bearer
}

#[test]
fn a_revocation_shows_by_whom_and_whom_it_stopped() {
    let shell = Shell::new();
    used(&shell);
    let tree = shell.ok("revocations --store store --tree", "");
    assert!(tree.contains("user:alice") && tree.contains("live"), "{tree}");
    assert!(tree.contains("revoked by alice: lost (record 2)"), "{tree}");
    let tree: Value =
        serde_json::from_str(&shell.ok("revocations --store store --tree --json", "")).unwrap();
    assert_eq!(tree[1]["standing"], "revoked");
    let list: Value =
        serde_json::from_str(&shell.ok("revocations --store store --json", "")).unwrap();
    assert_eq!((&list[0]["by"], &list[0]["expires"]), (&"alice".into(), &Value::Null));
}

#[test]
fn many_ids_are_revoked_at_once_or_not_at_all() {
    let shell = Shell::new();
    shell.ok("store create store", "");
    let ids: Vec<String> = (0..10_000).map(|number| format!("{number:0128x}")).collect();
    let said =
        shell.ok("revoke --store store --ids - --reason 'list of another server'", &ids.join("\n"));
    assert!(said.starts_with("revoked: 10000 ids; 0 were revoked already"), "{said}");
    assert!(said.contains("nothing that this store has seen has one of these ids"), "{said}");
    fs::write(shell.path().join("ids"), format!("{}\nabc\n", ids[0])).unwrap();
    let error = shell.fails("revoke --store other --ids ids --reason x", "");
    assert!(error.contains("line 2: a revocation id is 128"), "{error}");
    assert!(!shell.path().join("other").exists());
}

#[test]
fn the_log_is_verified_and_proven_without_the_store() {
    let shell = Shell::new();
    used(&shell);
    let whole = shell.ok("audit verify --store store", "");
    assert!(whole.contains("unchanged 2 records"), "{whole}");
    let key = shell.ok("audit key --store store", "");
    let proof = shell.ok("audit prove 2 --store store", "");
    let records = shell.ok("audit --store store --json", "");
    fs::rename(shell.path().join("store.checkpoint"), shell.path().join("kept")).unwrap();
    fs::remove_file(shell.path().join("store")).unwrap();
    let proven = shell.ok(&format!("audit check-proof --key {key}"), &proof);
    assert!(proven.contains("proven record 2") && proven.contains("by alice: lost"), "{proven}");
    let other = key.replace("hardtack/", "hardtack/0");
    assert!(shell.fails(&format!("audit check-proof --key {other}"), &proof).contains("key"));

    fs::write(shell.path().join("records"), format!("{records}\n")).unwrap();
    let verify = format!("audit verify --records records --checkpoint kept --key {key}");
    shell.ok(&verify, "");
    fs::write(shell.path().join("records"), records.replace("lost", "last")).unwrap();
    assert!(shell.fails(&verify, "").contains("the first 2 records are not those"));
    fs::write(shell.path().join("records"), records.lines().next().unwrap()).unwrap();
    assert!(shell.fails(&verify, "").contains("the end was cut off"));
}

#[test]
fn records_can_be_filtered_and_exported() {
    let shell = Shell::new();
    used(&shell);
    let count = |filter: &str| {
        shell.ok(&format!("audit --store store --json {filter}"), "").lines().count()
    };
    assert_eq!(count(""), 2);
    assert_eq!(count("--verdict allow"), 1);
    assert_eq!(count("--verdict deny"), 0);
    assert_eq!(count("--agent agent.researcher"), 2);
    assert_eq!(count("--subject user:alice --operation tools:call:*"), 1);
    assert_eq!(count("--since 2120-01-01T00:00:00Z"), 0);
    assert!(
        shell.fails("audit --store store --verdict maybe", "").contains("allow, deny or undecided")
    );
    let event: Value =
        serde_json::from_str(shell.ok("audit --store store --ocsf", "").lines().next().unwrap())
            .unwrap();
    assert_eq!((&event["class_uid"], &event["action"]), (&6003.into(), &"Allowed".into()));
}

#[test]
fn follow_goes_on_while_another_process_writes() {
    use std::io::{BufRead, BufReader};
    let shell = Shell::new();
    let store = hardtack::Store::create(shell.path().join("store")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hardtack"))
        .args(["audit", "--store", "store", "--json", "--follow"])
        .current_dir(shell.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for number in 0..3 {
        let agent = format!("agent.{number}");
        let revocation = hardtack::Revocation::Agent { agent: agent.clone() };
        let revoking = hardtack::Revoking::new(revocation, "tests", "lost").unwrap();
        store.revoke(revoking, hardtack::Timestamp::from_unix_seconds(1_795_428_000)).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&agent), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_backup_is_restored_with_what_came_after_it() {
    let shell = Shell::new();
    used(&shell);
    shell.ok("store backup store --to backup", "");
    assert!(shell.fails("audit --store backup", "").contains("hardtack store restore"));
    shell.ok("revoke --store store --agent agent.other --reason lost", "");
    fs::write(shell.path().join("tail"), shell.ok("audit --store store --json", "")).unwrap();
    fs::remove_file(shell.path().join("store")).unwrap();
    fs::remove_file(shell.path().join("store.journal")).unwrap();
    let error = shell.fails("store restore backup --to store", "");
    assert!(error.contains("ends at record 2, and 3 were signed"), "{error}");
    let said = shell.ok("store restore backup --to store --tail tail", "");
    assert!(said.contains("2 records, and 1 replayed after them; 2 revocations"), "{said}");
    assert!(shell.ok("store check store", "").contains("epoch 2"));
    assert!(shell.ok("store collect store", "").contains("forgot 0 revocations"));
}

#[test]
fn a_damaged_store_is_refused_and_what_can_be_read_is_recovered() {
    let shell = Shell::new();
    used(&shell);
    let path = shell.path().join("store");
    let mut bytes = fs::read(&path).unwrap();
    let place = |bytes: &[u8], text: &[u8]| {
        bytes.windows(text.len()).position(|window| window == text).unwrap()
    };
    let at = place(&bytes, b"find the roadmap page");
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = shell.fails("store check store", "");
    assert!(error.contains("is damaged") && error.contains("hardtack store recover"), "{error}");
    assert!(shell.fails("revoke --store store --agent agent.x --reason x", "").contains("damaged"));
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was changed in it");
    let said = shell.run("store recover store --to new", "");
    // Where not everything could be read, it does not go on without the word.
    if !said.status.success() {
        assert!(text(&said.stderr).contains("--accept-loss"), "{}", text(&said.stderr));
        shell.ok("store recover store --to new --accept-loss", "");
    }
    shell.ok("store check new", "");
    let at = place(&bytes, b"accepted-by-expiry");
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = shell.fails("store recover store --to other --accept-loss", "");
    assert!(error.contains("nothing can be read any more"), "{error}");
    assert!(!error.contains("panicked"), "{error}");
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
        "keygen",
        "mint",
        "delegate",
        "present",
        "inspect",
        "check",
        "revoke",
        "revocations",
        "audit",
        "audit verify",
        "audit prove",
        "audit check-proof",
        "audit key",
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

/// The examples of the helps, run as they stand, in the order of a capability's life.
#[cfg(unix)]
#[test]
fn the_helps_examples_work() {
    let shell = Shell::new();
    let folder = Path::new(env!("CARGO_BIN_EXE_hardtack")).parent().unwrap();
    let mut script = "set -euo pipefail\n".to_owned();
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
        "audit",
    ] {
        let help = shell.ok(&format!("{verb} --help"), "");
        let (_, examples) = help.split_once("Example").unwrap();
        let lines =
            examples.lines().skip(1).take_while(|line| line.is_empty() || line.starts_with("  "));
        script.extend(lines.flat_map(|line| [line, "\n"]));
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    let output =
        bash.args(["-c", &script]).env("PATH", path).current_dir(shell.path()).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("allowed"), "{}", text(&output.stdout));
}
