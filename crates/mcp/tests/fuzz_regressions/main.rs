//! What the fuzzers do (`fuzz/`, `ci/fuzz`), in every test run: each target on its seeds, on all that once went
//! wrong, and on the seeds with small changes.
//!
//! `kept/<target>/` holds inputs that were findings, by what they were.

mod targets;

use std::fs;
use std::path::Path;

use targets::{TARGETS, Target};

/// How many changes of a target's seeds are tried, at most, and of each seed. The fuzzers try millions.
const CHANGES: usize = 600;
const CHANGES_OF_A_SEED: usize = 24;

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}

/// Runs a target on its seeds, on what was kept and on changes of its seeds.
fn replay(name: &str) {
    let target = target(name);
    let seeds = (target.seeds)();
    let let_in = seeds.iter().filter(|seed| (target.run)(seed)).count();
    assert!(let_in > 0, "no seed gets in: the target tries nothing");
    assert!(let_in < seeds.len(), "every seed gets in");
    for seed in &seeds {
        assert!(seed.len() <= target.max_len);
        for changed in changes(seed, CHANGES / seeds.len()) {
            (target.run)(&changed);
        }
    }
    let kept = Path::new("tests/fuzz_regressions/kept").join(name);
    let Ok(kept) = fs::read_dir(kept) else { return };
    for entry in kept {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        (target.run)(&fs::read(&path).unwrap());
    }
}

/// Of a seed: bits turned, its end cut off, a part said twice. The same in every run.
fn changes(seed: &[u8], at_most: usize) -> impl Iterator<Item = Vec<u8>> {
    let count = if seed.is_empty() { 0 } else { at_most.min(CHANGES_OF_A_SEED) };
    (0..count).map(move |number| {
        let at = number * 7919 % seed.len();
        let mut changed = seed.to_vec();
        match number % 3 {
            0 => changed[at] ^= 1 << (number % 8),
            1 => changed.truncate(at),
            _ => changed.extend_from_within(at..seed.len().min(at + 40)),
        }
        changed
    })
}

macro_rules! replayed {
    ($($name:ident: $target:literal),* $(,)?) => {$(
        #[test]
        fn $name() {
            replay($target);
        }
    )*};
}

replayed! {
    no_token_is_let_in_that_nobody_signed: "token",
    signed_bytes_are_refused_or_obey_the_profile: "payload",
    signed_blocks_are_refused_or_obey_the_profile: "block",
    scopes_mean_what_their_segments_say: "scope",
    one_bearer_is_taken_from_a_request_or_none: "bearer",
    a_policy_text_loads_or_is_refused_at_its_place: "policy",
    no_message_is_forwarded_that_is_not_granted: "message",
    a_changed_store_opens_whole_or_not_at_all: "store",
}

#[test]
fn every_target_is_replayed() {
    let tests = include_str!("main.rs");
    for target in &TARGETS {
        let test = format!(": \"{}\"", target.name);
        assert!(tests.contains(&test), "{} is not replayed", target.name);
    }
}
