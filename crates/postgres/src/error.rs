//! Error: why the database does not answer, in words that hold no password.

use hardtack::Cause;

/// An error of the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The settings cannot be used.
    #[error("the settings of the database: {0}")]
    Settings(String),
    /// The database does not answer, or not in time. Ask again.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// The database or its server is refused, until somebody does what the text says.
    #[error("the database is refused: {0}")]
    Refused(String),
    /// The database was made by a newer Hardtack.
    #[error(
        "the database has version {found}, and this program knows versions up to {known}: update this program; a database is never taken back to an earlier version"
    )]
    Newer {
        /// The version of the database.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The database has to be migrated first. Version 0 is one in which nothing was made yet.
    #[error(
        "the database has version {found}, and this program needs version {known}: migrate it first (hardtack database migrate), as a user with the role hardtack_plane"
    )]
    Older {
        /// The version of the database.
        found: u32,
        /// The version that this program needs.
        known: u32,
    },
}

impl PostgresError {
    /// Returns the stable name of the cause: [`Cause::StoreUnavailable`].
    pub fn cause(&self) -> Cause {
        Cause::StoreUnavailable
    }

    /// Whether the same may be answered when it is asked once more.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, PostgresError::Unavailable(_))
    }
}

/// What the server or the connection says, without what may have data in it (details, hints, statements).
impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> PostgresError {
        let Some(said) = error.as_db_error() else {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                let more = error.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                source = error.source();
            }
            return PostgresError::Unavailable(text);
        };
        let (text, code) = (said.message(), said.code().code());
        match code {
            "42501" => PostgresError::Refused(format!(
                "{text} (SQLSTATE {code}): its user has not the role that this needs; hardtack_plane may do all, hardtack_gateway reads and claims presentations, hardtack_publisher reads what is revoked; grant it one of them, or name another user (docs/postgres.md)"
            )),
            // A name or password that is wrong, and a database that is not there, stay so.
            "28000" | "28P01" | "3D000" => {
                PostgresError::Refused(format!("{text} (SQLSTATE {code})"))
            }
            _ => PostgresError::Unavailable(format!("{text} (SQLSTATE {code})")),
        }
    }
}

/// The error of what stands in the database and cannot be read.
pub(crate) fn damaged(what: &str) -> PostgresError {
    PostgresError::Refused(format!("it holds {what} that cannot be read"))
}
