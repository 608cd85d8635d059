//! Later: how does an answer of the library's, which comes from another thread, settle a future of asyncio's?
//!
//! Few threads drive all decisions that are under way. Each is settled by a callback into its loop, and none has a thread.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;
use tokio::runtime::Runtime;

use hardtack::Denial;

use crate::error;

/// The threads that drive what is under way. They wait for nothing; what takes its time is done on others, as many as there are cores.
const THREADS: usize = 2;

/// The most decisions that are under way at once. Each may hold a token and arguments, 100 KB, and who asks may be anybody: beyond that,
/// they are refused as `overloaded`.
const MAX_UNDER_WAY: usize = 4096;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A place among the decisions under way.
struct Place;

impl Place {
    fn take() -> Result<Place, Denial> {
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

/// The runtime, with the process in which it was begun: a fork has none of its threads.
static RUNTIME: OnceLock<(u32, Option<Runtime>)> = OnceLock::new();

/// Begins the work now, and returns a future of the running loop for its result.
pub(crate) fn settle_later<'py, T: Send + 'static>(
    py: Python<'py>,
    operation: String,
    work: impl Future<Output = Result<T, Denial>> + Send + 'static,
    shown: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let looping = py.import("asyncio")?.call_method0("get_running_loop")?;
    let future = looping.call_method0("create_future")?;
    let ready = runtime().and_then(|runtime| Ok((runtime, Place::take()?)));
    let (runtime, place) = ready.map_err(|denial| error::denied(py, &denial, &operation))?;
    let (to, of) = (looping.unbind(), future.clone().unbind());
    let task = runtime.spawn(work);
    runtime.spawn(async move {
        let done = match task.await {
            Ok(done) => done,
            // It panicked, or the runtime ends.
            Err(_) => Err(Denial::unfinished("the decision was not brought to an end")),
        };
        drop(place);
        // Where the interpreter is ending, nobody waits any more.
        Python::try_attach(|py| {
            let answer = match done {
                Ok(done) => shown(py, done),
                Err(denial) => Err(error::denied(py, &denial, &operation)),
            };
            let (ok, answer) = match answer {
                Ok(answer) => (true, answer),
                Err(error) => (false, error.into_value(py).into_any()),
            };
            // A loop that was closed meanwhile takes no callback, and has nobody who waits.
            let _ = settle(py).and_then(|settle| {
                to.bind(py).call_method1("call_soon_threadsafe", (settle, of, ok, answer))
            });
        });
    });
    Ok(future)
}

fn runtime() -> Result<&'static Runtime, Denial> {
    let (made_in, runtime) = RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("hardtack")
            .build();
        (std::process::id(), runtime.ok())
    });
    match runtime {
        Some(runtime) if *made_in == std::process::id() => Ok(runtime),
        Some(_) => Err(Denial::unfinished(
            "decisions were awaited before the process forked, and their threads are not here; start the process anew, or ask check",
        )),
        None => Err(Denial::unfinished("no thread could be started")),
    }
}

fn settle(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static SETTLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let found = SETTLE.get_or_try_init(py, || {
        let module: Bound<'_, PyModule> = py.import("hardtack._later")?;
        Ok::<_, PyErr>(module.getattr("settle")?.unbind())
    });
    Ok(found?.bind(py))
}
