//! The worst token: climbs from token to token to the one that costs the most time, or the most memory, of all
//! that the bound of the work lets pass.
//!
//! `cargo bench --bench worst_token -- 600` climbs for 600 seconds; `-- --test` for ten. `HARDTACK_WORST_SEED` chooses
//! the chances, which are the same for the same seed; which way a climb takes also depends on what was measured.

#![allow(clippy::disallowed_methods, reason = "time is what is measured")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a program has no outside")]

mod dice;
mod genome;
mod request;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dice::Dice;
use genome::Genome;
use hardtack::internal::JsonSize;
use hardtack::*;
use hardtack_testkit::clock::Clock;
use hardtack_testkit::{AUDIENCE, Cast, NOW};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What one decision may cost about what is seen of a call.
const MOST_TIME: Duration = Duration::from_millis(5);
const MOST_MEMORY: usize = 4 << 20;

/// With `--test`, in a moment and beside other work, only what multiplies work is found: as in `tests/hostile`.
const TIMES_IN_A_TEST: u32 = 2;

/// A call beyond this is not seen whole (`docs/profile.md`), and reading it may take as long as `tests/hostile/large.rs` says.
const SEEN_BYTES: usize = 64 << 10;
const SEEN_VALUES: usize = 1000;
const PER_BYTE: Duration = Duration::from_nanos(45);
const PER_VALUE: Duration = Duration::from_nanos(700);

/// How often a climb begins anew.
const STEPS_OF_A_CLIMB: usize = 400;

/// What seems to be beyond the bounds is measured again so often, after pauses of this length.
const ROUNDS: usize = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// What is climbed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Summit {
    /// [`Guard::check`] of a token that is seen for the first time.
    Cold,
    /// The same of one whose signatures are remembered and whose policies are prepared.
    Warm,
    /// The peak of memory.
    Memory,
}

/// A token and call in the form in which they are sent.
struct Sent {
    bearer: String,
    resource: Option<String>,
    arguments: String,
}

#[derive(Debug, Clone)]
struct Measured {
    cause: &'static str,
    message: String,
    cold: Duration,
    warm: Duration,
    memory: usize,
    /// What it may take.
    most: (Duration, usize),
}

struct Scene {
    cold: Guard,
    warm: Guard,
}

impl Scene {
    fn new() -> Scene {
        let cast = Cast::new();
        let guard = |remembered| {
            let store = Store::in_memory().unwrap();
            let verifier = Verifier::new(cast.roots(), AUDIENCE, store.revocations()).unwrap();
            Guard::new(verifier.remember(remembered), Policy::builtin(), store)
        };
        Scene { cold: guard(0), warm: guard(16) }
    }

    fn once(&self, guard: &Guard, sent: &Sent) -> (Duration, usize, &'static str, String) {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let clock = Clock::start();
        let decided = sent.call().and_then(|call| {
            let decided = guard.check(&sent.bearer, &call, NOW);
            decided.map(drop).map_err(|denial| {
                let refusal = denial.refusal();
                (refusal.cause.as_str(), refusal.message.clone())
            })
        });
        let time = clock.elapsed();
        let memory = MEMORY.peak_usage().saturating_sub(before);
        let (cause, message) = decided.err().unwrap_or(("allowed", String::new()));
        (time, memory, cause, message)
    }

    fn measure(&self, sent: &Sent, tries: usize) -> Measured {
        let (mut cold, mut memory, cause, message) = self.once(&self.cold, sent);
        for _ in 1..tries {
            let (time, peak, ..) = self.once(&self.cold, sent);
            (cold, memory) = (cold.min(time), memory.min(peak));
        }
        self.once(&self.warm, sent);
        let warm = (0..tries).map(|_| self.once(&self.warm, sent).0).min().unwrap_or_default();
        Measured { cause, message, cold, warm, memory, most: sent.most() }
    }
}

impl Sent {
    /// `None` if no token can hold it.
    fn of(genome: &Genome) -> Option<Sent> {
        Some(Sent {
            bearer: genome.forge()?.bearer(),
            resource: genome.request.resource(),
            arguments: genome.request.arguments(),
        })
    }

    /// What deciding about it may take, in time and memory.
    fn most(&self) -> (Duration, usize) {
        let is_test = std::env::args().any(|argument| argument == "--test");
        let time = if is_test { MOST_TIME * TIMES_IN_A_TEST } else { MOST_TIME };
        let bytes = self.arguments.len();
        let values = self.arguments.bytes().filter(|byte| b",[{".contains(byte)).count() + 1;
        if bytes <= SEEN_BYTES && values <= SEEN_VALUES {
            return (time, MOST_MEMORY);
        }
        let many = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let reading = PER_BYTE * many(bytes) + PER_VALUE * many(values);
        (time + reading, MOST_MEMORY + JsonSize::of(self.arguments.as_bytes()).memory(0))
    }

    fn call(&self) -> Result<Call, (&'static str, String)> {
        let inexact = |error: CallError| ("inexact_call", error.to_string());
        let call = Call::tool("search").map_err(inexact)?;
        let call = match &self.resource {
            Some(uri) => call.resource(uri).map_err(inexact)?,
            None => call,
        };
        call.arguments(&self.arguments).map_err(inexact)
    }
}

impl Measured {
    /// Whether its checks were evaluated.
    fn was_evaluated(&self) -> bool {
        ["allowed", "check_failed", "not_evaluable", "exhausted"].contains(&self.cause)
    }

    fn is_beyond(&self) -> bool {
        self.cold > self.most.0 || self.memory > self.most.1
    }

    fn height(&self, summit: Summit) -> u64 {
        match summit {
            Summit::Cold => self.cold.as_nanos() as u64,
            Summit::Warm => self.warm.as_nanos() as u64,
            Summit::Memory => self.memory as u64,
        }
    }
}

/// What was found.
struct Found {
    genome: Genome,
    measured: Measured,
}

struct Search {
    scene: Scene,
    tried: u64,
    evaluated: u64,
    causes: BTreeMap<&'static str, u64>,
    /// What anything came to that was refused before its checks were evaluated.
    refused: BTreeMap<&'static str, (Duration, usize)>,
    /// Whether any of that was beyond what it may take.
    is_beyond: bool,
    worst: BTreeMap<Summit, Vec<Found>>,
}

impl Search {
    /// A token that is accepted by its shape, made so by having fewer checks where it must, and more where it may.
    fn fitted(&mut self, mut genome: Genome) -> Option<(Genome, Measured)> {
        let mut best: Option<(Genome, Measured)> = None;
        for _ in 0..4 {
            let forged = std::panic::catch_unwind(|| Sent::of(&genome));
            // The parser of the plain library does not take what was written.
            let Some(sent) = forged.ok()? else {
                if best.is_some() {
                    return best;
                }
                genome.scale(0.5);
                continue;
            };
            let mut measured = self.scene.measure(&sent, 1);
            for _ in 0..ROUNDS {
                if measured.is_beyond() {
                    // Was it the token, or what else the core's other half did? That passes.
                    std::thread::sleep(PAUSE);
                    let again = self.scene.measure(&sent, 20);
                    measured.cold = measured.cold.min(again.cold);
                    measured.memory = measured.memory.min(again.memory);
                }
            }
            if measured.is_beyond() {
                println!("beyond the bounds: {measured:?}, {genome:?}");
            }
            self.count(&measured);
            if measured.was_evaluated() {
                let taller = best.as_ref().is_none_or(|(_, known)| measured.cold > known.cold);
                if !taller {
                    return best;
                }
                best = Some((genome.clone(), measured));
                genome.scale(1.7);
                continue;
            }
            if best.is_some() {
                return best;
            }
            match (measured.cause, cost(&measured.message)) {
                ("too_costly", Some(cost)) => genome.scale(45_000.0 / cost as f64),
                ("over_limit" | "too_large", _) => genome.scale(0.5),
                _ => return None,
            }
        }
        best
    }

    fn count(&mut self, measured: &Measured) {
        self.tried += 1;
        self.evaluated += u64::from(measured.was_evaluated());
        *self.causes.entry(measured.cause).or_default() += 1;
        if !measured.was_evaluated() {
            self.is_beyond |= measured.is_beyond();
            let most = self.refused.entry(measured.cause).or_default();
            *most = (most.0.max(measured.cold), most.1.max(measured.memory));
        }
    }

    fn climb(&mut self, summit: Summit, dice: &mut Dice, until: Instant) {
        let mut here: Option<(Genome, Measured)> = None;
        for _ in 0..STEPS_OF_A_CLIMB {
            if Instant::now() > until {
                break;
            }
            let next = match &here {
                Some((genome, _)) => {
                    let mut genome = genome.clone();
                    genome.mutate(dice);
                    genome
                }
                None => Genome::random(dice),
            };
            let Some((genome, mut measured)) = self.fitted(next) else { continue };
            let known = here.as_ref().map_or(0, |(_, measured)| measured.height(summit));
            if measured.height(summit) > known {
                // Was it the token or the machine?
                let Some(sent) = Sent::of(&genome) else { continue };
                measured = self.scene.measure(&sent, 4);
                if measured.height(summit) > known {
                    here = Some((genome, measured));
                }
            }
        }
        if let Some((genome, measured)) = here {
            let worst = self.worst.entry(summit).or_default();
            worst.push(Found { genome, measured });
            worst.sort_by_key(|found| std::cmp::Reverse(found.measured.height(summit)));
            worst.truncate(5);
        }
    }
}

/// The number in "could cost … units".
fn cost(message: &str) -> Option<u64> {
    message.split("could cost ").nth(1)?.split(' ').next()?.parse().ok()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let short = arguments.iter().any(|argument| argument == "--test");
    let named = arguments.iter().find_map(|argument| argument.parse().ok());
    let seconds = named.unwrap_or(if short { 10 } else { 120 });
    let seed = std::env::var("HARDTACK_WORST_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut dice = Dice(seed.unwrap_or(1));
    // That the plain library's parser does not take what was written is no news.
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("forge.rs") {
            eprintln!("{info}")
        }
    }));

    let mut search = Search {
        scene: Scene::new(),
        tried: 0,
        evaluated: 0,
        causes: BTreeMap::new(),
        refused: BTreeMap::new(),
        is_beyond: false,
        worst: BTreeMap::new(),
    };
    let plain = Cast::new().presented().bearer().to_owned();
    let plain = Sent { bearer: plain, resource: None, arguments: "{}".to_owned() };
    let plain = search.scene.measure(&plain, 50);
    println!(
        "the seed chain: cold {:?}, warm {:?}, {} bytes",
        plain.cold, plain.warm, plain.memory
    );

    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        for summit in [Summit::Cold, Summit::Warm, Summit::Memory] {
            search.climb(summit, &mut dice, until);
        }
    }

    println!("{} tokens, {} evaluated: {:?}", search.tried, search.evaluated, search.causes);
    println!("refused before they were evaluated, at most: {:?}", search.refused);
    let mut beyond = search.is_beyond;
    for (summit, found) in std::mem::take(&mut search.worst) {
        for Found { genome, .. } in found {
            let Some(sent) = Sent::of(&genome) else { continue };
            let measured = search.scene.measure(&sent, 20);
            report(summit, &genome, &sent, &measured, &plain);
            after(&search.scene, &sent);
            beyond |= measured.is_beyond();
        }
    }
    if beyond && !cfg!(debug_assertions) {
        println!(
            "beyond {MOST_TIME:?} or {MOST_MEMORY} bytes, or what reading a large call may take besides"
        );
        std::process::exit(1);
    }
}

fn report(summit: Summit, genome: &Genome, sent: &Sent, measured: &Measured, plain: &Measured) {
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    println!(
        "\n{summit:?}: cold {:?} ({:.1} seed chains), warm {:?} ({:.1}), {} KiB; {}; bearer {} bytes, arguments {} bytes",
        measured.cold,
        ratio(measured.cold, plain.cold),
        measured.warm,
        ratio(measured.warm, plain.warm),
        measured.memory / 1024,
        measured.cause,
        sent.bearer.len(),
        sent.arguments.len(),
    );
    println!(
        "  {} hops, {} caveats, {} scopes, {} words; {:?}",
        genome.hops, genome.caveats, genome.scopes, genome.words, genome.request
    );
    let demands =
        genome.demands().and_then(|demands| demands.into_iter().next()).unwrap_or_default();
    println!("  {}", demands.chars().take(600).collect::<String>());
}

/// The shortest of five.
fn timed<T>(what: impl Fn() -> T) -> (Duration, T) {
    let once = || {
        let clock = Clock::start();
        let value = what();
        (clock.elapsed(), value)
    };
    let more: Vec<_> = (0..4).map(|_| once()).collect();
    more.into_iter().fold(once(), |least, next| if next.0 < least.0 { next } else { least })
}

/// What else is asked of such a token: an explanation, and whether it is worth trying.
fn after(scene: &Scene, sent: &Sent) {
    let Ok(call) = sent.call() else { return };
    let (explained, explanation) = timed(|| scene.cold.explain(&sent.bearer, &call, NOW));
    scene.once(&scene.warm, sent);
    let (remembered, verified) =
        timed(|| scene.warm.verifier().verify_remembered(&sent.bearer, NOW));
    let preview = verified.map(|verified| timed(|| scene.warm.preview(&verified, &call)));
    println!(
        "  explained in {explained:?} ({} steps), remembered in {remembered:?}, preview {preview:?}",
        explanation.steps.len()
    );
}
