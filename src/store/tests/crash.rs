//! The power goes at any moment: what was acknowledged is there, in order, and the store opens.

use std::sync::Arc;

use crate::audit::{Ledger, Recorded};
use crate::store::tests::disk::{Disk, Fault};
use crate::store::tests::{Dice, NOW, decision, entry, id, once, record, repeated, revoking};
use crate::store::{Store, opening};

/// What the store said was done.
#[derive(Debug, Default)]
struct Acknowledged {
    records: Vec<u64>,
    revoked: Vec<u64>,
    accepted: Vec<u64>,
}

/// Decisions, revocations one by one and in bulk, presentations, folds and collections, until the disk
/// fails.
fn work(store: &Store, seed: u64, steps: u64) -> Acknowledged {
    let mut dice = Dice(seed);
    let mut done = Acknowledged::default();
    for step in 0..steps {
        let number = seed.wrapping_mul(1000) + step;
        match dice.below(10) {
            0..=3 => match record(store, number) {
                Some(sequence) => done.records.push(sequence),
                None => return done,
            },
            4..=5 => match store.revoke(revoking(number), NOW) {
                Ok(receipt) => {
                    done.records.push(receipt.sequence());
                    done.revoked.push(number);
                }
                Err(_) => return done,
            },
            6 => {
                let numbers: Vec<u64> = (0..100).map(|n| number * 1_000 + n).collect();
                let all = numbers.iter().map(|number| revoking(*number)).collect();
                match store.revoke_all(all, NOW) {
                    Ok(_) => done.revoked.extend(numbers),
                    Err(_) => return done,
                }
            }
            7..=8 => {
                let recorded = store.record(entry(decision(NOW, number), Some(once(number, NOW))));
                match recorded {
                    Ok(Recorded::AsDecided { sequence }) => {
                        done.records.push(sequence);
                        done.accepted.push(number);
                    }
                    _ => return done,
                }
            }
            _ => {
                if store.checkpoint().is_err() {
                    return done;
                }
            }
        }
    }
    done
}

fn check(disk: &Disk, done: &Acknowledged, what: &str) {
    let opened = opening::open(Arc::new(disk.clone()));
    let inner = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let store = Store::start(inner).unwrap();
    let verified = store.reader().verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    let last = done.records.iter().max().copied().unwrap_or(0);
    assert!(verified.records >= last, "{what}: {} of {last} records", verified.records);
    assert!(done.records.windows(2).all(|pair| pair[0] < pair[1]), "{what}: in order");
    for number in &done.revoked {
        assert!(store.revocations().contains(&id(*number)), "{what}: {number} is not revoked");
    }
    for number in &done.accepted {
        let again = store.record(entry(decision(NOW, 0), Some(once(*number, NOW)))).unwrap();
        assert!(matches!(again, Recorded::AsReplayed { .. }), "{what}: {number} is accepted again");
    }
    // And it goes on.
    store.revoke(revoking(u64::MAX), NOW).unwrap();
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power_at_any_operation() {
    let points = repeated("HARDTACK_CRASH_POINTS", 500);
    let mut dice = Dice(1);
    let made = Disk::default();
    Store::start(opening::make(Arc::new(made.clone())).unwrap()).unwrap();
    for point in 0..points {
        let seed = point / 20;
        let disk = made.copy();
        let steps = 3 + seed % 12;
        let length = {
            let whole = made.copy();
            let store = Store::start(opening::open(Arc::new(whole.clone())).unwrap()).unwrap();
            let opened = whole.operations();
            work(&store, seed, steps);
            drop(store);
            opened..whole.operations() + 2
        };
        let operation = length.start + dice.below(length.end - length.start);
        let what = format!("seed {seed}, power gone at operation {operation} of {length:?}");
        let store = Store::start(opening::open(Arc::new(disk.clone())).unwrap()).unwrap();
        disk.set(Fault::PowerGoesAt(operation));
        let done = work(&store, seed, steps);
        drop(store);
        check(&disk.after_power_loss(&mut dice), &done, &what);
    }
}

/// Twice in a row: the second time while what the first left is being taken over.
#[test]
fn a_loss_of_power_while_opening_loses_nothing() {
    let points = repeated("HARDTACK_CRASH_POINTS", 500) / 10;
    let mut dice = Dice(2);
    for seed in 0..points {
        let disk = Disk::default();
        let store = Store::start(opening::make(Arc::new(disk.clone())).unwrap()).unwrap();
        // Without a word of goodbye: nothing is folded.
        disk.set(Fault::PowerGoesAt(disk.operations() + 20 + dice.below(60)));
        let done = work(&store, seed, 12);
        drop(store);
        let found = disk.after_power_loss(&mut dice);
        found.set(Fault::PowerGoesAt(1 + dice.below(40)));
        let _ = opening::open(Arc::new(found.clone()));
        check(&found.after_power_loss(&mut dice), &done, &format!("seed {seed}"));
    }
}
