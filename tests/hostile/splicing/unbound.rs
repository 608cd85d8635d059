//! Unbound: links that nobody in particular signed, signatures that say nothing, and root keys as holders.

use super::line::{LONGEST, Line};
use super::{accepted, refused};
use crate::case::{Case, Sent, Server};
use crate::craft::append_first_party;
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{pair, throw_away};

/// What governs Hardtack itself.
const REVOKE: &str = "hardtack:revoke";

pub(super) fn cases() -> Vec<Case> {
    [links(), governing(), roots()].concat()
}

fn links() -> Vec<Case> {
    let cast = Cast::new();
    let mut cases = Vec::new();
    for open in 0..LONGEST {
        let next = open + 1;
        // A hop, or the presentation, behind the block that names no holder.
        for (what, hops) in [("hop", next), ("presentation", open)] {
            let line = Line::open_at(open);
            let bearer = line.presented(hops).bearer();
            let name = format!("an unbound {what} for block {next}");
            cases.push(refused(&name, bearer.clone(), "unbound", next));
            let name = format!("{name}, where they are accepted");
            cases.push(accepted(&name, bearer).to(Server::Unbound));
            for (by, key) in [
                ("a thief", pair(&cast.thief)),
                ("the root", pair(&cast.root)),
                ("the holder before", pair(&super::line::key(open))),
                ("the throw-away secret", throw_away(open)),
            ] {
                let signed = Line { holders: vec![(open, None)], ..Line::new() };
                let datalog = match what {
                    "hop" => signed.hop(next),
                    _ => Line::presentation(next),
                };
                let forge = signed.delegated(open).append(&datalog, None);
                let forge = forge.change(|forge| forge.blocks[next].signer = Some(key));
                let forge = match what {
                    "hop" => signed.append(forge, &Line::presentation(next + 1)),
                    _ => forge,
                };
                let name =
                    format!("a {what} signed by {by} for block {next}, which needs no signature");
                cases.push(refused(&name, forge.bearer(), "foreign_signer", next));
                let case = refused(
                    &format!("{name}, where unbound hops are accepted"),
                    forge.bearer(),
                    "foreign_signer",
                    next,
                );
                cases.push(case.to(Server::Unbound));
            }
        }
    }
    // What is unbound in two places is refused at the first.
    let twice = Line { holders: vec![(0, None), (2, None)], unsigned: vec![1, 3], ..Line::new() };
    cases.push(refused("unbound in two places", twice.presented(3).bearer(), "unbound", 1));
    let all = Line {
        holders: (0..4).map(|at| (at, None)).collect(),
        unsigned: vec![1, 2, 3, 4],
        ..Line::new()
    };
    cases.push(refused("unbound all along", all.presented(3).bearer(), "unbound", 1));
    // The holder is named by a caveat or by nothing: it is still nobody's.
    let caveat = append_first_party(Line::open_at(1).delegated(1), "check if true");
    let caveat = append_first_party(caveat, &Line::presentation(3));
    cases.push(refused("unbound with a caveat between", caveat.bearer(), "unbound", 3));
    cases
}

/// Operations of `hardtack:`, for which every link must be bound.
fn governing() -> Vec<Case> {
    let scope = REVOKE;
    let revoke = || Sent::operation(REVOKE);
    let mut cases = Vec::new();
    let bound = Line { scope, ..Line::new() };
    let bearer = bound.presented(2).bearer();
    cases.push(accepted("a bound line governs", bearer.clone()).calls(revoke()));
    cases.push(
        accepted("a bound line governs where others are accepted", bearer)
            .calls(revoke())
            .to(Server::Unbound),
    );
    for open in 0..LONGEST {
        for (what, hops) in [("hop", LONGEST), ("presentation", open)] {
            let line = Line { scope, ..Line::open_at(open) };
            let name = format!("an unbound {what} for block {} governs", open + 1);
            let case = refused(&name, line.presented(hops).bearer(), "unbound", open + 1);
            cases.push(case.calls(revoke()).to(Server::Unbound));
        }
    }
    for operation in ["hardtack", "hardtack:revoke:all", "hardtack:audit"] {
        let bearer = Line { scope: "tools:call:*", ..Line::new() }.presented(1).bearer();
        let name = format!("a scope of tools for {operation}");
        let case = refused(&name, bearer, "not_granted", 0);
        cases.push(case.calls(Sent::operation(operation)));
    }
    cases
}

/// A root key signs grants and nothing else: whoever it delegates to, that is not a delegation.
fn roots() -> Vec<Case> {
    let mut cases = Vec::new();
    for block in 0..=LONGEST {
        let line = Line { holders: vec![(block, Some([1; 32]))], ..Line::new() };
        let what = format!("the root for the holder of block {block}");
        cases.push(refused(&what, line.presented(block).bearer(), "root_as_holder", block));
        if block < LONGEST {
            let what = format!("{what}, which delegates further");
            cases.push(refused(&what, line.presented(LONGEST).bearer(), "root_as_holder", block));
        }
    }
    let other = Line { holders: vec![(0, Some([66; 32]))], ..Line::new() };
    cases.push(accepted("a root that is not trusted for a holder", other.presented(1).bearer()));
    cases
}
