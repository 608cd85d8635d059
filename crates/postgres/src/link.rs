//! Link: connections to the database, each checked before it is used, and every wait on them bounded.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
    Runtime, Timeouts,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::PostgresError;
use crate::server;
use crate::settings::{Durable, Settings};

/// How long an answer may take in all. A gateway that waits longer has its caller wait, too, and the server has given up by then.
pub(crate) const ANSWER: Duration = Duration::from_secs(6);

/// How long it may take until there is a connection: less than an answer, so that the error says what was missing.
const CONNECTION: Duration = Duration::from_secs(4);

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A pool of checked connections.
pub(crate) struct Link {
    pool: Pool,
    pub(crate) durable: Durable,
    pub(crate) is_alone: Arc<AtomicBool>,
}

impl Link {
    pub(crate) fn new(settings: &Settings) -> Result<Link, PostgresError> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let connect = Driven { tls: tls(settings)? };
        let manager = Manager::from_connect(settings.config.clone(), connect, config);
        let is_alone = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&is_alone);
        let check = Hook::async_fn(move |client, _| {
            let noted = Arc::clone(&noted);
            Box::pin(async move {
                let checked = tokio::time::timeout(CONNECTION, server::check(client)).await;
                let checked = checked.unwrap_or_else(|_| Err(late()));
                let server = checked.map_err(|error| HookError::message(refusal(&error)))?;
                noted.store(server.is_alone, Ordering::Relaxed);
                Ok(())
            })
        });
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .timeouts(Timeouts {
                wait: Some(CONNECTION),
                create: Some(CONNECTION),
                recycle: Some(CONNECTION),
            })
            .post_create(check)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| PostgresError::Settings(error.to_string()))?;
        Ok(Link { pool, durable: settings.durable, is_alone })
    }

    /// A connection for one purpose. It comes back to the pool only by [`Lease::done`].
    pub(crate) async fn lease(&self) -> Result<Lease, PostgresError> {
        let object = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
            PoolError::PostCreateHook(HookError::Message(text)) => of_refusal(&text),
            PoolError::Timeout(_) => {
                PostgresError::Unavailable("no connection was free in time".to_owned())
            }
            PoolError::Closed => PostgresError::Unavailable("it was closed".to_owned()),
            error => PostgresError::Unavailable(error.to_string()),
        })?;
        Ok(Lease(Some(object)))
    }

    /// One statement, which is a transaction of its own.
    pub(crate) async fn ask(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        let lease = self.lease().await?;
        let rows = lease.ask(statement, parameters).await?;
        lease.done();
        Ok(rows)
    }
}

/// Does it within [`ANSWER`], and once more if the connection had ended meanwhile: only for what changes nothing, or nothing twice.
pub(crate) async fn twice<T, F: Future<Output = Result<T, PostgresError>>>(
    work: impl Fn() -> F,
) -> Result<T, PostgresError> {
    once(async {
        match work().await {
            Err(error) if error.is_passing() => work().await,
            answer => answer,
        }
    })
    .await
}

/// Does it within [`ANSWER`].
pub(crate) async fn once<T>(
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    tokio::time::timeout(ANSWER, work).await.unwrap_or_else(|_| Err(late()))
}

fn late() -> PostgresError {
    PostgresError::Unavailable(format!("not within {} seconds", ANSWER.as_secs()))
}

/// A connection that is closed if it is dropped: nobody knows then what it waits for, or in which transaction it stands.
pub(crate) struct Lease(Option<Object>);

impl Lease {
    fn object(&self) -> Result<&Object, PostgresError> {
        // It is taken out by what drops it alone.
        self.0.as_ref().ok_or_else(late)
    }

    pub(crate) async fn ask(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        let client = self.object()?;
        let statement = client.prepare_cached(statement).await?;
        Ok(client.query(&statement, parameters).await?)
    }

    /// The same, with its error as the client has it.
    pub(crate) async fn claim(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Result<u64, tokio_postgres::Error>, PostgresError> {
        let client = self.object()?;
        let statement = client.prepare_cached(statement).await?;
        Ok(client.execute(&statement, parameters).await)
    }

    pub(crate) async fn prepare(&self, statement: &str) -> Result<Statement, PostgresError> {
        Ok(self.object()?.prepare_cached(statement).await?)
    }

    /// Sends what is prepared when it is polled first: what is polled in an order is done in it.
    pub(crate) async fn run(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        Ok(self.object()?.query(statement, parameters).await?)
    }

    pub(crate) async fn say(&self, statements: &str) -> Result<(), PostgresError> {
        Ok(self.object()?.batch_execute(statements).await?)
    }

    pub(crate) async fn begin(&self, durable: Durable) -> Result<(), PostgresError> {
        self.say(&begin(durable)).await
    }

    /// Everything before it was answered without an error, so that this commits.
    pub(crate) async fn commit(&self) -> Result<(), PostgresError> {
        self.say("COMMIT").await
    }

    /// The connection stands in no transaction, and was answered whatever it asked.
    pub(crate) fn done(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

pub(crate) fn begin(durable: Durable) -> String {
    format!("BEGIN; SET LOCAL synchronous_commit = {}", durable.name())
}

/// What a hook can say is a text: these two begin so.
const REFUSED: &str = "refused: ";

fn refusal(error: &PostgresError) -> String {
    match error {
        PostgresError::Refused(text) => format!("{REFUSED}{text}"),
        PostgresError::Unavailable(text) => text.clone(),
        error => format!("{REFUSED}{error}"),
    }
}

fn of_refusal(text: &str) -> PostgresError {
    match text.strip_prefix(REFUSED) {
        Some(text) => PostgresError::Refused(text.to_owned()),
        None => PostgresError::Unavailable(text.to_owned()),
    }
}

fn tls(settings: &Settings) -> Result<MakeRustlsConnect, PostgresError> {
    let problem = |error: rustls::Error| PostgresError::Settings(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(problem)?;
    let config = match &settings.authorities {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority.clone()).map_err(problem)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        None => builder.with_platform_verifier().map_err(problem)?.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// How a connection is made, for the pool.
struct Driven {
    tls: MakeRustlsConnect,
}

type Connected = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connect for Driven {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move { driven(&config, self.tls.clone(), None).await })
    }
}

/// A connection outside of the pool, unchecked. `woken` hears of each notification.
pub(crate) async fn connect(
    settings: &Settings,
    woken: Option<Arc<Notify>>,
) -> Result<Client, PostgresError> {
    let connecting = driven(&settings.config, tls(settings)?, woken);
    let connected = tokio::time::timeout(CONNECTION, connecting).await.map_err(|_| late())?;
    Ok(connected?.0)
}

/// Connects, and drives the connection as a task, until it ends or the server warns.
///
/// The server warns when it gives up waiting for a standby, and says then that all is committed: who asked must not take that for an
/// answer. The warning comes before it, so that ending the connection here leaves whoever asked without one.
async fn driven(config: &Config, tls: MakeRustlsConnect, woken: Option<Arc<Notify>>) -> Connected {
    let (client, mut connection) = config.connect(tls).await?;
    let driving = tokio::spawn(async move {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => {
                    if let Some(woken) = &woken {
                        woken.notify_one();
                    }
                }
                Some(Ok(AsyncMessage::Notice(notice))) => {
                    if !matches!(
                        notice.parsed_severity(),
                        Some(Severity::Notice | Severity::Debug | Severity::Info | Severity::Log)
                    ) {
                        tracing::warn!("the database warns: {}", notice.message());
                        break;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        // It is over, which whoever listens is to notice at once.
        if let Some(woken) = &woken {
            woken.notify_one();
        }
    });
    Ok((client, driving))
}
