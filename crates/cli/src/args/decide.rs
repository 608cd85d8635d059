//! Decide: what can be typed, and what can be written into its file.

use std::path::PathBuf;

use clap::Args;
use hardtack_ext_authz::{AuthZen, Envoy, ForwardAuth, Mapping, Nginx, RouteSettings, Told};
use serde::Deserialize;

use crate::args::gateway::LogFormat;
use crate::args::server::KeepRequests;

/// Decide for nginx, Envoy, Traefik, Caddy or AuthZEN clients what requests to a service may do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack decide --config decide.toml --check
  hardtack decide --config decide.toml

docs/proxies.md has a whole file for each proxy. While it runs, no other process can write to its store. Ask \
it to revoke, at its admin-listen: hardtack revoke --at http://127.0.0.1:8091 …")]
pub(crate) struct Decide {
    /// The TOML file with the store, the root keys, the routes and the proxies that may ask
    #[arg(long, value_name = "FILE", env = "HARDTACK_DECIDE_CONFIG")]
    pub(crate) config: PathBuf,
    /// Read everything, say what is wrong, and listen nowhere
    #[arg(long)]
    pub(crate) check: bool,
}

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) listen: Option<String>,
    pub(crate) socket_mode: Option<String>,
    pub(crate) admin_listen: Option<String>,
    pub(crate) admin_host: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) root: Vec<String>,
    pub(crate) store: Option<PathBuf>,
    pub(crate) policies: Option<PathBuf>,
    pub(crate) shadow: Option<PathBuf>,
    pub(crate) keep_requests: Option<KeepRequests>,
    pub(crate) resource_scheme: Vec<String>,
    pub(crate) revocation_audience: Option<String>,
    pub(crate) losing_at_most: Option<usize>,
    pub(crate) drain: Option<String>,
    pub(crate) log_format: Option<LogFormat>,
    host: Vec<String>,
    plus_is_space: bool,
    message_limit: Option<u64>,
    route: Vec<RouteSettings>,
    allowed_headers: std::collections::BTreeMap<String, Told>,
    nginx: Option<Nginx>,
    forward_auth: Option<ForwardAuth>,
    envoy: Option<Envoy>,
    authzen: Option<AuthZen>,
}

impl Settings {
    /// Takes the mapping out of it.
    pub(crate) fn mapping(&mut self) -> Mapping {
        Mapping {
            host: std::mem::take(&mut self.host),
            plus_is_space: self.plus_is_space,
            message_limit: self.message_limit,
            route: std::mem::take(&mut self.route),
            allowed_headers: std::mem::take(&mut self.allowed_headers),
            nginx: self.nginx.take(),
            forward_auth: self.forward_auth.take(),
            envoy: self.envoy.take(),
            authzen: self.authzen.take(),
        }
    }
}
