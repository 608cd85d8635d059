//! Gateway and agent: what can be typed, set in the environment, or written into a file.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::args::database::DatabaseSettings;
use crate::args::life;
use crate::args::server::{ServerSettings, list, one_or_more, texts, trim};

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

A gateway in front of several servers has a [[server]] for each in the file, with a name, a path and what the options from \
--upstream to --authorization-server say of a single server (docs/servers.md).

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
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// What the only server is told, where there are no others.
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) own: ServerSettings,
    /// Where to listen; 127.0.0.1:8080 if nothing is said
    #[arg(long, value_name = "ADDR", env = "HARDTACK_LISTEN")]
    pub(crate) listen: Option<String>,
    /// The certificate by which clients know this server, which then speaks TLS: a PEM file, its own first. Read again when it changes
    /// and on SIGHUP, as are the two below
    #[arg(long, value_name = "FILE", env = "HARDTACK_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of that certificate: a PEM file
    #[arg(long, value_name = "FILE", env = "HARDTACK_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Take only clients that have a certificate of one of these authorities (mutual TLS): a PEM file
    #[arg(long, value_name = "FILE", env = "HARDTACK_TLS_CLIENT_CA")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are answered besides; /metrics is there alone then. Put it where only
    /// whoever runs the gateway can reach it
    #[arg(long, value_name = "ADDR", env = "HARDTACK_ADMIN_LISTEN")]
    pub(crate) admin_listen: Option<String>,
    /// A trusted root key, or ID=PUB to trust it for tokens that carry this key id only; PUB is ed25519/…, PEM, or @FILE, which
    /// is read again when it changes and on SIGHUP. May be repeated, or a list with commas
    #[arg(long, value_name = "PUB", num_args = 1.., env = "HARDTACK_ROOT", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) root: Vec<String>,
    /// The store that `hardtack store create` made: revocations and records
    #[arg(long, value_name = "FILE", env = "HARDTACK_STORE")]
    pub(crate) store: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) database: DatabaseSettings,
    /// Follow the feed of revocations at this URL, such as http://10.0.0.5:8090/feed: what is revoked there is refused here, and where the
    /// feed is not heard for 30 seconds, everything is
    #[arg(long, value_name = "URL", env = "HARDTACK_FEED")]
    pub(crate) feed: Option<String>,
    /// The public key of that feed, as its gateway says it when it starts
    #[arg(long, value_name = "KEY", env = "HARDTACK_FEED_KEY")]
    pub(crate) feed_key: Option<String>,
    /// The file for the last checkpoint of that feed, so that nothing older is believed; STORE.feed-position if nothing is said
    #[arg(long, value_name = "FILE", env = "HARDTACK_FEED_POSITION")]
    pub(crate) feed_position: Option<PathBuf>,
    /// Publish a feed of what is revoked in this store, at this address: let only your verifiers reach it
    #[arg(long, value_name = "ADDR", env = "HARDTACK_FEED_LISTEN")]
    pub(crate) feed_listen: Option<String>,
    /// The private key that signs that feed, and nothing else
    #[arg(long, value_name = "FILE", env = "HARDTACK_FEED_SIGNING_KEY")]
    pub(crate) feed_signing_key: Option<PathBuf>,
    /// The file for what that feed signed last; STORE.feed-state if nothing is said. Keep it out of what restores the store
    #[arg(long, value_name = "FILE", env = "HARDTACK_FEED_STATE")]
    pub(crate) feed_state: Option<PathBuf>,
    /// Begin the epoch of this number, larger than the last, after the store was restored: every grant issued before is refused
    #[arg(long, value_name = "NUMBER", env = "HARDTACK_FEED_NEW_EPOCH")]
    pub(crate) feed_new_epoch: Option<u64>,
    /// Who may read that feed: enrolled gateways, or anyone who reaches it; enrolled if nothing is said, but on a loopback address anyone until
    /// a gateway is enrolled
    #[arg(long, value_name = "WHO", env = "HARDTACK_FEED_READERS")]
    pub(crate) feed_readers: Option<FeedReaders>,
    /// The file of the gateways that are enrolled with that feed (hardtack gateways); STORE.feed-gateways if nothing is said
    #[arg(long, value_name = "FILE", env = "HARDTACK_FEED_GATEWAYS")]
    pub(crate) feed_gateways: Option<PathBuf>,
    /// The name under which this gateway is enrolled with the feed that it follows
    #[arg(long, value_name = "NAME", env = "HARDTACK_GATEWAY_NAME")]
    pub(crate) gateway_name: Option<String>,
    /// The private key of this gateway, by which it signs what it asks of that feed, and tells it what is in force here
    #[arg(long, value_name = "FILE", env = "HARDTACK_GATEWAY_KEY")]
    pub(crate) gateway_key: Option<PathBuf>,
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
    /// The audience for requests to revoke; the server's own with /hardtack if nothing is said
    #[arg(long, value_name = "AUDIENCE", env = "HARDTACK_REVOCATION_AUDIENCE")]
    pub(crate) revocation_audience: Option<String>,
    /// Answer before records are on disk, and lose this many at most in a crash; 0 if nothing is said
    #[arg(long, value_name = "RECORDS", env = "HARDTACK_LOSING_AT_MOST")]
    pub(crate) losing_at_most: Option<usize>,
    /// Once an hour, move records that are older than this, such as 30days, into files in --archives, which verify by themselves; records
    /// stay in the store if nothing is said
    #[arg(long, value_name = "TIME", env = "HARDTACK_ARCHIVE_AFTER")]
    pub(crate) archive_after: Option<String>,
    /// The folder for them, which must exist
    #[arg(long, value_name = "DIR", env = "HARDTACK_ARCHIVES")]
    pub(crate) archives: Option<PathBuf>,
    /// How long requests under way may go on after SIGTERM; 10s if nothing is said
    #[arg(long, value_name = "TIME", env = "HARDTACK_DRAIN")]
    pub(crate) drain: Option<String>,
    /// How the log is written to standard error: text or json. RUST_LOG says how much
    #[arg(long, value_name = "FORMAT", env = "HARDTACK_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// Who may read a feed that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FeedReaders {
    /// Gateways that are enrolled, which sign each request
    Enrolled,
    /// Whoever reaches it
    Anyone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Settings {
    /// The lists without the spaces that people write after commas.
    pub(crate) fn trimmed(mut self) -> Settings {
        trim([&mut self.root, &mut self.allow_host, &mut self.allow_origin]);
        self.own = self.own.trimmed();
        self
    }

    /// Every text in it, with its key, but what the only server is told.
    pub(crate) fn texts(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let one = [
            ("listen", &self.listen),
            ("admin-listen", &self.admin_listen),
            ("revocation-audience", &self.revocation_audience),
            ("archive-after", &self.archive_after),
            ("drain", &self.drain),
            ("feed", &self.feed),
            ("feed-key", &self.feed_key),
            ("feed-listen", &self.feed_listen),
            ("gateway-name", &self.gateway_name),
        ];
        let files = [
            ("tls-cert", &self.tls_cert),
            ("tls-key", &self.tls_key),
            ("tls-client-ca", &self.tls_client_ca),
            ("store", &self.store),
            ("archives", &self.archives),
            ("feed-position", &self.feed_position),
            ("feed-signing-key", &self.feed_signing_key),
            ("feed-state", &self.feed_state),
            ("feed-gateways", &self.feed_gateways),
            ("gateway-key", &self.gateway_key),
        ];
        let lists = [
            ("root", &self.root),
            ("allow-host", &self.allow_host),
            ("allow-origin", &self.allow_origin),
        ];
        let mut all = texts(&one, &files, &lists);
        all.extend(self.database.texts());
        all
    }

    /// The keys of what is told otherwise in `other`, but what the only server is told.
    pub(crate) fn differing(&self, other: &Settings) -> Vec<&'static str> {
        // Each by its name, so that none that is new is left out.
        let Settings {
            own: _,
            listen,
            tls_cert,
            tls_key,
            tls_client_ca,
            admin_listen,
            root,
            store,
            database,
            feed,
            feed_key,
            feed_position,
            feed_listen,
            feed_signing_key,
            feed_state,
            feed_new_epoch,
            feed_readers,
            feed_gateways,
            gateway_name,
            gateway_key,
            allow_host,
            allow_origin,
            revocation_audience,
            losing_at_most,
            archive_after,
            archives,
            drain,
            log_format,
        } = self;
        let all = [
            ("listen", *listen != other.listen),
            ("tls-cert", *tls_cert != other.tls_cert),
            ("tls-key", *tls_key != other.tls_key),
            ("tls-client-ca", *tls_client_ca != other.tls_client_ca),
            ("admin-listen", *admin_listen != other.admin_listen),
            ("root", *root != other.root),
            ("store", *store != other.store),
            ("feed", *feed != other.feed),
            ("feed-key", *feed_key != other.feed_key),
            ("feed-position", *feed_position != other.feed_position),
            ("feed-listen", *feed_listen != other.feed_listen),
            ("feed-signing-key", *feed_signing_key != other.feed_signing_key),
            ("feed-state", *feed_state != other.feed_state),
            ("feed-new-epoch", *feed_new_epoch != other.feed_new_epoch),
            ("feed-readers", *feed_readers != other.feed_readers),
            ("feed-gateways", *feed_gateways != other.feed_gateways),
            ("gateway-name", *gateway_name != other.gateway_name),
            ("gateway-key", *gateway_key != other.gateway_key),
            ("allow-host", *allow_host != other.allow_host),
            ("allow-origin", *allow_origin != other.allow_origin),
            ("revocation-audience", *revocation_audience != other.revocation_audience),
            ("losing-at-most", *losing_at_most != other.losing_at_most),
            ("archive-after", *archive_after != other.archive_after),
            ("archives", *archives != other.archives),
            ("drain", *drain != other.drain),
            ("log-format", *log_format != other.log_format),
        ];
        let own = all.into_iter().filter_map(|(key, differs)| differs.then_some(key));
        own.chain(database.differing(&other.database)).collect()
    }

    /// Takes from `other` what is not said here.
    pub(crate) fn or(self, other: Settings) -> Settings {
        Settings {
            own: self.own.or(other.own),
            listen: self.listen.or(other.listen),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_client_ca: self.tls_client_ca.or(other.tls_client_ca),
            admin_listen: self.admin_listen.or(other.admin_listen),
            root: list(self.root, other.root),
            store: self.store.or(other.store),
            database: self.database.or(other.database),
            feed: self.feed.or(other.feed),
            feed_key: self.feed_key.or(other.feed_key),
            feed_position: self.feed_position.or(other.feed_position),
            feed_listen: self.feed_listen.or(other.feed_listen),
            feed_signing_key: self.feed_signing_key.or(other.feed_signing_key),
            feed_state: self.feed_state.or(other.feed_state),
            feed_new_epoch: self.feed_new_epoch.or(other.feed_new_epoch),
            feed_readers: self.feed_readers.or(other.feed_readers),
            feed_gateways: self.feed_gateways.or(other.feed_gateways),
            gateway_name: self.gateway_name.or(other.gateway_name),
            gateway_key: self.gateway_key.or(other.gateway_key),
            allow_host: list(self.allow_host, other.allow_host),
            allow_origin: list(self.allow_origin, other.allow_origin),
            revocation_audience: self.revocation_audience.or(other.revocation_audience),
            losing_at_most: self.losing_at_most.or(other.losing_at_most),
            archive_after: self.archive_after.or(other.archive_after),
            archives: self.archives.or(other.archives),
            drain: self.drain.or(other.drain),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

/// Sign for an agent runtime that has no token: plain MCP in, a fresh presentation out
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack agent --key researcher.key \\
      --capability researcher.token --audience notion.mcp \\
      --to http://127.0.0.1:8080/mcp --listen 127.0.0.1:8081
  hardtack agent --stdio --key researcher.key \\
      --capability researcher.token --audience notion.mcp \\
      --to http://127.0.0.1:8080/mcp

The first is for a runtime that is given a URL: http://127.0.0.1:8081/mcp, and no token. Whoever can reach that \
address acts as the agent, so it is on loopback. The second is for a client that starts a command.

`hardtack connect CLIENT` prints what to paste into its settings.")]
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
    /// Speak MCP on standard input and output, a message a line, instead of listening: for a client that starts this command
    #[arg(long, conflicts_with_all = ["listen", "listen_beyond_loopback", "allow_host", "allow_origin"])]
    pub(crate) stdio: bool,
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
    /// How long requests under way may go on after SIGTERM, or after standard input is closed
    #[arg(long, value_name = "TIME", value_parser = life, default_value = "10s")]
    pub(crate) drain: Duration,
    /// How the log is written to standard error; RUST_LOG says how much
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Be the server that a client starts: gateway and agent in one process, in front of the client's own server
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hardtack wrap --key researcher.key \\
      --capability researcher.token --audience git.mcp \\
      --root @root.pub --store wrap.store -- \\
      uvx mcp-server-git --repository /srv/site

It speaks MCP on standard input and output. The server is called only as the capability and the policies allow. That \
binds a client that has no shell: with one, it could start the server by itself. Each client needs a store of its own.")]
pub(crate) struct Wrap {
    /// The private key of the capability's holder: a regular file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The capability, bound to this key: a regular file; read again for every presentation
    #[arg(long, value_name = "FILE")]
    pub(crate) capability: PathBuf,
    /// The name of the server, to which the capability is presented
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: String,
    /// A trusted root key: ed25519/…, PEM, or @FILE, which is read again when it changes. May be repeated
    #[arg(long, value_name = "PUB", required = true)]
    pub(crate) root: Vec<String>,
    /// The store that `hardtack store create` made: revocations and records
    #[arg(long, value_name = "FILE")]
    pub(crate) store: PathBuf,
    /// The folder of policies, read again when it changes; without it, what is granted is allowed
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// A variable of the environment that the server gets: NAME, or NAME=@FILE. May be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Vec<String>,
    /// How long requests under way may go on after SIGTERM, or after standard input is closed
    #[arg(long, value_name = "TIME", value_parser = life, default_value = "10s")]
    pub(crate) drain: Duration,
    /// How the log is written to standard error; RUST_LOG says how much
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// The server and its arguments, behind --
    #[arg(value_name = "SERVER", last = true, required = true)]
    pub(crate) server: Vec<String>,
}
