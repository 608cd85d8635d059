//! Verdicts: does the engine decide every chain and request as the model does, for the same cause and at the
//! same block?

use std::collections::BTreeMap;

use hardtack::Guard;

use crate::model::Refusal;
use crate::{draw, forged, setting};

/// How many chains are decided unless `HARDTACK_CHAINS` says otherwise: seconds, without optimisation.
const CHAINS: u64 = 300;

/// A store keeps a record of each decision, so it is exchanged after so many chains.
const CHAINS_PER_STORE: u64 = 250;

/// Threads that share the chains.
const THREADS: u64 = 2;

/// Of a hundred requests, so many must be allowed: a model that refuses everything agrees with an engine
/// that does.
const LEAST_ALLOWED: u64 = 15;

/// How often each cause must come up at least, whatever the number of chains.
const LEAST_OF_EACH: u64 = 3;

/// All that the model knows.
const CAUSES: [&str; 33] = [
    "after_presentation",
    "audience_wider",
    "block_kind",
    "check_failed",
    "expired",
    "expiry_wider",
    "fact",
    "foreign_signer",
    "issued_after_expiry",
    "name_mismatch",
    "no_reason",
    "no_scope",
    "not_evaluable",
    "not_granted",
    "not_presented",
    "not_yet_issued",
    "nothing_allows",
    "other_call",
    "other_parent",
    "policy_check_failed",
    "policy_denied",
    "replayed",
    "resource_scheme",
    "revoked",
    "root_as_holder",
    "scope_wider",
    "signature",
    "too_deep",
    "too_long_lived",
    "unbound",
    "unknown_root",
    "wrong_audience",
    "wrong_signer",
];

type Tally = BTreeMap<&'static str, u64>;

#[test]
fn verdict_cause_and_block_are_the_models() {
    let chosen = setting("HARDTACK_CHAIN");
    if let Some(number) = chosen {
        println!("{:#?}", draw::chain(number));
        return compare(number, &guards(), &mut Tally::new());
    }
    let chains = setting("HARDTACK_CHAINS").unwrap_or(CHAINS);
    let tallies = std::thread::scope(|scope| {
        let threads = [0, 1].map(|first| scope.spawn(move || share(first, chains)));
        threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let mut tally = Tally::new();
    for (cause, count) in tallies.into_iter().flatten() {
        *tally.entry(cause).or_default() += count;
    }
    let requests: u64 = tally.values().sum();
    println!("{chains} chains, {requests} requests:");
    for (cause, count) in &tally {
        println!("  {count:>9}  {cause}");
    }
    let unknown: Vec<_> =
        tally.keys().filter(|it| **it != "allowed" && !CAUSES.contains(*it)).collect();
    assert!(unknown.is_empty(), "not among the causes: {unknown:?}");
    if chains < CHAINS {
        return;
    }
    let rare = |cause: &&&str| tally.get(**cause).is_none_or(|count| *count < LEAST_OF_EACH);
    let rare: Vec<_> = CAUSES.iter().filter(rare).collect();
    assert!(rare.is_empty(), "hardly ever: {rare:?}");
    assert!(tally["allowed"] * 100 >= requests * LEAST_ALLOWED, "{} allowed", tally["allowed"]);
}

/// The chains of one thread.
fn share(first: u64, chains: u64) -> Tally {
    let mut tally = Tally::new();
    let mut guards = Vec::new();
    for (done, number) in (first..chains).step_by(THREADS as usize).enumerate() {
        if (done as u64).is_multiple_of(CHAINS_PER_STORE) {
            guards = self::guards();
        }
        compare(number, &guards, &mut tally);
    }
    tally
}

fn guards() -> Vec<Guard> {
    draw::servers().iter().map(forged::guard).collect()
}

fn compare(number: u64, guards: &[Guard], tally: &mut Tally) {
    let (chain, servers) = (draw::chain(number), draw::servers());
    let bearer = forged::bearer(&chain, number);
    // Each server has a store of its own.
    let mut used = vec![false; servers.len()];
    for (at, request) in draw::requests(number, &chain).into_iter().enumerate() {
        let draw::Request { server, call, now } = request;
        let expected = chain.decide(&servers[server], &call, now, used[server]);
        let answer = guards[server].check(&bearer, &forged::real(&call), forged::moment(now));
        let answer: Result<(), Refusal> = answer.map(drop).map_err(|denial| {
            let refusal = denial.refusal();
            (refusal.cause.as_str(), refusal.hop)
        });
        assert_eq!(
            answer, expected,
            "the engine (left) and the model (right) on request {at} of chain {number}: {call:?} at {now} to \
             server {server}; HARDTACK_CHAIN={number} shows the chain"
        );
        used[server] |= expected.is_ok();
        *tally.entry(expected.err().map_or("allowed", |(cause, _)| cause)).or_default() += 1;
    }
}
