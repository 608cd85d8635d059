//! Tasks: who started a call that goes on after its answer?
//!
//! To the server all callers are the gateway, so that it cannot tell whose a task is. Where there is a store, it is kept there, for the
//! next start of the gateway; but not of a server that is a program, whose tasks end with the gateway.

use std::fmt;
use std::sync::{Mutex, PoisonError};

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
    /// `None` if the id was handed out to two: a server that starts again may number its tasks anew, and neither may have the other's.
    known: Cache<Name, Option<Owner>>,
    /// Whoever notes one, so that two who are handed the same id at the same moment see each other.
    noting: Mutex<()>,
    scope: Scope,
    keeper: Option<Keeper>,
}

/// What a task is called in the store: the beginning of its server's scope, and a digest of its id.
type Name = [u8; 32];

/// The owner in the store of what belongs to nobody: no digest.
const NOBODY: [u8; 32] = [0; 32];

/// How much of a name is the scope's. The rest, 192 bits, no two ids have in common.
const SCOPE_BYTES: usize = 8;

impl Tasks {
    #[cfg(test)]
    pub(crate) fn new() -> Tasks {
        Tasks::of(MAX_TASKS)
    }

    /// Remembers this many, in this process alone.
    pub(crate) fn of(most: usize) -> Tasks {
        let (known, noting) = (Cache::new(most), Mutex::default());
        Tasks { known, noting, scope: Scope::default(), keeper: None }
    }

    /// Remembers this many of a server. Of one that is a program none are kept: they end with the gateway, and the next process may number
    /// its own in the same way.
    pub(crate) fn behind(is_program: bool, most: usize, scope: Scope, keeper: &Keeper) -> Tasks {
        match is_program {
            true => Tasks::of(most),
            false => Tasks::kept(most, scope, keeper.clone()),
        }
    }

    /// Remembers this many of a server, and has them kept; begins with those that were.
    fn kept(most: usize, scope: Scope, keeper: Keeper) -> Tasks {
        let known = Cache::new(most);
        keeper.each(|name, owner| {
            if name.starts_with(&scope.as_bytes()[..SCOPE_BYTES]) {
                known.insert(name, (owner != NOBODY).then(|| Owner::from_bytes(owner)));
            }
        });
        Tasks { known, noting: Mutex::default(), scope, keeper: Some(keeper) }
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
            self.give(self.name(&id), owner);
        }
    }

    /// Gives it to its owner. What was given to another one belongs to nobody from then on.
    fn give(&self, name: Name, owner: Owner) {
        let _alone = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = match self.known.get(&name) {
            None => Some(owner),
            Some(before) if before == Some(owner) || before.is_none() => return,
            Some(_) => {
                tracing::warn!(
                    "the server has handed out the id of a task again, to another caller; from now on nobody can ask for that task"
                );
                None
            }
        };
        self.known.insert(name, owner);
        if let Some(keeper) = &self.keeper {
            keeper.keep(name, owner.map_or(NOBODY, |owner| *owner.as_bytes()));
        }
    }

    pub(crate) fn is_of(&self, id: &str, verified: &VerifiedCapability) -> bool {
        self.known.get(&self.name(id)) == Some(Some(Owner::of(verified)))
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tasks").field(&self.known.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardtack::store::Store;

    fn owner(byte: u8) -> Owner {
        Owner::from_bytes([byte; 32])
    }

    fn note(tasks: &Tasks, id: &str, owner: Owner) {
        let result = RawValue::from_string(format!(r#"{{"task":{{"taskId":"{id}"}}}}"#)).unwrap();
        tasks.note(&result, owner);
    }

    fn of(tasks: &Tasks, id: &str) -> Option<Option<Owner>> {
        tasks.known.get(&tasks.name(id))
    }

    #[test]
    fn an_id_that_is_handed_out_again_to_another_belongs_to_nobody_from_then_on() {
        let tasks = Tasks::new();
        note(&tasks, "task-1", owner(1));
        note(&tasks, "task-1", owner(1));
        assert_eq!(of(&tasks, "task-1"), Some(Some(owner(1))));
        for next in [2, 1, 2, 3] {
            note(&tasks, "task-1", owner(next));
            assert_eq!(of(&tasks, "task-1"), Some(None), "after {next}");
        }
        note(&tasks, "task-2", owner(2));
        assert_eq!(of(&tasks, "task-2"), Some(Some(owner(2))));
    }

    #[test]
    fn tasks_are_kept_of_a_server_over_http_and_not_of_a_program() {
        let keeper = Keeper::of(Store::in_memory().unwrap());
        for is_program in [false, true] {
            let tasks = Tasks::behind(is_program, 9, Scope::of("notion.mcp", "behind"), &keeper);
            assert_eq!(tasks.keeper.is_none(), is_program);
        }
    }

    #[test]
    fn an_id_that_was_kept_and_is_handed_out_again_is_nobodys_after_each_restart() {
        let store = Store::in_memory().unwrap();
        let scope = Scope::of("notion.mcp", "https://notion.example/mcp");
        let start = || Tasks::kept(9, scope, Keeper::of(store.clone()));
        let kept = |expected: [u8; 32]| {
            for _ in 0..500 {
                let mut owners = Vec::new();
                store.each_owner(|_, owner| owners.push(owner)).unwrap();
                if owners == [expected] {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            panic!("it is not written");
        };
        note(&start(), "task-1", owner(1));
        kept([1; 32]);
        let again = start();
        assert_eq!(of(&again, "task-1"), Some(Some(owner(1))));
        note(&again, "task-1", owner(2));
        kept(NOBODY);
        for next in [1, 2] {
            let again = start();
            assert_eq!(of(&again, "task-1"), Some(None));
            note(&again, "task-1", owner(next));
            assert_eq!(of(&again, "task-1"), Some(None), "after {next}");
        }
    }
}
