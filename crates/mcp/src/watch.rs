//! Watch: does a token still hold, while what it began goes on?

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use hardtack::cause::Cause;
use hardtack::guard::{Denial, Guard};
use hardtack::verify::VerifiedCapability;
use hardtack_http::now;

/// How often a token is looked at while its answer streams. A dead one is cut within a second.
const WATCH_EVERY: Duration = Duration::from_millis(400);

/// How long the answer to one call may flow, unless it is told otherwise ([`Gateway::longest_answer`](crate::Gateway::longest_answer)):
/// an hour. Builds, crawls and reports take minutes; what takes longer is a task, which is asked for again and again. It bounds what
/// whoever steals a presentation has of it beyond its minutes, and how long a server that never ends holds its place.
pub const DEFAULT_LONGEST_ANSWER: Duration = Duration::from_secs(3600);

/// Looks whether a token still holds.
pub(crate) struct Watch {
    guard: Arc<Guard>,
    verified: Arc<VerifiedCapability>,
    of: Begun,
    /// When what it is watched for ends in any case, by a clock that nobody sets.
    until: Option<Instant>,
    ticks: Interval,
    ended: Ended,
}

/// Why a token no longer holds, for whoever waits on its behalf. Nothing, while it holds as far as is known.
pub(crate) type Ended = Arc<OnceLock<Cause>>;

/// What a token is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The answer to calls that were decided: a presentation says when they may begin, and its own end does not count any more.
    Call,
    /// Something that any valid token may begin, for as long as it is valid.
    Connection,
}

impl Watch {
    pub(crate) fn over(guard: Arc<Guard>, verified: Arc<VerifiedCapability>, of: Begun) -> Watch {
        // It was looked at just now.
        let mut ticks = interval_at(Instant::now() + WATCH_EVERY, WATCH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch { guard, verified, of, until: None, ticks, ended: Ended::default() }
    }

    /// Ends what it is watched for after `longest`, too.
    pub(crate) fn at_most(mut self, longest: Duration) -> Watch {
        self.until = Instant::now().checked_add(longest);
        self
    }

    /// Says why the token no longer holds, before [`Watch::end`] comes back.
    pub(crate) fn ended(&self) -> Ended {
        Arc::clone(&self.ended)
    }

    /// Comes back when the token no longer holds, or the time is over, and says why.
    pub(crate) async fn end(&mut self) -> Denial {
        loop {
            self.ticks.tick().await;
            if let Err(denial) = self.look() {
                return denial;
            }
        }
    }

    /// Why the token no longer holds, for whoever found that it does not.
    pub(crate) fn why(&self) -> Denial {
        let unknown = || Denial::unfinished("the answer was not looked at to its end");
        self.look().err().unwrap_or_else(unknown)
    }

    /// Whether it holds now.
    pub(crate) fn look(&self) -> Result<(), Denial> {
        let verifier = self.guard.verifier();
        let held = match self.of {
            Begun::Call => verifier.verify_under_way(&self.verified, now()),
            Begun::Connection => verifier.verify_again(&self.verified, now()),
        };
        let is_over = self.until.is_some_and(|until| until <= Instant::now());
        let held = held.map_err(Denial::from).and_then(|()| match is_over {
            true => Err(Denial::answer_too_long()),
            false => Ok(()),
        });
        held.inspect_err(|denial| {
            let _ = self.ended.set(denial.cause());
        })
    }
}

/// Comes back when what is watched ends; never, if nothing is.
pub(crate) async fn ended(watch: &mut Option<Watch>) -> Denial {
    match watch {
        Some(watch) => watch.end().await,
        None => std::future::pending().await,
    }
}
