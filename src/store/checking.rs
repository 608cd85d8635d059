//! Checking: every page of a database against its checksum, behind a store that goes on.
//!
//! A store that was closed in peace is opened without reading all of it. What was not read then is checked here: the database as of one
//! moment, through a second engine over an overlay. Its pages stay as they are as long as a reading transaction is open. If damage is
//! found, it is looked for once more while nothing is written: only what is found then stops the store.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redb::{Database, StorageBackend};

use crate::store::StoreError;
use crate::store::inner::Inner;
use crate::store::overlay::Overlay;
use crate::store::site::Backend;

/// How long a store is open before it is checked: who opens it for a moment does not wait for a check.
const CHECK_AFTER: Duration = Duration::from_secs(2);

/// So often the disk is asked again that did not answer a check, after waits that double from this one on: about five minutes in all.
/// A disk that fails for longer has its pages read by the next opening.
const CHECK_TRIES: u32 = 6;
const CHECK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The memory of the second engine.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// After so many bytes the check leaves the disk to others for a moment.
const PAUSE_EVERY: u64 = 1024 * 1024;
const PAUSE: Duration = Duration::from_millis(1);

/// What a check comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Every page is as it was written.
    Whole,
    /// Something is not, in words.
    Damage(String),
    /// The store is being closed.
    Stopped,
}

impl Inner {
    /// The thread of a store that was opened without reading all of it.
    pub(super) fn run_check(self: &Arc<Self>) {
        self.check_until_known(CHECK_AFTER, CHECK_AGAIN_AFTER);
    }

    /// Checks after a wait; if the disk does not answer, again after waits that double.
    pub(super) fn check_until_known(self: &Arc<Self>, after: Duration, again_after: Duration) {
        let waits = (0..CHECK_TRIES - 1).map(|time| again_after * 2_u32.pow(time));
        for wait in std::iter::once(after).chain(waits) {
            if self.stops_within(wait) {
                return;
            }
            match self.check_pages() {
                Ok(Found::Damage(problem)) => return self.distrust(&problem),
                Ok(Found::Whole | Found::Stopped) => return,
                // Not to be able to read says nothing of what is there.
                Err(_) => {}
            }
        }
    }

    /// Checks every page, unless that was done since the store was opened.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if something is not what was written.
    pub(super) fn check_once(self: &Arc<Self>) -> Result<(), StoreError> {
        match self.unchecked.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => self.check_again(),
        }
    }

    /// Checks every page now.
    pub(super) fn check_again(self: &Arc<Self>) -> Result<(), StoreError> {
        match self.check_pages()? {
            Found::Whole => Ok(()),
            Found::Stopped => Err(StoreError::Stopped),
            Found::Damage(problem) => Err(StoreError::damaged(self.engine.site().path(), problem)),
        }
    }

    /// Checks every page of the database as it is now, and notes what comes of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] if the disk does not answer.
    pub(super) fn check_pages(self: &Arc<Self>) -> Result<Found, StoreError> {
        let found = self.look_at_pages();
        self.unreadable.store(found.is_err(), Ordering::Release);
        if let Ok(Found::Whole) = found {
            self.unchecked.store(0, Ordering::Release);
        }
        found
    }

    fn look_at_pages(self: &Arc<Self>) -> Result<Found, StoreError> {
        let found = {
            // While the transaction is open, nothing that it can see is written over.
            let pinned = self.engine.pinned(|| self.snapshot())?;
            self.check(pinned.1.clone())?
        };
        match found {
            Found::Damage(_) => {
                self.engine.while_nothing_is_written(|| self.check(self.snapshot()?))
            }
            found => Ok(found),
        }
    }

    /// The database's bytes, with the first page and the length as they are now.
    fn snapshot(self: &Arc<Self>) -> Result<Snapshot, StoreError> {
        let site = self.engine.site();
        let failed = |error| StoreError::file(site.path(), error);
        let below = site.database().map_err(failed)?;
        let overlay = Overlay::over(below).map_err(failed)?;
        let mut first = vec![0; 4096];
        overlay.read(0, &mut first).and_then(|()| overlay.write(0, &first)).map_err(failed)?;
        let read = AtomicU64::new(0);
        let failed = Arc::default();
        let watched =
            Watched { overlay, inner: Arc::clone(self), read, failed: Arc::clone(&failed) };
        Ok(Snapshot { bytes: Backend::new(watched), failed })
    }

    fn check(&self, Snapshot { bytes, failed }: Snapshot) -> Result<Found, StoreError> {
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(true);
        builder.set_cache_size(CACHE_BYTES);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            builder.create_with_backend(bytes).map(drop)
        }));
        let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (checked, failed) {
            _ if self.is_stopped() => Ok(Found::Stopped),
            // Whatever the engine made of it.
            (_, Some(failed)) => Err(StoreError::file(self.engine.site().path(), failed)),
            (Ok(Ok(())), None) => Ok(Found::Whole),
            (Ok(Err(problem)), None) => Ok(Found::Damage(problem.to_string())),
            (Err(_), None) => Ok(Found::Damage("the database cannot be made sense of".to_owned())),
        }
    }

    /// What is on disk is not what was written: whatever rests on it is refused from now on, as if the store had not been opened.
    pub(super) fn distrust(&self, problem: &str) {
        let problem = format!(
            "the database is damaged ({problem}); close the store, and bring it back: hardtack store recover"
        );
        self.trouble().damage = Some(problem);
        self.revocations.close();
        self.core().closed = true;
    }
}

/// The database's bytes as of one moment.
#[derive(Debug, Clone)]
struct Snapshot {
    bytes: Backend,
    /// With what the disk failed first, if it did.
    failed: Arc<Mutex<Option<io::Error>>>,
}

/// An overlay that ends with its store, and gives way to others. It takes no locks: they are the store's.
#[derive(Debug)]
struct Watched {
    overlay: Overlay,
    inner: Arc<Inner>,
    read: AtomicU64,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.overlay.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.inner.is_stopped() {
            return Err(io::Error::other("the store is being closed"));
        }
        let len = out.len() as u64;
        let before = self.read.fetch_add(len, Ordering::Relaxed);
        if before / PAUSE_EVERY != (before + len) / PAUSE_EVERY {
            std::thread::sleep(PAUSE);
        }
        self.overlay.read(offset, out).inspect_err(|error| {
            // To be told to read beyond the end is damage, and no failure of the disk.
            if error.kind() != io::ErrorKind::UnexpectedEof {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.overlay.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.overlay.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.overlay.close()
    }
}
