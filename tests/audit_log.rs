//! The log: no change goes unseen, and its proofs hold by somebody else's arithmetic.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof as IndependentProof, RootHash};
use hardtack::audit::{Checkpoint, InclusionProof, LogReader};
use hardtack::*;
use hardtack_testkit::*;
use sha2_11::Sha256;

fn filled(records: u64) -> Store {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let bearer = cast.presented();
    for number in 0..records {
        match number % 5 {
            0 => drop(guard.check(bearer.bearer(), &Call::tool("delete").unwrap(), NOW)),
            1 => drop(guard.check("garbage", &search(), NOW)),
            2 => revoke(&store, Revocation::Agent { agent: format!("agent.{number}") }),
            _ => drop(guard.check(bearer.bearer(), &search(), NOW).unwrap()),
        }
    }
    store
}

fn lines(store: &Store) -> Vec<String> {
    store.reader().records(1).map(|line| line.unwrap().json).collect()
}

fn read(lines: &[Vec<u8>], checkpoint: &Checkpoint) -> Result<(), audit::LogError> {
    let mut reader = LogReader::expecting(checkpoint);
    lines.iter().try_for_each(|line| reader.next(line).map(drop))?;
    reader.finish()
}

/// Numbers that look random and are the same in every run.
fn dice(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn ten_thousand_edits_deletions_and_swaps_are_all_found() {
    let store = filled(60);
    let checkpoint = store.checkpoint().unwrap();
    let lines: Vec<Vec<u8>> = lines(&store).into_iter().map(String::into_bytes).collect();
    read(&lines, &checkpoint).unwrap();
    let mut state = 5;
    for time in 0..10_000 {
        let mut changed = lines.clone();
        let at = dice(&mut state) % changed.len();
        let what = match time % 4 {
            0 | 1 => {
                let byte = dice(&mut state) % changed[at].len();
                changed[at][byte] ^= (1 + dice(&mut state) % 255) as u8;
                format!("byte {byte} of record {at}")
            }
            2 => {
                changed.remove(at);
                format!("record {at} taken out")
            }
            _ => {
                let other = (at + 1 + dice(&mut state) % (changed.len() - 1)) % changed.len();
                changed.swap(at, other);
                format!("records {at} and {other} swapped")
            }
        };
        assert!(read(&changed, &checkpoint).is_err(), "{what} is not found");
    }
    let mut cut = lines.clone();
    cut.truncate(30);
    assert!(matches!(read(&cut, &checkpoint), Err(audit::LogError::CutOff { len: 30, .. })));
}

/// Even one who writes the whole chain of hashes anew does not have the key.
#[test]
fn a_log_that_was_written_anew_is_not_what_was_signed() {
    let store = filled(20);
    let checkpoint = store.checkpoint().unwrap();
    let mut anew: Vec<Vec<u8>> = Vec::new();
    let mut previous = audit::LeafHash::default();
    for line in lines(&store) {
        let mut record: serde_json::Value = serde_json::from_str(&line).unwrap();
        record["previous"] = previous.to_string().into();
        if record["sequence"] == 7 {
            record["message"] = "nothing happened".into();
        }
        let bytes = serde_json::to_vec(&record).unwrap();
        previous = audit::LeafHash::of(&bytes);
        anew.push(bytes);
    }
    assert!(matches!(read(&anew, &checkpoint), Err(audit::LogError::Root { .. })));
}

#[test]
fn proofs_hold_by_an_independent_implementation() {
    let store = filled(77);
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    lines(&store).into_iter().for_each(|line| tree.push(line.into_bytes()));
    let checkpoint = store.checkpoint().unwrap();
    let root = checkpoint.root();
    assert_eq!(tree.root().as_bytes().as_slice(), root, "the same root");
    let root = RootHash::<Sha256>::new((*root).into(), checkpoint.size());
    let key = store.reader().log_key().unwrap();
    for sequence in 1..=77 {
        let text = store.reader().prove(sequence).unwrap().to_string();
        let (record, signed) = InclusionProof::verify(&text, &key).unwrap();
        assert_eq!((record.sequence, signed.size()), (sequence, 77));
        // By the other one's arithmetic, from the text alone.
        let path = text.split_once("\n\n").unwrap().0.lines().skip(3);
        let path: Vec<u8> = path.flat_map(decode).collect();
        let leaf = decode(text.lines().nth(1).unwrap().strip_prefix("extra ").unwrap());
        let proof = IndependentProof::<Sha256>::from_bytes(path);
        root.verify_inclusion(&leaf, sequence - 1, &proof).unwrap();
    }
    let error = store.reader().prove(78).unwrap_err();
    assert_eq!(error.to_string(), "there is no record 78; the last is 77");
    assert!(store.reader().prove(0).is_err());
}

fn decode(base64: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

#[test]
fn a_proof_of_another_record_place_or_log_does_not_hold() {
    let (store, other) = (filled(20), filled(20));
    let key = store.reader().log_key().unwrap();
    let proof = store.reader().prove(5).unwrap().to_string();
    InclusionProof::verify(&proof, &key).unwrap();
    let holds = |text: &str| InclusionProof::verify(text, &key).is_ok();
    assert!(!holds(&proof.replace("index 4", "index 5")));
    assert!(!holds(&proof.replace("\n20\n", "\n21\n")));
    let theirs = other.reader().prove(5).unwrap().to_string();
    assert!(!holds(&theirs));
    let (path, _) = proof.split_once("\n\n").unwrap();
    let (_, signed) = theirs.split_once("\n\n").unwrap();
    assert!(!holds(&format!("{path}\n\n{signed}")));
    for cut in 0..proof.len() {
        // The note's last line break is all that can go.
        let cut_off = proof.get(..cut).is_some_and(holds);
        assert!(!cut_off, "cut off after {cut} of {}", proof.len());
    }
}
