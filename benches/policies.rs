//! How a decision grows with the number of policies: 200 against 10 and 1, in several styles of writing, in one
//! run.
//!
//! `cargo bench --bench policies`; the ratios are printed at the end.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use hardtack::revocation::RevocationUnchecked;
use hardtack::*;

/// 2026-11-23T10:00:00Z
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

/// How often each pair is measured. The middle one counts: machines are shared.
const ROUNDS: usize = 15;

/// How policies discriminate: by what they say of the n-th of many.
type Style = (&'static str, fn(usize) -> String);

const STYLES: [Style; 8] = [
    ("a tool's name", |n| format!("allow if tool(\"t{n}\"), operation($op), granted($op);")),
    ("an operation that is compared", |n| {
        format!("allow if operation($op), $op == \"tools:call:t{n}\", granted($op);")
    }),
    ("a tool and an argument", |n| {
        format!(
            "allow if tool($t), $t == \"t{n}\", granted($op), arg(\"amount\", $a), $a.type() == \"integer\", $a <= {n}00;"
        )
    }),
    ("an argument only", |n| {
        format!("allow if tool(\"t7\"), arg(\"page\", \"p{n}\"), operation($op), granted($op);")
    }),
    ("an argument only, compared", |n| {
        format!(
            "allow if tool(\"t7\"), arg(\"page\", $p), $p == \"p{n}\", operation($op), granted($op);"
        )
    }),
    ("a role", |n| format!("allow if role(\"r{n}\"), operation($op), granted($op);")),
    ("denials", |n| {
        format!(
            "deny if tool(\"t{n}\"), depth($hops), $hops > 5;\nallow if tool(\"t{n}\"), granted($op);"
        )
    }),
    ("checks", |n| {
        format!(
            "check if operation($op), $op != \"tools:call:t{n}\" or arg(\"amount\", $a), $a.type() == \"integer\", $a <= {n}00;\nallow if tool(\"t{n}\"), granted($op);"
        )
    }),
];

fn policies(style: fn(usize) -> String, count: usize) -> Policy {
    let text: Vec<String> = (1..=count).map(style).collect();
    Policy::parse("many.datalog", &text.join("\n")).expect("policies")
}

fn bearer(issuer: &Issuer) -> Presentation {
    let (grant, alice) =
        Grant::to("user:alice").scope("tools:call:*").fact_datalog("role(\"r7\")").new_holder();
    let hop = Delegation::to("agent.orchestrator").scope("tools:call:*").reason("prepare");
    let (hop, orchestrator) = hop.new_holder();
    let next = Delegation::to("agent.researcher").scope("tools:call:*").reason("find");
    let (next, researcher) = next.new_holder();
    let capability = issuer.mint(grant, NOW).expect("a grant");
    let capability = capability.delegate(hop, &alice, NOW).expect("a hop");
    let capability = capability.delegate(next, &orchestrator, NOW).expect("a hop");
    capability.present(Presenting::to("notion.mcp"), &researcher, NOW).expect("a presentation")
}

/// The time of one decision of a token whose signatures are remembered.
fn decision(guard: &Guard, bearer: &str, call: &Call, times: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        black_box(guard.check(bearer, call, NOW)).expect("allowed");
    }
    start.elapsed() / times
}

/// The same of one that comes for the first time.
fn first_decision(guard: &Guard, bearer: &str, call: &Call) -> Duration {
    let start = Instant::now();
    black_box(guard.check(bearer, call, NOW)).expect("allowed");
    start.elapsed()
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    let (rounds, times) = if short { (1, 10) } else { (ROUNDS, 2000) };
    let issuer = Issuer::new(PrivateKey::generate());
    let bearer = bearer(&issuer);
    let call = Call::tool("t7")
        .and_then(|call| call.argument_json("amount", "5"))
        .and_then(|call| call.argument_json("page", r#""p7""#))
        .expect("a call");
    println!(
        "{:<32}{:>10}{:>10}{:>10}{:>10}{:>14}",
        "by", "1", "10", "200", "200/10", "first 200/10"
    );
    for (name, style) in STYLES {
        let guard = |count: usize, remembered: usize| {
            let verifier =
                Verifier::new(RootKeys::of(issuer.public()), "notion.mcp", RevocationUnchecked);
            let verifier = verifier.expect("a verifier").remember(remembered);
            Guard::unrecorded(verifier, policies(style, count))
        };
        // Of one policy, the one that is asked for.
        let alone = Policy::parse("one.datalog", &style(7)).expect("a policy");
        let one = guard(10, 100);
        one.replace_policy(alone);
        let guards = [one, guard(10, 100), guard(200, 100)];
        let cold = [guard(10, 0), guard(200, 0)];
        let mut warm: [Vec<Duration>; 3] = Default::default();
        let mut first: [Vec<Duration>; 2] = Default::default();
        for guard in &guards {
            decision(guard, bearer.bearer(), &call, times.min(100));
        }
        for _ in 0..rounds {
            for (guard, times_of) in guards.iter().zip(&mut warm) {
                times_of.push(decision(guard, bearer.bearer(), &call, times));
            }
            for (guard, times_of) in cold.iter().zip(&mut first) {
                times_of.push(first_decision(guard, bearer.bearer(), &call));
            }
        }
        let [one, ten, many] = warm.map(middle);
        let [first_ten, first_many] = first.map(middle);
        let ratio = |more: Duration, less: Duration| more.as_secs_f64() / less.as_secs_f64();
        println!(
            "{name:<32}{:>8.1}us{:>8.1}us{:>8.1}us{:>10.2}{:>14.2}",
            one.as_secs_f64() * 1e6,
            ten.as_secs_f64() * 1e6,
            many.as_secs_f64() * 1e6,
            ratio(many, ten),
            ratio(first_many, first_ten),
        );
    }
}
