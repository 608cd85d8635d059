//! Prepared: what do all decisions about one token by one set of policies have in common? (A cache of what is
//! translated, derived and bounded once.)

use std::fmt;
use std::sync::{Arc, RwLock};

use biscuit_auth::builder::CheckKind;
use biscuit_auth::datalog::{Fact, Rule, SymbolTable};

use crate::authorize::AuthorizeError;
use crate::authorize::begun::{self, BegunTokens, Loaded, TokenCheck};
use crate::authorize::facts::Asked;
use crate::authorize::relevant::{MAX_REMEMBERED_BYTES, Relevant, RelevantByOperation};
use crate::calendar::Calendar;
use crate::call::{Call, values_and_bytes_of};
use crate::datalog::{Base, Names, World};
use crate::memory::Memory;
use crate::policy::Policy;
use crate::profile::MAX_COST;
use crate::profile::cost::{self, Sizes};
use crate::profile::shape::ShapedBlock;
use crate::profile::vocabulary::ARGUMENT;
use crate::verify::{Identity, VerifiedCapability};

/// What all decisions about one token by one set of policies have in common.
pub(crate) struct Prepared {
    policy: String,
    pub(crate) base: Arc<Base>,
    /// The blocks' checks, with the number of their block and of themselves.
    pub(crate) checks: Vec<Arc<TokenCheck>>,
    /// What the policies read of the moment, which is stated for them and among what checks pass over.
    calendar: Arc<Calendar>,
    /// Which policies can matter to which operation.
    relevant: RelevantByOperation,
    /// The upper bound of the checks' work with all that [`ROOM`] has room for.
    evaluation: u64,
    blocks: Vec<Arc<ShapedBlock>>,
    /// What it takes in memory, about, with what is remembered of operations.
    bytes: usize,
    /// That of the whole decision.
    cost: u64,
}

/// How much work may be done on a thread for which others wait: some 0.2 milliseconds.
#[cfg(feature = "tokio")]
const QUICK: u64 = 5000;

/// The part of a decision's bound that asking the token's checks once more may take, a quarter: what is answered for one operation is answered
/// beside the first decision of that.
const ONCE_MORE: u64 = 4;

/// What a call commonly adds to the facts: how many of each name, and how many values and bytes each has at the
/// most. Within it, the cost of a token's checks is known before the call is.
const ROOM: [(&str, u64, u64, u64); 7] = [
    ("time", 1, 1, 0),
    ("operation", 1, 1, 256),
    ("granted", 1, 1, 256),
    ("tool", 1, 1, 128),
    ("resource", 1, 1, 1024),
    ("arg", 16, 16, 1024),
    ("call", 1, 1, 32),
];

impl Prepared {
    fn of(
        verified: &VerifiedCapability,
        policy: &Policy,
        Loaded { mut base, checks }: Loaded,
    ) -> Prepared {
        let blocks = &verified.capability().shaped().blocks;
        let (names, times) = names_of(policy, &checks, base.symbols());
        base.compare(names, times);
        let mut sizes = sizes_of(base.facts(), base.words());
        add_room(&mut sizes, &policy.calendar, base.words());
        let held: usize = blocks.iter().map(|block| block.bytes()).sum();
        let bytes = size_of::<Prepared>()
            + held
            + base.bytes()
            + begun::bytes_of(&checks)
            + policy.words_bytes()
            + BYTES_PER_FOLDED_RULE * if base.is_folded() { policy.refusing().count() } else { 0 };
        let evaluation = cost::evaluation(blocks, &sizes);
        let cost = evaluation.saturating_add(cost::reading(blocks, &sizes)).saturating_mul(times);
        Prepared {
            policy: policy.digest().to_owned(),
            base: Arc::new(base),
            checks,
            calendar: Arc::clone(&policy.calendar),
            relevant: RelevantByOperation::default(),
            evaluation: evaluation.saturating_mul(times),
            blocks: blocks.clone(),
            bytes,
            cost,
        }
    }

    /// The policies, of the set with which it was prepared, that can matter to a call.
    pub(super) fn relevant(&self, policy: &Policy, call: &Asked<'_>) -> Arc<Relevant> {
        self.relevant.to(self, policy, call)
    }

    /// Refuses a call before any check is asked, by the bound of the work over all that checks can see or pass over. What the
    /// rules of the policies derived is among it, for agents choose the arguments from which they derive.
    pub(crate) fn refuse_costly(
        &self,
        verified: &VerifiedCapability,
        world: &World,
    ) -> Result<(), AuthorizeError> {
        if self.has_room_for(world) {
            return Ok(());
        }
        let blocks = &verified.capability().shaped().blocks;
        let sizes = sizes_of(world.facts(), &world.symbols);
        match cost::bound(blocks, &sizes).saturating_mul(world.times()) {
            cost if cost > MAX_COST => Err(AuthorizeError::TooCostly { cost }),
            _ => Ok(()),
        }
    }

    /// Whether asking the token's checks once more, in this world, takes a small part of what a decision may. What rules derived there is
    /// among what they meet.
    pub(super) fn is_cheap_in(&self, world: &World) -> bool {
        // What has room takes no more than was reckoned with all the room.
        if self.evaluation <= MAX_COST / ONCE_MORE && self.fits(world) {
            return true;
        }
        let sizes = sizes_of(world.facts(), &world.symbols);
        let once_more = cost::evaluation(&self.blocks, &sizes).saturating_mul(world.times());
        once_more <= MAX_COST / ONCE_MORE
    }

    /// Whether a decision keeps within its bound with what rules derived in this world and all that there is room for.
    pub(super) fn has_room_in(&self, world: &World) -> bool {
        if self.has_room_for(world) {
            return true;
        }
        let mut sizes = sizes_of(world.facts(), &world.symbols);
        add_room(&mut sizes, &self.calendar, &world.symbols);
        cost::bound(&self.blocks, &sizes).saturating_mul(world.times()) <= MAX_COST
    }

    /// Whether a call says no more than there is room for. What a server states and what rules derive is not counted.
    pub(super) fn has_room_for_call(&self, call: &Call) -> bool {
        let fits = |name: &str, (values, bytes): (u64, u64)| {
            let room = ROOM.iter().find(|(known, ..)| *known == name);
            room.is_some_and(|(_, _, most, longest)| values <= *most && bytes <= *longest)
        };
        let text = |text: &str| (1, text.len() as u64);
        let operation = call.operation();
        let few = ROOM.iter().any(|(name, most, ..)| {
            *name == ARGUMENT && call.arguments_json().len() as u64 <= *most
        });
        few && fits("operation", text(operation.as_str()))
            && fits("granted", text(operation.as_str()))
            && operation.tool().is_none_or(|tool| fits("tool", text(tool)))
            && call.resource_uri().is_none_or(|uri| fits("resource", text(uri)))
            && call.arguments_json().iter().all(|(name, value)| {
                fits(ARGUMENT, text(name)) && fits(ARGUMENT, values_and_bytes_of(value))
            })
    }

    /// Whether the checks are cheap with all that there is room for, and a call brings no more than that.
    fn has_room_for(&self, world: &World) -> bool {
        self.cost <= MAX_COST && self.fits(world)
    }

    /// Whether a call brings no more than there is room for, and rules derived nothing.
    fn fits(&self, world: &World) -> bool {
        let mut counts = [0; ROOM.len()];
        let mut fits = |fact: &Fact| {
            // Nobody else states them, so that there are no more than the policies read.
            if self.calendar.states(fact.predicate.name) {
                return true;
            }
            let name = world.symbols.get_symbol(fact.predicate.name);
            let Some(at) = ROOM.iter().position(|(known, ..)| name == Some(known)) else {
                return false;
            };
            let (_, most, values, bytes) = ROOM[at];
            counts[at] += 1;
            counts[at] <= most
                && fact.predicate.terms.iter().all(|term| {
                    let (has_values, has_bytes) = cost::values_and_bytes(term, &world.symbols);
                    has_values <= values && has_bytes <= bytes
                })
        };
        world.own_facts().all(&mut fits)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A cache of what decisions about one token have in common, for the last few sets of policies by which it was decided.
#[derive(Debug, Default)]
pub struct PreparedSets {
    sets: RwLock<Vec<Arc<Prepared>>>,
    /// What is known of tokens that begin alike; without it, each is prepared from its beginning.
    begun: Option<Arc<BegunTokens>>,
}

/// How many those are: the set that decides and a candidate beside it.
const SETS: usize = 2;

impl PreparedSets {
    /// What they take in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let sets = self.sets.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        sets.iter().map(|prepared| prepared.bytes).sum()
    }

    /// Brings token and policies together, once for each set; the token is always the same one.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] if a block of the token cannot be read.
    pub(crate) fn prepare(
        &self,
        verified: &VerifiedCapability,
        policy: &Policy,
    ) -> Result<Arc<Prepared>, AuthorizeError> {
        if let Some(prepared) = self.by(policy.digest()) {
            return Ok(prepared);
        }
        let loaded = match &self.begun {
            Some(begun) => begun.load(verified, policy)?,
            None => begun::load(verified, policy)?,
        };
        let prepared = Arc::new(Prepared::of(verified, policy, loaded));
        self.keep(&prepared);
        Ok(prepared)
    }

    /// Whether a call by this token is decided quickly: it has been prepared, its checks are cheap, the call
    /// is small, and the policies are few and derive nothing.
    #[cfg(feature = "tokio")]
    pub(crate) fn are_quick(&self, policy: &Policy, call: &Call) -> bool {
        let cheap = |prepared: Arc<Prepared>| prepared.evaluation <= QUICK;
        policy.is_quick() && call.is_small() && self.by(policy.digest()).is_some_and(cheap)
    }

    fn by(&self, digest: &str) -> Option<Arc<Prepared>> {
        let sets = self.sets.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        sets.iter().find(|prepared| prepared.policy == digest).map(Arc::clone)
    }

    /// Keeps it in the place of the oldest.
    fn keep(&self, prepared: &Arc<Prepared>) {
        let mut sets = self.sets.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Several may have prepared the same at once.
        if sets.iter().any(|known| known.policy == prepared.policy) {
            return;
        }
        if sets.len() >= SETS {
            sets.remove(0);
        }
        sets.push(Arc::clone(prepared));
    }
}

/// The same for the tokens that came last, for whoever decides again and again.
#[derive(Debug)]
pub(crate) struct PreparedTokens {
    tokens: Memory<Identity, (Arc<PreparedSets>, usize)>,
    pub(super) begun: Arc<BegunTokens>,
}

/// The room for each token, besides that for what it begins with. With a few policies it takes less; with many it takes more.
const ROOM_PER_TOKEN: usize = 48 * 1024;

/// What a rule that can refuse takes where a token has its names folded in its own way. An estimate, by 500 denials that took 830 kB.
const BYTES_PER_FOLDED_RULE: usize = 2000;

impl PreparedTokens {
    /// For so many tokens; with 0, each decision prepares for itself.
    pub(crate) fn new(tokens: usize) -> PreparedTokens {
        PreparedTokens {
            tokens: Memory::new(tokens.saturating_mul(ROOM_PER_TOKEN)),
            begun: Arc::new(BegunTokens::new(tokens)),
        }
    }

    /// What is prepared for this token, which may be nothing yet.
    pub(crate) fn of(&self, verified: &VerifiedCapability) -> Arc<PreparedSets> {
        let known = self.tokens.get(verified.identity());
        let (known, charged) = known.unwrap_or_else(|| {
            let begun = Some(Arc::clone(&self.begun));
            (Arc::new(PreparedSets { begun, ..PreparedSets::default() }), 0)
        });
        // What was prepared since is charged when the token comes again.
        let bytes = MAX_REMEMBERED_BYTES + known.bytes();
        if charged < bytes {
            let (key, owner) = (verified.identity().clone(), verified.owner());
            self.tokens.put(key, (Arc::clone(&known), bytes), owner, bytes);
        }
        known
    }

    /// Forgets all of it, which is of policies that are in force no more.
    pub(crate) fn clear(&self) {
        self.tokens.clear();
        self.begun.clear();
    }
}

/// Counts in what a call brings, and what policies read of the moment.
fn add_room(sizes: &mut Sizes, calendar: &Calendar, words: &SymbolTable) {
    for (name, count, values, bytes) in ROOM {
        sizes.add_room(name, count, values, bytes);
    }
    for (name, bytes) in calendar.sizes() {
        sizes.add_room(words.get_symbol(name).unwrap_or_default(), 1, 1, bytes as u64);
    }
}

/// Where the names of arguments go in what policies and checks of a token refuse, and how often the checks are to be reckoned.
/// Those that Hardtack writes name their argument, and are not asked twice.
fn names_of(policy: &Policy, checks: &[Arc<TokenCheck>], words: &mut SymbolTable) -> (Names, u64) {
    let checks = checks.iter().map(|known| &known.2);
    let of_token = checks.filter(|check| check.kind != CheckKind::One);
    let of_token: Vec<&Rule> = of_token.flat_map(|check| &check.queries).collect();
    let refusing: Vec<&Rule> = policy.refusing().collect();
    policy.names.with(&policy.rules, &refusing, &of_token, words)
}

pub(crate) fn sizes_of<'a>(facts: impl Iterator<Item = &'a Fact>, words: &SymbolTable) -> Sizes {
    let mut sizes = Sizes::default();
    for fact in facts {
        sizes.add_converted(fact, words);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::authorize_with;
    use crate::profile::vocabulary::{By, names_by};
    use crate::revocation::RevocationUnchecked;
    use crate::{
        Call, Grant, Issuer, Presentation, Presenting, PrivateKey, RootKeys, Timestamp, Verifier,
    };

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    fn presented() -> (RootKeys, Presentation) {
        let issuer = Issuer::new(PrivateKey::generate());
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let token = issuer.mint(grant, NOW).unwrap();
        let bearer = token.present(Presenting::to("notion.mcp"), &alice, NOW).unwrap();
        (RootKeys::of(issuer.public()), bearer)
    }

    fn verified_by(roots: &RootKeys, bearer: &Presentation) -> VerifiedCapability {
        let verifier = Verifier::new(roots.clone(), "notion.mcp", RevocationUnchecked).unwrap();
        verifier.verify(bearer.bearer(), NOW).unwrap()
    }

    fn verified() -> VerifiedCapability {
        let (roots, bearer) = presented();
        verified_by(&roots, &bearer)
    }

    /// What has room is not reckoned again, so that a call which only seemed to have would be decided however
    /// costly it is.
    #[test]
    fn a_common_call_has_room_and_one_with_more_of_anything_has_not() {
        let verified = verified();
        let policy = Policy::parse("p", "allow if true;").unwrap();
        let prepared = PreparedSets::default().prepare(&verified, &policy).unwrap();
        let has_room = |arguments: &serde_json::Value| {
            let call = Call::tool("search").unwrap().arguments(&arguments.to_string()).unwrap();
            let world = World::of(&prepared, &verified, &policy, &call).unwrap();
            let has_room = prepared.has_room_for(&world);
            assert_eq!(prepared.has_room_for_call(&call), has_room, "{arguments}");
            has_room
        };
        let many = |count: usize| {
            let each = |n| (format!("a{n}"), serde_json::Value::from(n));
            serde_json::Value::Object((0..count).map(each).collect())
        };
        let items = |count: usize| serde_json::json!({ "ids": vec![0; count] });
        let text = |bytes: usize| serde_json::json!({ "query": "x".repeat(bytes) });
        let name = |bytes: usize| serde_json::json!({ "x".repeat(bytes): 1 });
        for (fits, exceeds) in [
            (many(16), many(17)),
            // The array is a value, too.
            (items(15), items(16)),
            (text(1024), text(1025)),
            // One that fits does not make up for one that does not.
            (many(2), serde_json::json!({ "a": 1, "query": "x".repeat(1025), "z": 1 })),
            (name(128), serde_json::json!({ "a": vec![0; 16], "b": 1 })),
        ] {
            assert!(has_room(&fits), "{fits}");
            assert!(!has_room(&exceeds), "{exceeds}");
        }
        assert!(format!("{prepared:?}").contains(&prepared.policy));
    }

    #[test]
    fn the_last_two_sets_are_remembered_and_each_decides_by_itself() {
        let (verified, prepared) = (verified(), PreparedSets::default());
        let call = Call::tool("search").unwrap();
        let sets = ["allow if depth(0);", "allow if depth(1);", "allow if true;"]
            .map(|text| Policy::parse("p.datalog", text).unwrap());
        let known = || {
            let known = |policy: &Policy| prepared.by(policy.digest()).is_some();
            [known(&sets[0]), known(&sets[1]), known(&sets[2])]
        };
        for (set, allows, remembered) in [
            (0, true, [true, false, false]),
            (1, false, [true, true, false]),
            (0, true, [true, true, false]),
            (2, true, [false, true, true]),
            (1, false, [false, true, true]),
            (0, true, [true, false, true]),
        ] {
            assert_eq!(authorize_with(&prepared, &verified, &sets[set], &call).is_ok(), allows);
            assert_eq!(known(), remembered, "after {set}");
        }
    }
    #[test]
    fn what_there_is_room_for_is_what_a_call_brings() {
        let by = [By::Moment, By::Operation, By::Resource, By::Arguments, By::Call];
        let words: Vec<_> = names_by(&by).collect();
        assert_eq!(ROOM.map(|(name, ..)| name).as_slice(), words);
    }

    /// Were the one taken for the other, policies would see a name that the root no longer has.
    #[test]
    fn what_is_prepared_is_of_one_token_and_of_one_name_for_its_root() {
        let (roots, bearer) = presented();
        let policy = Policy::parse("p", "allow if issuer(\"acme\");").unwrap();
        let call = Call::tool("search").unwrap();
        let tokens = PreparedTokens::new(8);
        let allows = |tokens: &PreparedTokens, verified: &VerifiedCapability| {
            authorize_with(&tokens.of(verified), verified, &policy, &call).is_ok()
        };
        let verifier = Verifier::new(roots.clone(), "notion.mcp", RevocationUnchecked).unwrap();
        let verify = || verifier.verify(bearer.bearer(), NOW).unwrap();
        let (first, again) = (verify(), verify());
        verifier.replace_roots(roots.named("acme"));
        let renamed = verifier.renewed(&first, NOW).unwrap();
        for _ in 0..2 {
            assert_eq!(
                [&first, &again, &renamed].map(|one| allows(&tokens, one)),
                [false, false, true]
            );
        }
        assert!(Arc::ptr_eq(&tokens.of(&first), &tokens.of(&again)), "prepared twice");
        assert!(!Arc::ptr_eq(&tokens.of(&first), &tokens.of(&verified())), "another token's");
        let none = PreparedTokens::new(0);
        assert!(allows(&none, &renamed) && !Arc::ptr_eq(&none.of(&first), &none.of(&first)));
    }

    /// Whoever may delegate makes as many tokens as it likes: what each takes is charged, also what comes to it later.
    #[test]
    fn what_is_prepared_is_charged_to_whose_token_it_is() {
        let (roots, bearer) = presented();
        let verified = verified_by(&roots, &bearer);
        let denies: String =
            (0..100).map(|n| format!("deny if arg(\"force{n}\", $f), $f == true;\n")).collect();
        let policy = Policy::parse("p", &format!("allow if true; {denies}")).unwrap();
        let tokens = PreparedTokens::new(64);
        let charged = || tokens.tokens.bytes();
        let sets = tokens.of(&verified);
        let before = charged();
        assert!(before >= MAX_REMEMBERED_BYTES);
        sets.prepare(&verified, &policy).unwrap();
        assert!(Arc::ptr_eq(&sets, &tokens.of(&verified)));
        assert!(charged() > before + policy.words_bytes());
        let once = charged();
        tokens.of(&verified);
        assert_eq!(charged(), once);
        tokens.clear();
        assert!(charged() == 0 && !Arc::ptr_eq(&sets, &tokens.of(&verified)));
    }
}
