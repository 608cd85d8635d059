//! Later: how does an answer of the library's, which comes from another thread, settle a promise?
//!
//! Few threads drive all that is under way. Each settles its promise by a callback into the loop that began it, and none has a thread.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, Result};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use hardtack::Denial;

use crate::error::denied;

/// The threads that drive what is under way. They wait for nothing.
const THREADS: usize = 2;

/// The threads for what takes its time or waits for the disk. The library decides on as many as there are cores; the others admit, list and
/// wait for the disk, where more would not be sooner.
const WORKERS: usize = 16;

/// How many jobs of stores and files are done at once, such as the check of a whole log: decisions keep the other threads.
const JOBS: usize = 4;

/// The most that is under way at once, in all workers of the process. Each may hold a token and arguments, 100 KB, and who asks may be
/// anybody: beyond that, it is refused as `overloaded`.
const MAX_UNDER_WAY: usize = 4096;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

static JOBS_LEFT: Semaphore = Semaphore::const_new(JOBS);

/// A place among what is under way.
struct Place;

impl Place {
    fn take() -> std::result::Result<Place, Denial> {
        // What is taken is given back by dropping, also where there is none left.
        let (before, place) = (UNDER_WAY.fetch_add(1, Ordering::Relaxed), Place);
        match before < MAX_UNDER_WAY {
            true => Ok(place),
            false => Err(Denial::overloaded("too many decisions are awaited at once")),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Begins the work now, and returns a promise of its result. An error is told as one of `operation`.
pub(crate) fn settle_later<'env, T: Send + 'static, V: ToNapiValue + 'static>(
    env: &'env Env,
    operation: &str,
    work: impl Future<Output = Result<T>> + Send + 'static,
    shown: impl FnOnce(T) -> V + Send + 'static,
) -> Result<Object<'env>> {
    let ready = runtime().and_then(|runtime| Ok((runtime, Place::take()?)));
    let (runtime, place) = ready.map_err(|denial| denied(&denial, operation))?;
    let (deferred, promise) = env.create_deferred()?;
    let operation = operation.to_owned();
    let task = runtime.spawn(work);
    runtime.spawn(async move {
        let done = match task.await {
            Ok(done) => done,
            // It panicked, or the runtime ends.
            Err(_) => {
                Err(denied(&Denial::unfinished("the work was not brought to an end"), &operation))
            }
        };
        // The place is held until JavaScript takes the answer: a loop that has no turn shall not gather them.
        deferred.resolve(move |_| {
            drop(place);
            done.map(shown)
        });
    });
    Ok(promise)
}

/// Does what waits for the disk on another thread, and returns a promise of its result.
pub(crate) fn do_later<'env, T: Send + 'static, V: ToNapiValue + 'static>(
    env: &'env Env,
    work: impl FnOnce() -> Result<T> + Send + 'static,
    shown: impl FnOnce(T) -> V + Send + 'static,
) -> Result<Object<'env>> {
    let work = async move {
        let unfinished =
            || denied(&Denial::unfinished("the work was not brought to an end"), "hardtack:store");
        let job = JOBS_LEFT.acquire().await.map_err(|_| unfinished())?;
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work ends, whoever still waits.
            let _job = job;
            work()
        });
        done.await.unwrap_or_else(|_| Err(unfinished()))
    };
    settle_later(env, "hardtack:store", work, shown)
}

fn runtime() -> std::result::Result<&'static Runtime, Denial> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(WORKERS)
            .thread_name("hardtack")
            .build();
        runtime.ok()
    });
    runtime.as_ref().ok_or_else(|| Denial::unfinished("no thread could be started"))
}
