//! Revoke: what `revoke` and `revocations` are told.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hardtack::chain::{IdPrefix, IdPrefixError};
use hardtack::{PublicKey, RevocationId};

use super::{database, life, public_key};

/// Revoke a hop, a subject, an agent or a key, and everything below it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack revoke --store hardtack.store --dry-run \\
      --agent agent.researcher --reason 'ran wild'
  hardtack revoke --store hardtack.store \\
      --agent agent.researcher --reason 'ran wild'

What to revoke (`hardtack inspect --json` shows ids):
  a stolen device or key    --holder: the key, for good
  one agent of one chain    --id: the hop made for it
  a session of a subject    --id: its grant; others go on
  an account                --subject: all grants up to now
  what an agent has by now  --agent: all hops to the name,
                            under grants issued up to now
--subject and --agent cover a minute more, since clocks differ: a grant that is issued within that minute \
is refused, too, until it expires; one that is issued later is a new one.

While a gateway runs, no other process can write to its store. Ask the gateway to revoke:
  hardtack revoke --at http://127.0.0.1:8080 \\
      --audience notion.mcp/hardtack \\
      --key orchestrator.key --capability grant.token \\
      --proof researcher.token \\
      --id HEX --reason 'laptop stolen'
The capability must be valid for that audience: if a grant or hop names audiences, it must name this one. The \
capability says in whose name it is revoked.")]
pub(crate) struct Revoke {
    /// The store (`hardtack store create` makes one)
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["at", "database"],
        conflicts_with_all = ["at", "database"]
    )]
    pub(crate) store: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) database: database::DatabaseSettings,
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(flatten)]
    pub(crate) what: Revoked,
    /// Of grants by this root only (ed25519/…, PEM, or @FILE); with --subject
    #[arg(long, value_name = "PUB", value_parser = public_key, conflicts_with_all = ["id", "ids", "agent", "holder"])]
    pub(crate) root: Option<PublicKey>,
    /// Ban the agent's name for good, under later grants, too; with --agent. Nothing takes that back, and the
    /// agent's delegator can choose another name: what stops the agent under any name is --holder
    #[arg(long, conflicts_with_all = ["id", "ids", "subject", "holder"])]
    pub(crate) for_good: bool,
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// In whose name; without it, the environment's USER
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Show what would be stopped, and revoke nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait so long at most, 10m at most, until it is in force at every gateway that is enrolled with the feed, and say where it is; with
    /// --at, and the scope hardtack:gateways. Exit code 3 if it is not known to stop everywhere by then
    #[arg(long, value_name = "TIME", value_parser = waiting, requires = "at", conflicts_with = "dry_run")]
    pub(crate) wait: Option<Duration>,
}

/// A gateway that revokes, and with what right it is asked to.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// The gateway to ask instead of a store of one's own
    #[arg(
        long,
        value_name = "URL",
        requires_all = ["audience", "key", "capability"],
        conflicts_with_all = ["ids", "database"]
    )]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) presented: Presented,
    /// The capability that is presented: with the scope hardtack:revoke, or of whoever delegated the hop;
    /// with --at
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) capability: Option<PathBuf>,
    /// A token that contains the hop, which whoever delegated it has; with --at
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) proof: Option<PathBuf>,
}

/// By whom and to whom a capability is presented, with --at.
#[derive(Debug, Args)]
pub(crate) struct Presented {
    /// Ask over plain HTTP at this host, where nobody can be on the way who would read the request or forge its answer
    #[arg(long, value_name = "HOST", requires = "at")]
    pub(crate) allow_plain_http: Option<String>,
    /// Its audience for revocations; with --at
    #[arg(long, value_name = "AUDIENCE", requires = "at")]
    pub(crate) audience: Option<String>,
    /// The private key of the capability's holder; with --at
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) key: Option<PathBuf>,
}

/// An id, or how one begins.
#[derive(Debug, Clone)]
pub(crate) enum GivenId {
    Whole(RevocationId),
    Beginning(IdPrefix),
}

impl std::str::FromStr for GivenId {
    type Err = IdPrefixError;

    fn from_str(text: &str) -> Result<GivenId, IdPrefixError> {
        match text.parse() {
            Ok(id) => Ok(GivenId::Whole(id)),
            Err(_) => text.parse().map(GivenId::Beginning),
        }
    }
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Revoked {
    /// A block's id: the hop made for an agent, and all below it. Whole, or the first 16 digits or more, as shown,
    /// of one that the store has seen
    #[arg(long, value_name = "HEX")]
    pub(crate) id: Option<GivenId>,
    /// Many ids at once, one a line, all or none; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
    /// Every grant of a subject that was issued up to now
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<String>,
    /// What an agent of this name holds by now: every chain with a hop to it whose grant was issued up to now
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Everything bound to this key (ed25519/…, PEM, or @FILE)
    #[arg(long, value_name = "PUB", value_parser = public_key)]
    pub(crate) holder: Option<PublicKey>,
}

/// List what is revoked, or draw which agents it stopped
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack revocations --store hardtack.store
  hardtack revocations --store hardtack.store --tree
  hardtack revocations --tree \\
      --database 'host=db user=gateway dbname=hardtack' \\
      --database-password-file gateway.password")]
pub(crate) struct Revocations {
    /// The store
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "database",
        conflicts_with = "database"
    )]
    pub(crate) store: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) database: database::DatabaseSettings,
    /// The chains that were seen, who is live in them and who is stopped by what
    #[arg(long)]
    pub(crate) tree: bool,
    /// As one JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// The longest that `revoke --wait` waits: whoever is silent for longer has to be looked after otherwise.
const MAX_WAIT: Duration = Duration::from_secs(600);

fn waiting(text: &str) -> Result<Duration, String> {
    let time = life(text)?;
    let is_whole = time.subsec_nanos() == 0 && (1..=MAX_WAIT.as_secs()).contains(&time.as_secs());
    is_whole.then_some(time).ok_or_else(|| "wait 1s to 10m, in whole seconds".to_owned())
}
