//! Roster: which servers are there now, and what becomes of those that are exchanged?

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::common::Common;
use crate::gateway_side::{GatewaySide, Kept};
use crate::headers::AllowedHosts;
use crate::keeping::{Keeper, Scope};
use crate::metadata::Metadata;
use crate::metrics::{Metrics, merged};
use crate::place::Place;
use crate::policy_metrics::{PolicyMetrics, ProcessMetrics, Reloads};
use crate::relay::Relay;
use crate::serve::Drain;
use crate::servers::Server;
use crate::tasks::MAX_TASKS_OF_SERVER;
use hardtack::cause::Cause;

/// The most servers of one process: each may remember 10,000 tasks and some megabytes of tokens, and its series are as many again.
pub const MAX_SERVERS: usize = 64;

/// An error of a [`Roster`]: these servers cannot be there together. Nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Two servers have one name.
    #[error("two servers have the name {0}")]
    Name(String),
    /// Two servers have one path, or one lies within the other.
    #[error(
        "the paths of {first} and {second} are the same, or one lies within the other; give each a path of its own, such as /{first}/mcp"
    )]
    Path {
        /// The name of one.
        first: String,
        /// The name of the other.
        second: String,
    },
    /// Two servers have one audience, or one has that of revocations.
    #[error(
        "{first} and {second} have the audience {audience}: a token for one would be good at the other; give each an audience of its own"
    )]
    Audience {
        /// The name of one.
        first: String,
        /// The name of the other, or what revokes.
        second: String,
        /// Their audience.
        audience: String,
    },
    /// The metadata of two servers would stand at one path.
    #[error(
        "the metadata of {first} and {second} would be at one path; give each a resource whose path is no other server's, such as https://tools.example/{first}/mcp"
    )]
    Resource {
        /// The name of one.
        first: String,
        /// The name of the other.
        second: String,
    },
    /// There are too many.
    #[error("there are {0} servers, and at most 64 in one gateway")]
    TooMany(usize),
}

impl RosterError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::MisplacedServer
    }
}

/// The servers that are there, which can be exchanged while requests are under way. Clones share it.
#[derive(Clone)]
pub struct Roster(Arc<Inner>);

struct Inner {
    allowed_hosts: AllowedHosts,
    common: Common,
    drain: Drain,
    metrics: ProcessMetrics,
    /// The audience of requests to revoke.
    reserved: Mutex<Option<String>>,
    /// Where it is kept whose sessions and tasks are.
    keeper: Mutex<Option<Keeper>>,
    now: RwLock<Arc<Now>>,
}

/// The servers of one moment.
#[derive(Default)]
pub(crate) struct Now {
    /// By their names.
    all: Vec<Arc<Running>>,
    by_path: HashMap<String, Arc<Running>>,
    by_well_known: HashMap<String, Arc<Running>>,
}

/// A server that is there. Requests that it began end with it.
pub(crate) struct Running {
    place: Place,
    audience: String,
    behind: String,
    pub(crate) relay: Relay,
    pub(crate) side: Arc<GatewaySide>,
    kept: Kept,
    metadata: Option<Metadata>,
    policies: PolicyMetrics,
}

impl Now {
    pub(crate) fn at(&self, path: &str) -> Option<Arc<Running>> {
        self.by_path.get(path).cloned()
    }

    pub(crate) fn metadata_at(&self, path: &str) -> Option<&Metadata> {
        self.by_well_known.get(path)?.metadata.as_ref()
    }

    /// These together, unless two of them cannot be.
    fn of(mut all: Vec<Arc<Running>>, reserved: Option<&str>) -> Result<Now, RosterError> {
        if all.len() > MAX_SERVERS {
            return Err(RosterError::TooMany(all.len()));
        }
        all.sort_by(|one, other| one.place.name().cmp(other.place.name()));
        for (number, one) in all.iter().enumerate() {
            if reserved == Some(&one.audience) {
                let (first, second) =
                    (one.place.name().to_owned(), "revocation-audience".to_owned());
                return Err(RosterError::Audience {
                    first,
                    second,
                    audience: one.audience.clone(),
                });
            }
            for other in &all[number + 1..] {
                one.refuse_beside(other)?;
            }
        }
        let mut now = Now::default();
        for running in &all {
            now.by_path.insert(running.place.path().to_owned(), Arc::clone(running));
            for path in running.well_known() {
                if let Some(other) = now.by_well_known.insert(path, Arc::clone(running))
                    && !Arc::ptr_eq(&other, running)
                {
                    let [first, second] = [&other, running].map(|one| one.place.name().to_owned());
                    return Err(RosterError::Resource { first, second });
                }
            }
        }
        now.all = all;
        Ok(now)
    }
}

impl Running {
    fn refuse_beside(&self, other: &Running) -> Result<(), RosterError> {
        let [first, second] = [self, other].map(|one| one.place.name().to_owned());
        if first == second {
            return Err(RosterError::Name(first));
        }
        if self.place.overlaps(&other.place) {
            return Err(RosterError::Path { first, second });
        }
        if self.audience == other.audience {
            return Err(RosterError::Audience { first, second, audience: self.audience.clone() });
        }
        Ok(())
    }

    /// Where its metadata is read: before its path, and before that of its resource where a proxy on the way has another one.
    fn well_known(&self) -> Vec<String> {
        let metadata = self.metadata.as_ref();
        metadata.map_or_else(Vec::new, |metadata| metadata.paths(self.place.path()))
    }

    /// Ends what waits at once, and what is under way after `grace`.
    fn end(&self, grace: Duration) {
        let drain = self.relay.drain.clone();
        drain.begin();
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            drain.end();
        });
    }
}

impl Roster {
    pub(crate) fn new(allowed_hosts: AllowedHosts) -> Roster {
        Roster(Arc::new(Inner {
            allowed_hosts,
            common: Common::new(),
            drain: Drain::default(),
            metrics: ProcessMetrics::new(),
            reserved: Mutex::default(),
            keeper: Mutex::default(),
            now: RwLock::default(),
        }))
    }

    /// Puts servers there, each in the place of the one with its name, if there is one, and takes others away, all at once: each request
    /// finds the servers before or after. Whatever is under way at those that stay goes on. At those that are exchanged or taken away,
    /// streams that wait end at once, and what else is under way after `grace`. One that is exchanged keeps its sessions and tasks if its
    /// audience and its upstream's URL are as before. To be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RosterError`] if two of them, as they would be then, have one name, path, audience or resource, or if there would be too many;
    /// nothing is changed then.
    pub fn exchange(
        &self,
        put: Vec<(Place, Server)>,
        removed: &[String],
        grace: Duration,
    ) -> Result<(), RosterError> {
        let reserved = self.0.reserved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut now = self.0.now.write().unwrap_or_else(PoisonError::into_inner);
        let is_put = |name: &str| put.iter().any(|(place, _)| place.name() == name);
        let (gone, stays): (Vec<_>, Vec<_>) = now.all.iter().cloned().partition(|running| {
            let name = running.place.name();
            is_put(name) || removed.iter().any(|removed| removed == name)
        });
        let new = put.into_iter().map(|(place, server)| {
            let before = gone.iter().find(|before| before.place.name() == place.name());
            Arc::new(self.run(place, server, before.map(AsRef::as_ref)))
        });
        let all = stays.into_iter().chain(new).collect();
        *now = Arc::new(Now::of(all, reserved.as_deref())?);
        let there = i64::try_from(now.all.len()).unwrap_or(i64::MAX);
        drop(now);
        self.0.metrics.servers.set(there);
        gone.iter().for_each(|gone| gone.end(grace));
        Ok(())
    }

    /// Returns the counter of attempts to exchange the policies of the server with this name; `None` if there is none.
    pub fn policy_reloads(&self, name: &str) -> Option<Reloads> {
        let now = self.now();
        let running = now.all.iter().find(|running| running.place.name() == name)?;
        Some(running.policies.reloads.clone())
    }

    fn run(&self, place: Place, server: Server, before: Option<&Running>) -> Running {
        let Inner { allowed_hosts, common, drain, .. } = &*self.0;
        let Server { guard, upstream, answering, metadata } = server;
        let (name, common) = (place.name(), common.part());
        let audience = guard.verifier().audience().to_owned();
        let metrics = Metrics::of(Some(name));
        let behind = upstream.url().to_owned();
        // Whose a session or a task is, is known as before, and whether it is still there, the same upstream says.
        let before = before.filter(|old| old.audience == audience && old.behind == behind);
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let scope = Scope::of(&audience, &behind);
        let is_program = upstream.is_program();
        let new = || Kept::of(MAX_TASKS_OF_SERVER, scope, keeper.as_ref(), is_program);
        let kept = before.map_or_else(new, |old| old.kept.clone());
        let relay = Relay {
            allowed_hosts: allowed_hosts.clone(),
            budget: common.budget.clone(),
            drain: drain.part(),
            server: Some(name.into()),
            ..Relay::counted(upstream, metrics.clone(), &common.places)
        };
        let policies = PolicyMetrics::of(&guard, Some(name));
        let side = GatewaySide::new(metrics, guard, answering, kept.clone(), common);
        let side = Arc::new(side);
        Running { place, audience, behind, relay, side, kept, metadata, policies }
    }

    /// Keeps whose sessions and tasks are, of servers that are put there from now on.
    pub(crate) fn keep_in(&self, keeper: Keeper) {
        *self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
    }

    /// Keeps an audience from all servers: that of requests to revoke.
    pub(crate) fn reserve(&self, audience: &str) {
        let mut reserved = self.0.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        *reserved = Some(audience.to_owned());
    }

    pub(crate) fn now(&self) -> Arc<Now> {
        Arc::clone(&self.0.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn drain(&self) -> Drain {
        self.0.drain.clone()
    }

    pub(crate) fn metrics(&self) -> &ProcessMetrics {
        &self.0.metrics
    }

    /// In the OpenMetrics text format, to be followed by others.
    pub(crate) fn render(&self, rendered: &mut String) {
        let mut process = String::new();
        self.0.metrics.render(&mut process);
        let now = self.now();
        let of_servers = now.all.iter().map(|running| {
            let mut rendered = String::new();
            running.policies.render(&mut rendered);
            running.relay.metrics.render(&mut rendered);
            rendered
        });
        let all: Vec<String> = std::iter::once(process).chain(of_servers).collect();
        *rendered += &merged(all.iter().map(String::as_str));
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_list().entries(now.all.iter().map(|running| &running.place)).finish()
    }
}
