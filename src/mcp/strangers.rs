//! Strangers: bearers whose signatures are not known yet, and how many of them are looked at at once.
//!
//! A signature costs a thousand times what it costs to send one. Known bearers do not wait for strangers, strangers
//! wait for each other, and of these each peer has its turn.

use std::sync::Arc;

use crate::audit::LedgerUnavailable;
use crate::guard::{Denial, Guard, Weighed};
use crate::http::{now, settle};
use crate::mcp::desks::{Desks, Peer};
use crate::verify::VerifiedCapability;

/// How many strangers wait at most: beyond this the last would wait longer than clients do.
const MAX_WAITING: usize = 512;

#[derive(Debug)]
pub(crate) struct Strangers {
    desks: Desks,
    threads: Threads,
}

/// Where they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// On those that the runtime has for what waits.
    Shared,
    /// Each on one of its own, so that nothing else can have taken them all.
    Own,
}

impl Strangers {
    /// On half of the machine, so that the other half is for whoever is known.
    pub(crate) fn on(threads: Threads) -> Strangers {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Strangers { desks: Desks::new((cores / 2).max(1), MAX_WAITING), threads }
    }

    /// Who sends this bearer, if it holds. One of which it is remembered whether its signatures hold does not wait.
    pub(crate) async fn admit(
        &self,
        guard: &Arc<Guard>,
        bearer: &str,
        peer: Peer,
    ) -> Result<VerifiedCapability, Denial> {
        let examined = match guard.recognize(bearer, now()) {
            Some(recognized) => recognized,
            None => self.examine(guard, bearer, peer).await?,
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

    async fn examine(
        &self,
        guard: &Arc<Guard>,
        bearer: &str,
        peer: Peer,
    ) -> Result<Result<VerifiedCapability, Box<Weighed>>, Denial> {
        let Some(desk) = self.desks.next(peer).await else {
            return Err(LedgerUnavailable("too many new tokens at once".to_owned()).into());
        };
        let (guard, bearer) = (Arc::clone(guard), bearer.to_owned());
        let examine = move || {
            // Held until the work ends, whoever still waits for it.
            let _desk = desk;
            guard.weigh_admission(&bearer, now())
        };
        let examined = match self.threads {
            Threads::Shared => tokio::task::spawn_blocking(examine).await.ok(),
            Threads::Own => on_own_thread(examine).await,
        };
        examined.ok_or_else(|| LedgerUnavailable("nothing came of it".to_owned()).into())
    }
}

/// Does it on a thread of its own. `None` if there is none to be had, or nothing comes of it.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, heard) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("hardtack-revoke".to_owned());
    let spawned = thread.spawn(move || {
        // Whoever asked may have gone away.
        let _ = done.send(work());
    });
    spawned.ok()?;
    heard.await.ok()
}
