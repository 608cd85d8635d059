//! Waiting: how is a decision made where threads must not wait, in an asynchronous program?
//!
//! Bounded concurrency, by semaphores. There is one way for all doors. What is quick is weighed where it is asked; what
//! takes its time, and whatever waits for a source of facts, on tokio's blocking threads; records are waited for
//! without a thread.

use std::sync::{Arc, LazyLock};

use tokio::sync::{Semaphore, oneshot};

use crate::call::Call;
use crate::guard::UnrecordedRefusal;
use crate::guard::{Denial, Guard, Permit, UnrecordedDecision};
use crate::revocation::Revoking;
use crate::revoke::RevocationRequest;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// How many decisions that take their time are weighed at once: more do not come to an end sooner, and the threads
/// of the runtime that may wait are for others, too.
static WEIGHING: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// The same of guards that ask a source of facts, which waits for others more than it works: an eighth of the threads that the
/// runtime has for what waits.
static ASKING: Semaphore = Semaphore::const_new(64);

/// For asynchronous programs (feature `tokio`): the future waits, and no thread of the runtime does.
///
/// A future that is dropped takes nothing back. Once it was polled and had its turn, the decision is made, recorded and, of a
/// presentation that is bound to a call, used up, though nobody hears of it; before, nothing has happened at all.
impl Guard {
    /// Decides whether the bearer may do `call`, as [`Guard::check`] does, without blocking a thread of the runtime.
    /// Returns when the ledger has recorded the decision.
    ///
    /// # Errors
    ///
    /// [`Denial`], as of [`Guard::check`]; `unfinished` if the runtime ends first. Panics outside a runtime of tokio's.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use hardtack::*;
    /// # let now = Timestamp::from_unix_seconds(1_795_428_000);
    /// # let root = PrivateKey::generate();
    /// # let roots = RootKeys::of(root.public());
    /// # let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
    /// # let capability = Issuer::new(root).mint(grant, now)?;
    /// # let presentation = capability.present(Presenting::to("notion.mcp"), &alice, now)?;
    /// # let store = Store::in_memory()?;
    /// # let verifier = Verifier::new(roots, "notion.mcp", store.revocations())?;
    /// let guard = Arc::new(Guard::new(verifier, Policy::builtin(), store));
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let permit = guard.check_async(presentation.bearer(), &Call::tool("search")?, now).await?;
    /// assert_eq!(permit.subject(), "user:alice");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn check_async(
        self: &Arc<Guard>,
        bearer: &str,
        call: &Call,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        if let Some(verified) = self.verifier().verify_remembered(bearer, now) {
            return self.check_again_async(&verified, call, now).await;
        }
        let (bearer, call) = (bearer.to_owned(), call.clone());
        let decide = move |guard: &Guard| guard.decide(&guard.sets(), &bearer, &call, now);
        self.decide_in_turn(decide).await
    }

    /// Decides whether `call` is allowed with a capability that was verified before, as [`Guard::check_again`] does,
    /// without blocking a thread of the runtime. Returns when the ledger has recorded the decision.
    ///
    /// # Errors
    ///
    /// [`Denial`], as of [`Guard::check_async`].
    pub async fn check_again_async(
        self: &Arc<Guard>,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        if self.is_quick(verified, call) {
            return self.record_async(self.decide_again(verified, call, now)).await;
        }
        let (verified, call) = (verified.clone(), call.clone());
        self.decide_in_turn(move |guard| guard.decide_again(&verified, &call, now)).await
    }

    /// Verifies a bearer for what any valid one may do, as [`Guard::admit`] does, without blocking a thread of the
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`Denial`], as of [`Guard::admit`]; `unfinished` if the runtime ends first.
    pub async fn admit_async(
        self: &Arc<Guard>,
        bearer: &str,
        now: Timestamp,
    ) -> Result<VerifiedCapability, Denial> {
        let bearer = bearer.to_owned();
        self.blocking(move |guard| guard.admit(&bearer, now)).await
    }

    /// Decides whether the bearer may revoke what `request` asks for, as [`Guard::check_revocation`] does, without
    /// blocking a thread of the runtime.
    ///
    /// # Errors
    ///
    /// [`Denial`], as of [`Guard::check_revocation`]; `unfinished` if the runtime ends first.
    pub async fn check_revocation_async(
        self: &Arc<Guard>,
        bearer: &str,
        request: &RevocationRequest,
        now: Timestamp,
    ) -> Result<Revoking, Denial> {
        let (bearer, request) = (bearer.to_owned(), request.clone());
        self.blocking(move |guard| guard.check_revocation(&bearer, &request, now)).await
    }

    /// Weighs on a thread that may take its time, when there is a place, and has it recorded from there, whoever still waits.
    async fn decide_in_turn(
        self: &Arc<Guard>,
        decide: impl FnOnce(&Guard) -> UnrecordedDecision + Send + 'static,
    ) -> Result<Permit, Denial> {
        let places = if self.asks_elsewhere() { &ASKING } else { &*WEIGHING };
        let Ok(place) = places.acquire().await else { return Err(unfinished()) };
        let (answer, answered) = oneshot::channel();
        let guard = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let decided = decide(&guard);
            // The place is held until the work ends, and not for the record.
            drop(place);
            guard.record_later(decided, |decided| {
                // Whoever asked may have gone away.
                let _ = answer.send(decided);
            });
        });
        answered.await.unwrap_or_else(|_| Err(unfinished()))
    }

    /// Has a decision recorded and returns its answer, without blocking a thread. What cannot be recorded is undecided.
    pub(crate) async fn record_async(
        self: &Arc<Guard>,
        decided: UnrecordedDecision,
    ) -> Result<Permit, Denial> {
        let (answer, answered) = oneshot::channel();
        self.record_later(decided, |decided| {
            // Whoever asked may have gone away.
            let _ = answer.send(decided);
        });
        answered.await.unwrap_or_else(|_| Err(unfinished()))
    }

    /// Has a refusal recorded and returns its denial, without blocking a thread. What cannot be recorded is undecided.
    pub async fn record_refusal_async(self: &Arc<Guard>, refusal: UnrecordedRefusal) -> Denial {
        let (answer, answered) = oneshot::channel();
        self.record_refusal_later(refusal, |denial| {
            // Whoever asked may have gone away.
            let _ = answer.send(denial);
        });
        answered.await.unwrap_or_else(|_| unfinished())
    }

    /// Does `work` on one of tokio's blocking threads, which may wait for the disk, and returns its result. Where the
    /// work panics or the runtime ends first, the answer is [`Denial::Undecided`] (`unfinished`).
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Guard>,
        work: impl FnOnce(&Guard) -> Result<T, Denial> + Send + 'static,
    ) -> Result<T, Denial> {
        let guard = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&guard)).await;
        done.unwrap_or_else(|_| Err(unfinished()))
    }
}

fn unfinished() -> Denial {
    Denial::unfinished("the decision was not brought to an end")
}
