//! Body: what a proxy sends, whole and within bounds.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::settings::MappingError;
use hardtack_http::Undescribed;

/// The most bytes of a body, unless [`Mapping::message_limit`](crate::Mapping::message_limit) says otherwise: all connections together hold
/// no more than 128 MiB then. A larger one needs a place, and is read on a thread of its own.
pub(crate) const SMALL_BYTES: usize = 128 * 1024;

/// The most that can be said, 8 MiB: what a call may have at the most.
const MOST_BYTES: usize = hardtack::internal::MOST_ARGUMENT_BYTES;

/// The least: with less, hardly any arguments are judged.
const LEAST_BYTES: usize = 1024;

/// How many large bodies are held at once. One takes some 60 MB until it is judged.
pub(crate) const LARGE_AT_ONCE: usize = 8;

/// How long a body may take to arrive, and to wait for its place: it comes from a proxy that has all of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How bodies are read.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    most: usize,
    places: Arc<Semaphore>,
}

/// The place of a body, which is taken until the last clone goes. It goes where the body goes, onto another thread as well: who asked
/// may have gone away, and the body is read all the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place(
    #[cfg_attr(not(test), expect(dead_code, reason = "it is given back when this goes"))]
    Option<Arc<OwnedSemaphorePermit>>,
);

/// A body, and its place: to be kept until it is judged.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) place: Place,
}

/// Does `work`, which reads a large body, on a thread that may take its time. It keeps the place until it is done, whether or not
/// anybody still waits. `None` if it panics, or the runtime ends.
pub(crate) async fn aside<T: Send + 'static>(
    place: Place,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let work = move || {
        #[cfg(test)]
        let _counted = crate::given_up::Counted::new();
        (work(), place)
    };
    tokio::task::spawn_blocking(work).await.ok().map(|(done, _place)| done)
}

impl Bodies {
    pub(crate) fn of(limit: Option<u64>) -> Result<Bodies, MappingError> {
        let most = match limit {
            None => Some(SMALL_BYTES),
            Some(bytes) => usize::try_from(bytes).ok(),
        };
        match most.filter(|most| (LEAST_BYTES..=MOST_BYTES).contains(most)) {
            Some(most) => Ok(Bodies { most, places: Arc::new(Semaphore::new(LARGE_AT_ONCE)) }),
            None => Err(MappingError::new(
                "message-limit",
                format!("a body may have from {LEAST_BYTES} to {MOST_BYTES} bytes"),
            )),
        }
    }

    /// The most bytes that a client's body may have.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Refuses what is larger than a client's body may be, and says how large it may be.
    pub(crate) fn refuse_larger(&self, bytes: usize) -> Result<(), Undescribed> {
        match bytes > self.most {
            true => Err(Undescribed::TooLarge(self.most)),
            false => Ok(()),
        }
    }

    /// Reads a body, which may have this many bytes more than a client's.
    pub(crate) async fn read<B>(&self, body: B, more: usize) -> Result<Whole, Undescribed>
    where
        B: Body<Data = Bytes>,
    {
        let read = tokio::time::timeout(TIMEOUT, self.read_whole(body, self.most + more)).await;
        read.unwrap_or(Err(Undescribed::Incomplete))
    }

    async fn read_whole<B>(&self, body: B, most: usize) -> Result<Whole, Undescribed>
    where
        B: Body<Data = Bytes>,
    {
        let mut body = std::pin::pin!(body);
        if usize::try_from(body.size_hint().lower()).is_ok_and(|declared| declared > most) {
            return Err(self.passed_over(body).await);
        }
        let (mut whole, mut place) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Undescribed::Incomplete)?;
            let Ok(data) = frame.into_data() else { continue };
            let bytes = whole.len() + data.len();
            if bytes > most {
                drop((whole, place));
                return Err(self.passed_over(body).await);
            }
            if bytes > SMALL_BYTES && self.most > SMALL_BYTES && place.is_none() {
                let free = Arc::clone(&self.places).acquire_owned().await;
                place = Some(free.map_err(|_| Undescribed::Incomplete)?);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Whole { bytes: whole.into(), place: Place(place.map(Arc::new)) })
    }

    /// Takes as much of what comes as could be judged at the most, and keeps nothing of it: who still sends reads no answer.
    async fn passed_over<B>(&self, mut body: Pin<&mut B>) -> Undescribed
    where
        B: Body<Data = Bytes>,
    {
        let mut passed = 0;
        while passed <= MOST_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            passed += frame.data_ref().map_or(0, Bytes::len);
        }
        Undescribed::TooLarge(self.most)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::Full;

    use super::*;

    fn bodies(limit: usize) -> Bodies {
        Bodies::of(Some(limit as u64)).unwrap()
    }

    async fn read(bodies: &Bodies, bytes: usize, more: usize) -> Result<Whole, Undescribed> {
        bodies.read(Full::new(Bytes::from(vec![b'x'; bytes])), more).await
    }

    #[test]
    fn a_limit_has_its_own_limits() {
        for bytes in [0, LEAST_BYTES as u64 - 1, MOST_BYTES as u64 + 1, u64::MAX] {
            let error = Bodies::of(Some(bytes)).unwrap_err().to_string();
            assert!(error.contains("from 1024 to 8388608 bytes"), "{error}");
        }
        assert_eq!(Bodies::of(None).unwrap().most(), SMALL_BYTES);
        assert_eq!(bodies(MOST_BYTES).most(), MOST_BYTES);
    }

    #[tokio::test]
    async fn a_body_has_so_many_bytes_and_one_that_has_more_is_told_how_many() {
        for limit in [LEAST_BYTES, SMALL_BYTES, 1024 * 1024] {
            let bodies = bodies(limit);
            assert_eq!(
                read(&bodies, limit, 0).await.unwrap_or_else(|_| panic!()).bytes.len(),
                limit
            );
            let Err(refused) = read(&bodies, limit + 1, 0).await else { panic!("{limit} and one") };
            assert_eq!(refused.to_string(), format!("the body has more than {limit} bytes"));
            assert!(read(&bodies, limit + 5, 5).await.is_ok());
            assert!(read(&bodies, limit + 6, 5).await.is_err());
        }
    }

    #[tokio::test]
    async fn only_so_many_large_bodies_are_held_and_small_ones_do_not_wait_for_them() {
        let bodies = bodies(1024 * 1024);
        let mut held = Vec::new();
        for _ in 0..LARGE_AT_ONCE {
            let large = read(&bodies, SMALL_BYTES + 1, 0).await.unwrap_or_else(|_| panic!());
            assert!(large.place.0.is_some());
            held.push(large);
        }
        assert!(read(&bodies, SMALL_BYTES + 1, 0).now_or_never().is_none(), "it waits");
        let small = read(&bodies, SMALL_BYTES, 0).now_or_never().unwrap();
        assert!(small.is_ok_and(|small| small.place.0.is_none()));
        held.pop();
        assert!(read(&bodies, SMALL_BYTES + 1, 0).now_or_never().unwrap().is_ok());
    }
}
