//! What is kept: how a store is made, what it shows of revocations and decisions, and how it is brought back.

use std::fs;
use std::process::{Command, Stdio};

use hardtack_testkit::command::text;
use serde_json::Value;

use super::Shell;

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
        .args(["audit", "--store", "store", "--json", "--follow", "--last", "3"])
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
fn follow_begins_at_the_end_and_last_counts_back_from_it() {
    use std::io::{BufRead, BufReader};
    let shell = Shell::new();
    let store = hardtack::Store::create(shell.path().join("store")).unwrap();
    let revoke = |agent: &str| {
        let revocation = hardtack::Revocation::Agent { agent: agent.to_owned() };
        let revoking = hardtack::Revoking::new(revocation, "tests", "lost").unwrap();
        store.revoke(revoking, hardtack::Timestamp::from_unix_seconds(1_795_428_000)).unwrap();
    };
    (0..5).for_each(|number| revoke(&format!("agent.{number}")));
    let agents = |line: &str| {
        let listed = shell.ok(line, "");
        let agents = listed.lines().map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["agent"].as_str().unwrap().to_owned()
        });
        agents.collect::<Vec<_>>()
    };
    assert_eq!(agents("audit --store store --json -n 2"), ["agent.3", "agent.4"]);
    assert_eq!(agents("audit --store store --json --last 9").len(), 5);
    assert_eq!(agents("audit --store store --json --last 2 --agent agent.1"), ["agent.1"]);
    assert!(shell.fails("audit --store store --last 0", "").contains("--last"));

    let mut child = Command::new(env!("CARGO_BIN_EXE_hardtack"))
        .args(["audit", "--store", "store", "--json", "--follow"])
        .current_dir(shell.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Until it has begun, which nothing says, one is revoked again and again: of those from before, none is shown.
    let (sender, first) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        lines.map_while(Result::ok).take(1).for_each(|line| drop(sender.send(line)));
    });
    let mut shown = None;
    for number in 0..200 {
        revoke(&format!("agent.later-{number}"));
        if let Ok(line) = first.recv_timeout(std::time::Duration::from_millis(100)) {
            shown = Some(line);
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    let shown = shown.expect("nothing was shown");
    assert!(shown.contains("agent.later-"), "{shown}");
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
