//! Gateway and agent: what can be typed, set in the environment, or written into a file.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Deserializer};

use crate::args::life;

/// Stand in front of an MCP server, and let through what tokens and policies allow
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack gateway --audience notion.mcp \\
      --upstream http://127.0.0.1:9000/mcp \\
      --root @root.pub --store hardtack.store
  hardtack gateway --audience time.mcp \\
      --upstream-command 'uvx mcp-server-time' \\
      --root @root.pub --store hardtack.store
  hardtack gateway --config gateway.toml

Every option can stand in the environment (HARDTACK_UPSTREAM=…) or in the file (upstream = \"…\"). \
What is typed comes first, then the environment, then the file; none may be empty. Lists have commas \
between their entries: HARDTACK_ALLOW_HOST=tools.example,tools.internal")]
pub(crate) struct Gateway {
    /// A TOML file with any of these options
    #[arg(long, value_name = "FILE", env = "HARDTACK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// What a gateway can be told, from wherever. Texts, so that what is wrong in them is said with its key.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where to listen; 127.0.0.1:8080 if nothing is said
    #[arg(long, value_name = "ADDR", env = "HARDTACK_LISTEN")]
    pub(crate) listen: Option<String>,
    /// Where /healthz, /readyz and /metrics are answered besides; /metrics is there alone then. Put it where only
    /// whoever runs the gateway can reach it
    #[arg(long, value_name = "ADDR", env = "HARDTACK_ADMIN_LISTEN")]
    pub(crate) admin_listen: Option<String>,
    /// The upstream MCP server: the whole URL of its endpoint; without any path, it is at /mcp
    #[arg(long, value_name = "URL", env = "HARDTACK_UPSTREAM")]
    pub(crate) upstream: Option<String>,
    /// A program that is the upstream server, over its standard input and output, instead of --upstream. Quotes are
    /// read as in a shell, and nothing else: no variables, no pipes
    #[arg(long, value_name = "COMMAND", env = "HARDTACK_UPSTREAM_COMMAND")]
    #[serde(deserialize_with = "command_line")]
    pub(crate) upstream_command: Option<String>,
    /// A variable of the environment that the program gets, besides HOME, LANG, LC_ALL, LC_CTYPE, LOGNAME, PATH, TMPDIR, TZ and USER:
    /// NAME, with the gateway's own value, or NAME=@FILE. May be repeated, or a list with commas
    #[arg(long, value_name = "NAME", env = "HARDTACK_UPSTREAM_ENV", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) upstream_env: Vec<String>,
    /// The folder in which the program starts; the gateway's own if nothing is said
    #[arg(long, value_name = "DIR", env = "HARDTACK_UPSTREAM_FOLDER")]
    pub(crate) upstream_folder: Option<PathBuf>,
    /// How long a process of the program may do nothing until it is ended; 10m if nothing is said
    #[arg(long, value_name = "TIME", env = "HARDTACK_UPSTREAM_IDLE")]
    pub(crate) upstream_idle: Option<String>,
    /// The name of this server, to which tokens are presented
    #[arg(long, value_name = "AUDIENCE", env = "HARDTACK_AUDIENCE")]
    pub(crate) audience: Option<String>,
    /// A trusted root key, or ID=PUB to trust it for tokens that carry this key id only; PUB is ed25519/…, PEM, or @FILE, which
    /// is read again when it changes and on SIGHUP. May be repeated, or a list with commas
    #[arg(long, value_name = "PUB", num_args = 1.., env = "HARDTACK_ROOT", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) root: Vec<String>,
    /// The store that `hardtack store create` made: revocations and records
    #[arg(long, value_name = "FILE", env = "HARDTACK_STORE")]
    pub(crate) store: Option<PathBuf>,
    /// The folder of policies; without it, what is granted is allowed
    #[arg(long, value_name = "DIR", env = "HARDTACK_POLICIES")]
    pub(crate) policies: Option<PathBuf>,
    /// A folder of candidate policies: they decide everything, too, and answer nothing; records and
    /// metrics say where they would decide otherwise
    #[arg(long, value_name = "DIR", env = "HARDTACK_SHADOW")]
    pub(crate) shadow: Option<PathBuf>,
    /// For `hardtack policy replay`, which decides again by other policies: keep in records what policies saw, be it
    /// arguments, which can hold personal data, or digests of them
    #[arg(long, value_name = "WHAT", env = "HARDTACK_KEEP_REQUESTS")]
    pub(crate) keep_requests: Option<KeepRequests>,
    /// A file with the Authorization that the upstream server is sent, such as: Bearer …
    #[arg(long, value_name = "FILE", env = "HARDTACK_UPSTREAM_AUTHORIZATION_FILE")]
    pub(crate) upstream_authorization_file: Option<PathBuf>,
    /// The environment variable that holds it
    #[arg(long, value_name = "NAME", env = "HARDTACK_UPSTREAM_AUTHORIZATION_ENV")]
    pub(crate) upstream_authorization_env: Option<String>,
    /// Send that Authorization over plain HTTP to this host, where nobody can be on the way who would read it
    #[arg(long, value_name = "HOST", env = "HARDTACK_ALLOW_PLAIN_HTTP")]
    pub(crate) allow_plain_http: Option<String>,
    /// How long the upstream server may take until it begins to answer; 5m if nothing is said
    #[arg(long, value_name = "TIME", env = "HARDTACK_UPSTREAM_TIMEOUT")]
    pub(crate) upstream_timeout: Option<String>,
    /// A name by which clients address this server (Host), besides localhost: each whole, without *. May be
    /// repeated, or a list with commas
    #[arg(long, value_name = "HOST", env = "HARDTACK_ALLOW_HOST", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) allow_host: Vec<String>,
    /// A page that may use this server (Origin), such as https://app.example. May be repeated, or a list
    /// with commas
    #[arg(long, value_name = "ORIGIN", env = "HARDTACK_ALLOW_ORIGIN", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) allow_origin: Vec<String>,
    /// A scheme of resources that is judged, instead of https, http and file. May be repeated, or a list
    /// with commas
    #[arg(long, value_name = "SCHEME", env = "HARDTACK_RESOURCE_SCHEME", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) resource_scheme: Vec<String>,
    /// How a refused call of a valid token is answered: message (HTTP 200, the model sees why) or
    /// challenge (HTTP 403, with a challenge where a scope is missing)
    #[arg(long, value_name = "STYLE", env = "HARDTACK_REFUSALS")]
    pub(crate) refusals: Option<Refusals>,
    /// The audience for requests to revoke; the server's own with /hardtack if nothing is said
    #[arg(long, value_name = "AUDIENCE", env = "HARDTACK_REVOCATION_AUDIENCE")]
    pub(crate) revocation_audience: Option<String>,
    /// Answer before records are on disk, and lose this many at most in a crash; 0 if nothing is said
    #[arg(long, value_name = "RECORDS", env = "HARDTACK_LOSING_AT_MOST")]
    pub(crate) losing_at_most: Option<usize>,
    /// This server's own URL, for the metadata that --authorization-server asks for
    #[arg(long, value_name = "URL", env = "HARDTACK_RESOURCE")]
    pub(crate) resource: Option<String>,
    /// An OAuth authorization server that gives out tokens for this server (RFC 9728). May be repeated, or a
    /// list with commas
    #[arg(long, value_name = "URL", env = "HARDTACK_AUTHORIZATION_SERVER", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) authorization_server: Vec<String>,
    /// How long requests under way may go on after SIGTERM; 10s if nothing is said
    #[arg(long, value_name = "TIME", env = "HARDTACK_DRAIN")]
    pub(crate) drain: Option<String>,
    /// How the log is written to standard error: text or json. RUST_LOG says how much
    #[arg(long, value_name = "FORMAT", env = "HARDTACK_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refusals {
    #[default]
    Message,
    Challenge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeepRequests {
    Arguments,
    Digests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A text, or a list of them, each perhaps several with commas between them, as on the command line.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let texts = OneOrMore::deserialize(deserializer).map(|texts| match texts {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    })?;
    Ok(texts.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect())
}

/// A command line, or a list of its words.
fn command_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum Line {
        Whole(String),
        Words(Vec<String>),
    }
    Ok(Some(match Line::deserialize(deserializer)? {
        Line::Whole(line) => line,
        Line::Words(words) => {
            let words = words.iter().map(String::as_str);
            shlex::try_join(words).map_err(serde::de::Error::custom)?
        }
    }))
}

impl Settings {
    /// The lists without the spaces that people write after commas.
    pub(crate) fn trimmed(mut self) -> Settings {
        let lists = [
            &mut self.root,
            &mut self.upstream_env,
            &mut self.allow_host,
            &mut self.allow_origin,
            &mut self.resource_scheme,
            &mut self.authorization_server,
        ];
        for text in lists.into_iter().flatten() {
            *text = text.trim().to_owned();
        }
        self
    }

    /// Every text in it, with its key.
    pub(crate) fn texts(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let one = [
            ("listen", &self.listen),
            ("admin-listen", &self.admin_listen),
            ("upstream", &self.upstream),
            ("upstream-command", &self.upstream_command),
            ("upstream-idle", &self.upstream_idle),
            ("audience", &self.audience),
            ("upstream-authorization-env", &self.upstream_authorization_env),
            ("allow-plain-http", &self.allow_plain_http),
            ("upstream-timeout", &self.upstream_timeout),
            ("revocation-audience", &self.revocation_audience),
            ("resource", &self.resource),
            ("drain", &self.drain),
        ];
        let files = [
            ("store", &self.store),
            ("upstream-folder", &self.upstream_folder),
            ("policies", &self.policies),
            ("shadow", &self.shadow),
            ("upstream-authorization-file", &self.upstream_authorization_file),
        ];
        let lists = [
            ("root", &self.root),
            ("upstream-env", &self.upstream_env),
            ("allow-host", &self.allow_host),
            ("allow-origin", &self.allow_origin),
            ("resource-scheme", &self.resource_scheme),
            ("authorization-server", &self.authorization_server),
        ];
        let one = one.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?.into())));
        let files = files
            .into_iter()
            .filter_map(|(key, path)| Some((key, path.as_deref()?.to_string_lossy())));
        let lists = lists
            .into_iter()
            .flat_map(|(key, texts)| texts.iter().map(move |text| (key, text.as_str().into())));
        one.chain(files).chain(lists).collect()
    }

    /// Takes from `other` what is not said here.
    pub(crate) fn or(self, other: Settings) -> Settings {
        fn list<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
            if first.is_empty() { second } else { first }
        }
        // One of the two is the upstream, wherever it stands.
        let (upstream, upstream_command) = match (self.upstream, self.upstream_command) {
            (None, None) => (other.upstream, other.upstream_command),
            said => said,
        };
        Settings {
            listen: self.listen.or(other.listen),
            admin_listen: self.admin_listen.or(other.admin_listen),
            upstream,
            upstream_command,
            upstream_env: list(self.upstream_env, other.upstream_env),
            upstream_folder: self.upstream_folder.or(other.upstream_folder),
            upstream_idle: self.upstream_idle.or(other.upstream_idle),
            audience: self.audience.or(other.audience),
            root: list(self.root, other.root),
            store: self.store.or(other.store),
            policies: self.policies.or(other.policies),
            shadow: self.shadow.or(other.shadow),
            keep_requests: self.keep_requests.or(other.keep_requests),
            upstream_authorization_file: self
                .upstream_authorization_file
                .or(other.upstream_authorization_file),
            upstream_authorization_env: self
                .upstream_authorization_env
                .or(other.upstream_authorization_env),
            allow_plain_http: self.allow_plain_http.or(other.allow_plain_http),
            upstream_timeout: self.upstream_timeout.or(other.upstream_timeout),
            allow_host: list(self.allow_host, other.allow_host),
            allow_origin: list(self.allow_origin, other.allow_origin),
            resource_scheme: list(self.resource_scheme, other.resource_scheme),
            refusals: self.refusals.or(other.refusals),
            revocation_audience: self.revocation_audience.or(other.revocation_audience),
            losing_at_most: self.losing_at_most.or(other.losing_at_most),
            resource: self.resource.or(other.resource),
            authorization_server: list(self.authorization_server, other.authorization_server),
            drain: self.drain.or(other.drain),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

/// Sign for an agent runtime that can only be given a URL: plain MCP in, a fresh presentation out
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hardtack agent --key researcher.key \\
      --capability researcher.token --audience notion.mcp \\
      --to http://127.0.0.1:8080/mcp --listen 127.0.0.1:8081

The runtime is then given http://127.0.0.1:8081/mcp and no token. Whoever can reach that address acts as \
the agent, so it is on loopback.")]
pub(crate) struct Agent {
    /// The private key of the capability's holder: a regular file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The capability, bound to this key: a regular file; read again for every presentation, so that a newer one for the same
    /// key can be put in its place
    #[arg(long, value_name = "FILE")]
    pub(crate) capability: PathBuf,
    /// The server to which it is presented
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: String,
    /// The gateway's or server's MCP endpoint: https://, or http:// on loopback
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// Send bearers over plain HTTP to this host, where nobody can be on the way who would read them
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_plain_http: Option<String>,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub(crate) listen: String,
    /// Bind each tools/call (and other guarded request) to a presentation of its own, good for it alone; the rest
    /// has one by which no call is allowed
    #[arg(long)]
    pub(crate) call_bound: bool,
    /// Listen where others than this machine can reach it, and act as the agent for all of them
    #[arg(long)]
    pub(crate) listen_beyond_loopback: bool,
    /// A name by which the runtime addresses it (Host), besides localhost: each whole, without *. May be repeated, or a
    /// list with commas
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub(crate) allow_host: Vec<String>,
    /// A page that may act as the agent (Origin), such as https://app.example; without it, none may. May be
    /// repeated, or a list with commas
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) allow_origin: Vec<String>,
    /// How long requests under way may go on after SIGTERM
    #[arg(long, value_name = "TIME", value_parser = life, default_value = "10s")]
    pub(crate) drain: Duration,
    /// How the log is written to standard error; RUST_LOG says how much
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}
