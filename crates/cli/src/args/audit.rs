//! Audit: which records are asked for, and what is to be done with them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hardtack::audit::Verdict;
use hardtack::{Scope, Timestamp};

use crate::terminal::now;

/// The most records that `--last` counts back: they are held in memory, some kilobytes each.
const MAX_LAST: u64 = 10_000;

/// List what was decided and revoked, and prove that nobody changed it
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  hardtack audit --store hardtack.store --verdict deny
  hardtack audit --store hardtack.store --since 1h \\
      --agent agent.researcher
  hardtack audit --store hardtack.store --last 10
  hardtack audit verify --store hardtack.store
  hardtack audit prove 1 --store hardtack.store \\
      > 1.tlog-proof
  hardtack audit check-proof < 1.tlog-proof \\
      --key \"$(hardtack audit key --store hardtack.store)\""
)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) task: Option<AuditTask>,
    #[command(flatten)]
    pub(crate) listing: AuditListing,
}

#[derive(Debug, Args)]
pub(crate) struct AuditListing {
    /// The store
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) store: Option<PathBuf>,
    /// As JSON Lines: the exact bytes that are hashed and signed
    #[arg(long, conflicts_with = "ocsf")]
    pub(crate) json: bool,
    /// As OCSF 1.6.0 events, one JSON object a line
    #[arg(long)]
    pub(crate) ocsf: bool,
    /// Show what is recorded from now on, and go on; with --since, --since-record or --last, some of the past before it
    #[arg(long)]
    pub(crate) follow: bool,
    /// Only the last N of those that are asked for
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_LAST))]
    pub(crate) last: Option<u64>,
    /// From the record with this number on, such as the one after the last that was shipped
    #[arg(long, value_name = "N", conflicts_with = "last", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) since_record: Option<u64>,
    /// The folder of the records that were archived, if it is not where the store remembers it
    #[arg(long, value_name = "DIR")]
    pub(crate) archives: Option<PathBuf>,
    /// Of this subject
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<String>,
    /// With this agent anywhere in the chain
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Of operations that this scope covers, such as tools:call:*
    #[arg(long, value_name = "SCOPE")]
    pub(crate) operation: Option<Scope>,
    /// Decided so: allow, deny or undecided
    #[arg(long, value_name = "VERDICT", value_parser = verdict)]
    pub(crate) verdict: Option<Verdict>,
    /// From this moment on: RFC 3339, a date (its beginning in UTC), or how long ago, such as 1h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Before this moment, written in the same way
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditTask {
    /// Read every record and compare all of them with what was signed
    #[command(after_help = "Examples:
  hardtack audit verify --store hardtack.store
  hardtack audit verify --records records.jsonl \\
      --checkpoint hardtack.store.checkpoint --key KEY

Such records are what `hardtack audit --json` printed.")]
    Verify(AuditVerify),
    /// Prove that a record is in the log, to somebody who has only the log's key
    #[command(after_help = "Example:
  hardtack audit prove 1 --store hardtack.store \\
      > 1.tlog-proof")]
    Prove {
        /// The record's number
        #[arg(value_name = "N")]
        sequence: u64,
        /// The store
        #[arg(long, value_name = "FILE")]
        store: PathBuf,
        /// The folder of the records that were archived, if it is not where the store remembers it
        #[arg(long, value_name = "DIR")]
        archives: Option<PathBuf>,
    },
    /// Verify a proof, without the store: the proof on stdin, the record on stdout
    #[command(after_help = "Example:\n  hardtack audit check-proof --key KEY < 1.tlog-proof")]
    CheckProof {
        /// The log's key, as `hardtack audit key` prints it
        #[arg(long, value_name = "KEY")]
        key: String,
    },
    /// Print the log's public key, for whoever verifies elsewhere
    #[command(after_help = "Example:\n  hardtack audit key --store hardtack.store")]
    Key {
        /// The store
        #[arg(long, value_name = "FILE")]
        store: PathBuf,
    },
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("log").required(true).args(["store", "records"]))]
pub(crate) struct AuditVerify {
    /// The store
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// The folder of the records that were archived, if it is not where the store remembers it
    #[arg(long, value_name = "DIR", conflicts_with = "records")]
    pub(crate) archives: Option<PathBuf>,
    /// What `hardtack audit --json` printed, instead; with --checkpoint and --key
    #[arg(long, value_name = "FILE", requires_all = ["checkpoint", "key"])]
    pub(crate) records: Option<PathBuf>,
    /// The checkpoint that signs them; for a store, one that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// The log's key; for a store, the one that was written down elsewhere
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    if let Ok(moment) = Timestamp::parse(text).or_else(|_| day()) {
        return Ok(moment);
    }
    match humantime::parse_duration(text) {
        Ok(ago) => Ok(now() - ago),
        Err(_) => Err("a moment is written as 2026-11-23T10:00:00Z (RFC 3339), as a date such as 2026-11-23, or as how long ago, such as 1h or 2days".to_owned()),
    }
}

fn verdict(text: &str) -> Result<Verdict, String> {
    match text {
        "allow" => Ok(Verdict::Allow),
        "deny" => Ok(Verdict::Deny),
        "undecided" => Ok(Verdict::Undecided),
        _ => Err("a verdict is allow, deny or undecided".to_owned()),
    }
}
