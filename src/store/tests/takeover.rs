//! A store of an earlier version: read as it is, taken over whole, and never in between.
//!
//! `tests/stores/format-2` was made by the version before this one: a store that was killed with its last records in the journal, and a
//! backup of it; each file as an LZ4 block, twice. Beside it is what that version exported, signed and proved.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use redb::{Builder, ReadableDatabase, ReadableTable};

use crate::Class;
use crate::audit::{InclusionProof, LeafHash, LogKey};
use crate::store::rows::{Go, LOG, Log, Row, TEMPLATES};
use crate::store::schema::{FORMAT, FORMAT_BEFORE, META};
use crate::store::takeover::take_over_first;
use crate::store::tests::packing::chained;
use crate::store::tests::{NOW, id, record, repeated, revoking};
use crate::store::{RecordLoss, Sought, Store, StoreError, StoreReader, restore};

const PARTS: [&str; 3] = ["store", "store.checkpoint", "store.journal"];

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/format-2");
    std::fs::read(folder.join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap()
}

/// What the earlier version exported.
fn exported() -> String {
    let bytes = fixture("export.jsonl.lz4");
    let mut text = String::new();
    lz4_flex::frame::FrameDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    text
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(parts: &[&str]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for part in parts {
            let once = lz4_flex::block::decompress_size_prepended(&fixture(&format!("{part}.lz4")));
            let bytes = lz4_flex::block::decompress_size_prepended(&once.unwrap()).unwrap();
            std::fs::write(folder.at(part), bytes).unwrap();
        }
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is in the folder, by name.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(self.0.path()).unwrap().map(|file| file.unwrap());
        let name = |file: &std::fs::DirEntry| file.file_name().into_string().unwrap();
        files.map(|file| (name(&file), std::fs::read(file.path()).unwrap())).collect()
    }

    fn names(&self) -> Vec<String> {
        self.content().into_keys().collect()
    }

    fn format(&self) -> Vec<u8> {
        let database = Builder::new().create(self.at("store")).unwrap();
        let meta = database.begin_read().unwrap().open_table(META).unwrap();
        meta.get(FORMAT.0).unwrap().unwrap().value().to_vec()
    }

    fn edit(&self, edit: impl FnOnce(&redb::WriteTransaction)) {
        let database = Builder::new().create(self.at("store")).unwrap();
        let writing = database.begin_write().unwrap();
        edit(&writing);
        writing.commit().unwrap();
    }
}

/// Whether it has what the earlier version had.
fn has_everything(reader: &StoreReader) {
    let exported = exported();
    let lines: Vec<String> = reader.records(1).map(|line| line.unwrap().json).collect();
    assert!(lines.iter().map(String::as_str).eq(exported.lines()), "the export is another one");
    let in_force: Vec<u64> = reader.revocations().unwrap().iter().map(|r| r.sequence).collect();
    assert_eq!(in_force.len(), 4);
    assert_eq!(reader.log_key().unwrap().to_string(), text("key"));
    let sought = Sought { subject: Some("user:bob".to_owned()), ..Sought::default() };
    let lines: Vec<_> = reader.records_among(1..u64::MAX, &sought).map(Result::unwrap).collect();
    assert!(lines.iter().filter(|line| line.json.contains("user:bob")).count() > 100);
    let verified = reader.verify().unwrap();
    assert_eq!((verified.records, verified.revocations), (257, 4));
}

fn is_taken_over(folder: &Folder) {
    let store = Store::open(folder.at("store")).unwrap();
    has_everything(&store.reader());
    // What was signed is what it signs.
    assert_eq!(store.checkpoint().unwrap().text(), text("checkpoint"));
    for number in [3, 4] {
        assert!(store.revocations().contains(&id(number)), "{number}");
    }
    let key: LogKey = text("key").parse().unwrap();
    let (before, _) = InclusionProof::verify(&text("proof-7"), &key).unwrap();
    let proof = store.reader().prove(7).unwrap().to_string();
    assert_eq!(InclusionProof::verify(&proof, &key).unwrap().0, before);
    assert_eq!(folder.names(), PARTS, "nothing is left beside it");
    // It goes on.
    store.revoke(revoking(5), NOW).unwrap();
    assert_eq!(record(&store, 6), Some(259));
    store.close().unwrap();
    assert_eq!(folder.format(), FORMAT.1);
    let store = Store::open(folder.at("store")).unwrap();
    assert!(store.revocations().contains(&id(5)));
    assert_eq!(store.reader().verify().unwrap().records, 259);
}

#[test]
fn a_store_of_an_earlier_version_is_taken_over_with_all_that_it_has() {
    let folder = Folder::new(&PARTS);
    assert_eq!(folder.format(), FORMAT_BEFORE);
    is_taken_over(&folder);
}

#[test]
fn a_takeover_that_was_cut_off_anywhere_is_begun_again() {
    for steps in 0..=3 {
        let folder = Folder::new(&PARTS);
        let before = folder.content();
        match steps {
            // While the new database was written.
            0 => std::fs::write(folder.at("store.taking-over"), b"redb, half of it").unwrap(),
            steps => take_over_first(&folder.at("store"), steps).unwrap(),
        }
        if steps < 3 {
            let after = folder.content();
            assert!(before.iter().all(|(name, bytes)| after[name] == *bytes), "{steps} steps");
            has_everything(&StoreReader::open(folder.at("store")).unwrap());
        } else {
            assert!(folder.content()["store.format-2"] == before["store"]);
        }
        is_taken_over(&folder);
    }
}

#[test]
fn a_reader_changes_nothing_in_a_store_of_an_earlier_version() {
    let folder = Folder::new(&PARTS);
    let before = folder.content();
    let reader = StoreReader::open(folder.at("store")).unwrap();
    has_everything(&reader);
    drop(reader);
    assert!(folder.content() == before, "something was changed");
}

/// Records that are in the old journal alone are packed in memory.
#[test]
fn a_backup_of_a_store_of_an_earlier_version_can_be_restored() {
    let folder = Folder::new(&PARTS);
    StoreReader::open(folder.at("store")).unwrap().backup(folder.at("copy")).unwrap();
    let (copy, new) = (folder.at("copy"), folder.at("new"));
    let checkpoint = text("checkpoint");
    let none = Vec::new();
    let restored = restore(copy, &new, none, Some(&checkpoint), RecordLoss::Refused, NOW).unwrap();
    assert_eq!((restored.records, restored.revocations), (257, 4));
    let store = Store::open(new).unwrap();
    assert_eq!(store.reader().verify().unwrap().records, 258);
}

#[test]
fn a_backup_that_an_earlier_version_made_can_be_restored() {
    let folder = Folder::new(&["backup", "backup.checkpoint"]);
    let tail: Vec<String> = exported().lines().map(str::to_owned).collect();
    let (backup, new, checkpoint) = (folder.at("backup"), folder.at("new"), text("checkpoint"));
    let restored = restore(&backup, &new, tail, Some(&checkpoint), RecordLoss::Refused, NOW);
    let restored = restored.unwrap();
    assert_eq!((restored.records + restored.replayed, restored.revocations), (257, 4));
    let store = Store::open(&new).unwrap();
    assert!(store.revocations().contains(&id(4)));
    assert!(!store.reader().seen().unwrap().blocks.is_empty(), "the chains that it had seen");
    let error = Store::open(folder.at("backup")).unwrap_err();
    assert!(matches!(error, StoreError::Backup { .. }), "{error}");
}

#[test]
fn a_store_of_a_later_version_is_refused_and_the_error_says_what_to_do() {
    let folder = Folder::new(&PARTS);
    folder.edit(|writing| {
        let later = b"hardtack-store-12".as_slice();
        writing.open_table(META).unwrap().insert(FORMAT.0, later).unwrap();
    });
    let before = folder.content();
    let (store, new) = (folder.at("store"), folder.at("new"));
    let restored = restore(&store, new, Vec::new(), None, RecordLoss::Accepted, NOW);
    for error in [
        Store::open(&store).unwrap_err(),
        Store::open_or_create(&store).unwrap_err(),
        StoreReader::open(&store).unwrap_err(),
        restored.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Newer { format: 12, reads: 3, .. }), "{error}");
        assert_eq!(error.cause().class(), Class::Conflict);
        let told = "Use the version that wrote it, or a later one";
        assert!(error.to_string().contains(told), "{error}");
    }
    assert_eq!(folder.format(), b"hardtack-store-12");
    let after = folder.content();
    assert!(PARTS[1..].iter().all(|part| before[*part] == after[*part]));
    assert_eq!(folder.names(), PARTS);
    for foreign in [b"hardtack-store-".as_slice(), b"hardtack-store-2x", b"hardtack-store-1"] {
        folder.edit(|writing| {
            writing.open_table(META).unwrap().insert(FORMAT.0, foreign).unwrap();
        });
        let error = Store::open(&store).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }
}

#[test]
fn a_damaged_store_of_an_earlier_version_is_refused_as_it_is() {
    let folder = Folder::new(&PARTS);
    let mut bytes = folder.content()["store"].clone();
    // Some of these are on pages that are not in use any more.
    let places: Vec<usize> =
        (0..bytes.len() - 12).filter(|at| bytes[*at..].starts_with(b"user:alice\",")).collect();
    assert!(places.len() > 100);
    places.iter().for_each(|place| bytes[*place] ^= 1);
    std::fs::write(folder.at("store"), &bytes).unwrap();
    let before = folder.content();
    let error = Store::open(folder.at("store")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(folder.content() == before, "something was changed");
}

/// Somebody changed a record of the earlier version, its hash and the checksums of its pages. That version would have found it when
/// it verified.
#[test]
fn what_does_not_verify_after_the_takeover_is_refused_and_the_old_database_kept() {
    let folder = Folder::new(&PARTS);
    folder.edit(|writing| {
        let mut log = writing.open_table(LOG).unwrap();
        let row = log.get(20).unwrap().unwrap().value().to_vec();
        let json = String::from_utf8(row[1 + 32 * usize::from(row[0])..].to_vec()).unwrap();
        let json = json.replace("user:alice", "user:bobby");
        let mut changed = row[..1 + 32 * usize::from(row[0])].to_vec();
        changed[1..33].copy_from_slice(LeafHash::of(json.as_bytes()).as_bytes());
        changed.extend_from_slice(json.as_bytes());
        assert_ne!(changed, row);
        log.insert(20, changed.as_slice()).unwrap();
    });
    for _ in 0..2 {
        let error = Store::open(folder.at("store")).unwrap_err();
        assert!(error.to_string().contains("its database from before is"), "{error}");
        assert!(folder.names().contains(&"store.format-2".to_owned()));
    }
}

/// In more pieces than one, and with more groups of templates.
#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes, not what time it is")]
fn a_large_store_is_taken_over_in_pieces() {
    let records = repeated("HARDTACK_TAKEN_OVER", 3_000);
    let folder = Folder(tempfile::tempdir().unwrap());
    let store = Store::create(folder.at("store")).unwrap();
    chained(&store, 1..=records);
    let root = *store.checkpoint().unwrap().root();
    let reader = store.reader();
    let before = LeafHash::of(reader.records(records).next().unwrap().unwrap().json.as_bytes());
    drop(reader);
    store.close().unwrap();
    // As the earlier version would have it.
    let database = Builder::new().set_cache_size(16 << 20).create(folder.at("store")).unwrap();
    let (reading, mut next) = (database.begin_read().unwrap(), 1);
    let log = Log::open(&reading).unwrap();
    while next <= records {
        let writing = database.begin_write().unwrap();
        {
            let mut table = writing.open_table(LOG).unwrap();
            log.each(next, |sequence, row, text| {
                let row = Row::parse(row).unwrap().with_plain(&text);
                table.insert(sequence, row.as_slice()).unwrap();
                next = sequence + 1;
                Ok(if sequence % 10_000 == 0 { Go::Stop } else { Go::On })
            })
            .unwrap();
        }
        writing.commit().unwrap();
    }
    drop((log, reading));
    let writing = database.begin_write().unwrap();
    writing.open_table(META).unwrap().insert(FORMAT.0, FORMAT_BEFORE).unwrap();
    writing.delete_table(TEMPLATES).unwrap();
    writing.commit().unwrap();
    drop(database);
    let len = |name: &str| std::fs::metadata(folder.at(name)).unwrap().len();
    let (old, began) = (len("store"), std::time::Instant::now());
    let store = Store::open(folder.at("store")).unwrap();
    println!("{records} records, {old} bytes, in {:?}: {} bytes", began.elapsed(), len("store"));
    assert!(len("store") < old / 2);
    assert_eq!(*store.checkpoint().unwrap().root(), root);
    let last = store.reader().records(records).next().unwrap().unwrap();
    assert_eq!(LeafHash::of(last.json.as_bytes()), before);
    store.reader().verify().unwrap();
}

#[test]
fn what_was_taken_over_is_packed() {
    let folder = Folder::new(&PARTS);
    let before = folder.content()["store"].len();
    Store::open(folder.at("store")).unwrap().close().unwrap();
    let database = Builder::new().create(folder.at("store")).unwrap();
    let reading = database.begin_read().unwrap();
    let bytes: usize =
        reading.open_table(LOG).unwrap().iter().unwrap().map(|r| r.unwrap().1.value().len()).sum();
    let templates = reading.open_table(TEMPLATES).unwrap().iter().unwrap().count();
    assert!(templates < 20, "{templates} templates");
    assert!(bytes < 257 * 260, "{bytes} bytes of records, {before} of the database before");
}
