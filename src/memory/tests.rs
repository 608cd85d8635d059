use super::*;
use crate::keys::PrivateKey;

const UNIT: usize = 64 * 1024;

const EACH: usize = UNIT - BYTES_OF_ENTRY;

fn owner(name: &str) -> Owner {
    let root = PrivateKey::from_bytes(&[7; 32]).public();
    Owner { root, subject: name.into() }
}

fn memory(entries: usize) -> Memory<u64, u64> {
    Memory::new(UNIT * entries)
}

#[test]
fn one_owner_drives_out_its_own_and_nobody_else_s() {
    let memory = memory(16);
    memory.put(0, 0, owner("bob"), EACH);
    for key in 1..1000 {
        memory.put(key, key * 2, owner("alice"), EACH);
    }
    assert_eq!(memory.get(&0), Some(0));
    let alices: Vec<u64> = (1..1000).filter(|key| memory.get(key).is_some()).collect();
    assert_eq!(alices, [996, 997, 998, 999]);
    assert_eq!(memory.get(&999), Some(1998));
    assert_eq!(memory.bytes(), 5 * UNIT);
    // The same subject of another root is another owner.
    let root = PrivateKey::from_bytes(&[8; 32]).public();
    memory.put(2000, 1, Owner { root, subject: "alice".into() }, EACH);
    assert!(memory.get(&996).is_some());
}

#[test]
fn what_is_used_stays_and_all_of_it_keeps_within_its_room() {
    let memory = memory(16);
    for key in 0..10_000_u64 {
        memory.put(key, key, owner(&format!("user:{}", key % 50)), EACH);
        assert!(memory.bytes() <= 16 * UNIT);
        assert_eq!(memory.get(&0), Some(0), "used all the time, after {key}");
    }
    let held = memory.held.read().unwrap();
    assert_eq!(held.entries.len(), 16);
    assert!(held.owners.len() <= 16 && held.queue.len() <= 2 * 16 + FEW + 1);
    assert!(held.owners.values().all(|owned| owned.queue.len() <= 2 * owned.entries + FEW + 1));
    assert_eq!(held.owners.values().map(|owned| owned.bytes).sum::<usize>(), held.bytes);
}

#[test]
fn one_key_is_remembered_once_and_what_is_larger_than_a_share_is_not() {
    let memory = memory(16);
    for round in 0..100 {
        memory.put(1, round, owner("alice"), EACH);
    }
    assert_eq!((memory.get(&1), memory.bytes()), (Some(99), UNIT));
    assert!(memory.held.read().unwrap().queue.len() <= 2 + FEW + 1);
    // It may pass from one owner to another.
    memory.put(1, 7, owner("bob"), EACH);
    assert_eq!((memory.get(&1), memory.bytes()), (Some(7), UNIT));
    assert_eq!(memory.held.read().unwrap().owners.len(), 1);
    memory.put(2, 2, owner("alice"), 4 * UNIT - BYTES_OF_ENTRY);
    memory.put(3, 3, owner("alice"), 4 * UNIT + 1 - BYTES_OF_ENTRY);
    assert_eq!((memory.get(&2), memory.get(&3)), (Some(2), None));
    assert_eq!((memory.get(&1), memory.bytes()), (Some(7), 5 * UNIT), "bob's stays");
    memory.put(2, 9, owner("alice"), usize::MAX);
    assert_eq!((memory.get(&2), memory.bytes()), (None, UNIT), "nor is what it would replace");
    let none = Memory::<u64, u64>::new(0);
    none.put(1, 1, owner("alice"), 0);
    assert_eq!(none.get(&1), None);
}

#[test]
fn many_threads_find_what_they_put_or_nothing() {
    let memory = memory(64);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let memory = &memory;
            scope.spawn(move || {
                for round in 0..2000 {
                    let key = (thread * 31 + round * 7) % 97;
                    memory.put(key, key + 1000, owner(&format!("user:{}", key % 3)), EACH);
                    let found = memory.get(&((key + round) % 97));
                    assert!(found.is_none_or(|found| found == (key + round) % 97 + 1000));
                }
            });
        }
    });
    let held = memory.held.read().unwrap();
    assert_eq!(held.entries.values().map(|entry| entry.bytes).sum::<usize>(), held.bytes);
}

/// A key is a bearer, which is a secret: it goes with what is remembered under it.
#[test]
fn keys_that_are_gone_stay_in_no_queue() {
    let memory = Memory::<u64, u64>::new(4 * 1024 * 1024);
    for key in 0..4000 {
        memory.put(key, 0, owner("alice"), 0);
        memory.get(&0);
    }
    for key in 10_000..60_000_u64 {
        memory.put(key, 0, owner(&format!("user:{}", key % 50)), 0);
        memory.get(&0);
    }
    let held = memory.held.read().unwrap();
    let queues = held.owners.values().map(|owned| (owned.queue.len(), owned.entries));
    for (queue, entries) in queues.chain([(held.queue.len(), held.entries.len())]) {
        assert!(queue <= 2 * entries + FEW + 1, "{queue} of {entries}");
    }
    drop(held);
    memory.clear();
    assert_eq!((memory.bytes(), memory.get(&0)), (0, None));
    memory.put(1, 1, owner("alice"), EACH);
    assert_eq!(memory.get(&1), Some(1));
}
