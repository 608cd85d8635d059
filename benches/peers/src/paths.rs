//! What is measured: each path of a token through Hardtack, and its peers'.

use std::hint::black_box;

use hardtack::{Capability, Cause, Guard, Policy, Presenting, PrivateKey, Store};

use crate::jwt::Jwt;
use crate::measure::{Bench, process, thread};
use crate::naive;
use crate::others::{Baked, Cedar};
use crate::ours::{self, AUDIENCE, Line, NOW};
use crate::scene::{CHAINS, Scene, allowed, refused};
use crate::signing;
use crate::warrants::Warrants;

/// How often a turn does what takes microseconds.
const OFTEN: usize = 100;

/// How often it does what takes hundreds of them.
const SELDOM: usize = 8;

/// Tokens that the guard has not met.
pub(crate) fn new_tokens<'a>(bench: &mut Bench<'a>, scene: &'a Scene) {
    let call = &scene.call;
    bench.add("cold", |turn| {
        let (guard, group) = (scene.fresh(), scene.group(turn));
        thread(CHAINS, |index| allowed(&guard, &group.first[index], call))
    });
    let root: biscuit_auth::PublicKey = scene.issuer.public().to_string().parse().expect("a key");
    bench.add("naive biscuit-auth", move |turn| {
        let group = scene.group(turn);
        thread(CHAINS, |index| assert!(naive::check(black_box(&group.first[index]), root)))
    });
    bench.add("new presentation, known chain", |turn| {
        let (guard, group) = (scene.knowing(turn), scene.group(turn));
        thread(CHAINS, |index| allowed(&guard, &group.again[index], call))
    });
    bench.add("cold, call-bound", |turn| {
        let (guard, group) = (scene.fresh(), scene.group(turn));
        thread(CHAINS, |index| allowed(&guard, &group.bound[index], call))
    });
    bench.add("new presentation, known chain, call-bound", |turn| {
        let (guard, group) = (scene.knowing(turn), scene.group(turn));
        thread(CHAINS, |index| allowed(&guard, &group.again_bound[index], call))
    });
    bench.add("refused, bad seal", |turn| {
        let (guard, group) = (scene.fresh(), scene.group(turn));
        thread(CHAINS, |index| refused(&guard, &group.bad[index], call, Cause::Signature))
    });
    bench.add("refused, bad seal, known chain", |turn| {
        let (guard, group) = (scene.knowing(turn), scene.group(turn));
        thread(CHAINS, |index| refused(&guard, &group.again_bad[index], call, Cause::Signature))
    });
    bench.add("refused, wrong scope", |turn| {
        let (guard, group, call) = (scene.fresh(), scene.group(turn), &scene.uncovered);
        thread(CHAINS, |index| refused(&guard, &group.first[index], call, Cause::NotGranted))
    });
    bench.add("refused, wrong scope, known chain", |turn| {
        let (guard, group, call) = (scene.knowing(turn), scene.group(turn), &scene.uncovered);
        thread(CHAINS, |index| refused(&guard, &group.again[index], call, Cause::NotGranted))
    });
}

/// Tokens that come again.
pub(crate) fn known_tokens<'a>(bench: &mut Bench<'a>, scene: &'a Scene) {
    let (call, bearer) = (&scene.call, scene.group(0).first[0].as_str());
    let guard = scene.knowing(0);
    bench.add("warm", move |_| thread(OFTEN, |_| allowed(&guard, bearer, call)));
    let store = Store::in_memory().expect("a store");
    let verifier = ours::verifier(&scene.issuer, &store.revocations());
    let guard = Guard::new(verifier, Policy::builtin(), store);
    bench.add("warm, recorded in memory", move |_| {
        allowed(&guard, bearer, call);
        process(OFTEN, |_| allowed(&guard, bearer, call))
    });
    for (name, hops) in [("warm, 1 hop", 1), ("warm, 8 hops", 8), ("warm, 12 hops", 12)] {
        let guard = ours::guard(&scene.issuer);
        let bearer = Line::of(&scene.issuer, hops).bearer();
        allowed(&guard, &bearer, call);
        bench.add(name, move |_| thread(OFTEN, |_| allowed(&guard, &bearer, call)));
    }
}

/// How policies tell calls apart.
type Style = fn(usize) -> String;

/// Many policies beside few, of a token that is known.
pub(crate) fn policies<'a>(bench: &mut Bench<'a>, scene: &'a Scene) {
    let bearer = scene.group(0).first[0].as_str();
    let styles: [(&str, &str, Style); 3] = [
        ("warm, 10 policies by tool", "warm, 200 policies by tool", ours::by_tool),
        ("warm, 10 policies by argument", "warm, 200 policies by argument", ours::by_argument),
        (
            "warm, 10 policies by compared argument",
            "warm, 200 policies by compared argument",
            ours::by_compared_argument,
        ),
    ];
    for (few, many, style) in styles {
        for (name, count) in [(few, 10), (many, 200)] {
            let guard = ours::many(&scene.issuer, count, style);
            let call = scene.call.clone().argument_json("page", r#""p0""#).expect("a call");
            allowed(&guard, bearer, &call);
            bench.add(name, move |_| thread(OFTEN, |_| allowed(&guard, bearer, &call)));
        }
    }
}

pub(crate) fn revocations<'a>(bench: &mut Bench<'a>, scene: &'a Scene, many: u64) {
    let (call, bearer) = (&scene.call, scene.group(0).first[0].as_str());
    for (name, count) in [("warm, no revocation", 0), ("warm, a million revocations", many)] {
        let verifier = ours::verifier(&scene.issuer, &ours::list(count));
        let guard = Guard::unrecorded(verifier, Policy::builtin());
        allowed(&guard, bearer, call);
        bench.add(name, move |_| thread(OFTEN, |_| allowed(&guard, bearer, call)));
    }
}

/// What a holder does with a capability, as text or in its hands.
pub(crate) fn holders<'a>(bench: &mut Bench<'a>, scene: &'a Scene) {
    let line = &scene.group(0).lines[0];
    let parent = line.tokens[2].to_base64();
    let next = PrivateKey::generate().public();
    let delegated = move |parent: &Capability| {
        let part = parent.delegate(ours::hop(3).holder(next), &line.keys[2], NOW);
        black_box(part.expect("a hop").to_base64());
    };
    let checked = Capability::parse(&parent).expect("a token");
    bench.add("delegate, from text to text", move |_| {
        thread(SELDOM, |_| delegated(&Capability::parse(black_box(&parent)).expect("a token")))
    });
    bench.add("delegate, parent checked before, to text", move |_| {
        delegated(&checked);
        thread(SELDOM, |_| delegated(&checked))
    });
    let last = line.tokens[3].to_base64();
    let presented = |last: &Capability| {
        let presented = last.present(Presenting::to(AUDIENCE), &line.keys[3], NOW);
        black_box(presented.expect("a presentation"));
    };
    let checked = Capability::parse(&last).expect("a token");
    bench.add("present, from text", move |_| {
        thread(SELDOM, |_| presented(&Capability::parse(black_box(&last)).expect("a token")))
    });
    bench.add("present, parent checked before", move |_| {
        presented(&checked);
        thread(SELDOM, |_| presented(&checked))
    });
    let hop = signing::Hop::new();
    bench.add("a hop's signatures and key", move |_| thread(SELDOM, |_| hop.sign()));
    let hop = signing::Hop::new();
    bench.add("the check of a hop's parent", move |_| thread(SELDOM, |_| hop.verify_parent()));
}

/// All that Hardtack is held against, but for Biscuit alone.
pub(crate) struct Peers {
    warrants: Warrants,
    jwt: Jwt,
    baked: Baked,
    cedar: [Cedar; 2],
}

impl Peers {
    pub(crate) fn new() -> Peers {
        let cedar = [Cedar::new(10), Cedar::new(200)];
        Peers { warrants: Warrants::new(), jwt: Jwt::new(), baked: Baked::new(), cedar }
    }
}

pub(crate) fn peers<'a>(bench: &mut Bench<'a>, peers: &'a Peers) {
    let Peers { warrants, jwt, baked, cedar: [few, many] } = peers;
    bench.add("tenuo, from the wire, with proof", |_| {
        let proof = warrants.proof();
        thread(SELDOM, |_| assert!(warrants.check(black_box(&proof))))
    });
    bench.add("chain of EdDSA JWTs with proof", |_| {
        thread(SELDOM, |_| assert!(jwt.check_chain(black_box(&jwt.chain))))
    });
    bench.add("a single EdDSA JWT", |_| {
        thread(SELDOM, |_| assert!(jwt.check_single(black_box(&jwt.single))))
    });
    bench.add("macaroon", |_| thread(OFTEN, |_| assert!(baked.check())));
    bench.add("cedar, 10 policies, authorization alone", |_| {
        thread(OFTEN, |_| assert!(few.check()))
    });
    bench.add("cedar, 200 policies, authorization alone", |_| {
        thread(OFTEN, |_| assert!(many.check()))
    });
}
