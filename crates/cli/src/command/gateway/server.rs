//! Server: what does a gateway need for one server, from what it is told of it?

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hardtack::audit::{Keep, Ledger};
use hardtack::revocation::{RevocationSource, RevocationUnchecked};
use hardtack::{Guard, Policy, RootKeys, Verifier};
use hardtack_mcp::{
    DEFAULT_LONGEST_ANSWER, MAX_MESSAGE_BYTES, MOST_MESSAGE_BYTES, RefusalStyle, Server, Upstream,
};

use super::credentials::{self, CredentialFiles, Sent};
use super::{check_texts, needed, time, wrong};
use crate::args::server::{KeepRequests, Refusals, ServerSettings};
use crate::command::folder::FolderWatch;
use crate::command::reloading::{Part, load_checked};
use crate::command::{program, serving, warn_of_left_out};
use crate::secrets::without_user;

/// The least that `--message-limit` takes: with less, no client could open a session.
const LEAST_MESSAGE_BYTES: usize = 1024;

/// A server whose settings are what they must be, and whose policies are loaded.
pub(super) struct ServerPlan {
    pub(super) audience: String,
    pub(super) upstream: Upstream,
    pub(super) style: RefusalStyle,
    pub(super) longest_answer: Duration,
    pub(super) resource: String,
    pub(super) authorization_servers: Vec<String>,
    pub(super) folders: Vec<(Part, FolderWatch)>,
    pub(super) files: CredentialFiles,
    policy: Policy,
    candidate: Option<Policy>,
    resource_schemes: Vec<String>,
    keep: Option<Keep>,
}

/// One of several servers, and what is read again for it.
pub(super) struct OneOfSeveral {
    pub(super) server: Server,
    pub(super) folders: Vec<(Part, FolderWatch)>,
    pub(super) files: CredentialFiles,
}

impl ServerPlan {
    /// Looks at everything before anything is opened or made. One of several has a name, by which commands know it; the only one has
    /// its audience. The gateway speaks plain HTTP or TLS.
    pub(super) fn from(
        settings: &ServerSettings,
        name: Option<&str>,
        is_plain: bool,
    ) -> Result<ServerPlan, Box<dyn Error>> {
        check_texts(settings.texts())?;
        let name = name.or(settings.audience.as_deref()).unwrap_or_default();
        let (upstream, files) = upstream(settings, name)?;
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
        check_names(settings)?;
        // No client should learn another URL than one that is answered.
        if !is_plain && settings.resource.iter().any(|url| !url.starts_with("https://")) {
            return Err(wrong(
                "resource",
                "this server speaks TLS, so its own URL begins with https://",
            ));
        }
        Ok(ServerPlan {
            audience: needed("audience", settings.audience.as_deref())?.to_owned(),
            upstream,
            style: match settings.refusals.unwrap_or_default() {
                Refusals::Message => RefusalStyle::Message,
                Refusals::Challenge => RefusalStyle::Challenge,
            },
            longest_answer: longest_answer(settings)?,
            resource: settings.resource.clone().unwrap_or_default(),
            authorization_servers: settings.authorization_server.clone(),
            folders,
            files,
            policy,
            candidate,
            resource_schemes: settings.resource_scheme.clone(),
            keep: settings.keep_requests.map(|kept| match kept {
                KeepRequests::Arguments => Keep::Arguments,
                KeepRequests::Digests => Keep::Digests,
            }),
        })
    }

    /// The guard that decides for it: what is revoked, `source` says, and what is decided goes to `recording`. It remembers so
    /// many tokens, or as many as one does by default.
    pub(super) fn guard(
        &mut self,
        roots: RootKeys,
        (source, recording): (Arc<dyn RevocationSource>, Arc<dyn Ledger>),
        remembered: Option<usize>,
    ) -> Result<Arc<Guard>, Box<dyn Error>> {
        let mut verifier = Verifier::new(roots, &self.audience, source)
            .map_err(|error| wrong("audience", error))?;
        verifier = match self.resource_schemes.is_empty() {
            true => verifier.open_resource_schemes(),
            false => verifier.resource_schemes(self.resource_schemes.iter().cloned()),
        };
        if let Some(tokens) = remembered {
            verifier = verifier.remember(tokens);
        }
        let policy = std::mem::replace(&mut self.policy, Policy::builtin());
        let mut guard = Guard::new(verifier, policy, recording);
        if let Some(candidate) = self.candidate.take() {
            guard = guard.shadowed_by(candidate);
        }
        if let Some(keep) = self.keep {
            guard = guard.keep_requests(keep);
        }
        Ok(Arc::new(guard))
    }

    /// One of several, for which this guard decides, and what is read again for it.
    pub(super) fn server(self, guard: &Arc<Guard>) -> OneOfSeveral {
        let server = Server::new(Arc::clone(guard), self.upstream)
            .refusals(self.style)
            .longest_answer(self.longest_answer)
            .authorization_servers(&self.resource, &self.authorization_servers);
        OneOfSeveral { server, folders: self.folders, files: self.files }
    }
}

fn longest_answer(settings: &ServerSettings) -> Result<Duration, Box<dyn Error>> {
    let longest = time("longest-answer", settings.longest_answer.as_deref())?;
    if longest.is_some_and(|longest| longest.is_zero()) {
        return Err(wrong("longest-answer", "no answer would come; write a time, such as 1h"));
    }
    Ok(longest.unwrap_or(DEFAULT_LONGEST_ANSWER))
}

/// The server behind, for whoever asks it once.
pub(in crate::command) fn upstream_of(
    settings: &ServerSettings,
    name: &str,
) -> Result<Upstream, Box<dyn Error>> {
    upstream(settings, name).map(|(upstream, _)| upstream)
}

fn upstream(
    settings: &ServerSettings,
    name: &str,
) -> Result<(Upstream, CredentialFiles), Box<dyn Error>> {
    let timeout = time("upstream-timeout", settings.upstream_timeout.as_deref())?;
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(wrong("upstream-timeout", "no server answers in no time"));
    }
    let most = message_limit(settings.message_limit)?;
    let told = |upstream: Upstream| {
        let upstream = match timeout {
            Some(timeout) => upstream.answer_timeout(timeout),
            None => upstream,
        };
        match settings.large_integers {
            Some(true) => upstream.message_limit(most).large_integers(),
            _ => upstream.message_limit(most),
        }
    };
    if let Some(program) = program::of(settings)? {
        let upstream =
            Upstream::command(program).map_err(|error| wrong("upstream-command", error))?;
        return Ok((told(upstream), CredentialFiles::default()));
    }
    let written = needed("upstream", settings.upstream.as_deref())?;
    let upstream = Upstream::at_with(&serving::endpoint(written), credentials::tls(settings)?);
    let mut upstream = upstream.map_err(|error| wrong("upstream", error))?;
    if let Some(host) = &settings.allow_plain_http {
        upstream = upstream.accept_plain_http_to(host);
    }
    let Sent { credentials, files } = credentials::sent(settings, name)?;
    let key = match (&settings.upstream_oauth, settings.upstream_header.is_empty()) {
        (Some(_), _) => "upstream-oauth",
        (None, true) => "upstream-authorization",
        (None, false) => "upstream-header",
    };
    let upstream = upstream.credentials(credentials).map_err(|error| wrong(key, error))?;
    Ok((told(upstream), files))
}

/// How many bytes a message may have: as many as other servers take, if nothing is said.
fn message_limit(bytes: Option<u64>) -> Result<usize, Box<dyn Error>> {
    let Some(bytes) = bytes else { return Ok(MAX_MESSAGE_BYTES) };
    match usize::try_from(bytes) {
        Ok(bytes) if (LEAST_MESSAGE_BYTES..=MOST_MESSAGE_BYTES).contains(&bytes) => Ok(bytes),
        _ => Err(wrong(
            "message-limit",
            format!("a message may have from {LEAST_MESSAGE_BYTES} to {MOST_MESSAGE_BYTES} bytes"),
        )),
    }
}

/// Names that could never match would refuse everything, and nobody would see why.
fn check_names(settings: &ServerSettings) -> Result<(), Box<dyn Error>> {
    let audience = needed("audience", settings.audience.as_deref())?;
    check_audience("audience", audience)?;
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

/// Whether tokens can be presented to it.
pub(in crate::command) fn check_audience(key: &str, audience: &str) -> Result<(), Box<dyn Error>> {
    Verifier::new(RootKeys::default(), audience, RevocationUnchecked)
        .map(drop)
        .map_err(|error| wrong(key, error))
}
