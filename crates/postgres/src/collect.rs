//! Collect: what is forgotten, when, and what it leaves.

use std::time::Duration;

use hardtack::Timestamp;
use hardtack::revocation::{Change, covered_until};

use crate::error::PostgresError;
use crate::head::{Head, moment, number, one, seconds, signed};
use crate::link;
use crate::shared::Shared;
use crate::uses::MAKE_HOUR;
use crate::writer::{self, EVENTS, GO_ON};

/// How many rows are forgotten in a transaction, so that nobody waits long for it.
pub(crate) const PIECE: i64 = 5_000;

/// The number of events that are kept at least. Who is farther behind takes the list. About 400 MB.
const KEPT_EVENTS: u64 = 1_000_000;

/// How long after it expired a use or a block is kept: clocks differ, and this is many times by how much they may.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(3600);

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// The number of revocations that no live token can hold any more.
    pub revocations: u64,
    /// The number of hours whose used presentations expired.
    pub hours: u64,
    /// The number of blocks of the lineage that expired.
    pub blocks: u64,
    /// Whether the clock is in doubt, so that no revocation was forgotten: it stands before what was told, or jumped ahead.
    pub is_clock_in_doubt: bool,
}

pub(crate) async fn collect(shared: &Shared, now: Timestamp) -> Result<Collected, PostgresError> {
    let mut collected = Collected::default();
    loop {
        let piece = link::twice(|| revocations(shared, now)).await?;
        collected.revocations += piece.revocations;
        collected.is_clock_in_doubt = piece.is_in_doubt;
        if piece.revocations.max(piece.requests).max(piece.events) < PIECE as u64 {
            break;
        }
    }
    loop {
        let forgotten = link::twice(|| blocks(shared, now)).await?;
        collected.blocks += forgotten;
        if forgotten < PIECE as u64 {
            break;
        }
    }
    // What keeps one of these from being done is to keep none of the others.
    let dropped = hours(shared, now, &mut collected.hours).await;
    let far = far_hours(shared).await;
    let made = make_hours(shared, now).await;
    dropped.and(far).and(made)?;
    Ok(collected)
}

async fn hours(shared: &Shared, now: Timestamp, dropped: &mut u64) -> Result<(), PostgresError> {
    while link::twice(|| hour(shared, now)).await? {
        *dropped += 1;
    }
    Ok(())
}

/// How many hours are made before a presentation expires in them: a gateway that holds the lock that it takes to make one keeps nobody
/// from claiming meanwhile.
const MADE_AHEAD: u64 = 4;

async fn make_hours(shared: &Shared, now: Timestamp) -> Result<(), PostgresError> {
    for ahead in 0..MADE_AHEAD {
        let moment = seconds(now + Duration::from_secs(ahead * 3600));
        link::twice(|| async { shared.link.ask(MAKE_HOUR, &[&moment]).await }).await?;
    }
    Ok(())
}

/// Drops the empty hours that no presentation lives to see.
async fn far_hours(shared: &Shared) -> Result<(), PostgresError> {
    let mut after = 0;
    while let Some(looked) = link::twice(|| far_hour(shared, after)).await? {
        after = looked;
    }
    Ok(())
}

const DUE: &str = "SELECT sequence, revoked FROM hardtack.revocation WHERE expires <= $1 ORDER BY sequence LIMIT $2";
const FORGET: &str = "DELETE FROM hardtack.revocation WHERE sequence = ANY($1)";
const REQUESTS: &str = "DELETE FROM hardtack.request WHERE id IN \
    (SELECT id FROM hardtack.request WHERE until <= $1 ORDER BY until LIMIT $2)";
const TRIM: &str = "WITH trimmed AS (DELETE FROM hardtack.event WHERE number IN \
        (SELECT number FROM hardtack.event WHERE number <= $1 ORDER BY number LIMIT $2) RETURNING number) \
    UPDATE hardtack.head SET gone = greatest(gone, (SELECT max(number) FROM trimmed)) \
    WHERE EXISTS (SELECT FROM trimmed) RETURNING (SELECT count(*) FROM trimmed)";

/// What was forgotten in one transaction.
struct Piece {
    revocations: u64,
    requests: u64,
    events: u64,
    is_in_doubt: bool,
}

/// Forgets some revocations, requests and events, in one transaction.
async fn revocations(shared: &Shared, now: Timestamp) -> Result<Piece, PostgresError> {
    let floor = shared.known.floor();
    let lease = shared.link.lease().await?;
    lease.begin(shared.link.durable).await?;
    let longest = signed(shared.longest().as_secs())?;
    let mut head = Head::of(one(&lease.ask(&writer::lock(), &[&longest]).await?)?)?;
    floor.allows(head.at)?;
    head.clock.observe(now);
    let is_in_doubt = head.clock.is_in_doubt(now, head.longest);
    let (mut sequences, mut requests, mut events) = (Vec::new(), 0, 0);
    if !is_in_doubt {
        for row in lease.ask(DUE, &[&seconds(now), &PIECE]).await? {
            let revoked = moment(row.try_get(1)?)?.unwrap_or_default();
            head.forgotten_until = head.forgotten_until.max(Some(covered_until(revoked)));
            sequences.push(row.try_get::<_, i64>(0)?);
        }
        requests = lease.claim(REQUESTS, &[&seconds(now), &PIECE]).await??;
        let before = signed(head.at.number.saturating_sub(KEPT_EVENTS))?;
        if let Some(row) = lease.ask(TRIM, &[&before, &PIECE]).await?.first() {
            events = number(row.try_get(0)?)?;
        }
    }
    if !sequences.is_empty() {
        lease.ask(FORGET, &[&sequences]).await?;
        head.at.number += 1;
        let change =
            Change::Forgotten { sequences: ranges(&sequences)?, until: head.forgotten_until };
        let change = serde_json::to_string(&change);
        let change = change.map_err(|error| PostgresError::Refused(error.to_string()))?;
        lease.ask(EVENTS, &[&vec![signed(head.at.number)?], &vec![change]]).await?;
    }
    let (latest, jumped) = (head.clock.latest.map(seconds), head.clock.jumped.map(seconds));
    let mark = head.forgotten_until.map(seconds);
    lease.ask(GO_ON, &[&signed(head.at.number)?, &latest, &jumped, &mark]).await?;
    lease.commit().await?;
    shared.known.raise(head.at);
    match sequences.is_empty() {
        true => lease.done(),
        false => writer::wake(lease).await,
    }
    Ok(Piece { revocations: sequences.len() as u64, requests, events, is_in_doubt })
}

/// The ranges of numbers that go up.
fn ranges(sequences: &[i64]) -> Result<Vec<(u64, u64)>, PostgresError> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for sequence in sequences {
        let sequence = number(*sequence)?;
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == sequence => *last = sequence,
            _ => ranges.push((sequence, sequence)),
        }
    }
    Ok(ranges)
}

const MARK: &str = "SELECT until FROM hardtack.used_mark FOR UPDATE";
const HOUR: &str = "SELECT min(hour) FROM hardtack.used_hour";
const RAISE: &str = "UPDATE hardtack.used_mark SET until = greatest(until, $1)";
const RAISE_TO_NOW: &str = "UPDATE hardtack.used_mark SET until = \
    greatest(until, least($1, floor(extract(epoch FROM clock_timestamp()))::bigint - 3600))";
const FAR: &str = "SELECT min(hour) FROM hardtack.used_hour \
    WHERE hour > $1 AND hour * 3600 > extract(epoch FROM clock_timestamp()) + 8 * 86400";
const OVER: &str = "DELETE FROM hardtack.used_hour WHERE hour = $1";

/// Drops the oldest hour of used presentations, if all of it expired an hour ago: the mark first, and both or none.
async fn hour(shared: &Shared, now: Timestamp) -> Result<bool, PostgresError> {
    let lease = shared.link.lease().await?;
    lease.begin(shared.link.durable).await?;
    // Whoever claims stands in line behind this lock. Later is soon enough.
    lease.say("SET LOCAL lock_timeout = 1000").await?;
    lease.ask(MARK, &[]).await?;
    let oldest: Option<i64> = one(&lease.ask(HOUR, &[]).await?)?.try_get(0)?;
    let kept = seconds(now) - KEPT_AFTER_EXPIRY.as_secs() as i64;
    let Some(hour) = oldest.filter(|hour| (hour + 1) * 3600 <= kept) else {
        // Nobody makes an hour that would be dropped at once. A clock that stands far ahead is not believed.
        lease.ask(RAISE_TO_NOW, &[&kept]).await?;
        lease.commit().await?;
        lease.done();
        return Ok(false);
    };
    lease.ask(RAISE, &[&((hour + 1) * 3600 - 1)]).await?;
    lease.say(&format!("DROP TABLE hardtack.used_{hour}")).await?;
    lease.ask(OVER, &[&hour]).await?;
    lease.commit().await?;
    lease.done();
    Ok(true)
}

/// Drops the next hour that is too far ahead, if it is empty. Returns which it was.
async fn far_hour(shared: &Shared, after: i64) -> Result<Option<i64>, PostgresError> {
    let lease = shared.link.lease().await?;
    lease.begin(shared.link.durable).await?;
    lease.say("SET LOCAL lock_timeout = 1000").await?;
    lease.ask(MARK, &[]).await?;
    let far: Option<i64> = one(&lease.ask(FAR, &[&after]).await?)?.try_get(0)?;
    if let Some(hour) = far {
        // Nobody claims in it between the look and the end.
        lease.say(&format!("LOCK TABLE ONLY hardtack.used, hardtack.used_{hour}")).await?;
        if lease.look(&format!("SELECT FROM hardtack.used_{hour} LIMIT 1")).await?.is_empty() {
            lease.say(&format!("DROP TABLE hardtack.used_{hour}")).await?;
            lease.ask(OVER, &[&hour]).await?;
        }
    }
    lease.commit().await?;
    lease.done();
    Ok(far)
}

const BLOCKS: &str = "WITH old AS (DELETE FROM hardtack.seen WHERE id IN \
        (SELECT id FROM hardtack.seen WHERE expires <= $1 ORDER BY expires LIMIT $2) RETURNING id), \
    size AS (UPDATE hardtack.seen_size SET blocks = blocks - (SELECT count(*) FROM old) RETURNING blocks) \
    SELECT (SELECT count(*) FROM old), (SELECT blocks FROM size)";

/// Forgets some blocks. The row of the size is locked first, as by whoever tells of blocks.
async fn blocks(shared: &Shared, now: Timestamp) -> Result<u64, PostgresError> {
    let lease = shared.link.lease().await?;
    lease.begin(shared.link.durable).await?;
    lease.ask("SELECT FROM hardtack.seen_size FOR UPDATE", &[]).await?;
    let before = seconds(now - KEPT_AFTER_EXPIRY);
    let rows = lease.ask(BLOCKS, &[&before, &PIECE]).await?;
    let forgotten = number(one(&rows)?.try_get(0)?)?;
    lease.commit().await?;
    lease.done();
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_that_follow_each_other_are_one_range() {
        assert_eq!(super::ranges(&[1, 2, 3, 5, 7, 8]).unwrap(), [(1, 3), (5, 5), (7, 8)]);
        assert_eq!(super::ranges(&[]).unwrap(), []);
    }
}
