//! Waiting: how is a store opened, closed and written where threads must not wait, in an asynchronous program?

use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::revocation::Revoking;
use crate::store::commit::{Answer, Job};
use crate::store::core::Revoke;
use crate::store::{Receipt, Store, StoreError};
use crate::timestamp::Timestamp;

/// For asynchronous programs (feature `tokio`): the future waits, and no thread of the runtime does. Each panics outside a runtime of
/// tokio's. What only looks is asked of a [reader](Store::reader) on a thread that may wait (`spawn_blocking`).
///
/// A future that is dropped takes nothing back. Once it was polled, a revocation is made, though nobody hears of it, and a store is
/// opened and closed again.
impl Store {
    /// Opens the store at `path`, as [`Store::open`] does, on a thread of tokio's that may block: the task awaits.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::open`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn open_async(path: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let path = path.into();
        on_a_thread(move || Store::open(path)).await
    }

    /// Makes a new store at `path`, as [`Store::create`] does, on a thread of tokio's that may block: the task awaits.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::create`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn create_async(path: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let path = path.into();
        on_a_thread(move || Store::create(path)).await
    }

    /// Opens the store at `path` or makes a new one, as [`Store::open_or_create`] does, on a thread of tokio's that may block: the task
    /// awaits.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::open_or_create`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn open_or_create_async(path: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let path = path.into();
        on_a_thread(move || Store::open_or_create(path)).await
    }

    /// Closes the store for all its clones, as [`Store::close`] does, on a thread of tokio's that may block: the task awaits. To drop the
    /// last handle closes the store, too, and waits for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::close`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn close_async(&self) -> Result<(), StoreError> {
        let store = self.clone();
        on_a_thread(move || store.close()).await
    }

    /// Revokes what `revoking` asks for, as [`Store::revoke`] does, while the task awaits. When it answers, the revocation is on disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotRevoked`], as of [`Store::revoke`].
    pub async fn revoke_async(
        &self,
        revoking: Revoking,
        now: Timestamp,
    ) -> Result<Receipt, StoreError> {
        let receipts = self.revoke_all_async(vec![revoking], now).await?;
        receipts.into_iter().next().ok_or_else(|| StoreError::Stopped.not_revoked())
    }

    /// Revokes all of `revoking` or none, as [`Store::revoke_all`] does, while the task awaits.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotRevoked`], as of [`Store::revoke_all`].
    pub async fn revoke_all_async(
        &self,
        revoking: Vec<Revoking>,
        now: Timestamp,
    ) -> Result<Vec<Receipt>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let revoke = Revoke { revoking, request: None, now };
        self.inner().submit_later(Job::Revoke(revoke), |done| {
            // Whoever asked may have gone away.
            let _ = answer.send(done);
        });
        match answered.await {
            Ok(Ok(Answer::Revoked(receipts))) => Ok(receipts),
            Ok(Err(error)) => Err(error.not_revoked()),
            Ok(Ok(_)) | Err(_) => Err(StoreError::Stopped.not_revoked()),
        }
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Stopped))
}
