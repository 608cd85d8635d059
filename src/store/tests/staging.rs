//! Restorations and backups that are cut off at each step.

use std::path::{Path, PathBuf};

use crate::store::opening::identity;
use crate::store::staging::Staging;
use crate::store::tests::{NOW, id, revoking};
use crate::store::{RecordLoss, Restored, Store, StoreError, StoreReader, restore};

/// A lost store at `back`: its journal, with a revocation that no checkpoint signs, and its checkpoint. At `backup` what was
/// backed up before.
struct Lost {
    folder: tempfile::TempDir,
    id: [u8; 16],
}

impl Lost {
    fn new() -> Lost {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let store = Store::create(at("store")).unwrap();
        store.revoke(revoking(1), NOW).unwrap();
        store.backup(at("backup")).unwrap();
        std::fs::copy(at("store.checkpoint"), at("back.checkpoint")).unwrap();
        store.revoke(revoking(2), NOW).unwrap();
        std::fs::copy(at("store.journal"), at("back.journal")).unwrap();
        let id =
            store.inner().engine.read(|reading| Ok(identity(reading, &at("store"))?.id)).unwrap();
        Lost { folder, id }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn restore(&self) -> Result<Restored, StoreError> {
        restore(self.at("backup"), self.at("back"), Vec::new(), None, RecordLoss::Refused, NOW)
    }

    fn staging(&self) -> Staging {
        Staging::beside(&self.at("back"), &self.id)
    }

    /// The parts of the restored store lie where they are made, and none was moved.
    fn stage(&self) {
        for part in [".journal", ".checkpoint"] {
            std::fs::copy(self.at(&format!("back{part}")), self.at(&format!("other{part}")))
                .unwrap();
        }
        let other = self.at("other");
        restore(self.at("backup"), &other, Vec::new(), None, RecordLoss::Refused, NOW).unwrap();
        let made = crate::store::site::Files::at(&other);
        for (from, to) in made.parts().into_iter().zip(self.staging().files().parts()) {
            std::fs::rename(from, to).unwrap();
        }
    }

    fn is_whole(&self, restored: &Restored) {
        assert_eq!((restored.records, restored.replayed, restored.revocations), (2, 0, 2));
        assert!(!restored.accepted_loss);
        let store = Store::open(self.at("back")).unwrap();
        assert!(store.revocations().contains(&id(1)) && store.revocations().contains(&id(2)));
        store.revoke(revoking(3), NOW).unwrap();
        assert_eq!(store.reader().verify().unwrap().revocations, 3);
        assert!(self.at("back.journal.old").exists(), "what the lost store had is kept");
        assert_eq!(staged_in(self.folder.path()), Vec::<PathBuf>::new());
    }
}

fn staged_in(folder: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found.filter(|path| path.to_string_lossy().contains(".staged-")).collect()
}

/// The journal is the only one that knows of the second revocation, until the restored store is there.
#[test]
fn a_restoration_that_is_cut_off_while_it_is_made_is_made_again() {
    let lost = Lost::new();
    for bytes in [0, 1000] {
        for part in lost.staging().files().parts() {
            std::fs::write(part, vec![7; bytes]).unwrap();
        }
    }
    assert!(matches!(Store::open(lost.at("back")), Err(StoreError::WithoutDatabase { .. })));
    lost.is_whole(&lost.restore().unwrap());

    let lost = Lost::new();
    lost.stage();
    lost.is_whole(&lost.restore().unwrap());

    // The old journal has its second name already.
    let lost = Lost::new();
    lost.stage();
    lost.staging().move_first(0).unwrap();
    assert!(lost.at("back.journal.old").exists() && lost.at("back.journal").exists());
    lost.is_whole(&lost.restore().unwrap());
}

#[test]
fn a_restoration_that_is_cut_off_while_it_is_moved_is_finished_by_the_next() {
    for parts in [1, 2] {
        let lost = Lost::new();
        lost.stage();
        lost.staging().move_first(parts).unwrap();
        let path = lost.at("back");
        let half = |error: StoreError| {
            assert!(matches!(error, StoreError::HalfRestored { .. }), "{error}");
            assert!(error.to_string().contains("hardtack store restore"), "{error}");
        };
        half(Store::open(&path).unwrap_err());
        half(Store::open_or_create(&path).unwrap_err());
        half(StoreReader::open(&path).err().unwrap());
        assert!(Store::create(&path).is_err());
        lost.is_whole(&lost.restore().unwrap());
        let again = lost.restore().unwrap_err();
        assert!(matches!(again, StoreError::File { .. }), "{again}");
    }
}

#[test]
fn what_lies_beside_a_store_that_is_there_is_not_moved_over_it() {
    let lost = Lost::new();
    lost.stage();
    let (store, path) = (Lost::new(), lost.at("back"));
    // Somebody else's store came to the place meanwhile.
    for part in ["", ".journal", ".checkpoint"] {
        std::fs::copy(store.at(&format!("store{part}")), lost.at(&format!("back{part}"))).unwrap();
    }
    assert!(lost.staging().move_in().is_err());
    assert!(lost.restore().is_err());
    let opened = Store::open(&path).unwrap();
    assert!(opened.revocations().contains(&id(2)));
    assert_eq!(opened.reader().verify().unwrap().revocations, 2);
}

#[test]
fn a_backup_that_is_cut_off_has_no_name_and_is_made_again() {
    let lost = Lost::new();
    let staging = Staging::beside(&lost.at("second"), &lost.id);
    for part in staging.files().parts() {
        std::fs::write(part, "half of it").unwrap();
    }
    let store = Store::open(lost.at("store")).unwrap();
    store.backup(lost.at("second")).unwrap();
    assert_eq!(staged_in(lost.folder.path()), Vec::<PathBuf>::new());
    let checkpoint = store.checkpoint().unwrap();
    let restored = restore(
        lost.at("second"),
        lost.at("third"),
        Vec::new(),
        Some(checkpoint.text()),
        RecordLoss::Refused,
        NOW,
    );
    assert_eq!(restored.unwrap().revocations, 2);
}

/// Whoever finds such parts by other ways than a kill loses nothing, either.
#[test]
fn a_journal_is_kept_before_another_one_takes_its_place() {
    let lost = Lost::new();
    lost.stage();
    lost.staging().move_first(1).unwrap();
    let journal = std::fs::read(lost.at("back.journal")).unwrap();
    std::fs::remove_file(lost.at("back.journal.old")).unwrap();
    lost.staging().move_in().unwrap();
    assert_eq!(std::fs::read(lost.at("back.journal.old")).unwrap(), journal);
}

/// Of what is taken away the checkpoint goes first: a checkpoint alone would look like a move.
#[test]
fn what_is_left_of_a_clearing_is_no_move() {
    let lost = Lost::new();
    lost.stage();
    let database = lost.staging().files().parts()[0].to_owned();
    // It cannot be removed, as if the process had been killed before.
    std::fs::remove_file(&database).unwrap();
    std::fs::create_dir(&database).unwrap();
    lost.staging().clear();
    for part in &lost.staging().files().parts()[1..] {
        assert!(!part.exists(), "{part:?}");
    }
    std::fs::remove_dir(&database).unwrap();
    assert!(!lost.staging().is_half_moved());
}

#[test]
fn nothing_is_restored_from_what_an_interrupted_restoration_made() {
    let lost = Lost::new();
    lost.stage();
    let from = lost.staging().files().parts()[0].to_owned();
    let error =
        restore(&from, lost.at("back"), Vec::new(), None, RecordLoss::Accepted, NOW).unwrap_err();
    assert!(error.to_string().contains("interrupted restoration"), "{error}");
    assert!(from.exists());
    lost.is_whole(&lost.restore().unwrap());
}
