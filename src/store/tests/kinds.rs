//! Kinds of revocations that came later: what was kept before stays what it was, and what is kept now no program
//! that does not know it takes for something else.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::revocation::{Revocation, Revoking};
use crate::store::tests::{NOW, revoking};
use crate::store::{Receipt, RecordLoss, Store, restore};

/// What was exported of a store when the name was all that could be revoked of an agent.
const BAN: &str = r#"{"sequence":1,"time":"2026-11-23T10:00:00Z","previous":"0000000000000000000000000000000000000000000000000000000000000000","event":"revocation","kind":"agent","agent":"agent.researcher","revoked":"2026-11-23T10:00:00Z","expires":null,"by":"alice","reason":"lost"}"#;

fn ban() -> Revocation {
    Revocation::Agent { agent: "agent.researcher".to_owned() }
}

fn until_now() -> Revocation {
    Revocation::AgentUntilNow { agent: "agent.researcher".to_owned() }
}

fn revoke(store: &Store, revocation: Revocation, seconds: u64) -> Receipt {
    let revoking = Revoking::new(revocation, "alice", "lost").unwrap();
    store.revoke(revoking, NOW + Duration::from_secs(seconds)).unwrap()
}

#[test]
fn a_ban_that_was_exported_before_is_a_ban_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::create(at("store")).unwrap();
    store.backup(at("backup")).unwrap();
    revoke(&store, ban(), 0);
    assert_eq!(store.reader().records(1).next().unwrap().unwrap().json, BAN, "it is written alike");
    drop(store);
    let tail = [BAN.to_owned()];
    restore(at("backup"), at("new"), tail, None, RecordLoss::Accepted, NOW).unwrap();
    let store = Store::open(at("new")).unwrap();
    let kept = store.list_revocations().unwrap();
    assert_eq!((&kept[0].notice.revocation, kept[0].notice.expires), (&ban(), None));
    let years = NOW + Duration::from_secs(10 * 365 * 24 * 3600);
    store.collect_trusting_the_clock(years).unwrap();
    assert!(store.revocations().find(&ban()).is_some());
}

#[test]
fn an_agent_is_revoked_until_now_as_often_as_it_is_asked_and_forgotten_like_a_subject() {
    let store = Store::in_memory().unwrap();
    assert_eq!(revoke(&store, until_now(), 0), Receipt::Revoked { sequence: 1 });
    assert_eq!(revoke(&store, until_now(), 0), Receipt::AlreadyRevoked { sequence: 1 });
    // Grants that were issued meanwhile are covered by the later one, which takes the place of the other.
    assert_eq!(revoke(&store, until_now(), 1), Receipt::Revoked { sequence: 2 });
    assert_eq!(store.list_revocations().unwrap().len(), 1);
    // A ban beside it stays when it is forgotten.
    revoke(&store, ban(), 1);
    let day = NOW + Duration::from_secs(24 * 3600 + 3600 + 1);
    assert_eq!(
        store.collect_trusting_the_clock(NOW + Duration::from_secs(24 * 3600)).unwrap().revocations,
        0
    );
    assert_eq!(store.collect_trusting_the_clock(day).unwrap().revocations, 1);
    assert!(store.revocations().find(&until_now()).is_none());
    assert!(store.revocations().find(&ban()).is_some());
    let list = store.reader().revocation_list(day).unwrap();
    assert_eq!(list.forgotten_until, Some(NOW + Duration::from_secs(61)));
    store.reader().verify().unwrap();
}

#[test]
fn programs_that_do_not_know_a_kind_do_not_open_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = |store: &Path| {
        let mut name = store.as_os_str().to_owned();
        name.push(".journal");
        fs::read(name).unwrap()
    };
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    store.revoke(revoking(7), NOW).unwrap();
    revoke(&store, ban(), 0);
    assert!(journal(&path).starts_with(b"hardtack-journal-1"));
    revoke(&store, until_now(), 0);
    assert!(journal(&path).starts_with(b"hardtack-journal-2"));
    // The process is killed now, whether or not the database has it.
    let copy = folder.path().join("copy");
    for part in ["", ".journal", ".checkpoint"] {
        let name = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(part);
            name
        };
        fs::copy(name(&path), name(&copy)).unwrap();
    }
    let copied = Store::open(&copy).unwrap();
    assert!(copied.revocations().find(&until_now()).is_some());
    drop(copied);
    assert!(journal(&copy).starts_with(b"hardtack-journal-2"), "and it stays so");
}
