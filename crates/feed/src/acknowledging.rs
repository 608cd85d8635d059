//! Acknowledging: a task by which a gateway tells the publisher what it has taken.

use std::time::Duration;

use hardtack::{PrivateKey, Revocations};
use tokio::sync::watch;

use crate::fetching::Fetching;
use crate::following::Followed;
use crate::standing::Acknowledgement;

/// After a failure, or where nothing is new, so long passes until the next one.
const PAUSE: Duration = Duration::from_secs(1);

/// In whose name a feed is followed, and what is said besides the position.
pub(crate) struct Acknowledging {
    pub(crate) fetching: Fetching,
    pub(crate) followed: watch::Receiver<Followed>,
    /// They know which lives verifiers accept.
    pub(crate) revocations: Revocations,
    pub(crate) stale_after: Option<Duration>,
}

impl Acknowledging {
    /// Acknowledges each checkpoint that was taken, the last of several, until the feed is followed no longer.
    pub(crate) async fn run(mut self) {
        let run = hex::encode(PrivateKey::generate().public().to_bytes());
        let run = run[..32].to_owned();
        let mut number = 0;
        let mut failing = None;
        while self.followed.changed().await.is_ok() {
            let Followed { head, failing: behind, .. } = self.followed.borrow_and_update().clone();
            let (Some(head), None) = (head, behind) else { continue };
            number += 1;
            let said = Acknowledgement {
                epoch: head.epoch,
                size: head.size,
                issued: head.issued.unix_seconds(),
                run: run.clone(),
                number,
                longest_life: self.revocations.longest_life().as_secs(),
                stale_after: self.stale_after.map(|stale| stale.as_secs()),
            };
            let body = serde_json::to_vec(&said).unwrap_or_default();
            let told = self.fetching.acknowledge(body).await.err().map(|error| error.to_string());
            if let Some(why) = told.as_ref().filter(|why| failing.as_ref() != Some(*why)) {
                tracing::warn!("the feed does not take what is acknowledged: {why}");
            }
            if failing.is_some() && told.is_none() {
                tracing::info!("the feed takes what is acknowledged again");
            }
            if told.is_some() {
                tokio::time::sleep(PAUSE).await;
            }
            failing = told;
        }
    }
}
