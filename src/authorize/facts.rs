//! Facts: what the verifier asserts to policies and checks, of a call that is decided now or of one that a
//! record kept.
//!
//! This is the one place where a predicate that policies may use is asserted; `profile/vocabulary.rs` lists them. What a server
//! [states](crate::guard::FactSource) has names of its own. What policies read of weekdays, times of day and the grant's age is made in
//! [`calendar`](crate::calendar), for the sets that read it.

use biscuit_auth::builder::{Fact, Term, fact, string};

use crate::call::Call;
use crate::keys::PublicKey;
use crate::profile::vocabulary::{ARGUMENT, By};
use crate::scope::Operation;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// Who asserts what depends on a call's arguments.
pub(crate) const BY_ARGUMENTS: [By; 2] = [By::Arguments, By::Call];

/// Who asserts what depends on which call it is, besides its arguments.
pub(crate) const BY_CALL: [By; 2] = [By::Operation, By::Resource];

/// What the walk found of a token: all that is asserted of it but what its blocks say themselves.
pub(crate) struct Presented<'a> {
    pub(crate) audience: &'a str,
    /// `session` or `call`.
    pub(crate) kind: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) hops: Vec<Delegated<'a>>,
    /// The number of the presentation's block, if nobody in particular signed it.
    pub(crate) unbound_presentation: Option<usize>,
}

/// One hop.
pub(crate) struct Delegated<'a> {
    /// The number of its block.
    pub(crate) index: usize,
    pub(crate) delegator: &'a str,
    pub(crate) delegate: &'a str,
    pub(crate) holder: Option<PublicKey>,
    /// Nobody in particular, if the hop is unbound.
    pub(crate) signer: Option<PublicKey>,
}

/// The moment, and a call but its arguments.
pub(crate) struct Asked<'a> {
    pub(crate) time: Timestamp,
    pub(crate) operation: &'a Operation,
    pub(crate) resource: Option<&'a str>,
    /// The names of what the server may state beside it.
    pub(crate) stated: &'a [String],
}

impl<'a> Presented<'a> {
    pub(crate) fn of(verified: &'a VerifiedCapability) -> Presented<'a> {
        let chain = verified.chain();
        let hops = chain.hops.iter().map(|hop| Delegated {
            index: hop.index,
            delegator: &hop.delegator,
            delegate: &hop.delegate,
            holder: hop.holder,
            signer: hop.signer,
        });
        let unbound = chain.presentation.iter().find(|last| last.signer.is_none());
        Presented {
            audience: &verified.presentation().audience,
            kind: verified.presentation().kind.as_str(),
            issuer: verified.issuer(),
            hops: hops.collect(),
            unbound_presentation: unbound.map(|last| last.index),
        }
    }

    /// What is asserted of the token. Together with the facts of the call and of its arguments, this is
    /// everything: blocks and policies that assert one of these names are refused.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts = self.own_facts();
        facts.extend(self.hop_facts());
        facts
    }

    /// The part of it that is of this presentation.
    pub(crate) fn own_facts(&self) -> Vec<Fact> {
        let mut facts = vec![
            fact("verifier", &[string(self.audience)]),
            fact("presented", &[string(self.kind)]),
            fact("issuer", &[string(self.issuer)]),
        ];
        facts.extend(self.unbound_presentation.map(|index| fact("unbound", &[number(index)])));
        facts
    }

    /// The part that all presentations of its hops have in common.
    pub(crate) fn hop_facts(&self) -> Vec<Fact> {
        let mut facts = vec![fact("depth", &[number(self.hops.len())])];
        if let Some(leaf) = self.hops.last() {
            facts.push(fact("agent", &[string(leaf.delegate)]));
            facts.extend(leaf.holder.map(|key| fact("agent_key", &[key_digits(&key)])));
        }
        facts.extend(self.hops.iter().flat_map(Delegated::facts));
        facts
    }
}

impl Delegated<'_> {
    fn facts(&self) -> Vec<Fact> {
        let Some(signer) = self.signer else {
            return vec![fact("unbound", &[number(self.index)])];
        };
        let names = [number(self.index), string(self.delegator), string(self.delegate)];
        let keys = self.holder.map(|holder| {
            let keys = [number(self.index), key_digits(&signer), key_digits(&holder)];
            fact("delegated_key", &keys)
        });
        std::iter::once(fact("delegated", &names)).chain(keys).collect()
    }
}

impl<'a> Asked<'a> {
    pub(crate) fn of(verified: &'a VerifiedCapability, call: &'a Call) -> Asked<'a> {
        Asked {
            time: verified.verified_at(),
            operation: call.operation(),
            resource: call.resource_uri(),
            stated: verified.stated().names(),
        }
    }

    /// What is asserted of the moment and of the call but its arguments.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![moment_fact(self.time)];
        facts.extend(self.call_facts());
        facts
    }

    /// The same without the moment: [`BY_CALL`].
    pub(crate) fn call_facts(&self) -> Vec<Fact> {
        let operation = self.operation.as_str();
        let mut facts =
            vec![fact("operation", &[string(operation)]), fact("granted", &[string(operation)])];
        facts.extend(self.operation.tool().map(|name| fact("tool", &[string(name)])));
        facts.extend(self.resource.map(|uri| fact("resource", &[string(uri)])));
        facts
    }
}

/// What is asserted of the moment.
pub(crate) fn moment_fact(time: Timestamp) -> Fact {
    fact("time", &[Term::Date(time.unix_seconds())])
}

/// What is asserted of a call's arguments.
pub(crate) fn argument_facts(call: &Call) -> Vec<Fact> {
    let arguments = call.argument_terms();
    let arguments = arguments.map(|(name, value)| fact(ARGUMENT, &[string(name), value.clone()]));
    std::iter::once(digest_fact(&call.digest())).chain(arguments).collect()
}

/// What is asserted of a call as a whole.
pub(crate) fn digest_fact(digest: &[u8; 32]) -> Fact {
    fact("call", &[Term::Bytes(digest.to_vec())])
}

fn number(value: usize) -> Term {
    Term::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn key_digits(key: &PublicKey) -> Term {
    string(&hex::encode(key.to_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use biscuit_auth::builder::Convert;

    use crate::profile::vocabulary::{WORDS, find};
    use crate::{Policy, PrivateKey};

    fn type_of(term: &Term) -> &'static str {
        match term {
            Term::Integer(_) => "integer",
            Term::Str(_) => "string",
            Term::Date(_) => "date",
            Term::Bytes(_) => "bytes",
            _ => "another",
        }
    }

    #[test]
    fn what_is_asserted_is_what_the_table_says() {
        let key = PrivateKey::generate().public();
        let hop = |index: usize, signer: Option<PublicKey>| Delegated {
            index,
            delegator: "user:alice",
            delegate: "agent.a",
            holder: Some(key),
            signer,
        };
        let presented = Presented {
            audience: "notion.mcp",
            kind: "session",
            issuer: "acme",
            hops: vec![hop(1, Some(key)), hop(2, Some(key)), hop(3, None)],
            unbound_presentation: Some(4),
        };
        let call = Call::tool("search").unwrap().resource("https://a.b/").unwrap();
        let call = call.arguments(r#"{"query": "x", "limit": 3}"#).unwrap();
        let asked = Asked {
            time: Timestamp::from_unix_seconds(1_795_428_000),
            operation: call.operation(),
            resource: call.resource_uri(),
            stated: &[],
        };
        let read = r#"allow if weekday("Europe/Berlin", $d), minute_of_day("Europe/Berlin", $m), grant_age($a);"#;
        let policy = Policy::parse("p.datalog", read).unwrap();
        let of_calendar = policy.calendar.facts(asked.time, asked.time);
        let of_calendar = of_calendar.map(|one| Fact::convert_from(&one, &policy.symbols).unwrap());
        let mut facts = [presented.facts(), asked.facts(), argument_facts(&call)].concat();
        facts.extend(of_calendar);
        let mut counts = std::collections::BTreeMap::new();
        for fact in &facts {
            let word = find(&fact.predicate.name).unwrap_or_else(|| panic!("{fact} is not listed"));
            assert!(word.by != By::Blocks, "{fact}");
            assert_eq!(fact.predicate.terms.len(), word.columns.len(), "{fact}");
            for (term, column) in fact.predicate.terms.iter().zip(word.columns) {
                let named = column.type_name();
                assert!(named == "any" || named == type_of(term), "{fact} has no {named}");
            }
            *counts.entry(word.name).or_insert(0) += 1;
        }
        let once = |name: &str| find(name).is_some_and(|word| word.most() == 1);
        assert!(counts.iter().all(|(name, count)| *count == 1 || !once(name)), "{counts:?}");
        let listed = WORDS.iter().filter(|word| word.by != By::Blocks).map(|word| word.name);
        assert_eq!(counts.into_keys().collect::<BTreeSet<_>>(), listed.collect());
    }
}
