//! Shared: which stores of this process may its other workers use?
//!
//! One process has a store open once. A worker has JavaScript objects of its own, so it names the store of another one by a number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The stores that were shared. Each is kept by its owner, and forgotten when that is gone.
static SHARED: Mutex<Option<Stores>> = Mutex::new(None);

#[derive(Default)]
struct Stores {
    last: u32,
    known: HashMap<u32, Weak<hardtack::Store>>,
}

/// Makes a store known to the other workers, and returns its number.
pub(crate) fn share(store: &Arc<hardtack::Store>) -> u32 {
    let mut held = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = held.get_or_insert_default();
    stores.known.retain(|_, store| store.strong_count() > 0);
    if let Some((number, _)) = stores.known.iter().find(|(_, known)| is_same(known, store)) {
        return *number;
    }
    stores.last += 1;
    stores.known.insert(stores.last, Arc::downgrade(store));
    stores.last
}

fn is_same(known: &Weak<hardtack::Store>, store: &Arc<hardtack::Store>) -> bool {
    std::ptr::eq(known.as_ptr(), Arc::as_ptr(store))
}

/// The store of a number, if its owner still has it.
pub(crate) fn find(number: u32) -> Option<Arc<hardtack::Store>> {
    let held = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    held.as_ref()?.known.get(&number)?.upgrade()
}
