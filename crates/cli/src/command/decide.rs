//! `hardtack decide`

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hardtack::audit::Keep;
use hardtack::revocation::RevocationUnchecked;
use hardtack::{Guard, Policy, RootKeys, Store, Verifier};
use hardtack_ext_authz::{Decider, Listener, Mapping, serve};
use hardtack_mcp::{Readiness, Reloads, revocations, serve_admin};
use tokio::task::JoinHandle;

use crate::args::decide::{Decide, Settings};
use crate::args::life;
use crate::args::server::KeepRequests;
use crate::command::folder::FolderWatch;
use crate::command::gateway::{self, REVOCATION_SUFFIX, collect, wrong};
use crate::command::reloading::{Folders, Guards, Part, RootFiles, load_checked, watch};
use crate::command::tending::tend;
use crate::command::trusting::Trusting;
use crate::command::{close, open, serving, warn_of_left_out};
use crate::secrets::Secret;
use crate::terminal::{Done, TEXT, say, warn, with_causes};

const DEFAULT_LISTEN: &str = "127.0.0.1:8090";
const DEFAULT_ADMIN_LISTEN: &str = "127.0.0.1:8091";
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

/// Who may connect to a Unix socket: the owner and the group, of which the proxy is made a member.
const DEFAULT_SOCKET_MODE: u32 = 0o660;

/// How an address is written that is a Unix socket.
const UNIX: &str = "unix:";

pub(crate) fn run(arguments: Decide) -> Done {
    let listing = "docs/proxies.md lists them";
    let settings: Settings = gateway::file::read_settings(&arguments.config, listing)?;
    let format = settings.log_format.unwrap_or_default();
    if arguments.check {
        let plan = Plan::from(settings)?;
        // The mapping and the names are read by what uses them, without a store.
        let guard = Guard::unrecorded(plan.verifier(RevocationUnchecked)?, plan.policy.clone());
        Decider::new(guard, &plan.mapping).map_err(|error| error.to_string())?;
        plan.mapping.unjudged().iter().for_each(|problem| warn(problem));
        say(format!("{} can be used", arguments.config.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    serving::hold_up_nothing(format)?;
    let plan = Plan::from(settings)?;
    serving::log(format)?;
    serving::carry_out(plan.carry_out())
}

enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Settings whose texts are what they must be.
struct Plan {
    settings: Settings,
    mapping: Mapping,
    audience: String,
    admin_audience: String,
    store: PathBuf,
    listen: Address,
    socket_mode: u32,
    admin_listen: SocketAddr,
    drain: Duration,
    roots: RootKeys,
    trusting: Trusting,
    policy: Arc<Policy>,
    candidate: Option<Policy>,
    folders: Vec<(Part, FolderWatch)>,
}

impl Plan {
    /// Looks at everything before anything is opened or made.
    fn from(mut settings: Settings) -> Result<Plan, Box<dyn Error>> {
        let mapping = settings.mapping();
        let audience = needed("audience", settings.audience.clone())?;
        let admin_audience = settings.revocation_audience.clone();
        let admin_audience =
            admin_audience.unwrap_or_else(|| format!("{audience}{REVOCATION_SUFFIX}"));
        if admin_audience == audience {
            let problem =
                "must be another than the audience, so that a token for the service stops nobody";
            return Err(wrong("revocation-audience", problem));
        }
        for (key, text) in [("audience", &audience), ("revocation-audience", &admin_audience)] {
            if let Some(secret) = Secret::in_text(text) {
                return Err(wrong(key, secret.problem()));
            }
            Verifier::new(RootKeys::default(), text, RevocationUnchecked)
                .map_err(|error| wrong(key, error))?;
        }
        let store = settings.store.clone();
        let store = store.ok_or_else(|| missing("store"))?;
        if settings.root.is_empty() {
            return Err(missing("root"));
        }
        let asked = Trusting::of(settings.root.clone());
        let (trusting, roots) = asked.map_err(|error| wrong("root", error))?;
        let mut folders = Vec::new();
        let mut load = |key, part, folder: &PathBuf| {
            // What changes while it is loaded is found to have changed.
            folders.push((part, FolderWatch::of(folder)));
            warn_of_left_out(folder);
            load_checked(folder).map_err(|error| wrong(key, error))
        };
        let policy = settings.policies.as_ref();
        let policy = policy.map(|folder| load("policies", Part::Live, folder)).transpose()?;
        let candidate = settings.shadow.as_ref();
        let candidate =
            candidate.map(|folder| load("shadow", Part::Candidate, folder)).transpose()?;
        if let Some(problem) = settings.admin_host.iter().find_map(|host| serving::no_host(host)) {
            return Err(wrong("admin-host", problem));
        }
        let drain = settings.drain.as_deref().map(life).transpose();
        let drain = drain.map_err(|error| wrong("drain", error))?.unwrap_or(DEFAULT_DRAIN);
        let admin_listen = settings.admin_listen.as_deref().unwrap_or(DEFAULT_ADMIN_LISTEN);
        Ok(Plan {
            mapping,
            audience,
            admin_audience,
            store,
            listen: address(settings.listen.as_deref().unwrap_or(DEFAULT_LISTEN))?,
            socket_mode: mode(settings.socket_mode.as_deref())?,
            admin_listen: tcp("admin-listen", admin_listen)?,
            drain,
            roots,
            trusting,
            policy: Arc::new(policy.unwrap_or_else(Policy::builtin)),
            candidate,
            folders,
            settings,
        })
    }

    fn verifier(
        &self,
        revoked: impl hardtack::revocation::RevocationSource + 'static,
    ) -> Result<Verifier, Box<dyn Error>> {
        let verifier = Verifier::new(self.roots.clone(), &self.audience, revoked);
        let verifier = verifier.map_err(|error| wrong("audience", error))?;
        let schemes = &self.settings.resource_scheme;
        Ok(match schemes.is_empty() {
            true => verifier,
            false => verifier.resource_schemes(schemes.iter().cloned()),
        })
    }

    /// The guard of the service.
    fn guard(&mut self, store: &Store) -> Result<Guard, Box<dyn Error>> {
        let losing = self.settings.losing_at_most.unwrap_or(0);
        let recording = store.clone().losing_at_most(losing);
        let mut guard =
            Guard::new(self.verifier(store.revocations())?, Arc::clone(&self.policy), recording);
        if let Some(candidate) = self.candidate.take() {
            guard = guard.shadowed_by(candidate);
        }
        Ok(match self.settings.keep_requests {
            Some(KeepRequests::Arguments) => guard.keep_requests(Keep::Arguments),
            Some(KeepRequests::Digests) => guard.keep_requests(Keep::Digests),
            None => guard,
        })
    }

    async fn carry_out(mut self) -> Done {
        let stop = serving::stop()?;
        let admin_listener = serving::listen("admin-listen", self.admin_listen).await?;
        let store = open(&self.store).map_err(|error| wrong("store", with_causes(&error)))?;
        let guard = Arc::new(self.guard(&store)?);
        // What stops agents does not depend on what policies say of the service.
        let revoker = Verifier::new(self.roots.clone(), &self.admin_audience, store.revocations())
            .map_err(|error| wrong("revocation-audience", error))?;
        let revoker = Arc::new(Guard::new(revoker, Policy::builtin(), store.clone()));
        let decider =
            Decider::new(Arc::clone(&guard), &self.mapping).map_err(|error| error.to_string())?;
        self.mapping.unjudged().iter().for_each(|problem| warn(problem));
        let (listener, at) = listen(&self.listen, self.socket_mode).await?;
        let readiness = Readiness::default();
        let mut tended = self.tend(&store, &guard, &revoker, &readiness)?;
        let admin = admin_router(&store, &readiness).merge(revocations(
            revoker,
            Arc::new(store.clone()),
            Arc::new(store.clone()),
            self.settings.admin_host.iter().cloned(),
        ));
        let admin_at = admin_listener.local_addr()?;
        if !admin_at.ip().is_loopback() {
            warn(
                "admin-listen is plain HTTP, and others can reach it: put what terminates TLS in front",
            );
        }
        serving::announce(format_args!(
            "proxies can ask at {at}
  audience     {TEXT}{}
  policies     {TEXT}{}
  health       http://{admin_at}/readyz
  revocations  {TEXT}http://{admin_at}{} (audience {})",
            self.audience,
            guard.policy().digest(),
            hardtack_mcp::REVOCATIONS,
            self.admin_audience,
        ));
        // To the end, so that whoever asks hears that it shuts down.
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let admin = tokio::spawn(serve_admin(admin_listener, admin, async { drop(end.await) }));
        let (told, stop) = (readiness.clone(), stop);
        let stop = async move {
            stop.await;
            told.lost("deciding", "is shutting down");
        };
        serve(listener, decider, stop, self.drain).await;
        drop(ended);
        let _ = admin.await;
        tended.drain(..).for_each(|task| task.abort());
        close(&store);
        serving::announce("deciding has stopped");
        Ok(ExitCode::SUCCESS)
    }

    /// What goes on in the background: forgetting, and new roots and policies.
    fn tend(
        &mut self,
        store: &Store,
        guard: &Arc<Guard>,
        revoker: &Arc<Guard>,
        readiness: &Readiness,
    ) -> Result<Vec<JoinHandle<()>>, Box<dyn Error>> {
        let forgetting = store.clone();
        let collecting =
            tend(readiness.clone(), "forgetting what expired", move || collect(forgetting.clone()));
        let mut tended = vec![tokio::spawn(collecting)];
        let asked = std::mem::replace(&mut self.trusting, Trusting::of(Vec::new())?.0);
        if asked.has_files() {
            let guards = Guards::of(&[guard, revoker]);
            let files = RootFiles { guards, reloads: Reloads::default(), trusting: asked };
            tended.push(watch(files, readiness.clone(), "exchanging roots")?);
        }
        let folders = std::mem::take(&mut self.folders);
        if !folders.is_empty() {
            let guard = Arc::clone(guard);
            let folders = Folders { server: None, guard, reloads: Reloads::default(), folders };
            tended.push(watch(folders, readiness.clone(), "exchanging policies")?);
        }
        Ok(tended)
    }
}

/// Health, for probes: whether it is up, and whether it can decide.
fn admin_router(store: &Store, readiness: &Readiness) -> Router {
    let (store, readiness) = (store.clone(), readiness.clone());
    let ready = move || {
        let is_ready = readiness.problem().is_none() && store.ready().is_ok();
        async move {
            match is_ready {
                true => (StatusCode::OK, "{\"ready\":true}\n"),
                false => (StatusCode::SERVICE_UNAVAILABLE, "{\"ready\":false}\n"),
            }
        }
    };
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

async fn listen(address: &Address, mode: u32) -> Result<(Listener, String), Box<dyn Error>> {
    match address {
        Address::Tcp(address) => {
            let listener = serving::listen("listen", *address).await?;
            let bound = listener.local_addr()?;
            if !bound.ip().is_loopback() {
                warn(
                    "others can reach this address over plain HTTP, in which bearers can be read: let proxies on this machine alone ask, or by a Unix socket",
                );
            }
            Ok((Listener::from(listener), format!("http://{bound}")))
        }
        #[cfg(not(unix))]
        Address::Unix(path) => {
            let _ = mode;
            let problem = format!(
                "{}: there are no Unix sockets on this system; write an address, such as 127.0.0.1:8090",
                path.display()
            );
            Err(wrong("listen", problem))
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let listener = Listener::unix(path, mode).map_err(|error| {
                let mend = match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        "another process listens there, or it is no socket; stop it, or choose another path"
                    }
                    _ => "nobody can listen there",
                };
                wrong("listen", format!("{}: {mend} ({error})", path.display()))
            })?;
            Ok((listener, format!("{UNIX}{}", path.display())))
        }
    }
}

fn address(text: &str) -> Result<Address, Box<dyn Error>> {
    match text.strip_prefix(UNIX) {
        Some(path) if Path::new(path).is_absolute() => Ok(Address::Unix(PathBuf::from(path))),
        Some(_) => Err(wrong(
            "listen",
            "write the whole path of the socket, such as unix:/run/hardtack/decide.sock",
        )),
        None => tcp("listen", text).map(Address::Tcp),
    }
}

fn tcp(key: &str, text: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let problem = "write a numeric address and a port, such as 127.0.0.1:8090";
    text.parse().map_err(|_| wrong(key, problem))
}

fn mode(text: Option<&str>) -> Result<u32, Box<dyn Error>> {
    let Some(text) = text else { return Ok(DEFAULT_SOCKET_MODE) };
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| wrong("socket-mode", "write it as chmod does, such as \"660\""))
}

fn needed(key: &str, text: Option<String>) -> Result<String, Box<dyn Error>> {
    text.ok_or_else(|| missing(key))
}

fn missing(key: &str) -> Box<dyn Error> {
    let value = if key == "root" { "[\"@root.pub\"]" } else { "\"…\"" };
    format!("{key} is missing: write {key} = {value} into the file").into()
}
