//! Retaining: for how long do records stay in a gateway's store before they are archived?

use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use hardtack::{Store, StoreError, Timestamp};
use hardtack_mcp::Readiness;

use crate::args::gateway::Settings;
use crate::command::gateway::{time, wrong};
use crate::command::tending::tend;
use crate::terminal::now;

/// How often it is looked for records to archive. What is written an hour at a hundred records a second is some hundred megabytes of
/// JSON, which takes seconds.
const ARCHIVE_EVERY: Duration = Duration::from_secs(3600);

/// A period after which records are archived, and the folder for them.
#[derive(Debug, Clone)]
pub(super) struct Retention {
    after: Duration,
    folder: PathBuf,
}

/// By how much the clock of whoever recorded may have been ahead: after as long, the record is as old as others.
const AHEAD: Duration = Duration::from_secs(3600);

/// The moment of this record, the first that is not archived, if it keeps those after it in the store because it is of a moment that has
/// not come.
fn ahead(store: &Store, number: u64, now: Timestamp) -> Option<Timestamp> {
    // What cannot be read is told when it is archived.
    let line = store.reader().records(number).next()?.ok()?;
    let moment = line.record().ok()?.time;
    Some(moment).filter(|moment| *moment > now + AHEAD)
}

impl Retention {
    /// What is said, if anything is.
    pub(super) fn of(settings: &Settings) -> Result<Option<Retention>, Box<dyn Error>> {
        let after = time("archive-after", settings.archive_after.as_deref())?;
        match (after, settings.archives.clone()) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(wrong(
                "archives",
                "it is missing: say to which folder records are archived, or leave out archive-after",
            )),
            (None, Some(_)) => Err(wrong(
                "archive-after",
                "it is missing: say after how long records are archived, or leave out archives",
            )),
            (Some(after), Some(folder)) => match folder.is_dir() {
                true => Ok(Some(Retention { after, folder })),
                false => {
                    let folder = folder.display();
                    Err(wrong("archives", format_args!("{folder} is no folder; make it first")))
                }
            },
        }
    }

    /// Archives for ever.
    pub(super) fn keep(
        self,
        store: &Store,
        readiness: Readiness,
    ) -> impl Future<Output = ()> + use<> {
        let store = store.clone();
        tend(readiness, "archiving records", move || self.clone().archive(store.clone()))
    }

    /// Archives now and then, until it is aborted.
    async fn archive(self, store: Store) {
        let mut ticks = tokio::time::interval(ARCHIVE_EVERY);
        loop {
            ticks.tick().await;
            let (store, folder, before) = (store.clone(), self.folder.clone(), now() - self.after);
            let archived = tokio::task::spawn_blocking(move || {
                let (records, last) = store.archive(before, folder)?;
                Ok::<_, StoreError>((records, last, ahead(&store, last + 1, now())))
            });
            match archived.await {
                Ok(Ok((records, last, ahead))) => {
                    if records > 0 {
                        tracing::info!(records, last, "archived");
                    }
                    if let Some(moment) = ahead {
                        tracing::warn!(
                            record = last + 1,
                            %moment,
                            "nothing more is archived until this record is old, which is of a clock that was ahead; with the gateway stopped, hardtack store archive --before a later moment moves it"
                        );
                    }
                }
                Ok(Err(error)) => tracing::warn!(error = %error, "not everything was archived"),
                Err(error) if error.is_panic() => {
                    tracing::error!("archiving broke off, and is tried again in an hour");
                }
                // The runtime ends.
                Err(_) => {}
            }
        }
    }
}
