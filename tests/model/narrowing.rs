//! Narrowing: does what our own API delegates ever allow what its parent does not, and does it refuse to make
//! exactly what would be refused?

use std::time::Duration;

use hardtack::{Call as RealCall, Capability, Delegation, Grant, Guard, Issuer, Policy};
use hardtack::{Presenting, Store, Timestamp};

use crate::draw::{AUDIENCES, OPERATIONS, ROOT, SCOPES, servers};
use crate::model::covers;
use crate::rng::Rng;
use crate::said::*;
use crate::{forged, setting};

/// How many chains are delegated unless `HARDTACK_DELEGATIONS` says otherwise.
const CHAINS: u64 = 60;

/// How often each outcome must come up at least in so many chains.
const LEAST_OF_EACH: usize = 20;

/// The longest life of a hop, in seconds.
const HOUR: i64 = 3600;

/// The constraints of delegations.
const ALLOWANCES: [&str; 4] = ["amount <= 100", "amount <= 1000", "to = bob", "no other arguments"];

/// What is known of the parent, in words.
struct Parent {
    capability: Capability,
    scopes: Vec<Name>,
    audiences: Vec<Name>,
    holder: Key,
    expires: Seconds,
}

#[test]
fn no_delegation_allows_what_its_parent_denies() {
    let numbers = match setting("HARDTACK_DELEGATION") {
        Some(number) => number..number + 1,
        None => 0..setting("HARDTACK_DELEGATIONS").unwrap_or(CHAINS),
    };
    let store = Store::in_memory().unwrap();
    let verifier = forged::verifier(&servers()[0], &store);
    let guard = Guard::unrecorded(verifier, Policy::builtin());
    let mut seen = Seen::default();
    let alone = numbers.end - numbers.start < CHAINS;
    numbers.for_each(|number| delegate(number, &guard, &mut seen));
    println!("{seen:?}");
    let Seen { refused, made, both, parent_only } = seen;
    let least = [refused, made, both, parent_only].into_iter().min();
    assert!(alone || least >= Some(LEAST_OF_EACH), "too few of one kind");
}

/// What came of delegations, and of calls with the parent and the child.
#[derive(Debug, Default)]
struct Seen {
    refused: usize,
    made: usize,
    both: usize,
    parent_only: usize,
}

fn delegate(number: u64, guard: &Guard, seen: &mut Seen) {
    let rng = &mut Rng::of(3, number);
    let (mut parent, max_depth) = grant(rng);
    let mut now = 0;
    for _ in 0..8 {
        now += rng.between(0, 60);
        let has_room = parent.capability.chain().depth() < max_depth;
        let Some(child) = hop(rng, &parent, has_room, now, number) else {
            seen.refused += 1;
            continue;
        };
        seen.made += 1;
        compare(rng, guard, [&parent, &child], now, number, seen);
        parent = child;
    }
}

fn grant(rng: &mut Rng) -> (Parent, usize) {
    let (scopes, audiences) = (rng.some(&SCOPES, 1, 4), rng.some(&AUDIENCES, 0, 2));
    let (expires, holder, max_depth) = (rng.between(1, 2 * HOUR), 6, rng.below(9));
    let grant = Grant::to("user:alice").holder(forged::key(holder).public());
    let grant = grant.max_depth(u8::try_from(max_depth).unwrap()).ttl(seconds(expires));
    let grant = scopes.iter().fold(grant, |grant, scope| grant.scope(*scope));
    let grant = audiences.iter().fold(grant, |grant, audience| grant.audience(*audience));
    let issuer = Issuer::new(forged::key(ROOT));
    let capability = issuer.mint(grant, forged::moment(0)).unwrap();
    (Parent { capability, scopes, audiences, holder, expires }, max_depth)
}

/// Delegates, and demands that the API refuses what the profile forbids and nothing else.
fn hop(
    rng: &mut Rng,
    parent: &Parent,
    has_room: bool,
    now: Seconds,
    number: u64,
) -> Option<Parent> {
    let mut scopes = rng.some(&parent.scopes, 1, 4);
    if rng.one_in(3) {
        scopes.push(rng.pick(&SCOPES));
    }
    let mut audiences = if rng.one_in(3) { rng.some(&parent.audiences, 0, 2) } else { Vec::new() };
    if rng.one_in(8) {
        audiences.push(rng.pick(&AUDIENCES));
    }
    let holder = rng.pick(&[6, 7, 8, 9]);
    let signer = if rng.one_in(10) { rng.pick(&[6, 7, 8, 9]) } else { parent.holder };
    let left = parent.expires - now;
    let life = match rng.below(5) {
        0 => left.min(HOUR) + rng.pick(&[-1, 0, 1]),
        1 => rng.between(0, HOUR),
        _ => rng.between(1, HOUR).min(left),
    };
    let life = life.max(0);
    let delegation = Delegation::to("agent.a").reason("for the model").ttl(seconds(life));
    let delegation = delegation.holder(forged::key(holder).public());
    let delegation = scopes.iter().fold(delegation, |it, scope| it.scope(*scope));
    let delegation = audiences.iter().fold(delegation, |it, audience| it.audience(*audience));
    let allowances = if rng.one_in(4) { rng.some(&ALLOWANCES, 1, 2) } else { Vec::new() };
    let delegation = allowances.iter().fold(delegation, |it, constraint| it.allow(constraint));
    let made = parent.capability.delegate(delegation, &forged::key(signer), forged::moment(now));
    let within = |scope: &Name| parent.scopes.iter().any(|above| covers(above, scope));
    let among = |it: &Name| parent.audiences.is_empty() || parent.audiences.contains(it);
    let narrows = signer == parent.holder
        && has_room
        && scopes.iter().all(within)
        && audiences.iter().all(among)
        && (1..=left.min(HOUR)).contains(&life);
    assert_eq!(
        made.is_ok(),
        narrows,
        "{scopes:?} for {audiences:?} and {life} s of {left}, with {allowances:?}: {:?}; HARDTACK_DELEGATION={number}",
        made.err()
    );
    let audiences = if audiences.is_empty() { parent.audiences.clone() } else { audiences };
    let expires = now + life;
    made.ok().map(|capability| Parent { capability, scopes, audiences, holder, expires })
}

/// What the child may do the parent may do, at the same moment.
fn compare(
    rng: &mut Rng,
    guard: &Guard,
    both: [&Parent; 2],
    now: Seconds,
    number: u64,
    seen: &mut Seen,
) {
    let audience = guard.verifier().audience();
    let presented = both.map(|it| {
        let key = forged::key(it.holder);
        it.capability.present(Presenting::to(audience), &key, forged::moment(now))
    });
    if let Ok(child) = &presented[1] {
        let verified = guard.verifier().verify(child.bearer(), forged::moment(now));
        verified.unwrap_or_else(|error| panic!("made, but {error}; HARDTACK_DELEGATION={number}"));
    }
    let allowed = |of: usize, call: &RealCall, at: Timestamp| {
        presented[of].as_ref().is_ok_and(|it| guard.check(it.bearer(), call, at).is_ok())
    };
    let ends = both.map(|it| it.expires.min(now + 300));
    for _ in 0..6 {
        let call = call(rng);
        let moment = match rng.below(3) {
            0 => rng.pick(&ends) + rng.pick(&[-1, 0, 1]),
            _ => now,
        };
        let [above, below] = [0, 1].map(|of| allowed(of, &call, forged::moment(moment)));
        assert!(above || !below, "{call:?} at {moment}: HARDTACK_DELEGATION={number}");
        seen.both += usize::from(below);
        seen.parent_only += usize::from(above && !below);
    }
}

fn call(rng: &mut Rng) -> RealCall {
    let call = RealCall::new(rng.pick(&OPERATIONS)).unwrap();
    let arguments = [("amount", "100"), ("amount", "101"), ("to", "\"bob\""), ("to", "\"eve\"")];
    let mut arguments = rng.some(&arguments, 0, 2);
    arguments.dedup_by_key(|(name, _)| *name);
    arguments.into_iter().fold(call, |call, (name, json)| call.argument_json(name, json).unwrap())
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap())
}
