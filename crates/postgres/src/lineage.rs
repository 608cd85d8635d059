//! Lineage: which grants and hops were seen, told to the database by one task. What it cannot be told is counted.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hardtack::RevocationId;
use hardtack::audit::{Lineage, LineageUnavailable, Seen, SeenBlock};
use hardtack::chain::IdPrefix;
use hardtack::pending::wait;
use tokio::sync::Notify;

use crate::Postgres;
use crate::error::{PostgresError, damaged};
use crate::head::{number, one, seconds, signed};
use crate::link;
use crate::shared::Shared;

/// The most blocks that wait to be told. What comes beyond it is lost, and counted.
const MAX_WAITING: usize = 10_000;

/// How many blocks are told at once.
const PIECE: usize = 500;

/// How many ids are known to have been told, so that each call does not tell its chain anew. Beyond it all are forgotten.
const MAX_KNOWN: usize = 65_536;

/// What is to be told.
#[derive(Default)]
pub(crate) struct Told {
    state: Mutex<State>,
    come: Notify,
    gone: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<SeenBlock>,
    /// On their way to the database.
    telling: usize,
    known: HashSet<RevocationId>,
    /// Of those that were lost, the ones that the database does not know of.
    lost: u64,
}

impl Told {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, blocks: Vec<SeenBlock>) {
        let mut state = self.state();
        for block in blocks {
            if state.known.contains(&block.id) {
                continue;
            }
            match state.waiting.len() < MAX_WAITING {
                true => state.waiting.push_back(block),
                false => state.lost += 1,
            }
        }
        drop(state);
        self.come.notify_one();
    }

    fn next(&self) -> (Vec<SeenBlock>, u64) {
        let mut state = self.state();
        let count = state.waiting.len().min(PIECE);
        state.telling = count;
        let blocks = state.waiting.drain(..count).collect();
        (blocks, std::mem::take(&mut state.lost))
    }

    fn told(&self, blocks: &[SeenBlock], lost: u64, is_told: bool) {
        let mut state = self.state();
        state.telling = 0;
        match is_told {
            true => {
                if state.known.len() + blocks.len() > MAX_KNOWN {
                    state.known.clear();
                }
                state.known.extend(blocks.iter().map(|block| block.id));
            }
            false => state.lost += lost + blocks.len() as u64,
        }
        drop(state);
        self.gone.notify_waiters();
    }

    fn is_empty(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && state.telling == 0
    }

    /// Waits until all that was told before is in the database, or lost.
    async fn flushed(&self) -> Result<(), PostgresError> {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            // Before it is looked: what goes meanwhile is not missed.
            gone.as_mut().enable();
            if self.is_empty() {
                return Ok(());
            }
            self.come.notify_one();
            gone.await;
        }
    }
}

/// Tells the database what comes, for ever.
pub(crate) async fn write(shared: Arc<Shared>) {
    loop {
        let (blocks, lost) = shared.told.next();
        if blocks.is_empty() && lost == 0 {
            shared.told.come.notified().await;
            continue;
        }
        let told = link::twice(|| tell(&shared, &blocks, lost)).await;
        if let Err(error) = &told {
            tracing::debug!("the database does not know of {} blocks: {error}", blocks.len());
        }
        shared.told.told(&blocks, lost, told.is_ok());
        if told.is_err() && blocks.is_empty() {
            // What is lost already can be said later.
            shared.told.come.notified().await;
        }
    }
}

/// Told twice, a block is there once; those that are lost may be counted twice.
async fn tell(shared: &Shared, blocks: &[SeenBlock], lost: u64) -> Result<(), PostgresError> {
    let ids: Vec<&[u8]> = blocks.iter().map(|block| &block.id.as_bytes()[..]).collect();
    let expires: Vec<i64> = blocks.iter().map(|block| seconds(block.expires)).collect();
    let texts: Vec<String> = blocks
        .iter()
        .map(|block| serde_json::to_string(block).map_err(|_| damaged("a block")))
        .collect::<Result<_, _>>()?;
    let lost = signed(lost)?;
    let lease = shared.link.lease().await?;
    lease.begin(shared.link.durable).await?;
    lease.ask("SELECT hardtack.saw($1, $2, $3, $4)", &[&ids, &expires, &texts, &lost]).await?;
    lease.commit().await?;
    lease.done();
    Ok(())
}

const SIZE: &str = "SELECT blocks, lost FROM hardtack.seen_size";
const ALL: &str = "SELECT id, block FROM hardtack.seen LIMIT $1";
const AFTER: &str = "SELECT id, block FROM hardtack.seen WHERE id > $1 ORDER BY id LIMIT $2";
const ALIKE: &str = "SELECT id FROM hardtack.seen WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3";

async fn seen(shared: &Shared, at_most: u64) -> Result<Option<Seen>, PostgresError> {
    link::once(shared.told.flushed()).await?;
    let rows = link::twice(|| async { shared.link.ask(SIZE, &[]).await }).await?;
    let size = one(&rows)?;
    let (blocks, lost) = (number(size.try_get(0)?)?, number(size.try_get(1)?)?);
    if blocks > at_most {
        return Ok(None);
    }
    // More may have come meanwhile.
    let limit = i64::try_from(at_most.saturating_add(1)).unwrap_or(i64::MAX);
    let rows = link::twice(|| async { shared.link.ask(ALL, &[&limit]).await }).await?;
    let (blocks, damaged) = read(&rows)?;
    let lost = lost + shared.told.state().lost + damaged;
    Ok(Some(Seen::new(blocks, lost)).filter(|_| rows.len() as u64 <= at_most))
}

/// The blocks of rows, and how many are none. A gateway that was taken over may tell anything. It hides no other's blocks by it.
fn read(rows: &[tokio_postgres::Row]) -> Result<(Vec<SeenBlock>, u64), PostgresError> {
    let (mut blocks, mut damaged) = (Vec::with_capacity(rows.len()), 0);
    for row in rows {
        match serde_json::from_str::<SeenBlock>(row.try_get(1)?) {
            Ok(block) if row.try_get::<_, &[u8]>(0)? == block.id.as_bytes() => blocks.push(block),
            _ => damaged += 1,
        }
    }
    Ok((blocks, damaged))
}

async fn seen_after(
    shared: &Shared,
    after: Option<RevocationId>,
    at_most: usize,
) -> Result<Seen, PostgresError> {
    link::once(shared.told.flushed()).await?;
    let rows = link::twice(|| async { shared.link.ask(SIZE, &[]).await }).await?;
    let mut lost = number(one(&rows)?.try_get(1)?)? + shared.told.state().lost;
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    // Nothing comes before the empty id.
    let mut from = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    loop {
        let rows = link::twice(|| async { shared.link.ask(AFTER, &[&from, &limit]).await }).await?;
        let (blocks, damaged) = read(&rows)?;
        lost += damaged;
        match rows.last().filter(|_| blocks.is_empty()) {
            // A page of nothing but damaged rows is not the end.
            Some(last) => from = last.try_get::<_, &[u8]>(0)?.to_vec(),
            None => return Ok(Seen::new(blocks, lost)),
        }
    }
}

async fn alike(
    shared: &Shared,
    beginning: &IdPrefix,
    at_most: usize,
) -> Result<Vec<RevocationId>, PostgresError> {
    link::once(shared.told.flushed()).await?;
    let digits = beginning.to_string();
    let filled = |digit: char| {
        let digits = format!("{digits:\x20<128}").replace(' ', &digit.to_string());
        hex::decode(digits).map_err(|_| damaged("no beginning"))
    };
    let (first, last) = (filled('0')?, filled('f')?);
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    let rows =
        link::twice(|| async { shared.link.ask(ALIKE, &[&first, &last, &limit]).await }).await?;
    let id = |row: &tokio_postgres::Row| {
        let id: &[u8] = row.try_get(0)?;
        Ok(RevocationId::from_bytes(id.try_into().map_err(|_| damaged("an id"))?))
    };
    rows.iter().map(id).collect()
}

fn unread(error: PostgresError) -> LineageUnavailable {
    LineageUnavailable(error.to_string())
}

/// A block that is told is in the database after a moment. Whoever reads waits for what was told here before.
impl Lineage for Postgres {
    fn saw(&self, blocks: Vec<SeenBlock>) {
        self.0.shared.told.add(blocks);
    }

    fn seen(&self, at_most: u64) -> Result<Option<Seen>, LineageUnavailable> {
        let asked = self.0.question(move |shared| async move { seen(&shared, at_most).await });
        wait(asked).map_err(unread)
    }

    fn seen_after(
        &self,
        after: Option<RevocationId>,
        at_most: usize,
    ) -> Result<Seen, LineageUnavailable> {
        let asked =
            self.0.question(move |shared| async move { seen_after(&shared, after, at_most).await });
        wait(asked).map_err(unread)
    }

    fn beginning(
        &self,
        beginning: &IdPrefix,
        at_most: usize,
    ) -> Result<Vec<RevocationId>, LineageUnavailable> {
        let beginning = beginning.clone();
        let asked =
            self.0.question(move |shared| async move { alike(&shared, &beginning, at_most).await });
        wait(asked).map_err(unread)
    }
}
