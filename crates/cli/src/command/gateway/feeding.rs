//! Feeding: the feed of revocations that a gateway follows, and the one that it publishes.

use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardtack::feed::PublishError;
use hardtack::revocation::{RevocationSource, Union};
use hardtack::{RootKeys, Store};
use hardtack_feed::{Feed, FeedSource, Serving};
use hardtack_mcp::{Drain, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{address, missing, wrong};
use crate::args::gateway::Settings;
use crate::command::serving;
use crate::reading::regular_key;
use crate::terminal::{TEXT, warn, with_causes};

/// What the names of the feed's files have more than the store's.
const POSITION: &str = ".feed-position";
const STATE: &str = ".feed-state";

/// A feed to follow and a feed to publish, as they were asked for.
pub(super) struct Feeding {
    follow: Option<Feed>,
    /// The URL of the one that is followed.
    pub(super) followed: Option<String>,
    publish: Option<Publish>,
}

struct Publish {
    listen: SocketAddr,
    key: PathBuf,
    state: PathBuf,
    new_epoch: Option<u64>,
}

/// A feed that is being published.
pub(super) struct Published {
    serving: Serving,
    pub(super) announced: String,
    served: JoinHandle<()>,
}

impl Feeding {
    /// Looks at what was asked for, before anything is opened.
    pub(super) fn of(settings: &Settings) -> Result<Feeding, Box<dyn Error>> {
        let store = settings.store.as_deref().ok_or_else(|| missing("store"))?;
        let follow = match (&settings.feed, &settings.feed_key) {
            (Some(url), Some(key)) => {
                let position = settings.feed_position.clone();
                let position = position.unwrap_or_else(|| beside(store, POSITION));
                Some(Feed::follow(url, key).map_err(|error| said(&error))?.position(position))
            }
            (Some(_), None) => return Err(missing("feed-key")),
            (None, Some(_)) => return Err(missing("feed")),
            (None, None) if settings.feed_position.is_some() => return Err(missing("feed")),
            (None, None) => None,
        };
        let publish = match (&settings.feed_listen, &settings.feed_signing_key) {
            (Some(listen), Some(key)) => {
                let state = settings.feed_state.clone();
                Some(Publish {
                    listen: address("feed-listen", listen)?,
                    key: key.clone(),
                    state: state.unwrap_or_else(|| beside(store, STATE)),
                    new_epoch: settings.feed_new_epoch,
                })
            }
            (Some(_), None) => return Err(missing("feed-signing-key")),
            (None, Some(_)) => return Err(missing("feed-listen")),
            (None, None) if settings.feed_state.is_some() || settings.feed_new_epoch.is_some() => {
                return Err(missing("feed-listen"));
            }
            (None, None) => None,
        };
        Ok(Feeding { follow, followed: settings.feed.clone(), publish })
    }

    /// Begins to follow, within a runtime.
    pub(super) fn follow(&mut self) -> Result<Option<FeedSource>, Box<dyn Error>> {
        let source = self.follow.take().map(Feed::into_source).transpose();
        source.map_err(|error| said(&error))
    }

    /// Begins to publish what `store` has.
    pub(super) async fn publish(
        self,
        store: &Store,
        roots: &RootKeys,
    ) -> Result<Option<Published>, Box<dyn Error>> {
        let Some(Publish { listen, key, state, new_epoch }) = self.publish else {
            return Ok(None);
        };
        let listener = serving::listen("feed-listen", listen).await?;
        let key = regular_key(&key).map_err(|error| wrong("feed-signing-key", error))?;
        if roots.contains(&key.public()) {
            return Err(wrong(
                "feed-signing-key",
                "this is the private half of a root key, which stays offline; make a key for the feed alone: hardtack keygen --out feed.key",
            ));
        }
        let serving = Serving::start(Arc::new(store.clone()), key, state, new_epoch);
        let serving = serving.map_err(|error| {
            let key = match error {
                PublishError::State | PublishError::Keep(_) => "feed-state",
                PublishError::Epoch { .. } => "feed-new-epoch",
                _ => "feed-listen",
            };
            wrong(key, with_causes(&error))
        })?;
        let bound = listener.local_addr()?;
        if !bound.ip().is_loopback() {
            warn(
                "whoever reaches the feed reads what is revoked: let only your verifiers reach it",
            );
        }
        let announced =
            format!("  feed         http://{bound}/feed\n  feed key     {TEXT}{}\n", serving.key());
        let served = tokio::spawn(answer(listener, serving.router()));
        Ok(Some(Published { serving, announced, served }))
    }
}

impl Published {
    /// Ends, so that the store can be closed.
    pub(super) fn end(self) {
        self.served.abort();
        drop(self.serving);
    }
}

async fn answer(listener: TcpListener, router: axum::Router) {
    let never = std::future::pending();
    // It ends with the task.
    let _ = serve(listener, router, never, std::time::Duration::ZERO, Drain::default()).await;
}

/// Whom verifiers ask: the store, and the feed where there is one.
pub(super) fn source(store: &Store, feed: Option<&FeedSource>) -> Arc<dyn RevocationSource> {
    match feed {
        Some(feed) => Arc::new(Union::of(store.revocations()).and(feed.revocations())),
        None => Arc::new(store.revocations()),
    }
}

fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(suffix);
    name.into()
}

fn said(error: &hardtack_feed::FollowError) -> Box<dyn Error> {
    let key = match error {
        hardtack_feed::FollowError::Key(_) => "feed-key",
        hardtack_feed::FollowError::Position(_) | hardtack_feed::FollowError::OtherPosition => {
            "feed-position"
        }
        _ => "feed",
    };
    wrong(key, with_causes(error))
}
