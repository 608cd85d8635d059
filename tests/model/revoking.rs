//! Revoking: in a tree of delegations, is exactly what stands below something revoked refused, and still after
//! the store was closed?

use std::collections::HashSet;

use biscuit_auth::UnverifiedBiscuit;
use biscuit_auth::builder::BlockBuilder;
use hardtack::{Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, Revocation};
use hardtack::{RevocationId, Revoking, RootKeys, Store, Verifier};

use crate::draw::ROOT;
use crate::model::Refusal;
use crate::rng::Rng;
use crate::{forged, setting};
use hardtack_testkit::{AUDIENCE, NOW, search};

/// How many trees there are unless `HARDTACK_TREES` says otherwise.
const TREES: u64 = 40;

/// The nodes of a tree: a few grants, and what was delegated from them.
const NODES: usize = 30;

const GRANTS: usize = 3;

/// How often something is revoked in a tree. After each, every node is asked about.
const REVOCATIONS: usize = 3;

/// How many records of decisions may be lost: that is not what is tried here.
const UNSYNCED: usize = 1000;

/// Why a block may be refused, each in words: the model knows nothing else of it.
type Marks = Vec<String>;

/// The kinds of marks, in the order in which they are looked at. Both signatures of a block are ids.
const KINDS: [&str; 4] = ["id", "subject", "holder", "agent"];

struct Node {
    capability: Capability,
    key: u8,
    /// What its presentation says, block by block.
    marks: Vec<Marks>,
    bearer: String,
}

#[test]
fn what_stands_below_something_revoked_is_refused_and_nothing_else() {
    let numbers = match setting("HARDTACK_TREE") {
        Some(number) => number..number + 1,
        None => 0..setting("HARDTACK_TREES").unwrap_or(TREES),
    };
    let trees = numbers.end - numbers.start;
    let counts: Vec<[u64; 2]> = std::thread::scope(|scope| {
        let threads = [0, 1].map(|first| {
            let numbers = numbers.clone();
            scope.spawn(move || {
                numbers.skip(first).step_by(2).map(grow_and_revoke).collect::<Vec<_>>()
            })
        });
        let joined = threads.map(|thread| thread.join());
        joined
            .into_iter()
            .flat_map(|it| it.unwrap_or_else(|it| std::panic::resume_unwind(it)))
            .collect()
    });
    let [standing, revoked] = [0, 1].map(|of| counts.iter().map(|counts| counts[of]).sum::<u64>());
    println!("{trees} trees: {standing} times allowed, {revoked} times revoked");
    assert!(trees < TREES || standing.min(revoked) > 10 * trees, "hardly both");
}

/// How often a node stood and how often it did not.
fn grow_and_revoke(number: u64) -> [u64; 2] {
    let rng = &mut Rng::of(4, number);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    let guard = guard(&store);
    let nodes = grow(rng);
    let (mut gone, mut counts) = (HashSet::new(), [0; 2]);
    compare(&guard, &nodes, &gone, number, &mut counts);
    for _ in 0..REVOCATIONS {
        let (mark, revocation) = something(rng, &nodes);
        store.revoke(Revoking::new(revocation, "tests", "lost").unwrap(), NOW).unwrap();
        gone.insert(mark);
        compare(&guard, &nodes, &gone, number, &mut counts);
    }
    drop((guard, store));
    let store = Store::open(&path).unwrap();
    compare(&self::guard(&store), &nodes, &gone, number, &mut counts);
    counts
}

fn compare(
    guard: &Guard,
    nodes: &[Node],
    gone: &HashSet<String>,
    number: u64,
    counts: &mut [u64; 2],
) {
    for (at, node) in nodes.iter().enumerate() {
        let answer = guard.check(&node.bearer, &search(), NOW).map(drop).map_err(|denial| {
            let refusal = denial.refusal();
            (refusal.cause.as_str(), refusal.hop)
        });
        let expected = expected(&node.marks, gone);
        assert_eq!(answer, expected, "node {at} below {gone:?}: HARDTACK_TREE={number}");
        counts[usize::from(expected.is_err())] += 1;
    }
}

/// The model: whatever is marked on the way from the root.
fn expected(marks: &[Marks], gone: &HashSet<String>) -> Result<(), Refusal> {
    let is_gone = |marks: &Marks, kind: &str| {
        marks.iter().any(|mark| mark.starts_with(kind) && gone.contains(mark))
    };
    let first = |kind: &&str| marks.iter().position(|marks| is_gone(marks, kind));
    match KINDS.iter().find_map(first) {
        Some(block) => Err(("revoked", Some(block))),
        None => Ok(()),
    }
}

fn guard(store: &Store) -> Guard {
    let roots = RootKeys::of(forged::key(ROOT).public());
    let verifier = Verifier::new(roots, AUDIENCE, store.revocations()).unwrap();
    Guard::new(verifier, Policy::builtin(), store.clone().losing_at_most(UNSYNCED))
}

fn grow(rng: &mut Rng) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..NODES {
        // Keys and names come up more than once, so that revoking one reaches several branches.
        let key = 6 + u8::try_from(rng.below(12)).unwrap();
        let holder = forged::key(key).public();
        let parent = (nodes.len() >= GRANTS).then(|| &nodes[rng.below(nodes.len())]);
        let parent = parent.filter(|parent| parent.capability.chain().depth() < 8);
        let (mut capability, mut marks) = match parent {
            None => {
                let subject = format!("user:{}", rng.below(4));
                let grant = Grant::to(&subject).scope("tools:*").holder(holder);
                let made = Issuer::new(forged::key(ROOT)).mint(grant, NOW).unwrap();
                (made, vec![vec![format!("subject {subject}"), format!("holder {key}")]])
            }
            Some(parent) => {
                let agent = format!("agent.{}", rng.below(10));
                let delegation = Delegation::to(&agent).scope("tools:*").reason("a branch");
                let signer = forged::key(parent.key);
                let made = parent.capability.delegate(delegation.holder(holder), &signer, NOW);
                let marks = vec![format!("holder {key}"), format!("agent {agent}")];
                (made.unwrap(), [parent.marks[..].to_vec(), vec![marks]].concat())
            }
        };
        if rng.one_in(5) {
            let token = UnverifiedBiscuit::from(capability.to_bytes()).unwrap();
            let token = token.append(BlockBuilder::new().code("check if true").unwrap()).unwrap();
            capability = Capability::from_bytes(&token.to_vec().unwrap()).unwrap();
            marks.push(Marks::new());
        }
        identify(&capability, &mut marks);
        let presented =
            capability.present(Presenting::to(AUDIENCE), &forged::key(key), NOW).unwrap();
        nodes.push(Node { capability, key, marks, bearer: presented.bearer().to_owned() });
    }
    for node in &mut nodes {
        node.marks.push(Marks::new());
        identify(&Capability::parse(&node.bearer).unwrap(), &mut node.marks);
    }
    nodes
}

/// Marks each block with its ids.
fn identify(capability: &Capability, marks: &mut [Marks]) {
    for (block, id) in capability.chain().signatures() {
        let mark = format!("id {id}");
        if !marks[block].contains(&mark) {
            marks[block].push(mark);
        }
    }
}

/// Something to revoke that is on the way to some node, and its mark.
fn something(rng: &mut Rng, nodes: &[Node]) -> (String, Revocation) {
    let marks = &nodes[rng.below(nodes.len())].marks;
    // Mostly far from the root, or nothing is left.
    let block = if rng.one_in(3) { rng.below(marks.len()) } else { marks.len() - 1 - rng.below(2) };
    let mark = marks[block][rng.below(marks[block].len())].clone();
    let (kind, value) = mark.split_once(' ').unwrap();
    let root = rng.one_in(2).then(|| forged::key(ROOT).public());
    let revocation = match kind {
        "id" => Revocation::Id { id: value.parse::<RevocationId>().unwrap() },
        "subject" => Revocation::Subject { subject: value.to_owned(), root },
        "holder" => Revocation::Holder { key: forged::key(value.parse().unwrap()).public() },
        _ if rng.one_in(2) => Revocation::AgentUntilNow { agent: value.to_owned() },
        _ => Revocation::Agent { agent: value.to_owned() },
    };
    (mark, revocation)
}

#[test]
fn of_several_revoked_blocks_the_first_is_named() {
    let rng = &mut Rng::of(4, 0);
    let nodes = std::iter::from_fn(|| Some(grow(rng))).take(TREES as usize).flatten();
    // A hop, and after it a caveat.
    let mut both = nodes.filter_map(|node| {
        let chain = node.capability.chain();
        let (hop, caveat) = (chain.hops.first()?, chain.caveats.last()?);
        let ids = [caveat.revocation_id, hop.revocation_id];
        (hop.index < caveat.index).then_some((node.bearer, hop.index, ids))
    });
    let (bearer, hop, ids) = both.next().unwrap();
    let store = Store::in_memory().unwrap();
    for id in ids {
        hardtack_testkit::revoke(&store, Revocation::Id { id });
    }
    assert_eq!(
        hardtack_testkit::refusal(&guard(&store), &bearer, &search()),
        ("revoked", Some(hop))
    );
}
