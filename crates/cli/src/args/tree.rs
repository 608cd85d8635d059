//! Tree: what `tree` is told, and how pictures are asked for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Presented;
use super::database::DatabaseSettings;

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    Text,
    /// For programs
    Json,
    /// A picture for pages and documents, in light and dark, without scripts
    Svg,
    /// A flowchart for pages that draw Mermaid
    Mermaid,
}

/// How a verb writes what it draws.
#[derive(Debug, Args)]
pub(crate) struct Drawn {
    /// How it is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// As JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Drawn {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Draw the chains that a store, a database or a gateway has seen: who is live, and who is stopped by what
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack tree --store hardtack.store
  hardtack tree --store hardtack.store \\
      --format svg > chains.svg

While a gateway runs, it shows what it has seen, also from afar:
  hardtack tree --at https://gateway.example \\
      --audience notion.mcp/hardtack \\
      --key operator.key --capability operator.token
The capability needs the scope hardtack:chains, which `*` does not cover, and must be valid for that audience. \
It shows the chains of the root key that granted it.

Exit codes: 0 drawn, 1 the gateway refused, 2 failed.")]
pub(crate) struct Tree {
    /// The store, also while another process has it open
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["at", "database"],
        conflicts_with_all = ["at", "database"]
    )]
    pub(crate) store: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) database: DatabaseSettings,
    #[command(flatten)]
    pub(crate) gateway: ShowingGateway,
    #[command(flatten)]
    pub(crate) drawn: Drawn,
}

/// A gateway that shows its chains, and with what right it is asked to.
#[derive(Debug, Args)]
pub(crate) struct ShowingGateway {
    /// The gateway to ask instead of a store of one's own
    #[arg(
        long,
        value_name = "URL",
        requires_all = ["audience", "key", "capability"],
        conflicts_with = "database"
    )]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) presented: Presented,
    /// The capability that is presented, with the scope hardtack:chains; with --at
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) capability: Option<PathBuf>,
}
