//! Records that were archived: listed, verified and proven with the store, wherever they are.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hardtack::{Revocation, Revoking, Store, Timestamp};
use hardtack_testkit::command::{Serving, until};

use super::Shell;

/// A store with ten decisions and a revocation, the last record of which is not in an archive.
fn archived(shell: &Shell) -> String {
    let (root, capability) = shell.seed();
    let bearer = shell.ok("present --key researcher.key --audience notion.mcp", &capability);
    shell.ok("store create store", "");
    for _ in 0..5 {
        assert_eq!(shell.check(&root, "--store store", &bearer).0, 0);
    }
    shell.ok("revoke --store store --agent agent.researcher --by alice --reason lost", "");
    for _ in 0..5 {
        assert_eq!(shell.check(&root, "--store store", &bearer).0, 1);
    }
    let records = shell.ok("audit --store store --json", "");
    assert_eq!(records.lines().count(), 11);
    let error = shell.fails("store archive store --before 2999-01-01 --to archives", "");
    assert!(error.contains("archives"), "{error}");
    fs::create_dir(shell.path().join("archives")).unwrap();
    let said = shell.ok("store archive store --before 2020-01-01 --to archives", "");
    assert!(said.contains("record 1, the first that is not archived, is of 20"), "{said}");
    let said = shell.ok("store archive store --before 2999-01-01 --to archives", "");
    assert!(said.contains("archived 10 records, up to record 10, to archives"), "{said}");
    let said = shell.ok("store archive store --before 2999-01-01 --to archives", "");
    assert!(said.contains("record 11 is the last one, which stays"), "{said}");
    records
}

#[test]
fn what_is_archived_is_listed_verified_and_proven_with_the_store() {
    let shell = Shell::new();
    let records = archived(&shell);
    assert_eq!(shell.ok("audit --store store --json", ""), records);
    assert_eq!(shell.ok("audit --store store --json --since 1h", ""), records);
    let denied = shell.ok("audit --store store --json --verdict deny --agent agent.researcher", "");
    assert_eq!(denied.lines().count(), 5);
    let last = shell.ok("audit --store store --json -n 7", "");
    assert_eq!(last.lines().collect::<Vec<_>>(), records.lines().skip(4).collect::<Vec<_>>());
    let since = shell.ok("audit --store store --json --since-record 4", "");
    assert_eq!(since.lines().collect::<Vec<_>>(), records.lines().skip(3).collect::<Vec<_>>());

    let verified = shell.ok("audit verify --store store", "");
    assert!(verified.contains("unchanged 11 records"), "{verified}");
    assert!(!verified.contains("not read"), "{verified}");
    fs::copy(shell.path().join("store.checkpoint"), shell.path().join("kept")).unwrap();
    let verified = shell.ok("audit verify --store store --checkpoint kept", "");
    assert!(verified.contains("unchanged 11 records"), "{verified}");
    let key = shell.ok("audit key --store store", "");
    for number in [1, 6, 10, 11] {
        let proof = shell.ok(&format!("audit prove {number} --store store"), "");
        let proven = shell.ok(&format!("audit check-proof --key {key}"), &proof);
        assert!(proven.contains(&format!("proven record {number}")), "{proven}");
    }
    let check = shell.ok("store check store", "");
    assert!(check.contains("archived     up to record 10"), "{check}");
    assert!(shell.ok("revocations --store store", "").contains("agent.researcher"));
}

#[test]
fn a_verb_that_needs_archives_says_so_and_others_do_without() {
    let shell = Shell::new();
    let records = archived(&shell);
    fs::rename(shell.path().join("archives"), shell.path().join("elsewhere")).unwrap();
    for line in
        ["audit --store store", "audit prove 1 --store store", "audit --store store -n 11 --json"]
    {
        let error = shell.fails(line, "");
        assert!(error.contains("--archives DIR"), "{line}: {error}");
    }
    let last = records.lines().last().unwrap();
    assert_eq!(shell.ok("audit --store store --json -n 1", ""), last);
    assert_eq!(shell.ok("audit --store store --json --since-record 11", ""), last);
    assert_eq!(shell.ok("audit --store store --json --since-record 12", ""), "");
    let verified = shell.ok("audit verify --store store", "");
    assert!(verified.contains("not read  records 1 to 10: they are archived"), "{verified}");
    assert!(verified.contains("unchanged records 11 to 11: "), "{verified}");
    fs::copy(shell.path().join("store.checkpoint"), shell.path().join("kept")).unwrap();
    let error = shell.fails("audit verify --store store --checkpoint kept", "");
    assert!(error.contains("--archives DIR"), "{error}");
    let elsewhere = "--store store --archives elsewhere";
    assert_eq!(shell.ok(&format!("audit {elsewhere} --json"), ""), records);
    let verified = shell.ok(&format!("audit verify {elsewhere}"), "");
    assert!(verified.contains("unchanged 11 records"), "{verified}");
    shell.ok(&format!("audit prove 1 {elsewhere}"), "");
}

/// Records that are left out are seen by nobody who reads the others.
#[test]
fn a_missing_archive_is_told_wherever_it_was() {
    let shell = Shell::new();
    let store = Store::create(shell.path().join("store")).unwrap();
    let moment = |number: u64| Timestamp::from_unix_seconds(1_795_428_000 + 3600 * number);
    for number in 1..=8 {
        let revocation = Revocation::Agent { agent: format!("agent.number-{number}") };
        store.revoke(Revoking::new(revocation, "alice", "lost").unwrap(), moment(number)).unwrap();
    }
    store.close().unwrap();
    fs::create_dir(shell.path().join("archives")).unwrap();
    for number in [3, 5, 6] {
        let line = format!("store archive store --before {} --to archives", moment(number));
        shell.ok(&line, "");
    }
    let records = shell.ok("audit --store store --json", "");
    assert_eq!(records.lines().count(), 8);
    let path = |first: u64, last: u64| {
        let name = format!("archives/records-{first:012}-{last:012}.jsonl.lz4");
        shell.path().join(name)
    };
    let without = |file: PathBuf, look: &dyn Fn()| {
        let kept = shell.path().join("kept");
        fs::rename(&file, &kept).unwrap();
        look();
        fs::rename(&kept, &file).unwrap();
    };
    without(path(5, 5), &|| {
        for line in [
            "audit --store store",
            "audit --store store --json --since-record 5",
            "audit --store store -n 7",
            "audit prove 5 --store store",
            "audit verify --store store",
        ] {
            let error = shell.fails(line, "");
            assert!(
                error.contains("the records from 5 to 5 are archived, and are not in"),
                "{line}: {error}"
            );
            assert!(error.contains("--since-record 6"), "{line}: {error}");
        }
        let later = shell.ok("audit --store store --json --since-record 6", "");
        assert_eq!(later.lines().collect::<Vec<_>>(), records.lines().skip(5).collect::<Vec<_>>());
    });
    without(path(3, 4), &|| {
        for line in
            ["audit --store store", "audit prove 3 --store store", "audit verify --store store"]
        {
            let error = shell.fails(line, "");
            assert!(
                error
                    .contains("begins with record 5, and the archive before it ends with record 2"),
                "{line}: {error}"
            );
        }
    });
    // Those who keep archives for a time delete the first.
    without(path(1, 2), &|| {
        let error = shell.fails("audit prove 1 --store store", "");
        assert!(error.contains("record 1 is archived, and its file is not in"), "{error}");
        let verified = shell.ok("audit verify --store store", "");
        assert!(verified.contains("not read  records 1 to 2: they are archived"), "{verified}");
        assert!(verified.contains("unchanged records 3 to 8: "), "{verified}");
        let listed = shell.ok("audit --store store --json", "");
        assert_eq!(listed.lines().count(), 6);
    });
    assert_eq!(shell.ok("audit --store store --json", ""), records);
}

#[test]
fn an_archive_that_was_changed_is_found() {
    let shell = Shell::new();
    archived(&shell);
    let file = fs::read_dir(shell.path().join("archives")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&file, bytes).unwrap();
    for line in ["audit verify --store store", "audit prove 1 --store store"] {
        let error = shell.fails(line, "");
        assert!(error.contains("error: archive ") && error.contains("archives"), "{line}: {error}");
    }
}

#[test]
fn a_retention_of_a_gateway_is_whole_or_refused() {
    let shell = Shell::new();
    let (root, _) = shell.seed();
    shell.ok("store create store", "");
    let gateway = format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9 --audience a --root {root} --store store"
    );
    for (more, told) in [
        ("--archive-after 30days", "archives: it is missing"),
        ("--archives archives", "archive-after: it is missing"),
        ("--archive-after 30days --archives archives", "archives: archives is no folder"),
        ("--archive-after soon --archives archives", "archive-after: "),
    ] {
        let error = shell.fails(&format!("{gateway} {more}"), "");
        assert!(error.contains(told), "{more}: {error}");
    }
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the gateway reads the clock, and so must its records"
)]
fn a_gateway_archives_what_is_older_than_its_period_and_serves_on() {
    let shell = Shell::new();
    let (root, _) = shell.seed();
    fs::create_dir(shell.path().join("archives")).unwrap();
    let store = Store::create(shell.path().join("store")).unwrap();
    let now = Timestamp::from(SystemTime::now());
    for (number, ago) in (0..20).map(|number| (number, 2 * 3600)).chain([(20, 60), (21, 30)]) {
        let revocation = Revocation::Agent { agent: format!("agent.number-{number}") };
        let revoking = Revoking::new(revocation, "alice", "lost").unwrap();
        store.revoke(revoking, now - Duration::from_secs(ago)).unwrap();
    }
    store.close().unwrap();
    let records = shell.ok("audit --store store --json", "");
    let gateway = format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9 --audience a --root {root} --store store --archive-after 1h --archives archives"
    );
    let gateway = Serving::start(shell.command(gateway.as_str()));
    let file = "archives/records-000000000001-000000000020.jsonl.lz4";
    until("records are archived", || shell.path().join(file).exists());
    assert_eq!(shell.ok("audit --store store --json", ""), records, "while it serves");
    assert!(gateway.ends());
    assert!(shell.ok("store check store", "").contains("archived     up to record 20"));
    assert_eq!(shell.ok("audit --store store --json", ""), records);
    let revocations = shell.ok("revocations --store store --json", "");
    assert_eq!(revocations.matches("agent.number-").count(), 22);
    assert!(shell.ok("audit verify --store store", "").contains("unchanged 22 records"));
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the gateway reads the clock, and so must its records"
)]
fn a_gateway_says_which_record_keeps_the_others_from_its_archives() {
    let shell = Shell::new();
    let (root, _) = shell.seed();
    fs::create_dir(shell.path().join("archives")).unwrap();
    let store = Store::create(shell.path().join("store")).unwrap();
    let now = Timestamp::from(SystemTime::now());
    let hour = Duration::from_secs(3600);
    let revoke = |number: u64, moment| {
        let revocation = Revocation::Agent { agent: format!("agent.number-{number}") };
        store.revoke(Revoking::new(revocation, "alice", "lost").unwrap(), moment).unwrap();
    };
    (1..=5).for_each(|number| revoke(number, now - 3 * hour));
    revoke(6, now + 2 * hour);
    revoke(7, now - 3 * hour);
    store.close().unwrap();
    let gateway = format!(
        "gateway --listen 127.0.0.1:0 --upstream http://127.0.0.1:9 --audience a --root {root} --store store --archive-after 1h --archives archives"
    );
    let gateway = Serving::start(shell.command(gateway.as_str()));
    until("the record is named", || {
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("nothing more is archived until"));
        line.is_some_and(|line| line.contains("record=6"))
    });
    assert!(gateway.ends());
    let file = "archives/records-000000000001-000000000005.jsonl.lz4";
    assert!(shell.path().join(file).exists());
}
