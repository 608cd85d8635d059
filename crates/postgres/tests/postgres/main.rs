//! The engine over a real PostgreSQL, which each test starts from Debian's package. Ignored unless asked for: `ci/postgres` installs the
//! package and runs them all.

mod conforming;
mod faults;
mod hostile;
mod migrating;
mod refusing;
mod roles;
mod server;
mod stage;
