//! A disk that takes nothing for a while.

use std::sync::Arc;

use crate::revocation::RevocationSource;
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{NOW, id, record, revoking};
use crate::store::{Store, StoreError, opening};

fn store(disk: &Disk) -> Store {
    Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap()
}

#[test]
fn what_cannot_be_written_is_not_revoked_and_reads_go_on() {
    let disk = Disk::default();
    let store = store(&disk);
    store.revoke(revoking(1), NOW).unwrap();
    store.checkpoint().unwrap();
    disk.set(Fault::Full);
    let error = store.revoke(revoking(2), NOW).unwrap_err();
    assert!(matches!(&error, StoreError::NotRevoked(_)), "{error}");
    assert!(error.to_string().starts_with("not revoked: "), "{error}");
    assert!(store.revoke_all((100..300).map(revoking).collect(), NOW).is_err());
    assert!(record(&store, 1).is_none());
    assert!(store.ready().is_err());
    assert!(store.revocations().contains(&id(1)));
    assert!(!store.revocations().contains(&id(2)));
    assert_eq!(store.list_revocations().unwrap().len(), 1);
    assert_eq!(store.reader().records(1).count(), 1);

    disk.set(Fault::None);
    wait_until_ready(&store);
    store.revoke(revoking(2), NOW).unwrap();
    assert_eq!(store.revoke(revoking(1), NOW).unwrap().sequence(), 1);
    assert_eq!(store.reader().verify().unwrap().records, 2);
}

#[test]
fn a_panic_of_the_engine_loses_nothing_that_was_acknowledged() {
    let disk = Disk::default();
    let store = store(&disk);
    store.revoke(revoking(1), NOW).unwrap();
    for bulk in [1, 100] {
        disk.set(Fault::Panics);
        let revoke = || store.revoke_all((200..200 + bulk).map(revoking).collect(), NOW);
        let revoked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(revoke));
        assert!(!matches!(revoked, Ok(Ok(_))), "nothing was revoked");
        disk.set(Fault::None);
        wait_until_ready(&store);
        store.revoke(revoking(1000 + bulk), NOW).unwrap();
    }
    store.reader().verify().unwrap();
    drop(store);
    let store = Store::start(opening::open(Arc::new(disk)).unwrap()).unwrap();
    assert!([1, 1001, 1100].iter().all(|number| store.revocations().contains(&id(*number))));
    store.reader().verify().unwrap();
}

/// It recovers within a second or two; a minute is for a machine that is busy.
pub(super) fn wait_until_ready(store: &Store) {
    for _ in 0..600 {
        if store.ready().is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it does not recover: {:?}", store.ready());
}

#[test]
fn a_closed_store_answers_nothing() {
    let store = store(&Disk::default());
    let revocations = store.revocations();
    let chain = crate::mint::Issuer::new(crate::keys::PrivateKey::generate());
    let grant = crate::mint::Grant::to("user:a").scope("*").unbound();
    let token = chain.mint(grant, NOW).unwrap();
    let root = chain.public();
    assert_eq!(revocations.revoked(token.chain(), &root), Ok(None));
    drop(store);
    assert!(revocations.revoked(token.chain(), &root).is_err());
}

#[test]
fn buffered_decisions_are_written_within_a_moment_and_revocations_first() {
    let disk = Disk::default();
    let store = store(&disk).losing_at_most(5);
    let before = disk.operations();
    for number in 0..5 {
        record(&store, number).unwrap();
    }
    assert_eq!(disk.operations(), before, "nothing was written yet");
    record(&store, 5).unwrap();
    assert!(disk.operations() > before, "the sixth may not wait");
    // A revocation brings everything before it to disk.
    store.revoke(revoking(1), NOW).unwrap();
    let mut dice = crate::store::tests::Dice(4);
    let left = disk.after_power_loss(&mut dice);
    let found = Store::start(opening::open(Arc::new(left)).unwrap()).unwrap();
    assert_eq!(found.reader().verify().unwrap().records, 7);
}
