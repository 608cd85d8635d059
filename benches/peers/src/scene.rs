//! The tokens that all paths share, made once.

use std::hint::black_box;

use hardtack::{Call, Cause, Guard, Issuer, PrivateKey};

use crate::ours::{self, Line, NOW};

/// Chains of which each is new to the guard that meets it: so many in a turn, and so many turns that differ.
pub(crate) const CHAINS: usize = 8;
const GROUPS: usize = 8;

pub(crate) struct Scene {
    pub(crate) issuer: Issuer,
    pub(crate) call: Call,
    /// A call that no chain covers.
    pub(crate) uncovered: Call,
    /// A token of a chain that no path is measured with.
    other: String,
    groups: Vec<Group>,
}

/// What one turn meets.
pub(crate) struct Group {
    pub(crate) lines: Vec<Line>,
    /// A bearer of each chain.
    pub(crate) first: Vec<String>,
    pub(crate) bound: Vec<String>,
    pub(crate) bad: Vec<String>,
    /// New bearers of the first chain.
    pub(crate) again: Vec<String>,
    pub(crate) again_bound: Vec<String>,
    pub(crate) again_bad: Vec<String>,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let issuer = Issuer::new(PrivateKey::generate());
        let call = search();
        let groups = (0..GROUPS).map(|_| Group::of(&issuer, &call)).collect();
        let uncovered = Call::tool("delete_page").expect("a call");
        let other = Line::of(&issuer, 3).bearer();
        Scene { issuer, call, uncovered, other, groups }
    }

    pub(crate) fn group(&self, turn: usize) -> &Group {
        &self.groups[turn % GROUPS]
    }

    /// A guard that has met one token of another chain only, so that what is done once in its life is done.
    pub(crate) fn fresh(&self) -> Guard {
        let guard = ours::guard(&self.issuer);
        allowed(&guard, &self.other, &self.call);
        guard
    }

    /// One that knows the first chain of the turn, too.
    pub(crate) fn knowing(&self, turn: usize) -> Guard {
        let guard = self.fresh();
        allowed(&guard, &self.group(turn).first[0], &self.call);
        guard
    }
}

impl Group {
    fn of(issuer: &Issuer, call: &Call) -> Group {
        let lines: Vec<Line> = (0..CHAINS).map(|_| Line::of(issuer, 3)).collect();
        let first: Vec<String> = lines.iter().map(Line::bearer).collect();
        let bad = first.iter().map(|bearer| ours::with_bad_seal(bearer)).collect();
        let again: Vec<String> = (0..CHAINS).map(|_| lines[0].bearer()).collect();
        Group {
            bound: lines.iter().map(|line| line.bearer_for(call)).collect(),
            again_bound: (0..CHAINS).map(|_| lines[0].bearer_for(call)).collect(),
            again_bad: again.iter().map(|bearer| ours::with_bad_seal(bearer)).collect(),
            lines,
            first,
            bad,
            again,
        }
    }
}

pub(crate) fn search() -> Call {
    let call = Call::tool("search").and_then(|call| call.arguments(r#"{"query": "roadmap"}"#));
    call.expect("a call")
}

pub(crate) fn allowed(guard: &Guard, bearer: &str, call: &Call) {
    black_box(guard.check(black_box(bearer), call, NOW)).expect("allowed");
}

/// Refused for this cause: what is measured must be the refusal that is meant.
pub(crate) fn refused(guard: &Guard, bearer: &str, call: &Call, cause: Cause) {
    let denial = black_box(guard.check(black_box(bearer), call, NOW)).expect_err("refused");
    assert_eq!(denial.cause(), cause);
}
