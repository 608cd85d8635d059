//! What every engine of a trait must hold, of PostgreSQL, of which all processes are killed at every restart.

use std::sync::Arc;

use hardtack::audit::{Lineage, Uses};
use hardtack::pending::wait;
use hardtack::testing::{Engine, LeftOut, conform, lineage, revocations, uses};
use hardtack::{RevocationLog, Timestamp};
use hardtack_postgres::Postgres;

use crate::server::Server;
use crate::stage::{migrated, open};

/// One server, which cases use one after another, each with a database of its own.
type Shared = Arc<std::sync::Mutex<Server>>;

/// An engine, with the role that whoever uses it has, and one that forgets.
struct Conforming {
    server: Shared,
    database: String,
    role: &'static str,
    engine: Postgres,
    plane: Postgres,
}

impl Conforming {
    fn new(server: &Shared, role: &'static str) -> Conforming {
        let locked = server.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let database = migrated(&locked);
        let engine = open(&locked, role, &database);
        let plane = open(&locked, "plane", &database);
        Conforming { server: Arc::clone(server), database, role, engine, plane }
    }

    fn crash(&mut self) {
        let mut server = self.server.lock().unwrap();
        server.kill();
        server.run_again();
        self.engine = open(&server, self.role, &self.database);
        self.plane = open(&server, "plane", &self.database);
    }
}

impl Drop for Conforming {
    fn drop(&mut self) {
        let server = self.server.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // What many cases leave makes each restart take longer.
        let _ = server.rows(
            "postgres",
            "postgres",
            &format!("DROP DATABASE {} WITH (FORCE)", self.database),
        );
    }
}

macro_rules! engines {
    ($($joint:ty),*) => {$(
        impl Engine<$joint> for Conforming {
            fn joint(&self) -> Arc<$joint> {
                Arc::new(self.engine.clone())
            }

            fn restart(&mut self) -> Result<(), LeftOut> {
                self.crash();
                Ok(())
            }

            fn forget(&mut self, now: Timestamp) -> Result<(), LeftOut> {
                wait(self.plane.collect(now)).unwrap();
                Ok(())
            }
        }
    )*};
}

engines!(dyn Uses, dyn Lineage, dyn RevocationLog);

const NONE: [&str; 0] = [];

fn server() -> Shared {
    Arc::new(std::sync::Mutex::new(Server::start(&[])))
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn uses_on_postgresql_conform_with_the_role_of_a_gateway() {
    let server = server();
    assert_eq!(conform(uses::CASES, || Box::new(Conforming::new(&server, "gateway"))), NONE);
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn the_lineage_on_postgresql_conforms_with_the_role_of_a_gateway() {
    let server = server();
    assert_eq!(conform(lineage::CASES, || Box::new(Conforming::new(&server, "gateway"))), NONE);
}

#[test]
#[ignore = "needs PostgreSQL: run ci/postgres"]
fn revocations_on_postgresql_conform() {
    let server = server();
    assert_eq!(conform(revocations::CASES, || Box::new(Conforming::new(&server, "plane"))), NONE);
}
