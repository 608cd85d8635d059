//! Body: what a proxy sends, whole and within bounds.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::settings::MappingError;
use hardtack::internal::JsonSize;
use hardtack_http::Undescribed;

/// The most bytes of a body, unless [`Mapping::message_limit`](crate::Mapping::message_limit) says otherwise, and what one of the
/// [`SMALL_AT_ONCE`] places holds. A larger body needs another place, and is read on a thread of its own.
pub(crate) const SMALL_BYTES: usize = 128 * 1024;

/// What reading a small body takes in memory at the most without more being asked for: that of a long text, and as much for values.
const SMALL_MEMORY: usize = 1024 * 1024;

/// What reading a body may take, as much as the gateway holds for a subject: 128 KiB of nested objects take 40 MB.
const MOST_MEMORY: usize = 64 * 1024 * 1024;

/// What reading all bodies that take more than [`SMALL_MEMORY`] may take together, in MiB.
pub(crate) const MEMORY_AT_ONCE: usize = LARGE_AT_ONCE * MOST_MEMORY / MIB;

const MIB: usize = 1024 * 1024;

/// How many places there are for small bodies, whichever connections they come by (HTTP/2 has 256 on each): together they have 128 MiB
/// as they came, and take up to 1 GiB while all of them are read and judged, beside [`MEMORY_AT_ONCE`]. As many as there are connections, so questions over HTTP/1.1 alone
/// do not run out of them. A message of gRPC takes one for each 128 KiB that it begins.
pub(crate) const SMALL_AT_ONCE: usize = 1024;

/// The most that can be said, 8 MiB: what a call may have at the most.
const MOST_BYTES: usize = hardtack::internal::MOST_ARGUMENT_BYTES;

/// The least: with less, hardly any arguments are judged.
const LEAST_BYTES: usize = 1024;

/// How many large bodies are held at once. One takes up to [`MOST_MEMORY`] until it is judged.
pub(crate) const LARGE_AT_ONCE: usize = 8;

/// How many more may wait for such a place. Each keeps 64 KiB of what its connection may send unread (1 MiB over HTTP/2), so that even
/// if all come by one connection, the bodies that have a place still arrive.
const LARGE_WAITING: usize = 8;

/// How long one waits for such a place: half of what it may take to arrive.
const WAIT: Duration = Duration::from_secs(5);

/// How long a body may take to arrive, and to wait for its place: it comes from a proxy that has all of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long nothing more may arrive of a body that has begun, or is passed over: who has a place and sends nothing keeps others out.
const STALLED: Duration = Duration::from_secs(1);

/// How bodies are read.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    most: usize,
    pub(crate) small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    pub(crate) memory: Arc<Semaphore>,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error(transparent)]
    Undescribed(#[from] Undescribed),
    /// Nobody is at fault for it.
    #[error("too many bodies are held at once; try again later")]
    Busy,
}

/// The place of a body, which is taken until the last clone goes. It goes where the body goes, onto another thread as well: who asked
/// may have gone away, and the body is read all the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    #[expect(dead_code, reason = "they are given back when this goes")]
    small: Option<Arc<OwnedSemaphorePermit>>,
    #[expect(dead_code, reason = "as above")]
    large: Option<Arc<OwnedSemaphorePermit>>,
    memory: Option<Arc<OwnedSemaphorePermit>>,
    takes_long: bool,
}

impl Place {
    /// Whether so much is to be read in it that it takes long.
    pub(crate) fn takes_long(&self) -> bool {
        self.takes_long
    }
}

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
            Some(most) => Ok(Bodies {
                most,
                small: Arc::new(Semaphore::new(SMALL_AT_ONCE)),
                large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
                waiting: Arc::new(Semaphore::new(LARGE_WAITING)),
                memory: Arc::new(Semaphore::new(MEMORY_AT_ONCE)),
            }),
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
    pub(crate) async fn read<B>(&self, body: B, more: usize) -> Result<Whole, Unread>
    where
        B: Body<Data = Bytes>,
    {
        let read = tokio::time::timeout(TIMEOUT, self.read_whole(body, self.most + more)).await;
        read.unwrap_or(Err(Undescribed::Incomplete.into()))
    }

    async fn read_whole<B>(&self, body: B, most: usize) -> Result<Whole, Unread>
    where
        B: Body<Data = Bytes>,
    {
        let mut body = std::pin::pin!(body);
        if usize::try_from(body.size_hint().lower()).is_ok_and(|declared| declared > most) {
            pass_over(body).await;
            return Err(Undescribed::TooLarge(self.most).into());
        }
        let (mut whole, mut taken) = (Vec::new(), Taken::Nothing);
        while let Some(frame) = next(&mut body, taken.patience()).await? {
            let Ok(data) = frame.into_data() else { continue };
            let bytes = whole.len() + data.len();
            let grown = match bytes > most {
                true => Err(Undescribed::TooLarge(self.most).into()),
                false => self.grow(&mut taken, bytes).await,
            };
            if let Err(error) = grown {
                drop((whole, data, taken));
                pass_over(body).await;
                return Err(error);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Whole { bytes: whole.into(), place: taken.into() })
    }

    /// Takes what a body of this size needs, before it has that size. A small one does not wait: others that wait hold memory, too.
    async fn grow(&self, taken: &mut Taken, bytes: usize) -> Result<(), Unread> {
        let held = match taken {
            Taken::Large(_) => return Ok(()),
            Taken::Small(places) => places.num_permits(),
            Taken::Nothing => 0,
        };
        if bytes > SMALL_BYTES && self.most > SMALL_BYTES {
            *taken = Taken::Large(self.large().await?);
            return Ok(());
        }
        let missing = bytes.div_ceil(SMALL_BYTES).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| Unread::Busy)?;
        let more = Arc::clone(&self.small).try_acquire_many_owned(missing);
        let more = more.map_err(|_| Unread::Busy)?;
        match taken {
            Taken::Small(places) => places.merge(more),
            _ => *taken = Taken::Small(more),
        }
        Ok(())
    }

    /// Takes what reading this JSON text needs besides its bytes, which have `place`.
    pub(crate) async fn to_read(&self, json: &[u8], mut place: Place) -> Result<Place, Unread> {
        let memory = JsonSize::of(json).memory(0);
        if memory > MOST_MEMORY {
            return Err(Undescribed::TooManyValues(MOST_MEMORY / MIB).into());
        }
        place.takes_long = json.len() > SMALL_BYTES || memory > SMALL_MEMORY;
        if memory > SMALL_MEMORY {
            let mib = u32::try_from(memory.div_ceil(MIB)).map_err(|_| Unread::Busy)?;
            // Those that wait have their bytes already, and no more than have a place for these.
            let free = Arc::clone(&self.memory).acquire_many_owned(mib);
            let free = tokio::time::timeout(WAIT, free).await.map_err(|_| Unread::Busy)?;
            place.memory = Some(Arc::new(free.map_err(|_| Unread::Busy)?));
        }
        Ok(place)
    }

    async fn large(&self) -> Result<OwnedSemaphorePermit, Unread> {
        if let Ok(place) = Arc::clone(&self.large).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| Unread::Busy)?;
        let place = tokio::time::timeout(WAIT, Arc::clone(&self.large).acquire_owned()).await;
        place.map_err(|_| Unread::Busy)?.map_err(|_| Unread::Busy)
    }
}

/// What is taken for a body while it arrives.
enum Taken {
    Nothing,
    Small(OwnedSemaphorePermit),
    Large(OwnedSemaphorePermit),
}

impl Taken {
    /// How long the next part of the body may take: who holds nothing keeps nobody out.
    fn patience(&self) -> Duration {
        match self {
            Taken::Nothing => TIMEOUT,
            Taken::Small(_) | Taken::Large(_) => STALLED,
        }
    }
}

impl From<Taken> for Place {
    fn from(taken: Taken) -> Place {
        match taken {
            Taken::Nothing => Place::default(),
            Taken::Small(place) => Place { small: Some(Arc::new(place)), ..Place::default() },
            Taken::Large(place) => Place { large: Some(Arc::new(place)), ..Place::default() },
        }
    }
}

/// The next part of a body; an error if it takes longer than this.
async fn next<B>(
    body: &mut Pin<&mut B>,
    patience: Duration,
) -> Result<Option<Frame<Bytes>>, Undescribed>
where
    B: Body<Data = Bytes>,
{
    match tokio::time::timeout(patience, body.frame()).await {
        Ok(frame) => frame.transpose().map_err(|_| Undescribed::Incomplete),
        Err(_) => Err(Undescribed::Incomplete),
    }
}

/// Takes as much of what comes as could be judged at the most, and keeps nothing of it: who still sends reads no answer.
async fn pass_over<B>(mut body: Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    let mut passed = 0;
    while passed <= MOST_BYTES
        && let Ok(Some(frame)) = next(&mut body, STALLED).await
    {
        passed += frame.data_ref().map_or(0, Bytes::len);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn bodies(limit: usize) -> Bodies {
        Bodies::of(Some(limit as u64)).unwrap()
    }

    async fn read(bodies: &Bodies, bytes: usize, more: usize) -> Result<Whole, Unread> {
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

    /// A body of which so much comes at once, and no more.
    fn halted(bytes: usize) -> impl Body<Data = Bytes, Error = Infallible> {
        let data = Bytes::from(vec![b'x'; bytes]);
        let first = stream::iter([Ok(Frame::data(data))]);
        StreamBody::new(first.chain(stream::pending()))
    }

    fn is_busy(read: &Result<Whole, Unread>) -> bool {
        matches!(read, Err(Unread::Busy))
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_large_bodies_are_held_and_small_ones_do_not_wait_for_them() {
        let bodies = bodies(1024 * 1024);
        let mut held = Vec::new();
        for _ in 0..LARGE_AT_ONCE {
            held.push(read(&bodies, SMALL_BYTES + 1, 0).await.unwrap_or_else(|_| panic!()));
        }
        assert_eq!(bodies.large.available_permits(), 0);
        assert!(read(&bodies, SMALL_BYTES + 1, 0).now_or_never().is_none(), "it waits");
        assert!(is_busy(&read(&bodies, SMALL_BYTES + 1, 0).await), "for some time");
        let small = read(&bodies, SMALL_BYTES, 0).now_or_never().unwrap();
        assert!(small.is_ok());
        let mut waiting: Vec<_> =
            (0..LARGE_WAITING).map(|_| Box::pin(read(&bodies, SMALL_BYTES + 1, 0))).collect();
        assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        assert!(
            is_busy(&read(&bodies, SMALL_BYTES + 1, 0).now_or_never().unwrap()),
            "no more wait"
        );
        held.pop();
        assert!(waiting[0].as_mut().await.is_ok(), "whoever came first has it");
        drop((waiting, held));
        assert!(read(&bodies, SMALL_BYTES + 1, 0).now_or_never().unwrap().is_ok());
        assert_eq!(bodies.large.available_permits(), LARGE_AT_ONCE);
    }

    #[tokio::test]
    async fn all_small_bodies_together_have_so_many_bytes_and_one_more_is_refused_at_once() {
        let bodies = Bodies::of(None).unwrap();
        // As a message of gRPC: beside its body, it has more than a place.
        let message =
            read(&bodies, SMALL_BYTES + 1, SMALL_BYTES).await.unwrap_or_else(|_| panic!());
        let mut held = Vec::new();
        for _ in 2..SMALL_AT_ONCE {
            held.push(read(&bodies, 1, 0).await.unwrap_or_else(|_| panic!()));
        }
        assert!(is_busy(&read(&bodies, 1, 0).now_or_never().unwrap()));
        assert!(read(&bodies, 0, 0).await.is_ok(), "without a body nothing is held");
        held.pop();
        assert!(is_busy(&read(&bodies, SMALL_BYTES + 1, SMALL_BYTES).await), "it needs two");
        assert!(read(&bodies, SMALL_BYTES, 0).await.is_ok());
        drop((message, held));
        assert_eq!(bodies.small.available_permits(), SMALL_AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_bodies_take_in_memory_is_bounded_however_few_bytes_they_have() {
        let bodies = Bodies::of(None).unwrap();
        let objects = |count: usize| format!("[{}]", vec![r#"{"":1}"#; count].join(","));
        let (plain, many) = (objects(500), objects(1_000));
        assert!(many.len() < SMALL_BYTES / 10);
        let place = |json: String| {
            let bodies = &bodies;
            async move {
                let whole = bodies.read(Full::new(Bytes::from(json.clone())), 0).await;
                let place = whole.unwrap_or_else(|_| panic!()).place;
                bodies.to_read(json.as_bytes(), place).await
            }
        };
        assert!(!place(plain.clone()).await.unwrap().takes_long());
        let mut held = Vec::new();
        // Each takes two of the MiB.
        for _ in 0..MEMORY_AT_ONCE / 2 {
            held.push(place(many.clone()).await.unwrap());
        }
        assert!(held.iter().all(Place::takes_long));
        assert!(place(many.clone()).now_or_never().is_none(), "it waits");
        assert!(matches!(place(many.clone()).await, Err(Unread::Busy)), "for some time");
        assert!(place(plain).await.is_ok());
        held.pop();
        assert!(place(many.clone()).await.is_ok());
        // As a text, it is as long as its bytes.
        assert!(!place(serde_json::to_string(&many).unwrap()).await.unwrap().takes_long());
        drop(held);
        assert_eq!(bodies.memory.available_permits(), MEMORY_AT_ONCE);
        assert_eq!(bodies.small.available_permits(), SMALL_AT_ONCE);
        let too_many = bodies.to_read(objects(45_000).as_bytes(), Place::default()).await;
        let Err(Unread::Undescribed(refused)) = too_many else { panic!() };
        assert_eq!(refused.cause(), hardtack::Cause::CallTooLarge);
        assert!(refused.to_string().contains("more than 64 MiB"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_which_nothing_comes_for_a_second_gives_its_place_back() {
        let bodies = bodies(1024 * 1024);
        for bytes in [1, SMALL_BYTES + 1] {
            let begun = tokio::time::Instant::now();
            let mut halted = Box::pin(bodies.read(halted(bytes), 0));
            assert!(halted.as_mut().now_or_never().is_none());
            let free = bodies.small.available_permits() + bodies.large.available_permits();
            assert_eq!(free, SMALL_AT_ONCE + LARGE_AT_ONCE - 1);
            let Err(Unread::Undescribed(Undescribed::Incomplete)) = halted.await else {
                panic!("{bytes}")
            };
            assert!(begun.elapsed() < 2 * STALLED);
            let free = bodies.small.available_permits() + bodies.large.available_permits();
            assert_eq!(free, SMALL_AT_ONCE + LARGE_AT_ONCE);
        }
    }
}
