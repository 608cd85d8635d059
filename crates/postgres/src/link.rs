//! Link: connections to the database, each checked before it is used, and every wait on them bounded.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError,
    RecyclingMethod, Runtime, Timeouts,
};
use hardtack::revocation::Epoch;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::PostgresError;
use crate::head::Known;
use crate::server;
use crate::settings::{Durable, Settings};

/// How long an answer may take in all. A gateway that waits longer has its caller wait, too, and the server has given up by then.
pub(crate) const ANSWER: Duration = Duration::from_secs(6);

/// How long it may take until there is a connection: less than an answer, so that the error says what was missing.
const CONNECTION: Duration = Duration::from_secs(4);

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A pool of checked connections, for one epoch: no connection of an earlier one, which may lead to a primary that was replaced, is used
/// again.
pub(crate) struct Link {
    config: Config,
    tls: MakeRustlsConnect,
    connections: usize,
    known: Arc<Known>,
    pool: Mutex<(Epoch, Pool)>,
    pub(crate) durable: Durable,
    pub(crate) is_alone: Arc<AtomicBool>,
}

impl Link {
    pub(crate) fn new(settings: &Settings, known: Arc<Known>) -> Result<Link, PostgresError> {
        let (config, tls) = (settings.config.clone(), tls(settings)?);
        let (connections, is_alone) = (settings.connections, Arc::new(AtomicBool::new(false)));
        let pool = pool(&config, &tls, connections, &known, &is_alone)?;
        let pool = Mutex::new((known.epoch(), pool));
        Ok(Link { config, tls, connections, known, pool, durable: settings.durable, is_alone })
    }

    /// The pool of the epoch that is known now.
    fn pool(&self) -> Result<(Epoch, Pool), PostgresError> {
        let mut kept = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.known.epoch();
        if kept.0 != epoch {
            let (known, is_alone) = (&self.known, &self.is_alone);
            let new = pool(&self.config, &self.tls, self.connections, known, is_alone)?;
            // What is in use of it is closed when it comes back.
            std::mem::replace(&mut *kept, (epoch, new)).1.close();
        }
        Ok(kept.clone())
    }

    /// A connection for one purpose. It comes back to the pool only by [`Lease::done`].
    pub(crate) async fn lease(&self) -> Result<Lease, PostgresError> {
        for _ in 0..MAX_EPOCHS_AT_ONCE {
            let (epoch, pool) = self.pool()?;
            let lease = pool.get().await.map(|object| Lease { object: Some(object), epoch });
            if self.known.epoch() == epoch {
                return lease.map_err(unleased);
            }
        }
        Err(PostgresError::Unavailable("its epoch changes again and again".to_owned()))
    }

    /// Refuses what a connection was answered if another epoch became known meanwhile: it may lead to a primary that was replaced.
    pub(crate) fn still(&self, lease: &Lease) -> Result<(), PostgresError> {
        match self.known.epoch() == lease.epoch {
            true => Ok(()),
            false => Err(PostgresError::Unavailable("a new epoch began meanwhile".to_owned())),
        }
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

/// How often a connection is looked for anew since the epoch changed meanwhile. It is changed by hand.
const MAX_EPOCHS_AT_ONCE: usize = 3;

fn pool(
    config: &Config,
    tls: &MakeRustlsConnect,
    connections: usize,
    known: &Arc<Known>,
    is_alone: &Arc<AtomicBool>,
) -> Result<Pool, PostgresError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(config.clone(), Driven { tls: tls.clone() }, recycling);
    let (of, is_alone) = (Arc::clone(known), Arc::clone(is_alone));
    let check = Hook::async_fn(move |client: &mut ClientWrapper, _| {
        let (known, noted) = (Arc::clone(&of), Arc::clone(&is_alone));
        Box::pin(async move {
            let checking = server::check_known(client, &known);
            let checked = tokio::time::timeout(CONNECTION, checking).await;
            let checked = checked.unwrap_or_else(|_| Err(late()));
            let server = checked.map_err(|error| HookError::message(refusal(&error)))?;
            noted.store(server.is_alone, Ordering::Relaxed);
            Ok(())
        })
    });
    Pool::builder(manager)
        .max_size(connections)
        .timeouts(Timeouts {
            wait: Some(CONNECTION),
            create: Some(CONNECTION),
            recycle: Some(CONNECTION),
        })
        .post_create(check)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| PostgresError::Settings(error.to_string()))
}

fn unleased(error: PoolError) -> PostgresError {
    match error {
        PoolError::Backend(error) => error.into(),
        PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
        PoolError::PostCreateHook(HookError::Message(text)) => of_refusal(&text),
        PoolError::Timeout(_) => {
            PostgresError::Unavailable("no connection was free in time".to_owned())
        }
        PoolError::Closed => PostgresError::Unavailable("it was closed".to_owned()),
        error => PostgresError::Unavailable(error.to_string()),
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
pub(crate) struct Lease {
    object: Option<Object>,
    /// The epoch that was known when it was taken.
    epoch: Epoch,
}

impl Lease {
    fn object(&self) -> Result<&Object, PostgresError> {
        // It is taken out by what drops it alone.
        self.object.as_ref().ok_or_else(late)
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

    /// The same, for a statement that is asked once.
    pub(crate) async fn look(&self, statement: &str) -> Result<Vec<Row>, PostgresError> {
        Ok(self.object()?.query(statement, &[]).await?)
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
        drop(self.object.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
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
