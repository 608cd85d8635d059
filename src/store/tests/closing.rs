//! A store that is closed while others have it.

use std::sync::Arc;

use crate::audit::Ledger;
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{NOW, decision, entry, id, record, revoking};
use crate::store::{Store, StoreError, opening};

#[test]
fn a_closed_store_is_folded_signed_and_free_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    let (clone, reader) = (store.clone().losing_at_most(100), store.reader());
    store.revoke(revoking(1), NOW).unwrap();
    // Answered before it is written.
    record(&clone, 1).unwrap();
    store.close().unwrap();
    store.close().unwrap();
    let checkpoint = std::fs::read_to_string(folder.path().join("store.checkpoint")).unwrap();
    assert_eq!(checkpoint.lines().nth(1), Some("2"));
    for store in [&store, &clone] {
        let error = store.revoke(revoking(2), NOW).unwrap_err();
        assert_eq!(error.to_string(), "not revoked: the store is closed");
        assert!(store.revoke_all((5..100).map(revoking).collect(), NOW).is_err());
        let error = store.record(entry(decision(NOW, 2), None)).unwrap_err();
        assert!(error.to_string().contains("the store is closed"), "{error}");
        assert!(matches!(store.ready(), Err(StoreError::Stopped)));
        assert!(store.checkpoint().is_err() && store.collect(NOW).is_err());
    }
    assert!(reader.verify().is_err());
    let (told, heard) = std::sync::mpsc::channel();
    clone.record_later(
        entry(decision(NOW, 3), None),
        Box::new(move |done| told.send(done).unwrap()),
    );
    assert!(heard.recv().unwrap().is_err());
    let again = Store::open(&path).unwrap();
    assert!(again.revocations().contains(&id(1)));
    assert_eq!(again.reader().verify().unwrap().records, 2);
    drop((store, clone, reader));
    again.revoke(revoking(2), NOW).unwrap();
}

#[test]
fn what_is_answered_while_a_store_is_closed_is_there() {
    for round in 0..20 {
        let disk = Disk::default();
        let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
        let answered: Vec<u64> = std::thread::scope(|scope| {
            let revoking_threads: Vec<_> = (0..4)
                .map(|thread| {
                    let store = &store;
                    scope.spawn(move || {
                        (thread..)
                            .step_by(4)
                            .take_while(|number| store.revoke(revoking(*number), NOW).is_ok())
                            .collect::<Vec<u64>>()
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(round));
            let closing = [(); 2].map(|()| scope.spawn(|| store.close()));
            for closing in closing {
                closing.join().unwrap().unwrap();
            }
            revoking_threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let again = Store::start(opening::open(Arc::new(disk)).unwrap()).unwrap();
        assert!(answered.iter().all(|number| again.revocations().contains(&id(*number))));
        assert_eq!(again.reader().verify().unwrap().revocations, answered.len() as u64);
    }
}

/// Whoever is told that a decision is recorded may close the store, on whatever thread it is told.
#[test]
fn whoever_is_told_may_close() {
    let store = Store::in_memory().unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    for number in 0..10 {
        let (closing, told) = (store.clone(), told.clone());
        let done = move |_| told.send(closing.close()).unwrap();
        store.record_later(entry(decision(NOW, number), None), Box::new(done));
    }
    for _ in 0..10 {
        let minute = std::time::Duration::from_secs(60);
        heard.recv_timeout(minute).unwrap().unwrap();
    }
}

#[test]
fn a_store_that_cannot_be_brought_up_to_date_says_so_and_loses_nothing() {
    let disk = Disk::default();
    let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
    disk.set(Fault::FullButForJournal);
    store.revoke(revoking(1), NOW).unwrap();
    assert!(store.close().is_err());
    assert!(store.revoke(revoking(2), NOW).is_err());
    disk.set(Fault::None);
    let again = Store::start(opening::open(Arc::new(disk)).unwrap()).unwrap();
    assert!(again.revocations().contains(&id(1)));
}
