//! Facts: what the verifier asserts to policies and checks, of a call that is decided now or of one that a
//! record kept.
//!
//! This is the one place where a predicate that policies may use is asserted; `policies/README.md` lists them. What a server
//! [states](crate::guard::FactSource) has names of its own.

use biscuit_auth::builder::{Fact, Term, fact, string};

use crate::call::Call;
use crate::keys::PublicKey;
use crate::scope::Operation;
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// The predicates that depend on a call's arguments.
pub(crate) const ARGUMENT_PREDICATES: [&str; 2] = [ARGUMENT, "call"];

/// The predicate of one argument.
pub(crate) const ARGUMENT: &str = "arg";

/// The predicates that depend on which call it is, besides its arguments.
pub(crate) const CALL_PREDICATES: [&str; 4] = ["operation", "granted", "tool", "resource"];

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
        let mut facts = vec![
            fact("verifier", &[string(self.audience)]),
            fact("presented", &[string(self.kind)]),
            fact("issuer", &[string(self.issuer)]),
            fact("depth", &[number(self.hops.len())]),
        ];
        if let Some(leaf) = self.hops.last() {
            facts.push(fact("agent", &[string(leaf.delegate)]));
            facts.extend(leaf.holder.map(|key| fact("agent_key", &[key_digits(&key)])));
        }
        facts.extend(self.hops.iter().flat_map(Delegated::facts));
        facts.extend(self.unbound_presentation.map(|index| fact("unbound", &[number(index)])));
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

    /// The same without the moment: [`CALL_PREDICATES`].
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
    let arguments = arguments.map(|(name, value)| fact(ARGUMENT, &[string(name), value]));
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
