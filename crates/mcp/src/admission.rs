//! AdmissionControl: bearers whose signatures are not known yet, how many are verified at once?
//!
//! A signature costs a thousand times what it costs to send one. Known bearers do not wait for strangers, strangers
//! wait for each other, and of these each peer has its turn.

use std::sync::Arc;

use crate::common::ServerId;
use crate::fair_queue::{FairQueue, Peer};
use hardtack::guard::{Denial, Guard, UnrecordedRefusal};
use hardtack::verify::VerifiedCapability;
use hardtack_http::now;

/// How many strangers wait at most: beyond this the last would wait longer than clients do.
const MAX_WAITING: usize = 512;

#[derive(Debug)]
pub(crate) struct AdmissionControl {
    /// The peers of one server.
    fair_queue: FairQueue,
    /// The servers of the process: whoever floods one does not hold up the strangers of others.
    servers: FairQueue<ServerId>,
    server: ServerId,
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

impl AdmissionControl {
    /// On half of the machine, so that the other half is for whoever is known.
    pub(crate) fn on(threads: Threads) -> AdmissionControl {
        // Those who wait there have a desk of their server.
        let servers = FairQueue::new(desks(), usize::MAX);
        let fair_queue = FairQueue::new(desks(), MAX_WAITING);
        AdmissionControl { fair_queue, servers, server: ServerId::ONLY, threads }
    }

    /// The same half of the machine, for another server.
    pub(crate) fn of(&self, server: ServerId) -> AdmissionControl {
        let fair_queue = FairQueue::new(desks(), MAX_WAITING);
        let (servers, threads) = (self.servers.clone(), self.threads);
        AdmissionControl { fair_queue, servers, server, threads }
    }

    /// Who sends this bearer, if it holds; or what is to be [recorded](Guard::record_refusal_async) of it. One of which it is remembered whether its
    /// signatures hold does not wait.
    pub(crate) async fn admit(
        &self,
        guard: &Arc<Guard>,
        bearer: &str,
        peer: Peer,
    ) -> Result<VerifiedCapability, Box<UnrecordedRefusal>> {
        if let Some(recognized) = guard.recognize(bearer, now()) {
            return recognized;
        }
        let examined = self.examine(guard, bearer, peer).await;
        // The desk is free while what was asked for is read and the refusal is written.
        examined.unwrap_or_else(|denial| Err(Box::new(UnrecordedRefusal::unrecorded(denial))))
    }

    async fn examine(
        &self,
        guard: &Arc<Guard>,
        bearer: &str,
        peer: Peer,
    ) -> Result<Result<VerifiedCapability, Box<UnrecordedRefusal>>, Denial> {
        let Some(desk) = self.fair_queue.next(peer).await else {
            return Err(Denial::overloaded("too many new tokens come at once"));
        };
        let Some(turn) = self.servers.next(self.server).await else {
            return Err(Denial::overloaded("too many new tokens come at once"));
        };
        let (guard, bearer) = (Arc::clone(guard), bearer.to_owned());
        let examine = move || {
            // Held until the work ends, whoever still waits for it.
            let _held = (desk, turn);
            guard.decide_admission(&bearer, now())
        };
        let examined = match self.threads {
            Threads::Shared => tokio::task::spawn_blocking(examine).await.ok(),
            Threads::Own => on_own_thread(examine).await,
        };
        examined.ok_or_else(|| Denial::unfinished("nothing came of it"))
    }
}

fn desks() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).max(1)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use hardtack::cause::Cause;
    use hardtack::{
        Capability, Grant, Issuer, Policy, Presenting, PrivateKey, Revocation, Revoking, RootKeys,
        Store, Verifier,
    };

    fn guard(store: &Store, root: &Issuer) -> Arc<Guard> {
        let roots = RootKeys::of(root.public());
        let verifier = Verifier::new(roots, "notion.mcp", store.revocations()).unwrap();
        Arc::new(Guard::new(verifier, Policy::builtin(), store.clone()))
    }

    fn granted(issuer: &Issuer) -> (Capability, PrivateKey) {
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        (issuer.mint(grant, now()).unwrap(), alice)
    }

    fn presents((capability, key): &(Capability, PrivateKey)) -> String {
        let presented = capability.present(Presenting::to("notion.mcp"), key, now()).unwrap();
        presented.bearer().to_owned()
    }

    fn peer() -> Peer {
        Peer::at([127, 0, 0, 1].into())
    }

    async fn admit(
        admission: &AdmissionControl,
        guard: &Arc<Guard>,
        bearer: &str,
    ) -> Result<VerifiedCapability, Denial> {
        match admission.admit(guard, bearer, peer()).await {
            Ok(verified) => Ok(verified),
            Err(decided) => Err(guard.record_refusal_async(*decided).await),
        }
    }

    /// Whether it is answered although somebody is at every desk.
    async fn is_answered(admission: &AdmissionControl, guard: &Arc<Guard>, bearer: &str) -> bool {
        let mut taken = Vec::new();
        while let Ok(desk) =
            tokio::time::timeout(Duration::from_millis(20), admission.fair_queue.next(peer())).await
        {
            taken.push(desk.unwrap());
        }
        let admitting = admission.admit(guard, bearer, peer());
        tokio::time::timeout(Duration::from_millis(200), admitting).await.is_ok()
    }

    #[tokio::test]
    async fn a_bearer_that_was_refused_or_revoked_does_not_wait_again_and_a_new_one_does() {
        let (store, issuer) = (Store::in_memory().unwrap(), Issuer::new(PrivateKey::generate()));
        let (guard, admission) = (guard(&store, &issuer), AdmissionControl::on(Threads::Shared));
        let alice = granted(&issuer);
        let [good, other] = [presents(&alice), presents(&alice)];
        let foreign = presents(&granted(&Issuer::new(PrivateKey::generate())));
        admit(&admission, &guard, &good).await.unwrap();
        for bad in [foreign.as_str(), "no token"] {
            assert!(!is_answered(&admission, &guard, bad).await, "{bad} is new");
            let denial = admit(&admission, &guard, bad).await.unwrap_err();
            assert!(is_answered(&admission, &guard, bad).await, "{bad} is known");
            let again = admit(&admission, &guard, bad).await.unwrap_err();
            assert_eq!(again, denial);
        }
        assert!(!is_answered(&admission, &guard, &other).await);
        let id = alice.0.chain().grant.revocation_id;
        let revoking = Revoking::new(Revocation::Id { id }, "test", "lost").unwrap();
        store.revoke(revoking, now()).unwrap();
        assert!(is_answered(&admission, &guard, &good).await);
        let denial = admit(&admission, &guard, &good).await.unwrap_err();
        assert_eq!(denial.refusal().cause, Cause::Revoked);
        // What another root trusts is not refused from memory by its guard.
        let trusts = AdmissionControl::on(Threads::Own);
        let other_root = Issuer::new(PrivateKey::generate());
        let accepts = super::tests::guard(&store, &other_root);
        let theirs = presents(&granted(&other_root));
        admit(&admission, &guard, &theirs).await.unwrap_err();
        admit(&trusts, &accepts, &theirs).await.unwrap();
    }

    #[tokio::test]
    async fn strangers_of_one_server_wait_for_one_of_another_servers_and_not_for_all() {
        let (store, issuer) = (Store::in_memory().unwrap(), Issuer::new(PrivateKey::generate()));
        let guard = guard(&store, &issuer);
        let all = AdmissionControl::on(Threads::Shared);
        let [one, other] = [1, 2].map(|id| Arc::new(all.of(ServerId::from_number(id))));
        // Nobody is served yet: all desks of the process are taken, and as many strangers of one server wait as may.
        let mut taken = Vec::new();
        for _ in 0..desks() {
            taken.push(all.servers.next(ServerId::ONLY).await.unwrap());
        }
        let flood: Vec<_> = (0..MAX_WAITING)
            .map(|number| {
                let (one, guard) = (Arc::clone(&one), Arc::clone(&guard));
                tokio::spawn(
                    async move { drop(admit(&one, &guard, &format!("bad {number}")).await) },
                )
            })
            .collect();
        tokio::task::yield_now().await;
        let good = presents(&granted(&issuer));
        let waits = tokio::spawn(async move { admit(&other, &guard, &good).await });
        tokio::task::yield_now().await;
        drop(taken);
        waits.await.unwrap().unwrap();
        let served = flood.iter().filter(|stranger| stranger.is_finished()).count();
        assert!(served <= MAX_WAITING / 2, "{served} of the flood were served before");
        for stranger in flood {
            stranger.await.unwrap();
        }
    }

    #[tokio::test]
    async fn of_a_bad_bearer_that_is_repeated_a_hundred_a_second_are_recorded_and_all_are_counted()
    {
        let (store, issuer) = (Store::in_memory().unwrap(), Issuer::new(PrivateKey::generate()));
        let (guard, admission) = (guard(&store, &issuer), AdmissionControl::on(Threads::Shared));
        let bad = presents(&granted(&Issuer::new(PrivateKey::generate())));
        let most = hardtack::internal::MAX_REJECTIONS_RECORDED as usize;
        let began = now();
        for _ in 0..3 * most {
            admit(&admission, &guard, &bad).await.unwrap_err();
        }
        let seconds = now().since(began).as_secs() as usize + 1;
        let recorded = || {
            let (mut records, mut unrecorded) = (0, 0);
            let count = |record: hardtack::AuditRecord| {
                let decision = record.decision().unwrap();
                assert_eq!(decision.cause, Some(Cause::Signature.into()));
                records += 1;
                unrecorded += decision.unrecorded as usize;
            };
            store.each_record(count).unwrap();
            (records, unrecorded)
        };
        assert!(recorded().0 <= seconds * most, "{:?}", recorded());
        tokio::time::sleep(Duration::from_millis(1100)).await;
        admit(&admission, &guard, &bad).await.unwrap_err();
        let (records, unrecorded) = recorded();
        assert_eq!(records + unrecorded, 3 * most + 1);
    }
}
