//! Gateways: who may read a feed, where is what it says in force, and where not?

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hardtack::feed::{ClaimedRequest, FeedHead, FeedRequest, RequestUnsigned};
use hardtack::log::LogKey;
use hardtack::revocation::RevocationSource;
use hardtack::{Lifetimes, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::now;
use crate::registry::{Enrolled, LONGEST_LIFE, Registry, RegistryError, enrolled};
use crate::standing::{Acknowledgement, Disbelieved, FeedPlace, NotTaken, Standing};

/// Whoever waits looks so often, besides at each acknowledgement.
const LOOKS: Duration = Duration::from_secs(1);

/// Acknowledgements that come within so long are looked at together by whoever waits.
const TOGETHER: Duration = Duration::from_millis(10);

/// So many places of the feed are known with the moment of the first checkpoint that covers them.
const MOST_RISES: usize = 4096;

/// Who may read a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readers {
    /// Gateways that are enrolled, which sign each request.
    Enrolled,
    /// Whoever reaches it, until a gateway is enrolled: for a feed that only this machine reaches.
    AnyoneUntilEnrolled,
    /// Whoever reaches it.
    Anyone,
}

/// The gateways that are enrolled with a feed, and what is believed of each. Clones are the same.
#[derive(Clone)]
pub struct Gateways(Arc<Shared>);

struct Shared {
    registry: Registry,
    readers: Readers,
    /// What else signs: no gateway has one of these keys.
    others: Vec<PublicKey>,
    keeping: Option<Arc<dyn RevocationSource>>,
    began: Timestamp,
    reading: Mutex<()>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Those that are enrolled now.
    entries: Vec<Enrolled>,
    standings: HashMap<[u8; 32], Standing>,
    /// Somebody is or was enrolled.
    has_begun: bool,
    /// How the file was when it was read.
    stamp: Option<(SystemTime, u64)>,
    published: Option<FeedPlace>,
    /// When the first checkpoint that covers a place was made.
    rises: VecDeque<(FeedPlace, Timestamp)>,
}

/// Where what a feed says up to a place is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InForce {
    /// The moment for which it is said.
    pub as_of: Timestamp,
    /// The place; `None` if the feed has not published it yet.
    pub place: Option<FeedPlace>,
    /// The number of gateways in which it is in force.
    pub in_force: usize,
    /// The number of gateways that are enrolled.
    pub of: usize,
    /// Each of them.
    pub gateways: Vec<GatewayShown>,
}

/// What is known of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GatewayShown {
    /// Its name.
    pub name: String,
    /// The key by which it signs.
    pub key: PublicKey,
    /// When it was enrolled.
    pub enrolled: Timestamp,
    /// Since when it is in force there, or at the latest; `None` if it is not known to be.
    pub in_force_since: Option<Timestamp>,
    /// Whether it acknowledged nothing for 15 seconds.
    pub silent: bool,
    /// When it signed its last acknowledgement; `None` if there was none since the feed was started.
    pub heard: Option<Timestamp>,
    /// By which place it decides, as far as it is believed.
    pub place: Option<FeedPlace>,
    /// When the last checkpoint was made that it took.
    pub checkpoint: Option<Timestamp>,
    /// When another process of it began, if one did since the feed was started.
    pub restarted: Option<Timestamp>,
    /// Why it is not believed.
    pub disbelieved: Option<Disbelieved>,
    /// Since when it refuses every call, if that is certain though it is not in force there.
    pub refuses_since: Option<Timestamp>,
    /// The longest life of a grant that it ever said it accepts, in seconds.
    pub longest_life: Option<u64>,
}

impl InForce {
    /// Returns true if nobody can use there what was revoked: at each gateway it is in force, or every call is refused. False if no gateway
    /// is enrolled.
    pub fn is_everywhere(&self) -> bool {
        let stops =
            |shown: &GatewayShown| shown.in_force_since.is_some() || shown.refuses_since.is_some();
        !self.gateways.is_empty() && self.gateways.iter().all(stops)
    }
}

/// What gateways are opened with.
pub struct Enrolling {
    registry: Registry,
    readers: Readers,
    others: Vec<PublicKey>,
    keeping: Option<Arc<dyn RevocationSource>>,
}

impl Enrolling {
    /// Gateways are enrolled in the file `registry`, which is made with the first.
    pub fn at(registry: impl Into<PathBuf>, readers: Readers) -> Enrolling {
        let registry = Registry::at(registry);
        Enrolling { registry, readers, others: Vec::new(), keeping: None }
    }

    /// Refuses these keys, which sign something else.
    #[must_use]
    pub fn reserving(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Enrolling {
        self.others.extend(keys);
        self
    }

    /// Tells `source` of the longest lives that gateways accept, from the beginning and whenever one accepts a longer one: what is revoked is
    /// kept for as long. They only ever grow, to 366 days at most.
    #[must_use]
    pub fn keeping_for(self, source: Arc<dyn RevocationSource>) -> Enrolling {
        Enrolling { keeping: Some(source), ..self }
    }

    /// Reads the gateways that are enrolled.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`] if the file cannot be read.
    pub fn open(self) -> Result<Gateways, RegistryError> {
        let Enrolling { registry, readers, others, keeping } = self;
        let shared = Shared {
            registry,
            readers,
            others,
            keeping,
            began: now(),
            reading: Mutex::default(),
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        };
        shared.read()?;
        let longest = shared.state().entries.iter().filter_map(|entry| entry.longest_life).max();
        if let (Some(source), Some(longest)) = (&shared.keeping, longest) {
            keep_for(&**source, longest);
        }
        Ok(Gateways(Arc::new(shared)))
    }
}

impl fmt::Debug for Enrolling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolling").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Gateways {
    /// Returns the gateways that are enrolled.
    pub fn enrolled(&self) -> Vec<Enrolled> {
        self.0.state().entries.clone()
    }

    /// Returns whether nobody who is not enrolled may read the feed.
    pub fn is_closed(&self) -> bool {
        match self.0.readers {
            Readers::Enrolled => true,
            Readers::AnyoneUntilEnrolled => self.0.state().has_begun,
            Readers::Anyone => false,
        }
    }

    /// Enrols a gateway. Waits for the disk, as does [`Gateways::retire`].
    ///
    /// # Errors
    ///
    /// [`RegistryError`]: nothing is changed.
    pub fn add(&self, name: &str, key: PublicKey) -> Result<Enrolled, RegistryError> {
        if self.0.others.contains(&key) {
            return Err(RegistryError::OtherUse);
        }
        let added = self.0.registry.add(name, key, now())?;
        self.0.read()?;
        Ok(added)
    }

    /// Retires a gateway: from now on nothing that it signs counts.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]: nothing is changed.
    pub fn retire(&self, name: &str) -> Result<Enrolled, RegistryError> {
        let retired = self.0.registry.retire(name, now())?;
        self.0.read()?;
        Ok(retired)
    }

    /// Looks whether another process has enrolled or retired one. Waits for the disk.
    pub(crate) fn look(&self) {
        if self.0.stamp() == self.0.state().stamp {
            return;
        }
        if let Err(error) = self.0.read() {
            tracing::error!("what was known of gateways stays: {error}");
            // Said once for each change.
            self.0.state().stamp = self.0.stamp();
        }
    }

    /// Where the feed stands now.
    pub(crate) fn published(&self, head: &FeedHead) {
        let place = FeedPlace { epoch: head.epoch, size: head.size };
        let mut state = self.0.state();
        if state.published.is_none_or(|before| before < place) {
            state.published = Some(place);
            state.rises.push_back((place, head.issued));
            if state.rises.len() > MOST_RISES {
                state.rises.pop_front();
            }
        }
    }

    /// Whether this request may be answered, and to whom. Whoever reads where nobody needs to be enrolled needs no signature.
    pub(crate) fn admit(
        &self,
        signed: Option<&Signed<'_>>,
        request: &FeedRequest<'_>,
        feed: &LogKey,
    ) -> Result<Reader, Refused> {
        let key = match signed.is_none() && !self.is_closed() {
            true => None,
            false => Some(self.signer(signed, request, feed)?.0.key),
        };
        Ok(Reader { gateways: self.clone(), key })
    }

    fn signer(
        &self,
        signed: Option<&Signed<'_>>,
        request: &FeedRequest<'_>,
        feed: &LogKey,
    ) -> Result<(Enrolled, ClaimedRequest), Refused> {
        let signed = signed.ok_or(Refused::Unsigned(RequestUnsigned::Missing))?;
        let claimed = ClaimedRequest::parse(signed.input, signed.signature);
        let claimed = claimed.map_err(Refused::Unsigned)?;
        let found = {
            let state = self.0.state();
            state.entries.iter().find(|entry| entry.name == claimed.name()).cloned()
        };
        let entry = found.ok_or(Refused::Unknown)?;
        claimed
            .verify(request, signed.digest, &entry.key, feed, now())
            .map_err(Refused::Unsigned)?;
        Ok((entry, claimed))
    }

    /// Takes an acknowledgement, which is the signed body of `request`.
    pub(crate) fn acknowledge(
        &self,
        signed: Option<&Signed<'_>>,
        request: &FeedRequest<'_>,
        feed: &LogKey,
    ) -> Result<(), Refused> {
        let (entry, claimed) = self.signer(signed, request, feed)?;
        let said: Acknowledgement = serde_json::from_slice(request.body.unwrap_or_default())
            .map_err(|_| Refused::NotTaken(NotTaken::Form))?;
        let longest = {
            let mut state = self.0.state();
            // It may have been retired meanwhile.
            if !state.entries.iter().any(|known| known.key == entry.key) {
                return Err(Refused::Unknown);
            }
            let published = state.published.unwrap_or(FeedPlace { epoch: 0, size: 0 });
            let standing = state.standings.entry(entry.key.to_bytes()).or_default();
            let before = standing.disbelieved();
            let taken = standing.take(&said, claimed.created(), published, now());
            taken.map_err(Refused::NotTaken)?;
            if let Some(why) = standing.disbelieved().filter(|why| before != Some(*why)) {
                tracing::warn!(gateway = %entry.name, ?why, "a gateway is not believed");
            }
            entry.longest_life
        };
        self.0.lengthen(&entry.key, longest, said.longest_life);
        self.0.changed.send_modify(|number| *number += 1);
        Ok(())
    }

    /// Returns where what the feed says up to `place` is in force; by default, up to where it stands now.
    pub fn in_force(&self, place: Option<FeedPlace>) -> InForce {
        let now = now();
        let state = self.0.state();
        let place = place.or(state.published);
        let place = place.filter(|place| state.published.is_some_and(|head| *place <= head));
        let never = Standing::default();
        let shown = |entry: &Enrolled| {
            let standing = state.standings.get(&entry.key.to_bytes()).unwrap_or(&never);
            let in_force_since = place.and_then(|place| standing.in_force(place));
            let covered = place.and_then(|place| state.covered(place));
            let refuses = covered.and_then(|covered| standing.refuses_from(covered));
            GatewayShown {
                name: entry.name.clone(),
                key: entry.key,
                enrolled: entry.enrolled,
                in_force_since,
                silent: standing.is_silent(now),
                heard: standing.heard(),
                place: standing.place(),
                checkpoint: standing.issued(),
                restarted: standing.restarted(),
                disbelieved: standing.disbelieved(),
                refuses_since: refuses.filter(|from| in_force_since.is_none() && *from <= now),
                longest_life: entry.longest_life,
            }
        };
        let gateways: Vec<GatewayShown> = state.entries.iter().map(shown).collect();
        let in_force = gateways.iter().filter(|shown| shown.in_force_since.is_some()).count();
        InForce { as_of: now, place, in_force, of: gateways.len(), gateways }
    }

    /// Waits until what the feed says up to `place` stops everywhere, `at_most` so long, and returns where it does.
    pub async fn wait(&self, place: FeedPlace, at_most: Duration) -> InForce {
        let mut changed = self.0.changed.subscribe();
        let everywhere = async {
            loop {
                changed.mark_unchanged();
                if self.in_force(Some(place)).is_everywhere() {
                    return;
                }
                // That a gateway refuses everything becomes certain by time alone.
                let _ = tokio::time::timeout(LOOKS, changed.changed()).await;
                // Of many that come at once, all are looked at together.
                tokio::time::sleep(TOGETHER).await;
            }
        };
        let _ = tokio::time::timeout(at_most, everywhere).await;
        self.in_force(Some(place))
    }

    /// Returns since when the feed is published by this process: nothing was heard of gateways before.
    pub fn began(&self) -> Timestamp {
        self.0.began
    }
}

fn keep_for(source: &dyn RevocationSource, seconds: u64) {
    let grant = Duration::from_secs(seconds.min(LONGEST_LIFE));
    source.keep_for(&Lifetimes { grant, ..Lifetimes::default() });
}

impl State {
    /// When the first checkpoint that covers a place was made, or later.
    fn covered(&self, place: FeedPlace) -> Option<Timestamp> {
        self.rises.iter().find(|(reached, _)| *reached >= place).map(|(_, at)| *at)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stamp(&self) -> Option<(SystemTime, u64)> {
        let found = std::fs::metadata(self.registry.path()).ok()?;
        Some((found.modified().ok()?, found.len()))
    }

    /// Takes over what is in the file.
    fn read(&self) -> Result<(), RegistryError> {
        // One at a time, so that what was read last is what is known.
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp();
        let all = self.registry.list()?;
        let mut state = self.state();
        if all.is_empty() && state.has_begun {
            let problem = "it is gone, or empty: bring it back".to_owned();
            return Err(RegistryError::File { path: self.registry.path().to_owned(), problem });
        }
        state.has_begun |= !all.is_empty();
        state.entries = enrolled(&all).cloned().collect();
        state.stamp = stamp;
        let State { entries, standings, .. } = &mut *state;
        standings.retain(|key, _| entries.iter().any(|entry| entry.key.to_bytes() == *key));
        drop(state);
        self.changed.send_modify(|number| *number += 1);
        Ok(())
    }

    /// A longer life than it said before is told, and kept.
    fn lengthen(&self, key: &PublicKey, known: Option<u64>, seconds: u64) {
        let seconds = seconds.min(LONGEST_LIFE);
        if seconds <= known.unwrap_or(Lifetimes::default().grant.as_secs()) {
            return;
        }
        // It counts at once, whether or not it can be kept.
        self.keeping.iter().for_each(|source| keep_for(&**source, seconds));
        if let Err(error) = self.registry.lengthen(key, seconds).and_then(|()| self.read()) {
            tracing::error!("that a gateway accepts longer lives is not kept: {error}");
        }
    }
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateways").field("registry", &self.0.registry).finish_non_exhaustive()
    }
}

/// Who reads, for as long as an answer flows.
#[derive(Clone)]
pub(crate) struct Reader {
    gateways: Gateways,
    /// The key by which it is enrolled; `None` of whoever needs no enrolment.
    key: Option<PublicKey>,
}

impl Reader {
    /// Whether it may read on.
    pub(crate) fn may_read(&self) -> bool {
        match &self.key {
            Some(key) => self.gateways.0.state().entries.iter().any(|entry| entry.key == *key),
            None => !self.gateways.is_closed(),
        }
    }
}

/// The headers of a request that is signed.
pub(crate) struct Signed<'a> {
    pub(crate) input: &'a str,
    pub(crate) signature: &'a str,
    pub(crate) digest: Option<&'a str>,
}

/// Why a request of a gateway is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Unsigned(RequestUnsigned),
    /// Of a name that nobody has, and of a retired one, the same.
    #[error("no gateway is enrolled under this name")]
    Unknown,
    #[error(transparent)]
    NotTaken(NotTaken),
}
