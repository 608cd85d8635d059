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
    /// [`Store::open`], without a thread that waits.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::open`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn open_async(path: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let path = path.into();
        on_a_thread(move || Store::open(path)).await
    }

    /// [`Store::create`], without a thread that waits.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::create`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn create_async(path: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let path = path.into();
        on_a_thread(move || Store::create(path)).await
    }

    /// [`Store::open_or_create`], without a thread that waits.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::open_or_create`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn open_or_create_async(path: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let path = path.into();
        on_a_thread(move || Store::open_or_create(path)).await
    }

    /// [`Store::close`], without a thread that waits. To drop the last handle closes the store, too, and waits for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`Store::close`]; [`StoreError::Stopped`] if the runtime ends first.
    pub async fn close_async(&self) -> Result<(), StoreError> {
        let store = self.clone();
        on_a_thread(move || store.close()).await
    }

    /// [`Store::revoke`], without a thread that waits: when it answers, the revocation is on disk.
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

    /// [`Store::revoke_all`], without a thread that waits.
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
