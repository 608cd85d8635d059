//! kill -9 at random moments: every acknowledged revocation and record is there, in order, and the store
//! opens.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use hardtack::*;
use hardtack_testkit::*;

/// Set in the process that is killed: where its store is.
const STORE: &str = "HARDTACK_KILLED_STORE";

/// How often a process is killed.
fn times() -> u64 {
    std::env::var("HARDTACK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// Stores grow, and every kill has its opening.
const KILLS_PER_STORE: u64 = 50;

fn id(number: u64) -> RevocationId {
    let mut bytes = [7; 64];
    bytes[40..48].copy_from_slice(&number.to_le_bytes());
    RevocationId::from_bytes(bytes)
}

/// Not a test of its own: what the killed process does. Says on standard output what was acknowledged.
#[test]
#[allow(clippy::disallowed_methods, reason = "this process is a helper that writes")]
fn the_process_that_is_killed() {
    let Ok(path) = std::env::var(STORE) else { return };
    let store = Store::open(path).unwrap();
    let first = store.checkpoint().unwrap().size() * 1_000_000;
    let (cast, said) = (Cast::new(), std::sync::Mutex::new(std::io::stdout()));
    let guard = cast.guard(&store);
    let bearer = cast.presented();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (store, guard, bearer, said) = (&store, &guard, &bearer, &said);
            scope.spawn(move || {
                for number in (first + thread..).step_by(3) {
                    let line = if thread == 0 {
                        let permit = guard.check(bearer.bearer(), &search(), NOW).unwrap();
                        format!("record {}", permit.sequence().unwrap())
                    } else if number % 50 == 0 {
                        let many: Vec<_> = (0..100).map(|k| number + (k << 40)).collect();
                        let all = many.iter().map(|number| {
                            let revocation = Revocation::Id { id: id(*number) };
                            Revoking::new(revocation, "tests", "lost").unwrap()
                        });
                        store.revoke_all(all.collect(), NOW).unwrap();
                        format!("revoked {}", many[99])
                    } else {
                        let revocation = Revocation::Id { id: id(number) };
                        let revoking = Revoking::new(revocation, "tests", "lost").unwrap();
                        store.revoke(revoking, NOW).unwrap();
                        format!("revoked {number}")
                    };
                    let mut said = said.lock().unwrap();
                    // Nobody listens any more when the test is over.
                    if writeln!(said, "{line}").and_then(|()| said.flush()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn start(path: &std::path::Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    (child, said)
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().join("store");
    let (mut acknowledged, mut records) = (0, 0_u64);
    let mut revoked = Vec::new();
    for time in 0..times() {
        if time % KILLS_PER_STORE == 0 {
            path = folder.path().join(format!("store-{time}"));
            drop(Store::create(&path).unwrap());
            records = 0;
            revoked.clear();
        }
        let (mut child, said) = start(&path);
        let (tell, heard) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        // From the first acknowledgement on, at a moment that differs from run to run and time to time.
        let mut lines = Vec::new();
        while let Ok(line) = heard.recv_timeout(Duration::from_secs(60)) {
            lines.push(line);
            if lines.iter().any(|line| is_word(line)) {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(time * 7919 % 40_000));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        lines.extend(heard.try_iter());
        let mut last = 0;
        for line in lines.iter().filter(|line| is_word(line)) {
            let (word, number) = line.split_once(' ').unwrap();
            let number: u64 = number.parse().unwrap();
            match word {
                "record" => {
                    assert!(number > last, "{number} after {last}");
                    last = number;
                    records = records.max(number);
                }
                _ => revoked.push(number),
            }
            acknowledged += 1;
        }
        let store = Store::open(&path).unwrap_or_else(|error| panic!("kill {time}: {error}"));
        assert!(store.checkpoint().unwrap().size() >= records, "kill {time}: records are lost");
        for number in &revoked {
            assert!(store.revocations().contains(&id(*number)), "kill {time}: {number} is lost");
        }
        if time % 10 == 9 {
            store.reader().verify().unwrap();
        }
    }
    println!("{acknowledged} acknowledged in {} kills, none lost", times());
    assert!(acknowledged > times(), "something was acknowledged each time");
    Store::open(&path).unwrap().reader().verify().unwrap();
}

/// Whoever makes a store is killed at moments that lie closer together than its steps.
#[allow(clippy::disallowed_methods, reason = "how long a making takes, not what time it is")]
#[test]
fn a_store_whose_maker_was_killed_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |time: u64| folder.path().join(format!("store-{time}"));
    let command = |path: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
        command.args(["store", "create"]).arg(path);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    // How long a making takes here.
    let mut took = Duration::ZERO;
    for time in 0..3 {
        let began = std::time::Instant::now();
        assert!(command(&at(1_000_000 + time)).status().unwrap().success());
        took = began.elapsed();
    }
    let (mut unfinished, mut made) = (0, 0);
    for time in 0..times() {
        let path = at(time);
        kill(command(&path), &mut took, time);
        match Store::open(&path) {
            Ok(store) => {
                made += 1;
                assert_eq!(store.reader().verify().unwrap().records, 0);
            }
            Err(StoreError::NotThere { .. }) => {
                Store::create(&path).unwrap();
            }
            Err(StoreError::Unfinished { .. }) => {
                unfinished += 1;
                Store::create(&path).unwrap_or_else(|error| panic!("kill {time}: {error}"));
            }
            Err(error) => panic!("kill {time}: {error}"),
        }
        Store::open(&path).unwrap().reader().verify().unwrap();
    }
    println!("of {} makers that were killed {unfinished} left a part, {made} a store", times());
    assert!(unfinished > 0, "some are killed in the middle");
    let left = std::fs::read_dir(folder.path()).unwrap().count() as u64;
    assert_eq!(left, 3 * (times() + 3), "three files each, and nothing else");
}

/// Whoever restores or backs up is killed at moments that lie closer together than its steps. The lost store's journal
/// alone knows of its last revocation: nobody may lose it on the way.
#[allow(clippy::disallowed_methods, reason = "how long a restoration takes, not what time it is")]
#[test]
fn a_restoration_or_backup_that_was_killed_is_made_again_and_loses_nothing() {
    const REVOKED: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let revoking =
        |number| Revoking::new(Revocation::Id { id: id(number) }, "tests", "lost").unwrap();
    let store = Store::create(at("store")).unwrap();
    store.revoke_all((1..REVOKED).map(revoking).collect(), NOW).unwrap();
    store.backup(at("backup")).unwrap();
    std::fs::copy(at("store.checkpoint"), at("checkpoint")).unwrap();
    store.revoke(revoking(REVOKED), NOW).unwrap();
    std::fs::copy(at("store.journal"), at("journal")).unwrap();
    drop(store);
    let is_whole = |path: &std::path::Path, time: u64| {
        let store = Store::open(path).unwrap_or_else(|error| panic!("kill {time}: {error}"));
        assert!(store.revocations().contains(&id(REVOKED)), "kill {time}: the last is lost");
        assert_eq!(store.reader().verify().unwrap().revocations, REVOKED, "kill {time}");
    };
    let hardtack = |arguments: &[&std::path::Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
        command.arg("store").args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let timed = |command: &mut Command| {
        let began = std::time::Instant::now();
        assert!(command.status().unwrap().success());
        began.elapsed()
    };
    let (mut took, mut unfinished) = ([Duration::ZERO; 2], 0);
    // Each takes as long as four other kills.
    let kills = (times() / 4).max(2);
    for time in 0..kills {
        let lost = at(&format!("lost-{time}"));
        for part in ["journal", "checkpoint"] {
            std::fs::copy(at(part), lost.with_extension(part)).unwrap();
        }
        let (backup, restore, to) = (at("backup"), "restore".as_ref(), "--to".as_ref());
        let restore = || hardtack(&[restore, &backup, to, &lost]);
        let copy = at(&format!("copy-{time}"));
        let backup = || hardtack(&["backup".as_ref(), &at("store"), to, &copy]);
        if time == 0 {
            took = [timed(&mut restore()), timed(&mut backup())];
            is_whole(&lost, time);
            continue;
        }
        kill(restore(), &mut took[0], time);
        match Store::open(&lost) {
            Ok(_) => {}
            Err(StoreError::WithoutDatabase { .. } | StoreError::HalfRestored { .. }) => {
                unfinished += 1;
                assert!(restore().status().unwrap().success(), "kill {time}");
            }
            Err(error) => panic!("kill {time}: {error}"),
        }
        is_whole(&lost, time);

        kill(backup(), &mut took[1], time);
        if !copy.exists() {
            assert!(backup().status().unwrap().success(), "kill {time}");
        }
        let again = at(&format!("again-{time}"));
        let mut restore = hardtack(&["restore".as_ref(), &copy, to, &again]);
        restore.arg("--checkpoint").arg(at("store.checkpoint"));
        assert!(restore.status().unwrap().success(), "kill {time}");
        is_whole(&again, time);
    }
    println!("{unfinished} of {} restorations were killed before their end", kills - 1);
    assert!(unfinished > 0, "some are killed in the middle");
}

/// The records of a store and of its archives, in the order of their numbers, and how many of them are archived.
fn all_records(store: &Store, archives: &std::path::Path) -> (Vec<String>, u64) {
    let reader = store.reader();
    let archived = reader.archived().unwrap().map_or(0, |(last, _)| last);
    let everything = store::Sought::default();
    let before = reader.archived_among(archives, 1..archived + 1, &everything).unwrap();
    let lines = before.chain(reader.records(archived + 1)).map(|line| line.unwrap().json);
    (lines.collect(), archived)
}

/// Whoever archives is killed at any moment: each record is in the store or in an archive, whole, and none is in neither.
#[allow(clippy::disallowed_methods, reason = "how long an archiving takes, not what time it is")]
#[test]
fn an_archiving_that_was_killed_goes_on_and_loses_nothing() {
    const RECORDS: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let (cast, path) = (Cast::new(), folder.path().join("store"));
    let store = Store::create(&path).unwrap();
    let guard = cast.guard(&store.clone().losing_at_most(1000));
    let bearer = cast.presented();
    for number in 0..RECORDS {
        guard.check(bearer.bearer(), &search(), NOW + Duration::from_secs(number / 100)).unwrap();
        if number % 100 == 0 {
            let revocation = Revocation::Id { id: id(number) };
            store.revoke(Revoking::new(revocation, "tests", "lost").unwrap(), NOW).unwrap();
        }
    }
    drop(guard);
    store.close().unwrap();
    let (mut took, mut unfinished) = (Duration::from_millis(400), 0);
    for time in 0..(times() / 4).max(2) {
        let (copy, archives) = (folder.path().join("copy"), folder.path().join("archives"));
        let _ = std::fs::remove_dir_all(&archives);
        std::fs::create_dir(&archives).unwrap();
        for part in ["", ".journal", ".checkpoint"] {
            let name = |path: &std::path::Path| format!("{}{part}", path.display());
            std::fs::copy(name(&path), name(&copy)).unwrap();
        }
        let store = Store::open(&copy).unwrap();
        let (before, in_force) = (all_records(&store, &archives).0, store.list_revocations());
        store.close().unwrap();
        let archive = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
            command.args(["store", "archive", "--before", "2999-01-01"]);
            command.arg(&copy).arg("--to").arg(&archives);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        kill(archive(), &mut took, time);
        let store = Store::open(&copy).unwrap_or_else(|error| panic!("kill {time}: {error}"));
        let (after, archived) = all_records(&store, &archives);
        assert!(after == before, "kill {time}: the records are others");
        let files = std::fs::read_dir(&archives).unwrap().count();
        unfinished += u64::from(archived == 0 && files > 0);
        store.close().unwrap();
        assert!(archive().status().unwrap().success(), "kill {time}");
        let store = Store::open(&copy).unwrap();
        let (after, archived) = all_records(&store, &archives);
        assert!(after == before && archived > RECORDS, "kill {time}: the records are others");
        assert_eq!(store.list_revocations().unwrap(), in_force.unwrap(), "kill {time}");
        store.reader().verify_with(&archives).unwrap();
    }
    println!("{unfinished} archivings were killed between their file and their end");
}

/// Whoever takes a store of an earlier version over is killed at any moment: the store is the old one or the new one, and the next
/// opening goes on.
#[test]
fn a_takeover_that_was_killed_goes_on_and_loses_nothing() {
    let stored = |name: &str| {
        let path = repository("tests/stores/format-2").join(name);
        std::fs::read(path).unwrap()
    };
    let (folder, mut took) = (tempfile::tempdir().unwrap(), Duration::from_millis(300));
    let path = folder.path().join("store");
    let (mut old, mut unverified) = (0, 0);
    for time in 0..times() {
        for part in ["store", "store.journal", "store.checkpoint"] {
            let once = lz4_flex::block::decompress_size_prepended(&stored(&format!("{part}.lz4")));
            let bytes = lz4_flex::block::decompress_size_prepended(&once.unwrap()).unwrap();
            std::fs::write(folder.path().join(part), bytes).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardtack"));
        command.args(["revoke", "--agent", "agent.killed", "--reason", "lost", "--store"]);
        command.arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        kill(command, &mut took, time);
        let is_there = |name: &str| folder.path().join(name).exists();
        old += u64::from(is_there("store.taking-over"));
        unverified += u64::from(is_there("store.format-2") && !is_there("store.taking-over"));
        let store = Store::open(&path).unwrap_or_else(|error| panic!("kill {time}: {error}"));
        let revoked = store.list_revocations().unwrap().len() as u64;
        assert!(revoked == 4 || revoked == 5, "kill {time}: {revoked} revocations");
        let verified = store.reader().verify().unwrap();
        assert_eq!((verified.records, verified.revocations), (253 + revoked, revoked));
        store.close().unwrap();
        assert!(!is_there("store.taking-over") && !is_there("store.format-2"), "kill {time}");
    }
    println!("{old} were killed while they wrote, {unverified} before they had verified");
    assert!(old > 0, "some are killed in the middle");
}

/// Kills a command at some moment of the time that it takes. Where it has ended by then, it takes less than was thought: when
/// that was measured, the machine had more to do.
fn kill(mut command: Command, took: &mut Duration, time: u64) {
    let mut child = command.spawn().unwrap();
    std::thread::sleep(took.mul_f64((time * 7919 % 1000) as f64 / 900.0));
    child.kill().unwrap();
    if child.wait().unwrap().success() {
        *took = took.mul_f64(0.7);
    }
}

/// Whether it is a whole word of ours: the last line of a killed process may be half a one.
fn is_word(line: &str) -> bool {
    let word = line.strip_prefix("record ").or_else(|| line.strip_prefix("revoked "));
    word.is_some_and(|number| number.parse::<u64>().is_ok())
}
