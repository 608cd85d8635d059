//! Time: does the chain hold at this very second, as long as its parents and no longer than it may? What is no
//! date, and checks that look at the clock, are asked in `dates`.

use biscuit_auth::builder::{Term, string};

use crate::case::{Case, Sent, Server};
use crate::chain::{Block, Chain, GRANT_LIVES, HOP_LIVES, SESSION_LIVES, bytes, date, number};
use hardtack_testkit::forge::{Forge, pair};
use hardtack_testkit::{Cast, NOW};

pub fn cases() -> Vec<Case> {
    let mut cases = at_each_position();
    cases.extend(longer_than_the_parent());
    cases.extend(longer_than_a_life());
    cases.extend(issued());
    cases.extend(clocks());
    cases.extend(bound_to_a_call());
    cases.extend(expired_before_anything_signed());
    cases.extend(in_the_order());
    cases
}

/// A chain of eight hops, of which one block and all below it expire at the same second.
fn at_each_position() -> Vec<Case> {
    const LIVES: i64 = 120;
    let ending = |first: usize| {
        (first..=9).fold(Chain::of(8), |chain, block| chain.block(block, |b| b.expires(LIVES)))
    };
    let case = |block| {
        let place = format!("with block {block} of 9 and those below");
        [
            expired(&format!("the second at which it ends, {place}"), ending(block), block)
                .at(LIVES),
            accepted(&format!("the last second, {place}"), ending(block)).at(LIVES - 1),
        ]
    };
    let alone = |block: usize| {
        // Those below say that they live on.
        let chain = Chain::of(8).block(block, |said| said.expires(LIVES));
        expired(&format!("block {block} of 9 has ended and those below not"), chain, block)
            .at(LIVES)
    };
    let long_ago = |block: usize| {
        let chain = Chain::of(8).block(block, |said| said.expires(-86_400));
        expired(&format!("block {block} of 9 ended a day ago"), chain, block)
    };
    let mut cases: Vec<Case> = (0..=9).flat_map(case).collect();
    cases.extend((0..9).map(alone));
    cases.extend((0..=9).map(long_ago));
    cases.extend([
        expired("the subject's own presentation", Chain::of(0), 1).at(SESSION_LIVES),
        expired("the subject's own grant", Chain::of(0), 0).at(GRANT_LIVES),
        expired("the last of thirteen", Chain::of(13), 14).at(SESSION_LIVES),
        accepted("the subject's own presentation in its last second", Chain::of(0))
            .at(SESSION_LIVES - 1),
    ]);
    cases
}

/// By one second, at each place where there is a parent.
fn longer_than_the_parent() -> Vec<Case> {
    let wider = |what: &str, chain: Chain, block| {
        refused(&format!("longer: {what}"), chain, "expiry_wider", block)
    };
    let lives = |block| if block == 0 { GRANT_LIVES } else { HOP_LIVES };
    let mut cases: Vec<Case> = (1..=9)
        .map(|block| {
            let chain = Chain::of(8).block(block, |said| said.expires(lives(block - 1) + 1));
            wider(&format!("block {block} of 9 by a second"), chain, block)
        })
        .collect();
    let renewed = |block: usize| {
        let chain = Chain::of(8).block(block - 1, |said| said.expires(200));
        wider(&format!("block {block} of 9 renews what was shortened"), chain, block)
    };
    cases.extend((2..=9).map(renewed));
    let shorter = |start: i64, step: i64| {
        let shorten = |chain: Chain, block: usize| {
            let seconds = start + step * i64::try_from(block).unwrap_or_default();
            chain.block(block, |said| said.expires(seconds))
        };
        (1..=9).fold(Chain::of(8), shorten)
    };
    cases.extend([
        wider("each hop by a second, the second one first", shorter(200, 1), 2),
        wider("to the end of all time", Chain::of(1).block(1, |b| b.with("expires", last())), 1),
        wider(
            "a presentation to the end of all time",
            Chain::of(1).block(2, |b| b.with("expires", last())),
            2,
        ),
        wider("by the subject itself", Chain::of(0).block(0, |b| b.expires(299)), 1),
        accepted("each hop a second shorter", shorter(200, -1)),
        accepted("all to the same second", shorter(200, 0)),
    ]);
    cases
}

/// The longest lives are counted from now on.
fn longer_than_a_life() -> Vec<Case> {
    let grant = |seconds| Chain::of(1).block(0, |said: Block| said.expires(seconds));
    let hop = |seconds| grant(7200).block(1, |said| said.expires(seconds));
    let session = |seconds| hop(3600).block(2, |said| said.expires(seconds));
    let too_long = |what: &str, chain: Chain, block| {
        refused(&format!("too long: {what}"), chain, "too_long_lived", block)
    };
    let short_hop = hop(3000).block(2, |said| said.expires(600));
    let deep = |seconds| {
        let chain = Chain::of(8).block(0, |said| said.expires(7200));
        (1..=8).fold(chain, |chain, block| chain.block(block, |said| said.expires(seconds)))
    };
    let subjects = Chain::of(0).block(1, |said| said.expires(601));
    vec![
        too_long("a grant, by a second", grant(86_401), 0),
        too_long("a grant, by a year", grant(86_400 * 365), 0),
        too_long(
            "a grant, to the end of all time",
            Chain::of(1).block(0, |b| b.with("expires", last())),
            0,
        ),
        too_long("a hop, by a second", hop(3601), 1),
        too_long("a hop, as long as its grant", hop(7200), 1),
        too_long("eight hops, by a second, and the first is named", deep(3601), 1),
        too_long("a session, by a second", session(601), 2),
        too_long("a session, as long as its hop", session(3600), 2),
        too_long("a session of the subject's own", subjects, 1),
        too_long("a grant, a second before it may be used", grant(86_460), 0).at(59),
        too_long("a hop, a second before it may be used", hop(3660), 1).at(59),
        too_long("a session, a second before it may be used", session(660), 2).at(59),
        too_long("a grant, by a clock that is a minute behind", grant(86_400), 0).at(-60),
        too_long("a hop, by a clock that is a second behind", hop(3600), 1).at(-1),
        too_long("a session, by a clock that is a second behind", short_hop, 2).at(-1),
        accepted("a grant for a day", grant(86_400)),
        accepted("a hop for an hour", hop(3600)),
        accepted("eight hops for an hour", deep(3600)),
        accepted("a session for ten minutes", session(600)),
        accepted("a grant of which a day is left", grant(86_460)).at(60),
        accepted("a session of which ten minutes are left", session(660)).at(60),
    ]
}

fn issued() -> Vec<Case> {
    let chain = |issued: i64, expires: i64| {
        Chain::of(1).block(0, |said| said.with("issued", date(issued)).expires(expires))
    };
    let future =
        |what: &str, chain: Chain| refused(&format!("issued {what}"), chain, "not_yet_issued", 0);
    let after = |what: &str, chain: Chain| {
        refused(&format!("issued {what}"), chain, "issued_after_expiry", 0)
    };
    let at_once = (1..=2).fold(chain(50, 51), |chain, block| chain.block(block, |b| b.expires(51)));
    let at_the_end = Chain::of(1).block(0, |said| said.with("issued", last()));
    let at_both_ends = at_the_end.clone().block(0, |said| said.with("expires", last()));
    vec![
        future("in 61 seconds", chain(61, 3600)),
        future("in an hour", chain(3600, 7200)),
        future("tomorrow", chain(86_400, 90_000)),
        future("in 61 seconds, at its expiry", chain(61, 61)),
        future("in an hour, after its expiry", chain(3600, 1800)),
        future("at the end of all time", at_the_end),
        future("and expired at the end of all time", at_both_ends),
        future("now, by a clock that is 61 seconds behind", chain(0, 3600)).at(-61),
        future("now, with eight hops, by a clock that is a day behind", Chain::of(8)).at(-86_400),
        after("at its expiry", chain(50, 50)),
        after("a second after its expiry", chain(51, 50)),
        after("in a minute, and expired in a second", chain(60, 1)),
        after("now, and expired now, by a clock that is a second behind", chain(0, 0)).at(-1),
        accepted("issued in 60 seconds", chain(60, 3600)),
        accepted("issued a second before its expiry", at_once),
        accepted("issued in 1970", Chain::of(1).block(0, |b| b.with("issued", Term::Date(0)))),
        accepted("issued now, by a clock that is 60 seconds behind", Chain::of(2)).at(-60),
    ]
}

/// A fine token and clocks that are far off.
fn clocks() -> Vec<Case> {
    let now = i64::try_from(NOW.unix_seconds()).unwrap_or_default();
    let future = |what: &str, seconds| {
        refused(&format!("the clock: {what}"), Chain::of(1), "not_yet_issued", 0).at(seconds)
    };
    let past = |what: &str, block, seconds| {
        expired(&format!("the clock: {what}"), Chain::of(1), block).at(seconds)
    };
    vec![
        future("1970", -now),
        future("a second after 1970", 1 - now),
        future("a year behind", -86_400 * 365),
        past("an hour ahead", 0, 3600),
        past("a year ahead", 0, 86_400 * 365),
        past("2038, where 32 bits end", 0, 2_147_483_648 - now),
        past("2106, where 32 bits without a sign end", 0, 4_294_967_296 - now),
        past("9999", 0, 253_402_300_799 - now),
        past("when the hop has ended", 1, HOP_LIVES),
        past("when the presentation has ended", 2, SESSION_LIVES),
    ]
}

fn bound_to_a_call() -> Vec<Case> {
    let digest = hardtack::Call::tool("search").unwrap().digest();
    let bound = |seconds| Chain::of(1).bound_to(digest).presentation(|said| said.expires(seconds));
    let too_long = |what: &str, seconds| {
        let name = format!("bound to a call: {what}");
        refused(&name, bound(seconds), "too_long_lived", 2).to(Server::Fresh)
    };
    vec![
        too_long("two minutes and a second", 121),
        too_long("as long as a session", SESSION_LIVES),
        too_long("two minutes, by a clock that is a second behind", 120).at(-1),
        expired("bound to a call: it has ended", bound(60), 2).at(60).to(Server::Fresh),
        expired("bound to a call: it ends now", bound(0), 2).to(Server::Fresh),
        accepted("bound to a call: in its last second", bound(60)).at(59).to(Server::Fresh),
        accepted("bound to a call: for two minutes", bound(120)).to(Server::Fresh),
    ]
}

/// What has expired costs no signature, and no look at what is revoked.
fn expired_before_anything_signed() -> Vec<Case> {
    let cast = Cast::new();
    let old = || Chain::of(1).block(1, |said| said.expires(0));
    let forged = |what: &str, change: &dyn Fn(&mut Forge)| {
        let name = format!("time/expired before {what}");
        Case::refused(name, old().forge().change(change).bearer(), "expired", Some(1))
    };
    let before = |what: &str, chain: Chain| expired(&format!("expired before {what}"), chain, 1);
    vec![
        forged("another root", &|forge| forge.root = pair(&cast.thief)),
        forged("a thief's hop", &|forge| forge.blocks[1].signer = Some(pair(&cast.thief))),
        forged("a thief's presentation", &|f| f.blocks[2].signer = Some(pair(&cast.thief))),
        forged("nobody's presentation", &|forge| drop(forge.blocks.pop())),
        forged("a root key that nobody knows", &|forge| forge.root_key_id = Some(7)),
        before("revoked", old().block(1, |b| b.texts("delegate", &["agent.revoked"])))
            .to(Server::Revoking),
        before("known otherwise", old().block(1, |b| b.texts("delegate", &["agent.x"])))
            .to(Server::Directory),
        before(
            "a root as holder",
            old().block(1, |b| b.with("holder", bytes(&cast.root.public()))),
        ),
        before("too deep", old().block(0, |said| said.with("max_depth", number(0)))),
        before("issued in the future", old().block(0, |said| said.with("issued", date(61)))),
        before("another operation", old()).calls(Sent::operation("resources:read")),
        before("a check that fails", old().block(1, |said| said.check("check if false"))),
        before("a scheme that is not judged", old()).calls(Sent::search().resource("a:b")),
    ]
}

fn in_the_order() -> Vec<Case> {
    let cast = Cast::new();
    let root = || bytes(&cast.root.public());
    let future = || Chain::of(1).block(0, |said| said.with("issued", date(61)));
    let old = || Chain::of(1).block(1, |said| said.expires(0));
    let by_thief = |chain: Chain| {
        let thief = Some(pair(&cast.thief));
        chain.forge().change(|forge| forge.blocks[1].signer = thief).bearer()
    };
    let long =
        |chain: Chain| chain.block(0, |said| said.expires(7200)).block(1, |b| b.expires(3601));
    let order = |what: &str, chain: Chain, cause, block| {
        refused(&format!("order: {what}"), chain, cause, block)
    };
    let signed = |what: &str, bearer, cause, block| {
        Case::refused(format!("time/order: {what}"), bearer, cause, Some(block))
    };
    let two_end = |first: usize, second: usize| {
        Chain::of(3).block(first, |b| b.expires(-1)).block(second, |b| b.expires(-9))
    };
    let late = Case::refused(
        "time/order: no call before expired".to_owned(),
        old().bearer(),
        "inexact_call",
        None,
    );
    vec![
        late.calls(Sent::search().arguments("[]")),
        order("no name before expired", old().block(1, |b| b.texts("reason", &[""])), "name", 1),
        order("no date before expired", old().block(2, |b| b.without("expires")), "no_expiry", 2),
        order(
            "a fact twice before expired",
            old().block(1, |b| b.and("reason", string("x"))),
            "fact",
            1,
        ),
        order("the first that ended, not the one that ended first", two_end(0, 4), "expired", 0),
        order("the first hop that ended", two_end(1, 2), "expired", 1),
        order("the hop before the presentation", two_end(3, 4), "expired", 3),
        order(
            "revoked before the future",
            future().block(1, |b| b.texts("delegate", &["agent.revoked"])),
            "revoked",
            1,
        )
        .to(Server::Revoking),
        signed("the future before a thief", by_thief(future()), "not_yet_issued", 0),
        order(
            "the future before wider",
            future().block(1, |b| b.scopes(&["*"])),
            "not_yet_issued",
            0,
        ),
        order(
            "the future before too long",
            future().block(0, |b| b.expires(90_000)),
            "not_yet_issued",
            0,
        ),
        order(
            "the future before a root as holder",
            future().block(0, |b| b.with("holder", root())),
            "not_yet_issued",
            0,
        ),
        order(
            "after expiry before wider",
            Chain::of(1)
                .block(0, |b| b.with("issued", date(9)).expires(9))
                .block(1, |b| b.scopes(&["*"])),
            "issued_after_expiry",
            0,
        ),
        order(
            "too long before a root as holder",
            Chain::of(1).block(0, |b| b.expires(86_401).with("holder", root())),
            "too_long_lived",
            0,
        ),
        signed(
            "too long before a thief",
            by_thief(Chain::of(1).block(0, |b| b.expires(86_401))),
            "too_long_lived",
            0,
        ),
        signed(
            "a thief before longer",
            by_thief(Chain::of(1).block(1, |b| b.expires(3601))),
            "wrong_signer",
            1,
        ),
        order(
            "too deep before longer",
            Chain::of(1).block(0, |b| b.with("max_depth", number(0))).block(1, |b| b.expires(3601)),
            "too_deep",
            1,
        ),
        order(
            "longer before too long",
            Chain::of(1).block(1, |b| b.expires(3601)),
            "expiry_wider",
            1,
        ),
        order(
            "a hop too long before a root as holder",
            long(Chain::of(1).block(1, |b| b.with("holder", root()))),
            "too_long_lived",
            1,
        ),
        order("a hop too long before known otherwise", long(Chain::of(1)), "too_long_lived", 1)
            .to(Server::Directory),
        order(
            "a hop too long before its presentation",
            long(Chain::of(1)).block(2, |b| b.expires(4000)),
            "too_long_lived",
            1,
        ),
        order(
            "a root as holder before a presentation too long",
            long(Chain::of(1))
                .block(1, |b| b.expires(3600).with("holder", root()))
                .block(2, |b| b.expires(3600)),
            "root_as_holder",
            1,
        ),
    ]
}

/// The last second of the year 9999.
fn last() -> Term {
    Term::Date(253_402_300_799)
}

fn expired(what: &str, chain: Chain, block: usize) -> Case {
    refused(what, chain, "expired", block)
}

fn refused(what: &str, chain: Chain, cause: &'static str, block: usize) -> Case {
    Case::refused(format!("time/{what}"), chain.bearer(), cause, Some(block))
}

fn accepted(what: &str, chain: Chain) -> Case {
    Case::accepted(format!("time/accepted: {what}"), chain.bearer())
}
