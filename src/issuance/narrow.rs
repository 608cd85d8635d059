//! Narrow: what of that which is wanted lies within what is offered?
//!
//! The one matcher answers it: of two scopes, what both cover is the one that the other covers, or nothing.

use std::collections::BTreeMap;

use crate::policy::Location;
use crate::scope::Scope;

/// What stands for any server in an offer.
const ANY: &str = "*";

/// What is offered, and at which line.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) scope: Scope,
    pub(super) audience: String,
    pub(super) seconds: u64,
    pub(super) hops: u8,
    pub(super) at: Option<Location>,
}

/// What is wanted.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) scopes: &'a [Scope],
    pub(super) audiences: &'a [String],
    pub(super) seconds: u64,
    pub(super) hops: u8,
}

/// What of it is given.
#[derive(Debug)]
pub(super) struct Narrowed {
    pub(super) scopes: Vec<Scope>,
    pub(super) seconds: u64,
    pub(super) hops: u8,
    pub(super) at: Vec<Location>,
}

/// Why nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beyond {
    /// Nothing at all is offered for use at this server; any server, if it has no name.
    Audience(Option<String>),
    /// Nothing that is wanted is offered for use at all the servers.
    Scopes,
}

/// Which life and how many hops some scope has, and by which offers.
#[derive(Debug, Clone)]
struct Terms {
    seconds: u64,
    hops: u8,
    at: Vec<Location>,
}

type Pieces = BTreeMap<Scope, Terms>;

/// Finds what is given. A grant's scopes hold at each of its servers, so what is given is offered for each server that is wanted.
pub(super) fn narrow(wanted: &Wanted<'_>, offers: &[Offer]) -> Result<Narrowed, Beyond> {
    let named: Vec<Option<&str>> = match wanted.audiences {
        [] => vec![None],
        audiences => audiences.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut given: Option<Pieces> = None;
    for audience in named {
        let pieces = at_audience(wanted, offers, audience)?;
        let both = match given {
            None => pieces,
            Some(given) => both(&given, &pieces),
        };
        given = Some(widest(both));
    }
    let given = given.unwrap_or_default();
    let (Some(seconds), Some(hops)) = (
        given.values().map(|terms| terms.seconds).min(),
        given.values().map(|terms| terms.hops).min(),
    ) else {
        return Err(Beyond::Scopes);
    };
    let mut at: Vec<Location> = given.values().flat_map(|terms| terms.at.clone()).collect();
    at.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    at.dedup();
    Ok(Narrowed { scopes: given.into_keys().collect(), seconds, hops, at })
}

/// What of it is offered for use at one server.
fn at_audience(
    wanted: &Wanted<'_>,
    offers: &[Offer],
    audience: Option<&str>,
) -> Result<Pieces, Beyond> {
    let fits = |offer: &&Offer| offer.audience == ANY || Some(offer.audience.as_str()) == audience;
    let mut pieces = Pieces::new();
    let mut any = false;
    for offer in offers.iter().filter(fits) {
        any = true;
        let terms = || Terms {
            seconds: offer.seconds.min(wanted.seconds),
            hops: offer.hops.min(wanted.hops),
            at: offer.at.iter().cloned().collect(),
        };
        for scope in wanted.scopes.iter().filter_map(|scope| meet(scope, &offer.scope)) {
            better(&mut pieces, scope.clone(), terms());
        }
    }
    match (any, pieces.is_empty()) {
        (false, _) => Err(Beyond::Audience(audience.map(str::to_owned))),
        (true, true) => Err(Beyond::Scopes),
        (true, false) => Ok(widest(pieces)),
    }
}

/// What both cover.
fn meet<'s>(one: &'s Scope, other: &'s Scope) -> Option<&'s Scope> {
    match () {
        () if other.covers_scope(one) => Some(one),
        () if one.covers_scope(other) => Some(other),
        () => None,
    }
}

/// Of two offers for one scope, the one with the longer life; and then the one with more hops. A life of the one with hops of the
/// other was offered by none.
fn better(pieces: &mut Pieces, scope: Scope, terms: Terms) {
    match pieces.get(&scope) {
        Some(known) if (known.seconds, known.hops) >= (terms.seconds, terms.hops) => {}
        _ => drop(pieces.insert(scope, terms)),
    }
}

fn both(one: &Pieces, other: &Pieces) -> Pieces {
    let mut found = Pieces::new();
    for (a, first) in one {
        for (b, second) in other {
            let Some(scope) = meet(a, b) else { continue };
            let terms = Terms {
                seconds: first.seconds.min(second.seconds),
                hops: first.hops.min(second.hops),
                at: [first.at.as_slice(), &second.at].concat(),
            };
            better(&mut found, scope.clone(), terms);
        }
    }
    found
}

/// Those that no other covers.
fn widest(pieces: Pieces) -> Pieces {
    let all: Vec<Scope> = pieces.keys().cloned().collect();
    let within =
        |scope: &Scope| all.iter().any(|other| other != scope && other.covers_scope(scope));
    pieces.into_iter().filter(|(scope, _)| !within(scope)).collect()
}
