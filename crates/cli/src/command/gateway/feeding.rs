//! Feeding: the feed of revocations that a gateway follows, and the one that it publishes.

use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hardtack::feed::PublishError;
use hardtack::revocation::{
    Knowledge, RevocationSource, RevocationsUnavailable, Revoked, RevokedBy, Union,
};
use hardtack::{Chain, PrivateKey, PublicKey, RevocationLog, RootKeys, Store};
use hardtack_feed::{Enrolling, Feed, FeedSource, Gateways, Readers, Serving};
use hardtack_mcp::serve_beside;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::database::Database;
use super::{address, missing, wrong};
use crate::args::gateway::{FeedReaders, Settings};
use crate::command::serving;
use crate::reading::regular_key;
use crate::terminal::{TEXT, now, warn, with_causes};

/// What the names of the feed's files have more than the store's.
const POSITION: &str = ".feed-position";
const STATE: &str = ".feed-state";
const GATEWAYS: &str = ".feed-gateways";

/// What is older decides no call: what a verifier bears by default ([`Verifier::max_staleness`](hardtack::Verifier::max_staleness)).
pub(super) const STALE: Duration = Duration::from_secs(30);

/// A feed to follow and a feed to publish, as they were asked for.
pub(in crate::command) struct Feeding {
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
    gateways: PathBuf,
    readers: Option<FeedReaders>,
}

/// A feed to publish, as it was asked for.
#[derive(Default)]
pub(in crate::command) struct ToPublish<'a> {
    pub(in crate::command) listen: Option<&'a str>,
    pub(in crate::command) key: Option<&'a Path>,
    pub(in crate::command) state: Option<&'a Path>,
    pub(in crate::command) new_epoch: Option<u64>,
    pub(in crate::command) gateways: Option<&'a Path>,
    pub(in crate::command) readers: Option<FeedReaders>,
}

/// A feed that is being published.
pub(in crate::command) struct Published {
    serving: Arc<Serving>,
    pub(in crate::command) announced: String,
    served: JoinHandle<()>,
}

/// The feed that is published, for whoever was made before it.
#[derive(Clone, Default)]
pub(in crate::command) struct OwnFeed(Arc<OnceLock<Arc<Serving>>>);

impl OwnFeed {
    /// The feed, once it is published.
    pub(super) fn serving(&self) -> Option<&Arc<Serving>> {
        self.0.get()
    }

    /// Why nothing is signed just now.
    pub(super) fn failing(&self) -> Option<String> {
        self.0.get()?.failing().map(|error| format!("the feed of revocations: {error}"))
    }
}

/// A store that was put back lacks what was revoked since, and does not know it. Where a new epoch of its feed says so, this gateway refuses
/// what its followers refuse.
impl RevocationSource for OwnFeed {
    fn revoked(
        &self,
        chain: &Chain,
        _: &PublicKey,
    ) -> Result<Option<Revoked>, RevocationsUnavailable> {
        let until = self.0.get().and_then(|serving| serving.refused_until());
        let until = until.filter(|until| chain.grant.issued <= *until);
        Ok(until.map(|until| Revoked { block: 0, by: RevokedBy::Forgotten { until } }))
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge::Live
    }
}

impl Feeding {
    /// Looks at what was asked for, before anything is opened.
    pub(super) fn of(settings: &Settings) -> Result<Feeding, Box<dyn Error>> {
        let store = settings.store.as_deref().ok_or_else(|| missing("store"))?;
        let follow = match (&settings.feed, &settings.feed_key) {
            (Some(url), Some(key)) => {
                let position = settings.feed_position.clone();
                let position = position.unwrap_or_else(|| beside(store, POSITION));
                let feed = Feed::follow(url, key).map_err(|error| said(&error))?.position(position);
                Some(named(feed.refusing_after(STALE), settings)?)
            }
            (Some(_), None) => return Err(missing("feed-key")),
            (None, Some(_)) => return Err(missing("feed")),
            (None, None)
                if settings.feed_position.is_some()
                    || settings.gateway_name.is_some()
                    || settings.gateway_key.is_some() =>
            {
                return Err(missing("feed"));
            }
            (None, None) => None,
        };
        let asked = ToPublish {
            listen: settings.feed_listen.as_deref(),
            key: settings.feed_signing_key.as_deref(),
            state: settings.feed_state.as_deref(),
            new_epoch: settings.feed_new_epoch,
            gateways: settings.feed_gateways.as_deref(),
            readers: settings.feed_readers,
        };
        let published = Feeding::publishing(store, &asked, missing)?;
        Ok(Feeding { follow, followed: settings.feed.clone(), ..published })
    }

    /// A feed to publish, and none to follow: of a server that decides nothing. `missing` says how what is missing is given.
    pub(in crate::command) fn publishing(
        store: &Path,
        asked: &ToPublish<'_>,
        missing: fn(&str) -> Box<dyn Error>,
    ) -> Result<Feeding, Box<dyn Error>> {
        let ToPublish { listen, key, state, new_epoch, gateways, readers } = *asked;
        let or_beside = |path: Option<&Path>, suffix| {
            path.map_or_else(|| beside(store, suffix), Path::to_owned)
        };
        let publish = match (listen, key) {
            (Some(listen), Some(key)) => Some(Publish {
                listen: address("feed-listen", listen)?,
                key: key.to_owned(),
                state: or_beside(state, STATE),
                new_epoch,
                gateways: or_beside(gateways, GATEWAYS),
                readers,
            }),
            (Some(_), None) => return Err(missing("feed-signing-key")),
            (None, Some(_)) => return Err(missing("feed-listen")),
            (None, None)
                if state.is_some()
                    || new_epoch.is_some()
                    || gateways.is_some()
                    || readers.is_some() =>
            {
                return Err(missing("feed-listen"));
            }
            (None, None) => None,
        };
        Ok(Feeding { follow: None, followed: None, publish })
    }

    /// Whether a feed is to be published.
    pub(super) fn publishes(&self) -> Option<OwnFeed> {
        self.publish.as_ref().map(|_| OwnFeed::default())
    }

    /// Looks whether the key of the feed that is to be published can be used.
    pub(in crate::command) fn check_key(&self, roots: &RootKeys) -> Result<(), Box<dyn Error>> {
        self.publish.as_ref().map_or(Ok(()), |publish| signing_key(&publish.key, roots).map(drop))
    }

    /// Begins to follow, within a runtime.
    pub(super) fn follow(&mut self) -> Result<Option<FeedSource>, Box<dyn Error>> {
        let source = self.follow.take().map(Feed::into_source).transpose();
        source.map_err(|error| said(&error))
    }

    /// Begins to publish what `log` has. What gateways say of the lives that they accept, `keeping` is told.
    pub(in crate::command) async fn publish(
        self,
        log: Arc<dyn RevocationLog>,
        keeping: Arc<dyn RevocationSource>,
        roots: &RootKeys,
        told: &OwnFeed,
    ) -> Result<Option<Published>, Box<dyn Error>> {
        let Some(Publish { listen, key, state, new_epoch, gateways, readers }) = self.publish
        else {
            return Ok(None);
        };
        let listener = serving::listen("feed-listen", listen).await?;
        let bound = listener.local_addr()?;
        let key = signing_key(&key, roots)?;
        let readers = match readers {
            Some(FeedReaders::Anyone) => Readers::Anyone,
            None if bound.ip().is_loopback() => Readers::AnyoneUntilEnrolled,
            _ => Readers::Enrolled,
        };
        let enrolling = Enrolling::at(gateways, readers).reserving([key.public()]);
        let gateways = enrolling.keeping_for(keeping).open();
        let gateways = gateways.map_err(|error| wrong("feed-gateways", error))?;
        warn_of_readers(&gateways, readers);
        let serving = Serving::start_for(gateways, log, key, state, new_epoch);
        let serving = serving.map_err(|error| {
            let key = match error {
                PublishError::State | PublishError::Keep(_) => "feed-state",
                PublishError::Epoch { .. } => "feed-new-epoch",
                _ => "feed-listen",
            };
            wrong(key, with_causes(&error))
        })?;
        // Before anything is answered.
        let serving = Arc::new(serving);
        let _ = told.0.set(Arc::clone(&serving));
        let announced =
            format!("  feed         http://{bound}/feed\n  feed key     {TEXT}{}\n", serving.key());
        let served = tokio::spawn(answer(listener, serving.router()));
        Ok(Some(Published { serving, announced, served }))
    }
}

fn warn_of_readers(gateways: &Gateways, readers: Readers) {
    match readers {
        Readers::Anyone => warn(
            "whoever reaches the feed reads what is revoked (--feed-readers anyone): let only your verifiers reach it",
        ),
        Readers::Enrolled if gateways.enrolled().is_empty() => warn(
            "no gateway is enrolled with the feed, so nobody may read it: hardtack gateways add NAME --key PUB --store STORE",
        ),
        _ => {}
    }
}

/// In whose name it is followed.
fn named(feed: Feed, settings: &Settings) -> Result<Feed, Box<dyn Error>> {
    match (&settings.gateway_name, &settings.gateway_key) {
        (Some(name), Some(key)) => {
            let key = regular_key(key).map_err(|error| wrong("gateway-key", error))?;
            feed.named(name, key).map_err(|error| wrong("gateway-name", error))
        }
        (Some(_), None) => Err(missing("gateway-key")),
        (None, Some(_)) => Err(missing("gateway-name")),
        (None, None) => Ok(feed),
    }
}

impl Published {
    /// Ends, so that the store can be closed.
    pub(in crate::command) fn end(self) {
        self.served.abort();
        self.serving.end();
    }
}

fn signing_key(path: &Path, roots: &RootKeys) -> Result<PrivateKey, Box<dyn Error>> {
    let key = regular_key(path).map_err(|error| wrong("feed-signing-key", error))?;
    match roots.contains(&key.public()) {
        true => Err(wrong(
            "feed-signing-key",
            "this is the private half of a root key; make a key for the feed alone: hardtack keygen --out feed.key",
        )),
        false => Ok(key),
    }
}

async fn answer(listener: TcpListener, router: axum::Router) {
    // It ends with the task.
    let _ = serve_beside(listener, router, std::future::pending()).await;
}

/// Whom verifiers ask: the store, a database, what is known by a feed that is published of it, and a feed that is followed.
pub(super) fn source(
    store: &Store,
    database: Option<&Database>,
    publishing: Option<&OwnFeed>,
    feed: Option<&FeedSource>,
) -> Arc<dyn RevocationSource> {
    if database.is_none() && publishing.is_none() && feed.is_none() {
        return Arc::new(store.revocations());
    }
    let mut source = Union::of(store.revocations());
    if let Some(database) = database {
        source = source.and(database.revocations());
    }
    if let Some(publishing) = publishing {
        source = source.and(publishing.clone());
    }
    if let Some(feed) = feed {
        source = source.and(feed.revocations());
    }
    Arc::new(source)
}

/// Whether calls can be decided by what a feed said: a failure that passes keeps nobody out.
pub(super) fn heard(feed: &FeedSource) -> Result<(), String> {
    let known = feed.revocations().knowledge().span();
    let age = known.map(|(oldest, _)| now().since(oldest));
    if age.is_none_or(|age| age <= STALE) {
        return Ok(());
    }
    let failing = feed.followed().failing;
    let said = failing.unwrap_or_else(|| "nothing came from the feed of revocations".to_owned());
    Err(format!("calls are not decided: {said}"))
}

/// Where the gateways are enrolled that follow the feed of this store.
pub(in crate::command) fn gateways_of(store: &Path) -> PathBuf {
    beside(store, GATEWAYS)
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
