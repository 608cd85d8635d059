//! A fork of a process that has a store open: what it copies has memory and locked files, and no threads.

#![cfg(unix)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fork::{Fork, fork, waitpid_nohang};
use hardtack::revocation::RevocationSource;
use hardtack::*;
use hardtack_testkit::*;

/// What a child does takes milliseconds; a minute is for a machine that is busy.
const TRIES: usize = 3000;

/// One test at a time: what another test's thread holds at the moment of a fork, nobody lets go of in it.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the threads of a test end, however the test does.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a part in a fork, and fails unless it ends well, and in time.
fn in_a_fork(part: impl FnOnce()) {
    match fork().unwrap() {
        Fork::Child => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(part));
            std::process::exit(if ended.is_ok() { 0 } else { 1 });
        }
        Fork::Parent(child) => {
            for _ in 0..TRIES {
                match waitpid_nohang(child).unwrap() {
                    Some(status) => return assert_eq!(status, 0, "the fork fails"),
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            }
            let _ = std::process::Command::new("kill").args(["-9", &child.to_string()]).status();
            panic!("the fork does not come to an end");
        }
    }
}

fn agent(number: u64) -> Revoking {
    let agent = format!("agent.{number}");
    Revoking::new(Revocation::Agent { agent }, "tests", "lost").unwrap()
}

/// A presentation that is good once.
fn single_use(cast: &Cast) -> Presentation {
    let presenting = Presenting::to(AUDIENCE).call(search());
    cast.researchers().present(presenting, &cast.researcher, NOW).unwrap()
}

fn refuses_everything(store: &Store, cast: &Cast) {
    let guard = cast.guard(store);
    for bearer in [single_use(cast), cast.presented()] {
        let denial = guard.check(bearer.bearer(), &search(), NOW).unwrap_err();
        assert!(matches!(denial, Denial::Undecided(_)), "{denial}");
    }
    let error = store.revoke(agent(1), NOW).unwrap_err().to_string();
    assert!(error.contains("open the store after the fork"), "{error}");
    assert!(store.revoke_all((0..100).map(agent).collect(), NOW).is_err());
    for error in [
        store.close().unwrap_err(),
        store.ready().unwrap_err(),
        store.checkpoint().unwrap_err(),
        store.collect(NOW).unwrap_err(),
        store.list_revocations().unwrap_err(),
        store.reader().verify().unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Forked { .. }), "{error}");
    }
    let chain = cast.researchers();
    let asked = store.revocations().revoked(chain.chain(), &cast.root.public());
    assert!(asked.is_err(), "it does not hear what is revoked");
}

#[test]
fn a_fork_accepts_revokes_and_writes_nothing() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let cast = Cast::new();
    let store = Store::create(&path).unwrap();
    let guard = cast.guard(&store);
    let buffered = store.clone().losing_at_most(100);
    let presented = single_use(&cast);
    for _ in 0..3 {
        in_a_fork(|| {
            let denial = guard.check(presented.bearer(), &search(), NOW).unwrap_err();
            assert!(denial.to_string().contains("open the store after the fork"), "{denial}");
            refuses_everything(&store, &cast);
            refuses_everything(&buffered, &cast);
            drop((store.clone(), buffered.clone()));
            // One of its own, it opens.
            let own = Store::create(path.with_extension(std::process::id().to_string())).unwrap();
            own.revoke(agent(1), NOW).unwrap();
            own.close().unwrap();
        });
    }
    assert_eq!(guard.check(presented.bearer(), &search(), NOW).unwrap().sequence(), Some(1));
    assert!(guard.check(presented.bearer(), &search(), NOW).is_err());
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })), "it is still locked");
    store.revoke(agent(7), NOW).unwrap();
    drop((guard, buffered, store));
    let store = Store::open(&path).unwrap();
    assert_eq!(store.reader().verify().unwrap().records, 3);
}

#[test]
fn a_fork_that_drops_the_last_handle_changes_nothing() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = Some(Store::create(&path).unwrap());
    store.as_ref().unwrap().revoke(agent(1), NOW).unwrap();
    let read = || {
        ["", ".journal", ".checkpoint"].map(|part| {
            let mut name = path.as_os_str().to_owned();
            name.push(part);
            std::fs::read(name).unwrap()
        })
    };
    store.as_ref().unwrap().checkpoint().unwrap();
    let before = read();
    in_a_fork(|| drop(store.take()));
    assert!(before == read());
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })), "it is still locked");
    store.unwrap().revoke(agent(2), NOW).unwrap();
    assert_eq!(StoreReader::open(&path).unwrap().verify().unwrap().records, 2);
}

#[test]
fn a_reader_is_of_its_process_too() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    store.revoke(agent(1), NOW).unwrap();
    let following = StoreReader::open(&path).unwrap();
    let refuses = |reader: StoreReader| {
        assert!(matches!(reader.revocations(), Err(StoreError::Forked { .. })));
        assert!(matches!(reader.verify(), Err(StoreError::Forked { .. })));
        assert!(matches!(reader.records(1).next(), Some(Err(StoreError::Forked { .. }))));
        drop(reader);
    };
    let mut one = Some(following);
    in_a_fork(|| refuses(one.take().unwrap()));
    assert_eq!(one.unwrap().revocations().unwrap().len(), 1);
    store.close().unwrap();
    let mut one = Some(StoreReader::open(&path).unwrap());
    in_a_fork(|| refuses(one.take().unwrap()));
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })), "a reader has it");
    drop(one);
    Store::open(&path).unwrap();
}

#[test]
fn a_store_in_memory_is_of_its_process_too() {
    let _turn = turn();
    let store = Store::in_memory().unwrap();
    let cast = Cast::new();
    in_a_fork(|| {
        refuses_everything(&store, &cast);
        drop(store.clone());
    });
    store.revoke(agent(1), NOW).unwrap();
}

#[test]
fn a_fork_in_the_middle_of_a_commit_waits_for_nobody() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let cast = Cast::new();
    let mut store = Some(Store::create(&path).unwrap());
    let (writer, stop) = (store.clone().unwrap(), AtomicBool::new(false));
    let made = std::thread::scope(|scope| {
        let threads = [0, 1].map(|thread| {
            let (writer, stop) = (&writer, &stop);
            scope.spawn(move || {
                let mut made = 0;
                while !stop.load(Ordering::Relaxed) {
                    writer.revoke(agent(made * 2 + thread), NOW).unwrap();
                    made += 1;
                }
                made
            })
        });
        let stopping = Stopping(&stop);
        for _ in 0..30 {
            in_a_fork(|| {
                refuses_everything(store.as_ref().unwrap(), &cast);
                drop(store.take());
            });
        }
        drop(stopping);
        threads.map(|thread| thread.join().unwrap()).iter().sum::<u64>()
    });
    drop((store, writer));
    assert_eq!(Store::open(&path).unwrap().reader().verify().unwrap().revocations, made);
}
