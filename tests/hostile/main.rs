//! The hostile corpus: tokens and calls that somebody makes who holds tokens, knows every rule and hates
//! you. Each has a name and the cause for which it must be refused; each is refused with just that cause,
//! within bounds of time and memory, and every family also has what is accepted, so that a refusal is
//! for what was changed and for nothing else.
//!
//! `HARDTACK_HOSTILE_OUT=FILE cargo test --test hostile` writes it as JSON lines, for other verifiers.

#![allow(unreachable_pub, reason = "a test has no outside")]

mod arguments;
mod audiences;
mod case;
mod chain;
mod cost;
mod cost_caps;
mod cost_errors;
mod cost_texts;
mod craft;
mod dates;
mod demands;
mod encoding;
mod fields;
mod large;
mod names;
mod reasons;
mod scopes;
mod seed;
mod shape;
mod sites;
mod splicing;
mod time;
mod urls;
mod widening;
mod wire;
mod worst;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use case::{Case, Scene};
use hardtack_testkit::clock::{Clock, Speed};
use peak_alloc::PeakAlloc;

/// Sees the memory of a check.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What one decision may take, in a build with optimisation: a server meets bad tokens by the thousand. The costliest take half of it on the
/// machine that `docs/cost.md` names: on another one, that depends on more than [`Speed`] measures. What they cost to the instruction,
/// `ci/instructions` holds; this is for what multiplies work.
const MOST_TIME: Duration = Duration::from_millis(10);
const MOST_MEMORY: usize = 4 << 20;

/// What an explanation may take.
const MOST_TIME_TO_EXPLAIN: Duration = Duration::from_millis(100);

/// A case is timed so often at most, and the best counts: the machine has other things to do.
const TRIES: usize = if cfg!(debug_assertions) { 1 } else { 60 };

/// What each family must hold, at least.
const FAMILIES: [(&str, usize); 13] = [
    ("seed", 1),
    ("encoding", 800),
    ("shape", 1000),
    ("splicing", 800),
    ("fields", 2900),
    ("scopes", 300),
    ("names", 250),
    ("audiences", 300),
    ("urls", 350),
    ("time", 280),
    ("arguments", 300),
    ("cost", 600),
    ("worst", 10),
];

static CORPUS: LazyLock<Vec<Case>> = LazyLock::new(corpus);

fn corpus() -> Vec<Case> {
    let families: [Vec<Case>; 18] = [
        seed::cases(),
        encoding::cases(),
        shape::cases(),
        splicing::cases(),
        fields::cases(),
        scopes::cases(),
        widening::cases(),
        names::cases(),
        reasons::cases(),
        audiences::cases(),
        urls::cases(),
        sites::cases(),
        time::cases(),
        dates::cases(),
        arguments::cases(),
        demands::cases(),
        cost::cases(),
        worst::cases(),
    ];
    families.concat()
}

/// One test at a time: the memory of a decision can be seen only while nothing else runs.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

static TURN: Mutex<()> = Mutex::new(());

#[test]
fn each_case_is_refused_with_its_cause_within_the_bounds() {
    let _turn = turn();
    let scene = Scene::new();
    let cases = &*CORPUS;
    let mut wrong = Vec::new();
    let mut worst = BTreeMap::<&str, (Duration, &str, usize)>::new();
    for case in cases {
        let answer = scene.decide(case);
        if answer != case.expected {
            wrong.push(format!("{}: expected {:?}, got {answer:?}", case.name, case.expected));
        }
        if !cfg!(debug_assertions) {
            let (time, memory, most) = cost(&scene, case);
            if time > most || memory > MOST_MEMORY {
                wrong.push(format!("{}: {time:?} of {most:?}, {memory} bytes", case.name));
            }
            let worst = worst.entry(case.family()).or_default();
            let slowest = (worst.0, worst.1).max((time, &case.name));
            *worst = (slowest.0, slowest.1, worst.2.max(memory));
        }
    }
    for (family, count) in counts(cases) {
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
    let _turn = turn();
    let cases = &*CORPUS;
    let mut names = BTreeSet::new();
    for case in cases {
        assert!(names.insert(&case.name), "two cases of one name: {}", case.name);
    }
    let tokens: BTreeSet<_> = cases.iter().map(|case| &case.input).collect();
    assert_eq!(tokens.len(), cases.len(), "two cases of one content");
    let counts = counts(cases);
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
        for case in cases {
            writeln!(file, "{}", case.to_json()).unwrap();
        }
    }
}

#[test]
fn the_corpus_is_the_same_every_time() {
    let _turn = turn();
    let again = corpus();
    let same = |(one, other): (&Case, &Case)| one.name == other.name && one.input == other.input;
    assert!(again.len() == CORPUS.len() && again.iter().zip(&*CORPUS).all(same));
}

/// The verdicts are no matter of luck: eight threads decide all cases at once, each from another end. Without
/// optimisation, each decides its eighth.
#[test]
fn verdicts_are_the_same_with_eight_busy_threads() {
    let _turn = turn();
    let scene = Scene::new();
    let (stride, scene) = (if cfg!(debug_assertions) { THREADS } else { 1 }, &scene);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let start = CORPUS.len() * thread / THREADS;
                let turned = CORPUS[start..].iter().chain(&CORPUS[..start]);
                for case in turned.skip(thread % stride).step_by(stride) {
                    assert_eq!(scene.decide(case), case.expected, "{}", case.name);
                }
            });
        }
    });
}

/// Nor are they a matter of what came before: the same where the threads share what is remembered of all cases, or of a few that push each
/// other out. Without optimisation, each case is decided by two of the threads.
#[test]
fn verdicts_are_the_same_where_eight_threads_share_what_is_remembered() {
    let _turn = turn();
    let stride = if cfg!(debug_assertions) { THREADS } else { 1 };
    for remembered in [4, 4096] {
        let scene = &Scene::remembering(remembered);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    let start = CORPUS.len() * thread / THREADS;
                    for skipped in [thread, thread + 1] {
                        let turned = CORPUS[start..].iter().chain(&CORPUS[..start]);
                        for case in turned.skip(skipped % stride).step_by(stride) {
                            assert_eq!(scene.decide(case), case.expected, "{}", case.name);
                        }
                    }
                });
            }
        });
    }
}

const THREADS: usize = 8;
/// What else is asked of such tokens: an explanation, for a person who waits, and whether it is worth trying, for lists.
#[test]
fn explanations_and_previews_take_bounded_time() {
    let _turn = turn();
    let scene = Scene::new();
    // Without optimisation only what is made to take long is asked, and no time is compared.
    let costly =
        |case: &&Case| !cfg!(debug_assertions) || ["cost", "worst"].contains(&case.family());
    let mut wrong = Vec::new();
    for case in CORPUS.iter().filter(costly) {
        let explained = late(|| scene.explain(case), MOST_TIME_TO_EXPLAIN);
        let foreseen = late(|| scene.foresee(case), MOST_TIME);
        if !cfg!(debug_assertions) && explained.or(foreseen).is_some() {
            wrong.push(format!("{}: {explained:?}, {foreseen:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The shortest of several tries, if it is longer than this machine may take for it. There are more tries only while it
/// looks bad.
fn late<T>(what: impl Fn() -> T, most: Duration) -> Option<Duration> {
    let (mut least, mut here) = (Duration::MAX, most);
    let mut speed = None;
    for _ in 0..TRIES {
        let clock = Clock::start();
        std::hint::black_box(what());
        least = least.min(clock.elapsed());
        if least < most / 2 {
            break;
        }
        here = beside(&mut speed).here(most);
    }
    (least > here).then_some(least)
}

/// The least time and memory of several tries, of which there are more while it looks bad, and the most time that it may
/// take on this machine.
fn cost(scene: &Scene, case: &Case) -> (Duration, usize, Duration) {
    let (mut least, mut most) = ((Duration::MAX, usize::MAX), MOST_TIME);
    let mut speed = None;
    for _ in 0..TRIES {
        let guard = scene.guard(case.input.server);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let clock = Clock::start();
        std::hint::black_box(case.decided_by(&guard));
        let time = clock.elapsed();
        let memory = MEMORY.peak_usage().saturating_sub(before);
        least = (least.0.min(time), least.1.min(memory));
        if least.0 < MOST_TIME / 2 && least.1 < MOST_MEMORY {
            break;
        }
        most = beside(&mut speed).here(MOST_TIME);
    }
    (least.0, least.1, most)
}

/// How fast the machine is, measured once more.
fn beside(speed: &mut Option<Speed>) -> &Speed {
    let speed = speed.get_or_insert_with(Speed::measured);
    speed.measure();
    speed
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
