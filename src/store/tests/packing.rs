//! Records that are packed: few bytes on disk, and every byte back.

use std::sync::Arc;

use redb::ReadableTableMetadata;

use crate::audit::{AuditChain, AuditHop, Decision, Ledger, Verdict};
use crate::cause::{Cause, RecordedCause};
use crate::store::tests::disk::Disk;
use crate::store::tests::{Dice, NOW, decision, entry, id, repeated, revoking};
use crate::store::{Store, opening};

/// The bytes that a record may take on disk whose chain was seen before. Today they are some 110.
const MOST_BYTES: u64 = 200;

fn chain(number: u64) -> Arc<AuditChain> {
    let hop = |place: u64| AuditHop {
        delegate: format!("agent.worker-{place}"),
        reason: format!("step {place} of what alice has asked for"),
        id: id(1_000 * number + place),
    };
    Arc::new(AuditChain {
        verified: true,
        subject: "user:alice".to_owned(),
        issuer: "root".to_owned(),
        grant_id: id(number),
        hops: (0..3).map(hop).collect(),
        audience: Some("notion.mcp".to_owned()),
        presented: Some("session".to_owned()),
        presentation_id: Some(id(number + 7)),
    })
}

fn of_chain(number: u64, chain: &Arc<AuditChain>) -> Decision {
    let time = NOW + std::time::Duration::from_secs(number / 100);
    let chain = Some(Arc::clone(chain));
    let policy = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned();
    Decision { chain, policy, ..decision(time, number % 10) }
}

fn made(disk: &Disk) -> Store {
    Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap()
}

/// Adds records of four chains.
pub(super) fn chained(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
    let chains: Vec<_> = (1..=4).map(chain).collect();
    let store = store.clone().losing_at_most(1000);
    for number in numbers {
        let decision = of_chain(number, &chains[number as usize % chains.len()]);
        store.record(entry(decision, None)).unwrap();
    }
}

/// What the tables occupy, with the parts of pages that are free. The file is longer by pages that are free as a whole: how many depends
/// on how often a busy machine came to fold.
fn occupied(store: &Store) -> u64 {
    let sum = store.reader().read(|reading| {
        let mut sum = 0;
        for table in reading.list_tables()? {
            let stats = reading.open_untyped_table(table)?.stats()?;
            sum += stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        }
        Ok(sum)
    });
    sum.unwrap()
}

#[test]
fn a_record_on_a_chain_that_was_seen_takes_few_bytes_on_disk() {
    let records = repeated("HARDTACK_PACKED", 30_000);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    chained(&store, 1..=records / 3);
    store.checkpoint().unwrap();
    let before = occupied(&store);
    chained(&store, records / 3 + 1..=records);
    store.checkpoint().unwrap();
    let each = (occupied(&store) - before) / (records - records / 3);
    let mut json = 0;
    store.reader().records(1).for_each(|line| json += line.unwrap().json.len() as u64);
    println!("{each} bytes a record on disk, of {} bytes of JSON", json / records);
    assert!(each <= MOST_BYTES, "{each} bytes a record");
    assert_eq!(store.reader().verify().unwrap().records, records);
}

/// Whatever a record says: none is read as another one than it was.
#[test]
fn every_record_is_read_to_the_byte_as_it_was_recorded() {
    let (disk, mut dice) = (Disk::default(), Dice(21));
    let store = made(&disk);
    let chains: Vec<_> = (1..=40).map(chain).collect();
    let mut expected = Vec::new();
    for number in 0..3_000 {
        let mut decision = of_chain(number, &chains[dice.below(40) as usize]);
        match dice.below(12) {
            0 => decision.chain = None,
            1 => decision.message = "\"{}\u{0}\u{1}é".repeat(dice.below(400) as usize),
            2 => decision.resource = Some(format!("file:///{:x}", dice.next())),
            3 => {
                decision.verdict = Verdict::Deny;
                decision.cause = Some(RecordedCause::from(Cause::Revoked));
            }
            4 => drop(store.revoke(revoking(number), NOW).unwrap()),
            _ => {}
        }
        store.clone().losing_at_most(100).record(entry(decision, None)).unwrap();
        if dice.below(500) == 0 {
            store.checkpoint().unwrap();
        }
    }
    // One that is on disk before it is given, and so all before it, which readers do not see sooner.
    store.record(entry(of_chain(3_000, &chains[0]), None)).unwrap();
    // As they are in the journal, before the database has them.
    store.reader().records(1).for_each(|line| expected.push(line.unwrap().json));
    store.close().unwrap();
    let store = Store::start(opening::open(Arc::new(disk)).unwrap()).unwrap();
    let lines: Vec<String> = store.reader().records(1).map(|line| line.unwrap().json).collect();
    assert_eq!(lines, expected);
    for from in [1, 2, 700, lines.len() as u64] {
        let line = store.reader().records(from).next().unwrap().unwrap();
        assert_eq!(line.json, lines[from as usize - 1]);
    }
    store.reader().verify().unwrap();
}
