//! Following: what whoever reads a log sees, and what a list is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Case, Log, alice, block, blocks, numbered_from, revoked, sorted};
use crate::pending::wait;
use crate::revocation::{Epoch, Events, Position, Revoking};
use crate::testing::LeftOut;
use crate::testing::engine::{NOW, at_once, later};

/// Longer than a hint may take that has something to tell.
const SOON: Duration = Duration::from_secs(10);

pub(super) fn it_is_read_in_parts(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks(0..10), NOW);
    let (mut at, mut parts) = (Position { number: 0, ..log.head() }, Vec::new());
    loop {
        let Events::Next(events) = log.read(at, 3) else { panic!("gone") };
        let Some(last) = events.last() else { break };
        assert!(events.len() <= 3);
        numbered_from(at.number + 1, &events);
        at.number = last.number;
        parts.extend(events);
    }
    assert_eq!(parts, log.all());
    Ok(())
}

pub(super) fn one_at_least_is_read(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks(0..2), NOW);
    let at = Position { number: 0, ..log.head() };
    for at_most in [0, 1] {
        let Events::Next(events) = log.read(at, at_most) else { panic!("gone") };
        assert_eq!(events.len(), 1);
    }
    Ok(())
}

pub(super) fn at_the_end_there_is_nothing_to_read(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks(0..3), NOW);
    assert_eq!(log.read(log.head(), 10), Events::Next(Vec::new()));
    Ok(())
}

pub(super) fn beyond_the_end_is_gone(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks(0..3), NOW);
    let head = log.head();
    for beyond in [head.number + 1, head.number + 1000, u64::MAX] {
        assert_eq!(log.read(Position { number: beyond, ..head }, 10), Events::Gone, "{beyond}");
    }
    Ok(())
}

pub(super) fn another_epoch_is_gone(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks(0..3), NOW);
    for number in [0, 1, log.head().number] {
        let elsewhere = Position { epoch: Epoch::random(), number };
        assert_eq!(log.read(elsewhere, 10), Events::Gone, "{number}");
    }
    Ok(())
}

pub(super) fn of_eight_writers_every_event_is_read_once_and_in_one_order(
    engine: Case,
) -> Result<(), LeftOut> {
    const EACH: u64 = 20;
    let log = Log::of(engine);
    at_once(8, |writer| {
        (0..EACH).for_each(|each| drop(log.revoke(blocks([writer * EACH + each]), NOW)));
    });
    let events = log.all();
    numbered_from(1, &events);
    let mut ids: Vec<_> =
        revoked(&events).into_iter().map(|entry| entry.notice.revocation.to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len() as u64, events.len() as u64), (8 * EACH, 8 * EACH));
    assert_eq!(log.all(), events);
    Ok(())
}

pub(super) fn of_eight_writers_every_batch_stands_together(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    at_once(8, |writer| {
        for batch in 0..4 {
            let first = (writer * 4 + batch) * 5;
            log.revoke(blocks(first..first + 5), NOW);
        }
    });
    let events = log.all();
    for batch in revoked(&events).chunks(5) {
        let firsts = (0..32).map(|number| number * 5);
        let whole = firsts.map(|first| blocks(first..first + 5)).any(|expected| {
            let found = batch.iter().map(|entry| &entry.notice.revocation);
            found.eq(expected.iter().map(Revoking::revocation))
        });
        assert!(whole, "a batch is torn: {batch:?}");
    }
    Ok(())
}

pub(super) fn a_reader_meanwhile_misses_nothing(engine: Case) -> Result<(), LeftOut> {
    const WRITERS: u64 = 4;
    const EACH: u64 = 25;
    let log = Log::of(engine);
    let begin = log.head();
    let seen = at_once(WRITERS + 2, |thread| {
        if thread < WRITERS {
            (0..EACH).for_each(|each| drop(log.revoke(blocks([thread * EACH + each]), NOW)));
            return Vec::new();
        }
        let (mut at, mut seen) = (begin, Vec::new());
        while (seen.len() as u64) < WRITERS * EACH {
            let Events::Next(events) = log.read(at, 7) else { panic!("gone") };
            numbered_from(at.number + 1, &events);
            at.number += events.len() as u64;
            seen.extend(events);
        }
        seen
    });
    let all = log.all();
    assert!(seen[WRITERS as usize..].iter().all(|seen| *seen == all));
    Ok(())
}

pub(super) fn a_list_meanwhile_has_batches_whole(engine: Case) -> Result<(), LeftOut> {
    let (log, is_over) = (Log::of(engine), AtomicBool::new(false));
    at_once(2, |thread| {
        if thread == 0 {
            (0..15).for_each(|batch| drop(log.revoke(blocks(batch * 20..batch * 20 + 20), NOW)));
            is_over.store(true, Ordering::Release);
            return;
        }
        while !is_over.load(Ordering::Acquire) {
            assert_eq!(log.list(NOW).revocations.len() % 20, 0);
        }
    });
    Ok(())
}

pub(super) fn a_list_says_its_moment(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(blocks([1]), NOW);
    for seconds in [5, 10] {
        assert_eq!(log.list(later(seconds)).as_of, later(seconds));
    }
    Ok(())
}

pub(super) fn a_list_and_the_events_after_it_are_the_list_that_follows(
    engine: Case,
) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke([blocks(0..5), vec![alice()]].concat(), NOW);
    let mut followed = log.list(NOW);
    log.revoke(vec![block(7), alice(), block(8)], later(60));
    log.revoke(blocks([0, 9]), later(61));
    let events = log.all_after(followed.at);
    assert!(followed.advance(&events));
    assert_eq!(sorted(followed), sorted(log.list(NOW)));
    Ok(())
}

pub(super) fn events_that_a_list_knows_already_change_nothing(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    log.revoke(vec![block(1), alice()], NOW);
    log.revoke(vec![alice(), block(2)], later(60));
    let (list, all) = (log.list(NOW), log.all());
    let mut again = list.clone();
    all.iter().for_each(|event| again.apply(&event.change));
    assert_eq!(sorted(again), sorted(list));
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a case measures how long a wait takes")]
pub(super) fn waited(log: &Log, after: Position, at_most: Duration) -> Duration {
    let begin = Instant::now();
    wait(log.0.wait(after, at_most));
    begin.elapsed()
}

pub(super) fn waiting_ends_at_once_where_there_is_something(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let before = log.head();
    log.revoke(blocks([1]), NOW);
    assert!(waited(&log, before, 6 * SOON) < SOON);
    Ok(())
}

pub(super) fn waiting_ends_with_the_next_revocation(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    let head = log.head();
    let waits = at_once(3, |thread| {
        if thread == 0 {
            std::thread::sleep(Duration::from_millis(50));
            log.revoke(blocks([1]), NOW);
            return Duration::ZERO;
        }
        waited(&log, head, 6 * SOON)
    });
    assert!(waits.iter().all(|waited| *waited < SOON), "{waits:?}");
    Ok(())
}

pub(super) fn waiting_ends_after_its_time(engine: Case) -> Result<(), LeftOut> {
    let log = Log::of(engine);
    assert!(waited(&log, log.head(), Duration::from_millis(20)) < SOON);
    Ok(())
}
