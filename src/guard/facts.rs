//! Facts: what does the server know of whoever asks, at the moment of the decision?
//!
//! An example is a role from its own database. Policies read it beside what the token says; the token's checks do not.
//! (A policy information point, in the words of XACML.)

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use biscuit_auth::builder::{self, MapKey, Term};

use crate::block::{DatalogError, custom_fact};
use crate::call::Call;
use crate::cause::Cause;
use crate::guard::{Denial, Refusal};
use crate::mint::FactTerm;
use crate::names;
use crate::profile::vocabulary::{is_predicate_name, is_reserved};
use crate::timestamp::Timestamp;
use crate::verify::{Stated, VerifiedCapability};

/// The most names of facts that a source may have. Each is one that no list can be sure of before a call.
pub(crate) const MAX_FACT_NAMES: usize = 16;

/// The most facts that a source may state for one decision. Every query of the policies passes over each of them, and a
/// record can keep them.
pub(crate) const MAX_FACTS: usize = 64;

/// The most terms that a fact may have: more than any row of which policies make sense.
pub(crate) const MAX_FACT_TERMS: usize = 8;

/// The most bytes that the names and texts of a decision's facts may have together. A record can keep them, and one of
/// the store's frames has 256 KiB.
pub(crate) const MAX_FACT_BYTES: usize = 4096;

/// How much of a source's error stands in a record.
const MAX_ERROR_CHARACTERS: usize = 200;

/// The error of a source that cannot say what it knows.
pub type FactsUnavailable = Box<dyn std::error::Error + Send + Sync>;

/// One fact that a source states, such as `role("editor")`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    name: String,
    terms: Vec<FactTerm>,
}

impl Fact {
    /// Makes the fact `name` of these terms, each a text, an integer, a `bool` or a moment. Name and terms are checked
    /// when the fact is stated.
    ///
    /// ```
    /// use hardtack::guard::Fact;
    /// use hardtack::mint::FactTerm;
    ///
    /// let role = Fact::new("role", ["editor"]);
    /// let limit = Fact::new("limit", [FactTerm::from("eur"), FactTerm::from(200)]);
    /// ```
    pub fn new<T: Into<FactTerm>>(
        name: impl Into<String>,
        terms: impl IntoIterator<Item = T>,
    ) -> Fact {
        Fact { name: name.into(), terms: terms.into_iter().map(Into::into).collect() }
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.terms.iter().map(|term| text_bytes(term.as_term())).sum::<usize>()
    }

    fn read(&self) -> Result<builder::Fact, DatalogError> {
        let terms: Vec<Term> = self.terms.iter().map(|term| term.as_term().clone()).collect();
        custom_fact(&self.name, &terms)
    }
}

/// The bytes of a term's texts.
fn text_bytes(term: &Term) -> usize {
    match term {
        Term::Str(text) => text.len(),
        Term::Bytes(bytes) => bytes.len(),
        Term::Array(terms) => terms.iter().map(text_bytes).sum(),
        Term::Set(terms) => terms.iter().map(text_bytes).sum(),
        Term::Map(entries) => entries
            .iter()
            .map(|(key, value)| match key {
                MapKey::Str(text) => text.len() + text_bytes(value),
                _ => text_bytes(value),
            })
            .sum(),
        _ => 0,
    }
}

/// A source of what the server knows about a caller. It is asked once for each decision that reaches the token's
/// checks.
///
/// A function is a source:
/// `|verified: &VerifiedCapability, call: &Call, now: Timestamp| Ok(vec![Fact::new("role", ["editor"])])`. It may wait,
/// for a database for example: servers ask it on threads that may wait. It has to end: nothing else bounds how long a
/// decision waits for it.
pub trait FactSource: Send + Sync {
    /// Returns the facts about the caller who presents `verified` and asks for `call`, as of `now`.
    ///
    /// # Errors
    ///
    /// Any error that keeps the source from answering. The call is then undecided (`facts_unavailable`). The record has
    /// the beginning of the error, so it should hold no secret. The caller learns nothing of it.
    fn facts(
        &self,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Result<Vec<Fact>, FactsUnavailable>;
}

impl<F> FactSource for F
where
    F: Fn(&VerifiedCapability, &Call, Timestamp) -> Result<Vec<Fact>, FactsUnavailable>
        + Send
        + Sync,
{
    fn facts(
        &self,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Result<Vec<Fact>, FactsUnavailable> {
        self(verified, call, now)
    }
}

/// The error of names of facts that a source cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactNameError {
    /// The name is one to which Hardtack gives a meaning.
    #[error("`{0}` is reserved: only Hardtack itself asserts it; choose another name")]
    Reserved(String),
    /// The name is no name of Datalog.
    #[error(
        "{0:?} is no name of a fact; begin with a letter and go on with letters, digits, _ and :"
    )]
    Name(String),
    /// The source has more than 16 names.
    #[error("a source of facts has at most {MAX_FACT_NAMES} names")]
    TooMany,
}

impl FactNameError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            FactNameError::Reserved(_) => Cause::ReservedName,
            FactNameError::Name(_) => Cause::MalformedName,
            FactNameError::TooMany => Cause::TooMany,
        }
    }
}

/// A source, and what it may speak of.
pub(super) struct Facts {
    names: Arc<[String]>,
    source: Box<dyn FactSource>,
}

impl Facts {
    pub(super) fn of(
        names: impl Iterator<Item = String>,
        source: impl FactSource + 'static,
    ) -> Result<Facts, FactNameError> {
        let names: BTreeSet<String> = names.collect();
        if names.len() > MAX_FACT_NAMES {
            return Err(FactNameError::TooMany);
        }
        for name in &names {
            match (is_reserved(name), is_predicate_name(name)) {
                (true, _) => return Err(FactNameError::Reserved(name.clone())),
                (false, false) => return Err(FactNameError::Name(name.clone())),
                (false, true) => {}
            }
        }
        Ok(Facts { names: names.into_iter().collect(), source: Box::new(source) })
    }

    /// What may be stated, before it is.
    pub(super) fn unknown(&self) -> Stated {
        Stated::unknown(&self.names)
    }

    /// What the source says for this decision.
    pub(super) fn ask(
        &self,
        verified: &VerifiedCapability,
        call: &Call,
        now: Timestamp,
    ) -> Result<Stated, Denial> {
        let asked = || self.source.facts(verified, call, now);
        let said = match catch_unwind(AssertUnwindSafe(asked)) {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => return Err(unavailable(&error.to_string())),
            Err(_) => return Err(unavailable("the source broke off")),
        };
        self.read(&said).map(|facts| Stated::known(&self.names, facts)).map_err(|problem| {
            Denial::Undecided(Refusal::new(
                Cause::FactsUnusable,
                None,
                format!("the server's source of facts states what it may not: {problem}"),
            ))
        })
    }

    fn read(&self, said: &[Fact]) -> Result<Vec<builder::Fact>, String> {
        if said.len() > MAX_FACTS {
            return Err(format!("{} facts, and at most {MAX_FACTS}", said.len()));
        }
        let bytes: usize = said.iter().map(Fact::bytes).sum();
        if bytes > MAX_FACT_BYTES {
            return Err(format!("{bytes} bytes of names and texts, and at most {MAX_FACT_BYTES}"));
        }
        let mut facts = Vec::new();
        for fact in said {
            let name = || names::escaped(&fact.name);
            if fact.terms.len() > MAX_FACT_TERMS {
                return Err(format!("{} has more than {MAX_FACT_TERMS} terms", name()));
            }
            // Reserved words are among those that were never named.
            if self.names.binary_search(&fact.name).is_err() {
                return Err(format!("{} is none of the names that it was given", name()));
            }
            let fact = fact.read().map_err(|error| format!("{}: {error}", name()))?;
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
        Ok(facts)
    }
}

fn unavailable(error: &str) -> Denial {
    let beginning: String = error.chars().take(MAX_ERROR_CHARACTERS).collect();
    let message =
        format!("the server's source of facts does not answer: {}", names::escaped(&beginning));
    Denial::Undecided(Refusal::new(Cause::FactsUnavailable, None, message))
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").field("names", &self.names).finish_non_exhaustive()
    }
}
