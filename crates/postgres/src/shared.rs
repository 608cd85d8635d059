//! Shared: what the tasks of one engine share, and the threads that they run on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hardtack::pending::{Pending, Promised, promise};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc};

use crate::error::PostgresError;
use crate::follow;
use crate::head::Known;
use crate::lineage::{self, Told};
use crate::link::{self, Link};
use crate::server;
use crate::settings::Settings;
use crate::status::{self, Role};
use crate::uses::MAX_CLAIMS;
use crate::writer::{self, Job, MAX_WAITING};

/// The threads of an engine. They wait for the network, and do little else.
const THREADS: usize = 2;

/// How many questions wait for an answer at once, besides claims. Beyond it they are refused.
const MAX_QUESTIONS: usize = 256;

/// How many whole lists are read at once, each on a connection of its own for up to a minute: fewer than there are connections by
/// default, so that claims find one. Beyond it they stand in line.
const MAX_LISTS: usize = 2;

/// What the tasks of an engine share.
pub(crate) struct Shared {
    pub(crate) link: Link,
    pub(crate) settings: Settings,
    pub(crate) known: Arc<Known>,
    pub(crate) told: Told,
    pub(crate) claims: Arc<Semaphore>,
    pub(crate) questions: Arc<Semaphore>,
    pub(crate) lists: Semaphore,
    pub(crate) role: Role,
    /// For how many seconds nobody collected, as far as this user may see.
    pub(crate) uncollected: AtomicU64,
    longest: Mutex<Duration>,
}

impl Shared {
    /// The longest life of a grant that this process knows of.
    pub(crate) fn longest(&self) -> Duration {
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep_for(&self, longest: Duration) {
        let mut kept = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = (*kept).max(longest);
    }
}

/// An engine that runs: its threads end with it.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) jobs: mpsc::Sender<Job>,
    threads: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // Wherever it is dropped, nobody waits.
            threads.shutdown_background();
        }
    }
}

impl Running {
    /// Does it on a thread of the engine. It goes on when nobody waits any more.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Promised<T> {
        let (giver, promised) = promise();
        if let Some(threads) = &self.threads {
            threads.spawn(async { giver.give(work.await) });
        }
        promised
    }

    /// Asks on a thread of the engine; refused at once if too many ask already.
    pub(crate) fn question<T: Send + 'static, F>(
        &self,
        ask: impl FnOnce(Arc<Shared>) -> F,
    ) -> Pending<'static, Result<T, PostgresError>>
    where
        F: Future<Output = Result<T, PostgresError>> + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.shared.questions).try_acquire_owned() else {
            let busy = PostgresError::Unavailable("too many ask it at once".to_owned());
            return Box::pin(async { Err(busy) });
        };
        let asking = ask(Arc::clone(&self.shared));
        let asked = self.spawn(async move {
            let answer = asking.await;
            drop(permit);
            answer
        });
        Box::pin(async { asked.await.unwrap_or_else(|| Err(over())) })
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.shared.link.is_alone.load(Ordering::Relaxed)
    }
}

/// The engine was dropped meanwhile.
pub(crate) fn over() -> PostgresError {
    PostgresError::Unavailable("it was closed".to_owned())
}

pub(crate) fn threads() -> Result<Runtime, PostgresError> {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("hardtack-postgres")
        .enable_all()
        .build()
        .map_err(|error| PostgresError::Unavailable(format!("no thread can be made: {error}")))
}

/// How long a migration or a new epoch may take.
const ALONE: Duration = Duration::from_secs(600);

/// Does it on a thread of its own, for what is done before an engine runs.
pub(crate) fn alone<T: Send + 'static, F>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Pending<'static, Result<T, PostgresError>>
where
    F: Future<Output = Result<T, PostgresError>>,
{
    let (giver, promised) = promise();
    // Without a thread there is no answer, which whoever waits learns.
    let _ = std::thread::Builder::new().name("hardtack-postgres".to_owned()).spawn(move || {
        let built = Builder::new_current_thread().enable_all().build();
        giver.give(match built {
            Ok(runtime) => runtime.block_on(async {
                let late = |_| PostgresError::Unavailable("not within ten minutes".to_owned());
                tokio::time::timeout(ALONE, work()).await.map_err(late)?
            }),
            Err(error) => Err(PostgresError::Unavailable(error.to_string())),
        });
    });
    Box::pin(async { promised.await.unwrap_or_else(|| Err(over())) })
}

/// Opens an engine: checks the server and the database, and begins its tasks.
pub(crate) fn open(settings: Settings) -> Result<Running, PostgresError> {
    let threads = threads()?;
    let opened = threads.block_on(async {
        // Once by itself, so that what is wrong is said as what it is.
        let first = link::connect(&settings, None).await?;
        let (server, at) = link::once(server::check(&first)).await?;
        let role = link::once(status::role(&first)).await?;
        let uncollected = match role {
            Role::Plane | Role::Gateway => link::once(status::uncollected(&first)).await?,
            Role::Publisher => 0,
        };
        let known = Arc::new(Known::new(at));
        let link = Link::new(&settings, Arc::clone(&known))?;
        link.is_alone.store(server.is_alone, Ordering::Relaxed);
        Ok((link, known, role, uncollected))
    });
    let (link, known, role, uncollected) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            threads.shutdown_background();
            return Err(error);
        }
    };
    let shared = Arc::new(Shared {
        link,
        longest: Mutex::new(settings.longest),
        known,
        role,
        uncollected: AtomicU64::new(uncollected),
        told: Told::default(),
        claims: Arc::new(Semaphore::new(MAX_CLAIMS)),
        questions: Arc::new(Semaphore::new(MAX_QUESTIONS)),
        lists: Semaphore::new(MAX_LISTS),
        settings,
    });
    let (jobs, waiting) = mpsc::channel(MAX_WAITING);
    threads.spawn(writer::write(Arc::clone(&shared), waiting));
    threads.spawn(follow::follow(Arc::clone(&shared)));
    threads.spawn(lineage::write(Arc::clone(&shared)));
    Ok(Running { shared, jobs, threads: Some(threads) })
}
