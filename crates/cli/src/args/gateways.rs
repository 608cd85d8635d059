//! Gateways: what `gateways` is told.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hardtack::PublicKey;

use super::public_key;

/// Enrol, retire and list the gateways that follow a feed, and say where what is revoked is in force
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack keygen --out gw-1.key \\
      && hardtack pubkey gw-1.key > gw-1.pub
  hardtack gateways add gw-1 --key @gw-1.pub \\
      --store hardtack.store
  hardtack gateways list --store hardtack.store

Where the feed is published, the file beside the store is changed (--store FILE, or --registry FILE), also while the \
gateway runs. From afar, the gateway is asked:
  hardtack gateways list --at https://gateway.example \\
      --audience notion.mcp/hardtack \\
      --holder-key operator.key \\
      --capability operator.token
The capability needs the scope hardtack:gateways to list, and hardtack:enroll to add and to retire; `*` covers neither.

Exit codes: 0 done, 1 the gateway refused, 2 failed.")]
pub(crate) struct Gateways {
    #[command(subcommand)]
    pub(crate) task: GatewaysTask,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GatewaysTask {
    /// Enrol a gateway by the public key that it signs with
    Add(GatewaysAdd),
    /// Retire a gateway: nothing that it signs counts any more, and its key is never taken again
    Retire(GatewaysRetire),
    /// List the gateways that are enrolled; with --at, where what is revoked is in force
    List(GatewaysList),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack gateways add gw-1 --key @gw-1.pub \\
      --store hardtack.store
  hardtack gateways add gw-1 --key @gw-1.pub \\
      --at https://gateway.example \\
      --audience notion.mcp/hardtack \\
      --holder-key operator.key \\
      --capability operator.token

With --at, the capability needs the scope hardtack:enroll.")]
pub(crate) struct GatewaysAdd {
    /// A name for it, of the same form as an agent's
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The public key by which it signs (ed25519/…, PEM, or @FILE), which nothing else signs with
    #[arg(long, value_name = "PUB", value_parser = public_key)]
    pub(crate) key: PublicKey,
    #[command(flatten)]
    pub(crate) place: Enrolments,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  hardtack gateways retire gw-1 --store hardtack.store

With --at, the capability needs the scope hardtack:enroll. Whoever comes back enrols with a new key.")]
pub(crate) struct GatewaysRetire {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) place: Enrolments,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack gateways list --store hardtack.store
  hardtack gateways list --at https://gateway.example \\
      --audience notion.mcp/hardtack \\
      --holder-key operator.key \\
      --capability operator.token

With --at, the capability needs the scope hardtack:gateways, and the answer says where what is revoked is in force.")]
pub(crate) struct GatewaysList {
    #[command(flatten)]
    pub(crate) place: Enrolments,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where gateways are enrolled: in a file, or at a gateway that publishes the feed.
#[derive(Debug, Args)]
pub(crate) struct Enrolments {
    /// The store of which the feed is published: the file is STORE.feed-gateways
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["registry", "at"],
        conflicts_with_all = ["registry", "at"]
    )]
    pub(crate) store: Option<PathBuf>,
    /// The file itself, where --feed-gateways names another one
    #[arg(long, value_name = "FILE", conflicts_with = "at")]
    pub(crate) registry: Option<PathBuf>,
    /// The gateway that publishes the feed, to ask from afar
    #[arg(long, value_name = "URL", requires_all = ["audience", "holder_key", "capability"])]
    pub(crate) at: Option<String>,
    /// Ask over plain HTTP at this host, where nobody can be on the way who would read the request or forge its answer
    #[arg(long, value_name = "HOST", requires = "at")]
    pub(crate) allow_plain_http: Option<String>,
    /// Its audience for revocations; with --at
    #[arg(long, value_name = "AUDIENCE", requires = "at")]
    pub(crate) audience: Option<String>,
    /// The private key of the capability's holder; with --at
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) holder_key: Option<PathBuf>,
    /// The capability that is presented; with --at
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) capability: Option<PathBuf>,
}
