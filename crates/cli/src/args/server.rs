//! Server: what a gateway can be told of a server in front of which it stands, be it the only one or one of several.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Deserializer};

/// What a gateway can be told of one server: by options of the only one, by a `[[server]]` of one of several. Keys are called as the
/// options are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ServerSettings {
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
    /// A header that the upstream server is sent, such as X-API-Key=@FILE, X-API-Key=env:VARIABLE, or
    /// 'X-API-Key=command:PROGRAM ARGUMENTS', which says each subject's own. Files are read again when they change. May be repeated
    #[arg(long, value_name = "NAME=FROM", env = "HARDTACK_UPSTREAM_HEADER")]
    #[serde(deserialize_with = "one_or_more_whole")]
    pub(crate) upstream_header: Vec<String>,
    /// How long what a command says is used for its subject; 5m if nothing is said
    #[arg(long, value_name = "TIME", env = "HARDTACK_UPSTREAM_HEADER_KEPT")]
    pub(crate) upstream_header_kept: Option<String>,
    /// A PEM file with the authorities that alone vouch for an https:// upstream; those of the system if nothing is said
    #[arg(long, value_name = "FILE", env = "HARDTACK_UPSTREAM_CA")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// A PEM file with the certificate by which the gateway names itself to an https:// upstream
    #[arg(long, value_name = "FILE", env = "HARDTACK_UPSTREAM_CERT")]
    pub(crate) upstream_cert: Option<PathBuf>,
    /// A PEM file with that certificate's private key
    #[arg(long, value_name = "FILE", env = "HARDTACK_UPSTREAM_KEY")]
    pub(crate) upstream_key: Option<PathBuf>,
    /// An authorization server that gives out the gateway's own token for the upstream; in the file alone.
    #[arg(skip)]
    pub(crate) upstream_oauth: Option<OAuthSettings>,
    /// Send these credentials over plain HTTP to this host, where nobody can be on the way who would read them
    #[arg(long, value_name = "HOST", env = "HARDTACK_ALLOW_PLAIN_HTTP")]
    pub(crate) allow_plain_http: Option<String>,
    /// How long the upstream server may take until it begins to answer; if nothing is said, 5m, and for calls what
    /// --longest-answer says
    #[arg(long, value_name = "TIME", env = "HARDTACK_UPSTREAM_TIMEOUT")]
    pub(crate) upstream_timeout: Option<String>,
    /// How many bytes a message to the server may have, from 1024 to 8388608; 4194304 (4 MiB) if nothing
    /// is said. Policies see large arguments by their kind, size and digest
    #[arg(long, value_name = "BYTES", env = "HARDTACK_MESSAGE_LIMIT")]
    pub(crate) message_limit: Option<u64>,
    /// Let arguments have integers beyond ±(2^53-1), up to 64 bits, for a server that reads them exactly. They are refused
    /// if nothing is said, because many programs round them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", env = "HARDTACK_LARGE_INTEGERS")]
    pub(crate) large_integers: Option<bool>,
    /// How long the answer to a call may flow, beyond the presentation with which it began; 1h if nothing is said. It ends
    /// before with the grant or a hop, and when something in the chain is revoked
    #[arg(long, value_name = "TIME", env = "HARDTACK_LONGEST_ANSWER")]
    pub(crate) longest_answer: Option<String>,
    /// A scheme of resources that is judged, such as memo: these alone. Without it, https, http and file are,
    /// and what the server's own lists of resources name. May be repeated, or a list with commas
    #[arg(long, value_name = "SCHEME", env = "HARDTACK_RESOURCE_SCHEME", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) resource_scheme: Vec<String>,
    /// How a refused call of a valid token is answered: message (HTTP 200, the model sees why) or
    /// challenge (HTTP 403, with a challenge where a scope is missing)
    #[arg(long, value_name = "STYLE", env = "HARDTACK_REFUSALS")]
    pub(crate) refusals: Option<Refusals>,
    /// This server's own URL, for the metadata that --authorization-server asks for
    #[arg(long, value_name = "URL", env = "HARDTACK_RESOURCE")]
    pub(crate) resource: Option<String>,
    /// An OAuth authorization server that gives out tokens for this server (RFC 9728). May be repeated, or a
    /// list with commas
    #[arg(long, value_name = "URL", env = "HARDTACK_AUTHORIZATION_SERVER", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) authorization_server: Vec<String>,
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

/// The client that the gateway is at an authorization server (`upstream-oauth`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct OAuthSettings {
    pub(crate) token_url: String,
    pub(crate) client_id: String,
    /// `@FILE` or `env:VARIABLE`.
    pub(crate) client_secret: String,
    pub(crate) scope: Option<String>,
    pub(crate) resource: Option<String>,
}

/// A text, or a list of them, each perhaps several with commas between them, as on the command line.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let texts = one_or_more_whole(deserializer)?;
    Ok(texts.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect())
}

/// A text, or a list of them, each with whatever commas are in it.
fn one_or_more_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    OneOrMore::deserialize(deserializer).map(|texts| match texts {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    })
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

/// Every text of these, with its key.
pub(super) fn texts<'a>(
    one: &[(&'static str, &'a Option<String>)],
    files: &[(&'static str, &'a Option<PathBuf>)],
    lists: &[(&'static str, &'a Vec<String>)],
) -> Vec<(&'static str, Cow<'a, str>)> {
    let one = one.iter().filter_map(|(key, text)| Some((*key, text.as_deref()?.into())));
    let files =
        files.iter().filter_map(|(key, path)| Some((*key, path.as_deref()?.to_string_lossy())));
    let lists = lists
        .iter()
        .flat_map(|(key, texts)| texts.iter().map(move |text| (*key, text.as_str().into())));
    one.chain(files).chain(lists).collect()
}

/// Takes away the spaces that people write after commas.
pub(super) fn trim<const N: usize>(lists: [&mut Vec<String>; N]) {
    for text in lists.into_iter().flatten() {
        *text = text.trim().to_owned();
    }
}

/// The first list, if it says anything.
pub(super) fn list<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}

impl ServerSettings {
    /// The lists without the spaces that people write after commas.
    pub(crate) fn trimmed(mut self) -> ServerSettings {
        trim([
            &mut self.resource_scheme,
            &mut self.authorization_server,
            &mut self.upstream_header,
            &mut self.upstream_env,
        ]);
        self
    }

    /// Every text in it, with its key.
    pub(crate) fn texts(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let one = [
            ("upstream", &self.upstream),
            ("upstream-command", &self.upstream_command),
            ("upstream-idle", &self.upstream_idle),
            ("audience", &self.audience),
            ("upstream-authorization-env", &self.upstream_authorization_env),
            ("allow-plain-http", &self.allow_plain_http),
            ("upstream-timeout", &self.upstream_timeout),
            ("longest-answer", &self.longest_answer),
            ("upstream-header-kept", &self.upstream_header_kept),
            ("resource", &self.resource),
        ];
        let files = [
            ("upstream-folder", &self.upstream_folder),
            ("policies", &self.policies),
            ("shadow", &self.shadow),
            ("upstream-authorization-file", &self.upstream_authorization_file),
            ("upstream-ca", &self.upstream_ca),
            ("upstream-cert", &self.upstream_cert),
            ("upstream-key", &self.upstream_key),
        ];
        let lists = [
            ("resource-scheme", &self.resource_scheme),
            ("authorization-server", &self.authorization_server),
            ("upstream-header", &self.upstream_header),
            ("upstream-env", &self.upstream_env),
        ];
        let mut all = texts(&one, &files, &lists);
        for OAuthSettings { token_url, client_id, client_secret, scope, resource } in
            self.upstream_oauth.iter()
        {
            let parts = [
                Some(token_url),
                Some(client_id),
                Some(client_secret),
                scope.as_ref(),
                resource.as_ref(),
            ];
            all.extend(parts.into_iter().flatten().map(|text| ("upstream-oauth", text.into())));
        }
        all
    }

    /// The keys of all that is told.
    pub(crate) fn keys(&self) -> Vec<&'static str> {
        let mut keys: Vec<&'static str> = self.texts().iter().map(|(key, _)| *key).collect();
        keys.extend(self.keep_requests.map(|_| "keep-requests"));
        keys.extend(self.refusals.map(|_| "refusals"));
        keys.extend(self.message_limit.map(|_| "message-limit"));
        keys.extend(self.large_integers.map(|_| "large-integers"));
        keys.dedup();
        keys
    }

    /// Takes from `other` what is not said here.
    pub(crate) fn or(self, other: ServerSettings) -> ServerSettings {
        // One of the two is the upstream, wherever it stands.
        let (upstream, upstream_command) = match (self.upstream, self.upstream_command) {
            (None, None) => (other.upstream, other.upstream_command),
            said => said,
        };
        ServerSettings {
            upstream,
            upstream_command,
            upstream_env: list(self.upstream_env, other.upstream_env),
            upstream_folder: self.upstream_folder.or(other.upstream_folder),
            upstream_idle: self.upstream_idle.or(other.upstream_idle),
            audience: self.audience.or(other.audience),
            policies: self.policies.or(other.policies),
            shadow: self.shadow.or(other.shadow),
            keep_requests: self.keep_requests.or(other.keep_requests),
            upstream_authorization_file: self
                .upstream_authorization_file
                .or(other.upstream_authorization_file),
            upstream_authorization_env: self
                .upstream_authorization_env
                .or(other.upstream_authorization_env),
            upstream_header: list(self.upstream_header, other.upstream_header),
            upstream_header_kept: self.upstream_header_kept.or(other.upstream_header_kept),
            upstream_ca: self.upstream_ca.or(other.upstream_ca),
            upstream_cert: self.upstream_cert.or(other.upstream_cert),
            upstream_key: self.upstream_key.or(other.upstream_key),
            upstream_oauth: self.upstream_oauth.or(other.upstream_oauth),
            allow_plain_http: self.allow_plain_http.or(other.allow_plain_http),
            upstream_timeout: self.upstream_timeout.or(other.upstream_timeout),
            message_limit: self.message_limit.or(other.message_limit),
            large_integers: self.large_integers.or(other.large_integers),
            longest_answer: self.longest_answer.or(other.longest_answer),
            resource_scheme: list(self.resource_scheme, other.resource_scheme),
            refusals: self.refusals.or(other.refusals),
            resource: self.resource.or(other.resource),
            authorization_server: list(self.authorization_server, other.authorization_server),
        }
    }
}
