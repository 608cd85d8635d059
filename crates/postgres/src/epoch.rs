//! Epoch: how a person lets a database go on that was restored, moved or replaced.

use std::time::Duration;

use hardtack::Timestamp;
use hardtack::revocation::{Epoch, Position, covered_until};

use crate::error::PostgresError;
use crate::head::{COLUMNS, Head, seconds};
use crate::link;
use crate::migrate;
use crate::server;
use crate::settings::Settings;

/// What a person says of a database that was restored, moved or replaced ([`Postgres::begin_epoch`](crate::Postgres::begin_epoch)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is lost that was ever acknowledged: the standby that took over was synchronous, or the server was stopped and moved whole.
    Nothing,
    /// Revocations and uses may be lost. Every grant that was issued before the epoch is refused from now on, since it may have been
    /// revoked, and call-bound presentations that expire within `longest_call`, and ten minutes at least, count as used. Bans of keys and
    /// names for good that are lost must be made again by hand.
    Possible {
        /// The longest life of a call-bound presentation that any verifier accepts
        /// ([`Lifetimes::call`](hardtack::Lifetimes::call)). Beyond eight days none is claimed.
        longest_call: Duration,
    },
}

/// The least time for which call-bound presentations count as used, whatever life of them is told: five times the default life.
const PRESENTATIONS: Duration = Duration::from_secs(600);

/// No presentation that expires later is claimed: the database makes no hour for it.
const FARTHEST: Duration = Duration::from_secs(8 * 24 * 3600);

pub(crate) async fn begin(
    settings: &Settings,
    loss: Loss,
    now: Timestamp,
) -> Result<Position, PostgresError> {
    let client = link::connect(settings, None).await?;
    let server = server::look(&client).await?;
    migrate::check(&client).await?;
    client.batch_execute(&link::begin(settings.durable)).await?;
    let lock = format!("SELECT {COLUMNS} FROM hardtack.head FOR UPDATE");
    let mut head = Head::of(&client.query_one(&lock, &[]).await?)?;
    let moment = head.clock.observe(now);
    let epoch = Epoch::random();
    if let Loss::Possible { longest_call } = loss {
        head.forgotten_until = head.forgotten_until.max(Some(covered_until(moment)));
        let until = seconds(moment + longest_call.clamp(PRESENTATIONS, FARTHEST));
        client
            .execute("UPDATE hardtack.used_mark SET until = greatest(until, $1)", &[&until])
            .await?;
    }
    let place = &server.place;
    client
        .execute(
            "UPDATE hardtack.head SET epoch = $1, gone = number, latest = $2, jumped = $3, forgotten_until = $4, \
                system = $5, timeline = $6, database = $7, relation = $8",
            &[
                &&epoch.as_bytes()[..],
                &head.clock.latest.map(seconds),
                &head.clock.jumped.map(seconds),
                &head.forgotten_until.map(seconds),
                &place.system,
                &place.timeline,
                &place.database,
                &place.relation,
            ],
        )
        .await?;
    client.batch_execute("COMMIT").await?;
    // Whoever is not woken reads within seconds.
    let _ = client.execute("SELECT pg_notify('hardtack', '')", &[]).await;
    Ok(Position { epoch, number: head.at.number })
}
