//! Strangers: bearers whose signatures are not known yet, and how many of them are looked at at once.
//!
//! A signature costs a thousand times what it costs to send one. Known bearers do not wait for strangers, and
//! strangers wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::audit::LedgerUnavailable;
use crate::guard::{Denial, Guard};
use crate::http::{now, settle};
use crate::verify::VerifiedCapability;

/// How many strangers wait at most: beyond this the last would wait longer than clients do.
const MAX_WAITING: usize = 512;

#[derive(Debug)]
pub(crate) struct Strangers {
    desks: Semaphore,
    waiting: AtomicUsize,
}

/// One of them, while it is looked at.
pub(crate) type Desk<'a> = SemaphorePermit<'a>;

impl Strangers {
    /// On half of the machine, so that the other half is for whoever is known.
    pub(crate) fn new() -> Strangers {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Strangers { desks: Semaphore::new((cores / 2).max(1)), waiting: AtomicUsize::new(0) }
    }

    /// Who sends this bearer, if it holds. A bearer whose signatures are remembered does not wait.
    pub(crate) async fn admit(
        &self,
        guard: &Arc<Guard>,
        bearer: &str,
    ) -> Result<VerifiedCapability, Denial> {
        if let Some(verified) = guard.verifier().verify_remembered(bearer, now()) {
            return Ok(verified);
        }
        let examined = {
            let Some(_desk) = self.next().await else {
                return Err(LedgerUnavailable("too many new tokens at once".to_owned()).into());
            };
            let (examiner, bearer) = (Arc::clone(guard), bearer.to_owned());
            let examining =
                tokio::task::spawn_blocking(move || examiner.weigh_admission(&bearer, now()));
            examining.await.map_err(|_| LedgerUnavailable("nothing came of it".to_owned()))?
        };
        // The desk is free while the refusal is written.
        match examined {
            Ok(verified) => Ok(verified),
            Err(weighed) => match settle(guard, *weighed).await {
                Err(denial) => Err(denial),
                // Not reached: what was weighed is a refusal.
                Ok(_) => Err(LedgerUnavailable("a refusal was lost".to_owned()).into()),
            },
        }
    }

    /// Waits for its turn; `None` if too many wait.
    pub(crate) async fn next(&self) -> Option<Desk<'_>> {
        let _place = Place::take(&self.waiting)?;
        self.desks.acquire().await.ok()
    }
}

/// A place among those who wait, given back even if the client goes away.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Place<'a>> {
        let place = Place(waiting);
        // If there is none, it is given back at once.
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_when_too_many_wait_is_turned_away_and_nobody_keeps_a_place() {
        let strangers = Strangers { desks: Semaphore::new(1), waiting: AtomicUsize::new(0) };
        let first = strangers.next().await.unwrap();
        strangers.waiting.store(MAX_WAITING, Ordering::Relaxed);
        assert!(strangers.next().await.is_none());
        assert_eq!(strangers.waiting.load(Ordering::Relaxed), MAX_WAITING);
        strangers.waiting.store(0, Ordering::Relaxed);
        drop(first);
        drop(strangers.next().await.unwrap());
        assert_eq!(strangers.waiting.load(Ordering::Relaxed), 0);
    }
}
