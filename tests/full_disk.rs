//! A disk that is full, one that cannot be written, and a second process: on real file systems.
//!
//! A small memory file system is mounted in a mount namespace of the test's own. Where that is not allowed,
//! the tests say so and do nothing, unless `HARDTACK_DEMAND_MOUNT` is set, as it is in `.ci/run`.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use hardtack::store::Receipt;
use hardtack::{Revocation, Revoking, Store, StoreError, StoreReader, Timestamp};
use hardtack_testkit::small_disk::{fill, on_a_small_disk};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

fn revoking(number: u64) -> Revoking {
    let agent = format!("agent.{number}");
    Revoking::new(Revocation::Agent { agent }, "tests", "lost").unwrap()
}

fn is_in_force(store: &Store, number: u64) -> bool {
    let receipt = store.revoke(revoking(number), NOW).unwrap();
    matches!(receipt, Receipt::AlreadyRevoked { .. })
}

#[test]
fn a_full_disk_revokes_or_says_not_revoked_and_recovers_by_itself() {
    let Some(folder) =
        on_a_small_disk("a_full_disk_revokes_or_says_not_revoked_and_recovers_by_itself")
    else {
        return;
    };
    let store = Store::create(folder.join("store")).unwrap();
    store.revoke(revoking(0), NOW).unwrap();
    fill(&folder.join("filler"));
    // Some go into the space that the journal has reserved; then they are refused by name.
    let mut revoked = vec![0];
    let error = loop {
        let number = revoked.len() as u64;
        match store.revoke(revoking(number), NOW) {
            Ok(_) => revoked.push(number),
            Err(error) => break error,
        }
        assert!(number < 100_000, "the disk is not full");
    };
    assert!(matches!(error, StoreError::NotRevoked(_)), "{error}");
    assert!(revoked.len() > 100, "the journal's reserve holds some: {}", revoked.len());
    assert!(store.ready().is_err());
    assert_eq!(store.list_revocations().unwrap().len(), revoked.len());
    assert_eq!(store.reader().records(1).count(), revoked.len());

    fs::remove_file(folder.join("filler")).unwrap();
    let recovered = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        store.ready().is_ok()
    });
    assert!(recovered, "{:?}", store.ready());
    store.revoke(revoking(1_000_000), NOW).unwrap();
    drop(store);
    let store = Store::open(folder.join("store")).unwrap();
    assert!(revoked.iter().all(|number| is_in_force(&store, *number)));
    assert!(is_in_force(&store, 1_000_000));
    store.reader().verify().unwrap();
}

#[test]
fn a_store_is_not_made_on_a_disk_without_room_for_its_journal() {
    let Some(folder) =
        on_a_small_disk("a_store_is_not_made_on_a_disk_without_room_for_its_journal")
    else {
        return;
    };
    fill(&folder.join("filler"));
    let error = Store::create(folder.join("store")).unwrap_err();
    assert!(matches!(error, StoreError::File { .. } | StoreError::Engine(_)), "{error}");
    assert!(!folder.join("store").exists() && !folder.join("store.journal").exists());
    fs::remove_file(folder.join("filler")).unwrap();
    Store::create(folder.join("store")).unwrap();
}

#[test]
fn a_read_only_disk_can_be_looked_into_and_not_opened() {
    let Some(folder) = on_a_small_disk("a_read_only_disk_can_be_looked_into_and_not_opened") else {
        return;
    };
    let store = Store::create(folder.join("store")).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    drop(store);
    let remount = |options: &str| {
        let status = Command::new("mount").args(["-o", options]).arg(&folder).status();
        assert!(status.unwrap().success());
    };
    remount("remount,ro");
    let error = Store::open(folder.join("store")).unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
    let reader = StoreReader::open(folder.join("store")).unwrap();
    assert_eq!(reader.revocations().unwrap().len(), 1);
    assert_eq!(reader.verify().unwrap().records, 1);
    drop(reader);
    remount("remount,rw");
    assert!(is_in_force(&Store::open(folder.join("store")).unwrap(), 1));
}

#[test]
fn a_folder_that_cannot_be_written_takes_no_new_store() {
    let Some(folder) = on_a_small_disk("a_folder_that_cannot_be_written_takes_no_new_store") else {
        return;
    };
    let status = Command::new("mount").args(["-o", "remount,ro"]).arg(&folder).status();
    assert!(status.unwrap().success());
    let error = Store::create(folder.join("store")).unwrap_err();
    assert!(error.to_string().contains("store"), "{error}");
    assert!(matches!(error, StoreError::File { .. }), "{error}");
}

/// What was written of an archive would keep the disk full, under a name that no later one has.
#[test]
fn an_archive_for_which_there_is_no_room_leaves_nothing_behind() {
    let Some(folder) =
        on_a_small_disk("an_archive_for_which_there_is_no_room_leaves_nothing_behind")
    else {
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let store = Store::create(own.path().join("store")).unwrap();
    for number in 0..2_000 {
        store.revoke(revoking(number), NOW + Duration::from_secs(number)).unwrap();
    }
    let archives = folder.join("archives");
    fs::create_dir(&archives).unwrap();
    let names = || {
        let entries = fs::read_dir(&archives).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "archiving.lock").collect::<Vec<_>>()
    };
    fill(&folder.join("filler"));
    let later = NOW + Duration::from_secs(10_000);
    let error = store.archive(later, &archives).unwrap_err();
    assert!(matches!(error, StoreError::ArchiveFile { .. }), "{error}");
    assert_eq!(names(), Vec::<String>::new(), "the disk stays as full as it was");
    assert_eq!(store.reader().archived().unwrap(), None);
    fs::remove_file(folder.join("filler")).unwrap();
    assert_eq!(store.archive(later, &archives).unwrap().1, 1_999);
    assert_eq!(names(), ["records-000000000001-000000001999.jsonl.lz4"]);
}
