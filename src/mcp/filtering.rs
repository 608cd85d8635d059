//! Filtering: how and where what a server answers is looked at, while its token holds.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::guard::{Denial, Guard};
use crate::http::{now, settle};
use crate::mcp::flow::{Begun, Rewrite, Watch};
use crate::mcp::lanes::Place;
use crate::mcp::listing::{Filter, Left};
use crate::mcp::message::Id;
use crate::mcp::metrics::Metrics;
use crate::mcp::review::{Review, Reviewed};
use crate::mcp::session::Owner;
use crate::mcp::tasks::Tasks;
use crate::verify::VerifiedCapability;

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
    verified: VerifiedCapability,
    /// What records call it.
    what: &'static str,
    place: Place,
    /// Says that nobody waits for it any more.
    given_up: CancellationToken,
    under_way: Mutex<UnderWay>,
}

/// Of what is looked at now.
#[derive(Default)]
struct UnderWay {
    left: Left,
    refused: Option<Denial>,
}

impl Filtering {
    pub(crate) fn new(
        guard: Arc<Guard>,
        tasks: Arc<Tasks>,
        metrics: Metrics,
        verified: VerifiedCapability,
        what: &'static str,
        place: Place,
    ) -> Filtering {
        let (given_up, under_way) = (CancellationToken::new(), Mutex::default());
        Filtering { guard, tasks, metrics, verified, what, place, given_up, under_way }
    }

    /// Does it in its turn. `None` if the token ended meanwhile, or nothing came of it; it ends when nobody waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let waits = self.given_up.clone().drop_guard();
        *self.under_way() = UnderWay::default();
        let mut watch =
            Watch::over(Arc::clone(&self.guard), self.verified.clone(), Begun::Connection);
        let done = tokio::select! {
            biased;
            cause = watch.end() => {
                tracing::info!(cause, "an answer is given up, since its token no longer holds");
                return None;
            }
            done = self.place.run(work) => done?,
        };
        waits.disarm();
        let refused = self.under_way().refused.take();
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
        let Ok(verified) = self.guard.verifier().renewed(&self.verified, now) else {
            return Reviewed::Unreadable;
        };
        // One answer is shown by one set of policies.
        let (policy, left) = (self.guard.policy(), self.under_way().left);
        let by = (&verified, &*policy);
        let filter = Filter::new(by, &self.tasks, now, private, &self.given_up, left);
        let mut review = Review { asked, filter: Some(filter), refused: None, note: &|_| {} };
        let reviewed = review.apply(message);
        let mut under_way = self.under_way();
        under_way.left = review.filter.map_or(left, |filter| filter.left());
        under_way.refused = under_way.refused.take().or(review.refused);
        reviewed
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// It is refused, whether that can be recorded or not.
    async fn note_refused(&self, denial: &Denial) {
        self.metrics.decision(denial.verdict(), denial.refusal().cause);
        tracing::info!(
            hardtack.verdict = %denial.verdict(),
            hardtack.cause = denial.refusal().cause,
            "a list is refused"
        );
        let weighed = self.guard.weigh_refusal(&self.verified, self.what, denial.clone(), now());
        let _ = settle(&self.guard, weighed).await;
    }
}
