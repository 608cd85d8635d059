//! Children: which process serves whom, and how many are there?
//!
//! Up to 2025-11-25 each session has a process of its own. Since 2026-07-28 there are no sessions, and each owner has one: a root, a
//! grant and the key that uses them. No process serves two owners.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use rand_core::{OsRng, RngCore};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant, timeout_at};

use crate::budget::Payer;
use crate::child::command::ServerCommand;
use crate::child::pipe::Pipe;
use crate::child::places::{NoPlace, Place, Places};
use crate::child::process::{self, End};
use crate::group;
use crate::metrics::Metrics;
use crate::session::Owner;
use crate::watch::Ended;
use hardtack::mcp::Era;

/// How long one must have been idle until it gives way to another one of its subject.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(60);

/// How long whoever opens a session waits for the place of one that gives way: as long as one may take to end.
const PLACE_PATIENCE: Duration = Duration::from_secs(6);

/// How long a subject waits after its processes ended by themselves: nothing after the first, then this, and twice as long each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// A process that ran for so long did not fail at its start.
const PROVEN_AFTER: Duration = Duration::from_secs(60);

/// The most subjects whose failures are remembered.
const MAX_FAILED: usize = 1024;

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) owner: Owner,
    pub(crate) payer: Payer,
}

/// What is known of a request before it is sent on.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) sender: Sender,
    /// The protocol that it was judged by.
    pub(crate) era: Era,
    /// Why its token no longer holds, once that is known.
    pub(crate) ended: Ended,
    /// How long its answer may take to begin, where nobody said so of the server.
    pub(crate) patience: Option<Duration>,
}

/// Why there is no process for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoChild {
    /// There are as many as there may be, of this subject or in all.
    Full,
    /// This subject started too many in a short time.
    Often,
    /// It ended by itself again and again, and is not started now.
    Backoff,
    /// There is no file or process left for it now.
    Exhausted,
    /// It cannot be started.
    Unstartable,
}

/// All processes of one server.
#[derive(Clone)]
pub(crate) struct Children(Arc<Inner>);

struct Inner {
    command: ServerCommand,
    kept: Mutex<Kept>,
    /// Says that a process is gone.
    gone: Notify,
    /// Where its processes are counted.
    shared: OnceLock<Shared>,
}

#[derive(Default)]
struct Shared {
    places: Places,
    metrics: Option<Metrics>,
}

#[derive(Default)]
struct Kept {
    /// By the session's id, or by the owner, of those that are not gone yet.
    children: HashMap<Key, Child>,
    failed: HashMap<Payer, Failed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Session(String),
    Owner(Owner),
}

struct Child {
    sender: Sender,
    pipe: Arc<Pipe>,
    /// Tells two apart that have one key after each other.
    number: u64,
}

struct Failed {
    times: u32,
    until: Instant,
}

impl Children {
    pub(crate) fn of(command: ServerCommand) -> Children {
        let inner =
            Inner { command, kept: Mutex::default(), gone: Notify::new(), shared: OnceLock::new() };
        Children(Arc::new(inner))
    }

    /// Counts the processes there; to be called once, before anything is asked.
    pub(crate) fn count_in(&self, metrics: &Metrics, places: &Places) {
        let shared = Shared { places: places.clone(), metrics: Some(metrics.clone()) };
        if self.0.shared.set(shared).is_err() {
            tracing::error!(server = self.name(), "a server's processes are counted elsewhere");
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.0.command.name()
    }

    /// Opens a session. Returns its id, which nobody can guess.
    pub(crate) async fn open(&self, sender: Sender) -> Result<(String, Arc<Pipe>), NoChild> {
        let mut id = [0; 16];
        OsRng.fill_bytes(&mut id);
        let id = hex::encode(id);
        let pipe = self.start(Key::Session(id.clone()), sender, Era::Legacy).await?;
        Ok((id, pipe))
    }

    /// The process of a session that is this sender's.
    pub(crate) fn session(&self, id: &str, sender: Sender) -> Option<Arc<Pipe>> {
        let kept = self.0.kept();
        let child = kept.children.get(&Key::Session(id.to_owned()))?;
        let is_own = child.sender.owner == sender.owner && !child.pipe.has_ended();
        is_own.then(|| Arc::clone(&child.pipe))
    }

    /// The process of an owner without a session.
    pub(crate) async fn own(&self, sender: Sender) -> Result<Arc<Pipe>, NoChild> {
        self.start(Key::Owner(sender.owner), sender, Era::Modern).await
    }

    async fn start(&self, key: Key, sender: Sender, era: Era) -> Result<Arc<Pipe>, NoChild> {
        let patience = Instant::now() + PLACE_PATIENCE;
        loop {
            let gone = self.0.gone.notified();
            let mut gone = std::pin::pin!(gone);
            gone.as_mut().enable();
            {
                let mut kept = self.0.kept();
                match kept.children.get(&key) {
                    Some(child) if !child.pipe.has_ended() => return Ok(Arc::clone(&child.pipe)),
                    // Its place is free when it is gone.
                    Some(_) => {}
                    None => match kept.room_for(self.0.places(), sender.payer, Instant::now()) {
                        Room::Now(place) => {
                            return self.started(&mut kept, (key, place), sender, era);
                        }
                        Room::Soon => {}
                        Room::Failed => return Err(NoChild::Backoff),
                        Room::Often => return Err(NoChild::Often),
                        Room::None => return Err(NoChild::Full),
                    },
                }
            }
            if timeout_at(patience, gone).await.is_err() {
                return Err(NoChild::Full);
            }
        }
    }

    fn started(
        &self,
        kept: &mut Kept,
        (key, place): (Key, Place),
        sender: Sender,
        era: Era,
    ) -> Result<Arc<Pipe>, NoChild> {
        let mut number = [0; 8];
        OsRng.fill_bytes(&mut number);
        let number = u64::from_le_bytes(number);
        let (inner, gone) = (Arc::downgrade(&self.0), key.clone());
        // It has its place until it is gone, also when nobody keeps it any more.
        let ended = move |end| Inner::ended(&inner, (&gone, number), place, sender.payer, end);
        let pipe = match process::start(&self.0.command, era, ended) {
            Ok(pipe) => pipe,
            Err(error) => {
                tracing::error!(server = self.name(), %error, "a server's process cannot be started");
                if group::is_for_now(&error) {
                    return Err(NoChild::Exhausted);
                }
                kept.failed(sender.payer, Duration::ZERO, Instant::now());
                return Err(NoChild::Unstartable);
            }
        };
        if let Some(metrics) = self.0.metrics() {
            metrics.child_started();
        }
        let child = Child { sender, pipe: Arc::clone(&pipe), number };
        kept.children.insert(key, child);
        Ok(pipe)
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn places(&self) -> &Places {
        &self.shared.get_or_init(Shared::default).places
    }

    fn metrics(&self) -> Option<&Metrics> {
        self.shared.get()?.metrics.as_ref()
    }

    fn ended(
        inner: &Weak<Inner>,
        (key, number): (&Key, u64),
        place: Place,
        payer: Payer,
        end: End,
    ) {
        drop(place);
        let Some(inner) = inner.upgrade() else { return };
        let mut kept = inner.kept();
        if kept.children.get(key).is_some_and(|child| child.number == number) {
            kept.children.remove(key);
        }
        if let End::Unasked(after) = end {
            kept.failed(payer, after, Instant::now());
        }
        drop(kept);
        if let Some(metrics) = inner.metrics() {
            metrics.child_ended(end != End::Asked);
        }
        inner.gone.notify_waiters();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever no longer asks leaves nobody running.
        let kept = self.kept.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        kept.children.values().for_each(|child| child.pipe.end.cancel());
    }
}

/// Whether there is a place for one more.
enum Room {
    Now(Place),
    /// One gives way.
    Soon,
    None,
    /// Too many were started in a short time.
    Often,
    /// Those before it failed.
    Failed,
}

impl Kept {
    fn room_for(&mut self, places: &Places, payer: Payer, now: Instant) -> Room {
        if self.failed.get(&payer).is_some_and(|failed| failed.until > now) {
            return Room::Failed;
        }
        match places.take(payer, now) {
            Ok(place) => return Room::Now(place),
            Err(NoPlace::Often) => return Room::Often,
            Err(NoPlace::Full) => {}
        }
        let own = self.children.values().filter(|child| child.sender.payer == payer);
        if own.clone().any(|child| child.pipe.has_ended()) {
            return Room::Soon;
        }
        let idle = own.filter_map(|child| Some((child.pipe.idle_at(now)?, &child.pipe)));
        match idle.max_by_key(|(unused, _)| *unused) {
            Some((unused, pipe)) if unused >= GIVES_WAY_AFTER => {
                tracing::info!(server = %pipe.name, "a process that is idle gives way to another one of its subject");
                pipe.end.cancel();
                Room::Soon
            }
            _ => Room::None,
        }
    }

    fn failed(&mut self, payer: Payer, after: Duration, now: Instant) {
        if self.failed.len() >= MAX_FAILED {
            self.failed.retain(|_, failed| failed.until + LONGEST_BACKOFF > now);
        }
        let before = self.failed.get(&payer);
        let before = before.filter(|failed| failed.until + PROVEN_AFTER > now);
        let times = match after < PROVEN_AFTER {
            true => before.map_or(0, |failed| failed.times) + 1,
            false => 1,
        };
        if self.failed.len() < MAX_FAILED || self.failed.contains_key(&payer) {
            self.failed.insert(payer, Failed { times, until: now + backoff(times) });
        }
    }
}

/// How long nothing is started after so many failures.
fn backoff(times: u32) -> Duration {
    match times {
        0 | 1 => Duration::ZERO,
        _ => FIRST_BACKOFF.saturating_mul(1 << (times - 2).min(10)).min(LONGEST_BACKOFF),
    }
}

impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").field("command", &self.0.command).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::places::MAX_CHILDREN_EACH;
    use crate::child::spans::Spans;
    use crate::files::MAX_CHILDREN;

    #[test]
    fn whoever_fails_waits_longer_each_time_but_not_after_the_first() {
        let seconds: Vec<f64> = (0..10).map(|times| backoff(times).as_secs_f64()).collect();
        assert_eq!(seconds, [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
    }

    #[tokio::test]
    async fn who_has_all_it_may_have_loses_the_one_that_was_idle_the_longest_and_nobody_elses() {
        let (mine, theirs) = (Payer::from_bytes([1; 32]), Payer::from_bytes([2; 32]));
        let (mut kept, places) = (Kept::default(), Places::default());
        let (mut inputs, mut taken) = (Vec::new(), Vec::new());
        let mut add = |kept: &mut Kept, payer, name: &str| {
            let (pipe, input) = Pipe::new("server".into(), Era::Legacy);
            let sender = Sender { owner: Owner::from_bytes([0; 32]), payer };
            let child = Child { sender, pipe: Arc::clone(&pipe), number: 0 };
            kept.children.insert(Key::Session(name.to_owned()), child);
            inputs.push(input);
            taken.extend(places.take(payer, Instant::now()));
            pipe
        };
        let other = add(&mut kept, theirs, "theirs");
        let busy = add(&mut kept, mine, "busy");
        let waits = Spans::read(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).unwrap();
        let _waiting = busy.ask(&waits, true).unwrap();
        let first = add(&mut kept, mine, "first");
        // The others were used later.
        tokio::time::sleep(Duration::from_millis(20)).await;
        for number in 2..MAX_CHILDREN_EACH {
            add(&mut kept, mine, &number.to_string());
        }
        let now = Instant::now();
        assert!(matches!(kept.room_for(&places, mine, now), Room::None), "none is idle for long");
        let now = now + GIVES_WAY_AFTER;
        assert!(matches!(kept.room_for(&places, mine, now), Room::Soon));
        assert!(first.has_ended() && !busy.has_ended() && !other.has_ended());
        assert!(matches!(kept.room_for(&places, theirs, now), Room::Now(_)));
        for number in 0..MAX_CHILDREN {
            let subject = [u8::try_from(number + 3).unwrap(); 32];
            add(&mut kept, Payer::from_bytes(subject), &format!("of {number}"));
        }
        assert!(
            matches!(kept.room_for(&places, Payer::from_bytes([0; 32]), now), Room::None),
            "in all"
        );
    }

    #[tokio::test]
    async fn a_session_is_its_owners_alone_and_while_it_lasts() {
        let supervisor = ("/nowhere".into(), Vec::new());
        let children = Children::of(ServerCommand::new("server", [""; 0], supervisor));
        let payer = Payer::from_bytes([1; 32]);
        let [own, other] =
            [1, 2].map(|owner| Sender { owner: Owner::from_bytes([owner; 32]), payer });
        let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
        let child = Child { sender: own, pipe: Arc::clone(&pipe), number: 0 };
        children.0.kept().children.insert(Key::Session("s".to_owned()), child);
        assert!(children.session("s", own).is_some());
        assert!(children.session("s", other).is_none(), "another key of the same subject");
        assert!(children.session("t", own).is_none());
        pipe.ended();
        assert!(children.session("s", own).is_none());
    }

    #[test]
    fn a_machine_without_files_left_is_no_fault_of_the_program() {
        let of = std::io::Error::from_raw_os_error;
        assert!(group::is_for_now(&of(24)) && group::is_for_now(&of(11)), "EMFILE, EAGAIN");
        assert!(
            !group::is_for_now(&of(2))
                && !group::is_for_now(&std::io::Error::other("a pipe is missing"))
        );
    }

    #[tokio::test]
    async fn failures_are_a_subjects_own_and_are_forgotten() {
        let (mine, theirs) = (Payer::from_bytes([1; 32]), Payer::from_bytes([2; 32]));
        let (mut kept, now) = (Kept::default(), Instant::now());
        let places = Places::default();
        kept.failed(mine, Duration::ZERO, now);
        assert!(
            matches!(kept.room_for(&places, mine, now), Room::Now(_)),
            "the first is no pattern"
        );
        kept.failed(mine, Duration::ZERO, now);
        assert!(matches!(kept.room_for(&places, mine, now), Room::Failed));
        assert!(matches!(kept.room_for(&places, theirs, now), Room::Now(_)));
        let now = now + Duration::from_secs(1);
        assert!(matches!(kept.room_for(&places, mine, now), Room::Now(_)));
        kept.failed(mine, PROVEN_AFTER, now);
        assert!(
            matches!(kept.room_for(&places, mine, now), Room::Now(_)),
            "one that ran for long did not fail"
        );
        for number in 0..2 * MAX_FAILED {
            let mut subject = [3; 32];
            subject[..8].copy_from_slice(&number.to_le_bytes());
            kept.failed(Payer::from_bytes(subject), Duration::ZERO, now);
        }
        assert!(kept.failed.len() <= MAX_FAILED);
    }
}
