//! Issuing: what may a statement of an issuer's set not say or read?

use super::tree::{Atom, Span, Term, Value};
use crate::names;
use crate::policy::problem::Problem;
use crate::profile::MAX_DEPTH;
use crate::profile::issuing::{Place, Said, find_asserted, find_said};
use crate::profile::vocabulary::{is_predicate_name, is_reserved};
use crate::scope::Scope;

/// What is said to whoever asks for consent: the person is asked, or has agreed already.
const CONSENTS: [&str; 2] = ["asked", "given"];

/// Returns for what the head of a fact or rule is refused.
pub(super) fn asserts(head: &Atom) -> Vec<(Span, Problem)> {
    let name = || head.name.clone();
    match find_said(&head.name) {
        None if find_asserted(&head.name).is_some() || is_reserved(&head.name) => {
            vec![(head.name_span, Problem::Reserved { name: name() })]
        }
        None => Vec::new(),
        Some(word) if !word.takes(head.terms.len()) => {
            vec![(head.name_span, Problem::OtherForm { name: name(), form: word.form() })]
        }
        Some(word) => written(word, head),
    }
}

/// Returns for what a predicate in a body is refused: the words of calls are never there.
pub(super) fn reads(atom: &Atom) -> Option<(Span, Problem)> {
    let is_own = find_asserted(&atom.name).is_some() || find_said(&atom.name).is_some();
    let problem = || Problem::WordOfCalls { name: atom.name.clone() };
    (!is_own && is_reserved(&atom.name)).then(|| (atom.name_span, problem()))
}

/// What is written out, and can be nothing that an issuer offers.
fn written(word: &Said, head: &Atom) -> Vec<(Span, Problem)> {
    let places = word.terms.iter().zip(&head.terms);
    let wrong = places.filter_map(|(place, term)| {
        let why = wrong(*place, term, word)?;
        Some((term.span, Problem::NothingToOffer { why }))
    });
    wrong.collect()
}

fn wrong(place: Place, term: &Term, word: &Said) -> Option<String> {
    let text = match (place, &term.value) {
        (_, Value::Variable(_) | Value::Parameter(_)) => return None,
        (Place::Seconds, Value::Integer(seconds)) => {
            return (*seconds < 1).then(|| "a life is at least one second".to_owned());
        }
        (Place::Depth, Value::Integer(hops)) => {
            let outside = !(0..=MAX_DEPTH).contains(hops);
            return outside.then(|| format!("a grant allows 0 to {MAX_DEPTH} hops"));
        }
        (Place::Text, _) if word.open => return None,
        (_, Value::Text(text)) => text,
        _ => return Some(format!("{} is written {}", word.name, word.form())),
    };
    match place {
        Place::Scope => text.parse::<Scope>().err().map(|error| error.to_string()),
        Place::Audience => names::check_audience(text).err().map(|error| error.to_string()),
        Place::FactName if is_reserved(text) || !is_predicate_name(text) => {
            Some(format!("a grant can state no fact called `{}`", names::escaped(text)))
        }
        Place::Consent if !CONSENTS.contains(&text.as_str()) => {
            Some("consent is \"asked\" or \"given\"".to_owned())
        }
        Place::Seconds | Place::Depth => Some(format!("{} is written {}", word.name, word.form())),
        _ => None,
    }
}
