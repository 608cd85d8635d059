//! Follow: one connection that listens, so that whoever waits for an event is woken. It is a hint alone: the head is read by its number
//! after every connection, after every notification, and every five seconds.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::PostgresError;
use crate::head::{COLUMNS, Head};
use crate::link;
use crate::server;
use crate::shared::Shared;
use crate::status::{Role, UNCOLLECTED};

/// How often the head is read when nothing wakes: a notification may be lost without a trace.
const EVERY: Duration = Duration::from_secs(5);

/// The pauses between attempts to connect, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Listens for ever, on one connection after another.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut pause = PAUSES.0;
    loop {
        let Err(error) = listen(&shared, &mut pause).await;
        tracing::debug!("nobody listens to the database: {error}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn listen(shared: &Shared, pause: &mut Duration) -> Result<Infallible, PostgresError> {
    let woken = Arc::new(Notify::new());
    let client = link::connect(&shared.settings, Some(Arc::clone(&woken))).await?;
    link::once(server::check_known(&client, &shared.known)).await?;
    link::once(async { Ok(client.batch_execute("LISTEN hardtack").await?) }).await?;
    let statement = format!(
        "SELECT {COLUMNS}, current_setting('synchronous_standby_names') = '' FROM hardtack.head"
    );
    let statement = link::once(async { Ok(client.prepare(&statement).await?) }).await?;
    // A publisher sees no uses.
    let uncollected = match shared.role {
        Role::Plane | Role::Gateway => {
            Some(link::once(async { Ok(client.prepare(UNCOLLECTED).await?) }).await?)
        }
        Role::Publisher => None,
    };
    loop {
        let floor = shared.known.floor();
        let row = link::once(async { Ok(client.query_one(&statement, &[]).await?) }).await?;
        shared.known.accept(&floor, Head::of(&row)?.at)?;
        shared.link.is_alone.store(row.try_get(7)?, Ordering::Relaxed);
        if let Some(statement) = &uncollected {
            let row = link::once(async { Ok(client.query_one(statement, &[]).await?) }).await?;
            let seconds = u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
            shared.uncollected.store(seconds, Ordering::Relaxed);
        }
        *pause = PAUSES.0;
        // Whether it was woken or not, it reads.
        let _ = tokio::time::timeout(EVERY, woken.notified()).await;
    }
}
