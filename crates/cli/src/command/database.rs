//! `hardtack database`, and how every verb comes to a database.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use hardtack::audit::{Lineage, SeenChains};
use hardtack::pending::wait;
use hardtack::revocation::RevocationLog;
use hardtack_postgres::{Collected, Loss, Postgres, PostgresError, ROLES, Settings, Status};

use crate::args::database::{Database, DatabaseSettings, DatabaseTask, Epoch};
use crate::command::gateway::wrong;
use crate::reading::{self, BYTE_ORDER_MARK, MAX_CREDENTIAL_BYTES, takes_exposed_keys};
use crate::secrets::Secret;
use crate::terminal::{
    Done, GOOD, TEXT, even_unread, having, now, say, say_exactly, warn, with_causes,
};

pub(crate) fn run(arguments: Database) -> Done {
    match arguments.task {
        DatabaseTask::Roles => say_exactly(ROLES)?,
        DatabaseTask::Migrate(database) => migrate(&database)?,
        DatabaseTask::Status(database) => tell(&open(&database)?)?,
        DatabaseTask::Collect(database) => collect(&open(&database)?)?,
        DatabaseTask::Epoch(arguments) => return epoch(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings of a database, if one is named: all of it is looked at before anybody is asked.
pub(super) fn settings(told: &DatabaseSettings) -> Result<Option<Settings>, Box<dyn Error>> {
    let Some(address) = &told.database else {
        let key = told.texts().first().map(|(key, _)| *key);
        let key = key.or(told.database_remote_apply.map(|_| "database-remote-apply"));
        return match key {
            Some(key) => Err(wrong(key, "no database is named: say --database URL, too")),
            None => Ok(None),
        };
    };
    // What is said of an address repeats nothing of it.
    let mut settings = Settings::parse(address).map_err(|error| of_settings("database", error))?;
    if settings.has_password() || Secret::in_text(address).is_some() {
        return Err(wrong(
            "database",
            "there is a password in the address, which no option and no setting takes as text; save it in a file that nobody else can read (chmod 600), and name that: --database-password-file. Others may have seen it here: change it",
        ));
    }
    if let Some(path) = &told.database_password_file {
        let password = password(path).map_err(|error| wrong("database-password-file", error))?;
        settings = settings.password(&password);
    }
    if let Some(path) = &told.database_ca {
        let pem = reading::regular(path, MAX_CREDENTIAL_BYTES);
        let pem = pem.map_err(|error| wrong("database-ca", error))?;
        settings = settings
            .authorities(pem.as_bytes())
            .map_err(|_| wrong("database-ca", no_certificate(path)))?;
    }
    if told.database_remote_apply == Some(true) {
        settings = settings.remote_apply();
    }
    Ok(Some(settings))
}

fn of_settings(key: &str, error: PostgresError) -> Box<dyn Error> {
    match error {
        PostgresError::Settings(problem) => wrong(key, problem),
        error => wrong(key, error),
    }
}

fn no_certificate(path: &Path) -> String {
    format!("{}: there is no certificate in PEM in it", path.display())
}

/// The first line of a file that others cannot read, or all of it: it ends before the line break that editors write.
fn password(path: &Path) -> Result<String, String> {
    let mode = path.metadata().ok().as_ref().and_then(reading::exposed_mode);
    if let Some(mode) = mode.filter(|_| !takes_exposed_keys()) {
        return Err(format!(
            "{0} can be read by others (mode {mode:03o}); make it private, with chmod 600 {0}, or take it as it is with --accept-exposed-key",
            path.display()
        ));
    }
    let text = reading::regular(path, MAX_CREDENTIAL_BYTES).map_err(|error| error.to_string())?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let text = text.trim_end_matches(['\r', '\n']);
    match text.is_empty() || text.contains(['\r', '\n']) {
        true => Err(format!("{} has to hold the password alone, in one line", path.display())),
        false => Ok(text.to_owned()),
    }
}

fn needed(told: &DatabaseSettings) -> Result<Settings, Box<dyn Error>> {
    settings(told)?.ok_or_else(|| {
        "say which database: --database URL, or set HARDTACK_DATABASE ('host=HOST user=USER dbname=DATABASE')".into()
    })
}

/// Opens the database that is named.
pub(super) fn open(told: &DatabaseSettings) -> Result<Postgres, Box<dyn Error>> {
    Ok(wait(Postgres::open(needed(told)?))?)
}

/// What was seen, beside what is revoked.
pub(super) fn lineage(postgres: &Postgres) -> Result<SeenChains, Box<dyn Error>> {
    let seen = postgres.seen(u64::MAX)?.unwrap_or_default();
    Ok(SeenChains::new(seen, wait(postgres.list(now()))?.revocations))
}

fn migrate(told: &DatabaseSettings) -> Result<(), Box<dyn Error>> {
    let settings = needed(told)?;
    let before = wait(Postgres::migrate(settings.clone()))?;
    let now = wait(wait(Postgres::open(settings))?.status())?.version;
    let said = match before {
        before if before == now => say(format_args!("the database has version {now} already")),
        0 => say(format_args!("{GOOD}made{GOOD:#} the tables, of version {now}")),
        before => say(format_args!("{GOOD}migrated{GOOD:#} from version {before} to {now}")),
    };
    having(even_unread(said), format_args!("the database has version {now}"))
}

fn tell(postgres: &Postgres) -> Result<(), Box<dyn Error>> {
    let Status { server, user, version, at, revocations, events, bytes, .. } =
        wait(postgres.status())?;
    say(format_args!("{GOOD}well{GOOD:#} {TEXT}PostgreSQL {server}"))?;
    say(format_args!("  version      {version}"))?;
    say(format_args!("  user         {TEXT}{user}, as {}", postgres.role()))?;
    say(format_args!("  epoch        {TEXT}{}", at.epoch))?;
    say(format_args!("  events       {} in all, {events} kept", at.number))?;
    say(format_args!("  revocations  {revocations} in force"))?;
    let total: u64 = bytes.iter().map(|(_, bytes)| bytes).sum();
    say(format_args!("  size         {}", size(total)))?;
    for (table, bytes) in bytes.iter().filter(|(_, bytes)| *bytes * 10 >= total) {
        say(format_args!("    {table:<11}{}", size(*bytes)))?;
    }
    postgres.warnings().iter().for_each(|warning| warn(&warning.to_string()));
    Ok(())
}

fn size(bytes: u64) -> String {
    match bytes / 1024 {
        kib if kib < 10 * 1024 => format!("{kib} KiB"),
        kib => format!("{} MiB", kib / 1024),
    }
}

fn collect(postgres: &Postgres) -> Result<(), Box<dyn Error>> {
    let Collected { revocations, hours, blocks, is_clock_in_doubt, .. } =
        wait(postgres.collect(now()))?;
    if is_clock_in_doubt {
        warn(
            "no revocation was forgotten, since the clock has jumped or stands before what the database was told; if it is right, this passes",
        );
    }
    let said = say(format_args!(
        "forgot {revocations} revocations, {hours} hours of used presentations and {blocks} blocks of chains, all expired"
    ));
    having(even_unread(said), "what expired is forgotten")
}

fn epoch(arguments: &Epoch) -> Done {
    let settings = needed(&arguments.database)?;
    let (loss, follows) = match arguments.loss_possible {
        false => (
            Loss::Nothing,
            "what stands in the database counts as all that was ever revoked and used. If something is missing, agents that were stopped go on, and presentations pass once more",
        ),
        true => (
            Loss::Possible { longest_call: arguments.longest_call },
            "every grant that was issued up to a minute from now is refused, so that all have to be made anew, and call-bound presentations of the next minutes count as used. Keys and names that were banned for good and are missing must be banned again by hand",
        ),
    };
    if !arguments.yes {
        say(format_args!("{TEXT}{follows}"))?;
        return Err("no epoch was begun; to begin it, say --yes".into());
    }
    let at = wait(Postgres::begin_epoch(settings, loss, now()))?;
    warn(follows);
    let said = say(format_args!("{GOOD}begun{GOOD:#} {TEXT}epoch {}", at.epoch));
    having(even_unread(said), "the epoch has begun")?;
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a database that a gateway was told of.
pub(super) fn unopened(error: &PostgresError) -> Box<dyn Error> {
    wrong("database", with_causes(error))
}
