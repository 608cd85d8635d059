//! The life of a three-hop chain: mint, delegate, present, check; and how large it is.
//!
//! `cargo bench --bench lifecycle`. Times are for comparison within one run; `biscuit` evaluates the
//! same token in the same run with biscuit-auth alone, which checks less (see `docs/profile.md`).

use std::hint::black_box;
use std::time::Duration;

use biscuit_auth::builder::{AuthorizerBuilder, Term, fact, string};
use biscuit_auth::datalog::RunLimits;
use criterion::{Criterion, criterion_group, criterion_main};
use hardtack::{
    Call, Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, RootKeys,
    Store, Timestamp, Verifier,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);
const AUDIENCE: &str = "notion.mcp";

/// The README's chain with one more agent: alice, orchestrator, researcher, helper.
struct Scene {
    issuer: Issuer,
    keys: [PrivateKey; 4],
    tokens: Vec<Capability>,
}

fn grant(scene: &[PrivateKey; 4]) -> Grant {
    Grant::to("user:alice")
        .scope("tools:call:*")
        .fact_datalog("role(\"editor\")")
        .holder(scene[0].public())
}

fn hop(index: usize, keys: &[PrivateKey; 4]) -> Delegation {
    let (agent, scope, reason) = match index {
        1 => ("agent.orchestrator", "tools:call:*", "prepare the release notes"),
        2 => ("agent.researcher", "tools:call:search", "find the roadmap page"),
        _ => ("agent.helper", "tools:call:search", "read the second page"),
    };
    Delegation::to(agent).scope(scope).reason(reason).holder(keys[index].public())
}

impl Scene {
    fn new() -> Scene {
        let issuer = Issuer::new(PrivateKey::generate());
        let keys = std::array::from_fn(|_| PrivateKey::generate());
        let mut tokens = vec![issuer.mint(grant(&keys), NOW).unwrap()];
        for index in 1..4 {
            let next = tokens[index - 1].delegate(hop(index, &keys), &keys[index - 1], NOW);
            tokens.push(next.unwrap());
        }
        Scene { issuer, keys, tokens }
    }

    fn bearer(&self) -> String {
        let presented = self.tokens[3].present(Presenting::to(AUDIENCE), &self.keys[3], NOW);
        presented.unwrap().bearer().to_owned()
    }

    fn verifier(&self, store: &Store) -> Verifier {
        let roots = RootKeys::of(self.issuer.public());
        Verifier::new(roots, AUDIENCE, store.revocations()).unwrap()
    }
}

fn sizes(scene: &Scene) {
    let bytes: Vec<usize> = scene.tokens.iter().map(|token| token.to_bytes().len()).collect();
    let bearer = scene.bearer();
    let presented = Capability::parse(&bearer).unwrap().to_bytes().len();
    println!("grant                {:>5} bytes", bytes[0]);
    for (index, pair) in bytes.windows(2).enumerate() {
        println!("hop {}                {:>5} bytes", index + 1, pair[1] - pair[0]);
    }
    println!("presentation, sealed {:>5} bytes", presented - bytes[3]);
    println!("the bearer           {:>5} bytes, {} characters", presented, bearer.len());
}

/// The same questions, as far as biscuit-auth alone can ask them.
fn with_biscuit_alone(bearer: &str, root: biscuit_auth::PublicKey) -> bool {
    let token = biscuit_auth::Biscuit::from_base64(bearer, root).unwrap();
    let builder = AuthorizerBuilder::new()
        .set_limits(RunLimits { max_time: Duration::from_secs(1), ..RunLimits::default() })
        .fact(fact("time", &[Term::Date(NOW.unix_seconds())]))
        .and_then(|builder| builder.fact(fact("operation", &[string("tools:call:search")])))
        .and_then(|builder| builder.fact(fact("verifier", &[string(AUDIENCE)])))
        .and_then(|builder| builder.fact(fact("depth", &[Term::Integer(3)])))
        .and_then(|builder| builder.code("allow if operation($op);"))
        .unwrap();
    #[allow(clippy::disallowed_methods, reason = "this is what it is compared with")]
    builder.build(&token).unwrap().authorize().is_ok()
}

fn lifecycle(c: &mut Criterion) {
    let scene = Scene::new();
    sizes(&scene);
    let bearer = scene.bearer();
    let root: biscuit_auth::PublicKey = scene.issuer.public().to_string().parse().unwrap();
    let call = Call::tool("search").unwrap().arguments(r#"{"query": "roadmap"}"#).unwrap();
    let store = Store::in_memory().unwrap();
    let unrecorded = Guard::unrecorded(scene.verifier(&store), Policy::builtin());
    let recorded = Guard::new(scene.verifier(&store), Policy::builtin(), store.clone());
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Store::create(folder.path().join("store")).unwrap();
    let durable = Guard::new(scene.verifier(&on_disk), Policy::builtin(), on_disk.clone());
    assert!(with_biscuit_alone(&bearer, root));

    let mut group = c.benchmark_group("three hops");
    group
        .bench_function("mint", |b| b.iter(|| scene.issuer.mint(grant(&scene.keys), NOW).unwrap()));
    group.bench_function("delegate", |b| {
        b.iter(|| scene.tokens[2].delegate(hop(3, &scene.keys), &scene.keys[2], NOW).unwrap());
    });
    group.bench_function("present", |b| b.iter(|| scene.bearer()));
    group.bench_function("biscuit", |b| b.iter(|| with_biscuit_alone(black_box(&bearer), root)));
    group.bench_function("check", |b| {
        b.iter(|| unrecorded.check(black_box(&bearer), &call, NOW).unwrap());
    });
    group.bench_function("check, recorded in memory", |b| {
        b.iter(|| recorded.check(black_box(&bearer), &call, NOW).unwrap());
    });
    group.bench_function("check, recorded on disk", |b| {
        b.iter(|| durable.check(black_box(&bearer), &call, NOW).unwrap());
    });
    group.finish();
}

criterion_group!(benches, lifecycle);
criterion_main!(benches);
