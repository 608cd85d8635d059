//! Tasks: who started a call that goes on after its answer?
//!
//! To the server all callers are the gateway, so that it cannot tell whose a task is. Where there is a store, it is kept there, for the
//! next start of the gateway.

use std::fmt;

use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::keeping::{Keeper, Scope};
use crate::session::Owner;
use hardtack::verify::VerifiedCapability;

/// How many tasks are remembered. The owner of one that was forgotten can no longer ask for it.
pub(crate) const MAX_TASKS: usize = 100_000;

/// How many are remembered of each of several servers: they fill together what a few would alone, and none drives out another's.
pub(crate) const MAX_TASKS_OF_SERVER: usize = 10_000;

/// The longest task id that is remembered; real ones are UUIDs.
const MAX_ID_BYTES: usize = 256;

pub(crate) struct Tasks {
    known: Cache<Name, Owner>,
    scope: Scope,
    keeper: Option<Keeper>,
}

/// What a task is called in the store: the beginning of its server's scope, and a digest of its id.
type Name = [u8; 32];

/// How much of a name is the scope's. The rest, 192 bits, no two ids have in common.
const SCOPE_BYTES: usize = 8;

impl Tasks {
    #[cfg(test)]
    pub(crate) fn new() -> Tasks {
        Tasks::of(MAX_TASKS)
    }

    /// Remembers this many, in this process alone.
    pub(crate) fn of(most: usize) -> Tasks {
        Tasks { known: Cache::new(most), scope: Scope::default(), keeper: None }
    }

    /// Remembers this many of a server, and has them kept; begins with those that were.
    pub(crate) fn kept(most: usize, scope: Scope, keeper: Keeper) -> Tasks {
        let known = Cache::new(most);
        keeper.each(|name, owner| {
            if name.starts_with(&scope.as_bytes()[..SCOPE_BYTES]) {
                known.insert(name, Owner::from_bytes(owner));
            }
        });
        Tasks { known, scope, keeper: Some(keeper) }
    }

    fn name(&self, id: &str) -> Name {
        let digest = Sha256::new().chain_update(self.scope.as_bytes()).chain_update(id).finalize();
        let mut name = *self.scope.as_bytes();
        name[SCOPE_BYTES..].copy_from_slice(&digest[SCOPE_BYTES..]);
        name
    }

    /// Notes the task that the result of a call hands out, if it does.
    pub(crate) fn note(&self, result: &RawValue, owner: Owner) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Started {
            task: Option<Task>,
            task_id: Option<String>,
            result_type: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Task {
            task_id: Option<String>,
        }
        let Ok(result) = serde_json::from_str::<Started>(result.get()) else { return };
        // 2025-11-25 has a task in the result; the extension of 2026-07-28 has a result that is one.
        let in_result = result.task.and_then(|task| task.task_id);
        let is_result = result.task_id.filter(|_| result.result_type.as_deref() == Some("task"));
        if let Some(id) = in_result.or(is_result)
            && id.len() <= MAX_ID_BYTES
        {
            let name = self.name(&id);
            // Whose it is is said once.
            if self.known.get(&name).is_none() {
                self.known.insert(name, owner);
                if let Some(keeper) = &self.keeper {
                    keeper.keep(name, *owner.as_bytes());
                }
            }
        }
    }

    pub(crate) fn is_of(&self, id: &str, verified: &VerifiedCapability) -> bool {
        self.known.get(&self.name(id)) == Some(Owner::of(verified))
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tasks").field(&self.known.len()).finish()
    }
}
