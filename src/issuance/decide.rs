//! Decide: what is issued for a request, or why nothing is?

use std::sync::Arc;
use std::time::Duration;

use crate::authorize::{self, AuthorizeError};
use crate::cause::Cause;
use crate::datalog::{Base, EvaluationError, World};
use crate::issuance::narrow::{Beyond, Wanted, narrow};
use crate::issuance::said::{Sayings, Unsayable};
use crate::issuance::{Issuance, Request, Way};
use crate::mint::{FactTerm, Grant};
use crate::names::{self, NameError};
use crate::policy::{Location, Policy};
use crate::profile::{DEFAULT_DEPTH, DEFAULT_LIVES};
use crate::scope::{Scope, ScopeError};
use crate::timestamp::Timestamp;

/// What an issuer gives for a request: what was wanted within what is offered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Issued {
    /// The subject of the grant.
    pub subject: String,
    /// Its scopes, in the order of their texts.
    pub scopes: Vec<Scope>,
    /// The servers at which it can be used, as they were wanted. None: any server.
    pub audiences: Vec<String>,
    /// Its life in seconds.
    pub seconds: u64,
    /// How many hops may follow it.
    pub depth: u8,
    /// Whether a client that the person sent here needs the person's consent first.
    pub asks_consent: bool,
    /// The `allow if` that let the request in.
    pub allowed_at: Location,
    /// The rules and facts by which it was offered.
    pub offered_at: Vec<Location>,
    facts: Vec<(String, Vec<FactTerm>)>,
}

impl Issued {
    /// Returns it as a grant that an [`Issuer`](crate::Issuer) mints. Its holder is not named yet.
    pub fn grant(&self) -> Grant {
        let grant = Grant::to(&self.subject).max_depth(self.depth);
        let grant = grant.ttl(Duration::from_secs(self.seconds));
        let grant = self.scopes.iter().fold(grant, |grant, scope| grant.scope(scope.as_str()));
        let grant = self.audiences.iter().fold(grant, |grant, name| grant.audience(name));
        let facts = self.facts.iter();
        facts.fold(grant, |grant, (name, terms)| grant.fact(name, terms.iter().cloned()))
    }

    /// Returns the facts of the grant, each as Datalog writes it: `role("editor")`.
    pub fn facts(&self) -> impl Iterator<Item = String> {
        self.facts.iter().map(|(name, terms)| {
            let terms: Vec<_> = terms.iter().map(|term| term.as_term().to_string()).collect();
            format!("{name}({})", terms.join(", "))
        })
    }
}

/// Why nothing is issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A `deny if` matches.
    #[error("denied by {at}")]
    Denied {
        /// The `deny if`.
        at: Location,
    },
    /// A check of the set does not hold.
    #[error("the check at {at} does not hold")]
    CheckFailed {
        /// The check.
        at: Location,
    },
    /// No `allow if` matches.
    #[error("no `allow if` of the issuer's policies lets this request in")]
    NothingAllows,
    /// The set cannot be evaluated for this request.
    #[error("{place} cannot be evaluated for this request")]
    NotEvaluable {
        /// The statement.
        place: String,
    },
    /// Evaluating the set took more work than a decision may.
    #[error("the issuer's policies took more work than a decision may")]
    Exhausted,
    /// The set offers or states what nobody can be given.
    #[error("{place} offers what cannot be issued: {problem}")]
    Malformed {
        /// The fact or rule.
        place: String,
        /// The reason, in words.
        problem: String,
    },
    /// No scope is asked for.
    #[error("no scope is asked for; name what is wanted, such as tools:call:search")]
    NothingWanted,
    /// More is asked for than one request may.
    #[error("a request names at most 32 scopes and 8 servers")]
    TooMuchWanted,
    /// The assertion has more values than policies see.
    #[error("the assertion has more than 1000 values; ask the provider for fewer groups")]
    TooManyClaims,
    /// A life of no seconds is asked for.
    #[error("a life is at least one second")]
    NoLife,
    /// A scope that is wanted is not of its form.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A server that is wanted has a name that is not of its form, or the subject has.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nothing is offered for use at a server.
    #[error("nothing is offered to {subject} for use at {}", audience.as_deref().unwrap_or("any server; name one"))]
    Audience {
        /// The subject.
        subject: String,
        /// The server; none if any was wanted.
        audience: Option<String>,
    },
    /// Nothing that is wanted is offered.
    #[error("none of the scopes that are wanted is offered to {subject}: {wanted}")]
    Scopes {
        /// The subject.
        subject: String,
        /// The scopes.
        wanted: String,
    },
    /// The person has to agree, and is nowhere to be asked: a service brought their token.
    #[error("the person has to agree first, and is not asked where a service exchanges a token")]
    ConsentNeeded,
    /// The person has to sign in anew, or in a stronger way.
    #[error("the person has to sign in anew{}{}", acr.as_ref().map(|acr| format!(", by {acr}")).unwrap_or_default(), seconds.map(|seconds| format!(", within the last {seconds} s")).unwrap_or_default())]
    StepUp {
        /// The class of the sign-in that is needed (`acr`).
        acr: Option<String>,
        /// How old the sign-in may be at the most, in seconds.
        seconds: Option<u64>,
    },
}

impl Refused {
    /// Returns the [`Cause`] of the refusal: its stable name, by which programs and records tell refusals apart.
    pub fn cause(&self) -> Cause {
        match self {
            Refused::Denied { .. } => Cause::PolicyDenied,
            Refused::CheckFailed { .. } => Cause::PolicyCheckFailed,
            Refused::NothingAllows => Cause::NothingAllows,
            Refused::NotEvaluable { .. } => Cause::NotEvaluable,
            Refused::Exhausted => Cause::Exhausted,
            Refused::Malformed { .. } => Cause::OfferUnusable,
            Refused::NothingWanted | Refused::Scopes { .. } => Cause::NotOffered,
            Refused::TooMuchWanted | Refused::TooManyClaims => Cause::TooMany,
            Refused::NoLife => Cause::MalformedLife,
            Refused::Scope(error) => error.cause(),
            Refused::Name(error) => error.cause(),
            Refused::Audience { .. } => Cause::AudienceNotOffered,
            Refused::ConsentNeeded => Cause::ConsentNeeded,
            Refused::StepUp { .. } => Cause::StepUpNeeded,
        }
    }

    /// Returns the place in the set that refused it, if there is one.
    pub fn place(&self) -> Option<String> {
        match self {
            Refused::Denied { at } | Refused::CheckFailed { at } => Some(at.to_string()),
            Refused::NotEvaluable { place } | Refused::Malformed { place, .. } => {
                Some(place.clone())
            }
            _ => None,
        }
    }
}

impl From<AuthorizeError> for Refused {
    fn from(error: AuthorizeError) -> Refused {
        match error {
            AuthorizeError::Denied { at } => Refused::Denied { at },
            AuthorizeError::PolicyCheckFailed { at } => Refused::CheckFailed { at },
            AuthorizeError::Exhausted { .. } => Refused::Exhausted,
            AuthorizeError::NotEvaluable { place, .. } => Refused::NotEvaluable { place },
            // No other comes from policies alone.
            _ => Refused::NothingAllows,
        }
    }
}

/// Decides what is issued for `request` by `set`, as of `now`. Nothing is signed or recorded.
///
/// The set is asked first whether the request may be made at all: its checks, every `deny if`, every `allow if`. Then it is asked whether
/// the sign-in suffices, whether the person must be asked who cannot be, and what is offered. What is wanted is narrowed to that, never to nothing, and to the shortest life of the offers
/// that are used.
///
/// # Errors
///
/// [`Refused`] names the first thing for which nothing is issued.
pub fn decide(set: &Issuance, request: &Request, now: Timestamp) -> Result<Issued, Refused> {
    names::check_subject(&request.subject)?;
    let scopes = request.scopes.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
    request.audiences.iter().try_for_each(|name| names::check_audience(name))?;
    if request.seconds == Some(0) {
        return Err(Refused::NoLife);
    }
    let world = world(&set.policy, request, now)?;
    let allowed = authorize::decide(&world, &set.policy)?;
    let sayings = Sayings::of(&world, &set.policy).map_err(|error| match error {
        Unsayable::Malformed(place, problem) => {
            Refused::Malformed { place, problem: names::escaped(&problem) }
        }
        Unsayable::Evaluation(EvaluationError::Exhausted) => Refused::Exhausted,
        Unsayable::Evaluation(EvaluationError::Failed) => {
            Refused::NotEvaluable { place: authorize::RULES.to_owned() }
        }
    })?;
    refuse_weak(&sayings, request, now)?;
    if sayings.asks_consent && request.way == Way::Exchange {
        return Err(Refused::ConsentNeeded);
    }
    if scopes.is_empty() {
        return Err(Refused::NothingWanted);
    }
    let wanted = Wanted {
        scopes: &scopes,
        audiences: &request.audiences,
        seconds: request.seconds.unwrap_or(DEFAULT_LIVES.grant.as_secs()),
        hops: request.depth.unwrap_or(DEFAULT_DEPTH),
    };
    let given = narrow(&wanted, &sayings.offers).map_err(|beyond| beyond_of(request, beyond))?;
    Ok(Issued {
        subject: request.subject.clone(),
        scopes: given.scopes,
        audiences: request.audiences.clone(),
        seconds: given.seconds,
        depth: given.hops,
        asks_consent: sayings.asks_consent || !sayings.has_consent,
        allowed_at: allowed.at,
        offered_at: given.at,
        facts: sayings.facts,
    })
}

/// All that a set sees of a request, and what its rules derive.
pub(crate) fn world(policy: &Policy, request: &Request, now: Timestamp) -> Result<World, Refused> {
    let base = Base::over(&policy.stated, policy.symbols.clone());
    let mut world = World::over(&Arc::new(base));
    world.assert_all(&request.facts(now)?);
    world.derive_by(policy)?;
    Ok(world)
}

/// A sign-in of every class that is asked for, and none that is too old.
fn refuse_weak(sayings: &Sayings, request: &Request, now: Timestamp) -> Result<(), Refused> {
    let acr = request.claims.get("acr").and_then(serde_json::Value::as_str);
    let missing = sayings.step_up.iter().find(|wanted| acr != Some(wanted.as_str())).cloned();
    let is_old = |seconds: &u64| {
        let signed_in = request.signed_in.filter(|moment| *moment <= now);
        signed_in.is_none_or(|moment| now.since(moment) > Duration::from_secs(*seconds))
    };
    let seconds = sayings.fresh.filter(is_old);
    match missing.is_some() || seconds.is_some() {
        true => Err(Refused::StepUp { acr: missing, seconds }),
        false => Ok(()),
    }
}

fn beyond_of(request: &Request, beyond: Beyond) -> Refused {
    let subject = request.subject.clone();
    match beyond {
        Beyond::Audience(audience) => Refused::Audience { subject, audience },
        Beyond::Scopes => Refused::Scopes { subject, wanted: request.scopes.join(" ") },
    }
}
