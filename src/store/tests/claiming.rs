//! How long call-bound presentations live, a store learns from those that it is told of.

use std::time::Duration;

use crate::audit::{Claim, Ledger, Recorded, SingleUse, Uses};
use crate::pending::wait;
use crate::store::tests::{NOW, decision, entry, id};
use crate::store::{RecordLoss, Store, restore};

/// Much longer than what a store assumes of itself.
const LIFE: Duration = Duration::from_secs(3600);

type UseUp = fn(&Store, u64) -> Claim;

fn presentation(number: u64) -> SingleUse {
    SingleUse::new("notion.mcp", id(number), NOW + LIFE)
}

fn claim(store: &Store, number: u64) -> Claim {
    wait(store.claim(&presentation(number), NOW)).unwrap()
}

fn record(store: &Store, number: u64) -> Claim {
    match store.record(entry(decision(NOW, number), Some(presentation(number)))) {
        Ok(Recorded::AsDecided { .. }) => Claim::First,
        Ok(_) => Claim::Again,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_was_used_after_a_backup_is_used_for_as_long_as_presentations_were_seen_to_live() {
    for use_up in [claim as UseUp, record] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let store = Store::create(at("store")).unwrap();
        assert_eq!(use_up(&store, 1), Claim::First);
        store.backup(at("backup")).unwrap();
        assert_eq!(use_up(&store, 2), Claim::First);
        store.close().unwrap();
        restore(at("backup"), at("new"), [], None, RecordLoss::Accepted, NOW).unwrap();
        let store = Store::open(at("new")).unwrap();
        assert_eq!(use_up(&store, 1), Claim::Again);
        assert_eq!(use_up(&store, 2), Claim::Again, "it may have been used");
    }
}

/// The database has not heard of it, and the journal says when it was used.
#[test]
fn how_long_one_lives_is_learned_from_the_journal_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::create(at("store")).unwrap();
    assert_eq!(record(&store, 1), Claim::First);
    std::fs::create_dir(at("copy")).unwrap();
    let still = store.inner().folding.lock().unwrap();
    for part in ["store", "store.journal", "store.checkpoint"] {
        std::fs::copy(at(part), at("copy").join(part)).unwrap();
    }
    drop(still);
    let store = Store::open(at("copy").join("store")).unwrap();
    store.backup(at("backup")).unwrap();
    drop(store);
    restore(at("backup"), at("new"), [], None, RecordLoss::Accepted, NOW).unwrap();
    assert_eq!(record(&Store::open(at("new")).unwrap(), 2), Claim::Again);
}
