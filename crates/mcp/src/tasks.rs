//! Tasks: who started a call that goes on after its answer?
//!
//! To the server all callers are the gateway, so that it cannot tell whose a task is.

use std::fmt;

use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::session::Owner;
use hardtack::verify::VerifiedCapability;

/// How many tasks are remembered. The owner of one that was forgotten can no longer ask for it.
pub(crate) const MAX_TASKS: usize = 100_000;

/// How many are remembered of each of several servers: they fill together what a few would alone, and none drives out another's.
pub(crate) const MAX_TASKS_OF_SERVER: usize = 10_000;

/// The longest task id that is remembered; real ones are UUIDs.
const MAX_ID_BYTES: usize = 256;

pub(crate) struct Tasks(Cache<String, Owner>);

impl Tasks {
    #[cfg(test)]
    pub(crate) fn new() -> Tasks {
        Tasks::of(MAX_TASKS)
    }

    /// Remembers this many.
    pub(crate) fn of(most: usize) -> Tasks {
        Tasks(Cache::new(most))
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
            // Whose it is is said once.
            && self.0.get(&id).is_none()
        {
            self.0.insert(id, owner);
        }
    }

    pub(crate) fn is_of(&self, id: &str, verified: &VerifiedCapability) -> bool {
        self.0.get(id) == Some(Owner::of(verified))
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tasks").field(&self.0.len()).finish()
    }
}
