//! Through: through whom would the call have to come, where what is lacking is about the chain?

use biscuit_auth::builder::{Expression, Predicate, Term};

use crate::chain::Chain;
use crate::explain::Change;
use crate::explain::miss::variable;
use crate::explain::token::maker;
use crate::explain::values::{hold, value_for};
use crate::names::escaped;
use crate::profile::MAX_DEPTH;

/// The change of the chain by which a fact about it would be there that satisfies these conditions.
pub(super) fn through(
    chain: &Chain,
    predicate: &Predicate,
    conditions: &[Expression],
) -> Option<Change> {
    let text = |place: usize| match predicate.terms.get(place)? {
        Term::Variable(name) => match value_for(name, conditions)? {
            Term::Str(text) => Some(text),
            _ => None,
        },
        Term::Str(text) => Some(text.clone()),
        _ => None,
    };
    match predicate.name.as_str() {
        "delegated_key" => match (text(1), text(2)) {
            (Some(key), _) => Some(by_way_of(chain, Whom::Key(key))),
            (None, Some(key)) => Some(handed_on(chain, Whom::Key(key))),
            (None, None) => None,
        },
        "delegated" => match (text(1), text(2)) {
            (Some(name), _) => Some(by_way_of(chain, Whom::Name(name))),
            (None, Some(name)) => Some(handed_on(chain, Whom::Name(name))),
            (None, None) => None,
        },
        "agent_key" => Some(handed_on(chain, Whom::Key(text(0)?))),
        "agent" => Some(handed_on(chain, Whom::Name(text(0)?))),
        "depth" => {
            let depth = depths(chain).find(|depth| match predicate.terms.first() {
                Some(Term::Integer(wanted)) => wanted == depth,
                Some(Term::Variable(name)) => is_of(name, *depth, conditions),
                _ => false,
            })?;
            at_depth(chain, depth)
        }
        "issued" => {
            let (by, whose) = maker(chain, 0);
            let text = format!("have {by} make {whose} anew, and what stands on it");
            Some(Change::Renew { block: 0, by, text })
        }
        _ => None,
    }
}

/// The change of the chain after which none of these conditions holds of how deep it is.
pub(super) fn at_another_depth(
    chain: &Chain,
    name: &str,
    conditions: &[Expression],
) -> Option<Change> {
    let depth = depths(chain).find(|depth| !is_of(name, *depth, conditions))?;
    at_depth(chain, depth)
}

/// Other depths than this chain's: first those that are nearer to the subject, the least change first.
fn depths(chain: &Chain) -> impl Iterator<Item = i64> {
    let own = i64::try_from(chain.depth()).unwrap_or(MAX_DEPTH);
    (0..own).rev().chain(own.saturating_add(1)..=MAX_DEPTH)
}

fn is_of(name: &str, depth: i64, conditions: &[Expression]) -> bool {
    hold(conditions, &|term| (variable(term)? == name).then_some(Term::Integer(depth)))
}

fn at_depth(chain: &Chain, depth: i64) -> Option<Change> {
    let depth = usize::try_from(depth).ok()?;
    let caller = match depth.checked_sub(1) {
        None => &chain.grant.subject,
        Some(_) if depth > chain.depth() => {
            let bearer = escaped(&chain.bearer_name());
            let more = depth - chain.depth();
            let text = match more {
                1 => format!("have {bearer} delegate it to an agent that makes the call"),
                more => format!("have {bearer} delegate it further, by {more} hops"),
            };
            return Some(Change::Delegation { key: None, agent: None, onward: false, text });
        }
        Some(last) => &chain.hops[last].delegate,
    };
    let text = match depth {
        0 => format!("have {} make the call, without an agent between", escaped(caller)),
        _ => format!("have {} make the call itself, without delegating it on", escaped(caller)),
    };
    Some(Change::Caller { depth, caller: escaped(caller), text })
}

/// Who has to take part.
enum Whom {
    Key(String),
    Name(String),
}

impl Whom {
    fn words(&self) -> String {
        match self {
            Whom::Key(key) => format!("the holder of the key {}", escaped(key)),
            Whom::Name(name) => escaped(name),
        }
    }

    fn change(self, onward: bool, text: String) -> Change {
        let (key, agent) = match self {
            Whom::Key(key) => (Some(key), None),
            Whom::Name(name) => (None, Some(name)),
        };
        Change::Delegation { key, agent, onward, text }
    }
}

/// Somebody stands between whoever delegated last and whoever calls.
fn by_way_of(chain: &Chain, whom: Whom) -> Change {
    let words = whom.words();
    let text = match chain.hops.last() {
        Some(last) => format!(
            "have {} delegate it to {words}, who delegates it on to {}",
            escaped(&last.delegator),
            escaped(&last.delegate)
        ),
        None => format!(
            "have {} delegate it to {words}, who delegates it on to an agent",
            escaped(&chain.grant.subject)
        ),
    };
    whom.change(true, text)
}

/// Somebody else calls.
fn handed_on(chain: &Chain, whom: Whom) -> Change {
    let (bearer, words) = (escaped(&chain.bearer_name()), whom.words());
    let text = format!("have {bearer} delegate it to {words}, who makes the call");
    whom.change(false, text)
}
