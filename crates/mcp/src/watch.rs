//! Watch: does a token still hold, while what it began goes on?

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use hardtack::cause::Cause;
use hardtack::guard::Guard;
use hardtack::verify::VerifiedCapability;
use hardtack_http::now;

/// How often a token is looked at while its answer streams. A dead one is cut within a second.
const WATCH_EVERY: Duration = Duration::from_millis(400);

/// Looks whether a token still holds.
pub(crate) struct Watch {
    guard: Arc<Guard>,
    verified: Arc<VerifiedCapability>,
    of: Begun,
    ticks: Interval,
    ended: Ended,
}

/// Why a token no longer holds, for whoever waits on its behalf. Nothing, while it holds as far as is known.
pub(crate) type Ended = Arc<OnceLock<Cause>>;

/// What a token is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Something that its calls were decided for: a presentation that was bound to the call is used up.
    Call,
    /// Something that any valid token may begin, for as long as it is valid.
    Connection,
}

impl Watch {
    pub(crate) fn over(guard: Arc<Guard>, verified: Arc<VerifiedCapability>, of: Begun) -> Watch {
        // It was looked at just now.
        let mut ticks = interval_at(Instant::now() + WATCH_EVERY, WATCH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch { guard, verified, of, ticks, ended: Ended::default() }
    }

    /// Says why the token no longer holds, before [`Watch::end`] comes back.
    pub(crate) fn ended(&self) -> Ended {
        Arc::clone(&self.ended)
    }

    /// Comes back when the token no longer holds, and says why.
    pub(crate) async fn end(&mut self) -> Cause {
        loop {
            self.ticks.tick().await;
            let verifier = self.guard.verifier();
            let held = match self.of {
                Begun::Call => verifier.verify_under_way(&self.verified, now()),
                Begun::Connection => verifier.verify_again(&self.verified, now()),
            };
            if let Err(error) = held {
                let _ = self.ended.set(error.cause());
                return error.cause();
            }
        }
    }
}

/// Comes back when what is watched ends; never, if nothing is.
pub(crate) async fn ended(watch: &mut Option<Watch>) -> Cause {
    match watch {
        Some(watch) => watch.end().await,
        None => std::future::pending().await,
    }
}
