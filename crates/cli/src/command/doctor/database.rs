//! Database: does it answer, is it what it must be, and may this user do what a gateway does?

use hardtack::pending::wait;
use hardtack_postgres::{Postgres, PostgresError, Role};

use super::Findings;
use crate::args::database::DatabaseSettings;
use crate::command::database::settings;

const CHECK: &str = "database";

pub(super) fn look(findings: &mut Findings, told: &DatabaseSettings) {
    // What is wrong with the settings is said as of a gateway that does not start with them.
    let Ok(Some(settings)) = settings(told) else { return };
    match wait(Postgres::open(settings)) {
        Ok(postgres) => tell(findings, &postgres),
        Err(error) => refused(findings, &error),
    }
}

fn tell(findings: &mut Findings, postgres: &Postgres) {
    let role = postgres.role();
    match role {
        Role::Publisher => findings.found(
            CHECK,
            format!("it answers, and its user has the role {role}, by which a gateway cannot claim presentations"),
            "grant the user hardtack_gateway, or name another user",
        ),
        Role::Plane | Role::Gateway => {
            findings.good(CHECK, format!("it answers, and its user has the role {role}"));
        }
    }
    for warning in postgres.warnings() {
        findings.note(CHECK, warning.to_string(), "docs/postgres.md says what this means");
    }
}

fn refused(findings: &mut Findings, error: &PostgresError) {
    let says = error.to_string();
    match error {
        PostgresError::Unavailable(_) => {
            let mend = "does the server run, and may this machine and user reach it? A gateway does not start without it";
            findings.found(CHECK, says, mend);
        }
        _ => findings.found(CHECK, says, "docs/postgres.md says what is refused, and what to do"),
    }
}
