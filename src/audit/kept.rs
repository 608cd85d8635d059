//! Kept: what a record can hold so that another set of policies can decide the call again.
//!
//! Everything that policies can see and that the record does not say elsewhere. How it is decided again is
//! [`replay`](crate::replay)'s business.

use biscuit_auth::builder::{Fact, fact};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::audit::term;
use crate::call::Call;
use crate::keys::PublicKey;
use crate::profile::vocabulary::{is_predicate_name, is_reserved};
use crate::timestamp::Timestamp;
use crate::verify::VerifiedCapability;

/// The most bytes of arguments that a record keeps, 16 KiB; of larger ones it keeps the digest. A frame of the store's journal has 256
/// KiB, and others' records beside this one.
pub(crate) const MAX_KEPT_ARGUMENT_BYTES: usize = 16 * 1024;

/// The choice how much of a call's arguments a record keeps, where requests are kept at all.
///
/// Arguments can hold personal data and secrets, and records cannot be deleted singly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The arguments, up to 16 KiB. Of larger ones, and of operations of `hardtack:`, the digest.
    Arguments,
    /// The SHA-256 digest of the canonical call, which says nothing of arguments that cannot be guessed.
    Digests,
}

/// The part of a call that policies saw and that the record does not say elsewhere.
///
/// Subject, issuer, agents' names, audience and kind of presentation stand in the record's chain; operation, resource and moment beside
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeptRequest {
    /// The moment when the grant was issued.
    pub issued: Timestamp,
    /// The facts that the issuer says of the subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<KeptFact>,
    /// The facts that the server stated itself ([`FactSource`](crate::guard::FactSource)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stated: Vec<KeptFact>,
    /// The keys of the record's hops, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<KeptHop>,
    /// The number of the presentation's block, if nobody in particular signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbound_presentation: Option<usize>,
    /// The arguments, or their digest.
    #[serde(flatten)]
    pub arguments: KeptArguments,
}

/// A fact of the grant or of the server, such as `role("editor")`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeptFact {
    /// The fact's name.
    pub name: String,
    /// The fact's values: text, integers, booleans, null and arrays as JSON has them, `{"date": RFC 3339}`, `{"bytes": hex}`, `{"set":
    /// […]}` and `{"map": [[key, value], …]}`.
    pub terms: Vec<Value>,
}

/// The keys of a hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeptHop {
    /// The number of the hop's block.
    pub block: usize,
    /// The key that signed the hop; `null` for an unbound hop, which anybody could have appended.
    pub signer: Option<PublicKey>,
    /// The key that may use the hop; `null` if whoever has the token may.
    pub holder: Option<PublicKey>,
}

/// A call's arguments in a record, or their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeptArguments {
    /// All arguments, as they were judged.
    Arguments(Map<String, Value>),
    /// The SHA-256 digest of the canonical call, in hexadecimal digits.
    Digest(String),
}

impl KeptRequest {
    pub(crate) fn of(verified: &VerifiedCapability, call: &Call, kept: Keep) -> KeptRequest {
        let chain = verified.chain();
        let grant = verified.capability().shaped().blocks.first();
        let facts = grant.into_iter().flat_map(|block| {
            let own = block.facts.iter().filter(|fact| !is_reserved(block.name_of(fact)));
            own.filter_map(|fact| block.written(fact))
        });
        let hops = chain.hops.iter().map(|hop| KeptHop {
            block: hop.index,
            signer: hop.signer,
            holder: hop.holder,
        });
        let unbound = chain.presentation.iter().find(|last| last.signer.is_none());
        // A request to revoke carries a token as its proof, and records hold none.
        let all = kept == Keep::Arguments && !call.operation().is_reserved();
        let arguments = match all && call.argument_bytes() <= MAX_KEPT_ARGUMENT_BYTES {
            true => KeptArguments::Arguments(call.arguments_json().clone()),
            false => KeptArguments::Digest(hex::encode(call.digest())),
        };
        KeptRequest {
            issued: chain.grant.issued,
            facts: facts.filter_map(|fact| KeptFact::of(&fact)).collect(),
            stated: verified.stated().facts().iter().filter_map(KeptFact::of).collect(),
            hops: hops.collect(),
            unbound_presentation: unbound.map(|last| last.index),
            arguments,
        }
    }
}

impl KeptFact {
    /// A fact that the issuer or the server says in words of its own.
    fn of(fact: &Fact) -> Option<KeptFact> {
        let predicate = &fact.predicate;
        if is_reserved(&predicate.name) {
            return None;
        }
        let terms = predicate.terms.iter().map(term::to_json).collect::<Option<Vec<_>>>()?;
        Some(KeptFact { name: predicate.name.clone(), terms })
    }

    /// The fact again; nothing, if it is none that a grant or a server can state.
    pub(crate) fn fact(&self) -> Option<Fact> {
        if !is_predicate_name(&self.name) || is_reserved(&self.name) {
            return None;
        }
        let terms = self.terms.iter().map(term::from_json).collect::<Option<Vec<_>>>()?;
        Some(fact(&self.name, &terms))
    }
}
