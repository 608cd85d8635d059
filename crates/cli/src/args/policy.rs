//! Policy: what is to be asked of a set of policies.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Ask what a set of policies would do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy lint policies
  hardtack policy test policies
  hardtack policy replay --policies new \\
      --records records.jsonl")]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) task: PolicyTask,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyTask {
    Lint(Lint),
    Test(Test),
    Replay(Replay),
}

/// Put a set of policies to its cases, and say what no case shows
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy test policies/payments
  hardtack policy test policies --junit policies.xml

The cases of a set are in its folder cases/; policies/README.md says how they are written.

Exit codes: 0 all as expected, 1 a case got another verdict or something is not shown, 2 a set or a case \
cannot be read or built.")]
pub(crate) struct Test {
    /// A folder with *.datalog files, or one whose folders are such sets: then all of them
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// As JSON: {"passes", "sets": [{"set", "passes", "cases", "statements", "faults"}]}
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write JUnit XML, a suite a set
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// Find what would not load, does not do what it says, or is risky
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy lint policies
  hardtack policy lint policies/mcp-tools --json

Facts that an issuer says of its subjects are known from the set's cases (cases/*.toml) and from comments such as:
  // fact: team(string, integer)

Exit codes: 0 nothing found, 1 something found, 2 wrong usage or failed.")]
pub(crate) struct Lint {
    /// A set (a folder of *.datalog files, or one such file), or a folder of sets
    #[arg(value_name = "DIR")]
    pub(crate) policies: PathBuf,
    /// As a JSON array of objects
    #[arg(long)]
    pub(crate) json: bool,
    /// The server has a directory of names and keys, so that agents' names are proven
    #[arg(long)]
    pub(crate) directory: bool,
}

/// Decide again what was decided, and show which decisions would flip
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack policy replay --policies new \\
      --records records.jsonl
  hardtack audit --store hardtack.store --json \\
      --since 2026-11-23 \\
      | hardtack policy replay --policies new --records -

Records that can be decided again are made by a gateway with --keep-requests.

Exit codes: 0 nothing flips, 1 something does, 2 wrong usage, failed, or nothing could be decided again.")]
pub(crate) struct Replay {
    /// The folder of policies to decide by
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: PathBuf,
    /// Records, as `hardtack audit --json` exports them; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) records: PathBuf,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
