use proptest::prelude::*;

use super::*;
use crate::chain::{Chain, GrantBlock, Hop, RevocationId};
use crate::revocation::{RevocationSource, Revocations, RevokedBy};

/// When the first list is made, by a clock that is right.
const START: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A chain of one hop whose names and ids are of this number, and whose grant was issued then.
pub(crate) fn chain(issued: Timestamp, number: u8) -> Chain {
    let id = |part: u8| {
        RevocationId::from_bytes([[number; 32], [part; 32]].concat().try_into().unwrap())
    };
    let grant = GrantBlock {
        subject: format!("user:{number}"),
        scopes: Vec::new(),
        audiences: Vec::new(),
        issued,
        expires: issued + DAY,
        max_depth: 8,
        holder: None,
        facts: Vec::new(),
        revocation_id: id(number),
    };
    let hop = Hop {
        index: 1,
        delegator: grant.subject.clone(),
        delegate: format!("agent.{number}"),
        scopes: Vec::new(),
        audiences: Vec::new(),
        expires: issued + DAY,
        reason: "tests".to_owned(),
        holder: None,
        signer: None,
        checks: 0,
        revocation_id: id(100 + number),
        block_signature: id(100 + number),
    };
    Chain { grant, hops: vec![hop], presentation: None, caveats: Vec::new() }
}

/// What stops the chain of this number, by its number of another kind.
fn revocation(number: u8) -> Revocation {
    let chain = chain(START, number);
    match number % 3 {
        0 => Revocation::Id { id: chain.hops[0].revocation_id },
        1 => Revocation::Subject { subject: chain.grant.subject, root: None },
        _ => Revocation::AgentUntilNow { agent: chain.hops[0].delegate.clone() },
    }
}

fn entry(revocation: Revocation, revoked: Timestamp, expires: Timestamp) -> InForce {
    InForce { sequence: 1, revocation, revoked, expires: Some(expires) }
}

/// As a store lists what is revoked then.
fn honest(revocation: Revocation, revoked: Timestamp) -> InForce {
    entry(revocation, revoked, revoked + DAY + GRACE)
}

fn list(as_of: Timestamp, revocations: Vec<InForce>) -> RevocationList {
    RevocationList { as_of, forgotten_until: None, revocations }
}

fn revoked_by(copy: &Revocations, chain: &Chain) -> Option<RevokedBy> {
    let root = crate::keys::PrivateKey::from_bytes(&[7; 32]).public();
    copy.revoked(chain, &root).unwrap().map(|revoked| revoked.by)
}

fn held(copy: &Revocations) -> usize {
    copy.copy().held.len()
}

#[test]
fn what_lists_no_longer_have_is_forgotten_in_its_time_and_leaves_its_mark() {
    let all: Vec<InForce> = (0..6).map(|number| honest(revocation(number), START)).collect();
    let copy = Revocations::copied(&list(START, all.clone()));
    let at = |after: Duration| START + after;
    let mut half_hours = (0..).map(|number| number * HOUR / 2);
    for after in half_hours.by_ref().take_while(|after| *after < DAY + GRACE) {
        copy.renew(&list(at(after), Vec::new()), at(after)).unwrap();
        assert_eq!(held(&copy), 6, "{after:?}");
        for number in 0..6 {
            let by = revoked_by(&copy, &chain(START, number)).unwrap();
            assert!(!matches!(by, RevokedBy::Forgotten { .. }), "{by:?}");
        }
    }
    copy.renew(&list(at(DAY + GRACE), all[..1].to_vec()), at(DAY + GRACE)).unwrap();
    assert_eq!(held(&copy), 1, "a list that has it keeps it");
    let until = START + CLOCK_SKEW;
    for number in 1..6 {
        assert_eq!(revoked_by(&copy, &chain(until, number)), Some(RevokedBy::Forgotten { until }));
        assert_eq!(revoked_by(&copy, &chain(until + MINUTE, number)), None);
    }
    assert_eq!(revoked_by(&copy, &chain(START, 0)), Some(RevokedBy::Id));
}

#[test]
fn a_longer_life_that_a_verifier_accepts_is_waited_for_and_keys_and_bans_for_ever() {
    let key = crate::keys::PrivateKey::from_bytes(&[8; 32]).public();
    let agent = "agent.1".to_owned();
    // Even if the list says that it may go.
    let for_good = [Revocation::Holder { key }, Revocation::Agent { agent }];
    let mut all = for_good.map(|revocation| entry(revocation, START, START)).to_vec();
    all.push(honest(revocation(0), START));
    let copy = Revocations::copied(&list(START, all));
    copy.keep_for(&Lifetimes { grant: 2 * DAY, ..Lifetimes::default() });
    for half in 0..=2 * 49 {
        let now = START + half * HOUR / 2;
        assert_eq!(held(&copy), 1, "{half}");
        copy.renew(&list(now, Vec::new()), now).unwrap();
    }
    assert_eq!(held(&copy), 0);
    assert_eq!(revoked_by(&copy, &chain(START + 3 * DAY, 1)), Some(RevokedBy::Agent));
    let mut held = chain(START + 3 * DAY, 2);
    held.hops[0].holder = Some(key);
    assert_eq!(revoked_by(&copy, &held), Some(RevokedBy::Holder));
}

/// A list that says less of the same, and one with another id that the set takes for the same.
#[test]
fn no_list_says_less_than_was_known() {
    let lies = |as_id: [u8; 64]| {
        let copy = Revocations::copied(&list(START, vec![honest(revocation(0), START)]));
        let past = Timestamp::from_unix_seconds(1);
        let id = Revocation::Id { id: RevocationId::from_bytes(as_id) };
        for half in 0..2 * 24 {
            let now = START + half * HOUR / 2;
            let said = match half % 2 {
                0 => vec![entry(id.clone(), past, past)],
                _ => Vec::new(),
            };
            copy.renew(&list(now, said), now).unwrap();
            assert_eq!(revoked_by(&copy, &chain(START, 0)), Some(RevokedBy::Id), "{half}");
        }
    };
    let Revocation::Id { id } = revocation(0) else { panic!("an id") };
    lies(*id.as_bytes());
    let mut alike = [9; 64];
    alike[32..48].copy_from_slice(&id.as_bytes()[32..48]);
    lies(alike);
}

#[test]
fn a_clock_that_is_wrong_for_a_minute_keeps_nothing_for_longer_than_a_day() {
    for wrong in [START + 400 * DAY, START - 400 * DAY, START + 3 * HOUR, START - 3 * HOUR] {
        let copy = Revocations::copied(&list(START, vec![honest(revocation(0), START)]));
        copy.renew(&list(START, Vec::new()), START).unwrap();
        copy.renew(&list(START, vec![honest(revocation(3), START)]), wrong).unwrap();
        for half in 0..=2 * 25 {
            assert_eq!(held(&copy), 2, "{half}");
            let now = START + MINUTE + half * HOUR / 2;
            copy.renew(&list(now, Vec::new()), now).unwrap();
        }
        assert_eq!(held(&copy), 0);
    }
}

#[test]
fn a_list_from_the_future_makes_no_copy_fresh_and_none_stale_for_ever() {
    let knows = |copy: &Revocations| copy.knowledge().span().unwrap().0;
    let copy = Revocations::copied(&list(START, Vec::new()));
    copy.renew(&list(START + DAY, Vec::new()), START + MINUTE).unwrap();
    assert_eq!(knows(&copy), START);
    copy.renew(&list(START + MINUTE, Vec::new()), START + MINUTE).unwrap();
    copy.renew(&list(START, Vec::new()), START + MINUTE).unwrap();
    assert_eq!(knows(&copy), START + MINUTE);
    let copy = Revocations::copied(&list(START + DAY, Vec::new()));
    copy.renew(&list(START + 2 * DAY, Vec::new()), START).unwrap();
    assert_eq!(knows(&copy), START + DAY);
    copy.renew(&list(START, Vec::new()), START).unwrap();
    assert_eq!(knows(&copy), START);
}

/// What a list says of something that was revoked before.
#[derive(Debug, Clone, Copy)]
enum Says {
    Nothing,
    TheTruth,
    /// That it was revoked long ago, and is over.
    Less,
    /// That it was revoked just now, and lasts for an hour.
    Other,
}

/// One list, at one time.
#[derive(Debug, Clone)]
struct Step {
    /// Minutes since the step before.
    minutes: u64,
    /// How wrong the copy's clock is, in minutes.
    wrong: i64,
    /// Of the chain that is revoked now: how many minutes ago its grant was issued.
    age: Option<u64>,
    /// Whether whoever revokes it by its id has a clock that stands in 1970.
    in_1970: bool,
    says: [Says; 4],
}

/// Jumps of over an hour, back and forth; and half an hour, which is within the grace.
const WRONG: [i64; 7] = [0, 0, -30, 125, -125, 527_000, -527_000];

fn step() -> impl Strategy<Value = Step> {
    let says = prop::sample::select(vec![Says::Nothing, Says::TheTruth, Says::Less, Says::Other]);
    let wrong = prop_oneof![8 => Just(0), 2 => prop::sample::select(WRONG.to_vec())];
    let age = prop::option::weighted(0.3, 0_u64..24 * 60);
    (1_u64..60, wrong, age, any::<bool>(), prop::array::uniform4(says)).prop_map(
        |(minutes, wrong, age, in_1970, says)| Step { minutes, wrong, age, in_1970, says },
    )
}

fn wrong_by(moment: Timestamp, minutes: i64) -> Timestamp {
    let by = MINUTE * u32::try_from(minutes.unsigned_abs()).unwrap();
    if minutes < 0 { moment - by } else { moment + by }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The model: whatever was listed once is revoked for as long as its grant lives, by the time that it really is.
    #[test]
    fn neither_lists_nor_clocks_take_a_revocation_back(steps in prop::collection::vec(step(), 20..90)) {
        let copy = Revocations::copied(&list(START, Vec::new()));
        let mut chains: Vec<(Chain, Timestamp)> = Vec::new();
        let mut time = START;
        for Step { minutes, wrong, age, in_1970, says } in steps {
            time = time + MINUTE * u32::try_from(minutes).unwrap();
            let told = |(number, (_, since)): (usize, &(Chain, Timestamp))| {
                let past = Timestamp::from_unix_seconds(1);
                let revocation = revocation(u8::try_from(number).unwrap());
                match says[number % says.len()] {
                    Says::Nothing => None,
                    Says::TheTruth => Some(honest(revocation, *since)),
                    Says::Less => Some(entry(revocation, past, past)),
                    Says::Other => Some(entry(revocation, time, time + HOUR)),
                }
            };
            let mut told: Vec<InForce> = chains.iter().enumerate().filter_map(told).collect();
            if let Some(age) = age {
                let number = u8::try_from(chains.len()).unwrap();
                let issued = time - MINUTE * u32::try_from(age).unwrap();
                chains.push((chain(issued, number), time));
                let revocation = revocation(number);
                let is_id = matches!(revocation, Revocation::Id { .. });
                let since = if in_1970 && is_id { Timestamp::from_unix_seconds(100) } else { time };
                told.push(honest(revocation, since));
            }
            copy.renew(&list(time, told), wrong_by(time, wrong)).unwrap();
            for (chain, since) in chains.iter().filter(|(chain, _)| time < chain.grant.expires) {
                prop_assert!(revoked_by(&copy, chain).is_some(), "{:?} revoked {since}, now {time}", chain.grant.subject);
            }
        }
    }
}

#[test]
fn what_a_log_has_forgotten_leaves_its_mark_also_where_it_was_not_known() {
    let copy = Revocations::copied(&list(START, Vec::new()));
    let change = Change::Forgotten { sequences: vec![(1, 1)], until: Some(START) };
    copy.follow(&[crate::revocation::Event::new(1, change)], START, START).unwrap();
    let forgotten = Some(RevokedBy::Forgotten { until: START });
    assert_eq!(revoked_by(&copy, &chain(START, 0)), forgotten);
    assert_eq!(revoked_by(&copy, &chain(START + MINUTE, 0)), None);
}

#[cfg(feature = "store")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// The model: a copy that takes the whole list as often. Both are of a real store, by a clock that is right.
    #[test]
    fn a_copy_that_follows_the_events_refuses_what_one_that_takes_the_lists_does(
        steps in prop::collection::vec((1_u64..50, prop::option::weighted(0.2, 0_u8..40), any::<bool>(), 1_usize..6), 150..250),
    ) {
        use crate::pending::wait;
        use crate::revocation::{Events, RevocationLog, Revoking};

        let store = crate::store::Store::in_memory().unwrap();
        let [by_events, by_lists] = [(); 2].map(|()| Revocations::copied(&list(START, Vec::new())));
        let (mut time, mut at) = (START, wait(store.head()).unwrap());
        let mut chains: Vec<Chain> = Vec::new();
        for (minutes, number, collects, piece) in steps {
            time = time + MINUTE * u32::try_from(minutes).unwrap();
            if let Some(number) = number {
                // What is revoked again is prolonged.
                store.revoke(Revoking::new(revocation(number), "tests", "lost").unwrap(), time).unwrap();
                chains.push(chain(time, number));
            }
            if collects {
                store.collect_trusting_the_clock(time).unwrap();
            }
            loop {
                let known = by_events.knowledge();
                let Events::Next(events) = wait(store.read(at, piece)).unwrap() else {
                    panic!("nothing that is not read yet was taken away")
                };
                at.number += events.len() as u64;
                let is_all = events.len() < piece;
                let as_of = if is_all { time } else { Timestamp::default() };
                by_events.follow(&events, as_of, time).unwrap();
                if is_all {
                    break;
                }
                prop_assert_eq!(by_events.knowledge(), known, "a part makes no copy fresh");
            }
            by_lists.renew(&wait(store.list(time)).unwrap().list(), time).unwrap();
            prop_assert_eq!(by_events.knowledge(), by_lists.knowledge());
            prop_assert_eq!(held(&by_events), held(&by_lists));
            for chain in &chains {
                prop_assert_eq!(revoked_by(&by_events, chain), revoked_by(&by_lists, chain));
            }
        }
        store.close().unwrap();
    }
}
