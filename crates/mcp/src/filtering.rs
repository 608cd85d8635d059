//! Filtering: how and where what a server answers is looked at, while its token holds (response filtering).

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::lanes::Place;
use crate::left_out::LeftOut;
use crate::listing::{Filter, Left};
use crate::metrics::Metrics;
use crate::review::{Review, Reviewed};
use crate::session::Owner;
use crate::tasks::Tasks;
use crate::watch::{Begun, Watch};
use hardtack::cause::Cause;
use hardtack::guard::{Denial, Guard};
use hardtack::mcp::Id;
use hardtack::verify::VerifiedCapability;
use hardtack_http::now;

/// Up to how many bytes are looked at without a thread of their own: a tenth of a millisecond's work.
const INLINE_BYTES: usize = 32 * 1024;

/// Says what a message in an answer is to be replaced by.
#[derive(Clone)]
pub(crate) struct Rewrite {
    pub(crate) by: Arc<dyn Fn(&str) -> Reviewed + Send + Sync>,
    /// Whether it may take its time, however short the message is.
    pub(crate) is_slow: bool,
    /// Where it is done if it takes its time.
    pub(crate) lane: Arc<Filtering>,
}

impl Rewrite {
    /// Does what looks at so many bytes: at once if it is a moment's work, or else on a thread that may take its time.
    /// `None` if the token ended meanwhile, or nothing came of it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match self.is_slow || bytes > INLINE_BYTES {
            true => self.lane.run(work).await,
            false => Some(work()),
        }
    }
}

/// What is looked for in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Lists, from which is taken what a token may not use.
    Lists {
        /// Whether they say for how long and by whom they may be kept (2026-07-28).
        private: bool,
    },
    /// A task that was started.
    Tasks,
    NoLists,
}

/// How the answers to one request, or on one stream, are looked at.
pub(crate) struct Filtering {
    guard: Arc<Guard>,
    tasks: Arc<Tasks>,
    metrics: Metrics,
    verified: Arc<VerifiedCapability>,
    /// What records call it.
    what: &'static str,
    /// What of the token must hold meanwhile.
    begun: Begun,
    place: Place,
    /// Says that nobody waits for it any more; made for what takes its time.
    given_up: OnceLock<CancellationToken>,
    under_way: Mutex<UnderWay>,
}

/// Of what is looked at now.
#[derive(Default)]
struct UnderWay {
    left: Left,
    refused: Option<Denial>,
    /// Why the token no longer holds, if it does not: what was looked at says nothing then.
    ended: Option<Cause>,
    left_out: LeftOut,
}

impl Filtering {
    pub(crate) fn new(
        guard: Arc<Guard>,
        tasks: Arc<Tasks>,
        metrics: Metrics,
        verified: Arc<VerifiedCapability>,
        what: &'static str,
        begun: Begun,
        place: Place,
    ) -> Filtering {
        let (given_up, under_way) = (OnceLock::new(), Mutex::default());
        Filtering { guard, tasks, metrics, verified, what, begun, place, given_up, under_way }
    }

    /// Does it in its turn. `None` if the token ended meanwhile, or nothing came of it; it ends when nobody waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let waits = self.given_up().clone().drop_guard();
        *self.under_way() = UnderWay::default();
        let mut watch =
            Watch::over(Arc::clone(&self.guard), Arc::clone(&self.verified), self.begun);
        let done = tokio::select! {
            biased;
            denial = watch.end() => {
                tracing::info!(cause = %denial.cause(), "an answer is given up, since its token no longer holds");
                return None;
            }
            done = self.place.run(work) => done?,
        };
        waits.disarm();
        let UnderWay { refused, ended, left_out, .. } = std::mem::take(&mut *self.under_way());
        if let Some(cause) = ended {
            tracing::info!(%cause, "an answer is given up, since its token no longer holds");
            return None;
        }
        self.metrics.left_out(left_out);
        if let Some(denial) = refused {
            self.note_refused(&denial).await;
        }
        Some(done)
    }

    /// How each message is looked at that comes as the answer to what was asked; to anything, if that is `None`.
    pub(crate) fn rewrite(self, asked: Option<Id>, shows: Shows) -> Rewrite {
        let lane = Arc::new(self);
        let filtering = Arc::clone(&lane);
        let by = move |message: &str| filtering.look_at(message, asked.as_ref(), shows);
        Rewrite { by: Arc::new(by), is_slow: matches!(shows, Shows::Lists { .. }), lane }
    }

    fn look_at(&self, message: &str, asked: Option<&Id>, shows: Shows) -> Reviewed {
        match shows {
            Shows::Lists { private } => self.filter(message, asked, private),
            Shows::Tasks => {
                let owner = Owner::of(&self.verified);
                let note = |result: &RawValue| self.tasks.note(result, owner);
                Review { asked, filter: None, refused: None, note: &note }.apply(message)
            }
            Shows::NoLists => {
                Review { asked, filter: None, refused: None, note: &|_| {} }.apply(message)
            }
        }
    }

    fn filter(&self, message: &str, asked: Option<&Id>, private: bool) -> Reviewed {
        let now = now();
        // A stream lasts, and lists show what the token may use now.
        let verified = match self.guard.verifier().renewed(&self.verified, now) {
            Ok(verified) => verified,
            Err(error) => {
                self.under_way().ended = Some(error.cause());
                return Reviewed::Unreadable;
            }
        };
        // One answer is shown by one set of policies.
        let (policy, left) = (self.guard.policy(), self.under_way().left);
        let verified = self.guard.foreseeing(verified);
        let prepared = self.guard.prepared(&verified);
        let by = (&*prepared, &verified, &*policy);
        let mut filter = Filter::new(by, &self.tasks, now, private, self.given_up(), left);
        // A stream may repeat the answer to anything, also what a tool said. What a server has is what it says when it is asked for it.
        let names_schemes = |scheme: &str| self.guard.verifier().name_resource_scheme(scheme);
        if asked.is_some() {
            filter.asked_for = Some((self.what, &names_schemes));
        }
        let mut review = Review { asked, filter: Some(filter), refused: None, note: &|_| {} };
        let reviewed = review.apply(message);
        let mut under_way = self.under_way();
        if let Some(filter) = review.filter {
            under_way.left = filter.left();
            under_way.left_out.add(filter.left_out);
        }
        under_way.refused = under_way.refused.take().or(review.refused);
        reviewed
    }

    fn given_up(&self) -> &CancellationToken {
        self.given_up.get_or_init(CancellationToken::new)
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// It is refused, whether that can be recorded or not.
    async fn note_refused(&self, denial: &Denial) {
        self.metrics.decision(denial.verdict(), Some(denial.cause()));
        tracing::info!(
            hardtack.verdict = %denial.verdict(),
            hardtack.cause = %denial.refusal().cause,
            "a list is refused"
        );
        let decided = self.guard.weigh_refusal(&self.verified, self.what, denial.clone(), now());
        self.guard.record_refusal_async(decided).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::budget::Payer;
    use crate::lanes::Lanes;
    use hardtack::{
        Grant, Issuer, Policy, Presenting, PrivateKey, Revocation, Revoking, RootKeys, Store,
        Verifier,
    };

    /// How long work goes on that nobody ends.
    const ENDLESS: Duration = Duration::from_secs(20);

    fn filtering(store: &Store) -> Arc<Filtering> {
        let issuer = Issuer::new(PrivateKey::generate());
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let capability = issuer.mint(grant, now()).unwrap();
        let bearer = capability.present(Presenting::to("notion.mcp"), &alice, now()).unwrap();
        let roots = RootKeys::of(issuer.public());
        let verifier = Verifier::new(roots, "notion.mcp", store.revocations()).unwrap();
        let verified = Arc::new(verifier.verify(bearer.bearer(), now()).unwrap());
        let guard = Arc::new(Guard::new(verifier, Policy::builtin(), store.clone()));
        let place = Lanes::new().place_for_list(Payer::of(&verified)).unwrap();
        let (tasks, metrics) = (Arc::new(Tasks::new()), Metrics::of(None));
        let begun = Begun::Connection;
        Arc::new(Filtering::new(guard, tasks, metrics, verified, "tools/list", begun, place))
    }

    /// Works until it hears that nobody waits; says whether it heard so.
    fn working(of: &Arc<Filtering>) -> impl FnOnce() -> bool + Send + use<> {
        let given_up = of.given_up().clone();
        move || {
            let steps = ENDLESS.as_millis() / 10;
            (0..steps).any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                given_up.is_cancelled()
            })
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_looked_at_ends_when_its_token_is_revoked() {
        let store = Store::in_memory().unwrap();
        let filtering = filtering(&store);
        let running = tokio::spawn({
            let (filtering, work) = (Arc::clone(&filtering), working(&filtering));
            async move { filtering.run(work).await }
        });
        let alice = Revocation::Subject { subject: "user:alice".to_owned(), root: None };
        store.revoke(Revoking::new(alice, "test", "lost").unwrap(), now()).unwrap();
        let ended = tokio::time::timeout(ENDLESS / 2, running).await;
        assert_eq!(ended.expect("it goes on although it is revoked").unwrap(), None);
        assert!(filtering.given_up().is_cancelled(), "and so does what works for it");
    }

    /// What looks at it finds it before the watch does.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_list_that_comes_after_its_token_was_revoked_is_given_up_and_not_unreadable() {
        let store = Store::in_memory().unwrap();
        let filtering = filtering(&store);
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
        let looked_at = || {
            let by = Arc::clone(&filtering);
            filtering.run(move || by.look_at(list, None, Shows::Lists { private: false }))
        };
        let shown = looked_at().await;
        assert!(matches!(shown, Some(Reviewed::Same | Reviewed::By(_))), "{shown:?}");
        let alice = Revocation::Subject { subject: "user:alice".to_owned(), root: None };
        store.revoke(Revoking::new(alice, "test", "lost").unwrap(), now()).unwrap();
        assert_eq!(looked_at().await, None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_nobody_waits_for_ends_and_what_came_to_an_end_does_not_end_the_next() {
        let store = Store::in_memory().unwrap();
        let filtering = filtering(&store);
        for _ in 0..2 {
            assert_eq!(filtering.run(|| 7).await, Some(7));
        }
        assert!(!filtering.given_up().is_cancelled());
        let (done, heard) = tokio::sync::oneshot::channel();
        let work = working(&filtering);
        let running = tokio::spawn({
            let filtering = Arc::clone(&filtering);
            async move { filtering.run(move || done.send(work())).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        running.abort();
        let ended = tokio::time::timeout(ENDLESS / 2, heard).await;
        assert!(ended.expect("it goes on although nobody waits").unwrap());
    }
}
