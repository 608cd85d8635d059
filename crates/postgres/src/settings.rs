//! Settings: where the database is, who asks, and how durable an answer is.

use std::fmt;
use std::time::Duration;

use hardtack::Lifetimes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::error::PostgresError;

/// How long it may take to reach an address. Beyond it the next address is tried.
const CONNECTING: Duration = Duration::from_secs(2);

/// A peer that acknowledges nothing for so long is gone: shorter than the time an answer may take.
const SILENT: Duration = Duration::from_secs(4);

/// How many connections are open at most, unless it is said otherwise. A server allows 100 by default, for all gateways.
const CONNECTIONS: usize = 8;

/// The longest life of a grant that a database can be told of: a year. What is revoked is kept as long.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What every session is told when it begins. No statement runs on after nobody waits for it any more, and no role's or database's own
/// settings weaken what is written, or silence the warning by which a wait for a standby that was given up is noticed.
const SESSION: &str = "-c statement_timeout=5000 -c lock_timeout=4000 \
    -c idle_in_transaction_session_timeout=10000 -c synchronous_commit=on \
    -c default_transaction_isolation=read\\ committed -c default_transaction_read_only=off \
    -c search_path=pg_catalog -c standard_conforming_strings=on \
    -c client_min_messages=warning";

/// Where the database is, who asks, and how durable an answer is. [`Debug`](fmt::Debug) shows no password.
///
/// ```
/// use hardtack_postgres::Settings;
///
/// let settings = Settings::parse("postgres://gateway@db.example.com/hardtack?sslmode=require")?
///     .password("read from a file");
/// assert!(!format!("{settings:?}").contains("file"));
/// assert!(Settings::parse("postgres://gateway@db.example.com/hardtack?sslmode=disable").is_err());
/// # Ok::<(), hardtack_postgres::PostgresError>(())
/// ```
#[derive(Clone)]
pub struct Settings {
    pub(crate) config: Config,
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(crate) durable: Durable,
    pub(crate) longest: Duration,
    pub(crate) connections: usize,
}

/// When a commit is acknowledged: `synchronous_commit`, which is set for each transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    On,
    RemoteApply,
}

impl Durable {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Durable::On => "on",
            Durable::RemoteApply => "remote_apply",
        }
    }
}

impl Settings {
    /// Reads the address of a database: a URL (`postgres://USER@HOST/DATABASE`) or words (`host=… user=… dbname=…`) as libpq takes them.
    ///
    /// A server that is not on this machine is asked over TLS, with a certificate that is verified; `sslmode=disable` is refused for it.
    /// `sslmode` may be `require`, `verify-ca` or `verify-full`, which are the same here. Servers that cannot be written (standbys) are
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Settings`] if it is no such address. The text never repeats the address, which may hold a password.
    pub fn parse(address: &str) -> Result<Settings, PostgresError> {
        let address = address
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let problem = |problem: &str| PostgresError::Settings(problem.to_owned());
        // Its own error may repeat a part of the address.
        let mut config: Config = address.parse().map_err(|_| {
            problem(
                "an address is written as host=HOST user=USER dbname=DATABASE, or as a URL, as libpq takes it; of its options are known those of the PostgreSQL client for Rust",
            )
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(problem("the address names no host"));
        }
        if config.get_user().is_none() || config.get_dbname().is_none() {
            return Err(problem("the address names no user, or no database"));
        }
        config.ssl_mode(ssl_mode(&config)?);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(CONNECTING).tcp_user_timeout(SILENT);
        config.keepalives(true).keepalives_idle(SILENT).keepalives_interval(SILENT / 4);
        if config.get_application_name().is_none() {
            config.application_name("hardtack");
        }
        let options = match config.get_options() {
            Some(options) => format!("{options} {SESSION}"),
            None => SESSION.to_owned(),
        };
        config.options(options);
        let longest = Lifetimes::default().grant;
        let (authorities, durable, connections) = (None, Durable::On, CONNECTIONS);
        Ok(Settings { config, authorities, durable, longest, connections })
    }

    /// Sets the password, so that it need not stand in the address.
    pub fn password(mut self, password: &str) -> Settings {
        self.config.password(password);
        self
    }

    /// Whether a password is set: by [`Settings::password`], or in the address, where process lists and logs may show it.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Acknowledges a commit only when the synchronous standbys have applied it (`synchronous_commit = remote_apply`). By default, when
    /// they have it on disk (`on`).
    pub fn remote_apply(mut self) -> Settings {
        self.durable = Durable::RemoteApply;
        self
    }

    /// Says that verifiers accept grants that live so long. Revocations are kept as long, by whoever writes them: the longest that any
    /// process ever said counts. By default [`Lifetimes::default`], 24 hours; at most 366 days.
    pub fn keep_for(mut self, longest: Duration) -> Settings {
        self.longest = self.longest.max(longest).min(LONGEST);
        self
    }

    /// Opens at most so many connections, besides one that listens. By default 8; from 1 to 100.
    pub fn connections(mut self, connections: usize) -> Settings {
        self.connections = connections.clamp(1, 100);
        self
    }

    /// Trusts the certificate authorities of this PEM text to name the server, instead of those of the platform.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Settings`] if there is no certificate in it.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Settings, PostgresError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let read = read.ok().filter(|read| !read.is_empty());
        self.authorities = Some(read.ok_or_else(|| {
            PostgresError::Settings("the authorities are no certificates in PEM".to_owned())
        })?);
        Ok(self)
    }
}

/// Whether TLS is asked for. Nothing is tried with TLS first and then without.
fn ssl_mode(config: &Config) -> Result<SslMode, PostgresError> {
    let hosts_are_here = config.get_hosts().iter().all(|host| match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    });
    let is_here = match config.get_hostaddrs() {
        [] => hosts_are_here,
        addresses => addresses.iter().all(|address| address.is_loopback()),
    };
    match (config.get_ssl_mode(), is_here) {
        (SslMode::Require, _) | (SslMode::Prefer, false) => Ok(SslMode::Require),
        (_, true) => Ok(SslMode::Disable),
        _ => Err(PostgresError::Settings(
            "sslmode=disable is taken for a server on this machine only: use sslmode=require"
                .to_owned(),
        )),
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("hosts", &self.config.get_hosts())
            .field("user", &self.config.get_user())
            .field("database", &self.config.get_dbname())
            .field("durable", &self.durable)
            .field("longest", &self.longest)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(address: &str) -> Result<SslMode, PostgresError> {
        Settings::parse(address).map(|settings| settings.config.get_ssl_mode())
    }

    #[test]
    fn a_server_elsewhere_is_asked_over_tls_and_never_without() {
        for address in [
            "postgres://a@db.example.com/hardtack",
            "postgres://a@db.example.com/hardtack?sslmode=prefer",
            "postgres://a@10.0.0.1/hardtack?sslmode=verify-full",
            "postgres://a@127.0.0.1,db.example.com/hardtack",
            "host=localhost hostaddr=10.0.0.1 user=a dbname=hardtack",
            "postgres://a@localhost/hardtack?sslmode=require",
        ] {
            assert_eq!(mode(address), Ok(SslMode::Require), "{address}");
        }
        for address in ["postgres://a@127.0.0.1/hardtack", "host=/run/db user=a dbname=hardtack"] {
            assert_eq!(mode(address), Ok(SslMode::Disable), "{address}");
        }
        assert!(mode("postgres://a@db.example.com/hardtack?sslmode=disable").is_err());
        assert!(mode("postgres://a@localhost,10.0.0.1/hardtack?sslmode=disable").is_err());
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_the_address() {
        for address in [
            "postgres://a:hunter2@db.example.com:port/hardtack",
            "postgres://a:hunter2@db.example.com/hardtack?hunter2=hunter2",
            "postgres://a:hunter2@/hardtack",
            "postgres://a:hunter2@db.example.com",
            "host=db password=hunter2",
            "host=db password='hunter2",
            "hunter2",
            "",
        ] {
            let error = Settings::parse(address).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunt") && text.len() > 40, "{text}");
        }
        let settings = Settings::parse("postgres://a:hunter2@127.0.0.1/hardtack").unwrap();
        assert!(!format!("{settings:?} {:?}", settings.config).contains("hunter2"));
    }
}
