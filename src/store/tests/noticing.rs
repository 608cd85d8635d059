//! A store that is told of chains, and of nothing else.

use std::time::Duration;

use crate::audit::{Lineage, SeenBlock};
use crate::keys::PrivateKey;
use crate::store::Store;
use crate::store::core::MAX_SEEN;
use crate::store::tests::{NOW, id};

fn block(number: u64) -> SeenBlock {
    SeenBlock {
        id: id(number),
        wrapped: None,
        parent: None,
        name: "user:alice".to_owned(),
        reason: None,
        holder: None,
        root: PrivateKey::from_bytes(&[7; 32]).public(),
        issued: NOW,
        expires: NOW + Duration::from_secs(3600),
        seen: 1,
    }
}

#[test]
fn a_chain_that_is_known_takes_no_room_from_the_next() {
    let store = Store::in_memory().unwrap();
    store.saw(vec![block(1)]);
    store.checkpoint().unwrap();
    (0..10_001).for_each(|_| store.saw(vec![block(1)]));
    store.checkpoint().unwrap();
    let lost = store.reader().seen().unwrap().lost;
    store.saw(vec![block(2)]);
    store.checkpoint().unwrap();
    let seen = store.reader().seen().unwrap();
    assert!(seen.blocks.iter().any(|block| block.id == id(2)), "it has gone deaf");
    assert_eq!(seen.lost, lost);
}

#[test]
fn what_has_no_room_is_counted_once_and_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    store.saw(vec![block(0)]);
    store.checkpoint().unwrap();
    store.inner().core().seen.extend((0..MAX_SEEN).map(|number| {
        let mut short = [0xff; 16];
        short[..8].copy_from_slice(&number.to_le_bytes());
        short
    }));
    store.saw(vec![block(1), block(2)]);
    for _ in 0..3 {
        store.checkpoint().unwrap();
        assert_eq!(store.reader().seen().unwrap().lost, 2);
    }
    drop(store);
    assert_eq!(Store::open(&path).unwrap().reader().seen().unwrap().lost, 2);
}
