//! `hardtack gateway`

use std::error::Error;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hardtack::audit::Keep;
use hardtack::revocation::RevocationUnchecked;
use hardtack::{Guard, Policy, RootKeys, Store, Verifier};
use hardtack_mcp::{
    DEFAULT_ANSWER_TIMEOUT, ENDPOINT, Gateway, RefusalStyle, Upstream, serve, serve_admin,
};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::args::gateway::{self, KeepRequests, Refusals, Settings};
use crate::args::life;
use crate::command::folder::FolderWatch;
use crate::command::reloading::{Folders, Part, RootFiles, load_checked, watch};
use crate::command::tending::tend;
use crate::command::trusting::Trusting;
use crate::command::{close, open, program, serving, warn_of_left_out};
use crate::reading::{self, MAX_CREDENTIAL_BYTES, MAX_SETTINGS_BYTES};
use crate::secrets::{Secret, hidden, without_user};
use crate::terminal::{Done, TEXT, now, warn, with_causes, without_query};

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

/// What an audience for revocations has more than the server's own.
pub(super) const REVOCATION_SUFFIX: &str = "/hardtack";

/// Where its settings are listed.
const LISTING: &str = "hardtack gateway --help lists them, without the dashes in front";

/// How often revocations that no live token can hold are forgotten.
const COLLECT_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: gateway::Gateway) -> Done {
    let settings = match &arguments.config {
        Some(path) => arguments.settings.or(read(path, LISTING)?),
        None => arguments.settings,
    };
    serving::hold_up_nothing(settings.log_format.unwrap_or_default())?;
    let plan = Plan::from(settings)?;
    serving::log(plan.settings.log_format.unwrap_or_default())?;
    serving::carry_out(plan.carry_out())
}

/// Reads a file of settings. `listing` says where those are listed that there are.
pub(super) fn read<T: DeserializeOwned>(path: &Path, listing: &str) -> Result<T, Box<dyn Error>> {
    let text = reading::regular(path, MAX_SETTINGS_BYTES)?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        let number = 1 + before.matches('\n').count();
        // The key alone: where the file is another one than was meant, its lines are not for a screen.
        let line = text.lines().nth(number - 1).unwrap_or_default();
        let key =
            line.split_once('=').map_or(String::new(), |(key, _)| format!(" in {}", key.trim()));
        // What breaks a line in a secret is a part of it.
        let problem = hidden(error.message()).replace('\n', ", ");
        let problem = match problem.split('`').nth(1) {
            Some(unknown) if problem.starts_with("unknown field") => {
                format!("there is no setting {unknown}; {listing}")
            }
            _ if problem.ends_with("expected usize") => {
                "a whole number belongs here, without quotation marks".to_owned()
            }
            _ if problem.starts_with("string values must be quoted") => {
                "a text belongs in quotation marks, such as \"127.0.0.1:8080\"".to_owned()
            }
            _ if problem.starts_with("key with no value") => {
                "a setting is written as in listen = \"127.0.0.1:8080\"".to_owned()
            }
            _ => problem,
        };
        format!("{}, line {number}{key}: {problem}", path.display()).into()
    })
}

/// Settings whose texts are what they must be.
struct Plan {
    settings: Settings,
    listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
    upstream: Upstream,
    drain: Duration,
    roots: RootKeys,
    trusting: Trusting,
    policy: Policy,
    candidate: Option<Policy>,
    folders: Vec<(Part, FolderWatch)>,
}

impl Plan {
    /// Looks at everything before anything is opened or made.
    fn from(settings: Settings) -> Result<Plan, Box<dyn Error>> {
        let settings = settings.trimmed();
        for (key, text) in settings.texts() {
            if text.trim().is_empty() {
                return Err(wrong(key, "it is empty; leave it out, or say what it is"));
            }
            if let Some(secret) = Secret::in_text(&text) {
                return Err(wrong(key, secret.problem()));
            }
        }
        let listen = settings.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listen = address("listen", listen)?;
        let admin_listen = settings.admin_listen.as_deref();
        let admin_listen = admin_listen.map(|text| address("admin-listen", text)).transpose()?;
        refuse_missing(&settings)?;
        let mut upstream = match program::of(&settings)? {
            Some(server) => {
                Upstream::command(server).map_err(|error| wrong("upstream-command", error))?
            }
            None => {
                let written = needed("upstream", settings.upstream.as_deref())?;
                Upstream::at(&serving::endpoint(written))
                    .map_err(|error| wrong("upstream", error))?
            }
        };
        if let Some(host) = &settings.allow_plain_http {
            upstream = upstream.accept_plain_http_to(host);
        }
        if let Some(authorization) = authorization(&settings)? {
            upstream = upstream
                .credential(&authorization)
                .map_err(|error| wrong("upstream-authorization", error))?;
        }
        let timeout = time("upstream-timeout", settings.upstream_timeout.as_deref())?;
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(wrong("upstream-timeout", "no server answers in no time"));
        }
        let upstream = upstream.answer_timeout(timeout.unwrap_or(DEFAULT_ANSWER_TIMEOUT));
        let drain = time("drain", settings.drain.as_deref())?.unwrap_or(DEFAULT_DRAIN);
        if settings.root.is_empty() {
            return Err(missing("root"));
        }
        let asked = Trusting::of(settings.root.clone());
        let (trusting, roots) = asked.map_err(|error| wrong("root", error))?;
        if trusting.needs_key_ids() {
            warn(
                "every root key is trusted for tokens that carry its key id alone (ID=PUB), so a token without one is refused: make tokens with mint --key-id ID, or trust the key without ID=",
            );
        }
        let mut folders = Vec::new();
        let mut load = |key, part, folder: &PathBuf| {
            // What changes while it is loaded is found to have changed.
            folders.push((part, FolderWatch::of(folder)));
            warn_of_left_out(folder);
            load_checked(folder).map_err(|error| wrong(key, error))
        };
        let policy = settings.policies.as_ref();
        let policy = policy.map(|folder| load("policies", Part::Live, folder)).transpose()?;
        let policy = policy.unwrap_or_else(Policy::builtin);
        let candidate = settings.shadow.as_ref();
        let candidate =
            candidate.map(|folder| load("shadow", Part::Candidate, folder)).transpose()?;
        if settings.resource.is_none() && !settings.authorization_server.is_empty() {
            return Err(wrong(
                "resource",
                "say this server's own URL where an authorization-server is",
            ));
        }
        check_names(&settings)?;
        Ok(Plan {
            listen,
            admin_listen,
            upstream,
            drain,
            roots,
            trusting,
            policy,
            candidate,
            folders,
            settings,
        })
    }

    async fn carry_out(self) -> Done {
        let Plan { settings, listen, upstream, drain: grace, roots, policy, .. } = self;
        let audience = needed("audience", settings.audience.as_deref())?.to_owned();
        let admin = settings.revocation_audience.clone();
        let admin = admin.unwrap_or_else(|| format!("{audience}{REVOCATION_SUFFIX}"));
        if admin == audience {
            let problem =
                "must be another than the audience, so that a token for the tools stops nobody";
            return Err(wrong("revocation-audience", problem));
        }
        let path = settings.store.as_deref().ok_or_else(|| missing("store"))?;
        let listener = serving::listen("listen", listen).await?;
        let admin_listener = match self.admin_listen {
            Some(address) => Some(serving::listen("admin-listen", address).await?),
            None => None,
        };
        let bound = listener.local_addr()?;
        let stop = serving::stop()?;
        let store = open(path).map_err(|error| wrong("store", with_causes(&error)))?;
        let recording = store.clone().losing_at_most(settings.losing_at_most.unwrap_or(0));

        let mut verifier = Verifier::new(roots.clone(), &audience, store.revocations())
            .map_err(|error| wrong("audience", error))?;
        if !settings.resource_scheme.is_empty() {
            verifier = verifier.resource_schemes(settings.resource_scheme.iter().cloned());
        }
        let mut guard = Guard::new(verifier, policy, recording);
        if let Some(candidate) = self.candidate {
            guard = guard.shadowed_by(candidate);
        }
        if let Some(kept) = settings.keep_requests {
            guard = guard.keep_requests(match kept {
                KeepRequests::Arguments => Keep::Arguments,
                KeepRequests::Digests => Keep::Digests,
            });
        }
        let guard = Arc::new(guard);
        // What stops agents does not depend on what policies say of tools.
        let revoker = Verifier::new(roots, &admin, store.revocations())
            .map_err(|error| wrong("revocation-audience", error))?;
        let revoker = Arc::new(Guard::new(revoker, Policy::builtin(), store.clone()));

        let style = match settings.refusals.unwrap_or_default() {
            Refusals::Message => RefusalStyle::Message,
            Refusals::Challenge => RefusalStyle::Challenge,
        };
        let behind = without_query(upstream.url()).to_owned();
        let resource = settings.resource.clone().unwrap_or_default();
        let gateway = Gateway::new(Arc::clone(&guard), upstream)
            .ready_while({
                let store = store.clone();
                move || store.ready()
            })
            .revocations(Arc::clone(&revoker), Arc::new(store.clone()), Arc::new(store.clone()))
            .refusals(style)
            .hosts(settings.allow_host.iter().cloned())
            .origins(settings.allow_origin.iter().cloned())
            .authorization_servers(&resource, &settings.authorization_server);
        let drain = gateway.drain();
        let readiness = gateway.readiness();
        let forgetting = store.clone();
        let collecting =
            tend(readiness.clone(), "forgetting what expired", move || collect(forgetting.clone()));
        let collecting = tokio::spawn(collecting);
        let trusting = Some(self.trusting).filter(Trusting::has_files);
        // Without anything to load, a hangup ends the process, as it does by custom.
        let mut reloading = Vec::new();
        if let Some(trusting) = trusting {
            let (guards, reloads) = (vec![Arc::clone(&guard), revoker], gateway.root_reloads());
            let files = RootFiles { guards, reloads, trusting };
            reloading.push(watch(files, readiness.clone(), "exchanging roots")?);
        }
        if !self.folders.is_empty() {
            let (guard, reloads) = (Arc::clone(&guard), gateway.reloads());
            let folders = Folders { guard, reloads, folders: self.folders };
            reloading.push(watch(folders, readiness, "exchanging policies")?);
        }

        if !bound.ip().is_loopback() {
            warn(
                "this is plain HTTP, in which bearers can be read on their way: put what terminates TLS in front",
            );
        }
        if !bound.ip().is_loopback() && settings.allow_host.is_empty() {
            warn(
                "others can reach this address, but are answered only if they call it localhost; say by which name they do: --allow-host NAME",
            );
        }
        let shadow = guard
            .candidate()
            .map_or(String::new(), |candidate| format!("\n  shadow       {}", candidate.digest()));
        let beside = match &admin_listener {
            Some(listener) => {
                format!("  metrics      http://{}/metrics\n", listener.local_addr()?)
            }
            None => String::new(),
        };
        serving::announce(format_args!(
            "the gateway listens on http://{bound}{ENDPOINT}
  in front of  {TEXT}{behind}
  audience     {TEXT}{audience}
  policies     {TEXT}{}{shadow}
{beside}  revocations  {TEXT}http://{bound}{} (audience {admin})",
            guard.policy().digest(),
            hardtack_mcp::REVOCATIONS
        ));
        match admin_listener {
            None => serve(listener, gateway.router(), stop, grace, drain).await?,
            Some(beside) => {
                // To the end, so that whoever asks hears that it shuts down.
                let (router, admin) = gateway.routers();
                let (ended, end) = tokio::sync::oneshot::channel::<()>();
                let end = async move { drop(end.await) };
                let admin = tokio::spawn(serve_admin(beside, admin, end));
                let served = serve(listener, router, stop, grace, drain).await;
                drop(ended);
                let _ = admin.await;
                served?;
            }
        }
        collecting.abort();
        reloading.iter().for_each(JoinHandle::abort);
        close(&store);
        serving::announce("the gateway has stopped");
        Ok(ExitCode::SUCCESS)
    }
}

fn revocation_audience(settings: &Settings, audience: &str) -> String {
    let own = settings.revocation_audience.clone();
    own.unwrap_or_else(|| format!("{audience}{REVOCATION_SUFFIX}"))
}

fn refuse_missing(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let missing: Vec<&str> = [
        ("upstream", settings.upstream.is_none() && settings.upstream_command.is_none()),
        ("audience", settings.audience.is_none()),
        ("root", settings.root.is_empty()),
        ("store", settings.store.is_none()),
    ]
    .into_iter()
    .filter_map(|(key, is_missing)| is_missing.then_some(key))
    .collect();
    match missing.as_slice() {
        [] => Ok(()),
        [key] => Err(self::missing(key)),
        keys => Err(format!(
            "{} are missing: type --{}, set HARDTACK_{}, or write them into the --config file; so with the others",
            keys.join(", "),
            keys[0],
            keys[0].to_uppercase()
        )
        .into()),
    }
}

/// Names that could never match would refuse everything, and nobody would see why.
fn check_names(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let audience = needed("audience", settings.audience.as_deref())?;
    let admin = revocation_audience(settings, audience);
    for (key, name) in [("audience", audience), ("revocation-audience", &admin)] {
        Verifier::new(RootKeys::default(), name, RevocationUnchecked)
            .map_err(|error| wrong(key, error))?;
    }
    if admin == audience {
        let problem =
            "must be another than the audience, so that a token for the tools stops nobody";
        return Err(wrong("revocation-audience", problem));
    }
    let is_scheme = |scheme: &String| {
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
    };
    if let Some(scheme) = settings.resource_scheme.iter().find(|scheme| !is_scheme(scheme)) {
        return Err(wrong(
            "resource-scheme",
            format!("{} is no scheme; write it without ://, such as memo", without_user(scheme)),
        ));
    }
    if let Some(problem) = settings.allow_origin.iter().find_map(|page| serving::no_origin(page)) {
        return Err(wrong("allow-origin", problem));
    }
    if let Some(problem) = settings.allow_host.iter().find_map(|host| serving::no_host(host)) {
        return Err(wrong("allow-host", problem));
    }
    for (key, url) in settings
        .resource
        .iter()
        .map(|url| ("resource", url))
        .chain(settings.authorization_server.iter().map(|url| ("authorization-server", url)))
    {
        let is_web = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_web {
            return Err(wrong(key, format!("{} is no http:// or https:// URL", without_user(url))));
        }
    }
    if settings.resource.is_some() && settings.authorization_server.is_empty() {
        return Err(wrong(
            "authorization-server",
            "say where tokens come from, or leave resource out",
        ));
    }
    Ok(())
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

/// The server's own credential, from a file or the environment: never from the command line, where every
/// process list shows it.
fn authorization(settings: &Settings) -> Result<Option<String>, Box<dyn Error>> {
    match (&settings.upstream_authorization_file, &settings.upstream_authorization_env) {
        (Some(_), Some(_)) => Err(wrong(
            "upstream-authorization-file",
            "give either the file or the environment variable",
        )),
        (Some(path), None) => {
            let text = reading::regular(path, MAX_CREDENTIAL_BYTES)
                .map_err(|error| wrong("upstream-authorization-file", error))?;
            credential("upstream-authorization-file", &text)
        }
        (None, Some(name)) => {
            // Whoever gives the credential itself in the place of a name gives what looks like none.
            let is_name = name.contains('_')
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            let shown = if is_name { name } else { "what it names" };
            let problem = format!(
                "{shown} is not set to a text; give the name of the environment variable, and not the credential itself"
            );
            let value =
                std::env::var(name).map_err(|_| wrong("upstream-authorization-env", problem))?;
            credential("upstream-authorization-env", &value)
        }
        (None, None) => Ok(None),
    }
}

/// A scheme and what follows it (RFC 9110, section 11.4).
fn credential(key: &str, text: &str) -> Result<Option<String>, Box<dyn Error>> {
    let text = text.trim_start_matches(reading::BYTE_ORDER_MARK);
    match text.trim().split_once(' ') {
        Some(_) => Ok(Some(text.trim().to_owned())),
        None => Err(wrong(key, "write the scheme, too, as in: Bearer …")),
    }
}

pub(super) fn time(key: &str, text: Option<&str>) -> Result<Option<Duration>, Box<dyn Error>> {
    text.map(|text| life(text).map_err(|error| wrong(key, error))).transpose()
}

fn address(key: &str, text: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let problem = "write a numeric address and a port, such as 127.0.0.1:8080";
    text.parse().map_err(|_| wrong(key, problem))
}

fn needed<'a>(key: &str, text: Option<&'a str>) -> Result<&'a str, Box<dyn Error>> {
    text.ok_or_else(|| missing(key))
}

fn missing(key: &str) -> Box<dyn Error> {
    let variable = key.to_uppercase().replace('-', "_");
    let value = if key == "root" { "[\"…\"]" } else { "\"…\"" };
    format!("{key} is missing: type --{key}, set HARDTACK_{variable}, or write {key} = {value} into the --config file").into()
}

pub(super) fn wrong(key: &str, problem: impl Display) -> Box<dyn Error> {
    format!("{key}: {problem}").into()
}
