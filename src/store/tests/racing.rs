//! Several that make or open one store at the same moment.

use std::sync::Barrier;

use crate::store::tests::{NOW, id, revoking};
use crate::store::{RecordLoss, Store, StoreError, restore};

/// Does the same on several threads at the same moment.
fn at_once<T: Send>(act: impl Fn() -> T + Sync) -> Vec<T> {
    const THREADS: usize = 4;
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| {
            scope.spawn(|| {
                barrier.wait();
                act()
            })
        });
        threads.map(|thread| thread.join().unwrap()).into_iter().collect()
    })
}

#[test]
fn of_several_that_make_a_store_one_does_and_the_others_hear_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("store-{round}"));
        let made = at_once(|| Store::create(&path));
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        for error in made.iter().filter_map(|made| made.as_ref().err()) {
            assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        }
        let store = made.into_iter().find_map(Result::ok).unwrap();
        store.revoke(revoking(round), NOW).unwrap();
        drop(store);
        assert!(Store::open(&path).unwrap().revocations().contains(&id(round)));
    }
}

#[test]
fn who_opens_a_store_in_the_making_finds_none_or_hears_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("store-{round}"));
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| {
                loop {
                    match Store::open(&path) {
                        Err(StoreError::NotThere { .. }) => {}
                        other => return other,
                    }
                }
            });
            let made = Store::create(&path).unwrap();
            let opened = opening.join().unwrap();
            assert!(matches!(opened, Err(StoreError::InUse { .. })), "{opened:?}");
            drop(made);
        });
        Store::open(&path).unwrap();
    }
}

#[test]
fn of_several_restorations_one_is_made_and_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::create(at("store")).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    store.backup(at("backup")).unwrap();
    let checkpoint = std::fs::read_to_string(at("store.checkpoint")).unwrap();
    for round in 0..5 {
        let to = at(&format!("new-{round}"));
        let made = at_once(|| {
            restore(at("backup"), &to, Vec::new(), Some(&checkpoint), RecordLoss::Refused, NOW)
        });
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
        assert!(!at(&format!("new-{round}.journal.old")).exists(), "of a store that is in use");
        assert!(Store::open(&to).unwrap().revocations().contains(&id(1)));
    }
}

#[test]
fn a_store_that_cannot_be_made_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::create_dir(folder.path().join("store.checkpoint.new")).unwrap();
    assert!(Store::create(&path).is_err());
    assert!(!path.exists() && !folder.path().join("store.journal").exists());
}
