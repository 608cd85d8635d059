//! Stores that were closed in peace, and of which not every page is read when they are opened.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redb::StorageBackend;

use crate::audit::{LeafHash, Ledger, Recorded};
use crate::revocation::{Revocation, Revoking};
use crate::store::checking::Found;
use crate::store::sealed::UNCHECKED_AT_MOST;
use crate::store::site::{Backend, CACHE_BYTES, Site};
use crate::store::tests::disk::Disk;
use crate::store::tests::{Dice, NOW, decision, entry, id, once, record, repeated, revoking};
use crate::store::{Store, StoreError, opening};

/// A disk whose databases all count as large; it counts what is read of them.
#[derive(Debug, Clone, Default)]
struct Large {
    disk: Disk,
    read: Arc<AtomicU64>,
    /// The engine keeps no page in memory.
    is_uncached: bool,
    /// Of its databases, nothing but the first page can be read just now.
    fails: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Counted(Backend, Large);

impl StorageBackend for Counted {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.1.read.fetch_add(out.len() as u64, Ordering::Relaxed);
        if offset > 0 && self.1.fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

impl Site for Large {
    fn database(&self) -> io::Result<Backend> {
        Ok(Backend::new(Counted(self.disk.database()?, self.clone())))
    }

    fn journal(&self) -> io::Result<Backend> {
        self.disk.journal()
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        self.disk.checkpoint()
    }

    fn keep_checkpoint(&self, text: &str) -> io::Result<()> {
        self.disk.keep_checkpoint(text)
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn always_checked(&self) -> u64 {
        0
    }

    fn cache_bytes(&self) -> usize {
        if self.is_uncached { 0 } else { CACHE_BYTES }
    }
}

impl Large {
    fn open(&self) -> Result<Store, StoreError> {
        Store::start(opening::open(Arc::new(self.clone()))?)
    }

    fn copy(&self) -> Large {
        Large { disk: self.disk.copy(), ..Large::default() }
    }

    /// Makes the stored hash of a record another one, wherever it stands, also in pages that are free.
    fn flip_record(&self, number: u64) {
        let line = self.copy().open().unwrap().reader().records(number).next().unwrap().unwrap();
        let hash = LeafHash::of(line.json.as_bytes());
        self.disk.change(0, |bytes| {
            let places = bytes.windows(32).enumerate().filter(|(_, part)| part == hash.as_bytes());
            let places: Vec<usize> = places.map(|(at, _)| at).collect();
            assert!(!places.is_empty());
            places.iter().for_each(|at| bytes[*at] ^= 1);
        });
    }

    /// Makes the revocation of this id one of another id, wherever its row stands, also in pages that are free.
    fn flip_revocation(&self, number: u64) {
        let id = id(number);
        self.disk.change(0, |bytes| {
            let places = bytes.windows(64).enumerate().filter(|(_, row)| row == id.as_bytes());
            let places: Vec<usize> = places.map(|(at, _)| at).collect();
            assert!(!places.is_empty());
            places.iter().for_each(|at| bytes[at + 40] ^= 0x10);
        });
    }
}

fn was_sealed(store: &Store) -> bool {
    store.inner().was_sealed.load(Ordering::Acquire)
}

/// A store that was closed in peace: every third record a revocation, every fifth a presentation that is used up.
fn filled(records: u64) -> Large {
    let site = Large::default();
    let store = Store::start(opening::make(Arc::new(site.clone())).unwrap()).unwrap();
    let store = store.losing_at_most(1000);
    for number in 1..=records {
        match (number % 3, number % 5) {
            (0, _) if number <= 300 => drop(store.revoke(revoking(number), NOW).unwrap()),
            (_, 0) if number <= 300 => {
                let used = entry(decision(NOW, number), Some(once(number, NOW)));
                assert!(matches!(store.record(used), Ok(Recorded::AsDecided { .. })));
            }
            _ => drop(record(&store, number).unwrap()),
        }
    }
    store.close().unwrap();
    site
}

fn is_revoked(number: u64) -> bool {
    number.is_multiple_of(3) && number <= 300
}

fn is_used(number: u64) -> bool {
    number.is_multiple_of(5) && !number.is_multiple_of(3) && number <= 300
}

#[test]
fn a_store_is_sealed_until_it_is_written_to_and_only_if_it_was_closed() {
    let site = filled(60);
    let store = site.open().unwrap();
    assert!(was_sealed(&store));
    record(&store, 61).unwrap();
    let killed = site.copy();
    store.close().unwrap();
    assert!(!was_sealed(&killed.open().unwrap()), "it was not closed");
    let store = site.open().unwrap();
    assert!(was_sealed(&store) && store.reader().verify().unwrap().records == 61);
    drop(store);
    // Another engine has written, which knows no seals.
    let before = site.copy();
    drop(redb::Database::builder().create_with_backend(site.disk.database().unwrap()).unwrap());
    assert!(!was_sealed(&site.open().unwrap()));
    // The seal of the journal, and the database, are of each other.
    let mut older = Vec::new();
    filled(60).disk.change(0, |bytes| older.clone_from(bytes));
    before.disk.change(0, |bytes| *bytes = older);
    assert!(before.open().is_err());
}

/// What was damaged in between is found at the latest before it decides anything: no revocation is missing, no presentation that was
/// used is new. And whoever reads all of it finds it.
#[test]
fn damage_to_a_sealed_store_decides_nothing() {
    let times = repeated("HARDTACK_CORRUPTIONS", 200);
    let mut dice = Dice(17);
    let records = 300;
    let whole = filled(records);
    let (mut at_opening, mut later, mut harmless) = (0, 0, 0);
    for time in 0..times {
        let site = whole.copy();
        let kind = dice.below(3);
        let mut said = String::new();
        site.disk.change(0, |bytes| {
            let at = dice.below(bytes.len() as u64) as usize;
            said = format!("kind {kind} at {at} in round {time}");
            match kind {
                0 => bytes[at] ^= 1 << dice.below(8),
                1 => {
                    let page = at / 4096 * 4096;
                    let end = (page + 4096).min(bytes.len());
                    bytes[page..end].fill(0);
                }
                _ => {
                    let end = (at + 64).min(bytes.len());
                    bytes[at..end].iter_mut().for_each(|byte| *byte = dice.next() as u8);
                }
            }
        });
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let store = site.open()?;
            for number in 1..=records {
                let revoked = store.revocations().contains(&id(number));
                assert_eq!(revoked, is_revoked(number), "{said}: revocation {number}");
                if is_used(number) {
                    let again = entry(decision(NOW, number), Some(once(number, NOW)));
                    let answer = store.record(again);
                    let is_new = matches!(answer, Ok(Recorded::AsDecided { .. }));
                    assert!(!is_new, "{said}: {number} is used again");
                }
            }
            let verified = store.reader().verify();
            Ok::<_, StoreError>(verified.is_err())
        }));
        match looked.unwrap_or_else(|_| panic!("{said}: it panics")) {
            Err(_) => at_opening += 1,
            Ok(true) => later += 1,
            Ok(false) => harmless += 1,
        }
    }
    println!("{at_opening} refused, {later} found later, {harmless} harmless");
    assert!(at_opening > 0 && later > 0);
}

#[test]
fn damage_below_what_is_read_is_found_behind_the_running_store_which_then_refuses() {
    let site = filled(400);
    site.flip_record(2);
    let store = site.open().unwrap();
    assert!(was_sealed(&store) && store.ready().is_ok());
    let looks = (0..600).find(|_| {
        std::thread::sleep(Duration::from_millis(50));
        store.ready().is_err()
    });
    assert!(looks.is_some(), "nothing was found");
    let problem = store.ready().unwrap_err().to_string();
    assert!(problem.contains("damaged") && problem.contains("hardtack store recover"), "{problem}");
    assert_eq!(record(&store, 401), None);
    assert!(store.revoke(revoking(402), NOW).is_err());
    use crate::revocation::RevocationSource;
    let issuer = crate::mint::Issuer::new(crate::keys::PrivateKey::generate());
    let grant = crate::mint::Grant::to("user:a").scope("*").unbound();
    let chain = issuer.mint(grant, NOW).unwrap();
    assert!(store.revocations().revoked(chain.chain(), &issuer.public()).is_err());
    let _ = store.close();
    // It is not sealed again.
    assert!(site.open().is_err());
}

#[test]
fn a_check_behind_a_store_that_is_written_to_finds_no_damage() {
    let site = filled(400);
    let store = site.open().unwrap();
    let writing = store.clone();
    let stop = Arc::new(AtomicU64::new(0));
    let stopped = Arc::clone(&stop);
    let written = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&written);
    let writer = std::thread::spawn(move || {
        while stopped.load(Ordering::Relaxed) == 0 {
            record(&writing, 1000 + counted.load(Ordering::Relaxed)).unwrap();
            writing.checkpoint().unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    // At least so often, and until something was written: a busy machine may let the writer wait.
    let mut checks = repeated("HARDTACK_CHECKS", 20);
    while checks > 0 || (written.load(Ordering::Relaxed) == 0 && !writer.is_finished()) {
        assert_eq!(store.inner().check_pages().unwrap(), Found::Whole);
        checks = checks.saturating_sub(1);
    }
    stop.store(1, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(written.load(Ordering::Relaxed) > 0);
    store.close().unwrap();
    assert!(site.open().unwrap().reader().verify().is_ok());
}

/// By the bytes that are read, and not by the time it takes. An engine with debug assertions visits every page when it opens a file.
#[cfg(not(debug_assertions))]
#[test]
fn opening_a_store_reads_no_more_when_it_has_ten_times_the_records() {
    let read = |records: u64| {
        let site = filled(records);
        site.read.store(0, Ordering::Relaxed);
        let store = site.open().unwrap();
        assert!(was_sealed(&store));
        (site.read.load(Ordering::Relaxed), site.disk.database().unwrap().len().unwrap())
    };
    let ((few, small), (many, large)) = (read(5_000), read(50_000));
    println!("{few} bytes of {small}, {many} bytes of {large}");
    assert!(many < few + few / 2 + 64 * 1024, "{few} and {many} bytes");
    assert!(many < large / 10, "{many} of {large} bytes");
}

/// What a store holds in memory is right. What the engine reads back is not, and it does not tell.
#[test]
fn damage_while_a_store_is_open_is_not_sealed() {
    for writes_to_the_page in [false, true] {
        let site = Large { is_uncached: true, ..filled(60).copy() };
        let store = site.open().unwrap();
        site.flip_revocation(60);
        if writes_to_the_page {
            // The page is copied as it is, and gets the right checksum for it.
            store.revoke(revoking(1000), NOW).unwrap();
        }
        assert!(store.revocations().contains(&id(60)));
        let _ = store.close();
        let problem = site.open().unwrap_err().to_string();
        assert!(problem.contains("damaged"), "{problem}");
    }
}

#[test]
fn whatever_is_written_the_seal_holds() {
    let site = filled(60);
    let store = site.open().unwrap();
    let minutes = |minutes: u64| NOW + Duration::from_secs(60 * minutes);
    for number in 1000..1100 {
        store.revoke(revoking(number), NOW).unwrap();
    }
    // Prolonged: its row is another one.
    let agent = Revocation::AgentUntilNow { agent: "agent.a".to_owned() };
    for moment in [NOW, minutes(10), minutes(20)] {
        let revoking = Revoking::new(agent.clone(), "tests", "lost").unwrap();
        store.revoke(revoking, moment).unwrap();
        record(&store, 61).unwrap();
        store.checkpoint().unwrap();
    }
    let used = entry(decision(NOW, 62), Some(once(62, NOW)));
    assert!(matches!(store.record(used), Ok(Recorded::AsDecided { .. })));
    let years = NOW + Duration::from_secs(60 * 60 * 24 * 365 * 2);
    let collected = store.collect_trusting_the_clock(years).unwrap();
    assert!(collected.revocations > 100, "{collected:?}");
    store.revoke(revoking(2000), years).unwrap();
    store.close().unwrap();
    let store = site.open().unwrap();
    assert!(was_sealed(&store) && store.revocations().contains(&id(2000)));
    assert!(store.reader().verify().is_ok());
}

#[test]
fn after_some_openings_without_a_check_every_page_is_read() {
    let site = filled(60);
    for _ in 0..2 {
        for opening in 1..=UNCHECKED_AT_MOST {
            let store = site.open().unwrap();
            assert!(was_sealed(&store), "opening {opening}");
            store.close().unwrap();
        }
        let store = site.open().unwrap();
        assert!(!was_sealed(&store), "it was never checked");
        store.close().unwrap();
    }
    // What was checked begins anew.
    for _ in 0..UNCHECKED_AT_MOST {
        let store = site.open().unwrap();
        assert!(was_sealed(&store));
        assert_eq!(store.inner().check_pages().unwrap(), Found::Whole);
        store.close().unwrap();
    }
    assert!(was_sealed(&site.open().unwrap()));
}

#[test]
fn a_disk_that_does_not_answer_a_check_is_asked_again_and_stops_no_store() {
    let site = filled(60);
    let store = site.open().unwrap();
    site.fails.store(true, Ordering::Relaxed);
    store.inner().check_until_known(Duration::ZERO, Duration::from_millis(1));
    assert!(matches!(store.inner().check_pages(), Err(StoreError::File { .. })));
    site.fails.store(false, Ordering::Relaxed);
    store.ready().unwrap();
    assert!(record(&store, 61).is_some());
    store.close().unwrap();
    let store = site.open().unwrap();
    assert!(!was_sealed(&store), "it was never read");
    store.close().unwrap();
    let store = site.open().unwrap();
    let answers = site.fails.clone();
    answers.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let inner = store.inner();
        let check = scope.spawn(|| {
            inner.check_until_known(Duration::ZERO, Duration::from_millis(100));
        });
        std::thread::sleep(Duration::from_millis(50));
        answers.store(false, Ordering::Relaxed);
        check.join().unwrap();
    });
    assert_eq!(store.inner().unchecked.load(Ordering::Acquire), 0, "it was checked later");
    store.close().unwrap();
    assert!(was_sealed(&site.open().unwrap()));
}

#[test]
fn no_copy_is_made_of_a_sealed_store_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let site = Large { is_uncached: true, ..filled(400).copy() };
    let whole = site.open().unwrap();
    whole.backup(folder.path().join("whole")).unwrap();
    drop(whole);
    site.flip_record(2);
    let store = site.open().unwrap();
    assert!(was_sealed(&store));
    let to = folder.path().join("copy");
    let error = store.backup(&to).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    // Also what goes bad after the check.
    store.inner().unchecked.store(0, Ordering::Release);
    let error = store.backup(&to).unwrap_err();
    let is_named = matches!(error, StoreError::Unreadable { what: "record", number: 2 });
    assert!(is_named, "{error}");
    let left = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| !name.to_string_lossy().starts_with("whole")).collect();
    assert!(left.is_empty(), "{left:?}");
}
