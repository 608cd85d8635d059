//! What a verifier knows of revocations: how old it may be, and what was forgotten.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hardtack::revocation::{
    Knowledge, RevocationList, RevocationSource, RevocationsUnavailable, Revoked, RevokedBy,
};
use hardtack::store::{ClockDoubt, Collected};
use hardtack::*;
use hardtack_testkit::*;

const HOUR: Duration = Duration::from_secs(3600);

fn cause(verifier: Verifier, call: &Call, now: Timestamp) -> Option<String> {
    let bearer = Cast::new().presented();
    let guard = Guard::unrecorded(verifier, Policy::builtin());
    guard.check(bearer.bearer(), call, now).err().map(|denial| match denial {
        Denial::Undecided(refusal) => format!("undecided {}", refusal.cause.as_str()),
        denial => denial.refusal().cause.to_string(),
    })
}

/// A list of nothing, made at a moment.
fn list(as_of: Timestamp) -> RevocationList {
    RevocationList { as_of, ..RevocationList::default() }
}

fn asking(revocations: &Revocations) -> Verifier {
    Verifier::new(Cast::new().roots(), AUDIENCE, revocations.clone()).unwrap()
}

#[test]
fn a_copy_of_the_revocations_may_be_half_a_minute_old() {
    let seconds = Duration::from_secs;
    for (age, expected) in [
        (seconds(0), None),
        (seconds(30), None),
        (seconds(31), Some("undecided revocations_stale".to_owned())),
    ] {
        let copy = Revocations::copied(&list(NOW));
        let verifier = asking(&copy);
        // The token was made at NOW, too.
        assert_eq!(cause(verifier, &search(), NOW + age), expected, "{age:?}");
    }
    let copy = Revocations::copied(&list(NOW));
    copy.renew(&list(NOW + seconds(60)), NOW + seconds(60)).unwrap();
    copy.renew(&list(NOW), NOW + seconds(60)).unwrap();
    assert!(Store::in_memory().unwrap().revocations().renew(&list(NOW), NOW).is_err());
    assert_eq!(cause(asking(&copy), &search(), NOW + seconds(90)), None);
    // A copy from the future would never be stale.
    let copy = Revocations::copied(&list(NOW + seconds(61)));
    let stale = Some("undecided revocations_stale".to_owned());
    assert_eq!(cause(asking(&copy), &search(), NOW), stale);
}

#[test]
fn each_operation_may_have_a_bound_of_its_own_and_the_strictest_counts() {
    let scope = |text: &str| text.parse::<Scope>().unwrap();
    let later = NOW + Duration::from_secs(40);
    let stale = Some("undecided revocations_stale".to_owned());
    let copy = Revocations::copied(&list(NOW));
    let looser = asking(&copy).max_staleness_of(scope("tools:call:search"), HOUR);
    assert_eq!(cause(looser, &search(), later), None);
    let other = asking(&copy).max_staleness_of(scope("tools:call:other"), HOUR);
    assert_eq!(cause(other, &search(), later), stale);
    let two = asking(&copy)
        .max_staleness_of(scope("tools:call:*"), HOUR)
        .max_staleness_of(scope("tools:call:search"), Duration::from_secs(10));
    assert_eq!(cause(two, &search(), later), stale);
    let all = asking(&copy).max_staleness(HOUR);
    assert_eq!(cause(all, &search(), later), None);
}

/// Two verifiers may share one source, which hears from both how long it is to remember.
#[test]
fn a_shared_source_answers_as_the_source_itself() {
    #[derive(Default)]
    struct Told(Mutex<Vec<Lifetimes>>);
    impl RevocationSource for Told {
        fn revoked(
            &self,
            _: &Chain,
            _: &PublicKey,
        ) -> Result<Option<Revoked>, RevocationsUnavailable> {
            Ok(Some(Revoked { block: 1, by: RevokedBy::Agent }))
        }
        fn knowledge(&self) -> Knowledge {
            Knowledge::AsOf(NOW)
        }
        fn keep_for(&self, lifetimes: &Lifetimes) {
            self.0.lock().unwrap().push(*lifetimes);
        }
    }
    let told = Arc::new(Told::default());
    let verifier = Verifier::new(Cast::new().roots(), AUDIENCE, Arc::clone(&told)).unwrap();
    let shift = Lifetimes { hop: 8 * HOUR, ..Lifetimes::default() };
    let verifier = verifier.lifetimes(shift);
    assert_eq!(*told.0.lock().unwrap(), [shift]);
    assert_eq!(cause(verifier, &search(), NOW), Some("revoked".into()));
}

#[test]
fn what_is_revoked_is_refused_however_old_the_copy_is() {
    let store = Store::in_memory().unwrap();
    revoke(&store, Revocation::Agent { agent: "agent.researcher".into() });
    let copy = Revocations::copied(&store.reader().revocation_list(NOW).unwrap());
    let much_later = NOW + Duration::from_secs(120);
    assert_eq!(cause(asking(&copy), &search(), much_later), Some("revoked".into()));
}

/// A list that people read says who and why; a copy takes it all the same, and says neither.
#[test]
fn a_copy_takes_what_verifying_needs() {
    let store = Store::in_memory().unwrap();
    revoke(&store, Revocation::Agent { agent: "agent.researcher".into() });
    let revocations = store.list_revocations().unwrap();
    let told =
        serde_json::json!({"as_of": NOW, "forgotten_until": null, "revocations": revocations});
    assert!(told.to_string().contains(r#""reason":"lost""#), "{told}");
    let list: RevocationList = serde_json::from_value(told).unwrap();
    assert_eq!(list, store.reader().revocation_list(NOW).unwrap());
    let written = serde_json::to_string(&list).unwrap();
    assert!(!written.contains("lost") && !written.contains("by"), "{written}");
    assert_eq!(cause(asking(&Revocations::copied(&list)), &search(), NOW), Some("revoked".into()));
}

/// A verifier asks its own store and a copy of another's.
#[test]
fn a_union_refuses_what_either_says_and_is_as_fresh_as_the_copy() {
    use hardtack::revocation::Union;
    let (own, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    let copy = Revocations::copied(&list(NOW));
    let verifier = || {
        let source = Union::of(own.revocations()).and(copy.clone());
        Verifier::new(Cast::new().roots(), AUDIENCE, source).unwrap()
    };
    let later = NOW + Duration::from_secs(31);
    assert_eq!(cause(verifier(), &search(), NOW), None);
    assert_eq!(cause(verifier(), &search(), later), Some("undecided revocations_stale".into()));
    let holder = Revocation::Holder { key: Cast::new().researcher.public() };
    revoke(&other, holder);
    copy.renew(&other.reader().revocation_list(NOW).unwrap(), NOW).unwrap();
    assert_eq!(cause(verifier(), &search(), later), Some("revoked".into()), "however old");
    let guard = Guard::unrecorded(verifier(), Policy::builtin());
    let bearer = Cast::new().presented();
    assert_eq!(refusal(&guard, bearer.bearer(), &search()), ("revoked", Some(1)));
    // The own store says the same of a block before it.
    revoke(&own, Revocation::Subject { subject: "user:alice".into(), root: None });
    assert_eq!(refusal(&guard, bearer.bearer(), &search()), ("revoked", Some(0)));
    // Of both it is asked for how long they are to remember.
    let month = Duration::from_secs(30 * 24 * 3600);
    let _verifier = verifier().lifetimes(Lifetimes { grant: month, ..Lifetimes::default() });
    revoke_id(&own, 1, NOW);
    let expires = own.list_revocations().unwrap()[1].notice.expires;
    assert_eq!(expires, Some(NOW + month + HOUR));
    // Where one cannot answer, what the other says is revoked is, and nothing else is known.
    let gone = Union::of(Store::in_memory().unwrap().revocations()).and(copy.clone());
    let gone = Verifier::new(Cast::new().roots(), AUDIENCE, gone).unwrap();
    assert_eq!(cause(gone, &search(), NOW), Some("revoked".into()));
    let gone = Union::of(Store::in_memory().unwrap().revocations()).and(other.revocations());
    let gone = Verifier::new(Cast::new().roots(), AUDIENCE, gone).unwrap();
    let grant = Cast::new().grant();
    let holder = Cast::new().orchestrator;
    let unrevoked = grant.present(Presenting::to(AUDIENCE), &holder, NOW).unwrap();
    let guard = Guard::unrecorded(gone, Policy::builtin());
    assert_eq!(refusal(&guard, unrevoked.bearer(), &search()).0, "revocations_unavailable");
}

fn revoke_id(store: &Store, number: u8, now: Timestamp) -> u64 {
    let revocation = Revocation::Id { id: RevocationId::from_bytes([number; 64]) };
    store.revoke(Revoking::new(revocation, "tests", "lost").unwrap(), now).unwrap().sequence()
}

/// Tells the store the time every half hour, as whoever keeps one open does.
fn pass(store: &Store, from: Timestamp, hours: u64) -> Timestamp {
    (1..=2 * hours).fold(from, |_, half| {
        let now = from + Duration::from_secs(half * 1800);
        let _ = store.collect(now);
        now
    })
}

#[test]
fn revocations_are_forgotten_when_no_live_token_can_hold_them() {
    let store = Store::in_memory().unwrap();
    revoke_id(&store, 1, NOW);
    revoke(&store, Revocation::Holder { key: Cast::new().thief.public() });
    revoke(&store, Revocation::Agent { agent: "agent.a".into() });
    revoke(&store, Revocation::Subject { subject: "user:bob".into(), root: None });
    let kept: Vec<_> =
        store.list_revocations().unwrap().iter().map(|entry| entry.notice.expires).collect();
    let expires = Some(NOW + 25 * HOUR);
    assert_eq!(kept, [expires, None, None, expires]);
    let almost = pass(&store, NOW, 24);
    assert_eq!(store.list_revocations().unwrap().len(), 4);
    let then = pass(&store, almost, 1);
    assert_eq!(store.list_revocations().unwrap().len(), 2, "keys and names are kept for good");
    assert_eq!(store.collect(then).unwrap(), Collected::default());
    let last = store.reader().records(5).last().unwrap().unwrap().json;
    assert!(last.contains(r#""event":"collection""#), "{last}");
    assert_eq!(store.reader().verify().unwrap().revocations, 2);
    // A copy of the list says what was forgotten, too.
    let list = store.reader().revocation_list(NOW).unwrap();
    let list = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
    let verifier = asking(&Revocations::copied(&list));
    assert_eq!(cause(verifier, &search(), NOW), Some("revocations_forgotten".into()));
    // A grant of that time is refused from now on, whatever the clock says.
    let verifier = asking(&store.revocations());
    assert_eq!(cause(verifier, &search(), NOW), Some("revocations_forgotten".into()));
}

#[test]
fn nothing_is_forgotten_while_the_clock_has_jumped() {
    let store = Store::in_memory().unwrap();
    revoke_id(&store, 1, NOW);
    let later = NOW + 1000 * HOUR;
    let doubt = store.collect(later).unwrap_err();
    assert!(matches!(doubt, StoreError::Clock(ClockDoubt::Jumped { .. })), "{doubt}");
    let doubt = store.collect(NOW).unwrap_err();
    assert!(matches!(doubt, StoreError::Clock(ClockDoubt::Behind { .. })), "{doubt}");
    assert_eq!(store.list_revocations().unwrap().len(), 1);
    assert_eq!(store.collect_trusting_the_clock(later).unwrap().revocations, 1);
}

/// A machine that starts in 1970 revokes, and then learns what time it is.
#[test]
fn what_was_revoked_before_the_clock_was_set_is_kept() {
    let store = Store::in_memory().unwrap();
    let cast = Cast::new();
    let bearer = cast.presented();
    let id = Capability::parse(bearer.bearer()).unwrap().chain().hops[0].revocation_id;
    let revoking = Revoking::new(Revocation::Id { id }, "tests", "lost").unwrap();
    store.revoke(revoking, Timestamp::from_unix_seconds(100)).unwrap();
    assert!(store.collect(NOW).is_err());
    assert!(store.collect(NOW + Duration::from_secs(1800)).is_err());
    assert_eq!(refusal(&cast.guard(&store), bearer.bearer(), &search()), ("revoked", Some(1)));
}

#[test]
fn a_longer_life_that_a_verifier_accepts_is_remembered_as_long() {
    let store = Store::in_memory().unwrap();
    let month = Duration::from_secs(30 * 24 * 3600);
    let lives = Lifetimes { grant: month, ..Lifetimes::default() };
    let _verifier = asking(&store.revocations()).lifetimes(lives);
    revoke_id(&store, 1, NOW);
    let expires = store.list_revocations().unwrap()[0].notice.expires;
    assert_eq!(expires, Some(NOW + month + HOUR));
}

#[test]
fn a_question_about_another_time_moves_no_clock() {
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let supposing = cast.guard(&store.clone().for_supposed_times());
    let _ = supposing.check(cast.presented().bearer(), &search(), NOW + 10_000 * HOUR);
    revoke_id(&store, 1, NOW);
    assert_eq!(store.list_revocations().unwrap()[0].notice.revoked, NOW);
}

#[test]
fn the_store_tells_what_a_revocation_kills() {
    use hardtack::store::BlockState;
    let (cast, store) = (Cast::new(), Store::in_memory().unwrap());
    let guard = cast.guard(&store);
    let grant = cast.grant();
    let research = grant.delegate(cast.to_researcher(), &cast.orchestrator, NOW).unwrap();
    let helper = PrivateKey::generate();
    let hop = Delegation::to("agent.helper")
        .scope("tools:call:search")
        .reason("help")
        .holder(helper.public());
    let help = research.delegate(hop, &cast.researcher, NOW).unwrap();
    for (token, key) in [(&research, &cast.researcher), (&help, &helper)] {
        let bearer = token.present(Presenting::to(AUDIENCE), key, NOW).unwrap();
        guard.check(bearer.bearer(), &search(), NOW).unwrap();
    }
    let lineage = store.reader().lineage().unwrap();
    let names = |revocation: &Revocation| -> Vec<String> {
        let killed = lineage.killed_by(revocation, NOW);
        killed.iter().map(|block| block.name.clone()).collect()
    };
    let hop = Revocation::Id { id: research.chain().hops[0].revocation_id };
    assert_eq!(names(&hop), ["agent.researcher", "agent.helper"]);
    let subject = Revocation::Subject { subject: "user:alice".into(), root: None };
    assert_eq!(names(&subject), ["user:alice", "agent.researcher", "agent.helper"]);
    let of_other_root =
        Revocation::Subject { subject: "user:alice".into(), root: Some(cast.thief.public()) };
    assert!(names(&of_other_root).is_empty());
    assert_eq!(names(&Revocation::Holder { key: helper.public() }), ["agent.helper"]);
    assert!(names(&Revocation::Agent { agent: "agent.unseen".into() }).is_empty());

    revoke(&store, hop);
    let lineage = store.reader().lineage().unwrap();
    let standing = |name: &str| {
        let all = lineage.killed_by(&subject, NOW);
        let block = all.into_iter().find(|block| block.name == name).unwrap();
        match lineage.standing(block, NOW) {
            BlockState::Live => "live",
            BlockState::Expired => "expired",
            BlockState::Revoked(_) => "revoked",
            BlockState::RevokedAbove(_) => "fallen",
        }
    };
    let told = ["user:alice", "agent.researcher", "agent.helper"].map(standing);
    assert_eq!(told, ["live", "revoked", "fallen"]);
}
