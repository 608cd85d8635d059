//! Tending: what a server does in the background goes on, or is known to have ended.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use hardtack_mcp::Readiness;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often work that ends is begun again: what ends more often has a reason that stays.
const MAX_RESTARTS: u32 = 10;

/// How long until it is begun again: what is missing for a moment is there again, and the log is not filled.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// After how long of going well earlier ends no longer count.
const WELL_AFTER: Duration = Duration::from_secs(600);

/// Does background work for ever, beginning again when it panics or comes back. Meanwhile the server is not ready, and for
/// good once it was begun again too often.
pub(crate) async fn tend<F>(
    readiness: Readiness,
    what: impl Into<Cow<'static, str>>,
    work: impl FnMut() -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    tend_pausing(RESTART_PAUSE, readiness, what.into(), work).await;
}

async fn tend_pausing<F>(
    pause: Duration,
    readiness: Readiness,
    what: Cow<'static, str>,
    mut work: impl FnMut() -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut restarts = 0;
    loop {
        readiness.restored(&what);
        let began = Instant::now();
        // Ends with this future, and its panics end nothing else.
        let mut running = JoinSet::new();
        running.spawn(work());
        let panicked = matches!(running.join_next().await, Some(Err(_)));
        let why = if panicked { "it panicked" } else { "it came back" };
        if began.elapsed() > WELL_AFTER {
            restarts = 0;
        }
        if restarts == MAX_RESTARTS {
            tracing::error!(%what, why, restarts, "background work has ended for good");
            readiness
                .lost(what.clone(), format!("has ended, and {restarts} restarts did not help"));
            return;
        }
        restarts += 1;
        tracing::error!(%what, why, restarts, "background work has ended; it is begun again");
        readiness.lost(what.clone(), "has ended, and is begun again");
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_that_ends_is_begun_again_and_is_missed_meanwhile() {
        let (readiness, begun) = (Readiness::default(), Arc::new(AtomicU32::new(0)));
        let (counted, known) = (Arc::clone(&begun), readiness.clone());
        let pause = Duration::from_millis(200);
        let tended =
            tokio::spawn(tend_pausing(pause, readiness.clone(), "counting".into(), move || {
                let (counted, known) = (Arc::clone(&counted), known.clone());
                async move {
                    assert_eq!(known.problem(), None, "while it works");
                    match counted.fetch_add(1, Ordering::Relaxed) {
                        0 => panic!("it panics at first"),
                        1 => {}
                        _ => std::future::pending().await,
                    }
                }
            }));
        let problem = loop {
            tokio::time::sleep(pause / 20).await;
            match readiness.problem() {
                Some(problem) => break problem,
                None => assert!(begun.load(Ordering::Relaxed) < 3, "it was never missed"),
            }
        };
        assert!(problem.contains("counting has ended"), "{problem}");
        while begun.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(pause / 20).await;
        }
        assert_eq!(readiness.problem(), None);
        tended.abort();
    }

    #[tokio::test]
    async fn work_that_always_ends_is_given_up() {
        let (readiness, begun) = (Readiness::default(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&begun);
        let work = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async {}
        };
        tend_pausing(Duration::from_millis(1), readiness.clone(), "counting".into(), work).await;
        assert_eq!(begun.load(Ordering::Relaxed), 1 + MAX_RESTARTS);
        assert!(readiness.problem().unwrap().contains("did not help"));
    }
}
