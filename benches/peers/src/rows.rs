//! How is it shown? The table of goals with what was measured, and what it was made of.

use crate::measure::Bench;
use crate::memory::Memory;

/// Where a goal is met, is not, or none is set.
enum Goal {
    AtMost(f64),
    None,
}

use Goal::AtMost;

pub(crate) fn print(bench: &Bench<'_>, memory: &Memory) {
    let tenuo = "tenuo, from the wire, with proof";
    let naive = "naive biscuit-auth";
    println!("| row | measured | goal | |\n|---|---:|---:|---|");
    for (row, one, other, goal) in [
        ("warm / naive", "warm", naive, AtMost(0.015)),
        ("warm / tenuo", "warm", tenuo, AtMost(0.025)),
        ("warm, recorded in memory / naive", "warm, recorded in memory", naive, AtMost(0.025)),
        ("warm, recorded in memory / tenuo", "warm, recorded in memory", tenuo, AtMost(0.04)),
        (
            "new presentation under a known 3-hop chain / own cold",
            "new presentation, known chain",
            "cold",
            AtMost(0.33),
        ),
        ("the same / tenuo", "new presentation, known chain", tenuo, AtMost(0.8)),
        (
            "the same, call-bound / own cold",
            "new presentation, known chain, call-bound",
            "cold, call-bound",
            AtMost(0.36),
        ),
        ("cold / naive", "cold", naive, AtMost(0.95)),
    ] {
        ratio(row, bench.ratio(one, other), goal);
    }
    let signing = "a hop's signatures and key";
    let from_text = "delegate, from text to text";
    for (row, cost, goal) in [
        (
            "delegate, parent checked before, out to text / its signatures and key",
            bench.ratio("delegate, parent checked before, to text", signing),
            AtMost(2.0),
        ),
        (
            "delegate, from text to text / its signatures and key",
            bench.ratio(from_text, signing),
            Goal::None,
        ),
        (
            "the same / (parent's check + signatures and key)",
            bench.ratio_of_sum(from_text, &["the check of a hop's parent", signing]),
            AtMost(1.3),
        ),
        (
            "present, parent checked before / own cold",
            bench.ratio("present, parent checked before", "cold"),
            AtMost(0.15),
        ),
        ("present, from text / own cold", bench.ratio("present, from text", "cold"), Goal::None),
        ("warm, 8 hops / 1", bench.ratio("warm, 8 hops", "warm, 1 hop"), AtMost(1.5)),
        ("warm, 12 hops / 1", bench.ratio("warm, 12 hops", "warm, 1 hop"), AtMost(2.0)),
        (
            "200 / 10 policies that differ by argument only",
            bench.ratio("warm, 200 policies by argument", "warm, 10 policies by argument"),
            AtMost(3.0),
        ),
        (
            "the same, where the argument is compared",
            bench.ratio(
                "warm, 200 policies by compared argument",
                "warm, 10 policies by compared argument",
            ),
            AtMost(3.0),
        ),
        (
            "200 / 10 policies that differ by tool",
            bench.ratio("warm, 200 policies by tool", "warm, 10 policies by tool"),
            AtMost(3.0),
        ),
        (
            "a million revocations / none",
            bench.ratio("warm, a million revocations", "warm, no revocation"),
            AtMost(1.05),
        ),
        ("refused, bad seal / cold", bench.ratio("refused, bad seal", "cold"), AtMost(0.4)),
        (
            "the same, known chain / cold",
            bench.ratio("refused, bad seal, known chain", "cold"),
            AtMost(0.3),
        ),
        ("refused, wrong scope / cold", bench.ratio("refused, wrong scope", "cold"), AtMost(0.9)),
        (
            "the same, known chain / cold",
            bench.ratio("refused, wrong scope, known chain", "cold"),
            AtMost(0.3),
        ),
    ] {
        ratio(row, cost, goal);
    }
    for (row, number, goal) in [
        ("allocations, warm", memory.warm as f64, AtMost(40.0)),
        ("allocations, cold", memory.cold as f64, AtMost(700.0)),
        ("kB a remembered token of its own chain", memory.chain as f64 / 1e3, AtMost(24.0)),
        ("kB a presentation more of a known chain", memory.presentation as f64 / 1e3, Goal::None),
    ] {
        line(row, &format!("{number:.0}"), goal, number);
    }
    let peers = [
        ("cold / chain of EdDSA JWTs with proof", "cold", "chain of EdDSA JWTs with proof"),
        ("warm / chain of EdDSA JWTs with proof", "warm", "chain of EdDSA JWTs with proof"),
        ("cold / tenuo", "cold", tenuo),
        ("warm / a single EdDSA JWT", "warm", "a single EdDSA JWT"),
        ("warm / macaroon", "warm", "macaroon"),
        (
            "warm, 10 policies by compared argument / cedar, 10, authorization alone",
            "warm, 10 policies by compared argument",
            "cedar, 10 policies, authorization alone",
        ),
        (
            "warm, 200 policies by compared argument / cedar, 200, authorization alone",
            "warm, 200 policies by compared argument",
            "cedar, 200 policies, authorization alone",
        ),
    ];
    for (row, one, other) in peers {
        ratio(row, bench.ratio(one, other), Goal::None);
    }
    println!("\n| what | µs of CPU time |\n|---|---:|");
    for (name, cost) in bench.all() {
        println!("| {name} | {cost:.1} |");
    }
}

fn ratio(row: &str, cost: f64, goal: Goal) {
    let digits = if cost < 0.1 { 3 } else { 2 };
    line(row, &format!("{cost:.digits$}"), goal, cost);
}

fn line(row: &str, measured: &str, goal: Goal, cost: f64) {
    match goal {
        AtMost(bound) => {
            let met = if cost <= bound { "met" } else { "missed" };
            println!("| {row} | {measured} | ≤ {bound} | {met} |");
        }
        Goal::None => println!("| {row} | {measured} | | |"),
    }
}
