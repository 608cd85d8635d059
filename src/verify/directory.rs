//! Directory: which keys does this verifier take for whose?

use std::collections::{BTreeMap, HashSet};

use crate::chain::Hop;
use crate::keys::PublicKey;

/// A list of which agents' names belong to which keys, as far as this server knows
/// ([`Verifier::directory`](crate::Verifier::directory)).
///
/// A listed name with another key, or a listed key with another name, is refused. Without a listing
/// an agent's name is only what its delegator calls it.
///
/// Each hop of a token is looked up, which takes as long whether the directory has one key or a hundred thousand.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    keys: BTreeMap<String, Vec<PublicKey>>,
    /// All keys, whosever they are. Their hash is keyed, for an agent chooses its own key.
    known: HashSet<[u8; 32], ahash::RandomState>,
}

impl Directory {
    /// Adds a key of the agent called `name`. An agent may have several keys: call it again for each.
    pub fn and(mut self, name: impl Into<String>, key: PublicKey) -> Directory {
        let keys = self.keys.entry(name.into()).or_default();
        if !keys.contains(&key) {
            keys.push(key);
            self.known.insert(key.to_bytes());
        }
        self
    }

    pub(super) fn agrees(&self, hop: &Hop) -> bool {
        match self.keys.get(&hop.delegate) {
            Some(keys) => hop.holder.is_some_and(|key| keys.contains(&key)),
            None => hop.holder.is_none_or(|key| !self.known.contains(&key.to_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::RevocationId;
    use crate::keys::PrivateKey;
    use crate::timestamp::Timestamp;

    fn hop(delegate: &str, holder: Option<PublicKey>) -> Hop {
        Hop {
            index: 1,
            delegator: "user:alice".to_owned(),
            delegate: delegate.to_owned(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            expires: Timestamp::default(),
            reason: String::new(),
            holder,
            signer: None,
            checks: 0,
            revocation_id: RevocationId::from_bytes([0; 64]),
            block_signature: RevocationId::from_bytes([0; 64]),
        }
    }

    #[test]
    fn a_listed_name_has_its_keys_and_a_listed_key_its_names() {
        let key = |n| PrivateKey::from_bytes(&[n; 32]).public();
        // Two names share a key, and one name has two.
        let directory = Directory::default()
            .and("agent.a", key(1))
            .and("agent.a", key(2))
            .and("agent.a", key(2))
            .and("agent.b", key(2));
        for (name, holder, agrees) in [
            ("agent.a", Some(1), true),
            ("agent.a", Some(2), true),
            ("agent.b", Some(2), true),
            ("agent.b", Some(1), false),
            ("agent.a", Some(3), false),
            ("agent.a", None, false),
            ("agent.c", Some(1), false),
            ("agent.c", Some(2), false),
            ("agent.c", Some(3), true),
            ("agent.c", None, true),
        ] {
            assert_eq!(directory.agrees(&hop(name, holder.map(key))), agrees, "{name} {holder:?}");
        }
    }
}
