//! The tokens of `tokens.txt`: of a grant, three bound hops and presentations, by keys that everybody can make.

use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hardtack::{Call, Capability, Delegation, Grant, Issuer, Presenting, PrivateKey, Timestamp};

/// 2026-11-23T10:00:00Z
pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);
pub(crate) const AUDIENCE: &str = "notion.mcp";

/// What a chain may have at most, and what `tests/hostile` calls its longest.
const MAX_HOPS: u8 = 13;

/// New presentations of the one chain.
const AGAIN: usize = crate::TIMES;

pub(crate) struct Tokens {
    pub(crate) call: Call,
    /// A bearer of another chain of the same root.
    pub(crate) other: String,
    pub(crate) first: String,
    pub(crate) again: Vec<String>,
    /// Presentations that are good for `call` once.
    pub(crate) bound: Vec<String>,
    /// The first one, with a seal that is well formed and wrong.
    pub(crate) bad_seal: String,
    /// The grant with two hops, and with three.
    pub(crate) parent: String,
    pub(crate) last: String,
    /// A presentation of the longest chain.
    pub(crate) longest: String,
    /// The same, whose hops also compare each argument.
    pub(crate) asking: String,
}

impl Tokens {
    pub(crate) fn read() -> Tokens {
        let lines = include_str!("tokens.txt").lines();
        let mut named: HashMap<&str, &str> =
            lines.filter_map(|line| line.split_once(' ')).collect();
        let mut take = |name: &str| {
            let found = named.remove(name).unwrap_or_else(|| panic!("tokens.txt has no {name}"));
            found.to_owned()
        };
        let first = take("first");
        Tokens {
            call: call(),
            other: take("other"),
            bad_seal: with_bad_seal(&first),
            again: (0..AGAIN).map(|index| take(&format!("again-{index}"))).collect(),
            bound: (0..AGAIN).map(|index| take(&format!("bound-{index}"))).collect(),
            parent: take("parent"),
            last: take("last"),
            longest: take("longest"),
            asking: take("asking"),
            first,
        }
    }
}

/// The key of the root (0), of the grant's holder (1) and of each hop's.
pub(crate) fn key(of: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[of + 1; 32])
}

/// The hop of this number, to the next key.
pub(crate) fn hop(number: u8) -> Delegation {
    let (agent, scope, reason) = match number {
        1 => ("agent.orchestrator", "tools:call:*", "prepare the release notes"),
        2 => ("agent.researcher", "tools:call:search", "find the roadmap page"),
        _ => ("agent.helper", "tools:call:search", "read the second page"),
    };
    Delegation::to(agent).scope(scope).reason(reason).holder(key(number + 1).public())
}

fn call() -> Call {
    let call = Call::tool("search").and_then(|call| call.arguments(r#"{"query": "roadmap"}"#));
    call.expect("a call")
}

/// So many arguments, of texts of 44 letters.
pub(crate) fn large_arguments(count: usize) -> String {
    let text = |at| format!("\"a{at}\":\"{}{at:04}\"", "a".repeat(40));
    format!("{{{}}}", (0..count).map(text).collect::<Vec<_>>().join(","))
}

/// Another number in the second half of the seal, changed by one.
fn with_bad_seal(bearer: &str) -> String {
    let mut bytes = URL_SAFE.decode(bearer).expect("base64");
    let second_half = bytes.len() - 32;
    bytes[second_half] ^= 1;
    URL_SAFE.encode(bytes)
}

/// New tokens, as `tokens.txt` has them. Biscuit makes a new key for every block, so that they are others each time.
pub(crate) fn written() -> String {
    let (_, other) = chain();
    let (parent, last) = chain();
    let text = [
        of_one_chain(&parent, &last, &other),
        format!("longest {}\n", longest(&[])),
        format!("asking {}\n", longest(&["reject if arg($n, $x), $n != $n"])),
    ];
    text.concat()
}

fn of_one_chain(parent: &Capability, last: &Capability, other: &Capability) -> String {
    let mut text = String::new();
    let mut line = |name: &str, token: &str| writeln!(text, "{name} {token}").expect("a line");
    line("parent", &parent.to_base64());
    line("last", &last.to_base64());
    line("other", &bearer(other, Presenting::to(AUDIENCE)));
    line("first", &bearer(last, Presenting::to(AUDIENCE)));
    for index in 0..AGAIN {
        line(&format!("again-{index}"), &bearer(last, Presenting::to(AUDIENCE)));
        line(&format!("bound-{index}"), &bearer(last, Presenting::to(AUDIENCE).call(call())));
    }
    text
}

/// The capability with two hops, and with three.
fn chain() -> (Capability, Capability) {
    let grant = Grant::to("user:alice").scope("tools:call:*").fact_datalog("role(\"editor\")");
    let grant = Issuer::new(key(0)).mint(grant.holder(key(1).public()), NOW).expect("a grant");
    let one = grant.delegate(hop(1), &key(1), NOW).expect("a hop");
    let two = one.delegate(hop(2), &key(2), NOW).expect("a hop");
    let three = two.delegate(hop(3), &key(3), NOW).expect("a hop");
    (two, three)
}

/// A presentation of a chain of [`MAX_HOPS`], of which all hops but the first demand `checks`.
fn longest(checks: &[&str]) -> String {
    let grant = Grant::to("user:alice").scope("tools:call:*").max_depth(MAX_HOPS);
    let grant = Issuer::new(key(0)).mint(grant.holder(key(1).public()), NOW).expect("a grant");
    let last = (1..=MAX_HOPS).fold(grant, |parent, number| {
        let checks = checks.iter().filter(|_| number > 1);
        let hop = checks.fold(hop(number), |hop, check| hop.check(*check));
        parent.delegate(hop, &key(number), NOW).expect("a hop")
    });
    let presented = last.present(Presenting::to(AUDIENCE), &key(MAX_HOPS + 1), NOW);
    presented.expect("a presentation").bearer().to_owned()
}

fn bearer(last: &Capability, presenting: Presenting) -> String {
    let presented = last.present(presenting, &key(4), NOW);
    presented.expect("a presentation").bearer().to_owned()
}
