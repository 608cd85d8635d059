//! What follows a backup, from an export: it is held against what the backup has, and against what was signed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::revocation::{Revocation, Revoking};
use crate::store::tests::{NOW, id, revoking};
use crate::store::{RecordLoss, Restored, Store, StoreError, restore};

struct Folder(tempfile::TempDir);

impl Folder {
    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn restore(&self, to: &str, tail: &[String], checkpoint: &str) -> Result<Restored, StoreError> {
        let tail = tail.to_vec();
        restore(self.at("backup"), self.at(to), tail, Some(checkpoint), RecordLoss::Refused, NOW)
    }
}

/// The records of a store, and its last checkpoint.
fn exported(store: &Store, path: &Path) -> (Vec<String>, String) {
    store.checkpoint().unwrap();
    let records = store.reader().records(1).map(|line| line.unwrap().json).collect();
    (records, std::fs::read_to_string(path.with_extension("checkpoint")).unwrap())
}

/// A store with a revocation, of which there is a backup, and another one since.
fn lost() -> (Folder, Vec<String>, String) {
    let folder = Folder(tempfile::tempdir().unwrap());
    let store = Store::create(folder.at("store")).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    store.backup(folder.at("backup")).unwrap();
    store.revoke(revoking(2), NOW).unwrap();
    let (tail, checkpoint) = exported(&store, &folder.at("store"));
    (folder, tail, checkpoint)
}

#[test]
fn a_record_that_the_backup_has_otherwise_is_refused() {
    let (folder, tail, checkpoint) = lost();
    let mut changed = tail.clone();
    changed[0] = tail[0].replace("lost", "list");
    assert_ne!(changed, tail);
    let error = folder.restore("new", &changed, &checkpoint).unwrap_err();
    let told = "record 1 of the export is not that of the backup";
    assert!(matches!(&error, StoreError::Restoring(why) if why.contains(told)), "{error}");
    assert!(!folder.at("new").exists());
    let spaced: Vec<String> =
        tail.iter().flat_map(|line| [format!("{line}\r\n"), "\n".to_owned()]).collect();
    let restored = folder.restore("new", &spaced, &checkpoint).unwrap();
    assert_eq!((restored.records, restored.replayed, restored.revocations), (1, 1, 2));
}

/// Otherwise two stores would sign with the same number, and nobody could tell which came later.
#[test]
fn each_restoration_has_a_later_epoch_than_all_that_is_known() {
    let (folder, tail, checkpoint) = lost();
    folder.restore("new", &tail, &checkpoint).unwrap();
    let new = Store::open(folder.at("new")).unwrap();
    let (tail, checkpoint) = exported(&new, &folder.at("new"));
    assert_eq!(new.checkpoint().unwrap().epoch(), 2);
    folder.restore("again", &tail, &checkpoint).unwrap();
    let again = Store::open(folder.at("again")).unwrap();
    assert_eq!(again.checkpoint().unwrap().epoch(), 3);
    for number in [1, 2] {
        assert!(again.revocations().contains(&id(number)), "{number}");
    }
}

#[test]
fn what_was_forgotten_and_signed_stays_forgotten() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let store = Store::create(folder.at("store")).unwrap();
    let agent = Revocation::AgentUntilNow { agent: "agent.researcher".to_owned() };
    store.revoke(Revoking::new(agent, "alice", "lost").unwrap(), NOW).unwrap();
    store.backup(folder.at("backup")).unwrap();
    let later = NOW + Duration::from_secs(3 * 24 * 3600);
    assert_eq!(store.collect_trusting_the_clock(later).unwrap().revocations, 1);
    let (tail, checkpoint) = exported(&store, &folder.at("store"));
    assert_eq!(tail.len(), 2, "the last record that is signed is what forgets");
    let restored = folder.restore("new", &tail, &checkpoint).unwrap();
    assert_eq!((restored.replayed, restored.revocations), (1, 0));
}
