//! `hardtack gateway`

mod answering;
mod checking;
mod credentials;
mod database;
pub(in crate::command) mod feeding;
pub(super) mod file;
mod feeds;
mod fleet;
mod retaining;
mod server;

use std::error::Error;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hardtack::revocation::RevocationSource;
use hardtack::{Guard, Policy, RootKeys, Store, Verifier};
use hardtack_feed::FeedSource;
use hardtack_mcp::{Drain, ENDPOINT, Gateway, Readiness, Servers, Tls};
use tokio::task::JoinHandle;

use self::answering::{Routers, answer, warn_of_strangers};
use self::checking::{
    address, check_names, check_texts, missing, needed, refuse_missing, revocation_audience,
};
pub(super) use self::checking::{time, wrong};
use self::database::{Database, Joints};
use self::feeding::{Feeding, OwnFeed};
use self::feeds::Feeds;
use self::file::Described;
use self::fleet::Fleet;
use self::retaining::Retention;
use self::server::ServerPlan;
pub(super) use self::server::{check_audience, upstream_of};
use crate::args::gateway::{self, Settings};
use crate::command::certificate::Certificate;
use crate::command::database::settings as database_settings;
use crate::command::reloading::{Folders, Guards, RootFiles, watch};
use crate::command::tending::tend;
use crate::command::trusting::Trusting;
use crate::command::{close, open, serving};
use crate::terminal::{Done, TEXT, now, warn, with_causes, without_query};

pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

/// What an audience for revocations has more than the only server's own.
pub(super) const REVOCATION_SUFFIX: &str = "/hardtack";

/// So old may be what a feed said where somebody asks to revoke: an incident is no time to refuse that, and who may revoke seldom changes.
const REVOKING_STALENESS: Duration = Duration::from_secs(24 * 3600);

/// How often revocations that no live token can hold are forgotten.
const COLLECT_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: gateway::Gateway) -> Done {
    let file = arguments.config.as_deref().map(file::read).transpose()?.unwrap_or_default();
    // What is typed or in the environment, with which the file is read again.
    let typed = arguments.settings.clone();
    let settings = arguments.settings.or(file.settings);
    serving::hold_up_nothing(settings.log_format.unwrap_or_default())?;
    let plan = Plan::from(settings, file.servers)?;
    serving::log(plan.settings.log_format.unwrap_or_default())?;
    let again = arguments.config.map(|path| fleet::Again::of(path, typed));
    serving::carry_out(plan.carry_out(again))
}

/// Whether a gateway would start with these, as far as that can be told before anything is opened.
pub(super) fn would_take(settings: Settings, servers: Vec<Described>) -> Result<(), String> {
    Plan::from(settings, servers).map(drop).map_err(|error| with_causes(&*error))
}

/// Settings whose texts are what they must be.
pub(super) struct Plan {
    settings: Settings,
    listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
    certificate: Option<Certificate>,
    drain: Duration,
    retention: Option<Retention>,
    revocation_audience: String,
    roots: RootKeys,
    trusting: Trusting,
    feeding: Feeding,
    database: Option<hardtack_postgres::Settings>,
    servers: Planned,
}

/// A gateway that nobody can reach yet, and what belongs to it.
pub(super) struct Assembled {
    pub(super) gateway: Gateway,
    pub(super) store: Store,
    /// What goes on beside it.
    pub(super) background: Vec<JoinHandle<()>>,
}

/// In front of what it stands.
enum Planned {
    One(Box<ServerPlan>),
    Several(Vec<(Described, ServerPlan)>),
}

impl Plan {
    /// Looks at everything before anything is opened or made.
    fn from(settings: Settings, servers: Vec<Described>) -> Result<Plan, Box<dyn Error>> {
        let settings = settings.trimmed();
        check_texts(settings.texts())?;
        let listen = settings.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listen = address("listen", listen)?;
        let admin_listen = settings.admin_listen.as_deref();
        let admin_listen = admin_listen.map(|text| address("admin-listen", text)).transpose()?;
        refuse_missing(&settings, !servers.is_empty())?;
        let revocation_audience = revocation_audience(&settings, &servers)?;
        let [cert, key, client_ca] =
            [&settings.tls_cert, &settings.tls_key, &settings.tls_client_ca]
                .map(|path| path.as_deref());
        let certificate = Certificate::of(cert, key, client_ca)?;
        let is_plain = certificate.is_none();
        let planned = match servers.is_empty() {
            true => Planned::One(Box::new(ServerPlan::from(&settings.own, None, is_plain)?)),
            false => Planned::Several(fleet::planned(servers, is_plain)?),
        };
        let drain = time("drain", settings.drain.as_deref())?.unwrap_or(DEFAULT_DRAIN);
        let retention = Retention::of(&settings)?;
        let asked = Trusting::of(settings.root.clone());
        let (trusting, roots) = asked.map_err(|error| wrong("root", error))?;
        if trusting.needs_key_ids() {
            warn(
                "every root key is trusted for tokens that carry its key id alone (ID=PUB), so a token without one is refused: make tokens with mint --key-id ID, or trust the key without ID=",
            );
        }
        check_names(&settings, &revocation_audience)?;
        let feeding = Feeding::of(&settings)?;
        let database = database_settings(&settings.database)?;
        Ok(Plan {
            listen,
            admin_listen,
            certificate,
            drain,
            retention,
            revocation_audience,
            roots,
            trusting,
            feeding,
            database,
            servers: planned,
            settings,
        })
    }

    /// The same for the only server.
    pub(super) fn of_one(settings: Settings) -> Result<Plan, Box<dyn Error>> {
        Plan::from(settings, Vec::new())
    }

    /// Opens the store, and makes the gateway in front of the only server, which nobody can reach yet. Within a runtime.
    pub(super) fn assemble(self) -> Result<Assembled, Box<dyn Error>> {
        let Planned::One(plan) = self.servers else {
            return Err("this is for one server".into());
        };
        let admin = &self.revocation_audience;
        let mut feeding = self.feeding;
        let feeds = (feeding.publishes(), feeding.follow()?);
        let own = (self.settings, self.database);
        let common = Common::open(own, self.drain, self.roots, admin, feeds)?;
        let One { gateway, background, .. } = common.gateway(*plan, self.trusting)?;
        Ok(Assembled { gateway, store: common.store, background })
    }

    async fn carry_out(self, again: Option<fleet::Again>) -> Done {
        let Plan { settings, listen, drain: grace, roots, .. } = self;
        let listener = serving::listen("listen", listen).await?;
        let admin_listener = match self.admin_listen {
            Some(address) => Some(serving::listen("admin-listen", address).await?),
            None => None,
        };
        let bound = listener.local_addr()?;
        let stop = serving::stop()?;
        let mut feeding = self.feeding;
        let (publishing, admin) = (feeding.publishes(), &self.revocation_audience);
        let feeds = (publishing.clone(), feeding.follow()?);
        let mut common = Common::open((settings, self.database), grace, roots, admin, feeds)?;
        common.tls = self.certificate.as_ref().map(|certificate| certificate.tls().clone());
        let scheme = if common.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{bound}");
        let mut served = match self.servers {
            Planned::One(plan) => common.one(*plan, self.trusting, &base)?,
            Planned::Several(plans) => common.several(plans, self.trusting, again, &base)?,
        };
        if let Some(certificate) = self.certificate {
            let watching = watch(certificate, served.readiness.clone(), "exchanging certificates")?;
            served.background.push(watching);
        }
        if let Some(retention) = self.retention {
            served
                .background
                .push(tokio::spawn(retention.keep(&common.store, served.readiness.clone())));
        }
        let Common { settings, store, roots, tls, joints, database, source, .. } = common;
        let followed = feeding.followed.take();
        let own_feed = publishing.unwrap_or_default();
        let published = feeding.publish(joints.log, source, &roots, &own_feed).await?;
        warn_of_strangers(bound, &settings, tls.is_none());
        let mut beside = match &admin_listener {
            Some(listener) => {
                format!("  metrics      http://{}/metrics\n", listener.local_addr()?)
            }
            None => String::new(),
        };
        // Writing to a string does not fail.
        let _ = database.map(|database| write!(beside, "{}", database.announced()));
        let _ = followed.map(|url| writeln!(beside, "  follows      {TEXT}{url}"));
        beside.extend(published.iter().map(|published| published.announced.as_str()));
        let admin = self.revocation_audience;
        serving::announce(format_args!(
            "the gateway listens on {}
{beside}  revocations  {TEXT}{base}{} (audience {admin})",
            served.announced,
            hardtack_mcp::REVOCATIONS
        ));
        let collecting = served.background;
        answer((listener, tls), admin_listener, served.routers, (stop, grace, served.drain))
            .await?;
        collecting.iter().for_each(JoinHandle::abort);
        if let Some(published) = published {
            published.end();
        }
        close(&store);
        serving::announce("the gateway has stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// What a gateway has, in front of however many servers.
struct Common {
    settings: Settings,
    grace: Duration,
    roots: RootKeys,
    revoker: Arc<Guard>,
    store: Store,
    database: Option<Database>,
    /// Where decisions are recorded, and revocations made.
    joints: Joints,
    /// Whom verifiers ask what is revoked.
    source: Arc<dyn RevocationSource>,
    publishing: Option<OwnFeed>,
    feed: Option<FeedSource>,
    /// What it speaks, if not plain HTTP.
    tls: Option<Tls>,
}

/// What serves.
struct Served {
    /// With `/metrics`, or without and the admin's.
    routers: Routers,
    drain: Drain,
    readiness: Readiness,
    announced: String,
    background: Vec<JoinHandle<()>>,
}

/// A gateway in front of the only server.
struct One {
    gateway: Gateway,
    guard: Arc<Guard>,
    behind: String,
    audience: String,
    background: Vec<JoinHandle<()>>,
}

impl Common {
    fn open(
        (settings, database): (Settings, Option<hardtack_postgres::Settings>),
        grace: Duration,
        roots: RootKeys,
        admin: &str,
        (publishing, feed): (Option<OwnFeed>, Option<FeedSource>),
    ) -> Result<Common, Box<dyn Error>> {
        let path = settings.store.as_deref().ok_or_else(|| missing("store"))?;
        let store = open(path).map_err(|error| wrong("store", with_causes(&error)))?;
        let database = database.map(Database::open).transpose()?;
        let joints = database::joints(&store, database.as_ref(), settings.losing_at_most);
        let of = (database.as_ref(), publishing.as_ref(), feed.as_ref());
        let source = feeding::source(&store, of.0, of.1, of.2);
        // What stops agents does not depend on what policies say of tools, nor on whether the feed is heard just now.
        let revoker = Verifier::new(roots.clone(), admin, Arc::clone(&source))
            .map_err(|error| wrong("revocation-audience", error))?
            .max_staleness(REVOKING_STALENESS);
        let revoker =
            Arc::new(Guard::new(revoker, Policy::builtin(), Arc::clone(&joints.revoking)));
        Ok(Common {
            settings,
            grace,
            roots,
            revoker,
            store,
            database,
            joints,
            source,
            publishing,
            feed,
            tls: None,
        })
    }

    /// Whether calls can be decided: the store is well, and so is the feed.
    fn ready(&self) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
        let (store, feed) = (self.store.clone(), self.feed.clone());
        let publishing = self.publishing.clone();
        move || {
            store.ready().map_err(|error| error.to_string())?;
            if let Some(failing) = publishing.as_ref().and_then(OwnFeed::failing) {
                return Err(failing);
            }
            match &feed {
                Some(feed) => feeding::heard(feed),
                None => Ok(()),
            }
        }
    }

    /// What is counted of the feeds.
    fn feeds(&self) -> Arc<Feeds> {
        Arc::new(Feeds { followed: self.feed.clone(), published: self.publishing.clone() })
    }

    /// What forgets for ever what expired.
    fn forgetting(&self, readiness: &Readiness) -> Vec<JoinHandle<()>> {
        let of_database =
            self.database.as_ref().and_then(|database| database.collecting(readiness));
        let of_store = tokio::spawn(forget(&self.store, readiness.clone()));
        of_database.into_iter().chain([of_store]).collect()
    }

    fn gateway(&self, mut plan: ServerPlan, trusting: Trusting) -> Result<One, Box<dyn Error>> {
        let stores = (Arc::clone(&self.source), Arc::clone(&self.joints.recording));
        let guard = plan.guard(self.roots.clone(), stores, None)?;
        let behind = without_query(plan.upstream.url()).to_owned();
        let gateway = Gateway::new(Arc::clone(&guard), plan.upstream)
            .ready_while(self.ready())
            .revocations(
                Arc::clone(&self.revoker),
                Arc::clone(&self.joints.log),
                Arc::clone(&self.joints.seen),
            )
            .needing(self.feeds())
            .sessions_in(self.store.clone())
            .refusals(plan.style)
            .longest_answer(plan.longest_answer)
            .hosts(self.settings.allow_host.iter().cloned())
            .origins(self.settings.allow_origin.iter().cloned())
            .authorization_servers(&plan.resource, &plan.authorization_servers);
        let gateway = match &self.publishing {
            Some(publishing) => gateway.followed_by(Arc::new(publishing.clone())),
            None => gateway,
        };
        let gateway = match &self.database {
            Some(database) => gateway.needing(Arc::new(database.clone())),
            None => gateway,
        };
        let readiness = gateway.readiness();
        let mut background = self.forgetting(&readiness);
        // Without anything to load, a hangup ends the process, as it does by custom.
        if trusting.has_files() {
            let guards = Guards::of(&[&self.revoker, &guard]);
            let files = RootFiles { guards, reloads: gateway.root_reloads(), trusting };
            background.push(watch(files, readiness.clone(), "exchanging roots")?);
        }
        if !plan.folders.is_empty() {
            let (guard, reloads) = (Arc::clone(&guard), gateway.reloads());
            let folders = Folders { server: None, guard, reloads, folders: plan.folders };
            background.push(watch(folders, readiness.clone(), "exchanging policies")?);
        }
        if !plan.files.is_empty() {
            background.push(watch(plan.files, readiness, "exchanging credentials")?);
        }
        Ok(One { gateway, guard, behind, audience: plan.audience, background })
    }

    fn one(
        &self,
        plan: ServerPlan,
        trusting: Trusting,
        base: &str,
    ) -> Result<Served, Box<dyn Error>> {
        let One { gateway, guard, behind, audience, background } = self.gateway(plan, trusting)?;
        let gateway = match &self.tls {
            Some(tls) => gateway.tls(tls),
            None => gateway,
        };
        let (drain, readiness) = (gateway.drain(), gateway.readiness());
        let announced = format!(
            "{base}{ENDPOINT}
  in front of  {TEXT}{behind}
  audience     {TEXT}{audience}
{}",
            policies(&guard, "  ")
        );
        let has_admin = self.settings.admin_listen.is_some();
        let routers = match has_admin {
            false => Routers { main: gateway.router(), admin: None },
            true => {
                let (main, admin) = gateway.routers();
                Routers { main, admin: Some(admin) }
            }
        };
        Ok(Served { routers, drain, readiness, announced, background })
    }

    fn several(
        &self,
        plans: Vec<(Described, ServerPlan)>,
        trusting: Trusting,
        again: Option<fleet::Again>,
        base: &str,
    ) -> Result<Served, Box<dyn Error>> {
        let (hosts, origins) = (&self.settings.allow_host, &self.settings.allow_origin);
        let servers = Servers::new(hosts.iter().cloned(), origins.iter().cloned())
            .ready_while(self.ready())
            .revocations(
                Arc::clone(&self.revoker),
                Arc::clone(&self.joints.log),
                Arc::clone(&self.joints.seen),
            )
            .needing(self.feeds())
            .sessions_in(self.store.clone());
        let servers = match &self.publishing {
            Some(publishing) => servers.followed_by(Arc::new(publishing.clone())),
            None => servers,
        };
        let servers = match &self.tls {
            Some(tls) => servers.tls(tls),
            None => servers,
        };
        let servers = match &self.database {
            Some(database) => servers.needing(Arc::new(database.clone())),
            None => servers,
        };
        let (drain, readiness) = (servers.drain(), servers.readiness());
        let mut background = self.forgetting(&readiness);
        let guards = Guards::of(&[&self.revoker]);
        let mut fleet = Fleet::of(self, &servers, guards.clone());
        let announced = fleet.begin(plans, base)?;
        if trusting.has_files() {
            let files = RootFiles { guards, reloads: servers.root_reloads(), trusting };
            background.push(watch(files, readiness.clone(), "exchanging roots")?);
        }
        if let Some(again) = again {
            background.push(watch(fleet.reading(again), readiness.clone(), "exchanging servers")?);
        }
        let routers = match self.settings.admin_listen.is_some() {
            false => Routers { main: servers.router(), admin: None },
            true => {
                let (main, admin) = servers.routers();
                Routers { main, admin: Some(admin) }
            }
        };
        let announced = format!("{base}{announced}");
        Ok(Served { routers, drain, readiness, announced, background })
    }
}

/// The lines that say which policies a guard has.
fn policies(guard: &Guard, indent: &str) -> String {
    let mut said = format!("{indent}policies     {TEXT}{}\n", guard.policy().digest());
    if let Some(candidate) = guard.candidate() {
        // Writing to a string does not fail.
        let _ = writeln!(said, "{indent}shadow       {TEXT}{}", candidate.digest());
    }
    said
}

/// Forgets what expired, for ever.
fn forget(store: &Store, readiness: hardtack_mcp::Readiness) -> impl Future<Output = ()> + use<> {
    let store = store.clone();
    tend(readiness, "forgetting what expired", move || collect(store.clone()))
}

/// Forgets now and then, until it is aborted.
pub(super) async fn collect(store: Store) {
    let mut ticks = tokio::time::interval(COLLECT_EVERY);
    loop {
        ticks.tick().await;
        let store = store.clone();
        let collected = tokio::task::spawn_blocking(move || store.collect(now())).await;
        if let Ok(Err(error)) = collected {
            tracing::warn!(error = %error, "nothing was forgotten");
        }
    }
}
