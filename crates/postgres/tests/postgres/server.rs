//! A PostgreSQL server of its own for a test, from Debian's package: on a socket in a scratch folder, as a user of its own, ended by its id.
#![allow(dead_code, reason = "each of the test binaries needs a part")]

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const ROLES: &str = include_str!("../../sql/roles.sql");

/// How long a server may take to start or to be gone: a machine may be busy, and a log be long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of rounds, attempts or rows that an environment variable asks for.
pub(crate) fn count(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |count| count.parse().expect("a number"))
}

/// The programs of the newest server that is installed.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is not installed: run ci/postgres");
    let versions = installed.filter_map(|version| {
        version.ok()?.file_name().to_str()?.parse::<u32>().ok().filter(|version| *version >= 15)
    });
    let version = versions.max().expect("no PostgreSQL 15 or later: run ci/postgres");
    PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))
}

/// The user of the server: it refuses to run as root.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> = line.expect("a user postgres").split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    if let Some((user, group)) = user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
    if let Some((user, group)) = user() {
        chown(folder.path(), Some(user), Some(group)).unwrap();
    }
    folder
}

pub(crate) fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A cluster that every server is a copy of.
fn cluster() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = folder();
        let data = folder.path().join("data");
        let mut initdb = program("initdb");
        initdb.arg("--pgdata").arg(&data).args(["--username=postgres", "--auth=trust"]);
        run(initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C"]));
        folder
    });
    made.path()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("--archive").arg(from).arg(to));
}

pub(crate) struct Server {
    folder: tempfile::TempDir,
    running: Option<Child>,
    options: Vec<String>,
    databases: AtomicU32,
    asking: tokio::runtime::Runtime,
}

impl Server {
    /// Starts a server with these settings.
    pub(crate) fn start(options: &[&str]) -> Server {
        Server::of(&cluster().join("data"), options)
    }

    /// Starts a server over a copy of this cluster.
    pub(crate) fn of(data: &Path, options: &[&str]) -> Server {
        let server = Server::prepared(options);
        copy(data, &server.data());
        server.begun()
    }

    fn prepared(options: &[&str]) -> Server {
        let asking = tokio::runtime::Builder::new_multi_thread();
        Server {
            folder: folder(),
            running: None,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            databases: AtomicU32::new(0),
            asking: { asking }.worker_threads(1).enable_all().build().unwrap(),
        }
    }

    fn begun(mut self) -> Server {
        self.run_again();
        let missing = "SELECT FROM pg_roles WHERE rolname = 'plane'";
        if !self.is_standby() && self.rows("postgres", "postgres", missing).unwrap().is_empty() {
            self.sql("postgres", ROLES);
            for role in ["plane", "gateway", "publisher"] {
                self.sql("postgres", &format!("CREATE ROLE {role} LOGIN IN ROLE hardtack_{role}"));
            }
        }
        self
    }

    /// A standby that has all of this server by now, and follows it.
    pub(crate) fn standby(&self) -> Server {
        let standby = Server::prepared(&[]);
        let mut copied = program("pg_basebackup");
        copied.arg("--host").arg(self.folder.path()).args(["--username=postgres", "--no-sync"]);
        run(copied
            .args(["--write-recovery-conf", "--checkpoint=fast", "--pgdata"])
            .arg(standby.data()));
        standby.begun()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The address of a database of it, as a user.
    pub(crate) fn address(&self, user: &str, database: &str) -> String {
        let port = self.options.iter().find_map(|option| option.strip_prefix("port="));
        let (socket, port) = (self.folder.path().display(), port.unwrap_or("5432"));
        format!("host={socket} port={port} user={user} dbname={database}")
    }

    pub(crate) fn run_again(&mut self) {
        assert!(self.running.is_none());
        let log = self.folder.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut postgres = program("postgres");
        postgres.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        for option in ["listen_addresses=", "max_connections=300", "shared_buffers=32MB"] {
            postgres.args(["-c", option]);
        }
        for option in &self.options {
            postgres.args(["-c", option]);
        }
        self.running = Some(postgres.stderr(log).spawn().unwrap());
        let answers = || self.client("postgres", "postgres").is_ok();
        assert!(within(PATIENCE, answers), "{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Kills every process of the server at once, with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // Stopped, so that it begins no other.
        kill_process(Pid::from_child(&running), Signal::STOP).unwrap();
        let children = children_of(running.id());
        running.kill().unwrap();
        running.wait().unwrap();
        for child in &children {
            let _ = kill_process(Pid::from_raw(*child as i32).unwrap(), Signal::KILL);
        }
        assert!(within(PATIENCE, || children.iter().all(|child| is_over(*child))));
    }

    /// Waits until the server has ended in order.
    pub(crate) fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        kill_process(Pid::from_child(&running), Signal::INT).unwrap();
        running.wait().unwrap();
    }

    fn client(&self, user: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
        self.asking.block_on(async {
            let address = self.address(user, database);
            let (client, connection) = tokio_postgres::connect(&address, NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        })
    }

    /// Runs SQL as a user. Returns the rows as text.
    pub(crate) fn rows(
        &self,
        user: &str,
        database: &str,
        sql: &str,
    ) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
        let client = self.client(user, database)?;
        let said = self.asking.block_on(client.simple_query(sql))?;
        let rows = said.iter().filter_map(|said| match said {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned()).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Runs SQL as the superuser, which must work.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> Vec<Vec<String>> {
        self.rows("postgres", database, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    pub(crate) fn is_standby(&self) -> bool {
        self.sql("postgres", "SELECT pg_is_in_recovery()") == [["t"]]
    }

    /// A new database in which the roles may do what they may.
    pub(crate) fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.sql(&name, ROLES);
        name
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks again and again until it holds, or for so long.
#[allow(clippy::disallowed_methods, reason = "a test waits for a server")]
pub(crate) fn within(patience: Duration, holds: impl Fn() -> bool) -> bool {
    let begin = std::time::Instant::now();
    while !holds() {
        if begin.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// The state of a process and its parent.
fn stat(process: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_over(process: u32) -> bool {
    stat(process).is_none_or(|(state, _)| state == 'Z')
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, of)| of == parent)).collect()
}

/// What is made of a folder is read by the server's user alone.
pub(crate) fn private(file: &Path) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    if let Some((user, group)) = user() {
        chown(file, Some(user), Some(group)).unwrap();
    }
}
