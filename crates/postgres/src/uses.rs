//! Uses: each presentation claimed once by all gateways, a partition for each hour of expiry.

use std::sync::Arc;

use hardtack::Timestamp;
use hardtack::audit::{Claim, SingleUse, Uses, UsesUnavailable};
use hardtack::pending::Pending;
use tokio_postgres::error::SqlState;

use crate::Postgres;
use crate::error::PostgresError;
use crate::head::{one, seconds};
use crate::link::{self, Link};
use crate::shared::over;

/// The most claims that wait for an answer. Beyond it they are refused.
pub(crate) const MAX_CLAIMS: usize = 4096;

/// One statement, one transaction, one way there and back. It is durable by what it sets itself, whatever the server's default. Whether the
/// mark is older than what forgets has left it does not matter: then the partition is gone, or waits until this has committed.
const CLAIM: &str = "INSERT INTO hardtack.used (id, audience, expires) \
    SELECT $1, $2, $3 FROM hardtack.used_mark \
    WHERE $3 > until AND set_config('synchronous_commit', $4, true) = $4 ON CONFLICT DO NOTHING";

pub(crate) const MAKE_HOUR: &str = "SELECT hardtack.make_hour($1)";

async fn claim(link: &Link, once: &SingleUse) -> Result<Claim, PostgresError> {
    let (id, expires) = (&once.id.as_bytes()[..], seconds(once.expires));
    let durable = link.durable.name();
    let lease = link.lease().await?;
    for is_last in [false, true] {
        let claimed = lease.claim(CLAIM, &[&id, &once.audience, &expires, &durable]).await?;
        link.still(&lease)?;
        let answer = match claimed {
            Ok(1) => Claim::First,
            Ok(_) => Claim::Again,
            // There is no partition for its hour.
            Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                if is_last {
                    break;
                }
                let rows = lease.ask(MAKE_HOUR, &[&expires]).await?;
                match one(&rows)?.try_get::<_, &str>(0)? {
                    "made" => continue,
                    "forgotten" => Claim::Again,
                    _ => break,
                }
            }
            Err(error) => return Err(error.into()),
        };
        lease.done();
        return Ok(answer);
    }
    // It was answered whatever it asked.
    lease.done();
    Err(full())
}

fn full() -> PostgresError {
    PostgresError::Unavailable(
        "there is no room for presentations that expire in that hour: collect what has expired"
            .to_owned(),
    )
}

impl Uses for Postgres {
    fn claim<'a>(
        &'a self,
        once: &'a SingleUse,
        _: Timestamp,
    ) -> Pending<'a, Result<Claim, UsesUnavailable>> {
        let shared = Arc::clone(&self.0.shared);
        let Ok(permit) = Arc::clone(&shared.claims).try_acquire_owned() else {
            let problem = format!("{MAX_CLAIMS} claims wait for the database already");
            return Box::pin(async { Err(UsesUnavailable(problem)) });
        };
        let once = once.clone();
        let claimed = self.0.spawn(async move {
            let claimed = link::once(claim(&shared.link, &once)).await;
            drop(permit);
            claimed
        });
        Box::pin(async move {
            let claimed = claimed.await.unwrap_or_else(|| Err(over()));
            claimed.map_err(|error| UsesUnavailable(error.to_string()))
        })
    }
}
