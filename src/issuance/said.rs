//! Said: what does a set say of a request, and at which line?

use biscuit_auth::builder;
use biscuit_auth::datalog::{Fact, SymbolTable, Term};

use crate::datalog::{EvaluationError, VERIFIER, World, head};
use crate::issuance::narrow::Offer;
use crate::mint::FactTerm;
use crate::names;
use crate::policy::{Location, Policy};
use crate::profile::MAX_DEPTH;
use crate::profile::vocabulary::{is_predicate_name, is_reserved};
use crate::timestamp::Timestamp;

pub(super) const OFFER: &str = "offer";

/// The most offers for one request, and the most facts in a grant: more than a person has roles.
const MAX_OFFERS: usize = 256;
const MAX_FACTS: usize = 64;

/// What a set says of one request.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    pub(super) offers: Vec<Offer>,
    pub(super) facts: Vec<(String, Vec<FactTerm>)>,
    /// That the person is asked, though something says that they need not be.
    pub(super) asks_consent: bool,
    pub(super) has_consent: bool,
    pub(super) step_up: Vec<String>,
    /// How old the sign-in may be at the most, in seconds.
    pub(super) fresh: Option<u64>,
}

/// Why what a set says cannot be used.
#[derive(Debug)]
pub(super) enum Unsayable {
    /// At this place it says what nobody can be given.
    Malformed(String, String),
    Evaluation(EvaluationError),
}

impl From<EvaluationError> for Unsayable {
    fn from(error: EvaluationError) -> Unsayable {
        Unsayable::Evaluation(error)
    }
}

/// Whether a set has a fact or rule of this name.
pub(super) fn is_said(policy: &Policy, name: &str) -> bool {
    let named = |number: u64| policy.symbols.get_symbol(number) == Some(name);
    policy.facts.iter().any(|fact| named(fact.predicate.name))
        || policy.rules.iter().any(|rule| named(rule.head.name))
}

impl Sayings {
    /// Reads them from a world in which the set's rules were applied.
    pub(super) fn of(world: &World, policy: &Policy) -> Result<Sayings, Unsayable> {
        let mut sayings = Sayings::default();
        let mut seen = Vec::new();
        for fact in world.facts() {
            let Some(name) = world.symbols.get_symbol(fact.predicate.name) else { continue };
            if !matches!(name, OFFER | "fact" | "consent" | "step_up" | "fresh")
                || seen.contains(&fact)
            {
                continue;
            }
            // The same may be derived and stated.
            seen.push(fact);
            if let Err(problem) = sayings.add(world, policy, name, fact) {
                let at = place(world, policy, fact)?;
                let at = at.map_or_else(|| "the set".to_owned(), |at| at.to_string());
                return Err(Unsayable::Malformed(at, problem));
            }
            if sayings.offers.len() > MAX_OFFERS || sayings.facts.len() > MAX_FACTS {
                return Err(EvaluationError::Exhausted.into());
            }
        }
        Ok(sayings)
    }

    fn add(
        &mut self,
        world: &World,
        policy: &Policy,
        name: &str,
        fact: &Fact,
    ) -> Result<(), String> {
        let terms = fact.predicate.terms.iter().map(|term| value(term, &world.symbols));
        let terms = terms.collect::<Option<Vec<_>>>();
        let terms = terms.ok_or("it says what is no text, whole number, bool or moment")?;
        use builder::Term::{Integer, Str};
        match (name, terms.as_slice()) {
            (OFFER, [Str(scope), Str(audience), Integer(seconds), Integer(hops)]) => {
                let scope = scope.parse().map_err(|error| format!("{error}"))?;
                names::check_audience(audience).map_err(|error| error.to_string())?;
                let seconds = u64::try_from(*seconds).ok().filter(|seconds| *seconds > 0);
                let seconds = seconds.ok_or("a life is at least one second")?;
                let hops = u8::try_from(*hops).ok().filter(|hops| i64::from(*hops) <= MAX_DEPTH);
                let hops = hops.ok_or_else(|| format!("a grant allows 0 to {MAX_DEPTH} hops"))?;
                let at = place(world, policy, fact).map_err(|_| "it takes too much work")?;
                let audience = audience.clone();
                self.offers.push(Offer { scope, audience, seconds, hops, at });
            }
            ("fact", [Str(name), terms @ ..]) if !terms.is_empty() => {
                if is_reserved(name) || !is_predicate_name(name) {
                    return Err(format!("a grant can state no fact called `{name}`"));
                }
                let terms = terms.iter().map(stated).collect::<Option<Vec<_>>>();
                self.facts.push((name.clone(), terms.ok_or("a fact has another term")?));
            }
            ("consent", [Str(said)]) if said == "asked" => self.asks_consent = true,
            ("consent", [Str(said)]) if said == "given" => self.has_consent = true,
            ("step_up", [Str(acr)]) => self.step_up.push(acr.clone()),
            ("fresh", [Integer(seconds)]) if *seconds > 0 => {
                let seconds = seconds.unsigned_abs();
                self.fresh = Some(self.fresh.map_or(seconds, |known| known.min(seconds)));
            }
            _ => {
                return Err(format!(
                    "this is no `{name}`; policies/issuance/README.md has its form"
                ));
            }
        }
        Ok(())
    }
}

/// Where a set says it: the first fact or rule that does.
pub(super) fn place(
    world: &World,
    policy: &Policy,
    said: &Fact,
) -> Result<Option<Location>, EvaluationError> {
    let stated = policy.facts.iter().position(|fact| fact == said);
    if let Some(at) = stated.and_then(|at| policy.places.facts.get(at)) {
        return Ok(Some(at.clone()));
    }
    for (number, rule) in policy.rules.iter().enumerate() {
        if rule.head.name != said.predicate.name {
            continue;
        }
        let mut found = false;
        world.each_candidate(rule, VERIFIER, |_, variables, holds| {
            found |= holds && head(rule, variables).as_ref() == Some(said);
        })?;
        if found {
            return Ok(policy.places.rules.get(number).cloned());
        }
    }
    Ok(None)
}

fn value(term: &Term, symbols: &SymbolTable) -> Option<builder::Term> {
    Some(match term {
        Term::Str(number) => builder::Term::Str(symbols.get_symbol(*number)?.to_owned()),
        Term::Integer(number) => builder::Term::Integer(*number),
        Term::Bool(value) => builder::Term::Bool(*value),
        Term::Date(seconds) => builder::Term::Date(*seconds),
        _ => return None,
    })
}

fn stated(term: &builder::Term) -> Option<FactTerm> {
    Some(match term {
        builder::Term::Str(text) => text.as_str().into(),
        builder::Term::Integer(number) => (*number).into(),
        builder::Term::Bool(value) => (*value).into(),
        builder::Term::Date(seconds) => Timestamp::from_unix_seconds(*seconds).into(),
        _ => return None,
    })
}
