//! Database: where the PostgreSQL database is, and what is to be done with it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use serde::Deserialize;

use crate::args::life;

/// A database, for a gateway and for every other verb that asks one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct DatabaseSettings {
    /// The PostgreSQL database that several gateways share: 'host=HOST user=USER dbname=DATABASE', or a URL, as libpq
    /// takes them. A password is not written there
    #[arg(long, value_name = "URL", env = "HARDTACK_DATABASE")]
    pub(crate) database: Option<String>,
    /// The file with its user's password, which nobody else can read
    #[arg(long, value_name = "FILE", env = "HARDTACK_DATABASE_PASSWORD_FILE")]
    pub(crate) database_password_file: Option<PathBuf>,
    /// The authorities that may name the database's server, instead of the platform's: a PEM file
    #[arg(long, value_name = "FILE", env = "HARDTACK_DATABASE_CA")]
    pub(crate) database_ca: Option<PathBuf>,
    /// Acknowledge what is written only when the synchronous standbys have applied it (synchronous_commit = remote_apply)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", env = "HARDTACK_DATABASE_REMOTE_APPLY")]
    pub(crate) database_remote_apply: Option<bool>,
}

impl DatabaseSettings {
    /// Every text in it, with its key.
    pub(crate) fn texts(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let url = [("database", &self.database)];
        let files = [
            ("database-password-file", &self.database_password_file),
            ("database-ca", &self.database_ca),
        ];
        super::server::texts(&url, &files, &[])
    }

    /// The keys of what is told otherwise in `other`.
    pub(crate) fn differing(&self, other: &DatabaseSettings) -> Vec<&'static str> {
        // Each by its name, so that none that is new is left out.
        let DatabaseSettings {
            database,
            database_password_file,
            database_ca,
            database_remote_apply,
        } = self;
        let all = [
            ("database", *database != other.database),
            ("database-password-file", *database_password_file != other.database_password_file),
            ("database-ca", *database_ca != other.database_ca),
            ("database-remote-apply", *database_remote_apply != other.database_remote_apply),
        ];
        all.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }

    /// Takes from `other` what is not said here.
    pub(crate) fn or(self, other: DatabaseSettings) -> DatabaseSettings {
        DatabaseSettings {
            database: self.database.or(other.database),
            database_password_file: self.database_password_file.or(other.database_password_file),
            database_ca: self.database_ca.or(other.database_ca),
            database_remote_apply: self.database_remote_apply.or(other.database_remote_apply),
        }
    }
}

/// Make, look at and look after the database that several gateways share
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hardtack database roles | sudo -u postgres \\
      psql --set ON_ERROR_STOP=1 hardtack
  hardtack database migrate \\
      --database 'host=db user=plane dbname=hardtack' \\
      --database-password-file plane.password
  hardtack database status \\
      --database 'host=db user=gateway dbname=hardtack' \\
      --database-password-file gateway.password

docs/postgres.md says what is in it, and who may do what.")]
pub(crate) struct Database {
    #[command(subcommand)]
    pub(crate) task: DatabaseTask,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseTask {
    /// Print the SQL that makes the three roles, for a superuser
    #[command(after_help = "Example:
  hardtack database roles | sudo -u postgres \\
      psql --set ON_ERROR_STOP=1 hardtack

To run it again changes nothing.")]
    Roles,
    /// Bring a database to the version of this command, forward only
    #[command(after_help = "Example:
  hardtack database migrate \\
      --database 'host=db user=plane dbname=hardtack' \\
      --database-password-file plane.password

The user needs the role hardtack_plane.")]
    Migrate(DatabaseSettings),
    /// Say how a database stands, who asks, and how large it is; changes nothing
    #[command(after_help = "Example:
  hardtack database status \\
      --database 'host=db user=gateway dbname=hardtack' \\
      --database-password-file gateway.password")]
    Status(DatabaseSettings),
    /// Forget what has expired: for cron, where no gateway has the role hardtack_plane
    #[command(after_help = "Example:
  hardtack database collect \\
      --database 'host=db user=plane dbname=hardtack' \\
      --database-password-file plane.password

The user needs the role hardtack_plane. Run it every five minutes.")]
    Collect(DatabaseSettings),
    /// Let a database go on that was restored, moved or replaced, and is refused for it
    #[command(after_help = "Examples:
  hardtack database epoch --nothing-lost --yes \\
      --database 'host=db user=plane dbname=hardtack'
  hardtack database epoch --loss-possible --yes \\
      --database 'host=db user=plane dbname=hardtack'

The user needs the role hardtack_plane. Without --yes it says what would follow, and does nothing. Stop the server that was \
replaced first, or cut it off.")]
    Epoch(Epoch),
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("loss").args(["nothing_lost", "loss_possible"]).required(true))]
pub(crate) struct Epoch {
    #[command(flatten)]
    pub(crate) database: DatabaseSettings,
    /// Nothing that was acknowledged is missing: the standby that took over was synchronous, or the server was stopped and moved whole
    #[arg(long)]
    pub(crate) nothing_lost: bool,
    /// Revocations may be missing: every grant that was issued up to now is refused from now on
    #[arg(long)]
    pub(crate) loss_possible: bool,
    /// The longest life of a call-bound presentation that any gateway accepts: those that expire within it count as used
    #[arg(
        long,
        value_name = "TIME",
        value_parser = life,
        default_value = "10m",
        conflicts_with = "nothing_lost"
    )]
    pub(crate) longest_call: Duration,
    /// Do it
    #[arg(long)]
    pub(crate) yes: bool,
}
