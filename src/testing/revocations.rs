//! Revocations: what an engine of [`RevocationLog`] must hold.

mod asking;
mod following;
mod forgetting;

use std::sync::Arc;

use super::Engine;
use super::engine::{LeftOut, NOW, across_threads, cases, id, later};
use crate::keys::PrivateKey;
use crate::pending::wait;
use crate::revocation::{
    Change, Event, Events, Position, Receipt, RequestId, Revocation, RevocationEntry,
    RevocationLog, RevocationLogError, Revoking, Snapshot,
};
use crate::timestamp::Timestamp;

cases! { dyn RevocationLog:
    a_new_log_is_empty,
    what_was_answered_is_read,
    what_was_answered_is_listed,
    a_list_in_pages_is_the_list,
    a_receipt_names_its_entry,
    events_are_numbered_without_gaps,
    a_batch_stands_in_its_order,
    a_large_batch_is_whole,
    an_empty_batch_changes_nothing,
    every_kind_comes_back_as_it_was_asked_for,
    who_and_why_come_back,
    how_long_a_revocation_is_kept_depends_on_its_kind,
    it_is_read_in_parts,
    one_at_least_is_read,
    at_the_end_there_is_nothing_to_read,
    beyond_the_end_is_gone,
    another_epoch_is_gone,
    of_eight_writers_every_event_is_read_once_and_in_one_order,
    of_eight_writers_every_batch_stands_together,
    a_reader_meanwhile_misses_nothing,
    a_list_meanwhile_has_batches_whole,
    asked_again_it_is_answered_the_same,
    asked_again_it_changes_nothing,
    asked_again_later_it_covers_no_more,
    asked_again_at_once_by_eight_it_is_made_once,
    something_else_under_the_same_request_is_refused,
    what_is_refused_revokes_nothing,
    two_requests_for_the_same_are_two,
    one_that_changed_nothing_is_answered_the_same,
    one_that_nobody_waits_for_is_made_once,
    a_block_is_revoked_once,
    twice_in_a_batch_is_once,
    what_ends_at_its_moment_is_revoked_anew_and_takes_its_place,
    what_is_revoked_long_after_is_kept_longer,
    an_earlier_moment_takes_nothing_back,
    a_revocation_counts_to_the_latest_moment_that_was_told,
    a_list_says_its_moment,
    a_list_and_the_events_after_it_are_the_list_that_follows,
    events_that_a_list_knows_already_change_nothing,
    waiting_ends_at_once_where_there_is_something,
    waiting_ends_with_the_next_revocation,
    waiting_ends_after_its_time,
    what_no_token_can_hold_is_forgotten,
    what_is_forgotten_leaves_its_mark,
    the_mark_never_falls,
    what_has_not_expired_is_not_forgotten,
    what_holds_for_good_is_not_forgotten,
    what_was_forgotten_can_be_revoked_anew,
    a_clock_that_jumped_forgets_nothing,
    a_clock_that_went_back_forgets_nothing,
    a_clock_that_stands_before_what_was_told_forgets_nothing,
    a_request_outlives_forgetting_for_a_day,
    a_list_follows_through_forgetting,
    events_and_list_outlive_a_restart,
    numbers_go_on_after_a_restart,
    a_request_outlives_a_restart,
    the_mark_outlives_a_restart,
    the_latest_moment_outlives_a_restart,
    it_is_polled_on_any_thread,
}

use asking::*;
use following::*;
use forgetting::*;

type Case<'a> = &'a mut dyn Engine<dyn RevocationLog>;

fn block(number: u64) -> Revoking {
    of(Revocation::Id { id: id(number) })
}

fn alice() -> Revoking {
    of(Revocation::Subject { subject: "user:alice".to_owned(), root: None })
}

fn of(revocation: Revocation) -> Revoking {
    Revoking::new(revocation, "cases", "laptop stolen").expect("a revocation of its form")
}

fn blocks(numbers: impl IntoIterator<Item = u64>) -> Vec<Revoking> {
    numbers.into_iter().map(block).collect()
}

/// A log as it runs now, in words of its own.
struct Log(Arc<dyn RevocationLog>);

impl Log {
    fn of(engine: &dyn Engine<dyn RevocationLog>) -> Log {
        Log(engine.joint())
    }

    fn revoke(&self, batch: Vec<Revoking>, now: Timestamp) -> Vec<Receipt> {
        self.ask(batch, RequestId::random(), now).expect("a log that can be written")
    }

    fn ask(
        &self,
        batch: Vec<Revoking>,
        request: RequestId,
        now: Timestamp,
    ) -> Result<Vec<Receipt>, RevocationLogError> {
        wait(self.0.append(batch, request, now))
    }

    fn head(&self) -> Position {
        wait(self.0.head()).expect("a log that can be read")
    }

    fn list(&self, now: Timestamp) -> Snapshot {
        wait(self.0.list(now)).expect("a log that can be read")
    }

    fn in_force(&self) -> Vec<RevocationEntry> {
        let mut entries = self.list(later(1)).revocations;
        entries.sort_by_key(|entry| entry.sequence);
        entries
    }

    fn read(&self, after: Position, at_most: usize) -> Events {
        wait(self.0.read(after, at_most)).expect("a log that can be read")
    }

    /// All events after a position, read to the end, which must be there.
    fn all_after(&self, mut at: Position) -> Vec<Event> {
        let mut all = Vec::new();
        loop {
            let Events::Next(events) = self.read(at, 1000) else {
                panic!("what comes after event {} is gone", at.number)
            };
            let Some(last) = events.last() else { return all };
            at.number = last.number;
            all.extend(events);
        }
    }

    fn all(&self) -> Vec<Event> {
        self.all_after(Position { number: 0, ..self.head() })
    }
}

fn revoked(events: &[Event]) -> Vec<&RevocationEntry> {
    let entries = events.iter().map(|event| match &event.change {
        Change::Revoked(entry) => entry,
        Change::Forgotten { .. } => panic!("something is forgotten: {event:?}"),
    });
    entries.collect()
}

fn numbered_from(first: u64, events: &[Event]) {
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    let expected: Vec<u64> = (first..).take(events.len()).collect();
    assert_eq!(numbers, expected);
}

fn a_new_log_is_empty(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let head = log.head();
    assert_eq!(head.number, 0);
    assert_eq!(log.read(head, 10), Events::Next(Vec::new()));
    let list = log.list(NOW);
    assert_eq!((list.at, list.forgotten_until, list.revocations), (head, None, Vec::new()));
    Ok(())
}

fn what_was_answered_is_read(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    for number in 0..5 {
        let before = log.head();
        log.revoke(blocks([number]), NOW);
        let events = log.all_after(before);
        assert_eq!(revoked(&events)[0].notice.revocation, Revocation::Id { id: id(number) });
        assert_eq!((events.len(), log.head().number), (1, number + 1));
    }
    Ok(())
}

fn what_was_answered_is_listed(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    for number in 0..5 {
        log.revoke(blocks([number]), NOW);
        let list = log.list(NOW);
        assert_eq!(list.revocations.len() as u64, number + 1);
        assert_eq!(list.at, log.head());
    }
    Ok(())
}

fn a_list_in_pages_is_the_list(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks(0..5), NOW);
    // One that takes another's place, whose number is behind it.
    log.revoke(vec![alice()], NOW);
    log.revoke(blocks(5..7), NOW);
    log.revoke(vec![alice()], later(60));
    let in_force = log.in_force();
    for at_most in [1, 3, in_force.len(), 1000] {
        let (mut after, mut all) = (0, Vec::new());
        loop {
            let page = wait(log.0.list_after(later(61), after, at_most));
            let page = page.expect("a log that can be read").revocations;
            assert!(page.len() <= at_most && page.iter().all(|entry| entry.sequence > after));
            let Some(last) = page.last() else { break };
            after = last.sequence;
            all.extend(page);
        }
        assert_eq!(all, in_force, "in pages of {at_most}");
    }
    Ok(())
}

fn a_receipt_names_its_entry(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let receipts = log.revoke(blocks(0..4), NOW);
    let events = log.all();
    for (receipt, entry) in receipts.iter().zip(revoked(&events)) {
        assert_eq!(*receipt, Receipt::Revoked { sequence: entry.sequence });
    }
    let in_force = log.in_force();
    assert_eq!(in_force.iter().collect::<Vec<_>>(), revoked(&events));
    Ok(())
}

fn events_are_numbered_without_gaps(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    for number in 0..20 {
        log.revoke(blocks(number * 10..number * 10 + 1 + number % 3), NOW);
    }
    let events = log.all();
    assert_eq!(events.len() as u64, log.head().number);
    numbered_from(1, &events);
    Ok(())
}

fn a_batch_stands_in_its_order(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let batch = blocks([5, 3, 9, 1]);
    let receipts = log.revoke(batch.clone(), NOW);
    assert_eq!(receipts.len(), 4);
    let events = log.all();
    let revocations = revoked(&events).into_iter().map(|entry| &entry.notice.revocation);
    assert!(revocations.eq(batch.iter().map(Revoking::revocation)));
    assert!(receipts.windows(2).all(|pair| pair[0].sequence() < pair[1].sequence()));
    Ok(())
}

fn a_large_batch_is_whole(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let receipts = log.revoke(blocks(0..2000), NOW);
    assert_eq!(receipts.len(), 2000);
    let events = log.all();
    numbered_from(1, &events);
    assert_eq!((events.len(), log.in_force().len()), (2000, 2000));
    Ok(())
}

fn an_empty_batch_changes_nothing(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    assert_eq!(log.revoke(Vec::new(), NOW), []);
    assert_eq!((log.head().number, log.in_force().len()), (0, 0));
    Ok(())
}

fn kinds() -> Vec<Revocation> {
    let key = PrivateKey::from_bytes(&[7; 32]).public();
    vec![
        Revocation::Id { id: id(1) },
        Revocation::Subject { subject: "user:alice".to_owned(), root: None },
        Revocation::Subject { subject: "user:alice".to_owned(), root: Some(key) },
        Revocation::Holder { key },
        Revocation::AgentUntilNow { agent: "agent.a".to_owned() },
        Revocation::Agent { agent: "agent.a".to_owned() },
    ]
}

fn every_kind_comes_back_as_it_was_asked_for(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(kinds().into_iter().map(of).collect(), NOW);
    let events = log.all();
    let read: Vec<Revocation> =
        revoked(&events).into_iter().map(|entry| entry.notice.revocation.clone()).collect();
    assert_eq!(read, kinds());
    assert!(revoked(&events).iter().all(|entry| entry.notice.revoked == NOW));
    assert_eq!(log.in_force().iter().collect::<Vec<_>>(), revoked(&events));
    Ok(())
}

fn who_and_why_come_back(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let (by, reason) = ("agent.a for user:bob", "\"it's\" lost; \u{1f4bb} -- \\ %s $1");
    let revocation = Revocation::Id { id: id(1) };
    log.revoke(vec![Revoking::new(revocation, by, reason).expect("of its form")], NOW);
    let notice = &log.in_force()[0].notice;
    assert_eq!((notice.by.as_str(), notice.reason.as_str(), notice.prolongs), (by, reason, None));
    Ok(())
}

fn how_long_a_revocation_is_kept_depends_on_its_kind(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(kinds().into_iter().map(of).collect(), NOW);
    let longest = crate::profile::Lifetimes::default().grant;
    for RevocationEntry { notice, .. } in log.in_force() {
        match notice.revocation.expires() {
            true => assert!(notice.expires.is_some_and(|expires| expires >= NOW + longest)),
            false => assert_eq!(notice.expires, None, "{}", notice.revocation),
        }
    }
    Ok(())
}

fn sorted(mut snapshot: Snapshot) -> Snapshot {
    snapshot.revocations.sort_by_key(|entry| entry.sequence);
    snapshot.as_of = NOW;
    snapshot
}

fn events_and_list_outlive_a_restart(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks(0..100), NOW);
    log.revoke(vec![alice()], later(1));
    let before = (log.all(), log.in_force(), log.head());
    drop(log);
    engine.restart()?;
    let log = Log::of(engine);
    assert_eq!((log.all(), log.in_force(), log.head()), before);
    Ok(())
}

fn numbers_go_on_after_a_restart(engine: Case) -> Result<(), LeftOut> {
    for round in 0..3 {
        let log = Log::of(engine);
        let receipts = log.revoke(blocks(round * 3..round * 3 + 3), NOW);
        assert!(receipts.iter().all(|receipt| matches!(receipt, Receipt::Revoked { .. })));
        drop(log);
        engine.restart()?;
    }
    let events = Log::of(engine).all();
    numbered_from(1, &events);
    let mut sequences: Vec<u64> = revoked(&events).iter().map(|entry| entry.sequence).collect();
    sequences.dedup();
    assert_eq!(sequences.len(), 9);
    Ok(())
}

fn a_request_outlives_a_restart(engine: Case) -> Result<(), LeftOut> {
    let request = RequestId::random();
    let batch = vec![block(1), alice()];
    let receipts = Log::of(engine).ask(batch.clone(), request, NOW).expect("revoked");
    engine.restart()?;
    let log = Log::of(engine);
    assert_eq!(log.ask(batch, request, later(600)), Ok(receipts));
    assert_eq!(log.head().number, 2);
    Ok(())
}

fn the_latest_moment_outlives_a_restart(engine: Case) -> Result<(), LeftOut> {
    Log::of(engine).revoke(blocks([1]), later(600));
    engine.restart()?;
    let log = Log::of(engine);
    log.revoke(blocks([2]), NOW);
    assert!(log.in_force().iter().all(|entry| entry.notice.revoked == later(600)));
    Ok(())
}

fn it_is_polled_on_any_thread(engine: Case) -> Result<(), LeftOut> {
    let log = engine.joint();
    let revoked = across_threads(log.append(blocks([1]), RequestId::random(), NOW));
    assert_eq!(revoked.map(|receipts| receipts.len()), Ok(1));
    let head = across_threads(log.head()).expect("a log that can be read");
    assert_eq!(across_threads(log.read(head, 1)), Ok(Events::Next(Vec::new())));
    assert!(across_threads(log.list(NOW)).is_ok());
    Ok(())
}
