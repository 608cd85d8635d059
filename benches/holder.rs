//! What a holder pays: to delegate and to present, beside the signatures that it cannot do without and beside a cold check.
//!
//! `cargo bench --bench holder` prints ratios of one run. `cargo bench --bench holder -- ROW TIMES` does one row so many
//! times and prints nothing, for a tool that counts instructions. The chain is a grant and three bound hops, and what is
//! presented under it has ten signatures. `naive` does the same with biscuit-auth alone, which reads the whole token each
//! time and checks no shape; a presentation is an appended third-party block and a seal there.

use std::hint::black_box;
use std::time::{Duration, Instant};

use biscuit_auth::builder::{Algorithm, BlockBuilder};
use biscuit_auth::{KeyPair, UnverifiedBiscuit};
use hardtack::revocation::RevocationUnchecked;
use hardtack::{
    Call, Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys,
    Timestamp, Verifier,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);
const AUDIENCE: &str = "notion.mcp";

/// Rounds in which every row is measured once; the fastest counts, since other programs only make it slower.
const ROUNDS: usize = 15;

/// How long a row runs in a round.
const TURN: Duration = Duration::from_millis(40);

/// The bytes of a hop's block, roughly: what is signed beside its signature.
const BLOCK_BYTES: usize = 450;

struct Scene {
    keys: [PrivateKey; 5],
    leaf: Capability,
    leaf_text: String,
    bearer: String,
    guard: Guard,
    call: Call,
    signer: KeyPair,
    hop: BlockBuilder,
}

fn hop(index: usize, keys: &[PrivateKey; 5]) -> Delegation {
    let (agent, scope, reason) = match index {
        1 => ("agent.orchestrator", "tools:call:*", "prepare the release notes"),
        2 => ("agent.researcher", "tools:call:search", "find the roadmap page"),
        _ => ("agent.helper", "tools:call:search", "read the second page"),
    };
    Delegation::to(agent).scope(scope).reason(reason).holder(keys[index].public())
}

/// The fourth hop, as biscuit-auth takes it.
fn hop_in_datalog(holder: &PrivateKey) -> String {
    let key = holder.public();
    let bytes = key.to_string().replace("ed25519/", "hex:");
    format!(
        r#"hop(4); delegate("agent.helper"); scope("tools:call:search"); expires(2026-11-23T10:15:00Z);
        reason("read the second page"); parent(hex:000102030405060708090a0b0c0d0e0f); holder({bytes});
        check all time($time), $time < 2026-11-23T10:15:00Z;
        check all operation($operation), {{"tools:call:search"}}.contains($operation);
        check if hop($hop), $hop > 4 trusting {key};"#
    )
}

impl Scene {
    fn new() -> Scene {
        let issuer = Issuer::new(PrivateKey::generate());
        let keys: [PrivateKey; 5] = std::array::from_fn(|_| PrivateKey::generate());
        let grant = Grant::to("user:alice").scope("tools:call:*").fact("role", ["editor"]);
        let mut leaf = issuer.mint(grant.holder(keys[0].public()), NOW).unwrap();
        for index in 1..4 {
            leaf = leaf.delegate(hop(index, &keys), &keys[index - 1], NOW).unwrap();
        }
        let bearer = leaf.present(Presenting::to(AUDIENCE), &keys[3], NOW).unwrap();
        let roots = RootKeys::of(issuer.public());
        let verifier = Verifier::new(roots, AUDIENCE, RevocationUnchecked).unwrap().remember(0);
        Scene {
            leaf_text: leaf.to_base64(),
            leaf,
            bearer: bearer.bearer().to_owned(),
            guard: Guard::unrecorded(verifier, Policy::builtin()),
            call: Call::tool("search").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap(),
            signer: KeyPair::new_with_algorithm(Algorithm::Ed25519),
            hop: BlockBuilder::new().code(hop_in_datalog(&keys[4])).unwrap(),
            keys,
        }
    }

    fn signatures(&self, count: usize) {
        let block = [7; BLOCK_BYTES];
        black_box(KeyPair::new_with_algorithm(Algorithm::Ed25519));
        for _ in 0..count {
            black_box(self.signer.sign(black_box(&block)).unwrap());
        }
    }

    fn delegate(&self, parent: &Capability) -> String {
        parent.delegate(hop(4, &self.keys), &self.keys[3], NOW).unwrap().to_base64()
    }

    fn present(&self, parent: &Capability) -> String {
        let presented = parent.present(Presenting::to(AUDIENCE), &self.keys[3], NOW).unwrap();
        presented.bearer().to_owned()
    }

    fn parsed(&self) -> Capability {
        Capability::parse(black_box(&self.leaf_text)).unwrap()
    }

    fn naive_append(&self) -> UnverifiedBiscuit {
        let parent = UnverifiedBiscuit::from_base64(black_box(&self.leaf_text)).unwrap();
        let request = parent.third_party_request().unwrap();
        let block = request.create_block(&self.signer.private(), self.hop.clone()).unwrap();
        parent.append_third_party(&block.serialize().unwrap()).unwrap()
    }

    fn naive_present(&self) -> String {
        self.naive_append().seal().unwrap().to_base64().unwrap()
    }
}

type Row = (&'static str, fn(&Scene));

const ROWS: [Row; 10] = [
    ("cold", |scene| drop(scene.guard.check(black_box(&scene.bearer), &scene.call, NOW).unwrap())),
    ("check", |scene| assert_eq!(scene.parsed().first_damaged_block(), None)),
    ("two", |scene| scene.signatures(2)),
    ("three", |scene| scene.signatures(3)),
    ("delegate", |scene| drop(black_box(scene.delegate(&scene.leaf)))),
    ("delegate-parsed", |scene| drop(black_box(scene.delegate(&scene.parsed())))),
    ("delegate-naive", |scene| drop(black_box(scene.naive_append().to_base64().unwrap()))),
    ("present", |scene| drop(black_box(scene.present(&scene.leaf)))),
    ("present-parsed", |scene| drop(black_box(scene.present(&scene.parsed())))),
    ("present-naive", |scene| drop(black_box(scene.naive_present()))),
];

/// The seconds that each row takes once.
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn measure(scene: &Scene) -> [f64; ROWS.len()] {
    let mut fastest = [f64::MAX; ROWS.len()];
    for _ in 0..ROUNDS {
        for (index, (_, row)) in ROWS.iter().enumerate() {
            let (mut times, start) = (0, Instant::now());
            while start.elapsed() < TURN {
                row(scene);
                times += 1;
            }
            let each = start.elapsed().as_secs_f64() / f64::from(times);
            fastest[index] = fastest[index].min(each);
        }
    }
    fastest
}

fn print(taken: &[f64]) {
    let of = |name: &str| taken[ROWS.iter().position(|(row, _)| *row == name).unwrap()];
    for (name, _) in ROWS {
        println!("{name:<16} {:>8.1} us", of(name) * 1e6);
    }
    println!();
    let ratio = |what: &str, ratio: f64, goal: &str| println!("{what:<64} {ratio:>6.2}  {goal}");
    ratio("delegate / its signatures and key", of("delegate") / of("two"), "goal 2");
    ratio("delegate / naive", of("delegate") / of("delegate-naive"), "");
    let parts = of("check") + of("two");
    ratio(
        "parse, delegate / check of the parent, signatures, key",
        of("delegate-parsed") / parts,
        "goal 1.3",
    );
    ratio("present / cold check", of("present") / of("cold"), "goal 0.15");
    ratio("present / its signatures and key", of("present") / of("three"), "");
    ratio("present / naive", of("present") / of("present-naive"), "");
    let parts = of("check") + of("three");
    ratio(
        "parse, present / check of the parent, signatures, key",
        of("present-parsed") / parts,
        "",
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let scene = Scene::new();
    match arguments.as_slice() {
        // What Cargo's tests call it with: it runs, and takes no time.
        [test] if test == "--test" => ROWS.iter().for_each(|(_, row)| row(&scene)),
        [name, times] => {
            let (_, row) = ROWS.iter().find(|(row, _)| row == name).expect("a row of that name");
            (0..times.parse::<usize>().expect("how often")).for_each(|_| row(&scene));
        }
        _ => print(&measure(&scene)),
    }
}
