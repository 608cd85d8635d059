//! Store: what is to be done with a store's files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hardtack::Timestamp;

use crate::args::audit::moment;

/// Make, check, back up and bring back a store
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack store create hardtack.store
  hardtack store check hardtack.store
  hardtack store backup hardtack.store --to backup.store
  hardtack store --help")]
pub(crate) struct Store {
    #[command(subcommand)]
    pub(crate) task: StoreTask,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreTask {
    /// Make a new store, in which nothing is revoked: three files that belong together
    #[command(after_help = "Example:\n  hardtack store create hardtack.store

Refuses what is there already. What a making left that was interrupted is replaced: nothing was ever recorded in it.")]
    Create {
        /// The new store
        #[arg(value_name = "FILE")]
        store: PathBuf,
    },
    /// Say whether a store is whole and how it stands; changes nothing
    #[command(after_help = "Example:\n  hardtack store check hardtack.store")]
    Check {
        /// The store
        #[arg(value_name = "FILE")]
        store: PathBuf,
    },
    /// Copy a store, also while another process has it open
    #[command(after_help = "Example:\n  hardtack store backup hardtack.store --to backup.store")]
    Backup {
        /// The store
        #[arg(value_name = "FILE")]
        store: PathBuf,
        /// The new file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a store from a backup and the records since
    #[command(after_help = "Example:
  hardtack store restore backup.store --to hardtack.store \\
      --tail records.jsonl

The checkpoint of the lost store (hardtack.store.checkpoint), beside the new one or given by --checkpoint, \
says how far the records must go.")]
    Restore(Restore),
    /// Make a store from what can be read of a damaged one; changes nothing in that
    #[command(after_help = "Example:\n  hardtack store recover damaged.store --to new.store")]
    Recover(Restore),
    /// Move the records from before a moment into files that verify by themselves
    #[command(after_help = "Examples:
  hardtack store archive hardtack.store --before 30days \\
      --to archives
  hardtack audit --store hardtack.store --archives archives

The files are written and read back before a record leaves the store. If it is interrupted, the same command \
goes on. What is revoked stays revoked.")]
    Archive {
        /// The store
        #[arg(value_name = "FILE")]
        store: PathBuf,
        /// Records from before this moment: RFC 3339, a date (its beginning in UTC), or how long ago, such as 30days
        #[arg(long, value_name = "TIME", value_parser = moment)]
        before: Timestamp,
        /// The folder for the files, which must exist: that to which records were archived before, or an empty one
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Forget revocations that no live token can hold any more
    #[command(after_help = "Example:\n  hardtack store collect hardtack.store")]
    Collect {
        /// The store
        #[arg(value_name = "FILE")]
        store: PathBuf,
        /// Do it although the clock has jumped: it was looked at, and is right
        #[arg(long)]
        trust_the_clock: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup, or the damaged store
    #[arg(value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// The new store
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// What `hardtack audit --json` printed of the records that follow
    #[arg(long, value_name = "FILE")]
    pub(crate) tail: Option<PathBuf>,
    /// The last checkpoint of the lost store
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Go without what is missing: every grant issued so far is refused, and revocations of keys and
    /// agents that are missing must be made again
    #[arg(long)]
    pub(crate) accept_loss: bool,
}
