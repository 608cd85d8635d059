//! Records: what an engine of [`Records`] must hold.

use std::sync::Arc;

use serde_json::json;

use super::Engine;
use super::engine::{LeftOut, NOW, across_threads, at_once, begin_and_drop, cases, later};
use crate::audit::{AuditRecord, Decision, LogLine, LogReader, Recording, Records};
use crate::pending::wait;
use crate::timestamp::Timestamp;

cases! { dyn Records:
    the_first_record_is_number_one,
    records_are_numbered_without_gaps,
    a_batch_stands_together_and_in_its_order,
    an_empty_batch_is_refused,
    a_large_batch_is_whole,
    what_was_answered_is_read,
    a_decision_comes_back_as_it_was,
    each_record_continues_the_one_before,
    lines_have_no_line_breaks,
    it_is_read_from_any_place_and_in_parts,
    beyond_the_end_there_is_nothing,
    of_eight_writers_every_decision_is_recorded_once,
    of_eight_writers_every_batch_stands_together,
    a_reader_meanwhile_sees_a_log_without_gaps,
    what_was_buffered_is_there_once_something_durable_is,
    none_may_be_lost_is_durable,
    a_clock_that_goes_back_changes_no_order,
    records_outlive_a_restart,
    numbers_go_on_after_a_restart,
    one_that_nobody_waits_for_is_recorded_once_at_most,
    it_is_polled_on_any_thread,
}

type Case<'a> = &'a mut dyn Engine<dyn Records>;

fn decision(number: u64) -> Decision {
    decided(number, later(number % 60))
}

fn decided(number: u64, time: Timestamp) -> Decision {
    let decision = json!({
        "decision": "deny", "cause": "not_granted", "hop": 1, "message": "it says \"no\"\n\u{1f512}",
        "operation": format!("tools:call:number-{number}"), "resource": "file:///a b", "chain": null,
        "policy": "none",
    });
    let mut decision: Decision = serde_json::from_value(decision).expect("a decision");
    decision.time = time;
    decision
}

fn append(records: &Arc<dyn Records>, decisions: Vec<Decision>) -> u64 {
    wait(records.append(decisions, Recording::Durable)).expect("records that can be written")
}

fn read(records: &Arc<dyn Records>, from: u64, at_most: usize) -> Vec<LogLine> {
    records.read(from, at_most).expect("records that can be read")
}

fn all(records: &Arc<dyn Records>) -> Vec<Decision> {
    let lines = read(records, 1, usize::MAX);
    let mut reader = LogReader::default();
    let decisions = lines.iter().map(|line| {
        let record = reader.next(line.json.as_bytes()).expect("a log without gaps");
        assert_eq!(record.sequence, line.sequence);
        record.decision().expect("a decision").clone()
    });
    decisions.collect()
}

fn the_first_record_is_number_one(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    assert_eq!(read(&records, 1, 10), []);
    assert_eq!(append(&records, vec![decision(1)]), 1);
    Ok(())
}

fn records_are_numbered_without_gaps(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    let mut next = 1;
    for batch in 1..10 {
        let decisions: Vec<Decision> = (0..batch % 4 + 1).map(decision).collect();
        let some = decisions.len() as u64;
        assert_eq!(append(&records, decisions), next);
        next += some;
    }
    assert_eq!(all(&records).len() as u64, next - 1);
    Ok(())
}

fn a_batch_stands_together_and_in_its_order(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    append(&records, vec![decision(0)]);
    let batch: Vec<Decision> = [5, 3, 9, 1].map(decision).into();
    assert_eq!(append(&records, batch.clone()), 2);
    assert_eq!(all(&records)[1..], batch);
    Ok(())
}

fn an_empty_batch_is_refused(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    for recording in [Recording::Durable, Recording::Buffered { at_most: 10 }] {
        assert!(wait(records.append(Vec::new(), recording)).is_err());
    }
    assert_eq!(all(&records), []);
    Ok(())
}

fn a_large_batch_is_whole(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    let batch: Vec<Decision> = (0..2000).map(decision).collect();
    assert_eq!(append(&records, batch.clone()), 1);
    assert_eq!(all(&records), batch);
    Ok(())
}

fn what_was_answered_is_read(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    for number in 1..20 {
        assert_eq!(append(&records, vec![decision(number)]), number);
        assert_eq!(read(&records, number, 10).len(), 1);
    }
    Ok(())
}

fn a_decision_comes_back_as_it_was(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    append(&records, vec![decision(7)]);
    assert_eq!(all(&records), [decision(7)]);
    Ok(())
}

fn each_record_continues_the_one_before(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    (0..20).for_each(|number| _ = append(&records, vec![decision(number)]));
    let lines = read(&records, 1, usize::MAX);
    for pair in lines.windows(2) {
        let record: AuditRecord = pair[1].record().expect("a record");
        assert_eq!(record.previous, crate::log::LeafHash::of(pair[0].json.as_bytes()));
    }
    assert_eq!(lines[0].record().expect("a record").previous, crate::log::LeafHash::default());
    Ok(())
}

fn lines_have_no_line_breaks(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    append(&records, vec![decision(1), decision(2)]);
    assert!(read(&records, 1, 10).iter().all(|line| !line.json.contains(['\n', '\r'])));
    Ok(())
}

fn it_is_read_from_any_place_and_in_parts(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    append(&records, (0..30).map(decision).collect());
    (0..10).for_each(|number| _ = append(&records, vec![decision(number)]));
    let whole = read(&records, 1, 1000);
    assert_eq!(read(&records, 0, 1000), whole, "from before the first");
    for from in [1, 7, 30, 31, 40] {
        for at_most in [0, 1, 3, 1000] {
            let expected = whole[from - 1..].iter().take(at_most).cloned().collect::<Vec<_>>();
            assert_eq!(read(&records, from as u64, at_most), expected, "{from} {at_most}");
        }
    }
    Ok(())
}

fn beyond_the_end_there_is_nothing(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    append(&records, vec![decision(1)]);
    for from in [2, 3, 1000] {
        assert_eq!(read(&records, from, 10), []);
    }
    Ok(())
}

fn of_eight_writers_every_decision_is_recorded_once(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    let numbers = at_once(8, |writer| {
        let each = (0..20).map(|each| append(&records, vec![decision(writer * 20 + each)]));
        each.collect::<Vec<u64>>()
    });
    let mut numbers = numbers.concat();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=160).collect::<Vec<u64>>());
    let mut operations: Vec<String> =
        all(&records).into_iter().map(|decision| decision.operation).collect();
    operations.sort();
    operations.dedup();
    assert_eq!(operations.len(), 160);
    Ok(())
}

fn of_eight_writers_every_batch_stands_together(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    let batch = |writer: u64| (writer * 10..writer * 10 + 5).map(decision).collect::<Vec<_>>();
    let firsts = at_once(8, |writer| append(&records, batch(writer)));
    let all = all(&records);
    for (writer, first) in (0..).zip(firsts) {
        let first = first as usize - 1;
        assert_eq!(all[first..first + 5], batch(writer));
    }
    Ok(())
}

fn a_reader_meanwhile_sees_a_log_without_gaps(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    at_once(4, |thread| {
        if thread > 0 {
            (0..20).for_each(|number| _ = append(&records, vec![decision(number)]));
            return;
        }
        let mut reader = LogReader::default();
        while reader.len() < 60 {
            for line in read(&records, reader.len() + 1, 7) {
                reader.next(line.json.as_bytes()).expect("a log without gaps");
            }
        }
    });
    Ok(())
}

fn what_was_buffered_is_there_once_something_durable_is(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    for number in 1..=10 {
        let buffered = records.append(vec![decision(number)], Recording::Buffered { at_most: 100 });
        assert_eq!(wait(buffered), Ok(number));
    }
    assert_eq!(append(&records, vec![decision(11)]), 11);
    assert_eq!(all(&records), (1..=11).map(decision).collect::<Vec<_>>());
    Ok(())
}

fn none_may_be_lost_is_durable(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    let durable = records.append(vec![decision(1)], Recording::Buffered { at_most: 0 });
    assert_eq!(wait(durable), Ok(1));
    assert_eq!(all(&records), [decision(1)]);
    Ok(())
}

fn a_clock_that_goes_back_changes_no_order(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    let times = [later(100), NOW, later(1_000_000), Timestamp::from_unix_seconds(0), later(50)];
    let decisions: Vec<Decision> =
        (0..).zip(times).map(|(number, time)| decided(number, time)).collect();
    decisions.iter().for_each(|decision| _ = append(&records, vec![decision.clone()]));
    assert_eq!(all(&records), decisions);
    Ok(())
}

fn records_outlive_a_restart(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    append(&records, (0..10).map(decision).collect());
    append(&records, vec![decision(10)]);
    let before = read(&records, 1, 100);
    drop(records);
    engine.restart()?;
    assert_eq!(read(&engine.joint(), 1, 100), before);
    Ok(())
}

fn numbers_go_on_after_a_restart(engine: Case) -> Result<(), LeftOut> {
    for round in 0..3 {
        assert_eq!(append(&engine.joint(), vec![decision(round)]), round + 1);
        engine.restart()?;
    }
    assert_eq!(all(&engine.joint()), (0..3).map(decision).collect::<Vec<_>>());
    Ok(())
}

fn one_that_nobody_waits_for_is_recorded_once_at_most(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    begin_and_drop(records.append(vec![decision(1)], Recording::Durable));
    append(&records, vec![decision(2)]);
    let found = all(&records);
    assert!(found == [decision(2)] || found == [decision(1), decision(2)], "{found:?}");
    Ok(())
}

fn it_is_polled_on_any_thread(engine: Case) -> Result<(), LeftOut> {
    let records = engine.joint();
    assert_eq!(across_threads(records.append(vec![decision(1)], Recording::Durable)), Ok(1));
    Ok(())
}
