//! What every engine must hold, of a store on disk, of one in memory, and of one that is written here from the public items alone.

mod memory;
mod separate;

use std::sync::Arc;

use hardtack::audit::{Lineage, Records, Uses};
use hardtack::testing::{Engine, LeftOut, conform, lineage, records, revocations, uses};
use hardtack::{RevocationLog, Store, StoreError, Timestamp};

use memory::Memory;

/// A store, on disk or in memory.
struct Redb {
    store: Store,
    folder: Option<tempfile::TempDir>,
}

impl Redb {
    fn on_disk() -> Redb {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path().join("store")).unwrap();
        Redb { store, folder: Some(folder) }
    }

    fn in_memory() -> Redb {
        Redb { store: Store::in_memory().unwrap(), folder: None }
    }

    /// Nothing is lost by closing it that is not lost by a crash but what was seen, for which nobody asks.
    fn open_again(&mut self) -> Result<(), LeftOut> {
        let folder = self.folder.as_ref().ok_or(LeftOut)?;
        self.store.close().unwrap();
        self.store = Store::open(folder.path().join("store")).unwrap();
        Ok(())
    }

    fn collect(&mut self, now: Timestamp) -> Result<(), LeftOut> {
        match self.store.collect(now) {
            Ok(_) | Err(StoreError::Clock(_)) => {}
            Err(error) => panic!("{error}"),
        }
        // Accepted presentations are forgotten by the next fold.
        self.store.checkpoint().unwrap();
        Ok(())
    }
}

macro_rules! engines {
    ($($joint:ty),*) => {$(
        impl Engine<$joint> for Redb {
            fn joint(&self) -> Arc<$joint> {
                Arc::new(self.store.clone())
            }

            fn restart(&mut self) -> Result<(), LeftOut> {
                self.open_again()
            }

            fn forget(&mut self, now: Timestamp) -> Result<(), LeftOut> {
                self.collect(now)
            }
        }

        impl Engine<$joint> for Memory {
            fn joint(&self) -> Arc<$joint> {
                Arc::new(self.clone())
            }

            fn restart(&mut self) -> Result<(), LeftOut> {
                self.open_again();
                Ok(())
            }

            fn forget(&mut self, now: Timestamp) -> Result<(), LeftOut> {
                self.collect(now);
                Ok(())
            }
        }
    )*};
}

engines!(dyn Uses, dyn Records, dyn Lineage, dyn RevocationLog);

const NONE: [&str; 0] = [];

#[test]
fn uses_of_a_store_conform() {
    assert_eq!(conform(uses::CASES, || Box::new(Redb::on_disk())), NONE);
    let left_out = conform(uses::CASES, || Box::new(Redb::in_memory()));
    assert!(left_out.iter().all(|name| name.contains("restart")), "{left_out:?}");
}

#[test]
fn records_of_a_store_conform() {
    assert_eq!(conform(records::CASES, || Box::new(Redb::on_disk())), NONE);
    let left_out = conform(records::CASES, || Box::new(Redb::in_memory()));
    assert!(left_out.iter().all(|name| name.contains("restart")), "{left_out:?}");
}

#[test]
fn the_lineage_of_a_store_conforms() {
    assert_eq!(conform(lineage::CASES, || Box::new(Redb::on_disk())), NONE);
    let left_out = conform(lineage::CASES, || Box::new(Redb::in_memory()));
    assert!(left_out.iter().all(|name| name.contains("restart")), "{left_out:?}");
}

#[test]
fn the_revocations_of_a_store_on_disk_conform() {
    assert_eq!(conform(revocations::CASES, || Box::new(Redb::on_disk())), NONE);
}

#[test]
fn the_revocations_of_a_store_in_memory_conform() {
    let left_out = conform(revocations::CASES, || Box::new(Redb::in_memory()));
    assert!(left_out.iter().all(|name| name.contains("restart")), "{left_out:?}");
}

#[test]
fn an_engine_from_elsewhere_conforms() {
    assert_eq!(conform(uses::CASES, || Box::new(Memory::default())), NONE);
    assert_eq!(conform(records::CASES, || Box::new(Memory::default())), NONE);
    assert_eq!(conform(lineage::CASES, || Box::new(Memory::default())), NONE);
    assert_eq!(conform(revocations::CASES, || Box::new(Memory::default())), NONE);
}

#[test]
fn there_are_more_than_sixty_cases() {
    let revocations = revocations::CASES.len();
    assert_eq!((uses::CASES.len(), records::CASES.len(), lineage::CASES.len()), (20, 21, 11));
    assert!(revocations >= 50, "{revocations}");
}
