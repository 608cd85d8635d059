//! Store: the files of a store, changed and then opened. It opens with all that was acknowledged, or not at all.
//!
//! The input is not the files, which are megabytes of nothing, but what is done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arbitrary::Unstructured;
use hardtack::{Call, Guard, Policy, Revocation, RevocationId, Revoking, Store, Verifier};
use tempfile::TempDir;

use super::{Target, judge};
use hardtack_testkit::{AUDIENCE, Cast, NOW};

pub const TARGET: Target = Target {
    name: "store",
    run,
    seeds,
    // Some twenty changes.
    max_len: 512,
};

/// The most changes to one store: what is more than a few is refused at once.
const MAX_CHANGES: usize = 24;

/// How many entries are made: every third a revocation.
const ENTRIES: u8 = 45;

/// Database, journal and checkpoint.
const PARTS: [&str; 3] = ["", ".journal", ".checkpoint"];

/// Most of a journal is empty; what is there begins it.
const USED: usize = 64 * 1024;

/// A store as it was left.
struct Left {
    parts: [Vec<u8>; 3],
    /// Whether its process ended in order. Of one that was killed, nobody can tell a last frame that was never
    /// finished from one that was taken away.
    closed: bool,
}

fn run(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let left = &left()[usize::from(byte(&mut input)) % 2];
    let mut parts = left.parts.clone();
    for _ in 0..MAX_CHANGES {
        if input.is_empty() {
            break;
        }
        change(&mut parts, &mut input);
    }
    let folder = folder();
    let path = folder.path().join("store");
    for (part, bytes) in PARTS.iter().zip(&parts) {
        fs::write(beside(&path, part), bytes).unwrap();
    }
    let store = match Store::open(&path) {
        Ok(store) => store,
        Err(error) => {
            judge::is_said_safely(&error.to_string());
            return false;
        }
    };
    // Whoever looks closer may find what does not concern the revocations.
    let verified = store.reader().verify();
    let missing = missing(&store);
    match left.closed {
        true => assert!(missing.is_empty(), "opened without {missing:?}"),
        false => assert!(is_the_end(&missing), "opened without {missing:?}"),
    }
    if verified.is_err() {
        return false;
    }
    let count = verified.map(|verified| verified.records).unwrap_or_default();
    assert!(count >= u64::from(ENTRIES) || !left.closed, "{count} records are left");
    outlives(store, &path, &missing);
    true
}

/// What is revoked in it afterwards is revoked for good, too.
fn outlives(store: Store, path: &Path, missing: &[u8]) {
    if store.revoke(revoking(200), NOW).is_err() {
        return;
    }
    drop(store);
    let again = Store::open(path).expect("it does not open any more");
    assert!(again.revocations().contains(&id(200)), "a new revocation was lost");
    assert_eq!(self::missing(&again), missing);
}

fn missing(store: &Store) -> Vec<u8> {
    let revocations = store.revocations();
    revoked().filter(|number| !revocations.contains(&id(*number))).collect()
}

fn is_the_end(missing: &[u8]) -> bool {
    let kept = revoked().count() - missing.len();
    revoked().skip(kept).eq(missing.iter().copied())
}

fn revoked() -> impl Iterator<Item = u8> {
    (1..=ENTRIES).filter(|number| number % 3 == 0)
}

fn change(parts: &mut [Vec<u8>; 3], input: &mut Unstructured<'_>) {
    let number = usize::from(byte(input)) % 3;
    let kind = byte(input) % 7;
    let at: u32 = input.arbitrary().unwrap_or_default();
    let other = parts[(number + 1) % 3].clone();
    let bytes = &mut parts[number];
    let used = if number == 1 { USED.min(bytes.len()) } else { bytes.len() };
    let at = at as usize % used.max(1);
    let page = at / 512 * 512;
    match kind {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
        1 => bytes.iter_mut().skip(page).take(512).for_each(|byte| *byte = 0),
        2 => bytes.truncate(at),
        3 => {
            let count = usize::from(byte(input) % 16);
            let new: Vec<u8> = (0..count).map(|_| byte(input)).collect();
            bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = new);
        }
        4 => {
            let from = usize::from(byte(input)) * 512 % used.max(1);
            if from.max(page) + 512 <= bytes.len() {
                bytes.copy_within(from..from + 512, page);
            }
        }
        5 => bytes.extend(std::iter::repeat_n(byte(input), at % 4096)),
        _ => *bytes = other,
    }
}

fn byte(input: &mut Unstructured<'_>) -> u8 {
    input.arbitrary().unwrap_or_default()
}

/// One that was closed, and one whose process was killed.
fn left() -> &'static [Left; 2] {
    static LEFT: OnceLock<[Left; 2]> = OnceLock::new();
    LEFT.get_or_init(|| [leave(true), leave(false)])
}

fn leave(closed: bool) -> Left {
    let folder = folder();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    let verifier = Verifier::new(Cast::new().roots(), AUDIENCE, store.revocations()).unwrap();
    let guard = Guard::new(verifier, Policy::builtin(), store.clone());
    for number in 1..=ENTRIES {
        match number % 3 {
            0 => drop(store.revoke(revoking(number), NOW).unwrap()),
            // A refusal is a record, too.
            _ => drop(guard.check("no token", &Call::tool("search").unwrap(), NOW).unwrap_err()),
        }
        if number == ENTRIES / 2 {
            store.checkpoint().unwrap();
        }
    }
    let read = || PARTS.map(|part| fs::read(beside(&path, part)).unwrap());
    if !closed {
        return Left { parts: read(), closed };
    }
    drop(guard);
    drop(store);
    Left { parts: read(), closed }
}

fn revoking(number: u8) -> Revoking {
    Revoking::new(Revocation::Id { id: id(number) }, "tests", "lost").unwrap()
}

fn id(number: u8) -> RevocationId {
    RevocationId::from_bytes([number; 64])
}

fn beside(path: &Path, part: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(part);
    name.into()
}

/// In memory where there is a place for that: what is tried is what is read, not how the disk waits.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![0], vec![1]];
    for part in 0..3 {
        for kind in 0..7 {
            for left in 0..2 {
                seeds.push(vec![left, part, kind, 0x40 * part, 0x21, 0, 0, 3, 1, 2, 3]);
            }
        }
    }
    seeds
}
