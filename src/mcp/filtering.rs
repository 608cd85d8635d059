//! Filtering: lists on their way to a client, each in its turn, while its token holds.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::guard::{Denial, Guard};
use crate::http::{now, settle};
use crate::mcp::flow::{Begun, Rewrite, Rewritten, Watch};
use crate::mcp::lanes::Place;
use crate::mcp::listing::{Filter, Filtered};
use crate::mcp::methods::Listing;
use crate::mcp::metrics::Metrics;
use crate::mcp::tasks::Tasks;
use crate::verify::VerifiedCapability;

/// How the answers to one request, or on one stream, are filtered.
pub(crate) struct Filtering {
    pub(crate) guard: Arc<Guard>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) metrics: Metrics,
    pub(crate) verified: VerifiedCapability,
    /// What records call it.
    pub(crate) what: &'static str,
    pub(crate) listings: Vec<Listing>,
    pub(crate) mark_private: bool,
    pub(crate) place: Place,
}

impl Filtering {
    pub(crate) fn rewrite(self) -> Rewrite {
        let filtering = Arc::new(self);
        Arc::new(move |answer| Box::pin(Arc::clone(&filtering).filter(answer)))
    }

    /// Ends with its token, and when nobody waits for it.
    async fn filter(self: Arc<Self>, answer: Bytes) -> Rewritten {
        let given_up = CancellationToken::new();
        let _waits = given_up.clone().drop_guard();
        let filtering = Arc::clone(&self);
        let work = move || filtering.apply(&answer, &given_up);
        let mut watch =
            Watch::over(Arc::clone(&self.guard), self.verified.clone(), Begun::Connection);
        let filtered = tokio::select! {
            biased;
            cause = watch.end() => {
                tracing::info!(cause, "a list is given up, since its token no longer holds");
                return Rewritten::GivenUp;
            }
            filtered = self.place.run(work) => filtered,
        };
        let Some(Filtered { rewritten, refused }) = filtered else { return Rewritten::Unreadable };
        if let Some(denial) = refused {
            self.note_refused(&denial).await;
        }
        rewritten
    }

    fn apply(&self, answer: &[u8], given_up: &CancellationToken) -> Filtered {
        let passes = |rewritten| Filtered { rewritten, refused: None };
        let Ok(answer) = std::str::from_utf8(answer) else { return passes(Rewritten::Unreadable) };
        let now = now();
        let Ok(verified) = &self.guard.verifier().renewed(&self.verified, now) else {
            return passes(Rewritten::GivenUp);
        };
        // One answer is shown by one set of policies.
        let (policy, tasks, listings) = (&self.guard.policy(), &*self.tasks, &*self.listings);
        let mark_private = self.mark_private;
        Filter { policy, verified, tasks, now, listings, mark_private, given_up }.apply(answer)
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
