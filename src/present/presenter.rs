//! Presenter: which presentation goes with a request now, and when is it made anew?
//!
//! A presentation is good for minutes, and an agent asks for hours. It knows no clock and no thread: time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::call::Call;
use crate::capability::Capability;
use crate::keys::PrivateKey;
use crate::present::{PresentError, Presentation, Presenting};
use crate::timestamp::Timestamp;

/// How long a kept presentation lives: as long as servers accept. What it begins may go on for half of it at the least.
const SESSION_LIFE: Duration = Duration::from_secs(10 * 60);

/// How long before it expires a presentation is made anew, so that a request under way is not caught by its end.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// The most presentations that are kept, some 2 KiB each: an agent asks a handful of servers. Of more, the one that expires first is
/// made anew when it is needed again.
const MAX_KEPT: usize = 64;

/// What presents one capability to servers, request by request.
///
/// A presentation that is good for many requests is kept until shortly before its end, one for each audience, and then made anew. One
/// that is bound to calls is made each time. Several threads may ask at once.
///
/// ```
/// use std::time::Duration;
///
/// use hardtack::present::Presenter;
/// use hardtack::*;
///
/// # let now = Timestamp::from_unix_seconds(1_795_428_000);
/// # let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
/// # let capability = Issuer::new(PrivateKey::generate()).mint(grant, now)?;
/// let presenter = Presenter::new(capability, alice)?;
///
/// // The same bearer as long as it is good, then a new one.
/// let first = presenter.session("notion.mcp", now)?;
/// let later = presenter.session("notion.mcp", now + Duration::from_secs(60))?;
/// assert_eq!(first.bearer(), later.bearer());
/// let renewed = presenter.session("notion.mcp", now + Duration::from_secs(360))?;
/// assert_ne!(first.bearer(), renewed.bearer());
///
/// // Bound to one call, and good once: each has its own.
/// let call = || vec![Call::tool("search").unwrap()];
/// let once = presenter.for_calls("notion.mcp", call(), now)?;
/// assert_ne!(once.bearer(), presenter.for_calls("notion.mcp", call(), now)?.bearer());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Presenter {
    key: PrivateKey,
    uncovered: bool,
    holding: Mutex<Holding>,
}

/// The capability, and what is kept of it.
struct Holding {
    capability: Capability,
    kept: HashMap<(String, Kind), Kept>,
}

/// What a kept presentation is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// All that the capability grants.
    Session,
    /// What is no call.
    NoCall,
}

struct Kept {
    presentation: Presentation,
    made: Timestamp,
    renew: Timestamp,
}

impl Kept {
    /// Whether it is given out at `now`. To a clock that went back since it was made, be it by a second, it lives longer than servers
    /// accept.
    fn is_good(&self, now: Timestamp) -> bool {
        self.made <= now && now < self.renew
    }
}

impl Presenter {
    /// Makes the presenter of a capability that is bound to `key`.
    ///
    /// # Errors
    ///
    /// [`PresentError::Holder`] if it is bound to another key, to none, or is a presentation itself.
    pub fn new(capability: Capability, key: PrivateKey) -> Result<Presenter, PresentError> {
        capability.check_holder(Some(&key))?;
        let holding = Mutex::new(Holding { capability, kept: HashMap::new() });
        Ok(Presenter { key, uncovered: false, holding })
    }

    /// Makes it present calls that the capability does not cover, too, so that the server refuses them in its own words and records it.
    /// By default [`Presenter::for_calls`] refuses them itself.
    pub fn even_uncovered(mut self) -> Presenter {
        self.uncovered = true;
        self
    }

    /// Presents `capability` from now on, such as one that was renewed. What is kept of the one before is given out no more; what was
    /// given out is good to its end. To give it the capability that it has changes nothing.
    ///
    /// # Errors
    ///
    /// [`PresentError::Holder`], as of [`Presenter::new`]; the one before is presented then as it was.
    pub fn replace(&self, capability: Capability) -> Result<(), PresentError> {
        capability.check_holder(Some(&self.key))?;
        let mut holding = self.holding();
        if holding.capability.to_base64() != capability.to_base64() {
            *holding = Holding { capability, kept: HashMap::new() };
        }
        Ok(())
    }

    /// Returns the presentation to `audience` that is good for all that the capability grants, as often as it is asked for. It is made
    /// anew once half of its life is over.
    ///
    /// # Errors
    ///
    /// [`PresentError`], as of [`Capability::present`].
    pub fn session(&self, audience: &str, now: Timestamp) -> Result<Presentation, PresentError> {
        self.kept(audience, Kind::Session, now)
    }

    /// Returns the presentation to `audience` that is good for what is no call, such as opening a session or asking for a list, and for no
    /// call. It is kept as that of [`Presenter::session`].
    ///
    /// # Errors
    ///
    /// [`PresentError`], as of [`Capability::present`].
    pub fn for_no_call(
        &self,
        audience: &str,
        now: Timestamp,
    ) -> Result<Presentation, PresentError> {
        self.kept(audience, Kind::NoCall, now)
    }

    /// Makes a presentation to `audience` that is good for these calls alone: for one call once, for several as often as they are made.
    /// With no calls it is that of [`Presenter::for_no_call`].
    ///
    /// # Errors
    ///
    /// [`PresentError`], as of [`Capability::present`].
    pub fn for_calls(
        &self,
        audience: &str,
        mut calls: Vec<Call>,
        now: Timestamp,
    ) -> Result<Presentation, PresentError> {
        if calls.len() > 1 {
            let capability = self.holding().capability.clone();
            return self.present_long(&capability, self.presenting(audience).only(calls), now);
        }
        match calls.pop() {
            Some(call) => {
                let capability = self.holding().capability.clone();
                capability.present(self.presenting(audience).call(call), &self.key, now)
            }
            None => self.for_no_call(audience, now),
        }
    }

    fn presenting(&self, audience: &str) -> Presenting {
        let presenting = Presenting::to(audience);
        if self.uncovered { presenting.even_uncovered() } else { presenting }
    }

    /// One that is good for minutes. Threads that ask at once wait for the same one.
    fn kept(
        &self,
        audience: &str,
        kind: Kind,
        now: Timestamp,
    ) -> Result<Presentation, PresentError> {
        let mut holding = self.holding();
        let place = (audience.to_owned(), kind);
        if let Some(kept) = holding.kept.get(&place)
            && kept.is_good(now)
        {
            return Ok(kept.presentation.clone());
        }
        let presenting = match kind {
            Kind::Session => self.presenting(audience),
            Kind::NoCall => self.presenting(audience).only([]),
        };
        let presentation = self.present_long(&holding.capability, presenting, now)?;
        let life = presentation.expires().since(now);
        let renew = now + life.saturating_sub(RENEW_BEFORE).max(life / 2);
        holding.make_room(&place);
        let kept = Kept { presentation: presentation.clone(), made: now, renew };
        holding.kept.insert(place, kept);
        Ok(presentation)
    }

    /// As long as servers accept; a capability that ends sooner is presented to its end at most.
    fn present_long(
        &self,
        capability: &Capability,
        presenting: Presenting,
        now: Timestamp,
    ) -> Result<Presentation, PresentError> {
        match capability.present(presenting.clone().ttl(SESSION_LIFE), &self.key, now) {
            Err(PresentError::Life(_)) => capability.present(presenting, &self.key, now),
            presented => presented,
        }
    }

    /// What a thread that broke off left is whole: it is replaced at once.
    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holding {
    /// Forgets the presentation that expires first, if there are as many as are kept and this is none of them.
    fn make_room(&mut self, place: &(String, Kind)) {
        if self.kept.len() < MAX_KEPT || self.kept.contains_key(place) {
            return;
        }
        let first = self.kept.iter().min_by_key(|(_, kept)| kept.presentation.expires());
        if let Some(first) = first.map(|(place, _)| place.clone()) {
            self.kept.remove(&first);
        }
    }
}

impl fmt::Debug for Presenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presenter")
            .field("capability", &self.holding().capability)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::revocation::RevocationUnchecked;
    use crate::{Grant, Issuer, RootKeys, Verifier};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    /// A capability of `life` seconds, and its key.
    fn held(life: u64) -> (Capability, PrivateKey) {
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:search").new_holder();
        let grant = grant.ttl(Duration::from_secs(life));
        (Issuer::new(PrivateKey::generate()).mint(grant, NOW).unwrap(), alice)
    }

    fn presenter(life: u64) -> Presenter {
        let (capability, key) = held(life);
        Presenter::new(capability, key).unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_is_kept_for_each_audience_and_made_anew_in_time() {
        let presenter = presenter(3600);
        let at = |audience: &str, seconds| {
            presenter.session(audience, after(seconds)).unwrap().bearer().to_owned()
        };
        let first = at("notion.mcp", 0);
        assert_eq!(at("notion.mcp", 299), first);
        assert_ne!(at("mail.mcp", 0), first);
        let second = at("notion.mcp", 300);
        assert_ne!(second, first, "it is given out in its last five minutes");
        assert_eq!(at("notion.mcp", 599), second);
    }

    #[test]
    fn what_was_made_before_the_clock_went_back_is_made_anew() {
        let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
        let issuer = Issuer::new(PrivateKey::generate());
        let presenter = Presenter::new(issuer.mint(grant, NOW).unwrap(), alice).unwrap();
        let verifier =
            Verifier::new(RootKeys::of(issuer.public()), "notion.mcp", RevocationUnchecked)
                .unwrap();
        let ahead = presenter.session("notion.mcp", after(1800)).unwrap();
        assert!(verifier.verify(ahead.bearer(), NOW).is_err(), "it lives too long");
        let back = presenter.session("notion.mcp", NOW).unwrap();
        assert_ne!(back.bearer(), ahead.bearer());
        verifier.verify(back.bearer(), NOW).unwrap();
        let second_back = presenter.session("notion.mcp", NOW - Duration::from_secs(1)).unwrap();
        assert_ne!(second_back.bearer(), back.bearer());
    }

    #[test]
    fn what_ends_soon_is_presented_to_its_end_and_renewed_at_half_of_it() {
        let presenter = presenter(100);
        let first = presenter.session("notion.mcp", NOW).unwrap();
        assert_eq!(first.expires(), after(100));
        assert_eq!(presenter.session("notion.mcp", after(49)).unwrap().bearer(), first.bearer());
        let second = presenter.session("notion.mcp", after(50)).unwrap();
        assert_ne!(second.bearer(), first.bearer());
        let ended = presenter.session("notion.mcp", after(100)).unwrap_err();
        assert_eq!(ended.cause(), crate::Cause::Expired);
    }

    #[test]
    fn what_is_bound_to_a_call_is_made_each_time_and_for_no_call_another_one_is_kept() {
        let presenter = presenter(3600);
        let search = || vec![Call::tool("search").unwrap()];
        let bound = || presenter.for_calls("a.mcp", search(), NOW).unwrap();
        assert_ne!(bound().bearer(), bound().bearer());
        assert_eq!(bound().expires(), after(60), "one call has a minute");
        let two = || presenter.for_calls("a.mcp", [search(), search()].concat(), NOW).unwrap();
        assert_eq!(two().expires(), after(600));
        let none = || presenter.for_no_call("a.mcp", NOW).unwrap().bearer().to_owned();
        assert_eq!(none(), presenter.for_calls("a.mcp", vec![], NOW).unwrap().bearer());
        assert_eq!(none(), none());
        assert_ne!(none(), presenter.session("a.mcp", NOW).unwrap().bearer());
    }

    #[test]
    fn what_is_not_covered_is_presented_only_if_that_was_asked_for() {
        let (capability, key) = held(3600);
        let delete = || vec![Call::tool("delete").unwrap()];
        let presenter = Presenter::new(capability, key).unwrap();
        let refused = presenter.for_calls("a.mcp", delete(), NOW).unwrap_err();
        assert!(matches!(refused, PresentError::NotGranted { .. }), "{refused}");
        assert!(presenter.even_uncovered().for_calls("a.mcp", delete(), NOW).is_ok());
    }

    #[test]
    fn a_renewed_capability_is_presented_at_once_and_a_foreign_one_is_not_taken() {
        let (capability, key) = held(60);
        let presenter = Presenter::new(capability, key).unwrap();
        let first = presenter.session("a.mcp", NOW).unwrap();
        let (foreign, _) = held(3600);
        assert!(matches!(presenter.replace(foreign.clone()), Err(PresentError::Holder(_))));
        assert_eq!(presenter.session("a.mcp", NOW).unwrap().bearer(), first.bearer());
        let grant =
            Grant::to("user:alice").scope("tools:call:search").holder(presenter.key.public());
        let renewed = Issuer::new(PrivateKey::generate()).mint(grant, NOW).unwrap();
        presenter.replace(renewed.clone()).unwrap();
        let second = presenter.session("a.mcp", NOW).unwrap();
        assert_eq!(second.expires(), after(600));
        presenter.replace(renewed).unwrap();
        assert_eq!(presenter.session("a.mcp", NOW).unwrap().bearer(), second.bearer());
        assert!(Presenter::new(foreign, PrivateKey::generate()).is_err());
    }

    #[test]
    fn threads_that_ask_at_once_get_the_same_one() {
        let presenter = presenter(3600);
        let bearers: Vec<String> = thread::scope(|scope| {
            let asking = || presenter.session("a.mcp", NOW).unwrap().bearer().to_owned();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(asking)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(bearers.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let presenter = presenter(3600);
        let at = |number: usize, seconds| {
            let audience = format!("server{number}.mcp");
            presenter.session(&audience, after(seconds)).unwrap().bearer().to_owned()
        };
        let first = at(0, 0);
        let second = at(1, 1);
        (2..MAX_KEPT).for_each(|number| drop(at(number, 2)));
        assert_eq!(at(0, 3), first);
        drop(at(MAX_KEPT, 3));
        assert_eq!(presenter.holding().kept.len(), MAX_KEPT);
        assert_eq!(at(1, 3), second, "another one than the first is forgotten");
        assert_ne!(at(0, 3), first);
    }

    #[test]
    fn it_shows_no_key_and_no_bearer() {
        let presenter = presenter(3600);
        let bearer = presenter.session("a.mcp", NOW).unwrap().bearer().to_owned();
        let shown = format!("{presenter:?}");
        assert!(!shown.contains(&bearer[..40]) && !shown.contains("key"), "{shown}");
    }
}
