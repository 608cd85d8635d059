//! Lineage: what an engine of [`Lineage`] must hold.

use std::collections::BTreeSet;

use serde_json::json;

use super::Engine;
use super::engine::{LeftOut, at_once, cases, id, later};
use crate::audit::{Lineage, Seen, SeenBlock};
use crate::chain::IdPrefix;
use crate::keys::PrivateKey;

cases! { dyn Lineage:
    at_first_nothing_was_seen,
    what_was_seen_comes_back_as_it_was,
    a_block_is_remembered_once,
    what_was_told_first_stays,
    no_more_are_shown_than_are_asked_for,
    page_by_page_each_block_is_shown_once_in_the_order_of_ids,
    an_id_is_found_by_its_beginning,
    of_ids_that_begin_alike_as_many_are_found_as_are_asked_for,
    eight_threads_lose_nothing_that_is_not_counted,
    whoever_tells_of_many_does_not_fill_the_disk,
    after_a_restart_nothing_is_invented,
}

type Case<'a> = &'a mut dyn Engine<dyn Lineage>;

fn block(number: u64, name: &str) -> SeenBlock {
    let parent = number.checked_sub(1).filter(|_| !number.is_multiple_of(3));
    let block = json!({
        "id": id(number), "parent": parent.map(id), "name": name, "reason": "it \"says\" why\n",
        "holder": PrivateKey::from_bytes(&[9; 32]).public(), "seen": number + 1,
        "root": PrivateKey::from_bytes(&[7; 32]).public(), "issued": later(0),
        "expires": later(600 + number),
    });
    serde_json::from_value(block).expect("a block")
}

fn agent(number: u64) -> SeenBlock {
    block(number, "agent.researcher")
}

fn seen(engine: &dyn Engine<dyn Lineage>) -> Seen {
    let seen = engine.joint().seen(u64::MAX).expect("a lineage that can be read");
    seen.expect("no more than that")
}

fn ids(seen: &Seen) -> BTreeSet<String> {
    seen.blocks.iter().map(|block| block.id.to_string()).collect()
}

fn at_first_nothing_was_seen(engine: Case) -> Result<(), LeftOut> {
    assert_eq!(seen(engine), Seen::default());
    Ok(())
}

fn what_was_seen_comes_back_as_it_was(engine: Case) -> Result<(), LeftOut> {
    let told: Vec<SeenBlock> = (0..6).map(agent).collect();
    told.chunks(3).for_each(|chain| engine.joint().saw(chain.to_vec()));
    let mut seen = seen(engine);
    seen.blocks.sort_by_key(|block| block.seen);
    assert_eq!(seen, Seen::new(told, 0));
    Ok(())
}

fn a_block_is_remembered_once(engine: Case) -> Result<(), LeftOut> {
    let lineage = engine.joint();
    lineage.saw((0..3).map(agent).collect());
    lineage.saw((0..3).map(agent).collect());
    lineage.saw(vec![agent(0), agent(0)]);
    assert_eq!(seen(engine).blocks.len(), 3);
    Ok(())
}

fn what_was_told_first_stays(engine: Case) -> Result<(), LeftOut> {
    engine.joint().saw(vec![agent(0)]);
    engine.joint().saw(vec![block(0, "agent.other")]);
    assert_eq!(seen(engine).blocks, [agent(0)]);
    Ok(())
}

fn no_more_are_shown_than_are_asked_for(engine: Case) -> Result<(), LeftOut> {
    let lineage = engine.joint();
    lineage.saw((0..6).map(agent).collect());
    for (at_most, is_shown) in [(0, false), (5, false), (6, true), (7, true)] {
        let seen = lineage.seen(at_most).expect("a lineage that can be read");
        assert_eq!(seen.is_some(), is_shown, "{at_most}");
    }
    Ok(())
}

fn page_by_page_each_block_is_shown_once_in_the_order_of_ids(engine: Case) -> Result<(), LeftOut> {
    let lineage = engine.joint();
    lineage.saw((0..7).map(agent).collect());
    let mut all = seen(engine).blocks;
    all.sort_by_key(|block| block.id);
    for at_most in [1, 2, 3, 7, 8] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = lineage.seen_after(after, at_most).expect("a lineage that can be read");
            assert!(page.blocks.len() <= at_most && page.lost == 0);
            let Some(last) = page.blocks.last() else { break };
            after = Some(last.id);
            read.extend(page.blocks);
        }
        assert_eq!(read, all, "{at_most}");
    }
    Ok(())
}

fn an_id_is_found_by_its_beginning(engine: Case) -> Result<(), LeftOut> {
    let lineage = engine.joint();
    lineage.saw((0..6).map(agent).collect());
    let find = |number: u64, digits: usize| {
        let prefix: IdPrefix = id(number).to_string()[..digits].parse().expect("a beginning");
        lineage.beginning(&prefix, 8).expect("a lineage that can be read")
    };
    for digits in [16, 17, 127] {
        assert_eq!(find(4, digits), [id(4)]);
        assert_eq!(find(7, digits), []);
    }
    Ok(())
}

fn of_ids_that_begin_alike_as_many_are_found_as_are_asked_for(engine: Case) -> Result<(), LeftOut> {
    let lineage = engine.joint();
    let alike: Vec<SeenBlock> = (0..5)
        .map(|number| {
            let mut bytes = [3; 64];
            // Part of an id may be all that an engine looks at: these differ everywhere but in their beginning.
            bytes[32..].fill(number);
            let mut block = agent(0);
            block.id = crate::chain::RevocationId::from_bytes(bytes);
            block
        })
        .collect();
    lineage.saw(alike);
    let prefix: IdPrefix = "03".repeat(8).parse().expect("a beginning");
    for (at_most, found) in [(1, 1), (2, 2), (5, 5), (8, 5)] {
        let ids = lineage.beginning(&prefix, at_most).expect("a lineage that can be read");
        assert_eq!(ids.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len(), found);
    }
    Ok(())
}

fn eight_threads_lose_nothing_that_is_not_counted(engine: Case) -> Result<(), LeftOut> {
    let lineage = engine.joint();
    at_once(8, |thread| {
        (0..30).for_each(|each| lineage.saw(vec![agent(thread * 30 + each)]));
    });
    let seen = seen(engine);
    assert!(ids(&seen).len() as u64 + seen.lost >= 240, "{} {}", seen.blocks.len(), seen.lost);
    Ok(())
}

fn whoever_tells_of_many_does_not_fill_the_disk(engine: Case) -> Result<(), LeftOut> {
    const MANY: u64 = 20_000;
    let lineage = engine.joint();
    for chain in 0..MANY / 100 {
        lineage.saw((chain * 100..chain * 100 + 100).map(agent).collect());
    }
    let seen = seen(engine);
    assert_eq!(ids(&seen).len(), seen.blocks.len());
    assert!(seen.blocks.len() as u64 + seen.lost >= MANY, "{} {}", seen.blocks.len(), seen.lost);
    Ok(())
}

fn after_a_restart_nothing_is_invented(engine: Case) -> Result<(), LeftOut> {
    let told: Vec<SeenBlock> = (0..50).map(agent).collect();
    engine.joint().saw(told.clone());
    engine.restart()?;
    assert!(seen(engine).blocks.iter().all(|block| told.contains(block)));
    engine.joint().saw(told.clone());
    assert_eq!(ids(&seen(engine)), ids(&Seen::new(told, 0)));
    Ok(())
}
