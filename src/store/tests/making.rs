//! A store that was begun and not finished, and what is not taken for one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::journal::{Journal, MakingMark};
use crate::store::site::{Files, Site};
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{Dice, NOW, id, record, revoking};
use crate::store::{RecordLoss, Store, StoreError, StoreReader, opening, restore};

/// What is in a folder: names and bytes, but those of the database, which whoever opens it may repair.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| match path.ends_with("store") {
            true => (path, Vec::new()),
            false => (path.clone(), std::fs::read(path).unwrap()),
        })
        .collect();
    files.sort();
    files
}

/// A site whose disk stops at an operation: whoever makes a store there is as good as killed.
#[derive(Debug)]
struct Killed {
    files: Files,
    steps: Arc<std::sync::atomic::AtomicU64>,
}

impl Killed {
    fn step(steps: &std::sync::atomic::AtomicU64) -> std::io::Result<()> {
        let left = std::sync::atomic::Ordering::SeqCst;
        let enough = steps.fetch_update(left, left, |steps| steps.checked_sub(1));
        enough.map(drop).map_err(|_| std::io::Error::other("killed"))
    }

    fn backend(&self, bytes: crate::store::site::Backend) -> crate::store::site::Backend {
        crate::store::site::Backend::new(Stepping { bytes, steps: Arc::clone(&self.steps) })
    }
}

#[derive(Debug)]
struct Stepping {
    bytes: crate::store::site::Backend,
    steps: Arc<std::sync::atomic::AtomicU64>,
}

impl redb::StorageBackend for Stepping {
    fn len(&self) -> std::io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        Killed::step(&self.steps)?;
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Killed::step(&self.steps)?;
        self.bytes.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        Killed::step(&self.steps)?;
        self.bytes.write(offset, data)
    }
}

impl Site for Killed {
    fn database(&self) -> std::io::Result<crate::store::site::Backend> {
        Ok(self.backend(self.files.database()?))
    }

    fn journal(&self) -> std::io::Result<crate::store::site::Backend> {
        Ok(self.backend(self.files.journal()?))
    }

    fn lay_database(&self, store: &[u8; 16], bytes: &[u8]) -> std::io::Result<()> {
        Killed::step(&self.steps)?;
        self.files.lay_database(store, bytes)
    }

    fn checkpoint(&self) -> std::io::Result<Option<String>> {
        self.files.checkpoint()
    }

    fn keep_checkpoint(&self, text: &str) -> std::io::Result<()> {
        Killed::step(&self.steps)?;
        self.files.keep_checkpoint(text)
    }

    fn path(&self) -> Option<&Path> {
        self.files.path()
    }
}

/// Begins a store and stops after so many steps. Says whether it was made.
fn begin(path: &Path, steps: u64) -> bool {
    let files = Files::at(path);
    files.make_journal().unwrap();
    let steps = Arc::new(steps.into());
    opening::make(Arc::new(Killed { files, steps })).is_ok()
}

/// Whether a new store is made there.
fn begin_anew(path: &Path) -> bool {
    Store::create(path).is_ok()
}

/// A store that lacks only the last step.
fn nearly_made(path: &Path) {
    let steps = (0..).take_while(|steps| {
        let made = begin(path, *steps);
        for part in ["", ".journal", ".checkpoint"] {
            let _ = std::fs::remove_file(beside(path, part));
        }
        !made
    });
    let steps = steps.count() as u64;
    assert!(!begin(path, steps - 2));
    assert!(beside(path, ".checkpoint").exists() && path.exists());
}

fn beside(path: &Path, part: &str) -> PathBuf {
    PathBuf::from(format!("{}{part}", path.display()))
}

#[test]
fn a_making_that_is_stopped_at_any_step_is_told_for_what_it_is_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut stopped = 0;
    for steps in 0.. {
        let path = folder.path().join(format!("store-{steps}"));
        if begin(&path, steps) {
            break;
        }
        stopped += 1;
        if Files::at(&path).mark().unwrap() == Some(MakingMark::Other) {
            // Only the last wait for the disk was missing: it is a store, of which nobody was told.
            assert!(!begin_anew(&path) && Store::open(&path).unwrap().reader().verify().is_ok());
            assert!(begin(&folder.path().join("last"), steps + 1), "it was the last step");
            break;
        }
        for error in [Store::open(&path).unwrap_err(), StoreReader::open(&path).unwrap_err()] {
            assert!(matches!(error, StoreError::Unfinished { .. }), "{steps}: {error}");
            assert!(error.to_string().contains("hardtack store create"), "{error}");
        }
        let store = Store::create(&path).unwrap_or_else(|error| panic!("{steps}: {error}"));
        store.revoke(revoking(1), NOW).unwrap();
        drop(store);
        assert!(Store::open(&path).unwrap().revocations().contains(&id(1)));
        assert!(Store::create(&path).is_err(), "it is a store now");
        let parts = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(parts, 3 * stopped, "three files each");
    }
    assert!(stopped > 8, "{stopped}");
}

#[test]
fn what_was_written_before_it_got_its_name_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    assert!(!begin(&path, 7), "the journal is there, and no database");
    let Some(MakingMark::Making(store)) = Files::at(&path).mark().unwrap() else {
        panic!("no mark")
    };
    let part = beside(&path, &format!(".making-{}", hex::encode(store)));
    std::fs::write(&part, "a part of a database").unwrap();
    let other = beside(&path, ".making-00000000000000000000000000000000");
    std::fs::write(&other, "somebody's").unwrap();
    drop(Store::create(&path).unwrap());
    assert!(!part.exists() && other.exists());
}

/// The journal's mark alone is no proof: somebody may have put it there.
#[test]
fn a_store_with_records_is_not_taken_for_an_unfinished_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    nearly_made(&path);
    let unfinished = std::fs::read(beside(&path, ".journal")).unwrap();
    drop(Store::create(&path).unwrap());
    // Of another id, and of its own.
    let mut own = unfinished.clone();
    own[18..34].copy_from_slice(&std::fs::read(beside(&path, ".journal")).unwrap()[18..34]);
    let store = Store::open(&path).unwrap();
    record(&store, 1).unwrap();
    drop(store);
    for journal in [&unfinished, &own, &Vec::new(), &vec![0; 512]] {
        std::fs::write(beside(&path, ".journal"), journal).unwrap();
        for without_checkpoint in [false, true] {
            let kept = std::fs::read(beside(&path, ".checkpoint")).unwrap();
            if without_checkpoint {
                std::fs::remove_file(beside(&path, ".checkpoint")).unwrap();
            }
            let before = content(folder.path());
            let error = Store::open(&path).unwrap_err();
            let refused =
                matches!(error, StoreError::Damaged { .. } | StoreError::Incomplete { .. });
            assert!(refused, "{error}");
            assert!(Store::create(&path).is_err());
            assert!(Store::open_or_create(&path).is_err());
            assert!(before == content(folder.path()), "nothing was changed");
            std::fs::write(beside(&path, ".checkpoint"), kept).unwrap();
        }
    }
}

#[test]
fn what_disagrees_with_the_mark_is_not_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let other = folder.path().join("other");
    drop(Store::create(&other).unwrap());
    type Change<'a> = &'a dyn Fn();
    let database = || {
        std::fs::copy(&other, &path).unwrap();
    };
    let checkpoint = || {
        std::fs::copy(beside(&other, ".checkpoint"), beside(&path, ".checkpoint")).unwrap();
    };
    let lost = || {
        std::fs::remove_file(&path).unwrap();
    };
    let long = || {
        let journal = std::fs::File::options().write(true).open(beside(&path, ".journal")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&journal, b"hardtack-journal-1", 0).unwrap();
        std::fs::remove_file(beside(&path, ".checkpoint")).unwrap();
    };
    let unreadable = || std::fs::write(&path, "no database").unwrap();
    let diary = || {
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(beside(&path, ".checkpoint")).unwrap();
        std::fs::write(beside(&path, ".journal"), "my diary").unwrap();
    };
    let only_database = || {
        database();
        std::fs::remove_file(beside(&path, ".checkpoint")).unwrap();
    };
    let changes: [(&str, Change); 7] = [
        ("a database of another id and no checkpoint", &only_database),
        ("a database of another id", &database),
        ("a checkpoint of another key", &checkpoint),
        ("a checkpoint and no database", &lost),
        ("a journal that was finished", &long),
        ("something else than a database", &unreadable),
        ("something else than a journal", &diary),
    ];
    for (what, change) in changes {
        nearly_made(&path);
        change();
        let before = content(folder.path());
        let error = Store::open(&path).unwrap_err();
        assert!(!matches!(error, StoreError::Unfinished { .. }), "{what}: {error}");
        assert!(Store::create(&path).is_err(), "{what}");
        assert!(before == content(folder.path()), "{what}: nothing was changed");
        for part in ["", ".journal", ".checkpoint"] {
            let _ = std::fs::remove_file(beside(&path, part));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_or_a_pipe_in_a_stores_place_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for part in ["", ".journal", ".checkpoint"] {
        let place = beside(&path, part);
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &place).unwrap();
        assert!(Store::create(&path).is_err(), "a link that leads nowhere at {part:?}");
        assert!(place.symlink_metadata().unwrap().is_symlink());
        std::fs::remove_file(&place).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&place).status().unwrap();
        assert!(made.success());
        assert!(Store::create(&path).is_err(), "a pipe at {part:?}");
        assert!(Store::open(&path).is_err() && StoreReader::open(&path).is_err());
        std::fs::remove_file(&place).unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn opening_or_making_makes_what_is_not_there_and_replaces_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::open_or_create(&path).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    assert!(matches!(Store::open_or_create(&path), Err(StoreError::InUse { .. })));
    drop(store);
    let store = Store::open_or_create(&path).unwrap();
    assert!(store.revocations().contains(&id(1)));
    drop(store);
    let nowhere = folder.path().join("no/store");
    for error in [
        Store::open_or_create(&nowhere).unwrap_err(),
        Store::open(&nowhere).unwrap_err(),
        Store::create(&nowhere).unwrap_err(),
        StoreReader::open(&nowhere).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NoFolder { .. }), "{error}");
    }
    std::fs::remove_file(beside(&path, ".checkpoint")).unwrap();
    let error = Store::open_or_create(&path).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = Store::open_or_create(&path).unwrap_err();
    assert!(matches!(error, StoreError::WithoutDatabase { .. }), "{error}");
    let begun = folder.path().join("begun");
    assert!(!begin(&begun, 3));
    Store::open_or_create(&begun).unwrap();
}

#[test]
fn of_several_that_open_or_make_one_makes_and_the_others_open_it() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let path = folder.path().join(format!("store-{round}"));
        std::thread::scope(|scope| {
            for number in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        match Store::open_or_create(path) {
                            Ok(store) => {
                                store.revoke(revoking(number), NOW).unwrap();
                                return;
                            }
                            Err(StoreError::InUse { .. }) => {
                                std::thread::sleep(std::time::Duration::from_millis(5));
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    panic!("it does not get its turn");
                });
            }
        });
        let store = Store::open(&path).unwrap();
        assert!((0..4).all(|number| store.revocations().contains(&id(number))));
    }
}

#[test]
fn a_making_that_loses_power_is_told_by_its_journal_until_it_is_done() {
    let mut dice = Dice(5);
    let whole = Disk::default();
    drop(opening::make(Arc::new(whole.clone())).unwrap());
    for point in 1..=whole.operations() {
        for _ in 0..20 {
            let disk = Disk::default();
            disk.set(Fault::PowerGoesAt(point));
            let made = opening::make(Arc::new(disk.clone())).is_ok();
            let found = disk.after_power_loss(&mut dice);
            let mark = Journal::mark(&found.journal().unwrap()).unwrap();
            let opened = opening::open(Arc::new(found.clone()));
            match mark {
                MakingMark::Other => assert!(opened.is_ok(), "{point}: {:?}", opened.err()),
                MakingMark::Blank | MakingMark::Making(_) => {
                    assert!(!made, "{point}: it was said to be made");
                    assert!(opened.is_err(), "{point}: it was not finished");
                }
            }
        }
    }
}

/// Nothing of what a restoration makes is taken for a store in the making.
#[test]
fn a_restored_store_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::create(at("store")).unwrap();
    store.backup(at("backup")).unwrap();
    drop(store);
    restore(at("backup"), at("new"), Vec::new(), None, RecordLoss::Accepted, NOW).unwrap();
    assert_eq!(Files::at(&at("new")).mark().unwrap(), Some(MakingMark::Other));
    assert!(Store::create(at("new")).is_err());
    Store::open(at("new")).unwrap();
}

#[cfg(unix)]
#[test]
fn a_checkpoint_is_not_written_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    std::os::unix::fs::symlink(&precious, beside(&path, ".checkpoint.new")).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    drop(store);
    Store::open(&path).unwrap();
}
