//! Guard: verify, authorize and audit in one call, whole or not at all (a reference monitor).

mod admission;
mod denial;
mod facts;
mod permit;
mod recording;
mod refused;
mod rejections;
mod revoking;
mod shadow;
#[cfg(feature = "tokio")]
mod waiting;
mod unrecorded;

use std::fmt;
use std::sync::{Arc, Mutex, RwLock};

use crate::audit::{Decision, Keep, KeptRequest, Ledger};
use crate::authorize::{
    AuthorizeError, PreparedSets, PreparedTokens, authorize_with, refuse_other_call,
    refuse_uncovered, rests_on,
};
use crate::call::Call;
use crate::explain::{self, Explanation, Shown};
use crate::policy::Policy;
use crate::preview::{self, Preview};
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;
use crate::verify::{VerifiedCapability, Verifier};

pub(crate) use unrecorded::UnrecordedDecision;
pub use unrecorded::UnrecordedRefusal;

pub use denial::{Denial, Helps, Refusal};
use facts::Facts;
pub use facts::{Fact, FactNameError, FactSource, FactsUnavailable};
#[cfg(test)]
pub(crate) use facts::{MAX_FACT_BYTES, MAX_FACT_NAMES, MAX_FACT_TERMS, MAX_FACTS};
pub use permit::Permit;
pub use refused::Refused;
pub(crate) use rejections::MAX_REJECTIONS_RECORDED;
use rejections::Rejections;
use shadow::Shadow;
pub use shadow::ShadowCounts;

/// The guard of a tool server, to be asked before each call. It verifies the bearer, decides by the token's checks and the policies, and
/// records the decision, whole or not at all. A [`Permit`] comes out, or a [`Denial`] that says how to answer. Do nothing for a caller
/// without a permit.
///
/// ```
/// use hardtack::*;
/// # let now = Timestamp::from_unix_seconds(1_795_428_000);
/// # let root = PrivateKey::generate();
/// # let roots = RootKeys::of(root.public());
/// # let (grant, alice) = Grant::to("user:alice").scope("tools:call:*").new_holder();
/// # let capability = Issuer::new(root).mint(grant, now)?;
/// let store = Store::in_memory()?;
/// let verifier = Verifier::new(roots, "notion.mcp", store.revocations())?;
/// let guard = Guard::new(verifier, Policy::builtin(), store);
///
/// let presentation = capability.present(Presenting::to("notion.mcp"), &alice, now)?;
/// let call = Call::tool("search")?.arguments(r#"{"query": "roadmap"}"#)?;
/// let permit = guard.check(presentation.bearer(), &call, now)?;
/// assert_eq!(permit.subject(), "user:alice");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Guard {
    verifier: Verifier,
    sets: RwLock<Sets>,
    shadow: Shadow,
    /// What decisions about a token have in common, of as many tokens as the verifier remembers.
    prepared: PreparedTokens,
    kept: Option<Keep>,
    facts: Option<Facts>,
    /// What explanations show of a call.
    shown: Shown,
    ledger: Option<Box<dyn Ledger>>,
    /// Of bearers without a valid signature, and of the others.
    rejections: [Mutex<Rejections>; 2],
}

/// A token beside what the server states for one decision, or why it cannot say that.
type Asked = Result<VerifiedCapability, Box<(VerifiedCapability, Denial)>>;

/// The policies of one moment.
#[derive(Debug, Clone)]
struct Sets {
    /// What decides.
    live: Arc<Policy>,
    /// What is tried beside it.
    candidate: Option<Arc<Policy>>,
}

impl Guard {
    /// Makes a guard that verifies with `verifier`, decides by `policy`, and records every decision in `ledger` before it answers. Waits
    /// for no disk.
    pub fn new(
        verifier: Verifier,
        policy: impl Into<Arc<Policy>>,
        ledger: impl Ledger + 'static,
    ) -> Guard {
        Guard { ledger: Some(Box::new(ledger)), ..Guard::unrecorded(verifier, policy) }
    }

    /// Makes a guard that records nothing, and so accepts a presentation for one call as often as it comes. Neither this nor its decisions
    /// wait for a disk.
    pub fn unrecorded(verifier: Verifier, policy: impl Into<Arc<Policy>>) -> Guard {
        Guard {
            prepared: PreparedTokens::new(verifier.remembers()),
            verifier,
            sets: RwLock::new(Sets { live: policy.into(), candidate: None }),
            shadow: Shadow::default(),
            kept: None,
            facts: None,
            shown: Shown::All,
            ledger: None,
            rejections: Default::default(),
        }
    }

    /// Tries a candidate set of policies beside the set in force; by default there is none. Whatever reaches the policies is decided by
    /// both. The set in force answers, and where the candidate would decide otherwise the record says so. Waits for no disk.
    pub fn shadowed_by(self, candidate: impl Into<Arc<Policy>>) -> Guard {
        self.replace_candidate(Some(candidate.into()));
        self
    }

    /// Has explanations leave out what a call's arguments and its resource are, and what policies derive from them, so that they can be
    /// put into a ticket. By default they show them.
    pub fn explain_without_arguments(self) -> Guard {
        Guard { shown: Shown::NoArguments, ..self }
    }

    /// Has records keep what policies saw of each call that reached them, so that other policies can decide it again
    /// ([`replay`](crate::replay)). By default they do not. Arguments can hold personal data. Waits for no disk.
    pub fn keep_requests(mut self, kept: Keep) -> Guard {
        self.kept = Some(kept);
        self
    }

    /// Gives policies facts that `source` states about whoever asks, at the moment of each decision; `names` are the names of these facts.
    /// By default there are none. Waits for no disk; decisions wait for the source.
    ///
    /// ```
    /// use hardtack::guard::{Fact, FactsUnavailable};
    /// use hardtack::*;
    /// # let now = Timestamp::from_unix_seconds(1_795_428_000);
    /// # let root = PrivateKey::generate();
    /// # let roots = RootKeys::of(root.public());
    /// # let (grant, alice) = Grant::to("user:alice").scope("pages:*").new_holder();
    /// # let capability = Issuer::new(root).mint(grant, now)?;
    /// # let bearer = capability.present(Presenting::to("pages.example"), &alice, now)?;
    /// /// Asks the server's own database.
    /// fn roles(subject: &str) -> Result<Vec<&'static str>, FactsUnavailable> {
    ///     Ok(if subject == "user:alice" { vec!["editor"] } else { vec![] })
    /// }
    ///
    /// let policy = r#"allow if operation("pages:write"), db_role("editor");"#;
    /// let store = Store::in_memory()?;
    /// let verifier = Verifier::new(roots, "pages.example", store.revocations())?;
    /// let guard = Guard::new(verifier, Policy::parse("pages.datalog", policy)?, store)
    ///     .facts_from(["db_role"], |verified: &VerifiedCapability, _: &Call, _: Timestamp| {
    ///         let roles = roles(verified.subject())?;
    ///         Ok(roles.into_iter().map(|role| Fact::new("db_role", [role])).collect())
    ///     })?;
    /// guard.check(bearer.bearer(), &Call::new("pages:write")?, now)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A grant can state a fact of the same name, which policies see as well: give the server's own names that no issuer uses, as
    /// `db_role` here. The token's checks never see what the source states, so that a delegator's condition means the same at every
    /// server. The source is asked once a decision, for calls that the chain covers. With [`Guard::keep_requests`], records keep what it
    /// said, and [`replay`](crate::replay) decides by it. A list ([`Guard::preview`]) takes it for unknown. An error of the source leaves
    /// the call undecided (`facts_unavailable`), and so does what it may not state: another name, or more than 64
    /// facts, 8 terms in one, or 4,096 bytes in all (`facts_unusable`).
    ///
    /// # Errors
    ///
    /// [`FactNameError`] for a name that Hardtack gives a meaning (`policies/README.md`), for what is no name of a fact, and for more
    /// than 16 names.
    pub fn facts_from<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
        source: impl FactSource + 'static,
    ) -> Result<Guard, FactNameError> {
        self.facts = Some(Facts::of(names.into_iter().map(Into::into), source)?);
        Ok(self)
    }

    /// Returns the verifier of this guard, at which its root keys are replaced ([`Verifier::replace_roots`]). Waits for no disk.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Returns the set of policies in force now. Waits for no disk.
    pub fn policy(&self) -> Arc<Policy> {
        self.sets().live
    }

    /// Replaces the set of policies in force, and returns the former one. A decision that has begun ends by the set with which it began,
    /// and every record says which it was. Waits for no disk.
    pub fn replace_policy(&self, policy: impl Into<Arc<Policy>>) -> Arc<Policy> {
        let policy = policy.into();
        let mut sets = self.sets.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = std::mem::replace(&mut sets.live, policy);
        drop(sets);
        self.prepared.clear();
        before
    }

    /// Returns the candidate set of policies that is tried now; `None` if there is none. Waits for no disk.
    pub fn candidate(&self) -> Option<Arc<Policy>> {
        self.sets().candidate
    }

    /// Replaces the candidate set of policies, or ends the trial with `None`; returns the former one. Waits for no disk.
    pub fn replace_candidate(&self, candidate: Option<Arc<Policy>>) -> Option<Arc<Policy>> {
        let mut sets = self.sets.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = std::mem::replace(&mut sets.candidate, candidate);
        drop(sets);
        self.prepared.clear();
        before
    }

    /// Returns how often candidate sets of policies were asked so far, and how often they would have decided otherwise. Waits for no disk.
    pub fn shadow_counts(&self) -> ShadowCounts {
        self.shadow.counts()
    }

    /// The policies for one decision, from its beginning to its end.
    fn sets(&self) -> Sets {
        self.sets.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Decides whether the bearer may do `call`, as of `now`. A presentation for one call is used up if the call is allowed. Waits until
    /// the ledger has recorded the decision, with a store for the disk; asynchronous programs ask `check_async` (feature `tokio`).
    ///
    /// # Errors
    ///
    /// [`Denial`], which says by its variant how to answer. When this returns, the decision is on disk; but of bearers that are not valid,
    /// only the first hundred of a second are.
    pub fn check(&self, bearer: &str, call: &Call, now: Timestamp) -> Result<Permit, Denial> {
        self.record(self.decide(&self.sets(), bearer, call, now))
    }

    /// Decides as [`Guard::check`] does, records the decision, and explains it to the people who run the server. The explanation names
    /// policies and shows arguments: it is not for the caller. Waits as [`Guard::check`] does.
    pub fn check_explained(
        &self,
        bearer: &str,
        call: &Call,
        now: Timestamp,
    ) -> (Result<Permit, Denial>, Explanation) {
        // Decision and explanation take the policies of one moment, and what the server knows then.
        let sets = self.sets();
        let (explanation, decided) =
            match self.verifier.examine(bearer, Some(call.operation()), now) {
                Err(rejection) => {
                    let explanation = explain::rejected(&self.verifier, bearer, &rejection, now);
                    (
                        explanation,
                        UnrecordedDecision::Refused(self.weigh_rejected(*rejection, call, now)),
                    )
                }
                Ok(verified) => {
                    let asked = self.ask(verified, call, now);
                    let explanation = self.explain_asked(&sets.live, &asked, call);
                    (explanation, self.decide_asked(&sets, asked, call, now))
                }
            };
        match self.record(decided) {
            Ok(permit) => (Ok(permit), explanation),
            Err(denial) => {
                let explanation = explanation.concluded((&denial).into());
                (Err(denial), explanation)
            }
        }
    }

    /// Explains how [`Guard::check`] would decide `call` as of `now`, and why. Nothing is recorded and no presentation is used up. Waits
    /// for no disk.
    pub fn explain(&self, bearer: &str, call: &Call, now: Timestamp) -> Explanation {
        match self.verifier.examine(bearer, Some(call.operation()), now) {
            Err(rejection) => explain::rejected(&self.verifier, bearer, &rejection, now),
            Ok(verified) => {
                self.explain_asked(&self.policy(), &self.ask(verified, call, now), call)
            }
        }
    }

    fn explain_asked(&self, policy: &Policy, asked: &Asked, call: &Call) -> Explanation {
        match asked {
            Ok(verified) => {
                let prepared = self.prepared(verified);
                explain::explain(&self.verifier, &prepared, policy, verified, call, self.shown)
            }
            Err(unstated) => {
                let (verified, denial) = &**unstated;
                explain::unstated(&self.verifier, verified, call, denial.into())
            }
        }
    }

    /// Decides whether `call` is allowed with a capability that was verified before, as of `now`. Roots, expiry, revocation and bounds are
    /// checked again; shape and the holders' signatures cannot have changed. Waits as [`Guard::check`] does (`check_again_async`).
    pub fn check_again(
        &self,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        self.record(self.decide_again(verified, call, now))
    }

    /// Whether [`Guard::decide_again`] and recording what it comes to take so little that they may be done on
    /// a thread which others wait for.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_quick(&self, verified: &VerifiedCapability, call: &Call) -> bool {
        // Should the policies be exchanged before it is weighed, one decision takes a little longer there.
        let sets = self.sets();
        let prepared = self.prepared(verified);
        let quick = |policy: &Arc<Policy>| prepared.are_quick(policy, call);
        !self.asks_elsewhere() && quick(&sets.live) && sets.candidate.as_ref().is_none_or(quick)
    }

    /// Whether a decision waits for a source of facts.
    #[cfg(feature = "tokio")]
    pub(crate) fn asks_elsewhere(&self) -> bool {
        self.facts.is_some()
    }

    fn decide(&self, sets: &Sets, bearer: &str, call: &Call, now: Timestamp) -> UnrecordedDecision {
        match self.verifier.examine(bearer, Some(call.operation()), now) {
            Ok(verified) => self.decide_verified(sets, verified, call, now),
            Err(rejection) => {
                UnrecordedDecision::Refused(self.weigh_rejected(*rejection, call, now))
            }
        }
    }

    pub(crate) fn decide_again(
        &self,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> UnrecordedDecision {
        match self.verifier.examine_again(verified, call.operation(), now) {
            Ok(verified) => self.decide_verified(&self.sets(), verified, call, now),
            Err(rejection) => {
                UnrecordedDecision::Refused(self.weigh_rejected(*rejection, call, now))
            }
        }
    }

    fn decide_verified(
        &self,
        sets: &Sets,
        verified: VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> UnrecordedDecision {
        self.decide_asked(sets, self.ask(verified, call, now), call, now)
    }

    /// The token beside what the server states for this decision. Of a call that is refused whatever that is, it is not asked.
    fn ask(&self, verified: VerifiedCapability, call: &Call, now: Timestamp) -> Asked {
        let Some(facts) = &self.facts else { return Ok(verified) };
        if refuse_uncovered(&verified, call).is_err() || refuse_other_call(&verified, call).is_err()
        {
            return Ok(verified);
        }
        match facts.ask(&verified, call, now) {
            Ok(stated) => Ok(verified.beside(stated)),
            Err(denial) => Err(Box::new((verified, denial))),
        }
    }

    fn decide_asked(
        &self,
        sets: &Sets,
        asked: Asked,
        call: &Call,
        now: Timestamp,
    ) -> UnrecordedDecision {
        let decision = |verified: &VerifiedCapability| {
            Decision::allowed(Some(verified.recorded()), call, &sets.live, now)
        };
        let verified = match asked {
            Ok(verified) => verified,
            Err(unstated) => {
                let (verified, denial) = *unstated;
                let decision = decision(&verified);
                return UnrecordedDecision::Refused(UnrecordedRefusal::new(
                    decision,
                    Some(verified),
                    denial,
                ));
            }
        };
        let mut decision = decision(&verified);
        let prepared = self.prepared(&verified);
        let decided = authorize_with(&prepared, &verified, &sets.live, call);
        let ruling = Ruling::of(&decided);
        if decided.as_ref().err().is_none_or(AuthorizeError::rests_on_policies) {
            self.note(&mut decision, sets, &prepared, &verified, call, &ruling);
        }
        match decided {
            Ok(allowed) => UnrecordedDecision::allowed(decision, verified, allowed.at),
            Err(error) => {
                let rests = rests_on(&error, &prepared, &verified, &sets.live, call);
                let denial = Denial::from(error).resting_on(rests);
                UnrecordedDecision::Refused(UnrecordedRefusal::new(
                    decision,
                    Some(verified),
                    denial,
                ))
            }
        }
    }

    /// Adds to a decision of the policies what a candidate says of it and what is kept of the request.
    fn note(
        &self,
        decision: &mut Decision,
        sets: &Sets,
        prepared: &PreparedSets,
        verified: &VerifiedCapability,
        call: &Call,
        live: &Ruling,
    ) {
        decision.candidate = self.shadow.compare(sets, prepared, verified, call, live);
        let kept = self.kept.map(|kept| Box::new(KeptRequest::of(verified, call, kept)));
        decision.request = kept;
    }

    /// Returns the preview of a call of this operation and resource: allowed whatever its arguments are, refused whatever they are, or
    /// depending on them. Nothing is recorded; the call is to be checked all the same. Waits for no disk.
    pub fn preview(&self, verified: &VerifiedCapability, call: &Call) -> Preview {
        let verified = self.foreseeing(verified.clone());
        preview::preview(&self.prepared(&verified), &verified, &self.policy(), call)
    }

    /// Returns what decisions about this token have in common, as far as it was computed (a cache).
    pub fn prepared(&self, verified: &VerifiedCapability) -> Arc<PreparedSets> {
        self.prepared.of(verified)
    }

    /// Returns `verified` with the facts of the server's source marked as unknown, as they are before a call is decided.
    pub fn foreseeing(&self, verified: VerifiedCapability) -> VerifiedCapability {
        verified.beside(self.facts.as_ref().map(Facts::unknown).unwrap_or_default())
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("verifier", &self.verifier)
            .field("policy", &self.policy().digest())
            .field("candidate", &self.candidate().map(|policy| policy.digest().to_owned()))
            .field("recorded", &self.ledger.is_some())
            .finish()
    }
}
