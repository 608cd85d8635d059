//! What the store costs: one durable revocation beside an append and a wait for the disk, many at once,
//! lookups, recorded decisions by callers at a time, and opening.
//!
//! `cargo bench --bench store`. Times are for comparison within one run; what is paired is measured in
//! turn. `-- --test` runs everything small, to see that it runs; `-- chained` measures what a record takes whose chain was seen, alone.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hardtack::store::{Sought, StoreReader};
use hardtack::{
    Call, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, Revocation,
    RevocationId, Revoking, RootKeys, Store, Timestamp, Verifier,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

/// How much is done of everything.
struct Scale {
    pairs: u64,
    million: u64,
    decisions: u64,
}

fn main() {
    let small = std::env::args().any(|argument| argument == "--test");
    let scale = match small {
        true => Scale { pairs: 20, million: 20_000, decisions: 512 },
        false => Scale { pairs: 2_000, million: 1_000_000, decisions: 20_000 },
    };
    // Beside the build, on the disk of whoever measures, and not in a memory file system.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    if std::env::args().any(|argument| argument == "chained") {
        return chained(folder.path(), &scale);
    }
    one_revocation(folder.path(), &scale);
    callers(folder.path(), &scale);
    let path = folder.path().join("million");
    many(&path, &scale);
    opening(&path, &scale);
    growth(folder.path(), &scale);
    chained(folder.path(), &scale);
}

fn id(number: u64) -> RevocationId {
    // Spread like signatures are, by a multiplication that loses nothing.
    let mut bytes = [0; 64];
    for (word, part) in bytes.chunks_exact_mut(8).enumerate() {
        let spread = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 + 2 * word as u64);
        part.copy_from_slice(&spread.rotate_left(29).to_le_bytes());
    }
    RevocationId::from_bytes(bytes)
}

fn revoking(number: u64) -> Revoking {
    Revoking::new(Revocation::Id { id: id(number) }, "bench", "laptop stolen").unwrap()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// In blocks that take turns: the disk's caches have no time to prefer one of the two.
fn one_revocation(folder: &Path, scale: &Scale) {
    const BLOCK: u64 = 50;
    let store = Store::create(folder.join("one")).unwrap();
    let mut file = File::create(folder.join("appended")).unwrap();
    let line = [b'x'; 512];
    let (mut appends, mut revocations) = (Vec::new(), Vec::new());
    for block in 0..scale.pairs.div_ceil(BLOCK) {
        for _ in 0..BLOCK {
            let start = Instant::now();
            file.write_all(&line).unwrap();
            file.sync_data().unwrap();
            appends.push(start.elapsed().as_secs_f64());
        }
        for number in 0..BLOCK {
            let revoking = revoking(block * BLOCK + number);
            let start = Instant::now();
            store.revoke(revoking, NOW).unwrap();
            revocations.push(start.elapsed().as_secs_f64());
        }
    }
    let (append, revocation) = (median(appends), median(revocations));
    println!("append and fdatasync, median          {:>9.0} µs", append * 1e6);
    println!("one durable revocation, median        {:>9.0} µs", revocation * 1e6);
    println!("                        ratio         {:>9.2}", revocation / append);
}

fn callers(folder: &Path, scale: &Scale) {
    let root = PrivateKey::generate();
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let roots = RootKeys::of(root.public());
    let grant = Issuer::new(root).mint(grant, NOW).unwrap();
    let researcher = PrivateKey::generate();
    let hop = Delegation::to("agent.researcher")
        .scope("tools:call:search")
        .reason("find the roadmap page")
        .holder(researcher.public());
    let token = grant.delegate(hop, &alice, NOW).unwrap();
    let bearer = token.present(Presenting::to("notion.mcp"), &researcher, NOW).unwrap();
    let call = Call::tool("search").unwrap();
    let rate = |guard: &Guard, callers: u64| {
        let each = (scale.decisions / 4 * (1 + callers / 16)).min(scale.decisions) / callers;
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| {
                    for _ in 0..each {
                        guard.check(bearer.bearer(), &call, NOW).unwrap();
                    }
                });
            }
        });
        (each * callers) as f64 / start.elapsed().as_secs_f64()
    };
    for callers in [1, 16, 256] {
        let store = Store::create(folder.join(format!("callers-{callers}"))).unwrap();
        let verifier = || Verifier::new(roots.clone(), "notion.mcp", store.revocations()).unwrap();
        let unrecorded = Guard::unrecorded(verifier(), Policy::builtin());
        let durable = Guard::new(verifier(), Policy::builtin(), store.clone());
        let buffered =
            Guard::new(verifier(), Policy::builtin(), store.clone().losing_at_most(1000));
        let (none, buffered, durable) =
            (rate(&unrecorded, callers), rate(&buffered, callers), rate(&durable, callers));
        println!(
            "decisions a second, {callers:>3} callers: not recorded {none:>7.0}, buffered {buffered:>7.0}, durable {durable:>7.0}"
        );
    }
    for callers in [1, 16, 256] {
        println!(
            "records a second,   {callers:>3} callers: {:>7.0}",
            records(folder, scale, callers)
        );
    }
}

/// What the store alone takes, without a token to verify: refusals of what is no token. Each has a second of its own, since a guard records
/// so many of a second only; and the store does not take these seconds for its clock.
fn records(folder: &Path, scale: &Scale, callers: u64) -> f64 {
    let store = Store::create(folder.join(format!("records-{callers}"))).unwrap();
    let roots = RootKeys::of(PrivateKey::generate().public());
    let verifier = Verifier::new(roots, "notion.mcp", store.revocations()).unwrap();
    let guard = Guard::new(verifier, Policy::builtin(), store.clone().for_supposed_times());
    let call = Call::tool("search").unwrap();
    let each = scale.decisions * (1 + callers / 32) / callers / 4;
    let second = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                for _ in 0..each {
                    let now = NOW + Duration::from_secs(second.fetch_add(1, Ordering::Relaxed));
                    guard.check("no token", &call, now).unwrap_err();
                }
            });
        }
    });
    let took = start.elapsed();
    let mut recorded = 0;
    store.each_record(|_| recorded += 1).unwrap();
    assert_eq!(recorded, each * callers, "what was measured was not recorded");
    recorded as f64 / took.as_secs_f64()
}

fn many(path: &Path, scale: &Scale) {
    const AT_ONCE: u64 = 10_000;
    let store = Store::create(path).unwrap();
    let mut rates = Vec::new();
    for block in 0..scale.million / AT_ONCE {
        let all = (0..AT_ONCE).map(|number| revoking(block * AT_ONCE + number)).collect();
        let start = Instant::now();
        store.revoke_all(all, NOW).unwrap();
        rates.push(AT_ONCE as f64 / start.elapsed().as_secs_f64());
    }
    println!("revocations a second, 10,000 at once  {:>9.0}", median(rates));
    let revocations = store.revocations();
    let mut samples = Vec::new();
    for round in 0..1000_u64 {
        let ids: Vec<[RevocationId; 4]> = (0..64)
            .map(|n| [0, 1, 2, 3].map(|k| id(scale.million + round * 7919 + n * 104_729 + k)))
            .collect();
        let start = Instant::now();
        for four in &ids {
            assert!(!revocations.contains_any(black_box(four)));
        }
        samples.push(start.elapsed().as_secs_f64() / ids.len() as f64);
    }
    println!("four lookups that find nothing        {:>9.0} ns", median(samples) * 1e9);
}

fn opening(path: &Path, scale: &Scale) {
    let mut samples = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let store = Store::open(path).unwrap();
        samples.push(start.elapsed().as_secs_f64());
        assert!(store.revocations().contains(&id(scale.million - 1)));
    }
    println!("opening with {:>9} revocations    {:>9.0} ms", scale.million, median(samples) * 1e3);
}

/// What is not to grow with the history: at a hundredth of the records, at all of them, and the ratio.
fn growth(folder: &Path, scale: &Scale) {
    let measured = [scale.million / 100, scale.million].map(|records| {
        let path = folder.join(format!("growth-{records}"));
        let start = Instant::now();
        fill(&path, records);
        let filled = start.elapsed().as_secs_f64() / records as f64;
        let timed = |act: &dyn Fn()| {
            let samples = (0..3).map(|_| {
                let start = Instant::now();
                act();
                start.elapsed().as_secs_f64()
            });
            median(samples.collect())
        };
        let open = timed(&|| drop(Store::open(&path).unwrap()));
        let look = timed(&|| drop(StoreReader::open(&path).unwrap()));
        let reader = StoreReader::open(&path).unwrap();
        let search = |sought: &Sought| reader.records_among(1..u64::MAX, sought).count();
        let mut last_minute = Sought::default();
        last_minute.since = Some(NOW + Duration::from_secs(records - 60));
        let mut nobody = Sought::default();
        nobody.agent = Some("agent.nobody".to_owned());
        assert!(search(&last_minute) < 2000 && search(&nobody) < 1000);
        let by_time = timed(&|| assert!(search(&last_minute) > 0));
        let by_agent = timed(&|| assert!(search(&nobody) < 1000));
        drop(reader);
        let bytes = std::fs::metadata(&path).unwrap().len() as f64 / records as f64;
        [filled, open, look, by_time, by_agent, bytes / 1e3]
    });
    let names = [
        "a record, buffered",
        "opening and closing",
        "opening to look",
        "records of a minute",
        "records of nobody",
        "kB a record on disk",
    ];
    for (at, name) in names.iter().enumerate() {
        let [few, many] = [measured[0][at] * 1e3, measured[1][at] * 1e3];
        let ratio = many / few;
        println!("{name:<22} {few:>9.3} ms at 1/100, {many:>9.3} ms, ratio {ratio:>7.2}");
    }
}

/// What a record takes whose chain was seen before: as JSON, in the database, and in archives.
fn chained(folder: &Path, scale: &Scale) {
    let store = Store::create(folder.join("chained")).unwrap();
    let root = PrivateKey::generate();
    let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    let verifier = Verifier::new(RootKeys::of(root.public()), "notion.mcp", store.revocations());
    let grant = Issuer::new(root).mint(grant, NOW).unwrap();
    let researcher = PrivateKey::generate();
    let hop = Delegation::to("agent.researcher")
        .scope("tools:call:search")
        .reason("find the roadmap page")
        .holder(researcher.public());
    let token = grant.delegate(hop, &alice, NOW).unwrap();
    let bearer = token.present(Presenting::to("notion.mcp"), &researcher, NOW).unwrap();
    let recording = store.clone().for_supposed_times().losing_at_most(1000);
    let guard = Guard::new(verifier.unwrap(), Policy::builtin(), recording);
    let call = Call::tool("search").unwrap();
    let start = Instant::now();
    for second in 0..scale.million {
        // Within the life of the presentation.
        guard.check(bearer.bearer(), &call, NOW + Duration::from_secs(second % 30)).unwrap();
    }
    store.checkpoint().unwrap();
    let filled = start.elapsed().as_secs_f64() / scale.million as f64;
    let each = |bytes: u64| bytes as f64 / scale.million as f64;
    let mut json = 0;
    store.reader().records(1).for_each(|line| json += line.unwrap().json.len() as u64);
    let bytes = std::fs::metadata(folder.join("chained")).unwrap().len();
    println!("of a chain that was seen, a record    {:>9.0} µs", filled * 1e6);
    println!("                       as JSON        {:>9.0} bytes", each(json));
    println!("                       on disk        {:>9.0} bytes", each(bytes));
    let archives = folder.join("archives");
    std::fs::create_dir(&archives).unwrap();
    let start = Instant::now();
    let (archived, _) = store.archive(NOW + Duration::from_secs(3600), &archives).unwrap();
    let took = start.elapsed().as_secs_f64() / archived as f64;
    let files =
        std::fs::read_dir(&archives).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    println!("                       in archives    {:>9.0} bytes", each(files.sum()));
    println!("a record archived                     {:>9.1} µs", took * 1e6);
    store.close().unwrap();
}

/// Records of refusals, one a second.
fn fill(path: &Path, records: u64) {
    let store = Store::create(path).unwrap();
    let roots = RootKeys::of(PrivateKey::generate().public());
    let verifier = Verifier::new(roots, "notion.mcp", store.revocations()).unwrap();
    let recording = store.clone().for_supposed_times().losing_at_most(1000);
    let guard = Guard::new(verifier, Policy::builtin(), recording);
    let call = Call::tool("search").unwrap();
    for second in 0..records {
        guard.check("no token", &call, NOW + Duration::from_secs(second)).unwrap_err();
    }
    store.close().unwrap();
}
