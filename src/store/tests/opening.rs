//! Opening files, and what is said of those that cannot be opened.

use crate::store::tests::{NOW, record, revoking};
use crate::store::{Receipt, RecordLoss, Store, StoreError, StoreReader, restore};

#[test]
fn what_is_revoked_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    let receipts =
        store.revoke_all(vec![revoking(2), revoking(1), revoking(3), revoking(3)], NOW).unwrap();
    assert_eq!(
        receipts,
        [
            Receipt::Revoked { sequence: 2 },
            Receipt::AlreadyRevoked { sequence: 1 },
            Receipt::Revoked { sequence: 3 },
            Receipt::AlreadyRevoked { sequence: 3 },
        ]
    );
    drop(store);
    let entries = Store::open(&path).unwrap().list_revocations().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(entries[0].notice.by, "tests");
}

#[test]
fn a_file_that_is_no_store_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for content in ["", "not a store", &"x".repeat(100_000)] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Foreign { .. })), "{content:.20}");
        assert!(matches!(StoreReader::open(&path), Err(StoreError::Foreign { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        assert!(matches!(Store::create(&path), Err(StoreError::File { .. })));
    }
}

#[test]
fn a_store_in_use_says_so_and_can_be_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open = Store::create(&path).unwrap();
    record(&open, 1).unwrap();
    open.checkpoint().unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    let reader = StoreReader::open(&path).unwrap();
    assert_eq!(reader.records(1).count(), 1);
    assert_eq!(reader.log_key().unwrap(), open.reader().log_key().unwrap());
    record(&open, 2).unwrap();
    // Before the database has it, the journal does.
    open.revoke(revoking(3), NOW).unwrap();
    assert_eq!(reader.records(1).count(), 3);
    assert_eq!(reader.revocations().unwrap().len(), 1);
    let list = reader.revocation_list(NOW).unwrap();
    assert_eq!(list.revocations[0].sequence, 3);
    open.checkpoint().unwrap();
    assert_eq!(reader.records(1).count(), 3);
    assert_eq!(reader.verify().unwrap().records, 3);
}

#[test]
fn looking_changes_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    record(&store, 1).unwrap();
    drop(store);
    let read = || {
        let names = ["store", "store.journal", "store.checkpoint"];
        names.map(|name| std::fs::read(folder.path().join(name)).unwrap())
    };
    let before = read();
    let reader = StoreReader::open(&path).unwrap();
    reader.verify().unwrap();
    reader.prove(1).unwrap();
    drop(reader);
    assert!(before == read());
}

#[test]
fn a_store_without_its_parts_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(Store::create(&path).unwrap());
    std::fs::remove_file(folder.path().join("store.journal")).unwrap();
    let error = Store::open(&path).unwrap_err().to_string();
    assert!(error.contains("store.journal is missing"), "{error}");
    std::fs::remove_file(&path).unwrap();
    for error in [Store::create(&path).unwrap_err(), Store::open(&path).unwrap_err()] {
        assert!(matches!(error, StoreError::WithoutDatabase { .. }), "{error}");
    }
    assert!(folder.path().join("store.checkpoint").exists());
}

#[test]
fn a_backup_comes_back_with_the_records_since_or_with_the_word() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::create(at("store")).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    store.backup(at("backup")).unwrap();
    store.revoke(revoking(2), NOW).unwrap();
    store.checkpoint().unwrap();
    let tail: Vec<String> = store.reader().records(1).map(|line| line.unwrap().json).collect();
    let checkpoint = std::fs::read_to_string(at("store.checkpoint")).unwrap();
    drop(store);
    assert!(matches!(Store::open(at("backup")), Err(StoreError::Backup { .. })));

    let bring = |to: &str, tail: Vec<String>, checkpoint: Option<&str>, loss| {
        restore(at("backup"), at(to), tail, checkpoint, loss, NOW)
    };
    for (tail, checkpoint) in
        [(vec![], None), (vec![], Some(checkpoint.as_str())), (tail.clone(), None)]
    {
        let error = bring("new", tail, checkpoint, RecordLoss::Refused).unwrap_err();
        assert!(error.to_string().contains("--accept-loss"), "{error}");
        assert!(!at("new").exists());
    }
    let mut forged = tail.clone();
    forged[1] = forged[1].replace("lost", "list");
    assert!(bring("new", forged, Some(&checkpoint), RecordLoss::Refused).is_err());

    let restored = bring("new", tail.clone(), Some(&checkpoint), RecordLoss::Refused).unwrap();
    assert_eq!((restored.records, restored.replayed, restored.revocations), (1, 1, 2));
    let new = Store::open(at("new")).unwrap();
    assert_eq!(new.checkpoint().unwrap().epoch(), 2);
    let events: Vec<_> = new.reader().records(1).map(|line| line.unwrap().json).collect();
    assert_eq!(events.len(), 3);
    assert!(events[2].contains(r#""event":"restoration""#), "that it was restored is on record");
    assert!(new.revocations().contains(&crate::store::tests::id(2)));

    // What nobody signed may add revocations and take none away.
    let log = tail;
    let last = crate::audit::LeafHash::of(log[1].as_bytes());
    let take_away = |prolongs: u64, kind: &str| {
        format!(
            r#"{{"sequence":3,"time":"{NOW}","previous":"{last}","event":"revocation",{kind},"revoked":"{NOW}","expires":null,"by":"x","reason":"x","prolongs":{prolongs}}}"#
        )
    };
    let agent = r#""kind":"agent","agent":"agent.x""#;
    let collection = format!(
        r#"{{"sequence":3,"time":"{NOW}","previous":"{last}","event":"collection","revocations":[[1,2]],"forgotten_until":null,"blocks":0}}"#
    );
    for forged in [take_away(1, agent), collection] {
        let tail = log.iter().cloned().chain([forged]).collect();
        let error = bring("forged", tail, Some(&checkpoint), RecordLoss::Refused).unwrap_err();
        assert!(matches!(error, StoreError::Restoring(_)), "{error}");
        assert!(!at("forged").exists());
    }

    let restored = bring("lossy", vec![], None, RecordLoss::Accepted).unwrap();
    assert!(restored.accepted_loss);
    let lossy = Store::open(at("lossy")).unwrap();
    assert!(!lossy.revocations().contains(&crate::store::tests::id(2)));
    let issuer = crate::mint::Issuer::new(crate::keys::PrivateKey::generate());
    let grant =
        |now| issuer.mint(crate::mint::Grant::to("user:a").scope("*").unbound(), now).unwrap();
    let asked = |now| {
        use crate::revocation::RevocationSource;
        lossy.revocations().revoked(grant(now).chain(), &issuer.public()).unwrap()
    };
    assert!(asked(NOW).is_some(), "what was issued before may have been revoked");
    assert!(asked(NOW + std::time::Duration::from_secs(120)).is_none());
}

/// The checkpoint lags behind the journal: what was acknowledged since is part of what there was.
#[test]
fn what_the_journal_had_is_not_lost_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::create(at("store")).unwrap();
    store.revoke(revoking(1), NOW).unwrap();
    store.checkpoint().unwrap();
    for number in 2..=4 {
        store.revoke(revoking(number), NOW).unwrap();
    }
    // As a killed process leaves it, if nothing was folded meanwhile.
    for part in ["", ".journal", ".checkpoint"] {
        let (from, to) = (at(&format!("store{part}")), at(&format!("left{part}")));
        std::fs::copy(from, to).unwrap();
    }
    drop(store);
    let recover = |to: &str, loss| restore(at("left"), at(to), Vec::new(), None, loss, NOW);
    let recovered = recover("whole", RecordLoss::Refused).unwrap();
    assert_eq!((recovered.records, recovered.revocations), (4, 4));

    // A backup from before, where the lost store's journal and checkpoint still are.
    drop(Store::open(at("whole")).unwrap());
    let early = Store::create(at("early")).unwrap();
    early.revoke(revoking(1), NOW).unwrap();
    early.backup(at("backup")).unwrap();
    early.revoke(revoking(2), NOW).unwrap();
    for part in [".journal", ".checkpoint"] {
        std::fs::copy(at(&format!("early{part}")), at(&format!("back{part}"))).unwrap();
    }
    let back = |loss| restore(at("backup"), at("back"), Vec::new(), None, loss, NOW);
    let restored = back(RecordLoss::Refused).unwrap();
    assert_eq!((restored.records, restored.revocations), (2, 2));
    assert!(at("back.journal.old").exists());
    drop(Store::open(at("back")).unwrap());

    let journal = at("left.journal");
    let whole = std::fs::read(&journal).unwrap();
    // The frame of record 3 goes: what follows it shows that it was there.
    let frames: Vec<usize> = (0..whole.len())
        .step_by(512)
        .filter(|place| whole[*place..].starts_with(b"\0\0frame\0"))
        .collect();
    let mut damaged = whole.clone();
    damaged[frames[frames.len() - 2]] ^= 1;
    std::fs::write(&journal, &damaged).unwrap();
    let error = recover("new", RecordLoss::Refused).unwrap_err();
    assert!(error.to_string().contains("and 4 were signed"), "{error}");
    std::fs::remove_file(&journal).unwrap();
    let error = recover("new", RecordLoss::Refused).unwrap_err();
    assert!(error.to_string().contains("left.journal is missing"), "{error}");
    assert!(recover("new", RecordLoss::Accepted).unwrap().accepted_loss);
}

#[test]
fn a_reader_that_outlives_its_store_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    let reader = store.reader();
    drop(store);
    assert!(reader.verify().is_err());
    assert!(reader.verify().is_err());
    let again = Store::open(&path).unwrap();
    again.revoke(revoking(1), NOW).unwrap();
    assert!(reader.prove(1).is_err());
}

#[test]
fn what_expired_is_forgotten_on_disk_and_in_memory_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    let agent = crate::revocation::Revocation::Agent { agent: "agent.a".to_owned() };
    store.revoke(crate::revocation::Revoking::new(agent, "tests", "lost").unwrap(), NOW).unwrap();
    store.revoke_all(vec![revoking(1), revoking(2)], NOW).unwrap();
    let later = NOW + std::time::Duration::from_secs(26 * 3600);
    store.revoke(revoking(3), later).unwrap();
    assert!(matches!(store.collect(later), Err(StoreError::Clock(_))), "the clock has jumped");
    assert_eq!(store.list_revocations().unwrap().len(), 4);
    assert_eq!(store.collect_trusting_the_clock(later).unwrap().revocations, 2);
    let known = |store: &Store| {
        let known = [1, 2, 3].map(|n| store.revocations().contains(&crate::store::tests::id(n)));
        (known, store.list_revocations().unwrap().len())
    };
    assert_eq!(known(&store), ([false, false, true], 2));
    assert_eq!(store.collect_trusting_the_clock(later).unwrap().revocations, 0);
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(known(&store), ([false, false, true], 2));
    assert_eq!(store.reader().verify().unwrap().revocations, 2);
}
