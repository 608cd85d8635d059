//! Log: how revocations are asked for and read, as the library's [`RevocationLog`].

use std::time::Duration;

use hardtack::pending::{Pending, promise};
use hardtack::revocation::{
    Change, Event, Events, Position, Receipt, RequestId, RevocationEntry, RevocationLogError,
    Snapshot,
};
use hardtack::{RevocationLog, Revoking, Timestamp};
use tokio::sync::mpsc::error::TrySendError;
use tokio_postgres::Row;

use crate::Postgres;
use crate::error::{PostgresError, damaged};
use crate::head::{COLUMNS, Head, number, one};
use crate::link::{self, Lease};
use crate::revoke::{Answer, Asked};
use crate::shared::{Shared, over};
use crate::writer::{Job, MAX_BATCH, MAX_WAITING};

/// How long a request to revoke may wait until it is answered: for the one before it, and for its own transaction.
const REVOKING: Duration = Duration::from_secs(15);

/// How long it may take to list all that is in force, a million of it say.
const LISTING: Duration = Duration::from_secs(60);

/// How many are listed by one statement.
const PAGE: i64 = 10_000;

/// The most events that are read at once.
pub(crate) const MAX_EVENTS: usize = 10_000;

fn read() -> String {
    format!(
        "SELECT {COLUMNS}, e.n, e.change FROM hardtack.head LEFT JOIN LATERAL ( \
            SELECT e.number AS n, e.change FROM hardtack.event e WHERE e.number > $1 ORDER BY e.number LIMIT $2 \
        ) e ON true ORDER BY e.n"
    )
}

fn page() -> String {
    format!(
        "SELECT {COLUMNS}, r.sequence, r.entry FROM hardtack.head LEFT JOIN LATERAL ( \
            SELECT r.sequence, r.entry FROM hardtack.revocation r WHERE r.sequence > $1 ORDER BY r.sequence LIMIT $2 \
        ) r ON true ORDER BY r.sequence"
    )
}

/// One statement sees one moment: the head is as old as the events.
pub(crate) async fn events(
    shared: &Shared,
    after: Position,
    at_most: usize,
) -> Result<Events, PostgresError> {
    let Ok(from) = i64::try_from(after.number) else { return Ok(Events::Gone) };
    let at_most = i64::try_from(at_most.clamp(1, MAX_EVENTS)).unwrap_or(1);
    let floor = shared.known.floor();
    let rows = shared.link.ask(&read(), &[&from, &at_most]).await?;
    let head = Head::of(one(&rows)?)?;
    shared.known.accept(&floor, head.at)?;
    let is_there =
        after.epoch == head.at.epoch && (head.gone..=head.at.number).contains(&after.number);
    if !is_there {
        return Ok(Events::Gone);
    }
    let events: Vec<Event> =
        rows.iter().filter_map(|row| event(row).transpose()).collect::<Result<_, _>>()?;
    let expected = after.number + 1..;
    // Whoever gets fewer than asked for takes them for all there are.
    let there = (head.at.number - after.number).min(at_most.unsigned_abs());
    let is_whole = events.iter().zip(expected).all(|(event, number)| event.number == number)
        && events.len() as u64 == there;
    if !is_whole {
        return Err(damaged("a log with a gap"));
    }
    Ok(Events::Next(events))
}

fn event(row: &Row) -> Result<Option<Event>, PostgresError> {
    let Some(sequence) = row.try_get::<_, Option<i64>>(7)? else { return Ok(None) };
    let change: Change = serde_json::from_str(row.try_get(8)?).map_err(|_| damaged("an event"))?;
    Ok(Some(Event::new(number(sequence)?, change)))
}

fn entries(rows: &[Row]) -> Result<Vec<RevocationEntry>, PostgresError> {
    let texts = rows.iter().filter_map(|row| row.try_get::<_, Option<&str>>(8).transpose());
    texts.map(|text| serde_json::from_str(text?).map_err(|_| damaged("a revocation"))).collect()
}

async fn listed(
    shared: &Shared,
    now: Timestamp,
    after: u64,
    at_most: usize,
) -> Result<Snapshot, PostgresError> {
    // No record has a larger number.
    let from = i64::try_from(after).unwrap_or(i64::MAX);
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let floor = shared.known.floor();
    let rows = shared.link.ask(&page(), &[&from, &at_most]).await?;
    let head = Head::of(one(&rows)?)?;
    shared.known.accept(&floor, head.at)?;
    Ok(Snapshot::new(head.at, now, head.forgotten_until, entries(&rows)?))
}

/// All of it as of one moment, in pages.
pub(crate) async fn list(shared: &Shared, now: Timestamp) -> Result<Snapshot, PostgresError> {
    let _permit = shared.lists.acquire().await.map_err(|_| over())?;
    let floor = shared.known.floor();
    let lease = shared.link.lease().await?;
    lease.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let (head, mut all) = first(&lease, 0).await?;
    shared.known.accept(&floor, head.at)?;
    let mut count = all.len() as i64;
    while count == PAGE {
        let last = all.last().map_or(0, |entry| entry.sequence);
        let (_, more) = first(&lease, i64::try_from(last).unwrap_or(i64::MAX)).await?;
        count = more.len() as i64;
        all.extend(more);
    }
    lease.commit().await?;
    lease.done();
    Ok(Snapshot::new(head.at, now, head.forgotten_until, all))
}

async fn first(lease: &Lease, after: i64) -> Result<(Head, Vec<RevocationEntry>), PostgresError> {
    let rows = link::once(lease.ask(&page(), &[&after, &PAGE])).await?;
    Ok((Head::of(one(&rows)?)?, entries(&rows)?))
}

pub(crate) async fn bounded(
    work: impl Future<Output = Result<Snapshot, PostgresError>>,
) -> Result<Snapshot, PostgresError> {
    let late = |_| PostgresError::Unavailable(format!("not within {} seconds", LISTING.as_secs()));
    tokio::time::timeout(LISTING, work).await.map_err(late)?
}

fn unread(error: PostgresError) -> RevocationLogError {
    RevocationLogError::Unavailable(error.to_string())
}

fn not_revoked(problem: &str) -> Answer {
    Err(RevocationLogError::NotRevoked(problem.to_owned()))
}

impl RevocationLog for Postgres {
    fn append<'a>(
        &'a self,
        batch: Vec<Revoking>,
        request: RequestId,
        now: Timestamp,
    ) -> Pending<'a, Result<Vec<Receipt>, RevocationLogError>> {
        if batch.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        if batch.len() > MAX_BATCH {
            let problem = format!("a batch has at most {MAX_BATCH} revocations");
            return Box::pin(async move { not_revoked(&problem) });
        }
        let (giver, promised) = promise();
        let job = Job { asked: Asked::new(batch, request, now), giver };
        if let Err(error) = self.0.jobs.try_send(job) {
            let problem = match error {
                TrySendError::Full(_) => {
                    format!("{MAX_WAITING} requests wait for the database already")
                }
                TrySendError::Closed(_) => over().to_string(),
            };
            return Box::pin(async move { not_revoked(&problem) });
        }
        let answered = self.0.spawn(async {
            let answer = tokio::time::timeout(REVOKING, promised).await;
            let closed = over().to_string();
            let late = format!("the database did not answer within {} seconds", REVOKING.as_secs());
            answer.map_or_else(
                |_| not_revoked(&late),
                |given| given.unwrap_or_else(|| not_revoked(&closed)),
            )
        });
        Box::pin(async move { answered.await.unwrap_or_else(|| not_revoked(&over().to_string())) })
    }

    fn read<'a>(
        &'a self,
        after: Position,
        at_most: usize,
    ) -> Pending<'a, Result<Events, RevocationLogError>> {
        let read = self.0.question(move |shared| async move {
            link::twice(|| events(&shared, after, at_most)).await
        });
        Box::pin(async { read.await.map_err(unread) })
    }

    fn head<'a>(&'a self) -> Pending<'a, Result<Position, RevocationLogError>> {
        let head = self.0.question(|shared| async move {
            // No event comes before the first.
            let now = Timestamp::default();
            link::twice(|| listed(&shared, now, 0, 0)).await.map(|snapshot| snapshot.at)
        });
        Box::pin(async { head.await.map_err(unread) })
    }

    fn list<'a>(&'a self, now: Timestamp) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        let list = self.0.question(move |shared| async move { bounded(list(&shared, now)).await });
        Box::pin(async { list.await.map_err(unread) })
    }

    fn list_after<'a>(
        &'a self,
        now: Timestamp,
        after: u64,
        at_most: usize,
    ) -> Pending<'a, Result<Snapshot, RevocationLogError>> {
        let list = self.0.question(move |shared| async move {
            link::twice(|| listed(&shared, now, after, at_most)).await
        });
        Box::pin(async { list.await.map_err(unread) })
    }

    fn wait<'a>(&'a self, after: Position, at_most: Duration) -> Pending<'a, ()> {
        let mut heard = self.0.shared.known.heard();
        let waited = self.0.spawn(async move {
            // Whether there is something or not, whoever comes back reads.
            let _ = tokio::time::timeout(at_most, heard.wait_for(|at| *at != after)).await;
        });
        Box::pin(async {
            waited.await;
        })
    }
}
