//! Draw: chains and requests, the same for the same number. Most chains are sound, or would be but for a
//! thing or two, so that each refusal comes up and so does leave.

use crate::model::covers;
use crate::rng::Rng;
use crate::said::*;

const HOUR: Seconds = 3600;

/// The most hops of a chain.
pub const MOST_HOPS: usize = 8;

/// Requests of a chain.
pub const REQUESTS: usize = 20;

pub const SCOPES: [Name; 13] = [
    "*",
    "tools:*",
    "tools:call:*",
    "tools:call:search",
    "tools:call:search:*",
    "tools:call:pay",
    "tools:call:delete",
    "resources:*",
    "resources:read",
    "prompts:get:x",
    "hardtack:*",
    "hardtack:revoke",
    "hardtackle:*",
];

/// Those that are often asked for come first.
pub const OPERATIONS: [Name; 12] = [
    "tools:call:search",
    "tools:call:pay",
    "tools:call:delete",
    "resources:read",
    "hardtack:revoke",
    "tools:call:search:deep",
    "tools:call",
    "tools:call:searching",
    "prompts:get:x",
    "tools:list",
    "hardtackle:go",
    "hardtack",
];

pub const AUDIENCES: [Name; 3] = ["notion.mcp", "mail.mcp", "files.mcp"];
const AGENTS: [Name; 3] = ["agent.a", "agent.b", "agent.c"];

/// Holders that no server knows anything of. Others: 1 and 2 are issuers, 3 is revoked, 4 and 5 are listed.
const HOLDERS: [Key; 7] = [6, 7, 8, 9, 10, 11, 12];
pub const ROOT: Key = 1;
const OTHER_ROOT: Key = 2;
const REVOKED: Key = 3;
const LISTED: [Key; 2] = [4, 5];

pub struct Request {
    pub server: usize,
    pub call: Call,
    pub now: Seconds,
}

pub fn servers() -> Vec<Server> {
    let server = Server {
        audience: "notion.mcp",
        roots: vec![(None, ROOT)],
        accepts_unbound: false,
        directory: Vec::new(),
        revoked_holders: vec![REVOKED],
        revoked_agents: vec!["agent.gone"],
        revoked_subjects: vec![("user:gone", 0), ("user:late", -HOUR)],
        checked: "tools:list",
        denied_beyond: ("tools:call:delete", 2),
        denied_above: ("tools:call:pay", 1000),
        unmentioned: "prompts:get:x",
    };
    let listed =
        vec![("agent.listed", LISTED[0]), ("agent.listed", LISTED[1]), ("agent.both", LISTED[1])];
    vec![
        server.clone(),
        Server { accepts_unbound: true, ..server.clone() },
        Server { directory: listed, ..server.clone() },
        Server {
            audience: "mail.mcp",
            roots: vec![(Some(7), ROOT), (None, OTHER_ROOT)],
            ..server.clone()
        },
        Server {
            roots: vec![(Some(7), ROOT), (Some(8), OTHER_ROOT)],
            revoked_holders: Vec::new(),
            ..server
        },
    ]
}

/// The chain of this number.
pub fn chain(number: u64) -> Chain {
    let rng = &mut Rng::of(1, number);
    let is_bound = !rng.one_in(12);
    let grant = Link {
        scopes: rng.some(&SCOPES, 1, 3),
        audiences: some_audiences(rng),
        expires: rng.between(600, 2 * HOUR),
        holder: is_bound.then(|| rng.pick(&HOLDERS)),
        checks: checks(rng),
    };
    let mut chain = Chain {
        root: ((!rng.one_in(4)).then_some(7), ROOT),
        broken: None,
        broken_of_holder: number.is_multiple_of(2),
        subject: "user:alice",
        issued: rng.between(-HOUR, 0),
        max_depth: MOST_HOPS,
        grant,
        blocks: Vec::new(),
    };
    if !rng.one_in(6) {
        chain.grant.scopes.insert(0, "*");
        chain.grant.scopes.dedup();
    }
    let mut parent = chain.grant.clone();
    for _ in 0..rng.below(MOST_HOPS + 1) {
        if rng.one_in(12) {
            let caveat = Kind::Caveat(checks(rng));
            append(&mut chain, None, caveat);
        }
        let link = below(rng, &parent);
        let (agent, signer) = (rng.pick(&AGENTS), parent.holder);
        append(&mut chain, signer, Kind::Hop { agent, has_reason: true, link: link.clone() });
        let audiences =
            if link.audiences.is_empty() { parent.audiences } else { link.audiences.clone() };
        parent = Link { audiences, ..link };
    }
    let audience = match parent.audiences.as_slice() {
        [] => "notion.mcp",
        some if some.contains(&"notion.mcp") && !rng.one_in(6) => "notion.mcp",
        some => rng.pick(some),
    };
    let bound = rng.one_in(4).then(|| call(rng, None));
    let longest = if bound.is_some() { 120 } else { 600 };
    let shortest = if rng.one_in(10) { 1 } else { 31 };
    let expires = parent.expires.min(rng.between(shortest, longest));
    append(&mut chain, parent.holder, Kind::Presentation { audience, expires, call: bound });
    for block in &mut chain.blocks {
        block.parent = block.signer.and_then(|_| rng.one_in(2).then_some(true));
    }
    // Of the first chains each is spoilt in its own way, so that a short run sees them all.
    let first = usize::try_from(number).ok().filter(|way| *way < WAYS);
    let more = rng.pick(&[0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2]);
    let ways: Vec<_> = first.into_iter().chain((0..more).map(|_| rng.below(WAYS))).collect();
    for way in ways {
        spoil(rng, &mut chain, way);
    }
    // The block may have been taken away since.
    chain.broken = chain.broken.map(|at| at.min(chain.blocks.len()));
    chain
}

/// The requests that are made with the chain of this number.
pub fn requests(number: u64, chain: &Chain) -> Vec<Request> {
    let rng = &mut Rng::of(2, number);
    let mut ends: Vec<_> = chain.blocks.iter().filter_map(expiry).collect();
    ends.push(chain.grant.expires);
    let first = ends.iter().copied().min().unwrap_or_default();
    let at_mail =
        |block: &Block| matches!(block.kind, Kind::Presentation { audience: "mail.mcp", .. });
    // Each server has to look at each signature, so a chain comes to two: to that which may accept it, and to
    // any other.
    let fitting = match chain.blocks.last() {
        Some(block) if at_mail(block) => 3,
        Some(block) if block.signer.is_none() => rng.pick(&[1, 1, 1, 0]),
        _ => rng.pick(&[0, 0, 0, 1, 2, 2, 4]),
    };
    let is_listed =
        |block: &Block| matches!(block.kind, Kind::Hop { agent, .. } if !AGENTS.contains(&agent));
    let fitting = if chain.blocks.iter().any(is_listed) { 2 } else { fitting };
    let servers = [fitting, rng.below(5)];
    let draw = |_| Request {
        server: servers[usize::from(rng.one_in(14))],
        call: call(rng, presentation(chain).and_then(|bound| bound.as_ref())),
        now: match rng.below(36) {
            0 => first + rng.pick(&[-1, 0, 1]),
            1 => rng.pick(&ends) + rng.pick(&[-1, 0, 1]),
            2 => rng.pick(&ends) - rng.pick(&[120, 600, HOUR, 24 * HOUR]) + rng.pick(&[-1, 0, 1]),
            3 => chain.issued - 60 + rng.pick(&[-1, 0, 1]),
            _ => rng.between(0, 30),
        },
    };
    (0..REQUESTS).map(draw).collect()
}

/// Mostly such that most servers are among them.
fn some_audiences(rng: &mut Rng) -> Vec<Name> {
    match rng.below(8) {
        0 => rng.some(&AUDIENCES, 1, 2),
        1 | 2 => vec!["notion.mcp", rng.pick(&AUDIENCES[1..])],
        3 => AUDIENCES.to_vec(),
        _ => Vec::new(),
    }
}

fn append(chain: &mut Chain, signer: Option<Key>, kind: Kind) {
    let number = chain.blocks.len() + 1;
    chain.blocks.push(Block { signer, parent: None, number, kind });
}

/// What its parent may pass on.
fn below(rng: &mut Rng, parent: &Link) -> Link {
    let within = |scope: &Name| parent.scopes.iter().any(|above| covers(above, scope));
    let within: Vec<_> = SCOPES.into_iter().filter(within).collect();
    let scopes = if rng.one_in(9) { rng.some(&within, 2, 4) } else { parent.scopes.clone() };
    let audiences = match (rng.below(6), parent.audiences.as_slice()) {
        (0, []) => some_audiences(rng),
        (1, some) => rng.some(some, 0, 2),
        _ => Vec::new(),
    };
    Link {
        scopes,
        audiences,
        expires: parent.expires.min(rng.between(300, HOUR)),
        holder: parent.holder.and_then(|_| (!rng.one_in(60)).then(|| rng.pick(&HOLDERS))),
        checks: checks(rng),
    }
}

/// In how many ways a chain can be spoilt.
pub const WAYS: usize = 34;

/// One thing that is wrong, or may be.
fn spoil(rng: &mut Rng, chain: &mut Chain, way: usize) {
    let edge = rng.pick(&[-1, 0, 1]);
    let some_key = (!rng.one_in(4)).then(|| rng.pick(&[1, 2, 3, 4, 5, 6, 7, 8]));
    let at = rng.below(chain.blocks.len());
    match way {
        0 => {
            chain.root =
                (rng.pick(&[None, Some(7), Some(8), Some(9)]), rng.pick(&[ROOT, OTHER_ROOT, 6]))
        }
        1 => chain.broken = Some(rng.below(chain.blocks.len() + 1)),
        2 => {
            chain.subject = rng.pick(&["user:gone", "user:late"]);
            chain.issued = rng.pick(&[0, -HOUR]) + 60 + edge;
        }
        3 => chain.issued = 60 + edge,
        4 => {
            chain.grant.expires = rng.between(1, 59);
            chain.issued = chain.grant.expires + edge;
        }
        5 => chain.grant.expires = 24 * HOUR + edge,
        6 | 7 => chain.max_depth = rng.below(MOST_HOPS),
        8 => link(rng, chain).scopes.push(rng.pick(&SCOPES)),
        9 => link(rng, chain).scopes.push("hardtack:revoke"),
        10 | 11 => link(rng, chain).audiences.push(rng.pick(&AUDIENCES)),
        12 => link(rng, chain).expires += rng.pick(&[1, HOUR]),
        13 => link(rng, chain).expires = edge,
        14 => link(rng, chain).expires = HOUR + edge,
        15 => link(rng, chain).holder = some_key,
        16 => link(rng, chain).holder = Some(rng.pick(&[ROOT, OTHER_ROOT])),
        17 => link(rng, chain).holder = Some(REVOKED),
        18 => link(rng, chain).holder = None,
        19 | 20 | 31 => rename(rng, chain),
        21 => chain.blocks[at].signer = some_key,
        22 => {
            // A signature on a block that nobody in particular was to sign.
            if let Some(block) = chain.blocks.iter_mut().find(|block| block.signer.is_none()) {
                block.signer = some_key.filter(|_| !matches!(block.kind, Kind::Caveat(_)));
            }
        }
        23 => drop(chain.blocks.pop()),
        24 => {
            let after = chain.blocks[at].clone();
            append(chain, after.signer, after.kind);
        }
        25 | 30 | 32 | 33 => malform(chain, at, way),
        26 => {
            if let Some(Kind::Presentation { audience, .. }) = last(chain) {
                *audience = rng.pick(&AUDIENCES);
            }
        }
        27 => {
            chain.blocks.pop();
            append(chain, some_key, Kind::Caveat(Vec::new()));
        }
        28 => {
            if let Some(Kind::Presentation { expires, .. }) = last(chain) {
                *expires = rng.pick(&[0, 120, 600, HOUR]) + edge;
            }
        }
        _ => {
            if let Some(Kind::Presentation { call: bound, .. }) = last(chain) {
                *bound = Some(call(rng, None));
            }
        }
    }
    if chain.blocks.is_empty() {
        append(
            chain,
            chain.grant.holder,
            Kind::Presentation { audience: "notion.mcp", expires: 60, call: None },
        );
    }
}

/// What no reader accepts. One thing at a time: what a reader looks at first within a block is its own affair.
fn malform(chain: &mut Chain, at: usize, way: usize) {
    let hops = chain.blocks.len();
    let block = &mut chain.blocks[if way < 32 { at } else { at.min(hops.saturating_sub(2)) }];
    match (&mut block.kind, way) {
        (Kind::Caveat(_), _) => block.signer = Some(6),
        (Kind::Hop { has_reason, .. }, 32) => *has_reason = false,
        (Kind::Hop { link, .. }, 33) => link.scopes.clear(),
        (_, 30) => block.parent = Some(false),
        _ => block.number += 1,
    }
}

fn rename(rng: &mut Rng, chain: &mut Chain) {
    let hops =
        (0..chain.blocks.len()).filter(|at| matches!(chain.blocks[*at].kind, Kind::Hop { .. }));
    let hops: Vec<_> = hops.collect();
    let Some(at) = (!hops.is_empty()).then(|| rng.pick(&hops)) else { return };
    if let Kind::Hop { agent, link, .. } = &mut chain.blocks[at].kind {
        *agent = rng.pick(&["agent.listed", "agent.listed", "agent.both", "agent.gone"]);
        let holder = link.holder;
        link.holder = if rng.one_in(3) { holder } else { Some(rng.pick(&LISTED)) };
        // Who holds this hop signs what stands on it.
        let (was, holder) = (holder, link.holder);
        if let Some(next) = chain.blocks.get_mut(at + 1).filter(|next| next.signer == was) {
            next.signer = holder;
        }
    }
}

/// The link of the grant or of a hop.
fn link<'a>(rng: &mut Rng, chain: &'a mut Chain) -> &'a mut Link {
    let at = rng.below(chain.blocks.len());
    match &mut chain.blocks[at].kind {
        Kind::Hop { link, .. } => link,
        _ => &mut chain.grant,
    }
}

fn last(chain: &mut Chain) -> Option<&mut Kind> {
    chain.blocks.last_mut().map(|block| &mut block.kind)
}

fn expiry(block: &Block) -> Option<Seconds> {
    match &block.kind {
        Kind::Hop { link, .. } => Some(link.expires),
        Kind::Presentation { expires, .. } => Some(*expires),
        Kind::Caveat(_) => None,
    }
}

/// The call to which the presentation is bound, if there are both.
fn presentation(chain: &Chain) -> Option<&Option<Call>> {
    chain.blocks.iter().find_map(|block| match &block.kind {
        Kind::Presentation { call, .. } => Some(call),
        _ => None,
    })
}

/// A call; where there is one to which a chain is bound, mostly that one, or nearly.
fn call(rng: &mut Rng, bound: Option<&Call>) -> Call {
    let mut drawn = Call {
        operation: if rng.one_in(5) { rng.pick(&OPERATIONS) } else { rng.pick(&OPERATIONS[..3]) },
        scheme: if rng.one_in(12) {
            Some("gopher")
        } else {
            rng.pick(&[None, None, Some("https"), Some("file")])
        },
        arguments: Vec::new(),
    };
    if !rng.one_in(3) {
        let amount = [Value::Number(5), Value::Number(100), Value::Number(101), Value::Text("5")];
        drawn.arguments.push(("amount", rng.pick(&amount)));
        if rng.one_in(9) {
            drawn.arguments = vec![("amount", Value::Number(rng.pick(&[1000, 1001])))];
        }
    }
    if !rng.one_in(3) {
        drawn
            .arguments
            .push(("to", Value::Text(rng.pick(&["bob", "bob", "bob", "eve", "mallory"]))));
    }
    match (bound, rng.below(6)) {
        (None, _) | (_, 0) => drawn,
        (Some(bound), 1) => Call { operation: drawn.operation, ..bound.clone() },
        (Some(bound), 2) => Call { arguments: drawn.arguments, ..bound.clone() },
        (Some(bound), _) => bound.clone(),
    }
}

fn checks(rng: &mut Rng) -> Vec<Check> {
    let count = rng.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    let draw = |_| match rng.below(6) {
        0 => Check::OneOf("to", rng.pick(&[["bob", "eve"], ["bob", "bob"]])),
        1 => Check::AtMost("amount", 100),
        2 => Check::NotAbove("amount", 100),
        3 => Check::AtMostOr("amount", 100, "to", "bob"),
        4 => Check::Before(rng.between(-60, HOUR)),
        _ => Check::Depth(2 + rng.below(MOST_HOPS)),
    };
    (0..count).map(draw).collect()
}
