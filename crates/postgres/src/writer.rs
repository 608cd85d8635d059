//! Writer: requests to revoke, written by one task, many in a transaction (group commit).

use std::sync::Arc;
use std::time::Duration;

use hardtack::pending::Giver;
use hardtack::revocation::{Earlier, RequestId, RevocationLogError};
use tokio::sync::mpsc;
use tokio_postgres::Row;

use crate::error::{PostgresError, damaged};
use crate::head::{COLUMNS, Head, moment, number, one, seconds, signed};
use crate::link::{self, Lease};
use crate::revoke::{Answer, Answered, Asked, Key, Making, key_of};
use crate::shared::Shared;

/// The most requests that wait to be written. Beyond it they are refused.
pub(crate) const MAX_WAITING: usize = 1024;

/// The most requests in a transaction.
const MAX_REQUESTS: usize = 256;

/// Beyond so many revocations no further request joins a transaction.
const MAX_TOGETHER: usize = 4096;

/// The most revocations in a request: as many as are written well within the time for an answer.
pub const MAX_BATCH: usize = 20_000;

/// A request that waits, and who waits for its answer.
pub(crate) struct Job {
    pub(crate) asked: Asked,
    pub(crate) giver: Giver<Answer>,
}

/// Writes what comes, until nothing can come any more.
pub(crate) async fn write(shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut count = first.asked.batch.len();
        let (mut asked, mut givers) = (vec![first.asked], vec![first.giver]);
        while asked.len() < MAX_REQUESTS && count < MAX_TOGETHER {
            let Ok(job) = jobs.try_recv() else { break };
            count += job.asked.batch.len();
            asked.push(job.asked);
            givers.push(job.giver);
        }
        // To write it twice is to write it once: its requests are known then.
        match link::twice(|| transact(&shared, &asked)).await {
            Ok(answers) => {
                givers.into_iter().zip(answers).for_each(|(giver, answer)| giver.give(answer))
            }
            Err(error) => {
                let text = error.to_string();
                for giver in givers {
                    giver.give(Err(RevocationLogError::NotRevoked(text.clone())));
                }
            }
        }
    }
}

/// Locks the head until the commit: whoever writes stands in line here, and what is read after it is what the one before has committed.
pub(crate) fn lock() -> String {
    format!("UPDATE hardtack.head SET longest = greatest(longest, $1) RETURNING {COLUMNS}")
}

const REQUESTS: &str = "SELECT id, asked, receipts, until FROM hardtack.request WHERE id = ANY($1)";

const IN_FORCE: &str =
    "SELECT what, sequence, revoked, expires FROM hardtack.revocation WHERE what = ANY($1)";

async fn transact(shared: &Shared, asked: &[Asked]) -> Result<Vec<Answer>, PostgresError> {
    let floor = shared.known.floor();
    let lease = shared.link.lease().await?;
    let mut making = read(shared, &lease, asked).await?;
    floor.allows(making.head.at)?;
    let answers = asked.iter().map(|asked| making.answer(asked)).collect();
    save(&lease, &making).await?;
    shared.known.raise(making.head.at);
    wake(lease).await;
    Ok(answers)
}

/// Wakes whoever listens, after the commit: whoever fills the queue of notifications keeps no revocation from being made.
pub(crate) async fn wake(lease: Lease) {
    match tokio::time::timeout(WAKING, lease.ask(WAKE, &[])).await {
        Ok(Ok(_)) => lease.done(),
        Ok(Err(error)) => tracing::warn!("whoever listens is not woken, and reads later: {error}"),
        Err(_) => tracing::warn!("whoever listens is not woken in time, and reads later"),
    }
}

/// Begins the transaction, and reads under the lock what is asked about.
async fn read(shared: &Shared, lease: &Lease, asked: &[Asked]) -> Result<Making, PostgresError> {
    let ids: Vec<&[u8]> = asked.iter().map(|asked| &asked.request.as_bytes()[..]).collect();
    let keys: Vec<Key> = asked
        .iter()
        .flat_map(|asked| asked.batch.iter().map(|revoking| key_of(revoking.revocation())))
        .collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let longest = signed(shared.longest().as_secs())?;
    // Before the transaction, so that the statements below are sent at once, and in their order.
    let (lock, requests, in_force) = (
        lease.prepare(&lock()).await?,
        lease.prepare(REQUESTS).await?,
        lease.prepare(IN_FORCE).await?,
    );
    let (begun, head, requests, in_force) = tokio::join!(
        biased;
        lease.begin(shared.link.durable),
        async { lease.run(&lock, &[&longest]).await },
        async { lease.run(&requests, &[&ids]).await },
        async { lease.run(&in_force, &[&keys]).await },
    );
    begun?;
    let mut making = Making::new(Head::of(one(&head?)?)?);
    for row in &requests? {
        let (id, answered) = answered(row)?;
        making.answered.insert(id, answered);
    }
    for row in &in_force? {
        let what: &[u8] = row.try_get(0)?;
        let what = what.try_into().map_err(|_| damaged("a digest"))?;
        making.in_force.insert(what, earlier(row)?);
    }
    Ok(making)
}

fn answered(row: &Row) -> Result<(RequestId, Answered), PostgresError> {
    let id: &[u8] = row.try_get(0)?;
    let id = id.try_into().map_err(|_| damaged("a request"))?;
    let until = moment(row.try_get(3)?)?.unwrap_or_default();
    Ok((RequestId::from_bytes(id), Answered::of(row.try_get(1)?, row.try_get(2)?, until)?))
}

fn earlier(row: &Row) -> Result<Earlier, PostgresError> {
    Ok(Earlier {
        sequence: number(row.try_get(1)?)?,
        revoked: moment(row.try_get(2)?)?.unwrap_or_default(),
        expires: moment(row.try_get(3)?)?,
    })
}

const REPLACE: &str = "DELETE FROM hardtack.revocation WHERE sequence = ANY($1)";

const PUT: &str = "INSERT INTO hardtack.revocation (sequence, what, revoked, expires, entry) \
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[])";

pub(crate) const EVENTS: &str =
    "INSERT INTO hardtack.event (number, change) SELECT * FROM unnest($1::bigint[], $2::text[])";

const ANSWERED: &str = "INSERT INTO hardtack.request (id, asked, receipts, until) \
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[]) \
    ON CONFLICT (id) DO UPDATE SET asked = excluded.asked, receipts = excluded.receipts, until = excluded.until";

pub(crate) const GO_ON: &str =
    "UPDATE hardtack.head SET number = $1, latest = $2, jumped = $3, forgotten_until = $4";

/// Whoever listens is woken by it. It is a hint, for which no disk and no standby is waited.
const WAKE: &str =
    "SELECT pg_notify('hardtack', '') WHERE set_config('synchronous_commit', 'off', true) = 'off'";

/// How long it may take to wake whoever listens: the answer waits for it.
const WAKING: Duration = Duration::from_secs(1);

/// Writes it all and commits. If one of the statements fails, so do those after it, and the commit ends the transaction without a trace: each
/// is looked at.
async fn save(lease: &Lease, making: &Making) -> Result<(), PostgresError> {
    let text = |error: serde_json::Error| PostgresError::Refused(error.to_string());
    let replaced: Vec<i64> =
        making.replaced.iter().map(|number| signed(*number)).collect::<Result<_, _>>()?;
    let rows = making.rows.values();
    let sequences: Vec<i64> =
        making.rows.keys().map(|number| signed(*number)).collect::<Result<_, _>>()?;
    let keys: Vec<&[u8]> = rows.clone().map(|(key, _)| &key[..]).collect();
    let revoked: Vec<i64> = rows.clone().map(|(_, entry)| seconds(entry.notice.revoked)).collect();
    let expires: Vec<Option<i64>> =
        rows.clone().map(|(_, entry)| entry.notice.expires.map(seconds)).collect();
    let entries: Vec<String> = rows
        .map(|(_, entry)| serde_json::to_string(entry))
        .collect::<Result<_, _>>()
        .map_err(text)?;
    let numbers: Vec<i64> =
        making.events.iter().map(|(number, _)| signed(*number)).collect::<Result<_, _>>()?;
    let changes: Vec<String> = making
        .events
        .iter()
        .map(|(_, change)| serde_json::to_string(change))
        .collect::<Result<_, _>>()
        .map_err(text)?;
    let answered: Vec<(&RequestId, &Answered)> =
        making.requests.iter().filter_map(|id| making.answered.get_key_value(id)).collect();
    let ids: Vec<&[u8]> = answered.iter().map(|(id, _)| &id.as_bytes()[..]).collect();
    let digests: Vec<&[u8]> = answered.iter().map(|(_, answered)| &answered.digest[..]).collect();
    let receipts: Vec<String> =
        answered.iter().map(|(_, answered)| answered.receipts()).collect::<Result<_, _>>()?;
    let until: Vec<i64> = answered.iter().map(|(_, answered)| seconds(answered.until)).collect();
    let head = &making.head;
    let (latest, jumped) = (head.clock.latest.map(seconds), head.clock.jumped.map(seconds));
    let (number, mark) = (signed(head.at.number)?, head.forgotten_until.map(seconds));

    let replace = lease.prepare(REPLACE).await?;
    let put = lease.prepare(PUT).await?;
    let events = lease.prepare(EVENTS).await?;
    let answer = lease.prepare(ANSWERED).await?;
    let go_on = lease.prepare(GO_ON).await?;
    let done = tokio::join!(
        biased;
        async { lease.run(&replace, &[&replaced]).await },
        async { lease.run(&put, &[&sequences, &keys, &revoked, &expires, &entries]).await },
        async { lease.run(&events, &[&numbers, &changes]).await },
        async { lease.run(&answer, &[&ids, &digests, &receipts, &until]).await },
        async { lease.run(&go_on, &[&number, &latest, &jumped, &mark]).await },
        lease.commit(),
    );
    done.0.and(done.1).and(done.2).and(done.3).and(done.4)?;
    done.5
}
