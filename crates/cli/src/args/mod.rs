//! Arguments: what can be typed.

mod audit;
mod check;
pub(crate) mod connect;
pub(crate) mod database;
pub(crate) mod decide;
pub(crate) mod gateway;
pub(crate) mod gateways;
pub(crate) mod policy;
pub(crate) mod serve;
pub(crate) mod server;
pub(crate) mod setup;
mod revoke;
mod store;
pub(crate) mod tree;
mod usage;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use hardtack::PublicKey;
use hardtack::keys::KeyError;

pub(crate) use audit::{Audit, AuditListing, AuditTask, AuditVerify};
pub(crate) use check::{Can, Check, Deciding};
pub(crate) use revoke::{GivenId, Presented, Revocations, Revoke, Revoked};
pub(crate) use store::{Restore, Store, StoreTask};
pub(crate) use usage::parse;

use crate::reading::{self, MAX_PUBLIC_KEY_BYTES};

/// `check`: the call is denied.
pub(crate) const EXIT_DENIED: u8 = 1;

/// `revoke --wait`: it is revoked, and not known to stop everywhere.
pub(crate) const EXIT_NOT_EVERYWHERE: u8 = 3;

/// `check`: undecided. All verbs: wrong usage, or failed.
pub(crate) const EXIT_FAILED: u8 = 2;

/// Where an option of every verb stands in its help: behind those of the verb, before --help, whose place is 1000 (clap).
const LAST: usize = 999;

/// How much of an explanation is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Detail {
    /// The cause, what is nearest to allowing it, and the least that helps
    Short,
    /// Every step as well, and whatever else would help
    Full,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Capability tokens for AI agents: delegated offline, narrowed at every hop, verified offline,
/// revoked from above.
///
/// Tokens come in on standard input and go out on standard output. Start with `hardtack demo`.
#[derive(Debug, Parser)]
#[command(name = "hardtack", version, styles = STYLES, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done or allowed, 1 denied, 2 undecided, wrong usage or failed, 3 revoked and not known to be \
in force everywhere (revoke --wait), 141 whoever read \
the output went away before its end."
)]
pub(crate) struct Arguments {
    /// Take a private key from a file that others can read, too, such as a mounted secret of mode 0444
    #[arg(long, global = true, env = "HARDTACK_ACCEPT_EXPOSED_KEY", value_parser = BoolishValueParser::new(), display_order = LAST)]
    pub(crate) accept_exposed_key: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(setup::Init),
    Doctor(Box<setup::Doctor>),
    Keygen(Keygen),
    Pubkey(Pubkey),
    Mint(Mint),
    Delegate(Delegate),
    Present(Present),
    Inspect(Inspect),
    Check(Check),
    Can(Can),
    Revoke(Box<Revoke>),
    Revocations(Revocations),
    Tree(Box<tree::Tree>),
    Audit(Audit),
    Policy(policy::Policy),
    Store(Store),
    Database(database::Database),
    Gateway(Box<gateway::Gateway>),
    Gateways(Box<gateways::Gateways>),
    Agent(gateway::Agent),
    Wrap(gateway::Wrap),
    Connect(connect::Connect),
    Decide(decide::Decide),
    Serve(serve::Serve),
    Demo(Demo),
    Completions(setup::Completions),
    Man(setup::Man),
}

/// Walk the whole life of a capability in a scratch folder, and show each refusal
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hardtack demo\n  hardtack demo --mcp\n  hardtack demo --mcp --keep"
)]
pub(crate) struct Demo {
    /// Over MCP: a tool server and a gateway on loopback, and a real client
    #[arg(long)]
    pub(crate) mcp: bool,
    /// Stay up and print a URL, a token and what to paste into each agent runtime; with --mcp
    #[arg(long, requires = "mcp")]
    pub(crate) keep: bool,
}

/// Make a key pair: the private key into a new file (mode 0600), the public key on stdout
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hardtack keygen --out root.key \\
      && hardtack pubkey root.key > root.pub

A file that is there is not overwritten, and root.pub stays as it is then.")]
pub(crate) struct Keygen {
    /// The new file for the private key
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Write PEM (PKCS #8) instead of Biscuit's text form
    #[arg(long)]
    pub(crate) pem: bool,
}

/// Print the public half of a private key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hardtack pubkey root.key > root.pub")]
pub(crate) struct Pubkey {
    /// The private key
    #[arg(value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Write PEM (SubjectPublicKeyInfo) instead of Biscuit's text form
    #[arg(long)]
    pub(crate) pem: bool,
}

/// Sign a grant: what a subject may do, for the holder of a key to pass on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack keygen --out orchestrator.key \\
      && hardtack pubkey orchestrator.key > orchestrator.pub
  hardtack mint --key root.key --subject user:alice \\
      --scope 'tools:call:*' --audience notion.mcp \\
      --holder @orchestrator.pub > grant.token")]
pub(crate) struct Mint {
    /// The root's private key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Whose rights these are, such as user:alice
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: String,
    /// What may be done, such as tools:call:search or tools:call:*
    #[arg(long, value_name = "SCOPE", required = true, num_args = 1..)]
    pub(crate) scope: Vec<String>,
    /// Where it may be used; without one, a hop or the presentation names it
    #[arg(long, value_name = "AUDIENCE", num_args = 1..)]
    pub(crate) audience: Vec<String>,
    #[command(flatten)]
    pub(crate) holder: Holder,
    /// How long it lives, 24h at most
    #[arg(long, value_name = "TIME", value_parser = life, default_value = "1h")]
    pub(crate) ttl: Duration,
    /// What every call's arguments must satisfy, such as 'amount <= 500'; may be repeated
    #[arg(long, value_name = "CONSTRAINT")]
    pub(crate) allow: Vec<String>,
    /// A further fact about the subject that policies may read, such as 'role("editor")'
    #[arg(long, value_name = "DATALOG")]
    pub(crate) fact: Vec<String>,
    /// How many hops may follow, 13 at most
    #[arg(long, value_name = "HOPS", default_value_t = 8)]
    pub(crate) max_depth: u8,
    /// A hint to verifiers that trust several root keys which one this is
    #[arg(long, value_name = "N")]
    pub(crate) key_id: Option<u32>,
}

/// Pass on a part of a capability, offline: the token on stdin, the narrower one on stdout
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack keygen --out researcher.key \\
      && hardtack pubkey researcher.key > researcher.pub
  hardtack delegate --key orchestrator.key \\
      --to agent.researcher --scope tools:call:search \\
      --reason 'find the roadmap page' \\
      --holder @researcher.pub \\
      < grant.token > researcher.token

What --allow takes (docs/constraints.md has them all; text in double quotes, whole numbers):
  'amount <= 100'          'amount between 1 and 100'
  'mode == read'           'currency in [\"EUR\", \"USD\"]'
  'path within /srv/data'  'title length <= 80'
  'query required'         'force absent'
  'each tag in [a, b]'     'file like \"report-*.pdf\"'
  'only path, mode'        'name ends with \".pdf\"'
  'no other arguments'     'ip network 10.0.0.0/8'
  'webhook url https://*.example.com'
  'the resource within file:///srv/data'
  'note? length <= 500' (it may be absent)
  'amount <= 5 or approved == true'")]
pub(crate) struct Delegate {
    /// The private key of the token's holder; left out only where the token names none
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// What you call the agent to which you delegate
    #[arg(long, value_name = "AGENT")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) holder: Holder,
    /// What it may do; covered by a scope of the token
    #[arg(long, value_name = "SCOPE", required = true, num_args = 1..)]
    pub(crate) scope: Vec<String>,
    /// Why, in one line; records and refusals show it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Where it may be used; among the token's audiences, which are kept without this
    #[arg(long, value_name = "AUDIENCE", num_args = 1..)]
    pub(crate) audience: Vec<String>,
    /// How long it lives: 15m or what is left of the token, 1h at most
    #[arg(long, value_name = "TIME", value_parser = life)]
    pub(crate) ttl: Option<Duration>,
    /// What every call's arguments must satisfy, such as 'amount <= 100' or 'path within /srv/data'; may be
    /// repeated (docs/constraints.md lists the forms)
    #[arg(long, value_name = "CONSTRAINT")]
    pub(crate) allow: Vec<String>,
    /// What every call must satisfy, in Datalog, such as 'check all arg("amount", $a), $a <= 100'
    #[arg(long, value_name = "DATALOG")]
    pub(crate) check: Vec<String>,
}

/// Who may use the token next.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Holder {
    /// The public key of whoever may use it (ed25519/…, PEM, or @FILE); without one, anybody who has it, which verifiers
    /// refuse
    #[arg(long, value_name = "PUB", value_parser = public_key)]
    pub(crate) holder: Option<PublicKey>,
    /// Make the holder's key on the way, and save the private half in this new file
    #[arg(long, value_name = "FILE")]
    pub(crate) new_holder: Option<PathBuf>,
}

/// Make the bearer token for one audience: the capability on stdin, the bearer on stdout
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack present --key researcher.key \\
      --audience notion.mcp \\
      < researcher.token > bearer.token
  hardtack present --key researcher.key \\
      --audience notion.mcp \\
      --call '{\"operation\": \"tools:call:search\",
               \"arguments\": {\"query\": \"roadmap\"}}' \\
      < researcher.token > once.token")]
pub(crate) struct Present {
    /// The private key of the capability's holder; left out only where it names none
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The server to which it is presented
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: String,
    /// How long it lives: 5m, 10m at most; for one call 60s, 2m at most
    #[arg(long, value_name = "TIME", value_parser = life)]
    pub(crate) ttl: Option<Duration>,
    /// Good for this one call only, and once: {"operation": …, "resource": …, "arguments": …}
    #[arg(long, value_name = "JSON")]
    pub(crate) call: Option<String>,
}

/// Show what a token says, without verifying anything of it: the token on stdin or in a file
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hardtack inspect < researcher.token\n  hardtack inspect researcher.token\n  hardtack inspect researcher.token \\\n      --format svg > token.svg"
)]
pub(crate) struct Inspect {
    /// A file with the token, instead of standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) drawn: tree::Drawn,
}

pub(crate) fn life(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "a time is written like 90s, 15m or 1h 30m".to_owned())
}

/// How the text of a file is read, and of at most how many bytes.
type Reader = fn(&Path, u64) -> Result<String, Box<dyn Error>>;

/// A public key, or `@` and the name of the file or pipe that holds one.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    public_key_by(text, reading::once)
}

fn public_key_by(text: &str, reader: Reader) -> Result<PublicKey, String> {
    let Some(path) = text.strip_prefix('@') else {
        return text.parse::<PublicKey>().map_err(|error| match error {
            KeyError::PublicText => {
                format!("{error}; a file with it is named behind @, as in @root.pub")
            }
            error => error.to_string(),
        });
    };
    let text = reader(Path::new(path), MAX_PUBLIC_KEY_BYTES);
    let text = text.map_err(|error| error.to_string())?;
    text.parse().map_err(|error: KeyError| format!("{path}: {error}"))
}

pub(crate) fn root(text: &str) -> Result<(Option<u32>, PublicKey), String> {
    let (id, key) = split_root(text)?;
    Ok((id, public_key(key)?))
}

/// The same for verbs that stay up, which read regular files alone.
pub(crate) fn regular_root(text: &str) -> Result<(Option<u32>, PublicKey), String> {
    let (id, key) = split_root(text)?;
    Ok((id, public_key_by(key, reading::regular)?))
}

/// The key id in front of a root key, if there is one, and what follows it.
pub(crate) fn split_root(text: &str) -> Result<(Option<u32>, &str), String> {
    let text = text.trim();
    // The base64 of PEM ends in `=`, too.
    match text.split_once('=').filter(|(id, _)| !id.contains("BEGIN")) {
        Some((id, rest)) if !id.starts_with('@') => {
            let id = id
                .parse()
                .map_err(|_| "a key id is a whole number, as in 1=ed25519/…".to_owned())?;
            Ok((Some(id), rest))
        }
        _ => Ok((None, text)),
    }
}
