//! The hostile corpus: tokens and calls that somebody makes who holds tokens, knows every rule and hates
//! you. Each has a name and the cause for which it must be refused; each is refused with just that cause,
//! within bounds of time and memory, and every family also has what is accepted, so that a refusal is
//! for what was changed and for nothing else.
//!
//! `HARDTACK_HOSTILE_OUT=FILE cargo test --test hostile` writes it as JSON lines, for other verifiers.

mod case;
mod seed;

#[path = "../common/mod.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use case::{Case, Scene};
use peak_alloc::PeakAlloc;

/// Sees the memory of a check.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What one decision may cost, in a build with optimisation: a server meets bad tokens by the thousand.
const MOST_TIME: Duration = Duration::from_millis(5);
const MOST_MEMORY: usize = 4 << 20;

/// A case is timed so often at most, and the best counts: the machine has other things to do.
const TRIES: usize = 20;

/// What each family must hold, at least.
const FAMILIES: [(&str, usize); 1] = [("seed", 1)];

fn corpus() -> Vec<Case> {
    let families: [Vec<Case>; 1] = [seed::cases()];
    families.concat()
}

/// All in one test, since the memory of a decision can be seen only while nothing else runs.
#[test]
fn each_case_is_refused_with_its_cause_within_the_bounds() {
    let scene = Scene::new();
    let cases = corpus();
    let mut wrong = Vec::new();
    let mut worst = BTreeMap::<&str, (Duration, usize)>::new();
    for case in &cases {
        let answer = scene.decide(case);
        if answer != case.expected {
            wrong.push(format!("{}: expected {:?}, got {answer:?}", case.name, case.expected));
        }
        if !cfg!(debug_assertions) {
            let (time, memory) = cost(&scene, case);
            if time > MOST_TIME || memory > MOST_MEMORY {
                wrong.push(format!("{}: {time:?}, {memory} bytes", case.name));
            }
            let worst = worst.entry(case.family()).or_default();
            *worst = (worst.0.max(time), worst.1.max(memory));
        }
    }
    for (family, count) in counts(&cases) {
        println!(
            "{family}: {} refused, {} accepted; worst {:?}",
            count.0,
            count.1,
            worst.get(family)
        );
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn the_corpus_has_what_it_says() {
    let cases = corpus();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    let tokens: BTreeSet<_> = cases.iter().map(|case| &case.input).collect();
    assert_eq!(tokens.len(), cases.len(), "two cases of one content");
    let counts = counts(&cases);
    for (family, least) in FAMILIES {
        let (refused, accepted) = counts[family];
        assert!(
            refused >= least,
            "{family} has {refused} cases to refuse, and should have {least}"
        );
        assert!(accepted > 0, "{family} has nothing that is accepted");
    }
    assert_eq!(counts.len(), FAMILIES.len(), "{:?}", counts.keys());
    if let Some(path) = std::env::var_os("HARDTACK_HOSTILE_OUT") {
        let mut file = std::fs::File::create(path).unwrap();
        for case in &cases {
            writeln!(file, "{}", case.to_json()).unwrap();
        }
    }
}

#[test]
fn the_corpus_is_the_same_every_time() {
    let inputs = |cases: Vec<Case>| cases.into_iter().map(|case| (case.name, case.input));
    assert!(inputs(corpus()).eq(inputs(corpus())));
}

/// The verdicts are no matter of luck: eight threads decide all cases at once, each from another end.
#[test]
fn verdicts_are_the_same_with_eight_busy_threads() {
    let scene = Scene::new();
    let cases = corpus();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (scene, cases) = (&scene, &cases);
            scope.spawn(move || {
                let start = cases.len() * thread / 8;
                for case in cases[start..].iter().chain(&cases[..start]) {
                    assert_eq!(scene.decide(case), case.expected, "{}", case.name);
                }
            });
        }
    });
}

/// The least of several tries, of which there are more while it looks bad.
#[allow(clippy::disallowed_methods, reason = "time is what is measured")]
fn cost(scene: &Scene, case: &Case) -> (Duration, usize) {
    let mut least = (Duration::MAX, usize::MAX);
    for _ in 0..TRIES {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let start = Instant::now();
        std::hint::black_box(scene.decide(case));
        let time = start.elapsed();
        let memory = MEMORY.peak_usage().saturating_sub(before);
        least = (least.0.min(time), least.1.min(memory));
        if least.0 < MOST_TIME / 2 && least.1 < MOST_MEMORY {
            break;
        }
    }
    least
}

/// Refused and accepted, by family.
fn counts(cases: &[Case]) -> BTreeMap<&str, (usize, usize)> {
    let mut counts = BTreeMap::<&str, (usize, usize)>::new();
    for case in cases {
        let count = counts.entry(case.family()).or_default();
        match case.expected {
            case::Expected::Accepted => count.1 += 1,
            case::Expected::Refused { .. } => count.0 += 1,
        }
    }
    counts
}
